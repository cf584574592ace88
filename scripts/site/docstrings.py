"""Docstrings as Markdown: examples become a section, and brackets and tags in prose stay text."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Docstrings(griffe.Extension):
    """What griffe reads of a docstring before it looks for sections."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """The docstring with its examples, from the first >>> on, as a section of Google's form."""
    prose, prompt, examples = text.partition("\n>>> ")
    parts = re.split(r"(`[^`]*`)", prose)
    plain = [_plain(part) if index % 2 == 0 else part for index, part in enumerate(parts)]
    indented = "\n".join(f"    {line}" if line else line for line in (prompt[1:] + examples).splitlines())
    return "".join(plain) + (f"\nExamples:\n{indented}\n" if prompt else "")


def _plain(prose: str) -> str:
    """a[0][1] is no link, and <name> no tag."""
    return re.sub(r"<(?=[A-Za-z/])", "&lt;", prose.replace("][", "]\\["))

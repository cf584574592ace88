"""Python text that holds keyword arguments: to import, or to paste from into a call."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from polydesign.exporters.caveats import caveats
from polydesign.exporters.half import loop_notes, runs_in
from polydesign.exporters.target import Rows, Target, header
from polydesign.model import Table

WIDTH = 100
"""Of a comment, without its mark."""


def comments(table: Table, target: Target, notes: Sequence[str], mark: str = "#") -> list[str]:
    """Which table it is, the notes on this target, and what the table does not keep there."""
    warned = [f"Warning: {line}" for line in caveats(table, target)]
    lines = []
    loop = loop_notes(table, target.loop, runs_in(table, target)[0], as_powers=target.dtype is not None)
    for line in [*header(table), *notes, *loop, *warned]:
        first, *more = wrap(line, WIDTH, break_long_words=False, break_on_hyphens=False)
        lines += [f"{mark} {first}", *(f"{mark}   {part}" for part in more)]
    return lines


def keywords(table: Table, target: Target, name: str, arguments: dict[str, Any], notes: Sequence[str]) -> str:
    """`name = dict(...)` under the comments: its lines can be pasted into a call as they are.

    arguments: what the target takes; a list of rows is written with one tuple a line, floats in the
    shortest form that reads back the same.
    """
    lines = comments(table, target, notes)
    lines.append(f"{name} = dict(")
    for key, value in arguments.items():
        lines += _argument(key, value)
    return "\n".join([*lines, ")"]) + "\n"


def _argument(key: str, value: Any) -> list[str]:
    if isinstance(value, list) and any(isinstance(item, tuple) for item in value):
        return [f"    {key}=[", *(f"        {item!r}," for item in value), "    ],"]
    return [f"    {key}={value!r},"]


def constant(name: str, rows: Rows, comment: list[str]) -> str:
    """`name = [...]` under the comment lines, one tuple a line."""
    return "\n".join([*comment, f"{name} = [", *(f"    {row!r}," for row in rows), "]"]) + "\n"

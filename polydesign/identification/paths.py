"""A text that is the path of a file or a folder, as FILE or FILE:NAME, and no list itself."""

from __future__ import annotations

import os
import re
from pathlib import Path

from polydesign.identification.pasted import LANGUAGES
from polydesign.identification.source_files import is_file, source_file
from polydesign.model import InputError
from polydesign.table.catalogue import catalogue
from polydesign.table.published import names

SUFFIXES = ("py", "ipynb", "yaml", "yml", "toml", "json", "md", *LANGUAGES)
"""Of the files of a folder that are read."""

_SOURCE = re.compile(rf"[^\s\[\](){{}},;=\"'|&]*\.(?:{'|'.join(SUFFIXES)})(?::[\w.]+)?")
_PLACE = re.compile(r"(?:~|\.{1,2})?/[^\s\[\](){},;=\"'|&]+")
"""What nobody would paste for a list: names that end as sources do, and paths from a root or from here."""


def is_known(text: str) -> bool:
    """Whether it is the name of a table, or of a published misprint."""
    return text in names() or text in catalogue()


def as_path(source: str | os.PathLike[str], which: str | None = None) -> tuple[Path | str, str | None]:
    """The path that a text of one line is, and the name of the list in it; the text itself where it is none.

    Raises InputError for a text that can only be meant as a path, where nothing is there.
    """
    if not isinstance(source, str):
        return Path(source), which
    if "\n" in source or "\0" in source or not source:
        return source, which
    if is_file(source):
        return Path(source), which
    path, named = source_file(source)
    if path is not None:
        return path, which or named
    if is_known(source):
        return source, which
    if os.path.isdir(source):
        return Path(source), which
    if _SOURCE.fullmatch(source) or _PLACE.fullmatch(source):
        raise InputError(source, "there is no such file: check the path, or give the text of the list itself")
    return source, which

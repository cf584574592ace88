"""Which texts are a source file, or one of the lists in it, and which the file or the name of a table."""

from __future__ import annotations

import json
import os
from pathlib import Path

from polydesign.text.incoming import read_text

_MOST = 1_000_000
"""Characters of a JSON file that may be a list; load says what is wrong with a longer one."""


def source_file(given: str) -> tuple[Path | None, str | None]:
    """The source file and the name of a list in it, where it is no table's file and no name of a table."""
    if is_file(given):
        return (None, None) if _is_table(Path(given)) else (Path(given), None)
    file, _, name = given.partition(":")
    while name:
        if is_file(file) and not _is_table(Path(file)):
            return Path(file), name
        more, _, name = name.partition(":")
        file = f"{file}:{more}"
    return None, None


def is_file(given: str) -> bool:
    """Whether there is such a file; no name is too long to ask, or holds what a path cannot."""
    return os.path.isfile(given)


def _is_table(path: Path) -> bool:
    """Whether it is the file of a table, also of one that was cut off or edited."""
    text = read_text(path, "a table, or a list that is read")
    if '"polydesign/schedule/' in text:
        return True
    if path.suffix != ".json" or len(text) > _MOST:
        return path.suffix == ".json"
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return True  # load says where it breaks off
    return isinstance(body, dict) and bool({"schema", "steps"} & set(body))

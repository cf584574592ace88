"""Files of others: how much of one is read, and what its JSON may hold.

A file that somebody sends is refused in seconds, whatever is in it, with its path and the field.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

from polydesign.model import MOST_DEPTH, InputError, not_plain, obeyed, quoted

MOST_BYTES = 16 * 1024 * 1024
"""Of a file of text; the largest table of the package has 0.2 of a MB."""

MOST_COMMAS = 300_000
"""In a JSON text: about so many things does it hold, and each takes some microseconds to check."""

MOST_TEXT = 20_000
"""Characters of one text in a file."""


def read_text(path: str | os.PathLike[str], what: str = "a text", *, most: int = MOST_BYTES) -> str:
    """The UTF-8 text of a file, without the mark that some editors put at the beginning.

    Args:
        path: Of the file.
        what: It should be, for the refusal.
        most: Bytes that it may have.

    Raises:
        InputError: It has more bytes, or is not UTF-8; the field is the path.
        OSError: It cannot be read.
    """
    with Path(path).open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise InputError(str(path), f"has more than {most >> 20} MB, which is too much for {what}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise InputError(str(path), f"is not UTF-8 text, so is not {what}") from problem


def parse(text: str, where: str = "$", most: int = MOST_COMMAS) -> Any:
    """What a JSON text holds, without keys that are there twice.

    Raises InputError whose field is `where`, or the place in it: for what check_values refuses, and for more
    than `most` commas; json.JSONDecodeError where it is not JSON.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
            raise InputError(where, f"the key {quoted(twice)} is there twice")
        return found

    commas = text.count(",")
    if commas > most:
        raise InputError(where, f"holds {commas:,} values, and at most {most:,} are read")
    try:
        body = json.loads(text, object_pairs_hook=unique, parse_int=_whole)
    except RecursionError as problem:
        raise InputError(where, f"is not JSON of at most {MOST_DEPTH} levels") from problem
    check_values(body, where)
    return body


def _whole(digits: str) -> float:
    """Of very many digits it is no float64, whose place check_values names; int would refuse to read it."""
    return int(digits) if len(digits) < 400 else math.inf


def check_values(value: Any, path: str) -> None:
    """Refuse numbers that no float64 is, texts that are very long, and what model.check_plain refuses."""
    try:
        _check([value], 1 + MOST_DEPTH)
    except _WrongError as found:
        raise InputError(path + found.path.removeprefix("[0]"), found.problem) from None


class _WrongError(Exception):
    def __init__(self, problem: str) -> None:
        self.path, self.problem = "", problem


def _check(values: Any, depth: int) -> None:
    # Paths are made where something is wrong: lists of tables read a hundred files.
    for key, item in values.items() if isinstance(values, dict) else enumerate(values):
        try:
            if isinstance(key, str):
                _check_text(key)
            if isinstance(item, float):
                if not math.isfinite(item):
                    raise _WrongError(f"must be a finite number, not {item!r}")
            elif isinstance(item, str):
                _check_text(item)
            elif isinstance(item, (dict, list, tuple)):
                if not depth:
                    raise _WrongError(f"is nested more than {MOST_DEPTH} deep")
                _check(item, depth - 1)
            elif isinstance(item, int) and abs(item) > 2**1023:
                raise _WrongError("does not fit a float64")
        except _WrongError as found:
            found.path = (f".{key}" if isinstance(key, str) else f"[{key}]") + found.path
            raise


def _check_text(text: str) -> None:
    if len(text) > MOST_TEXT:
        raise _WrongError(f"has {len(text):,} characters, and at most {MOST_TEXT:,} are read")
    found = obeyed(text)
    if found is not None:
        raise _WrongError(not_plain(found))

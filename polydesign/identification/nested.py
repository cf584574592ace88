"""Lists of rows in nested values: in lists, under letters or numbers of a dict, and in dicts of such."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from polydesign.identification.lists import COLUMNS, Rows, sensible_row, share_of, transposed
from polydesign.model import MOST_DEPTH

LETTERS = (("a", "b", "c", "d", "e"), ("alpha", "beta", "gamma", "delta"))
LETTERS += (tuple(f"c{j}" for j in range(13)), tuple(f"c{j}" for j in range(1, 14, 2)))
LETTERS += (tuple(f"a{j}" for j in range(13)), tuple(f"a{j}" for j in range(1, 14, 2)))
"""What the coefficients of a row are called, in increasing powers."""


def in_value(name: str, value: Any, depth: int = MOST_DEPTH) -> Iterator[tuple[str, Rows, str]]:
    """The lists of rows in a value: it itself, or what its keys hold; each with the words of its reading."""
    if isinstance(value, dict):
        yield from _in_dict(name, value, depth)
        return
    rows = rows_of(value)
    if rows:
        yield name, rows, ""
    elif isinstance(value, list) and depth and len(value) <= 1000:
        for index, inner in enumerate(value):
            if isinstance(inner, (list, dict)):
                yield from in_value(f"{name}[{index}]", inner, depth - 1)


def _in_dict(name: str, value: dict[str, Any], depth: int) -> Iterator[tuple[str, Rows, str]]:
    rows = whole(value)
    row = lettered(value)
    if rows:
        yield name, rows, COLUMNS if columned(value) else ""
        return
    if row and sensible_row(row):
        yield name, (row,), ""
    for key, inner in value.items() if depth else ():
        yield from in_value(f"{name}[{key!r}]" if name else str(key), inner, depth - 1)


def whole(value: dict[str, Any]) -> Rows | None:
    """The rows of a dict that is one list as a whole, by columns or with numbered keys."""
    return columned(value) or _numbered(value)


def rows_of(value: Any) -> Rows | None:
    """One row or a list of them; objects with coefficients, or with a, b and c, are rows too."""
    if not isinstance(value, list) or not value:
        return None
    if all(map(is_number, value)):
        # A pair needs a change of sign to be a step: betas = (0.9, 0.95) is none.
        return (_floats(value),) if len(value) > 2 or min(value) < 0 < max(value) else None
    rows = [lettered(item) or item.get("coefficients") if isinstance(item, dict) else item for item in value]
    if not all(isinstance(row, (list, tuple)) and row and all(map(is_number, row)) for row in rows):
        return None
    found = tuple(_floats(row) for row in rows if row)
    if any(len(row) != 2 or min(row) < 0 < max(row) for row in found):
        return found
    # Pairs without a change of sign may be columns, but are no steps.
    return found if any(share_of(one.rows) >= 0.5 for one in transposed(found)) else None


def lettered(value: dict[str, Any]) -> tuple[float, ...] | None:
    """The row of {"a": 3.4445, "b": -4.775, "c": 2.0315}, whatever else is there."""
    return next((_floats(found) for found in _by_letters(value) if all(map(is_number, found))), None)


def columned(value: dict[str, Any]) -> Rows | None:
    """The rows of {"a": [first, second, …], "b": …, "c": …}, where half of them can be steps."""
    for found in _by_letters(value):
        if all(isinstance(one, list) and one and all(map(is_number, one)) for one in found) and (
            len({len(one) for one in found}) == 1
        ):
            rows = tuple(zip(*map(_floats, found), strict=True))
            return rows if share_of(rows) >= 0.5 else None
    return None


def _by_letters(value: dict[str, Any]) -> Iterator[list[Any]]:
    """What stands under the letters of a row, where two or more are there, one after the other."""
    lower = {str(key).strip().lower(): inner for key, inner in value.items()}
    for letters in LETTERS:
        found = []
        for letter in letters:
            if letter not in lower:
                break
            found.append(lower[letter])
        if len(found) > 1:
            yield found


def _numbered(value: dict[str, Any]) -> Rows | None:
    """The rows of {"step1": (…), "step2": (…)}, in the order of the numbers."""
    keys = [re.fullmatch(r"(\D*?)(\d{1,3})", str(key)) for key in value]
    if len(keys) < 2 or not all(keys) or len({key[1] for key in keys if key}) > 1:
        return None
    ordered = sorted(
        zip((int(key[2]) for key in keys if key), value.values(), strict=True), key=lambda i: i[0]
    )
    rows = rows_of([inner for _, inner in ordered])
    return rows if rows and len({len(row) for row in rows}) == 1 and len(rows[0]) > 1 else None


def is_number(value: Any) -> bool:
    """Whether it is an int or a float, and no bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _floats(row: Sequence[Any]) -> tuple[float, ...]:
    return tuple(map(as_float, row))


def as_float(number: float) -> float:
    """The float64 of a number; infinite for an integer that is larger than all."""
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")

"""Lists of rows as they are found: with their name, their line, and the ways in which they can be read.

Numbers alone do not say whether they stand by rows or by columns, or whether they belong to all powers of x.
Every way that makes sense is kept, with words for it, so that nobody takes one of them for the only one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from polydesign.model import MOST_DEPTH

Rows = tuple[tuple[float, ...], ...]

ALL_POWERS = "zeros in every other place: coefficients of all powers of x"
COLUMNS = "by columns: each list has one coefficient of all steps"

_LARGEST_SUM = 3.0
"""p(1) of a step that is meant to lead to 1; published first steps reach 2."""

LETTERS = (("a", "b", "c", "d", "e"), ("alpha", "beta", "gamma", "delta"))
LETTERS += (tuple(f"c{j}" for j in range(13)), tuple(f"c{j}" for j in range(1, 14, 2)))
LETTERS += (tuple(f"a{j}" for j in range(13)), tuple(f"a{j}" for j in range(1, 14, 2)))
"""What the coefficients of a row are called, in increasing powers."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a list: its rows, and the words for it; "" for as they stand."""

    rows: Rows
    words: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of numbers in a text.

    name: what it is assigned to, "" for none. line: where it begins. readings: the ways that make sense, the
    likelier first. cell: of a notebook, from 1. changed: what the text makes of it later that is not read
    here; maybe: whether only under a condition. either: whether no known table may decide between the
    readings, as where the text changes the list further down. derived: whether it is computed from another
    list of the text, so that it may be what runs, whatever it looks like.
    """

    name: str
    line: int
    readings: tuple[Reading, ...]
    cell: int | None = None
    changed: str = ""
    maybe: bool = False
    either: bool = False
    derived: bool = False

    @property
    def rows(self) -> Rows:
        """As in the likeliest reading."""
        return self.readings[0].rows

    @property
    def sensible(self) -> bool:
        """Whether half of its rows at least can be steps of an iteration to 1."""
        return _share(self.rows) >= 0.5

    @property
    def place(self) -> str:
        """line 3, or cell 2, line 3."""
        return f"line {self.line}" if self.cell is None else f"cell {self.cell}, line {self.line}"


def listed(name: str, line: int, rows: Rows) -> Listed:
    """A list with its readings."""
    return Listed(name, line, readings(rows))


def readings(rows: Rows) -> tuple[Reading, ...]:
    """The ways to read these rows that make sense, the likelier first; as they stand, where none does."""
    found = [Reading(rows), *_all_powers(rows), *_cut(rows), *_transposed(rows), *_counted(rows)]
    shares = [_share(one.rows) for one in found]
    if max(shares) < 0.5:
        return (found[0],)
    order = sorted(range(len(found)), key=lambda i: (-shares[i], not _alternates(found[i].rows), -i))
    return tuple(found[i] for i in order if shares[i] >= 0.5)


def _all_powers(rows: Rows) -> Iterator[Reading]:
    """0, a, 0, b, … from the constant on, a, 0, b, … from x on, or either the other way round."""
    if min(map(len, rows)) < 3:
        return
    for first in (1, 0):
        kept = tuple(row[first::2] for row in rows)
        if any(any(row[1 - first :: 2]) for row in rows) or min(map(_count, kept)) < 2:
            continue
        down = first == 0 and all(len(row) % 2 == 0 for row in rows)  # the constant is last, and 0
        if down:
            yield Reading(tuple(row[::-1] for row in kept), f"{ALL_POWERS}, the highest first")
        if not down or kept[0][0] > 0:
            yield Reading(kept, ALL_POWERS)


def _count(row: Sequence[float]) -> int:
    return sum(c != 0 for c in row)


def _cut(rows: Rows) -> Iterator[Reading]:
    """One long row as rows of three, or of two."""
    for width in (3, 2):
        if len(rows) == 1 and len(rows[0]) > width and len(rows[0]) % width == 0:
            row = rows[0]
            cut = tuple(row[i : i + width] for i in range(0, len(row), width))
            if all(map(sensible_row, cut)):
                yield Reading(cut, f"{len(cut)} rows of {width} numbers, without brackets between")


def _transposed(rows: Rows) -> Iterator[Reading]:
    if 2 <= len(rows) <= 6 and len(rows[0]) > 1 and len({len(row) for row in rows}) == 1:
        yield Reading(tuple(zip(*rows, strict=True)), COLUMNS)


def _counted(rows: Rows) -> Iterator[Reading]:
    """Without a first column that counts the rows."""
    first = [row[0] for row in rows]
    if (
        len(rows) > 1
        and min(map(len, rows)) > 2
        and first in ([*range(len(rows))], [*range(1, len(rows) + 1)])
    ):
        yield Reading(tuple(row[1:] for row in rows), "without the first column, which counts the rows")


def _share(rows: Rows) -> float:
    return sum(map(sensible_row, rows)) / len(rows)


def sensible_row(row: Sequence[float]) -> bool:
    """Whether q of these coefficients can be a step: positive at 0, changing sign, and x = 1 stays in bounds.

    A step that brings values nearer to 1 has q falling near 1, so that some coefficient is negative. Rows in
    decreasing powers are looked at from the other end too.
    """
    if len(row) < 2 or (row[0] == 0 and row[1] > 0):
        return False
    return min(row) < 0 < max(row[0], row[-1]) and 0 < sum(row) < _LARGEST_SUM


def _alternates(rows: Rows) -> bool:
    """Whether the signs of every row alternate, as those of the best steps do."""
    return all(p * c <= 0 for row in rows for p, c in pairwise(row))


def joined(lists: list[Listed]) -> list[Listed]:
    """Rows with numbered names, ns_1, ns_2, …, as one list; the others as they are."""
    found: list[Listed] = []
    run: list[Listed] = []
    for one in [*lists, None]:
        stem, number = _numbered_name(one.name) if one else ("", None)
        if one and run and len(one.rows) == 1 and (stem, number) == _next_name(run[-1].name):
            run.append(one)
            continue
        if (
            len(run) > 1
            and len({len(row.rows[0]) for row in run}) == 1
            and not any(row.changed for row in run)
        ):
            rows = tuple(row.rows[0] for row in run)
            run = [
                Listed(
                    _numbered_name(run[0].name)[0], run[0].line, (Reading(rows, "rows with numbered names"),)
                )
            ]
        found += run
        run = [one] if one else []
    return found


def _numbered_name(name: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"(\w*?[A-Za-z_])_*(\d{1,3})", name)
    return (found[1].rstrip("_"), int(found[2])) if found else ("", None)


def _next_name(name: str) -> tuple[str, int] | None:
    stem, number = _numbered_name(name)
    return None if number is None else (stem, number + 1)


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
    return found if any(_share(one.rows) >= 0.5 for one in _transposed(found)) else None


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
            return rows if _share(rows) >= 0.5 else None
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

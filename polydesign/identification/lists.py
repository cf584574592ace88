"""Lists of rows as they are found: with their name, their line, and the ways in which they can be read.

Numbers alone do not say whether they stand by rows or by columns, or whether they belong to all powers of x.
Every way that makes sense is kept, with words for it, so that nobody takes one of them for the only one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

Rows = tuple[tuple[float, ...], ...]

NOT_READ = "by what is not read here"
ALL_POWERS = "zeros in every other place: coefficients of all powers of x"
COLUMNS = "by columns: each list has one coefficient of all steps"

_LARGEST_SUM = 3.0
"""p(1) of a step that is meant to lead to 1; published first steps reach 2."""


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
        return share_of(self.rows) >= 0.5

    @property
    def place(self) -> str:
        """line 3, or cell 2, line 3."""
        return f"line {self.line}" if self.cell is None else f"cell {self.cell}, line {self.line}"


def listed(name: str, line: int, rows: Rows) -> Listed:
    """A list with its readings."""
    return Listed(name, line, readings(rows))


def both(ways: tuple[Reading, ...], was: Rows, lines: Sequence[int], line: int) -> tuple[Reading, ...]:
    """The readings of a list that is changed on some lines, and the rows that it was written as on a line."""
    said = f"as changed on line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines))}"
    ways = tuple(Reading(one.rows, f"{said}, {one.words}" if one.words else said) for one in ways)
    return (*ways, Reading(was, f"as written on line {line}"))


def readings(rows: Rows) -> tuple[Reading, ...]:
    """The ways to read these rows that make sense, the likelier first; as they stand, where none does."""
    found = [Reading(rows), *_all_powers(rows), *_cut(rows), *transposed(rows), *_counted(rows)]
    shares = [share_of(one.rows) for one in found]
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


def transposed(rows: Rows) -> Iterator[Reading]:
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


def share_of(rows: Rows) -> float:
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

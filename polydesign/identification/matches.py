"""Which known table a list of rows is, and what was done to it.

Every published schedule and every table of the catalogue is a candidate, in every way that lists are found
copied: cut, longer, reversed, in decreasing powers, folded, rounded, with one row changed. The least that
explains the rows is the likeliest; several tables can be equal after such a change, and all are named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from polydesign.exporters.targets import divides_by
from polydesign.identification.known import KnownRows, candidates
from polydesign.identification.rearranged import rearranged
from polydesign.identification.rescaled import scales_between
from polydesign.identification.similarity import (
    CLOSE,
    Folding,
    Row,
    Tolerance,
    decimals_of,
    difference,
    folding,
    grids,
    more_digits,
    scaled,
)
from polydesign.model import InputError

EXACT = Tolerance("")
NEAR = Tolerance("close", CLOSE)

ORDERS = {
    "": (1, 1),
    "rows in reverse order": (-1, 1),
    "coefficients in decreasing powers": (1, -1),
    "rows in reverse order, coefficients in decreasing powers": (-1, -1),
}
"""What was done to the order -> the strides of rows and of coefficients that undo it."""

EFFORT = {"digits": 2, "near": 8, "fold": 3, "odd factor": 1, "some rows": 2, "differs": 6, "order": 3}
EFFORT |= {"first rows": 1, "other rows": 3, "steps": 1, "rearranged": 4, "rescaled": 5}
"""What each change counts: the likeliest explanation is the one that counts least. From judgement."""

_GIVE = "give one row of two or more coefficients a step"

SPREAD = 5
"""Explanations that count so much more than the best are not told."""


@dataclass(frozen=True, slots=True)
class Match:
    """One explanation of the rows.

    rows: first and last row of the candidate's that are there, from 1. how: what was done to them, in words;
    () is nothing. which, factor, differs: as in similarity.Folding; which is "rescaled" where
    values are scaled between steps. digits: of the rounding, "" for none.
    order: of ORDERS. difference: the largest relative difference that remains, in row difference_at.
    expected: what the table has, after all this, in place of the row that differs; changed: what that row is
    instead, where some table has it. beyond: how many of the last rows it leaves unexplained, where no table
    explains all. effort: what the explanation counts. unsafe: what an earlier table of ours does.
    """

    name: str
    root: int
    published: bool
    source: str | None
    rows: tuple[int, int]
    of: int
    how: tuple[str, ...]
    which: str
    factor: float
    digits: str
    order: str
    differs: int | None
    difference: float
    difference_at: int
    effort: int
    expected: Row | None = None
    changed: str | None = None
    beyond: int = 0
    unsafe: str | None = None

    @property
    def exact(self) -> bool:
        """Whether these are the very rows, all of them."""
        return not self.how

    @property
    def repeats(self) -> bool:
        """Whether the rows are the table's one row, which is run several times."""
        return any(words.startswith("its one row") for words in self.how)

    def __str__(self) -> str:
        return f"{self.name}, {', '.join(self.how)}" if self.how else self.name


def given_rows(rows: Iterable[Sequence[float]]) -> tuple[Row, ...]:
    """The rows as numbers. Raises InputError for rows that are empty, and for what is no finite number."""
    try:
        given = tuple(tuple(map(float, row)) for row in rows)
    except (TypeError, ValueError, OverflowError) as problem:
        raise InputError("rows", f"are no rows of numbers ({problem}): {_GIVE}") from problem
    if not given or not all(given):
        raise InputError("rows", f"are empty: {_GIVE}")
    if not all(isfinite(c) for row in given for c in row):
        raise InputError("rows", f"hold a number that is not finite: {_GIVE}")
    return given


def find_matches(
    rows: Iterable[Sequence[float]], root: int | None = None, known: Sequence[KnownRows] | None = None
) -> list[Match]:
    """The known tables that explain the rows, the likeliest first; empty where none does.

    rows: coefficients of q as they were found, one row a step. root: look at tables of this root alone; None
    at all. known: other candidates than those of `candidates`.

    Raises what given_rows raises.

    >>> best = find_matches([(3.4445, -4.7750, 2.0315)])[0]
    >>> best.name, best.how
    ('jordan_5', ('its one row, which is run 5 times',))
    """
    given = given_rows(rows)
    pool = [one for one in (candidates() if known is None else known) if root in (None, one.root)]
    best = []
    for order, one in enumerate(pool):
        found = min(_explanations(given, one), key=_effort, default=None)
        if found is not None:
            best.append((found.effort, not found.published, order, found))
    matches = [found for *_, found in sorted(best, key=lambda item: item[:3])]
    if not matches:
        return _beginnings(given, pool)
    limit = matches[0].effort + SPREAD
    return [_with_changed(match, given, pool) for match in matches if match.effort <= limit]


def _beginnings(given: tuple[Row, ...], pool: Sequence[KnownRows]) -> list[Match]:
    """The tables that the first rows are of, as many of them as any table explains, and two at least."""
    best: list[Match] = []
    for count in range(2, len(given)):
        # What explains so many rows explains fewer too.
        ways = [min(_explained(given[:count], one), key=_effort, default=None) for one in pool]
        pool = [one for one, way in zip(pool, ways, strict=True) if way is not None]
        if not pool:
            break
        words = f"but only in the first {count} of these {len(given)} rows"
        more: dict[str, Any] = {"beyond": len(given) - count}
        best = [
            replace(way, how=(*way.how, words), effort=way.effort + EFFORT["near"], **more)
            for way in ways
            if way is not None
        ]
    return sorted(best, key=lambda way: (way.effort, not way.published))


def _effort(match: Match) -> int:
    return match.effort


def _explained(given: tuple[Row, ...], one: KnownRows) -> Iterator[Match]:
    """The explanations that need no other row, and no other order."""
    found = _explanations(given, one, EFFORT["first rows"])
    return (way for way in found if way.effort < EFFORT["differs"] and not way.order)


def _explanations(given: tuple[Row, ...], one: KnownRows, most: int = 99) -> Iterator[Match]:
    """Every way from the candidate to the rows, up to the first tolerance that needs no other row.

    most: what a part of the candidate may count: prefixes are not looked for among rearranged rows.
    """
    for tolerance in (EXACT, *grids(given), more_digits(given, one.rows), NEAR):
        if tolerance is None:
            continue
        found = list(_ways(given, one, tolerance))
        if most > EFFORT["rearranged"] and not any(match.effort < EFFORT["differs"] for match in found):
            found += _rearranged(given, one, tolerance)
            found += [] if found or tolerance is NEAR else _rescaled(given, one, tolerance)
        yield from found
        if any(match.effort < EFFORT["differs"] for match in found):
            return


def _ways(given: tuple[Row, ...], one: KnownRows, tolerance: Tolerance) -> Iterator[Match]:
    for order, (by_row, by_power) in ORDERS.items():
        rows = tuple(_bare(row[::by_power]) for row in given[::by_row])
        for first, known, words, effort in _windows(len(rows), one):
            if len(rows) == 1 and len(known) < len(one.rows) and not one.shared and tolerance is not EXACT:
                continue  # three digits or so are like some row of some table
            done = folding(rows, tuple(map(_bare, known)), one.root, tolerance)
            if done is not None:
                yield _match(given, rows, one, known, (first, words, effort), order, done, tolerance)


def _rearranged(given: tuple[Row, ...], one: KnownRows, tolerance: Tolerance) -> Iterator[Match]:
    """With a row left out, there twice, or two rows exchanged."""
    rows = tuple(map(_bare, given))
    for known, words in rearranged(rows, tuple(map(_bare, one.rows)), one.root, tolerance):
        done = folding(rows, known, one.root, tolerance)
        if done is not None and done.differs is None:
            yield _match(given, rows, one, known, (0, words, EFFORT["rearranged"]), "", done, tolerance)


def _rescaled(given: tuple[Row, ...], one: KnownRows, tolerance: Tolerance) -> Iterator[Match]:
    """With the same map, but for what values are multiplied by between steps."""
    rows = tuple(map(_bare, given))
    for first, known, words, effort in _windows(len(rows), one):
        scales = scales_between(rows, tuple(map(_bare, known)), one.root, tolerance)
        if scales is None:
            continue
        found = _match(given, rows, one, known, (first, words, effort), "", Folding(), tolerance)
        how = tuple(part for part in (words, scales.words, tolerance.words) if part)
        effort = found.effort + EFFORT["rescaled"]
        yield replace(found, how=how, which="rescaled", difference=scales.off, difference_at=1, effort=effort)


def _bare(row: Row) -> Row:
    """Without the zeros that pad a row to a higher degree."""
    while len(row) > 1 and row[-1] == 0:
        row = row[:-1]
    return row


def _windows(count: int, one: KnownRows) -> Iterator[tuple[int, tuple[Row, ...], str, int]]:
    """The parts of the candidate that have so many rows: where they begin, the rows, and what was done."""
    own = len(one.rows)
    if one.shared:
        row = one.rows[0]
        if count == own:
            yield 0, one.rows, "", 0
        elif count == 1:
            yield 0, (row,), f"its one row, which is run {own} times", EFFORT["steps"]
        else:
            yield 0, (row,) * count, f"its row {count} times, where {own} are run", EFFORT["steps"]
        return
    if count > own:
        more = count - own
        yield 0, one.rows + one.rows[-1:] * more, f"its last row {more} times more", EFFORT["steps"]
        again = tuple(one.rows[index % own] for index in range(count))
        yield 0, again, f"begun again after its {own} rows", EFFORT["steps"]
        return
    for first in range(own - count + 1):
        rows = one.rows[first : first + count]
        if count == own:
            yield first, rows, "", 0
        elif first == 0:
            which = "the first" if count > 1 else "the first row"
            yield (
                first,
                rows,
                f"{which} {count} of {own} rows" if count > 1 else f"{which} of {own}",
                EFFORT["first rows"],
            )
        else:
            which = f"rows {first + 1} to {first + count}" if count > 1 else f"row {first + 1}"
            last = f"the last {count}" if count > 1 and first + count == own else which
            yield first, rows, f"{last} of {own}" + (" rows" if last != which else ""), EFFORT["other rows"]


def _match(
    given: tuple[Row, ...],
    rows: tuple[Row, ...],
    one: KnownRows,
    known: tuple[Row, ...],
    window: tuple[int, str, int],
    order: str,
    done: Folding,
    tolerance: Tolerance,
) -> Match:
    first, words, effort = window
    differs = done.differs
    expected = None if differs is None else tuple(scaled(known, one.root, done, differs))
    off, where = difference([_bare(row) for row in rows], [_bare(row) for row in known], one.root, done)
    digits = tolerance.words if tolerance not in (EXACT, NEAR) else ""
    how = [words, order, _folding_words(done, len(rows)), digits]
    if tolerance is NEAR:
        how.append(f"close: coefficients are off by up to {100 * off:.2g} % (row {where + 1})")
    if done.differs is not None:
        last = done.differs == len(rows) - 1
        how.append("the last row is another" if last else f"row {done.differs + 1} is another")
        effort += EFFORT["differs"]
    if done.which != "none":
        effort += EFFORT["fold"] + (EFFORT["some rows"] if done.which.startswith("row") else 0)
        effort += EFFORT["odd factor"] * (
            min(decimals_of([(f,)]) for f in (done.factor, 1 / done.factor)) > 3
        )
    effort += EFFORT["near"] if tolerance is NEAR else EFFORT["digits"] if digits else 0
    effort += EFFORT["order"] * (order.count(",") + 1) if order else 0
    return Match(
        name=one.name,
        root=one.root,
        published=one.published,
        source=one.source,
        rows=(first + 1, min(first + len(rows), len(one.rows))),
        of=len(one.rows),
        how=tuple(filter(None, how)),
        which=done.which,
        factor=done.factor,
        digits=digits,
        order=order,
        differs=None if done.differs is None else done.differs + 1,
        difference=off,
        difference_at=where + 1,
        effort=effort,
        expected=expected,
        unsafe=str(one.earlier) if one.earlier else None,
    )


def _folding_words(done: Folding, count: int) -> str:
    if done.which == "none":
        return ""
    verb, factor = ("folded", done.factor) if done.factor > 1 else ("unfolded", 1 / done.factor)
    where = {"all": "all rows", "all-but-last": "all rows but the last", "first": "the first row alone"}
    if done.which == "through":
        return f"{verb} by {factor:.9g} as a whole, f(x/s), every row but the last as s·p(x/s)"
    which = "its row" if count == 1 else where.get(done.which, done.which)
    words = f"{verb} by {factor:.9g} {'into' if verb == 'folded' else 'in'} {which}"
    taken = divides_by(factor) if done.which == "first" and verb == "unfolded" else ""
    return f"{words}, for {taken}" if taken else words


def _with_changed(match: Match, given: tuple[Row, ...], pool: Sequence[KnownRows]) -> Match:
    """The match with what the row that differs is, where a table of the same root has it."""
    if match.differs is None:
        return match
    by_row, by_power = ORDERS[match.order]
    row = given[::by_row][match.differs - 1][::by_power]
    others = [one for one in pool if one.root == match.root]
    found = [one for one in find_matches([row], match.root, others) if one.effort < EFFORT["near"]]
    return replace(match, changed=str(found[0])) if found else match

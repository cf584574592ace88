"""Which known table a list of rows is, and what was done to it.

Every published schedule and every table of the catalogue is a candidate, in every way that lists are found
copied: cut, longer, reversed, in decreasing powers, folded, rounded, with one row changed. The least that
explains the rows is the likeliest; several tables can be equal after such a change, and all are named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from polydesign.identification.known import KnownRows, candidates
from polydesign.identification.match import EFFORT, EXACT, NEAR, ORDERS, Match, bare, match_of, windows
from polydesign.identification.rearranged import rearranged
from polydesign.identification.rescaled import scales_between
from polydesign.identification.similarity import (
    Folding,
    Row,
    Tolerance,
    folding,
    grids,
    more_digits,
)
from polydesign.model import MOST_LONG_DEGREE
from polydesign.table.layouts import checked_rows

SPREAD = 5
"""Explanations that count so much more than the best are not told."""


def find_matches(
    rows: Iterable[Sequence[float]], root: int | None = None, known: Sequence[KnownRows] | None = None
) -> list[Match]:
    """The known tables that explain the rows, the likeliest first; empty where none does.

    rows: coefficients of q as they were found, one row a step. root: look at tables of this root alone; None
    at all. known: other candidates than those of `candidates`.

    Raises what table.layouts.checked_rows raises.

    >>> best = find_matches([(3.4445, -4.7750, 2.0315)])[0]
    >>> best.name, best.how
    ('jordan_5', ('its one row, which is run 5 times',))
    """
    given = checked_rows(rows, MOST_LONG_DEGREE)
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
        rows = tuple(bare(row[::by_power]) for row in given[::by_row])
        for first, known, words, effort in windows(len(rows), one):
            if len(rows) == 1 and len(known) < len(one.rows) and not one.shared and tolerance is not EXACT:
                continue  # three digits or so are like some row of some table
            done = folding(rows, tuple(map(bare, known)), one.root, tolerance)
            if done is not None:
                yield match_of(given, rows, one, known, (first, words, effort), order, done, tolerance)


def _rearranged(given: tuple[Row, ...], one: KnownRows, tolerance: Tolerance) -> Iterator[Match]:
    """With a row left out, there twice, or two rows exchanged."""
    rows = tuple(map(bare, given))
    for known, words in rearranged(rows, tuple(map(bare, one.rows)), one.root, tolerance):
        done = folding(rows, known, one.root, tolerance)
        if done is not None and done.differs is None:
            yield match_of(given, rows, one, known, (0, words, EFFORT["rearranged"]), "", done, tolerance)


def _rescaled(given: tuple[Row, ...], one: KnownRows, tolerance: Tolerance) -> Iterator[Match]:
    """With the same map, but for what values are multiplied by between steps."""
    rows = tuple(map(bare, given))
    for first, known, words, effort in windows(len(rows), one):
        scales = scales_between(rows, tuple(map(bare, known)), one.root, tolerance)
        if scales is None:
            continue
        found = match_of(given, rows, one, known, (first, words, effort), "", Folding(), tolerance)
        how = tuple(part for part in (words, scales.words, tolerance.words) if part)
        effort = found.effort + EFFORT["rescaled"]
        yield replace(found, how=how, which="rescaled", difference=scales.off, difference_at=1, effort=effort)


def _with_changed(match: Match, given: tuple[Row, ...], pool: Sequence[KnownRows]) -> Match:
    """The match with what the row that differs is, where a table of the same root has it."""
    if match.differs is None:
        return match
    by_row, by_power = ORDERS[match.order]
    row = given[::by_row][match.differs - 1][::by_power]
    others = [one for one in pool if one.root == match.root]
    found = [one for one in find_matches([row], match.root, others) if one.effort < EFFORT["near"]]
    return replace(match, changed=str(found[0])) if found else match

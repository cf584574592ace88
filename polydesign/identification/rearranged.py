"""Lists in which one row was lost, came in twice, or changed places with another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from polydesign.identification.similarity import Row, Tolerance, bounds

LEAST = 3
"""Rows of a table that can be rearranged: of fewer, what is left is no evidence."""


def rearranged(
    rows: Sequence[Row], known: Sequence[Row], root: int, tolerance: Tolerance
) -> Iterator[tuple[tuple[Row, ...], str]]:
    """The known rows as the given ones may have been made of them, with words for it.

    Ends are not left out, and the last is not repeated: those lists are parts of a table, or longer ones. Two
    rows that differ, where all the others agree, may have changed places.
    """
    if len(known) < LEAST or len(set(known)) == 1:
        return
    known = tuple(known)
    agree = [_agree(row, one, root, tolerance) for row, one in zip(rows, known, strict=False)]
    first = agree.index(False) if False in agree else len(agree)
    if len(rows) == len(known) - 1 and 0 < first < len(known) - 1:
        yield known[:first] + known[first + 1 :], f"without row {first + 1} of {len(known)}"
    elif len(rows) == len(known) + 1 and 0 < first < len(known):
        # The copy stands where the rows stop to agree; the row before it is the one that is there twice.
        yield known[:first] + known[first - 1 :], f"row {first} of {len(known)} twice"
    elif len(rows) == len(known) and agree.count(False) == 2:
        one, other = (index for index, same in enumerate(agree) if not same)
        changed = list(known)
        changed[one], changed[other] = known[other], known[one]
        yield tuple(changed), f"rows {one + 1} and {other + 1} exchanged"


def _agree(row: Row, known: Row, root: int, tolerance: Tolerance) -> bool:
    """Whether the rows are the same up to a factor that people fold, a tenth at most."""
    found = bounds(row, known, root, tolerance)
    return found is not None and found[0] <= 1.1 and found[1] >= 1 / 1.1

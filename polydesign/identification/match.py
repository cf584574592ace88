"""One explanation of rows by a known table: which part of it they are, and what was done to that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from polydesign.exporters.targets import divides_by
from polydesign.identification.known import KnownRows
from polydesign.identification.similarity import (
    CLOSE,
    Folding,
    Row,
    Tolerance,
    decimals_of,
    difference,
    scaled,
)

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


def bare(row: Row) -> Row:
    """Without the zeros that pad a row to a higher degree."""
    while len(row) > 1 and row[-1] == 0:
        row = row[:-1]
    return row


def windows(count: int, one: KnownRows) -> Iterator[tuple[int, tuple[Row, ...], str, int]]:
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


def match_of(
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
    off, where = difference([bare(row) for row in rows], [bare(row) for row in known], one.root, done)
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

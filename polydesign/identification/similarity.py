"""How one list of rows comes from another: same, folded, rounded, or with a row changed.

Every coefficient of a pasted row p and of a known row c bounds the factor s that would lead from one to the
other, c·s^−(1 + jr) = p up to the tolerance: an interval. Rows agree where the intervals meet, and which rows
contain 1 tells where a factor was folded in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

Row = tuple[float, ...]
Bounds = tuple[float, float] | None
"""Of the factor of one row; None: no factor leads there."""

SAME = 1e-9
"""Relative difference that means nothing: tables regenerated elsewhere differ by up to 2e-11."""

CLOSE = 2e-3

WIDEST = 100.0
"""No safety factor lies beyond it, or below its inverse."""
BITS = {"bf16": 8, "fp16": 11, "fp32": 24}
"""Significant bits, the hidden one with them."""

LEAST_DECIMALS, MOST_DECIMALS = 2, 9


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a coefficient may be off: relative·|p| + absolute of the pasted one, known of the known one."""

    words: str
    relative: float = SAME
    absolute: float = 0.0
    known: float = 0.0


@dataclass(frozen=True, slots=True)
class Folding:
    """What was done to the rows beside rounding.

    which: "none", "all", "all-but-last", "first", "row 2", "rows 2, 3", or "through": every row but the last
    conjugated, s·p(x/s), and the last p(x/s), which is f(x/s) as a whole. differs: the index of
    a row that is another.
    """

    which: str = "none"
    factor: float = 1.0
    differs: int | None = None


def grids(rows: Sequence[Row]) -> list[Tolerance]:
    """The roundings that these rows may come from: each is one on whose grid all of them lie."""
    numbers = [c for row in rows for c in row]
    found = []
    decimals = decimals_of(rows)
    if LEAST_DECIMALS <= decimals <= MOST_DECIMALS:
        half = 0.5 * 10.0**-decimals
        found.append(Tolerance(f"rounded to {decimals} decimals", SAME, half))
        found.append(Tolerance(f"cut off after {decimals} decimals", SAME, 2 * half))
    if all((c * 1024).is_integer() for c in numbers) and not all(c.is_integer() for c in numbers):
        found.append(Tolerance("rounded to 1/1024", SAME, 0.5 / 1024))
    for name, bits in BITS.items():
        if all((math.frexp(c)[0] * 2**bits).is_integer() for c in numbers):
            found.append(Tolerance(f"rounded to {name}", 2.0**-bits))
            break
    return found


def decimals_of(rows: Sequence[Row]) -> int:
    """How many decimals the numbers have, as the shortest texts that give these float64."""
    return max(max(0, -int(Decimal(repr(c)).normalize().as_tuple().exponent)) for row in rows for c in row)


def more_digits(rows: Sequence[Row], known: Sequence[Row]) -> Tolerance | None:
    """The pasted rows have more digits than the known ones, which are rounded from such."""
    decimals = decimals_of(known)
    if not LEAST_DECIMALS <= decimals <= MOST_DECIMALS or decimals >= decimals_of(rows):
        return None
    return Tolerance(f"with more digits than its {decimals} decimals", known=0.5 * 10.0**-decimals)


def bounds(row: Row, known: Row, root: int, tolerance: Tolerance, *, conjugated: bool = False) -> Bounds:
    """The factors s for which c_j·s^−(1 + jr), or conjugated c_j·s^−jr, is p_j within the tolerance."""
    if len(row) != len(known):
        return None
    low, high = 1 / WIDEST, WIDEST
    for j, (p, c) in enumerate(zip(row, known, strict=True)):
        room = tolerance.relative * abs(p) + tolerance.absolute
        if c == 0 or p == 0:
            if abs(p - c) > room + tolerance.known:
                return None
            continue
        room += tolerance.known and tolerance.known * abs(p / c)
        least, most = abs(p) - room, abs(p) + room
        if p * c < 0 and abs(p - c) > room:
            return None
        exponent = j * root + (not conjugated)
        if exponent == 0:
            if not least <= abs(c) <= most:
                return None
            continue
        low = max(low, (abs(c) / most) ** (1 / exponent))
        high = min(high, (abs(c) / least) ** (1 / exponent)) if least > 0 else high
    return (low, high) if low <= high else None


def folding(rows: Sequence[Row], known: Sequence[Row], root: int, tolerance: Tolerance) -> Folding | None:
    """What leads from the known rows to these, as many; None where nothing that is looked for does."""
    found: list[Bounds] = []
    for row, one in zip(rows, known, strict=True):
        found.append(bounds(row, one, root, tolerance))
        if found.count(None) > 1:  # one row may be another, no more
            return _through(rows, known, root, tolerance)
    pattern = _pattern(found) or _through(rows, known, root, tolerance)
    if pattern is None and len(rows) > 2:
        # The last row first: it is the one that codebases replace.
        for index in (len(rows) - 1, *range(len(rows) - 1)):
            rest = found[:index] + found[index + 1 :]
            pattern = _pattern(rest, whole=False)
            if pattern is not None:
                return Folding(pattern.which, pattern.factor, index)
    return pattern


def _through(rows: Sequence[Row], known: Sequence[Row], root: int, tolerance: Tolerance) -> Folding | None:
    """Whether every row but the last is s·p(x/s), and the last p(x/s)."""
    last = len(rows) - 1
    found: list[Bounds] = []
    for index, (row, one) in enumerate(zip(rows, known, strict=True)):
        found.append(bounds(row, one, root, tolerance, conjugated=index < last))
        if found[-1] is None:
            return None
    shared = _common(found) if last else None
    return None if shared is None else Folding("through", simplest(shared))


def _pattern(found: list[Bounds], whole: bool = True) -> Folding | None:
    """The rows that hold a factor, where all the others are as they were."""
    same = [one is not None and one[0] <= 1 <= one[1] for one in found]
    if all(same):
        return Folding()
    count = len(found)
    ranges: dict[str, Sequence[int]] = {"all": range(count)}
    if whole and count > 1:
        ranges |= {"all-but-last": range(count - 1), "first": range(1)}
    changed = [index for index in range(count) if not same[index]]
    if whole:
        listed = ", ".join(str(index + 1) for index in changed)
        ranges[f"row{'s' if len(changed) > 1 else ''} {listed}"] = changed
    for which, chosen in ranges.items():
        shared = _common([found[index] for index in chosen])
        if shared is not None and all(same[index] for index in range(count) if index not in chosen):
            return Folding(which, simplest(shared))
    return None


def _common(found: Sequence[Bounds]) -> Bounds:
    if any(one is None for one in found):
        return None
    low = max(one[0] for one in found if one)
    high = min(one[1] for one in found if one)
    return (low, high) if low <= high else None


def simplest(bracket: tuple[float, float]) -> float:
    """The factor of an interval with the fewest decimals; below 1 the one whose inverse has the fewest."""
    low, high = bracket
    if high < 1:
        return float(1 / Fraction(repr(simplest((1 / high, 1 / low)))))
    middle = (low + high) / 2
    for decimals in range(1, 10):
        short = round(middle, decimals)
        if low <= short <= high:
            return short
    return middle


def difference(rows: Sequence[Row], known: Sequence[Row], root: int, done: Folding) -> tuple[float, int]:
    """The largest |p − c'|/|c'| over the rows that should agree, c' the folded c; and its row."""
    worst, where = 0.0, 0
    for index, row in enumerate(rows):
        if index == done.differs:
            continue
        for p, expected in zip(row, scaled(known, root, done, index), strict=True):
            off = abs(p - expected) / abs(expected) if expected else abs(p)
            if off > worst:
                worst, where = off, index
    return worst, where


def scaled(known: Sequence[Row], root: int, done: Folding, index: int) -> Row:
    """The known row of this index with the factor in it, where it belongs there."""
    last = len(known) - 1
    if not folded(done.which, index, last):
        return known[index]
    outside = 0 if done.which == "through" and index < last else 1
    return tuple(c * done.factor ** -(j * root + outside) for j, c in enumerate(known[index]))


def folded(which: str, index: int, last: int) -> bool:
    """Whether the row of this index holds the factor."""
    if which.startswith("row"):
        return str(index + 1) in which.partition(" ")[2].split(", ")
    return (
        which in ("all", "through")
        or (which == "first" and index == 0)
        or (which == "all-but-last" and index < last)
    )

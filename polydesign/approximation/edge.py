"""How far above u a schedule keeps its promise, or at least its basin: rigorous brackets.

A point x >= u is safe if for every point of [u, x] all steps' values stay inside (0, 2), and, where a band is
given, f stays inside [1 − band, 1 + band]. The largest safe point is the edge: it tells how wrong an estimate
of the norm may be.
"""

from __future__ import annotations

from fractions import Fraction

from polydesign.approximation.enclosure import Enclosure, exact_rows, exactly, step_image
from polydesign.model import Schedule

WIDTH = Fraction(1, 10**9)
"""Width of the bracket, relative to u."""

BITS = 192
MOST_BITS = 1 << 13
"""A band of 1e-330 takes 4,600; a file may state one that would take very many."""

FARTHEST = 1100
"""The search ends at u·2^FARTHEST, beyond every float64."""

START = 40
"""The search above u begins at u·(1 + 2^−START)."""

Bracket = tuple[Fraction, Fraction]


def edge(schedule: Schedule, band: Fraction | None) -> Bracket | None:
    """Brackets the edge: proved safe at its lower end, proved unsafe at its upper end.

    None where u itself is not proved to be safe. Raises ArithmeticError where no unsafe point is found.
    """
    u = Fraction(schedule.interval[1])
    if safe_up_to(schedule, u, band) is not True:
        return None

    def verdict(x: Fraction) -> bool | None:
        return safe_up_to(schedule, x, band)

    safe, unsafe = u, u + u / 2**START
    guess = Fraction(_in_float64(schedule, band))
    around = max(u, guess - WIDTH * u / 2), guess + WIDTH * u / 2
    if verdict(around[0]) and verdict(around[1]) is False:
        return around
    while verdict(unsafe) is not False:
        if verdict(unsafe):
            safe = unsafe
        if unsafe > u * 2**FARTHEST:
            raise ArithmeticError("no point above u was found where the schedule leaves its basin")
        unsafe = u + 8 * (unsafe - u)
    while unsafe - safe > WIDTH * u:
        for share in (Fraction(1, 2), Fraction(3, 7), Fraction(4, 7)):
            middle = safe + share * (unsafe - safe)
            found = verdict(middle)
            if found is not None:
                break
        else:
            return safe, unsafe  # true as it is, only wider
        safe, unsafe = (middle, unsafe) if found else (safe, middle)
    return safe, unsafe


def _in_float64(schedule: Schedule, band: Fraction | None) -> float:
    """Where the edge seems to be: the first of points ever farther above u that is unsafe, then bisected."""
    u = schedule.interval[1]
    widest = 1.0 if band is None else float(band)

    def unsafe(x: float) -> bool:
        for step in schedule.steps[:-1]:
            x = step(x)
            if not 0 < x < 2:
                return True
        x = schedule.steps[-1](x)
        return not 0 < x < 2 or abs(x - 1) > widest

    low, high = 0.0, 2.0**-START
    while not unsafe(u * (1 + high)) and high < 2.0**20:
        low, high = high, 1.25 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if unsafe(u * (1 + middle)) else (middle, high)
    return u * (1 + high)


def safe_up_to(schedule: Schedule, x: Fraction, band: Fraction | None) -> bool | None:
    """Whether all of [u, x] keeps to (0, 2) at every step and to 1 ± band at the end; None if undecided."""
    rows = exact_rows(schedule)
    u = Fraction(schedule.interval[1])
    # A narrow band needs digits to be told from.
    needed = BITS
    if band:
        needed += 4 * max(0, band.denominator.bit_length() - band.numerator.bit_length())
    needed = min(needed, MOST_BITS)
    for bits in (needed, 4 * needed):
        verdicts = []
        image = exactly(u, x)
        for index, row in enumerate(rows):
            image = step_image(row, schedule.root, image, bits)
            last = index + 1 == len(rows)
            verdicts.append(_inside(image, band if last else None))
            if verdicts[-1] is not True:
                break
        if False in verdicts:
            return False
        if None not in verdicts:
            return True
    return None


def _inside(image: Enclosure, band: Fraction | None) -> bool | None:
    """Whether the image lies in (0, 2), and in [1 − band, 1 + band] if there is a band."""

    def allowed(half_width: Fraction) -> bool:
        return half_width < 1 and (band is None or half_width <= band)

    low, high = image.half_width
    if allowed(high):
        return True
    return None if allowed(low) else False

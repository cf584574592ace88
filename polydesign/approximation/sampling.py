"""What a schedule claims, checked on grids: no proof, and enough to catch a table that was edited.

Layer 1, because a file is checked when it is read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from functools import cache

import mpmath
import numpy as np

from polydesign.model import Certificate, ClaimError, Schedule, Step, evaluate
from polydesign.program.basis import defines, expanded
from polydesign.program.gains import stored

GRID = 1025
"""Points a step on which a claimed image is checked; a long step has more (_GRID_PER_DEGREE)."""

_GRID_PER_DEGREE = 64

SAMPLES = 129
"""Points on which a sampled certificate evaluates the composition."""

CLIP_POINTS = 4000
"""Points of x on either side of 2l on which the error of a clip schedule is looked at."""

_ATTAINED = 0.01  # of the image's width: a grid of GRID points misses an extremum by less


def grid(low: float, high: float, points: int) -> np.ndarray:
    """Points of [low, high], both ends among them: half by Chebyshev's spacing, half by equal ratios.

    Where the interval is not positive, which a published step may cause, half by equal distances.
    """
    half = points // 2
    cosines = (low + high) / 2 - (high - low) / 2 * _cosines(points - half)
    ratios = low * (high / low) ** np.linspace(0, 1, half) if low > 0 else np.linspace(low, high, half)
    return np.clip(np.sort(np.concatenate([cosines, ratios])), low, high)


@cache
def _cosines(points: int) -> np.ndarray:
    return np.cos(np.linspace(0, math.pi, points))


def _rounding(step: Step, high: float) -> float:
    """A bound of float64's rounding of p on (0, high]: (n + 3)·2⁻⁵²·Σ|c_j| high^(1 + jr).

    Of a long step what its program stores takes the place of the terms, by their first-order effect on p.
    """
    if step.long:
        x = grid(0.0, high, GRID)
        sizes, gains = stored(step.program, x**step.root)
        terms = float(np.max(x * np.sum(abs(sizes * gains), axis=0)))
        return (step.inner_degree + 3) * 2.0**-52 * (terms + 1)
    terms = sum(abs(c) * high ** (1 + j * step.root) for j, c in enumerate(step.coefficients))
    return (step.inner_degree + 3) * 2.0**-52 * (terms + 1)


def check_claims(schedule: Schedule) -> None:
    """Compare every step's image and half_width with its values on GRID points.

    Raises ClaimError naming the first claim that does not follow from the coefficients. Where float64 cannot
    tell, sampled_error is the one that does.
    """
    low, high = schedule.interval
    for index, step in enumerate(schedule.steps):
        where = f"steps[{index}]"
        claimed = step.image
        if not defines(step.program, step.coefficients):
            raise ClaimError(
                f"{where}.coefficients",
                "are not those that its program defines; design the table again with polydesign search",
            )
        with np.errstate(over="ignore", invalid="ignore"):
            points = _GRID_PER_DEGREE * step.inner_degree + 1 if step.long else GRID
            values = step(grid(low, high, points))
        slack = _rounding(step, max(abs(low), abs(high))) + 2.0**-50 * (abs(claimed[0]) + abs(claimed[1]))
        reach = _ATTAINED * (claimed[1] - claimed[0]) + slack
        found = (float(np.min(values)), float(np.max(values)))
        for side, sign in ((0, 1), (1, -1)):
            excess = sign * (claimed[side] - found[side])
            if not -reach <= excess <= slack:  # also refuses NaN
                raise ClaimError(
                    f"{where}.image[{side}]",
                    f"is {claimed[side]!r}, and on {points} points of [{low!r}, {high!r}] the coefficients "
                    f"give {found[side]!r}; design the table again with polydesign search",
                )
        implied = max(1 - claimed[0], claimed[1] - 1)
        if abs(step.half_width - implied) > 2.0**-52 * (1 + implied):
            raise ClaimError(f"{where}.half_width", f"is {step.half_width!r}, and the image says {implied!r}")
        low, high = claimed


def sampled_error(schedule: Schedule) -> str:
    """Largest |f − 1| on SAMPLES points of the interval, spaced by equal ratios, to 17 digits.

    Evaluated in as many digits as the error itself needs, so that 1e-200 is seen as 1e-200.
    """
    context = mpmath.MPContext()
    largest = max(abs(c) for step in schedule.steps for c in step.coefficients)
    context.dps = 60 + (math.ceil(-math.log10(schedule.error)) if schedule.error else 340)
    context.dps += math.ceil(math.log10(max(1.0, largest)))  # of a long step they cancel
    low, high = (context.mpf(end) for end in schedule.interval)
    rows = [[context.convert(c) for c in expanded(step.program)] for step in schedule.steps]
    ratio = (high / low) ** (context.mpf(1) / (SAMPLES - 1))
    points = [low * ratio**k for k in range(SAMPLES - 1)] + [high]
    values = points
    for row in rows:
        values = [evaluate(row, schedule.root, x) for x in values]
    return str(mpmath.nstr(max(abs(value - 1) for value in values), 17))


def clip_error(rows: Sequence[Sequence[float]], lower: float) -> float:
    """max |f(x) − min(x/l, 1)| on a grid of [0, 1], dense about l."""
    x = np.concatenate([np.linspace(0, 2 * lower, CLIP_POINTS), np.geomspace(2 * lower, 1, CLIP_POINTS)])
    y = x
    for row in rows:
        y = evaluate(row, 2, y)
    return float(np.max(np.abs(y - np.minimum(x / lower, 1))))


def stated_clip_error(schedule: Schedule) -> float:
    """The same to three digits, as tables and messages state it."""
    return float(f"{clip_error([step.coefficients for step in schedule.steps], schedule.interval[0]):.3g}")


def sampled_certificate(schedule: Schedule, digest: str) -> Certificate:
    """A certificate of kind "sampled": [largest |f − 1| found, the solver's error]. Not a proof."""
    check_claims(schedule)
    # The error stands rounded to float64, possibly down.
    found = min(sampled_error(schedule), repr(schedule.error), key=Decimal)
    return Certificate("sampled", (found, repr(schedule.error)), digest, SAMPLES)

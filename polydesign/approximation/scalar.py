"""What one step does to numbers: its derivative, and the image of an interval in as many digits as it needs.

Everything here is for p(x) = x·q(x^r) given by the coefficients of q. Images are enclosed (enclosure.py), and
then taken for numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import mpmath

from polydesign.approximation.enclosure import Enclosure, step_image
from polydesign.model import MOST_INNER_DEGREE, Schedule, Step
from polydesign.model.program import Program
from polydesign.program.basis import expanded, program_for

Interval = tuple[Any, Any]
"""Ends as floats or as mpmath numbers: 1 ± E with E far below 1e-16 needs the latter."""

_SMALLEST = 330  # decimal exponent below which a half width is nothing a float64 can say
_NARROW = 3  # decimal digits by which the half width is smaller than the middle


@cache
def arithmetic(digits: int) -> Any:
    """mpmath arithmetic of its own at this many decimal digits: mpmath's global precision stays alone."""
    context = mpmath.MPContext()
    context.dps = digits
    return context


def exactly(x: Any) -> Any:
    """x as an mpmath number that keeps every digit: a float, an int, or an mpmath number of any size."""
    return arithmetic(2 * _SMALLEST).convert(x)


def relative_half_width(root: int, interval: Interval) -> Any:
    """δ = (u^r − l^r) / (u^r + l^r): [l^r, u^r] is its own middle times [1 − δ, 1 + δ]."""
    low, high = (exactly(end) ** root for end in interval)
    return (high - low) / (high + low)


def derivative(coefficients: Any, root: int) -> tuple[Any, ...]:
    """Coefficients of p′ as a polynomial in y = x^r: p′(x) = Σ (1 + j·r) c_j y^j."""
    return tuple((1 + j * root) * c for j, c in enumerate(coefficients))


def image(coefficients: Any, root: int, interval: Interval) -> Interval:
    """[min p, max p] over the interval, as mpmath numbers.

    The outer end of an enclosure that is tight to 25 digits or more in p and in p − 1, also where p differs
    from 1 by no more than the half width of the interval to the power n + 1: that decides how many digits are
    carried. The interval need not be positive: what a published step leaves may have lost its sign.
    """
    try:
        delta = relative_half_width(root, interval)
    except ZeroDivisionError:  # [−u, u] and an odd root: it has no middle to be narrow about
        delta = 1
    lost = 0 if delta <= 0 else max(0, -float(mpmath.log10(delta)))
    digits = 45 + math.ceil(min(lost * len(coefficients), _SMALLEST))
    if len(coefficients) > MOST_INNER_DEGREE + 1:  # powers of a long step cancel
        largest = max(abs(c) for c in map(rational, coefficients))
        digits += math.ceil(max(0.0, math.log10(largest)))
    context = arithmetic(digits)
    low, high = (rational(end) for end in interval)
    rows = tuple(map(rational, coefficients))
    received = Enclosure((low, high), (low, high))
    try:
        # Of a step for a narrow interval all critical points lie there, and are far apart in its own units.
        found = step_image(rows, root, received, context.prec, narrow=low > 0 and lost > _NARROW)
    except ArithmeticError:  # a step for something else, with a critical point at 0
        found = step_image(rows, root, received, context.prec)
    # Denominators are powers of two: nothing is rounded but the number itself.
    low, high = (context.ldexp(context.mpf(x.numerator), 1 - x.denominator.bit_length()) for x in found.outer)
    return low, high


def rational(x: Any) -> Fraction:
    """A float, an int, a Fraction or an mpmath number, exactly."""
    if not isinstance(x, mpmath.mpf) and not hasattr(x, "_mpf_"):
        return Fraction(x)
    sign, mantissa, exponent, _ = x._mpf_
    whole, power = (-1) ** sign * int(mantissa), int(exponent)
    return Fraction(whole << power) if power >= 0 else Fraction(whole, 1 << -power)


def schedule_from(
    root: int,
    rows: Sequence[Sequence[float]],
    interval: tuple[float, float],
    evaluations: Sequence[str] | None = None,
) -> Schedule:
    """The schedule of bare coefficients, a row a step: each step's domain is what it really receives.

    evaluations: how each step computes q, None for monomial; images are of the constants that then run.
    """
    steps = []
    received: Interval = interval
    for row, evaluation in zip(rows, evaluations or ["monomial"] * len(rows), strict=True):
        code = program_for(evaluation, row, Fraction(float(received[1])) ** root)
        step, received = received_step(root, code, evaluation, received)
        steps.append(step)
    return Schedule(root, interval, tuple(steps))


def schedule_of(
    root: int, programs: Sequence[Program], interval: tuple[float, float], evaluation: str
) -> Schedule:
    """The same of programs, one a step. evaluation: their name, other than monomial."""
    steps = []
    received: Interval = interval
    for code in programs:
        step, received = received_step(root, code, evaluation, received)
        steps.append(step)
    return Schedule(root, interval, tuple(steps))


def received_step(root: int, code: Program, evaluation: str, received: Interval) -> tuple[Step, Interval]:
    """The step of this program on what it receives. evaluation: the program's name.

    Returns it with its image in all digits, which the next step receives.
    """
    exact = expanded(code)
    leaves = image(exact, root, received)
    step = Step(
        degree=1 + root * (len(exact) - 1),
        coefficients=tuple(float(c) for c in exact),
        domain=(float(received[0]), float(received[1])),
        image=(float(leaves[0]), float(leaves[1])),
        half_width=float(half_width(leaves)),
        evaluation=evaluation,
        program=code,
    )
    return step, leaves


def half_width(interval: Interval) -> Any:
    """max |v − 1| over the interval, as an mpmath number."""
    low, high = (exactly(end) for end in interval)
    return max(1 - low, high - 1)

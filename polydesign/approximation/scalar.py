"""What one step does to numbers: derivative, critical points, and the image of an interval.

Everything here is for p(x) = x·q(x^r) given by the coefficients of q. Images are accurate, not proved:
they are computed in as many digits as the interval needs, with nothing rounded outward.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import mpmath
import numpy as np

from polydesign.model import Schedule, Step
from polydesign.model.program import Program
from polydesign.program.basis import expanded, program_for

Interval = tuple[Any, Any]
"""Ends as floats or as mpmath numbers: 1 ± E with E far below 1e-16 needs the latter."""

_SMALLEST = 330  # decimal exponent below which a half width is nothing a float64 can say


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


def horner(coefficients: Any, y: Any) -> Any:
    """Σ c_j y^j in the arithmetic of y."""
    total = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = c + y * total
    return total


def _shifted(coefficients: list[Any], middle: Any, half: Any) -> list[Any]:
    """Coefficients in z of Σ c_j (middle + half·z)^j."""
    shifted = [coefficients[-1]]
    for c in reversed(coefficients[:-1]):
        product = [middle * a for a in shifted] + [0]
        for k, a in enumerate(shifted):
            product[k + 1] += half * a
        product[0] += c
        shifted = product
    return shifted


def _roots_near_unit_interval(polynomial: list[Any], context: Any) -> list[Any]:
    """Starting points near every root in [−1, 1]; complex pairs close to it count as their real part."""
    if len(polynomial) == 3:
        # Citardauq with a complex square root: no cancellation, and no eigenvalues for the common case.
        c, b, a = polynomial
        discriminant = b * b - 4 * a * c
        if discriminant < 0:
            return [-b / (2 * a)]
        far = -b - discriminant**0.5 if b > 0 else -b + discriminant**0.5
        return [far / (2 * a) if a else 2, 2 * c / far if far else 2]
    # A leading coefficient this small (the largest is 1) moves no root of [−1, 1]: these are only starts.
    floats = [float(a) for a in polynomial]
    while abs(floats[-1]) < 1e-20:
        floats.pop()
    found = np.roots(floats[::-1])
    return [context.mpf(float(z.real)) for z in found if abs(z.imag) < 1e-2]


def _polished(polynomial: list[Any], z: Any, tolerance: Any) -> Any:
    """A real root of the polynomial near z by Newton's method, or z where there is none."""
    slope = [k * a for k, a in enumerate(polynomial)][1:]
    start = z
    for _ in range(60):
        down = horner(slope, z)
        if down == 0:
            return start
        move = horner(polynomial, z) / down
        z -= move
        if abs(z) > 2:
            return start
        if abs(move) <= tolerance:
            return z
    return start


def _critical_points(coefficients: list[Any], root: int, low: Any, high: Any, context: Any) -> list[Any]:
    """Points of [low, high] that contain every x with p′(x) = 0, to second order in p.

    p′ is a polynomial in y. It is expanded about the middle of [low^r, high^r] and scaled by the half
    width, where the roots of a designed step are well apart however narrow the interval is; numpy's
    eigenvalues start Newton's method in the given arithmetic. A point too many does no harm: every value
    on the interval belongs to the image.
    """
    bottom, top = low**root, high**root
    middle, half = (top + bottom) / 2, (top - bottom) / 2
    if half == 0:
        return []
    polynomial = _shifted(list(derivative(coefficients, root)), middle, half)
    scale = max(abs(a) for a in polynomial)
    if scale == 0:
        return []
    polynomial = [a / scale for a in polynomial]
    points = []
    tolerance = context.mpf(10) ** (-context.dps // 2)
    for z in _roots_near_unit_interval(polynomial, context):
        near = _polished(polynomial, z, tolerance)
        if -1 < near < 1:
            points.append((middle + half * near) ** (context.mpf(1) / root))
    return points


def image(coefficients: Any, root: int, interval: Interval) -> Interval:
    """[min p, max p] over the interval, as mpmath numbers.

    Accurate to 25 digits or more in p and in p − 1, also where p differs from 1 by no more than the
    half width of the interval to the power n + 1: that decides how many digits are carried. The interval
    need not be positive: what a published step leaves may have lost its sign.
    """
    if interval[0] < 0:
        # p(−t) = −Σ (−1)^(jr) c_j t^(1 + jr): the negative part is the image of a mirrored step.
        mirrored = tuple(-c if j * root % 2 else c for j, c in enumerate(coefficients))
        low, high = image(mirrored, root, (max(-interval[1], 0), -interval[0]))
        ends = [-high, -low]
        if interval[1] > 0:
            ends += image(coefficients, root, (0, interval[1]))
        return min(ends), max(ends)
    delta = relative_half_width(root, interval)
    lost = 0 if delta == 0 else max(0, -float(mpmath.log10(delta)))
    digits = 45 + math.ceil(min(lost * len(coefficients), _SMALLEST))
    context = arithmetic(digits)
    low, high = (context.convert(end) for end in interval)
    exact = [context.convert(c) for c in coefficients]
    points = [low, high, *_critical_points(exact, root, low, high, context)]
    values = [x * horner(exact, x**root) for x in points]
    return min(values), max(values)


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

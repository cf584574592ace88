"""Rigorous images of intervals under a step, and a rigorous lower bound of the best error.

The coefficients are exact rationals. p′ has the positive zeros x with Σ (1 + jr) c_j y^j = 0, y = x^r: the
real roots of an exact polynomial are isolated by FLINT in ball arithmetic, p is evaluated at those balls
and at the ends, and everything is rounded outward (Johansson, Arb, IEEE Trans. Comput. 66, 2017). This
module is the only user of ball arithmetic; it takes and returns Fractions.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import flint
from flint import arb, fmpq, fmpq_poly

from polydesign.model import Schedule
from polydesign.program.basis import expanded

Ends = tuple[Fraction, Fraction]

_PRECISION = threading.RLock()  # FLINT has one working precision for all threads


@dataclass(frozen=True, slots=True)
class Enclosure:
    """What is proved of an interval I: inner ⊆ I ⊆ outer; inner None where nothing is known to lie in I."""

    outer: Ends
    inner: Ends | None

    @property
    def half_width(self) -> Ends:
        """Lower and upper bound of max |v − 1| over I."""
        return _from_one(self.inner) if self.inner else Fraction(0), _from_one(self.outer)


def exactly(low: float | Fraction, high: float | Fraction) -> Enclosure:
    """The interval itself, known exactly."""
    ends = Fraction(low), Fraction(high)
    return Enclosure(ends, ends)


def exact_rows(schedule: Schedule) -> list[tuple[Fraction, ...]]:
    """The coefficients of every step as rationals: those that the float64 constants define exactly."""
    return [expanded(step.program) for step in schedule.steps]


def _from_one(ends: Ends) -> Fraction:
    return max(1 - ends[0], ends[1] - 1)


def step_image(
    coefficients: tuple[Fraction, ...], root: int, received: Enclosure, bits: int, *, narrow: bool = False
) -> Enclosure:
    """The image of `received` under p(x) = Σ c_j x^(1 + jr), for any interval, at a precision of `bits`.

    outer contains p of the outer interval, inner lies in p of the inner one; both tighten as bits grow.
    narrow says how to look for the critical points, not what comes out: set it for a step of many digits
    designed for a positive interval that is narrow.
    """
    with _PRECISION, flint.ctx.workprec(bits):
        outer, exact_outer = _image(coefficients, root, received.outer, bits, narrow)
        if received.inner == received.outer:
            return Enclosure(outer, exact_outer)
        inner = _image(coefficients, root, received.inner, bits, narrow)[1] if received.inner else None
    return Enclosure(outer, inner)


def _image(
    coefficients: tuple[Fraction, ...], root: int, ends: Ends, bits: int, narrow: bool = False
) -> tuple[Ends, Ends | None]:
    """(an interval that contains the image, one that the image contains or None)."""
    low, high = ends
    if low < 0:
        # p(−t) = −Σ (−1)^(jr) c_j t^(1 + jr): the negative part is the image of a mirrored step.
        mirrored = tuple(-c if j * root % 2 else c for j, c in enumerate(coefficients))
        parts = [_negated(_image(mirrored, root, (max(Fraction(0), -high), -low), bits))]
        if high > 0:
            parts.append(_image(coefficients, root, (Fraction(0), high), bits))
        outers, inners = [part[0] for part in parts], [part[1] for part in parts if part[1]]
        hull = min(o[0] for o in outers), max(o[1] for o in outers)
        # The parts meet at p(0) = 0, so the hull of what they contain is contained too.
        return hull, (min(i[0] for i in inners), max(i[1] for i in inners)) if inners else None
    balls = [_ball(c) for c in coefficients]
    certain = [_value(balls, root, _ball(x)) for x in ends]
    possible = list(certain)
    bottom, top = (_ball(x) ** root for x in ends)
    window = _window(ends, root) if narrow else None
    for y in _critical_points(coefficients, root, bits, window):
        if y < bottom or y > top:
            continue
        value = _value(balls, root, y.root(root))
        possible.append(value)
        if y > bottom and y < top:
            certain.append(value)
    outer = min(_lower(v) for v in possible), max(_upper(v) for v in possible)
    inner = min(_upper(v) for v in certain), max(_lower(v) for v in certain)
    return outer, inner if inner[0] <= inner[1] else None


def _negated(image: tuple[Ends, Ends | None]) -> tuple[Ends, Ends | None]:
    outer, inner = image
    return (-outer[1], -outer[0]), (-inner[1], -inner[0]) if inner else None


@lru_cache(maxsize=4096)
def _critical_points(
    coefficients: tuple[Fraction, ...], root: int, bits: int, window: Ends | None
) -> tuple[arb, ...]:
    """Balls that together contain every y > 0 with Σ (1 + jr) c_j y^j = 0; each holds exactly one, real.

    window: middle m and half width h of an interval of y. The roots are then isolated in z, y = m + h·z:
    the step for a narrow interval has all its roots there, and in y they would be hard to tell apart.
    """
    polynomial = fmpq_poly([_rational((1 + j * root) * c) for j, c in enumerate(coefficients)])
    if window is not None:
        polynomial = polynomial(fmpq_poly([_rational(part) for part in window]))
    if polynomial.degree() < 1:
        return ()
    # FLINT gives each distinct root once, with its multiplicity, and the real ones with imaginary part
    # exactly 0.
    found: Any = polynomial.numer().complex_roots()  # pairs (ball, multiplicity); the stubs say otherwise
    roots = [y.real for y, _ in found if y.imag == 0]
    if window is not None:
        middle, half = map(_ball, window)
        roots = [middle + half * z for z in roots]
        if any(y.contains(0) for y in roots):
            raise ArithmeticError("a critical point cannot be told from 0: the interval is no narrow one")
    return tuple(y for y in roots if y > 0)


def _window(ends: Ends, root: int) -> Ends:
    """Middle and half width of [low^r, high^r], as rationals of the working precision."""
    bottom, top = (_ball(x) ** root for x in ends)
    return _exact(((top + bottom) / 2).mid()), _exact(((top - bottom) / 2).mid())


def _value(coefficients: list[arb], root: int, x: arb) -> arb:
    y = x**root
    q = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        q = q * y + c
    return x * q


def levelled(x: list[Any], y: list[Any]) -> Any:
    """Σ w_i/x_i / Σ (−1)^i w_i/x_i with w_i = 1/Π_(j≠i)(y_i − y_j), in the arithmetic of the points."""
    top: Any = 0
    bottom: Any = 0
    for i, point in enumerate(x):
        w = 1 / point
        for j, other in enumerate(y):
            if j != i:
                w /= y[i] - other
        top += w
        bottom += -w if i % 2 else w
    return top / bottom


def levelled_error(points: list[Fraction], root: int, bits: int) -> Fraction:
    """A lower bound of max |1 − p| over any set that contains the n + 2 points, for every p of degree n.

    De la Vallée-Poussin: at 0 < x_0 < … < x_(n+1) no p of the Chebyshev system x, …, x^(1+nr) has an error
    that stays below the levelled one, Σ w_i/x_i / Σ (−1)^i w_i/x_i with w_i = 1/Π_(j≠i)(y_i − y_j). Evaluated
    in ball arithmetic and rounded down; 0 where bits are too few to tell.
    """
    if any(a >= b for a, b in zip([Fraction(0), *points], points, strict=False)):
        raise ValueError("the points must be positive and increasing")
    with _PRECISION, flint.ctx.workprec(bits):
        x = [_ball(point) for point in points]
        quotient = abs(levelled(x, [a**root for a in x]))
        return max(Fraction(0), _lower(quotient)) if quotient.is_finite() else Fraction(0)


def _rational(x: Fraction) -> fmpq:
    return fmpq(x.numerator, x.denominator)


def _ball(x: Fraction) -> arb:
    return arb(_rational(x))


def _lower(ball: arb) -> Fraction:
    return _exact(ball.lower())


def _upper(ball: arb) -> Fraction:
    return _exact(ball.upper())


def _exact(ball: arb) -> Fraction:
    """The number in a ball of radius 0."""
    mantissa, exponent = map(int, ball.man_exp())
    return Fraction(mantissa << exponent) if exponent >= 0 else Fraction(mantissa, 1 << -exponent)

"""Unit roundoffs, and how much of a measured error they explain."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from polydesign.model import Schedule, Step, dtype_name
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.model.program import Algebra, Program, Terms

INPUT_ROUNDINGS = 2
"""Error of a singular value from rounding the entries of x₀, in units of u·‖X₀‖_F/√(m n). Independent
roundings have a root mean square of 0.4 in it, so this is five times what is typical."""

INPUT_TURN = 0.5
"""Length of (X₀ rounded − X₀)·v for a unit vector v, in units of u·‖X₀‖_F/√m, and on the other side with n:
the root mean square 0.4 and a margin; a length hardly varies."""

STEP_ROUNDINGS = 4
"""Relative error of a singular value from one step, in units of u, from experiment; always excused."""

SUM_ROUNDINGS = 64
"""The same from summing inside the products, in units of the u of the sums: float32's for a state of half its
width, else the state's own. Twice the largest found for up to 1024 columns, in matrices of equal entries,
whose sums err the same way; independent entries gave a quarter of that."""

MOST_FOR_TERMS = 0.01
"""What large terms excuse at most in one step. Beyond it, rounding does explain the error, but a step that
loses a hundredth is not what was designed, and verifying is there to say so."""

MOST_EXPLAINED = 0.25
"""What rounding excuses at most in a whole run, here and in verification/roots.py. Beyond it rounding does
explain the error, but a value that is off by a quarter is not what a table promises, and verifying is there
to say so. It also limits what the steps' stated domains can do, which no digest covers."""

_SAMPLES = 4001

_POINTS = 257


def term_rounding(step: Step, dtype: str) -> float:
    """What rounding adds to a value of p at most, absolutely, to first order: max over the step's domain.

    `running_error` of the step's program, in the precision's u. Where it reaches the order of one, the step
    is no longer the polynomial that was designed, whatever p(x) itself is.
    """
    return UNIT_ROUNDOFF[dtype_name(dtype)] * running_error(step.program, step.root, step.domain[1])


def running_error(code: Program, root: int, upper: float) -> float:
    """What rounding adds to x·q(x^r) at most, in units of u, to first order: max over 0 <= x <= upper.

    Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.3: A = x^r and every register is
    rounded once, by u of its size, and products and sums carry the errors on; x times the error of Q, and u
    of the result.
    """
    x = upper * np.linspace(0, 1, _POINTS)
    index, weight = code.result
    value, error = code.registers((x**root, x**root), _RunningError(np.zeros_like(x)))[index]
    result = abs(x * (weight * value + code.constant))
    return float(np.max(x * abs(weight) * error + result))


_Erring = tuple[np.ndarray, np.ndarray]
"""Values, and how far they may be off in units of u."""


class _RunningError(Algebra):
    def __init__(self, zero: np.ndarray) -> None:
        self.zero = zero

    def total(self, terms: Terms, shift: Any) -> _Erring:
        value = sum((weight * value for (value, _), weight in terms), self.zero)
        error = sum((abs(weight) * error for (_, error), weight in terms), self.zero)
        return value if shift is None else value + shift, error

    def factor(self, terms: Terms, shift: Any, side: str) -> _Erring:
        return self.register(0, self.total(terms, shift))  # a sum is rounded before it is multiplied

    def addend(self, terms: Terms) -> _Erring:
        return self.total(terms, None)

    def product(self, left: _Erring, right: _Erring, weight: Any, addend: _Erring, shift: Any) -> _Erring:
        value = (addend[0] if shift is None else addend[0] + shift) + weight * left[0] * right[0]
        return value, addend[1] + abs(weight) * (abs(left[0]) * right[1] + left[1] * abs(right[0]))

    def register(self, index: int, value: _Erring) -> _Erring:
        return value[0], value[1] + abs(value[0])


def allowance(
    schedule: Schedule,
    dtype: str,
    shape: tuple[int, int],
    *,
    smallest: float | None = None,
    norm: float = 1.0,
) -> float:
    """How far beyond the schedule's error rounding may carry a singular value of [l, u] in (m, n) matrices.

    smallest: the smallest singular value that there is to judge, if above l. norm: ‖X₀‖_F, 1 after division
    by the Frobenius norm.

    That interval is followed through the steps twice, exactly and widened by what rounding does: at
    first by INPUT_ROUNDINGS·u·‖X₀‖_F/√(m n) (the error is absolute, so that it weighs on the lower
    end, and averages out in large matrices), then each time by the factors 1 ± δ, with δ = STEP_ROUNDINGS·u
    and SUM_ROUNDINGS more for the sums, or term_rounding up to MOST_FOR_TERMS, if that is more. Rounding
    also turns the singular vectors of x by angles up to θ = INPUT_TURN·u·‖X₀‖_F/(l√m), the same with n, out
    of the space in which the result is judged: the lower end loses cos θ twice. The allowance is what the
    widened error exceeds the exact one by, and at least one step's rounding. What a schedule states has no
    part in it. Images of intervals are taken on samples.

    A perturbation inside a step's domain costs nothing, because the whole domain is mapped onto the image:
    this is why the slope of f, which is large between the extrema of an equioscillating map, does not enter.
    Upwards an interval is widened at most to the end of the next step's domain: a value that leaves it meets
    a map that nobody designed, headroom is there to prevent it, and where it happens the promise is broken
    and not excused. This is a model, to tell rounding from failure; it is not a bound.
    """
    u = UNIT_ROUNDOFF[dtype_name(dtype)]
    terms = [min(term_rounding(step, dtype), MOST_FOR_TERMS) for step in schedule.steps]
    step_loss = STEP_ROUNDINGS * u + SUM_ROUNDINGS * min(u, UNIT_ROUNDOFF["float32"])
    widths = [max(step_loss, lost) for lost in terms]
    low = max(schedule.interval[0], smallest or 0.0)
    exact = _reached(schedule, low, 0.0, [0.0] * len(widths), shape)
    explained = max(_reached(schedule, low, u * norm, widths, shape) - exact, step_loss)
    return min(explained, MOST_EXPLAINED)


def _reached(schedule: Schedule, low: float, u: float, widths: list[float], shape: tuple[int, int]) -> float:
    """The largest |x − 1| at the end of the chain from [low, u], its images widened by 1 ± width.

    u: unit roundoff times ‖X₀‖_F.
    """
    high = schedule.interval[1]
    cosines = math.prod(1 / math.hypot(1, INPUT_TURN * u / (low * math.sqrt(side))) for side in shape)
    absolute = INPUT_ROUNDINGS * u / math.sqrt(math.prod(shape))
    low, wide = low - absolute, high + absolute
    for step, width in zip(schedule.steps, widths, strict=True):
        high = max(high, min(wide, step.domain[1]))
        # An interval that has reached zero stays there, and log-spaced samples need a positive end.
        image = step(np.geomspace(max(low, high * 1e-12), high, _SAMPLES))
        low, high = float(image.min()), float(image.max())
        low, wide = low * (1 - width), high * (1 + width)
    return max(1 - low * cosines, wide - 1)

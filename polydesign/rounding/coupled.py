"""What rounding does in the coupled form, W = q(P), G ← G Wˢ, P ← P Wʳ: a model to choose schedules by.

With x = λ^(1/r) of an eigenvalue λ of P, two things are told apart.

What rounding does to W goes into G and into P alike, and later steps take it back: it moves x for the moment,
by x times the error of Q, as in the direct form (rounding/direct.py).

What rounding does to P, or to Wʳ alone, goes into P and not into G. G then tends to the root of another
matrix, and no later step knows. It is u times the root mean square of what is stored, in every direction, so
that it weighs on the small eigenvalues p(x)ʳ of the new P; relative to x

    δ(x) = LOST·u·(rms(P Wʳ) + xʳ·rms(Wʳ))/(r·p(x)ʳ).

So W must not be large anywhere, nor p small at large x: powers of r make of a trough at a third of the peak
an eigenvalue of 1/81 of the largest for r = 4, which bfloat16 hardly sees. The δ of the steps add up in
squares, but for that of the last step, which leaves P alone. Rounding P itself, before the first step, does
the same to every schedule and is no part of this.

Derivation: in the eigenbasis, with G P^(−1/r) as what G tends to, an error of P Wʳ enters by the derivative
of P^(−1/r), −1/(y_i y_j Σ y_iᵏ y_jʳ⁻¹⁻ᵏ) with y = p(x), largest for i = j; an error of W enters through both,
and cancels where x_i = x_j.
"""

from __future__ import annotations

import math

import numpy as np

from polydesign.model import Schedule, dtype_name
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.direct import (
    LARGEST,
    Noise,
    Prediction,
    StepRounding,
    noise,
    roundoff,
)

LOST = 1.0
"""Of u·rms, what is lost of an eigenvalue. In float32 no kernel that one processor could be made to run lost
more where rounding decides, on matrices of 64 and 160 rows (figures/rounding_model.json, kernels;
scripts/studies/calibrate_kernels.py); of bold schedules it says far too much. In bfloat16 it tells which are
worst, but not by how much."""

JUDGED = 16.0
"""Times u/(r√n): the least λ/‖P‖_F that the model looks at. Below that rounding P alone decides."""


def judged_from(lower: float, root: int, dtype: str, rows: int) -> float:
    """The least x = λ^(1/r) whose error the model looks at; lower where that is more."""
    least = JUDGED * UNIT_ROUNDOFF[dtype_name(dtype)] / (root * math.sqrt(rows))
    return max(lower, min(least, 0.1) ** (1 / root))


def follow(
    found: Noise,
    root: int,
    received: tuple[float, float, float],
    at: tuple[float, float, float],
    u: float,
    caution: float = 1.0,
    mass: float | None = None,
) -> tuple[StepRounding, float]:
    """One step of the model, and where the judged values begin after it.

    received: (low, judged, high), the values that the step serves, and those above `judged` for which δ is
    reckoned; at: p there. caution: the part of the noise that is reckoned with. mass: Σλ² over the number of
    rows, where it is known, as in direct.noise. The step's `turn` is the largest δ.
    """
    low, judged, high = received
    inside = (found.x > judged) & (found.x < high)
    x = np.concatenate([[judged], found.x[inside], [high]])
    value = np.concatenate([[at[1]], found.value[inside], [at[2]]])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        W = (value / x) ** root
        lost = _rms(value**root, x, root, mass) + x**root * _rms(W, x, root, mass)
        delta = caution * LOST * u * lost / (root * np.maximum(value, 0.0) ** root)
    moved = u * (caution * np.interp(x, found.x, found.random) + abs(value))
    # Of what is not judged only that it stays positive matters.
    below = at[0] - u * (caution * float(np.interp(low, found.x, found.random)) + abs(at[0]))
    kept = float(np.min(value - moved))
    left = (min(below, kept), float(np.max(value + moved)))
    return StepRounding((low, high), float(np.max(moved)), float(np.max(delta)), left), kept


def _rms(values: np.ndarray, x: np.ndarray, root: int, mass: float | None) -> float:
    """Over the spectrum: at most, where its mass is known, else as if it were even over x."""
    if mass is not None:
        return float(np.sqrt(np.max(np.minimum(1.0, mass / x ** (2 * root)) * values**2)))
    if x[-1] <= x[0]:
        return float(abs(values[0]))
    return float(np.sqrt(np.sum((values[1:] ** 2 + values[:-1] ** 2) / 2 * np.diff(x)) / (x[-1] - x[0])))


def remaining_error(left: tuple[float, float], lost: float) -> float:
    """|f − 1| at most for values in `left`, and what was lost before the last step: lost = Σ δ²."""
    return max(1 - left[0], left[1] - 1) + math.sqrt(lost)


def predict(
    schedule: Schedule,
    dtype: str,
    *,
    rows: int,
    normalization: str = "frobenius",
    caution: float = 1.0,
) -> Prediction:
    """The relative error to expect of an eigenvalue of P^(−1/r); see direct.predict and the module.

    rows: of P. inf where a value may reach zero, or leave for good.
    """
    u, root = roundoff(dtype), schedule.root
    low, high = schedule.interval
    judged, high, lost, error = judged_from(low, root, dtype, rows), high * (1 + u), 0.0, math.inf
    steps = []
    for index, step in enumerate(schedule.steps):
        found = noise(step.program, step.coefficients, root, max(high, step.domain[1]))
        mass = 1 / rows if normalization == "frobenius" and index == 0 else None
        at = (float(step(low)), float(step(judged)), float(step(high)))
        after, judged = follow(found, root, (low, judged, high), at, u, caution, mass)
        steps.append(after)
        low, high = after.left
        if not (0 < low <= high < LARGEST):
            return Prediction(math.inf, tuple(steps))
        error = remaining_error(after.left, lost)
        lost += after.turn**2
    return Prediction(error, tuple(steps))

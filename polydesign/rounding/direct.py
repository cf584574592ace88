"""What rounding does to the singular values of a state, step by step: a model to choose schedules by.

Every register that a step's program stores is rounded once, and the error reaches Q = q(A) by the derivative
of Q with respect to that register (first order). Two ways of adding up are followed:

random     errors of single entries are independent, as in matrices with random singular vectors: their
           squares add up, and what a register errs by is its root mean square over the spectrum;
coherent   all entries are rounded alike, as in blocks of equal entries: what a register errs by is its value
           off the diagonal and, apart from that, what the null space puts on the diagonal, each once.
           Registers are rounded independently, so that squares add up here too.

Both move singular values by x times the error of Q. Where the error has a random direction it also turns
singular vectors, by its size over p(x), and no later step turns them back: that is how small values of p at
large x are lost. Both figures are first-order models with constants from experiment, not bounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from polydesign.model import Schedule, Step, dtype_name
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.model.program import Program
from polydesign.program.gains import stored, turning_points

RANDOM = 0.6
"""Spectral norm of what random rounding adds to a state, in units of u·x·√Σ(gain·size)². From experiment, as
are the three below (figures/rounding_model.json, scripts/studies/calibrate_rounding.py). Where terms are
large 0.5 was the median in single steps, and 0.5 to 0.75 what 9 in 10 stayed below. Singular values move by
less."""

COHERENT = 1.2
"""Of u·x·√Σ gain²·(null² + (size − null)²): by so much one random block of equal entries in 100,000 leaves
the image of a step. 1.0 to 1.4 in all steps that were tried, whatever the evaluation, but for `origin` of
inner degree 8 in float16, whose entries are so small that they underflow (figures/rounding_model.json,
blocks); following them (trial.py) sees that."""

TURN = 1.0
"""Length of a random error on one singular vector, over its spectral norm. A matrix of independent entries
has one half, which is enough for full rank; states of low rank have up to this, in 9 of 10 cases."""

STORED = 0.5
"""Length, on one vector, of what rounding the entries of a state adds, in units of u times the root mean
square of its singular values: 0.5 in the median for full rank. Low rank has up to twice that, of a root mean
square that the model takes to be larger than it is."""

SUMS = 50.0
"""What summing inside a product adds to the rounding of its result, in units of the u of the sums: float32's,
or the state's own if that is less; in half precision it is nothing. The worst are K equal terms, which no
order of summation brings beyond (K + 1)/2 (`longest_sum`). No kernel that one processor could be made to run
was found beyond K/4 + 1, nor beyond SUMS for K up to 768 (figures/rounding_model.json, kernels); with eight
rows and more columns some make K/16."""

ROOM = 1.0
"""Headroom of every step for the rounding of its own A = X Xᵀ, in units of u: where all its entries are
rounded by the same factor, the step is that of x·(1 + u/2), and the rest is for the first sum made of A.
With the rounding of X₀ the first step has room for 2u. Of 192 runs of schedules for 15 and 16 products on
blocks of equal entries in bfloat16, 64 lost x = 1 with room for u, one for 1.5u, none for 2u."""

ROWS = 256
"""Of the matrices, where nobody says: the fewer, the more a single large singular value weighs."""

_POINTS = 129

LARGEST = 4.0
"""A value that reaches this is on its way out, whatever the steps after it."""


@dataclass(frozen=True, slots=True)
class Noise:
    """What the rounding of one step adds at each x of a grid over its domain, for u = 1.

    random, coherent: absolute, as x times the error of Q. root_mean_square: of the singular values of the
    state that the step leaves, at most.
    """

    x: np.ndarray
    value: np.ndarray
    random: np.ndarray
    coherent: np.ndarray
    root_mean_square: float


@dataclass(frozen=True, slots=True)
class StepRounding:
    """One step in the model: what it receives, how far rounding moves values, by what angle it turns
    vectors at most (radians), and what it leaves."""

    received: tuple[float, float]
    shift: float
    turn: float
    left: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Prediction:
    """error: what |x − 1| is expected to stay below at the end, rounding included; steps: how it came."""

    error: float
    steps: tuple[StepRounding, ...]


def roundoff(dtype: str) -> float:
    """u of everything that a product gives: of storing the result, and of summing (SUMS).

    Raises InputError for an unknown dtype.
    """
    u = UNIT_ROUNDOFF[dtype_name(dtype)]
    return u + SUMS * min(u, UNIT_ROUNDOFF["float32"])


def longest_sum(terms: int) -> float:
    """Relative error of a sum of so many equal terms in any order, to first order in u, in units of it.

    Each addition errs by u of its result at most, and the results of all are largest, 2 + 3 + … + K terms,
    where the sum is taken one after the other. With a product's own rounding that is (K + 1)/2 of the last.

    Source: Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 4.2.
    """
    return (terms + 1) / 2


def noise(
    code: Program, coefficients: Sequence[float], root: int, upper: float, *, mass: float | None = None
) -> Noise:
    """The rounding of one step of this program on [0, upper].

    coefficients: of q, for the places where p′ = 0, which the grid holds too: p is exact there. mass: Σx²
    over the number of rows, where it is known, as after division by the Frobenius norm (1/m): then at most
    mass/x² of the spectrum lies beyond x. None: the spectrum may lie anywhere, and is taken as even over the
    domain.
    """
    even = np.linspace(0.0, upper, _POINTS)
    x = np.sort(np.concatenate([even, turning_points(coefficients, root, upper)]))
    sizes, gains = stored(code, x**root)
    null = sizes[:, :1]
    value = x * code(x**root)
    if mass is None:
        steps = np.diff(x, prepend=0.0) / upper  # a mean over the domain, whatever points were added
        spread = np.sum(sizes**2 * steps, axis=1, keepdims=True)
        mean_square = np.sum(value**2 * steps) + np.max(value**2) / 4
    else:
        part = np.minimum(1.0, mass / np.maximum(x * x, mass))
        spread = null**2 + np.max(part * (sizes - null) ** 2, axis=1, keepdims=True)
        mean_square = np.max(part * value**2)
    square = np.maximum(null**2, spread)
    random = x * np.sqrt(np.sum(gains**2 * square, axis=0))
    coherent = x * np.sqrt(np.sum(gains**2 * (null**2 + (sizes - null) ** 2), axis=0))
    return Noise(x, value, RANDOM * random, COHERENT * coherent, float(np.sqrt(mean_square)))


def follow(
    found: Noise, low: float, high: float, at_ends: tuple[float, float], u: float, caution: float = 1.0
) -> StepRounding:
    """One step of the model: what values of [low, high] become; at_ends = (p(low), p(high)).

    Near the end of its domain p is steep, and what the rounding of A does there is mostly that it moves x:
    with room for that in the domain (ROOM), value and noise together reach no more than the peak and what
    else is rounded. caution: the part of the noise that is reckoned with. The state itself is always rounded
    in full.
    """
    first, last = np.searchsorted(found.x, low, side="right"), np.searchsorted(found.x, high)
    x = np.concatenate([[low], found.x[first:last], [high]])
    value = np.concatenate([at_ends[:1], found.value[first:last], at_ends[1:]])
    random, coherent = (caution * u * np.interp(x, found.x, of) for of in (found.random, found.coherent))
    moved = np.maximum(random, coherent) + u * abs(value)
    turn = (TURN * random + STORED * u * found.root_mean_square) / np.maximum(value, 1e-300)
    left = (float((value - moved).min()), float((value + moved).max()))
    return StepRounding((low, high), float(moved.max()), float(turn.max()), left)


def remaining_error(left: tuple[float, float], turned: float) -> float:
    """|x − 1| at most, where the values lie in `left` and vectors were turned: turned = Σ angle²."""
    return max(1 - left[0] * max(0.0, 1 - turned / 2), left[1] - 1)


def start(interval: tuple[float, float], dtype: str, rows: int) -> tuple[tuple[float, float], float]:
    """What the first step receives, and the angle² by which storing X₀ turns the vectors of `lower`.

    In a matrix of equal entries every entry of X₀ is rounded by the same factor, up to 1 + u. That is no
    matter of `caution`: sizes where it happens are found at will (verify/gallery.flat). The norm is a sum as
    well: in float32 X₀ is off by more than storing it explains.
    """
    low, high = interval
    u = UNIT_ROUNDOFF[dtype_name(dtype)]
    return (low, high * (1 + roundoff(dtype))), (STORED * u / (low * math.sqrt(rows))) ** 2


@lru_cache(maxsize=1024)
def _of_step(step: Step, upper: float, mass: float | None) -> Noise:
    return noise(step.program, step.coefficients, step.root, upper, mass=mass)


def predict(
    schedule: Schedule,
    dtype: str,
    *,
    rows: int = ROWS,
    normalization: str = "frobenius",
    caution: float = 1.0,
) -> Prediction:
    """The error to expect of a schedule in the direct form, rounding included (see the module).

    rows: the shorter side. Where a value reaches beyond a step's domain the step's polynomial decides what
    becomes of it. The error is inf where a value may reach zero, or leave for good: nothing is promised then.
    caution: see `follow`; 1 is what was calibrated, on single steps: what may happen in each of them at worst
    does not happen in all.
    """
    u = roundoff(dtype)
    (low, high), turned = start(schedule.interval, dtype, rows)
    steps = []
    for index, step in enumerate(schedule.steps):
        known = normalization in ("frobenius", "aol") and index == 0
        found = _of_step(step, max(high, step.domain[1]), 1 / rows if known else None)
        with np.errstate(over="ignore", invalid="ignore"):
            after = follow(found, low, high, (float(step(low)), float(step(high))), u, caution)
        steps.append(after)
        low, high = after.left
        if not (0 < low <= high < LARGEST):
            return Prediction(math.inf, tuple(steps))
        turned += after.turn**2
    return Prediction(remaining_error((low, high), turned), tuple(steps))

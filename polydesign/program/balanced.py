"""Which program computes a q with the least rounding: the free numbers of the `balanced` evaluation.

Of inner degree 8, three products leave three numbers free: where S = A² − wA has its minimum, how much of S
is added to Y, and how q is split into two factors; of inner degree 4, two products leave two. They change
nothing in exact arithmetic, and how much rounding adds (figures/rounding_model.json, blocks). They are chosen
on a grid, by what independent roundings of all entries add; all other constants follow from the coefficients,
exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from polydesign.model import InputError
from polydesign.program.gains import stored, turning_points
from polydesign.program.programs import build

SCALES = {4: 4, 8: 8}
"""S is so much A² where A has its spectrum in [0, 1]; Y the square of it. They are of order 1 then."""

_CENTRES = np.arange(44, 69) / 64
"""Values of w, for inner degree 8, where A has its spectrum in [0, 1]."""

_SHARES = np.arange(0, 40, 4) / 64
"""Of S in Y, where A has its spectrum in [0, 1]."""

_SPLITS = np.array([*(2.0**k for k in range(-9, 1))])
"""Half of the difference of the factors' coefficients of A², where A has its spectrum in [0, 1]."""

_WIDE_CENTRES = np.arange(44, 104, 2) / 64
_SHIFTS = np.array([0, *range(24, 48, 2)]) / 64
"""For inner degree 4: w, and the multiple of I in S."""


def balanced_constants(q: Sequence[Fraction], upper: Fraction) -> tuple[float, ...]:
    """The constants of `balanced` (program.balanced) for q = Σ q_j Aʲ, A in [0, upper]; inner degree 4 or 8.

    The free numbers are those of the grid for which x·√Σ gain²·(null² + (size − null)²) is least where it is
    largest, with size and gain those of each stored register at A = x²·upper, null its value at A = 0: off
    the diagonal and on it entries are rounded apart. It is looked at where x·q turns, for root 2: what else
    rounding does to A moves x along the step and does not leave its image.

    Raises InputError where the leading coefficient is zero, and where no split is finite.
    """
    n = len(q) - 1
    if not q[-1]:
        raise InputError("evaluation", "balanced needs a leading coefficient: take chebyshev")
    standard = [c * upper**j for j, c in enumerate(q)]
    solve = _quartic if n == 4 else _octic
    free = np.stack([a.ravel() for a in np.meshgrid(*_grids(n), indexing="ij")])
    floats = [np.float64(c) for c in standard]
    with np.errstate(all="ignore"):
        sizes = _rounding(n, solve(floats, *free[:, :, None]), turning_points(floats, 2, 1.0))
    if not np.isfinite(sizes).any():
        raise InputError("evaluation", "no balanced program has this polynomial: take chebyshev")
    best = free[:, int(np.nanargmin(np.where(np.isfinite(sizes), sizes, np.inf)))]
    return _scaled(n, solve(standard, *map(Fraction, best)), upper)


def _grids(n: int) -> tuple[np.ndarray, ...]:
    return (_WIDE_CENTRES, _SHIFTS) if n == 4 else (_CENTRES, _SHARES, _SPLITS)


def _rounding(n: int, numbers: list[Any], x: np.ndarray) -> np.ndarray:
    """For each choice of the free numbers, a row each: what rounding of all registers but A adds at x."""
    count = max(len(c) for c in numbers if np.ndim(c))
    x = np.concatenate([[0.0], x if len(x) else [1.0]])
    sizes, gains = stored(build("balanced", n, numbers), np.tile(x**2, (count, 1)))
    null = sizes[:, :, :1]
    parts = gains**2 * (null**2 + (sizes - null) ** 2)
    return np.max(x * np.sqrt(np.sum(parts[1:], axis=0)), axis=1)


def _quartic(q: list[Any], w: Any, shift: Any) -> list[Any]:
    """S = A² − wA + s₀I; q = (p₂S + p₁A + p₀I)·S + kA + c, matched from the highest power down."""
    one, zero = q[4] / q[4], 0 * q[4]
    S = (shift, -w, one)
    square = (shift * shift, -2 * w * shift, w * w + 2 * shift, -2 * w, one)
    p2 = q[4]
    p1 = q[3] - p2 * square[3]
    p0 = q[2] - p2 * square[2] - p1 * S[1]
    k = q[1] - p2 * square[1] - p1 * S[0] - p0 * S[1]
    c = q[0] - p2 * square[0] - p0 * S[0]
    return [one, -w, shift, p2, p1, p0, k, c + zero]


def _octic(q: list[Any], w: Any, share: Any, split: Any) -> list[Any]:
    """S = A² − wA; Y = S·(S + αA) + βS; q = ρ(Y + a₁S + a₂A + a₀I)(Y + b₁S + b₂A + b₀I) + kA + c.

    Both factors are A⁴ + t₃A³ + …, and what follows from the highest powers of q is the sum of their
    coefficients of A², A and I; with the difference of the first free, A³ and A² give the others.
    """
    rho = q[8]
    r = [c / rho for c in q]
    t3 = r[7] / 2
    sum2 = r[6] - t3 * t3
    sum1 = r[5] - t3 * sum2
    f2, g2 = sum2 / 2 - split, sum2 / 2 + split
    sum0 = r[4] - t3 * sum1 - f2 * g2
    f1 = (r[3] - t3 * sum0 - f2 * sum1) / (g2 - f2)
    g1 = sum1 - f1
    f0 = (r[2] - f1 * g1 - f2 * sum0) / (g2 - f2)
    g0 = sum0 - f0
    k = rho * (r[1] - f1 * g0 - f0 * g1)
    c = q[0] - rho * f0 * g0
    alpha = t3 + 2 * w
    # Y = A⁴ + t₃A³ + y₂A² + y₁A
    y2, y1 = w * w - alpha * w + share, -share * w
    a1, b1 = f2 - y2, g2 - y2
    a2, b2 = f1 - y1 + w * a1, g1 - y1 + w * b1
    one = rho / rho
    return [one, -w, alpha, share, rho, a1, a2, f0, b1, b2, g0, k, c]


def _scaled(n: int, found: list[Any], upper: Fraction) -> tuple[float, ...]:
    """The constants for A in [0, upper] and registers of order 1, from those for [0, 1]; rounded once."""
    s = SCALES[n]
    if n == 4:
        s2, s1, s0, p2, p1, p0, k, c = found
        scaled = [s * s2 / upper**2, s * s1 / upper, s * s0]
        scaled += [p2 / s**2, p1 / (s * upper), p0 / s, k / upper, c]
        return tuple(map(float, scaled))
    s2, s1, alpha, share, rho, a1, a2, a0, b1, b2, b0, k, c = found
    scaled = [s * s2 / upper**2, s * s1 / upper, s * alpha / upper, s * share, rho / s**4]
    for f1, f2, f0 in ((a1, a2, a0), (b1, b2, b0)):
        scaled += [s * f1, s * s * f2 / upper, s * s * f0]
    return tuple(map(float, [*scaled, k / upper, c]))

"""Remez's exchange on one interval [κ, 1], in one arithmetic.

The context is mpmath.fp (Python floats) or an mpmath context: the code is the same for both. Closed forms
stand in where they exist. remez.py chooses the arithmetic and scales intervals to [κ, 1].
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import mpmath

from polydesign.approximation.enclosure import levelled
from polydesign.approximation.scalar import derivative
from polydesign.model import evaluate, horner

MAX_ROUNDS = 60


class ConvergenceError(ArithmeticError):
    """The exchange did not reach equioscillation; the message has the numbers."""


@dataclass(frozen=True, slots=True)
class Solution:
    """Coefficients of q on [κ, 1], E, the points where 1 − p takes ±E, and how far it is from ±E there."""

    coefficients: list[Any]
    error: Any
    reference: list[Any]
    rounds: int
    deviation: Any


def rounding(solution: Solution, unit: Any) -> Any:
    """Rounding of p on [κ, 1], unit · (Σ|c_j| + n + 4), relative to E and to 1 − E.

    The first is what the error loses, the second what the lower end of the image loses.
    """
    terms = sum(abs(c) for c in solution.coefficients)
    smallest = min(solution.error, 1 - solution.error)
    return unit * (terms + len(solution.coefficients) + 3) / smallest


def attempt(
    context: Any, root: int, inner_degree: int, kappa: Any, reference: list[Any], tolerance: Any
) -> Solution:
    """The most nearly equioscillating solution on [κ, 1] that this arithmetic reaches.

    The exchange ends at a deviation of `tolerance`, or where rounding alone moves the points. reference:
    n + 2 points to start from, of which only the inner n count, or [] for Chebyshev's nodes in x.
    """
    if inner_degree == 1:
        return _closed_form_cubic(context, root, kappa)
    if root == 1:
        return _closed_form_inverse(context, inner_degree, kappa)
    if reference:
        reference = [kappa, *(context.convert(x) for x in reference[1:-1]), context.mpf(1)]
    else:
        reference = _chebyshev_nodes(context, inner_degree, kappa)
    return _exchange(context, root, reference, tolerance)


def solve(
    context: Any, root: int, inner_degree: int, kappa: Any, reference: list[Any], tolerance: Any
) -> Solution:
    """As `attempt`, and equioscillating to `tolerance` relative; raises ConvergenceError otherwise."""
    solution = attempt(context, root, inner_degree, kappa, reference, tolerance)
    if not abs(solution.deviation) <= tolerance:
        raise ConvergenceError(
            f"no equioscillation for root {root}, inner degree {inner_degree} at lower/upper = "
            f"{mpmath.nstr(kappa, 8)}: after {solution.rounds} rounds |1 − p| deviates from its level "
            f"{mpmath.nstr(solution.error, 8)} by {mpmath.nstr(solution.deviation, 3)} relative, and "
            f"{mpmath.nstr(tolerance, 3)} was asked for; ask for more digits"
        )
    return solution


def level_again(context: Any, root: int, kappa: Any, solution: Solution) -> Solution:
    """The same solution with coefficients and E computed once more, in this arithmetic, at its extremes.

    The exchange left extremes that are off by the square root of its precision or less, and coefficients
    and E depend on them to second order: this makes them good to twice the digits.
    """
    n = len(solution.reference) - 2
    if n == 1 or root == 1:
        return solve(context, root, n, kappa, [], math.inf)
    reference = [kappa, *(context.convert(x) for x in solution.reference[1:-1]), context.mpf(1)]
    coefficients, error = _levelled(root, reference)
    return Solution(coefficients, error, reference, solution.rounds, solution.deviation)


def _chebyshev_nodes(context: Any, n: int, kappa: Any) -> list[Any]:
    middle, half = (1 + kappa) / 2, (1 - kappa) / 2
    inner = [middle - half * context.cos(context.pi * k / (n + 1)) for k in range(1, n + 1)]
    return [kappa, *inner, context.mpf(1)]


def _deviation(coefficients: Any, root: int, reference: list[Any], error: Any) -> Any:
    """Largest of ±(1 − p) at the reference over E, minus 1; inf where the signs do not alternate."""
    values = [(-1) ** i * (1 - evaluate(coefficients, root, x)) for i, x in enumerate(reference)]
    if min(values) <= 0:
        return math.inf
    return max(max(values) / error - 1, 1 - min(values) / error)


def _closed_form_cubic(context: Any, root: int, kappa: Any) -> Solution:
    """n = 1: p = β (S x − x^(1+r)), S = Σ κ^i (i = 0..r), one extremum at m^r = S/(r + 1).

    p(κ) = p(1) = β (S − 1) fixes S, and p(κ) + p(m) = 2 fixes β.
    """
    s = sum(kappa**i for i in range(root + 1))
    m = (s / (root + 1)) ** (context.mpf(1) / root)
    peak, end = m * s * root / (root + 1), s - 1
    beta = 2 / (peak + end)
    coefficients = [beta * s, -beta]
    error = (peak - end) / (peak + end)
    reference = [kappa, m, context.mpf(1)]
    return Solution(coefficients, error, reference, 0, _deviation(coefficients, root, reference, error))


def _closed_form_inverse(context: Any, n: int, kappa: Any) -> Solution:
    """r = 1: 1 − p(x) = T_(n+1)(t(x)) / T_(n+1)(t(0)), t(x) = (1 + κ − 2x)/(1 − κ)."""
    t0, t1 = (1 + kappa) / (1 - kappa), -2 / (1 - kappa)
    before, chebyshev = [context.mpf(1)], [t0, t1]
    for _ in range(n):
        product = [2 * t0 * a for a in chebyshev] + [context.mpf(0)]
        for k, a in enumerate(chebyshev):
            product[k + 1] += 2 * t1 * a
        for k, a in enumerate(before):
            product[k] -= a
        before, chebyshev = chebyshev, product
    coefficients = [-a / chebyshev[0] for a in chebyshev[1:]]
    error = 1 / chebyshev[0]
    reference = _chebyshev_nodes(context, n, kappa)
    return Solution(coefficients, error, reference, 0, _deviation(coefficients, 1, reference, error))


def _exchange(context: Any, root: int, reference: list[Any], tolerance: Any) -> Solution:
    """Remez's second algorithm: level the error on the reference, move every point to its extremum."""
    best: Solution | None = None
    for rounds in range(1, MAX_ROUNDS + 1):
        coefficients, error = _levelled(root, reference)
        reference = _extremes(context, root, coefficients, reference)
        deviation = _deviation(coefficients, root, reference, error)
        solution = Solution(coefficients, error, reference, rounds, deviation)
        if deviation <= tolerance:
            return solution
        if best is None or deviation < best.deviation:
            best = solution
        elif rounds > best.rounds + (2 if best.deviation < 1e-3 else 6):
            break  # rounding alone moves the points now
    assert best is not None
    return best


def _levelled(root: int, reference: list[Any]) -> tuple[list[Any], Any]:
    """Coefficients of q and E with x_i·q(x_i^r) = 1 − (−1)^i E on the reference (module docstring)."""
    y = [x**root for x in reference]
    error = levelled(reference, y)

    # Newton's divided differences on all but the last point, then expanded in powers of y.
    n = len(reference) - 2
    table = [(1 - (-1) ** i * error) / x for i, x in enumerate(reference[: n + 1])]
    for k in range(1, n + 1):
        for i in range(n, k - 1, -1):
            table[i] = (table[i] - table[i - 1]) / (y[i] - y[i - k])
    coefficients = [table[n]]
    for i in range(n - 1, -1, -1):
        coefficients = [0, *coefficients]
        for k in range(len(coefficients) - 1):
            coefficients[k] -= y[i] * coefficients[k + 1]
        coefficients[0] += table[i]
    return coefficients, error


def _extremes(context: Any, root: int, coefficients: list[Any], reference: list[Any]) -> list[Any]:
    """The ends and the n zeros of p′ between them, each found inside a bracket of its own.

    1 − p has the sign (−1)^i at x_i, so it has one extremum of that sign around x_i and no other: p′ has
    no more than n positive zeros. Between neighbouring extremes p′ keeps one sign, and any point there
    separates them.
    """
    slope = derivative(coefficients, root)
    curvature = [k * a for k, a in enumerate(slope)][1:]
    separators = []
    for i, (low, high) in enumerate(itertools.pairwise(reference)):
        sign = (-1) ** i
        for _ in range(200):
            x = (low + high) / 2
            if sign * horner(slope, x**root) > 0:
                break
            if sign * (1 - evaluate(coefficients, root, x)) < 0:
                high = x  # past the next extremum
            else:
                low = x  # before the last one
        else:
            raise ConvergenceError(f"1 − p does not alternate between {low} and {high}")
        separators.append(x)

    # The error depends on the points to second order: half of the digits are enough.
    tolerance = 2.0**-30 if context is mpmath.fp else context.mpf(10) ** -(context.dps // 2 + 2)
    points = []
    for i in range(1, len(reference) - 1):
        low, high, sign = separators[i - 1], separators[i], (-1) ** i
        x = reference[i] if low < reference[i] < high else (low + high) / 2
        for _ in range(400):
            y = x**root
            value = horner(slope, y)
            if sign * value > 0:
                high = x
            else:
                low = x
            down = horner(curvature, y) * root * y / x
            following = x - value / down if down else high
            if not low < following < high:
                following = (low + high) / 2
            move, x = abs(following - x), following
            if move <= tolerance * x:
                break
        points.append(x)
    return [reference[0], *points, reference[-1]]

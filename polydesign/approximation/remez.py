"""Best uniform approximation of 1 by one step on an interval.

On [l, u], l > 0, the functions x, x^(1+r), …, x^(1+nr) are a Chebyshev system, so exactly one
p(x) = Σ c_j x^(1+jr) minimizes E = max |1 − p|, and it is the one whose error takes the values
+E, −E, +E, … at n + 2 points: l, the n zeros of p′ inside, and u (Chebyshev's theorem; Achieser, Theory
of Approximation, chapter II; for r = 2 Amsel et al., arXiv 2505.16932, section 3).

Formulation (exchange.py). On a reference x_0 < … < x_(n+1) the levelled error and the interpolating q
follow from divided differences in y = x^r, with no linear system: the (n+1)-th divided difference
annihilates q, so

    E = Σ w_i / x_i  /  Σ (−1)^i w_i / x_i,      w_i = 1 / Π_(j≠i) (y_i − y_j),

where the denominator has terms of one sign. The error of E is then a few units of the arithmetic,
absolutely, however close the points lie; what is left to decide is how many digits E itself needs, and
the solver takes those (see `best_approximation`).
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import mpmath

from polydesign.approximation.exchange import (
    ConvergenceError,
    Solution,
    attempt,
    level_again,
    rounding,
    solve,
)
from polydesign.approximation.scalar import arithmetic, exactly, relative_half_width
from polydesign.model import MOST_INNER_DEGREE, InputError, check_integer, check_number

__all__ = ["Approximation", "ConvergenceError", "best_approximation"]

FLOAT64_DIGITS = 16

_UNIT = 2.0**-53
# Beyond this rounding float64 does not place the reference well enough. The last levelling, in more digits,
# depends on the reference to second order, so that 1e-9 here leaves E good to 1e-17.
_ROUNDING_ALLOWED = 1e-9
_DEVIATION_FLOAT64 = 5e-13
_FINAL_DIGITS = 28  # of the last levelling, before the one rounding to float64
_SUCCESSOR_DIGITS = 14  # equioscillation asked for where more digits than float64's take over


@dataclass(frozen=True, slots=True)
class Approximation:
    """The best p(x) = x·q(x^r) on an interval.

    coefficients: of q, increasing powers. error: the levelled error E (for the limit step a bound of
    max |1 − p|, before its coefficients are rounded). reference: the n + 2 points where 1 − p takes ±E, empty
    for the limit step. rounds: of the exchange, 0 for a closed form. deviation: largest of |1 − p| over E,
    minus 1, when the exchange ended. digits: decimal digits of the arithmetic that the exchange needed, 16
    for float64. limit: whether it is the limit step.
    """

    coefficients: tuple[Any, ...]
    error: Any
    reference: tuple[Any, ...]
    rounds: int
    deviation: float
    digits: int
    limit: bool = False


def best_approximation(
    root: int, inner_degree: int, lower: Any, upper: Any, *, digits: int | None = None
) -> Approximation:
    """The p(x) = x·q(x^r), q of degree n = inner_degree, with the least E = max |1 − p| on [lower, upper].

    lower, upper: floats or mpmath numbers, 0 < lower <= upper; every digit they have counts.
    digits: None exchanges in float64 and returns floats; where that cannot give E to 1e-12 relative (E
    small, or the coefficients large against it) it takes more digits by itself and says so in `digits`.
    Either way the last levelling has 28 digits or more, and its result is rounded once. A number of digits
    works in mpmath from the start, with at least so many beyond those that E itself costs, and returns
    mpmath numbers.

    Closed forms: n = 1 (Chen and Chow 2014 for r = 2, any r here) and r = 1 (1 − p is a shifted Chebyshev
    polynomial). Otherwise Remez's exchange of all points from Chebyshev nodes in x. As lower/upper → 1 the
    solution tends to the Taylor polynomial of y^(−1/r), scaled (for r = 2 the Padé step, (15, −10, 3)/8 at
    n = 2), up to terms of order δ² = ((u^r − l^r)/(u^r + l^r))²; where these are below the digits asked for
    that limit is returned, marked, with a bound of its error.

    Raises InputError for bad arguments, ConvergenceError where no equioscillating result was reached.
    """
    root = check_integer("root", root, 1)
    inner_degree = check_integer("inner_degree", inner_degree, 1)
    if inner_degree > MOST_INNER_DEGREE:
        raise InputError("inner_degree", f"must be at most {MOST_INNER_DEGREE}, not {inner_degree}")
    if digits is not None:
        digits = check_integer("digits", digits, 1)
    return solved(root, inner_degree, *_checked_interval(lower, upper), digits)


@lru_cache(maxsize=8192)
def solved(root: int, inner_degree: int, low: Any, high: Any, digits: int | None) -> Approximation:
    """best_approximation of checked arguments, remembered: searches come back to the same intervals."""
    interval = low, high
    delta = relative_half_width(root, interval)
    resolved = digits if digits is not None else FLOAT64_DIGITS
    if delta**2 < mpmath.mpf(10) ** -(resolved + 1):
        return _limit_step(root, inner_degree, interval, delta, digits)

    expected = _expected_error(root, inner_degree, delta)
    kappa = interval[0] / interval[1]
    reference: list[Any] = []
    rounds = 0
    if digits is None and expected > 1e-4:
        try:
            solution = attempt(mpmath.fp, root, inner_degree, float(kappa), [], _DEVIATION_FLOAT64)
        except (ConvergenceError, ZeroDivisionError, OverflowError):
            solution = None
        # float64 finds the reference even where its coefficients are too coarse to show equioscillation.
        if solution is not None and solution.deviation < 0.1:
            rounds, reference = solution.rounds, list(solution.reference)
            lost = rounding(solution, _UNIT)
            if solution.deviation <= max(_DEVIATION_FLOAT64, 4 * lost) and lost <= _ROUNDING_ALLOWED:
                return _rounded_once(root, kappa, solution, interval, FLOAT64_DIGITS, rounds)

    wanted = digits if digits is not None else _SUCCESSOR_DIGITS
    # E itself, and the closeness of the points, each cost their digits.
    cost = max(0.0, -float(mpmath.log10(expected))) + max(0.0, -float(mpmath.log10(delta)))
    working = wanted + 14 + inner_degree + math.ceil(cost)
    while True:
        context = arithmetic(working)
        tolerance = context.mpf(10) ** -wanted
        solution = solve(context, root, inner_degree, context.convert(kappa), reference, tolerance)
        lost = rounding(solution, context.mpf(10) ** -working)
        if lost <= tolerance / 10:
            break
        working += math.ceil(float(mpmath.log10(lost / tolerance))) + 5
        reference = list(solution.reference)
        rounds += solution.rounds
    rounds += solution.rounds
    if digits is None:
        return _rounded_once(root, kappa, solution, interval, working, rounds)
    return _unscaled(context, root, solution, interval, working, rounds)


def _rounded_once(
    root: int, kappa: Any, solution: Solution, interval: Any, digits: int, rounds: int
) -> Approximation:
    """A result in float64 whose coefficients and E are levelled once more and then rounded, once.

    So they are the same numbers on every machine, whatever its floating-point library did on the way.
    """
    working = max(digits, _FINAL_DIGITS + len(solution.coefficients))
    context = arithmetic(working)
    levelled = level_again(context, root, context.convert(kappa), solution)
    return _as_floats(_unscaled(context, root, levelled, interval, digits, rounds))


def _checked_interval(lower: Any, upper: Any) -> tuple[Any, Any]:
    for name, end in (("lower", lower), ("upper", upper)):
        if isinstance(end, numbers.Real) and not hasattr(end, "_mpf_"):
            check_number(name, end)
        elif not hasattr(end, "_mpf_") or not mpmath.isfinite(end):
            raise InputError(name, f"must be a finite float or mpmath number, not {end!r}")
    low, high = exactly(lower), exactly(upper)
    if low <= 0:
        raise InputError("lower", f"must be greater than 0, not {lower!r}")
    if low > high:
        raise InputError("lower", f"must not lie above upper = {upper!r}, and is {lower!r}")
    return low, high


def _expected_error(root: int, inner_degree: int, delta: Any) -> Any:
    """E to first order as δ → 0: Chebyshev's 2^(−n) times the next Taylor term of (1 + η)^(−1/r)."""
    return abs(_binomial(root, inner_degree + 1)) * delta ** (inner_degree + 1) / 2**inner_degree


def _binomial(root: int, k: int) -> Any:
    """The coefficient of η^k in (1 + η)^(−1/r)."""
    value = exactly(1)
    for j in range(k):
        value = value * (-1 - j * root) / (root * (j + 1))
    return value


def _limit_step(root: int, n: int, interval: Any, delta: Any, digits: int | None) -> Approximation:
    """Taylor's polynomial of y^(−1/r) about the middle of [l^r, u^r], and a bound of its error before
    the coefficients are rounded.

    With y = c(1 + η), |η| <= δ: 1 − p = (1 + η)^(1/r) · R(η), and Lagrange's remainder gives
    |1 − p| <= |binom(−1/r, n+1)| δ^(n+1) (1 + δ)^(1/r) (1 − δ)^(−1/r − n − 1).
    """
    context = arithmetic((digits or FLOAT64_DIGITS) + n + 10)
    low, high = interval
    middle = context.convert((low**root + high**root) / 2)
    terms = [context.convert(_binomial(root, k)) for k in range(n + 1)]
    expanded = [terms[n]]
    for term in reversed(terms[:n]):  # Horner's rule in η = y/c − 1, in powers of y/c
        product = [-a for a in expanded] + [context.mpf(0)]
        for k, a in enumerate(expanded):
            product[k + 1] += a
        product[0] += term
        expanded = product
    scale = middle ** (context.mpf(-1) / root)
    coefficients = tuple(scale * a / middle**k for k, a in enumerate(expanded))
    bound = abs(_binomial(root, n + 1)) * delta ** (n + 1)
    bound *= (1 + delta) ** (exactly(1) / root) * (1 - delta) ** (-exactly(1) / root - n - 1)
    result = Approximation(
        coefficients, context.convert(bound), (), 0, math.nan, digits or FLOAT64_DIGITS, limit=True
    )
    return _as_floats(result) if digits is None else result


def _unscaled(
    context: Any, root: int, solution: Solution, interval: Any, digits: int, rounds: int
) -> Approximation:
    """From [κ, 1] back to [l, u]: p(x) = p̂(x/u), so c_j = ĉ_j u^(−1 − j·r)."""
    low, high = (context.mpf(end) for end in interval)
    inner = (x * high for x in solution.reference[1:-1])
    return Approximation(
        coefficients=tuple(c / high ** (1 + j * root) for j, c in enumerate(solution.coefficients)),
        error=solution.error,
        reference=(low, *inner, high),
        rounds=rounds,
        deviation=float(solution.deviation),
        digits=digits,
    )


def _as_floats(result: Approximation) -> Approximation:
    """The same result in float64 numbers; the error and the coefficients are rounded once."""
    coefficients, reference = tuple(map(float, result.coefficients)), tuple(map(float, result.reference))
    return replace(result, coefficients=coefficients, error=float(result.error), reference=reference)

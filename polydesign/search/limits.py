"""What no schedule can beat: the best error of all polynomials whose degree a budget of products reaches.

For root 2 a schedule in the direct form is made of products of X, Xᵀ and what came of them, and its result
is an odd polynomial of X. A product has at most the sum of its factors' degrees, so that the degrees form
an addition chain from 1, and m of its steps reach no odd number above 2^(m−1) + 1 (Knuth, The Art of
Computer Programming 2, section 4.6.3, theorem B: 2^m takes m, and of the numbers above 2^(m−1) those that
m steps reach have two ones in binary). One product for A = X Xᵀ, m − 2 squarings and Q·X have that degree;
whether a program of m products has the best polynomial of it is another matter: for m > 5 programs do not
reach every polynomial of that degree.

For other roots, the coupled form, the result is G·q(P), and one product with G leaves m − 1 for q.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from polydesign.approximation.high_degree import levelled
from polydesign.model import InputError, check_integer, check_number

MOST_REMEZ = 1024
"""The largest inner degree whose best approximation is computed."""

MOST_PRODUCTS = 64

ASYMPTOTIC_TOLERANCE = 5e-4
"""Relative accuracy of kind "asymptotic", from comparison with the exchange (tests/test_limits.py): its
relative error is about 0.4/1024 at most. Not proved."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The least error on an interval of all polynomials that `products` matrix products reach by degree.

    degree: of f(x) = x·q(x^r), 1 + r·(inner degree). error: max |1 − f| of the best one; 0.0 where it lies
    below the smallest float64. kind: "remez", where error is the levelled error of a reference, a lower
    bound up to the rounding of float64 (1e-11), and the largest |1 − f| found exceeds it by `tolerance`
    relative at most; or "asymptotic", where it is accurate to `tolerance` by comparison, and bounds nothing.
    """

    products: int
    degree: int
    error: float
    kind: str
    tolerance: float


def limit(products: int, lower: float, upper: float = 1.0, *, root: int = 2) -> Limit:
    """The limit for a number of products, of m×m and with X alike, on [lower, upper], 0 < lower < upper.

    Root 2: inner degree 2^(products − 2), products >= 2, direct form. Other roots: inner degree
    2^(products − 1), products >= 1, coupled form, for G P^(−1/r). By Remez's exchange up to inner degree
    1,024, a second of time; beyond it, for root 2, by the asymptotic of Eremenko and Yuditskii
    (`asymptotic`).

    Raises InputError for bad arguments, and where a root other than 2 would need the asymptotic.
    """
    root = check_integer("root", root, 1)
    products = check_integer("products", products, 2 if root == 2 else 1)
    if products > MOST_PRODUCTS:
        raise InputError("products", f"must be at most {MOST_PRODUCTS}, not {products}")
    lower = check_number("lower", lower)
    upper = check_number("upper", upper)
    if not 0 < lower < upper:
        raise InputError("lower", f"must be above 0 and below upper = {upper!r}, not {lower!r}")
    inner_degree = 2 ** (products - 2 if root == 2 else products - 1)
    degree = 1 + root * inner_degree
    ratio = lower / upper
    if inner_degree <= MOST_REMEZ:
        found = levelled(root, inner_degree, ratio)
        tolerance = math.expm1(found.log_largest - found.log_error)
        return Limit(products, degree, math.exp(found.log_error), "remez", tolerance)
    if root != 2:
        raise InputError(
            "products",
            f"{products} reach inner degree {inner_degree} for root {root}, and beyond {MOST_REMEZ} a limit "
            f"is known for root 2 alone: ask for at most {MOST_REMEZ.bit_length()}",
        )
    error = math.exp(asymptotic(inner_degree, ratio))
    return Limit(products, degree, error, "asymptotic", ASYMPTOTIC_TOLERANCE)


def asymptotic(inner_degree: int, ratio: float, known: int = MOST_REMEZ) -> float:
    """ln of the best error of degree 2k + 1 on [a, 1], k = inner_degree and a = ratio, for large k.

    Eremenko and Yuditskii (J. Anal. Math. 101, 2007, theorem 1): √k ((1 + a)/(1 − a))^k L → (1 − a)/√(π a).
    The relative error of that is about 0.2/(k a), so that it says nothing where k a is small. There the
    same asymptotic is taken between two problems in place of one: L(k, a)/L(k', a') with k' = known and a'
    such that ((1 + a')/(1 − a'))^k' is the same number, and L(k', a') by Remez's exchange. Its relative
    error is about 0.4/k' at most, however small a.
    """
    if inner_degree * math.atanh(ratio) >= known:
        return _leading(inner_degree, ratio)
    other = math.tanh(inner_degree / known * math.atanh(ratio))
    return levelled(2, known, other).log_error + _leading(inner_degree, ratio) - _leading(known, other)


def _leading(k: int, a: float) -> float:
    return math.log((1 - a) / math.sqrt(math.pi * a * k)) - 2 * k * math.atanh(a)

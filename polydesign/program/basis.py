"""Between coefficients of q and the constants of its program: exact, in rationals, rounded once."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial import Polynomial

from polydesign.model import InputError
from polydesign.model.program import Program
from polydesign.program.balanced import balanced_constants
from polydesign.program.programs import build, check_evaluation

_CANDIDATES = 32
"""Values of the free a₁ that are looked at on either side of 0."""

_WORTH = 0.9
"""How much smaller the terms must be for another a₁ than 0: with 0 a line is shorter."""

_B = np.cos(np.linspace(0, np.pi, 257))


@lru_cache(maxsize=1024)
def expanded(code: Program) -> tuple[Fraction, ...]:
    """The coefficients of the q that a program's constants define, exactly."""
    a: Any = Polynomial([Fraction(0), Fraction(1)])
    exact = code.with_constants(list(map(Fraction, code.constants)))
    q = exact(a).coef
    return tuple(map(Fraction, q)) + (Fraction(0),) * (exact.degree + 1 - len(q))


def defines(code: Program, coefficients: Sequence[float]) -> bool:
    """Whether the coefficients are those of the polynomial that the program defines, rounded."""
    try:
        return tuple(map(float, expanded(code))) == tuple(coefficients)
    except OverflowError:
        return False


def program_for(evaluation: str, coefficients: Sequence[Any], upper: Any) -> Program:
    """The program by which an evaluation computes q = Σ c_j yʲ, y in [0, upper]; see program_constants."""
    return build(evaluation, len(coefficients) - 1, program_constants(evaluation, coefficients, upper))


def program_constants(evaluation: str, coefficients: Sequence[Any], upper: Any) -> tuple[float, ...]:
    """The constants of an evaluation's program for q = Σ c_j yʲ, y in [0, upper].

    Of monomial they are the coefficients. For chebyshev B = scale·A − I with scale = 2/upper in float64, so
    that B has its spectrum in [−1, 1]; for origin w is upper, in few bits; for balanced see balanced.py. The
    conversion is exact for these and rounded at the end.

    coefficients: floats or Fractions. Raises InputError where the evaluation has no program of this degree,
    or none for this polynomial.
    """
    return _constants(evaluation, tuple(coefficients), upper)


@lru_cache(maxsize=16384, typed=True)
def _constants(evaluation: str, coefficients: tuple[Any, ...], upper: Any) -> tuple[float, ...]:
    n = len(coefficients) - 1
    check_evaluation(evaluation, n)
    if evaluation == "monomial":
        return tuple(map(float, coefficients))
    if evaluation == "balanced":
        return balanced_constants(list(map(Fraction, coefficients)), Fraction(upper))
    scale = Fraction(float(2 / upper))
    if evaluation == "origin":
        # w enters squares and products: with few bits they are exact.
        scale = 2 / Fraction(float(np.float32(float(upper))))
        if n != 8:
            return tuple(map(float, _origin(list(map(Fraction, coefficients)), 2 / scale)))
    # q as a polynomial in B: A = (B + I)/scale
    inner: Any = Polynomial([1 / scale] * 2)
    # By Horner's rule: a Polynomial called with Fractions computes in floats.
    q: Any = Polynomial([Fraction(coefficients[-1])])
    for c in reversed(coefficients[:-1]):
        q = q * inner + Fraction(c)
    powers = [*q.coef, *[Fraction(0)] * (n + 1 - len(q.coef))]
    found = _factored(powers) if n == 8 else _chebyshev(powers)
    if evaluation == "origin":
        return tuple(map(float, _moved_to_origin(found, scale)))
    numbers = [float(c) for c in found]
    return (float(scale), *(numbers if n == 8 else chebyshev_weights(numbers)))


def chebyshev_weights(t: Sequence[Any]) -> list[Any]:
    """The constants of programs.chebyshev after its scale, for q = Σ t_j T_j(B).

    They follow from T_i T_j = (T_(i+j) + T_|i−j|)/2.
    """
    match t:
        case [t0, t1]:
            return [t1, t0]
        case [t0, t1, t2]:
            return [2 * t2, t1, t0 - t2]
        case [t0, t1, t2, t3]:
            return [2 * t3, t1 - t3, t2, t0]
        case [t0, t1, t2, t3, t4]:
            return [2 * t3, 2 * t4, t1 - t3, t2, t0 - t4]
        case [t0, t1, t2, t3, t4, t5]:
            return [2 * t4, 2 * t5, t1 - t5, t2 - t4, t3, t0]
    t0, t1, t2, t3, t4, t5, t6 = t
    return [2 * t4, 2 * t5, 2 * t6, t1 - t5, t2 - t4, t3, t0 - t6]


def _chebyshev(powers: list[Fraction]) -> list[Fraction]:
    """Σ k_j Bʲ as Σ t_j T_j(B), by Horner's rule with B·T_j = (T_(j+1) + T_|j−1|)/2."""
    t = [Fraction(0)] * (len(powers) + 1)
    for k in reversed(powers):
        moved = [Fraction(0)] * len(t)
        moved[1] += t[0]
        for j in range(1, len(t) - 1):
            moved[j + 1] += t[j] / 2
            moved[j - 1] += t[j] / 2
        moved[0] += k
        t = moved
    return t[:-1]


def _factored(k: list[Fraction]) -> list[Fraction]:
    """ρ, α, a₁, a₂, b₁, b₂, c₂, c₁, c₀, c_I of Σ k_j Bʲ: see program.factored.

    Matching powers of B from the top gives ρ, α, a₁ + b₁ and a₂ + b₂, then with a₁ free c₂, a₂ (a linear
    equation), c₁, c₀ and c_I. Of all a₁ the one whose terms are smallest is taken (`_size`): rounding is
    in proportion to them.
    """
    if not k[8]:
        raise InputError(
            "evaluation", "three products for inner degree 8 need its leading coefficient: take monomial"
        )
    rho = k[8] / 16
    alpha = k[7] / (16 * rho)
    sum1 = (k[6] / rho - 4 * alpha**2 + 32) / 8
    sum2 = (k[5] / rho + 24 * alpha - 4 * alpha * sum1) / 4
    span = max(abs(sum1), Fraction(1))
    best, least = None, 0.0
    # a₁ and b₁ may change places, so a₁ <= (a₁ + b₁)/2 is enough; 0 comes first and wins ties.
    for j in (0, *range(-_CANDIDATES, 0), *range(1, _CANDIDATES + 1)):
        a1 = j * span / _CANDIDATES
        b1 = sum1 - a1
        if a1 >= b1:
            continue
        c2 = (k[4] / rho - (24 - 4 * alpha**2 - 12 * sum1 + 2 * alpha * sum2 + 4 * a1 * b1)) * rho / 4
        rest = (k[3] - 2 * alpha * c2) / rho - 12 * alpha + 4 * alpha * sum1 + 4 * sum2
        a2 = (rest / 2 - a1 * sum2) / (b1 - a1)
        head = [rho, alpha, a1, a2, b1, sum2 - a2, c2]
        size = _size(head)
        if best is None or size < (_WORTH if best[2] == 0 else 1) * least:
            best, least = head, size
    if best is None:
        raise InputError("evaluation", "this polynomial has no program in three products; take monomial")
    # What is left has degree 2.
    numbers = [Fraction(1), *best, Fraction(0), Fraction(0), Fraction(0)]
    b: Any = Polynomial([Fraction(1), Fraction(1)])
    product = build("chebyshev", 8, numbers)(b).coef
    left = [k[j] - product[j] for j in range(3)]
    return [*best, left[2] / 2, left[1], left[0] + left[2] / 2]


def _size(head: list[Fraction]) -> float:
    """max over [−1, 1] of ρ(|terms of one factor|·|other factor| and the same turned round) + |c₂Y|."""
    rho, alpha, a1, a2, b1, b2, c2 = map(float, head)
    b = _B
    t = 2 * b**2 - 1
    y = t * (t + alpha * b)
    first, second = y + a1 * t + a2 * b, y + b1 * t + b2 * b
    terms = abs(y) + abs(a1 * t) + abs(a2 * b), abs(y) + abs(b1 * t) + abs(b2 * b)
    return float(np.max(abs(rho) * (terms[0] * abs(second) + terms[1] * abs(first)) + abs(c2 * y)))


def _origin(q: list[Fraction], w: Any) -> list[Fraction]:
    """The constants of `origin` for inner degrees 3 to 6: powers of A matched from the highest down."""
    n = len(q) - 1
    A: Any = Polynomial([Fraction(0), Fraction(1)])
    S = A * A - w * A
    # R = (T₃(B) − T₃(−1))/(4·scale³)
    r2, r1 = -w / 2, w * w / 16
    R = A * S + r2 * S + r1 * A
    high, low = {
        3: ([A * S], [S, A]),
        4: ([S * S, A * S], [S, A]),
        5: ([S * R, A * R], [R, S, A]),
        6: ([R * R, S * R, A * R], [R, S, A]),
    }[n]
    found, rest = [], Polynomial(q)
    for term in high + low:
        weight = rest.coef[term.degree()] if term.degree() <= rest.degree() else Fraction(0)
        found.append(weight)
        rest = rest - weight * term
    return [w, *([r2, r1] if n > 4 else []), *found, rest.coef[0]]


def _moved_to_origin(found: list[Fraction], scale: Fraction) -> list[Fraction]:
    """ρ, α, …, c_I of the factored program in B as the constants of `origin`: w, ρ, α, β, γ, …, c.

    With s the scale, T = I + 2s²S and B = sA − I, so that Y less its value 1 − α at A = 0 is 4s⁴ times the Y
    of `origin`; likewise the two factors, whose values there are f and g.
    """
    rho, alpha, a1, a2, b1, b2, c2, c1, c0, constant = found
    f, g = 1 - alpha + a1 - a2, 1 - alpha + b1 - b2
    of_y, of_s = 4 * scale**4, 2 * scale**2
    return [
        2 / scale,
        rho * of_y**2,
        alpha / (2 * scale),
        (2 - alpha) * of_s / of_y,
        alpha * scale / of_y,
        a1 * of_s / of_y,
        a2 * scale / of_y,
        b1 * of_s / of_y,
        b2 * scale / of_y,
        (rho * (f + g) + c2) * of_y,
        (rho * (g * a1 + f * b1) + c1) * of_s,
        (rho * (g * a2 + f * b2) + c0) * scale,
        rho * f * g + c2 * (1 - alpha) + c1 - c0 + constant,
    ]

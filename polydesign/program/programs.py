"""How q is computed: the programs that there are, built from their constants.

Each builder takes its constants in the order that its docstring names, as any kind of number (floats run,
Fractions give the exact polynomial). basis.py has the way from coefficients to constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import isqrt
from typing import Any

from polydesign.model import EVALUATIONS, InputError, check_choice, check_integer
from polydesign.model.program import IDENTITY, A, Combination, Line, Program, monomial

INNER_DEGREES = (1, 2, 3, 4, 5, 6, 8)
"""Inner degrees that a search looks at: those with a program of as few products as any higher one has."""

_FIRST, _SECOND, _THIRD = 2, 3, 4  # what the lines give
_B, _T = _FIRST, _SECOND  # in every program of Chebyshev polynomials
_S = _FIRST  # in `origin` and `balanced`


def chebyshev(constants: Sequence[Any]) -> Program:
    """q by Chebyshev polynomials of B = scale·A − I: T = 2B² − I and T₃ = 2BT − B. Inner degrees 1 to 6.

    inner degree 1: q = k₁B + c
    inner degree 2: q = p₁B·B + k₁B + c
    inner degree 3: q = p₁B·T + k₁B + k₂T + c
    inner degree 4: q = (p₁B + p₂T)·T + k₁B + k₂T + c
    inner degrees 5 and 6: q = (p₁B + p₂T + p₃T₃)·T₃ + k₁B + k₂T + k₃T₃ + c, p₃ = 0 for 5

    constants: scale, p₁, …, k₁, …, c. Products: 0, 1, 2, 2, 3, 3. The constants are of order ten where those
    of powers of A are of order 10³, which is what lets degrees 7 to 13 run in half precision.
    """
    scale, *numbers, constant = constants
    shifted = Line(((A, scale), (IDENTITY, -1)))
    if len(numbers) == 1:
        return Program((shifted,), (_B, numbers[0]), constant)
    if len(numbers) == 2:
        p1, k1 = numbers
        return Program((shifted, Line(((_B, k1),), ((_B, 1),), ((_B, 1),), p1)), (_SECOND, 1), constant)
    square = Line(((IDENTITY, -1),), ((_B, 1),), ((_B, 1),), 2)
    if len(numbers) == 3:
        p1, k1, k2 = numbers
        cubic = Line(((_B, k1), (_T, k2)), ((_B, 1),), ((_T, 1),), p1)
        return Program((shifted, square, cubic), (_THIRD, 1), constant)
    if len(numbers) == 4:
        p1, p2, k1, k2 = numbers
        quartic = Line(((_B, k1), (_T, k2)), ((_B, p1), (_T, p2)), ((_T, 1),))
        return Program((shifted, square, quartic), (_THIRD, 1), constant)
    third = Line(((_B, -1),), ((_B, 1),), ((_T, 1),), 2)
    *factor, k1, k2, k3 = numbers
    sextic = Line(((_B, k1), (_T, k2), (_THIRD, k3)), tuple(enumerate(factor, start=_B)), ((_THIRD, 1),))
    return Program((shifted, square, third, sextic), (_THIRD + 1, 1), constant)


def factored(constants: Sequence[Any]) -> Program:
    """Inner degree 2ᵏ in k products, k >= 3: with R₀ = B, R₁ = T = 2B² − I and R₂ = T(T + αB),

    R_j = (R_(j−1) + Σ a_ji R_i)(R_(j−1) + Σ b_ji R_i), i < j − 1, for j from 3 to k,
    q = ρ R_k + Σ c_i R_i + c·I, i < k.

    constants: scale, ρ, α, for each j its a and then its b, the c_i, c; those of one sum from the highest
    register down. They are k² + 2. For k = 3 every q has such constants (basis.py); for more, those of long
    steps are searched for (search/long_steps.py): beside the scale k² of them are independent, and no program
    of k products reaches a larger set. With constants of I in a factor it would be the same set, since the
    sums that follow hold the lower registers anyway.

    Source: Paterson and Stockmeyer, SIAM J. Comput. 2, 1973, section 2 (Y·Y and what follows); Jarlebring
    and Lorentzon, arXiv 2504.01500 (the dimension).
    """
    scale, rho, alpha, *numbers, constant = constants
    k = isqrt(len(constants) - 2)
    left = iter(numbers)

    def lower(count: int) -> Combination:
        """So many registers from B on, with the next constants."""
        return tuple([(_B + i, next(left)) for i in reversed(range(count))][::-1])

    lines = [
        Line(((A, scale), (IDENTITY, -1))),
        Line(((IDENTITY, -1),), ((_B, 1),), ((_B, 1),), 2),
        Line((), ((_T, 1),), ((_B, alpha), (_T, 1))),
    ]
    for j in range(3, k + 1):
        first, second = ((*lower(j - 1), (_B + j - 1, 1)) for _ in range(2))
        lines.append(Line(lower(k) if j == k else (), first, second, rho if j == k else 1))
    return Program(tuple(lines), (_B + k, 1), constant)


def origin(constants: Sequence[Any]) -> Program:
    """q with every register zero at A = 0: no register holds a multiple of I. Inner degrees 3 to 6 and 8.

    With S = A² − wA, R = A·S + r₂S + r₁A and Y = S·(S + αA) + βS + γA, which are T₂(B), T₃(B) and a product
    of theirs less their values at A = 0:

    inner degree 3: q = p₁·A·S + k₂S + k₁A + c
    inner degree 4: q = (p₂S + p₁A)·S + k₂S + k₁A + c
    inner degrees 5 and 6: q = (p₃R + p₂S + p₁A)·R + k₃R + k₂S + k₁A + c, p₃ = 0 for 5
    inner degree 8: q = ρ·(Y + a₁S + a₂A)(Y + b₁S + b₂A) + c₂Y + c₁S + c₀A + c

    constants: w, then r₂, r₁ or ρ, α, β, γ, those of the factors and those of the sum as they stand, c.
    Products as in `chebyshev`. Where most of A's spectrum is near 0, as in the first step after the Frobenius
    norm, entries are small and so is what rounding adds; where it is not, registers are up to twice as large
    as those centred at B, and so is their rounding.
    """
    w, *numbers = constants
    square = Line(((A, -w),), ((A, 1),), ((A, 1),))
    if len(constants) == 5:
        p1, k2, k1, constant = numbers
        cubic = Line(((A, k1), (_S, k2)), ((A, 1),), ((_S, 1),), p1)
        return Program((square, cubic), (_SECOND, 1), constant)
    if len(constants) == 6:
        p2, p1, k2, k1, constant = numbers
        quartic = Line(((A, k1), (_S, k2)), ((A, p1), (_S, p2)), ((_S, 1),))
        return Program((square, quartic), (_SECOND, 1), constant)
    if len(constants) <= 10:
        r2, r1, *factor, k3, k2, k1, constant = numbers
        cubic = Line(((A, r1), (_S, r2)), ((A, 1),), ((_S, 1),))
        # p₁, p₂ and, for inner degree 6, p₃ belong to A, S and R.
        left = tuple(enumerate(factor[::-1], start=A))
        sextic = Line(((A, k1), (_S, k2), (_SECOND, k3)), left, ((_SECOND, 1),))
        return Program((square, cubic, sextic), (_THIRD, 1), constant)
    rho, alpha, beta, gamma, a1, a2, b1, b2, c2, c1, c0, constant = numbers
    lines = (
        square,
        Line(((A, gamma), (_S, beta)), ((_S, 1),), ((A, alpha), (_S, 1))),
        Line(
            ((A, c0), (_S, c1), (_SECOND, c2)),
            ((A, a2), (_S, a1), (_SECOND, 1)),
            ((A, b2), (_S, b1), (_SECOND, 1)),
            rho,
        ),
    )
    return Program(lines, (_THIRD, 1), constant)


def balanced(constants: Sequence[Any]) -> Program:
    """q with S = s₂A² + s₁A (+ s₀I) and Y = S·(S + αA) + βS, for inner degrees 4 and 8:

    inner degree 4: q = (p₂S + p₁A + p₀I)·S + kA + c
    inner degree 8: q = ρ·(Y + a₁S + a₂A + a₀I)(Y + b₁S + b₂A + b₀I) + kA + c

    constants: s₂, s₁, s₀, p₂, p₁, p₀, k, c, or s₂, s₁, α, β, ρ, a₁, a₂, a₀, b₁, b₂, b₀, k, c. Products as in
    `chebyshev`. Multiples of I are in the factors and in the S of inner degree 4 only, sums are never stored
    beside them, and there is freedom left, which program/balanced.py uses up.
    """
    s2, s1, *numbers = constants
    if len(constants) == 8:
        s0, p2, p1, p0, k, constant = numbers
        square = Line(((A, s1), (IDENTITY, s0)), ((A, 1),), ((A, 1),), s2)
        quartic = Line(((A, k),), ((A, p1), (_S, p2), (IDENTITY, p0)), ((_S, 1),))
        return Program((square, quartic), (_SECOND, 1), constant)
    alpha, beta, rho, a1, a2, a0, b1, b2, b0, k, constant = numbers
    lines = (
        Line(((A, s1),), ((A, 1),), ((A, 1),), s2),
        Line(((_S, beta),), ((_S, 1),), ((A, alpha), (_S, 1))),
        Line(
            ((A, k),),
            ((A, a2), (_S, a1), (_SECOND, 1), (IDENTITY, a0)),
            ((A, b2), (_S, b1), (_SECOND, 1), (IDENTITY, b0)),
            rho,
        ),
    )
    return Program(lines, (_THIRD, 1), constant)


_BUILDERS: dict[str, dict[int, tuple[Callable[[Sequence[Any]], Program], int]]] = {
    "chebyshev": {**{n: (chebyshev, n + 2) for n in range(1, 7)}, 8: (factored, 11)},
    "origin": {n: (origin, count) for n, count in ((3, 5), (4, 6), (5, 9), (6, 10), (8, 13))},
    "balanced": {4: (balanced, 8), 8: (balanced, 13)},
}
"""Evaluation -> inner degree -> what builds its program, and from how many constants."""


def build(evaluation: str, inner_degree: int, constants: Sequence[Any]) -> Program:
    """The program of these constants, of whatever kind of number they are.

    Raises InputError for an evaluation that is not known, and where it has no program of this inner degree.
    """
    check_evaluation(evaluation, inner_degree)
    if evaluation == "monomial":
        return monomial(constants)
    return _BUILDERS[evaluation][inner_degree][0](constants)


@lru_cache(maxsize=256)
def products(evaluation: str, inner_degree: int) -> int:
    """How many products the program of this inner degree takes, whatever its constants. Raises as `build`."""
    inner_degree = check_integer("inner_degree", inner_degree, 1)
    check_evaluation(evaluation, inner_degree)
    count = inner_degree + 1 if evaluation == "monomial" else _BUILDERS[evaluation][inner_degree][1]
    return build(evaluation, inner_degree, [1.0] * count).products


def check_evaluation(evaluation: str, inner_degree: int) -> None:
    """Refuse an evaluation that is not known, or has no program of this inner degree."""
    check_choice("evaluation", evaluation, EVALUATIONS)
    known = _BUILDERS.get(evaluation)
    if known and inner_degree not in known:
        *most, highest = known
        raise InputError(
            "evaluation",
            f"{evaluation} has programs for inner degrees {most[0]} to {most[-1]} and {highest}, and this "
            f"step has {inner_degree}: take monomial, or the next degree that it has",
        )


def preferred(inner_degree: int) -> str:
    """The evaluation to take where nobody says: monomial up to 2 and where Chebyshev has no program.

    With inner degree 2 the two round alike, and a row of three numbers runs everywhere; from 3 on powers of
    A lose half precision (design rule from experiment, tests/test_prototypes.py).
    """
    return "chebyshev" if inner_degree > 2 and inner_degree in _BUILDERS["chebyshev"] else "monomial"

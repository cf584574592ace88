"""Straight-line programs for q: one description that is counted, simulated, run and exported.

A program evaluates Q(A) = q(A) − c·I from A by matrix products and linear combinations. The constant c is
kept apart: it multiplies X in the last scaled addition, X ← c·X + Q·X, and is never stored in a matrix,
because an identity rounded to the state's precision errs the same way in every diagonal entry and the error
does not average out. Where a line needs a multiple of I, it is added to a diagonal.

Constants are any numbers: floats run, Fractions give the exact polynomial (`expanded`), tensors let compiled
code take another table without compiling again. Weights that are whole numbers of Python (1, −1, 2) belong
to the program itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from polydesign.model import EVALUATIONS, InputError, Step, check_integer

IDENTITY = -1
"""The register that is I; only sums hold it."""

Combination = tuple[tuple[int, Any], ...]
"""A linear combination of registers: pairs (register, weight). Register 0 is A."""


@dataclass(frozen=True, slots=True)
class Line:
    """One register: weight·left·right + plus, or `plus` alone where left is empty."""

    plus: Combination
    left: Combination = ()
    right: Combination = ()
    weight: Any = 1


@dataclass(frozen=True, slots=True)
class Program:
    """Q(A) as a straight line: line k gives register k + 1; result is Q, a single register times a weight.

    constant: c, so that q(A) = Q(A) + c·I.
    """

    lines: tuple[Line, ...]
    result: tuple[int, Any]
    constant: Any

    @property
    def products(self) -> int:
        """How many matrix products it takes."""
        return sum(bool(line.left) for line in self.lines)

    def __call__(self, a: Any) -> Any:
        """q(a) for a number, or for whatever else has sums and products; I is 1."""
        values = [a]
        for line in self.lines:
            value = _total(line.plus, values)
            if line.left:
                value = value + line.weight * (_total(line.left, values) * _total(line.right, values))
            values.append(value)
        index, weight = self.result
        return weight * values[index] + self.constant


def _total(terms: Combination, values: list[Any]) -> Any:
    return sum(weight if r == IDENTITY else weight * values[r] for r, weight in terms)


def block_size(inner_degree: int) -> int:
    """The Paterson-Stockmeyer block s with the fewest products (s − 1) + (⌈n/s⌉ − 1), smallest s first."""
    n = inner_degree
    return min(range(1, n + 1), key=lambda s: (s - 1) + math.ceil(n / s) - 1)


def monomial(coefficients: Sequence[Any]) -> Program:
    """q = Σ c_j Aʲ by Paterson and Stockmeyer (SIAM J. Comput. 2, 1973) without a stored identity.

    With block size s and powers A, …, Aˢ, Horner's rule in Aˢ runs over the blocks
    c_(ks+1) A + … + c_(ks+s) Aˢ: where the textbook adds c_(ks)·I before the next product, this adds
    c_(ks)·Aˢ after it. Products: 0, 1, 2, 2, 3, 3, 4, 4 for inner degree 1 to 8.
    """
    n = len(coefficients) - 1
    if n == 1:
        return Program((), (0, coefficients[1]), coefficients[0])
    s = block_size(n)
    lines = [Line((), ((0, 1),), ((k, 1),)) for k in range(s - 1)]
    highest = (s - 1, 1)  # Aˢ

    def block(k: int) -> Combination:
        return tuple((i - 1, coefficients[k * s + i]) for i in range(1, s + 1) if k * s + i <= n)

    blocks = math.ceil(n / s)
    last = block(blocks - 1)
    for k in reversed(range(blocks - 1)):
        # A lone register keeps its weight for the product's own scale.
        left, weight = (((last[0][0], 1),), last[0][1]) if len(last) == 1 else (last, 1)
        lines.append(Line(block(k), left, (highest,), weight))
        last = ((len(lines), 1),)
    return Program(tuple(lines), last[0], coefficients[0])


_B, _T = 1, 2  # registers of every Chebyshev program but the first


def chebyshev(constants: Sequence[Any]) -> Program:
    """q = Σ t_j T_j(B), B = scale·A − I, for inner degrees 1 to 6; constants: scale, t_0, …, t_n.

    With T = T₂(B) = 2B² − I and T₃ = 2BT − B, T_(i+j) = 2 T_i T_j − T_|i−j| folds the higher ones into one
    product. Products: 0, 1, 2, 2, 3, 3. The coefficients t are of order ten where those of powers of A are
    of order 10³, which is what lets degrees 7 to 13 run in half precision.
    """
    scale, t, n = constants[0], constants[1:], len(constants) - 2
    if n == 1:
        return Program((), (0, scale * t[1]), t[0] - t[1])
    lines = [Line(((0, scale), (IDENTITY, -1)))]
    if n == 2:
        lines.append(Line(((_B, t[1]),), ((_B, 1),), ((_B, 1),), 2 * t[2]))
        return Program(tuple(lines), (2, 1), t[0] - t[2])
    lines.append(Line(((IDENTITY, -1),), ((_B, 1),), ((_B, 1),), 2))
    if n == 3:
        lines.append(Line(((_B, t[1] - t[3]), (_T, t[2])), ((_B, 1),), ((_T, 1),), 2 * t[3]))
        return Program(tuple(lines), (3, 1), t[0])
    if n == 4:
        plus = ((_B, t[1] - t[3]), (_T, t[2]))
        lines.append(Line(plus, ((_B, 2 * t[3]), (_T, 2 * t[4])), ((_T, 1),)))
        return Program(tuple(lines), (3, 1), t[0] - t[4])
    lines.append(Line(((_B, -1),), ((_B, 1),), ((_T, 1),), 2))
    factor: Combination = ((_B, 2 * t[4]), (_T, 2 * t[5]))
    constant = t[0]
    if n == 6:
        factor, constant = (*factor, (3, 2 * t[6])), t[0] - t[6]
    plus = ((_B, t[1] - t[5]), (_T, t[2] - t[4]), (3, t[3]))
    lines.append(Line(plus, factor, ((3, 1),)))
    return Program(tuple(lines), (4, 1), constant)


def factored(constants: Sequence[Any]) -> Program:
    """Inner degree 8 in three products: with T = 2B² − I and Y = T(T + αB),

    q = ρ (Y + a₁T + a₂B)(Y + b₁T + b₂B) + c₂Y + c₁T + c₀B + c_I·I. constants: as CONSTANTS names them.
    """
    scale, rho, alpha, a1, a2, b1, b2, c2, c1, c0, constant = constants
    lines = (
        Line(((0, scale), (IDENTITY, -1))),
        Line(((IDENTITY, -1),), ((_B, 1),), ((_B, 1),), 2),
        Line((), ((_T, 1),), ((_B, alpha), (_T, 1))),
        Line(
            ((_B, c0), (_T, c1), (3, c2)),
            ((_B, a2), (_T, a1), (3, 1)),
            ((_B, b2), (_T, b1), (3, 1)),
            rho,
        ),
    )
    return Program(lines, (4, 1), constant)


_CHEBYSHEV = {n: ("scale", *(f"t{j}" for j in range(n + 1))) for n in range(1, 7)}
_CHEBYSHEV[8] = ("scale", "rho", "alpha", "a1", "a2", "b1", "b2", "c2", "c1", "c0", "cI")


def origin(constants: Sequence[Any]) -> Program:
    """q with every register zero at A = 0: no register holds a multiple of I. Inner degrees 3 to 6 and 8.

    With S = A² − wA, R = A·S + r₂S + r₁A and Y = S·(S + αA) + βS + γA, which are T₂(B), T₃(B) and a product
    of theirs less their values at A = 0:

    inner degree 3: q = p₁·A·S + k₂S + k₁A + c
    inner degree 4: q = (p₂S + p₁A)·S + k₂S + k₁A + c
    inner degrees 5 and 6: q = (p₃R + p₂S + p₁A)·R + k₃R + k₂S + k₁A + c, p₃ = 0 for 5
    inner degree 8: q = ρ·(Y + a₁S + a₂A)(Y + b₁S + b₂A) + c₂Y + c₁S + c₀A + c

    constants: as constant_names names them. Products as in `chebyshev`. Where most of A's spectrum is near
    0, as in the first step after the Frobenius norm, entries are small and so is what rounding adds; where
    it is not, registers are up to twice as large as those centred at B, and so is their rounding.
    """
    w, *numbers = constants
    square = Line(((0, -w),), ((0, 1),), ((0, 1),))
    if len(constants) == 5:
        p1, k2, k1, constant = numbers
        cubic = Line(((0, k1), (_S, k2)), ((0, 1),), ((_S, 1),), p1)
        return Program((square, cubic), (2, 1), constant)
    if len(constants) == 6:
        p2, p1, k2, k1, constant = numbers
        quartic = Line(((0, k1), (_S, k2)), ((0, p1), (_S, p2)), ((_S, 1),))
        return Program((square, quartic), (2, 1), constant)
    if len(constants) <= 10:
        r2, r1, *factor, k3, k2, k1, constant = numbers
        cubic = Line(((0, r1), (_S, r2)), ((0, 1),), ((_S, 1),))
        # p₁, p₂ and, for inner degree 6, p₃ belong to A, S and R.
        left = tuple(enumerate(factor[::-1]))
        sextic = Line(((0, k1), (_S, k2), (2, k3)), left, ((2, 1),))
        return Program((square, cubic, sextic), (3, 1), constant)
    rho, alpha, beta, gamma, a1, a2, b1, b2, c2, c1, c0, constant = numbers
    lines = (
        square,
        Line(((0, gamma), (_S, beta)), ((_S, 1),), ((0, alpha), (_S, 1))),
        Line(((0, c0), (_S, c1), (2, c2)), ((0, a2), (_S, a1), (2, 1)), ((0, b2), (_S, b1), (2, 1)), rho),
    )
    return Program(lines, (3, 1), constant)


def balanced(constants: Sequence[Any]) -> Program:
    """q with S = s₂A² + s₁A (+ s₀I) and Y = S·(S + αA) + βS, for inner degrees 4 and 8:

    inner degree 4: q = (p₂S + p₁A + p₀I)·S + kA + c
    inner degree 8: q = ρ·(Y + a₁S + a₂A + a₀I)(Y + b₁S + b₂A + b₀I) + kA + c

    Products as in `chebyshev`. Multiples of I are in the factors and in the S of inner degree 4 only, sums
    are never stored beside them, and there is freedom left, which program/balanced.py uses up.
    """
    s2, s1, *numbers = constants
    if len(constants) == 8:
        s0, p2, p1, p0, k, constant = numbers
        square = Line(((0, s1), (IDENTITY, s0)), ((0, 1),), ((0, 1),), s2)
        quartic = Line(((0, k),), ((0, p1), (_S, p2), (IDENTITY, p0)), ((_S, 1),))
        return Program((square, quartic), (2, 1), constant)
    alpha, beta, rho, a1, a2, a0, b1, b2, b0, k, constant = numbers
    lines = (
        Line(((0, s1),), ((0, 1),), ((0, 1),), s2),
        Line(((_S, beta),), ((_S, 1),), ((0, alpha), (_S, 1))),
        Line(
            ((0, k),),
            ((0, a2), (_S, a1), (2, 1), (IDENTITY, a0)),
            ((0, b2), (_S, b1), (2, 1), (IDENTITY, b0)),
            rho,
        ),
    )
    return Program(lines, (3, 1), constant)


_S = 1  # its register in `origin` and `balanced`

_ORIGIN = {
    3: ("w", "p1", "k2", "k1", "c"),
    4: ("w", "p2", "p1", "k2", "k1", "c"),
    5: ("w", "r2", "r1", "p2", "p1", "k3", "k2", "k1", "c"),
    6: ("w", "r2", "r1", "p3", "p2", "p1", "k3", "k2", "k1", "c"),
    8: ("w", "rho", "alpha", "beta", "gamma", "a1", "a2", "b1", "b2", "c2", "c1", "c0", "c"),
}

_BALANCED = {
    4: ("s2", "s1", "s0", "p2", "p1", "p0", "k", "c"),
    8: ("s2", "s1", "alpha", "beta", "rho", "a1", "a2", "a0", "b1", "b2", "b0", "k", "c"),
}

_PROGRAMS = {"monomial": {}, "chebyshev": _CHEBYSHEV, "origin": _ORIGIN, "balanced": _BALANCED}


def constant_names(evaluation: str, inner_degree: int) -> tuple[str, ...]:
    """The names of a step's `program`, in the order of its numbers; none for monomial.

    Raises InputError where the evaluation has no program of this inner degree.
    """
    if evaluation == "monomial":
        return ()
    known = _PROGRAMS[evaluation]
    if inner_degree not in known:
        *most, highest = known
        raise InputError(
            "evaluation",
            f"{evaluation} has programs for inner degrees {most[0]} to {most[-1]} and {highest}, and this "
            f"step has {inner_degree}: take monomial, or the next degree that it has",
        )
    return known[inner_degree]


@lru_cache(maxsize=256)
def products(evaluation: str, inner_degree: int) -> int:
    """How many products the program of this inner degree takes, whatever its constants.

    Raises InputError for an evaluation that is not known, and where it has no program of this inner degree.
    """
    if evaluation not in EVALUATIONS:
        raise InputError("evaluation", f"{evaluation!r} is not one of {', '.join(EVALUATIONS)}")
    check_integer("inner_degree", inner_degree, 1)
    names = constant_names(evaluation, inner_degree)
    return build(evaluation, inner_degree, [1.0] * (len(names) or inner_degree + 1)).products


def preferred(inner_degree: int) -> str:
    """The evaluation to take where nobody says: monomial up to 2 and where Chebyshev has no program.

    With inner degree 2 the two round alike, and a row of three numbers runs everywhere; from 3 on powers of
    A lose half precision (design rule from experiment, tests/test_prototypes.py).
    """
    return "chebyshev" if inner_degree > 2 and inner_degree in _CHEBYSHEV else "monomial"


def constants(step: Step) -> tuple[float, ...]:
    """The numbers that run: the step's program, or its coefficients where they are one."""
    return step.program or step.coefficients


def build(evaluation: str, inner_degree: int, numbers: Sequence[Any]) -> Program:
    """The program of these constants (see constant_names), of whatever kind of number they are."""
    if evaluation == "monomial":
        return monomial(numbers)
    if evaluation == "origin":
        return origin(numbers)
    if evaluation == "balanced":
        return balanced(numbers)
    return factored(numbers) if inner_degree == 8 else chebyshev(numbers)


@lru_cache(maxsize=1024)
def program(step: Step) -> Program:
    """The program that a step runs."""
    return build(step.evaluation, step.inner_degree, constants(step))

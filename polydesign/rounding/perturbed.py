"""A schedule run in float64 with every stored matrix rounded at random: how far apart correct codes may be.

No first-order model: what is nonlinear, a value that leaves its domain, is seen as it happens. The program is
that of the table, so that another program of the same polynomial, powers of A where the table says chebyshev,
is not excused. A draw of kind random rounds every entry by itself; one of kind coherent rounds all entries of
a matrix off its diagonal by the same factor, and those on it by another, as blocks of equal entries do. Of
a stack (..., m, n) each matrix is a draw: small ones cost their calls, and a stack has as many as one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from polydesign.model import Schedule
from polydesign.model.precision import PRECISIONS, UNIT_ROUNDOFF
from polydesign.model.program import Algebra, Program, Terms


@dataclass(frozen=True, slots=True)
class RandomRounding:
    """A draw a matrix: how a precision (a name of UNIT_ROUNDOFF) rounds what is stored, and what is summed.

    Summing errs by the u of float32, or of float64 for a state of it: of k terms by √k·u·(|a|·|b|) at random
    and k/2·u·(|a|·|b|) where all partial sums err the same way (Higham, Accuracy and Stability of Numerical
    Algorithms, 2002, section 4.2).
    """

    dtype: str
    generator: np.random.Generator
    coherent: bool

    def stored(self, value: np.ndarray) -> np.ndarray:
        """value (..., m, n), each entry off by at most u of itself."""
        size = np.maximum(abs(value), PRECISIONS[self.dtype].smallest_normal) * (value != 0)
        return value + UNIT_ROUNDOFF[self.dtype] * self._directions(value.shape) * size

    def scalar(self, value: float, stack: tuple[int, ...] = ()) -> np.ndarray:
        """A norm that may be stored in the state's precision, (*stack, 1, 1): off by at most u of itself."""
        return value * (1 + UNIT_ROUNDOFF[self.dtype] * self.generator.uniform(-1, 1, (*stack, 1, 1)))

    def product(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """a·b as it is summed, before it is stored."""
        terms = a.shape[-1]
        reach = terms / 2 if self.coherent else math.sqrt(terms)
        u = min(UNIT_ROUNDOFF[self.dtype], UNIT_ROUNDOFF["float32"])
        directions = self._directions((*a.shape[:-1], b.shape[-1]))
        return a @ b + reach * u * directions * (np.abs(a) @ np.abs(b))

    def _directions(self, shape: tuple[int, ...]) -> np.ndarray:
        if not self.coherent:
            return self.generator.uniform(-1, 1, shape)
        # The two signs that generator.choice([-1.0, 1.0], 2) draws, which takes ten times as long.
        *stack, m, n = shape
        signs = self.generator.integers(0, 2, (*stack, 2)) * 2.0 - 1
        found = np.empty((*stack, m * n))
        found[...] = signs[..., :1]
        found[..., : n**2 : n + 1] = signs[..., 1:]
        return found.reshape(shape)


def perturbed_sign(M: np.ndarray, norm: float, schedule: Schedule, rounding: RandomRounding) -> np.ndarray:
    """U f(Σ/norm) Vᵀ of M = U Σ Vᵀ (..., m, n), m <= n, as a draw of rounding leaves each; root 2."""
    X = rounding.stored(rounding.stored(M) / rounding.scalar(norm, M.shape[:-2]))
    for step in schedule.steps:
        code = step.program
        Q = _inner(code, rounding.stored(rounding.product(X, X.swapaxes(-1, -2))), rounding)
        X = rounding.stored(rounding.product(Q, X) + code.constant * X)
    return X


def perturbed_inverse_root(
    P: np.ndarray, norm: float, schedule: Schedule, rounding: RandomRounding
) -> np.ndarray:
    """V diag(λ^(−1/r) f((λ/norm)^(1/r))) Vᵀ of symmetric positive P = V Λ Vᵀ (..., n, n), by W = q(P),
    G ← G W, P ← P Wʳ, as a draw of rounding leaves each."""
    A = rounding.stored(rounding.stored(P) / rounding.scalar(norm, P.shape[:-2]))
    identity = np.eye(P.shape[-1])
    G = identity
    for index, step in enumerate(schedule.steps):
        code = step.program
        W = rounding.stored(_inner(code, A, rounding) + code.constant * identity)
        G = rounding.stored(rounding.product(G, W)) if index else W
        for _ in range(schedule.root):
            A = rounding.stored(rounding.product(A, W))
    return rounding.stored(G * norm ** (-1 / schedule.root))


class _Perturbed(Algebra):
    """Matrices whose registers are rounded once, and every sum that is a factor."""

    def __init__(self, rounding: RandomRounding, identity: np.ndarray) -> None:
        self.rounding, self.identity = rounding, identity

    def total(self, terms: Terms, shift: Any) -> np.ndarray:
        found = sum((weight * matrix for matrix, weight in terms), np.zeros_like(self.identity))
        return found if shift is None else found + shift * self.identity

    def factor(self, terms: Terms, shift: Any, side: str) -> np.ndarray:
        return self.rounding.stored(self.total(terms, shift))

    def addend(self, terms: Terms) -> np.ndarray:
        return self.total(terms, None)

    def product(
        self, left: np.ndarray, right: np.ndarray, weight: Any, addend: np.ndarray, shift: Any
    ) -> np.ndarray:
        found = addend if shift is None else addend + shift * self.identity
        return found + weight * self.rounding.product(left, right)

    def register(self, index: int, value: np.ndarray) -> np.ndarray:
        return self.rounding.stored(value)


def _inner(code: Program, A: np.ndarray, rounding: RandomRounding) -> np.ndarray:
    """Q(A) = q(A) − c·I by the program."""
    index, weight = code.result
    return weight * code.registers(A, _Perturbed(rounding, np.eye(A.shape[-1])))[index]

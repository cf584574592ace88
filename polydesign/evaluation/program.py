"""Straight-line programs for q: one description that is counted, run and exported.

A program evaluates Q(A) = q(A) − c_0·I from A by matrix products and linear combinations. The constant
c_0 is kept apart: it multiplies X in the last scaled addition, X ← c_0·X + Q·X, and is never stored in a
matrix, because an identity rounded to the state's precision errs the same way in every diagonal entry and
the error does not average out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from polydesign.model import Step

Combination = tuple[tuple[int, float], ...]
"""A linear combination of registers: pairs (register, weight). Register 0 is A."""


@dataclass(frozen=True, slots=True)
class Program:
    """Q(A) as a straight line: product k multiplies two combinations of registers into register k + 1.

    result is Q as a combination of registers; constant is c_0.
    """

    products: tuple[tuple[Combination, Combination], ...]
    result: Combination
    constant: float


def block_size(inner_degree: int) -> int:
    """The Paterson-Stockmeyer block s with the fewest products (s − 1) + (⌈n/s⌉ − 1), smallest s first."""
    n = inner_degree
    return min(range(1, n + 1), key=lambda s: (s - 1) + math.ceil(n / s) - 1)


def monomial(coefficients: tuple[float, ...]) -> Program:
    """q = Σ c_j Aʲ by Paterson and Stockmeyer (SIAM J. Comput. 2, 1973) without a stored identity.

    With block size s and powers A, …, Aˢ, Horner's rule in Aˢ runs over the blocks
    c_(ks+1) A + … + c_(ks+s) Aˢ: where the textbook adds c_(ks)·I before the next product, this adds
    c_(ks)·Aˢ after it. Products: 0, 1, 2, 2, 3, 3, 4, 4 for inner degree 1 to 8.
    """
    n = len(coefficients) - 1
    s = block_size(n)
    products: list[tuple[Combination, Combination]] = [(((0, 1.0),), ((k, 1.0),)) for k in range(s - 1)]

    def block(k: int) -> Combination:
        return tuple((i - 1, coefficients[k * s + i]) for i in range(1, s + 1) if k * s + i <= n)

    blocks = math.ceil(n / s)
    result = block(blocks - 1)
    for k in reversed(range(blocks - 1)):
        products.append((result, ((s - 1, 1.0),)))
        result = (*block(k), (len(products), 1.0))
    return Program(tuple(products), result, coefficients[0])


PROGRAMS = {"monomial": monomial}


def program(step: Step) -> Program:
    """The program that a step's evaluation names."""
    return PROGRAMS[step.evaluation](step.coefficients)

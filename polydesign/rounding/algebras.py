"""Matrices of few different numbers, whose products are of the same kind: two numbers say all of aI + bJ.

In such a matrix every entry of a register is rounded alike, nothing averages out, and what rounding adds up
to is largest. Because a few numbers say all of it, millions of matrices can be followed with the roundings of
the run itself (rounding/followed.py).

The matrices are those of coherent algebras: n x n matrices that are constant on each of a few classes of
places, and closed under products, sums and transposition. Source: Higman, Coherent algebras, Linear Algebra
Appl. 93, 1987.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product as pairs
from typing import Any

import numpy as np

Number = Any
"""An int, or one number a member: float64, shape (count,)."""

Terms = tuple[tuple[int, int, int, Number], ...]
"""A bilinear map: entry k of the result is the sum of weight·left[i]·right[j] over its (k, i, j, weight)."""


@dataclass(frozen=True, slots=True)
class Members:
    """Matrices X that are followed together: what their products are, and what they hold.

    Attributes:
        product: Of two m x m matrices of the algebra; entries are one number a class.
        gram: X Xᵀ from the entries of X.
        action: Q X from those of Q and X.
        diagonal: Classes of the algebra on the diagonal.
        entries: Of X, shape (count,) each, in float64, before anything is rounded.
        transform: Rows of weights; the sum of weight·entry of row v is value v of X.
        values: Shape (count,) each: what `transform` makes of `entries`, real, or complex for circulants;
            singular values with their sign, or phase.
    """

    product: Terms
    gram: Terms
    action: Terms
    diagonal: tuple[int, ...]
    entries: tuple[np.ndarray, ...]
    transform: tuple[tuple[Number, ...], ...]
    values: tuple[np.ndarray, ...]

    def transformed(self, entries: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The values of a matrix with these entries."""
        return [_weighted(row, entries) for row in self.transform]


@dataclass(frozen=True, slots=True)
class Commutative:
    """A commutative coherent algebra of m x m matrices.

    Attributes:
        product: Of two of its matrices.
        opposite: The class of (j, i) where that of (i, j) is k; the identity where all are symmetric.
        diagonal: Classes on the diagonal.
        characters: Rows of weights: eigenvalue v of a matrix is the sum of weight·entry.
        idempotents: For each eigenvalue the entries of the projection on its space.
        multiplicities: Of the eigenvalues.
    """

    product: Terms
    opposite: tuple[int, ...]
    diagonal: tuple[int, ...]
    characters: tuple[tuple[Number, ...], ...]
    idempotents: tuple[tuple[Number, ...], ...]
    multiplicities: tuple[Number, ...]

    def members(self, values: Sequence[np.ndarray], repeats: Number = 1) -> Members:
        """X ⊗ 1ᵀ of these values, singular values times a sign or a phase; columns stand `repeats` times."""
        root = np.sqrt(repeats)
        columns = zip(*self.idempotents, strict=True)
        entries = [np.real(_weighted(column, values)) / root for column in columns]
        gram = tuple((k, i, self.opposite[j], c * repeats) for k, i, j, c in self.product)
        transform = tuple(tuple(w * root for w in row) for row in self.characters)
        return Members(
            self.product, gram, self.product, self.diagonal, tuple(entries), transform, tuple(values)
        )


def _weighted(weights: Sequence[Number], of: Sequence[np.ndarray]) -> np.ndarray:
    first, *others = (w * x for w, x in zip(weights, of, strict=True))
    return np.asarray(sum(others, start=first))


def all_equal(m: Number) -> Commutative:
    """aI + bJ of m >= 2 rows: classes are the diagonal and the rest; eigenvalues a + m·b once, and a."""
    rest = m - 1
    product = ((0, 0, 0, 1), (0, 1, 1, rest), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, m - 2))
    mean = 1 / np.asarray(m, float)
    return Commutative(
        product, (0, 1), (0,), ((1, rest), (1, -1)), ((mean, mean), (1 - mean, -mean)), (1, rest)
    )


def numbers() -> Commutative:
    """1 x 1: diagonal matrices, one entry at a time."""
    return Commutative(((0, 0, 0, 1),), (0,), (0,), ((1,),), ((1,),), (1,))


def circulant(n: int) -> Commutative:
    """Circulants of side n: class k holds the places (i, i + k)."""
    product = tuple((k, i, (k - i) % n, 1) for k in range(n) for i in range(n))
    turns = [[2 * math.pi * k * v / n for k in range(n)] for v in range(n)]
    wave = [[complex(math.cos(t), math.sin(t)) for t in row] for row in turns]
    # What is real is exactly so.
    wave = [[w.real if v % n == 0 or 2 * v == n else w for w in row] for v, row in enumerate(wave)]
    characters = tuple(tuple(round(w) if isinstance(w, float) else w for w in row) for row in wave)
    idempotents = tuple(tuple(np.conj(w) / n for w in row) for row in characters)
    opposite = tuple(-k % n for k in range(n))
    return Commutative(product, opposite, (0,), characters, idempotents, (1,) * n)


def dyadic(n: int) -> Commutative:
    """H D Hᵀ/n with a diagonal D and Sylvester's Hadamard matrix H of side n, a power of two.

    Class k holds the places (i, i xor k).
    """
    product = tuple((k, i, k ^ i, 1) for k in range(n) for i in range(n))
    characters = tuple(tuple(1 - 2 * ((v & k).bit_count() % 2) for k in range(n)) for v in range(n))
    idempotents = tuple(tuple(w / n for w in row) for row in characters)
    return Commutative(product, tuple(range(n)), (0,), characters, idempotents, (1,) * n)


def kronecker(left: Commutative, right: Commutative) -> Commutative:
    """The algebra of all sums of A ⊗ B."""
    width = len(right.opposite)
    product = tuple(
        (k * width + h, i * width + p, j * width + q, c * d)
        for (k, i, j, c), (h, p, q, d) in pairs(left.product, right.product)
    )
    opposite = tuple(k * width + h for k, h in pairs(left.opposite, right.opposite))
    diagonal = tuple(k * width + h for k, h in pairs(left.diagonal, right.diagonal))

    def both(one: Sequence[Any], other: Sequence[Any]) -> tuple[tuple[Number, ...], ...]:
        return tuple(tuple(a * b for a, b in pairs(x, y)) for x, y in pairs(one, other))

    multiplicities = tuple(a * b for a, b in pairs(left.multiplicities, right.multiplicities))
    characters, idempotents = (
        both(left.characters, right.characters),
        both(left.idempotents, right.idempotents),
    )
    return Commutative(product, opposite, diagonal, characters, idempotents, multiplicities)


def equal_columns(p: np.ndarray, q: np.ndarray) -> Members:
    """[[p, q], [p, −q]] with singular values √2·|p| and √2·|q|: columns are equal but for a sign."""
    algebra = all_equal(2)
    gram = ((0, 0, 0, 1), (0, 1, 1, 1), (1, 0, 0, 1), (1, 1, 1, -1))
    action = ((0, 0, 0, 1), (0, 1, 0, 1), (1, 0, 1, 1), (1, 1, 1, -1))
    root = math.sqrt(2)
    values = (root * p, root * q)
    return Members(algebra.product, gram, action, (0,), (p, q), ((root, 0), (0, root)), values)

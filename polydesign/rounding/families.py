"""Families of matrices whose roundings agree, by the million: random members, and all there are where finite.

Random numbers are made of sums, products and powers of two, so that every machine draws the same members.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from polydesign.model.precision import PRECISIONS
from polydesign.rounding.algebras import (
    Members,
    all_equal,
    circulant,
    dyadic,
    equal_columns,
    kronecker,
    numbers,
)

Random = np.random.Generator

LARGEST = 4096
"""Largest side of a block of equal entries."""

MOST_ROWS = 256
"""Of aI + bJ. Its columns are repeated up to MOST_REPEATS times."""

MOST_REPEATS = 8


def _spread(rng: Random, count: int, octaves: float) -> np.ndarray:
    """Numbers from 2^(−octaves) to 1 whose logarithms are nearly uniform: straight within an octave."""
    x = rng.random(count) * octaves
    whole = np.floor(x)
    return np.ldexp(1 - (x - whole) / 2, -whole.astype(np.int64))


def _sizes(rng: Random, count: int, least: int, largest: int) -> np.ndarray:
    """Whole numbers, small ones as often as large ones."""
    octaves = float(np.log2((largest + 1) / least))
    return np.clip(np.floor((largest + 1) * _spread(rng, count, octaves)), least, largest)


def _signs(rng: Random, count: int) -> np.ndarray:
    return np.where(rng.random(count) < 0.5, -1.0, 1.0)


def _normalized(rng: Random, values: list[Any], multiplicities: tuple[Any, ...]) -> list[np.ndarray]:
    """Three of four have Frobenius norm 1; the others are less, and the rest of Σσ² is elsewhere."""
    norm = np.sqrt(sum(m * np.abs(v) ** 2 for v, m in zip(values, multiplicities, strict=True)))
    room = np.where(rng.random(len(norm)) < 0.75, 1.0, _spread(rng, len(norm), 5))
    return [v * (room / norm) for v in values]


def diagonal_and_rest(rng: Random, count: int, lower: float = 1e-3) -> Members:
    """(aI + bJ) ⊗ 1ᵀ, the ratio of the two singular values from `lower` to its inverse."""
    octaves = -float(np.log2(lower))
    one, other = _spread(rng, count, octaves), np.ones(count)
    swap = rng.random(count) < 0.5
    values = [_signs(rng, count) * np.where(swap, one, other), np.where(swap, other, one)]
    algebra = all_equal(_sizes(rng, count, 2, MOST_ROWS))
    repeats = np.floor(1 + MOST_REPEATS * rng.random(count))
    return algebra.members(_normalized(rng, values, algebra.multiplicities), repeats)


def blocks(rng: Random, count: int, lower: float = 1e-3) -> Members:
    """h x w blocks of equal entries of the singular value x, 1 for half of them, beside other entries."""
    h, w = _sizes(rng, count, 2, LARGEST), _sizes(rng, count, 1, LARGEST)
    x = np.where(rng.random(count) < 0.5, 1.0, _spread(rng, count, -float(np.log2(lower))))
    return all_equal(h).members((x, np.zeros(count)), w / h)


def two_rows(rng: Random, count: int, lower: float = 1e-3) -> Members:
    """[[p, q], [p, −q]]."""
    ratio = _spread(rng, count, -float(np.log2(lower)))
    one, other = _normalized(rng, [np.ones(count), ratio], (1, 1))
    return equal_columns(one / np.sqrt(2), other / np.sqrt(2))


def products(rng: Random, count: int, lower: float = 1e-3) -> Members:
    """(aI + bJ) ⊗ (cI + dJ) and sums of such, of up to 32 x 32 rows: four singular values."""
    algebra = kronecker(*(all_equal(_sizes(rng, count, 2, 32)) for _ in range(2)))
    return algebra.members(_levels(rng, count, 4, lower, algebra.multiplicities), _repeats(rng, count))


def circulants(rng: Random, count: int, lower: float = 1e-3) -> Members:
    """Circulants of side 3, 4, 5, 6 or 8, half of them of entries −2 to 2."""
    n = int(rng.choice([3, 4, 5, 6, 8]))
    few, any_ = rng.integers(-2, 3, (n, count)).astype(float), rng.random((n, count)) * 2 - 1
    entries = np.where(rng.random(count) < 0.5, few, any_)
    entries[0] += np.where(np.all(entries == 0, axis=0), 1.0, 0.0)
    algebra = circulant(n)
    values = [sum(w * e for w, e in zip(row, entries, strict=True)) for row in algebra.characters]
    return algebra.members(_normalized(rng, values, algebra.multiplicities), _repeats(rng, count))


def hadamard(rng: Random, count: int, lower: float = 1e-3) -> Members:
    """H D Hᵀ of side 4 or 8; half have two levels."""
    n = int(rng.choice([4, 8]))
    algebra = dyadic(n)
    return algebra.members(_levels(rng, count, n, lower, algebra.multiplicities), _repeats(rng, count))


def _levels(
    rng: Random, count: int, n: int, lower: float, multiplicities: tuple[Any, ...]
) -> list[np.ndarray]:
    """n signed values, two different ones in half of the members."""
    octaves = -float(np.log2(lower))
    free = [_spread(rng, count, octaves) for _ in range(n)]
    few, first = rng.random(count) < 0.5, [rng.random(count) < 0.5 for _ in range(n)]
    values = [
        _signs(rng, count) * np.where(few, np.where(a, free[0], free[1]), v)
        for a, v in zip(first, free, strict=True)
    ]
    return _normalized(rng, values, multiplicities)


def _repeats(rng: Random, count: int) -> np.ndarray:
    return np.floor(1 + MOST_REPEATS * rng.random(count))


FAMILIES: dict[str, Callable[..., Members]] = {
    "diagonal-and-rest": diagonal_and_rest,
    "blocks": blocks,
    "two-rows": two_rows,
    "products": products,
    "circulants": circulants,
    "hadamard": hadamard,
}
"""By name; (rng, count, lower) -> Members."""


def every_number(dtype: str, lower: float) -> Members:
    """All numbers of the precision in [lower, 1]: what one entry of a diagonal matrix may be."""
    precision = PRECISIONS[dtype]
    found = []
    for exponent in range(int(np.floor(np.log2(lower))), 1):
        significands = 2 ** (precision.bits - 1) + np.arange(2 ** (precision.bits - 1))
        found.append(np.ldexp(significands.astype(float), exponent - precision.bits + 1))
    x = np.concatenate(found)
    return numbers().members((x[(x >= lower) & (x <= 1)],))

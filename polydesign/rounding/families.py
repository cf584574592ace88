"""Families of matrices whose roundings agree: random members by the million, and members of given parameters.

Random numbers are made of sums, products and powers of two, so that every machine draws the same members.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from polydesign.rounding.algebras import (
    Commutative,
    Members,
    all_equal,
    circulant,
    dyadic,
    equal_columns,
    kronecker,
)

Random = np.random.Generator

LARGEST = 4096
"""Largest side of a block of equal entries."""

MOST_ROWS = 256
"""Of aI + bJ. Its columns are repeated up to MOST_REPEATS times."""

MOST_REPEATS = 8


def _octaves(ratio: float) -> float:
    """log₂, with digits in which all machines agree."""
    return round(float(np.log2(ratio)), 9)


def _spread(rng: Random, count: int, octaves: float) -> np.ndarray:
    """Numbers from 2^(−octaves) to 1 whose logarithms are nearly uniform: straight within an octave."""
    x = rng.random(count) * octaves
    whole = np.floor(x)
    return np.ldexp(1 - (x - whole) / 2, -whole.astype(np.int64))


def _sizes(rng: Random, count: int, least: int, largest: int) -> np.ndarray:
    """Whole numbers, small ones as often as large ones."""
    octaves = _octaves((largest + 1) / least)
    return np.clip(np.floor((largest + 1) * _spread(rng, count, octaves)), least, largest)


def _signs(rng: Random, count: int) -> np.ndarray:
    return np.where(rng.random(count) < 0.5, -1.0, 1.0)


class Parameters(NamedTuple):
    """What members are made of.

    sizes: whole numbers, as Family.sizes names them, shape (k, count). numbers: shape (n, count), from which
    their singular values follow once they are scaled. norm: of each, (Σσᵖ)^(1/p) with the family's exponent
    p, at most 1, shape (count,); below 1 the rest of Σσᵖ is elsewhere in the matrix.
    """

    sizes: np.ndarray
    numbers: np.ndarray
    norm: np.ndarray


Dense = Callable[[Sequence[int], Sequence[float]], np.ndarray]


@dataclass(frozen=True, slots=True)
class Family:
    """Matrices of one kind. Called with (rng, count, lower) it gives random members.

    Attributes:
        draw: Their parameters.
        made: Members from parameters and the exponent.
        dense: A matrix from its sizes and its entries by class.
        sizes: The least and the largest, by name.
        exponent: Of the norm that they are divided by: 2 is the Frobenius norm, 4 Schatten's.
    """

    draw: Callable[[Random, int, float], Parameters]
    made: Callable[[Parameters, int], Members]
    dense: Dense
    sizes: dict[str, tuple[int, int]]
    exponent: int = 2

    def __call__(self, rng: Random, count: int, lower: float = 1e-3) -> Members:
        return self.members(self.draw(rng, count, lower))

    def members(self, parameters: Parameters) -> Members:
        """Those that have these parameters."""
        return self.made(parameters, self.exponent)

    def matrix(self, parameters: Parameters) -> np.ndarray:
        """The first member, with one entry beside it that makes the norm 1 where it is less."""
        entries = [float(e[0]) for e in self.members(parameters).entries]
        X = self.dense([int(size[0]) for size in parameters.sizes], entries)
        power = np.sum(X * X) if self.exponent == 2 else np.sum(_singular_values(X) ** self.exponent)
        rest = 1 - float(power)
        if rest < _NOTHING:
            return X
        m, n = X.shape
        whole = np.zeros((m + 1, n + 1))
        whole[:m, :n], whole[m, n] = X, np.sqrt(rest) if self.exponent == 2 else rest ** (1 / self.exponent)
        return whole


def _singular_values(X: np.ndarray) -> np.ndarray:
    return np.linalg.svd(X, compute_uv=False)


_NOTHING = 1e-12
"""What is missing of a norm of 1 after rounding in float64."""


def _norms(rng: Random, count: int) -> np.ndarray:
    """Three of four have norm 1."""
    return np.where(rng.random(count) < 0.75, 1.0, _spread(rng, count, 5))


def _of(algebra: Commutative, values: Any, norm: np.ndarray, exponent: int, repeats: Any = 1) -> Members:
    """Members whose values are proportional to these, of this norm."""
    pairs = zip(values, algebra.multiplicities, strict=True)
    found = _root(sum(m * np.abs(v) ** exponent for v, m in pairs), exponent)
    return algebra.members([v * (norm / found) for v in values], repeats)


def _root(x: Any, exponent: int) -> Any:
    """By square roots alone, which every machine rounds alike; the exponent is a power of two."""
    return x if exponent == 1 else _root(np.sqrt(x), exponent // 2)


def _by_class(classes: np.ndarray, repeats: int, entries: Sequence[float]) -> np.ndarray:
    return np.repeat(np.array(entries)[classes], repeats, axis=1)


def _rest(m: int) -> np.ndarray:
    """The classes of aI + bJ."""
    return 1 - np.eye(m, dtype=int)


def _diagonal_and_rest(rng: Random, count: int, lower: float) -> Parameters:
    """The ratio of the two singular values from `lower` to its inverse."""
    one, other = _spread(rng, count, _octaves(1 / lower)), np.ones(count)
    swap = rng.random(count) < 0.5
    values = [_signs(rng, count) * np.where(swap, one, other), np.where(swap, other, one)]
    sizes = np.array([_sizes(rng, count, 2, MOST_ROWS), _repeats(rng, count)])
    return Parameters(sizes, np.array(values), _norms(rng, count))


def _blocks(rng: Random, count: int, lower: float) -> Parameters:
    """The singular value is 1 for half of them."""
    sizes = np.array([_sizes(rng, count, 2, LARGEST), _sizes(rng, count, 1, LARGEST)])
    x = np.where(rng.random(count) < 0.5, 1.0, _spread(rng, count, _octaves(1 / lower)))
    return Parameters(sizes, np.empty((0, count)), x)


def _blocks_of(parameters: Parameters, exponent: int) -> Members:
    """Of one singular value, all norms are the same."""
    (h, w), _, x = parameters
    return all_equal(h).members((x, np.zeros_like(x)), w / h)


def _two_rows(rng: Random, count: int, lower: float) -> Parameters:
    ratio = _spread(rng, count, _octaves(1 / lower))
    return Parameters(np.empty((0, count)), np.array([np.ones(count), ratio]), _norms(rng, count))


def _two_rows_of(parameters: Parameters, exponent: int) -> Members:
    _, (one, other), norm = parameters
    scale = norm / _root(one**exponent + other**exponent, exponent)
    return equal_columns(one * scale / np.sqrt(2), other * scale / np.sqrt(2))


def _products(rng: Random, count: int, lower: float) -> Parameters:
    sides = [_sizes(rng, count, 2, _MOST_PRODUCT) for _ in range(2)]
    levels, norm = _levels(rng, count, 4, lower), _norms(rng, count)
    return Parameters(np.array([*sides, _repeats(rng, count)]), levels, norm)


def _products_of(parameters: Parameters, exponent: int) -> Members:
    (left, right, repeats), values, norm = parameters
    return _of(kronecker(all_equal(left), all_equal(right)), values, norm, exponent, repeats)


def _products_dense(sizes: Sequence[int], entries: Sequence[float]) -> np.ndarray:
    left, right, repeats = sizes
    classes = np.kron(2 * _rest(left), np.ones((right, right), int))
    return _by_class(classes + np.tile(_rest(right), (left, left)), repeats, entries)


def _circulants(rng: Random, count: int, lower: float) -> Parameters:
    """Half of them of entries −2 to 2."""
    n = int(rng.choice([3, 4, 5, 6, 8]))
    few, any_ = rng.integers(-2, 3, (n, count)).astype(float), rng.random((n, count)) * 2 - 1
    entries = np.where(rng.random(count) < 0.5, few, any_)
    entries[0] += np.where(np.all(entries == 0, axis=0), 1.0, 0.0)
    norm = _norms(rng, count)
    return Parameters(_repeats(rng, count)[None], entries, norm)


def _circulants_of(parameters: Parameters, exponent: int) -> Members:
    (repeats,), entries, norm = parameters
    algebra = circulant(len(entries))
    values = [sum(w * e for w, e in zip(row, entries, strict=True)) for row in algebra.characters]
    return _of(algebra, values, norm, exponent, repeats)


def _circulants_dense(sizes: Sequence[int], entries: Sequence[float]) -> np.ndarray:
    i = np.arange(len(entries))
    return _by_class((i[None] - i[:, None]) % len(entries), sizes[0], entries)


def _hadamard(rng: Random, count: int, lower: float) -> Parameters:
    """Half have two levels."""
    n = int(rng.choice([4, 8]))
    levels, norm = _levels(rng, count, n, lower), _norms(rng, count)
    return Parameters(_repeats(rng, count)[None], levels, norm)


def _hadamard_dense(sizes: Sequence[int], entries: Sequence[float]) -> np.ndarray:
    i = np.arange(len(entries))
    return _by_class(i[None] ^ i[:, None], sizes[0], entries)


def _levels(rng: Random, count: int, n: int, lower: float) -> np.ndarray:
    """n signed values, two different ones in half of the members."""
    octaves = _octaves(1 / lower)
    free = [_spread(rng, count, octaves) for _ in range(n)]
    few, first = rng.random(count) < 0.5, [rng.random(count) < 0.5 for _ in range(n)]
    return np.array(
        [
            _signs(rng, count) * np.where(few, np.where(a, free[0], free[1]), v)
            for a, v in zip(first, free, strict=True)
        ]
    )


def _repeats(rng: Random, count: int) -> np.ndarray:
    return np.floor(1 + MOST_REPEATS * rng.random(count))


_MOST_PRODUCT = 32
"""Rows of each factor of a product."""

_REPEATS = {"repeats": (1, MOST_REPEATS)}

FAMILIES = {
    # (aI + bJ) ⊗ 1ᵀ: columns stand `repeats` times
    "diagonal-and-rest": Family(
        _diagonal_and_rest,
        lambda p, exponent: _of(all_equal(p.sizes[0]), p.numbers, p.norm, exponent, p.sizes[1]),
        lambda sizes, entries: _by_class(_rest(sizes[0]), sizes[1], entries),
        {"rows": (2, MOST_ROWS)} | _REPEATS,
    ),
    # rows x columns of equal entries, beside other entries
    "blocks": Family(
        _blocks,
        _blocks_of,
        lambda sizes, entries: np.full(tuple(sizes), entries[0]),
        {"rows": (2, LARGEST), "columns": (1, LARGEST)},
    ),
    # [[p, q], [p, −q]]
    "two-rows": Family(
        _two_rows,
        _two_rows_of,
        lambda _, entries: np.array([[entries[0], entries[1]], [entries[0], -entries[1]]]),
        {},
    ),
    # (aI + bJ) ⊗ (cI + dJ) and sums of such: four singular values
    "products": Family(
        _products,
        _products_of,
        _products_dense,
        {"left rows": (2, _MOST_PRODUCT), "right rows": (2, _MOST_PRODUCT)} | _REPEATS,
    ),
    # of side 3, 4, 5, 6 or 8
    "circulants": Family(_circulants, _circulants_of, _circulants_dense, _REPEATS),
    # H D Hᵀ of side 4 or 8
    "hadamard": Family(
        _hadamard,
        lambda p, exponent: _of(dyadic(len(p.numbers)), p.numbers, p.norm, exponent, p.sizes[0]),
        _hadamard_dense,
        _REPEATS,
    ),
}
"""By name, divided by their Frobenius norm."""

EXPONENTS = {"frobenius": 2, "schatten4": 4, "schatten8": 8}
"""Normalization -> exponent of the norm. Others depend on more than singular values: members are divided by
the Frobenius norm for them."""


@cache
def families(normalization: str = "frobenius") -> dict[str, Family]:
    """FAMILIES, divided as this normalization divides."""
    exponent = EXPONENTS.get(normalization, 2)
    return {name: replace(of, exponent=exponent) for name, of in FAMILIES.items()}

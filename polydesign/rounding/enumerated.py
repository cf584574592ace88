"""Families of matrices whose roundings agree, where they are finite: all members that a precision has.

Entries are numbers of the precision, and the Frobenius norm is 1 within their rounding, which is what
normalizing and rounding a matrix can give. Sizes are up to LARGEST.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from polydesign.model.precision import PRECISIONS, UNIT_ROUNDOFF
from polydesign.rounding.algebras import Members, all_equal, equal_columns, numbers
from polydesign.rounding.families import MOST_REPEATS

LARGEST = 64
"""Rows, and columns of a block."""

CHUNK = 1 << 15
"""Members that come at a time, at most."""


def every_number(dtype: str, lower: float) -> Members:
    """All numbers of the precision in [lower, 1]: what one entry of a diagonal matrix may be."""
    return numbers().members((_between(dtype, lower, 1.0),))


def _between(dtype: str, lower: float, upper: float) -> np.ndarray:
    """All numbers of the precision in [lower, upper], as if its exponents had no end."""
    bits = PRECISIONS[dtype].bits
    significands = 2 ** (bits - 1) + np.arange(2.0 ** (bits - 1))
    exponents = np.arange(np.floor(np.log2(lower)), np.floor(np.log2(upper)) + 1, dtype=np.int64)
    x = np.ldexp(significands, exponents[:, None] - bits + 1).ravel()
    return x[(x >= lower) & (x <= upper)]


Pairs = tuple[np.ndarray, np.ndarray]


def _pairs(dtype: str, alpha: float, beta: float, least: float, *, build: bool) -> tuple[int, Pairs | None]:
    """How many pairs (x, y) >= 0 have αx² + βy² = 1 within rounding; and with `build` the pairs.

    Entries are 0 or at least `least`.
    """
    u = UNIT_ROUNDOFF[dtype]
    low, high = (1 - u) ** 2, (1 + u) ** 2
    x, y = (np.r_[0.0, _between(dtype, least, np.sqrt(high / weight))] for weight in (alpha, beta))
    room = beta * y * y
    first = np.searchsorted(x, np.sqrt(np.maximum(low - room, 0) / alpha))
    # Nothing is left for x where y alone is too much.
    count = np.searchsorted(x, np.sqrt(np.maximum(high - room, 0) / alpha), side="right") - first
    if not build:
        return int(count.sum()), None
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return len(within), (x[np.repeat(first, count) + within], np.repeat(y, count))


def _shapes(largest: int) -> Iterator[tuple[int, int]]:
    return ((m, k) for m in range(2, largest + 1) for k in range(1, MOST_REPEATS + 1))


def _rest_pairs(dtype: str, lower: float, m: int, k: int, *, build: bool) -> tuple[int, Pairs | None]:
    """Of aI + bJ: entries below l/(m√k), which move no singular value by l, are 0."""
    return _pairs(dtype, m * k, m * k * (m - 1), lower / (m * np.sqrt(k)), build=build)


def diagonal_and_rest(dtype: str, lower: float, largest: int = LARGEST) -> Iterator[Members]:
    """(aI + bJ) ⊗ 1ᵀ of up to `largest` rows, columns repeated up to MOST_REPEATS times.

    The entry on the diagonal is not negative, the other has both signs.
    """
    for m, k in _shapes(largest):
        _, found = _rest_pairs(dtype, lower, m, k, build=True)
        assert found is not None
        for d, o in _chunks(*found):
            for entries in ((d, o), (d, -o)):
                algebra = all_equal(m)
                of_it = algebra.members((d, d), k)
                values = tuple(of_it.transformed(entries))
                yield replace(of_it, entries=entries, values=values)


def two_rows(dtype: str, lower: float, largest: int = LARGEST) -> Iterator[Members]:
    """[[p, q], [p, −q]], p and q >= 0."""
    _, found = _pairs(dtype, 2, 2, lower / 2, build=True)
    assert found is not None
    for p, q in _chunks(*found):
        yield equal_columns(p, q)


def blocks(dtype: str, lower: float, largest: int = LARGEST) -> Iterator[Members]:
    """h x w blocks of one entry c with l² <= h·w·c² <= 1, beside other entries; h, w <= `largest`."""
    for h in range(1, largest + 1):
        found = [_block(dtype, lower, h * w) for w in range(1, largest + 1)]
        columns = np.repeat(np.arange(1, largest + 1), [len(c) for c in found])
        for c, w in _chunks(np.concatenate(found), columns):
            x = c * np.sqrt(h * w)
            if h == 1:  # aI + bJ has two rows at least
                yield replace(numbers().members((x,), w), entries=(c,))
            else:
                of_it = all_equal(h).members((x, np.zeros_like(x)), w / h)
                yield replace(of_it, entries=(c, c))


def _block(dtype: str, lower: float, size: int) -> np.ndarray:
    root = np.sqrt(size)
    return _between(dtype, lower / root, (1 + UNIT_ROUNDOFF[dtype]) / root)


def _chunks(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    for start in range(0, len(arrays[0]), CHUNK):
        yield tuple(a[start : start + CHUNK] for a in arrays)


ENUMERATED: dict[str, Callable[[str, float], Iterator[Members]]] = {
    "all numbers": lambda dtype, lower: iter((every_number(dtype, lower),)),
    "all two-rows": two_rows,
    "all blocks": blocks,
    "all diagonal-and-rest": diagonal_and_rest,
}
"""By name: (dtype, lower) -> all members, CHUNK by CHUNK."""


def counted(name: str, dtype: str, lower: float, largest: int = LARGEST) -> int:
    """How many members an enumeration has, without making them."""
    if name == "all numbers":
        return len(_between(dtype, lower, 1.0))
    if name == "all two-rows":
        return _pairs(dtype, 2, 2, lower / 2, build=False)[0]
    if name == "all blocks":
        return sum(
            len(_block(dtype, lower, h * w)) for h in range(1, largest + 1) for w in range(1, largest + 1)
        )
    return 2 * sum(_rest_pairs(dtype, lower, m, k, build=False)[0] for m, k in _shapes(largest))

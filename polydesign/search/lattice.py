"""Points of a lattice near a given one: a reduced basis, and the nearest planes of it.

The basis is reduced by LLL (FLINT's), and nearest planes are those of Babai (Combinatorica 6, 1986), a few at
every level in place of one. Numbers are whole multiples of 2^−BITS, so that what is left of sums of large
terms that cancel has all its digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from flint import fmpz_mat

BITS = 192

_PLANES = 3  # nearest planes looked at on each level of the lattice
_BEAM = 1024  # points kept from level to level
_REFINED = 9  # times that what float64 leaves is made exact again


def to_whole(x: Any) -> int:
    """A number as a multiple of 2^−BITS."""
    return round(Fraction(x) * (1 << BITS))


def to_floats(rows: Sequence[Sequence[Any]]) -> np.ndarray:
    """Rows of multiples of 2^−BITS as floats."""
    return np.array([[math.ldexp(float(int(v)), -BITS) for v in row] for row in rows])


def sum_of(constants: Sequence[Any], rows: Sequence[Sequence[int]]) -> list[int]:
    """Σ c_j rows_j, each product rounded down to a multiple of 2^−BITS."""
    exact = list(map(Fraction, constants))
    return [
        sum(c.numerator * v // c.denominator for c, v in zip(exact, column, strict=True))
        for column in zip(*rows, strict=True)
    ]


def numbers(whole: Any) -> np.ndarray:
    """A matrix of whole numbers as floats."""
    return np.array([[float(int(v)) for v in row] for row in whole.tolist()])


@dataclass(frozen=True)
class Close:
    """Points of a lattice near a given one, in a reduced basis.

    Args:
        change: The reduced basis as combinations of the given one, a matrix of whole numbers.
        vectors: The reduced basis itself, a vector a row.
        moved: The nearest plane's point as a combination of the given basis, one row of whole numbers.
        left: What that point misses.
        points: What is added to that point, in the reduced basis: a point a row.
    """

    change: Any
    vectors: np.ndarray
    moved: Any
    left: np.ndarray
    points: np.ndarray


def close_points(basis: list[list[Any]], wanted: list[Any]) -> Close:
    """The points near the wanted one of the lattice that the rows of the basis span."""
    reduced, change = fmpz_mat(basis).lll(True)
    vectors = to_floats(reduced.tolist())
    q, triangle = np.linalg.qr(vectors.T)
    left, moved = fmpz_mat([wanted]), fmpz_mat(1, len(basis))
    for _ in range(_REFINED):  # float64 finds what is far away a few digits at a time
        nearest = _nearest_planes(triangle, q.T @ to_floats(left.tolist())[0], 1)[0]
        if not nearest.any():
            break
        z = fmpz_mat([[int(v) for v in nearest]])
        left, moved = left - z * reduced, moved + z * change
    rest = to_floats(left.tolist())[0]
    return Close(change, vectors, moved, rest, _nearest_planes(triangle, q.T @ rest, _PLANES))


def _nearest_planes(triangle: np.ndarray, rest: np.ndarray, planes: int) -> np.ndarray:
    """Whole numbers z, a point a row, for which triangle @ z lies near the rest: one point for one plane."""
    n = len(rest)
    points, distance = np.zeros((1, n)), np.zeros(1)
    for level in reversed(range(n)):
        offset = rest[level] - points[:, level + 1 :] @ triangle[level, level + 1 :]
        centre = np.rint(offset / triangle[level, level])
        around = np.arange(planes) - planes // 2
        points = np.repeat(points, planes, axis=0)
        points[:, level] = (centre[:, None] + around).ravel()
        missed = np.repeat(offset, planes) - points[:, level] * triangle[level, level]
        distance = np.repeat(distance, planes) + missed**2
        if len(distance) > _BEAM:
            kept = np.argpartition(distance, _BEAM)[:_BEAM]
            points, distance = points[kept], distance[kept]
    return points

"""Constants on a grid near unrounded ones, where what their roundings move cancels.

Rounding each constant to nearest moves p by what all the roundings sum to. Other points of the grid, some
units away in each constant, move it less: their roundings cancel. All points of the grid make a lattice of
polynomials Σ k_j s_j φ_j, k_j whole, and the wanted one is close to the unrounded p there (Brisebarre and
Chevillard, Efficient polynomial L∞-approximation, ARITH 2007): a reduced basis of the lattice (LLL), then the
nearest planes of Babai (Combinatorica 6, 1986), a few at every level in place of one. A float format is finer
for smaller constants, so the exponents of what is found make the next lattice.

Values are whole multiples of 2^−BITS: what is left of sums of large terms that cancel has all its digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
from flint import fmpz_mat

from polydesign.model import InputError
from polydesign.search.grids import MOST_WHOLE, Grid

BITS = 192

_PLANES = 3  # nearest planes looked at on each level of the lattice
_BEAM = 4096  # points kept from level to level
_MOST_GROWTH = 0.2  # of the sum of the terms' sizes, which rounding in the runtime is in proportion to
_MOST_MISSED = 0.003  # of p, root mean square: more is expected of no grid that is fine enough
_LEAST_MISSED = 1e-30
_GAIN = 4.0  # by which a point must lie nearer than was expected for another look with that expectation
_LOOKS = 6
_MOST_SCALE = 0.02  # by which a step that is not the last may be larger or smaller than its target
_LATTICES = 4  # sets of exponents that are tried
_FOLLOWED = 3  # points whose exponents make lattices, and from which a descent starts
_DESCENT = 30  # moves of one descent


def to_whole(x: Any) -> int:
    """A number as a multiple of 2^−BITS."""
    return round(Fraction(x) * (1 << BITS))


@dataclass(frozen=True)
class Target:
    """What constants on a grid shall make.

    Args:
        rows: The terms φ_j at g points, in multiples of 2^−BITS: n + 1 lists of g.
        wanted: The value that the sum of the terms is compared with, likewise: a list of g.
        weights: What a deviation counts at each point, (g,).
        places: Indices of the points that distance is measured at, a few times n of them.
        loose: Whether a factor common to all values is free, within a little.
    """

    rows: Sequence[Sequence[int]]
    wanted: Sequence[int]
    weights: np.ndarray
    places: Sequence[int]
    loose: bool = False


Scores = Callable[[np.ndarray], np.ndarray]
"""From what is left, wanted − Σ (constant j)·φ_j, a row of g a point (m, g), to numbers, the larger the better."""


def near(
    where: Grid,
    free: Sequence[Any],
    targets: Sequence[Target],
    judged: Sequence[int],
    scores: Scores,
    most: int,
    begin: Sequence[float] | None = None,
) -> list[tuple[float, ...]]:
    """Constants on the grid near the free ones: rounded to nearest, then up to `most` others, best first.

    Args:
        where: The grid.
        free: The unrounded constants. What is found has terms at most a fifth larger in sum.
        targets: Where to look, each with the same rows.
        judged: What Σ (constant j)·φ_j is subtracted from, in multiples of 2^−BITS, before it is scored.
        scores: What decides between points.
        most: How many points are wanted.
        begin: Other constants of the grid to begin at, in place of the free ones.

    Raises:
        InputError: float64 does not hold the grid, or its format ends before a free constant.
    """
    if begin is None:
        plain = tuple(map(where.nearest, free))
        largest = max(abs(Fraction(c) / where.spacing(float(c))) for c in free)
        if largest >= MOST_WHOLE // 4:
            raise InputError(
                "round", f"{where.word} is finer than float64 at {float(max(map(abs, free))):.3g}"
            )
        if plain == tuple(free):
            return [plain]
    else:
        plain = tuple(begin)
    sizes = np.array([math.ldexp(float(max(map(abs, row))), -BITS) for row in targets[0].rows])
    room = (1 + _MOST_GROWTH) * float(sizes @ np.abs(np.array(list(map(float, free)))))
    found: dict[tuple[float, ...], float] = {}
    waiting, seen = [_spacings(where, free if begin is None else begin, sizes)], set[tuple[Fraction, ...]]()
    while waiting and len(seen) < _LATTICES:
        spacings = waiting.pop(0)
        if spacings in seen:
            continue
        seen.add(spacings)
        for target in targets:
            begun = free if begin is None else begin
            found |= _Lattice(where, begun, target, spacings, sizes, room, scores, judged).points(4 * most)
        best = sorted(found, key=lambda row: -found[row])[:_FOLLOWED]
        waiting += [_spacings(where, row, sizes) for row in best]
    found.pop(plain, None)
    return [plain, *sorted(found, key=lambda row: -found[row])[:most]]


def _spacings(where: Grid, constants: Sequence[Any], sizes: np.ndarray) -> tuple[Fraction, ...]:
    """The grid's at the constants; one that is 0 gets the spacing that moves p as little as any other does."""
    found = [where.spacing(float(c)) for c in constants]
    if where.unit is None and not all(constants):
        units = [float(s) * size for s, size, c in zip(found, sizes, constants, strict=True) if c]
        for j, size in enumerate(sizes):
            if not constants[j]:
                exponent = math.floor(math.log2(min(units, default=1.0) / size))
                found[j] = Fraction(2) ** max(exponent, where.least)
    return tuple(found)


class _Lattice:
    """The points of a grid with these spacings near the free constants."""

    def __init__(
        self,
        where: Grid,
        free: Sequence[Any],
        target: Target,
        spacings: Sequence[Fraction],
        sizes: np.ndarray,
        room: float,
        scores: Scores,
        judged: Sequence[int],
    ) -> None:
        self.where, self.spacings, self.scores = where, spacings, scores
        self.terms = sizes * np.array(list(map(float, spacings)))
        self.room = room
        units = [round(Fraction(c) / s) for c, s in zip(free, spacings, strict=True)]
        self.begin = fmpz_mat([units])
        self.rows = fmpz_mat(
            [
                [value * s.numerator // s.denominator for value in row]
                for row, s in zip(target.rows, spacings, strict=True)
            ]
        )
        self.judged = fmpz_mat([list(judged)]) - self.begin * self.rows
        wanted = fmpz_mat([list(target.wanted)]) - self.begin * self.rows
        weights = [to_whole(w / math.sqrt(len(target.places))) for w in target.weights[list(target.places)]]

        def weighed(row: Any) -> list[int]:
            return [int(row[p]) * w >> BITS for p, w in zip(target.places, weights, strict=True)]

        table = self.rows.tolist()
        self.shape = [weighed(row) for row in table]
        self.rest = weighed(wanted.tolist()[0])
        self.average: list[int] = []
        self.rest_average = 0
        if target.loose:
            self.average = [sum(row) // len(row) for row in self.shape]
            self.rest_average = sum(self.rest) // len(self.rest)
            self.shape = [[v - a for v in row] for row, a in zip(self.shape, self.average, strict=True)]
            self.rest = [v - self.rest_average for v in self.rest]

    def points(self, most: int) -> dict[tuple[float, ...], float]:
        """The best of those found, with their scores."""
        found: dict[tuple[float, ...], float] = {}
        expected = min(max(math.hypot(*_floats([self.rest])[0]), _LEAST_MISSED), _MOST_MISSED)
        for _ in range(_LOOKS):
            looked = self._look(expected, most)
            found |= looked[0]
            if not looked[1] * _GAIN < expected:
                break
            expected = max(looked[1], _LEAST_MISSED)
        return found

    def _look(self, expected: float, most: int) -> tuple[dict[tuple[float, ...], float], float]:
        """The points at about the expected distance, and the least distance of them."""
        n = len(self.shape)
        # Narrow intervals let the constants wander off together: so much of their terms weighs as much as
        # the distance expected.
        allowance = _MOST_GROWTH / (1 + _MOST_GROWTH) * self.room
        penalties = [to_whole(t * expected / allowance) for t in self.terms]
        basis = []
        for j, row in enumerate(self.shape):
            more = [penalties[j] if i == j else 0 for i in range(n)]
            if self.average:
                more.append(to_whole(Fraction(self.average[j], 1 << BITS) * Fraction(expected / _MOST_SCALE)))
            basis.append([*row, *more])
        rest = [*self.rest, *[0] * n]
        if self.average:
            rest.append(to_whole(Fraction(self.rest_average, 1 << BITS) * Fraction(expected / _MOST_SCALE)))
        reduced, change = fmpz_mat(basis).lll(True)
        vectors = _floats(reduced.tolist())
        q, triangle = np.linalg.qr(vectors.T)
        left, moved = fmpz_mat([rest]), self.begin * 0
        while True:  # in float64 a point far away is found to a few digits at a time
            near = _nearest_plane(triangle, q.T @ _floats(left.tolist())[0])
            if not near.any():
                break
            z = fmpz_mat([[int(v) for v in near]])
            left, moved = left - z * reduced, moved + z * change
        z = _nearest_planes(triangle, q.T @ _floats(left.tolist())[0])
        base = _floats((self.judged - moved * self.rows).tolist())[0]
        directions = _floats((change * self.rows).tolist())
        start = np.array([float(int(v)) for v in (self.begin + moved).tolist()[0]])
        steps = np.array([[float(int(v)) for v in row] for row in change.tolist()])
        units = start + z @ steps
        z = z[self._allowed(units)]
        if not len(z):
            return {}, math.inf
        score = self.scores(base - z @ directions)
        order = np.argsort(-score, kind="stable")[:most]
        z = np.vstack(
            [
                z[order],
                *[self._descended(row, base, directions, start, steps) for row in z[order[:_FOLLOWED]]],
            ]
        )
        score = self.scores(base - z @ directions)
        distance = np.linalg.norm((_floats(left.tolist())[0] - z @ vectors)[:, : len(self.rest)], axis=1)
        best = int(np.argmax(score))
        found = {}
        for row, value in zip(start + z @ steps, score, strict=True):
            constants = tuple(float(int(k) * s) for k, s in zip(row, self.spacings, strict=True))
            found[constants] = float(value)
        return found, float(distance[best])

    def _allowed(self, units: np.ndarray) -> np.ndarray:
        return (abs(units) @ self.terms <= self.room) & self.where.holds(units, self.spacings)

    def _descended(
        self, z: np.ndarray, base: np.ndarray, directions: np.ndarray, start: np.ndarray, steps: np.ndarray
    ) -> np.ndarray:
        """From a point to one that no short vector of the lattice, or sum of two, makes better."""
        unit = np.eye(len(z))
        moves = [*unit, *(unit[i] + s * unit[j] for i, j in combinations(range(len(z)), 2) for s in (1, -1))]
        moves = np.vstack([moves, -np.array(moves)])
        values = moves @ directions
        least = self.scores((base - z @ directions)[None])[0]
        for _ in range(_DESCENT):
            score = self.scores(base - z @ directions - values)
            score[~self._allowed(start + (z + moves) @ steps)] = -np.inf
            best = int(np.argmax(score))
            if not score[best] > least:
                break
            z, least = z + moves[best], score[best]
        return z[None]


def _floats(rows: Sequence[Sequence[Any]]) -> np.ndarray:
    """Multiples of 2^−BITS as floats."""
    return np.array([[math.ldexp(float(int(v)), -BITS) for v in row] for row in rows])


def _nearest_plane(triangle: np.ndarray, rest: np.ndarray) -> np.ndarray:
    z = np.zeros(len(rest))
    for level in reversed(range(len(rest))):
        z[level] = np.rint(
            (rest[level] - triangle[level, level + 1 :] @ z[level + 1 :]) / triangle[level, level]
        )
    return z


def _nearest_planes(triangle: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Whole numbers z, one point a row, for which triangle @ z lies near the rest: the nearest ones of many."""
    n = len(rest)
    points, distance = np.zeros((1, n)), np.zeros(1)
    for level in reversed(range(n)):
        offset = rest[level] - points[:, level + 1 :] @ triangle[level, level + 1 :]
        centre = np.rint(offset / triangle[level, level])
        around = np.arange(_PLANES) - _PLANES // 2
        points = np.repeat(points, _PLANES, axis=0)
        points[:, level] = (centre[:, None] + around).ravel()
        missed = np.repeat(offset, _PLANES) - points[:, level] * triangle[level, level]
        distance = np.repeat(distance, _PLANES) + missed**2
        if len(distance) > _BEAM:
            kept = np.argsort(distance, kind="stable")[:_BEAM]
            points, distance = points[kept], distance[kept]
    return points

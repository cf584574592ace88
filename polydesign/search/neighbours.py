"""Constants on a grid near unrounded ones, where what their roundings move cancels.

Rounding each constant to nearest moves p by what all the roundings sum to. Other points of the grid, some
units away in each constant, move it less: their roundings cancel. All points of the grid make a lattice of
polynomials Σ k_j s_j φ_j, k_j whole, and the wanted one is close to the unrounded p there (Brisebarre and
Chevillard, Efficient polynomial L∞-approximation, ARITH 2007). A float format is finer for smaller constants,
so the exponents of what is found make the next lattice.
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
from polydesign.search.grids import CURE, MOST_WHOLE, Grid
from polydesign.search.lattice import BITS, close_points, numbers, to_floats, to_whole

_MOST_GROWTH = 0.2  # of the sum of the terms' sizes, which rounding in the runtime is in proportion to
_MOST_MISSED = 0.003  # of p, root mean square: more is expected of no grid that is fine enough
_LEAST_MISSED = 2.0 ** (20 - BITS)
_NEARER = 8.0  # by which every look expects a smaller distance than the one before
_PULLED = 0.1  # of what the best point misses: with less in the constants' moves, nothing held them back
_MOST_SCALE = 0.02  # by which a step that is not the last may be larger or smaller than its target
_LATTICES = 3  # sets of exponents that are tried
_FOLLOWED = 3  # points whose exponents make lattices, and from which a descent starts
_DESCENT = 30  # moves of one descent

Constants = tuple[float, ...]

Scores = Callable[[np.ndarray], np.ndarray]
"""From what is left at g points, (m, g) for m polynomials, to m numbers: the larger, the better."""


@dataclass(frozen=True)
class Distance:
    """Where a lattice looks: at constants c with a small ‖Σ c_j rows_j − wanted‖₂.

    All are in multiples of 2^−BITS.

    Args:
        rows: What a constant moves, n + 1 lists of m numbers.
        wanted: What all of them shall make together: m numbers.
        common: Where a factor common to all values is free, within a little: the mean of what a constant
            moves, n + 1 numbers, and then of what is wanted. The rows are then without it.
    """

    rows: Sequence[Sequence[int]]
    wanted: Sequence[int]
    common: Sequence[int] = ()


@dataclass(frozen=True)
class Judgement:
    """How points of a lattice are compared.

    Args:
        rows: What a constant makes at g points, in multiples of 2^−BITS: n + 1 lists of g numbers.
        wanted: What the sum is subtracted from at these points, likewise.
        scores: What decides, from what is then left.
        sizes: The largest size of every constant's term, (n + 1,).
    """

    rows: Sequence[Sequence[int]]
    wanted: Sequence[int]
    scores: Scores
    sizes: np.ndarray


def near(
    where: Grid,
    free: Sequence[Any],
    distances: Sequence[Distance],
    judgement: Judgement,
    most: int,
    begin: Constants | None = None,
) -> list[Constants]:
    """Constants on the grid near the free ones: rounded to nearest, then up to `most` others, best first.

    Args:
        where: The grid.
        free: The unrounded constants. The terms of what is found are at most a fifth larger in sum.
        distances: Where to look.
        judgement: What decides between the points found.
        most: How many are wanted.
        begin: Other constants on the grid to begin at, in place of the free ones.

    Raises:
        InputError: float64 does not hold the grid, or its format ends before a free constant.
    """
    if begin is None:
        begin = tuple(map(where.nearest, free))
        if max(abs(Fraction(c) / where.spacing(float(c))) for c in free) >= MOST_WHOLE // 4:
            largest = float(max(map(abs, free)))
            raise InputError("round", f"{where.word} is finer than float64 at {largest:.3g}: {CURE}")
        if begin == tuple(free):
            return [begin]
    sizes = judgement.sizes
    room = (1 + _MOST_GROWTH) * float(sizes @ np.abs(list(map(float, free))))
    found: dict[Constants, float] = {}
    waiting, seen = [_spacings(where, begin, sizes)], set[tuple[Fraction, ...]]()
    while waiting and len(seen) < _LATTICES:
        spacings = waiting.pop(0)
        if spacings in seen:
            continue
        seen.add(spacings)
        lattice = _Lattice(where, begin, spacings, room, judgement)
        for distance in distances:
            found |= lattice.points(distance, most)
        best = sorted(found, key=lambda row: -found[row])[:_FOLLOWED]
        waiting += [_spacings(where, row, sizes) for row in best]
    found.pop(begin, None)
    return [begin, *sorted(found, key=lambda row: -found[row])[:most]]


def _spacings(where: Grid, constants: Constants, sizes: np.ndarray) -> tuple[Fraction, ...]:
    """The grid's at the constants; one that is 0 gets the spacing that moves p no more than any other."""
    found = [where.spacing(c) for c in constants]
    if where.unit is None and not all(constants):
        units = [float(s) * size for s, size, c in zip(found, sizes, constants, strict=True) if c]
        for j, size in enumerate(sizes):
            if not constants[j]:
                exponent = math.floor(math.log2(min(units, default=1.0) / size))
                found[j] = Fraction(2) ** max(exponent, where.least)
    return tuple(found)


class _Lattice:
    """The points of a grid with given spacings."""

    def __init__(
        self,
        where: Grid,
        begin: Constants,
        spacings: tuple[Fraction, ...],
        room: float,
        judgement: Judgement,
    ) -> None:
        self.where, self.spacings, self.room, self.scores = where, spacings, room, judgement.scores
        self.terms = judgement.sizes * np.array(list(map(float, spacings)))
        self.begin = fmpz_mat([[round(Fraction(c) / s) for c, s in zip(begin, spacings, strict=True)]])
        self.rows = self._scaled(judgement.rows)
        self.left = fmpz_mat([list(judgement.wanted)]) - self.begin * self.rows

    def _scaled(self, rows: Sequence[Sequence[int]]) -> Any:
        """What a unit of each constant moves."""
        pairs = zip(rows, self.spacings, strict=True)
        return fmpz_mat([[v * s.numerator // s.denominator for v in row] for row, s in pairs])

    def points(self, distance: Distance, most: int) -> dict[Constants, float]:
        """The best points found, with their scores.

        Narrow intervals let the constants wander off together, and few of these points have terms of a
        bearable size. So the constants' moves count as well, as much as the distance that is expected; the
        expectation falls until nothing better comes of it.
        """
        found: dict[Constants, float] = {}
        rows = self._scaled(distance.rows)
        rest = fmpz_mat([list(distance.wanted)]) - self.begin * rows
        common, rest_common = [], 0
        if distance.common:
            means = self._scaled([[mean] for mean in distance.common[:-1]])
            common = [int(mean) for mean in means.entries()]
            rest_common = int(distance.common[-1]) - int((self.begin * means)[0, 0])
        least, missed = -math.inf, math.hypot(*to_floats(rest.tolist())[0])
        expected = min(max(missed, _LEAST_MISSED), _MOST_MISSED)
        while expected >= _LEAST_MISSED:
            penalties = self.terms * (expected * (1 + _MOST_GROWTH) / _MOST_GROWTH / self.room)
            extra = [
                [to_whole(p) if i == j else 0 for i in range(len(penalties))] for j, p in enumerate(penalties)
            ]
            zeros = [0] * len(penalties)
            if common:
                share = to_whole(expected / _MOST_SCALE)
                extra = [[*row, c * share >> BITS] for row, c in zip(extra, common, strict=True)]
                zeros.append(rest_common * share >> BITS)
            basis = [[*row, *more] for row, more in zip(rows.tolist(), extra, strict=True)]
            looked, missed = self._look(basis, [*rest.tolist()[0], *zeros], most)
            found |= looked
            if not looked or max(looked.values()) <= least:
                break
            least = max(looked.values())
            pulled = np.linalg.norm(missed[len(rest.entries()) :])
            if pulled < _PULLED * np.linalg.norm(missed):
                break
            expected = min(float(np.linalg.norm(missed)), expected / _NEARER)
        return found

    def _look(
        self, basis: list[list[Any]], rest: list[Any], most: int
    ) -> tuple[dict[Constants, float], np.ndarray]:
        """The best points near the rest in this basis, with their scores, and what the very best misses."""
        reduced = close_points(basis, rest)
        z, change = reduced.points, reduced.change
        base = to_floats((self.left - reduced.moved * self.rows).tolist())
        directions = to_floats((change * self.rows).tolist())
        start = numbers(self.begin + reduced.moved)
        steps = numbers(change)
        z = z[self._allowed(start + z @ steps)]
        if not len(z):
            return {}, reduced.left
        order = np.argsort(-self.scores(base - z @ directions), kind="stable")[:most]
        ends = [self._descended(row, base, directions, start, steps) for row in z[order[:_FOLLOWED]]]
        z = np.vstack([z[order], *ends])
        score = self.scores(base - z @ directions)
        rows = [
            tuple(float(int(k) * s) for k, s in zip(row, self.spacings, strict=True))
            for row in start + z @ steps
        ]
        missed = reduced.left - z[np.argmax(score)] @ reduced.vectors
        return dict(zip(rows, score.tolist(), strict=True)), missed

    def _allowed(self, units: np.ndarray) -> np.ndarray:
        return (abs(units) @ self.terms <= self.room) & self.where.holds(units, self.spacings)

    def _descended(
        self, z: np.ndarray, base: np.ndarray, directions: np.ndarray, start: np.ndarray, steps: np.ndarray
    ) -> np.ndarray:
        """From a point to one that no short vector of the lattice, or sum of two, makes better."""
        unit = np.eye(len(z))
        pairs = [unit[i] + s * unit[j] for i, j in combinations(range(len(z)), 2) for s in (1, -1)]
        moves = np.vstack([unit, -unit, *pairs, *(-row for row in pairs)])
        values, units = moves @ directions, moves @ steps
        least = self.scores(base - z @ directions)[0]
        for _ in range(_DESCENT):
            score = self.scores(base - z @ directions - values)
            score[~self._allowed(start + z @ steps + units)] = -np.inf
            best = int(np.argmax(score))
            if not score[best] > least:
                break
            z, least = z + moves[best], score[best]
        return z

"""Rounded coefficients: the constants of a step on a grid, the best of the many that lie near.

Where to look is found by lattice reduction (neighbours.py), as in fpminimax (Brisebarre and Chevillard,
Efficient polynomial L∞-approximation, ARITH 2007). The choice is made by exact images, and the step of the
next lower degree, with a zero, is one of those to choose from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from flint import fmpz_mat

from polydesign.approximation.remez import best_approximation
from polydesign.approximation.scalar import exactly, half_width, image
from polydesign.model import InputError, evaluate
from polydesign.program.basis import expanded, program_constants
from polydesign.program.programs import build
from polydesign.search.grids import Grid
from polydesign.search.lattice import BITS, sum_of, to_floats, to_whole
from polydesign.search.neighbours import Distance, Judgement, near

_NODES = 257  # where candidates are compared before the exact images decide
_PLACES = 8  # of the nodes: every so many is one that the lattice looks at
_SHORTLIST = 12  # candidates whose exact image is computed
_SCALES = (1.0, 1 - 2.0**-6, 1 - 2.0**-4)  # of the targets, until a point stays in (0, 2)
_LEAST_KEPT = 0.5  # of lower/upper by a step that is not the last
_LEAST_VALUE = 0.01  # of the largest: below it, values of p are not asked to be right relatively


_SCALE = Grid("scale", bits=6, least=-1000)


def on_grid(
    where: Grid,
    root: int,
    evaluation: str,
    targets: Sequence[Sequence[float]],
    designed: tuple[Any, Any],
    lowest: Any,
    *,
    last: bool,
    lower: Callable[[], Sequence[Any] | None] | None = None,
) -> tuple[float, ...]:
    """The constants of a step on the grid: those of the evaluation (program_constants).

    targets: the coefficients of the polynomials to stay close to. designed: the interval that is judged;
    lowest: the lower end of what arrives, below it where there is a cushion. Of the points found whose image
    lies in (0, 2), each target rounded to nearest among them, a step that is not the last gets the one that
    loses least, as a factor, of lower/upper of the image, all that the steps after it see: of the image of
    `designed`, and of that with `lowest`, whichever loses more. Where none lies in (0, 2) the targets are
    scaled down. The last step gets the smallest max |p − 1| on both, as nothing scales it afterwards.

    Raises InputError where the grid is so coarse that no image lies in (0, 2), or half of lower/upper is
    lost; so fine that float64 does not hold its points; or for a program whose polynomial is not linear in
    its constants (degree 1 + 8r).
    """
    n = len(targets[0]) - 1
    if evaluation not in ("monomial", "chebyshev"):
        raise InputError("round", f"{evaluation} has no constants on a grid: write monomial or chebyshev")
    if evaluation != "monomial" and n == 8:
        raise InputError(
            "round",
            f"the three products of chebyshev for degree {1 + 8 * root} are not linear in their constants: "
            "write evaluation monomial, or take a degree "
            f"of at most {1 + 6 * root}",
        )
    fixed: tuple[float, ...] = ()
    if evaluation != "monomial":
        # A few bits are enough for a scale, and with them the limit step about 1 has short constants.
        fixed = (where.nearest(_SCALE.nearest(float(2 / designed[1] ** root))),)
        if not fixed[0]:
            raise InputError(
                "round", f"{where.word} is too coarse for the scale of chebyshev: take a finer one"
            )

    def exact(numbers: tuple[float, ...]) -> Sequence[Any]:
        return expanded(build(evaluation, n, (*fixed, *numbers))) if fixed else numbers

    def constants(coefficients: Sequence[Any]) -> tuple[Any, ...]:
        if not fixed:
            return tuple(coefficients)
        return program_constants(evaluation, coefficients, 2 / Fraction(fixed[0]))[1:]

    def ratios(coefficients: Sequence[Any], low: Any, high: Any) -> tuple[Any, Any]:
        return low / high, min(low, evaluate(coefficients, root, lowest)) / high

    @cache
    def rank(numbers: tuple[float, ...]) -> tuple[bool, Any]:
        coefficients = exact(numbers)
        low, high = image(coefficients, root, designed)
        if low <= 0 or high >= 2 or last:
            return low > 0 and high < 2, -half_width((low, high))
        kept = min(a / b for a, b in zip(ratios(coefficients, low, high), unrounded, strict=True))
        return kept > _LEAST_KEPT, kept

    if last:
        designed = (min(lowest, designed[0]), designed[1])
    lowest = exactly(lowest)
    unrounded = ratios(targets[0], *image(targets[0], root, designed))
    rows = _rows(root, evaluation, n, fixed, _points(designed, float(lowest)))
    beyond: InputError | None = None
    fewer: Sequence[Any] | None = None
    for scale in (1.0,) if last else _SCALES:
        found: list[tuple[float, ...]] = []
        for coefficients in targets:
            free = constants([c * scale for c in coefficients])
            try:
                found.append(tuple(map(where.nearest, free)))
            except InputError as problem:  # the format ends
                beyond = problem
                continue
            found += _close(where, free, rows, last)
        best = max(dict.fromkeys(found), key=rank, default=None)
        if scale == 1 and lower is not None and n > 1:
            error = best_approximation(root, n - 1, *designed).error
            bound = -error if last else (1 - error) / (1 + error) / unrounded[0]
            fewer = lower() if best is not None and rank(best)[0] and rank(best)[1] < bound else None
            if fewer is not None:
                begin = tuple(map(float, constants([*fewer, *[0] * (n + 1 - len(fewer))])))
                if all(where.nearest(c) == c for c in begin):
                    free = constants(targets[0])
                    found += _close(where, free, rows, last, begin)
                    best = max(dict.fromkeys(found), key=rank)
        if best is not None and rank(best)[0]:
            return fixed + best
    raise beyond or InputError(
        "round", f"{where.word} is too coarse for degree {1 + n * root}: take a finer one, or a lower degree"
    )


def _points(designed: Any, lowest: float) -> list[float]:
    """`lowest`, then Chebyshev points of the interval, ends included."""
    low, high = map(float, designed)
    x = (low + high) / 2 - (high - low) / 2 * np.cos(np.linspace(0, np.pi, _NODES))
    return [lowest, *x.tolist()]


def _rows(
    root: int, evaluation: str, n: int, fixed: tuple[float, ...], x: Sequence[float]
) -> list[list[int]]:
    """φ_j at x, p = Σ (constant j)·φ_j, in multiples of 2^−BITS: n + 1 lists."""
    points = list(map(to_whole, x))
    powers, row = [], points
    for _ in range(n + 1):
        powers.append(row)
        for _ in range(root):
            row = [a * b >> BITS for a, b in zip(row, points, strict=True)]
    if not fixed:
        return powers
    unit = np.eye(n + 1).tolist()
    change = [list(map(to_whole, expanded(build(evaluation, n, (*fixed, *row))))) for row in unit]
    return [[int(v) >> BITS for v in row] for row in (fmpz_mat(change) * fmpz_mat(powers)).tolist()]


def _close(
    where: Grid,
    free: Sequence[Any],
    rows: Sequence[Sequence[int]],
    last: bool,
    begin: tuple[float, ...] | None = None,
) -> list[tuple[float, ...]]:
    """Constants on the grid near the free ones: rounded to nearest, then the best by the rows' points."""
    wanted = sum_of(free, rows)
    ones = [1 << BITS] * len(wanted)
    values = to_floats([wanted])[0]
    places = range(1, len(wanted), _PLACES)
    floor = _LEAST_VALUE * np.max(np.abs(values))
    weights = [to_whole(1 / max(abs(values[i]), floor) / math.sqrt(len(places))) for i in places]

    def weighed(row: Sequence[int]) -> list[int]:
        return [row[i] * w >> BITS for i, w in zip(places, weights, strict=True)]

    table = list(map(weighed, rows))
    distances = [Distance(table, weighed(wanted))]
    if last:
        # Near 1 the float64 numbers of the unrounded constants miss it by more than the best on the grid.
        distances.append(Distance(table, weighed(ones)))
    else:
        means = [sum(row) // len(row) for row in (*table, weighed(wanted))]
        *flat, goal = [
            [v - mean for v in row] for row, mean in zip((*table, weighed(wanted)), means, strict=True)
        ]
        distances.append(Distance(flat, goal, means))
    sizes = to_floats([[max(map(abs, row)) for row in rows]])[0]
    judgement = Judgement(rows, ones, lambda left: _scores(left, values, last), sizes)
    return near(where, free, distances, judgement, _SHORTLIST, begin)


def _scores(left: np.ndarray, values: np.ndarray, last: bool) -> np.ndarray:
    """What on_grid ranks by, from 1 − p at the points, a row a polynomial; values: of the unrounded p."""
    if last:
        return -np.max(abs(left[:, 1:]), axis=1)
    p = np.vstack([values, 1 - left])
    low, high = p[:, 1:].min(axis=1), np.maximum(abs(p[:, 1:].max(axis=1)), 1e-300)
    ratios = np.stack([low / high, np.minimum(low, p[:, 0]) / high])
    return (np.min(ratios / ratios[:, :1], axis=0) - (high >= 2))[1:]

"""Rounded coefficients: the constants of a step on a grid, the best of the many that lie near.

Rounding each constant to nearest moves p by what all the roundings sum to. Other points of the grid, some
units away in each constant, move it less: their roundings cancel. All points of the grid make a lattice of
polynomials Σ k_j s_j φ_j, k_j whole, and the wanted one is close to the unrounded p there, as in fpminimax
(Brisebarre and Chevillard, Efficient polynomial L∞-approximation, ARITH 2007): a reduced basis of the lattice
(LLL), then the nearest planes of Babai (Combinatorica 6, 1986), a few at every level in place of one. What
is found that way is only where to look; the choice is made by exact images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from flint import fmpz_mat

from polydesign.approximation.scalar import exactly, half_width, image
from polydesign.model import InputError, dtype_name, evaluate
from polydesign.model.precision import PRECISIONS
from polydesign.program.basis import expanded, program_constants
from polydesign.program.programs import build

_MOST_DECIMALS = 12
_MOST_WHOLE = 2**53  # a float64 holds every whole number up to it

_NODES = 257  # where candidates are compared before the exact images decide
_PLANES = 3  # nearest planes looked at on each level of the lattice
_BEAM = 4096  # points kept from level to level
_SHORTLIST = 12  # candidates whose exact image is computed
_SCALES = (1.0, 1 - 2.0**-6, 1 - 2.0**-4)  # of the targets, until a point stays in (0, 2)
_MOST_GROWTH = 0.2  # of the sum of the terms' sizes, which rounding in the runtime is in proportion to
_MOST_MISSED = 0.003  # of p, root mean square: more is expected of no grid that is fine enough
_LEAST_KEPT = 0.5  # of lower/upper by a step that is not the last
_LEAST_VALUE = 0.01  # of the largest: below it, values of p are not asked to be right relatively
_LEAST_MISSED = 1e-12
_MOST_SCALE = 0.02  # by which a step that is not the last may be larger or smaller than its target
_INTEGER_BITS = 60  # of the basis that is reduced: rounded to whole numbers for it


@dataclass(frozen=True, slots=True)
class Grid:
    """The numbers that a constant may be: multiples of `unit`, or those of a float format.

    word: as it is asked for, 1/1024, decimals:4, bf16, fp16 or fp32. A multiple of a decimal unit is the
    float64 number nearest to it.
    """

    word: str
    unit: Fraction | None = None
    bits: int = 0
    least: int = 0
    largest: float = math.inf

    def spacing(self, x: float) -> Fraction:
        """The distance of the points of the grid at x."""
        if self.unit is not None:
            return self.unit
        exponent = math.frexp(x)[1] - self.bits  # |x| in [2^(e − 1), 2^e)
        return Fraction(2) ** max(exponent, self.least)

    def nearest(self, x: float) -> float:
        """The point nearest to x, the even one of two; raises InputError where the format ends before x."""
        spacing = self.spacing(x)
        point = float(round(Fraction(x) / spacing) * spacing)
        if abs(point) > self.largest:
            raise InputError("round", f"{x:.6g} is above the largest number of {self.word}")
        return point


_SCALE = Grid("scale", bits=6, least=-1000)


def grid(word: str) -> Grid:
    """The grid of a word: 1/N, decimals:K, or a precision below float64.

    >>> grid("1/1024").nearest(8.4703) * 1024
    8674.0
    >>> grid("decimals:2").nearest(8.4703), grid("bf16").nearest(8.4703)
    (8.47, 8.5)

    Raises InputError for anything else.
    """
    kind, _, number = word.partition(":" if word.startswith("decimals") else "/")
    if kind == "decimals" and number.isascii() and number.isdigit() and int(number) <= _MOST_DECIMALS:
        return Grid(f"decimals:{int(number)}", Fraction(1, 10 ** int(number)))
    if kind == "1" and number.isascii() and number.isdigit() and 0 < int(number) <= 10**_MOST_DECIMALS:
        return Grid(f"1/{int(number)}", Fraction(1, int(number)))
    try:
        form = PRECISIONS[dtype_name(word, "round")]
    except InputError:
        form = None
    if form is None or form.name == "float64":
        raise InputError(
            "round",
            f"{word!r} is not 1/N (1/1024), decimals:K with K up to {_MOST_DECIMALS}, bf16, fp16 or fp32",
        )
    return Grid(form.short, None, form.bits, form.least_exponent, form.largest)


def on_grid(
    where: Grid,
    root: int,
    evaluation: str,
    targets: Sequence[Sequence[float]],
    designed: tuple[Any, Any],
    lowest: Any,
    *,
    last: bool,
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

    def ratios(coefficients: Sequence[Any], low: Any, high: Any) -> tuple[Any, Any]:
        return low / high, min(low, evaluate(coefficients, root, lowest)) / high

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
    columns = _columns(root, evaluation, n, fixed, designed, float(lowest))
    for scale in (1.0,) if last else _SCALES:
        found: list[tuple[float, ...]] = []
        for coefficients in targets:
            free = tuple(c * scale for c in coefficients)
            if fixed:
                free = program_constants(evaluation, free, 2 / Fraction(fixed[0]))[1:]
            found += _close(where, free, columns, last)
        best = max(dict.fromkeys(found), key=rank)
        if rank(best)[0]:
            return fixed + best
    raise InputError("round", f"{where.word} is too coarse for degree {1 + n * root}: take a finer one")


def _columns(
    root: int, evaluation: str, n: int, fixed: tuple[float, ...], designed: Any, lowest: float
) -> np.ndarray:
    """φ_j at `lowest`, then at Chebyshev points of the interval, ends included: p = Σ (constant j)·φ_j."""
    low, high = map(float, designed)
    x = (low + high) / 2 - (high - low) / 2 * np.cos(np.linspace(0, np.pi, _NODES))
    x = np.append(lowest, x)
    unit = np.eye(n + 1)
    return np.stack([x * build(evaluation, n, (*fixed, *unit[j]))(x**root) for j in range(n + 1)], axis=1)


def _close(where: Grid, free: Sequence[float], columns: np.ndarray, last: bool) -> list[tuple[float, ...]]:
    """Constants on the grid near the free ones: rounded to nearest, then the best by the columns' points."""
    values = columns @ np.array(list(map(float, free)))
    relative = columns / np.maximum(np.abs(values), _LEAST_VALUE * np.max(np.abs(values)))[:, None]
    average = relative.mean(axis=0)
    # Before the last step a scale is free, within a little.
    shapes = [(relative, None)] if last else [(relative, None), (relative - average, average)]
    return near(
        where,
        free,
        columns,
        shapes,
        lambda points: _scores(np.vstack([values, points @ columns.T]), last)[1:],
    )


def near(
    where: Grid,
    free: Sequence[float],
    columns: np.ndarray,
    shapes: Sequence[tuple[np.ndarray, np.ndarray | None]],
    scores: Callable[[np.ndarray], np.ndarray],
    most: int = _SHORTLIST,
) -> list[tuple[float, ...]]:
    """Constants on the grid near the free ones: rounded to nearest, then up to `most` others, best first.

    columns (g, n + 1): the terms of the polynomial at g points, whose sizes hardly grow. shapes: pairs of a
    matrix (g, n + 1), of what a change of the constants moves and should not, and of a row (n + 1), of what
    it moves and may a little, or None. scores: of constants (m, n + 1), the larger the better.

    Raises InputError where float64 does not hold the grid, or its format ends.
    """
    spacings = [where.spacing(float(c)) for c in free]
    plain = tuple(map(where.nearest, free))
    whole = np.array([float(Fraction(c) / s) for c, s in zip(free, spacings, strict=True)])
    if np.max(np.abs(whole)) >= _MOST_WHOLE / 4:
        raise InputError("round", f"{where.word} is finer than float64 at {max(map(abs, free)):.3g}")
    if plain == tuple(free):
        return [plain]
    units = np.array(list(map(float, spacings)))
    # Distance is measured by what rounding to nearest misses. Narrow intervals let the constants wander off
    # together: so much of their terms weighs as much.
    terms = np.max(np.abs(columns * units), axis=0)
    allowance = _MOST_GROWTH * (terms @ np.abs(whole))
    points = np.empty((0, len(whole)))
    for shape, loose in shapes:
        shape = shape * units
        missed = np.linalg.norm(shape @ (np.rint(whole) - whole)) / math.sqrt(len(shape))
        missed = math.sqrt(len(shape)) * min(max(missed, _LEAST_MISSED), _MOST_MISSED)
        rows = [shape, np.diag(terms * missed / allowance)]
        if loose is not None:
            rows.append(loose[None] * units * missed / _MOST_SCALE)
        points = np.vstack([points, _lattice_points(np.vstack(rows), whole)])
    points = np.unique(points[np.abs(points) @ terms <= allowance + np.abs(whole) @ terms], axis=0)
    order = np.argsort(-scores(points * units), kind="stable")[: 4 * most]
    candidates = [tuple(float(int(k) * s) for k, s in zip(points[i], spacings, strict=True)) for i in order]
    # A point across a power of two lies on the format's grid only if it is even there.
    allowed = [row for row in candidates if row == tuple(map(where.nearest, row))]
    return [plain, *allowed[:most]]


def _scores(values: np.ndarray, last: bool) -> np.ndarray:
    """What on_grid ranks by, from values at the columns' points, a row a polynomial, the unrounded first."""
    low, high = values[:, 1:].min(axis=1), values[:, 1:].max(axis=1)
    if last:
        return -np.maximum(1 - low, high - 1)
    high = np.maximum(np.abs(high), 1e-300)
    ratios = np.stack([low / high, np.minimum(low, values[:, 0]) / high])
    return np.min(ratios / ratios[:, :1], axis=0) - (high >= 2)


def _lattice_points(basis: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Whole numbers k, one point a row, for which basis @ k lies near basis @ target."""
    triangle = np.linalg.qr(basis).R
    size = 2.0**_INTEGER_BITS / np.max(np.abs(triangle))
    rows = [[int(v * size) for v in column] for column in triangle.T]
    _, moves = fmpz_mat(rows).lll(True)
    change = np.array([[int(moves[i, j]) for j in range(len(rows))] for i in range(len(rows))], dtype=float)
    nearest = np.rint(target)
    rest = triangle @ (target - nearest)
    q, reduced = np.linalg.qr(triangle @ change.T)
    rest = q.T @ rest
    n = len(rest)
    points, distance = np.zeros((1, n)), np.zeros(1)
    for level in reversed(range(n)):
        offset = rest[level] - points[:, level + 1 :] @ reduced[level, level + 1 :]
        centre = np.rint(offset / reduced[level, level])
        around = np.arange(_PLANES) - _PLANES // 2
        points = np.repeat(points, _PLANES, axis=0)
        points[:, level] = (centre[:, None] + around).ravel()
        missed = np.repeat(offset, _PLANES) - points[:, level] * reduced[level, level]
        distance = np.repeat(distance, _PLANES) + missed**2
        if len(distance) > _BEAM:
            kept = np.argsort(distance, kind="stable")[:_BEAM]
            points, distance = points[kept], distance[kept]
    return nearest + points @ change

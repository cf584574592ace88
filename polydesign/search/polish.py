"""From near an optimum to it, for objectives that are maxima: sequential linear programming.

Near an optimum of the sup norm many extremes of f − 1 are equally large, and every gradient points at one
of them. The linear model of all of them at once is a linear program; solved within a trust region again and
again it converges quadratically where the extremes determine the coefficients (Fletcher, Practical Methods
of Optimization, section 14.4), and there it equioscillates. scipy's HiGHS solves the programs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import least_squares, linprog

from polydesign.search import pace
from polydesign.search.starts import Rows

MOST_ROUNDS = 100
LEAST_RADIUS = 1e-13
"""Of the trust region, relative to the coefficients: below it float64 does not move them."""

LEAST_GAIN = 1e-12
"""Relative: what the linear program must promise, or else the optimum is reached."""

CANDIDATES = 4
"""Times k: how many of the worst points a program for the mean of the k worst looks at."""


ALLOWED = 0.95
"""Of |f − 1| where a mean square does not look: inside (0, 2), with some room."""

FARTHEST = 1e30
"""Of f, for least squares: products of its derivatives, squared, must be float64s."""


@dataclass(frozen=True, slots=True)
class Goal:
    """The mean of the k largest |f(x) − 1| over the points x; k = 1 is the maximum.

    band: where given, −ln f'(0) + weight·max(0, that maximum − band) instead.
    """

    x: np.ndarray
    k: int = 1
    band: float | None = None
    weight: float = 0.0


def polish(
    rows: Rows, root: int, goal: Goal, *, shared: bool = False, most_rounds: int = MOST_ROUNDS
) -> Rows:
    """Rows for which the goal is no larger than for the given ones, and as a rule a local optimum.

    rows: of coefficients of q, one a step, all alike if shared. A step that maps a point to 0 or below is
    never taken.
    """
    c, unpacked = _packed(rows, shared)
    best, radius = _value(unpacked(c), root, goal), 0.01
    for _ in range(most_rounds):
        pace.check()
        scale = np.maximum(abs(c), 0.01 * abs(c).max())
        move, promised = _program(unpacked(c), root, goal, radius * scale, shared)
        if move is None or best - promised <= LEAST_GAIN * max(abs(best), 1e-30):
            break
        found = _value(unpacked(c + move), root, goal)
        if found < best:
            radius *= 2.0 if best - found > 0.5 * (best - promised) else 0.5
            c, best = c + move, found
        else:
            radius /= 4
        if radius < LEAST_RADIUS:
            break
    return tuple(tuple(map(float, row)) for row in unpacked(c))


def polish_mean_square(
    rows: Rows, root: int, x: np.ndarray, guard: np.ndarray, *, shared: bool = False
) -> Rows:
    """Rows for which the mean of (f(x) − 1)² over the points is smallest nearby: scipy's least squares.

    guard: points on which |f − 1| beyond ALLOWED counts too, squared, so that f does not go astray there.
    Rows that map a point of either to 0 or below, or beyond FARTHEST, are given back as they are.
    Coefficients count in units of their own size, a few of which are alike enough for a trust region.
    """
    c, split = _packed(rows, shared)
    scale = np.maximum(abs(c), 0.01 * abs(c).max())
    every = np.concatenate([x, guard])
    looked_at = np.arange(len(every)) < len(x)

    def unpacked(z: np.ndarray) -> list[np.ndarray]:
        return split(z * scale)

    def residuals(z: np.ndarray) -> np.ndarray:
        f = _values(unpacked(z), root, every)
        if f is None or f.max() > FARTHEST:
            return np.full(len(every), FARTHEST)  # a wall that no step goes through
        return np.where(looked_at, f - 1, np.sign(f - 1) * np.maximum(0, abs(f - 1) - ALLOWED))

    def jacobian(z: np.ndarray) -> np.ndarray:
        f, found = compose(unpacked(z), root, every)
        if shared:
            found = found.reshape(len(every), len(rows), -1).sum(axis=1)
        return (looked_at | (abs(f - 1) > ALLOWED))[:, None] * found * scale

    f = _values(unpacked(c / scale), root, every)
    if f is None or f.max() > FARTHEST:
        return rows
    fit: Any = least_squares  # its stubs know no function for the Jacobian
    with np.errstate(
        divide="ignore", invalid="ignore"
    ):  # of its own quotients, where nothing is left to gain
        found = fit(residuals, c / scale, jacobian, xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=300)
    return tuple(tuple(map(float, row)) for row in unpacked(found.x))


def _packed(rows: Rows, shared: bool) -> tuple[np.ndarray, Callable[[np.ndarray], list[np.ndarray]]]:
    """All coefficients as one array, once if they are shared, and the way back to rows."""
    if shared:
        return np.array(rows[0]), lambda c: [c] * len(rows)
    ends = np.cumsum([len(row) for row in rows])[:-1]
    return np.concatenate(rows), lambda c: np.split(c, ends)


def compose(rows: Sequence[np.ndarray], root: int, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f(x), and its derivatives by all coefficients, step after step: (g,) and (g, number of them)."""
    states = []
    for row in rows:
        powers = np.power.outer(x, 1 + root * np.arange(len(row)))
        slope = np.power.outer(x, root * np.arange(len(row))) @ ((1 + root * np.arange(len(row))) * row)
        states.append((powers, slope))
        x = powers @ row
    chain, blocks = np.ones_like(x), []
    for powers, slope in reversed(states):
        blocks.append(chain[:, None] * powers)
        chain = chain * slope
    return x, np.hstack(blocks[::-1])


def _values(rows: Sequence[np.ndarray], root: int, x: np.ndarray) -> np.ndarray | None:
    """f(x), or None where a step leaves the positive numbers or float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        for row in rows:
            x = x * np.polynomial.polynomial.polyval(x**root, row)
            if not (x.min() > 0 and np.isfinite(x).all()):
                return None
    return x


def _value(rows: Sequence[np.ndarray], root: int, goal: Goal) -> float:
    f = _values(rows, root, goal.x)
    if f is None:
        return np.inf
    worst = float(np.mean(np.partition(abs(f - 1), -goal.k)[-goal.k :]))
    if goal.band is None:
        return worst
    slope = float(np.prod([row[0] for row in rows]))
    return -np.log(slope) + goal.weight * max(0.0, worst - goal.band) if slope > 0 else np.inf


def _program(
    rows: Sequence[np.ndarray], root: int, goal: Goal, reach: np.ndarray, shared: bool
) -> tuple[np.ndarray | None, float]:
    """The best move within ±reach under the linear model, and the value that the model promises."""
    f = _values(rows, root, goal.x)
    if f is None:
        return None, np.inf
    at = _extremes(f - 1) if goal.k == 1 else np.argsort(abs(f - 1))[-CANDIDATES * goal.k :]
    values, jacobian = compose(rows, root, goal.x[at])
    slope = np.concatenate([np.eye(1, len(row))[0] / row[0] for row in rows])
    if shared:
        jacobian = jacobian.reshape(len(at), len(rows), -1).sum(axis=1)
        slope = slope.reshape(len(rows), -1).sum(axis=0)
    sign = np.sign(values - 1)
    off, toward = abs(values - 1), sign[:, None] * jacobian
    number = len(at)
    if goal.band is not None:
        # min −slope·δ + w·e, |off + toward·δ| − e <= band
        cost = np.concatenate([-slope, [goal.weight]])
        left, right = np.hstack([toward, -np.ones((number, 1))]), goal.band - off
        bounds = [(-r, r) for r in reach] + [(0, None)]
        constant = -float(np.log(np.prod([row[0] for row in rows])))
    elif goal.k == 1:
        cost = np.concatenate([np.zeros(len(reach)), [1.0]])
        left, right = np.hstack([toward, -np.ones((number, 1))]), -off
        bounds = [(-r, r) for r in reach] + [(0, None)]
        constant = 0.0
    else:
        # The mean of the k largest is min over τ of τ + Σ max(0, dᵢ − τ)/k (Rockafellar and Uryasev 2000).
        cost = np.concatenate([np.zeros(len(reach)), [1.0], np.full(number, 1 / goal.k)])
        left = np.hstack([toward, -np.ones((number, 1)), -np.eye(number)])
        right = -off
        bounds = [(-r, r) for r in reach] + [(0, None)] * (1 + number)
        constant = 0.0
    solve: Any = linprog  # whose type takes a tenth of the time of all types to infer
    found = solve(cost, A_ub=left, b_ub=right, bounds=bounds, method="highs")
    if not found.success:
        return None, np.inf
    return found.x[: len(reach)], constant + float(found.fun)


def _extremes(d: np.ndarray) -> np.ndarray:
    """Indices of the local extremes of d, the two ends among them."""
    inner = (d[1:-1] - d[:-2]) * (d[2:] - d[1:-1]) <= 0
    return np.concatenate([[0], 1 + np.flatnonzero(inner), [len(d) - 1]])

"""Clip schedules: f(x) ≈ min(x/l, 1) on [0, 1], a composition of odd polynomials like a sign schedule.

A sign schedule on [l, 1] maps everything above l to 1, and what lies below l to a curve that nobody asked
for; here that curve is asked to be the straight line x/l. Then l/β·M under the iteration is min(σ, β)/β, and
every value on the way is at most 1: nothing large is ever subtracted from anything large.

Each step but the last serves [0, c] with a straight line of slope a, and keeps [c, 1] in [a·c, 1]; the slope
is as large as it can be, the next threshold is a·c. What a step does to a value above its threshold is
forgiven, because later steps clip it again. The last step is the best uniform approximation of what is then
left of min(x/l, 1), the curvature of the steps before it included. Both are linear programs in the
coefficients (scipy's HiGHS).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from scipy.optimize import linprog

from polydesign.approximation.sampling import clip_error
from polydesign.approximation.scalar import schedule_from
from polydesign.model import MOST_HEADROOM, InputError, Problem, Schedule, check_number, evaluate
from polydesign.program.programs import preferred
from polydesign.search import pace

BELOW, ABOVE = 60, 60
"""Points of the grid on [0, c], and on [c, 1] times n + 1."""

BENDS = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2)
"""How far the step before the last may leave its line, relative to its threshold: each is tried. A larger
slope leaves less to the last step, which undoes some of the bend."""

STRAIGHT = 1e-4
"""The same for the earlier steps, whose thresholds are so low that a line costs little."""

POINTS = 1000
"""Points of x on which the last step is fitted below l, and as many above it."""

ROUNDS = 4
"""Of a linear program, each with the turning points of the polynomial before it added to the grid."""


@dataclass(frozen=True, slots=True)
class Clipping:
    """The strategy. headroom: each step behaves on [0, headroom], so that rounding may push values there.
    image_floor: ρ, each step but the last maps every x above its threshold to at least min(x, ρ), so that
    what is large never becomes small enough for rounding to lose."""

    headroom: float = 1.0
    image_floor: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "headroom", check_number("headroom", self.headroom))
        if not 1 <= self.headroom <= MOST_HEADROOM:
            raise InputError("headroom", f"must lie from 1 to {MOST_HEADROOM:g}, and is {self.headroom!r}")
        object.__setattr__(self, "image_floor", check_number("image_floor", self.image_floor))
        if not 0 <= self.image_floor < 1:
            raise InputError("image_floor", f"must lie in [0, 1), not {self.image_floor!r}")

    def search(self, problem: Problem) -> Schedule:
        """The schedule with the smallest max |f(x) − min(x/l, 1)| on [0, 1] over BENDS.

        Raises InputError for another root than 2, an upper end other than 1, a single step, and where the
        degrees cannot reach from l to 1.
        """
        if problem.root != 2 or problem.upper != 1 or problem.error is not None:
            raise InputError(
                "root", "clip schedules have root 2, upper end 1, and degrees in place of an error"
            )
        if len(problem.degrees) < 2:
            raise InputError("steps", "a clip schedule has at least two: one that stretches, one that clips")
        found: list[list[tuple[float, ...]]] = []
        with pace.best_so_far():
            for number, bend in enumerate(BENDS, start=1):
                pace.doing(f"bend {number} of {len(BENDS)}")
                found.append(self._composed(problem, bend))
        if not found:
            pace.check()
        best = min(found, key=lambda rows: clip_error(rows, problem.lower))
        evaluations = [preferred((degree - 1) // 2) for degree in problem.degrees]
        schedule = schedule_from(2, best, (problem.lower, 1.0), evaluations)
        if not schedule.error < 0.5:
            raise InputError("steps", f"these degrees do not reach from {problem.lower:g} to 1: add steps")
        return schedule

    def _composed(self, problem: Problem, bend: float) -> list[tuple[float, ...]]:
        rows: list[tuple[float, ...]] = []
        threshold = problem.lower
        for index, degree in enumerate(problem.degrees[:-1]):
            off = bend if index == len(problem.degrees) - 2 else STRAIGHT
            row, slope = _stretch((degree - 1) // 2, threshold, self, off)
            rows.append(row)
            threshold *= slope
        x = _nodes(0.0, problem.lower, POINTS)
        y = x
        for row in rows:
            y = evaluate(row, 2, y)
        above = _nodes(y[-1], self.headroom, POINTS)
        target = np.concatenate([x / problem.lower, np.ones_like(above)])
        return [
            *rows,
            _nearest((problem.degrees[-1] - 1) // 2, np.concatenate([y, above]), target, self.headroom),
        ]


@lru_cache(maxsize=256)  # the earlier steps are the same for every bend
def _stretch(n: int, c: float, safety: Clipping, off: float) -> tuple[tuple[float, ...], float]:
    """p with the largest slope a: |p − a·x| <= off·a·c on [0, c], and a·c·(1 − off) <= p <= 1 on [c, upper].

    There p >= min(x, ρ) too. In units of c, so that the solver's tolerance is relative to the threshold.
    """
    upper = safety.headroom
    low, high = _nodes(0.0, c, BELOW)[1:], _nodes(c, upper, ABOVE * (n + 1))
    P = _odd(n, low, upper)
    row, slope = (), 0.0
    for _ in range(ROUNDS):
        pace.check()
        Q, none = _odd(n, high, upper), np.zeros((len(high), 1))
        constraints = np.vstack(
            [
                np.hstack([P / c, -(low / c + off)[:, None]]),
                np.hstack([-P / c, (low / c - off)[:, None]]),
                np.hstack([-Q / c, none + (1 - off)]),
                np.hstack([-Q / c, none]),
                np.hstack([Q, none]),
            ]
        )
        least = np.minimum(high, safety.image_floor) / c
        limits = np.concatenate([np.zeros(2 * len(low) + len(high)), -least, np.ones(len(high))])
        solution = _solved(np.append(np.zeros(n + 1), -1.0), constraints, limits)
        row, slope = _row(solution[:-1], upper), float(solution[-1])
        high = np.concatenate([high, _turns(row, c, upper)])
    return row, slope


def _nearest(n: int, y: np.ndarray, target: np.ndarray, upper: float) -> tuple[float, ...]:
    """The best uniform approximation of the target on the points; it is 1 from some point on."""
    row = ()
    for _ in range(ROUNDS):
        pace.check()
        P, one = _odd(n, y, upper), np.ones((len(y), 1))
        constraints = np.vstack([np.hstack([P, -one]), np.hstack([-P, -one])])
        solution = _solved(np.append(np.zeros(n + 1), 1.0), constraints, np.concatenate([target, -target]))
        row = _row(solution[:-1], upper)
        turns = _turns(row, float(np.min(y[target == 1])), upper)
        y, target = np.concatenate([y, turns]), np.concatenate([target, np.ones_like(turns)])
    return row


def _turns(row: tuple[float, ...], low: float, high: float) -> np.ndarray:
    """Where p′ is zero on [low, high]: between the points of a grid p may pass its limits there."""
    slopes = [(1 + 2 * j) * c for j, c in enumerate(row)]
    y = np.roots(slopes[::-1])
    x = np.sqrt(y[(np.abs(y.imag) < 1e-9) & (y.real > 0)].real)
    return x[(x > low) & (x < high)]


def _solved(cost: np.ndarray, constraints: np.ndarray, limits: np.ndarray) -> np.ndarray:
    tolerances = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    solve: Any = linprog  # whose type takes a tenth of the time of all types to infer
    found = solve(
        cost, A_ub=constraints, b_ub=limits, bounds=(None, None), method="highs-ds", options=tolerances
    )
    if found.x is None:
        raise ArithmeticError(f"the linear program of a clip step was not solved: {found.message}")
    return found.x


def _odd(n: int, x: np.ndarray, upper: float) -> np.ndarray:
    """T_(2j+1)(x/upper) for j = 0, …, n: a basis in which the coefficients stay small."""
    angle = np.arccos(np.minimum(x / upper, 1.0))
    return np.cos(np.outer(angle, 2 * np.arange(n + 1) + 1))


def _row(weights: np.ndarray, upper: float) -> tuple[float, ...]:
    """The coefficients of q from the weights of that basis."""
    every = np.zeros(2 * len(weights))
    every[1::2] = weights
    powers = chebyshev.cheb2poly(every)[1::2]
    return tuple(float(c / upper ** (1 + 2 * j)) for j, c in enumerate(powers))


def _nodes(low: float, high: float, count: int) -> np.ndarray:
    """Chebyshev's points with both ends."""
    return low + (high - low) * (1 - np.cos(np.pi * np.arange(count + 1) / count)) / 2

"""The end of a gradient search: the polish that an objective has, and whether a schedule can run."""

from __future__ import annotations

import numpy as np

from polydesign.approximation.sampling import grid
from polydesign.approximation.scalar import schedule_from
from polydesign.model import InputError, Problem, Schedule, evaluate
from polydesign.search.objectives import Looks, MeanSquare, Slope, Sup, TopK
from polydesign.search.polish import MOST_ROUNDS, Goal, polish, polish_mean_square
from polydesign.search.starts import Rows

GUARDED = 500
"""Points of the interval that must stay within (0, 2), or within the start's error, though a mean square does
not look there."""


def guarded(looks: Looks, problem: Problem) -> np.ndarray | None:
    """Points that count beside the objectives' own: a mean square sees a part of the interval only."""
    partial = all(isinstance(objective, MeanSquare) for _, objective, _ in looks)
    return grid(problem.lower, problem.upper, GUARDED) if partial else None


def valid(rows: Rows, problem: Problem) -> Schedule | None:
    """The schedule of the rows, or None where a value is lost: 0 or below, or not finite."""
    try:
        schedule = schedule_from(problem.root, rows, (problem.lower, problem.upper))
        schedule.check_chain()
    except (InputError, ArithmeticError, ValueError):
        return None
    return schedule if schedule.steps[-1].image[0] > 0 else None


def polished(
    looks: Looks,
    problem: Problem,
    rows: Rows,
    shared: bool,
    *,
    frozen: int = 0,
    most_rounds: int = MOST_ROUNDS,
) -> Rows | None:
    """The rows after what polish.py has for the objective, the first `frozen` as they are; None for sums."""
    if len(looks) != 1:
        return None
    root, (_, objective, x) = problem.root, looks[0]

    def received(x: np.ndarray) -> np.ndarray:
        for row in rows[:frozen]:
            x = evaluate(row, root, x)
        return x

    tail = rows[frozen:]
    if isinstance(objective, MeanSquare):
        guard = received(grid(problem.lower, problem.upper, GUARDED))
        return rows[:frozen] + polish_mean_square(tail, root, received(x), guard, shared=shared)
    if isinstance(objective, TopK):
        goal = Goal(received(x), objective.k)
    elif isinstance(objective, Sup):
        goal = Goal(received(Sup(count=20 * objective.count).points(problem)))
    elif isinstance(objective, Slope):
        goal = Goal(received(x[1:]), 1, objective.band, objective.weight)
    else:
        return None
    return rows[:frozen] + polish(tail, root, goal, shared=shared, most_rounds=most_rounds)

"""Headroom of every step by what rounding does to the one before it, in matrices whose roundings agree.

A value that rounding pushes over the top of a step's domain is thrown out by the steps that follow, because
a best approximation is steep there. How far it is pushed differs from step to step, and between loops that
round a product together with what is added to it and loops that do not. So members of a few families are
followed through the schedule (rounding/followed.py), each step's headroom becomes what the step before it
was seen to overshoot, times a margin, and it is designed with that before it is run itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from polydesign.model import InputError, Problem, Schedule
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.algebras import Members
from polydesign.rounding.followed import stepper
from polydesign.rounding.trial import AGREEING, drawn
from polydesign.search.minimax import Equioscillation, per_step

COUNT = 65_536
"""Members of each family that is followed."""

FOLLOWED = ("fused", "separate")
"""Loops whose overshoot counts; what `compiled` adds lies between."""

MARGIN = 1.5
"""Times what was seen: of so few members it is not the most that there is. With 1.35 up to 3 of 10 million
members were blown up in separate loops, and none in fused ones."""

LAST = 0.5
"""The same for the last step: what it throws out a little goes no further."""

FIRST = 3.0
"""Headroom of the first step, in units of u: X rounded up by u, and A by as much, which is half as much of
x, and the rest for the sums made of A. With two, 2 of 10 million blocks were blown up in separate loops."""

MOST = 0.5
"""What a step beyond it would need is not to be had."""

DIGITS = 4
"""Of headroom, rounded up, so that a table says what it was made with."""


def settled(
    strategy: Equioscillation,
    problem: Problem,
    dtype: str,
    *,
    loops: Sequence[str] = FOLLOWED,
    margin: float = MARGIN,
    last: float = LAST,
    count: int = COUNT,
) -> tuple[Equioscillation, Schedule]:
    """The strategy with a headroom for every step, and its schedule.

    Args:
        strategy: With evaluation, and image floor or cushion; its headroom does not count.
        problem: Of root 2, degrees given, on [l, 1].
        dtype: bfloat16 or float16.
        loops: That are followed.
        margin, last: As MARGIN and LAST.
        count: As COUNT.

    Raises InputError where a step would need more headroom than there is, and what the strategy raises.
    """
    steps = len(problem.degrees)
    headroom = [1 + FIRST * UNIT_ROUNDOFF[dtype]]
    running = [
        (members, stepper(members, dtype, loop))
        for members in _members(problem.lower / problem.upper, count)
        for loop in loops
    ]
    for done in range(1, steps):
        step = _prefix(strategy, headroom, problem, done).steps[-1]
        seen = max(_largest(members, run(step.program)) for members, run in running)
        needed = (seen / step.image[1] - 1) * (margin if done < steps - 1 else last)
        if not needed < MOST:
            raise InputError(
                "degree",
                f"{problem.degrees} leaves its domains for good in {dtype}: take lower ones, or say headroom",
            )
        headroom.append(float(np.ceil((1 + max(0.0, needed)) * 10**DIGITS) / 10**DIGITS))
    strategy = replace(strategy, headroom=tuple(headroom))
    return strategy, strategy.search(problem)


def _prefix(strategy: Equioscillation, headroom: Sequence[float], problem: Problem, done: int) -> Schedule:
    """The first steps: greedy, so that what follows does not change them."""
    steps, floor, evaluation = len(problem.degrees), strategy.image_floor, strategy.evaluation
    if floor is not None:
        floor = tuple(per_step("image_floor", floor, steps)[: steps - strategy.floor_free_tail])
        floor = (*floor, *[0.0] * steps)[:done]
    first = replace(
        strategy,
        headroom=tuple(headroom),
        cushion=tuple(per_step("cushion", strategy.cushion, steps)[:done]),
        image_floor=floor,
        floor_free_tail=0,
        evaluation=evaluation if isinstance(evaluation, str) else evaluation[:done],
    )
    return first.search(replace(problem, degrees=problem.degrees[:done]))


def _largest(members: Members, X: Sequence[np.ndarray]) -> float:
    """The largest singular value of all."""
    with np.errstate(over="ignore", invalid="ignore"):
        return max(float(np.nan_to_num(np.abs(v), nan=np.inf).max()) for v in members.transformed(X))


@lru_cache(maxsize=8)
def _members(lower: float, count: int) -> tuple[Members, ...]:
    return tuple(one for family in AGREEING for one in drawn(family, count, lower, seed=0))

"""Headroom of every step by what rounding does to the one before it, in matrices whose roundings agree.

A value that rounding pushes over the top of a step's domain is thrown out by the steps that follow, because
a best approximation is steep there. How far it is pushed differs from step to step, and between loops that
round a product together with what is added to it and loops that do not. So members of a few families are
followed through the schedule (rounding/followed.py), each step's headroom becomes what the step before it
was seen to overshoot, times a margin, and the schedule is designed again, until both agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from polydesign.model import InputError, Problem, Schedule
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.algebras import Members
from polydesign.rounding.followed import follow
from polydesign.rounding.trial import drawn
from polydesign.search.minimax import Equioscillation

SETTLED_BY = ("diagonal-and-rest", "blocks", "two-rows", "products")
"""Families that are followed."""

COUNTS = (16_384, 16_384, 65_536)
"""Members of each, round after round."""

FOLLOWED = ("fused", "separate")
"""Loops whose overshoot counts; what `compiled` adds lies between."""

MARGIN = 1.5
"""Times what was seen: of so few members it is not the most that there is. With 1.35 up to 3 of 10 million
members were blown up in separate loops, and none in fused ones."""

LAST = 0.5
"""The same for the last step: what it throws out a little goes no further."""

_MOST = 0.5
"""What a step beyond it would need is not to be had."""

FIRST = 3.0
"""Headroom of the first step, in units of u: X rounded up by u, and A by as much, which is half as much of
x, and the rest for the sums made of A. With two, 2 of 10 million blocks were blown up in separate loops."""

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
    counts: Sequence[int] = COUNTS,
) -> tuple[Equioscillation, Schedule]:
    """The strategy with a headroom for every step, and its schedule.

    Args:
        strategy: With evaluation, and image floor or cushion; its headroom does not count.
        problem: Of root 2, degrees given, on [l, 1].
        dtype: bfloat16 or float16.
        loops: That are followed.
        margin, last: As MARGIN and LAST.
        counts: As COUNTS.

    Raises InputError where a step would need more headroom than there is, and what the strategy raises.
    """
    steps = len(problem.degrees)
    first = 1 + FIRST * UNIT_ROUNDOFF[dtype]
    headroom, needed = [first] + [1.02] * (steps - 1), [0.0]
    for count in counts if steps > 1 else ():
        members = _members(problem.lower / problem.upper, count)
        schedule = replace(strategy, headroom=tuple(headroom)).search(problem)
        over = _overshoot(schedule, members, dtype, tuple(loops))
        grown = [margin] * (steps - 2) + [last]
        # A step that meets what is far outside its domain says nothing yet: the next round does.
        needed = [min(m * x, _MOST) for m, x in zip(grown, over, strict=True)]
        headroom = [first, *(_rounded(1 + x) for x in needed)]
    if _MOST in needed:
        raise InputError(
            "degree", f"{problem.degrees} leaves its domains for good in {dtype}: take lower ones"
        )
    strategy = replace(strategy, headroom=tuple(headroom))
    return strategy, strategy.search(problem)


def _overshoot(
    schedule: Schedule, members: Sequence[Members], dtype: str, loops: Sequence[str]
) -> list[float]:
    """Of every step but the last: by how much the largest value exceeds its image, at most, relatively."""
    found = np.zeros(len(schedule.steps) - 1)
    tops = np.array([step.image[1] for step in schedule.steps[:-1]])
    before = schedule.steps[:-1]
    for loop in loops:
        for one in members:
            ends = follow(replace(schedule, steps=before), one, dtype, loop=loop)[1:]
            with np.errstate(over="ignore", invalid="ignore"):
                largest = [max(float(np.abs(v).max()) for v in one.transformed(X)) for X in ends]
            found = np.maximum(found, np.nan_to_num(np.array(largest) / tops - 1, nan=np.inf))
    return found.tolist()


@lru_cache(maxsize=8)
def _members(lower: float, count: int) -> tuple[Members, ...]:
    return tuple(one for family in SETTLED_BY for one in drawn(family, count, lower, seed=0))


def _rounded(headroom: float) -> float:
    return float(np.ceil(headroom * 10**DIGITS) / 10**DIGITS)

"""Headroom of every step by what rounding does to the one before it, in matrices whose roundings agree.

A value that rounding pushes over the top of a step's domain is thrown out by the steps that follow, because
a best approximation is steep there. How far it is pushed differs from step to step, and between loops that
round a product together with what is added to it and loops that do not. So the worst members of a few
families are looked for after every step (rounding/followed.py): random ones first, and then what is close to
the worst. Each step's headroom becomes what the step before it was seen to overshoot, times a margin, and it
is designed with that before it is run itself. The last step gets as much as keeps what it throws out small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from polydesign.model import InputError, Problem, Schedule, Step
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.model.program import Program
from polydesign.rounding.families import FAMILIES, Parameters, families
from polydesign.rounding.followed import stepper
from polydesign.rounding.neighbours import Kept, climbed, near, worst
from polydesign.rounding.trial import AGREEING, CHUNK
from polydesign.search import pace
from polydesign.search.minimax import Equioscillation, per_step


class Effort(NamedTuple):
    """How long the worst member is looked for, after each step, in each family and loop.

    drawn: Random members. kept: The worst of them, which go on. children: Of each in a round. rounds: Of
    climbing.
    """

    drawn: int
    kept: int
    children: int
    rounds: int


THOROUGH = Effort(131_072, 512, 8, 60)
"""A second or so for each step of a schedule, on one core."""

QUICK = Effort(4_096, 64, 8, 8)
"""Enough to tell which of many candidates are worth more."""

FOLLOWED = ("fused", "separate")
"""Loops whose overshoot counts; what `compiled` adds lies between."""

FIRST = 3.0
"""Headroom of the first step, in units of u: X rounded up by u, and A by as much, which is half as much of
x, and the rest for the sums made of A. With two, 2 of 10 million blocks were blown up in separate loops."""

MOST = 0.5
"""What a step beyond it would need is not to be had."""

THROWN = 0.35
"""How far from 1 the last step may take what comes highest: below what counts as blown up (trial.BLOWN), by
what rounding adds."""

PARTS = 16
"""Of what the last step would need to have all within its domain: the fewest that do are taken."""

DIGITS = 4
"""Of headroom, rounded up, so that a table says what it was made with."""


@lru_cache(maxsize=256)  # a search comes back to the problems that it ranked, and whoever asks twice does
def settled(
    strategy: Equioscillation,
    problem: Problem,
    dtype: str,
    *,
    loops: tuple[str, ...] = FOLLOWED,
    margin: float = 1.0,
    effort: Effort = THOROUGH,
    normalization: str = "frobenius",
) -> tuple[Equioscillation, Schedule]:
    """The strategy with a headroom for every step, and its schedule.

    Args:
        strategy: With evaluation, and image floor or cushion; its headroom does not count.
        problem: Of root 2, degrees given, on [l, 1].
        dtype: bfloat16 or float16.
        loops: That are followed.
        margin: Times what was seen.
        effort: How long the worst is looked for.
        normalization: What members are divided by.

    Raises InputError where a step would need more headroom than there is, and what the strategy raises.
    """
    steps = len(problem.degrees)
    headroom = [1 + FIRST * UNIT_ROUNDOFF[dtype]]
    seekers = [
        _Seeker(family, loop, dtype, problem.lower / problem.upper, effort, normalization)
        for family in AGREEING
        for loop in loops
    ]
    for done in range(1, steps):
        schedule = _prefix(strategy, headroom, problem, done)
        codes, top = [step.program for step in schedule.steps], schedule.steps[-1].image[1]
        needed = (max(seeker.largest(codes) for seeker in seekers) / top - 1) * margin
        if not needed < MOST:
            raise InputError(
                "degree",
                f"{problem.degrees} leaves its domains for good in {dtype}: take lower ones, or say headroom",
            )
        needed = max(0.0, needed)
        if done == steps - 1:
            needed = _of_the_last(strategy, headroom, problem, needed, top * (1 + needed))
        headroom.append(_rounded_up(1 + needed))
    strategy = replace(strategy, headroom=tuple(headroom))
    return strategy, strategy.search(problem)


def _of_the_last(
    strategy: Equioscillation, headroom: Sequence[float], problem: Problem, needed: float, highest: float
) -> float:
    """The least part of what is needed with which the last step throws the highest value out no farther."""

    def thrown(step: Step) -> float:
        return abs(float(step(highest)) - 1)

    for part in range(PARTS):
        room = needed * part / PARTS
        schedule = replace(strategy, headroom=(*headroom, _rounded_up(1 + room))).search(problem)
        if thrown(schedule.steps[-1]) <= max(THROWN, schedule.error):
            return room
    return needed


def _rounded_up(headroom: float) -> float:
    return float(np.ceil(headroom * 10**DIGITS) / 10**DIGITS)


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


class _Seeker:
    """Looks for the largest value of one family in one loop, after one step more every time."""

    def __init__(
        self, family: str, loop: str, dtype: str, lower: float, effort: Effort, normalization: str
    ) -> None:
        self.family = families(normalization)[family]
        self.loop, self.dtype, self.effort = loop, dtype, effort
        self.rng = np.random.default_rng([list(FAMILIES).index(family), FOLLOWED.index(loop)])
        self.drawn: list[tuple[Parameters, Callable[[Program], np.ndarray]]] = []
        for start in range(0, effort.drawn, CHUNK):
            pace.check()
            size = min(CHUNK, effort.drawn - start)
            self.drawn.append(self._started(self.family.draw(self.rng, size, lower)))
        self.kept: Kept | None = None

    def _started(self, parameters: Parameters) -> tuple[Parameters, Callable[[Program], np.ndarray]]:
        """And what runs the next step, and gives the largest value of each after it."""
        members = self.family.members(parameters)
        run = stepper(members, self.dtype, self.loop)

        def largest(code: Program) -> np.ndarray:
            X = run(code)
            with np.errstate(over="ignore", invalid="ignore"):
                sizes = np.max(np.abs(members.transformed(X)), axis=0)
            return np.nan_to_num(sizes, nan=np.inf)

        return parameters, largest

    def largest(self, codes: Sequence[Program]) -> float:
        """After these steps, one more than in the call before. What was worst then goes on."""

        def ranked(parameters: Parameters) -> np.ndarray:
            _, largest = self._started(parameters)
            return [largest(code) for code in codes][-1]

        kept = self.kept and Kept(self.kept.members, ranked(self.kept.members))
        for parameters, largest in self.drawn:
            pace.check()
            kept = worst(kept, parameters, largest(codes[-1]), self.effort.kept)
        assert kept is not None
        for _ in range(self.effort.rounds):
            pace.check()
            kept = climbed(self.rng, kept, self.effort.children, self._changed, ranked)
        self.kept = kept
        return float(kept.rank.max())

    def _changed(self, rng: np.random.Generator, parents: Parameters) -> Parameters:
        return near(rng, parents, tuple(self.family.sizes.values()))

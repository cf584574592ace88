"""Schedules for a budget that survive matrices whose roundings agree: which degrees, and how much headroom.

The sequences of degrees that are best in exact arithmetic are settled with several image floors
(search/settling.py), first on few members, and those that then promise least on many. What a larger sample
still breaks gets a larger margin, or is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from polydesign.approximation.exchange import ConvergenceError
from polydesign.model import LOOPS, MOST_STEPS, InputError, Problem, Schedule
from polydesign.program.cost import Prices
from polydesign.program.programs import preferred
from polydesign.rounding.trial import random_trial
from polydesign.search.budget import additive, next_error, start_error
from polydesign.search.minimax import Equioscillation
from polydesign.search.settling import SETTLED_BY, settled
from polydesign.search.standard import evaluations_of

FLOORS = (0.08, 0.15)
"""Image floors that are tried."""

FLOOR_FREE = 2
"""Steps at the end without a floor."""

SEQUENCES = 96
"""Sequences of degrees that are settled with the middle floor, the best in exact arithmetic."""

STRATEGIES = 4
"""Of them, those that are settled on many members, with all floors and evaluations: of all that there are,
and of those whose inner degrees do not exceed _STEADY: what a few members say of high degrees is too good."""

_STEADY = 4

_FEW = (4_096, 8_192)
"""Members of each family on which all are settled."""

_MARGINS = ((1.35, 0.4), (1.5, 0.6), (2.0, 1.0))
"""Of the headroom, and that of the last step: the first that survives counts."""

_MANY = (16_384, 65_536)
"""The same, of those that are left."""

CHECKED = 100_000
"""Members of each family that a schedule must survive, beside those that settled it."""


@dataclass(frozen=True, slots=True)
class Survivor:
    """A schedule that lost none of the members it was tried on, how it is made, and what it costs."""

    schedule: Schedule
    strategy: Equioscillation
    cost: float


def sequences(
    root: int,
    ratio: float,
    most: float,
    price: Any,
    *,
    start: float = 0.0,
    least: float = 0.0,
    inner_degrees: Sequence[int],
    keep: int = SEQUENCES,
) -> list[tuple[float, tuple[int, ...]]]:
    """(cost, inner degrees) at a cost above `least` and at most `most`, best in exact arithmetic first.

    ratio: lower over upper end of the interval. price: of budget.additive, start what a path costs before
    its first step. Of two degrees at one price the lower one is left out.
    """
    prices: dict[float, int] = {}
    for n in sorted(inner_degrees):
        prices[round(price(n, preferred(n)), 9)] = n
    found: list[tuple[Any, float, tuple[int, ...]]] = []

    def extend(error: Any, cost: float, chosen: tuple[int, ...]) -> None:
        open_ = False
        for own, n in prices.items():
            if cost + own <= most + 1e-9 and len(chosen) < MOST_STEPS:
                open_ = True
                extend(next_error(root, n, error), cost + own, (*chosen, n))
        # What leaves room for another step is never best, but may be the cheapest.
        if chosen and cost > least and (not open_ or least > 0):
            found.append((error, cost, chosen))

    extend(start_error(ratio, 1.0), start, ())
    found.sort()
    return [(cost, chosen) for _, cost, chosen in found[:keep]]


def survivors(
    problem: Problem,
    dtype: str,
    most: float,
    prices: Prices,
    *,
    form: str,
    inner_degrees: Sequence[int],
    evaluations: Sequence[str],
    least: float = 0.0,
    keep: int,
    error: float,
) -> list[Survivor]:
    """At most `keep` schedules at a cost above `least` and at most `most`, the smallest promise first.

    problem: root 2 and the interval; its degrees do not count. error: a larger promise is left out.
    """
    price, begin = additive(prices, root=problem.root, form=form)
    options: dict[str, Any] = {"start": begin, "least": least, "inner_degrees": inner_degrees}
    ratio = problem.lower / problem.upper
    costs: dict[tuple[int, ...], float] = {}
    for cost, chosen in sequences(problem.root, ratio, most, price, **options):
        costs[tuple(1 + problem.root * n for n in chosen)] = cost

    def ranked(strategies: Iterable[tuple[Problem, Equioscillation]]) -> list[tuple[float, Problem, Any]]:
        found = []
        for of_these, strategy in strategies:
            try:
                schedule = settled(strategy, of_these, dtype, counts=_FEW, last=_MARGINS[0][1])[1]
            except (InputError, ConvergenceError):  # no program, or no step, for just these
                continue
            if schedule.error <= error:
                found.append((schedule.error, of_these, strategy))
        return sorted(found, key=lambda one: one[0])

    problems = [replace(problem, degrees=degrees) for degrees in costs]
    middle = FLOORS[:1]
    all_ = ranked((one, how) for one in problems for how in islice(_strategies(one, evaluations, middle), 1))
    steady = [one for one in all_ if max(one[1].degrees) <= 1 + problem.root * _STEADY]
    best = dict.fromkeys(one for _, one, _ in (*all_[:STRATEGIES], *steady[:STRATEGIES]))
    found: list[Survivor] = []
    for _, of_these, strategy in ranked(
        (one, how) for one in best for how in _strategies(one, evaluations, FLOORS)
    ):
        found += (Survivor(s, how, costs[s.degrees]) for how, s in _surviving(strategy, of_these, dtype))
        if len(found) >= keep:
            break
    return sorted(found, key=lambda one: one.schedule.error)


def _strategies(
    problem: Problem, evaluations: Sequence[str], floors: Sequence[float]
) -> Iterator[Equioscillation]:
    """With every floor, and for each evaluation that steps of a higher degree may have."""
    chosen = [(degree - 1) // problem.root for degree in problem.degrees]
    free = min(FLOOR_FREE, len(chosen))
    for floor in floors if len(chosen) > free else floors[:1]:
        image_floor = (floor,) * (len(chosen) - free) + (0.0,) * free
        options = [evaluations_of(n, tuple(evaluations)) for n in chosen]
        # The same evaluation in all steps that have it, and chebyshev, which has all degrees, in the others.
        kinds = (
            tuple(kind if kind in some else some[0] for some in options)
            for kind in evaluations
            if all(options)
        )
        for evaluation in dict.fromkeys(kinds):
            yield Equioscillation(image_floor=image_floor, evaluation=evaluation)


def _surviving(
    strategy: Equioscillation, problem: Problem, dtype: str
) -> Iterator[tuple[Equioscillation, Schedule]]:
    """With the smallest margins that survive, if any do."""
    for margin, last in _MARGINS:
        try:
            how, schedule = settled(strategy, problem, dtype, margin=margin, last=last, counts=_MANY)
        except (InputError, ConvergenceError):
            continue
        if survives(schedule, dtype):
            yield how, schedule
            return


def survives(schedule: Schedule, dtype: str, *, count: int = CHECKED, seed: int = 1) -> bool:
    """Whether no member is blown up, in any loop, and none lost in a fused one."""
    for family in SETTLED_BY:
        for loop in LOOPS:
            trial = random_trial(schedule, dtype, family, count, loop=loop, seed=seed, enough=1)
            if trial.blown or (loop == "fused" and trial.lost):
                return False
    return True

"""Schedules for a budget that survive matrices whose roundings agree: which degrees, and how much headroom.

The sequences of degrees that are best in exact arithmetic are settled with several image floors
(search/settling.py), first on few members, and those that then promise least on many. What a larger sample
still breaks gets a larger margin, or is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from polydesign.approximation.exchange import ConvergenceError
from polydesign.model import LOOPS, MOST_STEPS, InputError, Problem, Schedule
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.program.cost import Prices
from polydesign.program.programs import preferred
from polydesign.rounding.followed import follow
from polydesign.rounding.trial import AGREEING, CHUNK, Tally, drawn, outcome
from polydesign.search.budget import Price, additive, next_error, start_error
from polydesign.search.minimax import Equioscillation
from polydesign.search.settling import settled
from polydesign.search.standard import evaluations_of

FLOORS = (0.09, 0.06, 0.12, 0.16)
"""Image floors that are tried; the first decides which sequences of degrees meet the others."""

FLOOR_FREE = 2
"""Steps at the end without a floor."""

SEQUENCES = 48
"""Sequences of degrees that are settled with the first floor, the best in exact arithmetic."""

STRATEGIES = 6
"""Of them, those that are settled on many members, with all floors and evaluations: of all that there are,
and of those whose inner degrees do not exceed _STEADY: what a few members say of high degrees is too good. In
bfloat16 only of these: of those with a step of degree 17 hardly any survive 600,000 members of `products`."""

ALIKE = 2
"""Survivors of one sequence of degrees: what a model cannot tell apart is measured."""

_STEADY = 4

_EXACT, _STORED = 1 / 16, 1 / 2
"""Times u: promises below it are as good as each other, without and with headroom, because storing the result
leaves more; of them, lower degrees round less."""

_FEW = 8_192
"""Members of each family on which all are settled."""

_MARGINS = ((1.35, 0.4), (1.5, 0.5), (2.0, 0.8))
"""Of the headroom, and that of the last step: the first that survives counts."""

CHECKED = 300_000
"""Members of each family that a schedule must survive, beside those that settled it."""

MANY = 6
"""Times as many of `products` in fused loops: with 300,000 alone, one of two million was blown up later."""


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
    price: Price,
    *,
    start: float = 0.0,
    least: float = 0.0,
    inner_degrees: Sequence[int],
    enough: float = 0.0,
    keep: int = SEQUENCES,
) -> list[tuple[float, tuple[int, ...]]]:
    """(cost, inner degrees) at a cost above `least` and at most `most`, best in exact arithmetic first.

    ratio: lower over upper end of the interval. price: of budget.additive, start what a path costs before
    its first step. Of two degrees at one price the lower one is left out. enough: of errors below it the one
    of lower degrees is the better.
    """
    prices = {round(price(n, preferred(n)), 9): n for n in sorted(inner_degrees)}
    found: list[tuple[Any, float, tuple[int, ...]]] = []

    def extend(error: Any, cost: float, chosen: tuple[int, ...]) -> None:
        following = [(own, n) for own, n in prices.items() if cost + own <= most + 1e-9]
        for own, n in following if len(chosen) < MOST_STEPS else ():
            extend(next_error(root, n, error), cost + own, (*chosen, n))
        # What leaves room for another step is never best, but may be the cheapest.
        if chosen and cost > least and (not following or least > 0):
            found.append((_merit(error, max(chosen), enough), cost, chosen))

    extend(start_error(ratio, 1.0), start, ())
    return [(cost, chosen) for _, cost, chosen in sorted(found)[:keep]]


def _merit(error: Any, degree: int, enough: float) -> tuple[Any, int, Any]:
    """Smaller is better."""
    return max(error, enough), degree, error


@dataclass(frozen=True, slots=True)
class _Candidate:
    problem: Problem
    strategy: Equioscillation
    cost: float


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
    u, ratio = UNIT_ROUNDOFF[dtype], problem.lower / problem.upper
    found: dict[Schedule, Survivor] = {}
    steady = tuple(n for n in inner_degrees if n <= _STEADY) or tuple(inner_degrees)
    groups = dict.fromkeys((steady,) if dtype == "bfloat16" else (tuple(inner_degrees), steady))
    for allowed in groups:
        options: dict[str, Any] = {"start": begin, "least": least, "inner_degrees": allowed}
        first = [
            _Candidate(replace(problem, degrees=degrees), strategy, cost)
            for cost, chosen in sequences(2, ratio, most, price, enough=_EXACT * u, **options)
            for degrees in [tuple(1 + 2 * n for n in chosen)]
            for strategy in islice(_strategies(degrees, evaluations, FLOORS[:1]), 1)
        ]
        best = [
            replace(one, strategy=strategy)
            for one in _ranked(first, dtype, error)[:STRATEGIES]
            for strategy in _strategies(one.problem.degrees, evaluations, FLOORS)
        ]
        slots = Counter({one.problem.degrees: ALIKE for one in best})
        left = keep // len(groups)
        for one in _ranked(best, dtype, error):
            made = _surviving(one, dtype) if left and slots[one.problem.degrees] else None
            if made is not None and made.schedule not in found:
                found[made.schedule] = made
                slots[one.problem.degrees] -= 1
                left -= 1
    return sorted(found.values(), key=lambda one: one.schedule.error)


def _ranked(candidates: Iterable[_Candidate], dtype: str, error: float) -> list[_Candidate]:
    """Best first, by what settling on a few members leaves of their promise."""
    found = []
    for number, one in enumerate(candidates):
        try:
            schedule = settled(one.strategy, one.problem, dtype, count=_FEW)[1]
        except (InputError, ConvergenceError):  # no program, or no step, for just these
            continue
        if schedule.error <= error:
            enough = _STORED * UNIT_ROUNDOFF[dtype]
            found.append((_merit(schedule.error, max(schedule.degrees), enough), number, one))
    return [one for *_, one in sorted(found, key=lambda one: one[:2])]


def _strategies(
    degrees: Sequence[int], evaluations: Sequence[str], floors: Sequence[float]
) -> Iterator[Equioscillation]:
    """With every floor, and for each evaluation that steps of a higher degree may have."""
    free = min(FLOOR_FREE, len(degrees))
    options = [evaluations_of((degree - 1) // 2, tuple(evaluations)) for degree in degrees]
    for floor in floors if len(degrees) > free else floors[:1]:
        image_floor = (floor,) * (len(degrees) - free) + (0.0,) * free
        # The same in all steps that have it, and in the others the first that they have.
        same = (tuple(kind if kind in some else some[0] for some in options) for kind in evaluations)
        for evaluation in dict.fromkeys(same) if all(options) else ():
            yield Equioscillation(image_floor=image_floor, evaluation=evaluation)


def _surviving(one: _Candidate, dtype: str) -> Survivor | None:
    """With the smallest margins that survive, if any do."""
    for margin, last in _MARGINS:
        try:
            strategy, schedule = settled(one.strategy, one.problem, dtype, margin=margin, last=last)
        except (InputError, ConvergenceError):
            continue
        if survives(schedule, dtype):
            return Survivor(schedule, strategy, one.cost)
    return None


def survives(schedule: Schedule, dtype: str, *, count: int = CHECKED, seed: int = 1) -> bool:
    """Whether none of `count` members is blown up, in any loop, nor one of two numbers lost in a fused one;
    and in fused loops none of MANY times as many of the last family, which breaks most."""
    for family in reversed(AGREEING):
        last = family == AGREEING[-1]
        for number, members in enumerate(
            drawn(family, MANY * count if last else count, schedule.interval[0], seed)
        ):
            for loop in LOOPS if number * CHUNK < count else ("fused",):
                tally = Tally()
                end = outcome(schedule, members, dtype, follow(schedule, members, dtype, loop=loop)[-1])
                tally.add(schedule, end)
                if tally.blown or (loop == "fused" and tally.lost and not last):
                    return False
    return True

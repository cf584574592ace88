"""Schedules for a budget that survive matrices whose roundings agree: which degrees, and how much headroom.

The sequences of degrees that are best in exact arithmetic are settled with several image floors
(search/settling.py), first on few members, and those that then promise least on many. What a larger sample
still breaks gets a larger margin, or is left out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from polydesign.approximation.exchange import ConvergenceError
from polydesign.model import MOST_STEPS, InputError, Problem, Schedule
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.program.cost import Prices
from polydesign.program.programs import preferred
from polydesign.search import pace
from polydesign.search.budget import Price, additive, next_error, start_error
from polydesign.search.minimax import Equioscillation
from polydesign.search.settling import QUICK, settled
from polydesign.search.standard import evaluations_of
from polydesign.search.survival import LOOKED_AT, UNTRIED, surviving

FLOORS = (0.1, 0.08, 0.12, 0.06)
"""Image floors that are tried; the first decides which sequences of degrees meet the others."""

FLOOR_FREE = 2
"""Steps at the end without a floor."""

SEQUENCES = 32
"""Sequences of degrees that are settled with the first floor, the best in exact arithmetic."""

STRATEGIES = 5
"""Of them, those that are settled with all floors, and then thoroughly: of all that there are, and of those
whose inner degrees do not exceed _STEADY: what a few members say of high degrees is too good. In bfloat16
only of these: of those with a step of degree 17 hardly any survive 600,000 members of `products`."""

ALIKE = 2
"""Survivors of one sequence of degrees: what a model cannot tell apart is measured."""

_STEADY = 4

_CALMEST, _CALM_FROM = "chebyshev", 2
"""Evaluation in which roundings that agree add up least, and the inner degree from which on."""

_EXACT, _STORED = 1 / 16, 1 / 2
"""Times u: promises below it are as good as each other, without and with headroom, because storing the result
leaves more; of them, lower degrees round less."""


@dataclass(frozen=True, slots=True)
class Survivor:
    """A schedule that lost none of the members it was tried on, how it is made, and what it costs.

    unfinished: what was left out, where the search was cut short before that.
    """

    schedule: Schedule
    strategy: Equioscillation
    cost: float
    unfinished: str = ""


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
    reach: float = math.inf,
    keep: int = SEQUENCES,
) -> list[tuple[float, tuple[int, ...]]]:
    """(cost, inner degrees) at a cost above `least` and at most `most`, best in exact arithmetic first.

    ratio: lower over upper end of the interval. price: of budget.additive, start what a path costs before
    its first step. Of two degrees at one price the lower one is left out. enough: of errors below it the one
    of lower degrees is the better. reach: what errs more than that is left out.
    """
    prices = {round(price(n, preferred(n)), 9): n for n in sorted(inner_degrees)}
    found: list[tuple[Any, float, tuple[int, ...]]] = []

    def extend(error: Any, cost: float, chosen: tuple[int, ...]) -> None:
        pace.check()
        following = [(own, n) for own, n in prices.items() if cost + own <= most + 1e-9]
        for own, n in following if len(chosen) < MOST_STEPS else ():
            extend(next_error(root, n, error), cost + own, (*chosen, n))
        # What leaves room for another step is never best, but may be the cheapest.
        if chosen and cost > least and (not following or least > 0) and error <= reach:
            found.append((_merit(error, max(chosen), enough), cost, chosen))

    extend(start_error(ratio, 1.0), start, ())
    return [(cost, chosen) for _, cost, chosen in sorted(found)[:keep]]


def _merit(error: Any, degree: int, enough: float) -> tuple[Any, int, Any]:
    """Smaller is better."""
    return max(error, enough), degree, error


@dataclass(frozen=True, slots=True)
class Contender:
    """Degrees on an interval, with evaluations and an image floor, what they cost, and no headroom yet."""

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
    normalization: str = "frobenius",
) -> list[Survivor]:
    """At most `keep` schedules at a cost above `least` and at most `most`, the smallest promise first.

    problem: root 2 and the interval; its degrees do not count. error: a larger promise is left out.
    normalization: what matrices are divided by.

    Where it is cut short (search/pace.py): those that it has by then, or else one that has headroom, or is
    the best of those that were looked at; none where there is none.
    """
    price, begin = additive(prices, root=problem.root, form=form)
    u, ratio = UNIT_ROUNDOFF[dtype], problem.lower / problem.upper
    found: dict[Schedule, Survivor] = {}
    looked_at: list[Survivor] = []
    roomy: list[Survivor] = []
    groups = allowed_degrees(dtype, inner_degrees)
    with pace.best_so_far():
        for allowed in groups:
            options: dict[str, Any] = {"start": begin, "least": least, "inner_degrees": allowed}
            options |= {"enough": _EXACT * u, "reach": error, "keep": SEQUENCES}
            pace.doing("looking for sequences of degrees")
            first = [
                Contender(replace(problem, degrees=degrees), strategy, cost)
                for cost, chosen in sequences(2, ratio, most, price, **options)
                for degrees in [tuple(1 + 2 * n for n in chosen)]
                for strategy in strategies(degrees, evaluations, FLOORS[:1])
            ]
            best = [
                replace(one, strategy=strategy)
                for one in ranked(first, dtype, error, looked_at, normalization)[:STRATEGIES]
                for strategy in strategies(one.problem.degrees, evaluations, FLOORS)
            ]
            slots, left = Counter({one.problem.degrees: ALIKE for one in best}), keep // len(groups)
            for one in ranked(best, dtype, error, looked_at, normalization):
                if not left or not slots[one.problem.degrees]:
                    continue

                def seen(strategy: Equioscillation, schedule: Schedule, cost: float = one.cost) -> None:
                    roomy.append(Survivor(schedule, strategy, cost, UNTRIED))

                made = surviving(one.strategy, one.problem, dtype, seen=seen, normalization=normalization)
                if made is None or made[1] in found:
                    continue
                strategy, schedule = made
                found[schedule] = Survivor(schedule, strategy, one.cost)
                slots[one.problem.degrees] -= 1
                left -= 1
    if found or not pace.over():
        return sorted(found.values(), key=lambda one: one.schedule.error)
    # Of what has headroom the last: what came before it did not survive.
    within = [one for one in roomy[-1:] or looked_at if one.schedule.error <= error]
    return sorted(within, key=lambda one: one.schedule.error)[:1]


def allowed_degrees(dtype: str, inner_degrees: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Groups of inner degrees that sequences are made of, each with contenders of its own."""
    steady = tuple(n for n in inner_degrees if n <= _STEADY) or tuple(inner_degrees)
    return tuple(dict.fromkeys((steady,) if dtype == "bfloat16" else (tuple(inner_degrees), steady)))


def ranked(
    candidates: Sequence[Contender],
    dtype: str,
    error: float,
    looked_at: list[Survivor],
    normalization: str,
) -> list[Contender]:
    """Best first, by what settling on a few members leaves of their promise. looked_at: gets all of them."""
    found = []
    for number, one in enumerate(candidates):
        degrees = ",".join(map(str, one.problem.degrees))
        least = f", best so far {min(merit for merit, *_ in found)[2]:.3g}" if found else ""
        pace.doing(f"ranking {number + 1} of {len(candidates)}: degrees {degrees}{least}")
        try:
            strategy, schedule = settled(
                one.strategy, one.problem, dtype, effort=QUICK, normalization=normalization
            )
        except (InputError, ConvergenceError):  # no program, or no step, for just these
            continue
        looked_at.append(Survivor(schedule, strategy, one.cost, LOOKED_AT))
        if schedule.error <= error:
            enough = _STORED * UNIT_ROUNDOFF[dtype]
            found.append((_merit(schedule.error, max(schedule.degrees), enough), number, one))
    return [one for *_, one in sorted(found, key=lambda one: one[:2])]


def strategies(
    degrees: Sequence[int], evaluations: Sequence[str], floors: Sequence[float]
) -> Iterator[Equioscillation]:
    """With every floor, evaluated so that roundings that agree add up least: from degree 5 on in Chebyshev
    polynomials. In loops that round b·A and c·A² apart, five quintics promise 0.18 in powers of A, and 0.145
    in these."""
    free, chosen = min(FLOOR_FREE, len(degrees)), []
    for n in ((degree - 1) // 2 for degree in degrees):
        options = evaluations_of(n, tuple(evaluations))
        if n >= _CALM_FROM and _CALMEST in evaluations:
            chosen.append(_CALMEST)
        elif options:
            chosen.append(preferred(n) if preferred(n) in options else options[0])
        else:
            return
    for floor in floors if len(degrees) > free else floors[:1]:
        image_floor = (floor,) * (len(degrees) - free) + (0.0,) * free
        yield Equioscillation(image_floor=image_floor, evaluation=tuple(chosen))

"""The widest interval that a budget takes into a band around 1, by schedules that survive rounding.

For an error E the smallest l is looked for from which every value of [l, 1] ends within E of 1. The sequences
of degrees that are best in exact arithmetic are settled near the l that they reach (search/settling.py),
first on few members. Each has so the l from which it ends in the band with that headroom. They wait in a
queue, the smallest l first: what comes out of it is settled on many members and goes back with a larger l, or
is tried, and is left out where something blows it up, or random members of two numbers lose a value.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from polydesign.approximation.exchange import ConvergenceError
from polydesign.model import InputError, Problem, Schedule
from polydesign.program.cost import Prices
from polydesign.search import pace
from polydesign.search.budget import additive
from polydesign.search.budget import widest as widest_exactly
from polydesign.search.minimax import Equioscillation
from polydesign.search.settling import QUICK, settled
from polydesign.search.smallest_lower import smallest_lower
from polydesign.search.survival import CHOSEN, LOOKED_AT, MARGINS, UNTRIED, Trust, survives
from polydesign.search.survivors import (
    FLOORS,
    Contender,
    Survivor,
    allowed_degrees,
    ranked,
    sequences,
    strategies,
)

NARROWER = 1.5
"""What safety costs about: the smallest l, times that in exact arithmetic. The first guess, no more."""

SEQUENCES = 8
"""Sequences of degrees that are looked at, the best in exact arithmetic."""

TRIED = 3
"""Of them, those that are looked at with all floors."""

CALM = (1, 2)
"""Inner degrees that have sequences of their own: cubics and quintics may last where others are blown up."""

MARGIN = MARGINS[-1]
"""Of the headroom. l hardly depends on it: degrees 9, 9, 9 end within 0.3 of 1 from 0.00205 on with a margin
of 1.1, from 0.00206 with 1.25. With 1.1 the last climb blew them up."""


class _Waiting(NamedTuple):
    """A contender with its headroom, thoroughly settled or on few members; the smallest lower end comes
    first."""

    lower: float
    number: int
    thorough: bool
    contender: Contender
    strategy: Equioscillation
    schedule: Schedule


def from_smallest(
    error: float,
    dtype: str,
    most: float,
    prices: Prices,
    *,
    form: str = "direct",
    inner_degrees: Sequence[int],
    evaluations: Sequence[str],
    trust: Trust = CHOSEN,
    normalization: str = "frobenius",
) -> Iterator[Survivor]:
    """Schedules of the sign at a cost of at most `most` that take [l, 1] into [1 − error, 1 + error], each
    from the smallest l that it can with the headroom that survives; the smallest l of all first.

    Where it is cut short (search/pace.py): the best by then, or none.

    Args:
        error: What may be left, between 0 and 1.
        dtype: bfloat16 or float16.
        most: What may be spent, by the prices.
        prices, form: As of budget.additive.
        inner_degrees, evaluations: That steps may have.
        trust: What a schedule must survive.
        normalization: What matrices are divided by.

    Raises InputError where the error is out of reach for so little.
    """
    waiting: list[_Waiting] = []
    looked_at: list[Survivor] = []
    tried = 0
    with pace.best_so_far():
        contenders = _contenders(
            error, dtype, most, prices, form, inner_degrees, evaluations, looked_at, normalization
        )
        for number, one in enumerate(contenders):
            _queue(waiting, one, number, error, dtype, None, normalization)
        while waiting:
            best = waiting[0]
            if not best.thorough:
                _queue(waiting, best.contender, best.number, error, dtype, trust, normalization)
                waiting.remove(best)
                heapq.heapify(waiting)
                continue
            pace.doing(f"trying degrees {_listed(best.contender)} from {best.lower:.3g} on")
            # Climbs lose some value of nearly every schedule that errs so much; nothing is thrown out by it.
            how: dict[str, Any] = {"normalization": normalization, "climbs_lose": True}
            lasts = survives(best.schedule, dtype, trust=trust, **how)
            heapq.heappop(waiting)
            if lasts:
                tried += 1
                yield Survivor(best.schedule, best.strategy, best.contender.cost)
        return
    if waiting and not tried:
        best = min(waiting, key=lambda one: (not one.thorough, one.lower))
        words = UNTRIED if best.thorough else LOOKED_AT
        yield Survivor(best.schedule, best.strategy, best.contender.cost, words)
    elif looked_at and not tried:
        with pace.unhurried():
            yield _widened(min(looked_at, key=lambda one: one.schedule.error), error)


def _contenders(
    error: float,
    dtype: str,
    most: float,
    prices: Prices,
    form: str,
    inner_degrees: Sequence[int],
    evaluations: Sequence[str],
    looked_at: list[Survivor],
    normalization: str,
) -> list[Contender]:
    """What is worth settling thoroughly, each at the lower end that the best of them about has."""
    price, begin = additive(prices, root=2, form=form)
    found: list[Contender] = []
    calm = tuple(n for n in CALM if n in inner_degrees)
    for allowed in dict.fromkeys((*allowed_degrees(dtype, inner_degrees), *([calm] if calm else []))):
        pace.doing("looking for sequences of degrees")
        exact, _ = widest_exactly(2, 1.0, error, most, inner_degrees=allowed, prices=prices, form=form)
        lower = min(float(f"{NARROWER * exact:.2g}"), 0.5)
        options = {"start": begin, "inner_degrees": allowed, "keep": SEQUENCES}
        first = [
            Contender(Problem(2, tuple(1 + 2 * n for n in chosen), lower, 1.0), strategy, cost)
            for cost, chosen in sequences(2, lower, most, price, **options)
            for strategy in strategies(tuple(1 + 2 * n for n in chosen), evaluations, FLOORS[:1])
        ]
        found += [
            replace(one, strategy=strategy)
            for one in ranked(first, dtype, 1.0, looked_at, normalization)[:TRIED]
            for strategy in strategies(one.problem.degrees, evaluations, FLOORS)
        ]
    if not found:
        raise InputError("matmuls", f"{most:g} are too few for any step")
    return found


def _queue(
    waiting: list[_Waiting],
    contender: Contender,
    number: int,
    error: float,
    dtype: str,
    trust: Trust | None,
    normalization: str,
) -> None:
    """The contender with headroom, where there is a schedule for it; trust: None for a first look."""
    margin, effort = (1.0, QUICK) if trust is None else (MARGIN, trust.settling)
    pace.doing(f"headroom for degrees {_listed(contender)}, margin {margin:g}")
    try:
        how: dict[str, Any] = {"margin": margin, "effort": effort, "normalization": normalization}
        strategy, _ = settled(contender.strategy, contender.problem, dtype, **how)
        lower = smallest_lower(strategy, 2, contender.problem.degrees, error)
    except (InputError, ConvergenceError):  # no program, or no step, for just these
        return
    schedule = strategy.search(replace(contender.problem, lower=lower))
    heapq.heappush(waiting, _Waiting(lower, number, trust is not None, contender, strategy, schedule))


def _widened(one: Survivor, error: float) -> Survivor:
    """What was settled on few members alone, on the interval that it takes into the band."""
    degrees = one.schedule.degrees
    lower = smallest_lower(one.strategy, 2, degrees, error)
    return replace(one, schedule=one.strategy.search(Problem(2, degrees, lower, 1.0)), unfinished=LOOKED_AT)


def _listed(contender: Contender) -> str:
    return ",".join(map(str, contender.problem.degrees))

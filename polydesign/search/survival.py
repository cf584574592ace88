"""Schedules that outlast matrices whose roundings agree: with the least headroom of which none is blown up.

What a schedule was settled on (search/settling.py) is not all that there is. So other random members are
followed, and those close to the worst of them, and what still breaks a schedule gets a larger margin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from polydesign.approximation.exchange import ConvergenceError
from polydesign.model import LOOPS, InputError, Problem, Schedule
from polydesign.rounding.families import FAMILIES, Parameters, families
from polydesign.rounding.neighbours import climbed, near, worst
from polydesign.rounding.trial import AGREEING, CHUNK, Tally, drawn, reached
from polydesign.search import pace
from polydesign.search.minimax import Equioscillation
from polydesign.search.settling import FOLLOWED, QUICK, THOROUGH, Effort, settled
from polydesign.search.smallest_lower import smallest_lower

MARGINS = (1.1, 1.25, 1.5)
"""Of the headroom: the first that survives counts. Of degrees 5, 9, 9, 9 in bfloat16 one of ten million
products in fused loops ended above 1.5 with 1.0, and one of thirty million with 1.05."""

TYPICAL = 1e-3
"""Lower end for which headroom is found first where the smallest one is asked for."""

MANY = 3
"""Times as many random members are tried of the last family, which breaks most."""


ROOM = 0.95
"""Part of trial.BLOWN that a search lets a member reach: ten minutes of hunting take values a little farther
than its last climb (14 products in float16: 1.51). Not of what a large error allows: there the last step's
own rounding reaches it, and of 12 products in bfloat16 none would be left."""

LOOKED_AT = "its headroom is what a few matrices need"
UNTRIED = "its headroom was not tried on other matrices than those it was found on"
"""What there is to say of a schedule where a search is cut short before it has survived."""


class Trust(NamedTuple):
    """What it takes until a schedule is trusted.

    settling: How long the worst member is looked for to find headroom. checked: Other random members of each
    family and loop that it must survive. climb: How long one is looked for among them that is blown up.
    last: The same in the last family, once more, in fused and in separate loops.
    """

    settling: Effort
    checked: int
    climb: Effort
    last: Effort | None = None


FULL = Trust(THOROUGH, 1 << 17, Effort(CHUNK, 256, 8, 80))

STEEP, MANY_STEEP = 4, 3
"""Where so many steps have a higher inner degree than this, the last margin is the first that is tried: with
smaller ones FULL passes what CHOSEN, or ten minutes of hunting, blow up."""

CHOSEN = Trust(THOROUGH, 1 << 18, Effort(4 * CHUNK, 1024, 16, 100), Effort(4 * CHUNK, 4096, 16, 200))
"""What a search returns must survive this too. It blew up what FULL had passed, and a minute of hunting blew
up, of 15 products in bfloat16; and by its last climb, which takes a minute, what ten minutes of hunting blew
up: degrees 17, 17, 17 in float16."""


def surviving(
    strategy: Equioscillation,
    problem: Problem,
    dtype: str,
    *,
    fused: bool = False,
    trust: Trust = FULL,
    seen: Callable[[Equioscillation, Schedule], None] = pace.nobody,
    normalization: str = "frobenius",
) -> tuple[Equioscillation, Schedule] | None:
    """The strategy with the least headroom that survives, and its schedule; None where none does.

    fused: In fused loops alone. trust: How much is tried. seen: Called with what has headroom, before it is
    tried on other members. normalization: What members are divided by. The rest is as of settling.settled.
    """
    settling, running = _loops(fused)
    steep = sum((degree - 1) // problem.root > STEEP for degree in problem.degrees)
    for margin in MARGINS[-1:] if steep >= MANY_STEEP else MARGINS:
        pace.doing(f"headroom for degrees {','.join(map(str, problem.degrees))}, margin {margin:g}")
        try:
            found = settled(
                strategy,
                problem,
                dtype,
                loops=settling,
                margin=margin,
                effort=trust.settling,
                normalization=normalization,
            )
        except (InputError, ConvergenceError):  # no program, or no step, for just these
            continue
        seen(*found)
        pace.doing(f"trying degrees {','.join(map(str, problem.degrees))}, error {found[1].error:.4g}")
        # Of a single step nothing is promised that rounding could break.
        how: dict[str, Any] = {"loops": running, "trust": trust, "normalization": normalization}
        if len(problem.degrees) == 1 or survives(found[1], dtype, **how):
            return found
    return None


def roomiest(
    strategy: Equioscillation,
    problem: Problem,
    dtype: str,
    *,
    fused: bool = False,
    trust: Trust = FULL,
    normalization: str = "frobenius",
) -> tuple[Equioscillation, Schedule]:
    """The strategy with the largest headroom that is tried, and its schedule: where none survives.

    The rest is as of `surviving`. Raises what settling.settled does.
    """
    return settled(
        strategy,
        problem,
        dtype,
        loops=_loops(fused)[0],
        margin=MARGINS[-1],
        effort=trust.settling,
        normalization=normalization,
    )


def widest(
    strategy: Equioscillation,
    degrees: tuple[int, ...],
    error: float,
    dtype: str,
    *,
    fused: bool = False,
    trust: Trust = FULL,
    seen: Callable[[Equioscillation, Schedule], None] = pace.nobody,
    normalization: str = "frobenius",
) -> Equioscillation | None:
    """The strategy with headroom that survives on the widest interval [l, 1] where it promises the error.

    The smallest l depends on the headroom, and the headroom, a little, on l: what is found for one l is tried
    on the interval that it then has. The rest is as of `surviving`; None where none does.

    Raises InputError where the error is out of reach.
    """
    settling, running = _loops(fused)
    start = Problem(2, degrees, TYPICAL, 1.0)
    pace.doing("looking for the smallest lower end")
    how: dict[str, Any] = {"loops": settling, "normalization": normalization}
    about = settled(strategy, start, dtype, effort=QUICK, **how)[0]
    problem = replace(start, lower=smallest_lower(about, 2, degrees, error))
    for margin in MARGINS:
        pace.doing(f"headroom from {problem.lower:.3g} on, margin {margin:g}")
        found = settled(strategy, problem, dtype, margin=margin, effort=trust.settling, **how)[0]
        ends = replace(problem, lower=smallest_lower(found, 2, degrees, error))
        schedule = found.search(ends)
        seen(found, schedule)
        pace.doing(f"trying it from {ends.lower:.3g} on")
        if survives(schedule, dtype, loops=running, trust=trust, normalization=normalization):
            return found
    return None


def _loops(fused: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those that headroom is found for, and those that it must suffice in."""
    return (("fused",), ("fused",)) if fused else (FOLLOWED, LOOPS)


def survives(
    schedule: Schedule,
    dtype: str,
    *,
    loops: Sequence[str] = LOOPS,
    trust: Trust = FULL,
    seed: int = 1,
    normalization: str = "frobenius",
    climbs_lose: bool = False,
) -> bool:
    """Whether no member that is drawn or climbed to is blown up, in any of the loops, nor one of two numbers
    lost in a fused one.

    trust: how much is tried. seed: of the random members. normalization: what they are divided by.
    climbs_lose: whether a climb may find members that are lost, as hunts do with most schedules.
    """
    return _outlasts(schedule, dtype, tuple(loops), trust, seed, normalization, climbs_lose)


@lru_cache(maxsize=256)
def _outlasts(
    schedule: Schedule,
    dtype: str,
    loops: tuple[str, ...],
    trust: Trust,
    seed: int,
    normalization: str,
    climbs_lose: bool,
) -> bool:
    lower = schedule.interval[0]
    for family in reversed(AGREEING):
        for loop in loops:
            tally = Tally(room=ROOM)
            many = MANY if family == AGREEING[-1] else 1
            for members in drawn(family, many * trust.checked, lower, seed, normalization):
                pace.check()
                tally.add(schedule, reached(schedule, members, dtype, loop)[0])
            if _bad(tally, family, loop):
                return False
    climbs = [(family, loop, trust.climb) for family in reversed(AGREEING) for loop in loops]
    if trust.last is not None:
        climbs += [(AGREEING[-1], loop, trust.last) for loop in dict.fromkeys((loops[0], loops[-1]))]
    return not any(
        _bad(
            _climb(schedule, dtype, family, loop, climb, seed, normalization, climbs_lose),
            family,
            loop,
            climbs_lose,
        )
        for family, loop, climb in climbs
    )


def _bad(tally: Tally, family: str, loop: str, may_lose: bool = False) -> bool:
    lost = loop == "fused" and tally.lost and family != AGREEING[-1] and not may_lose
    return bool(tally.blown or lost)


def _climb(
    schedule: Schedule,
    dtype: str,
    family: str,
    loop: str,
    effort: Effort,
    seed: int,
    normalization: str,
    may_lose: bool,
) -> Tally:
    """What became of the members that come near the end of a step's domain, and of those close to them."""
    rng = np.random.default_rng([seed, list(FAMILIES).index(family), LOOPS.index(loop)])
    of, tally = families(normalization)[family], Tally(room=ROOM)

    def ranked(parameters: Parameters) -> np.ndarray:
        end, near_ = reached(schedule, of.members(parameters), dtype, loop)
        tally.add(schedule, end)
        return np.nan_to_num(near_, nan=np.inf)

    def changed(rng: np.random.Generator, parents: Parameters) -> Parameters:
        return near(rng, parents, tuple(of.sizes.values()))

    parameters = of.draw(rng, effort.drawn, schedule.interval[0])
    kept = worst(None, parameters, ranked(parameters), effort.kept)
    for _ in range(effort.rounds):
        pace.check()
        kept = climbed(rng, kept, effort.children, changed, ranked)
        if _bad(tally, family, loop, may_lose):
            break
    return tally

"""Headroom that is found, and sequences of degrees that survive: each step has the room that it needs."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from polydesign.model import InputError, Problem
from polydesign.program.cost import UNIT, matmuls
from polydesign.rounding.families import FAMILIES
from polydesign.rounding.followed import follow
from polydesign.rounding.trial import drawn, trial
from polydesign.search.budget import additive, next_error, start_error
from polydesign.search.minimax import Equioscillation
from polydesign.search.settling import FIRST, PARTS, QUICK, THROWN, Effort, _of_the_last, settled
from polydesign.search.survival import Trust, survives
from polydesign.search.survivors import sequences, survivors

FIVE = Problem(2, (5, 5, 5, 5, 5), 1e-3, 1.0)
FLOORED = Equioscillation(image_floor=0.08, floor_free_tail=2)


def test_every_step_has_room_for_what_the_one_before_overshoots() -> None:
    """The headroom is what the same members show in the finished schedule, times the margin; and the last
    step's is the least part of it with which nothing is thrown out far."""
    drawn_only = QUICK._replace(rounds=0)
    strategy, schedule = settled(FLOORED, FIVE, "bfloat16", loops=("fused",), effort=drawn_only, margin=1.5)
    headroom = strategy.headroom
    assert isinstance(headroom, tuple)
    assert headroom[0] == 1 + FIRST * 2.0**-8
    seen = np.zeros(5)
    for family in ("diagonal-and-rest", "blocks", "two-rows", "products"):
        rng = np.random.default_rng([list(FAMILIES).index(family), 0])
        members = FAMILIES[family](rng, QUICK.drawn, 1e-3)
        for index, X in enumerate(follow(schedule, members, "bfloat16")[1:]):
            top = max(np.abs(v).max() for v in members.transformed(X))
            seen[index] = max(seen[index], top / schedule.steps[index].image[1] - 1)
    for index in range(3):
        assert 0 <= headroom[index + 1] - (1 + 1.5 * seen[index]) <= 1.0001e-4
    assert strategy.search(FIVE) == schedule
    highest = schedule.steps[-2].image[1] * (1 + 1.5 * seen[3])
    assert abs(schedule.steps[-1](highest) - 1) <= THROWN
    assert 1 <= headroom[4] <= 1 + 1.5 * seen[3]


def test_the_last_step_gets_no_more_than_it_must() -> None:
    """Degree 9 throws out far what leaves its domain: with a part less, more than THROWN."""
    nine, needed = Problem(2, (9, 9, 9), 0.01, 1.0), 0.2
    how = Equioscillation(evaluation="chebyshev")
    start = (1.01, 1.05)
    top = replace(how, headroom=start).search(replace(nine, degrees=(9, 9))).steps[-1].image[1]
    room = _of_the_last(how, start, nine, needed, top * (1 + needed))
    assert 0 < room < needed

    def thrown(room: float) -> float:
        last = replace(how, headroom=(*start, 1 + room)).search(nine).steps[-1]
        return abs(last(top * (1 + needed)) - 1)

    assert thrown(room) <= THROWN < thrown(room - needed / PARTS)
    # What stays close to 1 anyway needs nothing.
    assert _of_the_last(how, start, nine, 0.001, top * 1.001) == 0


def test_climbing_finds_what_random_members_do_not() -> None:
    def room(effort: Effort) -> float:
        headroom = settled(FLOORED, FIVE, "bfloat16", effort=effort)[0].headroom
        assert isinstance(headroom, tuple)
        return sum(headroom[1:4]) - 3

    assert room(QUICK) > 1.1 * room(QUICK._replace(rounds=0))


def test_finer_precisions_and_fused_loops_need_less_room() -> None:
    def room(dtype: str, *loops: str) -> float:
        headroom = settled(FLOORED, FIVE, dtype, loops=loops, effort=QUICK)[0].headroom
        assert isinstance(headroom, tuple)
        return sum(headroom)

    coarse = room("bfloat16", "fused")
    assert room("float16", "fused") < coarse < room("bfloat16", "fused", "separate")


def test_floors_and_cushions_of_one_step_or_of_all_stay_as_they_are() -> None:
    """Only the headroom is found."""
    for strategy in (
        Equioscillation(),
        Equioscillation(cushion=(0.1, 0.05, 0.0)),
        Equioscillation(image_floor=(0.1, 0.0, 0.0), evaluation=("monomial", "chebyshev", "chebyshev")),
        Equioscillation(image_floor=0.1, floor_free_tail=5),
    ):
        problem = Problem(2, (5, 9, 9), 0.01, 1.0)
        found, schedule = settled(strategy, problem, "float16", effort=QUICK)
        assert schedule.error < 0.1
        assert replace(found, headroom=1.0) == replace(strategy, headroom=1.0)
    single = settled(Equioscillation(), Problem(2, (5,), 0.3, 1.0), "bfloat16", effort=QUICK)[0]
    assert single.headroom == (1 + FIRST * 2.0**-8,)


def test_what_leaves_for_good_is_refused() -> None:
    """Degree 9 in powers of A: their coefficients are too large for eight bits."""
    wild = Equioscillation(evaluation="monomial")
    with pytest.raises(InputError, match="leaves its domains for good in bfloat16"):
        settled(wild, Problem(2, (9, 9, 9, 9), 1e-3, 1.0), "bfloat16", effort=QUICK)


def test_sequences_are_the_best_of_all() -> None:
    """Against every sequence that costs so much; of equal prices the higher degree alone."""
    price, start = additive(UNIT, root=2, form="direct")
    inner = (1, 2, 3, 4)
    found = sequences(2, 1e-3, 10, price, start=start, inner_degrees=inner, keep=1000)
    assert {cost for cost, _ in found} <= {9.0, 10.0}

    def error(chosen: tuple[int, ...]) -> float:
        E = start_error(1e-3, 1.0)
        for n in chosen:
            E = next_error(2, n, E)
        return float(E)

    costs = {1: 2, 2: 3, 4: 4}
    every = [
        chosen
        for length in range(1, 6)
        for chosen in product(costs, repeat=length)
        if 8 < sum(costs[n] for n in chosen) <= 10
    ]
    assert {chosen for _, chosen in found} == set(every)
    assert [error(chosen) for _, chosen in found] == sorted(error(chosen) for chosen in every)
    # Cheaper ones count where everything above some cost is asked for.
    cheap = sequences(2, 1e-3, 6, price, start=start, least=3, inner_degrees=inner, keep=1000)
    assert {cost for cost, _ in cheap} == {4.0, 5.0, 6.0}
    # Where the error is small enough, lower degrees come first.
    low = sequences(2, 0.3, 12, price, start=start, inner_degrees=inner, enough=1e-3, keep=3)
    assert max(low[0][1]) == 1


@pytest.mark.wide
def test_survivors_survive_members_that_no_search_has_seen(quick: Trust) -> None:
    problem = Problem(2, (3,), 0.01, 1.0)
    how = {"form": "direct", "inner_degrees": (1, 2), "evaluations": ("monomial",), "error": 1.0}
    found = survivors(problem, "bfloat16", 9, UNIT, keep=4, **how)
    assert found
    errors = [one.schedule.error for one in found]
    assert errors == sorted(errors)
    for one in found:
        assert one.cost == matmuls(one.schedule) <= 9
        assert one.strategy.search(replace(problem, degrees=one.schedule.degrees)) == one.schedule
        assert survives(one.schedule, "bfloat16", trust=quick, seed=5)
    # The control: without headroom the same steps do not.
    bare = replace(found[0].strategy, headroom=1.0)
    schedule = bare.search(replace(problem, degrees=found[0].schedule.degrees))
    assert not survives(schedule, "bfloat16", trust=quick, seed=5)
    assert trial(schedule, "bfloat16", "blocks", drawn("blocks", 20_000, 0.01, seed=5)).blown > 0

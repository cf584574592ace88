"""Candidates of a budget search: rounds of growing cost hold what one search of everything holds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest

from polydesign.model import InputError
from polydesign.program.cost import UNIT, Prices, cost
from polydesign.search import spending
from polydesign.search.candidates import Candidate, for_error, for_matmuls, settles
from polydesign.search.rounding_aware import Terms, propose
from polydesign.search.spending import best
from polydesign.search.survival import Trust, survives

SECONDS = Prices(2e-3, 2e-3, 1e-3, "seconds")


def terms(prices: Prices = UNIT, form: str = "direct") -> Terms:
    return Terms(2, 0.05, 1.0, "float32", rows=64, form=form, prices=prices, inner_degrees=(1, 2))


@pytest.mark.parametrize("prices", [UNIT, SECONDS])
@pytest.mark.parametrize("measured", [False, True])
def test_rounds_miss_nothing_and_repeat_nothing(prices: Prices, measured: bool) -> None:
    """Up to the cost of the last round; in any unit. What is measured may be expected at three times the error."""
    error = 0.1 if measured else 0.3
    rounds = list(for_error([terms(prices)], error, "float32", measured=measured))
    error = 0.3
    found = [one for batch in rounds for one in batch]
    assert len(rounds) > 1
    assert len({one.proposal.schedule for one in found}) == len(found)
    assert all(one.proposal.expected <= error for one in found)
    costs = [one.cost for one in found]
    assert costs == sorted(costs)
    every = [one for one in propose(terms(prices), costs[-1]) if one.expected <= error]
    assert {one.schedule for one in every} == {one.proposal.schedule for one in found}
    # The control: what is too dear for the first round is not in it.
    assert {one.proposal.schedule for one in rounds[0]} < {one.schedule for one in every}


def test_gram_costs_what_its_restarts_make_it_cost() -> None:
    for one in (one for batch in for_error([terms(form="gram")], 0.3, "float32") for one in batch):
        assert one.restarts is not None
        assert one.cost == cost(one.proposal.schedule, UNIT, form="gram", restarts=one.restarts)


def test_in_half_precision_what_survives_is_proposed(quick: Trust) -> None:
    """Each beside its cost, at its own headroom; the model proposes for other precisions, forms and intervals."""
    half = replace(terms(), dtype="bfloat16")
    found = for_matmuls([half], 9, "bfloat16", measured=True)
    assert found
    for one in found:
        assert one.cost <= 9
        assert survives(one.proposal.schedule, "bfloat16", trust=quick, seed=9)
        headroom = one.proposal.strategy.headroom
        assert isinstance(headroom, tuple)
        assert min(headroom) >= 1
    assert settles(half)
    others = ({"dtype": "float32"}, {"form": "coupled"}, {"upper": 2.0}, {"root": 3})
    assert not any(settles(replace(half, **one)) for one in others)


def test_an_error_below_the_rounding_has_no_candidates() -> None:
    assert not any(for_error([terms()], 1e-6, "float32"))
    assert any(for_error([terms()], 0.3, "float32"))


def test_without_measurements_the_safest_comes_first() -> None:
    found = for_matmuls([terms()], 9, "float32", measured=False)
    assert found[0].proposal.at_worst == min(one.proposal.at_worst for one in found) < math.inf
    with pytest.raises(InputError, match="matmuls"):
        for_matmuls([terms()], 1, "float32", measured=True)


@dataclass(frozen=True)
class Rank:
    """What a measuring says, of any kind: here of no matrix at all."""

    index: int
    worst: float
    complete: bool = True


def test_what_measuring_ranks_first_is_taken() -> None:
    asked = []

    def last(candidates: list[Candidate], enough: float | None) -> list[Rank]:
        asked.append((len(candidates), enough))
        return [Rank(index, 0.1) for index in reversed(range(len(candidates)))]

    expected = for_matmuls([terms()], 9, "float32", measured=True)
    found, rank, count = best([terms()], "float32", 9, None, last)
    assert (found, rank, count) == (expected[-1], Rank(len(expected) - 1, 0.1), len(expected))
    assert asked == [(len(expected), None)]
    # The control: unmeasured, the model's word counts.
    safest = for_matmuls([terms()], 9, "float32", measured=False)
    assert best([terms()], "float32", 9, None, None)[:2] == (safest[0], None)


def test_what_does_not_last_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what measuring ranks, the first that a longer climb does not blow up; measured or not."""
    candidates = for_matmuls([terms()], 9, "float32", measured=True)

    def ranked(found: list[Candidate], enough: float | None) -> list[Rank]:
        return [Rank(index, 0.1) for index in range(len(found))]

    monkeypatch.setattr(spending, "lasts", lambda one, _: one == candidates[2])
    assert best([terms()], "float32", 9, None, ranked)[:2] == (candidates[2], Rank(2, 0.1))
    assert best([terms()], "float32", 9, None, None)[0] == candidates[2]
    monkeypatch.setattr(spending, "lasts", lambda one, _: False)
    for measure in (ranked, None):
        with pytest.raises(InputError, match=r"^matmuls: each candidate for 9 blows up some matrix"):
            best([terms()], "float32", 9, None, measure)


def test_dearer_rounds_are_made_until_measuring_finds_what_is_enough() -> None:
    rounds: list[list[Candidate]] = []

    def second(candidates: list[Candidate], enough: float | None) -> list[Rank]:
        rounds.append(candidates)
        # One that was cut short has not shown that it is good enough.
        return [Rank(0, 0.2, complete=len(rounds) == 2)]

    found, _, count = best([terms()], "float32", None, 0.3, second)
    assert len(rounds) == 2
    assert found is rounds[1][0]
    assert count == sum(map(len, rounds))
    with pytest.raises(InputError, match=r"^error: none of \d+ candidates stays below 0.3 .* reaches 0.4"):
        best([terms()], "float32", None, 0.3, lambda candidates, enough: [Rank(0, 0.4)])
    with pytest.raises(InputError, match=r"^matmuls: none of \d+ candidates for 9 keeps its values"):
        best([terms()], "float32", 9, None, lambda candidates, enough: [Rank(0, math.inf)])

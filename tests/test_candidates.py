"""Candidates of a budget search: rounds of growing cost hold what one search of everything holds."""

from __future__ import annotations

import math

import pytest

from polydesign.model import InputError
from polydesign.program.cost import UNIT, Prices, cost
from polydesign.search.candidates import for_error, for_matmuls
from polydesign.search.joint import Terms, propose

SECONDS = Prices(2e-3, 2e-3, 1e-3, "seconds")


def terms(prices: Prices = UNIT, form: str = "direct") -> Terms:
    return Terms(2, 0.05, 1.0, "bfloat16", rows=64, form=form, prices=prices, inner_degrees=(1, 2))


@pytest.mark.parametrize("prices", [UNIT, SECONDS])
@pytest.mark.parametrize("measured", [False, True])
def test_rounds_miss_nothing_and_repeat_nothing(prices: Prices, measured: bool) -> None:
    """Up to the cost of the last round; in any unit. What is measured may be expected at three times the error."""
    error = 0.1 if measured else 0.3
    rounds = list(for_error([terms(prices)], error, "bfloat16", measured=measured))
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
    for one in (one for batch in for_error([terms(form="gram")], 0.3, "bfloat16") for one in batch):
        assert one.restarts is not None
        assert one.cost == cost(one.proposal.schedule, UNIT, form="gram", restarts=one.restarts)


def test_an_error_below_the_rounding_has_no_candidates() -> None:
    assert not any(for_error([terms()], 1e-6, "bfloat16"))
    assert any(for_error([terms()], 0.3, "bfloat16"))


def test_without_measurements_the_safest_comes_first() -> None:
    found = for_matmuls([terms()], 9, "bfloat16", measured=False)
    assert found[0].proposal.at_worst == min(one.proposal.at_worst for one in found) < math.inf
    with pytest.raises(InputError, match="matmuls"):
        for_matmuls([terms()], 1, "bfloat16", measured=True)

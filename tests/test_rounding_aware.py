"""Proposals of the budget search in a precision: what they cost, what they promise, and where they come from."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import pytest

from polydesign.model import InputError, Problem
from polydesign.program.cost import cost
from polydesign.rounding.direct import predict
from polydesign.search.budget import exact_front
from polydesign.search.minimax import _listed
from polydesign.search.rounding_aware import Terms, least_error, propose

pytestmark = pytest.mark.numerics

BF16 = Terms(2, 1e-3, 1.0, "bf16", rows=256)


@cache
def proposals(terms, most):
    return propose(terms, most, cautions=(0.25, 1.0), turns=(0.2,))


def best(terms, most):
    return min(proposals(terms, most), key=lambda one: one.expected)


@pytest.mark.few(1)
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_costs_what_it_says_and_can_be_made_again(dtype):
    terms = replace(BF16, dtype=dtype)
    for one in proposals(terms, 12):
        assert one.cost == cost(one.schedule, terms.prices) <= 12
        again = one.strategy.search(Problem(2, one.schedule.degrees, 1e-3, 1.0))
        assert again == one.schedule
        assert predict(one.schedule, dtype, rows=256, caution=one.caution).error == one.expected
        assert predict(one.schedule, dtype, rows=256).error == one.at_worst


@pytest.mark.parametrize("most", [12, 15])
def test_without_rounding_it_is_the_exact_search(most):
    """In float64 the path is within the few per cent that three digits of the ratio cost of the best."""
    exact = float(exact_front(2, 1e-3, 1.0, most)[-1].rank)
    found = best(replace(BF16, dtype="float64"), most).schedule.error
    assert exact * (1 - 1e-9) <= found <= 1.05 * exact
    assert best(BF16, most).schedule.error > 1.05 * exact  # where rounding counts, room for it costs error


def test_more_caution_is_safer_and_worse():
    """At full caution the model finds no loss; at a quarter it reckons with less, and promises more."""
    by_caution = {
        caution: min(
            (one for one in proposals(BF16, 15) if one.caution == caution), key=lambda one: one.expected
        )
        for caution in (0.25, 1.0)
    }
    assert by_caution[1.0].at_worst == by_caution[1.0].expected < 0.2
    assert math.isinf(by_caution[0.25].at_worst)
    assert by_caution[0.25].expected < by_caution[1.0].expected
    assert by_caution[0.25].schedule.error < by_caution[1.0].schedule.error


def test_precision_decides_what_is_proposed():
    """The coarser the precision, the larger the headroom, and the error that is left."""
    bf16, fp16, fp32 = (best(replace(BF16, dtype=dtype), 15) for dtype in ("bf16", "fp16", "fp32"))
    assert bf16.expected > 2 * fp16.expected > 2.2 * fp32.expected
    rooms = [max(_listed(one.strategy.headroom)) for one in (bf16, fp16, fp32)]
    assert rooms[0] > rooms[1] > rooms[2] > 1


def test_the_least_error_is_that_of_the_best_path():
    """The path's last image is centred with its rounding, the schedule's without: it is at most that much less."""
    cautious = min(one.expected for one in proposals(BF16, 12) if one.caution == 1)
    assert 0.85 * cautious < least_error(BF16, 12) <= cautious
    assert least_error(BF16, 12) > 1.1 * least_error(replace(BF16, lower=2e-3), 12)


@pytest.mark.parametrize(("degrees", "most"), [((1, 2), 12), ((2,), 15)])
def test_keeps_to_the_degrees_that_are_allowed(degrees, most):
    for one in propose(replace(BF16, inner_degrees=degrees), most, cautions=(0.4,), turns=(0.2,)):
        assert {step.inner_degree for step in one.schedule.steps} <= set(degrees)


def test_other_roots_and_an_evaluation_of_ones_own():
    fourth = Terms(4, 0.1, 1.0, "float32", form="coupled")
    found = propose(fourth, 12, cautions=(1.0,), turns=(0.2,))
    assert all(one.schedule.root == 4 and one.cost == cost(one.schedule, fourth.prices) for one in found)
    assert min(one.expected for one in found) < 0.02
    plain = propose(
        replace(BF16, dtype="float64", evaluations=("monomial",)), 8, cautions=(1.0,), turns=(0.2,)
    )
    assert {step.evaluation for one in plain for step in one.schedule.steps} == {"monomial"}


def test_refuses_too_little_and_what_is_no_interval():
    with pytest.raises(InputError, match="matmuls: 1 are too few"):
        propose(BF16, 1)
    with pytest.raises(InputError, match="lower"):
        Terms(2, 2.0, 1.0, "bf16")
    with pytest.raises(InputError, match="dtype"):
        Terms(2, 1e-3, 1.0, "float8")

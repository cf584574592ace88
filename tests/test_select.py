"""Measuring candidates: the one that errs least is found, and one that loses values is not taken."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tables

import polydesign
from polydesign.model import InputError, Plan
from polydesign.verification.select import MOST_ROWS, POLAR, RARE, SQUARE, WEIGHT, reduced, select

pytestmark = pytest.mark.numerics

SHAPE = (48, 96)


@pytest.fixture(scope="module")
def good():
    return polydesign.load("sign-d5x6-l1e-3-bf16")


@pytest.fixture(scope="module")
def unsafe():
    """Degree 9 in powers of A: small errors in exact arithmetic, and blow-ups in bfloat16."""
    return polydesign.design(degree=9, steps=4, headroom=1.01, cushion=0, evaluation="monomial")


def test_takes_the_one_that_stands_the_matrices(good, unsafe):
    short = polydesign.design(degree=5, steps=4)
    candidates = [unsafe, good, short]
    before = list(candidates)
    ranked = select(candidates, dtype="bf16", shape=SHAPE)
    assert candidates == before
    assert candidates[ranked[0].index] is good
    assert ranked[0].complete
    assert {run.spectrum for run in ranked[0].runs} == set(POLAR)
    by_index = {one.index: one for one in ranked}
    assert by_index[0].worst > 10 * by_index[1].worst
    # In float64 the same candidate is the better one: the choice comes from the precision.
    assert select(candidates, dtype="float64", shape=SHAPE)[0].worst < 0.02


def test_what_loses_values_where_roundings_agree_is_out_whatever_it_measures(good):
    """Three steps of degree 17, made by hand: better than the quintics on these matrices, and unsafe."""
    by_hand = tables.prototype("17x3_15_bf16", "chebyshev")
    short = polydesign.design(degree=5, steps=5, dtype="bf16")
    ranked = select([by_hand, short], dtype="bf16", shape=SHAPE)
    assert [one.index for one in ranked] == [1, 0]
    assert ranked[0].lost <= RARE < ranked[1].lost
    assert not ranked[1].complete
    assert not ranked[1].runs
    # In float16 it loses none, and is the better one.
    assert select([by_hand, short], dtype="fp16", shape=SHAPE)[0].index == 0


def test_the_score_leaves_out_what_rounding_the_input_leaves(good):
    from polydesign.verification.cases import Setting
    from polydesign.verification.operators import choose
    from polydesign.verification.spectra import sample
    from polydesign.verification.sweep import input_share, resolve_device, run

    found = select([good], dtype="bf16", shape=SHAPE)[0]
    how, own = choose(good, None, 1)[1], []
    for one in found.runs:
        known = sample(one.spectrum, one.shape, seed=0)
        setting = Setting(known, good, Plan("bf16"), 1, resolve_device("cpu"), 0)
        share = input_share(run(setting, how), good.schedule) or 0.0
        own.append(one.worst - share)
    assert found.score == pytest.approx(max(own), rel=1e-12)
    assert found.score < 0.8 * found.worst  # most of it is the input's, in a swept pair


def test_the_worst_is_that_of_measure(good):
    """The lean way and verify's own agree, in the same arithmetic, but for float64's rounding of a rounded sum."""
    from polydesign.verification.reference import FixedSums
    from polydesign.verification.spectra import sample
    from polydesign.verification.sweep import measure

    ranked = select([good], dtype="bfloat16", shape=SHAPE, seed=3)
    run = next(run for run in ranked[0].runs if run.spectrum == "swept")
    with FixedSums("bfloat16"):
        full = measure(good, dtype="bfloat16", matrix=sample("swept", run.shape, seed=3))
    assert run.worst == pytest.approx(full.worst, rel=1e-12)
    # The kernels' own sums round a few entries to the other side; sixteen pairs of values err alike.
    kernels = measure(good, dtype="bfloat16", matrix=sample("swept", run.shape, seed=3))
    assert run.worst == pytest.approx(kernels.worst, rel=0.1)


def test_a_worse_candidate_is_cut_short(good):
    short = polydesign.design(degree=5, steps=3)
    seen = []
    ranked = select(
        [good, short], dtype="bf16", shape=SHAPE, watch=lambda done, total: seen.append((done, total))
    )
    assert [one.index for one in ranked] == [0, 1]
    assert not ranked[1].complete
    assert len(ranked[1].runs) < len(ranked[0].runs)
    assert seen == [(1, 2), (2, 2)]


def test_enough_ends_the_search(good):
    ranked = select([good, good, good], dtype="bf16", shape=SHAPE, enough=0.1)
    assert [one.index for one in ranked] == [0]
    assert len(select([good, good], dtype="bf16", shape=SHAPE, enough=1e-9)) == 2


def test_plans_are_run(good):
    """In the gram form without restarts the values are lost."""
    plans = [Plan(form="gram", restarts=()), Plan(form="gram")]
    ranked = select([good, good], dtype="bf16", shape=(32, 128), plans=plans)
    assert ranked[0].index == 1
    assert ranked[1].worst > 2 * ranked[0].worst


def test_roots_meet_positive_matrices():
    table = polydesign.load("root4-d9x4-l0.1-fp32")
    found = select([table], dtype="float32", shape=(32, 32))[0]
    assert found.complete
    assert found.worst < 1e-3
    assert (found.runs[0].spectrum, found.runs[0].shape) == (SQUARE, (32, 32))  # whatever the shape
    assert found.score == max(WEIGHT * found.runs[0].worst, *(run.worst for run in found.runs[1:]))
    wide = select([table], dtype="float32", shape=(16, 64))[0]
    assert (wide.runs[0].spectrum, wide.runs[0].shape) == (SQUARE, (16, 16))
    worse = polydesign.design(root=4, degree=9, steps=2, lower=0.1, dtype="float32")
    assert select([worse, table], dtype="float32", shape=(32, 32))[0].index == 1


def test_a_normalization_of_none_is_scaled(good):
    table = replace(good, normalization="none")
    assert select([table], dtype="bf16", shape=SHAPE)[0].worst < 0.1


@pytest.mark.parametrize(
    ("shape", "found"), [((1024, 4096), (256, 1024)), ((100, 50), (100, 50)), ((4096, 512), (2048, 256))]
)
def test_shapes_are_reduced_at_the_same_aspect(shape, found):
    assert reduced(shape) == found
    assert min(found) <= MOST_ROWS


def test_refuses_nothing_and_too_few_plans(good):
    with pytest.raises(InputError, match="candidates"):
        select([], dtype="bf16")
    with pytest.raises(InputError, match="plans"):
        select([good], dtype="bf16", plans=[Plan(), Plan()])

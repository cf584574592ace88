"""Folding a safety factor: powers 1, 1 + r, 1 + 2r, …, in rows and in the constants of programs."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polydesign
from polydesign.approximation.fold import ROWS, fold, unfold
from polydesign.approximation.scalar import schedule_from
from polydesign.model import InputError
from polydesign.program.basis import expanded
from polydesign.program.programs import _BUILDERS
from polydesign.table.published import published

EPS = 2.0**-53

TABLES = {
    "jordan": schedule_from(2, published("jordan_5").rows, (1e-3, 1.0)),
    "polar express": schedule_from(2, published("polar_express_deg5").rows, (1e-3, 1.0)),
    "cubics": schedule_from(2, published("cubic5").rows, (7e-3, 1.0)),
    "root 4": schedule_from(4, published("su_root_r4").rows, (0.1, 1.0)),
    "inverse": schedule_from(1, published("su_root_r1").rows, (1e-4, 1.0)),
}


@st.composite
def schedules(draw):
    """Steps x·(1 + Σ c_j xʲʳ) with Σ |c_j| < 0.6: every value of (0, 1] stays in (0, 5)."""
    root = draw(st.integers(1, 5))
    number = st.floats(0.01, 0.15) | st.floats(-0.15, -0.01)
    rows = draw(st.lists(st.lists(number, min_size=1, max_size=4), min_size=1, max_size=3))
    return schedule_from(root, [[1.0, *row] for row in rows], (0.1, 1.0))


def exactly(step, x):
    """p(x) in rationals, x a Fraction."""
    return sum(Fraction(c) * x ** (1 + j * step.root) for j, c in enumerate(step.coefficients))


def of(schedule, which):
    last = len(schedule.steps) - 1
    return {"all": range(last + 1), "all-but-last": range(last), "first": range(1)}[which]


@settings(max_examples=25, deadline=None)
@given(schedule=schedules(), factor=st.floats(0.8, 1.25), which=st.sampled_from(ROWS))
def test_unfold_undoes_fold(schedule, factor, which):
    """Two roundings of each coefficient, each of half a unit in the last place."""
    if which == "all-but-last" and len(schedule.steps) == 1:
        which = "all"
    back = unfold(fold(schedule, factor, which), factor, which)
    assert back.interval == schedule.interval
    for step, other in zip(schedule.steps, back.steps, strict=True):
        np.testing.assert_allclose(other.coefficients, step.coefficients, rtol=2.01 * EPS)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("which", ROWS)
def test_a_folded_step_is_the_step_of_x_over_s(name, which):
    """In rationals, but for one rounding of each coefficient: |difference| <= eps Σ |c_j| x^(1+jr)."""
    schedule, s = TABLES[name], 1.01
    folded = fold(schedule, s, which)
    for index, (step, new) in enumerate(zip(schedule.steps, folded.steps, strict=True)):
        shift = Fraction(s) if index in of(schedule, which) else Fraction(1)
        for x in map(Fraction, np.linspace(0, 1.5, 7)):
            size = sum(
                abs(Fraction(c)) * x ** (1 + j * schedule.root) for j, c in enumerate(new.coefficients)
            )
            found, expected = exactly(new, x), exactly(step, x / shift)
            assert abs(found - expected) <= Fraction(EPS) * Fraction(1001, 1000) * size


@pytest.mark.parametrize("name", TABLES)
def test_the_first_row_alone_divides_the_input(name):
    schedule = TABLES[name]
    folded = fold(schedule, 1.02, "first")
    x = np.geomspace(schedule.interval[0], 1, 200)
    # Roundings of 1e-16 in rows and sums, grown by the slopes of up to eight steps: less than 1e4 in all.
    np.testing.assert_allclose(folded(x), schedule(x / 1.02), atol=1e-12)
    # The negative control: another convention is another map.
    assert np.abs(fold(schedule, 1.02, "all")(x) - folded(x)).max() > 1e-5


def test_it_is_what_the_listing_of_polar_express_computes():
    listed = published("polar_express_deg5_folded_1.01").rows
    folded = fold(TABLES["polar express"], 1.01, "all-but-last")
    for row, step in zip(listed, folded.steps, strict=True):
        # a/1.01, b/1.01**3, c/1.01**5 in float64: the power and the quotient are each rounded.
        np.testing.assert_allclose(step.coefficients, row, rtol=6 * EPS)
    wrong = [c / 1.01 ** (1 + j) for j, c in enumerate(published("polar_express_deg5").rows[0])]
    assert abs(wrong[1] / listed[0][1] - 1) > 5e-3  # powers 1, 2, 3: NewtonSchulz.jl's


def test_domains_images_and_error_are_those_of_the_new_map():
    schedule = TABLES["polar express"]
    folded = fold(schedule, 1.05)
    assert folded.steps[0].domain == schedule.interval == folded.interval
    x = np.geomspace(1e-3, 1, 100_001)
    values = folded(x)
    low, high = folded.steps[-1].image
    assert low <= values.min() + 1e-12
    assert values.max() - 1e-12 <= high
    assert folded.error == pytest.approx(np.abs(values - 1).max(), rel=1e-6)
    assert folded.error > 10 * schedule.error  # folding the last row moves its fixed point
    folded.check_chain()


@pytest.mark.parametrize(("evaluation", "n"), [(e, n) for e, known in _BUILDERS.items() for n in known])
@pytest.mark.parametrize("root", [1, 2, 4])
def test_programs_keep_their_evaluation_and_compute_the_folded_step(evaluation, n, root):
    rows = [[3.0, *[(-1) ** j * 5.0 / (j + 1) for j in range(1, n)], 0.5]]
    schedule = schedule_from(root, rows, (0.05, 1.0), [evaluation])
    s = Fraction(101, 100)
    folded = fold(schedule, s)
    (old,), (new,) = schedule.steps, folded.steps
    assert new.evaluation == evaluation
    # As many roundings as before: whole numbers stay whole, and no constant is new.
    assert len(new.program.constants) == len(old.program.constants)
    assert new.program.products == old.program.products
    for j, (a, b) in enumerate(zip(expanded(old.program), expanded(new.program), strict=True)):
        # Each constant is rounded once; what they add up to may cancel, by less than 1e4 here.
        scale = max(map(abs, expanded(old.program)))
        assert abs(a / s ** (1 + j * root) - b) < 1e-11 * scale
    # The negative control: without its own powers the program is another polynomial.
    assert new.program != old.program
    assert max(abs(a - b) for a, b in zip(expanded(old.program), expanded(new.program), strict=True)) > 1e-3


def test_a_shipped_table_with_programs():
    schedule = polydesign.load("sign-m15-l1e-3-bf16").schedule
    folded = fold(schedule, 1.01, "first")
    assert [s.evaluation for s in folded.steps] == [s.evaluation for s in schedule.steps]
    x = np.linspace(1e-3, 1, 1001)
    np.testing.assert_allclose(folded(x), schedule(x / 1.01), atol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "field", "problem"),
    [
        ((0.0,), "factor", "must be greater than 0"),
        ((-1.01,), "factor", "must be greater than 0"),
        ((float("nan"),), "factor", "finite"),
        (("1.01",), "factor", "number"),
        ((1.01, "last"), "which", "not one of all, all-but-last, first"),
        ((1e-300,), "factor", "out of float64"),
        ((1e300,), "factor", "out of float64"),  # coefficients that become zero
        ((0.3,), "factor", "run away in step"),
    ],
)
def test_refusals(arguments, field, problem):
    with pytest.raises(InputError, match=problem) as refusal:
        fold(TABLES["jordan"], *arguments)
    assert refusal.value.field == field


def test_one_step_has_no_others():
    with pytest.raises(InputError, match="take all"):
        fold(schedule_from(2, [(1.5, -0.5)], (0.1, 1.0)), 1.01, "all-but-last")

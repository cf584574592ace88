"""Composition: the literature's tables, the prototypes, and what headroom, cushion and floor promise."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from references import oracle_cases, prototypes, published

from polydesign.approximation.remez import best_approximation
from polydesign.approximation.scalar import image
from polydesign.model import InputError, Problem
from polydesign.search.minimax import Equioscillation, cushion_for_floor, design_step

pytestmark = pytest.mark.numerics

POLAR_EXPRESS = 0.02407327424182761


def test_reproduces_polar_express():
    """arXiv 2505.16932, implementation 1: rows 1 to 6 to 1e-12, row 7 to 1e-10, row 8 is the limit step."""
    rows = published("polar_express_deg5")["coefficients"]
    steps = Equioscillation(cushion=POLAR_EXPRESS).search(Problem(2, (5,) * 8, 1e-3)).steps
    for index, (step, row) in enumerate(zip(steps, rows, strict=True)):
        off = max(abs(mine / theirs - 1) for mine, theirs in zip(step.coefficients, row, strict=True))
        assert off < (1e-12 if index < 6 else 1e-10), index
    assert steps[7].coefficients == (1.875, -1.25, 0.375)


def test_another_cushion_is_another_table():
    """Negative control: a cushion off by a part in 10⁹ shows in the first row."""
    row = published("polar_express_deg5")["coefficients"][0]
    step = Equioscillation(cushion=POLAR_EXPRESS * (1 + 1e-9)).search(Problem(2, (5,), 1e-3)).steps[0]
    assert max(abs(a / b - 1) for a, b in zip(step.coefficients, row, strict=True)) > 1e-12


@pytest.mark.parametrize("root", [1, 2, 3, 4, 5])
def test_reproduces_the_root_tables_to_their_six_digits(root):
    """kexue.fm 11175: l = 1e-4^(1/r), cushion 0.1 (of x, not of λ); its last row is the limit step."""
    entry = published(f"su_root_r{root}")
    degrees = tuple(entry["degrees"])
    steps = Equioscillation(cushion=0.1).search(Problem(root, degrees, 1e-4 ** (1 / root))).steps
    limit = best_approximation(root, 2, 1.0, 1.0).coefficients
    rows = [*(step.coefficients for step in steps[:-1]), limit]
    for mine, theirs in zip(rows, entry["coefficients"], strict=True):
        assert [f"{c:.6g}" for c in mine] == [f"{c:.6g}" for c in theirs]


@pytest.mark.parametrize("entry", prototypes(), ids=lambda entry: entry["name"])
def test_reproduces_the_prototypes(entry):
    """Headroom and image floor per step; coefficients of degree 17 lose four digits to their size."""
    steps = entry["steps"]
    strategy = Equioscillation(
        headroom=tuple(step["headroom"] for step in steps),
        image_floor=tuple(float(floor) for floor in entry["image_ratio_floor"]),
    )
    schedule = strategy.search(Problem(2, tuple(step["degree"] for step in steps), 1e-3))
    assert schedule.error == pytest.approx(entry["predicted_error"], rel=1e-9)
    for mine, theirs in zip(schedule.steps, steps, strict=True):
        assert mine.coefficients == pytest.approx([float(c) for c in theirs["coefficients"]], rel=1e-9)
        assert mine.image == pytest.approx([float(end) for end in theirs["image"]], rel=1e-9)
        assert mine.domain == pytest.approx([float(end) for end in theirs["domain"]], rel=1e-9)


@pytest.mark.parametrize("case", oracle_cases(), ids=lambda case: str(case["q_degrees"]))
def test_rounding_the_coefficients_costs_what_it_must(case):
    """The schedule's error is that of the float64 coefficients, so it exceeds the exact optimum by a little.

    Allowance: each step's rounding 2⁻⁵³ Σ|c_j|u^(1+jr), relative to the lower end of its image, is carried
    by the later steps' growth of the ratio l/u, at most (degree) a step.
    """
    degrees = tuple(case["degrees"])
    problem = Problem(case["root"], degrees, float(case["lower"]), float(case["upper"]))
    schedule = Equioscillation().search(problem)
    rounding = 0.0
    for step, reference in zip(schedule.steps, case["steps"], strict=True):
        terms = sum(abs(c) * step.domain[1] ** (1 + j * step.root) for j, c in enumerate(step.coefficients))
        rounding = step.degree * rounding + 2.0**-53 * terms / step.image[0]
        error = float(reference["error"])
        assert abs(step.half_width - error) <= 4 * rounding * max(error, 1 - error), step


def test_mixed_degrees_and_roots():
    assert Equioscillation().search(Problem(2, (5, 9, 9, 9), 1e-3)).error == pytest.approx(
        0.057834877317, rel=1e-11
    )
    assert Equioscillation().search(Problem(4, (9, 9, 9), 0.1)).error == pytest.approx(
        0.049489742447, rel=1e-11
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    root=st.integers(1, 5),
    inner=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    lower=st.floats(1e-5, 0.9),
    headroom=st.floats(1.0, 1.05),
    cushion=st.sampled_from([0.0, 0.02, 0.2]),
)
def test_every_domain_contains_the_image_before_it(root, inner, lower, headroom, cushion):
    degrees = tuple(1 + n * root for n in inner)
    schedule = Equioscillation(headroom=headroom, cushion=cushion).search(Problem(root, degrees, lower))
    schedule.check_chain()
    received = schedule.interval
    for step in schedule.steps:
        bottom, top = image(step.coefficients, root, received)
        assert float(bottom) == pytest.approx(step.image[0], rel=1e-12)
        assert float(top) == pytest.approx(step.image[1], rel=1e-12)
        assert float(bottom + top) == pytest.approx(2, rel=1e-12)
        assert step.domain[1] == pytest.approx(received[1] * headroom, rel=1e-14)
        received = step.image


@pytest.mark.parametrize("degree", [3, 7])
def test_odd_inner_degree_is_balanced_by_its_image(degree):
    """Polar Express's p(l) + p(u) = 2 would take the trough p(u) for the top of the image."""
    step, mapped = design_step(2, (degree - 1) // 2, (1e-3, 1.0), 1.0, 0.1)
    assert float(mapped[0] + mapped[1]) == pytest.approx(2, rel=1e-14)
    assert step(1e-3) + step(1.0) < 1.9


def test_a_prefix_of_the_optimum_is_the_optimum():
    long = Equioscillation().search(Problem(2, (5,) * 6, 1e-3))
    short = Equioscillation().search(Problem(2, (5,) * 3, 1e-3))
    assert long.steps[:3] == short.steps


def test_image_floor_gives_polar_expresss_cushion():
    """GPT-opt's 0.0240733 is the floor 0.1 for quintics; the designed image then begins at 0.1 of its top."""
    cushion = cushion_for_floor(2, 2, 0.1, 1.0)
    assert cushion == pytest.approx(POLAR_EXPRESS, rel=1e-11)
    error = best_approximation(2, 2, cushion, 1.0).error
    assert (1 - error) / (1 + error) == pytest.approx(0.1, rel=1e-11)
    assert cushion_for_floor(2, 2, 0.1, 1.05) == pytest.approx(1.05 * POLAR_EXPRESS, rel=1e-11)


def test_a_tail_without_floor():
    problem = Problem(2, (5,) * 5, 1e-3)
    floors = Equioscillation(headroom=1.01, image_floor=(0.3, 0.3, 0.3, 0.0, 0.0)).search(problem)
    tail = Equioscillation(headroom=1.01, image_floor=0.3, floor_free_tail=2).search(problem)
    everywhere = Equioscillation(headroom=1.01, image_floor=0.3).search(problem)
    assert floors == tail
    assert tail.error < everywhere.error


@pytest.mark.parametrize(
    ("error", "steps"), [(0.2, 5), (0.1134485, 5), (0.1134484, 6), (1e-3, 6), (1e-20, 8)]
)
def test_fewest_steps_for_an_error(error, steps):
    schedule = Equioscillation().search(Problem(2, (5,), 1e-3, error=error))
    assert len(schedule.steps) == steps
    assert schedule.error <= error


def test_an_error_out_of_reach_is_refused_with_the_best():
    with pytest.raises(InputError, match=r"error: 1e-18 is out of reach: \d+ steps of degree 5 reach"):
        Equioscillation(headroom=1.05).search(Problem(2, (5,), 1e-3, error=1e-18))


def test_steps_beyond_float64_keep_their_error():
    errors = [step.half_width for step in Equioscillation().search(Problem(2, (5,) * 12, 1e-3)).steps]
    assert errors[7] < 1e-27
    assert errors[8] < 1e-80
    assert errors[-1] == 5e-324  # 1e-740, rounded up to what float64 has


@pytest.mark.parametrize(
    ("keywords", "field"),
    [
        ({"headroom": 0.99}, "headroom"),
        ({"cushion": 1.0}, "cushion"),
        ({"image_floor": -0.1}, "image_floor"),
        ({"cushion": 0.1, "image_floor": 0.1}, "cushion"),
        ({"headroom": float("nan")}, "headroom"),
        ({"floor_free_tail": -1}, "floor_free_tail"),
    ],
)
def test_refuses_bad_parameters_by_name(keywords, field):
    with pytest.raises(InputError) as refused:
        Equioscillation(**keywords)
    assert refused.value.field == field


def test_refuses_lists_that_do_not_fit():
    with pytest.raises(InputError, match="headroom: has 2 values for 3 steps"):
        Equioscillation(headroom=(1.0, 1.01)).search(Problem(2, (5,) * 3, 1e-3))
    with pytest.raises(InputError, match="headroom: one value a step needs a number of steps"):
        Equioscillation(headroom=(1.0, 1.01)).search(Problem(2, (5,), 1e-3, error=0.5))

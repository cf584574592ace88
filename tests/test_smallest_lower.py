"""The smallest lower end: the literature's cubics, its own inverse, and refusals."""

from __future__ import annotations

import math

import pytest
from references import published

import polydesign
from polydesign import InputError
from polydesign.approximation.remez import best_approximation
from polydesign.search.minimax import Equioscillation
from polydesign.search.smallest_lower import smallest_lower

PLAIN = Equioscillation()


@pytest.mark.parametrize(
    ("steps", "error", "lower"),
    [(4, 0.3, 0.015586), (5, 0.3, 0.0060176), (7, 0.3, 8.929e-4), (8, 0.3, 3.437e-4), (4, 0.99, 1.1045e-4)],
)
def test_reproduces_the_cubics_of_the_literature(steps, error, lower):
    """CANS, delta-orthogonalization (arXiv 2506.10935): given with 4 or 5 digits, cut or rounded."""
    found = smallest_lower(PLAIN, 2, (3,) * steps, error)
    last_digit = 10.0 ** (math.floor(math.log10(lower)) - len(f"{lower:e}".split("e")[0].rstrip("0")) + 2)
    assert abs(found - lower) <= 1.2 * last_digit


def test_another_error_is_another_lower():
    """Negative control: a change of the error by a part in 1000 shows in the figures above."""
    assert abs(smallest_lower(PLAIN, 2, (3,) * 5, 0.3003) - 0.0060176) > 1.2e-7


@pytest.mark.parametrize(
    ("root", "degrees", "error", "upper"),
    [(2, (3,) * 3, 0.3, 1.0), (2, (5, 3, 9), 0.1, 1.0), (1, (3, 4), 0.2, 2.0), (4, (9, 9), 0.05, 1.0)],
)
def test_it_is_the_inverse_of_the_best_error(root, degrees, error, upper):
    """Backwards, step by step: the ratio whose best image is the next one's ratio, found by another bisection."""
    wanted = (1 - error) / (1 + error)
    for degree in reversed(degrees):
        low, high = 1e-12, 1.0
        for _ in range(60):
            middle = math.sqrt(low * high)
            e = float(best_approximation(root, (degree - 1) // root, middle, 1.0).error)
            low, high = (low, middle) if (1 - e) / (1 + e) >= wanted else (middle, high)
        wanted = high
    found = smallest_lower(PLAIN, root, degrees, error, upper)
    # Ten digits, rounded up, are within a part in 10⁹; the solver's 1e-12 a step is the rest.
    assert -1e-11 < found / upper / wanted - 1 < 1.02e-9


def test_the_cubics_of_the_literature_have_the_steepest_slope_at_zero():
    """CANS's 7 cubics for a band of 0.3: ours are steeper, as theirs begin at 9e-4 and end at 0.29753."""
    table = polydesign.design(degree=3, steps=7, error=0.3, lower="min", headroom=1)
    slope = math.prod(step.coefficients[0] for step in table.schedule.steps)
    theirs = math.prod(row[0] for row in published("cans_cubic_7")["coefficients"])
    assert theirs < slope < 1.02 * theirs
    assert table.schedule.error <= 0.3


@pytest.mark.few(3)
@pytest.mark.parametrize(
    "keywords",
    [
        {"degree": 3, "steps": 5, "error": 0.3},
        {"degree": 3, "steps": 5, "error": 0.3, "headroom": 1.02},
        {"degree": 5, "steps": 4, "error": 0.2, "dtype": "fp16"},
        {"degree": [9, 9, 3], "error": 0.2, "upper": 1.5, "dtype": "fp32"},
        {"degree": 5, "steps": 2, "error": 0.3, "round": "bf16", "dtype": "fp32"},
    ],
)
def test_it_reaches_the_error_and_no_smaller_does(keywords):
    table = polydesign.design(lower="min", **keywords)
    lower, error = table.schedule.interval[0], keywords["error"]
    assert table.schedule.error <= error
    assert table.certificate is not None
    assert float(table.certificate.error[1]) <= error * (1 + 1e-15)
    assert table.provenance.parameters["lower"] == "min"
    assert table.provenance.parameters["error"] == error
    fixed = {k: v for k, v in keywords.items() if k != "error"}
    found = table.provenance.parameters
    if isinstance(found.get("headroom"), list) and "headroom" not in fixed:  # found for about this interval
        fixed |= {"headroom": found["headroom"], "image_floor": found["image_floor"]}
        fixed |= {"floor_free_tail": found["floor_free_tail"]}
    assert polydesign.design(lower=lower, **fixed).schedule == table.schedule
    below = polydesign.design(lower=0.99 * lower, certify=False, **fixed)
    assert below.schedule.error > error


def test_names_of_smallest_lowers():
    assert (
        polydesign.design(degree=3, steps=3, error=0.3, lower="min", headroom=1).name == "sign-d3x3-band0.3"
    )


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"degree": 3, "steps": 5}, "lower: min is the smallest lower end for an error: give error too"),
        ({"degree": 3, "error": 0.3}, "lower: min is for so many steps: give steps too"),
        ({"degree": 3, "steps": 5, "error": 0.3, "lower": "least"}, "lower: must be a number, or min"),
        (
            {"degree": 3, "steps": 5, "error": 0.3, "lower": 0.1},
            "steps: the error decides the number of steps",
        ),
        ({"degree": 3, "steps": 5, "error": 1.5}, "error: must lie between 0 and 1"),
        (
            {"degree": 3, "steps": 1, "error": 1e-9, "headroom": 1.1, "round": "1/1024"},
            "error: 1e-09 is out of reach of these",
        ),
        ({"degree": 3, "steps": 40, "error": 0.9, "headroom": 1}, "lower: these steps reach 0.9 from"),
    ],
)
def test_refuses_by_keyword(keywords, message):
    with pytest.raises(InputError, match=message):
        polydesign.design(**{"lower": "min"} | keywords)

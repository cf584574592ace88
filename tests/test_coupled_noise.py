"""The rounding model of the coupled form: its first order is that of matrices, and it tells schedules apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import polydesign
from polydesign.designer.design import published_table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.coupled import JUDGED, LOST, follow, judged_from, predict, remaining_error
from polydesign.rounding.direct import noise
from polydesign.verification.select import select

pytestmark = pytest.mark.numerics

ROWS = 64


@pytest.mark.parametrize("root", [1, 2, 4])
def test_an_error_of_p_is_what_the_derivative_says(seed: int, root: int) -> None:
    """P^(−1/r) moves by −E_ij/(y_i y_j Σ y_iᵏ y_jʳ⁻¹⁻ᵏ), y = λ^(1/r), in P's eigenbasis: relative to 1/y at i = j
    by E/(r·yʳ), which is what δ has in it."""
    rng = np.random.default_rng(seed)
    y = np.sort(rng.uniform(0.5, 1.5, 6))
    E = rng.standard_normal((6, 6)) * 1e-8
    E = (E + E.T) / 2
    values, V = np.linalg.eigh(np.diag(y**root) + E)
    moved = (V * values ** (-1 / root)) @ V.T - np.diag(1 / y)
    spread = sum(y[:, None] ** k * y[None, :] ** (root - 1 - k) for k in range(root))
    first = -E / (y[:, None] * y[None, :] * spread)
    # What is left is of second order: (1/λ)²·‖E‖² with a factor for r <= 4.
    assert np.abs(moved - first).max() <= 50 * np.linalg.norm(E, 2) ** 2 / y.min() ** (2 * root + 1)
    assert np.diag(first) * y == pytest.approx(-np.diag(E) / (root * y**root), rel=1e-12)
    assert np.abs(moved - 1.01 * first).max() > 50 * np.linalg.norm(E, 2) ** 2 / y.min() ** (2 * root + 1)


def test_a_step_loses_what_the_formula_says() -> None:
    """One linear step on values that do not spread: rms(P Wʳ) = pʳ and rms(Wʳ) = Wʳ, so δ = 2·LOST·u/r."""
    table = polydesign.design(root=2, degree=3, steps=1, lower=0.5, headroom=1)
    (step,) = table.schedule.steps
    found = noise(step.program, step.coefficients, 2, 1.0)
    at = float(step(1.0))
    after, kept = follow(found, 2, (1.0, 1.0, 1.0), (at, at, at), 1e-3)
    assert after.turn == pytest.approx(2 * LOST * 1e-3 / 2, rel=1e-12)
    assert kept == after.left[0] < at < after.left[1]
    half, _ = follow(found, 2, (1.0, 1.0, 1.0), (at, at, at), 1e-3, 0.5)
    assert half.turn == pytest.approx(after.turn / 2, rel=1e-12)


def test_judged_values_begin_where_rounding_p_leaves_them() -> None:
    assert judged_from(0.01, 2, "float32", 256) == 0.01
    least = JUDGED * UNIT_ROUNDOFF["bfloat16"] / (2 * 16)
    assert judged_from(0.01, 2, "bfloat16", 256) == pytest.approx(math.sqrt(least), rel=1e-12)
    assert remaining_error((0.9, 1.05), 0.0004) == pytest.approx(0.12, rel=1e-12)


@pytest.mark.parametrize(("root", "safer"), [(2, {"image_floor": 0.4}), (4, {"cushion": (0.35, 0.35, 0)})])
def test_float32_errs_as_predicted(root: int, safer: dict[str, Any]) -> None:
    """Where rounding and not the schedule decides, the model expects too much rather than too little, and it
    orders schedules as matrices do: the optimum, and one with a cushion. Measured in the arithmetic of the choice,
    the same everywhere; what the kernels here make of it is in test_kernels.py."""
    asked = {"root": root, "lower": 1e-4 ** (1 / root)}
    tables = [
        polydesign.design(**asked, degree=1 + 8 * root, steps=3, headroom=1.0001),
        polydesign.design(**asked, degree=1 + 8 * root, steps=3, headroom=1.0001, **safer),
    ]
    expected = [predict(one.schedule, "float32", rows=ROWS).error for one in tables]
    runs = (select([one], dtype="float32", shape=(ROWS, ROWS), operator="inverse_root")[0] for one in tables)
    found = [one.worst for one in runs]
    assert all(measured <= error for measured, error in zip(found, expected, strict=True))
    assert found[0] > 1.5 * found[1]
    assert expected[0] > 2 * expected[1]
    # The control: in exact arithmetic it is the other way round.
    assert tables[0].schedule.error < tables[1].schedule.error


def test_it_knows_which_schedule_bfloat16_stands() -> None:
    """The exact optimum for 14 products blows up on matrices; what the search finds does not."""
    asked = {"root": 4, "lower": 0.0685, "matmuls": 14, "degree": (5, 9)}
    exact = polydesign.design(**asked, headroom=1)
    ours = polydesign.design(**asked, dtype="bfloat16", shape=(ROWS, ROWS), measure=False)
    bad, good = (predict(one.schedule, "bfloat16", rows=ROWS).error for one in (exact, ours))
    assert bad > 3 * good
    assert good < 0.32
    ranked = select([exact, ours], dtype="bfloat16", shape=(ROWS, ROWS))
    assert ranked[0].index == 1
    measured = {one.index: one.worst for one in ranked}
    assert measured[0] > 5 * measured[1]
    # In exact arithmetic the order is the other one.
    assert exact.schedule.error < ours.schedule.error


def test_at_fewer_products_no_worse_than_the_published_table() -> None:
    """14 products beside 17 for r = 4, in bfloat16, on the matrices of the choice with another seed."""
    asked = {"root": 4, "lower": 0.0685, "matmuls": 14, "dtype": "bfloat16", "shape": (128, 64)}
    ours = polydesign.design(**asked, degree=(5, 9))
    theirs = published_table("su_root_r4")
    found = [select([t], dtype="bfloat16", shape=(128, 64), seed=7)[0] for t in (ours, theirs)]
    swept = [next(run.worst for run in one.runs if run.spectrum == "swept") for one in found]
    assert swept[0] < swept[1]

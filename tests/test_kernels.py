"""What no order of summation exceeds, on any machine; and what the rounding models say of all kernels."""

from __future__ import annotations

import json

import calibrate_kernels as script
import numpy as np
import pytest
from pages import written

from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.coupled import LOST
from polydesign.rounding.direct import SUMS, longest_sum

pytestmark = pytest.mark.numerics


@pytest.mark.parametrize("rows", [8, 96])
@pytest.mark.parametrize("terms", [2, 5, 64, 700])
def test_no_order_of_equal_terms_errs_by_more(rows, terms) -> None:
    """On this machine's kernels, whichever they are; the factor is what the first order leaves out."""
    found = script.worst_sum(rows, terms, count=50)
    assert found <= longest_sum(terms) * (1 + terms * UNIT_ROUNDOFF["float32"])


def test_the_bound_is_nearly_reached_one_after_the_other() -> None:
    """A sum in order, of a term that is rounded by the most in its last binade: a third of the bound and more."""
    worst = 0.0
    for c in np.linspace(1, 2, 200, dtype=np.float32):
        total = np.cumsum(np.full(96, c, np.float32), dtype=np.float32)[-1]
        worst = max(worst, abs(float(total) / (96 * float(c)) - 1) / UNIT_ROUNDOFF["float32"])
    assert longest_sum(96) / 3 < worst <= longest_sum(96)


@pytest.mark.kernels
@pytest.mark.parametrize(("rows", "terms"), script.SIDES)
def test_the_kernels_here_sum_as_the_model_says(rows, terms) -> None:
    """A processor where this fails sums worse than any that the model knows: run scripts/studies/calibrate_kernels.py."""
    assert script.worst_sum(rows, terms) <= min(SUMS, terms / 4 + 1)


@pytest.mark.kernels
@pytest.mark.parametrize("case", script.CASES, ids=lambda case: case.name)
def test_the_kernels_here_lose_no_more_than_the_model_says(case) -> None:
    """Of the coupled form, where rounding decides: the largest error, as the LOST that would explain it."""
    assert script.lost(case, seeds=range(3)) <= LOST


def test_the_pages_quote_the_kernels() -> None:
    """The table, and that no kernel exceeds what the models say."""
    body = json.loads(script.OUTPUT.read_text("utf-8"))["kernels"]
    assert script.markdown(body) in written()
    assert (body["SUMS"], body["LOST"]) == (SUMS, LOST)
    assert len({one["name"] for one in body["rows"]}) >= 6
    for key, constant in (("SUMS", SUMS), ("LOST", LOST)):
        assert all(one[key] <= constant for one in body["rows"])
    # Lowered to what one kernel makes, another would exceed it.
    assert min(one["LOST"] for one in body["rows"]) < max(one["LOST"] for one in body["rows"])

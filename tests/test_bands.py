"""Bands: for so many products the smallest lower end from which all end near 1, asked for and shipped."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import polydesign
from polydesign.approximation.certificate import check_certificate
from polydesign.approximation.scalar import schedule_from
from polydesign.cli import main
from polydesign.designer.methods import METHODS
from polydesign.designer.naming import budget_name
from polydesign.identification import advice
from polydesign.model import InputError, Plan, Problem
from polydesign.program.cost import UNIT, matmuls
from polydesign.rounding.trial import Outcome, Tally
from polydesign.runtime.defaults import budgets
from polydesign.search import pace, survival
from polydesign.search.bands import from_smallest
from polydesign.search.settling import Effort
from polydesign.search.survival import LOOKED_AT, UNTRIED, Trust, survives
from polydesign.table.catalogue import entries, entry
from polydesign.table.listing import group
from polydesign.table.standings import band_of, banded

pytestmark = pytest.mark.numerics

LITTLE = Effort(512, 16, 4, 4)
FEW = Trust(LITTLE, 2_000, LITTLE)
CUBICS: dict[str, Any] = {"inner_degrees": (1,), "evaluations": ("monomial",), "trust": FEW}


def test_what_is_found_survives_and_begins_nowhere_smaller():
    """Two cubics: the one sequence that there is, from the l at which its own strategy promises the error."""
    found = list(from_smallest(0.5, "bfloat16", 4, UNIT, **CUBICS))
    assert len(found) == 1
    one = found[0]
    assert one.schedule.degrees == (3, 3)
    assert one.cost == matmuls(one.schedule) == 4
    assert one.unfinished == ""
    assert 0.499 < one.schedule.error <= 0.5
    assert survives(one.schedule, "bfloat16", trust=FEW)
    lower = one.schedule.interval[0]
    assert one.strategy.search(Problem(2, (3, 3), 0.99 * lower, 1.0)).error > 0.5
    exact = polydesign.design(degree=3, steps=2, band=0.5, headroom=1, certify=False)
    assert exact.schedule.interval[0] < lower < 1.5 * exact.schedule.interval[0]


def test_the_widest_comes_first():
    wider: dict[str, Any] = CUBICS | {"inner_degrees": (1, 2)}
    both = list(from_smallest(0.5, "float16", 5, UNIT, **wider))
    lowers = [one.schedule.interval[0] for one in both]
    assert len({one.schedule.degrees for one in both}) > 1
    assert lowers == sorted(lowers)
    assert all(one.cost <= 5 for one in both)


def test_cut_short_it_is_the_best_so_far(monkeypatch):
    """Of what waits what has been settled thoroughly, and else what was looked at."""
    keywords = {"band": 0.5, "matmuls": 4, "degree": 3, "measure": False}

    def stopped_at(word):
        def told(what):
            if what.startswith(word):
                raise KeyboardInterrupt

        with pace.paced(None, told):
            return list(from_smallest(0.5, "bfloat16", 4, UNIT, **CUBICS))

    assert [one.unfinished for one in stopped_at("trying")] == [UNTRIED]
    assert [one.unfinished for one in stopped_at("headroom for degrees 3,3, margin 1.5")] == [LOOKED_AT]
    for one in (*stopped_at("trying"), *stopped_at("headroom for degrees 3,3, margin 1.5")):
        assert one.schedule.error <= 0.5
    assert stopped_at("looking") == []
    with pytest.raises(InputError, match=r"^timeout: "):
        polydesign.design(**keywords, timeout=1e-9)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({}, "^band: is for so many products or steps: give matmuls, or degree and steps$"),
        ({"degree": 5}, "^band: is for so many products or steps"),
        ({"method": "budget", "degree": 5}, "^band: is for so many products: give matmuls too$"),
        ({"matmuls": 9, "band": 1.3}, "^band: must lie between 0 and 1, and is 1.3$"),
        ({"matmuls": 9, "band": "wide"}, "^band: must be a finite number"),
        ({"matmuls": 9, "error": 0.2}, "^error: and band both say how far from 1"),
        ({"matmuls": 9, "lower": 0.01}, "^lower: is what band looks for: leave one of them out"),
        ({"method": "adam", "steps": 3}, "^band: is for methods budget and equioscillation, not adam"),
        ({"matmuls": 9, "band": 1e-9}, "^band: 1e-09 is out of reach in bfloat16: rounding leaves more"),
        ({"degree": 3, "steps": 1, "band": 1e-9, "headroom": 1.1}, "^band: 1e-09 is out of reach of these"),
        ({"matmuls": 1}, "^matmuls: 1 are too few"),
    ],
)
def test_refuses_with_the_cure(keywords, message):
    with pytest.raises(InputError, match=message):
        polydesign.design(**{"band": 0.3} | keywords)


def test_it_is_the_error_from_the_smallest_lower_end():
    asked = polydesign.design(degree=5, steps=2, band=0.3, headroom=1)
    assert asked == polydesign.design(degree=5, steps=2, error=0.3, lower="min", headroom=1)
    assert asked.name == "sign-d5x2-band0.3"
    assert asked != polydesign.design(degree=5, steps=2, band=0.31, headroom=1)
    command, _ = METHODS["equioscillation"].command(asked)
    assert "--band 0.3" in command
    assert budget_name(matmuls=12, error=0.3, lower=None, dtype="bfloat16") == "sign-m12-band0.3-bf16"


def test_what_is_said_of_it(tmp_path):
    table = polydesign.design(degree=3, steps=3, band=0.3, headroom=1)
    low = table.schedule.interval[0]
    polydesign.save(table, tmp_path / "mine.json")
    shown = CliRunner().invoke(main, ["show", str(tmp_path / "mine.json")]).stdout
    line = (
        f"band         every σ >= {low:.6g}·‖M‖_F ends within 0.3 of 1, in [0.7, 1.3]: the smallest that was"
    )
    assert line in shown
    assert banded(polydesign.design(degree=3, steps=3, headroom=1)) is None
    assert "every x from" in (banded(replace(table, purpose="root", form="coupled")) or "")
    assert entry("mine", tmp_path / "mine.json").band == 0.3
    for said in (
        {"lower": "min"},
        {"lower": "min", "error": "0.3"},
        {"lower": "min", "error": True},
        {"error": 0.3},
    ):
        assert band_of(said) is None


SHIPPED = [one for one in entries() if one.band is not None]


@pytest.mark.parametrize("one", SHIPPED, ids=lambda one: one.name)
def test_shipped_bands_hold_what_they_say(one):
    table = polydesign.load(one.path)
    assert table.schedule.error <= one.band == 0.3
    assert table.certificate is not None
    check_certificate(table.schedule, table.certificate)
    assert float(table.certificate.error[1]) <= 0.3 * (1 + 1e-15)
    assert one.standing() == "plain"
    assert group(one) == "bands"
    assert one.runs
    measured = [worst for dtype, worst in one.runs if dtype == one.dtype]
    assert all(worst is not None for worst in measured)
    # Rounding the input alone moves values near l by a hundredth and more of l, and f rises from 0 there.
    assert max(worst or math.inf for worst in measured) < 0.4
    command, _ = METHODS[table.provenance.strategy].command(table)
    assert "--band 0.3" in command


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_product_more_reaches_lower(dtype):
    """Or else it would not ship."""
    ours = sorted((one for one in SHIPPED if one.dtype == dtype), key=lambda one: one.matmuls)
    lowers = [one.interval[0] for one in ours]
    assert len(ours) > 1
    assert len({one.matmuls for one in ours}) == len(ours)
    assert all(low < high for high, low in itertools.pairwise(lowers))


def error_from(name, lower):
    """Of a published table on [lower, 1]."""
    steps = polydesign.load(name).schedule.steps
    rows, evaluations = [step.coefficients for step in steps], [step.evaluation for step in steps]
    return schedule_from(2, rows, (lower, 1.0), evaluations).error


@pytest.mark.parametrize(
    ("matmuls", "dtype", "published", "times"),
    [
        (10, "bfloat16", "cubic5", 1.0),
        (10, "float16", "cubic5", 1.5),
        (12, "bfloat16", "turbo_muon_4", 2.5),
        (12, "float16", "turbo_muon_4", 4.0),
        (13, "bfloat16", "jordan_5", 1.0),
        (13, "float16", "jordan_5", 1.5),
    ],
)
def test_shipped_bands_reach_lower_than_published_ones(matmuls, dtype, published, times):
    """Values from l, or `times` l, on end within 0.3 with ours, and not with what people run, of no fewer products."""
    (one,) = [one for one in SHIPPED if (one.matmuls, one.dtype) == (matmuls, dtype)]
    assert one.interval[0] < 1e-2
    assert error_from(published, times * one.interval[0]) > 0.3


def test_of_two_numbers_climbs_may_lose_values_and_nothing_may_blow_up(monkeypatch):
    """Random members may lose none: a seed of its own for each, because what was found is kept."""
    schedule = polydesign.design(degree=3, steps=2, band=0.5, headroom=1.05, certify=False).schedule
    said = Tally()
    monkeypatch.setattr(survival, "_climb", lambda *_: said)
    for seed, (blown, lost, strict, lenient) in enumerate(
        [(0, 0, True, True), (0, 1, False, True), (1, 0, False, False)]
    ):
        said.blown, said.lost = blown, lost
        assert survives(schedule, "float16", trust=FEW, seed=90 + seed) == strict
        assert survives(schedule, "float16", trust=FEW, seed=90 + seed, climbs_lose=True) == lenient
    monkeypatch.setattr(survival, "reached", lambda schedule, members, *_: (Outcome(*2 * [np.ones(1)]), None))
    said.blown = said.lost = 0
    assert not survives(schedule, "float16", trust=FEW, seed=99, climbs_lose=True)


def test_what_begins_lower_than_all_is_not_told_to_take_a_band(monkeypatch):
    """The nearest interval is looked for among those of tables that were not made from the smallest l on."""
    jordan = polydesign.load("jordan_5").schedule
    low = replace(jordan, interval=(2e-4, 1.0))
    (band,) = [one for one in SHIPPED if (one.matmuls, one.dtype) == (12, "bfloat16")]
    near = replace(band, name="nearer", interval=(5e-4, 1.0))
    monkeypatch.setattr(advice, "entries", lambda: (*entries(), near))
    offered = advice.alternatives(low, error_from("jordan_5", 2e-4))
    assert offered
    assert all(one.interval == (1e-3, 1.0) for one in offered)


def test_a_plan_for_products_takes_no_band():
    for dtype in ("bfloat16", "float16"):
        assert all(one.band is None for one in budgets(2, dtype).values())
    assert Plan(matmuls=9).matmuls == 9

"""Damped steps for complex eigenvalues: from outside, on samples other than those of the design."""

from __future__ import annotations

import numpy as np
import pytest

import polydesign
from polydesign.model import InputError, Table
from polydesign.program.cost import matmuls
from polydesign.search.sector import sector_table
from polydesign.table import digest

pytestmark = pytest.mark.numerics


def off(table: Table, angle: float, lower: float) -> float:
    """The largest |f(z) − 1| on a ray, 997 radii; infinite where it goes astray."""
    z = np.geomspace(lower, 1, 997) * np.exp(1j * np.deg2rad(angle))
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.abs(table.schedule(z) - 1).max()
    return float(error) if np.isfinite(error) else np.inf


@pytest.mark.few(8)
@pytest.mark.parametrize("lower", [1e-1, 1e-3, 1e-5])
@pytest.mark.parametrize("angle", [0, 30, 45, 60, 75, 80])
def test_the_whole_sector_goes_to_one(angle, lower):
    table = sector_table(angle, lower)
    # The last step squares 1e-8 and rounds.
    assert max(off(table, share * angle, lower) for share in np.linspace(-1, 1, 41)) < 1e-15
    assert table.schedule.error < 1e-15
    assert off(table, 89, lower) > 0.1  # the negative control: a sector is not the half plane


def test_a_table_for_an_interval_serves_no_sector():
    table = polydesign.load("sign-d5x8-l1e-3-fp64")
    assert off(table, 0, 1e-3) < 1e-14
    assert off(table, 0.5, 1e-3) > 0.1


def test_products_that_the_docstring_states():
    counted = [matmuls(sector_table(angle).schedule) for angle in (45, 60, 75, 80)]
    assert counted == [50, 68, 120, 186]


def test_it_is_a_table_like_any_other(tmp_path):
    table = sector_table(60.0, 1e-2)
    polydesign.save(table, tmp_path / "t.json")
    loaded = polydesign.load(str(tmp_path / "t.json"))
    assert digest(loaded.schedule) == digest(table.schedule)
    assert loaded.provenance.parameters == {"angle": 60.0, "lower": 1e-2}
    assert sector_table(60.0, 1e-2) is table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((81,), r"^angle: is in degrees, from 0 to 80, and not 81"),
        ((-1,), r"^angle: is in degrees"),
        ((float("nan"),), r"^angle: must be a finite number"),
        ((45, 0.0), r"^lower: must be from 1e-8 to below 1, not 0\.0"),
        ((80, 1e-8), r"^angle: 80 from 1e-08 takes more than 200 steps: narrow it"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        sector_table(*arguments)

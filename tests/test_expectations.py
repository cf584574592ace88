"""The counts of what other libraries expect, and how many of it is met, are those of docs/measurements.md."""

from __future__ import annotations

import re
from pathlib import Path

import expectations
import pytest
import test_expectations_inverse
import test_expectations_matfuncs
import test_expectations_optax
import test_expectations_pinv
import test_expectations_polar
import test_expectations_shampoo
from expectations import ROWS, Count, count, expects, unmet

PAGE = Path(__file__).parents[1] / "docs/measurements.md"
MODULES = [
    test_expectations_inverse,
    test_expectations_matfuncs,
    test_expectations_optax,
    test_expectations_pinv,
    test_expectations_polar,
    test_expectations_shampoo,
]


def stated() -> dict[str, Count]:
    section = PAGE.read_text("utf-8").split("## What other libraries expect")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([a-z_]+: [^|]+) \| (\d+) \| (\d+) \|", section, re.M)
    return {name: Count(int(cases), int(met)) for name, cases, met in rows}


def test_counts_are_those_of_the_page() -> None:
    assert stated() == {row: count(row) for row in ROWS}


def test_every_row_is_of_a_test_that_runs() -> None:
    """The same function, in a module that is collected, with the name of a test."""
    for tests in ROWS.values():
        for test in tests:
            assert any(getattr(module, test.__name__, None) is test for module in MODULES)
            assert test.__name__.startswith("test_")


def test_what_is_not_met_is_counted_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expectations, "ROWS", {})

    @expects("row")
    @pytest.mark.parametrize("first", [1, unmet(2, reason="of this test")])
    @pytest.mark.parametrize("second", [1, 2, 3])
    def test_it(first: int, second: int) -> None: ...

    @expects("row")
    def test_once() -> None: ...

    assert count("row") == Count(7, 4)

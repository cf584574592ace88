"""What --cases leaves of a test run."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import pytest
import run_machines
from conftest import beyond_few, few_cases

NAMES = [
    *(f"a.py::test_pairs[{one}-{other}]" for one, other in product(range(8), "xy")),
    "a.py::test_alone",
    "a.py::test_few[1]",
    "a.py::test_few[2]",
    "b.py::test_few[1]",
]


def functions(names: set[str]) -> set[str]:
    return {name.partition("[")[0] for name in names}


def test_every_function_keeps_some_of_its_cases() -> None:
    for most in (1, 3):
        kept = few_cases(NAMES, most)
        assert functions(kept) == functions(set(NAMES))
        assert sum("test_pairs" in name for name in kept) == most
    assert few_cases(NAMES, 16) == set(NAMES)


def test_the_order_in_which_they_are_found_does_not_matter() -> None:
    assert few_cases(reversed(NAMES), 3) == few_cases(NAMES, 3)
    assert few_cases(NAMES, 2) < few_cases(NAMES, 3)


def test_functions_of_the_same_cases_keep_different_ones() -> None:
    """Forty functions, two cases of sixteen each: by chance every case is kept, but for one time in ten."""
    cases = [f"{one}-{other}" for one, other in product(range(8), "xy")]
    kept = few_cases((f"a.py::test_{k}[{case}]" for k in range(40) for case in cases), 2)
    assert len({name.partition("[")[2] for name in kept}) > 12


@dataclass(eq=False)
class Item:
    nodeid: str
    mark: pytest.Mark | None = None

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return self.mark if self.mark is not None and self.mark.name == name else None


def test_functions_that_are_marked_few_keep_so_many_cases() -> None:
    three, one = pytest.mark.few(3).mark, pytest.mark.few(1).mark
    dear = [Item(f"a.py::test_dear[{k}]", three) for k in range(9)]
    dearer = [Item(f"a.py::test_dearer[{k}]", one) for k in range(9)]
    others = [Item("a.py::test_alone", one), *(Item(f"a.py::test_cheap[{k}]") for k in range(9))]
    wide = [
        Item("a.py::test_alone_too", pytest.mark.wide.mark),
        Item("a.py::test_cheap[x]", pytest.mark.wide.mark),
    ]
    left = beyond_few([*dear, *others, *wide, *dearer])
    assert (len(left & {*dear}), len(left & {*dearer}), left & {*others}) == (6, 8, set())
    assert left >= {*wide}


def test_rows_of_machines_collect_the_files_that_have_a_mark_alone() -> None:
    found = run_machines.marked()
    assert {"tests/test_runtime.py", "tests/test_coeffs.py", "tests/test_kernels.py"} < set(found)
    assert not {"tests/test_docs.py", "tests/test_conformance_pytest.py"} & set(found)

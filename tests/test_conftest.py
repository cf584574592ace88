"""What --cases leaves of a test run."""

from __future__ import annotations

from itertools import product

from conftest import few_cases

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


def test_the_cases_of_long_lists_differ_in_all_their_parameters() -> None:
    kept = [name.partition("[")[2].rstrip("]").split("-") for name in few_cases(NAMES, 4) if "pairs" in name]
    assert len({one for one, _ in kept}) > 2
    assert len({other for _, other in kept}) == 2

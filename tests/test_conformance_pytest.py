"""A kit as a test of pytest: what a user's test file reports, case by case."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

import polydesign
from polydesign.verification.conformance import conformance
from polydesign.verification.expected import listed_spectra

pytest_plugins = ["pytester"]

NAME = "sign-d5x6-l1e-3-bf16"
CASES = listed_spectra("msign")

FILE = """
import torch
import polydesign
from polydesign.verification import conformance_test

ROWS = polydesign.load({name!r}).as_tuples()

def muon(M, rows=ROWS):
    X = M.mT if M.shape[-2] > M.shape[-1] else M
    X = X / (X.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for a, b, c in rows:
        A = X @ X.mT
        X = a * X + (b * A + c * A @ A) @ X
    return X.mT if M.shape[-2] > M.shape[-1] else X

def backwards(M):
    return muon(M, ROWS[::-1])

def single(M):
    if M.ndim > 2:
        raise ValueError("one matrix at a time")
    return muon(M)

{line}
"""


# pytester forgets what its runs load, and libraries in C cannot be loaded twice.
for library in ("torch", "scipy.optimize"):
    import_module(library)


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Written once: where a table is named, each run makes its kit anew."""
    folder = tmp_path_factory.mktemp("kit") / "kit"
    conformance(polydesign.load(NAME), folder)
    return folder.as_posix()


@pytest.fixture
def reported(pytester: pytest.Pytester) -> Callable[..., Any]:
    """What pytest reports of a file with this line in it; -W error: nothing is warned about."""

    def run(line: str, *options: str) -> Any:
        pytester.makepyfile(FILE.format(name=NAME, line=line))
        return pytester.runpytest_inprocess(
            "-p", "no:cacheprovider", "-p", "no:dash", "-W", "error", *options
        )

    return run


def test_one_line_is_a_test_a_case(reported: Callable[..., Any]) -> None:
    """By a table's name. A correct code passes; what a correct code need not do is an expected failure, with its reason."""
    result = reported(f'test_muon = conformance_test(muon, "{NAME}", framework="torch")', "-rx", "-v")
    result.assert_outcomes(passed=len(CASES) - 2, xfailed=2)
    result.stdout.fnmatch_lines(
        ["*::test_muon?square? PASSED*", "*test_muon?tiny?*robustness: tiny failed: *"]
    )
    assert result.ret == 0


def test_robustness_is_asked_for(reported: Callable[..., Any], kit: str) -> None:
    line = f'test_muon = conformance_test(muon, "{kit}", framework="torch", robustness=True)'
    result = reported(line, "-k", "tiny or huge or wide")
    result.assert_outcomes(passed=1, failed=2)
    assert "1e-07 is added to the norm" in result.stdout.str()
    assert result.ret == 1


def test_a_failure_says_what_was_done(reported: Callable[..., Any], kit: str) -> None:
    line = f'test_muon = conformance_test(backwards, "{kit}", framework="torch")'
    result = reported(line, "-k", "square or batch_tall")
    result.assert_outcomes(failed=2)
    text = result.stdout.str()
    assert "square failed: is off by " in text
    assert "probably the rows run in reverse order" in text
    assert "kit_tests.py" not in text  # the reader's own file alone


def test_what_the_code_raises_is_shown_where_it_was_raised(reported: Callable[..., Any], kit: str) -> None:
    line = f'test_muon = conformance_test(single, "{kit}", framework="torch")'
    result = reported(line, "-k", "batch_tall or wide")
    result.assert_outcomes(failed=1, passed=1)
    assert 'raise ValueError("one matrix at a time")' in result.stdout.str()
    alone = reported(line.replace('"torch"', '"torch", batches=False'), "-k", "batch_tall or wide", "-rs")
    alone.assert_outcomes(skipped=1, passed=1)
    assert "several matrices, and the code takes one at a time" in alone.stdout.str()


def test_what_is_not_judged_is_skipped(reported: Callable[..., Any], kit: str) -> None:
    line = f'test_muon = conformance_test(muon, "{kit}", framework="torch", dtype="bfloat16")'
    result = reported(line, "-k", "square or wide", "-rs")
    result.assert_outcomes(skipped=1, passed=1)
    assert "rounding in bfloat16 may be as large as the result" in result.stdout.str()


def test_what_is_asked_wrongly_stops_the_collection(reported: Callable[..., Any]) -> None:
    result = reported(f'test_muon = conformance_test(muon, "{NAME}", framework="jax")')
    result.assert_outcomes(errors=1)
    assert "'jax' is not one of numpy, torch" in result.stdout.str()

"""A kit as a test of pytest: one line in a test file, one test a case."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from polydesign.model import InputError, dtype_name
from polydesign.table.given import Source
from polydesign.verification.calling import FRAMEWORKS
from polydesign.verification.conformance import Found, case_names, checked, kit_of
from polydesign.verification.judging import FAILED, UNJUDGED, Judgement
from polydesign.verification.kit_spectra import ROBUSTNESS


def conformance_test(
    function: Callable[[Any], Any],
    source: Source,
    *,
    dtype: str = "float32",
    framework: str = "numpy",
    operator: str | None = None,
    batches: bool = True,
    robustness: bool = False,
    seed: int = 0,
) -> Callable[[str], None]:
    """A test for pytest, parametrized by the cases of a kit, that a function applies a table.

        test_newton_schulz = conformance_test(newton_schulz, "sign-d5x6-l1e-3-bf16", framework="torch")

    A case that fails says what was probably done; what the function raises is raised. A case that is not
    judged is skipped, with the reason.

    Args:
        function: As for `check`, as are all the others but robustness.
        source: The folder of a kit, or a table.
        dtype: The precision that the function works in.
        framework: "numpy" or "torch".
        operator: "msign", "inverse_root" or None.
        batches: Off, cases of several matrices are skipped.
        robustness: On, cases of robustness must pass; off, one that does not is an expected failure (xfail).
        seed: Of the matrices, where the kit is made now.

    Returns:
        The test, to be given a name that pytest collects.

    Raises:
        InputError: For what `check` refuses, when the test file is collected.
        ImportError: Where pytest is not installed.
    """
    import pytest

    dtype = dtype_name(dtype)
    if framework not in FRAMEWORKS:
        raise InputError("framework", f"{framework!r} is not one of {', '.join(FRAMEWORKS)}")

    @cache
    def found() -> Found:
        return kit_of(source, operator, seed)

    @cache
    def everything() -> Judgement:
        """For the guess, which is compared with what the other cases give."""
        return checked(found(), function, dtype, framework, batches=batches)

    @pytest.mark.parametrize("case", case_names(source, operator))
    def test(case: str) -> None:
        raised: list[Exception] = []

        def watched(M: Any) -> Any:
            try:
                return function(M)
            except Exception as problem:
                raised.append(problem)
                raise

        table, chosen, cases = found()
        alone = (table, chosen, [one for one in cases if one.name == case])
        (outcome,) = checked(alone, watched, dtype, framework, batches=batches).outcomes
        if outcome.verdict == UNJUDGED:
            pytest.skip(outcome.detail)
        if outcome.verdict == FAILED:
            whole = next(one for one in everything().outcomes if one.case == case)
            text = str(whole if whole.verdict == FAILED else outcome)
            if outcome.kind == ROBUSTNESS and not robustness:
                pytest.xfail(f"robustness: {text}")
            if raised:
                raise raised[0]
            pytest.fail(text, pytrace=False)

    return test

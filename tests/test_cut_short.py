"""Budget searches: what they know beforehand, and what is left of them when they are cut short."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import polydesign
from polydesign import InputError
from polydesign.cli import main
from polydesign.verification import select

Run = Callable[..., Result]
ASKED: dict[str, Any] = {"matmuls": 6, "dtype": "float32", "lower": 0.1, "shape": (8, 12)}
OPTIONS = ("--matmuls", 6, "--dtype", "float32", "--lower", 0.1, "--shape", "8x12")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: Any) -> Result:
        return CliRunner().invoke(main, [str(one) for one in arguments])

    return call


def interrupted_at(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the candidate of this number is measured."""
    measure, counted = select._one, itertools.count(1)

    def one(*arguments: Any) -> Any:
        if next(counted) == number:
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr(select, "_one", one)


def test_ctrl_c_leaves_the_best_of_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = polydesign.design(**ASKED)
    assert whole.provenance.parameters["candidates"] > 2  # so that there is something to cut
    interrupted_at(3, monkeypatch)
    reasons: list[str] = []
    table = polydesign.design(**ASKED, cut_short=reasons.append)
    assert reasons == ["interrupted"]
    assert table.provenance.parameters["candidates"] == 2
    assert table.observed is not None
    assert table.certificate is not None
    assert table.certificate.kind == "proved"
    assert whole.observed is not None
    assert table.observed >= whole.observed  # the best of fewer


def test_ctrl_c_before_anything_was_measured_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted_at(1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        polydesign.design(**ASKED)


def test_a_timeout_does_the_same() -> None:
    """A second that is over when the first candidate is measured."""
    reasons: list[str] = []
    table = polydesign.design(**ASKED, timeout=1e-9, cut_short=reasons.append)
    assert reasons == ["timeout"]
    assert table.observed is not None
    assert "timeout" not in table.provenance.parameters


def test_the_command_line_writes_it_and_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted_at(2, monkeypatch)
    found = run("search", *OPTIONS, "-o", "mine.json")
    assert found.exit_code == 0, found.output
    assert "Warning: cut short (interrupted); this is the best so far" in found.stderr
    assert run("certify", "mine.json").exit_code == 0
    assert run("search", *OPTIONS, "--timeout", "1e-9", "-o", "other.json").exit_code == 0


@pytest.mark.parametrize(
    "how",
    [{"timeout": 0}, {"timeout": 1, "measure": False}, {"timeout": 1, "headroom": 1}],
)
def test_a_timeout_that_can_end_nothing_is_refused(how: dict[str, Any]) -> None:
    with pytest.raises(InputError) as refusal:
        polydesign.design(matmuls=6, **how)
    assert refusal.value.field == "timeout"


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"matmuls": 15, "dtype": "bf16"}, "sign-m15-l1e-3-bf16"),
        ({"matmuls": 15}, "sign-m15-l1e-3-bf16"),
        ({"matmuls": 15, "dtype": "bf16", "seed": 1}, None),
        ({"matmuls": 15, "dtype": "bf16", "degree": (5, 9)}, None),
        ({"matmuls": 15, "dtype": "bf16", "shape": (64, 128)}, None),
        ({"matmuls": 15, "dtype": "bf16", "lower": 2e-3}, None),
        ({"matmuls": 15, "dtype": "bf16", "upper": 1.5}, None),
        ({"matmuls": 15, "dtype": "bf16", "normalization": "schatten4"}, None),
        ({"matmuls": 17, "root": 4, "lower": 0.1, "dtype": "fp32"}, "root4-m17-l0.1-fp32"),
    ],
)
def test_the_catalogue_is_asked_before_the_search(
    asked: dict[str, Any], name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class BegunError(Exception):
        pass

    def begun(*_: Any, **__: Any) -> Any:
        raise BegunError

    monkeypatch.setattr("polydesign.designer.budget.Budget.search", begun)
    known: list[str] = []
    with pytest.raises(BegunError):
        polydesign.design(**asked, known=known.append)
    assert known == ([] if name is None else [name])


def test_the_same_table_is_said_to_be_the_same(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before and after: here the search is replaced by what it has found once."""
    table = polydesign.load("sign-m15-l1e-3-bf16")

    def again(*_: Any, known: Callable[[str], None], **__: Any) -> polydesign.Table:
        known(table.name)
        return table

    monkeypatch.setattr("polydesign.designer.design.design", again)
    found = run("search", "--matmuls", 15, "-o", "mine.json")
    assert "polydesign show sign-m15-l1e-3-bf16 has it at once; searching again" in found.stderr
    assert "this is the same table as sign-m15-l1e-3-bf16, which comes with the package" in found.stderr
    other = polydesign.from_rows([(1.5, -0.5)] * 5, lower=0.2)
    monkeypatch.setattr("polydesign.designer.design.design", lambda **_: other)
    assert "same table" not in run("search", "--matmuls", 15, "-o", "other.json").stderr

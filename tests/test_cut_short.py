"""Searches that are cut short, and what is left of them; what budget searches know beforehand."""

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
from polydesign.search import pace, settling
from polydesign.search.survival import LOOKED_AT
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


def test_ctrl_c_before_anything_was_measured_leaves_what_the_model_thinks_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interrupted_at(1, monkeypatch)
    table = polydesign.design(**ASKED)
    assert table.observed is None
    assert table.measured == table.tried == ()
    made = table.provenance.parameters
    assert made["stopped"] == "interrupted"
    assert "measured" not in made
    assert made["unfinished"].endswith("it was not measured")
    assert table.name.endswith("-unfinished")


def test_a_table_with_a_name_of_its_own_says_that_it_is_unfinished(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name does not, and whoever is given the file or an export has not seen the warning."""
    whole = run("search", *OPTIONS, "--name", "whole", "-o", "whole.json", "--quiet")
    assert whole.exit_code == 0, whole.output
    interrupted_at(3, monkeypatch)
    assert run("search", *OPTIONS, "--name", "mine", "-o", "mine.json", "--quiet").exit_code == 0
    for command in (("show",), ("export", "--to", "python")):
        said = run(command[0], "mine.json", *command[1:]).stdout
        assert "unfinished: the search was cut short (interrupted)" in said
        assert "unfinished" not in run(command[0], "whole.json", *command[1:]).stdout


class Hourglass:
    """A clock of pace.py by which the time is over at the call of this number, and never before."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self) -> float:
        self.left -= 1
        return 0.0 if self.left >= 0 else 1e9


ANY_METHOD: dict[str, dict[str, Any]] = {
    "equioscillation": {"degree": 5, "steps": 3, "lower": 0.05},
    "equioscillation, float32": {"degree": 5, "steps": 3, "dtype": "float32"},
    "equioscillation, smallest lower end": {"degree": 3, "steps": 3, "error": 0.3, "lower": "min"},
    "equioscillation, error": {"degree": 5, "error": 0.2, "lower": 0.05},
    "budget, float32": ASKED,
    "budget": {"matmuls": 7, "lower": 0.1, "shape": (8, 12)},
    "budget, error": {"method": "budget", "error": 0.1, "lower": 0.1, "shape": (8, 12), "dtype": "fp32"},
    "budget, exact": {"matmuls": 6, "headroom": 1},
    "budget, unmeasured": {"matmuls": 7, "lower": 0.1, "measure": False},
    "clip": {"method": "clip", "degree": 5, "steps": 2, "lower": 0.2},
    "adam": {"method": "adam", "degree": 3, "steps": 2, "lower": 0.1, "iterations": 200},
}


@pytest.mark.few(10)
@pytest.mark.parametrize("name", ANY_METHOD)
@pytest.mark.parametrize("number", [2, 40, 400])
def test_wherever_the_time_is_over(name: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole table that says so, or a refusal: never a table that passes for what would have been found."""
    asked, reasons = ANY_METHOD[name], []
    monkeypatch.setattr(pace, "now", Hourglass(number))
    try:
        table = polydesign.design(**asked, timeout=1.0, cut_short=reasons.append)
    except InputError as refusal:
        assert refusal.field == "timeout"  # noqa: PT017  either may happen
        assert "were over before anything was found" in refusal.problem  # noqa: PT017
        assert not reasons
        return
    made = table.provenance.parameters
    assert made.get("stopped", "done") == (reasons[0] if reasons else "done")
    assert table.certificate is not None
    assert table.certificate.kind == "proved"
    assert table.tried == ()
    if reasons and name != "adam":
        assert made["unfinished"]
        assert table.name.endswith("-unfinished")
    if isinstance(asked.get("error"), float):
        assert table.schedule.error <= asked["error"]


@pytest.mark.parametrize("name", ["equioscillation", "budget", "clip"])
def test_a_search_that_has_time_says_nothing_of_it(name: str) -> None:
    whole = polydesign.design(**ANY_METHOD[name], timeout=1e6)
    assert not {"stopped", "unfinished"} & set(whole.provenance.parameters)
    assert not whole.name.endswith("unfinished")


def test_ctrl_c_while_headroom_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anywhere below: here where members are ranked for the third time."""
    climbed, counted = settling.climbed, itertools.count(1)

    def one(*arguments: Any) -> Any:
        if next(counted) == 3:
            raise KeyboardInterrupt
        return climbed(*arguments)

    monkeypatch.setattr(settling, "climbed", one)
    settling.settled.cache_clear()
    reasons: list[str] = []
    table = polydesign.design(degree=5, steps=4, lower=0.031, cut_short=reasons.append)
    assert reasons == ["interrupted"]
    assert table.provenance.parameters["unfinished"] == LOOKED_AT
    assert "dtype" not in table.provenance.parameters  # it is not that precision's default
    assert table.dtype == "bfloat16"


def test_an_interrupt_outside_of_a_search_gets_out() -> None:
    with pytest.raises(KeyboardInterrupt), pace.best_so_far():
        raise KeyboardInterrupt
    with pytest.raises(ZeroDivisionError), pace.paced(1.0, pace.nobody), pace.best_so_far():
        raise ZeroDivisionError
    with pace.paced(None, pace.nobody) as found, pace.best_so_far():
        raise KeyboardInterrupt
    assert found.why == "interrupted"


def test_the_command_line_writes_it_and_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted_at(2, monkeypatch)
    found = run("search", *OPTIONS, "-o", "mine.json")
    assert found.exit_code == 0, found.output
    assert "Warning: cut short (interrupted): this is the best so far, and 1 of " in found.stderr
    assert "The same command starts over" in found.stderr
    assert "run polydesign verify mine.json" in found.stderr
    assert polydesign.load("mine.json").provenance.parameters["stopped"] == "interrupted"
    assert run("certify", "mine.json").exit_code == 0


def test_where_nothing_is_found_yet_nothing_is_written(run: Run) -> None:
    found = run("search", *OPTIONS, "--timeout", "1e-9", "-o", "other.json")
    assert found.exit_code == 2
    assert "--timeout: 1e-09 s were over before anything was found (" in found.stderr
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), "soon"])
@pytest.mark.parametrize("method", ["equioscillation", "budget", "adam", "clip"])
def test_a_timeout_is_a_positive_number(seconds: Any, method: str) -> None:
    with pytest.raises(InputError) as refusal:
        polydesign.design(method=method, steps=3, timeout=seconds)
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

"""Where a result will go is looked at before the work, and work whose place is lost goes elsewhere."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import polydesign
from polydesign.cli import main
from polydesign.text.files import check_place

Run = Callable[..., Result]


class WorkedError(Exception):
    """Work was begun."""


def working(*_: Any, **__: Any) -> Any:
    raise WorkedError


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("of somebody\n")

    def call(*arguments: Any) -> Result:
        return CliRunner().invoke(main, [str(one) for one in arguments])

    return call


OURS = "sign-d5x5-l1e-3-bf16"

WORK: dict[str, tuple[str, tuple[Any, ...]]] = {
    "search": ("polydesign.designer.design.design", ("search", "--steps", 3, "-o", "PLACE/a.json")),
    "budget": ("polydesign.designer.design.design", ("search", "--matmuls", 9, "-o", "PLACE/a.json")),
    "verify": ("polydesign.verify", ("verify", OURS, "--shape", "8x8", "--save", "PLACE/a.json")),
    "compare": ("polydesign.compare", ("compare", OURS, "--csv", "PLACE/a.csv")),
    "compare, a picture": ("polydesign.compare", ("compare", OURS, "-o", "PLACE/a.svg")),
    "report": ("polydesign.reporting.report.laid_out", ("report", OURS, "-o", "PLACE/a")),
    "conformance": ("polydesign.verification.conformance.kit", ("conformance", OURS, "-o", "PLACE/a")),
    "sweep": ("polydesign.designer.sweeping.sweep", ("sweep", "problems.toml", "-o", "PLACE/a")),
    "bench": ("polydesign.verification.bench.bench", ("bench", OURS, "--save", "PLACE/a.jsonl")),
    "hunt": ("polydesign.cli.hunting.hunted", ("verify", OURS, "--hunt", 1, "--state", "PLACE/a.json")),
}


@pytest.mark.parametrize("name", WORK)
def test_a_place_that_cannot_be_is_refused_before_the_work(
    run: Run, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, words = WORK[name]
    Path("problems.toml").write_text("degree = 5\nsteps = 3\n")
    monkeypatch.setattr(where, working)
    refused = run(*(str(word).replace("PLACE", "file") for word in words))
    assert refused.exit_code == 2, refused.exception
    assert "cannot be written (Not a directory)" in refused.stderr
    assert Path("file").read_text() == "of somebody\n"


@pytest.mark.parametrize("name", WORK)
def test_a_place_that_can_be_is_worked_for(run: Run, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control, and nothing is made on the way."""
    where, words = WORK[name]
    Path("problems.toml").write_text("degree = 5\nsteps = 3\n")
    monkeypatch.setattr(where, working)
    found = run(*(str(word).replace("PLACE", "new/folder") for word in words))
    assert isinstance(found.exception, WorkedError)
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["file", "problems.toml"]


def test_a_place_is_looked_at_without_a_trace(tmp_path: Path) -> None:
    check_place(tmp_path / "a" / "b" / "c.json")
    (tmp_path / "there.json").write_text("x")
    check_place(tmp_path / "there.json")
    assert [path.name for path in tmp_path.iterdir()] == ["there.json"]
    assert (tmp_path / "there.json").read_text() == "x"
    for wrong in (tmp_path, tmp_path / "there.json" / "a.json", tmp_path / ("n" * 300) / "a.json"):
        with pytest.raises(OSError, match=re.escape(str(wrong))):
            check_place(wrong)


def test_a_table_whose_place_is_lost_meanwhile_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the disk is full in the end: the message says where it is, and there it is."""
    from polydesign.table import catalogue

    write = catalogue.write_atomically

    def full(path: Path, *content: Any, **how: Any) -> None:
        if path.name == "mine.json":
            raise OSError(errno.ENOSPC, "cannot be written (No space left on device)", str(path))
        write(path, *content, **how)

    monkeypatch.setattr("tempfile.tempdir", str(Path.cwd()))
    monkeypatch.setattr(catalogue, "write_atomically", full)
    refused = run("search", "--steps", 3, "-o", "mine.json")
    assert refused.exit_code == 2
    kept = re.search(r"No space left on device\); the table is in (\S+)", refused.stderr)
    assert kept is not None
    assert len(polydesign.load(kept[1]).schedule.steps) == 3

"""Where a result will go is looked at before the work, and work whose place is lost goes elsewhere."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from matplotlib.figure import Figure

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
    "advise": ("polydesign.advise", ("advise", "state.pt", "-o", "PLACE/a.svg")),
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


INTO: dict[str, tuple[tuple[Any, ...], str]] = {
    "search": (("search", "--steps", 3, "--dtype", "fp32"), "sign-d5x3-l1e-3-fp32.json"),
    "export": (("export", OURS, "--to", "optax"), f"{OURS}-optax.py"),
    "plot": (("plot", "jordan_5"), "jordan_5.png"),
    "fold": (("fold", "jordan_5", "--factor", 1.01), "jordan_5-folded1.01.json"),
    "import": (("import", "muon.py"), "muon.json"),
}


@pytest.mark.parametrize("command", INTO)
def test_a_folder_gets_the_file_under_its_own_name(
    run: Run, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As cp does it: a slash at the end makes the folder, one that is there needs no slash."""
    words, name = INTO[command]
    monkeypatch.setattr("polydesign.plot", lambda *_, **__: Figure(figsize=(1, 1)))
    Path("muon.py").write_text("coeffs = [(3.4445, -4.775, 2.0315)] * 5\n")
    Path("there").mkdir()
    for output, where in (("new/folder/", f"new/folder/{name}"), ("there", f"there/{name}")):
        found = run(*words, "-o", output)
        assert found.exit_code == 0, found.output
        assert f"wrote {where}" in found.stdout
        assert Path(where).is_file()
    plain = Path("plain").with_suffix(Path(name).suffix)  # the control: without a slash it is a file
    assert run(*words, "-o", plain).exit_code == 0
    assert plain.is_file()


def test_a_file_is_no_folder(run: Run) -> None:
    refused = run("search", "--steps", 3, "-o", "file/")
    assert refused.exit_code == 2
    assert "file/table.json: cannot be written (Not a directory)" in refused.stderr
    assert Path("file").read_text() == "of somebody\n"


def test_what_is_cut_short_finds_a_place(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside another table of its name: it cannot be found once more."""
    table = polydesign.load(OURS)

    def stopped(*_: Any, cut_short: Callable[[str], None], **__: Any) -> polydesign.Table:
        cut_short("interrupted")
        return table

    Path("mine.json").write_text("of somebody\n")
    monkeypatch.setattr("polydesign.designer.design.design", stopped)
    found = run("search", "--steps", 3, "-o", "mine.json")
    assert found.exit_code == 0
    assert "run polydesign verify mine-2.json before you use it" in found.stderr
    assert Path("mine.json").read_text() == "of somebody\n"
    assert polydesign.load("mine-2.json") == table

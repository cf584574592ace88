"""What a table may be given as: the same for every verb of Python as at the command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import polydesign
from polydesign import InputError
from polydesign.identification.tables import table_of
from polydesign.runtime import Sign
from polydesign.table.given import Source
from polydesign.verification.bench import bench
from polydesign.verification.conformance import case_names

ROW = (3.4445, -4.775, 2.0315)
TWO = f"jordan = [{ROW}] * 5\ncubic = [(1.5, -0.5)] * 9\n"

VERBS: dict[str, Callable[[Any], Any]] = {
    "certify": lambda table: polydesign.certify(table).digest,
    "verify": lambda table: polydesign.verify(table, spectra="harmonic", shape=(4, 6))[0].digest,
    "fold": lambda table: polydesign.fold(table, 1.01).provenance.parameters["digest"],
    "unfold": lambda table: polydesign.unfold(table, 1.0).digest,
    "export": lambda table: polydesign.export(table, "optax").partition("sha256:")[2][:64],
    "plot": lambda table: [ax.get_label() for ax in polydesign.plot(table).axes],
    "compare": lambda table: polydesign.compare([table]).tables[0].digest,
    "conformance": case_names,
    "bench": lambda table: (
        bench(table=table, shape=(4, 4), rounds=1, beside=[], dtype="float32")[0].setting.digest
    ),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("muon.py").write_text(f"coeffs = [{ROW}] * 5\n")
    Path("two.py").write_text(TWO)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_a_list_in_a_source_file(verb: str) -> None:
    call = VERBS[verb]
    expected = call([ROW] * 5)
    assert call("muon.py") == call(Path("muon.py")) == call("two.py:jordan") == expected
    with pytest.raises(InputError, match=r"holds several lists.*name one as two\.py:NAME"):
        call("two.py")


@pytest.mark.usefixtures("undrawn")
def test_report_takes_it_too() -> None:
    polydesign.report(["muon.py"], "page")
    assert "polydesign report muon.py" in Path("page", "report.md").read_text()


@pytest.mark.parametrize("given", ["jordan_5", "muon.json", "muon.py", "two.py:jordan", [ROW] * 5])
def test_they_are_one_table(given: Any) -> None:
    polydesign.save(polydesign.from_rows([ROW] * 5), "muon.json")
    assert table_of(given).digest == polydesign.load("jordan_5").digest
    # The control: the other list of the file is another table.
    assert table_of("two.py:cubic").digest != table_of(given).digest


def test_what_must_be_decided_is_decided_by_import_table() -> None:
    Path("odd.py").write_text("c = (3.4, -4.7, 2.0)\n")
    with pytest.raises(InputError) as refusal:
        polydesign.certify("odd.py")
    assert refusal.value.field == "odd.py"
    assert "polydesign.import_table('odd.py', steps=…)" in refusal.value.problem
    meant = polydesign.import_table("odd.py", steps=5)  # the cure
    assert polydesign.certify(meant).kind == "proved"


@pytest.mark.parametrize("given", ["nothing.py", "two.py:other", "nothing.py:c", "", ":", "muon.py:"])
def test_what_is_not_there_is_refused(given: str) -> None:
    with pytest.raises(InputError):
        table_of(given)


def test_nothing_in_the_file_is_run() -> None:
    Path("evil.py").write_text(f"open('ran', 'w').close()\ncoeffs = [{ROW}] * 5\n")
    polydesign.certify("evil.py")
    assert not Path("ran").exists()


def test_a_look_at_a_file_loads_no_numerical_library() -> None:
    """The command line asks for it before it knows what it needs."""
    code = "import sys, polydesign.cli.given; print(sorted({'mpmath', 'flint', 'torch'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("given", ["jordan_5", "muon.json", Path("muon.json"), [ROW] * 5])
def test_operators_are_typed_by_what_they_take(given: Source) -> None:
    """A Source for type checkers too, which read this file; and a Table from then on."""
    polydesign.save(polydesign.from_rows([ROW] * 5), "muon.json")
    table = Sign(given).table
    assert table is not None
    assert table.digest == polydesign.load("jordan_5").digest
    assert Sign().table is Sign(None).table is None
    with pytest.raises(InputError, match="must be a Table"):
        Sign(3)  # pyright: ignore[reportArgumentType]  the control: the checker refuses it as well


def test_a_table_names_the_function_that_makes_one_of_rows() -> None:
    with pytest.raises(AttributeError, match=r"polydesign\.from_rows makes a table of rows"):
        polydesign.Table.from_rows([ROW])  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(AttributeError, match=r"has no attribute 'rows'$"):
        polydesign.Table.rows  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]
    assert not hasattr(polydesign.Table, "from_row")

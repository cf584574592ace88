"""polydesign verify: what it prints, writes and returns."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from tables import prototype, published

from polydesign.catalogue import load
from polydesign.cli import main
from polydesign.model import Table
from polydesign.table import save

SMALL = ["--shape", "48x80", "--device", "cpu"]


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["verify", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return written(prototype("quintics_18"), tmp_path)


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A table of the same kind that no precision below fp32 can keep: no headroom at all."""
    return written(published("polar_express_deg5"), tmp_path)


@pytest.fixture
def rank_one(tmp_path: Path) -> Path:
    """Its singular value 1 becomes 1.001 in bfloat16, which rounds the entries 1/40 up."""
    np.save(tmp_path / "one.npy", np.ones((40, 40)))
    return tmp_path / "one.npy"


def written(table: Table, folder: Path) -> Path:
    save(table, folder / f"{table.name}.json")
    return folder / f"{table.name}.json"


def test_a_promise_that_holds(good: Path) -> None:
    result = run(good, *SMALL)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("quintics_18 in bfloat16 on cpu: promises 0.001726 on [0.001, 1]")
    assert lines[-1] == "Within promise and rounding (allowed) on 5 of 5 spectra."
    for spectrum in ("gaussian", "logspace:1e-2", "harmonic", "rank2"):
        (row,) = (line for line in lines if line.strip().startswith(spectrum))
        assert row.rstrip().endswith("ok")
    assert result.stderr == ""


def test_a_promise_that_does_not(bad: Path, rank_one: Path) -> None:
    result = run(bad, "--matrix", rank_one, *SMALL)
    assert result.exit_code == 1
    assert "FAILED" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("FAILED: beyond promise and rounding on 1 of 1 spectra:")
    assert "(not finite)" in result.stdout
    assert run(bad, "--dtype", "fp64", "--spectrum", "gaussian", *SMALL).exit_code == 0


def test_a_matrix_of_ones_is_no_trouble_with_headroom(good: Path, rank_one: Path) -> None:
    result = run(good, "--matrix", rank_one, *SMALL)
    assert result.exit_code == 0
    assert "40x40" in result.stdout


def test_json_is_alone_and_has_no_nan(bad: Path, rank_one: Path) -> None:
    result = run(bad, "--matrix", rank_one, "--spectrum", "gaussian", "--json", *SMALL)

    def refuse(name: str) -> None:
        raise AssertionError(name)

    found = json.loads(result.stdout, parse_constant=refuse)
    assert [entry["spectrum"] for entry in found] == [str(rank_one), "gaussian"]
    assert found[0]["holds"] is False
    assert result.exit_code == 1
    assert len(found[1]["map"]["x"]) == found[1]["count"] == 48


def test_save_keeps_the_maps(good: Path, tmp_path: Path) -> None:
    target = tmp_path / "measured.json"
    result = run(good, "--save", target, "--quiet", *SMALL)
    assert (result.exit_code, result.stdout) == (0, "")
    assert [len(entry["map"]["x"]) for entry in json.loads(target.read_text())] == [48, 48, 48, 16, 32]


def test_write_stores_and_replaces(good: Path) -> None:
    assert load(good).measured == ()
    run(good, "--write", "--spectrum", "gaussian,rank2", *SMALL)
    run(good, "--write", "--spectrum", "gaussian", "--dtype", "fp32", *SMALL)
    run(good, "--write", "--spectrum", "rank2", *SMALL)  # a setting that is there already
    table = load(good)
    settings = [(m.dtype, m.spectrum, m.shape) for m in table.measured]
    assert settings == [
        ("bfloat16", "gaussian", (48, 80)),
        ("float32", "gaussian", (48, 80)),
        ("bfloat16", "rank2", (16, 48, 80)),
    ]
    assert all(m.map is None and m.holds for m in table.measured)
    assert replace(table, measured=()) == prototype("quintics_18")


def test_the_dtype_is_the_one_the_table_was_designed_for(tmp_path: Path) -> None:
    table = prototype("quintics_18")
    table = replace(table, provenance=replace(table.provenance, parameters={"dtype": "float32"}))
    result = run(written(table, tmp_path), "--spectrum", "gaussian", "--json", *SMALL)
    assert json.loads(result.stdout)[0]["dtype"] == "float32"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--spectrum", "gaussian,gausian"], "--spectrum: 'gausian' is not one of"),
        (["--shape", "12"], "'12' is not a shape such as 512x1024"),
        (["--shape", "0x4"], "'0x4' is not a shape"),
        (["--dtype", "int8"], "--dtype: int8 is not one of bfloat16"),
        (["--device", "gpu"], "--device: 'gpu' is not a torch device"),
        (["--matrix", "none.npy"], "none.npy: there is no such file"),
        (["--seed", "-1"], "-1 is not in the range"),
    ],
)
def test_wrong_usage_is_two_lines_and_code_2(good: Path, arguments: list[str], message: str) -> None:
    result = run(good, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_unwritable_results_are_refused(good: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run(good, "--spectrum", "gaussian", "--save", tmp_path / "file" / "x.json", *SMALL)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_tables_of_the_package_are_left_alone(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resolved by name they are the package's; by a path of theirs they are the user's to change."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("polydesign.catalogue.shipped", lambda: good.parent)
    before = good.read_text()
    result = run(good.stem, "--write", *SMALL)
    assert result.exit_code == 2
    assert "--write" in result.stderr
    assert "is the package's own" in result.stderr
    assert good.read_text() == before
    assert run(good.stem, "--spectrum", "gaussian", *SMALL).exit_code == 0
    assert run(good, "--spectrum", "gaussian", "--write", *SMALL).exit_code == 0
    assert good.read_text() != before

"""polydesign verify: what it prints, writes and returns."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from tables import prototype, published

from polydesign.cli import main
from polydesign.designer.design import design
from polydesign.model import InputError, Table
from polydesign.table import save
from polydesign.table.catalogue import load
from polydesign.verification.operators import OPERATORS

pytestmark = pytest.mark.numerics

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


@pytest.mark.alike
def test_lines_and_lists_are_the_same_measurements(good: Path, tmp_path: Path) -> None:
    from polydesign.table.measurements import loads

    arguments = [good, "--spectrum", "gaussian,rank2", "--steps", "--quiet", *SMALL]
    listed, lines = tmp_path / "m.json", tmp_path / "m.jsonl"
    for target in (listed, lines):
        assert run(*arguments, "--save", target).exit_code == 0
    found = loads(lines.read_text())
    assert found == loads(listed.read_text())
    assert len(found) == len(lines.read_text().splitlines()) == 2
    assert all(m.versions and m.device_name and m.seed == 0 and len(m.after_steps) == 6 for m in found)
    assert loads(lines.read_text().splitlines()[0]) == found[:1]
    again = tmp_path / "again.jsonl"
    run(*arguments, "--save", again)
    assert again.read_bytes() == lines.read_bytes()
    drawn = CliRunner().invoke(
        main, ["plot", str(good), "--measured", str(lines), "-o", str(tmp_path / "x.png")]
    )
    assert drawn.exit_code == 0, drawn.output
    lines.write_text(lines.read_text()[:-20])
    drawn = CliRunner().invoke(main, ["plot", str(good), "--measured", str(lines)])
    assert drawn.exit_code == 2
    assert "is not JSON" in drawn.output


def test_files_written_earlier_still_load(good: Path) -> None:
    run(good, "--write", "--spectrum", "gaussian", "--steps", *SMALL)
    body = json.loads(good.read_text())
    (entry,) = body["error"]["measured"]
    new = {"operator", "power", "form", "normalization", "device_name", "input_share", "mean_error"}
    new |= {"relative_error", "after_steps"}
    assert new < entry.keys()
    now = load(good).measured[0]
    assert len(now.after_steps) == 6
    body["error"]["measured"] = [{key: value for key, value in entry.items() if key not in new}]
    good.write_text(json.dumps(body))
    (before,) = load(good).measured
    assert (before.worst, before.operator, before.after_steps) == (now.worst, "msign", ())
    body["error"]["measured"][0]["operater"] = "msign"
    good.write_text(json.dumps(body))
    with pytest.raises(InputError, match=r"operater: is not a key of this format"):
        load(good)


def test_roots_by_the_command_line(tmp_path: Path) -> None:
    table = written(design(root=4, degree=9, steps=4, lower=0.1, dtype="float32"), tmp_path)
    arguments = [table, "--operator", "root", "--write", "--steps", *SMALL]
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "root, error of f(x)^3, in the coupled form" in lines[0]
    assert "input share" in lines[2]
    assert "relative error" in lines[2]
    assert "orthogonality" not in lines[2]
    assert any(line.strip().startswith("after step") for line in lines)
    assert max(map(len, lines)) <= 160
    assert lines[-1] == "Within promise and rounding (allowed) on 4 of 4 spectra."
    run(*arguments)
    run(table, "--operator", "inverse_root", "--power", "2", "--spectrum", "gaussian", "--write", *SMALL)
    measured = load(table).measured
    assert [(m.operator, m.power) for m in measured] == [("root", 3)] * 4 + [("inverse_root", 2)]
    assert measured[0].promised > 2 * load(table).schedule.error


def test_a_precision_that_cannot_keep_the_promise_is_named(tmp_path: Path) -> None:
    table = written(design(root=1, degree=3, steps=7, lower=1e-4), tmp_path)
    result = run(table, "--spectrum", "logspace:1e-4", *SMALL)
    assert result.exit_code == 1
    assert "logspace:1e-4: rounded to bfloat16, P is not positive any more" in result.stdout


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
    table = replace(prototype("quintics_18"), dtype="float32")
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
        (["--operator", "rot"], "--operator: 'rot' is not one of msign"),
        (["--power", "2"], "--power: msign has none"),
        (["--power", "0"], "0 is not in the range"),
        (["--operator", "root", "--spectrum", "zero", "--power", "2"], "--power: root has none"),
        (["--operator", "inverse_root", "--spectrum", "rank2"], "--spectrum: rank2 has a null space"),
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
    monkeypatch.setattr("polydesign.table.catalogue.shipped", lambda: good.parent)
    before = good.read_text()
    result = run(good.stem, "--write", *SMALL)
    assert result.exit_code == 2
    assert "--write" in result.stderr
    assert "is the package's own" in result.stderr
    assert good.read_text() == before
    assert run(good.stem, "--spectrum", "gaussian", *SMALL).exit_code == 0
    assert run(good, "--spectrum", "gaussian", "--write", *SMALL).exit_code == 0
    assert good.read_text() != before


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (("--form", "gram", "--restarts", "9"), "--restarts: is 9, and the table has 6 steps"),
        (("--form", "gram", "--restarts", "0"), "--restarts: must be a whole number of at least 1"),
        (("--form", "gram", "--operator", "mcsgn"), "--form: gram is of msign"),
    ],
)
def test_refusals_of_a_plan_name_the_option(good: Path, arguments: tuple[str, ...], flag: str) -> None:
    result = run(good, "--shape", "8x12", *arguments)
    assert result.exit_code == 2
    assert f"Error: {flag}" in result.stderr


def test_the_help_names_every_operator() -> None:
    """They stand there as text: a list of them would load torch for --help."""
    words = run("verify", "--help").stdout.split()
    said = {word.strip(",.[]") for word in words}
    assert set(OPERATORS) <= said
    assert "median" not in said  # the control: not every word is there

"""polydesign bench: what it prints, writes and returns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from references import timing_from_json

from polydesign.cli import main
from polydesign.cli.bench import BUSY
from polydesign.program.calibration import load
from polydesign.verification.contestants import OPERATORS

SMALL = ["--shape", "12x16", "--device", "cpu", "--rounds", "2"]


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["bench", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_the_summary() -> None:
    result = run(*SMALL)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("msign of 1 x 12x16 in bfloat16 on cpu (")
    assert lines[1] == ("sign-d5x6-l1e-3-bf16: root 2, 18 matrix products, promises 0.005122 on [0.001, 1]")
    for name in OPERATORS["msign"].contestants:
        assert sum(line.strip().startswith(f"{name} ") for line in lines) == 2  # its times, what it is
    assert "No accuracy" not in result.stdout


def test_a_table_runs_in_its_precision_beside_those_named() -> None:
    result = run("sign-d5x7-l1e-3-fp32", "--beside", "svd, muon", "--json", *SMALL)
    found = json.loads(result.stdout)
    assert [entry["name"] for entry in found] == ["polydesign", "svd", "muon"]
    assert {entry["setting"]["dtype"] for entry in found} == {"float32"}
    assert {entry["setting"]["table"] for entry in found} == {"sign-d5x7-l1e-3-fp32"}


def test_save_writes_lines_that_are_read_back(tmp_path: Path) -> None:
    target = tmp_path / "times.jsonl"
    options = ["--operator", "inverse_root", "--root", "2", "--shape", "12x12", "--dtype", "float32"]
    result = run(*SMALL, *options, "--save", target, "--quiet")
    assert (result.exit_code, result.stdout) == (0, "")
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert [timing_from_json(line).name for line in lines] == ["polydesign", "unchecked", "eigh"]
    assert all(line["date"] and line["setting"]["root"] == 2 for line in lines)


def test_our_own_failure_is_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(M: Any, table: Any) -> Any:
        raise RuntimeError("out of something")

    entry = OPERATORS["msign"]
    for name, code in (("svd", 0), ("polydesign", 1)):
        monkeypatch.setitem(
            OPERATORS, "msign", entry._replace(contestants={**entry.contestants, name: broken})
        )
        result = run("--beside", "svd", *SMALL)
        assert result.exit_code == code
        assert "FAILED: RuntimeError: out of something" in result.stdout


def test_the_help_names_all_there_are() -> None:
    text = run("--help").stdout
    for operator, entry in OPERATORS.items():
        assert operator in text
        assert all(name in text for name in entry.contestants if name != "polydesign")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--operator", "sign"], "--operator: 'sign' is not one of msign"),
        (["--beside", "eigh"], "--beside: 'eigh' is not a contestant of msign"),
        (["--operator", "inverse"], "--shape: inverse takes square matrices"),
        (["--dtype", "int8"], "--dtype: int8 is not one of"),
        (["--seconds", "0"], "--seconds"),
        (["no-such-table"], "no-such-table: is neither a file nor a table"),
    ],
)
def test_wrong_usage_is_code_2(arguments: list[str], message: str) -> None:
    result = run(*SMALL, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


CALIBRATE = ["--shape", "4x6,5x5", "--dtype", "fp32", *SMALL[2:]]


def test_calibrate_writes_what_the_cost_model_takes(tmp_path: Path) -> None:
    target = tmp_path / "new" / "costs.json"
    result = run("--calibrate", target, *CALIBRATE)
    found = load(target)
    busy = sum(measured.spread > BUSY for measured in found.products)
    assert (result.exit_code, result.stderr.count("The machine was busy")) == (0, busy)
    lines = result.stdout.splitlines()
    assert lines[0].startswith("milliseconds per product on cpu (")
    assert lines[-1] == f"wrote {target}"
    for line, measured, shape in zip(lines[1:-1], found.products, ((4, 6), (5, 5)), strict=True):
        prices = found.prices(shape, "float32")
        assert line.startswith(
            f"{measured}: X Xᵀ {shape[0]}x{shape[1]}x{shape[0]}: {1e3 * prices.gram:.3g} ("
        )
        assert line.endswith("; medians of 2")
    # Again: an older calibration is replaced.
    again = run("--calibrate", target, *CALIBRATE, "--json", "--batch", "2")
    assert again.stdout == target.read_text()
    assert [m.batch for m in load(target).products] == [2, 2]


def test_calibrate_leaves_other_files_alone(tmp_path: Path) -> None:
    target = tmp_path / "table.json"
    target.write_text('{"schema": "polydesign/schedule/v1"}')
    result = run("--calibrate", target, *CALIBRATE)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{target}: $.schema: is 'polydesign/schedule/v1', and only" in result.stderr
    assert target.read_text() == '{"schema": "polydesign/schedule/v1"}'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shape", "4x4,4x6"], "--shape takes one shape, and several only with --calibrate"),
        (["--shape", "4x4,4"], "'4' is not a shape such as 512x1024"),
        (["--calibrate", "c.json", "--operator", "inverse"], "leave out --operator"),
        (["--calibrate", "c.json", "--save", "d.jsonl"], "leave out --save"),
        (["--calibrate", "c.json", "sign-d5x6-l1e-3"], "leave out FILE_OR_NAME"),
        (["--calibrate", "c.json", "--dtype", "int8"], "--dtype: int8 is not one of"),
    ],
)
def test_calibrate_wrong_usage_is_code_2(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*SMALL, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert not list(tmp_path.iterdir())

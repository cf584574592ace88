"""polydesign compare: what it prints, writes and refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tables import rows_from_json

from polydesign.cli import main

OURS, THEIRS, BARE = "sign-d5x5-l1e-3-bf16", "jordan_5", "cans_quintic_5"


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["compare", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_ours_beside_published_ones() -> None:
    result = run(OURS, THEIRS, BARE)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    places = [next(i for i, line in enumerate(lines) if name in line) for name in (BARE, OURS, THEIRS)]
    assert places == sorted(places)
    assert result.stderr == ""


def test_json_csv_and_figure(tmp_path: Path) -> None:
    result = run(OURS, THEIRS, "--json", "--lower", "0.01", "--csv", tmp_path / "c.csv")
    body = json.loads(result.stdout)
    rows = rows_from_json(body["tables"])
    assert [row.name for row in rows] == [OURS, THEIRS]
    assert [at.lower for at in rows[0].at] == [0.01]
    assert len((tmp_path / "c.csv").read_text().splitlines()) == 3
    for name in ("c.svg", "again.svg"):
        assert f"wrote {tmp_path / name}" in run(OURS, THEIRS, "-o", tmp_path / name).stdout
    assert (tmp_path / "c.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()


def test_fresh_measurements_of_all_tables_on_the_same_matrices(device: str) -> None:
    how = ["--measure", "--shape", "64x96", "--device", device, "--json"]
    rows = {row.name: row for row in rows_from_json(json.loads(run(OURS, BARE, *how).stdout)["tables"])}
    assert {seen.source for row in rows.values() for seen in row.measured} == {"fresh"}
    for dtype in ("bfloat16", "float16", "float32"):
        seen = rows[OURS].seen(dtype)
        assert seen is not None
        assert seen.worst is not None
        assert seen.worst < rows[OURS].error + 0.02  # what rounding X alone may move a value by: four times
    exact = rows[BARE].seen("float32")
    assert exact is not None
    assert exact.worst is not None
    assert exact.worst < rows[BARE].error + 1e-4
    # Negative control: a table without headroom does not survive bfloat16.
    lost = rows[BARE].seen("bfloat16")
    assert lost is not None
    assert lost.worst is None or lost.worst > 0.5


def test_without_measure_neither_torch_nor_matplotlib_is_loaded() -> None:
    code = (
        "import sys; from polydesign.cli import main; "
        f"main(['compare', '{OURS}', '{THEIRS}', '--quiet'], standalone_mode=False); "
        "print(*sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "polydesign.reporting.comparison" in out.split()
    assert not {"torch", "matplotlib"} & set(out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([OURS, "jordn_5"], "is neither a file nor a table of the catalogue; did you mean jordan_5?"),
        ([OURS, "nothing-like-it-at-all"], "is neither a file nor a table"),
        ([OURS, "gone.json"], "no such file"),
        ([OURS, "root4-m11-l0.1-fp32"], "different roots"),
        ([OURS, OURS], "two are called"),
        ([OURS, "--lower", "2"], "--lower: must lie between 0 and 1"),
        ([OURS, "-o", "x.pdf"], "--output: 'x.pdf' is no picture"),
        ([], "Missing argument"),
    ],
)
def test_wrong_usage_is_refused(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""

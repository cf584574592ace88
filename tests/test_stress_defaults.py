"""The stress run: what is drawn, that a stopped run goes on as if it had not stopped, and what it counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from test_scripts import loaded
from test_verify import with_first_coefficient

import polydesign
from polydesign.table import digest
from polydesign.verification.spectra import SPECTRA, sample

pytestmark = pytest.mark.numerics

TABLE = "sign-d5x5-l1e-3-bf16"
script = loaded("stress_defaults")


def stress(output: Path, *arguments: object, table: object = TABLE) -> tuple[int, list[dict[str, Any]], str]:
    small = ("--sides", 8, 24, "--processes", 1, "-o", output)
    result = CliRunner().invoke(script.main, [str(one) for one in (table, *small, *arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    entries = json.loads(output.read_text())["tables"] if output.exists() else []
    return result.exit_code, entries, result.output


def test_a_draw_is_its_seed_table_and_number() -> None:
    cases = [script.drawn(0, "a", index) for index in range(400)]
    assert cases == [script.drawn(0, "a", index) for index in range(400)]
    assert len({case.seed for case in cases}) == 400
    for other in (script.drawn(1, "a", 0), script.drawn(0, "b", 0), script.drawn(0, "a", 1)):
        assert other != cases[0]
    assert {case.spectrum.partition(":")[0] for case in cases} == set(SPECTRA)
    low, high = script.SIDES
    sides = [side for case in cases for side in case.shape]
    assert low <= min(sides) < 2 * low < high / 2 < max(sides) <= high
    assert any(m < n for m, n in (case.shape for case in cases))
    assert any(m > n for m, n in (case.shape for case in cases))


def test_every_spectrum_takes_its_argument() -> None:
    seen = set()
    for index in range(400):
        case = script.drawn(0, "a", index, (32, 40))
        if (name := case.spectrum.partition(":")[0]) not in seen:
            seen.add(name)
            whole = sample(case.spectrum, case.shape, seed=case.seed)
            for place, known in script.matrices(case, 1e-3):
                assert (known.matrix == whole.matrix[place] * case.scale).all()
                assert (known.sigma == whole.sigma[place] * case.scale).all()
    assert seen == set(SPECTRA)


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    _, (whole,), _ = stress(tmp_path / "whole.json", "--count", 40)
    _, (part,), _ = stress(tmp_path / "parts.json", "--count", 10)
    assert 10 <= part["matrices"] < 40
    code, (stopped,), said = stress(tmp_path / "parts.json", "--count", 40, "--minutes", 0)
    assert stopped == part
    assert "; 40 were wanted" in said
    assert code == 0
    _, (joined,), said = stress(tmp_path / "parts.json", "--count", 40)
    assert joined == whole
    assert "40 were wanted" not in said
    assert whole["matrices"] == sum(of["matrices"] for of in whole["spectra"].values()) >= 40
    assert {"processor", "date"} <= whole["machine"].keys()
    assert whole["setting"]["digest"] == digest(polydesign.load(TABLE).schedule)
    _, (other,), _ = stress(tmp_path / "whole.json", "--count", 10, "--seed", 1)
    assert other["setting"]["seed"] == 1
    assert other["worst"] != part["worst"]


def test_the_worst_matrix_can_be_found_again(tmp_path: Path) -> None:
    _, (entry,), _ = stress(tmp_path / "run.json", "--count", 20)
    at = entry["worst_at"]
    case = script.drawn(0, entry["setting"]["digest"], at["draw"], (8, 24))
    assert [case.spectrum, list(case.shape), case.seed] == [at["spectrum"], at["shape"], at["seed"]]
    table = polydesign.load(TABLE)
    plan = script.plan_of(table, None)
    again = script.examine(table, plan, "cpu", 0, (8, 24), at["draw"])
    assert entry["worst"] in [one["worst"] for one in again["found"]]


def test_other_kernels_have_an_entry_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MKL_CBWR", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE"):
        monkeypatch.delenv(name, raising=False)
    stress(tmp_path / "run.json", "--count", 2)
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    _, entries, _ = stress(tmp_path / "run.json", "--count", 3)
    assert [entry["setting"]["kernels"] for entry in entries] == ["", "MKL_CBWR=COMPATIBLE"]


def test_what_breaks_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A coefficient that is wrong loses values, and one that is further off leaves nothing finite."""
    table = polydesign.load(TABLE)
    for factor, count in ((1.05, "lost"), (1.2, "not_finite")):
        broken = with_first_coefficient(table, factor)  # which no file could hold: reading checks the claims
        monkeypatch.setattr(polydesign, "load", lambda _, it=broken: it)
        code, (entry,), said = stress(tmp_path / f"{count}.json", "--count", 20)
        assert code == 1
        assert entry[count] > 0
        assert entry["above_allowed"] >= entry[count]
        assert f"{entry['lost']} lost, {entry['not_finite']} not finite" in said
        if count == "not_finite":
            assert entry["not_finite_at"]["draw"] < entry["draws"]


def test_most_used_get_more(tmp_path: Path) -> None:
    """And tables without a precision of their own are refused unless one is given."""
    other = "sign-d5x6-l1e-3-bf16"
    arguments = ("--count", 3, "--most-used", other, "--most-count", 12)
    _, entries, _ = stress(tmp_path / "run.json", *arguments)
    assert {entry["table"]: entry["wanted"] for entry in entries} == {TABLE: 3, other: 12}
    assert entries[1]["matrices"] >= 12
    higher = "sign-d5x6-l1e-3"
    code, _, said = stress(tmp_path / "x.json", table=higher)
    assert code == 1
    assert f"dtype: {higher} does not say which it is for: add --dtype" in said
    _, (entry,), _ = stress(tmp_path / "x.json", "--dtype", "bf16", "--count", 2, table=higher)
    assert entry["setting"]["dtype"] == "bfloat16"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_defaults_are_those_for_half_precisions(dtype: str) -> None:
    names = script.defaults()
    assert f"sign-d5x6-l1e-3-{'bf16' if dtype == 'bfloat16' else 'fp16'}" in names
    assert not [name for name in names if "fp32" in name or name.startswith(("root4", "inverse"))]
    assert "sign-m12-e0.05-fp16-adaptive" in names
    assert "sign-m10-l1e-3-bf16" not in names  # unsafe


def test_members_of_a_family_run_alone_and_share_its_matrices() -> None:
    own = polydesign.load("sign-m15-l1e-3-fp16-family")
    found = script.alone(own)
    assert [one.name for one, _ in found] == [own.name, *(one.name for one in own.members)]
    assert not any(one.members for one, _ in found)
    assert {parts for _, parts in found} == {12}
    assert own.name in script.defaults()

"""The code in docs/ and README runs, page by page, and its tables are those of the files that scripts wrote."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from test_scripts import loaded

import polydesign
from polydesign.cli import main
from polydesign.evaluation.calibration import Calibration, Measured, dumps
from polydesign.evaluation.cost import Prices
from polydesign.runtime import msign
from polydesign.verify.expected import SIGN_CASES

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_runs(page: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL)
    assert blocks
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)


COSTS = Calibration(
    date="2026-11-22",
    torch="2.13.0",
    device="cpu",
    machine={},
    products=(Measured("bfloat16", (1024, 4096), 1, 15, 1.0, Prices(4.0, 4.0, 1.0, unit="seconds")),),
)
"""What README's `polydesign bench --calibrate` writes in a minute of products; the prices do not matter."""


def ran(
    tmp_path: Path, optimizer: Callable[[np.ndarray], np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """README's Python blocks in their order, in a folder with what its other commands wrote."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "costs.json").write_text(dumps(COSTS), "utf-8")
    page = (ROOT / "README.md").read_text("utf-8")
    (line,) = re.findall(r"^polydesign (conformance .*)$", page, flags=re.MULTILINE)
    assert CliRunner().invoke(main, line.split()).exit_code == 0
    theirs: Any = ModuleType("my_optimizer")
    theirs.orthogonalize = optimizer
    monkeypatch.setitem(sys.modules, "my_optimizer", theirs)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(compile(block, "README.md", "exec"), names)


def ours(M: np.ndarray) -> np.ndarray:
    return msign(torch.from_numpy(M), polydesign.load("sign-d5x6-l1e-3-bf16")).numpy()


def test_readme_s_code_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(tmp_path, ours, monkeypatch)
    printed = capsys.readouterr().out
    assert all(f"{name} ok\n" in printed for name in SIGN_CASES)
    assert "FAILED" not in printed


def test_readme_s_reader_sees_a_wrong_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Negative control: the default table of float32 is not the one of the kit."""
    ran(tmp_path, lambda M: msign(torch.from_numpy(M)).numpy(), monkeypatch)
    assert "square FAILED: " in capsys.readouterr().out


MEASURED = {
    "equations": "solve_equations",
    "clipping": "clipping",
    "derivative_memory": "derivative_memory",
    "triangular_cost": "triangular_cost",
}


@pytest.mark.parametrize(("name", "script"), MEASURED.items())
def test_the_tables_are_those_that_were_measured(name: str, script: str) -> None:
    body = json.loads((ROOT / "figures" / f"{name}.json").read_text("utf-8"))
    page = (ROOT / "docs" / "matrix_sign.md").read_text("utf-8")
    assert loaded(script).markdown(body) in page
    assert f"torch {body['torch']}; {body['machine']['date']}; `scripts/{script}.py`" in page

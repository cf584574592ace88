"""The code in docs/ runs, page by page, and its tables are those of the files that scripts wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from test_scripts import loaded

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_runs(page: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL)
    assert blocks
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)


MEASURED = {
    "equations": "solve_equations",
    "clipping": "clipping",
    "derivative_memory": "derivative_memory",
    "triangular_cost": "triangular_cost",
    "bilinear_step": "bilinear_step",
}


@pytest.mark.parametrize(("name", "script"), MEASURED.items())
def test_the_tables_are_those_that_were_measured(name: str, script: str) -> None:
    body = json.loads((ROOT / "figures" / f"{name}.json").read_text("utf-8"))
    page = (ROOT / "docs" / "matrix_sign.md").read_text("utf-8")
    assert loaded(script).markdown(body) in page
    assert f"torch {body['torch']}; {body['machine']['date']}; `scripts/{script}.py`" in page

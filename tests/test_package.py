"""The wheel: an installed copy, outside the checkout, has its tables and its schema."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        folder,
        ROOT,
    ]
    subprocess.run(command, check=True, capture_output=True)
    (found,) = folder.glob("polydesign-*.whl")
    return found


def test_the_wheel_has_every_table_the_schema_and_the_templates(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    folder = ROOT / "coeffs"
    tables = {f"polydesign/coeffs/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*.json")}
    assert "polydesign/coeffs/published/jordan_5.json" in tables
    assert tables <= names
    assert "polydesign/schema/schedule-v2.schema.json" in names
    templates = {path.name for path in (ROOT / "polydesign" / "reporting" / "templates").iterdir()}
    assert {f"polydesign/reporting/templates/{name}" for name in templates} <= names
    assert "index.html.j2" in templates
    assert not any(name.startswith(("tests/", "scripts/", "figures/")) for name in names)


def test_an_installed_copy_loads_a_table_by_name(wheel, tmp_path):
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel]
    subprocess.run(install, check=True, capture_output=True)
    code = (
        "import json, polydesign; from polydesign.table.catalogue import find; name = 'sign-d5x6-l1e-3-bf16'; "
        "print(json.dumps([polydesign.__file__, str(find(name)), polydesign.load(name).schedule.error]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    out = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    module, table, error = json.loads(out)
    assert Path(module).is_relative_to(site)
    assert Path(table).is_relative_to(site)
    assert 5e-3 < error < 6e-3

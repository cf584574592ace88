"""figures/ is what scripts/make_figures.py makes, file for file, and it notices what is not."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pages import written
from test_scripts import loaded, script_path

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "figures"

PINNED = f"matplotlib=={version('matplotlib')}\n" in (ROOT / "constraints.txt").read_text("utf-8")


@pytest.fixture(scope="module")
def script() -> Any:
    return loaded("make_figures")


def made(script: Any) -> set[str]:
    return {f"{name}{suffix}" for name, (_, suffixes) in script.MAKERS.items() for suffix in suffixes}


def test_every_file_has_its_maker(script: Any) -> None:
    assert not made(script) & {f"{name}.json" for name in script.DATA}
    there = {path.name for path in FIGURES.iterdir()}
    assert there == made(script) | {f"{name}.json" for name in script.DATA}


def test_what_the_pages_show_is_made(script: Any) -> None:
    shown = re.findall(r"!\[[^]]*\]\(figures/([^)]+)\)", written())
    assert shown
    assert set(shown) <= made(script)


def test_the_scripts_of_the_data_write_it(script: Any) -> None:
    for name, other in script.DATA.items():
        assert f"{name}.json" in script_path(f"{other}.py").read_text("utf-8")


QUICK = ["sign-d5x6-l1e-3", "five-quintics", "root_fronts", "rounding_model", "sharded_scaling"]
"""What needs no measurement."""


@pytest.mark.skipif(not PINNED, reason="another matplotlib than the pinned one draws other bytes")
@pytest.mark.few(3)
@pytest.mark.parametrize("name", QUICK)
def test_the_pictures_are_drawn_bit_for_bit(script: Any, name: str) -> None:
    result = CliRunner().invoke(script.main, ["--check", "--only", name])
    assert (result.exit_code, result.stdout) == (0, ""), result.output


def test_the_check_notices_another_picture(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: one picture has another's bytes, one is missing; nothing is written."""
    monkeypatch.setattr(script, "FIGURES", tmp_path)
    (tmp_path / "five-quintics.png").write_bytes((FIGURES / "root_fronts.png").read_bytes())
    arguments = ["--check", "--only", "five-quintics", "--only", "sign-d5x6-l1e-3"]
    result = CliRunner().invoke(script.main, arguments)
    assert result.exit_code == 1
    assert result.stdout == "differs: five-quintics.png\ndiffers: sign-d5x6-l1e-3.svg\n"
    assert [path.name for path in tmp_path.iterdir()] == ["five-quintics.png"]


def test_only_writes_only(script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "FIGURES", tmp_path)
    result = CliRunner().invoke(script.main, ["--only", "five-quintics"])
    assert result.exit_code == 0, result.output
    assert [path.name for path in tmp_path.iterdir()] == ["five-quintics.png"]
    assert CliRunner().invoke(script.main, ["--only", "six-quintics"]).exit_code == 2

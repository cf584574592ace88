"""polydesign export: what it prints, writes and refuses."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

import polydesign
from polydesign import export
from polydesign.cli import main
from polydesign.exporters.targets import TARGETS


@pytest.fixture
def cli(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        return CliRunner().invoke(main, [str(a) for a in arguments])

    return invoke


def test_command_prints_the_text(cli):
    result = cli("export", "sign-d5x5-l1e-3-bf16", "--to", "optax")
    assert result.exit_code == 0
    assert result.stdout == export(polydesign.load("sign-d5x5-l1e-3-bf16"), "optax")
    assert result.stderr == ""


def test_command_writes_a_file_and_never_replaces_a_different_one(cli, tmp_path):
    arguments = ("export", "sign-d5x5-l1e-3-bf16", "--to", "timm", "-o", "rows.py")
    assert cli(*arguments).stdout == "wrote rows.py\n"
    expected = export(polydesign.load("sign-d5x5-l1e-3-bf16"), "timm")
    assert (tmp_path / "rows.py").read_text(encoding="utf-8") == expected
    assert cli(*arguments).stdout == "rows.py holds this text already; left as it is\n"
    (tmp_path / "rows.py").write_text("mine\n")
    refused = cli(*arguments)
    assert refused.exit_code == 2
    assert "rows.py: exists and is different" in refused.stderr
    assert (tmp_path / "rows.py").read_text() == "mine\n"
    assert cli(*arguments, "--force").exit_code == 0
    assert (tmp_path / "rows.py").read_text(encoding="utf-8") == expected


def test_command_warns_on_standard_error(cli):
    result = cli("export", "sign-d5x5-l1e-3", "--to", "timm")
    assert result.exit_code == 0
    assert result.stderr.startswith("Warning: rounding in bfloat16 can lift a singular value")


def test_command_lists_the_targets_and_the_reasons(cli):
    result = cli("export", "--list")
    assert result.exit_code == 0
    for name, target in TARGETS.items():
        assert re.search(
            rf"^{re.escape(name)} +{re.escape(target.reason or target.about)}$", result.stdout, re.M
        )
    assert result.stdout.count("\n") == len(TARGETS) + 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sign-d5x5-l1e-3"], "--to: is missing"),
        (["--to", "optax"], "FILE_OR_NAME: is missing"),
        (["sign-d5x5-l1e-3", "--to", "tim"], "--to: 'tim' is not a target; did you mean timm"),
        (["sign-d9x4-l1e-3-h1.005-f0.06x3-0", "--to", "optax"], "--to: optax takes rows of three numbers"),
        (["nothing", "--to", "optax"], "nothing: is neither a file nor a table of the catalogue"),
        (["sign-d5x5-l1e-3", "--to", "optax", "-o", "/dev/null/x.py"], "/dev/null"),
    ],
)
def test_command_refuses_in_a_line(cli, tmp_path, arguments, message):
    result = cli("export", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []

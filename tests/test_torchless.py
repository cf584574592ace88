"""Without torch, or with one that cannot be loaded, everything works but what runs matrices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from polydesign.cli import main

OURS = "sign-d5x5-l1e-3-bf16"
SHORTER = """
from polydesign.reporting import chapter, page
from polydesign.search import rounding_aware
chapter.rendered = page.rendered = lambda *_: b"<svg/>"  # plot draws too
rounding_aware.CAUTIONS, rounding_aware.TURNS = (1.0,), (0.1,)  # one front for eighteen
"""
"""What a test asks less of."""

CODE = f"""
import json, sys
if "missing" in sys.argv:
    sys.modules["torch"] = None
from click.testing import CliRunner
from polydesign.cli import main
{SHORTER}
for arguments in json.load(sys.stdin):
    result = CliRunner().invoke(main, arguments)
    print(json.dumps([result.exit_code, result.stderr, result.stdout, repr(result.exception)]))
"""

WORKS = [
    ["search", "--degree", "5", "--steps", "2", "--dtype", "fp32", "-o", "-"],
    ["search", "--matmuls", "6", "--degree", "3,5", "--dtype", "fp32", "--no-measure", "-o", "-"],
    ["search", "--method", "clip", "--degree", "9", "--steps", "3", "--lower", "0.1", "-o", "-"],
    ["certify", OURS],
    ["identify", "jordan_5"],
    ["fold", OURS, "--factor", "1.001", "-o", "-"],
    ["export", OURS, "--to", "torch-function"],
    ["compare", OURS, "jordan_5"],
    ["plot", OURS],
    ["list"],
    ["show", OURS],
    ["conformance", OURS, "-o", "kit"],
    ["report", OURS, "-o", "page"],
    ["--help"],
    ["verify", "--help"],
]
REFUSED = [
    ["verify", OURS],
    ["search", "--matmuls", "6", "--dtype", "fp32", "-o", "measured.json"],
    ["search", "--method", "adam", "--degree", "5", "--steps", "2", "-o", "adam.json"],
    ["doctor"],
    ["advise", "state.pt"],
    ["bench"],
    ["bench", "--calibrate", "costs.json"],
    ["compare", OURS, "--measure"],
    ["report", OURS, "--measure", "-o", "page2"],
]
OTHER = [["verify", "jordn_5"], ["show", "gone.json"], ["export", OURS, "--to", "optax", "-o", "/dev/null/x"]]
"""Wrong usage that has nothing to do with torch."""


@pytest.fixture
def torchless(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Runs a program in a process where torch is not there, or fails with OSError as it is loaded."""
    path = os.environ.get("PYTHONPATH", "")
    if request.param == "broken":
        (tmp_path / "broken" / "torch").mkdir(parents=True)
        (tmp_path / "broken" / "torch" / "__init__.py").write_text(
            "raise OSError('libtorch.so: cannot open')\n"
        )
        path = os.pathsep.join([str(tmp_path / "broken"), path])
    package = str(Path(__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [path, package]))}

    def run(code: str, given: str = "") -> str:
        command = [sys.executable, "-c", code, request.param]
        how: dict[str, Any] = {"capture_output": True, "text": True, "cwd": tmp_path, "env": environment}
        done = subprocess.run(command, input=given, **how, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


MISSING = pytest.mark.parametrize("torchless", ["missing"], indirect=True)
BROKEN = pytest.mark.parametrize("torchless", ["broken"], indirect=True)
"""What needs no torch does not ask for it, in commands as in functions: each meets one of the two. What is
refused asks, by way of one function, and meets both."""


@BROKEN
def test_commands_work(torchless: Any) -> None:
    lines = torchless(CODE, json.dumps(WORKS)).splitlines()
    found = [json.loads(line) for line in lines]
    for arguments, (code, err, out, exception) in zip(WORKS, found, strict=True):
        assert code == 0, (arguments, err, exception)
        assert out


@pytest.mark.parametrize("torchless", ["missing", "broken"], indirect=True)
def test_what_runs_matrices_says_so_in_a_line(torchless: Any) -> None:
    lines = torchless(CODE, json.dumps([*REFUSED, *OTHER])).splitlines()
    found = [json.loads(line) for line in lines]
    refused, other = found[: len(REFUSED)], found[len(REFUSED) :]
    for arguments, (code, err, out, exception) in zip(REFUSED, refused, strict=True):
        assert code == 2, (arguments, err, out, exception)
        assert err.startswith("Error: torch cannot be loaded, and this runs matrices: pip install torch (")
        assert err.count("\n") == 1
    for _, (code, err, _, exception) in zip(OTHER, other, strict=True):
        assert code == 2, exception
        assert "torch cannot be loaded" not in err


PYTHON = f"""
import sys
if "missing" in sys.argv:
    sys.modules["torch"] = None
import polydesign
{SHORTER}
table = polydesign.design(degree=5, steps=2, dtype="float32")
polydesign.save(table, "t.json")
assert polydesign.certify("t.json").kind == polydesign.load("t.json").certificate.kind == "proved"
assert polydesign.identify("3.4445 -4.7750 2.0315").matches[0].name == "jordan_5"
polydesign.unfold(polydesign.fold(table, 1.001), 1.001)
polydesign.export({OURS!r}, "optax"), polydesign.tables(), polydesign.plot({OURS!r})
polydesign.compare([{OURS!r}, "jordan_5"]).figure()
polydesign.report([{OURS!r}], "page"), polydesign.conformance({OURS!r}, "kit")
polydesign.design(matmuls=6, degree=(3, 5), dtype="fp32", measure=False)
help(polydesign)
try:
    polydesign.verify({OURS!r})
except (ImportError, OSError) as problem:
    print("refused:", problem)
"""


@pytest.mark.wide
@MISSING
def test_the_functions_work_too(torchless: Any) -> None:
    assert torchless(PYTHON).splitlines()[-1].startswith("refused:")


def test_where_torch_is_what_is_refused_works() -> None:
    """Negative control: the refusal is of torch alone. Here, where torch is loaded already."""
    result = CliRunner().invoke(main, ["compare", OURS, "--measure", "--shape", "16x24"])
    assert result.exit_code == 0, result.output

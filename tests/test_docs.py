"""The code of every page runs, block by block, and its tables are those of the files that scripts wrote."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import examples
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from pages import PAGES, ROOT, blocks, written
from test_scripts import loaded, script_path

import polydesign
from polydesign.cli import main
from polydesign.designer.methods import METHODS
from polydesign.model import Schedule
from polydesign.runtime import msign
from polydesign.search import rounding_aware
from polydesign.table.catalogue import load
from polydesign.verification.kit_spectra import SIGN_CASES

RUN = {"python", "sh", "toml"}
SHOWN = {"", "text", "json", "js"}
"""Languages of blocks that are no code for Python or a shell: what a command prints, a file, another reader."""

SHORTER = {
    "--method adam": ["--timeout", "0.3"],
    "--matmuls": ["--no-measure"],
    "--band 0.3 --matmuls": ["--degree", "9", "--dtype", "float32"],
    "--method budget": ["--no-measure", "--degree", "9,17", "--dtype", "float32"],
    "polydesign search --matmuls 15 --dtype bfloat16 --shape 1024x4096": [
        *("--form", "direct"),
        *("--degree", "9,17"),
        *("--dtype", "float32"),
    ],
    "--degree 5 --steps 5 --band 0.3": ["--dtype", "float32"],
    "polydesign bench": ["--rounds", "1"],
    "polydesign bench --shape": ["--shape", "64x96"],
    "polydesign bench --calibrate": ["--shape", "64x256"],
    "polydesign verify": ["--shape", "64x96"],
    # Processes of its own know nothing of conftest.trust, and searched for three minutes.
    "polydesign sweep": ["--jobs", "1"],
}
"""What a test adds to a command that takes long: the command is the page's, on less work. Float32 has one front
where half precision asks which schedules survive."""

SHORTER_CODE = {
    'calibration.load("costs.json").prices((1024, 4096)': 'calibration.load("costs.json").prices((64, 256)',
    "M = torch.randn(512, 1024)": "M = torch.randn(64, 128)",
    'dtype = ["bfloat16", "float16"]': 'dtype = ["float32"]',
    "for entry in polydesign.tables():": "for entry in polydesign.tables()[::5]:",
}
"""The same of code and of files: without oneDNN's kernels a product of the shape on the page takes half a minute in
bfloat16, each problem of a sweep in half precision a second, and loading all tables a quarter of a minute; the reader
in JavaScript reads them all."""

ELSEWHERE = ("make ", "mkdir ", "git ", "source ", "eval ", "python3 ", "pip ")
"""Commands of the set-up, which CI goes through."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_of_a_kind_that_is_checked(page: Path) -> None:
    assert {language for language, _ in blocks(page)} <= RUN | SHOWN


def commands(block: str) -> list[str]:
    """The lines of a shell block, continued ones as one, without comments."""
    lines = block.replace("\\\n", " ").splitlines()
    return [line for line in (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines) if line]


def ran(command: str) -> str:
    """What a command of polydesign prints."""
    arguments = shlex.split(command)[1:]
    for words, more in SHORTER.items():
        if words in command:
            arguments += more
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, f"{command}\n{result.output}"
    return result.output


WRONG = [
    "```sh\npolydesign export --list\n```\n```text\nno such target\n```\n",
    "```sh\npolydesign export --lst\n```\n",
    "```sh\nrm -r figures\n```\n",
    "```python\nassert 1 + 1 == 3\n```\n",
]


Optimizer = Callable[[np.ndarray], np.ndarray]


def theirs(M: np.ndarray) -> np.ndarray:
    """What the reader of docs/conformance.md puts to the test, `orthogonalize` of `my_optimizer`."""
    return msign(torch.from_numpy(M), polydesign.load("sign-d5x6-l1e-3-bf16")).numpy()


def run(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, optimizer: Optimizer = theirs) -> None:
    """Block by block in one folder, as a reader would; what a text block shows of a command is printed.

    toml: a file, whose name is in the first line.
    """
    monkeypatch.chdir(folder)
    # One front for eighteen: the schedules are others than the reader's, and no page shows them.
    monkeypatch.setattr(rounding_aware, "CAUTIONS", (1.0,))
    monkeypatch.setattr(rounding_aware, "TURNS", (0.1,))
    if not examples.WIDE:
        # doctor builds code: test_compiled.py has inductor, and test_doctor.py what doctor says of it.
        compiled: Any = torch.compile
        monkeypatch.setattr(torch, "compile", lambda f, **how: compiled(f, **{"backend": "aot_eager"} | how))
    module: Any = ModuleType("my_optimizer")
    module.orthogonalize = optimizer
    monkeypatch.setitem(sys.modules, "my_optimizer", module)
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = ""
    for language, block in blocks(page):
        for words, fewer in SHORTER_CODE.items():
            block = block.replace(words, fewer)
        if language == "python":
            exec(compile(block, str(page), "exec", dont_inherit=True), names)
        if language == "toml":
            (name,) = re.findall(r"^# (\S+):", block)
            Path(name).write_text(block, "utf-8")
        if language == "text" and printed:
            shown = [line.strip() for line in block.splitlines() if line.strip("… .")]
            assert [line for line in shown if line not in printed] == []
        for command in commands(block) if language == "sh" else ():
            if command.startswith("polydesign "):
                printed = ran(command)
            else:
                assert command.startswith(ELSEWHERE), command


@pytest.fixture(autouse=True)
def methods() -> Iterator[None]:
    """CONTRIBUTING adds a strategy: the tests after it must not have it."""
    kept = dict(METHODS)
    yield
    METHODS.clear()
    METHODS.update(kept)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(page, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("optimizer", "word"), [(theirs, "ok"), (lambda M: msign(torch.from_numpy(M)).numpy(), "FAILED")]
)
def test_the_reader_of_a_kit_tells_tables_apart(
    optimizer: Optimizer,
    word: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The page's command and reader alone; the default table of float32 is not the one of its kit."""
    source = ROOT / "docs" / "conformance.md"
    page = source.read_text("utf-8")
    (command,) = re.findall(r"^```sh\npolydesign conformance .* -o kit\n```$", page, flags=re.MULTILINE)
    (reader,) = (block for _, block in blocks(source) if "from my_optimizer" in block)
    (tmp_path / "page.md").write_text(f"{command}\n```python\n{reader}```\n", "utf-8")
    run(tmp_path / "page.md", tmp_path, monkeypatch, optimizer)
    printed = capsys.readouterr().out
    assert f"square correctness {word}" in printed
    right = all(f"{name} {case.kind} ok\n" in printed for name, case in SIGN_CASES.items() if not case.given)
    assert word == "FAILED" or right


@pytest.mark.parametrize("text", WRONG)
def test_a_page_that_is_wrong_is_noticed(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: an output that is not printed, an option and a command that are not known, bad code."""
    (tmp_path / "page.md").write_text(text, "utf-8")
    with pytest.raises(AssertionError):
        run(tmp_path / "page.md", tmp_path, monkeypatch)


MEASURED = {
    "adaptive": "adaptive",
    "equations": "solve_equations",
    "clipping": "clipping",
    "derivative_memory": "derivative_memory",
    "triangular_cost": "triangular_cost",
    "bilinear_step": "bilinear_step",
    "small_state": "small_state",
    "dither": "dither",
    "split_roots": "split_roots",
    "muon_step": "muon_step",
    "does_it_matter": "does_it_matter",
}


@pytest.mark.parametrize(("name", "script"), MEASURED.items())
def test_the_tables_are_those_that_were_measured(name: str, script: str) -> None:
    body = json.loads((ROOT / "figures" / f"{name}.json").read_text("utf-8"))
    for table in loaded(script).markdown(body).split("\n\n"):
        assert table in written()
    assert (
        f"torch {body['torch']}; {body['machine']['date']}; `{script_path(script + '.py').relative_to(ROOT)}`"
        in written()
    )


def test_links_lead_somewhere() -> None:
    """Files beside the page; and headings, as #their-words."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]*)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if target and not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_reader_in_javascript_reads_every_table(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: apt-get install nodejs")
    (reader,) = re.findall(r"```js\n(.*?)```", (ROOT / "docs" / "format.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "reader.mjs").write_text(reader)
    points, paths = [1e-3, 0.03, 0.7, 1.0], sorted((ROOT / "coeffs").rglob("*.json"))
    (tmp_path / "run.mjs").write_text(
        "import { readFileSync } from 'node:fs';\nimport { f } from './reader.mjs';\n"
        f"for (const path of {json.dumps([str(path) for path in paths])}) {{\n"
        "  const table = JSON.parse(readFileSync(path, 'utf8'));\n"
        f"  console.log(JSON.stringify({points}.map((x) => f(table, x))));\n}}\n"
    )
    found = subprocess.run([node, "run.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = found.stdout.splitlines()
    assert len(lines) == len(paths) > 100
    for path, line in zip(paths, lines, strict=True):
        schedule = load(path, proving=False).schedule
        # Powers and sums may be rounded in another order: a part of what the terms of a step add up to.
        expected = [step_by_step(schedule, x) for x in points]
        assert json.loads(line) == pytest.approx(expected, rel=1e-9, abs=1e-9), path.stem


def step_by_step(schedule: Schedule, x: float) -> float:
    """By the steps' own programs, not by their coefficients."""
    for step in schedule.steps:
        x = x * step.program(x**schedule.root)
    return x

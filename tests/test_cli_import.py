"""Lists in somebody's source file as tables: polydesign import, and every command that takes a table."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import polydesign
from polydesign import InputError
from polydesign.cli import main
from polydesign.table.published import names, published

JORDAN = "NS = [(3.4445, -4.7750, 2.0315)] * 5\n"
EXPRESS = polydesign.load("polar_express_nanochat").as_tuples()
UNKNOWN = [
    tuple(round(c, 4) for c in row)
    for row in polydesign.design(degree=5, steps=5, lower=2e-3, headroom=1.017, cushion=0.03).as_tuples()
]
"""Steps that nobody has published, and that bring [0.002, 1] near 1."""

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: Any) -> Result:
        return CliRunner().invoke(main, [str(one) for one in arguments], catch_exceptions=False)

    return call


def written(path: str, rows: Any, name: str = "coeffs", above: int = 0) -> None:
    Path(path).write_text("\n" * above + f"{name} = {[tuple(row) for row in rows]!r}\n")


def only_table(folder: Path) -> polydesign.Table:
    (path,) = (folder / "coeffs").glob("*.json")
    return polydesign.load(path)


# Every command.

COMMANDS: dict[str, tuple[Any, ...]] = {
    "certify": ("--json",),
    "verify": ("--shape", "16x24", "--spectrum", "gaussian", "--json"),
    "show": ("--json",),
    "fold": ("--factor", 1.01, "-o", "-"),
    "unfold": ("--factor", 1.01, "-o", "-"),
    "compare": ("--json",),
    "export": ("--to", "python"),
    "plot": ("-o", "map.svg"),
    "report": ("-o", "page"),
    "conformance": ("-o", "kit"),
}
NAMED = re.compile(r"(?m)^.*(name|provenance|strategy|table|source|parameters|digest).*$|jordan_5|muon")


@pytest.mark.few(4)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_takes_a_source_file_and_says_which_list(run: Run, command: str) -> None:
    Path("muon.py").write_text(f"import torch\n\n{JORDAN}")
    found = run(command, "muon.py", *COMMANDS[command])
    assert found.exit_code == 0, found.stderr
    assert (
        "Note: muon.py:3: 5 steps of root 2, known as jordan_5, for sign, certified on [0.001, 1]"
        in found.stderr
    )
    assert "muon.py:3" not in found.stdout or command in ("show", "fold", "unfold", "export")


@pytest.mark.parametrize("command", ["certify", "verify", "compare", "plot", "conformance"])
def test_it_does_what_it_does_with_the_table(run: Run, command: str) -> None:
    Path("muon.py").write_text(JORDAN)
    found, known = (run(command, source, *COMMANDS[command]) for source in ("muon.py", "jordan_5"))
    if command == "compare":  # all but the names
        found, known = (
            [{**row, "name": ""} for row in json.loads(one.stdout)["tables"]] for one in (found, known)
        )
        assert found == known
    elif command == "verify":
        times = ("table", "date", "when", "seconds")
        bodies = [json.loads(one.stdout) for one in (found, known)]
        assert json.dumps(bodies[0]).replace("muon", "") == json.dumps(bodies[1]).replace("jordan_5", ""), (
            times
        )
    else:
        assert found.stdout.replace("muon", "") == known.stdout.replace("jordan_5", "")


def test_the_name_of_a_list_after_the_file(run: Run) -> None:
    Path("two.py").write_text(f"a = {EXPRESS!r}\nb = {UNKNOWN!r}\n")
    refused = run("certify", "two.py")
    assert refused.exit_code == 2
    assert "a (line 1), b (line 2)" in refused.stderr
    assert "name one as two.py:NAME" in refused.stderr
    first, second = (run("certify", f"two.py:{name}", "--json").stdout for name in "ab")
    assert json.loads(first) == json.loads(run("certify", "polar_express_nanochat", "--json").stdout)
    assert first != second
    assert run("certify", "two.py", "--list", "b", "--json").stdout == second
    found = run("compare", "two.py:a", "two.py:b")
    assert all(name in found.stdout for name in ("two-a", "two-b"))


def test_a_list_option_is_for_source_files(run: Run) -> None:
    refused = run("certify", "jordan_5", "--list", "a")
    assert refused.exit_code == 2
    assert "--list: is for a source file, and jordan_5 is none: leave it out" in refused.stderr


def test_what_writes_into_a_tables_file_refuses_a_source_file(run: Run) -> None:
    Path("muon.py").write_text(JORDAN)
    for command in (("certify", "muon.py", "--write"), ("verify", "muon.py", "--write", "--shape", "8x8")):
        refused = run(*command)
        assert refused.exit_code == 2
        assert "polydesign import muon.py" in refused.stderr
    assert run("import", "muon.py").exit_code == 0
    assert run("certify", "coeffs/muon.json", "--write").exit_code == 0
    assert Path("muon.py").read_text() == JORDAN


def test_what_must_be_decided_names_import_and_that_decides(run: Run, tmp_path: Path) -> None:
    written("one.py", UNKNOWN[:1])
    refused = run("verify", "one.py")
    assert refused.exit_code == 2
    assert "polydesign import one.py --steps … writes the table" in refused.stderr
    assert run("import", "one.py", "--steps", 1, "-o", "one.json").exit_code == 0
    assert run("certify", "one.json").exit_code == 0


# polydesign import.


def test_import_writes_a_certified_table_that_says_where_it_is_from(run: Run, tmp_path: Path) -> None:
    written("muon.py", UNKNOWN, above=6)
    found = run("import", "muon.py", "--lower", 0.01)
    assert found.exit_code == 0, found.stderr
    assert "wrote coeffs/muon.json" in found.stdout
    table = only_table(tmp_path)
    assert table.as_tuples() == UNKNOWN
    assert table.schedule.interval == (0.01, 1.0)
    assert table.certificate is not None
    made = table.provenance.parameters
    assert made["sha256"] == hashlib.sha256(Path("muon.py").read_bytes()).hexdigest()
    assert (made["file"], made["line"], made["lower"]) == ("muon.py", 7, "given")
    assert table.provenance.source == "muon.py:7, a list of 5 rows"
    assert run("certify", "coeffs/muon.json").exit_code == 0
    same = polydesign.from_rows(UNKNOWN, lower=0.01)
    assert (table.digest, table.certificate) == (same.digest, same.certificate)


def test_nothing_is_overwritten(run: Run) -> None:
    written("mine.py", UNKNOWN)
    assert run("import", "mine.py").exit_code == 0
    assert "left as it is" in run("import", "mine.py").stdout
    before = Path("coeffs/mine.json").read_bytes()
    refused = run("import", "mine.py", "--lower", 0.01)
    assert refused.exit_code == 2
    assert "exists and is different" in refused.stderr
    assert Path("coeffs/mine.json").read_bytes() == before
    assert run("import", "mine.py", "--lower", 0.01, "--force").exit_code == 0
    assert polydesign.load("coeffs/mine.json").schedule.interval == (0.01, 1.0)


def test_standard_output_has_the_table_alone(run: Run) -> None:
    written("mine.py", UNKNOWN)
    found = run("import", "mine.py", "-o", "-", "--quiet")
    assert found.stderr == ""
    assert json.loads(found.stdout)["name"] == "mine"
    assert not Path("coeffs").exists()


def test_no_name_of_the_package_is_taken(run: Run, tmp_path: Path) -> None:
    """A file coeffs/jordan_5.json would stand for the package's table in this folder."""
    written("jordan_5.py", UNKNOWN)
    assert run("import", "jordan_5.py").exit_code == 0
    assert only_table(tmp_path).name == "jordan_5-imported"


@pytest.mark.parametrize(
    ("source", "name", "expected"),
    [
        ("jordan_5", "(3.4445, -4.775, 2.0315)", ("sign", 2, 5, 1e-3)),  # one row
        ("su_root_r4", None, ("root", 4, None, None)),
        ("su_root_r1", None, ("inverse", 1, None, None)),
        ("cans_invsqrt_10", None, ("root", 2, None, 1e-3)),
        ("clip-d9x3-l0.1-bf16", None, ("clip", 2, None, 0.1)),
    ],
)
def test_a_known_list_is_what_its_table_is(
    run: Run, tmp_path: Path, source: str, name: str | None, expected: tuple[Any, ...]
) -> None:
    table = polydesign.load(source)
    Path("mine.py").write_text(f"coeffs = {name or table.as_tuples()}\n")
    found = run("import", "mine.py")
    assert found.exit_code == 0, found.stderr
    assert f"known as {source}" in found.stderr
    mine, (purpose, root, steps, lower) = only_table(tmp_path), expected
    assert (mine.purpose, mine.schedule.root) == (purpose, root)
    assert len(mine.schedule.steps) == (steps or len(table.schedule.steps))
    assert mine.schedule.interval[0] == (lower or table.schedule.interval[0])


def test_a_text_that_names_a_program_is_that_table(run: Run) -> None:
    """Its numbers are the program's constants, and no coefficients."""
    name = "sign-m15-l1e-3-bf16"
    assert run("export", name, "--to", "torch-function", "-o", "newton.py").exit_code == 0
    found = run("certify", "newton.py", "--json")
    assert f"the text is that of {name}, and that table is taken" in found.stderr
    assert found.stdout == run("certify", name, "--json").stdout
    refused = run("import", "newton.py", "--root", 4)
    assert f"--root: is that of {name}, which the file names: leave it out" in refused.stderr


@pytest.mark.usefixtures("undrawn")
def test_a_report_has_the_command_that_makes_the_table_again(run: Run, tmp_path: Path) -> None:
    Path("my lists.py").write_text(f"a = {EXPRESS!r}\nb = {[row[::-1] for row in UNKNOWN]!r}\n")
    assert run("import", "my lists.py:b", "--layout", "descending", "--name", "mine").exit_code == 0
    table = only_table(tmp_path)
    assert run("report", "coeffs/mine.json", "-o", "page").exit_code == 0
    page = Path("page/report.md").read_text("utf-8")
    (command,) = re.findall(r"(?m)^polydesign (import .*)$", page)
    assert run(*shlex.split(command), "-o", "again.json").exit_code == 0
    assert polydesign.load("again.json").schedule == table.schedule
    assert run("report", "my lists.py:a", "-o", "other").exit_code == 0
    assert "polydesign report 'my lists.py:a' -o FOLDER" in Path("other/report.md").read_text("utf-8")


# Where a list can be meant in two ways.


def test_one_row_is_a_step_or_several(run: Run, tmp_path: Path) -> None:
    written("one.py", [(2.6, -2.5, 0.93)])
    refused = run("import", "one.py")
    assert refused.exit_code == 2
    assert "--steps: one.py:1 has one row" in refused.stderr
    assert not Path("coeffs").exists()
    for steps in (1, 6):
        assert run("import", "one.py", "--steps", steps, "--force").exit_code == 0
        assert len(only_table(tmp_path).schedule.steps) == steps
    written("five.py", UNKNOWN)
    assert "--steps: is for one row, and five.py:1 has 5" in run("import", "five.py", "--steps", 2).stderr


def test_rows_by_columns(run: Run, tmp_path: Path) -> None:
    written("columns.py", zip(*UNKNOWN, strict=True))
    refused = run("import", "columns.py")
    if refused.exit_code:  # a reader that turns them round itself is as good
        assert "--layout: columns.py:1 can be read in two ways" in refused.stderr
        assert "say layout steps, or layout columns" in refused.stderr
        assert not Path("coeffs").exists()
        assert run("import", "columns.py", "--layout", "columns").exit_code == 0
    assert only_table(tmp_path).as_tuples() == UNKNOWN
    as_it_stands = run("import", "columns.py", "--layout", "steps", "-o", "other.json")
    assert as_it_stands.exit_code == 2 or polydesign.load("other.json").as_tuples() == UNKNOWN


def test_decreasing_powers(run: Run, tmp_path: Path) -> None:
    written("turned.py", [row[::-1] for row in UNKNOWN])
    refused = run("import", "turned.py")
    assert refused.exit_code == 2
    assert "say layout steps, or layout descending" in refused.stderr
    assert run("import", "turned.py", "--layout", "descending").exit_code == 0
    assert only_table(tmp_path).as_tuples() == UNKNOWN


def test_all_powers_of_x(run: Run, tmp_path: Path) -> None:
    written("odd.py", [[c for a in row for c in (0.0, a)] for row in UNKNOWN])
    refused = run("import", "odd.py")
    if refused.exit_code:
        assert "say layout steps, or layout powers-of-x" in refused.stderr
        assert run("import", "odd.py", "--layout", "powers-of-x").exit_code == 0
    assert only_table(tmp_path).as_tuples() == UNKNOWN


def test_a_known_list_that_was_turned_round(run: Run, tmp_path: Path) -> None:
    written("turned.py", EXPRESS[::-1])
    refused = run("import", "turned.py")
    assert refused.exit_code == 2
    assert "--layout: turned.py:1 is polar_express_nanochat, rows in reverse order" in refused.stderr
    written("right.py", EXPRESS)
    assert run("import", "right.py").exit_code == 0


def test_another_root(run: Run, tmp_path: Path) -> None:
    own = polydesign.design(root=4, degree=9, steps=4, lower=0.1, headroom=1.013, cushion=0.02)
    written("shampoo.py", [[round(c, 4) for c in row] for row in own.as_tuples()])
    refused = run("import", "shampoo.py")
    assert refused.exit_code == 2
    assert "--root: shampoo.py:1 can be read in" in refused.stderr
    assert re.search("say root 2, or root .*4", refused.stderr)
    assert run("import", "shampoo.py", "--root", 4).exit_code == 0
    table = only_table(tmp_path)
    assert (table.purpose, table.schedule.root, table.schedule.interval) == ("root", 4, (0.1, 1.0))
    assert run("import", "shampoo.py", "--root", 2, "-o", "sign.json").exit_code == 0


LISTS = [one.name for one in polydesign.tables(published=True) if not published(one.name).scheme]


@pytest.mark.few(8)
@pytest.mark.parametrize("name", LISTS)
def test_no_list_of_the_literature_is_taken_for_something_else(name: str, tmp_path: Path) -> None:
    """Neither as it stands, nor so far off that nobody knows it: then another root is refused, not proved."""
    table = polydesign.load(name)
    path, order, far = tmp_path / "list.py", table.schedule.root, 1 + 1e-3
    written(str(path), table.as_tuples())
    if table.schedule.error < 1:
        assert polydesign.import_table(path).schedule.root == order
    written(str(path), [[c * far ** (-1) ** j for j, c in enumerate(row)] for row in table.as_tuples()])
    try:
        found = polydesign.import_table(path).schedule.root
    except InputError as refusal:
        found = refusal.field.rpartition(" ")[2]
    assert found in (order, "root", "purpose", "rows")


@pytest.mark.parametrize(
    ("name", "fields"), [("clip-d9x4-l0.01-bf16", ["purpose"]), ("su_root_r4", ["root", "purpose"])]
)
def test_a_list_like_a_known_one_for_something_else(name: str, fields: list[str], tmp_path: Path) -> None:
    """Rounded to five decimals it is not that table, and is not taken for a sign either."""
    table = polydesign.load(name)
    written(str(tmp_path / "list.py"), [[round(c, 5) for c in row] for row in table.as_tuples()])
    how: dict[str, Any] = {"lower": table.schedule.interval[0]}
    decided = {"root": table.schedule.root, "purpose": table.purpose}
    with pytest.raises(InputError, match=f"is {name}, rounded to 5 decimals, whose {fields[0]}") as refusal:
        polydesign.import_table(tmp_path / "list.py", **how)
    assert refusal.value.field == fields[0]
    made = polydesign.import_table(tmp_path / "list.py", **how, **decided)
    assert (made.schedule.root, made.purpose) == (table.schedule.root, table.purpose)


@pytest.mark.parametrize("name", [name for name in names() if published(name).misprint])
def test_a_misprint_is_refused(run: Run, name: str) -> None:
    written("wrong.py", published(name).rows)
    refused = run("import", "wrong.py")
    assert refused.exit_code == 2
    assert f"is {name}, a misprint that diverges" in refused.stderr


# What is no list.


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("empty.py", "", "empty.py, text: is empty"),
        ("none.py", "x = 'a'\n", "none.py, text: holds no list of rows"),
        ("broken.py", "x = [(1,\n", "broken.py, line 1"),
        ("useless.py", "x = [(1.0, 2.0, 3.0), (1.0, 2.0, 3.0)]\n", "no better than doing nothing"),
        ("huge.py", "x = [(1e308, 1e308, 1e308)] * 3\n", "no better than doing nothing"),
    ],
)
def test_refusals(run: Run, name: str, text: str, message: str) -> None:
    Path(name).write_text(text)
    for command in (("import", name), ("certify", name), ("plot", name)):
        refused = run(*command)
        assert refused.exit_code == 2
        assert message in refused.stderr
        assert "Traceback" not in refused.stderr
    assert not Path("coeffs").exists()


def test_a_table_is_not_imported(run: Run) -> None:
    assert run("search", "--steps", 3, "-o", "mine.json", "--quiet").exit_code == 0
    for source in ("mine.json", "jordan_5"):
        refused = run("import", source)
        assert refused.exit_code == 2
        assert f"polydesign show {source}" in refused.stderr
    assert "did you mean jordan_5" in run("import", "jordan").stderr


def test_the_file_of_a_table_is_never_read_as_a_list(run: Run) -> None:
    """Also where it was cut off, or its first line was taken out: its steps would be read without its root."""
    assert (
        run("search", "--root", 4, "--degree", 5, "--steps", 3, "--lower", 0.1, "-o", "mine.json").exit_code
        == 0
    )
    text = Path("mine.json").read_text()
    body = json.loads(text)
    del body["schema"]
    for changed in (text[: len(text) // 2], json.dumps(body)):
        Path("mine.json").write_text(changed)
        refused = run("certify", "mine.json")
        assert refused.exit_code == 2
        assert "mine.json: $" in refused.stderr


def test_json_and_toml_of_others(run: Run, tmp_path: Path) -> None:
    Path("config.json").write_text(json.dumps({"lr": 0.02, "ns_coefficients": UNKNOWN}))
    assert run("import", "config.json", "-o", "a.json").exit_code == 0
    Path("bare.json").write_text(json.dumps(UNKNOWN))
    assert run("import", "bare.json", "-o", "b.json").exit_code == 0
    assert polydesign.load("a.json").digest == polydesign.load("b.json").digest


def test_python_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "muon.py"
    path.write_text(f"a = {UNKNOWN!r}\nb = {EXPRESS!r}\n")
    table = polydesign.import_table(path, which="a", lower=0.01, name="mine")
    assert (table.name, table.as_tuples()) == ("mine", UNKNOWN)
    with pytest.raises(InputError, match=r"holds several lists, a .*muon\.py:NAME"):
        polydesign.certify(path)


@pytest.mark.parametrize(
    ("how", "field"),
    [
        ({"layout": "sideways"}, "layout"),
        ({"layout": "powers-of-x"}, "layout"),
        ({"root": 0}, "root"),
        ({"steps": 0}, "steps"),
        ({"purpose": "clip"}, "lower"),
        ({"purpose": "inverse"}, "purpose"),
        ({"lower": 3}, "lower"),
    ],
)
def test_arguments_are_checked(tmp_path: Path, how: dict[str, Any], field: str) -> None:
    (tmp_path / "a.py").write_text(f"a = {UNKNOWN!r}\n")
    with pytest.raises(InputError) as refusal:
        polydesign.import_table(tmp_path / "a.py", **how)
    assert refusal.value.field.rpartition(" ")[2] == field


# The terminal.


def test_the_version_and_the_module() -> None:
    """python -m polydesign is the command line, and -V its version."""
    for option in ("-V", "--version"):
        command = [sys.executable, "-m", "polydesign", option]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        assert found.stdout == f"polydesign {polydesign.__version__}\n"


def test_a_precision_that_was_named_is_kept_beside_a_safety_of_ones_own(run: Run) -> None:
    asked = (
        "--degree",
        5,
        "--steps",
        5,
        "--dtype",
        "float32",
        "--image-floor",
        0.4,
        "--quiet",
        "-o",
        "mine.json",
    )
    assert run("search", *asked).exit_code == 0
    assert polydesign.load("mine.json").dtype == "float32"
    found = run("verify", "mine.json", "--shape", "32x48", "--spectrum", "gaussian")
    assert found.exit_code == 0
    assert "mine in float32" in found.stdout or " in float32 on " in found.stdout


def test_show_of_a_published_table_without_parameters(run: Run) -> None:
    body = json.loads(run("show", "jordan_5", "--json").stdout)
    for parameters in ({}, {"folded": "x"}, {"folded": 1.0}):
        body["provenance"]["parameters"] = parameters
        Path("mine.json").write_text(json.dumps(body))
        shown = run("show", "mine.json")
        assert shown.exit_code == 0, shown.stderr
        assert "promise      |f(x) - 1| <= 0.529457" in shown.stdout

"""The public face: a function a command, which says what the command prints; and what is public at all."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure
from pages import PAGES, ROOT, blocks

import polydesign
from polydesign import Certificate, InputError, Measurement, Table
from polydesign.cli import main
from polydesign.table import dumps
from polydesign.table.measurements import dumps as measurements_text

OURS, THEIRS = "sign-d5x5-l1e-3-bf16", "jordan_5"


def run(*arguments: Any) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def certificate_text(found: Certificate) -> str:
    return json.dumps({k: v for k, v in asdict(found).items() if v is not None}, indent=2) + "\n"


def entries_text(found: list[Any]) -> str:
    words = ("name", "purpose", "root", "degrees", "interval", "dtype", "form", "matmuls", "error")
    return "".join(f"{[getattr(one, word) for word in words]}\n" for one in found)


def listed(text: str) -> str:
    rows = [list(row.values())[:9] for row in json.loads(text)]
    return "".join(f"{[tuple(v) if isinstance(v, list) else v for v in row]}\n" for row in rows)


@dataclass
class Verb:
    """A function of a table, the words of its command, and how its result becomes what that prints."""

    call: Callable[[Any], Any]
    kind: type
    command: tuple[Any, ...]
    text: Callable[[Any], str] = str


SMALL: dict[str, Any] = {"shape": (32, 48), "spectra": "gaussian,rank2", "seed": 3}

VERBS = {
    "load": Verb(polydesign.load, Table, ("show", OURS, "--json"), dumps),
    "certify": Verb(polydesign.certify, Certificate, ("certify", OURS, "--json"), certificate_text),
    "verify": Verb(
        lambda table: polydesign.verify(table, **SMALL), list,
        ("verify", OURS, "--shape", "32x48", "--spectrum", "gaussian,rank2", "--seed", 3, "--json"), measurements_text,
    ),
    "compare": Verb(
        lambda table: polydesign.compare([table, THEIRS]), polydesign.Comparison, ("compare", OURS, THEIRS),
        lambda found: f"{found}\n",
    ),
    "compare, measured": Verb(
        lambda table: polydesign.compare([table], lower=[0.01], measure=True, shape=(16, 24)), polydesign.Comparison,
        ("compare", OURS, "--lower", "0.01", "--measure", "--shape", "16x24", "--json"),
        lambda found: json.dumps(found.to_json(), indent=2) + "\n",
    ),
    "identify": Verb(polydesign.identify, polydesign.Identification, ("identify", OURS), lambda found: f"{found}\n"),
    "identify, as JSON": Verb(
        lambda table: polydesign.identify(table, lower=0.01), polydesign.Identification,
        ("identify", OURS, "--lower", 0.01, "--json"), lambda found: json.dumps(found.to_json(), indent=2) + "\n",
    ),
    "fold": Verb(
        lambda table: polydesign.fold(table, 1.001, "first"), Table,
        ("fold", OURS, "--factor", 1.001, "--rows", "first", "-o", "-"), dumps,
    ),
    "unfold": Verb(
        lambda table: polydesign.unfold(table, 1.001, name="mine"), Table,
        ("unfold", OURS, "--factor", 1.001, "--name", "mine", "-o", "-"), dumps,
    ),
    "export": Verb(lambda table: polydesign.export(table, "optax"), str, ("export", OURS, "--to", "optax")),
}  # fmt: skip


@pytest.mark.parametrize("name", VERBS)
def test_a_command_prints_what_its_function_returns(name: str) -> None:
    verb = VERBS[name]
    found = verb.call(OURS)
    assert isinstance(found, verb.kind)
    assert verb.text(found) == run(*verb.command)


@pytest.mark.parametrize("name", VERBS)
def test_a_name_a_path_and_a_table_are_the_same(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """And the table that is given stays as it is, and nothing is printed."""
    verb, table = VERBS[name], polydesign.load(OURS)
    before = dumps(table)
    polydesign.save(table, tmp_path / f"{OURS}.json")
    paths: list[Any] = [tmp_path / f"{OURS}.json"]
    if "identify" not in name:
        paths.append(str(paths[0]))  # to identify a text is what is to be identified
    expected = verb.text(verb.call(OURS))
    for source in [*paths, *([] if name == "load" else [table])]:
        assert verb.text(verb.call(source)) == expected
    assert dumps(table) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", VERBS)
def test_another_table_gives_something_else(name: str) -> None:
    """Negative control of the two above: the text that is compared tells tables apart."""
    verb = VERBS[name]
    assert verb.text(verb.call("sign-d5x6-l1e-3-bf16")) != verb.text(verb.call(OURS))


@pytest.mark.parametrize(
    ("keywords", "options"),
    [
        ({}, []),
        ({"root": 4, "own": True, "dtype": "fp32"}, ["--root", 4, "--own", "--dtype", "fp32"]),
        ({"published": True, "degree": 5}, ["--published", "--degree", 5]),
    ],
)
def test_tables_are_those_that_list_prints(keywords: dict[str, Any], options: list[Any]) -> None:
    assert entries_text(polydesign.tables(**keywords)) == listed(run("list", "--json", *options))


@pytest.mark.usefixtures("undrawn")
def test_what_writes_files_writes_the_same(tmp_path: Path) -> None:
    """plot, report and conformance, by name and by table."""

    def files(folder: Path) -> dict[str, bytes]:
        found = [path for path in folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(folder)): path.read_bytes() for path in found}

    table = polydesign.load(OURS)
    written = polydesign.conformance(table, tmp_path / "kit", seed=1)
    run("conformance", OURS, "--seed", 1, "-o", tmp_path / "kit2")
    assert files(tmp_path / "kit") == files(tmp_path / "kit2")
    assert {path.name for path in written} == set(files(tmp_path / "kit"))
    page = polydesign.report([table, THEIRS], tmp_path / "page")
    run("report", OURS, THEIRS, "-o", tmp_path / "page2")
    assert files(tmp_path / "page") == files(tmp_path / "page2")
    assert [chapter.name for chapter in page.chapters] == [OURS, THEIRS]
    runs = polydesign.verify(table, **SMALL)
    (tmp_path / "m.json").write_text(measurements_text(runs))
    for measured in (runs, tmp_path / "m.json"):
        figure = polydesign.plot(OURS, measured=measured)
        assert isinstance(figure, Figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="raw")
        run("plot", OURS, "--measured", tmp_path / "m.json", "-o", tmp_path / "m.svg")
        from polydesign.drawing import save_figure

        save_figure(figure, tmp_path / "own.svg")
        assert (tmp_path / "own.svg").read_bytes() == (tmp_path / "m.svg").read_bytes()


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: polydesign.certify(3), "table"),  # pyright: ignore[reportArgumentType]
    (lambda: polydesign.certify("jordn_5"), "jordn_5"),
    (lambda: polydesign.fold(OURS, 0.0), "factor"),
    (lambda: polydesign.fold(OURS, 1.01, "last"), "which"),
    (lambda: polydesign.fold("clip-d9x3-l0.1-bf16", 1.01), "table"),
    (lambda: polydesign.export(OURS, "optaks"), "to"),
    (lambda: polydesign.verify(OURS, spectra="gausian"), "spectra"),
    (lambda: polydesign.verify(OURS, spectra=["rank1", "no"]), "spectra"),
    (lambda: polydesign.verify(OURS, dtype="int8"), "dtype"),
    (lambda: polydesign.verify(OURS, operator="exp"), "operator"),
    (lambda: polydesign.verify(OURS, device="tpu"), "device"),
    (lambda: polydesign.verify(OURS, shape=(0, 3)), "shape"),
    (lambda: polydesign.verify(OURS, matrix=[[0.0, 0.0]]), "matrix"),
    (lambda: polydesign.verify(OURS, restarts=(2,)), "restarts"),
    (lambda: polydesign.compare([]), "tables"),
    (lambda: polydesign.compare([OURS, "root4-m11-l0.1-fp32"]), "tables"),
    (lambda: polydesign.compare([OURS], lower=[2]), "lower"),
    (lambda: polydesign.identify(""), "text"),
    (lambda: polydesign.identify([(1.0,)]), "rows[0]"),
    (lambda: polydesign.identify([("a", 1.0)]), "rows"),  # pyright: ignore[reportArgumentType]
    (lambda: polydesign.identify("1.5 -0.5", lower=2), "lower"),
    (lambda: polydesign.identify("1.5 -0.5", root=0), "root"),
    (lambda: polydesign.identify(OURS, steps=3), "steps"),
    (lambda: polydesign.tables(root=0), "root"),
    (lambda: polydesign.tables(own=True, published=True), "own"),
    (lambda: polydesign.plot(), "tables"),
    (lambda: polydesign.plot(OURS, "root4-m11-l0.1-fp32"), "tables"),
    (lambda: polydesign.plot(OURS, measured=polydesign.verify(THEIRS, **SMALL)), "measured"),
]


@pytest.mark.parametrize(("call", "name"), REFUSED)
def test_errors_name_the_argument(call: Callable[[], object], name: str) -> None:
    with pytest.raises(InputError) as refusal:
        call()
    assert refusal.value.field == name


def test_a_claim_that_does_not_follow_is_named(tmp_path: Path) -> None:
    body = json.loads(dumps(polydesign.load(OURS)))
    body["certificate"]["optimum"] = ["0.12", "0.13"]
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(body))
    for source, where in ((path, str(path)), (polydesign.load(path), "table")):
        with pytest.raises(polydesign.ClaimError) as refusal:
            polydesign.certify(source)
        assert refusal.value.field == f"{where}: $.certificate.optimum"
    assert polydesign.certify(path, renew=True) == polydesign.certify(OURS)


def test_rows_are_the_same_as_their_text() -> None:
    rows = [(3.4445, -4.7750, 2.0315)]
    assert polydesign.identify(rows) == polydesign.identify("3.4445 -4.7750 2.0315")


def test_progress_is_told() -> None:
    told: list[tuple[int, int, str]] = []
    polydesign.verify(OURS, **SMALL, progress=lambda *what: told.append(what))
    assert told == [(0, 2, "gaussian"), (1, 2, "rank2")]


def test_a_matrix_of_the_callers_is_measured() -> None:
    (found,) = polydesign.verify(OURS, matrix=[[2.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    assert isinstance(found, Measurement)
    assert (found.shape, found.spectrum, found.holds) == ((2, 3), "matrix", True)


# What is public.

ROOMS = sorted(path.parent.name for path in (ROOT / "polydesign").glob("*/__init__.py"))
VERB_NAMES = [name for name in polydesign.__all__ if inspect.isfunction(getattr(polydesign, name))]


@pytest.mark.parametrize("name", sorted({*VERB_NAMES} - {"design", "sweep"}))
def test_docstrings_say_arguments_and_results(name: str) -> None:
    function = getattr(polydesign, name)
    text = inspect.getdoc(function) or ""
    sections = ("Args:", "Returns:", "Raises:")
    assert [section for section in sections if section not in text] == []
    arguments = text.partition("Args:")[2].partition("Returns:")[0]
    assert [
        p
        for p in inspect.signature(function).parameters
        if f"{p.lstrip('*')}:" not in arguments and f" {p}" not in arguments
    ] == []


@pytest.mark.parametrize("name", VERB_NAMES)
def test_the_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    function = getattr(polydesign, name)
    names = dict(vars(sys.modules[function.__module__]))
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder(recurse=False).find(function, name, globs=names):
        runner.run(test)
    assert runner.failures == 0
    assert runner.tries or name in ("load", "save", "sweep", "report", "conformance", "doctor")


@pytest.mark.parametrize("room", [room for room in ROOMS if room not in ("cli", "text")])
def test_a_room_says_what_is_public(room: str) -> None:
    module = importlib.import_module(f"polydesign.{room}")
    assert module.__doc__
    for name in module.__all__:
        if not hasattr(module, name):
            importlib.import_module(f"polydesign.{room}.{name}")  # a module that is public as a whole
        if room not in ("model", "runtime"):  # whose names are too many for a sentence
            assert name in module.__doc__


def test_the_page_lists_what_is_public() -> None:
    page = (ROOT / "docs" / "python.md").read_text("utf-8")
    places = [
        polydesign,
        *(
            importlib.import_module(f"polydesign.{room}")
            for room in ("runtime", "optim", "verification", "exporters")
        ),
    ]
    for module in places:
        missing = [
            name
            for name in module.__all__
            if f"`{name}`" not in page and f"`{name}(" not in page and f"`polydesign.{name}`" not in page
        ]
        assert missing == [], module.__name__


def test_help_lists_it_too() -> None:
    code = "import polydesign; help(polydesign)"
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert [name for name in VERB_NAMES if f"    {name}(" not in text] == []
    assert [name for name in polydesign.__all__ if name not in text and name != "__version__"] == []


def private_imports(block: str) -> list[str]:
    """The imports of polydesign in a block of Python that are of no public place."""
    found = []
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "polydesign"]
            found += [name for name in names if name.count(".") > 1]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "polydesign":
            module = (
                importlib.import_module(node.module or "") if (node.module or "").count(".") < 2 else None
            )
            public = [] if module is None else [*module.__all__, *(ROOMS if module is polydesign else ())]
            found += [f"{node.module}.{alias.name}" for alias in node.names if alias.name not in public]
    return found


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "CONTRIBUTING.md"], ids=lambda page: page.name
)
def test_pages_import_from_public_places(page: Path) -> None:
    for language, block in blocks(page):
        assert language != "python" or private_imports(block) == []


@pytest.mark.parametrize(
    ("block", "wrong"),
    [
        ("from polydesign.table.catalogue import load", ["polydesign.table.catalogue.load"]),
        ("from polydesign.exporters import target", ["polydesign.exporters.target"]),
        ("import polydesign.search.minimax", ["polydesign.search.minimax"]),
        (
            "from polydesign import Table, program\nfrom polydesign.program import cost\nimport polydesign.runtime",
            [],
        ),
    ],
)
def test_a_private_import_is_noticed(block: str, wrong: list[str]) -> None:
    assert private_imports(block) == wrong

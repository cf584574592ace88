"""The report says what the tables and measurements say, is the same every time, and refuses what is bad."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from matplotlib.text import Text

from polydesign.cli import main
from polydesign.designer.design import design, published_table
from polydesign.drawing.figures import rendered
from polydesign.model import InputError, Provenance, Table
from polydesign.reporting import origin, pictures, sentences
from polydesign.reporting.comparison import Seen, compared_rows
from polydesign.reporting.folder import write
from polydesign.reporting.page import Report, html, laid_out, markdown
from polydesign.search.rounding_aware import Terms, propose
from polydesign.table import digest, loads, save
from polydesign.table.catalogue import load
from polydesign.table.measurements import dumps
from polydesign.verification.sweep import measure

OURS, THEIRS, PROGRAM = "sign-d5x5-l1e-3-bf16", "jordan_5", "sign-d9x4-l1e-3-h1.015-f0.12x3-0"
PIXELS = 390 - 2 * 16
"""Width of a figure on a phone: the page less its margins."""


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["report", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture(scope="module")
def tables() -> list[Table]:
    ours, program = (replace(load(name), measured=(), tried=()) for name in (OURS, PROGRAM))
    return [ours, published_table(THEIRS), program]


@pytest.fixture(scope="module")
def small() -> list[Table]:
    """Two cubic steps each: a chapter takes seconds, most of them for what is drawn."""
    return [design(degree=3, steps=2, lower=lower, dtype="float32") for lower in (0.1, 0.2)]


@pytest.fixture(scope="module")
def one(small: list[Table]) -> Report:
    return laid_out(small[:1])


@pytest.fixture(scope="module")
def measured(tables: list[Table]) -> list:
    how = {"shape": (24, 40), "dtype": "float32", "steps": True}
    return [measure(tables[0], spectrum=spectrum, **how) for spectrum in ("gaussian", "rank2")]


@pytest.fixture(scope="module")
def made(tables: list[Table], measured: list) -> Report:
    return laid_out(tables, measured, command="polydesign report")


class Page(HTMLParser):
    """Addresses, images, and whether every tag that opens is closed."""

    VOID = ("meta", "img", "br", "wbr", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        found = dict(attrs)
        self.addresses += [found[key] or "" for key in ("src", "href", "srcset", "action") if key in found]
        self.ids += [found["id"] or ""] if "id" in found else []
        if tag == "img":
            self.images.append(found)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone(made: Report) -> None:
    text = html(made)
    page = Page(text)
    assert page.open == []
    assert page.tags.count("script") == 1  # that of the copy buttons
    assert not re.search(r"fetch|XMLHttp|import|src=\"http", text.partition("<script>")[2])
    assert "link" not in page.tags
    assert all(address.startswith(("data:image/svg+xml;base64,", "#")) for address in page.addresses)
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert "url(" not in text
    assert "@import" not in text
    assert len(page.images) == len(made.pictures) == 2 + 4 * 3
    assert all(len(image["alt"] or "") > 40 for image in page.images)
    assert len(set(page.ids)) == len(page.ids)


def test_it_says_what_the_tables_say(made: Report, tables: list[Table], measured: list) -> None:
    plain = html(made).replace("\u00a0", " ")
    for text in (plain, markdown(made)):
        for table in tables:
            assert digest(table.schedule) in text
            assert table.certificate is not None
            assert table.certificate.error[1] in text
            for row in table.as_tuples():
                assert repr(row) in text
        assert "within 0.194 of 1" in text
        assert "1.0120" in text  # the safe edge
        assert "Nothing is measured" in text  # of the other two
        assert "2 runs of msign" in text
        assert "2 of 2" in text
    constants = origin.programs(tables[2].schedule)
    assert constants
    assert all(line in plain for line in constants)
    source = tables[1].provenance.source
    assert source is not None
    assert source.split()[0] in plain


def test_markdown_names_its_figures_and_keeps_its_tables_whole(made: Report) -> None:
    text = markdown(made)
    named = re.findall(r"\]\(figures/([^)]+)\)", text)
    assert sorted(named) == sorted(f"{picture.stem}.svg" for picture in made.pictures)
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(cells) == 1
    assert text.count("```") % 2 == 0
    assert "max \\|p − 1\\| |" in text
    assert "\\\\" not in text


def test_the_same_tables_give_the_same_bytes(small: list[Table], one: Report) -> None:
    run = measure(small[0], spectrum="gaussian", shape=(24, 40), dtype="float32", steps=True)
    found, again = (laid_out(small[:1], [run]) for _ in range(2))
    assert again == found
    assert html(again) == html(found)
    assert html(one) != html(found)  # negative control
    # What the file has of the same run, without its map, is not counted twice.
    kept = replace(small[0], measured=(replace(run, map=None),))
    assert laid_out([kept], [run]).chapters == found.chapters
    lost = replace(run, worst=None, holds=False, spectrum="rank2")
    (row,) = (r for r in sentences.rounding(compared_rows(small[:1])[0], {}, [run, lost]) if r[0] == "fp32")
    assert row[3:] == ("not finite", "rank2", "1 of 2")
    rows = compared_rows(small)
    for draw in (lambda: pictures.maps_picture(small), lambda: pictures.products_picture(rows)):
        assert rendered(draw(), "svg") == rendered(draw(), "svg")


def test_text_in_figures_is_large_enough_on_a_phone(tables: list[Table], measured: list) -> None:
    from polydesign.rounding.direct import predict

    schedule = tables[0].schedule
    figures = [
        pictures.map_picture(tables[0], measured),
        pictures.steps_picture(schedule),
        pictures.rounding_picture(schedule, {"float32": predict(schedule, "float32")}, measured),
        pictures.histogram_picture(measured[0].map),
        pictures.maps_picture(tables),
    ]
    for figure in figures:
        assert figure.get_figwidth() == pictures.PHONE
        scale = PIXELS / (72 * pictures.PHONE)
        texts: list[Any] = figure.findobj(Text)
        sizes = [text.get_fontsize() for text in texts if text.get_text()]
        assert len(sizes) > 5
        assert min(sizes) * scale >= 11
    # Negative control: a figure for the desk is not readable there.
    from polydesign.drawing.figures import schedule_figure

    wide = schedule_figure(tables[0])
    assert 10 * PIXELS / (72 * wide.get_figwidth()) < 11


def test_hostile_text_stays_text(small: list[Table]) -> None:
    bad = '<script>alert(1)</script> "| ` [x](http://y) ```'
    origin_ = replace(small[1].provenance, source=bad, parameters={"note": bad, "<b>": 1})
    found = laid_out([replace(small[1], provenance=origin_)])
    page = Page(html(found))
    assert "b" not in page.tags
    assert page.tags.count("script") == 1
    assert "alert" not in html(found).partition("<script>\n")[2]
    text = markdown(found)
    assert "<script" not in text
    assert "[x](http" not in text


@pytest.mark.usefixtures("undrawn")
def test_several_roots_are_compared_apart(small: list[Table]) -> None:
    alone = design(root=4, degree=5, steps=2, lower=0.5, dtype="float32")
    fresh = {table.name: (Seen("float16", 0.123, "fresh", 0.1, 2),) for table in [*small, alone]}
    found = laid_out([alone, *small], fresh=fresh)
    assert [one.name for one in found.chapters][2:] == [alone.name]  # root 2 comes first
    assert [one.title for one in found.comparisons] == ["Comparison, root 2"]
    assert [one.name for one in found.unlisted] == [alone.name]
    _, grid = found.comparisons[0].grids
    assert [row[grid.heading.index("measured fp16")] for row in grid.rows] == ["0.123", "0.123"]
    assert "eigenvalue^(1/4)" in markdown(found).replace("\\", "")


@pytest.mark.usefixtures("undrawn")
def test_a_table_that_promises_nothing_says_so(made: Report) -> None:
    text = markdown(laid_out([published_table("aol_4_initial")]))
    assert "Nothing: a singular value" in text
    assert "2.09 from 1" in text
    assert "no error of the norm is allowed for" in text
    assert "Nothing: a" not in markdown(made)  # negative control


@pytest.mark.parametrize("strategy", ["adam", "budget", "clip", "equioscillation", "published", "mine"])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"lower": "min"},
        {"dtype": "float32", "caution": "much", "shape": 5, "exact": False},
        {"dtype": ["float32"], "caution": -1},
    ],
)
def test_a_file_says_what_it_likes_of_its_origin(
    tables: list[Table], strategy: str, parameters: dict
) -> None:
    stated = replace(tables[0].provenance, strategy=strategy, parameters=parameters)
    table = replace(tables[0], provenance=stated)
    command, note = origin.command(table)
    assert note
    if strategy in ("published", "mine"):
        assert command == ""  # under this name nothing is published
    assert [origin.caution(table, dtype) for dtype in ("float32", "float16")] == [1, 1]
    assert sentences.expected(table)


def test_a_stated_caution_is_taken(tables: list[Table]) -> None:
    stated = replace(tables[0].provenance, parameters={"caution": 4.0})
    table = replace(tables[0], provenance=stated, dtype="float16")
    assert [origin.caution(table, dtype) for dtype in ("float32", "float16")] == [1, 4]
    assert "in fp16 for 4 of that noise" in sentences.expected(table)


def test_what_is_to_be_pasted_has_its_commands(made: Report, tables: list[Table]) -> None:
    """Each target that can express the table, and no other; the command prints what `export` gives."""
    by_name = {one.name: one.exports for one in made.chapters}
    for table in tables:
        for _, command in by_name[table.name]:
            assert command.startswith(f"polydesign export {table.name} --to ")
            assert html(made).count(f">{command}</pre>") == markdown(made).count(command + "\n") == 1
    targets = [command.split()[-1] for _, command in by_name[THEIRS]]
    assert {"torch-function", "optax", "csv"} <= set(targets)
    assert "optax" not in [command.split()[-1] for _, command in by_name[PROGRAM]]  # of degree 9
    _, command = by_name[THEIRS][targets.index("optax")]
    result = CliRunner().invoke(main, shlex.split(command)[1:])
    assert result.exit_code == 0
    assert "ns_coeffs" in result.stdout
    mine = replace(tables[0], name="mine")  # which the catalogue has not
    assert origin.exports(mine)[0][1] == "polydesign export mine.json --to torch-function"


def test_names_break_at_their_joints_alone(made: Report) -> None:
    text = html(made)
    assert "<h2>sign-<wbr>d5x5-<wbr>l1e-<wbr>3-<wbr>bf16</h2>" in text
    assert '<a href="#jordan_5">jordan_<wbr>5</a>' in text
    assert 'data-copy="the coefficients of jordan_5"' in text


COMMANDS = ["sign-d5x6-l1e-3", OURS, PROGRAM, "inverse-d3x7-l1e-4-fp32", "root4-d9x4-l0.1-bf16"]


@pytest.mark.few(2)
@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_makes_the_table_again(name: str, thorough: None) -> None:
    table = load(name)
    command, note = origin.command(table)
    arguments = shlex.split(command)
    assert arguments[:2] == ["polydesign", "search"]
    result = CliRunner().invoke(main, [*arguments[1:], "-o", "-", "--quiet"])
    assert result.exit_code == 0, result.output
    again = loads(result.stdout)
    assert digest(again.schedule) == digest(table.schedule)
    assert again.name == name
    assert note


def test_the_command_of_a_published_table(tmp_path: Path) -> None:
    command, _ = origin.command(published_table(THEIRS))
    arguments = shlex.split(command)
    subprocess.run([sys.executable, *arguments[1:]], cwd=tmp_path, check=True)
    assert load(tmp_path / f"{THEIRS}.json") == published_table(THEIRS)


@pytest.mark.parametrize("name", ["sign-m16-l1e-3-bf16", "root4-m11-l0.1-fp32", "clip-d9x3-l0.1-bf16"])
def test_other_strategies_have_a_command_that_parses(name: str) -> None:
    command, note = origin.command(load(name))
    search = main.commands["search"]  # pyright: ignore[reportAttributeAccessIssue]
    search.make_context("search", shlex.split(command)[2:])
    assert "another" in note


@pytest.mark.usefixtures("undrawn")
def test_folders(tmp_path: Path, small: list[Table], one: Report) -> None:
    folder = tmp_path / "page"
    two = laid_out(small)
    assert [path.name for path in write(two, folder)] == ["index.html", "report.md"]
    (folder / "figures" / "mine.svg").write_text("<svg/>")
    write(one, folder)  # a report may replace a report, and takes its own figures along
    left = {path.stem for path in (folder / "figures").iterdir()}
    assert left == {picture.stem for picture in one.pictures} | {"mine"}
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("")
    with pytest.raises(InputError, match="no earlier report"):
        write(one, other)
    assert [path.name for path in other.iterdir()] == ["thesis.txt"]
    write(one, other, force=True)
    assert (other / "thesis.txt").exists()
    with pytest.raises(InputError, match="is a file"):
        write(one, other / "thesis.txt")


@pytest.mark.usefixtures("undrawn")
def test_by_the_command_line(tmp_path: Path, small: list[Table]) -> None:
    save(replace(small[0], name="mine"), tmp_path / "mine.json")
    save(small[1], tmp_path / "other.json")
    runs = [measure(small[0], spectrum=s, shape=(24, 40), dtype="float32") for s in ("gaussian", "rank2")]
    (tmp_path / "m.json").write_text(dumps(runs[:1]))
    (tmp_path / "m.jsonl").write_text(dumps(runs[1:] * 2, lines=True))
    how = [tmp_path / "mine.json", tmp_path / "other.json", "--lower", "0.01"]
    how += ["--measured", tmp_path / "m.json", "--measured", tmp_path / "m.jsonl"]
    result = run(*how, "-o", tmp_path / "a")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"wrote {tmp_path / 'a' / name}" for name in ("index.html", "report.md")
    ]
    assert result.stderr == ""
    assert run(*how, "-o", tmp_path / "b", "--quiet").stdout == ""
    for name in ("index.html", "report.md", "figures/mine-map.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    text = (tmp_path / "a" / "report.md").read_text()
    assert "--lower 0.01" in text
    assert "\\[0.01, 1\\]" in text
    assert "3 runs of msign" in text


@pytest.mark.usefixtures("undrawn")
def test_measured_by_the_command_line(tmp_path: Path, device: str) -> None:
    how = [OURS, "--measure", "--shape", "32x48", "--device", device, "--quiet"]
    assert run(*how, "-o", tmp_path / "a").exit_code == 0
    text = (tmp_path / "a" / "report.md").read_text()
    runs = 15 + len(load(OURS).measured)
    assert f"{runs} runs of msign: 256×512, 32×48" in text
    assert "Nothing is measured" not in text
    assert "markers: the worst of the runs" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([OURS, "gone.json"], "no such file"),
        ([OURS, OURS], "two are called"),
        ([OURS, "--lower", "0"], "--lower: must lie between"),
        ([OURS, "--measured", "gone.json"], "gone.json"),
    ],
)
def test_nothing_is_written_where_something_is_wrong(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = run(*arguments, "-o", tmp_path / "page")
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "page").exists()


def test_measurements_of_another_table_are_refused(tmp_path: Path, measured: list) -> None:
    (tmp_path / "m.json").write_text(dumps(measured))
    result = run(THEIRS, "--measured", tmp_path / "m.json", "-o", tmp_path / "page")
    assert result.exit_code == 2
    assert "which is not in this report" in result.stderr
    (tmp_path / "m.json").write_text(json.dumps("no"))
    assert run(OURS, "--measured", tmp_path / "m.json", "-o", tmp_path / "page").exit_code == 2


def test_without_measure_torch_is_not_loaded(tmp_path: Path, small: list[Table]) -> None:
    save(small[0], tmp_path / "small.json")
    code = (
        "import sys; from polydesign.cli import main; "
        f"main(['report', {str(tmp_path / 'small.json')!r}, '--quiet', '-o', {str(tmp_path / 'page')!r}], standalone_mode=False); "
        "print(*sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "matplotlib" in out.split()
    assert "torch" not in out.split()


@pytest.mark.usefixtures("undrawn")
def test_a_table_is_expected_to_meet_the_noise_that_it_was_made_for() -> None:
    """In its own precision; for all of that noise the model calls it unsafe."""
    found = propose(Terms(2, 1e-3, 1.0, "bfloat16", inner_degrees=(8,)), 15, cautions=(0.8,), turns=(0.5,))[
        -1
    ]
    made = Provenance("0", "budget", {"caution": 0.8, "dtype": "bfloat16", "matmuls": 15})
    table = Table("noisy", found.schedule, made, dtype="bfloat16")
    assert [origin.caution(table, dtype) for dtype in ("bfloat16", "float16")] == [0.8, 1.0]
    text = markdown(laid_out([table]))
    assert "in bf16 for 0.8 of that noise" in text
    (row,) = (line for line in text.splitlines() if line.startswith("| bf16 |"))
    assert "unsafe" not in row
    all_of_it = replace(table.provenance, parameters={**table.provenance.parameters, "caution": 1.0})
    (row,) = (
        line
        for line in markdown(laid_out([replace(table, provenance=all_of_it)])).splitlines()
        if line.startswith("| bf16 |")
    )
    assert "unsafe" in row

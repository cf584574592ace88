"""Files: written whole or not at all, by one of many; and those of others, refused in seconds.

Every refusal names the path and the field, and is short; nothing that a file holds is obeyed by a terminal.
"""

from __future__ import annotations

import copy
import errno
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import polydesign
from polydesign.cli import main
from polydesign.model import InputError, Provenance, quoted, visible
from polydesign.table import load, save
from polydesign.table.catalogue import shipped
from polydesign.text import files, incoming
from polydesign.text.files import is_leftover, remove_leftovers, write_atomically, write_together

TABLE = json.loads((shipped() / "sign-d5x5-l1e-3-bf16.json").read_text("utf-8"))
PUBLISHED = json.loads((shipped() / "published" / "jordan_5.json").read_text("utf-8"))
MILLION = "1." + "5" * 1_000_000

OBEYED = ["\x1b[31mred", "\x1b]0;title\x07", "\x9b31m", "a\rb", "a\x08b", "\x7f", "\n", "\ud800", "\ufeff"]
OBEYED += ["\u202egnp.exe", "\u202d", "\u2066x\u2069", "\u200f", "\u061c", "\u2028", "\u00ad", "\U000e0041"]


def edited(body: dict[str, Any], change: Callable[[Any], Any]) -> str:
    body = copy.deepcopy(body)
    change(body)
    return json.dumps(body)


def put(*place: Any, value: Any) -> Callable[[Any], None]:
    """A change of a JSON object: the value at this place."""

    def change(body: Any) -> None:
        for key in place[:-1]:
            body = body[key]
        body[place[-1]] = value

    return change


def run(*arguments: Any) -> tuple[int, str]:
    """Exit code and output of a command, which must end in a message, without a traceback."""
    found = CliRunner().invoke(main, [str(one) for one in arguments])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, found.output


def refused(path: Path, text: str, field: str, *commands: str) -> None:
    """Every command refuses the file in a few seconds of work and in a few words, with its path and field."""
    path.write_text(text, "utf-8")
    for command in commands or ("show", "certify", "compare", "report", "export", "conformance"):
        more = {"report": ["-o", "r"], "export": ["--to", "optax"], "conformance": ["-o", "k"]}
        start = time.process_time()
        code, output = run(command, path, *more.get(command, []))
        assert time.process_time() - start < 10
        assert code in (1, 2)
        assert f"{path}: {field}" in output
        assert len(output) < 600 + len(str(path))
        assert not {c for c in output if not c.isprintable()} - {"\n"}


# --- what others wrote


@pytest.mark.parametrize("end", [MILLION, "1e9999", "9" * 100_000, "0." + "1" * 150])
@pytest.mark.parametrize("name", ["error", "optimum", "safe_edge", "basin_edge"])
def test_bounds_of_very_many_digits(tmp_path: Path, name: str, end: str) -> None:
    text = edited(TABLE, put("certificate", name, value=[end, end]))
    refused(tmp_path / "t.json", text, f"$.certificate.{name}")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("name",), "x" * 1_000_000),
        (("name",), "x" * 10_000),
        (("schema",), "x" * 10_000),
        (("steps", 0, "degree"), "5" * 10_000),
        (("steps", 0, "degree"), int("5" * 300)),
        (("steps", 1, "evaluation"), ["x"] * 10_000),
        (("certificate", "digest"), "sha256:" + "0" * 10_000),
        (("dtype",), {"a": ["b"] * 1000}),
        (("error", "exact"), "0.1" * 1000),
        (("provenance", "parameters", "headroom"), "x" * 10_000),
        (("k" * 5_000,), 1),
        (("steps",), TABLE["steps"] * 100),
        (("error", "measured"), TABLE["error"]["measured"][:1] * 6_000),
        (("error", "tried"), TABLE["error"]["tried"][:1] * 6_000),
        (("error", "measured"), [TABLE["error"]["measured"][0] | {"worst": "x"}] * 3_000),
        (("provenance", "parameters", "x"), [0.5] * 600_000),
    ],
    ids=lambda value: quoted(value)[:40],
)
def test_too_much_of_anything(tmp_path: Path, place: tuple[Any, ...], value: Any) -> None:
    refused(tmp_path / "t.json", edited(TABLE, put(*place, value=value)), "$", "show")


@pytest.mark.parametrize("levels", [25, 500, 5_000, 100_000])
def test_nested_very_deep(tmp_path: Path, levels: int) -> None:
    text = edited(TABLE, put("provenance", "parameters", "x", value="HERE"))
    text = text.replace('"HERE"', "[" * levels + "]" * levels)
    refused(tmp_path / "t.json", text, "$.provenance.parameters.x" if levels < 900 else "$: is not JSON")
    (tmp_path / "m.json").write_text("[" * levels + "]" * levels)
    code, output = run("plot", "jordan_5", "--measured", tmp_path / "m.json", "-o", tmp_path / "p.svg")
    assert (code, "m.json" in output, len(output) < 500) == (2, True, True)


def test_whole_numbers_of_very_many_digits(tmp_path: Path) -> None:
    for digits in (350, 1_000, 5_000, 1_000_000):
        text = json.dumps(TABLE).replace('"root": 2', f'"root": {"9" * digits}')
        refused(tmp_path / "t.json", text, "$.root: ", "show")


def test_very_large_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = "[" + ",".join(["1.2345"] * 600_000) + "]"
    refused(tmp_path / "t.json", numbers, "$: holds 599,999 values", "show")
    refused(tmp_path / "t.json", f"[{'[1],' * 260_000}0]", "$: must be an object", "show")
    with (tmp_path / "t.json").open("wb") as file:
        file.truncate(20 << 30)  # 20 GB of nothing
    for command in (("show",), ("identify",), ("plot", "jordan_5", "--measured")):
        code, output = run(*command, tmp_path / "t.json")
        assert (code, "t.json" in output, "MB" in output) == (2, True, True)
    (tmp_path / "coeffs").mkdir()
    os.replace(tmp_path / "t.json", tmp_path / "coeffs" / "large.json")
    monkeypatch.chdir(tmp_path)
    code, output = run("list", "--own", "--degree", 5)
    assert (code, "left out coeffs/large.json: has more than" in output) == (0, True)


def test_as_many_measurements_as_a_file_may_have_take_seconds(tmp_path: Path) -> None:
    entries = TABLE["error"]["measured"][:1] * 5_000
    (tmp_path / "t.json").write_text(edited(TABLE, put("error", "measured", value=entries)))
    start = time.process_time()
    assert len(load(tmp_path / "t.json").measured) == 5_000
    assert time.process_time() - start < 15


@pytest.mark.few(6)
@pytest.mark.parametrize("key", ["folded", "recommended_factor", "cushion", "tail", "rows", "interval"])
@pytest.mark.parametrize("value", ["x", "", None, [1], {}, 1e308, -1, True, "gone"])
def test_parameters_of_a_published_table_are_what_a_file_likes(tmp_path: Path, key: str, value: Any) -> None:
    body = copy.deepcopy(PUBLISHED)
    body["provenance"]["parameters"][key] = value
    if value == "gone":
        del body["provenance"]["parameters"][key]
    (tmp_path / "t.json").write_text(json.dumps(body))
    for command in (("show",), ("certify",), ("identify",), ("export", "--to", "optax")):
        code, output = run(command[0], tmp_path / "t.json", *command[1:])
        assert code == 0, output
    body["provenance"]["parameters"] = {}
    (tmp_path / "t.json").write_text(json.dumps(body))
    assert run("show", tmp_path / "t.json")[0] == 0


@pytest.mark.few(2)
@pytest.mark.parametrize("number", range(6))
def test_values_of_any_kind_anywhere_give_no_traceback(tmp_path: Path, number: int) -> None:
    chance = random.Random(number)
    values = ["x", "", None, [], {}, [1], {"a": 1}, 1e308, -1, 10**300, True, [[1]], "1e9999", 1.5, ["x"] * 3]

    def leaves(body: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        inner = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
        return [place, *(leaf for key, item in inner for leaf in leaves(item, (*place, key)))]

    for body in (TABLE, PUBLISHED):
        places = [place for place in leaves(body) if place]
        for _ in range(10):
            place = chance.choice(places)
            text = edited(body, put(*place, value=chance.choice(values)))
            (tmp_path / "t.json").write_text(text)
            for command in ("show", "certify", "identify"):
                run(command, tmp_path / "t.json")


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("text", OBEYED, ids=ascii)
def test_nothing_in_a_file_is_obeyed(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.json"
    for place in (
        ("name",),
        ("provenance", "source"),
        ("provenance", "strategy"),
        ("provenance", "parameters", "note"),
        ("provenance", "parameters", text),
        ("error", "measured", 0, "spectrum"),
        ("error", "measured", 0, "device_name"),
        ("error", "tried", 0, "family"),
        ("steps", 0, "evaluation"),
        (text,),
    ):
        refused(path, edited(TABLE, put(*place, value=text)), "$.", "show")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "coeffs").mkdir()
    if text.isascii() and "\n" not in text:
        os.replace(path, tmp_path / "coeffs" / f"{text}.json")
        output = run("list", "--own")[1]
        assert not {c for c in output if not c.isprintable()} - {"\n"}
    table = load(TABLE["name"])
    made = replace(table, provenance=replace(table.provenance, source=text, strategy="x"))
    with pytest.raises(InputError, match=r"^provenance\.source: holds the character U\+"):
        save(made, tmp_path / "made.json")
    if text == "\x1b[31mred" or text.startswith("\u202e"):  # two, for the page takes a second
        polydesign.report([made], tmp_path / "page")
        for name in ("index.html", "report.md"):
            content = (tmp_path / "page" / name).read_text("utf-8")
            assert text[0] not in content


def test_what_people_write_is_no_such_text() -> None:
    for text in ("Ünïcode 漢字 ∑ — “quoted”", "می‌خواهم", "👩‍🔬", "tab is none: a b"):
        assert Provenance("0", "x", {"note": text}, source=text).source == visible(text) == text


def test_messages_quote_little() -> None:
    assert quoted((0.5, "a")) == "(0.5, 'a')"
    for value in (
        "x" * 10**6,
        ["x"] * 10**5,
        10**5000,
        {str(k): k for k in range(1000)},
        "\x1b" * 1000,
        object(),
    ):
        assert len(quoted(value)) <= 80
        assert quoted(value).isprintable()
    refusal = InputError("a\x1bb" * 1000, "c\u202e\n" * 10_000)
    assert len(str(refusal)) < 3500
    assert not {c for c in str(refusal) if not c.isprintable()} - {"\n"}


@pytest.mark.parametrize(
    "content", ["hello", "[1]", "{}", '[{"map": null}]', "null", "3", '{"a": 1', "\x00", '["x"]\n["y"]\n']
)
def test_measurements_that_are_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "m.json"
    path.write_text(content)
    for command in (("plot", "-o", tmp_path / "p.svg"), ("report", "-o", tmp_path / "r")):
        code, output = run(command[0], "jordan_5", *command[1:], "--measured", path)
        assert (code, str(path) in output, len(output) < 500) == (2, True, True), output


MEASURED = TABLE["error"]["measured"][0] | {
    "table": TABLE["name"],
    "map": {"x": [1.0], "predicted": [1.0], "measured": [None]},
}


def test_a_right_measurement_is_taken(tmp_path: Path) -> None:
    """Negative control of the next one."""
    path = tmp_path / "m.json"
    path.write_text(json.dumps([MEASURED]))
    assert run("plot", TABLE["name"], "--measured", path, "-o", tmp_path / "p.svg")[0] == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (put(0, "worst", value="x"), "measured[0].worst"),
        (put(0, "spectrum", value="\x1b[31m"), "measured[0].spectrum"),
        (put(0, "table", value="\u202e"), "measured[0].table"),
        (put(0, "shape", value=[1]), "measured[0].shape"),
        (put(0, "holds", value=False), "measured[0].holds"),
        (put(0, "map", value={"x": [1], "predicted": [1]}), "measured[0].map"),
        (put(0, "map", "x", value=[1, "y"]), "measured[0].map"),
        (put(0, "map", "predicted", 0, value="y"), "measured[0].map.predicted[0]"),
        (put(0, "map", value=3), "measured[0].map"),
    ],
)
def test_a_wrong_measurement_is_refused_by_its_field(
    tmp_path: Path, change: Callable[[Any], None], field: str
) -> None:
    path = tmp_path / "m.json"
    path.write_text(edited([MEASURED], change))  # pyright: ignore[reportArgumentType]
    code, output = run("plot", TABLE["name"], "--measured", path, "-o", tmp_path / "p.svg")
    assert (code, f"{path}: {field}" in output) == (2, True), output


def test_an_edited_claim_is_refused_wherever_it_is_shown(tmp_path: Path) -> None:
    """The optimum takes the solver: where nothing shows it, it is read as it is stated."""
    path = tmp_path / "t.json"
    for name, value in (
        ("safe_edge", ["1.5155171642043075", "1.5155171657043076"]),
        ("safe_edge", ["1", "1.000001"]),
        ("basin_edge", ["1.9", "1.91"]),
        ("error", ["0.1936067", "0.1936067"]),
    ):
        refused(path, edited(TABLE, put("certificate", name, value=value)), f"$.certificate.{name}")
    text = edited(TABLE, put("certificate", "optimum", value=["0.001", "0.0011"]))
    path.write_text(text)
    for command in ("compare", "report"):
        code, output = run(command, path, *(["-o", tmp_path / "r"] if command == "report" else []))
        assert (code, "certificate.optimum" in output) == (2, True), output
    assert run("show", path)[0] == 0
    assert run("certify", path)[0] == 1
    path.write_text(edited(TABLE, put("certificate", "safe_edge", value=["1", "1e9999"])))  # true
    assert run("show", path)[0] == 0


def test_a_false_claim_is_renewed(tmp_path: Path) -> None:
    """As the refusal says: certify --write."""
    path = tmp_path / "t.json"
    for name in ("safe_edge", "basin_edge", "error", "optimum"):
        false = TABLE["certificate"][name]
        value = [repr(float(false[0]) * (1 - 1e-7)), repr(float(false[0]) * (1 - 1e-8))]
        path.write_text(edited(TABLE, put("certificate", name, value=value)))
        code, output = run("show", "--json", path)
        assert (code, f"{path}: $.certificate.{name}" in output) == (2, True)
        assert run("certify", path)[0] == 1
        assert run("certify", path, "--write")[0] == 0
        assert json.loads(path.read_text())["certificate"] == TABLE["certificate"]
        assert run("show", "--json", path)[0] == 0


def test_a_table_with_a_false_claim_is_refused_too() -> None:
    table = load(TABLE["name"])
    assert table.certificate is not None
    false = replace(table, certificate=replace(table.certificate, safe_edge=("1.5", "1.6")))
    for verb in (
        lambda: polydesign.export(false, "optax"),
        lambda: polydesign.compare([false]),
        lambda: polydesign.plot(false),
        lambda: polydesign.fold(false, 1.01),
        lambda: polydesign.certify(false),
    ):
        with pytest.raises(InputError, match=r"certificate\.safe_edge: .* does not follow"):
            verb()
    assert polydesign.certify(false, renew=True) == table.certificate


@pytest.mark.parametrize(
    "text",
    [
        "1" * 300_000 + "x",
        "/*" * 300_000 + "\n)",
        "1 " * 300_000 + "x",
        "(" + " " * 500_000,
        "(1" + ",1" * 200_000,
        "[" * 100_000,
        "-" * 400_000,
        "|" * 400_000,
        "a,b,c\n" + "1,2,3\n" * 50_000,
        "x = 9**9**9**9",
        "x = [1]*10**10",
    ],
    ids=lambda text: quoted(text[:20]),
)
def test_texts_that_take_long_to_read_as_a_list(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.txt").write_text(text)
    start = time.process_time()
    code, output = run("identify", tmp_path / "t.txt")
    assert time.process_time() - start < 10
    assert (code, len(output) < 500, str(tmp_path / "t.txt") in output) == (2, True, True), output
    assert not {c for c in output if not c.isprintable()} - {"\n"}


@pytest.mark.parametrize("other", ["[[3, -4, 1]]", "[[3.1, -4, 2]]"])
def test_names_of_lists_do_not_reach_the_terminal_as_they_are(tmp_path: Path, other: str) -> None:
    """Beside one list that is read, or among several."""
    (tmp_path / "t.txt").write_text(f'{{"\\u001b[31m": [[3, -4, 2]], "\\u202e": {other}}}')
    code, output = run("identify", tmp_path / "t.txt")
    assert code == 0
    assert "\\u202e" in output
    assert not {"\x1b", "\u202e"} & set(output)


# --- written


def _save(index: int, folder: str, times: int, barrier: Any, results: Any) -> None:
    table = load("sign-d5x5-l1e-3-bf16" if index else "sign-d5x6-l1e-3-bf16")
    for k in range(times):
        barrier.wait()
        try:
            results.put((k, index, save(table, Path(folder, f"{k}.json"))))
        except InputError:
            results.put((k, index, None))


def test_of_two_that_save_at_once_one_succeeds(tmp_path: Path) -> None:
    context, times = multiprocessing.get_context("spawn"), 40
    barrier, results = context.Barrier(2), context.Queue()
    processes = [
        context.Process(target=_save, args=(index, str(tmp_path), times, barrier, results))
        for index in (0, 1)
    ]
    for process in processes:
        process.start()
    found = [results.get(timeout=120) for _ in range(2 * times)]
    for process in processes:
        process.join()
    for k in range(times):
        (winner,) = [index for place, index, wrote in found if place == k and wrote]
        assert len(load(tmp_path / f"{k}.json").schedule.steps) == (6, 5)[winner]
    assert len(list(tmp_path.iterdir())) == times


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_is_there_stays(tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", none)
    write_atomically(tmp_path / "a", "one", replace=False)
    with pytest.raises(FileExistsError) as refusal:
        write_atomically(tmp_path / "a", "two", replace=False)
    assert refusal.value.filename == str(tmp_path / "a")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "one")]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~_umask()
    write_atomically(tmp_path / "a", "two")
    assert (tmp_path / "a").read_text() == "two"


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "jordan_5", "-o", "new/deep"),
        ("search", "--degree", "5", "--steps", "2", "-o", "new/t.json"),
        ("export", "jordan_5", "--to", "optax", "-o", "new/x.py"),
        ("conformance", "sign-d5x5-l1e-3-bf16", "-o", "new/kit"),
        ("plot", "jordan_5", "-o", "new/p.svg"),
        ("compare", "jordan_5", "--csv", "new/c.csv"),
    ],
)
def test_a_full_disk_is_said_of_the_path_and_leaves_nothing(
    tmp_path: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        code, output = run(*arguments)
    assert (code, list(tmp_path.iterdir())) == (2, [])
    assert output == f"Error: {tmp_path / arguments[-1]}: cannot be written (No space left on device)\n"
    code, output = run(*arguments)
    assert (code, (tmp_path / arguments[-1]).exists()) == (0, True), output


@pytest.mark.usefixtures("undrawn")
def test_an_earlier_report_stays_where_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    polydesign.report(["jordan_5"], tmp_path / "r")
    before = {path: path.read_bytes() for path in (tmp_path / "r").rglob("*") if path.is_file()}
    calls = []

    def third(_: int) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", third)
        with pytest.raises(OSError, match="No space left"):
            polydesign.report(["sign-d5x5-l1e-3-bf16"], tmp_path / "r")
    assert {path: path.read_bytes() for path in (tmp_path / "r").rglob("*") if path.is_file()} == before
    polydesign.report(["sign-d5x5-l1e-3-bf16"], tmp_path / "r")
    assert not [path for path in (tmp_path / "r").rglob("*") if "jordan" in path.name]


KILLED = """
import os, signal, sys
from pathlib import Path
from polydesign.text import files
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "one":
    files.write_atomically(Path("a.json"), "x")
else:
    files.write_together(Path("kit"), {"a": "x", "kit.json": "y"}, last="kit.json")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_what_a_killed_run_has_left_goes(tmp_path: Path) -> None:
    for kind in ("one", "many"):
        ended = subprocess.run([sys.executable, "-c", KILLED, kind], cwd=tmp_path, check=False)
        assert ended.returncode == -signal.SIGKILL
    left = [path for path in tmp_path.rglob("*.part") if is_leftover(path)]
    assert len(left) == 3  # a file, and a file in a folder
    foreign = [tmp_path / name for name in (".mine.part", "x.part", ".a.json.0123abcd-1-0123abcd.part")]
    living = files._part_of(tmp_path, "a.json")
    for path in (*foreign, living):
        path.write_text("theirs")
    write_atomically(tmp_path / "a.json", "x")
    write_together(tmp_path / "kit", {"a": "x", "kit.json": "y"}, last="kit.json")
    assert set(tmp_path.iterdir()) == {*foreign, living, tmp_path / "a.json", tmp_path / "kit"}
    assert {path.name for path in (tmp_path / "kit").iterdir()} == {"a", "kit.json"}
    old = time.time() - 2 * 86400
    os.utime(foreign[-1], (old, old))  # of another machine, and very old
    remove_leftovers(tmp_path)
    assert set(tmp_path.iterdir()) == {*foreign[:-1], living, tmp_path / "a.json", tmp_path / "kit"}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_report_or_kit_does_not_keep_the_next_one_out(tmp_path: Path) -> None:
    for name, again in (
        ("kit", lambda folder: polydesign.conformance("sign-d5x5-l1e-3-bf16", folder)),
        ("kit", lambda folder: polydesign.report(["jordan_5"], folder, force=True)),
    ):
        subprocess.run([sys.executable, "-c", KILLED, "many"], cwd=tmp_path, check=False)
        again(tmp_path / name)
    polydesign.report(["jordan_5"], tmp_path / "kit", force=True)


def test_a_name_of_255_bytes_is_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("ä" * 127), "x")
    assert [path.name for path in tmp_path.iterdir()] == ["ä" * 127]
    with pytest.raises(NotADirectoryError, match="cannot be written"):
        write_atomically(tmp_path / ("ä" * 127) / "b", "x")


@pytest.mark.parametrize("module", ["click", "polydesign.cli.share", "numpy"])
def test_an_interrupt_at_the_start_gives_no_traceback(tmp_path: Path, module: str) -> None:
    """Ctrl-C while the command line loads, made certain: the module raises it."""
    raising = (
        f"import builtins, sys; real = builtins.__import__\n"
        f"def load(name, *rest):\n"
        f"    if name == {module!r}: raise KeyboardInterrupt\n"
        f"    return real(name, *rest)\n"
        f"builtins.__import__ = load\n"
        f"sys.argv = ['polydesign', 'show', 'jordan_5']\n"
        f"from polydesign.cli import main\n"
        f"main()\n"
    )
    command = [sys.executable, "-c", raising]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr.startswith("Interrupted")
    assert ended.stderr.count("\n") == 1


def test_texts_are_read_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_bytes(b"\xef\xbb\xbfabc")
    assert incoming.read_text(path) == "abc"
    with pytest.raises(InputError, match="more than 0 MB, which is too much for this"):
        incoming.read_text(path, "this", most=5)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not UTF-8 text, so is not this"):
        incoming.read_text(path, "this")
    with pytest.raises(InputError, match=r"^\$: the key 'a' is there twice"):
        incoming.parse('{"a": 1, "b": 2, "a": 3}')
    with pytest.raises(InputError, match=r"^here\.a\[1\]: must be a finite number"):
        incoming.parse('{"a": [1, 1e999]}', "here")


def test_a_table_with_the_mark_of_an_editor_is_read(tmp_path):
    """Notepad and PowerShell begin a file with EF BB BF; other bytes that are no JSON stay refused."""
    path = tmp_path / "mine.json"
    text = json.dumps(PUBLISHED).encode()
    path.write_bytes(b"\xef\xbb\xbf" + text)
    known = load("jordan_5")
    assert load(path) == polydesign.import_table(path) == known
    assert str(polydesign.identify(path)) == str(polydesign.identify(known))
    assert not save(known, path)  # it holds this table
    path.write_bytes(b"\xef\xbb\xbf" * 2 + text)
    with pytest.raises(InputError, match="is no table"):
        load(path)

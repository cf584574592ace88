"""What is said of a table's safety in half precision, and what is chosen after it."""

from __future__ import annotations

import csv
import itertools
import json
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from examples import examples
from pages import written
from test_scripts import loaded

import polydesign
from polydesign import export
from polydesign.cli import main
from polydesign.exporters import TARGETS, caveats
from polydesign.exporters.target import header
from polydesign.identification import advice, known, sources
from polydesign.model import (
    HALF,
    LOOPS,
    InputError,
    Plan,
    SafetyWarning,
    Table,
    Trial,
    blown,
    half_of,
    standing,
    stated,
)
from polydesign.rounding.trial import random_trial
from polydesign.runtime import MatrixSign, Sign, SpectralStep, defaults, inverse_root, msign
from polydesign.runtime.defaults import budgets, chosen
from polydesign.table import catalogue, instead
from polydesign.table.earlier import Earlier
from polydesign.verification import measure

NAME = "sign-d5x5-l1e-3-bf16"

BLOWN: dict[str, dict[str, int | None]] = {
    "plain": {"fused": 0, "compiled": 0, "separate": 0},
    "fused": {"fused": 0, "compiled": 0, "separate": 7},
    "unsafe": {"fused": 3, "compiled": 2, "separate": 7},
    "untried": {"fused": None, "compiled": None, "separate": None},
}
"""Standing -> how many of a thousand blew up in each loop; None where none was tried."""


def with_standing(word: str, table: Table | None = None, dtype: str = "bfloat16") -> Table:
    """The table with trials that give it this standing."""
    table = table or polydesign.load(NAME)
    trials = [
        Trial(table.digest, "diagonal-and-rest", loop, dtype, 1000, bad, bad, 0.1)
        for loop, bad in BLOWN[word].items()
        if bad is not None
    ]
    return replace(table, tried=tuple(trials))


def earlier_of(table: Table, **other: Any) -> Earlier:
    trials = with_standing("unsafe", table).tried
    rows = tuple(tuple(float(f"{c:.12g}") for c in row) for row in table.as_tuples())
    return replace(Earlier(table.name, "bfloat16", table.digest, rows, trials), **other)


@pytest.mark.parametrize("word", BLOWN)
def test_the_words_say_what_the_trials_show(word: str) -> None:
    trials = with_standing(word).tried
    assert standing(trials, "bfloat16") == word
    text = stated(trials, "bfloat16")
    assert text.startswith(f"{word} in bfloat16")
    assert ("7 of 2,000" in text) == (word == "fused")
    assert ("3 of 1,000" in text) == (word == "unsafe")
    assert ("of 3,000" in text) == (word == "plain")
    assert stated(trials, "float16") == "untried in float16 on matrices whose roundings agree"


def test_members_are_counted_by_loop_and_precision() -> None:
    trials = with_standing("unsafe").tried
    assert blown(trials, "bfloat16", "fused") == (3, 1000)
    assert blown(trials, "bfloat16", *LOOPS) == (12, 3000)
    assert blown(trials, "float16", *LOOPS) == (0, 0)


def test_standing_matters_for_signs_in_half_precision() -> None:
    assert [half_of("sign", dtype) for dtype in (*HALF, None, "float32")] == [*HALF, "bfloat16", None]
    assert half_of("root", "bfloat16") is None


@pytest.mark.parametrize("word", BLOWN)
def test_an_entry_has_the_standing_of_its_table(word: str, tmp_path: Path) -> None:
    table = with_standing(word)
    polydesign.save(table, tmp_path / "mine.json")
    found = catalogue.entry("mine", tmp_path / "mine.json")
    assert found.standing() == found.standing("bfloat16") == table.standing() == word
    assert found.standing("float16") == "untried"
    assert (found.half, found.digest) == ("bfloat16", table.digest)


def were_recorded(monkeypatch: pytest.MonkeyPatch, *tables: Earlier) -> None:
    """As if earlier versions had shipped these, and this one does not."""
    for name in ("recorded", "earlier_tables"):
        monkeypatch.setattr(catalogue, name, lambda: tables)


def test_an_earlier_table_is_loaded_with_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = polydesign.design(degree=5, steps=5, headroom=1.015, image_floor=0.1, floor_free_tail=2)
    path = tmp_path / "old.json"
    polydesign.save(table, path)
    assert polydesign.load(path) == table  # no warning
    were_recorded(monkeypatch, earlier_of(table, name=NAME))
    with pytest.warns(
        SafetyWarning, match=rf"old.json is an earlier table of this package, {NAME}, unsafe: .* 3 of 1,000 "
    ):
        assert polydesign.load(path) == table
    were_recorded(monkeypatch, earlier_of(table, renewed=False))
    with pytest.warns(SafetyWarning, match="polydesign list --own --dtype bf16 shows what to take"):
        polydesign.load(path)


def test_what_ships_is_no_earlier_table(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = polydesign.load(NAME)
    gone = replace(earlier_of(shipped), digest="sha256:" + 64 * "0", name="gone")
    monkeypatch.setattr(catalogue, "recorded", lambda: (earlier_of(shipped), gone))
    catalogue.earlier_tables.cache_clear()
    try:
        assert [(one.name, one.renewed) for one in catalogue.earlier_tables()] == [("gone", False)]
    finally:
        catalogue.earlier_tables.cache_clear()


def test_what_is_recorded_blew_up() -> None:
    found = catalogue.recorded()
    assert len({one.digest for one in found}) == len(found) > 10
    for one in found:
        assert blown(one.tried, one.dtype, *LOOPS)[0] > 0
        assert all(trial.tried >= 1_000_000 for trial in one.tried)
    assert standing(next(one for one in found if one.name == NAME).tried, "bfloat16") == "unsafe"


def test_tables_that_ship_load_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for one in catalogue.entries():
            polydesign.load(one.path)


def entry_of(word: str, **other: Any) -> catalogue.Entry:
    """The catalogue's five quintics for bfloat16, with this standing."""
    known = next(one for one in catalogue.entries() if one.name == NAME)
    trials = with_standing(word, dtype=other.get("dtype", "bfloat16")).tried
    changed: dict[str, Any] = {"tried": trials, "observed": 0.2} | other
    return replace(known, **changed)


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Puts other entries in place of the package's, wherever one is chosen."""

    def put(*entries: catalogue.Entry) -> None:
        for module in (defaults, instead, advice):
            monkeypatch.setattr(module, "entries", lambda: entries)
        defaults.budgets.cache_clear()

    yield put
    defaults.budgets.cache_clear()


def test_what_is_unsafe_is_never_chosen(shelf: Callable[..., None]) -> None:
    best = entry_of("unsafe", name="best", observed=0.01)
    shelf(best, entry_of("fused", name="second", observed=0.1), entry_of("plain", name="last", observed=0.2))
    assert budgets(2, "bfloat16")[15].name == "last"
    shelf(best, entry_of("fused", name="second", observed=0.1), entry_of("fused", name="third", observed=0.2))
    assert budgets(2, "bfloat16")[15].name == "second"
    shelf(replace(best, tried=()), entry_of("fused", name="second"))
    assert budgets(2, "bfloat16")[15].name == "second"
    assert chosen(2, "bfloat16", Plan(matmuls=15), "") == polydesign.load(NAME)


@pytest.mark.parametrize("asked", [{"matmuls": 15}, {"error": 0.1}])
def test_a_refusal_says_what_was_left_out(asked: dict[str, Any], shelf: Callable[..., None]) -> None:
    shelf(entry_of("unsafe"))
    with pytest.raises(
        InputError, match=r"no tables .* \(what is unsafe in bfloat16 is left out\): make one"
    ):
        chosen(2, "bfloat16", Plan(**asked), "")
    shelf(entry_of("unsafe"), entry_of("plain", matmuls=18))
    with pytest.raises(InputError, match=r" \(what is unsafe in bfloat16 is left out\): give"):
        chosen(2, "bfloat16", Plan(**asked), "")
    shelf(entry_of("plain", matmuls=18))
    with pytest.raises(InputError, match=r"(takes 18|at 0.2): give"):
        chosen(2, "bfloat16", Plan(**asked), "")


def test_what_to_take_instead_is_plain_and_costs_no_more(shelf: Callable[..., None]) -> None:
    schedule = polydesign.load(NAME).schedule
    look = "polydesign list --own --dtype bf16 shows which are plain"
    others = [
        entry_of("fused"),
        entry_of("plain", matmuls=16),
        entry_of("plain", purpose="root"),
        entry_of("plain", degrees=(17, 17, 17), rows=False),
        entry_of("plain", interval=(1e-2, 1.0)),
        entry_of("plain", dtype="float16"),
    ]
    shelf(*others)
    assert instead.plain_instead(schedule, "bfloat16") == look
    shelf(*others, entry_of("plain", name="worse", error=0.3), entry_of("plain", name="this", error=0.2))
    assert instead.plain_instead(schedule, "bfloat16") == "take this, which is plain"


@pytest.mark.parametrize("kind", [Sign, MatrixSign, partial(SpectralStep, 0.5)])
def test_an_operator_warns_once_of_an_unsafe_table(kind: Any) -> None:
    table = with_standing("unsafe")
    with pytest.warns(
        SafetyWarning, match=rf"{NAME} is unsafe in bfloat16: 3 of 1,000 .*; (take|polydesign list)"
    ) as said:
        made = kind(table=table, plan=Plan(dtype="bf16"))
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made(torch.eye(3))
        kind(table=table, plan=Plan(dtype="bf16", check=False))
        kind(table=table, plan=Plan(dtype="float32"))
        kind(table=with_standing("fused"), plan=Plan(dtype="bf16"))


def test_a_precision_that_comes_with_the_data_is_warned_of_once() -> None:
    made = Sign(with_standing("unsafe"))
    with pytest.warns(SafetyWarning, match="is unsafe in bfloat16"):
        made(torch.eye(3, dtype=torch.bfloat16))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made(torch.eye(3, dtype=torch.bfloat16))


def test_roots_run_another_loop() -> None:
    table = with_standing("unsafe", polydesign.load("sign-d5x6-l0.01-bf16"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inverse_root(torch.eye(3), 2, table=table, plan=Plan(dtype="bf16"))


LOOP_OF = {
    "torch-function": "fused",
    "numpy": None,
    "jax": "fused",
    "python": None,
    "c": None,
    "csv": "any",
    "markdown": "any",
    "latex": "any",
    "torch": "fused",
    "optax": "compiled",
    "timm": "fused",
    "pytorch_optimizer": "fused",
    "emerging-optimizers": "fused",
    "transformer-engine": "any",
    "gram-newton-schulz": "fused",
    "adam-atan2": "separate",
    "keras": "separate",
    "tinygrad": "compiled",
    "distributed-shampoo": "fused",
    "newtonschulz.jl": None,
    "modded-nanogpt": "compiled",
    "nanochat": "compiled",
}
"""Target that takes a table -> how its loop rounds, from its source."""

ROWS = [name for name in LOOP_OF if name not in ("torch", "keras", "tinygrad", "distributed-shampoo")]
"""Those that take several rows."""

PASTED = [name for name in ROWS if name not in ("csv", "markdown", "latex")]
"""Those of them whose text has comments of its own on its loop."""


def test_every_target_has_a_loop() -> None:
    assert {name: one.loop for name, one in TARGETS.items() if one.reason is None} == LOOP_OF
    assert set(LOOP_OF.values()) == {*LOOPS, "any", None}


def dtype_of(name: str) -> str:
    return TARGETS[name].dtype or "bfloat16"


@pytest.mark.few(24)
@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("word", BLOWN)
def test_an_export_warns_where_its_loop_blows_up(name: str, word: str, shelf: Callable[..., None]) -> None:
    shelf(entry_of("plain", name="calm"), entry_of("plain", name="calm16", dtype="float16"))
    dtype, loop = dtype_of(name), LOOP_OF[name]
    table = with_standing(word, dtype=dtype)
    found = [line for line in caveats(table, TARGETS[name]) if "blows up" in line]
    kinds = LOOPS if loop == "any" else (loop, "fused")
    most = max(BLOWN[word].get(kind) or 0 for kind in kinds) if loop else 0
    assert len(found) == bool(most)
    for line in found:
        assert f"{most} of 1,000 matrices whose roundings agree, in {dtype}" in line
        assert line.endswith(f": take {'calm' if dtype == 'bfloat16' else 'calm16'}, which is plain")
    if name in PASTED:
        text = " ".join(export(table, name).replace("#", " ").split())
        assert (f"{NAME} blows up" in text) == bool(most)
        assert ("this loop" in text) == (loop is not None)


@pytest.mark.parametrize("word", BLOWN)
def test_every_header_states_the_standing(word: str) -> None:
    table = with_standing(word)
    (line,) = [line for line in header(table) if "whose roundings agree" in line]
    assert line == stated(table.tried, "bfloat16")
    for name in ROWS:
        text = " ".join(re.sub(r"[#%*\\]", " ", export(table, name)).split())
        assert (line in text) == (name != "csv"), name


def test_a_table_for_no_half_precision_says_nothing_of_it() -> None:
    for name in ("sign-d5x7-l1e-3-fp32", "root4-d9x4-l0.1-bf16"):
        assert not any("roundings agree" in line for line in header(polydesign.load(name)))
    published = replace(polydesign.load("polar_express_nanochat"), tried=())
    assert not any("roundings agree" in line for line in header(published))
    tried = with_standing("fused", published)
    assert stated(tried.tried, "bfloat16") in header(tried)


def test_advice_is_plain_first_and_never_unsafe(shelf: Callable[..., None]) -> None:
    jordan = polydesign.load("jordan_5").schedule

    def picked() -> list[str]:
        return [one.name for one in advice.alternatives(jordan, jordan.error)]

    shelf(entry_of("unsafe", name="bad", error=0.01, runs=()))
    assert picked() == []
    calm = entry_of("plain", name="calm", error=0.3, runs=())
    brisk = entry_of("fused", name="brisk", error=0.1, runs=())
    shelf(brisk, calm)
    assert picked() == ["calm"]
    shelf(brisk, replace(calm, error=0.6))  # no better than what is there
    assert picked() == ["brisk"]
    high = entry_of("plain", name="high", error=0.1, degrees=(17, 17, 17), rows=False, runs=())
    shelf(brisk, high)
    assert picked() == ["brisk", "high"]


@pytest.mark.parametrize(
    ("word", "said"), [("plain", "in any loop"), ("fused", "in fused loops"), ("untried", "")]
)
def test_identify_says_how_safe_what_it_offers_is(word: str, said: str, shelf: Callable[..., None]) -> None:
    shelf(entry_of(word, runs=()))
    text = str(polydesign.identify("(3.4445, -4.7750, 2.0315)"))
    assert f"instead    {NAME}" in text
    assert (", safe " in text) == bool(said)
    assert said in text


def test_identify_states_the_standing_of_a_table_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = replace(with_standing("unsafe"), name="mine")
    polydesign.save(table, tmp_path / "coeffs" / f"{NAME}.json")
    found = polydesign.identify(table.as_tuples())
    assert found.half == (stated(table.tried, "bfloat16"),)
    assert "half       unsafe in bfloat16: 3 of 1,000" in str(found)
    assert found.to_json()["half"] == found.half
    rounded = polydesign.identify([[round(c, 4) for c in row] for row in table.as_tuples()])
    assert rounded.half == ()


def test_identify_knows_earlier_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "earlier_tables", catalogue.recorded)
    for one in catalogue.recorded()[:: examples(5, wide=1)]:
        best = polydesign.identify([list(row) for row in one.rows]).matches[0]
        assert (best.name, best.exact) == (f"{one.name} of an earlier version", True)
        assert best.unsafe == str(one)
    one = next(one for one in catalogue.recorded() if one.name == NAME)
    text = str(polydesign.identify([[round(c, 5) for c in row] for row in one.rows]))
    text = " ".join(text.split())
    assert f"{NAME} of an earlier version: rounded to 5 decimals" in text
    assert f"unsafe {one}" in text
    assert f"{NAME}, unsafe: in bfloat16 it blows up 43 of 1,000,000" in text
    assert f"take the {NAME} of this version" in text


def test_identify_knows_the_text_of_an_earlier_table_by_its_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    table = polydesign.design(degree=17, steps=2, headroom=1.05)
    text = export(table, "torch-function")
    assert table.schedule.steps[0].evaluation != "monomial"
    monkeypatch.setattr(sources, "earlier_tables", lambda: (earlier_of(table),))
    monkeypatch.setattr(known, "earlier_tables", lambda: (earlier_of(table),))
    best = polydesign.identify(text).matches[0]
    assert (best.name, best.exact) == (f"{table.name} of an earlier version", True)


def test_list_and_show_say_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for word in BLOWN:
        polydesign.save(replace(with_standing(word), name=word), tmp_path / "coeffs" / f"{word}.json")

    def run(*arguments: str) -> str:
        return CliRunner().invoke(main, arguments).stdout

    lines = run("list").splitlines()
    for word in BLOWN:
        (line,) = [line for line in lines if line.startswith(f"{word} ")]
        assert line.split()[-1] == word
        assert f"half         {stated(with_standing(word).tried, 'bfloat16')}" in run("show", word)
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("half: ") for line in lines)
    rows = {row["name"]: row for row in json.loads(run("list", "--json"))}
    assert rows["fused"]["standing"] == {"bfloat16": "fused", "float16": "untried"}


@pytest.mark.usefixtures("undrawn")
def test_compare_and_report_say_it(tmp_path: Path) -> None:
    tables = [replace(with_standing(word), name=word) for word in BLOWN]
    found = polydesign.compare(tables)
    assert "Blow-ups in bf16" in (text := " ".join(str(found).split()))
    assert "the words mean): plain plain; fused fused; unsafe unsafe; untried untried." in text
    assert "Blow-ups in fp16" not in text
    assert {row["name"]: row["standings"]["bfloat16"] for row in found.to_json()["tables"]} == {
        w: w for w in BLOWN
    }
    columns, *lines = csv.reader(found.to_csv().splitlines())
    assert {line[columns.index("bf16_standing")] for line in lines} == set(BLOWN)
    assert "Blow-ups" not in str(polydesign.compare([tables[-1]]))
    polydesign.report(tables[:1], tmp_path / "page")
    page = (tmp_path / "page" / "report.md").read_text("utf-8")
    assert "in bf16" in page
    assert "Tried: plain in bfloat16" in page


def test_who_measures_an_unsafe_table_is_not_warned() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = measure(with_standing("unsafe"), spectrum="gaussian", shape=(16, 24), dtype="bfloat16")
    assert found.table == NAME


def test_the_command_line_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = replace(with_standing("unsafe"), name="mine")
    path = tmp_path / "mine.json"
    polydesign.save(table, path)
    result = CliRunner().invoke(main, ["export", str(path), "--to", "timm"])
    assert result.stderr.startswith("Warning: mine blows up 3 of 1,000 matrices")
    were_recorded(monkeypatch, earlier_of(table))
    result = CliRunner().invoke(main, ["show", str(path)])
    assert result.exit_code == 0
    assert f"Warning: {path} is an earlier table of this package, mine, unsafe: " in result.stderr


@pytest.mark.parametrize("norm", ["schatten4", "schatten8", "power", "aol"])
def test_a_smaller_norm_than_what_was_tried_is_warned_about(norm: str) -> None:
    """Once an object, in half precision; the norms that are no smaller are silent, and so is no check."""
    M = torch.eye(4)
    with pytest.warns(
        SafetyWarning, match=f"plan.normalization: is '{norm}', and tables are tried in bfloat16"
    ):
        Sign(plan=Plan("bf16", normalization=norm))
    sign = Sign(plan=Plan(normalization=norm))
    with pytest.warns(SafetyWarning, match='leave it out, or write normalization="adaptive"; Plan'):
        sign(M.bfloat16())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sign(M.bfloat16())
        sign(M)  # in float32
        for plan in (Plan("bf16", normalization=norm, check=False), Plan("fp32", normalization=norm)):
            msign(M, plan=plan)
        for name in ("frobenius", "adaptive", "none"):
            msign(M / 2, plan=Plan("bf16", error=0.3, normalization=name))
        own = polydesign.load("sign-m14-e0.05-bf16-adaptive")
        msign(M, own, Plan("bf16", normalization=own.normalization))
        smaller = replace(own, normalization="schatten8", tried=())
        msign(M, smaller, Plan("bf16", normalization="schatten4"))
        rows = replace(own, normalization="aol", tried=())
        msign(M, rows, Plan("bf16", normalization="aol"))
        inverse_root(M, 4, plan=Plan("bf16", normalization="schatten8"))


def test_a_plain_table_blows_up_under_a_smaller_norm() -> None:
    """Why it is warned about: the members that blew up are found again, and none under the Frobenius norm."""
    table, how = polydesign.load("sign-m14-l1e-3-bf16"), {"loop": "separate", "seed": 1}
    assert table.standing() == "plain"
    count = 20_000
    found = random_trial(table.schedule, "bfloat16", "products", count, normalization="schatten8", **how)
    assert found.blown
    assert not random_trial(table.schedule, "bfloat16", "products", count, **how).blown


def test_the_page_quotes_the_smaller_norms() -> None:
    """All plain tables are in it, and what blew up is bold."""
    script = loaded("smaller_norm")
    body = json.loads(script.OUTPUT.read_text("utf-8"))
    assert list(body["tables"]) == script.names()
    assert script.markdown(body) in written()
    found = script.trials("sign-d5x5-l1e-3-bf16", 10)
    assert {(norm, loop) for norm, loops in found.items() for loop in loops} == set(
        itertools.product(script.NORMS, script.LOOPS)
    )
    kept = [{"worst": 3.0, "blown": 2, "lost": 4}, {"worst": 0.5, "blown": 0, "lost": 1}]
    assert script.cell(kept) == "**2** / 5 / 3"
    assert script.cell([kept[1] | {"worst": None}]) == "0 / 1 / not finite"

"""polydesign list: groups and filters; names that come close; show of what the literature says."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import polydesign
from polydesign.cli import main
from polydesign.model import InputError
from polydesign.table.catalogue import catalogue, find, glance, load, shipped
from polydesign.table.published import names
from polydesign.text.similar import CALLED, closest


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        return CliRunner().invoke(main, [str(a) for a in arguments])

    return invoke


def listed(run, *options):
    return json.loads(run("list", "--json", *options).stdout)


def test_groups_come_in_their_order_and_hold_everything(run):
    run("search", "--steps", 2)
    rows = listed(run)
    order = [row["group"] for row in rows]
    assert list(dict.fromkeys(order)) == [
        "sign",
        "adaptive",
        "families",
        "bands",
        "roots",
        "clip",
        "published",
        "here",
    ]
    assert order == sorted(
        order, key=["sign", "adaptive", "families", "bands", "roots", "clip", "published", "here"].index
    )
    by_name = {row["name"]: row for row in rows}
    assert set(by_name) == set(catalogue())
    assert {name for name, row in by_name.items() if row["group"] == "published"} < set(names())
    for name, group in [
        ("sign-d5x6-l1e-3-bf16", "sign"),
        ("sign-m12-band0.3-bf16", "bands"),
        ("root4-d9x4-l0.1-fp32", "roots"),
        ("sign-m11-l0.01-fp32-coupled", "roots"),
        ("clip-d9x3-l0.1-bf16", "clip"),
        ("jordan_5", "published"),
        ("sign-d5x2-l1e-3-bf16", "here"),
    ]:
        assert by_name[name]["group"] == group
    text = run("list").stdout
    headings = [
        "ours, for the sign and",
        "ours, for the same",
        "ours, for the sign: within a band",
        "ours, for roots",
        "ours, for clipping",
        "of the literature",
        "of ./coeffs",
    ]
    assert [text.index(heading) for heading in headings] == sorted(text.index(h) for h in headings)


def test_a_list_reads_what_loading_would(run):
    """The files' claims are read unchecked; for the shipped ones they are what their coefficients say."""
    rows = {row["name"]: row for row in listed(run)}
    for name in ("jordan_5", "root4-m17-l0.1-fp32", "sign-m15-l1e-3-bf16"):
        schedule = load(name).schedule
        row = rows[name]
        assert (row["root"], tuple(row["degrees"]), tuple(row["interval"]), row["error"]) == (
            schedule.root,
            schedule.degrees,
            schedule.interval,
            schedule.error,
        )


@pytest.mark.parametrize(
    ("options", "holds"),
    [
        (["--root", 4], lambda row: row["root"] == 4),
        (["--degree", 5], lambda row: max(row["degrees"]) == 5),
        (["--dtype", "bf16"], lambda row: row["dtype"] == "bfloat16"),
        (["--published"], lambda row: row["group"] == "published"),
        (["--own"], lambda row: row["group"] in ("sign", "adaptive", "families", "bands", "roots", "clip")),
        (["--own", "--root", 1, "--dtype", "float32"], lambda row: row["name"].startswith("inverse-")),
    ],
)
def test_filters(run, options, holds):
    found, everything = listed(run, *options), listed(run)
    assert found
    assert len(found) < len(everything)
    if len(options) <= 2:
        assert found == [row for row in everything if holds(row)]
    assert all(holds(row) for row in found)


def test_filters_that_leave_nothing(run):
    assert "no such tables yet" in run("list", "--root", 97).stdout
    assert listed(run, "--root", 97) == []
    refused = run("list", "--own", "--published")
    assert refused.exit_code == 2
    assert "--own: and --published leave nothing" in refused.stderr
    assert run("list", "--dtype", "int8").exit_code == 2


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": "other"}', '{"schema": "polydesign/schedule/v1"}'])
def test_a_broken_file_is_left_out_with_a_warning(run, tmp_path, text):
    (tmp_path / "coeffs").mkdir()
    (tmp_path / "coeffs" / "broken.json").write_text(text)
    result = run("list", "--json")
    assert result.exit_code == 0
    assert "left out" in result.stderr
    assert "broken" not in {row["name"] for row in json.loads(result.stdout)}


def test_glance_refuses_what_is_no_table(tmp_path):
    (tmp_path / "x.json").write_text("[1, 2]")
    with pytest.raises(InputError, match="is no table of polydesign"):
        glance(tmp_path / "x.json")
    assert glance(shipped() / "published" / "jordan_5.json")["root"] == 2


def test_a_table_here_goes_before_one_of_the_package(run, tmp_path):
    assert load("jordan_5").schedule.steps[0].coefficients[0] == 3.4445
    run("fold", "jordan_5", "--factor", 1.01, "--name", "jordan_5")
    assert catalogue()["jordan_5"].resolve() == (tmp_path / "coeffs" / "jordan_5.json").resolve()
    assert load("jordan_5").schedule.steps[0].coefficients[0] == 3.4445 / 1.01


@pytest.mark.parametrize(
    ("asked", "offered"),
    [
        ("Polar Express", "polar_express_deg5_folded_1.01"),
        ("polar-express-nanochat", "polar_express_nanochat"),
        ("POLAR_EXPRESS_GRAM", "polar_express_gram_ns_1.05"),
        ("jordan", "jordan_5"),
        ("muon", "jordan_5"),
        ("quintic", "youjiacheng_5"),
        ("deepseekv4", "deepseek_v4_10"),
        ("sign-d5x6-1e-3-bf16", "sign-d5x6-l1e-3-bf16"),
        ("polar_expres_deg5", "polar_express_deg5"),
    ],
)
def test_the_likeliest_name_comes_first(asked, offered):
    with pytest.raises(InputError, match="did you mean") as refusal:
        find(asked)
    assert refusal.value.problem.split("did you mean ")[1].startswith((f"{offered} ", f"{offered}?"))


def test_nothing_close_is_not_made_up():
    assert closest("zzzzqqq", names()) == []
    assert closest("torch.optim.Muon", ["optax", "torch"])[0] == "torch"
    # Of the names that contain it those that begin so come first, then the shorter ones.
    assert closest("adam", ["my-adam", "adam-of-six", "Adam_5"]) == ["Adam_5", "adam-of-six", "my-adam"]
    with pytest.raises(InputError, match="polydesign list shows"):
        find("zzzzqqq")


def test_what_codebases_call_tables_exists():
    assert {name for offered in CALLED.values() for name in offered} <= set(names())


@pytest.mark.parametrize("command", ["show", "certify", "verify", "plot"])
def test_names_of_the_literature_resolve_where_files_do(run, command):
    assert "did you mean jordan_5" in run(command, "jordan").stderr
    assert "known to be a misprint" in run(command, "polar_express_gram_ns_blog_table_MISPRINT").stderr
    options = ["--spectrum", "gaussian", "--shape", "16x32"] if command == "verify" else []
    assert run(command, "jordan_5", *options).exit_code == 0


def test_a_start_of_a_search_by_a_wrong_name(run):
    refused = run("search", "--method", "adam", "--degree", 5, "--steps", 5, "--start", "jordan")
    assert refused.exit_code == 2
    assert "did you mean jordan_5" in refused.stderr
    assert polydesign.load("jordan_5").name == "jordan_5"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("polar_express_deg5", ["folded       nothing", "8 rows, 8 steps", "repeat the last row", "by 1.01 too",
                                "is the source's", "measured"]),
        ("polar_express_gram_ns_1.05", ["folded       1.05 is in the rows", "they say nothing"]),
        ("newton_schulz_cubic", ["one row, run 5 steps", "ours: the source names none"]),
    ],
)  # fmt: skip
def test_show_says_what_was_folded_and_recommended_and_measured(run, name, words):
    text = run("show", name).stdout
    assert all(word in text for word in words)
    assert "by 1.01 too" not in run("show", "polar_express_gram_ns_1.05").stdout

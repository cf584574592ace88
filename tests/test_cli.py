"""The command line: what it prints, where it writes, how it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

import polydesign
from polydesign.approximation.certificate import ratio_to_optimum
from polydesign.cli import main
from polydesign.exporters.target import stated_error
from polydesign.table import dumps


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        return CliRunner().invoke(main, [str(a) for a in arguments])

    return invoke


def test_the_main_job(run, tmp_path):
    """README shows what it prints where as much is tried as outside of the tests."""
    result = run("search", "--degree", 5, "--steps", 6)
    assert result.exit_code == 0
    path = tmp_path / "coeffs" / "sign-d5x6-l1e-3-bf16.json"
    table = polydesign.load(path)
    certificate = table.certificate
    assert certificate is not None
    assert certificate.optimum is not None
    assert table == polydesign.design(degree=5, steps=6)
    assert "wrote coeffs/sign-d5x6-l1e-3-bf16.json" in result.stdout
    (error,) = re.findall(r"^error     max \|f\(x\) - 1\| <= (\S+), proved", result.stdout, re.MULTILINE)
    proved, best = float(certificate.error[1]), float(certificate.optimum[1])
    assert proved <= float(error) <= proved * (1 + 1e-8)
    (factor,) = re.findall(r"the safety costs a factor (\S+)$", result.stdout, re.MULTILINE)
    assert float(factor) == pytest.approx(proved / best, rel=1e-4)
    assert "18 matrix products" in result.stdout
    again = run("search", "--degree", 5, "--steps", 6)
    assert again.exit_code == 0
    assert "holds this table already; left as it is" in again.stdout


def test_python_runs_the_package(tmp_path):
    command = [sys.executable, "-m", "polydesign", "list", "--frobnicate"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "Try 'polydesign list --help'" in found.stderr


def test_a_clip_schedule(run, tmp_path):
    result = run("search", "--method", "clip", "--degree", 9, "--steps", 3, "--lower", 0.1)
    assert result.exit_code == 0, result.output
    assert "safety    headroom 1.02; image floor 0.12" in result.stdout
    assert "clipping  |f(x) - min(x/0.1, 1)| <= 0.01" in result.stdout
    table = polydesign.load(tmp_path / "coeffs" / "clip-d9x3-l0.1-bf16.json")
    assert (table.purpose, table.dtype, table.form) == ("clip", "bfloat16", "direct")
    shown = run("show", "clip-d9x3-l0.1-bf16")
    assert "made for     clip in bfloat16, direct form" in shown.stdout


def test_the_bare_optimum(run):
    result = run("search", "--degree", 5, "--steps", 6, "--lower", "1e-3", "--headroom", 1, "--cushion", 0)
    assert "error     max |f(x) - 1| <= 0.000916472189, proved" in result.stdout
    table = polydesign.load("sign-d5x6-l1e-3")
    assert table.schedule.steps[0].coefficients == pytest.approx(
        (8.47032880384807, -25.1080747066619, 18.629275599118), rel=1e-12
    )


def test_json_alone_on_standard_output(run, tmp_path):
    expected = dumps(polydesign.design(degree=5, steps=2))
    assert run("search", "--steps", 2, "-o", "-").stdout == expected
    assert list(tmp_path.iterdir()) == []
    assert run("search", "--steps", 2, "--json").stdout == expected
    assert run("search", "--steps", 2, "--quiet").stdout == ""


def test_a_different_file_is_not_replaced(run, tmp_path):
    run("search", "--steps", 2, "-o", "t.json")
    before = (tmp_path / "t.json").read_text()
    refused = run("search", "--steps", 3, "-o", "t.json")
    assert refused.exit_code == 2
    assert "t.json: exists and is different" in refused.stderr
    assert (tmp_path / "t.json").read_text() == before
    assert run("search", "--steps", 3, "-o", "t.json", "--force").exit_code == 0
    assert len(polydesign.load("t.json").schedule.steps) == 3


def test_warns_where_the_terms_are_too_large_for_the_precision(run):
    powers = ("--evaluation", "monomial", "--headroom", 1.01, "--image-floor", 0.1)
    assert "rounding may reach" in run("search", "--degree", 9, "--steps", 2, *powers).stderr
    assert run("search", "--degree", 9, "--steps", 2).stderr == ""
    assert run("search", "--degree", 5, "--steps", 2).stderr == ""
    assert run("search", "--degree", 9, "--steps", 2, *powers, "--dtype", "fp32").stderr == ""


REFUSALS = [
    (["--degree", "4", "--steps", "6"], "--degree: a step of root 2 has degree 1 + n·2, and 4 is not; nearest: 3 and 5"),
    (["--lower", "0", "--steps", "6"], "--lower: must be greater than 0"),
    (["--lower", "2", "--steps", "6"], "--lower: must lie below upper = 1.0"),
    (["--steps", "0"], "--steps: must be a whole number of at least 1"),
    ([], "--steps: say how many steps of degree 5, or give error"),
    (["--degree", "5,9", "--steps", "3"], "--steps: is 3, and 2 degrees are given"),
    (["--degree", "5;9"], "'5;9' is not a list of whole numbers such as 5 or 5,9,9"),
    (["--steps", "2", "--headroom", "0.9"], "--headroom: must lie from 1 (none) to 2"),
    (["--steps", "2", "--image-floor", "1"], "--image-floor: must lie in [0, 1)"),
    (["--steps", "2", "--cushion", "0.1", "--image-floor", "0.1"], "--cushion: give a cushion or an image floor"),
    (["--steps", "2", "--dtype", "int8"], "--dtype: int8 is not one of bfloat16"),
    (["--error", "1e-30", "--dtype", "float32"], "--error: 1e-30 is out of reach"),
    (["--steps", "2", "--root", "0"], "--root: must be a whole number"),
    (["--steps", "2", "-o", "/dev/null/t.json"], "/dev/null"),
    (["--stesp", "2"], "No such option '--stesp'"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), REFUSALS)
def test_refuses_in_a_line_or_two(run, tmp_path, arguments, message):
    result = run("search", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    error = result.stderr[result.stderr.index("Error:") :]
    assert error.count("\n") <= 2
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_an_unforeseen_error_is_not_dressed_as_wrong_usage(run, monkeypatch):
    """Negative control of the refusals: a bug stays a traceback."""

    def broken(**_):
        raise ValueError("a bug")

    monkeypatch.setattr("polydesign.designer.design.design", broken)
    result = run("search", "--steps", 2)
    assert isinstance(result.exception, ValueError)
    assert result.exit_code == 1


@pytest.mark.parametrize("command", ["show", "plot", "verify"])
def test_every_reader_refuses_a_bad_table_by_its_field(run, tmp_path, command):
    run("search", "--steps", 2, "-o", "t.json")
    text = (tmp_path / "t.json").read_text()
    (tmp_path / "cut.json").write_text(text[: len(text) // 2])
    (tmp_path / "edited.json").write_text(text.replace('"degree": 5', '"degree": 7', 1))
    for name, message in [
        ("cut.json", "cut.json: $: is not JSON at line"),
        ("edited.json", "edited.json: $.steps[0].degree"),
        ("none.json", "none.json: no such file"),
        ("sign-d5", "sign-d5: is neither a file nor a table of the catalogue"),
    ]:
        result = run(command, name)
        assert result.exit_code == 2
        assert message in result.stderr
        assert "Traceback" not in result.stderr


def test_show_and_list(run, tmp_path):
    run("search", "--steps", 6)
    shown = run("show", "sign-d5x6-l1e-3-bf16").stdout
    table = polydesign.load("sign-d5x6-l1e-3-bf16")
    assert f"|f(x) - 1| <= {stated_error(table, 6)} for x in [0.001, 1]" in shown
    assert all(repr(row) in shown for row in table.as_tuples())
    assert run("show", "sign-d5x6-l1e-3-bf16", "--json").stdout == dumps(table)
    rows = {row["name"]: row for row in json.loads(run("list", "--json").stdout)}
    mine = rows["sign-d5x6-l1e-3-bf16"]
    assert (mine["matmuls"], mine["error"], mine["from"]) == (18, table.schedule.error, "coeffs")
    assert "sign-d5x6-l1e-3-bf16" in run("list").stdout
    (tmp_path / "coeffs" / "broken.json").write_text("{")
    listed = run("list")
    assert listed.exit_code == 0
    assert "left out" in listed.stderr


def test_plot_writes_where_it_says(run, tmp_path):
    run("search", "--steps", 3)
    run("search", "--steps", 2)
    result = run("plot", "sign-d5x3-l1e-3-bf16")
    assert result.stdout == "wrote sign-d5x3-l1e-3-bf16.png\n"
    assert (tmp_path / "sign-d5x3-l1e-3-bf16.png").read_bytes().startswith(b"\x89PNG")
    run("plot", "sign-d5x3-l1e-3-bf16", "sign-d5x2-l1e-3-bf16", "-o", "both.svg")
    assert (tmp_path / "both.svg").read_text().startswith("<?xml")
    refused = run("plot", "sign-d5x3-l1e-3-bf16", "-o", "map.gif")
    assert refused.exit_code == 2
    assert "--output" in refused.stderr


def test_plot_takes_the_measurements_of_its_own_table(run, tmp_path):
    run("search", "--steps", 3)
    run("search", "--steps", 2)
    run("verify", "sign-d5x3-l1e-3-bf16", "--shape", "16x24", "--spectrum", "gaussian", "--save", "m.json")
    result = run("plot", "sign-d5x3-l1e-3-bf16", "--measured", "m.json", "-o", "a.svg")
    assert result.exit_code == 0
    assert run("plot", "sign-d5x3-l1e-3-bf16", "-o", "b.svg").exit_code == 0
    assert (tmp_path / "a.svg").read_text() != (tmp_path / "b.svg").read_text()
    other = run("plot", "sign-d5x2-l1e-3-bf16", "--measured", "m.json")
    assert other.exit_code == 2
    assert "--measured: m.json was measured on another table" in other.stderr
    (tmp_path / "bad.json").write_text('[{"x": 1}]')
    assert run("plot", "sign-d5x3-l1e-3-bf16", "--measured", "bad.json").exit_code == 2


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_has_help_with_an_example(run, command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"polydesign {command}" in result.stdout.split("Options:")[0].split("\n", 1)[1]


def test_version_and_completion(run):
    assert run("--version").stdout == f"polydesign {polydesign.__version__}\n"
    for shell in ("bash", "zsh", "fish"):
        assert "_POLYDESIGN_COMPLETE" in run("completion", shell).stdout


def test_the_console_script_runs():
    out = subprocess.run(
        [
            sys.executable,
            "-c",
            "from polydesign.cli import main; main()",
            "search",
            "--steps",
            "6",
            "-o",
            "-",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(out.stdout)["name"] == "sign-d5x6-l1e-3-bf16"


def test_certify_says_what_is_proved(run):
    run("search", "--steps", 6)
    result = run("certify", "sign-d5x6-l1e-3-bf16")
    assert result.exit_code == 0
    assert "proved for every x in [0.001, 1]" in result.stdout
    certificate = polydesign.load("sign-d5x6-l1e-3-bf16").certificate
    assert certificate is not None
    ratio = ratio_to_optimum(certificate)[1]
    assert f"ratio       {ratio:.5f}"[:-1] in result.stdout
    assert "What the file states follows from its coefficients." in result.stdout
    certificate = json.loads(run("certify", "sign-d5x6-l1e-3-bf16", "--json").stdout)
    table = polydesign.load("sign-d5x6-l1e-3-bf16")
    assert table.certificate is not None
    assert certificate["error"] == list(table.certificate.error)


def test_certify_writes_what_is_missing(run, tmp_path):
    run("search", "--steps", 4, "--no-certify", "-o", "t.json")
    assert "sampled" in run("show", "t.json").stdout
    result = run("certify", "t.json")
    assert "certificate is sampled; --write replaces it" in result.stdout
    assert '"sampled"' in (tmp_path / "t.json").read_text()
    assert "wrote t.json" in run("certify", "t.json", "--write").stdout
    assert polydesign.load("t.json") == polydesign.design(degree=5, steps=4)
    text = (tmp_path / "t.json").read_text()
    body = json.loads(text)
    del body["certificate"]
    (tmp_path / "bare.json").write_text(json.dumps(body))
    assert "no certificate yet" in run("certify", "bare.json").stdout


def test_certify_refuses_claims_that_do_not_follow(run, tmp_path):
    """Exit code 1, and the claim by its path; a file that is no table stays wrong usage, 2."""
    run("search", "--steps", 4, "-o", "t.json")
    text = (tmp_path / "t.json").read_text()
    body = json.loads(text)
    first = body["steps"][0]["coefficients"][0]
    error, edge = body["certificate"]["error"], body["certificate"]["safe_edge"]
    edits = {
        "$.certificate.digest": text.replace(repr(first), repr(first * (1 + 2**-52))),
        "$.steps[1].image[1]": text.replace(repr(body["steps"][1]["image"][1]), repr(body["steps"][1]["image"][1] * (1 - 1e-12))),
        "$.certificate.error": text.replace(error[1], error[0][:-6] + "999999").replace(error[0], error[0][:-6] + "999998"),
        "$.certificate.safe_edge": text.replace(edge[1], edge[0] + "1", 1),
    }  # fmt: skip
    for path, edited in edits.items():
        assert edited != text, path
        (tmp_path / "t.json").write_text(edited)
        result = run("certify", "t.json")
        assert result.exit_code == 1, path
        assert f"FAILED t.json: {path}" in result.stderr, (path, result.stderr)
    (tmp_path / "t.json").write_text(text[:-20])
    assert run("certify", "t.json").exit_code == 2


def test_normalization_is_written_and_shown(run, tmp_path):
    file = tmp_path / "t.json"
    found = run("search", "--degree", "5", "--steps", "2", "--normalization", "aol", "-o", str(file))
    assert found.exit_code == 0
    assert json.loads(file.read_text())["normalization"] == "aol"
    assert "rows divided by their own bounds (aol)" in run("show", str(file)).output
    refused = run("search", "--degree", "5", "--root", "4", "--steps", "2", "--normalization", "aol")
    assert refused.exit_code == 2
    assert "normalization: aol rescales" in refused.output


def test_search_on_a_grid_says_the_price(run):
    result = run("search", "--steps", 6, "--round", "1/1024")
    assert result.exit_code == 0
    unrounded = polydesign.design(degree=5, steps=6)
    assert (
        f"rounding  to 1/1024; without it {unrounded.schedule.error:.9g}; it costs a factor 1."
        in result.stdout
    )
    assert "wrote coeffs/sign-d5x6-l1e-3-bf16-r1_1024.json" in result.stdout
    proof = run("certify", "coeffs/sign-d5x6-l1e-3-bf16-r1_1024.json")
    assert proof.exit_code == 0
    assert "and of rounding the coefficients to 1/1024" in proof.stdout
    refused = run("search", "--steps", 6, "--round", "1024")
    assert refused.exit_code == 2
    assert "Error: --round: '1024' is not 1/N (1/1024), decimals:K" in refused.stderr


def test_search_for_the_smallest_lower_end(run):
    bare = ("--headroom", 1, "--cushion", 0)
    result = run("search", "--degree", 3, "--steps", 5, "--band", 0.3, *bare)
    assert result.exit_code == 0
    assert "band      from 0.006017580766 on, the smallest found, within 0.3 of 1" in result.stdout
    assert "slope at 0: 123.485" in result.stdout
    assert "wrote coeffs/sign-d3x5-band0.3.json" in result.stdout
    refused = run("search", "--degree", 3, "--steps", 5, "--error", 0.3)
    assert refused.exit_code == 2
    assert "give one of them, or lower min with both" in refused.stderr
    assert run("search", "--steps", 5, "--lower", "least").exit_code == 2

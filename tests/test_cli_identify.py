"""polydesign identify, fold and unfold as a user types them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

import polydesign
from polydesign.cli import main
from polydesign.table.published import published

JORDAN = "(3.4445, -4.7750, 2.0315)"
NANOCHAT = f"polar_express_coeffs = {list(published('polar_express_nanochat').rows)!r}\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments, text=None):
        return CliRunner().invoke(main, [str(a) for a in arguments], input=text)

    return invoke


def test_muons_row(run):
    result = run("identify", "-", text=JORDAN)
    assert result.exit_code == 0
    text = result.stdout
    assert text.startswith("jordan_5: its one row, which is run 5 times\n")
    assert "https://kellerjordan.github.io/posts/muon/" in text
    assert "5 times this row, 15 matrix products" in text
    assert "error 0.529456 (proved)" in text
    assert "slope 484.876 at zero" in text
    assert "safe edge  1.263775: above it values blow up; the error holds up to 1.263749\n" in text
    assert "measured   worst error in bfloat16 0.5" in text
    assert "--to optax" in text
    assert "sign-m15-l1e-3-bf16: 4 steps of degree 5, 9, 15 products" in text
    assert len(text.splitlines()) <= 15


def test_a_file_of_a_codebase(run, tmp_path):
    (tmp_path / "train.py").write_text(NANOCHAT)
    text = run("identify", "train.py").stdout
    assert text.startswith("polar_express_nanochat\nsource ")
    assert "factor     1.02 is in the published rows" in text
    assert "exactly 5 steps" in text
    assert "safe edge  1.020347" in text


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (published("polar_express_deg5").rows,
         ["none is in the published rows; its authors divide the input by 1.01", "rounding in bfloat16 goes beyond",
          "bfloat16 not finite", "its first 5 rows alone", "error 0.1236"]),
        (published("polar_express_gram_ns_blog_table_MISPRINT").rows,
         ["known to be wrong as printed", "safe edge  none", "do not come near 1"]),
        (published("polar_express_nanochat").rows[::-1],
         ["polar_express_nanochat: rows in reverse order", "of the rows as they were given"]),
        ([*published("polar_express_deg5_folded_1.01").rows[:4], (1.875, -1.25, 0.375)],
         ["the last row is another", "is (1.875, -1.25, 0.375)", "where that table has (2.27787, -1.61982, 0.398481)",
          "which is newton_schulz_quintic", "error 0.645699"]),
        ([tuple(c / 1.05 ** (1 + 2 * j) for j, c in enumerate(row)) for row in published("jordan_5").rows],
         ["folded by 1.05 into all rows", "none is in the published rows, and 1.05 more in these"]),
        (published("su_root_r4").rows, ["root 4", "map        [0.1, 1]"]),
        ([(3.1, -2, 0.4), (2, -1.5, 0.5)], ["no table that is known here", "exactly 2 steps, 6 matrix products"]),
    ],
)  # fmt: skip
def test_what_it_says(run, rows, words):
    result = run("identify", "-", text=json.dumps(rows))
    assert result.exit_code == 0
    for word in words:
        assert word in result.stdout


def test_a_factor_that_was_taken_out_is_told(run):
    rows = [
        tuple(c * 1.02 ** (1 + 2 * j) for j, c in enumerate(row)) for row in published("youjiacheng_5").rows
    ]
    told = run("identify", "-", text=json.dumps(rows)).stdout
    assert "factor     none is in the published rows, and 1.02 was taken out of these" in told


def test_what_it_says_of_the_map_is_what_the_map_does(run):
    """Against dense evaluation, and against the error of another interval: the negative control."""
    rows = published("youjiacheng_6").rows
    found = json.loads(run("identify", "-", "--json", text=json.dumps(rows)).stdout)
    assert found["matches"][0]["name"] == "youjiacheng_6"

    def error(lower):
        x = np.geomspace(lower, 1, 100_001)
        for a, b, c in rows:
            x = a * x + b * x**3 + c * x**5
        return np.abs(x - 1).max()

    assert found["map"]["error"] == pytest.approx(error(1e-3), rel=1e-6)
    assert found["map"]["error"] != pytest.approx(error(1e-4), rel=1e-2)
    wider = json.loads(run("identify", "-", "--json", "--lower", "1e-4", text=json.dumps(rows)).stdout)
    assert wider["map"]["error"] == pytest.approx(error(1e-4), rel=1e-6)
    assert found["map"]["slope"] == pytest.approx(np.prod([row[0] for row in rows]))


def test_what_to_use_instead_is_better_and_costs_no_more(run):
    for name in ("jordan_5", "polar_express_gram_ns_1.05", "youjiacheng_6", "unso_cesista_5"):
        found = json.loads(run("identify", name, "--json").stdout)
        assert found["instead"]
        for one in found["instead"]:
            table = polydesign.load(one["name"])
            assert one["matmuls"] <= found["map"]["matmuls"]
            assert table.schedule.error == one["error"] < found["map"]["error"]
            assert table.schedule.interval == (1e-3, 1.0)
    ours = json.loads(run("identify", "sign-m15-l1e-3-bf16", "--json").stdout)
    assert ours["instead"] == []  # the negative control: nothing is better than the best
    assert ours["map"]["matmuls"] == 15


@pytest.mark.parametrize(
    ("name", "products"),
    [("sign-m20-l1e-3-bf16", None), ("sign-d5x6-l1e-3", 18), ("sign-d5x6-l1e-3-bf16", None)],
)
def test_where_rounding_decides_the_cheaper_or_the_safer_is_offered(run, name, products):
    """Errors below bfloat16's own rounding: the second runs away there, the others do what they can."""
    found = json.loads(run("identify", name, "--json").stdout)
    assert found["map"]["error"] < 6e-3
    assert bool(found["instead"]) == (products is not None)
    for one in found["instead"]:
        assert one["matmuls"] <= products
        assert one["measured"] < 1.2e-2


def test_a_table_for_clipping_is_never_offered_for_the_sign(run):
    """On [0.1, 1] clip-d9x3-l0.1-bf16 has the least error for 15 products, and gives more up below than a sign's."""
    clip = polydesign.load("clip-d9x3-l0.1-bf16")
    found = json.loads(run("identify", "jordan_5", "--lower", 0.1, "--json").stdout)
    assert clip.schedule.error < found["map"]["error"]
    assert not any(one["name"].startswith("clip-") for one in found["instead"])


def test_names_tables_and_their_files(run, tmp_path):
    run("search", "--steps", 3, "-o", "mine.json")
    assert "exactly 3 steps" in run("identify", "mine.json").stdout
    assert run("identify", "jordan_5").stdout.startswith("jordan_5\n")
    piped = run("identify", "-", text=(tmp_path / "mine.json").read_text())
    assert "exactly 3 steps" in piped.stdout


def test_one_row_is_run_as_often_as_is_said(run):
    assert "7 times this row" in run("identify", "-", "--steps", 7, text=JORDAN).stdout
    refused = run("identify", "-", "--steps", 7, text=NANOCHAT)
    assert refused.exit_code == 2
    assert "--steps: is for one row, and there are 5" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "text", "message"),
    [
        (["-"], "", "text: is empty: paste the list alone"),
        (["-"], "x = [(1, 2,", "line 1: is not read as Python"),
        (["bad.py"], None, "bad.py, line 2: is not read as Python"),
        (["jordan"], None, "jordan: is neither a file nor a table of the catalogue; did you mean jordan_5?"),
        (["-", "--lower", 2], JORDAN, "--lower"),
        (["-", "--root", 0], JORDAN, "--root"),
        (["jordan_5", "--root", 4], None, "--root: jordan_5 is of root 2: leave it out"),
        ([JORDAN], None, "FILE: is a list, not a file: give it on standard input"),
        (["3.4445 -4.775 2.0315"], None, "FILE: is a list, not a file"),
        ([NANOCHAT], None, "FILE: is a list, not a file"),
    ],
)
def test_refusals(run, tmp_path, arguments, text, message):
    (tmp_path / "bad.py").write_text("x = 1\n(1, 2\n")
    result = run("identify", *arguments, text=text)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_rows_that_leave_float64_are_still_told_apart(run):
    result = run("identify", "-", "--root", 4, text=NANOCHAT)
    assert result.exit_code == 0
    assert "no table that is known here" in result.stdout
    assert "leaves float64: run as root 4 it diverges" in result.stdout
    found = json.loads(run("identify", "-", "--root", 4, "--json", text=NANOCHAT).stdout)
    assert found["map"] is None


@pytest.mark.few(2)
@pytest.mark.parametrize("number", ["1e308", "1e-308", "5e-324"])
@pytest.mark.parametrize("times", [1, 3])
def test_numbers_at_the_ends_of_float64_are_no_table(run, number, times):
    """A factor of 1e308 leads from many rows to these, and is no safety factor."""
    result = run("identify", "-", text=f"x = [({number}, -{number}, {number})] * {times}")
    assert result.exit_code == 0
    assert result.stdout.startswith("no table that is known here")


@pytest.mark.parametrize("name", ["inverse-d3x7-l1e-4-bf16", "su_root_r1", "root4-m11-l0.1-fp32"])
def test_bare_rows_of_a_root_are_looked_at_on_the_tables_interval(run, name):
    table = polydesign.load(name)
    found = json.loads(run("identify", "-", "--json", text=json.dumps(table.as_tuples())).stdout)
    assert found["map"]["interval"] == list(table.schedule.interval)
    assert found["matches"][0]["name"] == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("clip-d9x5-l1e-3-bf16", "made for clipping singular values"),
        ("sign-m14-l0.01-fp32-coupled", "made for P^(-1/2) in the coupled form"),
        ("sign-d5x5-l1e-3-bf16", None),
    ],
)
def test_what_is_for_something_else_is_not_replaced(run, name, words):
    """clip-d9x5 has an error of 0.022 and 20 products as a sign, and six quintics would be better at that."""
    table = polydesign.load(name)
    for arguments, text in ((name, None), ("-", json.dumps(table.as_tuples()))):
        told = run("identify", arguments, text=text).stdout
        assert ("\nfor        " in told) == (words is not None)
        assert ("\ninstead    " in told) == (words is None)
        assert words is None or words in told
    found = json.loads(run("identify", name, "--json").stdout)
    assert (found["made_for"] is None) == (words is None)
    assert bool(found["instead"]) == (words is None)


def test_fold_writes_a_certified_table_and_unfold_takes_it_back(run, tmp_path):
    result = run("fold", "polar_express_deg5", "--factor", 1.01, "--rows", "all-but-last")
    assert result.exit_code == 0
    path = tmp_path / "coeffs" / "polar_express_deg5-folded1.01-all-but-last.json"
    assert f"wrote coeffs/{path.name}" in result.stdout
    table = polydesign.load(path)
    assert table.certificate is not None
    assert table.certificate.kind == "proved"
    listed = published("polar_express_deg5_folded_1.01").rows
    np.testing.assert_allclose(table.as_tuples(), listed, rtol=1e-15)
    made = table.provenance.parameters
    assert (made["factor"], made["rows"], made["table"]) == (1.01, "all-but-last", "polar_express_deg5")
    assert run("certify", path).exit_code == 0
    assert "polar_express_deg5_folded_1.01\n" in run("identify", path).stdout

    back = run(
        "unfold", path, "--factor", 1.01, "--rows", "all-but-last", "-o", "back.json", "--name", "back"
    )
    assert back.exit_code == 0
    original = polydesign.load("polar_express_deg5").as_tuples()
    np.testing.assert_allclose(polydesign.load("back.json").as_tuples(), original, rtol=1e-15)
    wrong = run("unfold", path, "--factor", 1.01, "--rows", "all", "-o", "-")
    last = json.loads(wrong.stdout)["steps"][-1]["coefficients"]
    assert last[0] != pytest.approx(original[-1][0], rel=1e-3)


def test_fold_of_our_own_table_keeps_its_programs_and_precision(run):
    result = run("fold", "sign-m15-l1e-3-bf16", "--factor", 1.02, "--rows", "first", "-o", "-")
    body = json.loads(result.stdout)
    own = polydesign.load("sign-m15-l1e-3-bf16").schedule.steps
    assert [step["evaluation"] for step in body["steps"]] == [step.evaluation for step in own]
    assert "chebyshev" in {step.evaluation for step in own}
    assert (body["purpose"], body["dtype"], body["form"]) == ("sign", "bfloat16", "direct")
    assert polydesign.load("sign-m15-l1e-3-bf16").observed is not None
    assert body["error"]["observed"] is None  # nobody has measured the new map
    assert body["certificate"]["kind"] == "proved"


def test_fold_refuses_a_table_for_clipping(run, tmp_path):
    result = run("fold", "clip-d9x3-l0.1-bf16", "--factor", 1.01)
    assert result.exit_code == 2
    assert (
        "is made for clipping, and a factor would tilt its line: design it with --headroom" in result.stderr
    )
    assert not (tmp_path / "coeffs").exists()


def test_a_folded_table_says_that_nothing_was_written_twice(run):
    run("fold", "jordan_5", "--factor", 1.01)
    assert "holds this table already" in run("fold", "jordan_5", "--factor", 1.01).stdout
    assert run("fold", "jordan_5", "--factor", 1.01, "--quiet").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["jordan_5", "--factor", 0], "--factor: must be greater than 0"),
        (["jordan_5"], "Missing option '--factor'"),
        (["jordan_5", "--factor", 1.01, "--rows", "last"], "'last' is not one of"),
        (["jordn_5", "--factor", 1.01], "did you mean jordan_5"),
        (["jordan_5", "--factor", 0.3], "--factor: with p(x/0.3) in rows all values run away in step 4"),
        (["sign-d5x5-l1e-3", "--factor", 1e300], "--factor: 1e+300 takes step 1 out of float64"),
        (
            ["inverse-m11-l1e-4-fp32", "--factor", 0.99],
            "--factor: with 0.99 step 1 leaves values down to -0.08",
        ),
    ],
)
def test_fold_refuses(run, arguments, message):
    result = run("fold", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_what_is_exported_is_found_again(run, tmp_path):
    """Of all targets: tests/test_exported.py."""
    run("export", "sign-d5x5-l1e-3-bf16", "--to", "nanochat", "-o", "text.py")
    name, read, *_ = run("identify", "text.py").stdout.splitlines()
    assert name == "sign-d5x5-l1e-3-bf16"
    assert read == (
        "read       for what divides by 1.01 times the norm (adam-atan2, nanochat): the first row is p(1.01x)"
    )
    run("export", "jordan_5", "--to", "torch", "-o", "one.py")
    assert run("identify", "one.py").stdout.startswith("jordan_5: its one row, which is run 5 times\n")


def test_constants_of_a_program_are_known_by_their_header(run, tmp_path):
    schedule = polydesign.load("sign-m15-l1e-3-bf16").schedule
    run("export", "sign-m15-l1e-3-bf16", "--to", "numpy", "-o", "text.py")
    assert run("identify", "text.py").stdout.startswith(
        f"sign-m15-l1e-3-bf16\nrun        exactly {len(schedule.steps)} steps, 15 matrix"
    )
    text = (tmp_path / "text.py").read_text()
    constant = repr(schedule.steps[0].program.constant)
    assert constant in text
    edited = run("identify", "-", text=text.replace(constant, "1.5"))  # the header alone proves nothing
    assert edited.exit_code == 2
    assert "text: runs programs, whose constants are no coefficients, and names sign-m15" in edited.stderr

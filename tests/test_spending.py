"""A budget as design and the command line offer it: goals, provenance, refusals, files."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

import polydesign
from polydesign.approximation.certificate import check_certificate
from polydesign.cli import main
from polydesign.designer.budget import Budget
from polydesign.model import InputError, Problem
from polydesign.program.cost import cost, flops, matmuls
from polydesign.search.minimax import Equioscillation
from polydesign.table import dumps, loads
from polydesign.verification.select import select

pytestmark = pytest.mark.numerics

SMALL = {"matmuls": 9, "degree": (3, 5), "shape": (32, 64)}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        return CliRunner().invoke(main, ["search", *map(str, arguments)])

    return invoke


@pytest.fixture(scope="module")
def table():
    return polydesign.design(**SMALL)


def test_a_table_like_any_other(table):
    assert table.name == "sign-m9-l1e-3-bf16-32x64"
    check_certificate(table.schedule, table.certificate)
    assert loads(dumps(table)) == table
    assert matmuls(table.schedule) == 9
    assert table.provenance.strategy == "budget"
    assert set(table.schedule.degrees) <= {3, 5}


def test_provenance_makes_it_again(table):
    """Headroom, cushion and evaluations found by the search give the same schedule without it."""
    p = table.provenance.parameters
    headroom, floor, evaluation = (tuple(p[name]) for name in ("headroom", "image_floor", "evaluation"))
    how = Equioscillation(headroom=headroom, image_floor=floor, evaluation=evaluation)
    again = how.search(Problem(2, table.schedule.degrees, *table.schedule.interval))
    assert again == table.schedule
    assert p["dtype"] == "bfloat16"
    assert p["cost"] == 9
    found = select([table], dtype="bf16", shape=p["shape"], seed=table.provenance.seed or 0)[0]
    assert found.worst == p["measured"]
    assert polydesign.design(**SMALL) == table  # the same call, the same table


def test_the_error_goal_takes_the_fewest_products():
    table = polydesign.design(method="budget", error=0.3, degree=(3, 5), shape=(32, 64), lower=0.03)
    p = table.provenance.parameters
    assert p["measured"] <= 0.3
    assert table.schedule.error <= 0.3
    fewer = polydesign.design(matmuls=int(p["cost"]) - 1, degree=(3, 5), lower=0.03, measure=False)
    assert fewer.provenance.parameters["expected"] > 0.3


def test_costs_by_shape_and_form():
    """With symmetric products at half cost, the gram form is the cheaper one for wide matrices."""
    keywords = {"method": "budget", "error": 0.3, "degree": (3, 5), "lower": 0.03, "shape": (32, 128)}
    auto = polydesign.design(**keywords, dtype="float32", symmetric=0.5, form="auto")
    direct = polydesign.design(**keywords, dtype="float32", symmetric=0.5)
    a, d = auto.provenance.parameters, direct.provenance.parameters
    assert a["cost"] < d["cost"]
    assert a["form"] == "gram"
    whole = flops((32, 128), form="gram", symmetric=0.5)
    assert a["cost"] == pytest.approx(
        cost(auto.schedule, whole, form="gram", restarts=a["restarts"]) / whole.wide, rel=1e-12
    )


def test_root_two_in_the_coupled_form():
    """Products are those of G P^(−1/2), and what is measured is P^(−1/2)."""
    keywords = {"matmuls": 11, "degree": (3, 5), "lower": 0.1, "shape": (32, 32), "dtype": "float32"}
    table = polydesign.design(**keywords, form="coupled")
    p = table.provenance.parameters
    assert table.name == "sign-m11-l0.1-fp32-32x32-coupled"
    assert p["form"] == "coupled"
    assert matmuls(table.schedule, form="coupled") == p["cost"] <= 11
    assert (table.purpose, table.dtype, table.form, table.observed) == (
        "root",
        "float32",
        "coupled",
        p["measured"],
    )
    found = select([table], dtype="float32", shape=(32, 32))[0]
    assert found.worst == p["measured"]
    as_sign = replace(table, purpose="sign", form="")
    assert found.worst != select([as_sign], dtype="float32", shape=(32, 32))[0].worst
    # The control: in the direct form the same number of products buys other steps.
    direct = polydesign.design(**keywords)
    assert matmuls(direct.schedule, form="coupled") > 11
    exact = polydesign.design(matmuls=11, lower=0.1, headroom=1, form="coupled")
    assert matmuls(exact.schedule, form="coupled") <= 11
    assert exact.schedule.error < polydesign.design(matmuls=8, lower=0.1, headroom=1).schedule.error


@pytest.mark.parametrize("form", ["direct", "coupled"])
def test_other_roots_have_one_form(form):
    """It may be named, and changes nothing."""
    table = polydesign.design(root=4, matmuls=8, lower=0.3, form=form, measure=False, dtype="float32")
    assert table.name == "root4-m8-l0.3-fp32"
    assert table.provenance.parameters["form"] == "coupled"


def test_without_measuring_the_model_decides_for_what_it_thinks_safest():
    table = polydesign.design(**SMALL, measure=False)
    p = table.provenance.parameters
    assert "measured" not in p
    assert p["caution"] == 1.0


@pytest.mark.parametrize("dtype", [pytest.param("bfloat16", marks=pytest.mark.wide), "float32"])
def test_the_smallest_lower_end(dtype):
    keywords = {"matmuls": 9, "degree": (3, 5), "measure": False, "shape": (32, 64), "dtype": dtype}
    table = polydesign.design(error=0.5, lower="min", **keywords)
    lower, expected = table.schedule.interval[0], table.provenance.parameters["expected"]
    # What is proved is the band; what is expected of a run is that, and the last rounding.
    assert 0.49 < table.schedule.error <= 0.5
    assert expected <= 0.5 + 2.0**-9
    assert expected > 0.5 or dtype == "float32"
    wider = polydesign.design(lower=lower / 2, **keywords)
    assert wider.schedule.error > 0.5
    assert "band0.5" in table.name


def test_the_exact_optimum_says_so(run):
    result = run("--matmuls", 15, "--headroom", 1)
    assert result.exit_code == 0
    assert "sign-m15-l1e-3-exact: root 2, 3 steps, 15 matrix products" in result.stdout
    assert "max |f(x) - 1| <= 0.0139581955, proved" in result.stdout
    assert "best sequence of degrees in exact arithmetic" in result.stdout


def test_the_command_line_measures(run, tmp_path, table):
    result = run("--matmuls", 9, "--degree", "3,5", "--shape", "32x64")
    assert result.exit_code == 0
    assert result.stderr == ""
    path = tmp_path / "coeffs" / f"{table.name}.json"
    assert polydesign.load(path) == table
    assert "measured in bfloat16, direct form, 32x64" in result.stdout
    assert f"wrote coeffs/{table.name}.json" in result.stdout


def test_json_and_no_measure(run):
    result = run("--matmuls", 6, "--degree", 5, "--no-measure", "-o", "-")
    assert json.loads(result.stdout)["provenance"]["parameters"]["measure"] is False
    shown = run("--matmuls", 6, "--degree", 5, "--no-measure").stdout
    assert "nothing was measured, run polydesign verify" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--matmuls", 1), "--matmuls: 1 are too few"),
        (("--method", "budget"), "say how many products, or give the error"),
        (("--shape", "8x8"), "--shape: is a setting of method budget, and not of equioscillation"),
        (("--matmuls", 9, "--steps", 3), "--steps: is not for a budget"),
        (
            ("--matmuls", 9, "--round", "bf16"),
            "--round: is a setting of method equioscillation or adam, and not of budget",
        ),
        (("--matmuls", 9, "--headroom", 1.01), "--headroom: comes out of a budget search"),
        (("--matmuls", 9, "--image-floor", 0.1), "--image-floor: comes out of a budget search"),
        (("--matmuls", 9, "--rate", 0.1), "--rate: is a setting of method adam, and not of budget"),
        (("--matmuls", 9, "--symmetric", 0.5), "--matmuls: counts products one by one"),
        (("--matmuls", 9, "--lower", "min"), "--lower: min is the smallest lower end"),
        (("--matmuls", 9, "--degree", 4), "--degree"),
        (("--matmuls", 9, "--root", 4, "--degree", 9, "--form", "gram"), "--form: gram is of root 2"),
        (("--method", "budget", "--error", 1e-9), "--error: 1e-09 is out of reach in bfloat16"),
        (("--method", "budget", "--error", 0.1, "--costs", "missing.json"), "missing.json"),
    ],
)
def test_refuses_with_the_cure(run, tmp_path, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_refused_before_the_search(run, tmp_path):
    (tmp_path / "t.json").write_text("{}")
    result = run("--matmuls", 9, "-o", "t.json")
    assert result.exit_code == 2
    assert "t.json exists" in result.stderr


@pytest.mark.parametrize(
    ("field", "value"),
    [("matmuls", 0), ("shape", (3,)), ("shape", (1, 4)), ("form", "folded"), ("seed", -1), ("matmuls", 2.5)],
)
def test_settings_are_checked(field, value):
    with pytest.raises(InputError) as refused:
        Budget(**{field: value})
    assert refused.value.field == field


def test_settings_of_another_method():
    with pytest.raises(InputError, match="objective: is a setting of method adam, and not of budget"):
        polydesign.design(matmuls=9, objective="sup")


def test_a_budget_without_a_safe_candidate_is_refused(monkeypatch):
    monkeypatch.setattr("polydesign.verification.select.RARE", -1.0)
    with pytest.raises(
        InputError, match=r"matmuls: none of \d+ candidates for 6 keeps its values in bfloat16"
    ):
        polydesign.design(method="budget", matmuls=6, dtype="bf16", shape=(16, 32))

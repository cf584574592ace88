"""The gradient search as design and the command line offer it: tables, provenance, resumption, trajectory."""

from __future__ import annotations

import csv
import signal
from dataclasses import replace

import pytest
from click.testing import CliRunner

import polydesign
from polydesign.approximation.certificate import check_certificate
from polydesign.cli import main
from polydesign.designer.gradient import Gradient
from polydesign.designer.strategy import Task
from polydesign.model import InputError, Problem
from polydesign.search import rounded
from polydesign.search.adam import run as searched
from polydesign.search.descent import Descent
from polydesign.table import dumps, loads

pytestmark = pytest.mark.numerics

QUICK = {"method": "adam", "iterations": 40, "device": "cpu"}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        return CliRunner().invoke(main, ["search", "--method", "adam", *map(str, arguments)])

    return invoke


def test_a_table_like_any_other():
    table = polydesign.design(steps=3, lower=1e-2, seed=3, **QUICK)
    assert table.name == "sign-d5x3-l0.01-adam-topk50"
    assert table.certificate is not None
    assert table.certificate.kind == "proved"
    check_certificate(table.schedule, table.certificate)
    assert loads(dumps(table)) == table
    parameters = table.provenance.parameters
    assert table.provenance.strategy == "adam"
    assert table.provenance.seed == 3
    assert parameters["value"] <= parameters["start_value"]
    # Every setting of the search stands in the file.
    settings = {
        "objective",
        "iterations",
        "rate",
        "drop",
        "drop_after",
        "start",
        "shared",
        "restarts",
        "spread",
    }
    assert settings | {"perturbation", "cap", "parameters", "polish", "stopped"} <= parameters.keys()


def test_the_provenance_repeats_the_search():
    table = polydesign.design(steps=3, lower=1e-2, start="random", restarts=2, seed=4, **QUICK)
    kept = table.provenance.parameters
    again = {key: kept[key] for key in ("objective", "iterations", "rate", "start", "restarts", "device")}
    repeated = polydesign.design(steps=3, lower=1e-2, method="adam", seed=table.provenance.seed, **again)
    assert repeated == table


@pytest.mark.few(1)
@pytest.mark.parametrize("word", [None, "bf16"])
@pytest.mark.parametrize("objective", ["sup", "sup + 0.1*topk:50", "mean-square:log-uniform"])
def test_the_same_seed_gives_the_same_table_and_leaves_what_it_got(tmp_path, monkeypatch, word, objective):
    for name in ("TRIED", "ROUNDS", "FINISHED"):
        monkeypatch.setattr(rounded, name, 2)
    start = tmp_path / "start.json"
    polydesign.save(polydesign.design(steps=2, lower=0.05, dtype="float16"), start)
    settings = {"iterations": 20, "device": "cpu", "restarts": 2, "perturbation": 0.05, "start": str(start)}
    settings |= {"round": word, "seed": 1, "objective": objective}
    given, text = dict(settings), start.read_bytes()
    strategy, task = Gradient(**settings, evaluation="monomial"), Task("adam", steps=2, lower=0.05)
    first, second = (strategy.search(task) for _ in range(2))
    assert first == second
    assert (settings, start.read_bytes()) == (given, text)
    tables = [polydesign.design(method="adam", steps=2, lower=0.05, **settings) for _ in range(2)]
    assert dumps(tables[0]) == dumps(tables[1])
    assert tables[0].schedule == first.schedule
    problem = Problem(2, (5, 5), 0.05)
    assert searched(replace(strategy, seed=2), problem).rows != searched(strategy, problem).rows


def test_degrees_come_from_the_start():
    table = polydesign.design(start="jordan_5", shared=True, **QUICK)
    assert table.schedule.degrees == (5,) * 5
    assert table.name.endswith("-adam-topk50-shared")


def test_high_degrees_run_in_chebyshev_polynomials():
    table = polydesign.design(degree=(9, 5), lower=0.05, **QUICK)
    assert [step.evaluation for step in table.schedule.steps] == ["chebyshev", "monomial"]
    assert loads(dumps(table)) == table


def test_resumption_goes_on(tmp_path):
    path = tmp_path / "first.json"
    first = polydesign.design(steps=3, lower=1e-2, objective="sup", polish=False, **QUICK)
    polydesign.save(first, path)
    keywords = {"method": "adam", "lower": 1e-2, "resume": path, "iterations": 60}
    second = polydesign.design(**keywords)
    before, after = first.provenance.parameters, second.provenance.parameters
    assert after["objective"] == "sup"
    assert (before["iterations_done"], after["begin"], after["iterations_done"]) == (40, 40, 60)
    assert after["start_value"] == before["value"]
    assert after["value"] <= before["value"]
    with pytest.raises(InputError, match="are 30 in all, and 40 are done already"):
        polydesign.design(**{**keywords, "iterations": 30})
    minimax = polydesign.design(steps=3, lower=1e-2)
    polydesign.save(minimax, path, force=True)
    with pytest.raises(InputError, match="does not come from a gradient search"):
        polydesign.design(**keywords)


def test_resumption_goes_on_with_the_same_problem(run):
    result = run("--steps", 2, "--lower", 0.02, "--timeout", 1e-9, "--objective", "sup", "-o", "a.json")
    assert "--resume a.json --lower 0.02 goes on" in result.stderr
    result = run("--resume", "a.json", "--iterations", 5)
    assert result.exit_code == 2
    assert "Error: --lower: is 0.001, and a.json was searched with 0.02" in result.stderr
    result = run("--resume", "a.json", "--iterations", 5, "--lower", 0.02, "-o", "b.json")
    assert result.exit_code == 0, result.output


@pytest.mark.alike
def test_resumption_keeps_normalization_and_evaluation(run):
    given = ("--degree", "3,7", "--lower", 0.1, "--normalization", "aol", "--evaluation", "monomial")
    result = run(*given, "--timeout", 1e-9, "-o", "a.json")
    assert "--resume a.json --lower 0.1 --normalization aol goes on" in result.stderr
    result = run("--resume", "a.json", "--lower", 0.1, "--iterations", 5)
    assert result.exit_code == 2
    assert "Error: --normalization: is 'frobenius', and a.json was searched with 'aol'" in result.stderr
    again = ("--resume", "a.json", "--lower", 0.1, "--normalization", "aol", "--iterations", 5)
    words = {}
    for name, more in (("b", ()), ("c", ("--evaluation", "chebyshev")), ("d", ("--degree", "3,9"))):
        result = run(*again, *more, "-o", f"{name}.json")
        assert result.exit_code == 0, result.output
        table = polydesign.load(f"{name}.json")
        assert table.normalization == "aol"
        words[name] = [step.evaluation for step in table.schedule.steps]
    # That of the table; another where it is asked for, or where the degrees are no longer the table's.
    assert words == {"b": ["monomial"] * 2, "c": ["chebyshev"] * 2, "d": ["monomial", "chebyshev"]}


def test_trajectory(run, tmp_path):
    result = run("--steps", 3, "--lower", 0.01, "--iterations", 30, "--trajectory", "t.csv", "-o", "a.json")
    assert result.exit_code == 0, result.output
    with (tmp_path / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["iteration"]) for row in rows] == list(range(31))
    best = [float(row["best"]) for row in rows]
    assert best == sorted(best, reverse=True)
    parameters = polydesign.load("a.json").provenance.parameters
    assert best[0] == parameters["start_value"]
    assert best[-1] >= parameters["value"]
    result = run("--steps", 3, "--iterations", 30, "--trajectory", "t.svg", "-o", "b.json")
    assert result.exit_code == 0, result.output
    assert b"<svg" in (tmp_path / "t.svg").read_bytes()


def test_the_summary_says_what_was_searched(run):
    result = run("--steps", 3, "--objective", "topk:20", "--iterations", 30)
    assert result.exit_code == 0, result.output
    assert "objective topk:20 = " in result.stdout
    assert "its start, minimax, has" in result.stdout
    assert "wrote coeffs/sign-d5x3-l1e-3-adam-topk20.json" in result.stdout


def test_what_was_searched_for_finds_a_place(run, tmp_path):
    for seed, name in ((0, "sign-d5x2-l1e-3-adam-sup.json"), (1, "sign-d5x2-l1e-3-adam-sup-2.json")):
        arguments = (
            "--steps",
            2,
            "--objective",
            "sup",
            "--iterations",
            3,
            "--start",
            "random",
            "--seed",
            seed,
        )
        result = run(*arguments, "--no-polish")
        assert result.exit_code == 0, result.output
        assert f"wrote coeffs/{name}" in result.stdout
        assert "left as it is" in run(*arguments, "--no-polish").stdout
    (tmp_path / "mine.json").write_text("mine")
    result = run("--steps", 2, "--iterations", 10**9, "-o", "mine.json")
    assert "Error: --output: mine.json exists" in result.stderr


def test_a_timeout_leaves_a_valid_table(run):
    result = run("--steps", 3, "--timeout", "0.05", "-o", "t.json")
    assert result.exit_code == 0, result.output
    assert "the time was over after" in result.stderr
    assert "--resume t.json" in result.stderr
    parameters = polydesign.load("t.json").provenance.parameters
    assert parameters["stopped"] == "timeout"
    assert parameters["iterations_done"] < 20_000


def test_an_interrupt_leaves_a_valid_table(run, tmp_path, monkeypatch):
    keep = Descent._keep

    def interrupting(self, value):
        keep(self, value)
        if self.done == 50:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Descent, "_keep", interrupting)
    result = run("--steps", 3, "-o", "i.json")
    assert result.exit_code == 0, result.output
    assert "interrupted after 50 of 20000 iterations" in result.stderr
    table = polydesign.load(tmp_path / "i.json")
    assert table.provenance.parameters["value"] <= table.provenance.parameters["start_value"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--steps", 3, "--objective", "best"), "Error: --objective: 'best' is not one of topk"),
        (
            ("--steps", 3, "--headroom", 1.01),
            "Error: --headroom: is a setting of method equioscillation or budget or clip, and not of adam",
        ),
        (("--steps", 3, "--trajectory", "t.txt"), "must end in .csv, .png, .svg"),
        (("--steps", 3, "--timeout", 0), "Error: --timeout: must be positive"),
        (("--error", 0.1), "Error: --error: the gradient search needs a number of steps"),
        (("--steps", 3, "--start", "nowhere"), "Error: --start: 'nowhere' is not one of minimax"),
        ((), "Error: --steps: say how many steps"),
    ],
)
def test_refusals(run, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_settings_belong_to_adam():
    with pytest.raises(
        InputError, match="objective: is a setting of method adam, and not of equioscillation"
    ):
        polydesign.design(steps=3, objective="sup")
    with pytest.raises(InputError, match="speed: is not a setting of method adam"):
        polydesign.design(steps=3, method="adam", speed=3)
    with pytest.raises(InputError, match="method: 'magic' is not one of equioscillation, budget, adam, clip"):
        polydesign.design(steps=3, method="magic")
    result = CliRunner().invoke(main, ["search", "--steps", "3", "--seed", "1"])
    assert "Error: --seed: is a setting of method budget or adam, and not of equioscillation" in result.stderr

"""A gradient search on a grid: what runs lies there, and no worse than rounding to nearest; what stops it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import polydesign
from polydesign.cli import main
from polydesign.model import InputError, Problem
from polydesign.search import adam, grids, polish, rounded
from polydesign.search.adam import Adam, run
from polydesign.search.descent import Descent
from polydesign.search.objectives import parse
from polydesign.search.rounded import rows_of
from polydesign.table import dumps, loads

pytestmark = pytest.mark.numerics

QUICK = {"iterations": 40, "device": "cpu"}
PROBLEM = Problem(2, (5, 5, 5), 1e-2)


def naive(objective: str, rows, problem: Problem) -> float:
    """The objective of rows, by its formula, a step that is not positive refused."""
    ((_, one),) = parse(objective)
    points = one.points(problem)
    x = points
    for row in rows:
        x = np.sum([c * x ** (1 + j * problem.root) for j, c in enumerate(row)], axis=0)
        if not x.min() > 0:
            return np.inf
    return {
        "topk:50": lambda: np.sort(abs(x - 1))[-50:].mean(),
        "sup": lambda: abs(x - 1).max(),
        "mean-square:log-uniform": lambda: np.mean((x - 1) ** 2),
        "slope:0.3": lambda: -np.log(x[0] / points[0]) + 30 * max(0.0, abs(x[1:] - 1).max() - 0.3),
    }[objective]()


def nearest(rows, word: str):
    where = grids.grid(word)
    return tuple(tuple(map(where.nearest, row)) for row in rows)


@pytest.fixture
def few(monkeypatch):
    """Fewer points tried, and less at each: the tests look at what holds for any number."""
    for name, number in (("TRIED", 3), ("ROUNDS", 2), ("FINISHED", 1), ("SWEEPS", 1)):
        monkeypatch.setattr(rounded, name, number)


CASES = [  # word, objective, problem, settings
    ("bf16", "topk:50", PROBLEM, {}),
    ("1/1024", "sup", Problem(1, (3, 3), 0.1), {}),
    ("1/64", "topk:50", PROBLEM, {"shared": True}),
    ("decimals:2", "mean-square:log-uniform", Problem(2, (5, 3), 0.1), {}),
    ("fp16", "slope:0.3", Problem(2, (3, 3, 3), 0.05), {}),
    ("1/32", "sup", PROBLEM, {"polish": False}),
    ("fp32", "topk:50", Problem(4, (5, 9), 0.3, 2.0), {"start": "classical"}),
]


@pytest.mark.few(3)
@pytest.mark.parametrize(("word", "objective", "problem", "settings"), CASES)
def test_all_lies_on_the_grid_and_is_no_worse_than_rounding_to_nearest(
    few, word, objective, problem, settings
):
    found = run(Adam(objective, round=word, **settings, **QUICK), problem)
    rows = rows_of(found.schedule)
    assert found.unrounded is not None
    assert nearest(rows, word) == rows
    assert nearest(found.unrounded, word) != found.unrounded  # negative control: the check sees what is not
    # Horner's rule in another order: a few roundings of values of order 1, and a logarithm of them.
    assert found.value == pytest.approx(naive(objective, rows, problem), rel=1e-9, abs=1e-12)
    plain = naive(objective, nearest(found.unrounded, word), problem)
    assert found.value <= plain * (1 + 1e-9) if plain > 0 else found.value <= plain * (1 - 1e-9)
    assert found.schedule.steps[-1].image[0] > 0
    if settings.get("shared"):
        assert len(set(rows)) == 1


def test_rounding_to_nearest_is_kept_where_all_else_is_worse(few, monkeypatch):
    """The lattice gone astray: what it offers is off by a quarter."""
    config = Adam("sup", round="1/1024", **QUICK)

    def astray(where, free, *rest):
        return [tuple(where.nearest(1.25 * c) for c in free)]

    monkeypatch.setattr(rounded, "near", astray)
    monkeypatch.setattr(rounded.GridRounding, "_settled", lambda self, rows: rows)
    found = run(config, PROBLEM)
    assert found.unrounded is not None
    assert rows_of(found.schedule) == nearest(found.unrounded, "1/1024")


def test_moving_the_later_steps_is_worth_it(few, monkeypatch):
    """A grid on which rounding to nearest loses values; negative control: the later steps left alone."""
    problem = Problem(2, (5,) * 5, 1e-3)
    config = Adam("sup", iterations=0, round="bf16", device="cpu")
    best = run(config, problem)
    assert best.unrounded is not None
    assert naive("sup", nearest(best.unrounded, "bf16"), problem) > 10 * best.value
    monkeypatch.setattr(rounded.GridRounding, "_moved", lambda self, candidates, frozen: candidates)
    assert run(config, problem).value > 1.05 * best.value


def test_a_value_far_below_the_units_of_the_grid_is_kept(few, monkeypatch):
    """A free last step becomes the limit step about 1.001 or so, which is on no grid; that about 1 is."""
    problem = Problem(2, (5,) * 4, 0.015)
    law = "mean-square:marchenko-pastur:64x256"
    config = Adam(law, iterations=300, round="1/1024", device="cpu")
    ended, offered = rounded.GridRounding._ended_by_limits, []
    # Where the path of Adam leads is the processor's: what is offered is asked of minimax steps too.
    minimax = rows_of(polydesign.design(degree=5, steps=4, lower=0.05, headroom=1).schedule)

    def noted(self, rows, t):
        found = ended(self, rows, t)
        offered.extend(found + ended(self, minimax, t))
        return found

    monkeypatch.setattr(rounded.GridRounding, "_ended_by_limits", noted)
    found = run(config, problem)
    assert found.unrounded_value is not None
    # The limit step makes 2.5 e³ of a small e. The step before it has an e of its own, which that formula gives
    # from the unrounded value, and at most 1.5/1024 from three coefficients off by half a unit.
    own = (found.unrounded_value**0.5 / 2.5) ** (1 / 3)
    bound = (2.5 * (own + 1.5 / 1024) ** 3) ** 2
    assert found.value < bound
    limit = (1.875, -1.25, 0.375)
    assert any(rows[-1] == limit for rows in offered)
    assert all(nearest(rows[-1:], "1/1024") == (limit,) for rows in offered if len(rows) == 4)
    # Negative control: on the grid the limit step about 1.001 misses 1 by a unit, wherever it is flat.
    about = (1.875, -1.25 / 1.001**2, 0.375 / 1.001**4)
    (row,) = nearest([about], "1/1024")
    x = np.linspace(1 - own, 1 + own, 101)
    assert np.min(abs(row[0] * x + row[1] * x**3 + row[2] * x**5 - 1)) ** 2 > 100 * bound


@pytest.mark.few(1)
@pytest.mark.parametrize(("steps", "word"), [(4, "1/1024"), (5, "bf16")])
def test_least_squares_that_leave_float64_come_back(few, monkeypatch, steps, word):
    """From some points of these grids the first trial of least squares, or the point, has huge squares."""
    config = Adam("mean-square:marchenko-pastur:64x256", iterations=0, round=word, device="cpu")
    problem = Problem(2, (5,) * steps, 0.015)
    found = run(config, problem)
    assert nearest(rows_of(found.schedule), word) == rows_of(found.schedule)
    monkeypatch.setattr(polish, "FARTHEST", 1e300)  # negative control
    with pytest.raises((RuntimeWarning, ValueError)):
        run(config, problem)


def test_a_timeout_and_an_interruption_still_end_on_the_grid(few, monkeypatch):
    config = Adam(iterations=2000, round="bf16", device="cpu")
    late = run(config, PROBLEM, timeout=1e-9)
    assert late.stopped == "timeout"
    for where in ("polished", "near"):  # while later steps move, and before
        work, calls = getattr(rounded, where), iter([True])

        def interrupting(*arguments, work=work, calls=calls, **keywords):
            if next(calls, False):
                raise KeyboardInterrupt
            return work(*arguments, **keywords)

        monkeypatch.setattr(rounded, where, interrupting)
        cut = run(Adam("sup", round="bf16", **QUICK), PROBLEM)
        monkeypatch.setattr(rounded, where, work)
        assert cut.stopped == "interrupted"
        assert nearest(rows_of(cut.schedule), "bf16") == rows_of(cut.schedule)
    assert nearest(rows_of(late.schedule), "bf16") == rows_of(late.schedule)


def test_a_mean_square_keeps_within_bounds_where_it_does_not_look(few):
    found = run(
        Adam("mean-square:marchenko-pastur:64x256", round="1/64", device="cpu", iterations=100),
        Problem(2, (5, 5), 0.05),
    )
    assert found.schedule.error <= 1.01  # 500 points are guarded, and between two of them f moves little


def test_a_table_says_what_rounding_costs_and_resumption_rounds_again(few, tmp_path):
    table = polydesign.design(method="adam", steps=3, lower=1e-2, objective="sup", round="bfloat16", **QUICK)
    assert table.name == "sign-d5x3-l0.01-rbf16-adam-sup"
    assert loads(dumps(table)) == table
    p = table.provenance.parameters
    assert p["round"] == "bf16"
    assert p["value"] != p["unrounded_value"]
    free = polydesign.design(method="adam", steps=3, lower=1e-2, objective="sup", **QUICK)
    assert p["unrounded_value"] == free.provenance.parameters["value"]
    assert p["unrounded_rows"] == [list(row) for row in free.as_tuples()]
    assert not {"round", "unrounded_value", "unrounded_rows"} & free.provenance.parameters.keys()

    path = tmp_path / "rounded.json"
    polydesign.save(table, path)
    keywords = {"method": "adam", "lower": 1e-2, "resume": path, "iterations": 60}
    again = polydesign.design(**keywords).provenance.parameters
    # It goes on from the unrounded coefficients, not from those on the grid.
    assert again["start_value"] == p["unrounded_value"] != p["value"]
    assert again["round"] == "bf16"
    finer = polydesign.design(**keywords, round="fp32")
    assert nearest(finer.as_tuples(), "fp32") == tuple(finer.as_tuples())
    with pytest.raises(InputError, match=r"start: .* has 3 steps, and 4 are asked for"):
        polydesign.design(**keywords, steps=4)


def test_the_summary_says_the_price(few, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = "search --method adam --steps 3 --iterations 40 --round 1/64 --objective sup"
    result = CliRunner().invoke(main, arguments.split())
    assert result.exit_code == 0, result.output
    p = polydesign.load("coeffs/sign-d5x3-l1e-3-r1_64-adam-sup.json").provenance.parameters
    assert (
        f"rounding  to 1/64: {p['value']:.9g}; without it {p['unrounded_value']:.9g}; the price is "
        f"{p['value'] / p['unrounded_value']:.5g} times that"
    ) in result.stdout
    slope = CliRunner().invoke(main, [*arguments.split(), "--objective", "slope:0.3", "-o", "s.json"])
    assert "the price is +" in slope.stdout or "the price is -" in slope.stdout


@pytest.mark.alike
def test_an_interrupt_of_the_command_leaves_a_table_on_the_grid(tmp_path):
    """By a signal to a process of its own, as Ctrl-C in a shell."""
    code = (
        "import os, signal\n"
        "import polydesign.search.descent as d\n"
        "keep = d.Descent._keep\n"
        "def interrupting(self, value):\n"
        "    keep(self, value)\n"
        "    if self.done == 50: os.kill(os.getpid(), signal.SIGINT)\n"
        "d.Descent._keep = interrupting\n"
        "from polydesign.cli import main\n"
        "main('search --method adam --round bf16 --steps 2 --objective sup -o i.json'.split())\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "interrupted after 50 of 20000 iterations" in result.stderr
    assert "rounded without moving later steps" in result.stderr
    rows = tuple(polydesign.load(tmp_path / "i.json").as_tuples())
    assert nearest(rows, "bf16") == rows


@pytest.mark.few(2)
@pytest.mark.parametrize("word", [None, "bf16"])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Descent, "sorted"),  # before the polish
        (adam, "polished"),
        (adam, "ranked"),  # after it
        (adam, "GridRounding"),
        (rounded.GridRounding, "_best"),
        (rounded.GridRounding, "_settled"),
        (Descent, "value_of"),
    ],
)
def test_an_interruption_after_adam_loses_nothing(few, monkeypatch, owner, name, word):
    """Whichever piece of the end it comes in: what Adam had found is there, and on the grid."""
    config = Adam("sup", round=word, start="classical", **QUICK)
    plain = run(replace(config, round=None, polish=False), PROBLEM)
    work, calls = getattr(owner, name), iter([True])

    def interrupting(*arguments, **keywords):
        if next(calls, False):
            raise KeyboardInterrupt
        return work(*arguments, **keywords)

    monkeypatch.setattr(owner, name, interrupting)
    cut = run(config, PROBLEM)
    reached = next(calls, None) is None
    assert cut.stopped == ("interrupted" if reached else "done")
    assert reached or word is None
    assert cut.iterations == QUICK["iterations"]
    assert cut.rows == plain.rows
    before = cut.value if cut.unrounded_value is None else cut.unrounded_value
    assert before <= plain.value < plain.start_value
    if word is not None:
        assert nearest(rows_of(cut.schedule), word) == rows_of(cut.schedule)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"round": "1/0"}, "round: '1/0' is not 1/N"),
        ({"round": "1/1"}, "round: 1/1 is too coarse for degree 5 here: take a finer one"),
        ({"round": "bf16", "parameters": "fixed-points"}, "round: is for parameters = coefficients"),
        ({"round": "bf16", "degree": 9}, "round: .* write evaluation monomial"),
    ],
)
def test_refuses_by_name(few, keywords, message):
    with pytest.raises(InputError, match=message):
        polydesign.design(**{"method": "adam", "degree": 5, "steps": 2, **QUICK} | keywords)


def test_on_a_device(few, device):
    found = run(Adam("sup", iterations=20, round="bf16", device=device), PROBLEM)
    assert nearest(rows_of(found.schedule), "bf16") == rows_of(found.schedule)

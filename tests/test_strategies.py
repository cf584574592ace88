"""A strategy is one dataclass and one entry: a toy that is added here is found everywhere."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, fields
from inspect import signature
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

import polydesign
from polydesign.approximation.scalar import schedule_from
from polydesign.cli import main
from polydesign.designer.design import design
from polydesign.designer.methods import METHODS
from polydesign.designer.strategy import Strategy, Task
from polydesign.model import InputError, Schedule
from polydesign.reporting import chapter, origin, pictures
from polydesign.reporting.page import laid_out, markdown
from polydesign.table import dumps, loads

KEYWORDS = {"method": "toy", "degree": 3, "steps": 3, "lower": 0.5, "scale": 0.9}
ARGUMENTS = ["--method", "toy", "--degree", "3", "--steps", "3", "--lower", "0.5", "--scale", "0.9"]


@dataclass(frozen=True, slots=True)
class Toy(Strategy):
    """The Newton-Schulz step as often as there are steps.

    Args:
        scale: What x is multiplied by
            in every step.
        rows: One or more numbers.
        sides: Of a matrix.
        word: Of two.
        sure: Yes or no.

    Raises nothing: this is no argument.
    """

    scale: float = 1.0
    rows: float | tuple[float, ...] | None = None
    sides: tuple[int, int] = (2, 3)
    word: str = field(default="a b", metadata={"choices": ("a b", "c d")})
    sure: bool = True

    def search(self, task: Task) -> Schedule:
        problem = task.problem()
        row = (1.5 * self.scale, -0.5 * self.scale**3)
        return schedule_from(problem.root, [row] * len(problem.degrees), (problem.lower, problem.upper))


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry: in the package it is a line of designer/methods.py."""
    monkeypatch.setitem(METHODS, "toy", Toy)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.mark.usefixtures("toy")
def test_from_python() -> None:
    table = design(**KEYWORDS)
    assert table.name == "sign-d3x3-l0.5-toy-scale0.9"
    assert table.provenance.strategy == "toy"
    assert table.provenance.parameters == {
        "scale": 0.9, "sides": [2, 3], "word": "a b", "sure": True,
    }  # fmt: skip
    assert table.certificate is not None
    assert table.certificate.kind == "proved"
    assert table.schedule.steps[0].coefficients == (1.5 * 0.9, -0.5 * 0.9**3)
    assert loads(dumps(table)) == table
    for_roots = design(**KEYWORDS, purpose="root", dtype="fp32", word="c d", normalization="schatten4")
    assert for_roots.name == "sign-d3x3-l0.5-schatten4-toy-scale0.9-wordc-d-fp32-coupled"
    assert (for_roots.dtype, for_roots.purpose) == ("float32", "root")


def test_without_the_entry_there_is_none() -> None:
    """Negative control."""
    with pytest.raises(
        InputError, match=r"^method: 'toy' is not one of equioscillation, budget, adam, clip$"
    ):
        design(**KEYWORDS)
    assert "--scale" not in run("search", "--help").stdout
    assert "No such option '--scale'" in run("search", *ARGUMENTS[2:]).stderr


@pytest.mark.usefixtures("toy")
def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("search", *ARGUMENTS)
    assert result.exit_code == 0, result.output
    assert "settings  scale 0.9, sides [2, 3], word a b, sure True" in result.stdout
    assert "the safety costs a factor" in result.stdout
    assert "wrote coeffs/sign-d3x3-l0.5-toy-scale0.9.json" in result.stdout
    assert polydesign.load("sign-d3x3-l0.5-toy-scale0.9") == design(**KEYWORDS)
    every = ["--rows", "1,2.5", "--sides", "4x5", "--word", "c d", "--no-sure", "-o", "-"]
    given = loads(run("search", *ARGUMENTS, *every).stdout).provenance.parameters
    assert given == {"scale": 0.9, "rows": [1.0, 2.5], "sides": [4, 5], "word": "c d", "sure": False}


@pytest.mark.usefixtures("toy")
def test_in_the_help() -> None:
    text = run("search", "--help").stdout
    plain = " ".join(text.split())
    assert "The Newton-Schulz step as often as there are steps (--method toy): --scale FLOAT" in plain
    assert "What x is multiplied by in every step. [default: 1.0]" in plain
    assert "--sure / --no-sure Yes or no. [default: sure]" in plain
    assert "--sides ROWSXCOLUMNS Of a matrix. [default: 2x3]" in plain
    assert "[equioscillation|budget|adam|clip|toy]" in plain
    headings = ["Problem:", *(f"(--method {name}):" for name in METHODS), "Output:"]
    places = [text.index(heading) for heading in headings]
    assert places == sorted(places)


@pytest.mark.usefixtures("toy")
def test_in_a_sweep(tmp_path: Path) -> None:
    problems = [{**KEYWORDS, "scale": scale} for scale in (0.9, 1.0, "much")]
    outcomes = polydesign.sweep(problems, tmp_path, jobs=1)
    names = [outcome.table for outcome in outcomes]
    assert names == ["sign-d3x3-l0.5-toy-scale0.9.json", "sign-d3x3-l0.5-toy.json", None]
    assert polydesign.load(tmp_path / str(names[0])) == design(**KEYWORDS)


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    "more", [{}, {"sure": False, "sides": (4, 5), "rows": (1.0, 2.0)}, {"dtype": "fp16", "word": "c d"}]
)
def test_its_command_makes_it_again(more: dict) -> None:
    table = design(**KEYWORDS, **more)
    command, note = origin.command(table)
    assert note
    arguments = shlex.split(command)
    assert arguments[:8] == ["polydesign", "search", "--method", "toy", "--degree", "3", "--steps", "3"]
    assert loads(run(*arguments[1:], "-o", "-").stdout) == table


@pytest.mark.usefixtures("toy")
def test_in_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_finished", lambda fig, *_, **__: fig)
    monkeypatch.setattr(chapter, "rendered", lambda *_: b"<svg/>")
    table = design(**KEYWORDS)
    assert origin.command(table)[0] in markdown(laid_out([table]))


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"scal": 0.5}, r"^scal: is not a setting of method toy; did you mean scale\?$"),
        ({"stps": 3}, r"^stps: is not a setting of method toy; did you mean steps\?$"),
        ({"speed": 3}, r"^speed: is not a setting of method toy$"),
        ({"rate": 0.1}, r"^rate: is a setting of method adam, and not of toy$"),
        ({"seed": 1}, r"^seed: is a setting of method budget or adam, and not of toy$"),
        ({"word": "e"}, r"^word: 'e' is not one of a b, c d$"),
        ({"purpose": "clip"}, r"^purpose: is sign or root or inverse for method toy, not 'clip'"),
        ({"error": 0.1, "lower": "min"}, r"^lower: min is not for method toy: give a number$"),
        ({"method": "equioscillation"}, r"^scale: is a setting of method toy, and not of equioscillation$"),
        ({"method": None, "matmuls": 9}, r"^scale: is a setting of method toy, and not of budget$"),
    ],
)
def test_what_is_no_setting_is_refused(keywords: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        design(**{**KEYWORDS, **keywords})


def test_none_is_what_is_left_out() -> None:
    """Also of another method: a command line passes all options."""
    plain = design(degree=3, steps=2)
    assert design(degree=3, steps=2, headroom=None, rate=None, matmuls=None, method=None) == plain
    with pytest.raises(InputError, match=r"dtpe: .* did you mean dtype"):
        design(degree=3, steps=2, dtpe=None)


@pytest.mark.parametrize(("name", "strategy"), METHODS.items(), ids=METHODS)
def test_every_field_is_an_option_with_a_text(name: str, strategy: type[Strategy]) -> None:
    """None is called as a keyword of design, which it would hide."""
    command = main.commands["search"]
    options = {one.name: one for one in command.get_params(click.Context(command))}
    listed = {one.name for one in fields(strategy)}  # pyright: ignore[reportArgumentType]
    assert listed == {setting.name for setting in strategy.settings()}
    assert listed <= options.keys()
    assert not listed & signature(design).parameters.keys()
    assert [setting.name for setting in strategy.settings() if len(setting.text) < 10] == []
    text = run("search", "--help").stdout
    section = text[text.index(f"(--method {name})") :]
    assert all(f"--{one.replace('_', '-')} " in section for one in listed)


@pytest.mark.parametrize(
    ("arguments", "stated"),
    [
        (
            ["--image-floor", "0.1", "--headroom", "1.01", "--floor-free-tail", "1"],
            {"image_floor": 0.1, "headroom": 1.01, "floor_free_tail": 1},
        ),
        (
            ["--method", "adam", "--iterations", "3", "--drop", "0.5", "--drop-after", "1", "--spread", "0.1",
             "--restarts", "2", "--cap", "2", "--no-bias-correction", "--device", "cpu"],
            {"drop": 0.5, "drop_after": 1, "spread": 0.1, "cap": 2.0, "bias_correction": False, "device": "cpu"},
        ),
    ],
)  # fmt: skip
def test_options_of_every_field_reach_the_search(arguments: list[str], stated: dict) -> None:
    result = run("search", "--degree", 3, "--steps", 3, "--lower", 0.1, *arguments, "-o", "-")
    assert result.exit_code == 0, result.output
    table = loads(result.stdout)
    assert {key: table.provenance.parameters[key] for key in stated} == stated
    again = run(*shlex.split(origin.command(table)[0])[1:], "-o", "-")
    assert loads(again.stdout) == table


def test_a_floor_free_tail_is_that_of_a_floor() -> None:
    with pytest.raises(InputError, match="floor_free_tail: is that of an image floor"):
        design(degree=3, steps=3, floor_free_tail=1)
    named = {design(degree=3, steps=3, image_floor=0.1, floor_free_tail=tail).name for tail in (0, 1)}
    assert named == {"sign-d3x3-l1e-3-f0.1", "sign-d3x3-l1e-3-f0.1-t1"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scale": "0.9"}, "a number"),
        ({"scale": True}, "a number"),
        ({"scale": 10**400}, "a number"),
        ({"rows": "12"}, "a number or one number a step"),
        ({"rows": (1.0, "x")}, "a number or one number a step"),
        ({"sides": 512}, "a pair such as"),
        ({"sides": (1, 2, 3)}, "a pair such as"),
        ({"sides": (1.0, 2)}, "a pair such as"),
        ({"word": 3}, "a text"),
        ({"sure": "no"}, "True or False"),
        ({"sure": 1}, "True or False"),
        ({"degree": 3.0}, "a whole number, or one a step"),
        ({"upper": "1"}, "a finite number"),
        ({"lower": (0.5,)}, "a finite number"),
    ],
)
@pytest.mark.usefixtures("toy")
def test_a_value_of_another_kind_is_refused_by_its_keyword(settings: dict[str, object], words: str) -> None:
    """A text is no number of one digit a step, and "no" is not yes."""
    with pytest.raises(InputError, match=words) as caught:
        design(**(KEYWORDS | settings))  # pyright: ignore[reportArgumentType]
    assert caught.value.field == next(iter(settings))


@pytest.mark.usefixtures("toy")
def test_numbers_of_numpy_and_lists_are_written_as_plain_ones() -> None:
    given = {
        "scale": np.float64(0.9),
        "rows": [np.float32(0.5), 1],
        "sides": [np.int64(4), 5],
        "sure": np.False_,
    }
    found = design(**(KEYWORDS | {"degree": np.int64(3), "lower": np.float32(0.5)} | given))  # pyright: ignore
    assert found.provenance.parameters["sides"] == [4, 5]
    assert loads(dumps(found)) == found
    plain = {"scale": 0.9, "rows": (0.5, 1), "sides": (4, 5), "sure": False}
    assert found == design(**(KEYWORDS | plain))  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True, slots=True)
class Stubborn(Strategy):
    """Cubic steps of root 2, whatever is asked for."""

    def search(self, task: Task) -> Schedule:
        return schedule_from(2, [(1.5, -0.5)] * len(task.problem().degrees), (0.5, 1.0))


def test_a_schedule_that_was_not_asked_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strategy need not look at all of its task; what it makes is compared with it."""
    monkeypatch.setitem(METHODS, "stubborn", Stubborn)
    assert design(method="stubborn", degree=[3, 5, 3]).schedule.degrees == (3, 3, 3)  # of those asked for
    with pytest.raises(InputError, match=r"^degree: 5 is not what method stubborn makes: steps of degree 3"):
        design(method="stubborn", degree=5, steps=3)
    with pytest.raises(InputError, match=r"^root: is 4, and method stubborn made a schedule of 2"):
        design(method="stubborn", root=4, degree=5, steps=3)

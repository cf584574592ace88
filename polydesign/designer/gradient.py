"""Method adam: a gradient search with its settings, resumption and trajectory."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from polydesign.designer import commands, naming, summaries
from polydesign.designer.strategy import Found, Strategy, Task, given
from polydesign.model import EVALUATIONS, InputError, Problem, Table
from polydesign.program.programs import preferred
from polydesign.search.adam_settings import Adam
from polydesign.search.pace import seconds_left
from polydesign.text.files import write_atomically

if TYPE_CHECKING:
    from polydesign.search.adam import AdamOutcome
    from polydesign.search.starts import Rows

METHOD = "adam"

COLUMNS = ("iteration", "rate", "current", "best")

SUFFIXES = (".csv", ".png", ".svg")

SETTINGS = tuple(one.name for one in fields(Adam) if one.name not in ("seed", "device"))
"""Those that the parameters of a table name; the seed stands beside them, and the device is the one found."""


@dataclass(frozen=True, slots=True)
class Gradient(Adam, Strategy):
    """Gradient search for another objective than the worst case.

    It has no headroom, cushion or image floor, and needs evaluation="monomial" for round where a degree is 7
    or more. Degree and steps may be left out where the start or the resumed table has them.

    Args:
        evaluation: How q is computed.  [default: that of the resumed table, or chebyshev from inner degree 3]
        resume: A table of an earlier --method adam that goes on, with its settings where none are given;
            root, interval and normalization are given again.
        trajectory: Write the way down: .csv, or a figure, .png or .svg.

    Raises InputError naming the field.
    """

    evaluation: str | None = field(default=None, metadata={"choices": EVALUATIONS})
    resume: str | os.PathLike[str] | None = None
    trajectory: str | os.PathLike[str] | None = None

    takes_long: ClassVar[bool] = True

    def __post_init__(self) -> None:
        Adam.__post_init__(self)
        if self.trajectory is not None and Path(self.trajectory).suffix not in SUFFIXES:
            raise InputError("trajectory", f"{os.fspath(self.trajectory)} must end in {', '.join(SUFFIXES)}")
        if self.iterations < self.begin:
            raise InputError("iterations", f"are {self.iterations} in all, and {self.begin} are done already")

    @classmethod
    def made(cls, settings: dict[str, Any]) -> Gradient:
        """With resume, the settings that are not given are those of the resumed table."""
        if settings.get("resume") is None:
            return cls(**settings)
        from polydesign.table.catalogue import load  # mpmath

        file = os.fspath(settings["resume"])
        made_by = load(file).provenance
        if made_by.strategy != METHOD:
            raise InputError("resume", f"{file} does not come from a gradient search: use it as the start")
        stored = {name: value for name, value in made_by.parameters.items() if name in SETTINGS}
        stored |= {"seed": made_by.seed or 0, **settings}
        return cls(**stored | {"start": file, "begin": made_by.parameters["iterations_done"]})

    def search(self, task: Task) -> Found:
        """The schedule with the least objective that was seen; Ctrl-C and a timeout leave the best so far."""
        from polydesign.approximation.scalar import schedule_from  # mpmath
        from polydesign.search.adam import machinery, run  # torch
        from polydesign.search.starts import degrees_of
        from polydesign.table.catalogue import load

        left_out = task.steps is None and task.error is None and not isinstance(task.degree, Sequence)
        resumed = None if self.resume is None else load(self.resume)
        degrees = None
        if left_out:
            degrees = degrees_of(self.start) if resumed is None else resumed.schedule.degrees
        problem = task.problem(degrees)
        rows = None if resumed is None else _rows(resumed, os.fspath(self.resume or ""), problem, task)
        evaluations = self._evaluations(problem, resumed)

        def told(done: int, current: float, best: float) -> None:
            task.watch(done, self.iterations, current, best)

        outcome = run(self, problem, timeout=seconds_left(), watch=told, rows=rows)
        self._write(outcome)
        found = [step.coefficients for step in outcome.schedule.steps]
        schedule = schedule_from(problem.root, found, (problem.lower, problem.upper), evaluations)
        stated = given(asdict(self))
        parameters = {name: stated[name] for name in stated if name in SETTINGS}
        parameters |= {
            "iterations_done": outcome.iterations,
            "stopped": outcome.stopped,
            "start_value": outcome.start_value,
            "value": outcome.value,
            **machinery(self),
        }
        if outcome.unrounded is not None:
            parameters["unrounded_value"] = outcome.unrounded_value
            parameters["unrounded_rows"] = list(map(list, outcome.unrounded))
        if outcome.stopped != "done":
            task.cut_short(outcome.stopped)
        return Found(schedule, parameters, self.seed, dtype=task.dtype)

    def _evaluations(self, problem: Problem, resumed: Table | None) -> tuple[str, ...]:
        if self.evaluation is not None:
            words = (self.evaluation,) * len(problem.degrees)
        elif resumed is not None and resumed.schedule.degrees == problem.degrees:
            words = tuple(step.evaluation for step in resumed.schedule.steps)
        else:
            words = tuple(preferred((degree - 1) // problem.root) for degree in problem.degrees)
        if self.round is not None and set(words) != {"monomial"}:
            raise InputError(
                "round",
                "of a gradient search is for coefficients of powers of A: write evaluation monomial "
                "(steps of degree 7 and more run in Chebyshev polynomials otherwise)",
            )
        return words

    def _write(self, outcome: AdamOutcome) -> None:
        """The trajectory, where it is asked for."""
        if self.trajectory is None:
            return
        path = Path(self.trajectory)
        if path.suffix == ".csv":
            write_atomically(path, as_csv(outcome))
            return
        from polydesign.drawing.figures import save_figure  # matplotlib
        from polydesign.drawing.trajectory import trajectory_figure

        save_figure(trajectory_figure(outcome.trajectory, self.objective), path)

    def name(self, found: Found, task: Task) -> str:
        """sign-d5x3-l0.01-adam-topk50."""
        plain = naming.table_name(found.schedule, None, None, task.normalization, rounded=self.round)
        name = f"{plain}-{task.method}-"
        name += re.sub(r"[^\w.]+", "-", self.objective.replace(":", "")).strip("-")[:80]
        name += "-shared" if self.shared else ""
        return name + naming.ending(task.root, found.dtype, task.purpose)

    @classmethod
    def summary(cls, table: Table) -> list[str]:
        """The optimum in the worst case, the objective before and after, and what a grid costs it."""
        p = table.provenance.parameters
        words = "in the worst case for these degrees; this error is {:.5g} times that"
        lines = [
            summaries.optimum(table, words),
            f"objective {p['objective']} = {p['value']:.9g}; its start, {p['start']}, has "
            f"{p['start_value']:.9g} ({p['iterations_done']} iterations, seed {table.provenance.seed})",
        ]
        if "round" not in p:
            return lines
        value, unrounded = p["value"], p["unrounded_value"]
        price = f"{value - unrounded:+.5g}"
        if unrounded > 1e-300 and "slope" not in p["objective"]:  # a slope counts as its logarithm
            price = f"{value / unrounded:.5g} times that"
        rounding = f"rounding  to {p['round']}: {value:.9g}; without it {unrounded:.9g}; the price is {price}"
        return [*lines, rounding]

    @classmethod
    def command(cls, table: Table) -> tuple[str, str]:
        """None for a search that went on from another, or was cut short."""
        p = table.provenance.parameters
        if p["begin"] or p["stopped"] != "done":
            return "", "Made by adam, with these parameters; it was resumed or cut short."
        options = [f"--method {METHOD}", *commands.degrees(table.schedule), *commands.problem(table)]
        options += cls.options(p | {"seed": table.provenance.seed}) + commands.evaluation(table.schedule)
        options += [f"--dtype {table.dtype}"] if table.dtype else []
        note = "The same digits on the same machine with as many threads; others agree to a few."
        return commands.search(table, options), note

    @classmethod
    def unfinished(cls, table: Table, why: str, path: str) -> str:
        """How far it came, and the command that goes on."""
        p = table.provenance.parameters
        again = " ".join([path, *commands.problem(table)])
        reason = "the time was over" if why == "timeout" else why
        hastily = ", rounded without moving later steps" if "round" in p else ""
        return (
            f"{reason} after {p['iterations_done']} of {p['iterations']} iterations; this is the best "
            f"so far{hastily}, and --method {METHOD} --resume {again} goes on"
        )


def _rows(resumed: Table, file: str, problem: Problem, task: Task) -> Rows | None:
    """The coefficients before a table was rounded, None for its own: a search goes on from there, and rounds
    again. What it was of must be what it goes on with: other numbers would be another search."""
    from polydesign.search.starts import fitted  # mpmath

    low, high = resumed.schedule.interval
    for name, stored, asked in (
        ("root", resumed.schedule.root, problem.root),
        ("lower", low, problem.lower),
        ("upper", high, problem.upper),
        ("normalization", resumed.normalization, task.normalization),
    ):
        if stored != asked:
            raise InputError(
                name,
                f"is {asked!r}, and {file} was searched with {stored!r}: write that to go on, or take the "
                "file as the start of another search",
            )
    listed = resumed.provenance.parameters.get("unrounded_rows")
    if listed is None:
        return None
    try:
        rows = tuple(tuple(map(float, row)) for row in listed)
    except (TypeError, ValueError) as refusal:
        raise InputError("resume", f"unrounded_rows in {file} are no rows of numbers") from refusal
    return fitted(file, resumed.schedule.root, rows, problem)


def as_csv(outcome: AdamOutcome) -> str:
    """The trajectory as comma-separated values, one header line; floats to their last digit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([iteration, *map(repr, numbers)] for iteration, *numbers in outcome.trajectory)
    return text.getvalue()

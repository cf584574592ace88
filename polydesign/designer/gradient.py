"""A gradient search as the designer and the command line ask for it: settings, resumption, trajectory.

What comes back is a schedule and everything that its provenance must hold; designer/design.py makes the
table.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from polydesign.approximation.scalar import schedule_from
from polydesign.model import InputError, Problem, Schedule, Table, check_number
from polydesign.program.programs import preferred
from polydesign.search.adam import Adam, Outcome, machinery, run
from polydesign.search.starts import STARTS, Rows, fitted
from polydesign.table.catalogue import load
from polydesign.table.published import names, published
from polydesign.text.files import write_atomically

STRATEGY = "adam"

COLUMNS = ("iteration", "rate", "current", "best")

SUFFIXES = (".csv", ".png", ".svg")

DEFAULTS = {field.name: field.default for field in fields(Adam) if field.default is not MISSING}
"""The settings of the search, with what they are where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Descent:
    """A schedule found by gradients; parameters and seed: for its provenance."""

    schedule: Schedule
    parameters: dict[str, Any]
    seed: int
    outcome: Outcome


def degrees_of(settings: dict[str, Any]) -> tuple[int, ...] | None:
    """The degrees of the table that a search resumes or starts from, or None where it is no table."""
    resume, start = settings.get("resume"), settings.get("start", DEFAULTS["start"])
    if resume is not None:
        return load(resume).schedule.degrees
    if start in STARTS:
        return None
    if start in names():
        entry = published(start)
        return tuple(1 + entry.root * (len(row) - 1) for row in entry.steps_run())
    return load(start).schedule.degrees


def descend(
    problem: Problem,
    settings: dict[str, Any],
    *,
    evaluations: tuple[str, ...] | None = None,
    normalization: str = "frobenius",
    timeout: float | None = None,
    resume: str | os.PathLike[str] | None = None,
    trajectory: str | os.PathLike[str] | None = None,
    watch: Callable[[int, int, float, float], None] | None = None,
) -> Descent:
    """Search with these settings (fields of adam.Adam; those left out have its defaults).

    evaluations: one a step; None for those of the table that goes on, where the degrees are its own, or else
    the preferred ones. normalization: of the table to come. timeout: seconds. resume: a table of an earlier
    search of the same root, interval and normalization, whose settings count where none are given, and whose
    coefficients, as they were before rounding, are the start; iterations already done are not done again, and
    its grid is that of the result unless another is given. trajectory: a file of it, of SUFFIXES. watch:
    called with (iterations done, iterations in all, current value, best value).

    Raises InputError naming the setting.
    """
    for name in settings:
        if name not in DEFAULTS:
            raise InputError(name, f"is not a setting of {STRATEGY}: {', '.join(DEFAULTS)}")
    if timeout is not None:
        check_number("timeout", timeout)
        if timeout <= 0:
            raise InputError("timeout", f"must be positive, and is {timeout!r}")
    if trajectory is not None and Path(trajectory).suffix not in SUFFIXES:
        raise InputError("trajectory", f"{os.fspath(trajectory)} must end in {', '.join(SUFFIXES)}")
    rows = None
    if resume is None:
        config = Adam(**settings)
    else:
        table = load(resume)
        _check_same(table, os.fspath(resume), problem, normalization)
        if evaluations is None and table.schedule.degrees == problem.degrees:
            evaluations = tuple(step.evaluation for step in table.schedule.steps)
        config = _resumed(table, os.fspath(resume), settings)
        rows = _unrounded(table, os.fspath(resume), problem)
    if config.iterations < config.begin:
        raise InputError("iterations", f"are {config.iterations} in all, and {config.begin} are done already")

    if evaluations is None:
        evaluations = tuple(preferred((degree - 1) // problem.root) for degree in problem.degrees)

    def told(done: int, current: float, best: float) -> None:
        if watch is not None:
            watch(done, config.iterations, current, best)

    if config.round is not None and any(word != "monomial" for word in evaluations):
        raise InputError(
            "round",
            "of a gradient search is for coefficients of powers of A: write evaluation monomial "
            "(steps of degree 7 and more run in Chebyshev polynomials otherwise)",
        )
    outcome = run(config, problem, timeout=timeout, watch=told, rows=rows)
    if trajectory is not None and Path(trajectory).suffix == ".csv":
        write_atomically(Path(trajectory), as_csv(outcome))
    elif trajectory is not None:
        from polydesign.drawing.figures import save_figure  # matplotlib
        from polydesign.drawing.trajectory import trajectory_figure

        save_figure(trajectory_figure(outcome.trajectory, config.objective), Path(trajectory))
    rows = [step.coefficients for step in outcome.schedule.steps]
    schedule = schedule_from(problem.root, rows, (problem.lower, problem.upper), evaluations)
    parameters = {
        name: value
        for name, value in asdict(config).items()
        if name not in ("seed", "device") and value is not None
    }
    parameters |= {
        "iterations_done": outcome.iterations,
        "stopped": outcome.stopped,
        "start_value": outcome.start_value,
        "value": outcome.value,
        **machinery(config),
    }
    if outcome.unrounded is not None:
        parameters["unrounded_value"] = outcome.unrounded_value
        parameters["unrounded_rows"] = list(map(list, outcome.unrounded))
    return Descent(schedule, parameters, config.seed, outcome)


def _check_same(table: Table, file: str, problem: Problem, normalization: str) -> None:
    """What a search was of must be what it goes on with: other numbers would be another search."""
    low, high = table.schedule.interval
    for name, stored, asked in (
        ("root", table.schedule.root, problem.root),
        ("lower", low, problem.lower),
        ("upper", high, problem.upper),
        ("normalization", table.normalization, normalization),
    ):
        if stored != asked:
            raise InputError(
                name,
                f"is {asked!r}, and {file} was searched with {stored!r}: write that to go on, or take the "
                "file as the start of another search",
            )


def _resumed(table: Table, file: str, given: dict[str, Any]) -> Adam:
    if table.provenance.strategy != STRATEGY:
        raise InputError("resume", f"{file} does not come from a gradient search: use it as the start")
    stored = table.provenance.parameters
    settings = {name: stored[name] for name in DEFAULTS if name in stored}
    settings["device"] = "auto"
    config = replace(Adam(**settings), seed=table.provenance.seed or 0)
    return replace(config, **{**given, "start": file, "begin": stored["iterations_done"]})


def _unrounded(table: Table, file: str, problem: Problem) -> Rows | None:
    """The coefficients before a table was rounded: a search goes on from there, and rounds again."""
    stored = table.provenance.parameters.get("unrounded_rows")
    if stored is None:
        return None
    try:
        rows = tuple(tuple(map(float, row)) for row in stored)
    except (TypeError, ValueError) as refusal:
        raise InputError("resume", f"unrounded_rows in {file} are no rows of numbers") from refusal
    return fitted(file, table.schedule.root, rows, problem)


def as_csv(outcome: Outcome) -> str:
    """The trajectory as comma-separated values, one header line; floats to their last digit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([iteration, *map(repr, numbers)] for iteration, *numbers in outcome.trajectory)
    return text.getvalue()

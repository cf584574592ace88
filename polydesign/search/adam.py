"""Gradient search: Adam on the coefficients of all steps at once, for goals that minimax does not express.

Many restarts run as one batch in float64. The best of what was seen is kept, the start included, so that the
result is never worse than its start on the objective, but for what a grid of coefficients costs. A step
counts only where it leaves every point looked at positive: the table must be one that can run.

Source of the settings: Su, kexue.fm 10922 (Adam on the mean of the k worst; gradients averaged over a shift
of all coefficients by ±perturbation with weights 0.6, 0.2, 0.2, each capped at norm 1; rate 1e-3, a tenth of
it after 10,000 of 20,000 iterations; starts.classical or starts.youjiacheng).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from polydesign.model import InputError, Problem, Schedule
from polydesign.search import pace
from polydesign.search.adam_settings import Adam
from polydesign.search.composition import Composition
from polydesign.search.descent import Descent, Watch
from polydesign.search.finish import guarded, polished
from polydesign.search.grids import grid
from polydesign.search.objectives import Looks, parse
from polydesign.search.rounded import GridRounding, ranked, rows_of
from polydesign.search.starts import Rows, fitted, start_rows


@dataclass(frozen=True, slots=True)
class AdamOutcome:
    """What a search found. value and start_value: of the objective, for the schedule and for its start.
    unrounded, unrounded_value: the coefficients before they were put on a grid, None where they were not.

    iterations: done, those before a resumption included. stopped: done, timeout or interrupted. rows and
    values: of every restart, best first, before polishing. trajectory: (iteration, rate, current, best), the
    lowest of all restarts.
    """

    schedule: Schedule
    value: float
    start_value: float
    iterations: int
    stopped: str
    rows: tuple[Rows, ...]
    values: tuple[float, ...]
    trajectory: tuple[tuple[int, float, float, float], ...]
    unrounded: Rows | None = None
    unrounded_value: float | None = None


def run(
    config: Adam,
    problem: Problem,
    *,
    timeout: float | None = None,
    watch: Watch | None = None,
    rows: Rows | None = None,
) -> AdamOutcome:
    """The search with all that is worth knowing of it.

    timeout: seconds after which the best so far is returned; Ctrl-C does the same (without polish; with
    round, the later steps stay as they are while one is put on the grid). rows: where it begins, in place of
    what config.start names.

    Raises InputError where the problem asks for an error, where a start does not fit (see starts.py), where
    steps of one shared polynomial differ in degree, where not even the start is a valid schedule, and where
    no schedule on the grid is.
    """
    if problem.error is not None:
        raise InputError("error", "the gradient search needs a number of steps: give steps in place of error")
    if config.shared and len(set(problem.degrees)) > 1:
        raise InputError("shared", "one polynomial for all steps needs one degree")
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    looks = tuple((weight, one, one.points(problem)) for weight, one in parse(config.objective))
    device = _device(config.device)
    space = Composition(problem.root, problem.degrees, config.shared, config.parameters, device)
    with pace.unhurried():  # without a start there is nothing to show
        begun = _starts(config, problem, rows)
    # With fixed points, p(1) = 1 already.
    starts = space.rows(space.parameters_of(begun))
    descent = Descent(config, space, looks, starts, guarded(looks, problem))
    better: list[Rows] = []

    def ended(stopped: str) -> AdamOutcome:
        return _ended(config, problem, looks, descent, (*better, *starts), stopped, deadline, watch)

    try:
        stopped = descent.go(None if timeout is None else deadline - time.monotonic(), watch)
        if config.polish and stopped == "done" and config.parameters == "coefficients":
            _, found = descent.sorted()
            better += [rows for rows in [polished(looks, problem, found[0], config.shared)] if rows]
        return ended(stopped)
    except pace.TimeIsUpError:
        return ended("timeout")
    except KeyboardInterrupt:
        # Whenever it comes, what was found is not lost: the end is gone through again, in haste.
        return ended("interrupted")


def _ended(
    config: Adam,
    problem: Problem,
    looks: Looks,
    descent: Descent,
    others: Sequence[Rows],
    stopped: str,
    deadline: float,
    watch: Watch | None,
) -> AdamOutcome:
    """The best that can run of what the descent has seen and of the others, and rounding it."""
    values, found = descent.sorted()
    first = float(descent.first.min())
    value, schedule = next(ranked([*found, *others], descent, problem), (math.inf, None))
    if schedule is None:
        raise InputError(
            "start",
            f"{config.start} and all that was found from it send values of "
            f"[{problem.lower:g}, {problem.upper:g}] to 0 or below: take another start",
        )
    outcome = AdamOutcome(schedule, value, first, descent.done, stopped, found, values, descent.trajectory())
    if config.round is None:
        return outcome
    unrounded = rows_of(schedule)
    where = grid(config.round)
    rounding = GridRounding(where, problem, looks, descent, config.polish, stopped, deadline, watch)
    schedule = rounding.rounded(unrounded)
    return replace(
        outcome,
        schedule=schedule,
        value=descent.value_of(rows_of(schedule)),
        stopped=rounding.stopped,
        unrounded=unrounded,
        unrounded_value=value,
    )


def machinery(config: Adam) -> dict[str, str | int]:
    """What the digits depend on beside the seed: version of torch, threads, kind of device."""
    kind = _device(config.device).type
    return {"torch": torch.__version__, "threads": torch.get_num_threads(), "device": kind}


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as problem:
        raise InputError("device", f"{name!r} is not a torch device here") from problem
    return device


def _starts(config: Adam, problem: Problem, first: Rows | None) -> list[Rows]:
    generator = np.random.default_rng(config.seed)
    starts = []
    for index in range(config.restarts):
        if index == 0 or config.start == "random":
            if first is None or index:
                rows = start_rows(config.start, problem, generator)
            else:
                rows = fitted(config.start, problem.root, first, problem)
            if config.shared:
                # A schedule of different steps is no start for a shared one; its middle step is.
                rows = (rows[len(rows) // 2],) * len(rows)
            starts.append(rows)
        else:
            noise = 1 + config.spread * generator.standard_normal(sum(map(len, starts[0])))
            numbers = iter(noise)
            jittered = tuple(tuple(c * float(next(numbers)) for c in row) for row in starts[0])
            starts.append((jittered[0],) * len(jittered) if config.shared else jittered)
    return starts

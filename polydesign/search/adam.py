"""Gradient search: Adam on the coefficients of all steps at once, for goals that minimax does not express.

Many restarts run as one batch in float64. The best of what was seen is kept, the start included, so that the
result is never worse than its start on the objective. A step counts only where it leaves every point of the
grid positive: the table must be one that can run.

Source of the settings: Su, kexue.fm 10922 (Adam on the mean of the k worst; gradients averaged over a shift
of all coefficients by ±perturbation with weights 0.6, 0.2, 0.2, each capped at norm 1; rate 1e-3, a tenth of
it after 10,000 of 20,000 iterations; starts.classical or starts.youjiacheng).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch

from polydesign.approximation.scalar import schedule_from
from polydesign.model import InputError, Problem, Schedule, check_integer, check_number
from polydesign.sampling import grid
from polydesign.search.composition import Composition
from polydesign.search.descent import Descent, Pace, Watch
from polydesign.search.objectives import MeanSquare, Slope, Sup, Terms, TopK, parse
from polydesign.search.polish import Goal, polish, polish_mean_square
from polydesign.search.starts import Rows, start_rows

GUARDED = 500
"""Points of the interval that must stay within (0, 2), or within the start's error, though a mean square does
not look there."""

PARAMETERS = ("coefficients", "fixed-points")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search found. value and start_value: of the objective, for the schedule and for its start.

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


@dataclass(frozen=True, slots=True)
class Adam:
    """torch.optim.Adam on all coefficients, or on fixed points, of a schedule.

    objective: a weighted sum, see objectives.parse. iterations: in all; begin: of them done before (after a
    resumption; Adam's averages start afresh). rate, then rate·drop after drop_after iterations. start: see
    starts.start_rows. shared: one polynomial for all steps. restarts: run as one batch; "random" is drawn
    for each, other starts are multiplied from the second on by 1 + spread·N(0, 1), coefficient by
    coefficient. perturbation: averages gradients over shifts by ±this, 0 for none; the source has 0.05.
    cap: on the norm of a gradient. bias_correction: of Adam's averages; the source has none.
    parameters: coefficients, or fixed-points: q(y) = 1 + γ(y − 1)Π(y − zᵢ)
    with γ and zᵢ free, which keeps p(1) = 1; the start has its fixed point nearest to 1 moved there. polish:
    of coefficients, an objective alone, no sum, ends in polish.py. device:
    as in torch; auto is a GPU where there is one.

    The same seed on the same machine with the same number of threads gives the same digits. Other machines
    and other versions of torch sum in another order, and a search of thousands of steps enlarges that: there
    the values agree to a few digits, the coefficients need not.

    Raises InputError naming the field.
    """

    objective: str = "topk:50"
    iterations: int = 20_000
    begin: int = 0
    rate: float = 1e-3
    drop_after: int = 10_000
    drop: float = 0.1
    start: str = "minimax"
    shared: bool = False
    restarts: int = 1
    spread: float = 0.02
    seed: int = 0
    perturbation: float = 0.0
    cap: float = 1.0
    bias_correction: bool = True
    parameters: str = "coefficients"
    polish: bool = True
    device: str = "auto"

    def __post_init__(self) -> None:
        parse(self.objective)
        for name, least in (("iterations", 0), ("begin", 0), ("drop_after", 0), ("restarts", 1), ("seed", 0)):
            check_integer(name, getattr(self, name), least)
        for name in ("rate", "drop", "spread", "perturbation", "cap"):
            check_number(name, getattr(self, name))
            if getattr(self, name) < 0 or (getattr(self, name) == 0 and name in ("rate", "drop", "cap")):
                raise InputError(name, f"must be positive, and is {getattr(self, name)!r}")
        if self.parameters not in PARAMETERS:
            raise InputError("parameters", f"{self.parameters!r} is not one of {', '.join(PARAMETERS)}")

    def search(self, problem: Problem) -> Schedule:
        """The schedule with the least objective that was seen. Raises what `run` raises."""
        return run(self, problem).schedule


def run(
    config: Adam, problem: Problem, *, timeout: float | None = None, watch: Watch | None = None
) -> Outcome:
    """The search with all that is worth knowing of it.

    timeout: seconds after which the best so far is returned; Ctrl-C does the same (without polish).

    Raises InputError where the problem asks for an error, where a start does not fit (see starts.py), where
    steps of one shared polynomial differ in degree, and where not even the start is a valid schedule.
    """
    if problem.error is not None:
        raise InputError("error", "the gradient search needs a number of steps: give steps in place of error")
    if config.shared and len(set(problem.degrees)) > 1:
        raise InputError("shared", "one polynomial for all steps needs one degree")
    terms = parse(config.objective)
    device = _device(config.device)
    space = Composition(problem.root, problem.degrees, config.shared, config.parameters, device)
    starts = space.rows(space.parameters_of(_starts(config, problem)))  # with fixed points, p(1) = 1 already
    pace = Pace(**{field.name: getattr(config, field.name) for field in fields(Pace)})
    # A mean square looks at a part of the interval only; the rest must not go astray.
    partial = all(isinstance(objective, MeanSquare) for _, objective in terms)
    guard = grid(problem.lower, problem.upper, GUARDED) if partial else None
    descent = Descent(pace, space, problem, terms, starts, guard)
    stopped = descent.go(timeout, watch)
    values, rows = descent.sorted()
    first = float(descent.first.min())
    better = None
    if config.polish and stopped == "done" and config.parameters == "coefficients":
        try:
            better = _polished(terms, problem, rows[0], config.shared)
        except KeyboardInterrupt:
            stopped = "interrupted"
    candidates = [*zip(values, rows, strict=True), *((descent.value_of(one), one) for one in starts)]
    if better is not None:
        candidates.append((descent.value_of(better), better))
    for value, candidate in sorted(candidates):
        schedule = valid(candidate, problem)
        if schedule is not None and np.isfinite(value):
            path = descent.trajectory()
            return Outcome(schedule, value, first, descent.done, stopped, rows, values, path)
    raise InputError(
        "start",
        f"{config.start} and all that was found from it send values of "
        f"[{problem.lower:g}, {problem.upper:g}] to 0 or below: take another start",
    )


def valid(rows: Rows, problem: Problem) -> Schedule | None:
    """The schedule of the rows, or None where a value is lost: 0 or below, or not finite."""
    try:
        schedule = schedule_from(problem.root, rows, (problem.lower, problem.upper))
        schedule.check_chain()
    except (InputError, ArithmeticError, ValueError):
        return None
    return schedule if schedule.steps[-1].image[0] > 0 else None


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


def _starts(config: Adam, problem: Problem) -> list[Rows]:
    generator = np.random.default_rng(config.seed)
    starts = []
    for index in range(config.restarts):
        if index == 0 or config.start == "random":
            rows = start_rows(config.start, problem, generator)
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


def _polished(terms: Terms, problem: Problem, rows: Rows, shared: bool) -> Rows | None:
    """The rows after what polish.py has for the objective: for sums it has nothing."""
    if len(terms) != 1:
        return None
    objective = terms[0][1]
    x = objective.points(problem)
    if isinstance(objective, MeanSquare):
        guard = grid(problem.lower, problem.upper, GUARDED)
        return polish_mean_square(rows, problem.root, x, guard, shared=shared)
    if isinstance(objective, TopK):
        goal = Goal(x, objective.k)
    elif isinstance(objective, Sup):
        goal = Goal(Sup(count=20 * objective.count).points(problem))
    elif isinstance(objective, Slope):
        goal = Goal(x[1:], 1, objective.band, objective.weight)
    else:
        return None
    return polish(rows, problem.root, goal, shared=shared)

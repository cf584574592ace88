"""The best schedules for a budget in the precision they will run in: proposals, by the rounding model.

The shortest path of budget.py with rounding in every step (rounding/direct.py): a step receives what the
ones before leave, widened by what rounding adds, and is designed up to that: this is its headroom. Of the
cushions the one is taken whose widened image has the largest ratio of ends, all that the next step sees, as
long as no singular vector turns by more than a limit: what turns, no later step turns back. In the coupled
form rounding/coupled.py is the model, and what a step loses of P takes the place of the angle.

Two numbers trade the error of the schedule for the error of rounding: the limit, and the part of the model's
noise that is reckoned with. There is one front for each pair; which of the candidates is best is then
measured (verification/select.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from functools import lru_cache
from typing import Any

import numpy as np

from polydesign.model import EVALUATIONS, InputError, Problem, Schedule, dtype_name, evaluate
from polydesign.program.cost import UNIT, Prices
from polydesign.rounding import coupled as coupled_noise
from polydesign.rounding.direct import (
    ROOM,
    ROWS,
    StepRounding,
    follow,
    predict,
    remaining_error,
    roundoff,
    start,
)
from polydesign.search import pace
from polydesign.search.budget import INNER_DEGREES, Path, additive, front
from polydesign.search.minimax import Equioscillation
from polydesign.search.standard import evaluations_of, rounded_down, standard

CAUTIONS = (1.0, 0.9, 0.8)
"""Parts of the model's noise that are reckoned with, a front each. Of 300,000 random blocks of equal entries
the 7 best schedules for 12, 15, 16 and 18 products in bfloat16, 15 and 16 in float16, lost none with all of
it; with 0.8 up to 6, with 0.6 up to 40 (289 where a step is of `origin`), with 0.4 some hundred. Measuring
then leaves out those that lose more than one in 50,000 (rounding/trial.py)."""

TURNS = (0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
"""Radians by which a step may turn singular vectors; cos 0.1 = 0.995, cos 0.5 = 0.88."""

COUPLED = {"cautions": (4.0, 2.0, 1.0, 0.5), "turns": (0.01, 0.03, 0.1, 0.3, 1.0)}
"""The same for the coupled form, where the limit is that of δ, what a step loses of x. Its model is the
coarser one, and measuring has more to choose from."""

CUSHIONS = tuple(np.geomspace(1e-3, 0.9, 44).round(6).tolist())

DIGITS = 3
"""Of headroom − 1, rounded up, and of the cushion, so that a table says what it was made with."""

BOUNDED = ("frobenius", "aol")
"""Normalizations after which Σx² <= 1 or nearly: most of the spectrum is then near 0 in the first step."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A schedule, what it costs, and what the model expects of it: the error with the part `caution` of the
    noise, for which it was made, and with all of it. strategy: Equioscillation or LongSteps, whose `search`
    makes it again with the schedule's degrees. unfinished: what was left out of making it, where a search was
    cut short."""

    schedule: Schedule
    strategy: Any
    cost: float
    caution: float
    expected: float
    at_worst: float
    unfinished: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the schedules are for.

    dtype: precision of the state. rows: the shorter side of the matrices. form, prices: what a path costs
    (budget.additive); the noise of gram is that of direct, coupled has its own. inner_degrees, evaluations:
    that steps may have.
    Raises InputError for an unknown dtype.
    """

    root: int
    lower: float
    upper: float
    dtype: str
    rows: int = ROWS
    normalization: str = "frobenius"
    form: str = "direct"
    prices: Prices = UNIT
    inner_degrees: tuple[int, ...] = INNER_DEGREES
    evaluations: tuple[str, ...] = EVALUATIONS

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", dtype_name(self.dtype))
        Problem(self.root, (1 + self.root,), self.lower, self.upper)  # refuses what is no interval

    @property
    def coupled(self) -> bool:
        return self.form == "coupled"

    @property
    def mass(self) -> float | None:
        """Of noise(), in the first step."""
        return 1 / self.rows if self.normalization in BOUNDED else None


@dataclass(frozen=True, slots=True)
class _Choice:
    inner_degree: int
    evaluation: str
    headroom: float
    cushion: float


def propose(
    terms: Terms,
    most: float,
    *,
    cautions: Sequence[float] | None = None,
    turns: Sequence[float] | None = None,
    error: float = math.inf,
) -> tuple[Proposal, ...]:
    """Schedules at a cost of at most `most`, cheapest first: the fronts of all pairs of caution and limit.

    Headroom and cushion come out of the model, with DIGITS digits; nothing is measured. error: what the model
    expects to miss it by a twentieth is left out, and there may be nothing left. cautions, turns: CAUTIONS
    and TURNS, or COUPLED. Raises InputError where nothing can be had for the cost.
    """
    cautions = cautions or (COUPLED["cautions"] if terms.coupled else CAUTIONS)
    turns = turns or (COUPLED["turns"] if terms.coupled else TURNS)
    found: dict[tuple[_Choice, ...], Proposal] = {}
    any_step = False
    with pace.best_so_far():
        for caution in cautions:
            for number, limit in enumerate(turns, start=1):
                words = f"limit {number} of {len(turns)}, {len(found)} schedules so far"
                pace.doing(f"proposing with {caution:g} of the noise: {words}")
                for path in _front(terms, most, caution, limit):
                    any_step = any_step or bool(path.choices)
                    if path.choices and path.rank <= 1.05 * error and path.choices not in found:
                        found[path.choices] = _realized(terms, path, caution)
    if not any_step:
        pace.check()
        raise InputError("matmuls", f"{most:g} are too few: no step costs so little")
    return tuple(sorted(found.values(), key=lambda one: (one.cost, one.expected)))


def least_error(terms: Terms, most: float) -> float:
    """The error that the model expects of the best path: of `propose` without its schedules."""
    turns = COUPLED["turns"] if terms.coupled else TURNS
    return min(_front(terms, most, 1.0, limit)[-1].rank for limit in turns)


def _front(terms: Terms, most: float, caution: float, limit: float) -> tuple[Path, ...]:
    u = roundoff(terms.dtype)
    price, begin = additive(terms.prices, root=terms.root, form=terms.form)
    first, turned = start((terms.lower / terms.upper, 1.0), terms.dtype, terms.rows)
    seen = first[0]
    if terms.coupled:
        turned, seen = 0.0, coupled_noise.judged_from(seen, terms.root, terms.dtype, terms.rows)

    def moves(path: Path) -> Iterator[tuple[float, Any, Any, Any]]:
        (low, high), reached, turned, seen = path.state
        for n in terms.inner_degrees:
            for evaluation in evaluations_of(n, terms.evaluations):
                cost = price(n, evaluation)
                if path.cost + cost > most + 1e-9:
                    continue
                mass = None if path.choices else terms.mass
                ratios = (low / high, seen / high if terms.coupled else None)
                pace.check()
                chosen = _chosen(terms.root, n, evaluation, ratios, u * caution, u, mass, limit)
                if chosen is None:
                    continue
                cushion, after, kept, peak = chosen
                total = turned + after.turn**2
                middle = sum(after.left) / 2
                left = (after.left[0] / middle, after.left[1] / middle)
                choice = _Choice(n, evaluation, (1 + ROOM * u) * high / reached, cushion)
                # The last step of the coupled form loses nothing: it leaves P alone.
                error = (
                    coupled_noise.remaining_error(left, turned)
                    if terms.coupled
                    else remaining_error(left, total)
                )
                yield cost, error, (left, peak / middle, total, kept / middle), choice

    return front(Path(begin, math.inf, (first, 1.0, turned, seen)), moves, most)


@lru_cache(maxsize=65536)
def _chosen(
    root: int,
    n: int,
    evaluation: str,
    ratios: tuple[float, float | None],
    noisy: float,
    u: float,
    mass: float | None,
    limit: float,
) -> tuple[float, StepRounding, float, float] | None:
    """The cushion, 0 for none, what the step leaves in the model, where judged values begin after it, and the
    peak of p on its domain.

    The domain is [0, 1] here; what is received ends below 1, with ROOM, and begins at the first of `ratios`
    of that; the second is where judged values begin, None for the direct form. None where no cushion keeps
    the values positive.
    """
    high = 1 / (1 + ROOM * u)
    low = ratios[0] * high
    own = rounded_down(low)
    best = None
    for cushion in (own, *(c for c in CUSHIONS if c > own)):
        step = standard(root, n, evaluation, cushion, mass if ratios[1] is None else None)
        if step is None:
            continue
        if ratios[1] is None:
            ends = tuple(evaluate(step.coefficients, root, x) for x in (low, high))
            after = follow(step.noise, low, high, ends, u, noisy / u)
            kept = after.left[0]
        else:
            x = (low, ratios[1] * high, high)
            at = tuple(evaluate(step.coefficients, root, one) for one in x)
            after, kept = coupled_noise.follow(step.noise, root, x, at, u, noisy / u, mass)
        if after.left[0] <= 0:
            continue
        fits = after.turn <= limit
        key = (fits, after.left[0] / after.left[1] if fits else -after.turn)
        if best is None or key > best[0]:
            best = key, cushion if cushion > own else 0.0, after, kept, float(np.max(step.noise.value))
    return None if best is None else best[1:]


def rounded_headroom(found: float) -> float:
    up = Context(prec=DIGITS, rounding=ROUND_CEILING)
    # What is less than float64 can add to 1 is none.
    return round(1 + float(up.create_decimal(found - 1)), 12) if found - 1 > 1e-15 else 1.0


def _realized(terms: Terms, path: Path, caution: float) -> Proposal:
    strategy = Equioscillation(
        headroom=tuple(rounded_headroom(c.headroom) for c in path.choices),
        # λ is relative to u there, and to the domain, headroom included, in the model.
        cushion=tuple(float(f"{c.cushion * c.headroom:.{DIGITS}g}") for c in path.choices),
        evaluation=tuple(c.evaluation for c in path.choices),
    )
    degrees = tuple(1 + terms.root * c.inner_degree for c in path.choices)
    schedule = strategy.search(Problem(terms.root, degrees, terms.lower, terms.upper))
    model = coupled_noise.predict if terms.coupled else predict
    expected, at_worst = (
        model(schedule, terms.dtype, rows=terms.rows, normalization=terms.normalization, caution=part).error
        for part in (caution, 1.0)
    )
    return Proposal(schedule, strategy, path.cost, caution, expected, at_worst)

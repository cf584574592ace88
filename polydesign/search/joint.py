"""The best schedules for a budget in the precision they will run in: proposals, by the rounding model.

The shortest path of budget.py with rounding in every step (evaluation/noise.py): a step receives what the
ones before leave, widened by what rounding adds, and is designed up to that: this is its headroom. Of the
cushions the one is taken whose widened image has the largest ratio of ends, all that the next step sees, as
long as no singular vector turns by more than a limit: what turns, no later step turns back. A best step on
[λ, 1] serves every interval by scaling, so a few hundred of them, made once, are all that is ever looked at.

Two numbers trade the error of the schedule for the error of rounding: the limit, and the part of the model's
noise that is reckoned with. There is one front for each pair; which of the candidates is best is then
measured (verify/select.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

import numpy as np

from polydesign.approximation.exchange import ConvergenceError
from polydesign.approximation.remez import best_approximation
from polydesign.evaluation.basis import program_constants
from polydesign.evaluation.cost import UNIT, Prices
from polydesign.evaluation.noise import (
    ROOM,
    ROWS,
    Noise,
    StepRounding,
    follow,
    noise,
    predict,
    remaining_error,
    roundoff,
    start,
)
from polydesign.evaluation.program import build, constant_names
from polydesign.model import EVALUATIONS, InputError, Problem, Schedule, dtype_name, evaluate
from polydesign.search.budget import INNER_DEGREES, Path, additive, front
from polydesign.search.greedy import Equioscillation

CAUTIONS = (1.0, 0.8)
"""Parts of the model's noise that are reckoned with, a front each. With all of it no schedule lost a value on
any matrix that was tried; with 0.8 one did in one of 2,000 (two blocks of equal entries, bfloat16), with 0.4
in one of some dozens of sizes of such blocks, where measuring a few may miss it."""

TURNS = (0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
"""Radians by which a step may turn singular vectors; cos 0.1 = 0.995, cos 0.5 = 0.88."""

CUSHIONS = tuple(np.geomspace(1e-3, 0.9, 44).round(6).tolist())

DIGITS = 3
"""Of headroom − 1, rounded up, and of the cushion, so that a table says what it was made with."""

BOUNDED = ("frobenius", "aol")
"""Normalizations after which Σx² <= 1 or nearly: most of the spectrum is then near 0 in the first step."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A schedule, what it costs, and what the model expects of it: the error with the part `caution` of the
    noise, for which it was made, and with all of it. strategy and the schedule's degrees make it again."""

    schedule: Schedule
    strategy: Equioscillation
    cost: float
    caution: float
    expected: float
    at_worst: float


@dataclass(frozen=True, slots=True)
class Terms:
    """What the schedules are for.

    dtype: precision of the state. rows: the shorter side of the matrices. form, prices: what a path costs
    (budget.additive); the noise is that of the direct form, whatever the form. inner_degrees, evaluations:
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
    def mass(self) -> float | None:
        """Of noise(), in the first step."""
        return 1 / self.rows if self.normalization in BOUNDED else None


@dataclass(frozen=True, slots=True)
class _Choice:
    inner_degree: int
    evaluation: str
    headroom: float
    cushion: float


@dataclass(frozen=True, slots=True)
class _Standard:
    """The best step on [cushion, 1] and the rounding of its program, for u = 1."""

    coefficients: tuple[float, ...]
    noise: Noise


@lru_cache(maxsize=8192)
def _best(root: int, n: int, cushion: float) -> tuple[float, ...] | None:
    try:
        return tuple(map(float, best_approximation(root, n, cushion, 1.0).coefficients))
    except ConvergenceError:
        return None


@lru_cache(maxsize=16384)
def _standard(root: int, n: int, evaluation: str, cushion: float, mass: float | None) -> _Standard | None:
    row = _best(root, n, cushion)
    if row is None:
        return None
    try:
        constants = program_constants(evaluation, row, Fraction(1)) or row
    except InputError:  # no program for just these coefficients
        return None
    return _Standard(row, noise(build(evaluation, n, constants), row, root, 1.0, mass=mass))


@cache
def _evaluations(n: int, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Those worth a look: powers of A up to inner degree 2, where all are alike, else what stores less."""
    found = []
    for evaluation in allowed:
        try:
            constant_names(evaluation, n)
        except InputError:
            continue
        if (evaluation == "monomial") == (n <= 2) or len(allowed) == 1:
            found.append(evaluation)
    return tuple(found)


def _rounded_down(ratio: float) -> float:
    """Three digits of the ratio, or of 1 − ratio, so that steps found once are found again."""
    if ratio < 0.5:
        scale = 10.0 ** (2 - math.floor(math.log10(ratio)))
        return math.floor(ratio * scale) / scale
    rest = max(1 - ratio, 1e-14)
    scale = 10.0 ** (2 - math.floor(math.log10(rest)))
    return 1 - math.ceil(rest * scale) / scale


def propose(
    terms: Terms,
    most: float,
    *,
    cautions: Sequence[float] = CAUTIONS,
    turns: Sequence[float] = TURNS,
    error: float = math.inf,
) -> tuple[Proposal, ...]:
    """Schedules at a cost of at most `most`, cheapest first: the fronts of all pairs of caution and limit.

    Headroom and cushion come out of the model, with DIGITS digits; nothing is measured. error: what the model
    expects to miss it by a twentieth is left out, and there may be nothing left. Raises InputError where
    nothing can be had for the cost.
    """
    found: dict[tuple[_Choice, ...], Proposal] = {}
    any_step = False
    for caution in cautions:
        for limit in turns:
            for path in _front(terms, most, caution, limit):
                any_step = any_step or bool(path.choices)
                if path.choices and path.rank <= 1.05 * error and path.choices not in found:
                    found[path.choices] = _realized(terms, path, caution)
    if not any_step:
        raise InputError("matmuls", f"{most:g} are too few: no step costs so little")
    return tuple(sorted(found.values(), key=lambda one: (one.cost, one.expected)))


def least_error(terms: Terms, most: float, *, caution: float = 1.0) -> float:
    """The error that the model expects of the best path: of `propose` without its schedules."""
    return min(_front(terms, most, caution, limit)[-1].rank for limit in TURNS)


def _front(terms: Terms, most: float, caution: float, limit: float) -> tuple[Path, ...]:
    u = roundoff(terms.dtype)
    price, begin = additive(terms.prices, root=terms.root, form=terms.form)
    first, turned = start((terms.lower / terms.upper, 1.0), terms.dtype, terms.rows)

    def moves(path: Path) -> Iterator[tuple[float, Any, Any, Any]]:
        (low, high), reached, turned = path.state
        for n in terms.inner_degrees:
            for evaluation in _evaluations(n, terms.evaluations):
                cost = price(n, evaluation)
                if path.cost + cost > most + 1e-9:
                    continue
                mass = None if path.choices else terms.mass
                chosen = _chosen(terms.root, n, evaluation, low / high, u * caution, u, mass, limit)
                if chosen is None:
                    continue
                cushion, after, peak = chosen
                total = turned + after.turn**2
                middle = sum(after.left) / 2
                left = (after.left[0] / middle, after.left[1] / middle)
                choice = _Choice(n, evaluation, (1 + ROOM * u) * high / reached, cushion)
                yield cost, remaining_error(left, total), (left, peak / middle, total), choice

    return front(Path(begin, math.inf, (first, 1.0, turned)), moves, most)


@lru_cache(maxsize=65536)
def _chosen(
    root: int, n: int, evaluation: str, ratio: float, noisy: float, u: float, mass: float | None, limit: float
) -> tuple[float, StepRounding, float] | None:
    """The cushion, 0 for none, what the step leaves in the model, and the peak of p on its domain.

    The domain is [0, 1] here; what is received ends below 1, with ROOM, and begins at `ratio` of that. None
    where no cushion keeps the values positive.
    """
    high = 1 / (1 + ROOM * u)
    low = ratio * high
    own = _rounded_down(low)
    best = None
    for cushion in (own, *(c for c in CUSHIONS if c > own)):
        step = _standard(root, n, evaluation, cushion, mass)
        if step is None:
            continue
        ends = tuple(evaluate(step.coefficients, root, x) for x in (low, high))
        after = follow(step.noise, low, high, ends, u, noisy / u)
        if after.left[0] <= 0:
            continue
        fits = after.turn <= limit
        key = (fits, after.left[0] / after.left[1] if fits else -after.turn)
        if best is None or key > best[0]:
            best = key, cushion if cushion > own else 0.0, after, float(np.max(step.noise.value))
    return None if best is None else best[1:]


def _headroom(found: float) -> float:
    up = Context(prec=DIGITS, rounding=ROUND_CEILING)
    # What is less than float64 can add to 1 is none.
    return round(1 + float(up.create_decimal(found - 1)), 12) if found - 1 > 1e-15 else 1.0


def _realized(terms: Terms, path: Path, caution: float) -> Proposal:
    strategy = Equioscillation(
        headroom=tuple(_headroom(c.headroom) for c in path.choices),
        # λ is relative to u there, and to the domain, headroom included, in the model.
        cushion=tuple(float(f"{c.cushion * c.headroom:.{DIGITS}g}") for c in path.choices),
        evaluation=tuple(c.evaluation for c in path.choices),
    )
    degrees = tuple(1 + terms.root * c.inner_degree for c in path.choices)
    schedule = strategy.search(Problem(terms.root, degrees, terms.lower, terms.upper))
    expected, at_worst = (
        predict(schedule, terms.dtype, rows=terms.rows, normalization=terms.normalization, caution=part).error
        for part in (caution, 1.0)
    )
    return Proposal(schedule, strategy, path.cost, caution, expected, at_worst)

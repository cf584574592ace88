"""Where the gram form starts again: a simulation of its recurrence in scalars, for one precision.

The gram form (Dao-AILab, Gram Newton-Schulz, 2026) iterates R = X Xᵀ and Q with X_t = Q X_0. Rounding gives R
eigenvalues that X Xᵀ does not have, negative ones too; they grow by c₀² a step, and Q follows R and not X. A
restart, X ← Q X and R = X Xᵀ, forgets them. Restarts are named by the index from 0 of the step before which
they happen: the "restart before iteration 3" of the source is (2,).

The simulation follows singular values x from 1 to 1e-10 through exact arithmetic with one error: every
(re)start takes r = x² − δ, and q ← q·q_t(r), r ← r·q_t(r)² go on from there (the source's model). It judges
by what comes of x·q, and by cond(Q) only as a figure to compare with the source's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np

from polydesign.model import DTYPES, HALF, InputError, Schedule, dtype_name
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.trial import AGREEING, random_trial

SPURIOUS = {"bfloat16": 0.3, "float16": 0.3, "float32": 20.0, "float64": 100.0}
"""What is taken for the most negative eigenvalue of a computed X Xᵀ, in units of u·‖X‖₂², from experiment
(scripts/studies/gram_restarts.py). Half precision: 0.1 in most matrices of 256 rows, which is the source's
4e-4 in bfloat16; up to 0.45 in two clusters of singular values. 0.3 tells best which restarts fail: with
0.45 the direct form of a table that holds on matrices fails in the simulation. float32 and float64: the
largest found, rounded up; there the sums themselves err, in matrices of equal entries all the same way."""

LEAST_ADDED = 8
"""What the gram form may add to the simulated error, in units of u, however exact the schedule is."""

MOST_EXHAUSTIVE = 10
"""Steps up to which all sets of restarts are looked at; the search is greedy beyond."""

MET = 65_536
"""Members of each family that a set of restarts meets."""

_SEED = 2

_X = np.logspace(0, -10, 10_000)


@dataclass(frozen=True, slots=True)
class Simulation:
    """What the simulation of one set of restarts ends with.

    condition: the largest max|Q|/min|Q| over x, after any step. lowest: the smallest r that a step received;
    0 is right. highest: the largest, in units of the square of its domain's upper end; above 1 the step meets
    what nobody designed. error: what is wrong with x·q at the end: |x·q − f(x)| on [l, u], and what
    |x·q| exceeds 1 + the schedule's error by below l.
    """

    condition: float
    lowest: float
    highest: float
    error: float


def shift(dtype: Any) -> float:
    """δ for ‖X‖₂ = 1: the spurious negative eigenvalue that this precision gives X Xᵀ."""
    dtype = dtype_name(dtype)
    return SPURIOUS[dtype] * UNIT_ROUNDOFF[dtype]


def simulate(
    schedule: Schedule, restarts: Sequence[int], delta: float, *, relative: bool = True
) -> Simulation:
    """The gram recurrence on scalars. relative: δ is delta·max(1, max x²) at a restart, as rounding is, and
    not delta itself, as in the source.
    """
    # What blows up overflows, and is judged by that.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        x = exact = schedule.interval[1] * _X
        q, r = np.ones_like(x), x * x - delta
        condition, lowest, highest = 1.0, np.inf, 0.0
        for index, step in enumerate(schedule.steps):
            if index in restarts:
                x, q = q * x, np.ones_like(x)
                r = x * x - delta * (max(1.0, float(np.max(x * x))) if relative else 1.0)
            lowest = min(lowest, float(np.min(r)))
            highest = max(highest, float(np.max(r)) / step.domain[1] ** 2)
            z = step.inner(r)
            q, r, exact = q * z, r * z * z, step(exact)
            condition = max(condition, float(np.max(abs(q)) / np.min(abs(q))))
        x = abs(q * x)
        start = schedule.interval[1] * _X
        off = np.where(start >= schedule.interval[0], abs(x - exact), x - (1 + schedule.error))
        error = max(0.0, float(np.max(off)))
    # max(0, nan) is 0: an overflow must not pass for no error.
    finite = bool(np.isfinite(off).all() and np.isfinite(condition))
    return Simulation(condition, lowest, highest, error if finite else np.inf)


def limit(schedule: Schedule, dtype: Any) -> float:
    """The largest simulated error that counts as holding.

    The direct form's, and a quarter of the schedule's own error, or LEAST_ADDED roundings where that is more.
    figures/gram_restarts.json has what sets within the limit and beyond it do to matrices.
    """
    dtype = dtype_name(dtype)
    alone = simulate(schedule, every(schedule), shift(dtype)).error
    return alone + max(schedule.error / 4, LEAST_ADDED * UNIT_ROUNDOFF[dtype])


def every(schedule: Schedule) -> tuple[int, ...]:
    """A restart before every step but the first: the direct form, bit for bit."""
    return tuple(range(1, len(schedule.steps)))


@lru_cache(maxsize=256)
def choose_restarts(schedule: Schedule, dtype: str) -> tuple[int, ...]:
    """The fewest restarts with which the simulation stays within its limit, then those with least error.

    In half precision they must also hold what is most endangered: MET members of each family of matrices
    whose roundings agree. With (2, 4), which the simulation chose for six quintics, one in a thousand was
    blown up.

    dtype: precision of the state, named as in torch. Where nothing less will do, that is `every`, and the
    gram form has no advantage; so it is with long steps. Beyond MOST_EXHAUSTIVE steps, restarts are left out
    one after the other as long as the limit allows, from the first step on. Raises InputError where the
    schedule is not of root 2, and where even a restart before every step loses the values.
    """
    dtype = dtype_name(dtype)
    if schedule.root != 2:
        raise InputError("form", f"gram is of root 2, and the schedule has root {schedule.root}: take direct")
    lost = simulate(schedule, every(schedule), shift(dtype)).error
    if not lost < 1:
        raise InputError(
            "form",
            f"gram loses {lost:.2g} in {DTYPES[dtype]} even with a restart before every step: take a wider "
            'precision, a table designed for this one, or form="direct" at your own risk',
        )
    if any(step.long for step in schedule.steps):
        # Without them 12 products in float32 turned vectors of blocks of equal entries by half a radian,
        # which scalars do not show.
        return every(schedule)
    most, delta = limit(schedule, dtype), shift(dtype)
    if len(schedule.steps) > MOST_EXHAUSTIVE:
        return _one_by_one(schedule, delta, most, dtype)
    places = every(schedule)
    for number in range(len(places) + 1):
        tried = sorted((simulate(schedule, one, delta).error, one) for one in combinations(places, number))
        for error, restarts in tried:
            if error <= most and _survives(schedule, restarts, dtype):
                return restarts
    return places


def _survives(schedule: Schedule, restarts: Sequence[int], dtype: str) -> bool:
    """Whether no member is blown up; where the direct form is run, nothing else would do."""
    if dtype not in HALF or schedule.interval[1] != 1 or tuple(restarts) == every(schedule):
        return True
    how: dict[str, Any] = {"restarts": restarts, "seed": _SEED, "enough": 1}
    return not any(random_trial(schedule, dtype, family, MET, **how).blown for family in AGREEING)


def _one_by_one(schedule: Schedule, delta: float, most: float, dtype: str) -> tuple[int, ...]:
    kept = every(schedule)
    for place in every(schedule):
        fewer = tuple(other for other in kept if other != place)
        if simulate(schedule, fewer, delta).error <= most and _survives(schedule, fewer, dtype):
            kept = fewer
    return kept

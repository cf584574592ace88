"""Candidate tables measured on the same matrices in their precision, and the one that errs least.

Tables come in, and what was measured goes out; how they were searched for is not known here. Each family of
matrices hides what another shows (design.md, section 3), so there are several; a candidate that one of them
breaks is out. Products are summed as reference.py says, so that every machine makes the same choice; what a
machine's own kernels do is for verify.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from polydesign.model import HALF, InputError, Plan, Table, check_integer, dtype_name
from polydesign.rounding.gram import choose_restarts, every
from polydesign.rounding.trial import AGREEING, random_trial
from polydesign.search import pace
from polydesign.verification.cases import Setting
from polydesign.verification.operators import choose
from polydesign.verification.reference import FixedSums
from polydesign.verification.roots import lowest_eigenvalue
from polydesign.verification.spectra import Sample, sample, sample_positive
from polydesign.verification.sweep import input_share, resolve_device, run, worst_error

MOST_ROWS = 256
"""Of the matrices measured here: a search must end within a minute, and the full shape is for verify."""

POLAR = (
    *("flat", "blocks", "rank1", "levels:0.1", "rank2", "rankk:8", "rankk:32", "clustered", "gaussian"),
    *("logspace:1e-2", "harmonic", "two-bulks", "swept"),
)
"""Spectra that candidates for msign meet; those that break most candidates come first."""

POSITIVE = ("swept", "logspace:1e-2", "gaussian", "harmonic", "clustered", "two-bulks")
"""The same for operators on symmetric positive P, which besides meet SQUARE with as many columns as rows."""

SQUARE = "gaussian"
"""Then its eigenvalues go down to where rounding P loses them, whatever the schedule: half of that counts in
the choice. What a schedule makes of them goes with its error in the test of Su's article (rank correlations
0.59 and 0.40 among 27 candidates for roots 4 and 2 in bfloat16); what it makes of the others does not."""

EQUAL = ("flat", "blocks", "rank1")
"""Spectra of equal entries, whose roundings all go the same way."""

WEIGHT = 0.5
"""Of their errors in the choice, and of SQUARE's: they tell whether a candidate loses values; few
matrices are like EQUAL. For msign in half precision, where they are what endangers, they count in full."""

COUNT = 32_768
"""Members of each family whose roundings agree that a candidate for msign meets in half precision."""

RARE = 2e-5
"""The part of them that may be blown up or lost; the searches of this package let none pass."""

PARTS = (0.22, 0.3, 0.4, 0.5, 0.63, 0.8, 1.0)
"""Of the shape, and of a square of its shorter side, at which they are measured where blocks are not followed
without a matrix: what rounding does to equal entries depends on how many there
are."""


@dataclass(frozen=True, slots=True)
class CandidateRun:
    """The largest |x − 1| on the range, over a batch of like matrices; inf where a result is not finite."""

    spectrum: str
    shape: tuple[int, int]
    worst: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One candidate: its place in the list given, the largest error of its runs, and these.

    score: what is compared, the largest error with those of EQUAL and SQUARE times WEIGHT. For msign it is
    less what rounding the input alone leaves: no table can help that, and in `swept` it is most of the error.
    Where an error is enough, score is `worst`.

    complete: whether it met all matrices; the runs end with the one that showed that others are better. lost:
    the part of the members of AGREEING that are blown up or lost: beyond RARE a candidate meets no matrix.
    """

    index: int
    worst: float
    score: float
    runs: tuple[CandidateRun, ...]
    complete: bool
    lost: float = 0.0


def reduced(shape: tuple[int, int], most: int = MOST_ROWS) -> tuple[int, int]:
    """The shape with at most so many rows on its shorter side, at the same aspect."""
    m, n = shape
    factor = min(1.0, most / min(m, n))
    return max(2, round(m * factor)), max(2, round(n * factor))


def select(
    candidates: Sequence[Table],
    *,
    dtype: str,
    shape: tuple[int, int] = (256, 512),
    plans: Sequence[Plan] = (),
    operator: str | None = None,
    seed: int = 0,
    device: str = "cpu",
    enough: float | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> tuple[Measured, ...]:
    """All candidates measured on the same matrices, best first; one that is worse than the best is cut short.

    In half precision a candidate for msign first meets COUNT members of each family of AGREEING
    (rounding/trial.py), and is out where more than RARE of them are blown up or lost.

    shape: reduced to MOST_ROWS rows at the same aspect. plans: one a candidate, their form and restarts are
    run; none: the default. enough: an error that suffices, at which the first candidate that reaches it, in
    the order given, ends the search; there every error counts in full. watch: called with (candidates
    measured, candidates in all). Where the search is cut short (search/pace.py), those that were measured by
    then, which may be none.

    Raises InputError for no candidates, and what sweep.measure raises.
    """
    if not candidates:
        raise InputError("candidates", "there is none: give at least one table")
    if plans and len(plans) != len(candidates):
        raise InputError("plans", f"has {len(plans)} entries for {len(candidates)} candidates")
    seed = check_integer("seed", seed, 0)
    done: list[Measured] = []
    shares: dict[Any, float] = {}
    best = math.inf
    with pace.best_so_far():
        for index, table in enumerate(candidates):
            plan = replace(plans[index] if plans else Plan(), dtype=dtype_name(dtype))
            limit = best if enough is None else enough
            sides, weighted = reduced(shape), enough is None
            least = "" if math.isinf(best) else f", best so far {best:.4g}"
            pace.doing(f"measuring candidate {index + 1} of {len(candidates)}{least}")
            found = _one(index, table, plan, sides, operator, seed, device, limit, weighted, shares)
            done.append(found)
            best = min(best, found.score) if found.complete else best
            if watch is not None:
                watch(len(done), len(candidates))
            if enough is not None and found.complete and found.worst <= enough:
                break
    return tuple(sorted(done, key=lambda one: (not one.complete, max(0.0, one.lost - RARE), one.score)))


def _one(
    index: int,
    table: Table,
    plan: Plan,
    shape: tuple[int, int],
    operator: str | None,
    seed: int,
    device: str,
    limit: float,
    weighted: bool,
    shares: dict[Any, float],
) -> Measured:
    _, how = choose(table, operator, 1)
    lower = table.schedule.interval[0]
    if how.positive:
        lower = lowest_eigenvalue(table.schedule, str(plan.dtype), min(shape), 1)
    plan = _with_restarts(plan, table)
    followed = plan.dtype in HALF and how.polar
    gone = _lost(table, plan, seed) if followed else 0.0
    if gone > RARE:
        return Measured(index, math.inf, math.inf, (), complete=False, lost=gone)
    worst, score, runs = 0.0, 0.0, []
    cases = _cases(shape, how.positive, PARTS if not followed else (1.0,))
    for number, (spectrum, sides) in enumerate(cases):
        pace.check()
        known = _known(spectrum, sides, seed, lower, how.positive, how.singular)
        setting = Setting(known, table, plan, 1, resolve_device(device), seed)
        with FixedSums(str(plan.dtype)):
            case = run(setting, how)
        found = worst_error(case, table.schedule)
        runs.append(CandidateRun(spectrum, sides, math.inf if found is None else found))
        worst = max(worst, runs[-1].worst)
        own = runs[-1].worst
        if weighted and not how.positive:
            key = (spectrum, sides, plan.dtype, setting.normalization, table.schedule.interval)
            if key not in shares:
                shares[key] = input_share(case, table.schedule) or 0.0
            own -= shares[key]
        light = (spectrum in EQUAL and not followed) or (spectrum == SQUARE and how.positive and number == 0)
        score = max(score, own * (WEIGHT if weighted and light else 1))
        if score > limit:
            break
    return Measured(index, worst, score, tuple(runs), complete=len(runs) == len(cases), lost=gone)


def _lost(table: Table, plan: Plan, seed: int) -> float:
    how: dict[str, Any] = {"restarts": plan.restarts, "normalization": table.normalization}
    how |= {"seed": seed, "enough": max(1, math.ceil(RARE * COUNT))}
    trials = []
    for family in AGREEING:
        pace.check()
        trials.append(random_trial(table.schedule, str(plan.dtype), family, COUNT, **how))
    return max(max(one.blown, one.lost) / one.tried for one in trials)


def _with_restarts(plan: Plan, table: Table) -> Plan:
    """Those that the operator would choose."""
    if plan.form != "gram" or plan.restarts is not None:
        return plan
    restarts = choose_restarts(table.schedule, str(plan.dtype))
    # One before every step is the direct form.
    return (
        replace(plan, form="direct")
        if restarts == every(table.schedule)
        else replace(plan, restarts=restarts)
    )


def _cases(
    shape: tuple[int, int], positive: bool, parts: Sequence[float]
) -> list[tuple[str, tuple[int, int]]]:
    side = min(shape)
    found: list[tuple[str, tuple[int, int]]] = [(SQUARE, (side, side))] if positive else []
    for spectrum in POSITIVE if positive else POLAR:
        if spectrum.startswith("rankk") and int(spectrum.partition(":")[2]) > side:
            continue
        of = parts if spectrum in EQUAL else (1.0,)
        sides = [shape, (side, side)] if spectrum in EQUAL and shape[0] != shape[1] else [shape]
        found += [(spectrum, (max(2, round(p * m)), max(2, round(p * n)))) for m, n in sides for p in of]
    return found


@lru_cache(maxsize=64)
def _known(
    spectrum: str, shape: tuple[int, int], seed: int, lower: float, positive: bool, singular: bool
) -> Sample:
    if positive:
        return sample_positive(spectrum, shape, seed=seed, lower=lower, singular=singular)
    return sample(spectrum, shape, seed=seed, lower=lower)

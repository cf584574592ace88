"""A choice for a budget: candidates that the rounding model proposes, and of these one that was measured.

No matrix is known here: what measures candidates is handed in, and tells which of them errs least. Without it
the model's word counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from polydesign.model import InputError, Problem, Schedule, dtype_name
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.program.programs import preferred
from polydesign.search import pace
from polydesign.search.budget import Path, cheapest, exact_front, widest
from polydesign.search.candidates import Candidate, Measure, R, for_error, for_matmuls, lasts, settles
from polydesign.search.long_schedules import steady
from polydesign.search.minimax import Equioscillation
from polydesign.search.rounding_aware import Terms
from polydesign.search.smallest_lower import smallest_lower

_NOT_LAST = "it was not tried on as many matrices as what a search ends with"
"""What there is to say of a candidate where the search is cut short before that."""

_STORED = 0.125
"""Times u: no error below that is looked for. Storing the result once leaves more on what is measured."""


def both(matmuls: int | None, error: float | None) -> tuple[int, float]:
    """matmuls and the error, for the smallest lower end."""
    if matmuls is None or error is None:
        raise InputError("lower", "min is the smallest lower end for matmuls and an error: give both")
    return matmuls, error


def best(
    terms: list[Terms], dtype: str, matmuls: int | None, error: float | None, measure: Measure[R] | None
) -> tuple[Candidate, R | None, int]:
    """The candidate that errs least for so many products, or without matmuls the cheapest that reaches the
    error; what was measured of it; and of how many candidates it is the best.

    Where it is cut short (search/pace.py): the best that was measured by then, or else one that is not
    refuted; its proposal says what is unfinished.

    terms: one for each form. Raises InputError where nothing can be had for that.
    """
    if matmuls is not None:
        enough = None
        rounds = iter([for_matmuls(terms, matmuls, dtype, measured=measure is not None)])
    else:
        assert error is not None
        enough = error
        if error < _STORED * UNIT_ROUNDOFF[dtype_name(dtype)]:
            raise _out_of_reach(error, dtype)
        rounds = for_error(terms, error, dtype, measured=measure is not None)
    count, least = 0, math.inf
    for candidates in rounds:
        ranked = None if measure is None or pace.over() else measure(candidates, enough)
        if pace.over():
            return *_best_so_far(candidates, ranked or (), enough, settles(terms[0])), len(ranked or ())
        if ranked is None:
            for one in candidates:
                kept = _lasting(one, terms[0])
                if kept is not None and steady(kept.proposal.schedule, kept.proposal.at_worst, kept.form):
                    return kept, None, len(candidates)
            continue
        count, first = count + len(candidates), ranked[0]
        if enough is None and not math.isfinite(first.worst):
            raise InputError(
                "matmuls",
                f"none of {count} candidates for {matmuls} keeps its values in {dtype} on blocks of "
                f"equal entries, nor on all other matrices: take more, a higher precision, or form direct",
            )
        for one in ranked:
            good = math.isfinite(one.worst) if enough is None else one.complete and one.worst <= enough
            kept = _lasting(candidates[one.index], terms[0]) if good else None
            if kept is not None and steady(kept.proposal.schedule, one.worst, kept.form):
                return kept, one, count
        least = min(least, *(one.worst for one in ranked))
    if enough is None:
        raise InputError(
            "matmuls",
            f"each candidate for {matmuls} blows up some matrix whose roundings agree in {dtype}: take more, "
            "or a higher precision",
        )
    if not count:
        raise _out_of_reach(enough, dtype)
    raise InputError(
        "error",
        f"none of {count} candidates stays below {enough!r} in {dtype} on matrices; the best reaches "
        f"{least:.3g}: ask for a larger error, or a higher precision",
    )


def _lasting(one: Candidate, terms: Terms) -> Candidate | None:
    """The candidate where it survives what a chosen one must, None where it does not."""
    with pace.best_so_far():
        pace.doing(f"trying the best, error {one.proposal.schedule.error:.4g}, once more")
        return one if lasts(one, terms) else None
    return _unfinished(one, _NOT_LAST)


def _best_so_far(
    candidates: Sequence[Candidate], ranked: Sequence[R], enough: float | None, settled: bool
) -> tuple[Candidate, R | None]:
    """Of what was measured, or else of what was not; a candidate that broke off was worse, or lost values."""
    for one in ranked:
        if one.complete and (math.isfinite(one.worst) if enough is None else one.worst <= enough):
            words = f"{len(ranked)} of {len(candidates)} candidates were measured"
            words += f", and {_NOT_LAST}" if settled else ""
            return _unfinished(candidates[one.index], words), one
    worse = {one.index for one in ranked}
    for index, one in enumerate(candidates):
        if index not in worse and (enough is None or one.proposal.expected <= enough):
            before = one.proposal.unfinished or (_NOT_LAST if settled else "not all candidates were proposed")
            return _unfinished(one, f"{before}, and it was not measured"), None
    pace.check()
    raise AssertionError("it is over, and check says so")


def _unfinished(one: Candidate, words: str) -> Candidate:
    return replace(one, proposal=replace(one.proposal, unfinished=words))


def best_exactly(
    problem: Problem, matmuls: int | None, *, smallest: bool = False, **options: Any
) -> tuple[Schedule, Equioscillation, Path]:
    """The best sequence of degrees without rounding and headroom: its schedule, what makes it, what it costs.

    problem: root and interval; its degrees do not count. smallest: on the widest interval from which so many
    products reach the problem's error. options: of budget.exact_front.
    """
    root, low, high, error = problem.root, problem.lower, problem.upper, problem.error
    if smallest:
        most, wanted = both(matmuls, error)
        _, path = widest(root, high, wanted, most, **options)
    elif matmuls is not None:
        path = exact_front(root, low, high, matmuls, **options)[-1]
    else:
        assert error is not None
        path = cheapest(root, low, high, error, **options)
    if not path.choices:
        raise InputError("matmuls", f"{matmuls} are too few: no step costs so little")
    degrees = tuple(1 + root * n for n in path.choices)
    strategy = Equioscillation(evaluation=tuple(preferred(n) for n in path.choices))
    if smallest:
        low = smallest_lower(strategy, root, degrees, both(matmuls, error)[1], high)
    return strategy.search(Problem(root, degrees, low, high)), strategy, path


def _out_of_reach(error: float, dtype: str) -> InputError:
    return InputError(
        "error", f"{error!r} is out of reach in {dtype}: rounding leaves more; take a higher precision"
    )

"""Candidates of a budget search: schedules of every form with what they cost, in the order to look at them.

search/rounding_aware.py proposes them for one form; the gram form's cost is known once its restarts are
chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from polydesign.model import HALF, InputError, Problem
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.program.cost import cost
from polydesign.rounding.gram import choose_restarts
from polydesign.search import pace
from polydesign.search.bands import from_smallest
from polydesign.search.budget import bisected
from polydesign.search.long_schedules import considered, propose_long
from polydesign.search.rounding_aware import Proposal, Terms, least_error, propose
from polydesign.search.smallest_lower import smallest_lower
from polydesign.search.survival import CHOSEN, survives
from polydesign.search.survivors import survivors

HANDFUL = 9
"""Candidates that are measured, for each part of the noise that they were made for."""

SURVIVORS = 6
"""Schedules that outlast matrices whose roundings agree, of each form: ten seconds each."""

MOST_GRAM_DEGREE = 3
"""Highest inner degree tried in the gram form: it needs a restart before every step beyond."""

_CUBICS = (3, 20)
"""Costs between which an error is looked for in low precision, in steps of inner degree 1."""

_DEARER = 1.3
"""By how much the costs of one round exceed those of the round before."""

_WIDEST = 0.5
"""Lower ends are looked for up to this, relative to the upper."""

_SLACK = 3.0
"""The model expects too much error rather than too little: of the shipped tables for 14 to 18
products matrices measured 0.3 to 0.75 of it in bfloat16."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposal in one form: restarts and cost, in the unit of the prices, are those of that form."""

    proposal: Proposal
    form: str
    restarts: tuple[int, ...] | None
    cost: float


class Ranked(Protocol):
    """What measuring says of a candidate: its place in the list, its largest error, and whether it met all
    matrices, which one that is worse than the best so far need not."""

    @property
    def index(self) -> int: ...

    @property
    def worst(self) -> float: ...

    @property
    def complete(self) -> bool: ...


R = TypeVar("R", bound=Ranked)

Measure = Callable[[list[Candidate], float | None], Sequence[R]]
"""Candidates measured, the best first. The second is an error that suffices: the first candidate that reaches
it, in the order given, ends the measuring."""


def for_matmuls(terms: list[Terms], matmuls: int, dtype: str, *, measured: bool) -> list[Candidate]:
    """Those worth measuring, in the order to look at them: what the model thinks best comes first."""
    found = [one for each in terms for one in (*_affordable(each, matmuls, dtype), *_long(each, matmuls))]
    if not found:
        pace.check()
        raise InputError("matmuls", f"{matmuls} are too few for the {terms[0].form} form")
    found.sort(key=lambda one: one.proposal.expected)
    if not measured:
        return sorted(found, key=lambda one: (one.proposal.at_worst, one.proposal.expected))
    return [
        one
        for caution in dict.fromkeys(one.proposal.caution for one in found)
        for one in [each for each in found if each.proposal.caution == caution][:HANDFUL]
    ]


def _long(terms: Terms, most: float) -> list[Candidate]:
    """Those with long steps: found anew for each interval, in half a minute a step. In the coupled form,
    where longer steps lose more of P, also the one for a product less: measuring tells which errs less."""
    found: list[Candidate] = []
    if considered(terms):
        with pace.best_so_far():
            for budget in (most, most - 1) if terms.coupled else (most,):
                pace.doing("looking for long steps")
                one = propose_long(terms, budget)
                if one is not None and one.strategy not in [each.proposal.strategy for each in found]:
                    found.append(Candidate(one, terms.form, None, one.cost))
    return found


def for_error(
    terms: list[Terms], error: float, dtype: str, *, measured: bool = True
) -> Iterator[list[Candidate]]:
    """Those that the model expects to reach the error, cheapest first, in rounds of growing cost.

    Most searches end in one of the first rounds, and what costs more is then never made. The last round is
    half as dear again as the first schedule that reaches the error with all of the model's noise. measured:
    whether they are measured: then those count too whose expected error is up to _SLACK times that.
    """
    reach = _SLACK * error if measured else error
    cubic = terms[0].prices.gram + terms[0].prices.wide
    done, most, last = 0.0, _CUBICS[0] * cubic, _CUBICS[1] * cubic
    while done < last:
        most = min(most, last)
        found = [
            one
            for each in terms
            for one in _affordable(each, most, dtype, reach, done)
            if done < one.cost and one.proposal.expected <= reach
        ]
        safe = [one.cost for one in found if one.proposal.at_worst <= error]
        last = min([last, *(1.5 * price for price in safe)])
        if found:
            yield sorted(found, key=lambda one: (one.cost, one.proposal.expected))
        pace.check()
        done, most = most, most * _DEARER


def settles(terms: Terms) -> bool:
    """Whether matrices whose roundings agree are followed through its schedules: those of msign, in half
    precision, on [l, 1]."""
    return terms.root == 2 and not terms.coupled and terms.dtype in HALF and terms.upper == 1


def _surviving(terms: Terms, most: float, error: float, least: float) -> Iterator[Proposal]:
    """As proposals: nothing is expected beyond the promise and storing the result."""
    for one in survivors(
        Problem(terms.root, (1 + terms.root,), terms.lower, terms.upper),
        terms.dtype,
        most,
        terms.prices,
        form=terms.form,
        inner_degrees=terms.inner_degrees,
        evaluations=terms.evaluations,
        least=least,
        keep=SURVIVORS,
        error=error,
        normalization=terms.normalization,
    ):
        expected = one.schedule.error + UNIT_ROUNDOFF[terms.dtype] / 2
        yield Proposal(one.schedule, one.strategy, one.cost, 1.0, expected, expected, one.unfinished)


def _affordable(
    terms: Terms, most: float, dtype: str, error: float = math.inf, least: float = 0.0
) -> list[Candidate]:
    found = []
    try:
        proposals = (
            _surviving(terms, most, error, least) if settles(terms) else propose(terms, most, error=error)
        )
    except InputError:  # no step costs so little in this form
        return []
    for proposal in proposals:
        if terms.form != "gram":
            found.append(Candidate(proposal, terms.form, None, proposal.cost))
            continue
        restarts = choose_restarts(proposal.schedule, dtype)
        price = cost(proposal.schedule, terms.prices, form="gram", restarts=restarts)
        if price <= most:
            found.append(Candidate(proposal, "gram", restarts, price))
    return found


def lasts(one: Candidate, terms: Terms) -> bool:
    """Whether it survives what a chosen schedule must, where matrices whose roundings agree count."""
    return not settles(terms) or survives(
        one.proposal.schedule, terms.dtype, trust=CHOSEN, normalization=terms.normalization
    )


def widest_interval(one: Candidate, error: float, terms: Terms) -> Candidate:
    """The same steps with the same headroom, on the widest interval from which their promise is the error;
    as it is where what was found for its interval is not enough there."""
    proposal = one.proposal
    strategy, schedule = proposal.strategy, proposal.schedule
    root, degrees, upper = schedule.root, schedule.degrees, schedule.interval[1]
    lower = smallest_lower(strategy, root, degrees, error, upper)
    wide = strategy.search(Problem(root, degrees, lower, upper))
    found = replace(one, proposal=replace(proposal, schedule=wide, expected=wide.error, at_worst=wide.error))
    return found if lasts(found, terms) else one


def widest_surviving(
    terms: Terms, most: float, error: float, measure: Measure[R] | None
) -> tuple[Candidate, R | None, int]:
    """The schedule that takes the widest interval into the band and survives; what was measured of it; and
    how many were tried until one kept its values on matrices. Of terms that settle, in the direct form.

    Raises InputError where there is none, and where rounding alone leaves more than the error.
    """
    if error < UNIT_ROUNDOFF[terms.dtype]:
        raise InputError(
            "error",
            f"{error!r} is out of reach in {terms.dtype}: rounding leaves more; take a higher precision",
        )
    found_so_far = from_smallest(
        error,
        terms.dtype,
        most,
        terms.prices,
        form=terms.form,
        inner_degrees=terms.inner_degrees,
        evaluations=terms.evaluations,
        normalization=terms.normalization,
    )
    for count, one in enumerate(found_so_far, start=1):
        expected = error + UNIT_ROUNDOFF[terms.dtype] / 2
        made = Proposal(one.schedule, one.strategy, one.cost, 1.0, expected, expected, one.unfinished)
        chosen = Candidate(made, terms.form, None, one.cost)
        if measure is None or pace.over():
            return chosen, None, count
        found = next(iter(measure([chosen], None)), None)
        if found is None or math.isfinite(found.worst):
            return chosen, found, count
    pace.check()
    raise InputError(
        "matmuls",
        f"each candidate for {most:g} blows up some matrix in {terms.dtype}: take more, or a higher "
        "precision",
    )


def smallest_for(terms: Terms, most: float, error: float) -> float:
    """The smallest lower end, to two digits, from which the model reaches the error with all its noise."""

    def reaches(ratio: float) -> bool:
        return least_error(replace(terms, lower=ratio * terms.upper), most) <= error

    low, high = 1e-9, _WIDEST
    if not reaches(high):
        raise InputError("matmuls", f"{most:g} are too few to reach {error!r} in {terms.dtype}")
    high = bisected(reaches, low, high, 1.01)
    return float(f"{high * 1.005 * terms.upper:.2g}") if high < _WIDEST else high

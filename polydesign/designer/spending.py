"""A budget search as the designer and the command line ask for it: propose, measure, choose.

search/budget.py and search/joint.py propose and know no matrix; verification/select.py measures and knows no
search; this joins them. designer/design.py makes the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from polydesign import __version__
from polydesign.model import (
    FORMS,
    InputError,
    Plan,
    Problem,
    Provenance,
    Schedule,
    Table,
    check_integer,
    check_number,
    dtype_name,
)
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.program import calibration
from polydesign.program.cost import UNIT, Prices, flops
from polydesign.program.programs import preferred
from polydesign.search.band import smallest_lower
from polydesign.search.budget import INNER_DEGREES, cheapest, exact_front, form_of, widest
from polydesign.search.candidates import MOST_GRAM_DEGREE, Candidate, for_error, for_matmuls, smallest_for
from polydesign.search.greedy import Equioscillation
from polydesign.search.joint import Terms

if TYPE_CHECKING:
    from polydesign.verification.select import Measured

STRATEGY = "budget"

_STORED = 0.125
"""Times u: no error below that is looked for. Storing the result once leaves more on what is measured."""

SHAPE = (512, 1024)
"""Of the matrices where nobody says."""

SEARCHED_FORMS = ("direct", "gram", "auto", "coupled")


@dataclass(frozen=True, slots=True)
class Spending:
    """What one asks of a budget search; every field is a keyword of design(method="budget").

    matmuls: products that may be spent, or None: the least for the problem's error. shape: of the matrices;
    the shorter side enters the rounding model, both the costs. form: direct, gram, or auto, which is gram
    where that costs less; or coupled, which every root but 2 is run in whatever is said, and root 2 where it
    is for inverse square roots. symmetric: what a product costs whose result is known to be symmetric, of one
    where it is not; costs: a file of `polydesign bench --calibrate`, whose seconds count in place of
    operations. Without both, products are counted one by one. measure: measure the best candidates and take
    the one that errs least, or else trust the model, and take what it thinks safest. seed: of the matrices.

    Raises InputError naming the field.
    """

    matmuls: int | None = None
    shape: tuple[int, int] = SHAPE
    form: str = "direct"
    symmetric: float | None = None
    costs: str | None = None
    measure: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.matmuls is not None:
            check_integer("matmuls", self.matmuls, 1)
        if len(self.shape) != 2:
            raise InputError("shape", f"must be two sides such as (1024, 4096), not {self.shape!r}")
        for side in self.shape:
            check_integer("shape", side, 2)
        if self.form not in SEARCHED_FORMS:
            raise InputError("form", f"{self.form!r} is not one of {', '.join(SEARCHED_FORMS)}")
        if self.symmetric is not None:
            check_number("symmetric", self.symmetric)
        if self.costs is not None and self.symmetric is not None:
            raise InputError("symmetric", "is part of the measured costs: leave it out, or leave out costs")
        if self.matmuls is not None and (self.symmetric is not None or self.costs is not None):
            raise InputError(
                "matmuls",
                "counts products one by one: leave out symmetric and costs, or give an error instead",
            )
        check_integer("seed", self.seed, 0)

    def prices(self, form: str, dtype: str) -> Prices:
        """Of one product of each kind. Flops are in units of one product of the shape, 2·m²·n."""
        if self.costs is not None:
            return calibration.load(self.costs).prices(self.shape, dtype, form=form)
        if self.symmetric is None:
            return UNIT
        whole = flops(self.shape, form=form, symmetric=self.symmetric)
        return Prices(whole.gram / whole.wide, 1.0, whole.symmetric / whole.wide, "products with X")


SETTINGS = tuple(field.name for field in fields(Spending))


def spend(
    spending: Spending,
    problem: Problem,
    dtype: str,
    *,
    smallest: bool = False,
    exact: bool = False,
    inner_degrees: Sequence[int] | None = None,
    evaluation: str | None = None,
    normalization: str = "frobenius",
    watch: Callable[[int, int], None] | None = None,
) -> tuple[Schedule, dict[str, Any]]:
    """The schedule, and the parameters of its provenance.

    problem: root and interval; its degrees do not count, its error is the goal where matmuls is None.
    smallest: find the smallest lower end for matmuls and an error. exact: no rounding, no headroom: the best
    sequence of degrees. watch: called with (candidates measured, candidates in all).
    """
    if spending.matmuls is None and problem.error is None:
        raise InputError("matmuls", "say how many products, or give the error that is needed")
    if smallest:
        _both(spending, problem)
    if problem.root != 2 and spending.form in ("gram", "auto"):
        raise InputError("form", f"{spending.form} is of root 2: leave it out")
    given = form_of(problem.root) if spending.form == "direct" else spending.form
    degrees = tuple(inner_degrees or INNER_DEGREES)
    if exact:
        return _exact(spending, problem, degrees, dtype, given, smallest)
    forms = ("direct", "gram") if given == "auto" else (given,)
    terms = [
        Terms(
            problem.root,
            problem.lower,
            problem.upper,
            dtype,
            rows=min(spending.shape),
            normalization=normalization,
            form=form,
            prices=spending.prices(form, dtype),
            inner_degrees=tuple(n for n in degrees if form != "gram" or n <= MOST_GRAM_DEGREE),
            **({} if evaluation is None else {"evaluations": (evaluation,)}),
        )
        for form in forms
    ]
    if smallest:
        lower = smallest_for(terms[0], *_both(spending, problem))
        terms = [replace(one, lower=lower) for one in terms]
    if spending.matmuls is None:
        assert problem.error is not None
        if problem.error < _STORED * UNIT_ROUNDOFF[dtype_name(dtype)]:
            raise _out_of_reach(problem.error, dtype)
        rounds = for_error(terms, problem.error, dtype, measured=spending.measure)
    else:
        rounds = iter([for_matmuls(terms, spending.matmuls, dtype, measured=spending.measure)])
    best, measured, count = _chosen(spending, rounds, problem, dtype, normalization, watch)
    found = best.proposal
    parameters: dict[str, Any] = {
        key: value for key, value in asdict(found.strategy).items() if value is not None
    }
    parameters |= {key: value for key, value in asdict(spending).items() if value is not None}
    parameters |= {
        "dtype": dtype,
        "form": best.form,
        "cost": best.cost,
        "cost_unit": terms[0].prices.unit,
        "caution": found.caution,
        "expected": found.expected,
        "candidates": count,
    }
    if best.restarts is not None:
        parameters["restarts"] = best.restarts
    if problem.error is not None:
        parameters["error"] = problem.error
    if smallest:
        parameters["lower"] = "min"
    if measured is not None:
        parameters |= measured
    return found.schedule, parameters


def _exact(
    spending: Spending, problem: Problem, degrees: tuple[int, ...], dtype: str, form: str, smallest: bool
) -> tuple[Schedule, dict[str, Any]]:
    root, low, high = problem.root, problem.lower, problem.upper
    form = "coupled" if form == "coupled" else form_of(root)
    options = {"inner_degrees": degrees, "prices": spending.prices(form, dtype), "form": form}
    if smallest:
        most, error = _both(spending, problem)
        _, path = widest(root, high, error, most, **options)
    elif spending.matmuls is not None:
        path = exact_front(root, low, high, spending.matmuls, **options)[-1]
    else:
        assert problem.error is not None
        path = cheapest(root, low, high, problem.error, **options)
    if not path.choices:
        raise InputError("matmuls", f"{spending.matmuls} are too few: no step costs so little")
    chosen = tuple(1 + root * n for n in path.choices)
    strategy = Equioscillation(evaluation=tuple(preferred(n) for n in path.choices))
    if smallest:
        low = smallest_lower(strategy, root, chosen, _both(spending, problem)[1], high)
    schedule = strategy.search(Problem(root, chosen, low, high))
    parameters = {key: value for key, value in asdict(strategy).items() if value is not None}
    parameters |= {"exact": True, "cost": path.cost, "cost_unit": options["prices"].unit}
    if problem.error is not None:
        parameters["error"] = problem.error
    if spending.matmuls is not None:
        parameters["matmuls"] = spending.matmuls
    if smallest:
        parameters["lower"] = "min"
    return schedule, parameters


def _both(spending: Spending, problem: Problem) -> tuple[int, float]:
    """matmuls and the error, for the smallest lower end."""
    if spending.matmuls is None or problem.error is None:
        raise InputError("lower", "min is the smallest lower end for matmuls and an error: give both")
    return spending.matmuls, problem.error


def _chosen(
    spending: Spending,
    rounds: Iterator[list[Candidate]],
    problem: Problem,
    dtype: str,
    normalization: str,
    watch: Callable[[int, int], None] | None,
) -> tuple[Candidate, dict[str, Any] | None, int]:
    """The one that errs least, or for an error the first that reaches it; its measurements; of how many."""
    enough = problem.error if spending.matmuls is None else None
    count, least = 0, math.inf
    for candidates in rounds:
        if not spending.measure:
            return candidates[0], None, len(candidates)
        ranked = _measured(spending, candidates, enough, dtype, normalization, watch)
        count, best = count + len(candidates), ranked[0]
        if enough is None and not math.isfinite(best.worst):
            raise InputError(
                "matmuls",
                f"none of {count} candidates for {spending.matmuls} keeps its values in {dtype} on blocks of "
                f"equal entries, nor on all other matrices: take more, a higher precision, or form direct",
            )
        if enough is None or (best.complete and best.worst <= enough):
            return candidates[best.index], _words(spending, best), count
        least = min(least, *(one.worst for one in ranked))
    if not count:
        assert enough is not None
        raise _out_of_reach(enough, dtype)
    raise InputError(
        "error",
        f"none of {count} candidates stays below {enough!r} in {dtype} on matrices; the best reaches "
        f"{least:.3g}: ask for a larger error, or a higher precision",
    )


def _out_of_reach(error: float, dtype: str) -> InputError:
    return InputError(
        "error", f"{error!r} is out of reach in {dtype}: rounding leaves more; take a higher precision"
    )


def _measured(
    spending: Spending,
    candidates: list[Candidate],
    enough: float | None,
    dtype: str,
    normalization: str,
    watch: Callable[[int, int], None] | None,
) -> Sequence[Measured]:
    from polydesign.verification.select import select  # torch

    plans = [
        Plan(dtype, form=one.form, restarts=one.restarts) if one.form in FORMS else Plan(dtype)
        for one in candidates
    ]
    provenance = Provenance(__version__, STRATEGY, {})
    tables = [
        Table(
            f"candidate-{index}",
            one.proposal.schedule,
            provenance,
            normalization,
            purpose="root" if one.form == "coupled" and one.proposal.schedule.root == 2 else "",
        )
        for index, one in enumerate(candidates)
    ]
    return select(
        tables,
        dtype=dtype,
        shape=spending.shape,
        plans=plans,
        seed=spending.seed,
        enough=enough,
        watch=watch,
    )


def _words(spending: Spending, best: Measured) -> dict[str, Any]:
    from polydesign.verification.select import reduced  # torch

    return {
        "measured": best.worst,
        "measured_shape": list(reduced(spending.shape)),
        "measured_spectra": list(dict.fromkeys(run.spectrum for run in best.runs)),
    }

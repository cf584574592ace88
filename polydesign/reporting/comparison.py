"""Any tables on equal terms: what each proves on common intervals, beside the best that is possible.

The order is by excess products: the products of a table less those that the best schedule would need for the
same error. N(E) of the front of exact arithmetic (search/budget.exact_front: steps of inner degree 1 to 6 and
8, without headroom) is known at whole products, and between them ln(−ln E) is taken as linear, which it is
where a composition starts (1 − E grows by a factor a product) and where it converges (−ln E does). An error
that is no better than that of no step at all needs no product, so that its table is all excess: the measure
has a value for every table, whatever its error. Moving each table along the front to one common number of
products gives errors in the same order, so this is the order of cost-equalized errors; their ratio to the
best of the same products, which is here too, weighs the last products more than the first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Any

from polydesign.approximation.certificate import (
    certify,
    enclose,
    optimum,
    ratio_to_optimum,
    with_proved_optimum,
)
from polydesign.approximation.enclosure import exact_rows
from polydesign.approximation.scalar import arithmetic
from polydesign.model import HALF, InputError, Measurement, Schedule, Table, check_number, located
from polydesign.program.cost import form_of, matmuls
from polydesign.search.budget import exact_front

LOWERS = (1e-3, 1e-2, 1e-1)
"""Lower ends, relative to the upper one, on which tables are compared where nobody says."""

LEAST_LOWER = 1e-12
"""Below it the float64 to which the error of each best step is rounded no longer tells it from 1."""

_DIGITS = 40

Front = tuple[tuple[float, Any], ...]
"""(products, best error as an mpmath number), both strictly monotone, from the cost of no step on."""


@dataclass(frozen=True, slots=True)
class AtLower:
    """One table on [l·u, u], u its own upper end: only the ratio of the ends matters to what is possible.

    error: upper bound of max |f − 1|, proved. optimum: lower bound of the least error with the same degrees,
    0 where none is known. best: the least error for the same products. ratio_to_optimum, ratio_to_best:
    error over these. excess: products beyond those that the best schedule needs for this error (see the
    module). A number too large for a float64 is inf.
    """

    lower: float
    error: float
    optimum: float
    best: float
    ratio_to_optimum: float
    ratio_to_best: float
    excess: float


@dataclass(frozen=True, slots=True)
class Seen:
    """The worst error that was measured in one precision; None where a result was not finite.

    source: stored (in the table's file or a file of measurements) or fresh. lower: from where on values were
    judged, relative to the upper end. runs: how many matrices.
    """

    dtype: str
    worst: float | None
    source: str
    lower: float
    runs: int


@dataclass(frozen=True, slots=True)
class Row:
    """One table. products: in `form`, all counted as one. slope: f'(0). safe_edge, basin_edge: lower bounds
    (see Certificate), relative to u; None where u itself is outside. error, ratio_to_optimum: on its own
    interval. at: on common intervals, the first of which gives the order. measured: one a precision.
    standings: half precision -> one of model.STANDINGS, as Table.standing."""

    name: str
    digest: str
    root: int
    form: str
    products: int
    degrees: tuple[int, ...]
    interval: tuple[float, float]
    error: float
    ratio_to_optimum: float
    slope: float
    safe_edge: float | None
    basin_edge: float | None
    at: tuple[AtLower, ...]
    measured: tuple[Seen, ...] = ()
    standings: dict[str, str] = field(default_factory=dict)

    def seen(self, dtype: str) -> Seen | None:
        """What was measured in this precision."""
        return next((one for one in self.measured if one.dtype == dtype), None)


def compared_rows(
    tables: Sequence[Table],
    lowers: Sequence[float] = LOWERS,
    measured: Mapping[str, Sequence[Seen]] | None = None,
) -> tuple[Row, ...]:
    """The tables as rows, that with the fewest excess products on [lowers[0]·u, u] first.

    measured: name -> what to show in place of the measurements stored in the tables. Deterministic, but for
    what was measured.

    Raises InputError for no table, two of one name, different roots (which do different things), and lower
    ends that are not between LEAST_LOWER and 1; ArithmeticError where an error is not enclosed.
    """
    if not tables:
        raise InputError("tables", "a comparison needs at least one table")
    check_names(tables)
    roots = {table.schedule.root: table.name for table in tables}
    if len(roots) > 1:
        which = ", ".join(f"{name} is of root {root}" for root, name in sorted(roots.items()))
        raise InputError("tables", f"of different roots do different things ({which}): compare one root")
    if not lowers:
        raise InputError("lower", "give at least one")
    for lower in lowers:
        lower = check_number("lower", lower)
        if not 0 < lower < 1:
            raise InputError("lower", f"must lie between 0 and 1, the upper end being 1, and is {lower!r}")
        if lower < LEAST_LOWER:
            raise InputError("lower", f"is {lower!r}, and what is best is known from {LEAST_LOWER:g} on")
    most = max(matmuls(table.schedule) for table in tables)
    fronts = [front(table.schedule.root, float(lower), most) for table in tables[:1] for lower in lowers]
    rows = [
        _row(table, lowers, fronts, stored(table) if measured is None else measured.get(table.name, ()))
        for table in tables
    ]
    return tuple(sorted(rows, key=lambda row: (row.at[0].excess, row.at[0].error, row.name)))


def check_names(tables: Sequence[Table]) -> None:
    """Raises InputError for two tables of one name."""
    names = [table.name for table in tables]
    for name in names:
        if names.count(name) > 1:
            raise InputError("tables", f"two are called {name}: leave one out, or give it another name")


@lru_cache(maxsize=64)
def front(root: int, lower: float, most: int) -> Front:
    """The best errors on [lower, 1] for up to `most` products, without headroom, in exact arithmetic."""
    return tuple((path.cost, path.rank) for path in exact_front(root, lower, 1.0, float(most)))


def products_needed(error: Any, best: Front) -> float:
    """N(E): products at which the front reaches `error`, between whole ones as the module says.

    0 for an error of no step or worse; the last of the front for one that it does not reach.
    """
    context = arithmetic(_DIGITS)
    error = context.convert(error)
    if error >= best[0][1]:
        return 0.0
    for (fewer, worse), (more, better) in pairwise(best):
        if error < better:
            continue
        if better == 0 or fewer < 0:  # no logarithm; no less than no product
            return max(fewer, 0.0)
        low, at, high = (context.log(-context.log(context.convert(e))) for e in (worse, error, better))
        return fewer + (more - fewer) * float((at - low) / (high - low))
    return best[-1][0]


def stored(table: Table, further: Sequence[Measurement] = (), source: str = "stored") -> tuple[Seen, ...]:
    """The worst measurement in each precision: those of the table's file and `further` ones.

    Of the operator itself only: not of its powers, and of no matrix of zeros. They were judged on the
    table's own interval.
    """
    low, high = table.schedule.interval
    found: dict[str, list[Measurement]] = {}
    for m in (*table.measured, *further):
        if m.power == 1 and m.count:
            found.setdefault(m.dtype, []).append(m)
    return tuple(
        Seen(
            dtype,
            None if any(m.worst is None for m in runs) else max(m.worst or 0.0 for m in runs),
            source,
            low / high,
            len(runs),
        )
        for dtype, runs in found.items()
    )


def _row(table: Table, lowers: Sequence[float], fronts: Sequence[Front], measured: Sequence[Seen]) -> Row:
    schedule, certificate = table.schedule, table.certificate
    if certificate is None or certificate.kind != "proved":
        certificate = certify(schedule, table.purpose)
    else:
        with located(f"{table.name}: "):
            certificate = with_proved_optimum(schedule, certificate)
    upper = Fraction(schedule.interval[1])
    edges = [
        -_above(-Fraction(bracket[0]) / upper) if bracket else None
        for bracket in (certificate.safe_edge, certificate.basin_edge)
    ]
    slope = math.prod((row[0] for row in exact_rows(schedule)), start=Fraction(1))
    products = matmuls(schedule)
    return Row(
        name=table.name,
        digest=table.digest,
        root=schedule.root,
        form=form_of(schedule.root),
        products=products,
        degrees=schedule.degrees,
        interval=schedule.interval,
        error=_above(Fraction(certificate.error[1])),
        ratio_to_optimum=ratio_to_optimum(certificate)[1],
        slope=_float(slope),
        safe_edge=edges[0],
        basin_edge=edges[1],
        at=tuple(
            _at(schedule, float(lower), products, best) for lower, best in zip(lowers, fronts, strict=True)
        ),
        measured=tuple(measured),
        standings={dtype: table.standing(dtype) for dtype in HALF},
    )


def _at(schedule: Schedule, lower: float, products: int, best: Front) -> AtLower:
    high = schedule.interval[1]
    there = replace(schedule, interval=(lower * high, high))
    error = enclose(there)[-1].half_width[1]
    try:
        least = optimum(there)[0]
    except (ArithmeticError, InputError):  # beyond what the solver can tell: then nothing is claimed
        least = Fraction(0)
    context = arithmetic(_DIGITS)
    exact = context.mpf(error.numerator) / error.denominator
    reached = context.convert([rank for cost, rank in best if cost <= products][-1])
    return AtLower(
        lower=lower,
        error=_above(error),
        optimum=0.0 - _above(-least),
        best=float(reached),
        ratio_to_optimum=_float(error / least) if least else math.inf,
        ratio_to_best=_finite(float(exact / reached)) if reached else math.inf,
        excess=products - products_needed(exact, best),
    )


def _finite(x: float) -> float:
    return x if x < math.inf else math.inf


def _float(x: Fraction) -> float:
    """As a float; inf where it is too large for one."""
    try:
        return float(x)
    except OverflowError:
        return math.inf if x > 0 else -math.inf


def _above(x: Fraction) -> float:
    """The least float that is no less: a bound stays one, and what is not 0 does not become 0."""
    nearest = _float(x)
    return nearest if nearest >= x else math.nextafter(nearest, math.inf)


def to_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as plain JSON; inf becomes null."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return [plain(asdict(row)) for row in rows]

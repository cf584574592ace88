"""A list of rows as a Table: certified as it stands, and refused where it does no good on its interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from polydesign import __version__
from polydesign.model import (
    Certificate,
    InputError,
    Provenance,
    Schedule,
    Table,
    check_integer,
    check_interval,
    check_number,
    check_purpose,
)
from polydesign.program.cost import matmuls_of
from polydesign.table.catalogue import load, shipped_name
from polydesign.table.layouts import (
    Plain,
    checked_rows,
    error_of,
    other_readings,
    schedule_of,
    useless,
    usual_lower,
)

Rows = Iterable[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where rows come from: the source of their table's provenance, and what it says beside that."""

    source: str = "rows that the caller gave"
    parameters: dict[str, Any] = field(default_factory=dict)


GIVEN = Origin()


def from_rows(
    rows: Rows,
    root: int = 2,
    *,
    lower: float | None = None,
    upper: float = 1.0,
    purpose: str | None = None,
    form: str = "",
    normalization: str = "frobenius",
    name: str | None = None,
    origin: Origin = GIVEN,
) -> Table:
    """A table of rows of coefficients, certified: its error on [lower, upper] is proved.

    Rows that are those of a table of the package, on its interval, bring along what was measured of it and
    what was tried.

    Args:
        rows: Coefficients of q of each step x·q(xʳ), in increasing powers, in the order in which they run.
        root: r; 2 is the sign and the polar factor.
        lower: l of the interval of normalized singular values, or of eigenvalues^(1/r), for which the error
            is proved; None for 1e-3 where r is 2, and for 0.1 elsewhere.
        upper: u of the interval.
        purpose: One of model.PURPOSES; None for sign where r is 2, for inverse where it is 1, else for root.
        form: As of a Table, "" for the purpose's.
        normalization: What the input is divided by, one of model.NORMALIZATIONS.
        name: Of the table; None for one made of its products and its digest.
        origin: Where the rows come from, for the provenance.

    Returns:
        The table, whose steps are computed in powers of A.

    Raises:
        InputError: For what is no list of rows, and for rows whose error on the interval is 1 or more, which
            is no better than doing nothing: it names other readings of them that are better. The field is the
            argument.

    >>> table = from_rows([(3.4445, -4.775, 2.0315)] * 5, lower=1e-2)
    >>> f"{table.schedule.error:.4f}", table.certificate.kind
    ('0.3182', 'proved')
    """
    plain = checked_rows(rows)
    root = check_integer("root", root, 1)
    purpose = check_purpose(purpose, root)
    interval = _interval(root, lower, upper)
    error = error_of(plain, root, interval)
    if error >= 1:
        better = other_readings(plain, root, interval)
        raise InputError("rows", useless(plain, root, interval, error) + better)
    schedule, certificate = _proved(plain, root, interval, purpose)
    chosen = "usual for this root" if lower is None else "given"
    table = Table(
        name=name or "rows",
        schedule=schedule,
        provenance=Provenance(
            __version__, "rows", {"lower": chosen, **origin.parameters}, source=origin.source
        ),
        normalization=normalization,
        certificate=certificate,
        purpose=purpose,
        form=form,
    )
    known = shipped_name(table.digest)
    if known is not None:
        of_it = load(known)
        table = replace(table, measured=of_it.measured, tried=of_it.tried)
    return table if name else replace(table, name=f"rows-m{matmuls_of(table)}-{table.digest[7:13]}")


def _interval(root: int, lower: float | None, upper: float) -> tuple[float, float]:
    lower = usual_lower(root) if lower is None else lower
    lower, upper = check_number("lower", lower), check_number("upper", upper)
    if not 0 < lower < upper:
        raise InputError("lower", f"must lie above 0 and below upper, {upper!r}, and is {lower!r}")
    check_interval("interval", (float(lower), float(upper)), positive=True)
    return float(lower), float(upper)


@lru_cache(maxsize=64)
def _proved(
    rows: Plain, root: int, interval: tuple[float, float], purpose: str
) -> tuple[Schedule, Certificate]:
    """Kept, because a training step gives the same list again and again."""
    from polydesign.approximation.certificate import certify  # mpmath and flint

    schedule = schedule_of(rows, root, interval)
    assert schedule is not None, "error_of has seen it"
    return schedule, certify(schedule, purpose)

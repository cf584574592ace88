"""Tables with a safety factor folded into their rows, or taken out of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from polydesign import __version__
from polydesign.approximation import fold as rows
from polydesign.approximation.certificate import certify
from polydesign.identification.tables import table_of
from polydesign.model import InputError, Provenance, Schedule, Table
from polydesign.table.given import Source


def fold(table: Source, factor: float, which: str = "all", *, name: str | None = None) -> Table:
    """The table whose steps are p(x/factor): coefficients divided by factor, factor^(1+r), factor^(1+2r), ….

    It makes room above u. The new table is certified: its error is that of the new map.

    Args:
        table: A Table, its name in the catalogue, the path of its file, rows, or a source file with a list.
        factor: Greater than 0, such as 1.01 for room of 1 %.
        which: The rows that hold it: "all"; "all-but-last", as in the listing of Polar Express (the last row
            then keeps its fixed point 1); or "first", which is the same as dividing the input by it.
        name: Of the new table; None for one that is made from the old one's.

    Returns:
        The new table. Its provenance names the old one, and it has no measurements.

    Raises:
        InputError: For a factor or rows that do not go with the table, and for a table of clipping.

    >>> table = fold("polar_express_deg5", 1.01, "all-but-last")
    >>> table.name, f"{table.schedule.error:.4g}"
    ('polar_express_deg5-folded1.01-all-but-last', '1.855e-15')
    """
    return _changed(rows.fold, "folded", table_of(table), factor, which, name)


def unfold(table: Source, factor: float, which: str = "all", *, name: str | None = None) -> Table:
    """The table whose steps are p(x·factor): what `fold` with this factor and these rows has made.

    Args:
        table: A Table, its name in the catalogue, the path of its file, rows, or a source file with a list.
        factor: That was folded in, greater than 0.
        which: The rows that hold it, as for `fold`.
        name: Of the new table; None for one that is made from the old one's.

    Returns:
        The new table, certified.

    Raises:
        InputError: As `fold` does.

    >>> unfold("polar_express_gram_ns_1.05", 1.05).schedule.steps[0].coefficients[0]
    8.28721201814563
    """
    return _changed(rows.unfold, "unfolded", table_of(table), factor, which, name)


def _changed(
    change: Callable[[Schedule, float, str], Schedule],
    strategy: str,
    old: Table,
    factor: float,
    which: str,
    name: str | None,
) -> Table:
    if old.purpose == "clip":
        raise InputError(
            "table",
            f"{old.name} is made for clipping, and a factor would tilt its line: design it with --headroom",
        )
    schedule = change(old.schedule, factor, which)
    made = {"factor": factor, "rows": which, "table": old.name, "digest": old.digest}
    if old.provenance.source is None:
        _check_sign(schedule, factor)
    return replace(
        old,
        name=name or f"{old.name}-{strategy}{factor:g}" + ("" if which == "all" else f"-{which}"),
        schedule=schedule,
        provenance=Provenance(__version__, strategy, made, source=old.provenance.source),
        certificate=certify(schedule, old.purpose),
        observed=None,
        measured=(),
        tried=(),
    )


def _check_sign(schedule: Schedule, factor: float) -> None:
    """Refuse a table of ours whose values reach zero: what a file of ours promises is for positive ones."""
    for index, step in enumerate(schedule.steps[1:], start=1):
        if step.domain[0] <= 0:
            raise InputError(
                "factor",
                f"with {factor:g} step {index} leaves values down to {step.domain[0]:.3g}, which are lost: "
                "take a factor that is nearer to 1",
            )

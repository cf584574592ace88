"""Families: schedules of one list of degrees that differ in their constants alone, each for another interval.

The first is the table that holds the others. One that begins higher errs less, so that whoever knows of a
matrix that it allows a higher beginning runs other constants, and the same products (runtime/indexed.py).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from polydesign.model.checks import InputError
from polydesign.model.program import Program
from polydesign.model.quoting import quoted
from polydesign.model.schedule import Schedule

if TYPE_CHECKING:
    from polydesign.model.table import Table

NORM = "schatten4"
"""What a family divides by: its ratio to ‖M‖_F says which member a matrix allows."""


def layout_of(schedule: Schedule) -> tuple[Program, ...]:
    """The programs of the steps without their constants."""
    codes = [step.program for step in schedule.steps]
    return tuple(code.with_constants([0.0] * len(code.constants)) for code in codes)


def check_family(table: Table) -> None:
    """Refuse members that cannot run in place of the table.

    Raises InputError naming the member: it has members itself, is of another purpose, precision, form,
    normalization, root, upper end or program, begins no higher than the one before it, or promises less.
    """
    if not table.members:
        return
    if table.normalization != NORM or table.purpose != "sign":
        raise InputError("members", f"go with purpose sign and normalization {NORM} alone: leave them out")
    low, high = table.schedule.interval
    same = ("normalization", "purpose", "dtype", "form")
    for index, one in enumerate(table.members):
        if not isinstance(one, type(table)):
            raise InputError(f"members[{index}]", f"is {quoted(one)}, and a member is a Table")
    for index, (before, one) in enumerate(pairwise((table, *table.members))):
        where, of_one = f"members[{index}]", one.schedule
        if one.members:
            raise InputError(f"{where}.members", "are of the table that holds it: leave them out")
        for name in same:
            if getattr(one, name) != getattr(table, name):
                raise InputError(
                    f"{where}.{name}", f"is {getattr(one, name)}, and the table's {getattr(table, name)}"
                )
        if layout_of(of_one) != layout_of(table.schedule):
            raise InputError(
                f"{where}.steps",
                "differ from the table's in more than constants: give it the same degrees and evaluation",
            )
        if of_one.interval[1] != high or of_one.interval[0] <= low:
            raise InputError(
                f"{where}.interval",
                f"is {list(of_one.interval)}: it must begin above {low!r}, as the member before it does, and "
                f"end at {high!r}",
            )
        if of_one.error > before.schedule.error:
            raise InputError(
                f"{where}.error",
                f"is {of_one.error!r}, more than the {before.schedule.error!r} of the member before it: "
                "leave it out",
            )
        low = of_one.interval[0]

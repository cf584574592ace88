"""What there is to say of a table beside its promise: what it is for, and its standing in half precision."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from polydesign.model import Table, Trial, half_of, stated
from polydesign.text.numbers import number


def made_for(table: Table) -> str | None:
    """What the table is for, where that is not the sign or the root that its promise is of."""
    low, high = table.schedule.interval
    if table.purpose == "clip":
        return f"made for clipping singular values: f(x) is near min(x/{low:.12g}, 1) from 0 to {high:.12g}"
    if table.schedule.root == 2 and table.purpose == "root":
        return "made for P^(-1/2) in the coupled form, where x is the square root of an eigenvalue"
    return None


def band_of(parameters: Mapping[str, Any]) -> float | None:
    """The error for which a table was made from the smallest lower end, by its provenance; None for another
    table, and where a file says something that is no number."""
    error = parameters.get("error")
    if parameters.get("lower") != "min" or isinstance(error, bool) or not isinstance(error, int | float):
        return None
    return float(error)


def first_of_members(table: Table) -> str:
    """What to know of a family wherever its own schedule stands for it; "" for a table that is none."""
    if not table.members:
        return ""
    last = table.members[-1].schedule
    return (
        f"the first of {1 + len(table.members)} members, which msign chooses among in every call: the last "
        f"one begins at {last.interval[0]:g} and errs by {number(last.error, 3, up=True)}"
    )


def banded(table: Table) -> str | None:
    """What the smallest lower end means for singular values, where the table was made for it."""
    within, low = band_of(table.provenance.parameters), table.schedule.interval[0]
    if within is None:
        return None
    norms = {"frobenius": "‖M‖_F", "schatten4": "‖M Mᵀ‖_F^½"}
    if table.purpose != "sign" or table.normalization not in norms:
        return f"every x from {low:.6g} on ends within {within:g} of 1: the smallest that was found"
    return (
        f"every σ >= {low:.6g}·{norms[table.normalization]} ends within {within:g} of 1, in "
        f"[{1 - within:g}, {1 + within:g}]: the smallest that was found"
    )


def cut_short(table: Table) -> str | None:
    """That the search for the table was ended before it was over, where it was: its name need not say so."""
    made = table.provenance.parameters
    why, missing = made.get("stopped"), made.get("unfinished")
    if why not in ("timeout", "interrupted"):
        return None
    return f"unfinished: the search was cut short ({why})" + (f", and {missing}" if missing else "")


def standings(table: Table) -> list[str]:
    """The standing in the half precision that the table was made for, or in those that it was tried in.

    Of a family what was tried of all its members counts; where one was not, the family was not.
    """
    dtypes = [table.dtype] if table.dtype else sorted({one.dtype for one in table.tried})

    def trials(dtype: str) -> tuple[Trial, ...]:
        every = () if table.standing(dtype) == "untried" else (table, *table.members)
        return tuple(chain.from_iterable(one.tried for one in every))

    return [stated(trials(dtype), dtype) for dtype in dtypes if half_of(table.purpose, dtype)]

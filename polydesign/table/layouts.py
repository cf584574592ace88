"""How numbers in rows may be meant: as steps or otherwise, of which root, and what each reading comes to."""

from __future__ import annotations

from functools import lru_cache
from math import inf
from typing import Any

from polydesign.model import (
    MOST_INNER_DEGREE,
    MOST_STEPS,
    InputError,
    Schedule,
    check_number,
    quoted,
)

SOME_GOOD = 0.9
"""Below this an error is that of a list in the right layout; in a wrong one it is mostly 1 or much more."""

Plain = tuple[tuple[float, ...], ...]
"""Rows of numbers, as tuples of floats."""

USUAL_LOWER = {2: 1e-3}
"""Lower end of root 2 where nobody says another: Muon's singular values, after the Frobenius norm."""

ROOT_LOWER = 0.1
"""Of other roots: eigenvalues^(1/r), after normalization; 1e-4 of the largest eigenvalue for r = 4."""

LAYOUTS = {
    "steps": "a row a step, coefficients of q in increasing powers, as (a, b, c) of ax + bx³ + cx⁵",
    "columns": "a row for all first coefficients, one for all second ones, …",
    "descending": "a row a step, coefficients of q in decreasing powers",
    "powers-of-x": "a row a step, coefficients of all powers of x, from x⁰ on",
}
"""How numbers in rows may be meant -> what that is, in words."""


_GIVE = "give one row of two or more coefficients a step, such as (3.4445, -4.775, 2.0315)"


def checked_rows(rows: Any, most: int = MOST_INNER_DEGREE) -> Plain:
    """The rows as tuples of floats. Raises InputError for what is none, and for more than a table holds.

    most: the highest inner degree.
    """
    try:
        given = tuple(tuple(map(_number, row)) for row in rows)
    except (TypeError, ValueError, OverflowError) as problem:
        raise InputError("rows", f"are no rows of numbers ({problem}): {_GIVE}") from problem
    if not given or len(given) > MOST_STEPS:
        raise InputError("rows", f"must be from 1 to {MOST_STEPS}, and are {len(given)}: {_GIVE}")
    bare = []
    for index, row in enumerate(given):
        for c in row:
            check_number(f"rows[{index}]", c)
        while len(row) > 2 and row[-1] == 0:  # they pad a row to a higher degree
            row = row[:-1]
        if not 2 <= len(row) <= most + 1 or not any(row):
            what = "is all zeros" if len(row) > 1 and not any(row) else f"has {len(row)} numbers"
            raise InputError(f"rows[{index}]", f"{what}, and a step has from 2 to {most + 1}: {_GIVE}")
        bare.append(row)
    return tuple(bare)


def _number(c: Any) -> float:
    """A coefficient as a float. Texts and truth values are none, though float takes them."""
    if isinstance(c, (str, bytes, bool)):
        raise TypeError(f"{quoted(c)} is no number")
    return float(c)


def usual_lower(root: int) -> float:
    """The lower end for which rows of this root are certified where nobody says another."""
    return USUAL_LOWER.get(root, ROOT_LOWER)


def error_of(rows: Plain, root: int, interval: tuple[float, float]) -> float:
    """max |f − 1| on the interval, of rows that are steps; inf where values leave float64."""
    schedule = schedule_of(rows, root, interval)
    return inf if schedule is None else schedule.error


def readings(rows: Plain, root: int, interval: tuple[float, float]) -> dict[str, tuple[Plain, float]]:
    """The layouts in which the rows do some good on the interval: layout -> rows that are steps, error."""
    found = {}
    for layout in LAYOUTS:
        read = as_steps(rows, layout, root)
        error = inf if read is None else error_of(read, root, interval)
        if read is not None and error < SOME_GOOD:
            found[layout] = read, error
    return found


def as_steps(rows: Plain, layout: str, root: int = 2) -> Plain | None:
    """Rows in this layout as steps in increasing powers of q; None where they cannot be meant so."""
    made: Any = rows
    if layout == "columns":
        full = {len(row) for row in rows}
        made = zip(*rows, strict=True) if len(full) == 1 and len(rows) > 1 else ()
    elif layout == "descending":
        made = (row[::-1] for row in rows)
    elif layout == "powers-of-x":
        # Of x·q(xʳ) only the powers 1, 1 + r, 1 + 2r, … are there.
        off = any(c for row in rows for j, c in enumerate(row) if j % root != 1 % root)
        made = () if off else (row[1::root] for row in rows)
    try:
        return checked_rows(made)
    except InputError:
        return None


def useless(rows: Plain, root: int, interval: tuple[float, float], error: float) -> str:
    """What is wrong with rows that leave an error of 1 or more on the interval."""
    low, high = interval
    lost = "leave float64" if error == inf else f"have an error of {error:.3g}"
    return (
        f"as {len(rows)} step{'s' if len(rows) > 1 else ''} of root {root} on [{low:g}, {high:g}] they "
        f"{lost}, which is no better than doing nothing"
    )


def other_readings(rows: Plain, root: int, interval: tuple[float, float]) -> str:
    """What to write for the readings in which rows that do no good as they stand do some."""
    write = {
        "columns": "zip(*rows)",
        "descending": "[row[::-1] for row in rows]",
        "powers-of-x": f"[row[1::{root}] for row in rows]",
    }
    better = [
        f"{LAYOUTS[layout]}: {error:.3g}, write {write[layout]}"
        for layout, (_, error) in readings(rows, root, interval).items()
    ]
    better += [
        f"root {other} on [{low:g}, 1]: {error:.3g}, write root={other}"
        for other, (low, error) in other_roots(rows, root).items()
        if error < SOME_GOOD
    ]
    if better:
        return "; read otherwise they have an error of " + "; or ".join(better)
    return ": look whether all rows are there, one a step, and whether upper is what the input is divided to"


def other_roots(rows: Plain, root: int, lower: float | None = None) -> dict[int, tuple[float, float]]:
    """Of roots that people use, but for this one: root -> lower end, the usual one or this, and the error."""
    ends = {other: lower or usual_lower(other) for other in (1, 2, 3, 4) if other != root}
    return {other: (low, error_of(rows, other, (low, 1.0))) for other, low in ends.items()}


@lru_cache(maxsize=256)
def schedule_of(rows: Plain, root: int, interval: tuple[float, float]) -> Schedule | None:
    from polydesign.approximation.scalar import schedule_from  # mpmath and flint

    try:
        return schedule_from(root, rows, interval)
    except InputError:
        return None  # an image that is not finite is all that checked rows can be refused for

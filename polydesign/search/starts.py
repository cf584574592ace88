"""Where a gradient search begins: rows of coefficients, one a step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from polydesign.approximation.remez import best_approximation
from polydesign.model import InputError, Problem
from polydesign.search.minimax import Equioscillation
from polydesign.table.catalogue import load
from polydesign.table.published import names, published

Rows = tuple[tuple[float, ...], ...]

NARROWEST = 0.01
"""Random steps are best approximations on [λ, 1] with λ log-uniform from here to 1/2."""


def minimax(problem: Problem, generator: np.random.Generator) -> Rows:
    """The best composition for the worst case on the problem's interval."""
    schedule = Equioscillation().search(problem)
    return tuple(step.coefficients for step in schedule.steps)


def classical(problem: Problem, generator: np.random.Generator) -> Rows:
    """The Newton-Schulz step of inner degree 1, (1 + 1/r)x − x^(1+r)/r, for every step; scaled to (0, u].

    For quintics (1.5, −0.5, 0), where the search for one shared step of kexue.fm 10922 begins.
    """
    r = problem.root
    row = [1 + 1 / r, -1 / r]
    first = [c * problem.upper ** -(1 + j * r) for j, c in enumerate(row)]
    padded = []
    for index, degree in enumerate(problem.degrees):
        n = (degree - 1) // r
        padded.append(tuple((first if index == 0 else row) + [0.0] * (n - 1)))
    return tuple(padded)


def random(problem: Problem, generator: np.random.Generator) -> Rows:
    """Best approximations on [λ, 1], λ random for each step, each but the last scaled to stay below 1.

    Every value of (0, u] stays in (0, 1] then up to the last step, whatever is drawn: a random schedule from
    which there is a way.
    """
    rows = []
    for index, degree in enumerate(problem.degrees):
        n = (degree - 1) // problem.root
        low = float(NARROWEST * (0.5 / NARROWEST) ** generator.random())
        upper = problem.upper if index == 0 else 1.0
        found = best_approximation(problem.root, n, low * upper, upper)
        scale = 1.0 if index + 1 == len(problem.degrees) else 1 / (1 + float(found.error))
        rows.append(tuple(scale * c for c in found.coefficients))
    return tuple(rows)


def youjiacheng(problem: Problem, generator: np.random.Generator) -> Rows:
    """(3.5, −6.04444444444, 2.84444444444) for every step, of root 2 and degree 5 or more.

    Where the searches with different steps begin in kexue.fm 10922, which has it from You Jiacheng.
    """
    if problem.root != 2 or min(problem.degrees) < 5:
        raise InputError("start", "youjiacheng is of root 2 and degree 5: take minimax, classical or random")
    row = (3.5, -6.04444444444, 2.84444444444)
    first = tuple(c * problem.upper ** -(1 + 2 * j) for j, c in enumerate(row))
    return tuple(
        (first if index == 0 else row) + (0.0,) * ((degree - 5) // 2)
        for index, degree in enumerate(problem.degrees)
    )


STARTS: dict[str, Callable[[Problem, np.random.Generator], Rows]] = {
    "minimax": minimax,
    "classical": classical,
    "random": random,
    "youjiacheng": youjiacheng,
}
"""Name -> its rows. Beside these, every published schedule and every table can be a start."""


def start_rows(start: str, problem: Problem, generator: np.random.Generator) -> Rows:
    """The rows of a start of STARTS, of a published schedule, or of a table's file or name.

    Rows shorter than the problem's are filled up with zeros. Raises InputError for an unknown name, for a
    table of another root, and where the number of steps or a degree does not fit.
    """
    if start in STARTS:
        return STARTS[start](problem, generator)
    if start in names():
        entry = published(start)
        return fitted(start, entry.root, entry.steps_run(), problem)
    try:
        schedule = load(start).schedule
    except InputError as refusal:
        if refusal.field != start:
            raise
        known = f"{', '.join(STARTS)}, a published schedule, a table's file or its name"
        raise InputError("start", f"{start!r} is not one of {known}; {refusal.problem}") from refusal
    return fitted(start, schedule.root, [step.coefficients for step in schedule.steps], problem)


def degrees_of(start: str) -> tuple[int, ...] | None:
    """Those of a published schedule or a table; None for a start of STARTS, which takes any."""
    if start in STARTS:
        return None
    if start in names():
        entry = published(start)
        return tuple(1 + entry.root * (len(row) - 1) for row in entry.steps_run())
    return load(start).schedule.degrees


def fitted(name: str, root: int, rows: Rows | list[tuple[float, ...]], problem: Problem) -> Rows:
    """The rows, filled up with zeros to the problem's degrees. Raises InputError where they do not fit."""
    if root != problem.root:
        raise InputError("start", f"{name} is of root {root}, and the problem of root {problem.root}")
    if len(rows) != len(problem.degrees):
        raise InputError("start", f"{name} has {len(rows)} steps, and {len(problem.degrees)} are asked for")
    filled = []
    for index, (row, degree) in enumerate(zip(rows, problem.degrees, strict=True), start=1):
        n = (degree - 1) // problem.root
        if len(row) > n + 1:
            raise InputError(
                "start",
                f"step {index} of {name} has degree {1 + (len(row) - 1) * root}, and {degree} is asked for",
            )
        filled.append(tuple(map(float, row)) + (0.0,) * (n + 1 - len(row)))
    return tuple(filled)

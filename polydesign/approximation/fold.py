"""Safety factors in the rows: p(x) becomes p(x/s), its coefficients divided by s, s^(1+r), s^(1+2r), …

Folding the first row alone is dividing the input by s: f(x/s). Folding every row, or every row but the last
as in the listing of Polar Express (arXiv 2505.16932), makes each of these steps serve values s times as
large, and changes f. Which rows hold the factor is what tables that go by one name differ in.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from polydesign.approximation.scalar import Interval, received_step
from polydesign.model import InputError, Schedule, Step, check_number
from polydesign.program.programs import constant_names

ROWS = ("all", "all-but-last", "first")
"""Which rows a factor is folded into."""

_Powers = dict[str, tuple[int, int]]

_FACTORED: _Powers = dict.fromkeys(("rho", "c2", "c1", "c0", "cI"), (0, 1)) | {"scale": (1, 0)}

POWERS: dict[tuple[str, int], _Powers] = {
    **{("chebyshev", n): {f"t{j}": (0, 1) for j in range(n + 1)} | {"scale": (1, 0)} for n in range(1, 7)},
    ("chebyshev", 8): _FACTORED,
    ("origin", 3): {"w": (-1, 0), "p1": (3, 1), "k2": (2, 1), "k1": (1, 1), "c": (0, 1)},
    ("origin", 4): {"w": (-1, 0), "p2": (4, 1), "p1": (3, 1), "k2": (2, 1), "k1": (1, 1), "c": (0, 1)},
    **{
        ("origin", n): {"w": (-1, 0), "r2": (-1, 0), "r1": (-2, 0), "p3": (6, 1), "p2": (5, 1), "p1": (4, 1)}
        | {"k3": (3, 1), "k2": (2, 1), "k1": (1, 1), "c": (0, 1)}
        for n in (5, 6)
    },
    ("origin", 8): {"w": (-1, 0), "alpha": (-1, 0), "beta": (-2, 0), "gamma": (-3, 0)}
    | {"a1": (-2, 0), "a2": (-3, 0), "b1": (-2, 0), "b2": (-3, 0)}
    | {"rho": (8, 1), "c2": (4, 1), "c1": (2, 1), "c0": (1, 1), "c": (0, 1)},
    ("balanced", 4): {"s2": (2, 0), "s1": (1, 0), "p2": (0, 1), "p1": (1, 1), "p0": (0, 1)}
    | {"k": (1, 1), "c": (0, 1)},
    ("balanced", 8): {"s2": (2, 0), "s1": (1, 0), "alpha": (1, 0), "rho": (0, 1), "a2": (1, 0), "b2": (1, 0)}
    | {"k": (1, 1), "c": (0, 1)},
}
"""(evaluation, inner degree) -> constant -> (a, o): folding s divides it by s^(a·r + o); others stay.

A becomes A/s^r in the program (see program/programs.py for what the constants do), and q is divided by s.
Registers of `origin` hold no weight on their highest power, so there the lower ones are multiplied.
"""


def fold(schedule: Schedule, factor: Any, which: str = "all") -> Schedule:
    """The schedule whose steps named by `which` are p(x/factor): coefficients c_j/factor^(1 + j·r).

    factor: > 0, a float or a Fraction; 1.01 makes room for 1 % above u. which: one of ROWS. The interval
    stays; domains are what each step then receives, and the error is that of the new map. Steps that run a
    program keep it: the constants are scaled, and rounded once.

    Raises InputError for a factor that is no positive number, that takes a coefficient out of float64, or
    with which values run away.
    """
    factor = _checked(factor)
    last = len(schedule.steps) - 1
    if which not in ROWS:
        raise InputError("which", f"{which!r} is not one of {', '.join(ROWS)}")
    if which == "all-but-last" and last == 0:
        raise InputError("which", "all-but-last of one step are none: take all")
    chosen = {"all": range(last + 1), "all-but-last": range(last), "first": range(1)}[which]
    steps: list[Step] = []
    received: Interval = schedule.interval
    for index, step in enumerate(schedule.steps):
        scale = factor if index in chosen else Fraction(1)
        try:
            program = _folded_program(step, scale)
            row = [float(Fraction(c) / scale ** (1 + j * step.root)) for j, c in enumerate(step.coefficients)]
        except OverflowError:
            row, program = [math.inf], ()
        if not _in_float64((*row, *program), (*step.coefficients, *step.program)):
            raise InputError("factor", f"{float(factor):g} takes step {index + 1} out of float64")
        try:
            found, received = received_step(schedule.root, row, step.evaluation, program, received)
        except InputError as problem:  # an image that is not finite
            raise InputError(
                "factor",
                f"with p(x/{float(factor):g}) in rows {which} values run away in step {index + 1}: take one "
                "that is nearer to 1",
            ) from problem
        steps.append(found)
    return Schedule(schedule.root, schedule.interval, tuple(steps))


def unfold(schedule: Schedule, factor: Any, which: str = "all") -> Schedule:
    """The schedule that `fold` with this factor made this one from, to rounding: steps p(x·factor)."""
    return fold(schedule, 1 / _checked(factor), which)


def _checked(factor: Any) -> Fraction:
    if not isinstance(factor, Fraction):
        check_number("factor", factor)
    if factor <= 0:
        raise InputError("factor", f"must be greater than 0, as 1.01, and is {factor!r}")
    return Fraction(factor)


def _in_float64(new: tuple[float, ...], old: tuple[float, ...]) -> bool:
    """Whether all of them are finite, and none became zero."""
    return all(map(math.isfinite, new)) and all(n or not o for n, o in zip(new, old, strict=True))


def _folded_program(step: Step, factor: Fraction) -> tuple[float, ...]:
    if not step.program:
        return ()
    powers = POWERS[step.evaluation, step.inner_degree]
    numbers = []
    for name, c in zip(constant_names(step.evaluation, step.inner_degree), step.program, strict=True):
        of_a, of_output = powers.get(name, (0, 0))
        numbers.append(float(Fraction(c) / factor ** (of_a * step.root + of_output)))
    return tuple(numbers)

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
from polydesign.model import InputError, Schedule, Step, check_choice, check_number
from polydesign.model.program import Combination, Line, Program, monomial

ROWS = ("all", "all-but-last", "first")
"""Which rows a factor is folded into."""


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
    check_choice("which", which, ROWS)
    if which == "all-but-last" and last == 0:
        raise InputError("which", "all-but-last of one step are none: take all")
    chosen = {"all": range(last + 1), "all-but-last": range(last), "first": range(1)}[which]
    steps: list[Step] = []
    received: Interval = schedule.interval
    for index, step in enumerate(schedule.steps):
        scale = factor if index in chosen else Fraction(1)
        try:
            code = folded(step, scale)
        except OverflowError as problem:
            raise InputError(
                "factor", f"{float(factor):g} takes step {index + 1} out of float64"
            ) from problem
        try:
            found, received = received_step(schedule.root, code, step.evaluation, received)
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
        factor = check_number("factor", factor)
    if factor <= 0:
        raise InputError("factor", f"must be greater than 0, as 1.01, and is {factor!r}")
    return Fraction(factor)


def folded(step: Step, factor: Fraction) -> Program:
    """The step's program for p(x/s): q(A/σ)/s with σ = s^r, of as many roundings as before.

    A factor enters where a register is multiplied by a constant anyway: a register that is made of whole
    numbers alone, as A·A, then stands for so many times what it was, and whatever reads it has a constant
    smaller by that. Raises OverflowError where a constant leaves float64.
    """
    sigma = factor**step.root
    if step.evaluation == "monomial":
        row = [Fraction(c) / (factor * sigma**j) for j, c in enumerate(step.coefficients)]
        return monomial([_float(new, old) for new, old in zip(row, step.coefficients, strict=True)])
    code = step.program
    scales = _scales(code, sigma, 1 / factor)

    def weighed(terms: Combination, scale: Fraction) -> Combination:
        return tuple((r, _times(w, scale / scales[r])) for r, w in terms)

    lines = []
    for line, scale in zip(code.lines, scales[2:], strict=True):
        left, right = _own_scale(line.left, scales), _own_scale(line.right, scales)
        if isinstance(line.weight, int):
            # A factor that is a sum of constants takes what is left of the scale.
            left = scale / (right or 1) if left is None else left
            right = scale / left if right is None else right
        left, right = left or Fraction(1), right or Fraction(1)
        weight = _times(line.weight, scale / (left * right)) if line.left else 1
        factors = weighed(line.left, left), weighed(line.right, right)
        lines.append(Line(weighed(line.plus, scale), *factors, weight))
    register, weight = code.result
    result = register, _times(weight, 1 / (factor * scales[register]))
    return Program(tuple(lines), result, _times(code.constant, 1 / factor))


def _scales(code: Program, sigma: Fraction, last: Fraction) -> list[Fraction]:
    """By what every register is multiplied; `last` for the result's, if it has a constant to put it in."""
    scales = [Fraction(1), sigma]
    for line in code.lines:
        left, right = _own_scale(line.left, scales), _own_scale(line.right, scales)
        fixed = _own_scale(line.plus, scales)
        if isinstance(line.weight, int) and left is not None and right is not None:
            fixed = left * right
        is_result = len(scales) == code.result[0] and isinstance(code.result[1], int)
        scales.append(fixed or (last if is_result else Fraction(1)))
    return scales


def _own_scale(terms: Combination, scales: list[Fraction]) -> Fraction | None:
    """That of the register which a sum holds a whole number of times; None where it holds constants alone."""
    return next((scales[r] for r, w in terms if isinstance(w, int)), None)


def _times(weight: Any, scale: Fraction) -> Any:
    """A constant times the scale. A whole number stays where the scale is 1."""
    return weight if scale == 1 else _float(Fraction(weight) * scale, weight)


def _float(new: Fraction, old: float) -> float:
    found = float(new)
    if not math.isfinite(found) or (old and not found):
        raise OverflowError
    return found

"""Equioscillation: every step is the best approximation on what the step before it left.

A best step maps [l, u] onto [1 − E, 1 + E], where E depends on l/u alone and falls as l/u rises. So
taking the best step each time gives the best composition for the given degrees (Amsel et al.,
arXiv 2505.16932, theorem 3.1, for r = 2; the argument holds for every r), and every prefix of it is
optimal too. Headroom, cushion and image floor depart from that optimum on purpose, so that the schedule
survives the rounding of the precision it runs in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

import mpmath

from polydesign.approximation.remez import best_approximation
from polydesign.approximation.scalar import exactly, half_width, image
from polydesign.model import (
    EVALUATIONS,
    MOST_HEADROOM,
    MOST_STEPS,
    InputError,
    PerStep,
    Problem,
    Schedule,
    Step,
    check_choice,
    check_integer,
    check_number,
)
from polydesign.program.basis import expanded, program_constants
from polydesign.program.programs import build
from polydesign.search import pace
from polydesign.search.grids import Grid, grid
from polydesign.search.quantize import on_grid

SMALLEST_FLOAT64 = 5e-324
"""What a half width is rounded up to where it is smaller: 0 would claim too much."""

_CUSHIONS = (0.001, 0.003, 0.01, 0.03)  # of targets for a grid
_NEAR = 0.1  # of 1: there a grid may hold the limit step


@dataclass(frozen=True, slots=True)
class Equioscillation:
    """Greedy composition of best approximations, with room for rounding.

    Args:
        headroom: μ >= 1, one number or one a step: a step is designed on [l, μ·u].
        cushion: λ in [0, 1), one number or one a step: its lower end is raised to max(l, λ·u).
        image_floor: ρ in [0, 1), in place of a cushion: λ is the smallest with which the step maps [λu, μu]
            onto an interval whose lower end is at least ρ times its upper end.
        floor_free_tail: How many of the last steps have no image floor.
        evaluation: How q is computed, one word or one a step.
        round: A grid for the numbers that run (grids.grid), or None.

    After that a step is scaled so that both ends of the image of [l, u] sum to 2, and the next step serves
    exactly that image.

    With λ = 0.02407327424182761, μ = 1 and r = 2 this is Polar Express, whose rule p(l) + p(u) = 2 agrees
    with ours for even inner degree; for odd inner degree p(u) is a trough, and only ours balances the image.

    Raises:
        InputError: A field is out of its range; it names the field.

    Source: Amsel, Persson, Musco, Gower, arXiv 2505.16932, section 4.4.
    """

    headroom: PerStep = 1.0
    cushion: PerStep = 0.0
    image_floor: PerStep | None = None
    floor_free_tail: int = 0
    evaluation: str | tuple[str, ...] = "monomial"
    round: str | None = None

    def __post_init__(self) -> None:
        if self.round is not None:
            object.__setattr__(self, "round", grid(self.round).word)
        for number in _listed(self.headroom):
            check_number("headroom", number)
            if not 1 <= number <= MOST_HEADROOM:
                raise InputError(
                    "headroom", f"must lie from 1 (none) to {MOST_HEADROOM:g}, and is {number!r}"
                )
        for name in ("cushion", "image_floor"):
            for number in _listed(getattr(self, name)):
                check_number(name, number)
                if not 0 <= number < 1:
                    raise InputError(name, f"must lie in [0, 1), not {number!r}")
        for word in (self.evaluation,) if isinstance(self.evaluation, str) else self.evaluation:
            check_choice("evaluation", word, EVALUATIONS)
        object.__setattr__(self, "floor_free_tail", check_integer("floor_free_tail", self.floor_free_tail, 0))
        if self.image_floor is not None and any(_listed(self.cushion)):
            raise InputError("cushion", "give a cushion or an image floor, not both")

    def search(self, problem: Problem) -> Schedule:
        """The schedule for the problem's degrees, or the shortest that reaches the problem's error.

        Raises InputError where the error is out of reach (headroom leaves a floor), naming the best, and
        ConvergenceError from the solver.
        """
        if problem.error is None:
            return self._compose(problem, problem.degrees)
        for name in ("headroom", "cushion", "image_floor"):
            if isinstance(getattr(self, name), tuple):
                raise InputError(
                    name,
                    "one value a step needs a number of steps: give one value, or steps in place of error",
                )
        schedule = self._compose(problem, problem.degrees)
        while schedule.error > problem.error:
            longer = self._compose(problem, problem.degrees * (len(schedule.steps) + 1))
            stalled = longer.error > 0.999 * schedule.error and longer.error < 0.5
            if stalled or len(longer.steps) == MOST_STEPS:
                raise InputError(
                    "error",
                    f"{problem.error!r} is out of reach: {len(schedule.steps)} steps of degree "
                    f"{problem.degrees[0]} reach {schedule.error:.3g}, and more steps gain nothing: "
                    "float64 coefficients, and headroom or rounding more so, leave a floor",
                )
            schedule = longer
        return schedule

    def _compose(self, problem: Problem, degrees: tuple[int, ...]) -> Schedule:
        count = len(degrees)
        evaluations = (self.evaluation,) * count if isinstance(self.evaluation, str) else self.evaluation
        if len(evaluations) != count:
            raise InputError(
                "evaluation", f"has {len(evaluations)} words for {count} steps: give one, or one a step"
            )
        headroom = per_step("headroom", self.headroom, count)
        cushions = per_step("cushion", self.cushion, count)
        floors = per_step("image_floor", self.image_floor or 0.0, count)
        floors[max(0, count - self.floor_free_tail) :] = [0.0] * min(count, self.floor_free_tail)
        where = grid(self.round) if self.round else None
        settings = []
        for degree, room, cushion, floor, evaluation in zip(
            degrees, headroom, cushions, floors, evaluations, strict=True
        ):
            n = (degree - 1) // problem.root
            if floor:
                cushion = cushion_for_floor(problem.root, n, floor, room)
            settings.append((n, room, cushion, evaluation))
        if where is None:
            return _composed(problem, settings, None, count)
        found = _composed(problem, settings, where, count)
        # A step may leave a better ratio of its ends or ends closer to 1. Which is worth more shows later.
        first = next((t for t, step in enumerate(found.steps) if step.half_width < _NEAR), count)
        others = [
            _composed(problem, settings, where, t) for t in range(max(0, first - 2), min(first + 2, count))
        ]
        return min([found, *others], key=lambda schedule: schedule.steps[-1].half_width)


def _composed(problem: Problem, settings: Sequence[Any], where: Grid | None, centred: int) -> Schedule:
    """Step by step. centred: from which step on the image shall lie close to 1, and not its ends together."""
    received = (exactly(problem.lower), exactly(problem.upper))
    steps: list[Step] = []
    for t, (n, room, cushion, evaluation) in enumerate(settings):
        pace.check()
        last = t >= centred or t == len(settings) - 1
        step, received = design_step(
            problem.root, n, received, room, cushion, evaluation, where=where, last=last
        )
        steps.append(step)
    return Schedule(problem.root, (problem.lower, problem.upper), tuple(steps))


def _listed(value: PerStep | None) -> tuple[float, ...]:
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def per_step(name: str, value: float | Sequence[float], count: int) -> list[float]:
    """One number a step: a single one repeated, or a list of exactly `count`."""
    if not isinstance(value, Sequence):
        return [float(value)] * count
    if len(value) == 1:
        return [float(value[0])] * count
    if len(value) != count:
        raise InputError(name, f"has {len(value)} values for {count} steps: give one, or one a step")
    return [float(v) for v in value]


@lru_cache(maxsize=4096)  # a search tries many last steps behind the same first ones
def design_step(
    root: int,
    inner_degree: int,
    received: tuple[Any, Any],
    headroom: float,
    cushion: float,
    evaluation: str = "monomial",
    *,
    where: Grid | None = None,
    last: bool = True,
) -> tuple[Step, tuple[Any, Any]]:
    """One step for what it receives, [l, u], and the exact image of [l, u] under its float64 constants.

    The best approximation on [max(l, λu), μu], scaled so that the ends of the image of [l, u] sum to 2.
    `received` has mpmath ends; so has the image, which says how far 1 ± E is from 1 beyond float64.
    where: the grid that the constants are put on (quantize.on_grid); last: no step follows.
    """
    low, high = received
    if low <= 0:
        raise InputError(
            "lower",
            "is too small for so high a degree: rounding the coefficients of the step before takes its "
            "smallest values to zero: give image_floor 0.1, lower degrees, or a larger lower end",
        )
    top = high * exactly(headroom)
    bottom = max(low, high * exactly(cushion))
    found = best_approximation(root, inner_degree, bottom, top)
    coefficients = found.coefficients
    if headroom != 1 or bottom != low:
        coefficients = _balanced(coefficients, root, received)
    mapped = image(coefficients, root, received)
    targets = [coefficients]
    near = half_width(received) < _NEAR
    if found.limit or (where is not None and near):
        # Rounding the scaled limit costs 1e-16, and the limit about 1 itself may cost far less.
        plain = best_approximation(root, inner_degree, 1.0, 1.0).coefficients
        targets.append(plain)
        image_of_plain = image(plain, root, received)
        if found.limit and half_width(image_of_plain) < half_width(mapped):
            coefficients, mapped = plain, image_of_plain
    if where is None:
        numbers = program_constants(evaluation, coefficients, Fraction(float(top)) ** root)
    else:
        # A coarse grid needs a target whose trough lies farther from 0 than the grid moves it.
        raised = (top * cushion for cushion in _CUSHIONS if top * cushion > bottom)
        targets += [best_approximation(root, inner_degree, low_end, top).coefficients for low_end in raised]
        # Near 1 every step is judged as if it were the last: the limit step about 1 is on many grids, and
        # that about 1.001 is on none.
        rest = (received, headroom, cushion, evaluation)

        def lower() -> Sequence[Any] | None:
            """The coefficients of the rounded step of the next lower degree that there is."""
            for n in range(inner_degree - 1, 0, -1):
                try:
                    return expanded(design_step(root, n, *rest, where=where, last=last)[0].program)
                except InputError:
                    continue
            return None

        numbers = on_grid(
            where, root, evaluation, targets, (bottom, top), low, last=last or near, lower=lower
        )
    code = build(evaluation, inner_degree, numbers)
    if where is not None or evaluation != "monomial":
        exact = expanded(code)
        coefficients, mapped = tuple(map(float, exact)), image(exact, root, received)
    step = Step(
        degree=1 + inner_degree * root,
        coefficients=coefficients,
        domain=(float(low), float(top)),
        image=(float(mapped[0]), float(mapped[1])),
        half_width=max(float(half_width(mapped)), SMALLEST_FLOAT64),
        evaluation=evaluation,
        program=code,
    )
    return step, mapped


def _balanced(coefficients: tuple[float, ...], root: int, received: tuple[Any, Any]) -> tuple[float, ...]:
    """The coefficients scaled so that both ends of the image of what is received sum to 2."""
    smallest, largest = image(coefficients, root, received)
    scale = 2 / (smallest + largest)
    return tuple(float(exactly(c) * scale) for c in coefficients)


@cache
def cushion_for_floor(root: int, inner_degree: int, floor: float, headroom: float) -> float:
    """The smallest λ, to twelve digits, with which the best step's image has lower/upper >= floor.

    The image of its own domain [λ, μ] is [1 − E, 1 + E], so this asks for E = (1 − ρ)/(1 + ρ). E depends on
    λ/μ alone and falls as that rises; found by bracketing in ln(λ/μ). For quintics ρ = 0.1 and μ = 1 give
    Polar Express's λ = 0.0240733 (arXiv 2505.16932, code).
    """
    wanted = (1 - floor) / (1 + floor)

    def excess(log_ratio: Any) -> float:
        ratio = float(mpmath.exp(log_ratio))
        return float(best_approximation(root, inner_degree, ratio, 1.0).error) - wanted

    narrow, wide = -1e-3, -1.0
    while excess(wide) < 0:
        narrow, wide = wide, 2 * wide
    log_ratio = mpmath.findroot(excess, (wide, narrow), solver="anderson", tol=1e-13, verify=False)
    # Twelve digits, so that every machine designs with the same number.
    return float(f"{float(mpmath.exp(log_ratio)) * headroom:.12g}")

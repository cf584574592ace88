"""Problem, Step and Schedule: what is asked for, and the polynomials that answer it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any

import polydesign
from polydesign.model.checks import (
    LEAST_RATIO,
    MOST_HEADROOM,
    MOST_INNER_DEGREE,
    MOST_ROOT,
    MOST_STEPS,
    InputError,
    check_degree,
    check_integer,
    check_interval,
    check_number,
)
from polydesign.model.program import A, Program, check_program, monomial
from polydesign.model.quoting import quoted


def evaluate(coefficients: Any, root: int, x: Any) -> Any:
    """p(x) = x·q(x^r), q(y) = Σ c_j y^j, by Horner's rule.

    For floats, numpy arrays, mpmath numbers and Fractions alike; computed in the arithmetic of x.
    """
    return x * horner(coefficients, x**root)


def horner(coefficients: Any, y: Any) -> Any:
    """Σ c_j yʲ, in the arithmetic of y."""
    q = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        q = c + y * q
    return q


@dataclass(frozen=True, slots=True)
class Problem:
    """What is asked for: steps of these degrees, or an error, on an interval.

    Args:
        root: r >= 1: 2 for signs, 1 for inverses, 4 for P^(-1/4).
        degrees: One a step, each 1 + n·r. With `error` a single one, repeated as often as the error needs.
        lower: l > 0, of singular values or of eigenvalues^(1/r), after normalization.
        upper: u > l.
        error: Between 0 and 1, or None: the largest |f(x) − 1| that is allowed on [l, u].

    Raises:
        InputError: A field is out of its range; it names the field.
    """

    root: int
    degrees: tuple[int, ...]
    lower: float
    upper: float = 1.0
    error: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", check_integer("root", self.root, 1))
        if self.root > MOST_ROOT:
            raise InputError("root", f"must be at most {MOST_ROOT}, not {self.root}")
        for name in ("lower", "upper"):
            object.__setattr__(self, name, check_number(name, getattr(self, name)))
            if getattr(self, name) <= 0:
                raise InputError(name, f"must be greater than 0, not {getattr(self, name)!r}")
        if self.lower >= self.upper:
            raise InputError("lower", f"must lie below upper = {self.upper!r}, and is {self.lower!r}")
        if self.lower < LEAST_RATIO * self.upper:
            raise InputError("lower", f"must be at least {LEAST_RATIO:g} times upper, and is {self.lower!r}")
        if not 1 <= len(self.degrees) <= MOST_STEPS:
            raise InputError("steps", f"must be from 1 to {MOST_STEPS}, not {len(self.degrees)}")
        degrees = tuple(check_degree("degree", degree, self.root) for degree in self.degrees)
        object.__setattr__(self, "degrees", degrees)
        if self.error is not None:
            object.__setattr__(self, "error", check_number("error", self.error))
            if not 0 < self.error < 1:
                raise InputError("error", f"must lie between 0 and 1, not {self.error!r}")
            if len(self.degrees) != 1:
                raise InputError("error", "finds the number of steps itself: give one degree, and no steps")


_POWERS = Program((), (A, 1), 0)
"""Stands for the powers of A with a step's own coefficients."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step p(x) = x·q(x^r), q(y) = Σ c_j y^j, with what it serves and what it gives.

    Args:
        degree: 1 + n·r.
        coefficients: Of q, in increasing powers: of the polynomial that the program defines exactly, rounded.
        domain: What the step was designed to serve.
        image: What it maps the previous image onto.
        half_width: max |p − 1| there, a number of its own, because 1 ± E loses an E below 1e-16.
        evaluation: The program's name, for people; monomial is that of powers of A with the coefficients.
        program: What computes q, with the float64 numbers that run; left out, powers of A.

    Raises:
        InputError: The parts do not go together; it names the field.
    """

    degree: int
    coefficients: tuple[float, ...]
    domain: tuple[float, float]
    image: tuple[float, float]
    half_width: float
    evaluation: str = "monomial"
    program: Program = _POWERS

    def __post_init__(self) -> None:
        object.__setattr__(self, "degree", check_integer("degree", self.degree, 2))
        if len(self.coefficients) < 2:
            raise InputError("coefficients", "a step has at least two")
        numbers = (check_number(f"coefficients[{index}]", c) for index, c in enumerate(self.coefficients))
        object.__setattr__(self, "coefficients", tuple(map(float, numbers)))
        if (self.degree - 1) % self.inner_degree:
            raise InputError(
                "degree",
                f"{self.degree} does not go with {len(self.coefficients)} coefficients: "
                f"a degree is 1 + {self.inner_degree}·root",
            )
        for name in ("domain", "image"):
            object.__setattr__(self, name, check_interval(name, getattr(self, name), positive=False))
        object.__setattr__(self, "half_width", check_number("half_width", self.half_width))
        if self.half_width < 0:
            raise InputError("half_width", f"must not be negative, and is {self.half_width!r}")
        if not re.fullmatch(r"[\w-]{1,40}", self.evaluation):
            raise InputError(
                "evaluation", f"{quoted(self.evaluation)} is no name of letters, digits, _ and -"
            )
        powers = monomial(self.coefficients)
        given = self.program is not _POWERS and self.program != powers
        if given:
            check_program(self.program)
        if given == (self.evaluation == "monomial"):
            raise InputError(
                "evaluation",
                "monomial is the name of powers of A with the coefficients, and of nothing else",
            )
        object.__setattr__(self, "program", self._of_floats() if given else powers)

    def _of_floats(self) -> Program:
        """The program with constants of float64: other languages write 2.0 as 2, and c never is whole."""
        code = replace(self.program, constant=float(self.program.constant))
        code = code.with_constants(list(map(float, code.constants)))
        if code.degree != self.inner_degree:
            raise InputError(
                "program", f"has degree {code.degree} in A, and the step's q has {self.inner_degree}"
            )
        return code

    @property
    def inner_degree(self) -> int:
        """n, the degree of q."""
        return len(self.coefficients) - 1

    @property
    def root(self) -> int:
        """r = (degree − 1) / n."""
        return (self.degree - 1) // self.inner_degree

    @property
    def long(self) -> bool:
        """Whether the coefficients only describe it: n > MOST_INNER_DEGREE, and its program is what is run.

        Powers of A cancel: with inner degree 64 the coefficients reach 1e44 where q is of order 1, so that
        rounded to float64 they are those of another polynomial.
        """
        return self.inner_degree > MOST_INNER_DEGREE and self.evaluation != "monomial"

    def inner(self, y: Any) -> Any:
        """q(y), in the arithmetic of y: by its coefficients, or by the program of a long step."""
        return self.program(y) if self.long else horner(self.coefficients, y)

    def __call__(self, x: Any) -> Any:
        """p(x), in the arithmetic of x."""
        return x * self.inner(x**self.root)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Ordered steps of one root; their composition is f.

    Args:
        root: r, that of all steps.
        interval: [l, u] of singular values, or of eigenvalues^(1/r), that f is for.
        steps: In the order in which they run; at least one.

    Raises:
        InputError: A step has another root; it names the step.
    """

    root: int
    interval: tuple[float, float]
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", check_integer("root", self.root, 1))
        object.__setattr__(self, "interval", check_interval("interval", self.interval, positive=True))
        if not self.steps:
            raise InputError("steps", "a schedule needs at least one step")
        for index, step in enumerate(self.steps):
            if step.root != self.root:
                raise InputError(
                    f"steps[{index}].degree",
                    f"{step.degree} with {len(step.coefficients)} coefficients belongs to root {step.root}, "
                    f"and the schedule has root {self.root}",
                )

    def __call__(self, x: Any) -> Any:
        """f(x) = p_T(… p_1(x)), for whatever a step takes."""
        for step in self.steps:
            x = step(x)
        return x

    @property
    def degrees(self) -> tuple[int, ...]:
        return tuple(step.degree for step in self.steps)

    @property
    def rows(self) -> tuple[tuple[float, ...], ...]:
        """The coefficients of every step's q, rounded."""
        return tuple(step.coefficients for step in self.steps)

    @property
    def error(self) -> float:
        """max |f − 1| on the interval, as the last step states it."""
        return self.steps[-1].half_width

    def __repr__(self) -> str:
        return polydesign.sheet_of(self).text()

    def _repr_html_(self) -> str:
        return polydesign.sheet_of(self).html()

    def promise(self, power: int = 1) -> float:
        """(1 + E)ˢ − 1, the largest |f(x)ˢ − 1| that an error of E leaves; s = power."""
        return self.error if power == 1 else math.expm1(power * math.log1p(self.error))

    def check_chain(self, headroom: Any = MOST_HEADROOM) -> None:
        """Refuse a schedule in which a step was not designed for what it receives.

        headroom: the most that an upper end of a domain may have, one number or one a step.

        Raises InputError naming the first domain that does not contain the image before it. Tables that
        we generate must pass; a published table need not.
        """
        received = self.interval
        rooms = headroom if isinstance(headroom, (list, tuple)) else [headroom] * len(self.steps)
        for index, (step, room) in enumerate(zip(self.steps, rooms, strict=True)):
            if step.domain[0] <= 0:
                raise InputError(f"steps[{index}].domain[0]", f"must be positive, not {step.domain[0]!r}")
            if step.domain[0] > received[0] or step.domain[1] < received[1]:
                what = "the interval" if index == 0 else f"the image of step {index}"
                raise InputError(
                    f"steps[{index}].domain",
                    f"[{step.domain[0]!r}, {step.domain[1]!r}] does not contain {what}, "
                    f"[{received[0]!r}, {received[1]!r}]",
                )
            if step.domain[0] < received[0] or step.domain[1] > room * received[1] * (1 + 1e-9):
                raise InputError(
                    f"steps[{index}].domain",
                    f"[{step.domain[0]!r}, {step.domain[1]!r}] is wider than what the step receives, "
                    f"[{received[0]!r}, {received[1]!r}], times the headroom",
                )
            received = step.image

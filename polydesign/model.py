"""The words of the product as frozen dataclasses, checked when they are made.

Layer 0: imports nothing of the package and no heavy library. Every refusal is an `InputError` that
names the field and says what to write instead.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any

DTYPES = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "float32": "fp32",
    "float64": "fp64",
}
"""Precisions, named as in torch, with their short names."""

LEAST_RATIO = 1e-12  # of lower to upper
MOST_HEADROOM = 2.0
MOST_INNER_DEGREE = 12
MOST_ROOT = 1000
MOST_STEPS = 200

NORMALIZATIONS = ("frobenius", "schatten4", "schatten8", "power", "aol", "none")
"""What x₀ is divided by, an upper bound of the spectral norm; runtime/normalize.py has the formulas."""

EVALUATIONS = ("monomial", "chebyshev", "origin", "balanced")
FORMS = ("direct", "gram")
METHODS = ("equioscillation", "adam", "budget", "clip")
"""What design can search with; a table's provenance names it as its strategy."""


class InputError(ValueError):
    """Bad input: `field` is where (a parameter, or a JSON path such as $.steps[2].degree)."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class ClaimError(InputError):
    """What a table states of itself does not follow from its coefficients; `field` names the claim."""


def dtype_name(dtype: Any, field: str = "dtype") -> str:
    """The torch name of a precision: "bf16", "bfloat16" and torch.bfloat16 all give "bfloat16"."""
    name = str(dtype).removeprefix("torch.")
    for full, short in DTYPES.items():
        if name in (full, short):
            return full
    raise InputError(field, f"{name} is not one of {', '.join(DTYPES)} (or {', '.join(DTYPES.values())})")


def check_integer(field: str, value: Any, least: int) -> None:
    """Refuse what is not an int of at least `least` (bool is not an int here)."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(field, f"must be a whole number of at least {least}, not {value!r}")


def check_number(field: str, value: Any) -> None:
    """Refuse what is not a finite int or float."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise InputError(field, f"must be a finite number, not {value!r}")


def check_degree(field: str, degree: Any, root: int) -> None:
    """Refuse a degree that is not 1 + n·root with n >= 1; the message names the nearest that are."""
    check_integer(field, degree, 1)
    if degree > 1 + MOST_INNER_DEGREE * root:
        raise InputError(
            field, f"must be at most {1 + MOST_INNER_DEGREE * root} for root {root}, not {degree}"
        )
    if degree < 1 + root or (degree - 1) % root:
        inner = max(1, (degree - 1) // root)
        near = f"{1 + inner * root} and {1 + (inner + 1) * root}"
        raise InputError(
            field, f"a step of root {root} has degree 1 + n·{root}, and {degree} is not; nearest: {near}"
        )


def check_normalization(normalization: Any, root: int = 2) -> None:
    """Refuse an unknown normalization, and aol for roots, which it would change."""
    if normalization not in NORMALIZATIONS:
        known = ", ".join(NORMALIZATIONS)
        raise InputError("normalization", f"{normalization!r} is not one of {known}")
    if normalization == "aol" and root != 2:
        raise InputError(
            "normalization",
            f"aol rescales each row by its own factor, and a root of the result is not the root of P: "
            f"take frobenius, schatten4, schatten8 or power for root {root}",
        )


def _check_interval(field: str, interval: Any, *, positive: bool) -> None:
    if not isinstance(interval, tuple) or len(interval) != 2:
        raise InputError(field, f"must be a pair (low, high), not {interval!r}")
    for index, end in enumerate(interval):
        check_number(f"{field}[{index}]", end)
    low, high = interval
    if positive and low <= 0:
        raise InputError(f"{field}[0]", f"must be greater than 0, not {low!r}")
    if low > high:
        raise InputError(field, f"its lower end {low!r} lies above its upper end {high!r}")


def evaluate(coefficients: Any, root: int, x: Any) -> Any:
    """p(x) = x·q(x^r), q(y) = Σ c_j y^j, by Horner's rule.

    For floats, numpy arrays, mpmath numbers and Fractions alike; computed in the arithmetic of x.
    """
    y = x**root
    q = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        q = c + y * q
    return x * q


@dataclass(frozen=True, slots=True)
class Problem:
    """What is asked for: steps of these degrees (or an error) on [lower, upper].

    Parameters: root r >= 1; 0 < lower < upper; degrees, one a step, each 1 + n·r. With `error`, the
    single entry of degrees is repeated as often as the error needs.
    """

    root: int
    degrees: tuple[int, ...]
    lower: float
    upper: float = 1.0
    error: float | None = None

    def __post_init__(self) -> None:
        check_integer("root", self.root, 1)
        if self.root > MOST_ROOT:
            raise InputError("root", f"must be at most {MOST_ROOT}, not {self.root}")
        for name in ("lower", "upper"):
            check_number(name, getattr(self, name))
            if getattr(self, name) <= 0:
                raise InputError(name, f"must be greater than 0, not {getattr(self, name)!r}")
        if self.lower >= self.upper:
            raise InputError("lower", f"must lie below upper = {self.upper!r}, and is {self.lower!r}")
        if self.lower < LEAST_RATIO * self.upper:
            raise InputError("lower", f"must be at least {LEAST_RATIO:g} times upper, and is {self.lower!r}")
        if not 1 <= len(self.degrees) <= MOST_STEPS:
            raise InputError("steps", f"must be from 1 to {MOST_STEPS}, not {len(self.degrees)}")
        for degree in self.degrees:
            check_degree("degree", degree, self.root)
        if self.error is not None:
            check_number("error", self.error)
            if not 0 < self.error < 1:
                raise InputError("error", f"must lie between 0 and 1, not {self.error!r}")
            if len(self.degrees) != 1:
                raise InputError("error", "finds the number of steps itself: give one degree, and no steps")


@dataclass(frozen=True, slots=True)
class Step:
    """One step p(x) = x·q(x^r), q(y) = Σ c_j y^j, with what it serves and what it gives.

    coefficients: of q, in increasing powers, the float64 numbers that run. domain: what the step was
    designed to serve. image: what it maps the previous image onto. half_width: max |p − 1| there, as a
    number of its own, because 1 ± E loses an E below 1e-16. evaluation: how q is computed. program: where
    that is not monomial, the constants that run (evaluation/program.py names them); image and half_width are
    then of the polynomial that those define exactly, and the coefficients are its own, rounded to float64.
    """

    degree: int
    coefficients: tuple[float, ...]
    domain: tuple[float, float]
    image: tuple[float, float]
    half_width: float
    evaluation: str = "monomial"
    program: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_integer("degree", self.degree, 2)
        if len(self.coefficients) < 2:
            raise InputError("coefficients", "a step has at least two")
        for index, c in enumerate(self.coefficients):
            check_number(f"coefficients[{index}]", c)
        if (self.degree - 1) % self.inner_degree:
            raise InputError(
                "degree",
                f"{self.degree} does not go with {len(self.coefficients)} coefficients: "
                f"a degree is 1 + {self.inner_degree}·root",
            )
        _check_interval("domain", self.domain, positive=False)
        _check_interval("image", self.image, positive=False)
        check_number("half_width", self.half_width)
        if self.half_width < 0:
            raise InputError("half_width", f"must not be negative, and is {self.half_width!r}")
        if self.evaluation not in EVALUATIONS:
            raise InputError("evaluation", f"{self.evaluation!r} is not one of {', '.join(EVALUATIONS)}")
        if bool(self.program) != (self.evaluation != "monomial"):
            raise InputError("program", "holds the constants of an evaluation that is not monomial")
        for index, c in enumerate(self.program):
            check_number(f"program[{index}]", c)

    @property
    def inner_degree(self) -> int:
        """n, the degree of q."""
        return len(self.coefficients) - 1

    @property
    def root(self) -> int:
        """r = (degree − 1) / n."""
        return (self.degree - 1) // self.inner_degree

    def __call__(self, x: Any) -> Any:
        """p(x), in the arithmetic of x (see evaluate)."""
        return evaluate(self.coefficients, self.root, x)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Ordered steps of one root r for singular values (or eigenvalues^(1/r)) in `interval` = [l, u]."""

    root: int
    interval: tuple[float, float]
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        check_integer("root", self.root, 1)
        _check_interval("interval", self.interval, positive=True)
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
    def error(self) -> float:
        """max |f − 1| on the interval, as the last step states it."""
        return self.steps[-1].half_width

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


def _check_bracket(field: str, bracket: tuple[str, str]) -> None:
    ends = []
    for index, end in enumerate(bracket):
        if not isinstance(end, str) or not re.fullmatch(
            r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?", end, re.ASCII
        ):
            raise InputError(f"{field}[{index}]", f"must be a decimal number of at least 0, not {end!r}")
        ends.append(Decimal(end))
    if len(ends) != 2 or ends[0] > ends[1]:
        raise InputError(field, f"{list(bracket)} is not a bracket: low and high, low <= high")


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is known of a schedule's error, and how.

    kind "sampled": `error` is [largest |f − 1| found on `samples` points, the solver's value]; no proof.
    kind "proved": `error`, `optimum`, `safe_edge` and `basin_edge` are rigorous brackets, as decimals; see
    approximation/certificate.py, which alone makes them. digest: of the schedule.
    """

    kind: str
    error: tuple[str, str]
    digest: str
    samples: int | None = None
    optimum: tuple[str, str] | None = None
    safe_edge: tuple[str, str] | None = None
    basin_edge: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("sampled", "proved"):
            raise InputError("kind", f"{self.kind!r} is not one of sampled, proved")
        if (self.samples is None) != (self.kind == "proved"):
            raise InputError(
                "samples", "a sampled certificate says on how many points, a proved one does not"
            )
        if self.samples is not None:
            check_integer("samples", self.samples, 2)
        if (self.optimum is None) != (self.kind == "sampled"):
            raise InputError("optimum", "a proved certificate has it, a sampled one does not")
        for name in ("error", "optimum", "safe_edge", "basin_edge"):
            bracket = getattr(self, name)
            if bracket is not None:
                _check_bracket(name, bracket)


@dataclass(frozen=True, slots=True)
class MeasuredMap:
    """What a run made of each singular value: x_i before, f(x_i) predicted, u_iᵀ X v_i measured."""

    x: tuple[float, ...]
    predicted: tuple[float, ...]
    measured: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class AfterStep:
    """The interval of the promised values after a step: what the schedule says, and what was measured, for
    operators with a power s the s-th roots. None where the result was not finite."""

    predicted: tuple[float, float]
    measured: tuple[float, float] | None

    @property
    def worst(self) -> float | None:
        """max |f − 1| measured after this step."""
        return None if self.measured is None else max(abs(end - 1) for end in self.measured)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of a table on one matrix, or on one batch of like matrices.

    worst, rms: of |v − 1| over the promised range, where v are the singular values of msign's result, or,
    for operators on P, the eigenvalues of the result relative to the exact one; below_worst, below_rms: over
    those that began below it; None where there are none, or where the result is not finite. orthogonality:
    ‖X Xᵀ − I‖_F/√n. polar_distance: ‖X − U Vᵀ‖_F/√rank. promised: (1 + error)ˢ − 1; allowed: promised plus
    what the precision explains. holds: worst <= allowed. A zero matrix has count 0; worst is then the largest
    entry of the result, and allowed is 0.

    operator, form, restarts, normalization: how it ran; power: s, the result's values are f(x)ˢ. input_share:
    worst, had everything been exact but for the rounding of the input to dtype; None where that leaves no
    such function. mean_error: mean |X − exact| over the entries. relative_error: ‖X − exact‖_F/‖exact‖_F.
    device_name: what the maker calls it. lower_end: the least singular value, or eigenvalue of P, that the
    table promises for, relative to the largest, after this normalization; the largest of the batch.
    """

    table: str
    digest: str
    dtype: str
    shape: tuple[int, ...]
    spectrum: str
    seed: int | None
    device: str
    promised: float
    allowed: float
    holds: bool
    finite: bool
    count: int
    worst: float | None
    rms: float | None
    below_count: int
    below_worst: float | None
    below_rms: float | None
    orthogonality: float | None
    polar_distance: float | None
    versions: dict[str, str] = field(default_factory=dict)
    map: MeasuredMap | None = None
    operator: str = "msign"
    power: int = 1
    form: str = "direct"
    restarts: tuple[int, ...] = ()
    normalization: str = "frobenius"
    device_name: str | None = None
    input_share: float | None = None
    mean_error: float | None = None
    relative_error: float | None = None
    after_steps: tuple[AfterStep, ...] = ()
    lower_end: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", dtype_name(self.dtype))
        check_integer("power", self.power, 1)
        if len(self.shape) not in (2, 3):
            raise InputError("shape", f"must be (m, n) or (batch, m, n), not {self.shape!r}")
        if self.holds != (self.worst is not None and self.worst <= self.allowed):
            raise InputError("holds", f"is {self.holds}, and worst is {self.worst}, allowed {self.allowed}")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a table comes from: our version, strategy and all its parameters, or a published source."""

    polydesign: str
    strategy: str
    parameters: dict[str, Any]
    seed: int | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        # A file knows lists only: what is written must compare equal to what is read.
        plain = {key: list(v) if isinstance(v, tuple) else v for key, v in self.parameters.items()}
        object.__setattr__(self, "parameters", plain)


@dataclass(frozen=True, slots=True)
class Table:
    """A schedule with everything a reader needs in order to trust it: one JSON file (table.py)."""

    name: str
    schedule: Schedule
    provenance: Provenance
    normalization: str = "frobenius"
    certificate: Certificate | None = None
    measured: tuple[Measurement, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.+-]{1,200}", self.name) or not self.name.strip("."):
            raise InputError(
                "name", f"{self.name!r} cannot name a file: take letters, digits, and . _ + - (at most 200)"
            )
        check_normalization(self.normalization, self.schedule.root)
        if self.provenance.source is None:
            self.schedule.check_chain(self._headroom())

    def _headroom(self) -> Any:
        """What provenance says that domains reach beyond what a step receives, or a limit."""
        stated = self.provenance.parameters.get("headroom", MOST_HEADROOM)
        listed = stated if isinstance(stated, list) else [stated] * len(self.schedule.steps)
        for number in listed:
            check_number("provenance.parameters.headroom", number)
        if len(listed) != len(self.schedule.steps):
            raise InputError("provenance.parameters.headroom", "has not one number a step")
        return listed

    def as_tuples(self) -> list[tuple[float, ...]]:
        """The coefficients as a list of tuples, one a step: the type that every consumer accepts."""
        return [step.coefficients for step in self.schedule.steps]

    def save(self, path: Any, *, force: bool = False) -> None:
        """Write the table as JSON, atomically (see table.save)."""
        from polydesign.table import save

        save(self, path, force=force)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a table is run on matrices.

    dtype: precision of the iterated state; None means the input's own. check: refuse NaN and infinity in
    the input (this looks at the data; turn it off inside a compiled or captured training step, and under
    torch.func.vmap, which compile does not go with). form: of msign; gram takes fewer operations on wide
    matrices (see runtime/execute.py). restarts: of the gram form, the indices from 0 of the steps before
    which it starts again, run as given; None has them chosen for the precision (search/restarts.py), () is
    none. normalization: one of NORMALIZATIONS in place of the table's own, None for the table's. compile: run
    the iteration through torch.compile, which takes seconds at first and then serves every table of the same
    degrees; the checks stay outside. matmuls, error: which of the package's tables runs where none is given:
    the best for so many products, or the cheapest that was measured at this error (runtime/defaults.py).
    """

    dtype: Any = None
    check: bool = True
    form: str = "direct"
    restarts: tuple[int, ...] | None = None
    normalization: str | None = None
    compile: bool = False
    matmuls: int | None = None
    error: float | None = None

    def __post_init__(self) -> None:
        if self.matmuls is not None:
            check_integer("matmuls", self.matmuls, 1)
            if self.error is not None:
                raise InputError("error", "and matmuls are both given: say one of them")
        if self.error is not None:
            check_number("error", self.error)
            if self.error <= 0:
                raise InputError("error", f"must be greater than 0, not {self.error!r}")
        if self.dtype is not None:
            object.__setattr__(self, "dtype", dtype_name(self.dtype))
        if self.normalization is not None:
            check_normalization(self.normalization)
        for name in ("check", "compile"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(name, f"must be True or False, not {getattr(self, name)!r}")
        if self.form not in FORMS:
            raise InputError("form", f"{self.form!r} is not one of {', '.join(FORMS)}")
        if self.restarts is not None:
            if self.form != "gram":
                raise InputError(
                    "restarts", f'are of the gram form, and form is {self.form}: write form="gram"'
                )
            if not isinstance(self.restarts, (tuple, list)):
                raise InputError("restarts", f"must be a tuple such as (2,), not {self.restarts!r}")
            for index, restart in enumerate(self.restarts):
                check_integer(f"restarts[{index}]", restart, 1)
            if any(later <= earlier for earlier, later in pairwise(self.restarts)):
                raise InputError("restarts", f"must increase, and are {list(self.restarts)}")
            object.__setattr__(self, "restarts", tuple(self.restarts))

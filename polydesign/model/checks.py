"""Words that a field may hold, limits, and the checks that name the field and the cure."""

from __future__ import annotations

import math
import numbers
import operator
import sys
from collections.abc import Collection, Hashable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from polydesign.model.precision import PRECISIONS
from polydesign.model.quoting import MOST_QUOTED, not_plain, obeyed, quoted, shortened, visible

DTYPES = {name: one.short for name, one in PRECISIONS.items()}
"""Precisions, named as in torch, with their short names."""

_LARGEST = sys.float_info.max
LEAST_RATIO = 1e-12  # of lower to upper
MOST_HEADROOM = 2.0
MOST_INNER_DEGREE = 12
MOST_LONG_DEGREE = 64  # inner, of a step whose program alone says what it is
"""Of steps that are asked for by their degree, and of rows of coefficients."""

MOST_ROOT = 1000
MOST_STEPS = 200

NORMALIZATIONS = ("frobenius", "schatten4", "schatten8", "power", "aol", "none")
"""What x₀ is divided by, an upper bound of the spectral norm; runtime/normalize.py has the formulas."""

ADAPTIVE = "adaptive"
"""Of a plan alone: frobenius or schatten4, and the table for it, chosen by the matrix."""

EVALUATIONS = ("monomial", "chebyshev", "origin", "balanced")
PerStep = float | tuple[float, ...]
"""One number, or one a step."""

FORMS = ("direct", "gram")
"""How a polar factor may be run; roots and inverses have the coupled form alone."""

PURPOSES = {
    "sign": "the matrix sign and the polar factor, also M(M²)^(−1/2)",
    "root": "P^(−s/r) and P^(1/r) for a root r of 2 or more, in the coupled form",
    "inverse": "P^(−1)",
    "clip": "clipping singular values: f(x) is near min(x/l, 1) from 0 to u",
}
"""What a table may be for: which operators run it."""


_MOST_FIELD, _MOST_PROBLEM = 400, 3000
"""Characters of a refusal: it may quote what others wrote."""


class InputError(ValueError):
    """Bad input: `field` is where (a parameter, or a JSON path such as $.steps[2].degree).

    Both are made visible, and cut where they are very long: they may hold parts of a file.
    """

    def __init__(self, field: str, problem: str) -> None:
        self.field = shortened(visible(field), _MOST_FIELD)
        self.problem = shortened(visible(problem, keep="\n"), _MOST_PROBLEM)
        super().__init__(f"{self.field}: {self.problem}")


class ClaimError(InputError):
    """What a table states of itself does not follow from its coefficients; `field` names the claim."""


class InputWarning(UserWarning):
    """Something that was given is left out, and the rest is done."""


class SafetyWarning(UserWarning):
    """A table that blows up some matrices in a half precision is loaded, or run in it."""


class DivergenceError(ArithmeticError):
    """What ran came out as a result that cannot be right: not finite, or refuted by its own evidence.

    The message has the numbers, the index of the matrix in its batch, and what to do. Not an InputError: the
    input may be in order, and the table too coarse for it.
    """


class PromiseWarning(UserWarning):
    """A result is further from what defines it than its table and the rounding of its precision explain."""


class FormatNote(UserWarning):
    """A file of an earlier version was read."""


def dtype_name(dtype: Any, field: str = "dtype") -> str:
    """The torch name of a precision: "bf16", "bfloat16" and torch.bfloat16 all give "bfloat16"."""
    name = str(dtype).removeprefix("torch.")
    for full, short in DTYPES.items():
        if name in (full, short):
            return full
    known = f"{', '.join(DTYPES)} (or {', '.join(DTYPES.values())})"
    raise InputError(field, f"{shortened(name, MOST_QUOTED)} is not one of {known}")


def check_integer(field: str, value: Any, least: int) -> int:
    """The value as an int, such as one of numpy; refuses what is not whole, and what is below `least`.

    bool is not an int here.
    """
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        found = operator.index(value)
        if found >= least:
            return found
    raise InputError(field, f"must be a whole number of at least {least}, not {quoted(value)}")


def check_number(field: str, value: Any) -> int | float:
    """The value as an int or float; refuses what is not finite, no number, or larger than float64 has."""
    found: int | float = math.nan
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        found = operator.index(value)
    elif isinstance(value, numbers.Real) and not isinstance(value, bool):
        with suppress(OverflowError):  # a fraction may be larger
            found = float(value)
    if not abs(found) <= _LARGEST:
        raise InputError(field, f"must be a finite number, not {quoted(value)}")
    return found


def check_choice(field: str, value: Any, known: Collection[Any]) -> None:
    """Refuse what is not one of these."""
    if not isinstance(value, Hashable) or value not in known:
        raise InputError(field, f"{quoted(value)} is not one of {', '.join(map(str, known))}")


MOST_DEPTH = 20
"""To which lists and objects of a file may be nested."""


def check_plain(field: str, value: Any, depth: int = MOST_DEPTH) -> None:
    """Refuse text that a terminal or a page would obey, in lists and in dicts too, and very deep ones."""
    if isinstance(value, str):
        found = obeyed(value)
        if found is not None:
            raise InputError(field, not_plain(found))
    elif isinstance(value, (dict, list, tuple)):
        if not depth:
            raise InputError(field, f"is nested more than {MOST_DEPTH} deep")
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            check_plain(field, key)
            check_plain(f"{field}.{key}" if isinstance(key, str) else f"{field}[{key}]", item, depth - 1)


@contextmanager
def located(where: str) -> Iterator[None]:
    """Refusals of what is done inside name this place in front of their field."""
    try:
        yield
    except InputError as problem:
        raise type(problem)(f"{where}{problem.field}", problem.problem) from problem


def check_degree(field: str, degree: Any, root: int) -> int:
    """The degree; refuses one that is not 1 + n·root with n >= 1, and names the nearest that are."""
    degree = check_integer(field, degree, 1)
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
    return degree


def check_normalization(normalization: Any, root: int = 2) -> None:
    """Refuse an unknown normalization, and aol for roots, which it would change."""
    check_choice("normalization", normalization, NORMALIZATIONS)
    if normalization == "aol" and root != 2:
        raise InputError(
            "normalization",
            f"aol rescales each row by its own factor, and a root of the result is not the root of P: "
            f"take frobenius, schatten4, schatten8 or power for root {root}",
        )


def check_interval(field: str, interval: Any, *, positive: bool) -> tuple[float, float]:
    """The interval; refuses what is not a pair of finite numbers in order, with `positive` above 0."""
    if not isinstance(interval, tuple) or len(interval) != 2:
        raise InputError(field, f"must be a pair (low, high), not {quoted(interval)}")
    low, high = (check_number(f"{field}[{index}]", end) for index, end in enumerate(interval))
    if positive and low <= 0:
        raise InputError(f"{field}[0]", f"must be greater than 0, not {low!r}")
    if low > high:
        raise InputError(field, f"its lower end {low!r} lies above its upper end {high!r}")
    return low, high


def purpose_of(root: int) -> str:
    """What a schedule of this root is for where nobody says."""
    return {1: "inverse", 2: "sign"}.get(root, "root")


def check_purpose(purpose: str | None, root: int) -> str:
    """The purpose, purpose_of where it is None; refuses an unknown one, and one that needs another root."""
    purpose = purpose or purpose_of(root)
    check_choice("purpose", purpose, PURPOSES)
    if not {"inverse": root == 1, "root": root >= 2}.get(purpose, root == 2):
        needed = {"inverse": "1", "root": "2 or more"}.get(purpose, "2")
        raise InputError("purpose", f"{purpose} needs root {needed}, and the schedule has root {root}")
    return purpose

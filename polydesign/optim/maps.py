"""The map of singular values that an optimizer's group runs: which table, and torch's clamp of the norm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

from polydesign.model import ADAPTIVE, InputError, Plan, check_integer, check_number
from polydesign.model.checks import MOST_STEPS
from polydesign.runtime import Sign
from polydesign.runtime.base import Resolved
from polydesign.runtime.checks import check_plan
from polydesign.runtime.defaults import loaded
from polydesign.runtime.normalize import Normalized

TORCH_COEFFICIENTS, TORCH_STEPS, TORCH_EPS = (3.4445, -4.7750, 2.0315), 5, 1e-7
"""Defaults of torch.optim.Muon (torch 2.9 to 2.13)."""

TORCH_TABLE = "jordan_5"
"""These rows, certified."""

PRODUCTS, PRECISION, CHECK = 15, "bfloat16", "warn"
"""What runs where nothing is said: as many products and the precision as of torch.optim.Muon; a result that
cannot be right is warned about, because an exception would end a training run."""


@dataclass(frozen=True, eq=False)
class ClampedSign(Sign):
    """Sign of M/max(ν, eps): a matrix whose norm is below eps is moved less, and zero not at all.

    Args:
        table: As of Sign.
        plan: As of Sign.
        eps: The least number that M is divided by.
    """

    eps: float = 0.0
    word: ClassVar[str] = "Muon"

    def lowered(self, found: Normalized, how: Resolved) -> Normalized:
        if not self.eps or how.normalization == "none":
            return found
        part = (found.norm() / self.eps).clamp(max=1.0)[..., None, None]
        X, A = found.matrix, found.gram
        gram = None if A is None else A * part.square().to(A.dtype)
        return found._replace(matrix=X * part.to(X.dtype), gram=gram)


def sign_of(
    *,
    ns_coefficients: Any,
    ns_steps: int,
    eps: float,
    table: Any,
    plan: Plan | None,
    matmuls: int | None,
    error: float | None,
) -> ClampedSign:
    """The map of these arguments of Muon. Raises InputError where two of them do not go together."""
    ns_steps = check_integer("ns_steps", ns_steps, 1)
    eps = check_number("eps", eps)
    if eps < 0:
        raise InputError("eps", f"must be at least 0, not {eps!r}")
    wishes: dict[str, Any] = {"table": table, "matmuls": matmuls, "error": error}
    if plan is not None and check_plan(plan).normalization == ADAPTIVE and plan.choice == "host":
        for name, value in (("table", table), ("ns_coefficients", ns_coefficients)):
            if value is not None:
                raise InputError(
                    name,
                    'is one map, and Plan(normalization="adaptive") chooses tables by the matrix: leave one '
                    "of them out",
                )
    if ns_coefficients is not None:
        for name, value in wishes.items():
            if value is not None:
                raise InputError(name, "and ns_coefficients are both given: leave one of them out")
        table = _repeated(ns_coefficients, ns_steps)
        return ClampedSign(table, Plan(PRECISION, check=CHECK) if plan is None else plan, eps)
    if ns_steps != TORCH_STEPS:
        raise InputError(
            "ns_steps",
            "repeats ns_coefficients, and none are given: write matmuls= for a table of so many products",
        )
    if plan is not None:
        for name in ("matmuls", "error"):
            if wishes[name] is not None and getattr(check_plan(plan), name) is not None:
                raise InputError(name, "is in the plan too: leave one of them out")
    chosen: dict[str, Any] = {name: wishes[name] for name in ("matmuls", "error") if wishes[name] is not None}
    if plan is not None:
        return ClampedSign(table, replace(check_plan(plan), **chosen), eps)
    if table is None and not chosen:
        chosen = {"matmuls": PRODUCTS}
    sign = ClampedSign(table, Plan(PRECISION if table is None else None, check=CHECK, **chosen), eps)
    if table is None:
        return sign
    # A table runs in the precision that it was made for; the literature's in bfloat16, as elsewhere.
    made_for = getattr(sign.table, "dtype", None) or PRECISION
    return ClampedSign(sign.table, Plan(made_for, check=CHECK), eps)


def name_of(sign: ClampedSign) -> str:
    """Of the table that runs, where the plan's precision decides it; with adaptive, of the one that may."""
    if sign.table is not None:
        return sign.table.name
    if sign.plan.dtype is None:
        return "by the precision of the gradient"
    name = sign.resolved(sign.plan.dtype).table.name
    return f"{name}, or by the matrix" if sign.plan.normalization == ADAPTIVE else name


def _repeated(coefficients: Any, steps: int) -> Any:
    """The rows that torch.optim.Muon runs."""
    if not isinstance(coefficients, Sequence) or isinstance(coefficients, str) or len(coefficients) != 3:
        raise InputError(
            "ns_coefficients",
            f"must be three numbers (a, b, c), and is {coefficients!r}: write table= for a table, its name, "
            "or a list of rows",
        )
    for index, value in enumerate(coefficients):
        check_number(f"ns_coefficients[{index}]", value)
    if steps > MOST_STEPS:
        raise InputError("ns_steps", f"is {steps}, and at most {MOST_STEPS} are run")
    return _table(tuple(map(float, coefficients)), steps)


@lru_cache(maxsize=16)
def _table(row: tuple[float, ...], steps: int) -> Any:
    """Certified once: that takes a second."""
    if (row, steps) == (TORCH_COEFFICIENTS, TORCH_STEPS):
        return loaded(TORCH_TABLE)
    return Sign([row] * steps, Plan(PRECISION, check=False)).table

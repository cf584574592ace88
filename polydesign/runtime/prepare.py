"""Around the coupled form: checks, normalization and damping before it, rescaling and judging after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, Schedule, Table, check_integer, check_number, dtype_name
from polydesign.program.cost import matmuls
from polydesign.runtime import compiled, execute
from polydesign.runtime.base import Operator, Resolved
from polydesign.runtime.checks import (
    ROOTS,
    check_finite,
    check_matrix,
    check_scalar,
    check_square,
    check_symmetric,
    check_undithered,
    check_vouched,
    residual_warnings,
)
from polydesign.runtime.defaults import chosen
from polydesign.runtime.normalize import NORMALIZATIONS, times_power_of_two, work_dtype
from polydesign.runtime.run import Run

LOWEST_EIGENVALUE = 1e-4
"""Down to which the tables are designed that ship, or that a refusal proposes, relative to ‖P‖_F."""

DEFAULT_TABLES = {
    (1, "wide"): "inverse-d3x7-l1e-4-fp32",
    (2, "wide"): "sign-d5x7-l0.01-fp32",
    (4, "wide"): "root4-d9x4-l0.1-fp32",
    (1, "half"): "inverse-d3x7-l1e-4-bf16",
    (2, "half"): "sign-d5x6-l0.01-bf16",
    (4, "half"): "root4-d9x4-l0.1-bf16",
}
"""The catalogue table of each root when none is given, for float32 and float64 and for the half precisions:
eigenvalues down to 1e-4·‖P‖_F. The headroom of the former is too little for bfloat16: inverses diverged."""


RESIDUAL_ROUNDINGS = {"bfloat16": 16, "float16": 16, "float32": 64, "float64": 64}
"""What rounding explains of a residual, in units of u, from experiment: three times the largest found with
the default tables, sides 64 and 256, eigenvalues down to 1e-3 (5.1 in half precision, 3.3 beyond it)."""


class Side(NamedTuple):
    """X = (P/ν + eps·I)/(1 + eps) in the state's dtype; P + eps·ν·I = ν·(1 + eps)·X.

    norm: ν in float64, shape (...). The divisor ν·(1 + eps) is scaled_norm·2^exponent, each (..., 1, 1).
    products: what the normalization took. name: the argument that P is.
    """

    X: Tensor
    norm: Tensor
    scaled_norm: Tensor
    exponent: Tensor
    products: int
    name: str


class Ended(NamedTuple):
    """One iteration: what it started from and ended with, s, and whether G was the identity."""

    side: Side
    end: execute.Coupled
    power: int
    from_identity: bool


class Iterations(NamedTuple):
    """What a `CoupledOperator` ends with: its iterations, and the products beside them."""

    how: Resolved
    iterations: Sequence[Ended] = ()
    beside: int = 0


@dataclass(frozen=True, eq=False)
class CoupledOperator(Operator):
    """A function of symmetric positive P by the coupled iteration, whose tables have the root r.

    P (..., n, n) is divided by ν (‖P‖_F, or what the table's or the plan's normalization says; aol is
    refused) and iterated in the plan's precision, and the result is multiplied by the power of ν that this
    calls for, in float32 or better, last. A table of root r with error E on [l, u] promises, in exact
    arithmetic, P^(−s/r) with eigenvalues off by at most (1 + E)ˢ − 1 relatively, for every eigenvalue λ of P
    with (λ/ν)^(1/r) in [l, u]; smaller ones come out too small in P^(−s/r), which the residual of `run`
    shows. That residual takes r products of its own, so a call does not compute it and does not warn.

    Args:
        table: Of root r, None takes the one of DEFAULT_TABLES for this root and precision.
        plan: dtype: precision of the state and of the result, None for P's own. A result that does not fit
            that dtype is infinite: P^(−1) for ‖P‖ = 1e-6 has no place in float16.
        eps: Damping relative to the normalization: the operators then work on P + eps·ν·I.

    Raises:
        InputError: When the object is made, for a root or power that is no whole number, a negative eps, the
            gram form, aol, and a table of another root or purpose. When it runs, for a root without a
            default table; for what is not floating, not square, or of shapes that do not fit; with
            plan.check also for NaN and infinity, for P that is not symmetric within its rounding, and for a
            zero matrix in P where the result holds an inverse (there is none, and damping is relative to a
            norm of zero). Not checked: that P is positive.
    """

    eps: float = field(default=0.0, kw_only=True)

    @property
    def purposes(self) -> Sequence[str]:
        return ROOTS

    def check(self) -> None:
        check_integer("root", self.order, 1)
        check_number("eps", self.eps)
        if self.eps < 0:
            raise InputError("eps", f"must not be negative, and is {self.eps!r}")
        if self.plan.form != "direct":
            raise InputError(
                "plan.form", f"{self.plan.form} is of msign, and {self.word} is coupled: leave form out"
            )
        check_undithered(self.plan, self.word)
        check_scalar(self.normalization, self.word)

    def decide(self, dtype: str) -> Resolved:
        table = _default_table(self.order, dtype, self.plan) if self.table is None else self.table
        return Resolved(
            table, getattr(torch, dtype), self.plan.normalization or table.normalization, "coupled"
        )

    def iterate(self, side: Side, G: Tensor | None, how: Resolved, power: int = 1) -> Ended:
        """The iteration on a prepared P, with nothing in place of an identity G."""
        run = compiled.coupled if self.plan.compile else execute.coupled
        return Ended(side, run(side.X, G, how.table.schedule, power=power), power, G is None)

    def prepare(
        self, P: Tensor, name: str = "P", dtype: str | None = None, *, zero: bool = False
    ) -> tuple[Resolved, Side | None]:
        """How it runs, and what it starts from; None for an empty P.

        dtype: of the state, where another argument decides it. zero: whether a zero matrix has a result. The
        division by 1 + eps keeps the damped spectrum in (0, 1], where the table is good.
        """
        check_square(name, P)
        how: Resolved = self.resolved(str(dtype or self.plan.dtype or dtype_name(P.dtype, f"{name}.dtype")))
        if P.numel() == 0:
            return how, None
        if self.plan.check:
            check_finite(name, P)
            check_symmetric(name, P)
            if how.normalization == "none":
                check_vouched(name, P, how.table.schedule.interval[1] ** self.order)
        work = work_dtype(how.state, P)
        X, scaled_norm, exponent, _, products = NORMALIZATIONS[how.normalization](P, work)
        if self.plan.check and not zero and (X.abs().amax(dim=(-2, -1)) == 0).any():
            raise InputError(name, "holds a zero matrix, which has no inverse, damped or not: leave it out")
        norm = _divisor(scaled_norm, exponent)
        if self.eps:
            diagonal = X.diagonal(dim1=-2, dim2=-1) + self.eps
            X = torch.diagonal_scatter(X, diagonal, dim1=-2, dim2=-1) / (1 + self.eps)
            scaled_norm = scaled_norm * (1 + self.eps)
        return how, Side(symmetric_part(X).to(how.state), norm, scaled_norm, exponent, products, name)

    def judge(self, result: Any, found: Iterations, *data: Tensor) -> Run:
        """What the iterations ended with, judged; r products more of each in float32 or better."""
        how, iterations, count = found
        schedule, dtype = how.table.schedule, dtype_name(how.state)
        nothing = torch.zeros((*data[-1].shape[:-2], 2), dtype=torch.float64, device=data[-1].device)
        residual, norm, interval, warnings = nothing[..., 0], nothing[..., 0], nothing, ()
        promised = (1 + schedule.error) ** self.order - 1 if iterations else 0.0
        for number, (side, end, power, identity) in enumerate(iterations):
            of_side, interval = _residual(end, self.order), _interval(side, schedule)
            residual, norm = torch.maximum(residual, of_side) if number else of_side, side.norm
            count += side.products
            count += matmuls(schedule, form="coupled", power=power, from_identity=identity)
            if self.plan.check:
                what, cure = f"eigenvalues of {side.name}", ", or raise eps"
                warnings += residual_warnings(
                    of_side, promised, dtype, interval, what, RESIDUAL_ROUNDINGS, cure
                )
        return Run(
            operator=self.word,
            result=result,
            dtype=dtype,
            matmuls=count,
            table=how.table.name,
            residual=residual,
            promised=promised,
            norm=None if len(iterations) > 1 else norm,
            interval=None if len(iterations) > 1 else interval,
            warnings=warnings,
            form="coupled",
        )


def _residual(end: execute.Coupled, root: int) -> Tensor:
    """‖P Wʳ − I‖_F/√n, shape (...)."""
    wide = torch.promote_types(end.P.dtype, torch.float32)
    X, W = end.P.detach().to(wide), end.W.detach().to(wide)
    for _ in range(root):
        X = X @ W
    X.diagonal(dim1=-2, dim2=-1).sub_(1)
    return X.square().sum(dim=(-2, -1)).div(X.shape[-1]).sqrt()


def _interval(side: Side, schedule: Schedule) -> Tensor:
    """The eigenvalues that are promised for, shape (..., 2), in float64."""
    ends = torch.tensor([end**schedule.root for end in schedule.interval], dtype=torch.float64)
    return _divisor(side.scaled_norm, side.exponent)[..., None] * ends.to(side.norm.device)


def check_factor(G: Tensor, P: Tensor, plan: Plan) -> None:
    """Refuse G that does not go with P."""
    check_matrix("G", G)
    if G.shape[-1] != P.shape[-1] or G.shape[:-2] != P.shape[:-2]:
        raise InputError(
            "G",
            f"has shape {tuple(G.shape)}, and P {tuple(P.shape)}: G is (..., m, n) where P is (..., n, n)",
        )
    if plan.check:
        check_finite("G", G)


def symmetric_part(M: Tensor) -> Tensor:
    """(M + Mᵀ)/2, halved first: the sum cannot overflow."""
    half = M / 2
    return half + half.mT


def rescaled(
    X: Tensor,
    state: torch.dtype,
    sides: Sequence[tuple[Side, int]],
    root: int,
    exponent: Tensor | None = None,
    *,
    symmetric: bool = False,
) -> Tensor:
    """X·2^exponent·Π ν^(k/r) over the sides (their ν with damping, k), rounded to the state last.

    symmetric: take the symmetric part of X before that, where X is one but for rounding.

    Powers of two are split off and applied exactly: ν^(k/r) alone may not fit where the result does, and
    P·2^(r·j) gives the same bits as P.
    """
    factor = torch.ones((), dtype=torch.float64, device=X.device)
    power = torch.zeros_like(sides[0][0].exponent)
    for side, k in sides:
        power = power + torch.div(side.exponent * k, root, rounding_mode="floor")
        rest = torch.remainder(side.exponent * k, root).double() / root
        factor = factor * side.scaled_norm.double() ** (k / root) * torch.exp2(rest)
    if exponent is not None:
        power = power + exponent
    work = work_dtype(state, X, *(side.scaled_norm for side, _ in sides))
    X = symmetric_part(X.to(work)) if symmetric else X.to(work)
    return times_power_of_two(X * factor.to(work), power).to(state)


def _divisor(scaled_norm: Tensor, exponent: Tensor) -> Tensor:
    return times_power_of_two(scaled_norm.double(), exponent)[..., 0, 0]


def _default_table(root: int, dtype: str, plan: Plan) -> Table:
    width = "half" if dtype in ("bfloat16", "float16") else "wide"
    if (root, width) not in DEFAULT_TABLES and plan.matmuls is None and plan.error is None:
        lower = LOWEST_EIGENVALUE ** (1 / root)
        raise InputError(
            "root",
            f"no table of root {root} comes with the package: make one with `polydesign search --root {root} "
            f"--degree {1 + 2 * root} --steps 5 --lower {lower:.2g} --dtype {dtype}`, and pass "
            "table=polydesign.load(path)",
        )
    return chosen(root, dtype, plan, DEFAULT_TABLES.get((root, width), ""), coupled=True)

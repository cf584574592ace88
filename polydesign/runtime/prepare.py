"""Around the coupled form: checks, normalization and damping before it, rescaling and judging after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, Table, check_integer, check_number, dtype_name
from polydesign.program.cost import matmuls
from polydesign.runtime.checks import (
    ROOTS,
    check_finite,
    check_matrix,
    check_square,
    check_symmetric,
    check_table,
    check_unchosen,
    check_vouched,
    residual_warnings,
    scalar_normalization,
)
from polydesign.runtime.defaults import chosen
from polydesign.runtime.execute import Coupled
from polydesign.runtime.normalize import NORMALIZATIONS, times_power_of_two

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


@dataclass(frozen=True, slots=True)
class RootInfo:
    """What a run did and what came out; tensors have one entry a matrix of the batch, shape (...).

    matmuls: matrix products of the iteration and of the normalization (0 for an empty matrix). dtype:
    precision of the state, named as in torch. residual: ‖P_T − I‖_F/√n, P_T = P Wʳ after the last step, in
    float32 or better. promised: an upper bound of it in exact arithmetic, (1 + E)ʳ − 1, for a spectrum in
    the table's interval; a residual far above it and above the rounding of the state means eigenvalues below
    that interval. norm: ν, what P was divided by, in float64. interval: [lʳ, uʳ]·ν·(1 + eps), shape (...,
    2), in float64: the eigenvalues of P + eps·ν·I that the table promises for. warnings: one line where the
    residual is above `promised` and what rounding explains, with the numbers; none where plan.check is
    False, because it looks at the data.
    """

    matmuls: int
    dtype: str
    residual: Tensor
    promised: float
    norm: Tensor
    interval: Tensor
    warnings: tuple[str, ...] = ()


class Ready(NamedTuple):
    """X = (P/ν + eps·I)/(1 + eps) in the state's dtype; P + eps·ν·I = ν·(1 + eps)·X.

    norm: ν in float64, shape (...). The divisor ν·(1 + eps) is scaled_norm·2^exponent, each (..., 1, 1).
    products: what the normalization took.
    """

    X: Tensor
    norm: Tensor
    scaled_norm: Tensor
    exponent: Tensor
    table: Table
    products: int


def prepare(
    P: Tensor,
    root: int,
    table: Table | None,
    plan: Plan,
    eps: float,
    operator: str,
    *,
    name: str = "P",
    state: torch.dtype | None = None,
    zero: bool = False,
) -> tuple[Ready | None, torch.dtype]:
    """What the iteration starts from, and the dtype of its state; None in place of it for an empty P.

    name: the argument, in refusals. state: the dtype, where another argument decides it. zero: whether a zero
    matrix has a result. The division by 1 + eps keeps the damped spectrum in (0, 1], where the table is good.
    """
    check_square(name, P)
    check_number("eps", eps)
    if eps < 0:
        raise InputError("eps", f"must not be negative, and is {eps!r}")
    if state is None:
        state = getattr(torch, plan.dtype or dtype_name(P.dtype, f"{name}.dtype"))
        assert isinstance(state, torch.dtype)
    if plan.form != "direct":
        raise InputError("plan.form", f"{plan.form} is of msign, and {operator} is coupled: leave form out")
    check_unchosen(plan, table)
    table = check_table(_default_table(root, state, plan) if table is None else table, root, operator, ROOTS)
    normalization = scalar_normalization(table, plan, operator)
    if P.numel() == 0:
        return None, state
    if plan.check:
        check_finite(name, P)
        check_symmetric(name, P)
        if normalization == "none":
            check_vouched(name, P, table.schedule.interval[1] ** root)
    with torch.autocast(P.device.type, enabled=False):
        work = work_dtype(state, P)
        X, scaled_norm, exponent, _, products = NORMALIZATIONS[normalization](P, work)
        if plan.check and not zero and (X.abs().amax(dim=(-2, -1)) == 0).any():
            raise InputError(name, "holds a zero matrix, which has no inverse, damped or not: leave it out")
        norm = _divisor(scaled_norm, exponent)
        if eps:
            diagonal = X.diagonal(dim1=-2, dim2=-1) + eps
            X = torch.diagonal_scatter(X, diagonal, dim1=-2, dim2=-1) / (1 + eps)
            scaled_norm = scaled_norm * (1 + eps)
        X = symmetric_part(X).to(state)
    return Ready(X, norm, scaled_norm, exponent, table, products), state


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


def work_dtype(state: torch.dtype, *tensors: Tensor) -> torch.dtype:
    """What norms and scales are computed in: float64 where anything is, else float32."""
    wide = torch.float64 in (state, *(tensor.dtype for tensor in tensors))
    return torch.float64 if wide else torch.float32


def symmetric_part(M: Tensor) -> Tensor:
    """(M + Mᵀ)/2, halved first: the sum cannot overflow."""
    half = M / 2
    return half + half.mT


def rescaled(
    X: Tensor,
    state: torch.dtype,
    sides: Sequence[tuple[Ready, int]],
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
    factor, power = (
        torch.ones((), dtype=torch.float64, device=X.device),
        torch.zeros_like(sides[0][0].exponent),
    )
    for ready, k in sides:
        power = power + torch.div(ready.exponent * k, root, rounding_mode="floor")
        rest = torch.remainder(ready.exponent * k, root).double() / root
        factor = factor * ready.scaled_norm.double() ** (k / root) * torch.exp2(rest)
    if exponent is not None:
        power = power + exponent
    work = work_dtype(state, X, *(ready.scaled_norm for ready, _ in sides))
    X = symmetric_part(X.to(work)) if symmetric else X.to(work)
    return times_power_of_two(X * factor.to(work), power).to(state)


def root_info(
    P: Tensor, plan: Plan, power: int, ready: Ready | None, end: Coupled | None, *, from_identity: bool
) -> RootInfo:
    """What `coupled` ended with, judged; r products more in float32 or better."""
    batch = P.shape[:-2]
    dtype = plan.dtype or dtype_name(P.dtype)
    if ready is None or end is None:
        nothing = torch.zeros((*batch, 2), dtype=torch.float64, device=P.device)
        return RootInfo(0, dtype, nothing[..., 0], 0.0, nothing[..., 0], nothing)
    schedule = ready.table.schedule
    wide = torch.promote_types(end.P.dtype, torch.float32)
    with torch.autocast(P.device.type, enabled=False):
        X, W = end.P.detach().to(wide), end.W.detach().to(wide)
        for _ in range(schedule.root):
            X = X @ W
        X.diagonal(dim1=-2, dim2=-1).sub_(1)
        residual = X.square().sum(dim=(-2, -1)).div(P.shape[-1]).sqrt()
    ends = torch.tensor([end**schedule.root for end in schedule.interval], dtype=torch.float64)
    promised = (1 + schedule.error) ** schedule.root - 1
    interval = _divisor(ready.scaled_norm, ready.exponent)[..., None] * ends.to(P.device)
    warnings = ()
    if plan.check:
        what = "eigenvalues of P"
        warnings = residual_warnings(
            residual, promised, dtype, interval, what, RESIDUAL_ROUNDINGS, ", or raise eps"
        )
    return RootInfo(
        matmuls=matmuls(schedule, form="coupled", power=power, from_identity=from_identity) + ready.products,
        dtype=dtype,
        residual=residual,
        promised=promised,
        norm=ready.norm,
        interval=interval,
        warnings=warnings,
    )


def _divisor(scaled_norm: Tensor, exponent: Tensor) -> Tensor:
    return times_power_of_two(scaled_norm.double(), exponent)[..., 0, 0]


def _default_table(root: int, state: torch.dtype, plan: Plan) -> Table:
    check_integer("root", root, 1)
    width = "half" if torch.finfo(state).bits <= 16 else "wide"
    dtype = str(state).removeprefix("torch.")
    if (root, width) not in DEFAULT_TABLES and plan.matmuls is None and plan.error is None:
        lower = LOWEST_EIGENVALUE ** (1 / root)
        raise InputError(
            "root",
            f"no table of root {root} comes with the package: make one with `polydesign search --root {root} "
            f"--degree {1 + 2 * root} --steps 5 --lower {lower:.2g} --dtype {dtype}`, and pass "
            "table=polydesign.load(path)",
        )
    return chosen(root, dtype, plan, DEFAULT_TABLES.get((root, width), ""), coupled=True)

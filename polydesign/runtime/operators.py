"""Operators on matrices: an eager shell of checks around the pure core."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from polydesign.evaluation.cost import matmuls
from polydesign.model import InputError, Plan, Schedule, Table, dtype_name
from polydesign.runtime.checks import check_finite, check_matrix, check_table
from polydesign.runtime.execute import direct, gram
from polydesign.runtime.normalize import NORMALIZATIONS, Normalized
from polydesign.search.restarts import choose_restarts, every

DEFAULT_TABLES = {
    "bfloat16": "sign-d5x6-l1e-3-bf16",
    "float16": "sign-d5x6-l1e-3-fp16",
    "float32": "sign-d5x7-l1e-3-fp32",
    "float64": "sign-d5x8-l1e-3-fp64",
}
"""The catalogue table that msign runs when none is given, by the precision of the state."""


@dataclass(frozen=True, slots=True)
class Info:
    """What a run did and what came out; tensors have one entry a matrix of the batch, shape (...).

    matmuls: matrix products of the iteration (0 for an empty matrix). dtype: precision of the state, named
    as in torch. transposed: whether the iteration ran on Mᵀ, so that the Gram matrix is the small one.
    residual: ‖X Xᵀ − I‖_F/√n with n the smaller dimension, in float32 or better; large for a rank-deficient
    input, whose null space stays null. norm: what M was divided by, in float64. form, restarts: what ran, for
    an empty matrix what would have: where the plan leaves the gram form's restarts open and nothing less than
    one before every step will do, that is the direct form, and it says so.
    """

    matmuls: int
    dtype: str
    transposed: bool
    residual: Tensor
    norm: Tensor
    form: str
    restarts: tuple[int, ...]


def msign(M: Tensor, table: Table | None = None, plan: Plan | None = None) -> Tensor:
    """U Vᵀ for M = U Σ Vᵀ, as exactly as the table promises for singular values in [l, u] once normalized.

    M: (..., m, n), any floating dtype, layout and batch; it is not changed, and the result shares no memory
    with it. table: root 2; None takes the catalogue's table for the state's precision (DEFAULT_TABLES).
    plan.dtype: precision of the state, None for M's own; the result is a contiguous tensor of M's shape **in
    the state's dtype**. Normalization is computed before rounding to that dtype, in float32 or better.
    Singular values below l grow as the table's map says and are not promised anything; a zero matrix gives
    zero. plan.form gram is the same map by products of the small Gram matrix, cheaper where M is wide or
    tall; its rounding is another, and plan.restarts says how it is kept in bounds.

    Raises InputError for a tensor that is not floating or has fewer than two dimensions, for NaN or infinity
    in M unless plan.check is False (they then spread over their own matrix), for a table of another root, for
    restarts that the table has no steps for, and for a gram form that no restarts would keep in bounds.
    """
    return _run(M, table, plan or Plan())[0]


def msign_with_info(M: Tensor, table: Table | None = None, plan: Plan | None = None) -> tuple[Tensor, Info]:
    """The same result as `msign`, bit for bit, with what the run did. One product more, for the residual."""
    X, normalized, table, (form, restarts) = _run(M, table, plan or Plan())
    batch = M.shape[:-2]
    return X, Info(
        matmuls=matmuls(table.schedule, form=form, restarts=restarts) if normalized else 0,
        dtype=dtype_name(X.dtype),
        transposed=_transposed(M),
        residual=_residual(X),
        norm=normalized.norm() if normalized else torch.zeros(batch, dtype=torch.float64, device=M.device),
        form=form,
        restarts=restarts,
    )


Form = tuple[str, tuple[int, ...]]
"""Form and restarts."""


def _run(M: Tensor, table: Table | None, plan: Plan) -> tuple[Tensor, Normalized | None, Table, Form]:
    check_matrix("M", M)
    state = plan.dtype or dtype_name(M.dtype, "M.dtype")
    table = check_table(_default_table(state) if table is None else table, 2, "msign")
    form, restarts = _form(plan, table.schedule, state)
    dtype = getattr(torch, state)
    if M.numel() == 0:
        return torch.empty(M.shape, dtype=dtype, device=M.device), None, table, (form, restarts)
    if plan.check:
        check_finite("M", M)
    transposed = _transposed(M)
    # Autocast would run the products in another precision than the plan's.
    with torch.autocast(M.device.type, enabled=False):
        normalized = NORMALIZATIONS[table.normalization](M.mT if transposed else M, dtype)
        if form == "gram":
            X = gram(normalized.matrix, table.schedule, restarts)
        else:
            X = direct(normalized.matrix, table.schedule)
    return (X.mT if transposed else X).contiguous(), normalized, table, (form, restarts)


def _form(plan: Plan, schedule: Schedule, state: str) -> Form:
    """What runs. Chosen restarts before every step are the direct form, and named so."""
    if plan.form == "direct":
        return "direct", ()
    if plan.restarts is None:
        restarts = choose_restarts(schedule, state)
        return ("direct", ()) if restarts == every(schedule) else ("gram", restarts)
    for index, restart in enumerate(plan.restarts):
        if restart >= len(schedule.steps):
            raise InputError(
                f"plan.restarts[{index}]",
                f"is {restart}, and the table has {len(schedule.steps)} steps: write at most "
                f"{len(schedule.steps) - 1}, counted from 0",
            )
    return "gram", plan.restarts


def _transposed(M: Tensor) -> bool:
    return M.shape[-2] > M.shape[-1]


@lru_cache
def _default_table(state: str) -> Table:
    from polydesign.catalogue import load

    return load(DEFAULT_TABLES[state])


def _residual(X: Tensor) -> Tensor:
    """‖X Xᵀ − I‖_F/√n on the smaller side, in float32 or better; zero where a side is empty."""
    X = X.detach().to(torch.promote_types(X.dtype, torch.float32))
    X = X.mT if _transposed(X) else X
    n = X.shape[-2]
    G = X @ X.mT
    G.diagonal(dim1=-2, dim2=-1).sub_(1)
    return G.square().sum(dim=(-2, -1)).div(max(n, 1)).sqrt()

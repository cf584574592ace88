"""Operators on matrices: an eager shell of checks around the pure core."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from polydesign.evaluation.cost import matmuls
from polydesign.model import Plan, Table, dtype_name
from polydesign.runtime.checks import check_finite, check_matrix, check_table
from polydesign.runtime.execute import direct
from polydesign.runtime.normalize import NORMALIZATIONS, Normalized

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
    input, whose null space stays null. norm: what M was divided by, in float64.
    """

    matmuls: int
    dtype: str
    transposed: bool
    residual: Tensor
    norm: Tensor


def msign(M: Tensor, table: Table | None = None, plan: Plan | None = None) -> Tensor:
    """U Vᵀ for M = U Σ Vᵀ, as exactly as the table promises for singular values in [l, u] once normalized.

    M: (..., m, n), any floating dtype, layout and batch; it is not changed, and the result shares no memory
    with it. table: root 2; None takes the catalogue's table for the state's precision (DEFAULT_TABLES).
    plan.dtype: precision of the state, None for M's own; the result is a contiguous tensor of M's shape **in
    the state's dtype**. Normalization is computed before rounding to that dtype, in float32 or better.
    Singular values below l grow as the table's map says and are not promised anything; a zero matrix gives
    zero.

    Raises InputError for a tensor that is not floating or has fewer than two dimensions, for NaN or infinity
    in M unless plan.check is False (they then spread over their own matrix), and for a table of another root.
    """
    return _run(M, table, plan or Plan())[0]


def msign_with_info(M: Tensor, table: Table | None = None, plan: Plan | None = None) -> tuple[Tensor, Info]:
    """The same result as `msign`, bit for bit, with what the run did. One product more, for the residual."""
    plan = plan or Plan()
    X, normalized, table = _run(M, table, plan)
    batch = M.shape[:-2]
    return X, Info(
        matmuls=matmuls(table.schedule) if normalized else 0,
        dtype=dtype_name(X.dtype),
        transposed=_transposed(M),
        residual=_residual(X),
        norm=normalized.norm() if normalized else torch.zeros(batch, dtype=torch.float64, device=M.device),
    )


def _run(M: Tensor, table: Table | None, plan: Plan) -> tuple[Tensor, Normalized | None, Table]:
    check_matrix("M", M)
    state = plan.dtype or dtype_name(M.dtype, "M.dtype")
    table = check_table(_default_table(state) if table is None else table, 2, "msign")
    dtype = getattr(torch, state)
    if M.numel() == 0:
        return torch.empty(M.shape, dtype=dtype, device=M.device), None, table
    if plan.check:
        check_finite("M", M)
    transposed = _transposed(M)
    # Autocast would run the products in another precision than the plan's.
    with torch.autocast(M.device.type, enabled=False):
        normalized = NORMALIZATIONS[table.normalization](M.mT if transposed else M, dtype)
        X = direct(normalized.matrix, table.schedule)
    return (X.mT if transposed else X).contiguous(), normalized, table


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

"""Solve, look at what is left in float64, and solve for it: iterative refinement of a matrix equation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import reduce

import torch
from torch import Tensor

from polydesign.model import Plan, Table, check_integer, dtype_name
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime.block_sign import candidates, explained
from polydesign.runtime.checks import check_finite
from polydesign.runtime.solvers import Riccati, Sylvester


@dataclass(frozen=True, slots=True)
class EquationInfo:
    """What a run did and what came out; tensors have one entry an equation of the batch, shape (...).

    matmuls: products of the block's side, of all tables that were tried, passes and refinements; 0 for an
    empty equation. dtype: precision of the sign. table: the name of the one that served. passes: how often it
    ran for the first solve. sign_residual: ‖W² − I‖_F/√N of the first solve, N the block's side. residuals:
    one tensor a solve, the last one for the result, before that is rounded to its dtype: ‖R‖_F, R what is
    left of the equation in float64, over the sum of the Frobenius norms of the equation's terms, such as
    ‖AX‖ + ‖XB‖ + ‖C‖. warnings: one line where the last of them is above what the table and the rounding of
    the state explain, products of length N and all; none where plan.check is False.
    """

    matmuls: int
    dtype: str
    table: str
    passes: int
    sign_residual: Tensor
    residuals: tuple[Tensor, ...]
    warnings: tuple[str, ...]

    @property
    def residual(self) -> Tensor:
        """Of the result, shape (...)."""
        return self.residuals[-1]


def refined(
    equation: Sylvester | Riccati, inputs: Mapping[str, Tensor], table: Table | None, plan: Plan, refine: int
) -> tuple[Tensor, EquationInfo]:
    """X of the equation after so many refinements, in the widest dtype among the inputs and the state."""
    check_integer("refine", refine, 0)
    given = reduce(torch.promote_types, (M.dtype for M in inputs.values()))
    state = plan.dtype or dtype_name(given)
    kept = torch.promote_types(given, getattr(torch, state))
    tables = candidates(table, plan, state)
    shape, device = list(inputs.values())[-1].shape, list(inputs.values())[-1].device
    if not all(M.numel() for M in inputs.values()):
        nothing = torch.zeros(shape[:-2], dtype=torch.float64, device=device)
        info = EquationInfo(0, state, "", 0, nothing, (nothing,), ())
        return torch.zeros(shape, dtype=kept, device=device), info
    if plan.check:
        for name, M in inputs.items():
            check_finite(name, M)
    plan = replace(plan, dtype=state)
    wide = type(equation)(*(getattr(equation, field.name).double() for field in fields(equation)))
    with torch.autocast(device.type, enabled=False):
        X, run = wide.solve(tables, plan)
        R, residual = wide.left(X)
        residuals, matmuls = [residual], run.matmuls
        # What failed once is not tried again.
        tables = tables[tables.index(run.table) :]
        for _ in range(refine):
            D, again = wide.correction(X, R, tables, plan)
            X = X + D
            R, residual = wide.left(X)
            residuals.append(residual)
            matmuls += again.matmuls
    allowed = explained(run.table, state) + run.sign.shape[-1] * UNIT_ROUNDOFF[state]
    warnings = ()
    if plan.check and not (residual <= allowed).all():
        worst = residual.nan_to_num(nan=torch.inf).max().item()
        warnings = (
            f"the residual of the equation is {worst:.2g}, and the table with the rounding of {state} "
            f"explains {allowed:.2g}: some eigenvalues are near the imaginary axis, or the block is far from "
            "normal: raise refine, or take a higher precision",
        )
    info = EquationInfo(
        matmuls=matmuls,
        dtype=state,
        table=run.table.name,
        passes=run.passes,
        sign_residual=run.residual,
        residuals=tuple(residuals),
        warnings=warnings,
    )
    return X.to(kept), info

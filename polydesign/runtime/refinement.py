"""Solve, look at what is left in float64, and solve for it: iterative refinement of a matrix equation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from polydesign.model import check_integer, dtype_name
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime.block_sign import BlockOperator, explained
from polydesign.runtime.checks import check_finite
from polydesign.runtime.run import Run
from polydesign.runtime.solvers import RiccatiEquation, SylvesterEquation

Equation = SylvesterEquation | RiccatiEquation


@dataclass(frozen=True, eq=False)
class EquationOperator(BlockOperator):
    """X of a matrix equation through one sign of a block H of side m + n (Roberts, 1980).

    What a `BlockOperator` needs and refuses holds for H. The result is of the widest dtype among the inputs
    and the state. In the Run, matmuls are products of the block's side, of all tables that were tried, passes
    and refinements, and a warning says where the residual is above what the table and the rounding of the
    state explain, products of length N and all.

    Args:
        table: Of root 2, None as of `BlockOperator`.
        plan: Of the sign.
        refine: Steps of iterative refinement. Each computes the residual of the equation in float64 and
            solves for the correction with the table that served; its error is multiplied by the relative
            error of one solve, so a sign in float32 or bfloat16 gives float64 results where it gives any
            digits.
    """

    refine: int = field(default=0, kw_only=True)

    def check(self) -> None:
        object.__setattr__(self, "refine", check_integer("refine", self.refine, 0))
        super().check()

    def equation(self, *data: Any, **named: Any) -> tuple[Equation, Mapping[str, Tensor]]:
        """The equation, and the inputs by name, if they fit."""
        raise NotImplementedError

    def compute(self, *data: Tensor) -> tuple[Tensor, Run]:
        equation, inputs = self.equation(*data)
        given = reduce(torch.promote_types, (M.dtype for M in inputs.values()))
        state = self.plan.dtype or dtype_name(given)
        kept = torch.promote_types(given, getattr(torch, state))
        tables = self.resolved(state)
        if not all(M.numel() for M in inputs.values()):
            X = torch.zeros(data[-1].shape, dtype=kept, device=data[-1].device)
            none = torch.zeros(X.shape[:-2], dtype=torch.float64, device=X.device)
            return X, Run(
                self.word, X, state, 0, residual=none, sign_residual=none, residuals=(none,), passes=0
            )
        if self.plan.check:
            for name, M in inputs.items():
                check_finite(name, M)
        plan = replace(self.plan, dtype=state)
        named = {one.name: getattr(equation, one.name) for one in fields(equation)}
        wide = replace(equation, **{name: M.double() for name, M in named.items() if isinstance(M, Tensor)})
        X, run = wide.solve(tables, plan)
        R, residual = wide.left(X)
        residuals, matmuls = [residual], run.matmuls
        # What served comes first, and what failed once last.
        first = tables.index(run.table)
        tables = [*tables[first:], *tables[:first]]
        for _ in range(self.refine):
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
                f"explains {allowed:.2g}: some eigenvalues are near the imaginary axis, or the block is far "
                "from normal: raise refine" + (", or take a higher precision" if state != "float64" else ""),
            )
        X = X.to(kept)
        return X, Run(
            operator=self.word,
            result=X,
            dtype=state,
            matmuls=matmuls,
            table=run.table.name,
            residual=residual,
            warnings=warnings,
            passes=run.passes,
            sign_residual=run.residual,
            residuals=tuple(residuals),
        )

"""msign of several matrices and the products between them, by one table and plan, all counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from polydesign.model import Plan, Table, dtype_name
from polydesign.runtime import ops
from polydesign.runtime.operators import msign_counted


class Signs:
    """What an operator that is made of signs runs on.

    state: the dtype of the iterations and of the result. Products and sums outside of them are in the wider
    of M's dtype and the state's. table: the one given, or None. used: the name of the table that ran, where
    it was given or chosen here. matmuls: the products so far.
    """

    def __init__(self, M: Tensor, table: Table | None, plan: Plan) -> None:
        state = getattr(torch, plan.dtype or dtype_name(M.dtype, "M.dtype"))
        assert isinstance(state, torch.dtype)
        self.state, self.wide = state, torch.promote_types(state, M.dtype)
        self.table, self.plan = table, plan
        self.used = None if table is None else table.name
        self.matmuls = 0

    def outer(self, M: Tensor) -> Tensor:
        """M in the dtype of sums and products."""
        return M.to(self.wide)

    def state_of(self, X: Tensor) -> Tensor:
        """The result, contiguous, in the state's dtype."""
        return X.to(self.state).contiguous()

    def msign(self, X: Tensor, *, normalized: bool = False, table: Table | None = None) -> Tensor:
        """msign in the state, given back for sums. normalized: ‖X‖₂ is known to be at most 1.

        Only what the caller passed is checked, by the caller: a refusal of X would name what he never saw.
        """
        plan = replace(self.plan, dtype=self.state, check=False)
        if normalized:
            plan = replace(plan, normalization="none")
        table = table or self.table
        if table is not None:
            plan = replace(plan, matmuls=None, error=None)
        found, count = msign_counted(X, table, plan)
        self.matmuls += count
        return found.to(self.wide)

    def mm(self, a: Tensor, b: Tensor) -> Tensor:
        """a·b; nothing is counted where nothing is there."""
        self.matmuls += bool(a.numel() and b.numel())
        return ops.mm(a, b)

    def sum(self, terms: Sequence[tuple[Tensor, float]], shift: float | None = None) -> Tensor:
        """Σ weight·matrix + shift·I, rounded once."""
        return ops.weighted_sum(terms, shift)

    def tall(self, M: Tensor) -> Tensor:
        """M or Mᵀ, whichever has the smaller MᵀM."""
        return M.mT if M.shape[-2] < M.shape[-1] else M

    def like(self, M: Tensor, X: Tensor) -> Tensor:
        """X, made of tall(M), turned back."""
        return X.mT if M.shape[-2] < M.shape[-1] else X

"""msign on matrices with a known singular value decomposition."""

from __future__ import annotations

import torch
from torch import Tensor

from polydesign.evaluation.rounding import allowance
from polydesign.model import InputError, Table
from polydesign.runtime import msign, msign_with_info
from polydesign.verify.cases import Case, Setting, wide

SUBSPACE_ROUNDS = 16
"""Each turns the space towards the leading singular vectors by (‖rounding‖/σ_k)² of what is missing."""


def msign_case(setting: Setting) -> Case:
    """U Vᵀ; what rounding explains is evaluation/rounding.allowance."""
    known, table, plan = setting.known, setting.table, setting.plan
    M = known.matrix.to(setting.device)
    result, info = msign_with_info(M, table, plan)
    norm = info.norm.cpu()
    x = known.sigma / torch.where(norm == 0, torch.ones_like(norm), norm)[:, None]
    sides = (known.matrix.shape[-2], known.matrix.shape[-1])

    def rounded() -> Tensor:
        stored = wide((known.matrix / norm[:, None, None]).to(setting.dtype))
        return torch.stack([_leading_polar_factor(X, U) for X, U in zip(stored, known.U, strict=True)])

    def run(prefix: Table) -> Tensor:
        return wide(msign(M, prefix, plan))

    def explained(judged: Tensor) -> float:
        if not torch.isfinite(x).all():
            raise InputError("spectrum", f"{known.name} has no norm in {plan.dtype}: choose another")
        return allowance(table.schedule, str(plan.dtype), sides, smallest=float(x[judged].min()))

    return Case(
        x=x,
        left=known.U,
        right=known.V,
        exponent=1,
        exact=known.U @ known.V.mT,
        result=wide(result),
        run=run,
        rounded=rounded,
        explained=explained,
    )


def _leading_polar_factor(X: Tensor, U: Tensor) -> Tensor:
    """The polar factor of the best approximation of X that has U's rank; U: (m, k), close to its range.

    Rounding fills the null space of a matrix of low rank, and what it puts there is none of its singular
    values. Without a null space it is the polar factor itself; else subspace iteration finds the range.
    """
    Q = U
    if U.shape[-1] < min(X.shape):
        for _ in range(SUBSPACE_ROUNDS):
            Q = torch.linalg.qr(X @ (X.mT @ Q)).Q
        left, _, right = torch.linalg.svd(Q.mT @ X, full_matrices=False)
        return Q @ left @ right
    left, _, right = torch.linalg.svd(X, full_matrices=False)
    return left @ right

"""msign and mcsgn on matrices with a known singular value decomposition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from polydesign.model import InputError, Table
from polydesign.runtime import Run, mcsgn, mcsgn_with_info, msign, msign_with_info
from polydesign.runtime.normalize import NORMALIZATIONS
from polydesign.verification.cases import Case, Setting, nonzero, of_signs, wide
from polydesign.verification.samples import Sample

SUBSPACE_ROUNDS = 16
"""Each turns the space towards the leading singular vectors by (‖rounding‖/σ_k)² of what is missing."""


def msign_case(setting: Setting) -> Case:
    """U Vᵀ, under aol that of diag(s) M."""
    M = setting.known.matrix.to(setting.device)
    result, info = msign_with_info(M, setting.table, setting.plan)

    def run(prefix: Table) -> Tensor:
        # As the whole schedule ran: fewer steps might be given other restarts.
        steps = len(prefix.schedule.steps)
        restarts = tuple(r for r in info.restarts if r < steps) if info.form == "gram" else None
        return wide(msign(M, prefix, replace(setting.plan, form=info.form, restarts=restarts)))

    return _case(setting, info, wide(result), run)


def mcsgn_case(setting: Setting) -> Case:
    """M (M²)^(−1/2) for symmetric M: the eigenvalues of P with every second sign turned.

    There mcsgn is msign, and rounding explains as much. Of non-normal M nothing is promised.
    """
    known, table, plan = setting.known, setting.table, setting.plan
    signs = torch.ones_like(known.sigma)
    signs[:, 1::2] = -1
    M = (known.V * (known.sigma * signs)[:, None, :]) @ known.V.mT
    turned = replace(setting, known=replace(known, matrix=M, U=known.V * signs[:, None, :]))
    result, info = mcsgn_with_info(M.to(setting.device), table, plan)

    def run(prefix: Table) -> Tensor:
        return wide(mcsgn(M.to(setting.device), prefix, plan))

    return _case(turned, info, wide(result), run)


def _case(setting: Setting, info: Run, result: Tensor, run: Callable[[Table], Tensor]) -> Case:
    """The polar factor."""
    start = _divided(setting, info.norm.cpu())

    def rounded() -> Tensor:
        stored = wide(start.matrix.to(setting.dtype))
        return torch.stack([_leading_polar_factor(X, U) for X, U in zip(stored, start.U, strict=True)])

    def explained(judged: Tensor) -> float:
        if not torch.isfinite(start.sigma).all():
            raise InputError("spectrum", f"{start.name} has no norm in {info.dtype}: choose another")
        return of_signs(setting, result.shape, start.sigma, judged)

    return Case(
        x=start.sigma,
        left=start.U,
        right=start.V,
        exact=start.U @ start.V.mT,
        result=result,
        run=run,
        rounded=rounded,
        explained=explained,
        form=info.form,
        restarts=info.restarts,
    )


def _divided(setting: Setting, norm: Tensor) -> Sample:
    """What the iteration starts from, before it is rounded: the matrices divided, decomposed."""
    known = setting.known
    if setting.normalization != "aol":
        size = nonzero(norm)[:, None]
        return replace(known, matrix=known.matrix / size[..., None], sigma=known.sigma / size)
    # aol rescales the rows of the shorter side, which changes both factors.
    tall = known.matrix.shape[-2] > known.matrix.shape[-1]
    X = NORMALIZATIONS["aol"](known.matrix.mT if tall else known.matrix, torch.float64).matrix
    X = X.mT if tall else X
    U, sigma, Vt = torch.linalg.svd(X, full_matrices=False)
    rank = known.sigma.shape[-1]  # rescaling by positive factors does not change it
    return Sample(known.name, X, U[..., :rank], sigma[:, :rank], Vt[:, :rank].mT)


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

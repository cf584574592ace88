"""range_projector on matrices with a known singular value decomposition, by the unnested formula.

It stands for the truncation, the rank and the pseudo-inverse, which are made of the same projector and have
no entry of their own.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from polydesign.model import Table
from polydesign.runtime import range_projector
from polydesign.runtime.normalize import NORMALIZATIONS
from polydesign.verification.cases import Case, Setting, of_signs, refuse_rescaling, wide

SHARE = 0.5
"""θ over the root mean square of the singular values, null space and all: something is always above it."""


def projector_case(setting: Setting) -> Case:
    """2P − I on the shorter side, the sign of Y = (MMᵀ − θ²·I)/ν², for M with no more rows than columns.

    ν is the bound of ‖M‖₂ that the normalization gives, the largest of the batch, and θ is SHARE times the
    root mean square of all singular values. The signs of Y's eigenvalues y are part of the vectors, so that
    x = |y|; a null space of M has y = −θ²/ν². What rounds is the sign alone, Y comes in float64. Raises
    InputError for aol and none.
    """
    known = setting.known
    refuse_rescaling(setting, "bounds no norm that a threshold could refer to: schatten8")
    m, n = known.matrix.shape[-2:]
    side, basis = ("left", known.U) if m <= n else ("right", known.V)
    short = known.matrix if m <= n else known.matrix.mT
    squares = known.sigma.square().sum().item() / (known.matrix.shape[0] * min(m, n))
    theta = SHARE * squares**0.5 or 1.0
    norm = max(NORMALIZATIONS[setting.normalization](short, torch.float64).norm().max().item(), theta)
    y, Q = _eigen(known.sigma / norm, basis, theta / norm)
    signs = torch.where(y >= 0, 1.0, -1.0).to(y)
    plan = replace(setting.plan, normalization=setting.normalization)

    def run(other: Table) -> Tensor:
        M = known.matrix.to(setting.device)
        return _doubled(
            wide(range_projector(M, theta, side=side, table=other, plan=plan, formula="unnested"))
        )

    def rounded() -> Tensor:
        Y = (Q * y[:, None, :]) @ Q.mT
        values, vectors = torch.linalg.eigh(wide(((Y + Y.mT) / 2).to(setting.dtype)))
        return (vectors * torch.where(values >= 0, 1.0, -1.0).to(y)[:, None, :]) @ vectors.mT

    return Case(
        x=y.abs(),
        left=Q * signs[:, None, :],
        right=Q,
        exact=(Q * signs[:, None, :]) @ Q.mT,
        result=run(setting.table),
        run=run,
        rounded=rounded,
        explained=lambda judged: of_signs(setting, (min(m, n), min(m, n)), y.abs(), judged),
    )


def _eigen(x: Tensor, basis: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """Eigenvalues x² − τ² and eigenvectors of Y, the null space with them."""
    rank, side = basis.shape[-1], basis.shape[-2]
    full = torch.cat([basis, torch.linalg.qr(basis, mode="complete").Q[..., rank:]], dim=-1)
    return torch.nn.functional.pad(x, (0, side - rank)).square() - tau**2, full


def _doubled(P: Tensor) -> Tensor:
    """2P − I."""
    return 2 * P - torch.eye(P.shape[-1], dtype=P.dtype)

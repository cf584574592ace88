"""What is wrong with a computed polar factor, in float64; pure functions of X and a known decomposition.

X: (b, m, n), the result. U: (b, m, k), V: (b, n, k), orthonormal columns, as in `spectra.Sample`. All are
float64 and finite.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Deviation:
    """count values σ, with the largest and the root mean square |σ − 1|; None where there are none."""

    count: int
    worst: float | None
    rms: float | None


def deviation(X: Tensor, U: Tensor, V: Tensor, chosen: Tensor) -> Deviation:
    """How far X is from 1 on the chosen singular vectors; chosen: bool (b, k).

    The values are the singular values of C = U_rᵀ X V_r, with U_r, V_r the chosen columns. They do not
    depend on the basis that equal singular values leave free, and they see off-diagonal errors, which
    u_iᵀ X v_i does not. A value that came out with the wrong sign must not count as 1: where the symmetric
    part of C is not positive, its eigenvalues are taken.
    """
    parts = []
    for x, u, v, keep in zip(X, U, V, chosen, strict=True):
        if keep.any():
            C = u[:, keep].mT @ x @ v[:, keep]
            values = torch.linalg.eigvalsh((C + C.mT) / 2)
            parts.append((values if values[0] <= 0 else torch.linalg.svdvals(C)) - 1)
    if not parts:
        return Deviation(0, None, None)
    off = torch.cat(parts).abs()
    return Deviation(off.numel(), off.max().item(), off.square().mean().sqrt().item())


def orthogonality(X: Tensor) -> float:
    """‖X Xᵀ − I‖_F/√n with n the smaller dimension; the largest of the batch."""
    X = X if X.shape[-2] <= X.shape[-1] else X.mT
    n = X.shape[-2]
    difference = X @ X.mT - torch.eye(n, dtype=X.dtype)
    return torch.linalg.matrix_norm(difference).max().item() / n**0.5


def polar_distance(X: Tensor, U: Tensor, V: Tensor) -> float:
    """‖X − U Vᵀ‖_F/√rank; the largest of the batch. What grew out of the null space counts."""
    return torch.linalg.matrix_norm(X - U @ V.mT).max().item() / U.shape[-1] ** 0.5


def measured_map(X: Tensor, U: Tensor, V: Tensor) -> Tensor:
    """u_iᵀ X v_i, shape (b, k): what became of each singular value."""
    return (U * (X @ V)).sum(dim=-2)

"""What is wrong with a computed matrix function, in float64; pure functions of X and a known decomposition.

X: (b, m, n), the result. left: (b, m, k) and right: (b, n, k) are such that leftᵀ E right = I for the exact
result E: for a polar factor the singular vectors U and V, as in `samples.Sample`; for P^(−s/r) both are
V Λ^(s/2r). All are float64 and finite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import scipy.linalg
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Deviation:
    """count values, with the largest and the root mean square |σ − 1|; None where there are none."""

    count: int
    worst: float | None
    rms: float | None


def values(X: Tensor, left: Tensor, right: Tensor, chosen: Tensor) -> Tensor:
    """What X is on the chosen vectors, one number each, in one row for the whole batch; chosen: bool (b, k).

    They are the singular values of C = leftᵀ X right with the chosen columns. They do not depend on the basis
    that equal singular values leave free, and they see off-diagonal errors, which u_iᵀ X v_i does not. A
    value that came out with the wrong sign must not count as 1: where the symmetric part of C is not
    positive, its eigenvalues are taken.
    """
    parts = [torch.zeros(0, dtype=torch.float64)]
    for x, u, v, keep in zip(X, left, right, chosen, strict=True):
        if keep.any():
            C = u[:, keep].mT @ x @ v[:, keep]
            symmetric = (C + C.mT) / 2
            positive = torch.linalg.cholesky_ex(symmetric).info == 0
            parts.append(torch.linalg.svdvals(C) if positive else torch.linalg.eigvalsh(symmetric))
    return torch.cat(parts)


def deviation(X: Tensor, left: Tensor, right: Tensor, chosen: Tensor) -> Deviation:
    """How far X is from the exact result on the chosen vectors: |v − 1| for each of `values`."""
    off = (values(X, left, right, chosen) - 1).abs()
    if not off.numel():
        return Deviation(0, None, None)
    return Deviation(off.numel(), off.max().item(), off.square().mean().sqrt().item())


def orthogonality(X: Tensor) -> float:
    """‖X Xᵀ − I‖_F/√n with n the smaller dimension; the largest of the batch."""
    X = X if X.shape[-2] <= X.shape[-1] else X.mT
    n = X.shape[-2]
    difference = X @ X.mT - torch.eye(n, dtype=X.dtype)
    return torch.linalg.matrix_norm(difference).max().item() / n**0.5


def mean_error(X: Tensor, exact: Tensor) -> float:
    """Mean |X − exact| over the entries; the largest of the batch."""
    return (X - exact).abs().mean(dim=(-2, -1)).max().item()


def relative_error(X: Tensor, exact: Tensor) -> float | None:
    """‖X − exact‖_F/‖exact‖_F; the largest of the batch. None for an exact zero.

    For a polar factor U Vᵀ this is ‖X − U Vᵀ‖_F/√rank: what grew out of the null space counts.
    """
    size = torch.linalg.matrix_norm(exact)
    return (torch.linalg.matrix_norm(X - exact) / size).max().item() if (size > 0).all() else None


def measured_map(X: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """left_iᵀ X right_i, shape (b, k): what became of each singular value or eigenvalue."""
    return (left * (X @ right)).sum(dim=-2)


def lyapunov_by_eigenvectors(P: Tensor, C: Tensor) -> Tensor | None:
    """X with PX + XP = C for symmetric P, (b, n, n), in its eigenvectors; None where P is not positive."""
    values, V = torch.linalg.eigh((P + P.mT) / 2)
    if (values <= 0).any():
        return None
    return V @ ((V.mT @ C @ V) / (values[..., :, None] + values[..., None, :])) @ V.mT


def riccati_by_schur(A: Tensor, G: Tensor, Q: Tensor) -> Tensor | None:
    """The stabilizing X with AᵀX + XA − XGX + Q = 0, (b, n, n), by ordered Schur vectors in float64 (Laub,
    1979); None where the Hamiltonian has no n eigenvalues in the left half plane."""
    found = []
    for a, g, q in zip(A.double(), G.double(), Q.double(), strict=True):
        n = a.shape[-1]
        H = torch.cat([torch.cat([a, -g], dim=-1), torch.cat([-q, -a.mT], dim=-1)], dim=-2)
        ordered: Any = scipy.linalg.schur(H.numpy(), sort="lhp")
        if ordered[2] != n:
            return None
        Z = torch.from_numpy(ordered[1])
        X = torch.linalg.solve(Z[:n, :n].mT, Z[n:, :n].mT)
        found.append((X + X.mT) / 2)
    return torch.stack(found)


def bilinear_by_solve(A: Tensor, B: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """T⁻¹(I + Δ/2·A) and T⁻¹·Δ·B, T = I − Δ/2·A, Δ = step, by elimination in float64: of `bilinear`."""
    half, B = A.to("cpu", torch.float64) * (step / 2), B.to("cpu", torch.float64)
    eye = torch.eye(A.shape[-1], dtype=torch.float64)
    return torch.linalg.solve(eye - half, eye + half), torch.linalg.solve(eye - half, step * B)


def spectral(M: Tensor, g: Callable[[Tensor], Tensor]) -> Tensor:
    """U g(Σ) Vᵀ in float64 by a singular value decomposition of M (..., m, n): the reference of
    `spectral_clip` and its kin. g maps singular values, elementwise; beyond them, in the null space of a wide
    or tall M, nothing is added, and inside it g(0) meets singular vectors that M does not determine."""
    U, sigma, Vt = torch.linalg.svd(M.to("cpu", torch.float64), full_matrices=False)
    return (U * g(sigma)[..., None, :]) @ Vt


def clipped(sigma: Tensor, low: float, high: float) -> Tensor:
    """max(α, min(σ, β)), with no lower end for α <= 0."""
    return sigma.clamp(min=max(low, 0.0), max=high)


def softly_clipped(sigma: Tensor, high: float) -> Tensor:
    """σ/√(1 + σ²/c²), c = high."""
    return sigma / (1 + (sigma / high).square()).sqrt()


def msign_derivative(M: Tensor, D: Tensor) -> Tensor:
    """The derivative of U Vᵀ at M = U Σ Vᵀ (..., m, n), of full rank, along D, by a decomposition in float64.

    In the bases U and V, with zeros added to M until it is square, entries ij of the symmetric part of D give
    nothing and those of the antisymmetric part 2/(σ_i + σ_j) times themselves; of D outside of the smaller
    side 1/σ_i times themselves.
    """
    M, D = (X.to("cpu", torch.float64) for X in (M, D))
    if M.shape[-2] > M.shape[-1]:
        return msign_derivative(M.mT, D.mT).mT
    U, sigma, Vt = torch.linalg.svd(M, full_matrices=False)
    E = U.mT @ D @ Vt.mT
    inside = (E - E.mT) / (sigma[..., :, None] + sigma[..., None, :])
    outside = (U.mT @ D - E @ Vt) / sigma[..., :, None]
    return U @ (inside @ Vt + outside)

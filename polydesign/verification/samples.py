"""What a test matrix is: a batch in float64 with its singular value, or eigenvalue, decomposition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polydesign.model import InputError
from polydesign.runtime.checks import check_square, check_symmetric

RANK_TOLERANCE = 2.0**-52
"""Times the larger side and the largest singular value: what lies below it counts as zero."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A batch of b matrices M = U diag(sigma) Vᵀ of numerical rank k; all float64, on the CPU.

    matrix: (b, m, n); U: (b, m, k) and V: (b, n, k) with orthonormal columns; sigma: (b, k), all positive.
    The null space is not part of the decomposition; a zero matrix has k = 0. Where the matrix is symmetric
    positive, U is V and sigma are its eigenvalues.
    """

    name: str
    matrix: Tensor
    U: Tensor
    sigma: Tensor
    V: Tensor


def from_matrix(matrix: Any, name: str) -> Sample:
    """A given real matrix (m, n), decomposed in float64; σ <= max(m, n)·2⁻⁵²·σ_max counts as zero."""
    M = torch.as_tensor(matrix)
    if M.ndim != 2 or M.numel() == 0:
        raise InputError(name, f"must be one matrix with two dimensions, not of shape {tuple(M.shape)}")
    if M.layout is not torch.strided or M.is_quantized or M.is_meta:
        raise InputError(name, "is not a plain dense tensor: write M.to_dense(), or M.dequantize()")
    if M.is_complex():
        raise InputError(name, "is complex, and only real matrices are run: give its real part")
    M = M.detach().cpu().to(torch.float64)
    if not torch.isfinite(M).all():
        raise InputError(name, "holds NaN or infinity: give a finite matrix")
    U, sigma, Vt = torch.linalg.svd(M, full_matrices=False)
    rank = int((sigma > max(M.shape) * RANK_TOLERANCE * sigma[0]).sum())
    if rank == 0:
        raise InputError(name, "is zero and has no singular value to look at: give another matrix")
    return Sample(name, M[None], U[None, :, :rank], sigma[None, :rank], Vt[None, :rank].mT)


def from_symmetric(known: Sample) -> Sample:
    """The same matrices with their eigenvalue decomposition, for operators on symmetric P >= 0.

    Raises InputError for what is not square, not symmetric within its rounding, or has an eigenvalue below
    −n·2⁻⁵²·λ_max.
    """
    P = known.matrix
    check_square(known.name, P)
    check_symmetric(known.name, P)
    values, V = torch.linalg.eigh((P + P.mT) / 2)
    tolerance = P.shape[-1] * RANK_TOLERANCE * values.abs().amax(dim=-1)
    if (values[:, 0] < -tolerance).any():
        raise InputError(
            known.name, f"is not positive: its least eigenvalue is {values.min():.3g}; give one that is"
        )
    rank = known.sigma.shape[-1]
    return Sample(known.name, P, V[..., -rank:], values[:, -rank:], V[..., -rank:])


def with_random_factors(
    name: str, shape: tuple[int, int], sigma: Tensor, generator: torch.Generator
) -> Sample:
    """U diag(σ) Vᵀ for σ (b, k), with U and V the orthogonal factors of Gaussian matrices."""
    b, k = sigma.shape
    U, V = (
        torch.linalg.qr(torch.randn((b, side, k), generator=generator, dtype=torch.float64)).Q
        for side in shape
    )
    return Sample(name, (U * sigma[:, None, :]) @ V.mT, U, sigma, V)


def positive(known: Sample, *, squared: bool) -> Sample:
    """P = U diag(λ) Uᵀ on the smaller side of the sample's matrices, (b, n, n) with n = min(shape).

    λ = σ, or with `squared` σ²/σ_max: then P = x·xᵀ/‖x‖₂ for x the sample's matrix, on the same scale.
    """
    wide = known.matrix.shape[-2] <= known.matrix.shape[-1]
    V = known.U if wide else known.V
    values = known.sigma.square() / known.sigma.amax(dim=-1, keepdim=True) if squared else known.sigma
    P = (V * values[:, None, :]) @ V.mT
    return Sample(known.name, (P + P.mT) / 2, V, values, V)

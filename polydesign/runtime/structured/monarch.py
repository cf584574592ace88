"""Monarch matrices M = P L Pᵀ R: two block-diagonal factors, and a transposition of the blocks between them.

R: (..., k, j, i), k blocks of j×i; L: (..., j, l, k), j blocks of l×k. M is l·j × k·i, and entry
(l′·j + j′, k′·i + i′) of it is L[j′, l′, k′]·R[k′, j′, i′], so that each of the k·j slices of fixed j′ and k′
is an l×i matrix of rank one. All sides √n give the n×n matrices of Dao, Chen, Sohoni, Desai, Poli, Grogan,
Liu, Rao, Rudra, Ré (Monarch, arXiv 2204.00595, section 3). Kronecker products are among them.

L, R and X have one batch. Inputs are not changed and nothing is shared with them. Raised everywhere:
InputError for what is not floating, does not fit, or, but for `monarch_apply`, which looks at no data, holds
NaN or infinity.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from polydesign.model import InputError, check_integer
from polydesign.runtime import ops
from polydesign.runtime.checks import check_finite, check_matrix
from polydesign.runtime.surroundings import pinned, seen

APPLIED_TO_COMPLEX = "write torch.complex(monarch_apply(L, R, X.real), monarch_apply(L, R, X.imag))"
DENSE_OF_COMPLEX = (
    'write torch.einsum("...jlk,...kji->...ljki", L, R).flatten(-4, -3).flatten(-2, -1) for L and R of one '
    "complex dtype, which is M"
)
PROJECTION_OF_COMPLEX = (
    "write monarch_project(M.real) and monarch_project(M.imag), the nearest Monarch matrices of both"
)
"""The real matrix of twice the sides has other slices."""


def monarch_apply(L: Tensor, R: Tensor, X: Tensor) -> Tensor:
    """M X, (..., l·j, e), for X (..., k·i, e), by two batched products; M is never formed.

    Multiplications: e·k·j·(i + l), 2n^(3/2)·e for all sides √n, in place of e·n². The products run in the
    widest dtype among the three, and what is between them is rounded to it.
    """
    k, i = _sides(L, R)
    check_matrix("X", X, APPLIED_TO_COMPLEX)
    if X.shape[-2] != k * i or X.shape[:-2] != R.shape[:-3]:
        raise InputError("X", f"has shape {tuple(X.shape)}, and R {tuple(R.shape)}: X is (..., {k * i}, e)")
    dtype = torch.promote_types(torch.promote_types(L.dtype, R.dtype), X.dtype)
    with pinned(X.device.type):
        middle = ops.mm(R.to(dtype), X.to(dtype).unflatten(-2, (k, i)))
        result = ops.mm(L.to(dtype), middle.transpose(-3, -2))
        return result.transpose(-3, -2).flatten(-3, -2)


def monarch_dense(L: Tensor, R: Tensor) -> Tensor:
    """M itself, (..., l·j, k·i), in the wider dtype of the two. For tests and small sizes."""
    _sides(L, R)
    for name, factor in (("L", L), ("R", R)):
        if seen(factor):
            check_finite(name, factor, "")
    return torch.einsum("...jlk,...kji->...ljki", *_common(L, R)).flatten(-4, -3).flatten(-2, -1)


def monarch_project(M: Tensor, blocks: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
    """L and R of the Monarch matrix nearest to M, (..., m, n), in the Frobenius norm.

    blocks: j of L, which divides m, and k of R, which divides n. None: the largest divisor of m up to √m, and
    the smallest of n from √n on, so that square M has square blocks; of a prime side nothing is saved.

    The nearest rank-one matrix σ₁u₁v₁ᵀ of each slice, by singular value decompositions in float32 at least
    (Eckart and Young; the paper's theorem 1): the squared error is the sum of all σ_k², k > 1, of all slices.
    √σ₁ goes to either side, so that L and R are of one size; they are unique up to a factor a slice, and not
    where σ₁ = σ₂. Cost: k·j decompositions of l×i. Source: section 3.3 there. Raises InputError for blocks
    that do not divide the sides.
    """
    check_matrix("M", M, PROJECTION_OF_COMPLEX)
    if seen(M):
        check_finite("M", M, "")
    m, n = M.shape[-2:]
    if not m * n:
        raise InputError("M", f"has shape {tuple(M.shape)}, without an entry: give one with rows and columns")
    j, k = balanced(m, n) if blocks is None else blocks
    for side, count in ((m, j), (n, k)):
        check_integer("blocks", count, 1)
        if side % count:
            raise InputError("blocks", f"{count} does not divide the side {side}: choose one that does")
    with pinned(M.device.type):
        wide = M.to(torch.promote_types(M.dtype, torch.float32))
        # (..., l, j, k, i) -> (..., k, j, l, i)
        slices = wide.unflatten(-1, (k, n // k)).unflatten(-3, (m // j, j)).transpose(-4, -2)
        U, sigma, Vt = torch.linalg.svd(slices, full_matrices=False)
        root = sigma[..., :1].sqrt()
        L = (U[..., :, 0] * root).movedim(-3, -1)
        R = Vt[..., 0, :] * root
    return L.to(M.dtype).contiguous(), R.to(M.dtype).contiguous()


def balanced(m: int, n: int) -> tuple[int, int]:
    """The blocks of `monarch_project` where none are given."""
    j = max(d for d in range(1, math.isqrt(m) + 1) if m % d == 0)
    return j, n // max(d for d in range(1, math.isqrt(n) + 1) if n % d == 0)


def _common(L: Tensor, R: Tensor) -> tuple[Tensor, Tensor]:
    dtype = torch.promote_types(L.dtype, R.dtype)
    return L.to(dtype), R.to(dtype)


def _sides(L: Tensor, R: Tensor) -> tuple[int, int]:
    """k and i of factors that fit."""
    for name, factor in (("L", L), ("R", R)):
        check_matrix(name, factor, DENSE_OF_COMPLEX)
        if factor.ndim < 3:
            shape = "(..., j, l, k)" if name == "L" else "(..., k, j, i)"
            raise InputError(name, f"has shape {tuple(factor.shape)}, and is {shape}: blocks first")
    k, j, i = R.shape[-3:]
    if L.shape[:-3] != R.shape[:-3] or (L.shape[-3], L.shape[-1]) != (j, k):
        raise InputError(
            "L", f"has shape {tuple(L.shape)}, and R {tuple(R.shape)}: L is (..., {j}, l, {k}), of R's batch"
        )
    return k, i

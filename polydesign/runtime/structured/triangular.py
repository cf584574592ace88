"""Inverses of triangular matrices by products: T = Λ + L, L strictly lower, Λ diagonal.

With N = Λ⁻¹L, Nⁿ = 0, so that the r = 1 iteration X ← X(2I − TX) from X = Λ⁻¹ is exact: its residual, −N
at first, is squared in each of ⌈log₂ n⌉ steps and then 0. Written out it is the product (I − N)(I + N²)(I +
N⁴)… Λ⁻¹. Where L is the strictly lower part of QKᵀ, as in DeltaNet, T⁻¹V needs neither T nor its inverse:
blocks of rows, and a d×e state between them, cost O(n) (Yang et al., Parallelizing linear transformers with
the delta rule over sequence length, arXiv 2406.06484).

Results have the wider dtype of the inputs, and the products run in it, in float32 at least. Inputs are not
changed and nothing is shared with them. Raised everywhere: InputError for what is not floating, does not fit,
holds NaN or infinity, and for a zero on the diagonal, where there is no inverse.
"""

from __future__ import annotations

import torch
from torch import Tensor

from polydesign.model import InputError, check_integer
from polydesign.runtime import ops
from polydesign.runtime.checks import check_finite, check_matrix, check_square


def triangular_inverse(T: Tensor) -> Tensor:
    """T⁻¹ of lower triangular T, (..., n, n), from ⌈log₂ n⌉ factors: 2⌈log₂ n⌉ − 2 products for n >= 2.

    Exact but for rounding. What is above the diagonal of T is not looked at. Where powers of N are large and
    T⁻¹ is not, they cancel and their rounding stays: substitution loses less there, and so do short blocks.
    """
    check_square("T", T)
    check_finite("T", T)
    diagonal = T.diagonal(dim1=-2, dim2=-1)
    _check_nonzero("T", diagonal)
    with torch.autocast(T.device.type, enabled=False):
        wide = T.to(torch.promote_types(T.dtype, torch.float32))
        return _inverse(wide.diagonal(dim1=-2, dim2=-1), wide.tril(-1)).to(T.dtype)


def lower_solve(diagonal: Tensor, Q: Tensor, K: Tensor, V: Tensor, *, chunk: int = 64) -> Tensor:
    """T⁻¹V for T = Λ + strictly lower part of QKᵀ, without T: (..., n, e).

    diagonal: Λ, (..., n); Q, K: (..., n, d); V: (..., n, e). chunk: rows c of a block. With S the sum of
    k_i x_iᵀ over the rows above, d×e, a block solves T_c X_c = V_c − Q_c S by `triangular_inverse`, and adds
    K_cᵀ X_c to S. Multiplications: n·(c·d + c·e + 2·d·e) and n·c²·(2⌈log₂ c⌉ − 2), linear in n, one block
    after the other; memory: that of the result and of one block.

    Raises InputError also for a chunk below 1.
    """
    for name, M in (("Q", Q), ("K", K), ("V", V)):
        check_matrix(name, M)
        check_finite(name, M)
    if K.shape != Q.shape:
        raise InputError("K", f"has shape {tuple(K.shape)}, and Q {tuple(Q.shape)}: both are (..., n, d)")
    if V.shape[:-1] != Q.shape[:-1]:
        raise InputError("V", f"has shape {tuple(V.shape)}, and Q {tuple(Q.shape)}: V is (..., n, e)")
    if not isinstance(diagonal, Tensor) or diagonal.shape != Q.shape[:-1]:
        raise InputError("diagonal", f"must be a tensor of shape {tuple(Q.shape[:-1])}, one a row of Q")
    check_matrix("diagonal", diagonal[..., None])
    check_finite("diagonal", diagonal)
    _check_nonzero("diagonal", diagonal)
    check_integer("chunk", chunk, 1)
    dtype = torch.promote_types(
        torch.promote_types(Q.dtype, K.dtype), torch.promote_types(V.dtype, diagonal.dtype)
    )
    with torch.autocast(Q.device.type, enabled=False):
        work = torch.promote_types(dtype, torch.float32)
        S = V.new_zeros((*Q.shape[:-2], Q.shape[-1], V.shape[-1]), dtype=work)
        blocks = []
        for start in range(0, Q.shape[-2], chunk):
            rows = slice(start, start + chunk)
            q, k, v = (M[..., rows, :].to(work) for M in (Q, K, V))
            inverse = _inverse(diagonal[..., rows].to(work), ops.mm(q, k.mT).tril(-1))
            x = ops.mm(inverse, v - ops.mm(q, S))
            S = S + ops.mm(k.mT, x)
            blocks.append(x.to(dtype))
        return torch.cat(blocks, dim=-2) if blocks else V.to(dtype).clone()


def _inverse(diagonal: Tensor, L: Tensor) -> Tensor:
    """(Λ + L)⁻¹ = (I − N)(I + N²)(I + N⁴)… Λ⁻¹ for N = Λ⁻¹L."""
    n = L.shape[-1]
    power = L / diagonal[..., None]
    product = ops.weighted_sum([(power, -1.0)], 1.0)
    reached = 2
    while reached < n:
        power = ops.mm(power, power)
        product = ops.mm_add(product, product, power, alpha=1.0, beta=1.0)
        reached *= 2
    return product / diagonal[..., None, :]


def _check_nonzero(name: str, diagonal: Tensor) -> None:
    if (diagonal == 0).any():
        raise InputError(name, "holds a zero on the diagonal of T, which then has no inverse: leave it out")

"""Inverses of triangular matrices by products: T = Λ + L, L strictly lower, Λ diagonal.

Blocks of a few rows on the diagonal are inverted by substitution, all at once, and joined in pairs, log₂ of
their number times: [[A, 0], [C, B]]⁻¹ = [[A⁻¹, 0], [D, B⁻¹]] with D = −B⁻¹·C·A⁻¹. D is refined once, by what
it leaves of C·A⁻¹ + B·D = 0, because a product with an inverse in place of a solve leaves up to cond(B) times
as much as substitution (Du Croz, Higham, Stability of methods for matrix inversion, IMA J. Numer. Anal. 12,
1992; Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., 2002, chapter 14). What is left is
then that of substitution, entry by entry: |TX − I| <= c·u·|T||X|, c about n, u the unit roundoff of what the
products run in, however rows and columns are scaled. Of what was tried, with condition numbers up to 1e18,
nothing left more than 3u (tests/test_substitution.py); check looks at every result.

The finite Neumann product (I − N)(I + N²)(I + N⁴)…Λ⁻¹, N = Λ⁻¹L, has as few steps one after the other, and no
such bound: powers of N cancel, and of order 64 with ones on and below the diagonal it is off by 2e9 in
float32. torch.linalg.solve_triangular has the bound too, and a single matrix on a CPU it solves faster; it is
no product of matrices, which is what accelerators are fast at and all that this package asks of them.

Where L is the strictly lower part of QKᵀ, as in DeltaNet, T⁻¹V needs neither T nor its inverse: blocks of
rows, and a d×e state between them, cost O(n) (Yang et al., Parallelizing linear transformers with the delta
rule over sequence length, arXiv 2406.06484).

Results have the wider dtype of the inputs, and the products run in it, in float32 at least. Inputs are not
changed and nothing is shared with them. Raised everywhere: InputError for what is not floating or does not
fit. With check, which looks at the data, also for NaN or infinity, for a zero on the diagonal, where there is
no inverse; and DivergenceError for a result that its dtype does not hold, or that leaves more of TX − I than
rounding. Under torch.func.vmap write check=False; in compiled or captured code nothing looks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from polydesign.model import DivergenceError, InputError, check_integer, dtype_name
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime import ops
from polydesign.runtime.checks import check_finite, check_matrix, check_square
from polydesign.runtime.surroundings import pinned, seen

INVERSE_OF_COMPLEX = (
    "write torch.linalg.solve_triangular(T.tril(), torch.eye(T.shape[-1], dtype=T.dtype, device=T.device), "
    "upper=False)"
)
SOLUTION_OF_COMPLEX = (
    "write torch.linalg.solve_triangular(torch.diag_embed(diagonal) + (Q @ K.mT).tril(-1), V, upper=False), "
    "with all four of one complex dtype"
)
"""The real matrix of twice the sides of a triangular one is not triangular."""

SHORT = 8
"""Rows of the blocks that are inverted by substitution, at most: so many small products one after another."""


def triangular_inverse(T: Tensor, *, check: bool = True) -> Tensor:
    """T⁻¹ of lower triangular T, (..., n, n), as accurate as substitution; see the module.

    What is above the diagonal of T is not looked at. n rows are cut into 2ᵏ blocks of s = ⌈n/2ᵏ⌉ <= SHORT:
    s − 1 products of one row with a block, and 4k products of n/2, n/4, …, which are (2/3)·n³
    multiplications; the check takes two products of T and its inverse.

    Args:
        T: Any floating dtype; its inverse has the same.
        check: Refuse what has no inverse, and look at what is left of TX − I.
    """
    check_square("T", T, INVERSE_OF_COMPLEX)
    lower = T.tril()
    check = check and seen(T)
    if check:
        check_finite("T", lower, "check=False")
        _check_nonzero("T", lower.diagonal(dim1=-2, dim2=-1))
    with pinned(T.device.type):
        wide = lower.to(torch.promote_types(T.dtype, torch.float32))
        X = lower_inverse(wide)
        found = X.to(T.dtype)
        if check:
            eye = torch.eye(T.shape[-1], dtype=wide.dtype, device=T.device)
            check_solved("T", wide, X, eye, found)
        return found


def lower_solve(
    diagonal: Tensor, Q: Tensor, K: Tensor, V: Tensor, *, chunk: int = 64, check: bool = True
) -> Tensor:
    """T⁻¹V for T = Λ + strictly lower part of QKᵀ, without T: (..., n, e).

    With S the sum of k_i x_iᵀ over the rows above, d×e, a block of c = chunk rows solves T_c X_c = R with R =
    V_c − Q_c S, by the inverse of T_c and one refinement, and adds K_cᵀ X_c to S. So what is left of a block
    is that of substitution too, |T_c X_c − R| <= c·u·(|T_c||X_c| + |R|). Multiplications: n·(c·d + 3·c·e +
    2·d·e), one block after the other, and (2/3)·n·c² for the inverses, all at once; linear in n. Memory:
    2·n·c beside the result. The check takes 2·n·c·e more.

    Args:
        diagonal: Λ, (..., n).
        Q: (..., n, d).
        K: (..., n, d).
        V: (..., n, e).
        chunk: Rows c of a block.
        check: Refuse what has no solution, and look at what is left of each block.

    Raises InputError also for a chunk below 1.
    """
    for name, M in (("Q", Q), ("K", K), ("V", V)):
        check_matrix(name, M, SOLUTION_OF_COMPLEX)
    if K.shape != Q.shape:
        raise InputError("K", f"has shape {tuple(K.shape)}, and Q {tuple(Q.shape)}: both are (..., n, d)")
    if V.shape[:-1] != Q.shape[:-1]:
        raise InputError("V", f"has shape {tuple(V.shape)}, and Q {tuple(Q.shape)}: V is (..., n, e)")
    if not isinstance(diagonal, Tensor) or diagonal.shape != Q.shape[:-1]:
        raise InputError("diagonal", f"must be a tensor of shape {tuple(Q.shape[:-1])}, one a row of Q")
    check_matrix("diagonal", diagonal[..., None], SOLUTION_OF_COMPLEX)
    chunk = check_integer("chunk", chunk, 1)
    check = check and seen(Q, K, V, diagonal)
    if check:
        for name, M in (("Q", Q), ("K", K), ("V", V), ("diagonal", diagonal[..., None])):
            check_finite(name, M, "check=False")
        _check_nonzero("diagonal", diagonal)
    dtype = torch.promote_types(
        torch.promote_types(Q.dtype, K.dtype), torch.promote_types(V.dtype, diagonal.dtype)
    )
    n = Q.shape[-2]
    if not n:
        return V.to(dtype).clone()
    with pinned(Q.device.type):
        work = torch.promote_types(dtype, torch.float32)
        side = min(chunk, n)
        count = -(-n // side)
        more = side * count - n
        # Rows of T that are added have a one on the diagonal alone, and zeros as their solution.
        padded = torch.nn.functional.pad(diagonal.to(work), (0, more), value=1.0)
        q, k, v = (torch.nn.functional.pad(M.to(work), (0, 0, 0, more)) for M in (Q, K, V))
        q, k, v = (M.unflatten(-2, (count, side)) for M in (q, k, v))
        T = torch.diag_embed(padded.unflatten(-1, (count, side))) + ops.mm(q, k.mT).tril(-1)
        inverse = lower_inverse(T)
        S = v.new_zeros((*Q.shape[:-2], Q.shape[-1], V.shape[-1]))
        rests, solved = [], []
        for block in range(count):
            rest = ops.mm_add(v[..., block, :, :], q[..., block, :, :], S, alpha=-1.0, beta=1.0)
            x = ops.mm(inverse[..., block, :, :], rest)
            left = ops.mm_add(rest, T[..., block, :, :], x, alpha=-1.0, beta=1.0)
            x = ops.mm_add(x, inverse[..., block, :, :], left, alpha=1.0, beta=1.0)
            S = ops.mm_add(S, k[..., block, :, :].mT, x, alpha=1.0, beta=1.0)
            rests.append(rest)
            solved.append(x)
        X = torch.stack(solved, dim=-3)
        found = X.flatten(-3, -2)[..., :n, :].to(dtype)
        if check:
            check_solved("diagonal", T, X, torch.stack(rests, dim=-3), found)
        return found.contiguous()


def lower_inverse(T: Tensor) -> Tensor:
    """T⁻¹ of T that is lower triangular, in its own precision and unchecked; zeros above the diagonal."""
    n, count = T.shape[-1], 1
    if not n:
        return T.clone()
    while SHORT * count < n:
        count *= 2
    side = -(-n // count)
    more = side * count - n
    if more:
        ones = torch.ones(more, dtype=T.dtype, device=T.device)
        T = torch.nn.functional.pad(T, (0, more, 0, more))
        T = T + torch.diag(torch.nn.functional.pad(ones, (n, 0)))
    X = _substituted(_blocks(T, side))
    while side < T.shape[-1]:
        X, side = _joined(T, X), 2 * side
    return X[..., 0, :n, :n].contiguous()


def _blocks(T: Tensor, side: int, below: int = 0) -> Tensor:
    """Blocks on the diagonal, (..., count, side, side); below 1: those under every second of them."""
    count = T.shape[-1] // side
    tiles = T.unflatten(-1, (count, side)).unflatten(-3, (count, side))
    if below:
        tiles = tiles[..., 1::2, :, 0::2, :]
    return tiles.diagonal(dim1=-4, dim2=-2).movedim(-1, -3)


def _substituted(T: Tensor) -> Tensor:
    """Inverses by substitution, row after row: x_i = (e_i − Σ_j T_ij x_j)/T_ii."""
    eye = torch.eye(T.shape[-1], dtype=T.dtype, device=T.device).expand(T.shape)
    X = eye[..., :1, :] / T[..., :1, :1]
    for row in range(1, T.shape[-1]):
        here = slice(row, row + 1)
        above = ops.mm_add(eye[..., here, :], T[..., here, :row], X, alpha=-1.0, beta=1.0)
        X = torch.cat([X, above / T[..., here, here]], dim=-2)
    return X


def _joined(T: Tensor, X: Tensor) -> Tensor:
    """Inverses of blocks of twice the side, from those of the blocks."""
    side = X.shape[-1]
    A, B = X[..., 0::2, :, :], X[..., 1::2, :, :]
    CA = ops.mm(_blocks(T, side, below=1), A)
    D = -ops.mm(B, CA)
    left = ops.mm_add(CA, _blocks(T, side)[..., 1::2, :, :], D, alpha=1.0, beta=1.0)
    D = ops.mm_add(D, B, left, alpha=-1.0, beta=1.0)
    return torch.cat([torch.cat([A, torch.zeros_like(A)], dim=-1), torch.cat([D, B], dim=-1)], dim=-2)


def check_solved(
    name: str, T: Tensor, X: Tensor, right: Tensor, found: Tensor, switch: str = "check=False"
) -> None:
    """Raise DivergenceError for X with an entry of |TX − right| above 4·(n + 2)·u·(|T||X| + |right|).

    That is twice what substitution, and a product to judge it by, are proved to leave; n: the side of T.
    name: the argument that has to be wider. found: X as it is handed out, which has to be finite. switch:
    what gives X all the same, "" for nothing. Looks at the data.
    """
    dtype, wider = dtype_name(T.dtype), f"write {name}.to(torch.float64)"
    if not torch.isfinite(found).all():
        if torch.isfinite(X).all():
            wider = f"write {name}.to(torch.{dtype})"
        elif dtype == "float64":
            wider = "scale the rows of T"
        what = f"the result does not fit in {dtype_name(found.dtype)}: {wider}"
        _raise(~torch.isfinite(found), what, switch)
    T, X, right = T.detach(), X.detach(), right.detach()
    off = ops.mm_add(right.expand(X.shape), T, X, alpha=-1.0, beta=1.0).abs()
    sizes = ops.mm(T.abs(), X.abs()) + right.abs()
    room = 4 * (T.shape[-1] + 2)
    # Where products underflow, what is lost is no multiple of them.
    allowed = room * UNIT_ROUNDOFF[dtype] * sizes + T.shape[-1] * torch.finfo(T.dtype).tiny
    beyond = ~(off <= allowed)
    if beyond.any():
        worst = (off / allowed)[beyond].nan_to_num(nan=torch.inf).max().item() * room
        if dtype == "float64":
            wider = "take torch.linalg.solve_triangular"
        what = f"of TX {worst:.2g} roundings of {dtype} are left, and by substitution {room} at most: {wider}"
        _raise(beyond, what, switch)


def _raise(beyond: Tensor, what: str, switch: str) -> None:
    where = beyond.flatten(-2).any(dim=-1).nonzero()[0].tolist()
    matrix = f"matrix [{', '.join(map(str, where))}]: " if where else ""
    without = f"; {switch} gives the result as it is" if switch else ""
    raise DivergenceError(f"{matrix}{what}{without}")


def _check_nonzero(name: str, diagonal: Tensor) -> None:
    zeros = (diagonal == 0).nonzero()
    if len(zeros):
        where = ", ".join(map(str, zeros[0].tolist()))
        raise InputError(
            name, f"holds a zero on the diagonal of T, at [{where}], which then has no inverse: leave it out"
        )

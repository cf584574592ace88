"""Division by an upper bound of the spectral norm, safe at every scale.

A normalization takes a batch of matrices and the dtype of the state, and gives X with ‖X‖₂ <= 1 up to the
rounding of that dtype (a table's headroom covers this). It never makes NaN or infinity out of finite input,
maps a zero matrix to zero, and gives the same bits for M and for 2ᵏ·M as long as no entry that matters
overflows or becomes subnormal. `none` divides by nothing, and promises only what its caller does.

The bounds below come from the Gram matrix A = M Mᵀ, which the first step of `execute.direct` needs anyway.
So A is formed once, as a product of the state's precision, and handed on: the bound then costs that step
nothing. Recomputing A from the rounded X, or forming it in float32, was measured to give no better result:
schatten4 and aol on 128 x 256 (gaussian, logspace, harmonic, rank1, rank2; default tables of bfloat16 and
float16; 3 seeds) have the least error now with one of the three, now with another. On the way to A = Y Yᵀ,
rounding Y lowers a bound by a factor 1 − u, u the unit roundoff of the state, and rounding A by 1 − u/2,
where all entries round down together, as equal entries do; so these bounds are multiplied by 1 + u, and what
is left is below the rounding of X itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from polydesign.runtime import ops

_LAYOUT = {torch.float32: (torch.int32, 127, 23), torch.float64: (torch.int64, 1023, 52)}
"""IEEE 754: integer of the same width, exponent bias, bits of the fraction."""


LIFT = 2.0**7
"""Gram matrices are formed of Y with ‖Y‖_F = 2⁷: float16 holds their 2¹⁴, and loses fewer small entries."""

SMALL = 1 << 14
"""Entries of a matrix that is divided in float64; larger ones would take more memory."""

POWER_STEPS = 16
POWER_VECTORS = 8
POWER_MARGIN = 1.1
"""Of `power`; see there."""


class LongSide(Protocol):
    """The sums along the side that is n of m×n, where that is spread over ranks; see sharded/long_side.py."""

    def scaled(self, W: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """W·2^(−e), e, ‖W·2^(−e)‖_F with 1 for a zero matrix, and where there is one; of the whole matrix."""
        ...

    def gram(self, X: Tensor) -> Tensor:
        """X Xᵀ of the whole X, in X's dtype."""
        ...


class Normalized(NamedTuple):
    """matrix: X (..., m, n) in the state's dtype; the divisor of each matrix is scaled_norm·2^exponent.

    scaled_norm and exponent have shape (..., 1, 1): the norm itself may not fit a narrow dtype. gram: X Xᵀ
    in the state's dtype, where it came about on the way. products: matrix products that ran for all this.
    """

    matrix: Tensor
    scaled_norm: Tensor
    exponent: Tensor
    gram: Tensor | None = None
    products: int = 0

    def norm(self) -> Tensor:
        """What each matrix was divided by, shape (...), in float64."""
        return times_power_of_two(self.scaled_norm.double(), self.exponent)[..., 0, 0]


def times_power_of_two(x: Tensor, exponent: Tensor) -> Tensor:
    """x·2^exponent for float32 and float64, in two factors so that 2^exponent itself cannot overflow.

    torch.ldexp computes pow(2, exponent) in floating point: it overflows for exponents that the result does
    not, and its pow need not be exact. Here each factor is written as bits.
    """
    integer, bias, fraction = _LAYOUT[x.dtype]
    # The clamp only matters for the unspecified exponent that frexp gives for NaN and infinity.
    exponent = exponent.to(integer).clamp(-2 * bias + 2, 2 * bias)
    half = exponent >> 1
    for part in (half, exponent - half):
        x = x * ((part + bias) << fraction).view(x.dtype)
    return x


def scaled_to_one(W: Tensor) -> tuple[Tensor, Tensor]:
    """W·2^(−e) and e, shape (..., 1, 1), with the largest entry of each matrix in [1/2, 1); exact.

    W: float32 or float64, no side empty. A zero matrix stays as it is.
    """
    exponent = torch.frexp(W.abs().amax(dim=(-2, -1), keepdim=True)).exponent
    return times_power_of_two(W, -exponent), exponent


def frobenius(M: Tensor, dtype: torch.dtype, side: LongSide | None = None) -> Normalized:
    """M/‖M‖_F. Bound guaranteed: ‖M‖₂ <= ‖M‖_F, with equality for rank one.

    M: (..., m, n), m, n >= 1, floating. Entries are first scaled by the power of two that brings the largest
    of each matrix into [1/2, 1): exact, and the squares of entries that matter neither overflow nor
    underflow. Norm and division are in float32, or float64 where M or dtype is; the result is rounded to
    `dtype` last, so that a narrow exponent range never meets the unnormalized values. Small matrices are
    divided in float64, whose range needs no scaling: that takes a third of the time, which is most of a call.
    """
    if side is None and M.dtype != torch.float64 and M.shape[-2] * M.shape[-1] <= SMALL:
        W = M if M.element_size() > 1 else M.float()  # float8 is not promoted
        size = torch.linalg.vector_norm(W, dim=(-2, -1), keepdim=True, dtype=torch.float64)
        X = (W / size.clamp_min(sys.float_info.min)).to(dtype)
        return Normalized(X, size, torch.zeros(size.shape, dtype=torch.int32, device=M.device))
    W, exponent, size, zero = _scaled(M.to(work_dtype(dtype, M)), side)
    return Normalized((W / size).to(dtype), torch.where(zero, torch.zeros_like(size), size), exponent)


def schatten4(M: Tensor, dtype: torch.dtype, side: LongSide | None = None) -> Normalized:
    """M/ν, ν = ‖M Mᵀ‖_F^(1/2) = (Σσ⁴)^(1/4), for M (..., m, n), m <= n. Takes the Gram matrix and no more.

    Bound guaranteed: ‖M‖₂ <= ν <= ‖M‖_F in exact arithmetic; rounding as in the module's docstring.
    """
    W, exponent, size, zero, A = _with_gram(M, dtype, side)
    return _divided(W, exponent, size, zero, A, _size(A).sqrt() / LIFT, dtype, products=1)


def schatten8(M: Tensor, dtype: torch.dtype, side: LongSide | None = None) -> Normalized:
    """M/ν, ν = ‖(M Mᵀ)²‖_F^(1/4) = (Σσ⁸)^(1/8), for M (..., m, n), m <= n. One product for the square.

    Bound guaranteed: ‖M‖₂ <= ν <= (Σσ⁴)^(1/4) in exact arithmetic. A is rounded twice, by u·‖A‖_F at most
    each time, before it is squared, so that rounding may lower ν by u·‖A‖_F/‖A‖₂ where all of it conspires;
    independent roundings cancel. Source: kexue.fm 10922.
    """
    W, exponent, size, zero, A = _with_gram(M, dtype, side)
    scale = _size(A) / LIFT
    B = (A / scale).to(dtype)
    S = ops.sym_mm(B, B).to(A.dtype)
    return _divided(W, exponent, size, zero, A, _size(S) ** 0.25 * scale.sqrt() / LIFT, dtype, products=2)


def power(M: Tensor, dtype: torch.dtype, side: LongSide | None = None) -> Normalized:
    """M/ν, ν = min(1.1·estimate, (Σσ⁴)^(1/4)) for M (..., m, n), m <= n: tightest of all, and no guarantee.

    The estimate is the root of max ‖A v‖/‖v‖ after POWER_STEPS multiplications with A = M Mᵀ, over
    POWER_VECTORS fixed vectors (no random numbers) and the largest column of A; thin products, not counted.
    It is never above ‖M‖₂, and how far below it may lie has no bound. POWER_MARGIN is from experiment:
    ‖M‖₂/estimate was found to reach 1.010, 1.015, 1.023, 1.038 and 1.044 for sides 16, 64, 256, 1024 and 2048
    (scripts/figures/norm_bounds.py), so it grows with the side; worst is one value a tenth above many equal
    ones. Take schatten8 where a rare singular value above 1 must not happen.
    """
    W, exponent, size, zero, A = _with_gram(M, dtype, side)
    with torch.no_grad():
        v = _largest_direction(A)
    estimate = (A @ v).square().sum(dim=(-2, -1), keepdim=True)
    # ‖A v‖ has no derivative where A is zero.
    estimate = nonzero(estimate) ** 0.25
    bound = torch.minimum(POWER_MARGIN * estimate, _size(A).sqrt())
    return _divided(W, exponent, size, zero, A, bound / LIFT, dtype, products=1)


def adaptive(M: Tensor, dtype: torch.dtype, fourth: Callable[[Tensor], bool]) -> Normalized:
    """M/(Σσ⁴)^(1/4) or M/‖M‖_F for M (..., m, n), m <= n, as `fourth` says of ρ = ‖M‖_F/(Σσ⁴)^(1/4), (...).

    Both take the Gram matrix and no more. ρ is not above its exact value by more than the rounding that is
    left (see above), so that σ >= l·‖M‖_F is l·ρ or more of what divides. For a zero matrix it is LIFT, more
    than any matrix has.
    """
    W, exponent, size, zero, A = _with_gram(M, dtype, None)
    bound = _raised(_size(A).sqrt() / LIFT, dtype)
    if not fourth(bound.detach()[..., 0, 0].reciprocal()):
        bound = torch.ones_like(bound)
    return _by(W, exponent, size, zero, A, bound, dtype, products=1)


def aol(M: Tensor, dtype: torch.dtype, side: LongSide | None = None) -> Normalized:
    """diag(s) M, s_i = (Σ_j |A_ij|)^(−1/2), A = M Mᵀ, for M (..., m, n), m <= n. **Changes the answer.**

    Bound guaranteed: ‖diag(s) M‖₂ <= 1, because diag(s) A diag(s) has the eigenvalues of diag(s²) A, whose
    rows sum to at most 1 in absolute value (Turbo-Muon, arXiv 2512.04632). But diag(s) M has another polar
    factor than M: what msign then gives, and what its table promises, is msign(diag(s) M). Each row has its
    own divisor; the norm stated is the largest, ν = (max_i Σ_j |A_ij|)^(1/2) >= ‖M‖₂, and for each singular
    value of M above l·ν there is one of X above l. A row of zeros stays as it is.
    """
    W, exponent, size, zero, A = _with_gram(M, dtype, side)
    sums = A.abs().sum(dim=-1, keepdim=True)
    # Half of the smallest subnormal is what rounding may have taken from each entry.
    lost = A.shape[-1] * torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps / 2
    sums = torch.where(sums == 0, torch.ones_like(sums), sums + lost)
    rows = _raised(sums.sqrt(), dtype) / LIFT
    gram = (A / (LIFT * rows) / (LIFT * rows).mT).to(dtype)
    norm = size * rows.amax(dim=-2, keepdim=True)
    norm = torch.where(zero, torch.zeros_like(norm), norm)
    return Normalized((W / (size * rows)).to(dtype), norm, exponent, gram, products=1)


def none(M: Tensor, dtype: torch.dtype, side: LongSide | None = None) -> Normalized:
    """M rounded to dtype; no bound: the caller vouches for ‖M‖₂ <= u. The norm stated is 1, also for zero."""
    one = torch.ones((*M.shape[:-2], 1, 1), dtype=work_dtype(dtype, M), device=M.device)
    return Normalized(M.to(dtype), one, torch.zeros_like(one, dtype=torch.int32))


NORMALIZATIONS = {
    "frobenius": frobenius,
    "schatten4": schatten4,
    "schatten8": schatten8,
    "power": power,
    "aol": aol,
    "none": none,
}

EMBEDDED = {"frobenius": 2**-0.5, "schatten4": 2**-0.25, "schatten8": 2**-0.125, "power": 2**-0.25}
"""The norm of a complex matrix over that of the real one that stands for it, with each singular value twice;
for `power` at least, see `power_of_complex`."""


def power_of_complex(gram: Tensor) -> Tensor:
    """ν of `power` for a complex matrix, over that of the real one of this Gram matrix, shape (..., 1, 1).

    The estimate is that of both, and (Σσ⁴)^(1/4) is not.
    """
    return (EMBEDDED["power"] * _size(gram).sqrt()).clamp(max=1.0)


def work_dtype(state: torch.dtype, *tensors: Tensor) -> torch.dtype:
    """What norms and scales are computed in: float64 where anything is, else float32."""
    wide = torch.float64 in (state, *(tensor.dtype for tensor in tensors))
    return torch.float64 if wide else torch.float32


def _size(W: Tensor) -> Tensor:
    """‖W‖_F, shape (..., 1, 1); 1 for a zero matrix, so that one can divide by it.

    The derivative of a square root at 0 is infinite, also where its value is not used.
    """
    return nonzero(W.square().sum(dim=(-2, -1), keepdim=True)).sqrt()


def nonzero(x: Tensor) -> Tensor:
    """x with 1 in place of 0, to be divided by."""
    return torch.where(x == 0, torch.ones_like(x), x)


def _scaled(W: Tensor, side: LongSide | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """W·2^(−e), e, ‖W·2^(−e)‖_F with 1 for a zero matrix, and where there is one."""
    if side is not None:
        return side.scaled(W)
    W, exponent = scaled_to_one(W)
    return W, exponent, _size(W), W.abs().amax(dim=(-2, -1), keepdim=True) == 0


def _with_gram(
    M: Tensor, dtype: torch.dtype, side: LongSide | None
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """W = M·2^(−e), e, ‖W‖_F, where M is zero, and A = Y Yᵀ of Y = LIFT·W/‖W‖_F, a product of the state, in
    W's dtype."""
    W, exponent, size, zero = _scaled(M.to(work_dtype(dtype, M)), side)
    Y = (LIFT * (W / size)).to(dtype)
    A = ops.sym_mm(Y, Y.mT) if side is None else side.gram(Y)
    return W, exponent, size, zero, A.to(W.dtype)


def _divided(
    W: Tensor,
    exponent: Tensor,
    size: Tensor,
    zero: Tensor,
    A: Tensor,
    bound: Tensor,
    dtype: torch.dtype,
    *,
    products: int,
) -> Normalized:
    """W/(size·bound), the bound lifted above its rounding."""
    return _by(W, exponent, size, zero, A, _raised(bound, dtype), dtype, products=products)


def _by(
    W: Tensor,
    exponent: Tensor,
    size: Tensor,
    zero: Tensor,
    A: Tensor,
    bound: Tensor,
    dtype: torch.dtype,
    *,
    products: int,
) -> Normalized:
    """W/(size·bound), rounded once, and the Gram matrix that goes with it."""
    norm = size * bound
    gram = (A / (LIFT * bound).square()).to(dtype)
    stated = torch.where(zero, torch.zeros_like(norm), norm)
    return Normalized((W / norm).to(dtype), stated, exponent, gram, products)


def _raised(bound: Tensor, dtype: torch.dtype) -> Tensor:
    """bound·(1 + u), u the unit roundoff of the dtype."""
    return bound * (1 + torch.finfo(dtype).eps / 2)


def _largest_direction(A: Tensor) -> Tensor:
    """A vector (..., m, 1) of length 1 near the eigenvector of the largest eigenvalue; 0 for zero."""
    m = A.shape[-1]
    square = torch.arange(1, m + 1, dtype=torch.float64, device=A.device)[:, None] ** 2
    rates = torch.arange(2, 2 + POWER_VECTORS, dtype=torch.float64, device=A.device)
    fixed = torch.cos(square * (rates + 0.5).sqrt()).to(A.dtype).expand(*A.shape[:-2], m, POWER_VECTORS)
    column = A.square().sum(dim=-2, keepdim=True).argmax(dim=-1, keepdim=True)
    V = torch.cat([fixed, A.gather(-1, column.expand(*A.shape[:-1], 1))], dim=-1)
    for _ in range(POWER_STEPS):
        V = _unit(A @ V)[0]
    lengths = _unit(A @ V)[1]
    best = lengths.argmax(dim=-1, keepdim=True)
    return V.gather(-1, best.expand(*V.shape[:-1], 1))


def _unit(V: Tensor) -> tuple[Tensor, Tensor]:
    """Columns of length 1, and what their lengths (..., 1, k) were; zero stays zero."""
    lengths = V.square().sum(dim=-2, keepdim=True).sqrt()
    return V / nonzero(lengths), lengths

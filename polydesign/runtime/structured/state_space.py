"""State space matrices: HiPPO's A and B, and the step in time that they are discretized by.

Conventions: x′ = Ax + Bu, so that A is stable, as in S4 (Gu, Goel, Ré, arXiv 2111.00396, section 2), and
orthonormal Legendre polynomials √(2n + 1)·P_n, as in the code of both papers. HiPPO (Gu, Dao, Ermon, Rudra,
Ré, arXiv 2008.07669, theorems 1 and 2, appendix D) writes c′ = −Ac + Bf, with the opposite sign of A.
Matrices come in float64, B is (n, 1), and indices count from 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, Table, check_integer, check_number, dtype_name
from polydesign.runtime import ops
from polydesign.runtime.checks import check_finite, check_matrix, check_scalar, check_square
from polydesign.runtime.operators import msign
from polydesign.runtime.rescaling import symmetric_part
from polydesign.runtime.roots import inverse
from polydesign.runtime.structured.triangular import check_solved, lower_inverse
from polydesign.runtime.surroundings import pinned, seen

OF_COMPLEX = (
    "give both A and B as the real matrices of twice their sides, "
    "torch.cat([torch.cat([Z.real, -Z.imag], -1), torch.cat([Z.imag, Z.real], -1)], -2) "
    "for Z = A.to(torch.complex128) and Z = B.to(torch.complex128): "
    "both results are such matrices too"
)

MOST_LEFT = 0.5
"""Of ‖I − YT‖_F: a refinement then multiplies the error by no more."""


def hippo_legs(n: int) -> tuple[Tensor, Tensor]:
    """LegS, all of the past alike: A_nk = −√((2n+1)(2k+1)) below the diagonal, −(n+1) on it, 0 above.

    B_n = √(2n+1). c′ = (Ac + Bf)/t keeps the coefficients of f on [0, t]; S4 leaves out the 1/t. A is (n, n),
    lower triangular with the eigenvalues −1, …, −n, and A + Aᵀ = −I − BBᵀ. Raises InputError for n < 1.
    """
    index, root = _orders(n)
    A = (-root[:, None] * root).tril(-1) - torch.diag(index + 1)
    return A, root[:, None].clone()


def hippo_legt(n: int) -> tuple[Tensor, Tensor]:
    """LegT, a sliding window of length 1: A_nk = −√((2n+1)(2k+1))·s, s = 1 for k <= n and (−1)^(n−k) above.

    B_n = √(2n+1). For a window of length θ divide both by θ, or give `bilinear` the step Δ/θ; S4's code has
    θ = 2. c′ = Ac + Bf keeps the coefficients of f on [t − 1, t], where f is a polynomial of a degree below n
    exactly. A + Aᵀ = −BBᵀ − (B with every second sign turned)(the same)ᵀ. Raises InputError for n < 1.
    """
    index, root = _orders(n)
    turned = 1 - 2 * ((index[:, None] - index) % 2)
    sign = torch.where(index[:, None] < index, turned, torch.ones_like(turned))
    return -(root[:, None] * sign * root), root[:, None].clone()


def bilinear(
    A: Tensor,
    B: Tensor,
    step: float,
    table: Table | None = None,
    plan: Plan | None = None,
    *,
    inverse_table: Table | None = None,
    refine: int = 1,
) -> tuple[Tensor, Tensor]:
    """T⁻¹(I + Δ/2·A) and T⁻¹·Δ·B, T = I − Δ/2·A, Δ = step > 0: x_k = Āx_(k−1) + B̄u_k (Tustin's rule).

    A: (..., n, n), B: (..., n, p), of one batch; results in the widest dtype among them and the state. What
    is not the sign or the inverse runs in float64.

    Lower triangular A, where plan.check looks, which it does not in compiled or captured code: as
    `triangular_inverse`, without a table, as accurate as substitution, and with one refinement at least, by
    which gradients reach what is above the diagonal.

    Any other A: Y = H⁻¹Uᵀ for T = UH, U = msign(T) and H the symmetric part of UᵀT, which is positive. U need
    not have converged: (UᵀT)⁻¹Uᵀ is T⁻¹ for any U for which UᵀT is symmetric positive. refine: steps
    X ← X + Y(C − TX) with residuals in float64, each of which multiplies the error by ‖I − YT‖. That grows as
    u·κ, κ the condition number of T; by the normal equations, (TᵀT)⁻¹Tᵀ, it would as u·κ², and the inverse's
    table would have to reach 1/κ² in place of 1/κ (LegT of order 64, κ = 130: 0.003 in place of 4e-5 in
    float32, and 44 in place of 0.2 in bfloat16; scripts/studies/bilinear_step.py).
    Where A + Aᵀ <= 0, as of both of HiPPO's, no singular value of T is below 1, and κ <= 1 + Δ/2·‖A‖₂.

    table: of root 2, for msign; inverse_table: of root 1; None for the catalogue's. plan: of msign; its
    dtype, check and compile of the inverse too. Cost: their products; 2 of n×n, or 3 with plan.check; and
    1 + 2·refine of n×n by n×(n + p).

    Raises InputError for what is not floating, does not fit, holds NaN or infinity, a step that is not
    positive, and for the normalization aol, whose msign is that of another matrix; with plan.check where
    ‖I − YT‖_F is above 1/2: T is singular, or nearly, for table or precision. Source: S4, section 2.3.
    """
    check_square("A", A, OF_COMPLEX)
    check_matrix("B", B, OF_COMPLEX)
    if B.shape[:-1] != A.shape[:-1]:
        raise InputError("B", f"has shape {tuple(B.shape)}, and A {tuple(A.shape)}: B is (..., n, p)")
    step = check_number("step", step)
    if step <= 0:
        raise InputError("step", f"must be positive, and is {step!r}")
    refine = check_integer("refine", refine, 0)
    plan = plan or Plan()
    own = table.normalization if isinstance(table, Table) else "frobenius"
    check_scalar(plan.normalization or own, "bilinear")
    given = torch.promote_types(A.dtype, B.dtype)
    state = plan.dtype or dtype_name(given)
    kept = torch.promote_types(given, getattr(torch, state))
    if plan.check and not seen(A, B):
        plan = replace(plan, check=False)
    if plan.check:
        check_finite("A", A)
        check_finite("B", B)
    if not A.numel():
        return torch.empty_like(A, dtype=kept), torch.empty_like(B, dtype=kept)
    with pinned(A.device.type):
        half = A.double() * (step / 2)
        T = ops.weighted_sum([(half, -1.0)], 1.0)
        C = torch.cat([ops.weighted_sum([(half, 1.0)], 1.0), step * B.double()], dim=-1)
        triangular = plan.check and not A.triu(1).any()
        if triangular:
            solve, refine = _substitution(T), max(refine, 1)
        else:
            solve = partial(ops.mm, _inverse(T, table, inverse_table, plan.in_dtype(state)))
        X = solve(C)
        for _ in range(refine):
            X = X + solve(ops.mm_add(C, T, X, alpha=-1.0, beta=1.0))
        n = A.shape[-1]
        if triangular:
            check_solved("A", T, X, C, X.to(kept), switch="")
        return X[..., :n].to(kept).contiguous(), X[..., n:].to(kept).contiguous()


def _orders(n: int) -> tuple[Tensor, Tensor]:
    """0, 1, …, n − 1 and √(2n + 1) of each."""
    n = check_integer("n", n, 1)
    index = torch.arange(n, dtype=torch.float64)
    return index, (2 * index + 1).sqrt()


def _substitution(T: Tensor) -> Callable[[Tensor], Tensor]:
    """C -> T⁻¹C for lower triangular T."""
    diagonal = T.diagonal(dim1=-2, dim2=-1)
    if (diagonal == 0).any():
        raise InputError("step", "makes I − Δ/2·A singular: take another one")
    return partial(ops.mm, lower_inverse(T.tril()))


def _inverse(T: Tensor, table: Table | None, inverse_table: Table | None, plan: Plan) -> Tensor:
    """Y near T⁻¹, in float64, by the polar factors."""
    # One batch dimension: two would pass for the kernels of a convolution, of which msign warns.
    U = msign(T.reshape(-1, *T.shape[-2:]), table, plan).double().reshape(T.shape)
    H = symmetric_part(ops.mm(U.mT, T))
    # What comes out is judged below.
    inner = Plan(dtype=plan.dtype, check=False, compile=plan.compile)
    Y = ops.mm(inverse(H, inverse_table, inner).double(), U.mT)
    if plan.check:
        left = ops.weighted_sum([(ops.mm(Y, T), -1.0)], 1.0)
        worst = torch.linalg.matrix_norm(left).max().item()
        if not worst <= MOST_LEFT:
            raise InputError(
                "step",
                f"leaves ‖I − YT‖_F = {worst:.2g} for T = I − Δ/2·A and its inverse Y by the tables in "
                f"{plan.dtype}: take a smaller step, a higher precision, or tables with a smaller lower end",
            )
    return Y

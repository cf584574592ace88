"""Matrix functions that stand in the off-diagonal blocks of a sign: Higham, Functions of Matrices, ch. 5.

mcsgn [[0, A], [B, 0]] = [[0, F], [F⁻¹, 0]] with F = A(BA)^(−1/2) (theorem 5.2 there), for BA without
eigenvalues on the closed negative real axis. The eigenvalues of the block are ±√μ for those μ of BA, so a
table for an interval [l, u] serves real μ >= (l·ν)², ν the block's norm, and sector_table(75), which runs
where no table is given and the one for real eigenvalues fails, |arg μ| <= 150 degrees, and sector_table(80),
which is the last, 160 degrees. A and B are first
brought to one size by a power of 4. Nothing has to be symmetric; where A is, and positive, runtime/roots.py
costs less and rounds less. That it is the principal root is checked by its eigenvalues.

The result has the dtype of the state. Cost: a table's products, of side 2n, a pass.

Raised everywhere: InputError for what is not floating, not square, or of shapes that do not fit, for NaN and
infinity, for a table of another root, and where mcsgn does not apply (block_sign.py), with the residuals.
With plan.check False nothing is judged and one pass of the first table runs.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, Table, dtype_name
from polydesign.runtime.block_sign import BlockSign, block_sign, candidates
from polydesign.runtime.checks import check_finite, check_square
from polydesign.runtime.normalize import scaled_to_one, times_power_of_two

__all__ = ["geometric_factor", "principal_sqrt_and_inverse_sqrt"]


def geometric_factor(A: Tensor, B: Tensor, table: Table | None = None, plan: Plan | None = None) -> Tensor:
    """A(BA)^(−1/2) = (AB)^(−1/2)A for square A and B: (..., n, n), BA with eigenvalues off (−∞, 0].

    With B = A⁻¹ it is A; with B = Aᵀ it is the polar factor, for which msign is there; for positive A and
    P, geometric_factor(A, P⁻¹) is their geometric mean P (P⁻¹A)^(1/2).
    """
    return _factors(A, B, table, plan or Plan())[0]


def principal_sqrt_and_inverse_sqrt(
    A: Tensor, table: Table | None = None, plan: Plan | None = None
) -> tuple[Tensor, Tensor]:
    """A^(1/2) and A^(−1/2) from one sign, eigenvalues with positive real parts, for A off (−∞, 0].

    A: (..., n, n), not symmetric in general: mcsgn [[0, A], [I, 0]] = [[0, A^(1/2)], [A^(−1/2), 0]].
    """
    check_square("A", A)
    eye = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device).expand(A.shape)
    return _factors(A, eye, table, plan or Plan())


def _factors(A: Tensor, B: Tensor, table: Table | None, plan: Plan) -> tuple[Tensor, Tensor]:
    """A(BA)^(−1/2) and its inverse."""
    for name, M in (("A", A), ("B", B)):
        check_square(name, M)
        if plan.check:
            check_finite(name, M)
    if A.shape != B.shape:
        raise InputError("B", f"has shape {tuple(B.shape)}, and {tuple(A.shape)} goes with A")
    state = plan.dtype or dtype_name(torch.promote_types(A.dtype, B.dtype))
    if not A.numel():
        empty = A.new_empty(A.shape, dtype=getattr(torch, state))
        return empty, empty.clone()
    with torch.autocast(A.device.type, enabled=False):
        H, half = factor_block(A, B)
        n = A.shape[-1]
        run = block_sign(
            H,
            candidates(table, plan, state),
            replace(plan, dtype=state),
            "A",
            "[[0, A], [B, 0]]",
            lambda run: _not_principal(run, H[..., n:, :n]),
        )
        F, inverse = run.sign[..., :n, n:].double(), run.sign[..., n:, :n].double()
        dtype = getattr(torch, state)
        return times_power_of_two(F, half).to(dtype), times_power_of_two(inverse, -half).to(dtype)


def factor_block(A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    """H = [[0, 2⁻ᵃA], [2⁻ᵇB, 0]] in float64, the two of one size, and h = (a − b)/2: F is 2ʰ times H's."""
    (A, a), (B, b) = scaled_to_one(A.double()), scaled_to_one(B.double())
    # An even difference, so that its root is a power of two.
    odd = (a - b) & 1
    B, b = times_power_of_two(B, -odd), b + odd
    zero = torch.zeros_like(A)
    H = torch.cat([torch.cat([zero, A], dim=-1), torch.cat([B, zero], dim=-1)], dim=-2)
    return H, (a - b) >> 1


def _not_principal(run: BlockSign, B: Tensor) -> str:
    """Whether B·F, which is (BA)^(1/2), has eigenvalues in the left half plane."""
    n = B.shape[-1]
    least = torch.linalg.eigvals(B @ run.sign[..., :n, n:].double()).real.min().item()
    return (
        "" if least > 0 else f"W² = I, but an eigenvalue of the root came out with the real part {least:.2g}"
    )

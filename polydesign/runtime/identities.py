"""Matrix functions that stand in the off-diagonal blocks of a sign: Higham, Functions of Matrices, ch. 5.

mcsgn [[0, A], [B, 0]] = [[0, F], [F⁻¹, 0]] with F = A(BA)^(−1/2) (theorem 5.2 there), for BA without
eigenvalues on the closed negative real axis. The eigenvalues of the block are ±√μ for those μ of BA, so a
table for an interval [l, u] serves real μ >= (l·ν)², ν the block's norm, and sector_table(75), which runs
where no table is given and the one for real eigenvalues fails, |arg μ| <= 150 degrees, and sector_table(80),
which is the last, 160 degrees. A and B are first
brought to one size by a power of 4. Nothing has to be symmetric; where A is, and positive, runtime/roots.py
costs less and rounds less. That it is the principal root is checked by its eigenvalues.

The result has the dtype of the state. Cost: a table's products, of side 2n, a pass. What a
block_sign.BlockOperator needs and refuses holds for the block.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, dtype_name
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime.base import made
from polydesign.runtime.block_advice import LOST, Asked, eigenvalues
from polydesign.runtime.block_sign import BlockOperator, BlockSign, block_sign
from polydesign.runtime.checks import check_finite, check_square
from polydesign.runtime.normalize import scaled_to_one, times_power_of_two
from polydesign.runtime.run import Run
from polydesign.table.given import Source


class _Factors(BlockOperator):
    """A(BA)^(−1/2) and its inverse.

    of: what has to have no eigenvalue on (−∞, 0]. elsewhere: how scipy computes the result.
    """

    of: ClassVar[str]
    elsewhere: ClassVar[str]

    def factors(self, A: Tensor, B: Tensor) -> tuple[tuple[Tensor, Tensor], Run]:
        """Both, and the Run for that."""
        for name, M in (("A", A), ("B", B)):
            check_square(name, M)
            if self.plan.check:
                check_finite(name, M)
        if A.shape != B.shape:
            raise InputError("B", f"has shape {tuple(B.shape)}, and {tuple(A.shape)} goes with A")
        state = self.plan.dtype or dtype_name(torch.promote_types(A.dtype, B.dtype))
        dtype, n = getattr(torch, state), A.shape[-1]
        if not A.numel():
            empty = A.new_empty(A.shape, dtype=dtype)
            both = empty, empty.clone()
            return both, Run(self.word, both, state, 0)
        H, half = factor_block(A, B)
        asked = Asked(
            "A",
            "[[0, A], [B, 0]]",
            lambda run: _not_principal(run, H[..., n:, :n]),
            lambda index: _no_principal(H, index, self.of),
            self.elsewhere,
        )
        run = block_sign(H, self.resolved(state), replace(self.plan, dtype=state), asked)
        F, inverse = run.sign[..., :n, n:].double(), run.sign[..., n:, :n].double()
        both = times_power_of_two(F, half).to(dtype), times_power_of_two(inverse, -half).to(dtype)
        return both, Run(self.word, both, state, run.matmuls, run.table.name, run.residual, passes=run.passes)


class GeometricFactor(_Factors):
    """A(BA)^(−1/2) = (AB)^(−1/2)A for square A and B: (..., n, n), BA with eigenvalues off (−∞, 0].

    With B = A⁻¹ it is A; with B = Aᵀ it is the polar factor, for which Sign is there; for positive A and
    P, GeometricFactor of A and P⁻¹ is their geometric mean P (P⁻¹A)^(1/2).
    """

    word = "geometric_factor"
    of = "BA"
    elsewhere = "take A times scipy.linalg.inv(scipy.linalg.sqrtm(B @ A))"

    def compute(self, A: Tensor, B: Tensor) -> tuple[Tensor, Run]:
        (F, _), run = self.factors(A, B)
        return F, replace(run, result=F)


class PrincipalSqrtAndInverseSqrt(_Factors):
    """A^(1/2) and A^(−1/2) from one sign, eigenvalues with positive real parts, for A off (−∞, 0].

    Called with A: (..., n, n), not symmetric in general: mcsgn [[0, A], [I, 0]] = [[0, A^(1/2)],
    [A^(−1/2), 0]].
    """

    word = "principal_sqrt_and_inverse_sqrt"
    of = "A"
    elsewhere = "take scipy.linalg.sqrtm(A)"

    def compute(self, A: Tensor) -> tuple[tuple[Tensor, Tensor], Run]:
        check_square("A", A)
        return self.factors(A, torch.eye(A.shape[-1], dtype=A.dtype, device=A.device).expand(A.shape))


def geometric_factor(A: Tensor, B: Tensor, table: Source | None = None, plan: Plan | None = None) -> Tensor:
    """A(BA)^(−1/2), by `GeometricFactor`.

    Args:
        A, B: (..., n, n).
        table: Of root 2, None for the catalogue's and those of the sectors.
        plan: Of the sign.

    Returns:
        Tensor of A's shape in the state's dtype.
    """
    return made(GeometricFactor, table, plan)(A, B)


def principal_sqrt_and_inverse_sqrt(
    A: Tensor, table: Source | None = None, plan: Plan | None = None
) -> tuple[Tensor, Tensor]:
    """A^(1/2) and A^(−1/2), by `PrincipalSqrtAndInverseSqrt`; arguments as of `geometric_factor`."""
    return made(PrincipalSqrtAndInverseSqrt, table, plan)(A)


def factor_block(A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    """H = [[0, 2⁻ᵃA], [2⁻ᵇB, 0]] in float64, the two of one size, and h = (a − b)/2: F is 2ʰ times H's."""
    (A, a), (B, b) = scaled_to_one(A.double()), scaled_to_one(B.double())
    # An even difference, so that its root is a power of two.
    odd = (a - b) & 1
    B, b = times_power_of_two(B, -odd), b + odd
    zero = torch.zeros_like(A)
    H = torch.cat([torch.cat([zero, A], dim=-1), torch.cat([B, zero], dim=-1)], dim=-2)
    return H, (a - b) >> 1


def _no_principal(H: Tensor, index: int, of: str) -> str:
    """Where BA has an eigenvalue on (−∞, 0], and no principal root: ±its roots are eigenvalues of H."""
    values, size = eigenvalues(H, index)
    lost = LOST * len(values) * UNIT_ROUNDOFF["float64"]
    if values.abs().min().item() ** 2 <= lost * size**2:
        return (
            f"An eigenvalue of {of} is 0, to rounding, and then it has no inverse square root: leave it out"
        )
    if (values.real.abs() <= lost * values.abs()).any():
        what = f"{of} has an eigenvalue on the negative real axis, to rounding, and then no principal root"
        return f"{what}: for a complex one take scipy.linalg.sqrtm({'A' if of == 'A' else 'B @ A'})"
    return ""


def _not_principal(run: BlockSign, B: Tensor) -> str:
    """Whether B·F, which is (BA)^(1/2), has eigenvalues in the left half plane."""
    n = B.shape[-1]
    least = torch.linalg.eigvals(B @ run.sign[..., :n, n:].double()).real.min().item()
    if least > 0:
        return ""
    return f"W² = I, but an eigenvalue of the root came out with the real part {least:.2g}"

"""What refinement.py asks of an equation: a solve, what is left of it, and a correction; all in float64.

Between the sign and X everything is float64, which costs little beside the passes and has no limits of
exponent to look after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from polydesign.model import Plan, Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime.block_advice import LOST, Asked, eigenvalues, shown
from polydesign.runtime.block_sign import BlockSign, block_sign
from polydesign.runtime.normalize import nonzero, scaled_to_one, times_power_of_two
from polydesign.runtime.rescaling import symmetric_part

COUPLING = 1 / 8
"""Norm of the off-diagonal block beside the diagonal ones: the sign is linear in it, and a small one does not
raise the norm that the eigenvalues are divided by."""


ELSEWHERE = {
    "sylvester": "solve_sylvester(A, B, C)",
    "lyapunov": "solve_continuous_lyapunov(A, Q)",
    "riccati": "solve_continuous_are(A, B, Q, R), where G = B R⁻¹ Bᵀ",
}
"""Operator -> what of scipy.linalg solves the same equation, of one matrix."""


@dataclass(frozen=True)
class SylvesterEquation:
    """AX + XB = C. word: of the operator that solves it."""

    A: Tensor
    B: Tensor
    C: Tensor
    word: str = "sylvester"

    def block(self) -> tuple[Tensor, Tensor, Tensor]:
        """H = [[A, −C'], [0, −B]]·2⁻ᵉ, C' = C at COUPLING times the norm of (A, B), f and k: X = f·2ᵏ·X'."""
        A, B, exponent = _common(self.A, self.B)
        C, lift = scaled_to_one(self.C)
        scale = COUPLING * (_norm(A).square() + _norm(B).square()).sqrt() / nonzero(_norm(C))
        zero = torch.zeros_like(C.mT)
        H = torch.cat([torch.cat([A, -scale * C], dim=-1), torch.cat([zero, -B], dim=-1)], dim=-2)
        return H, 1 / nonzero(scale), lift - exponent

    def solve(self, tables: Sequence[Table], plan: Plan) -> tuple[Tensor, BlockSign]:
        """X and the sign of the block."""
        m = self.A.shape[-1]
        H, factor, exponent = self.block()
        asked = Asked(
            "A",
            "[[A, −C], [0, −B]]",
            lambda run: _sides(run, m),
            lambda index: _no_side(self.A, self.B, index, self.word),
            f"take scipy.linalg.{ELSEWHERE[self.word]}",
        )
        run = block_sign(H, tables, plan, asked)
        side = run.sign[..., :m, :m].diagonal(dim1=-2, dim2=-1).sum(-1).sign().double()[..., None, None]
        X = run.sign[..., :m, m:].double() * (-side / 2) * factor
        return times_power_of_two(X, exponent), run

    def left(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """R = C − AX − XB and ‖R‖_F/(‖AX‖_F + ‖XB‖_F + ‖C‖_F), shape (...)."""
        return _sum(self.C, -(self.A @ X), -(X @ self.B))

    def correction(
        self, X: Tensor, R: Tensor, tables: Sequence[Table], plan: Plan
    ) -> tuple[Tensor, BlockSign]:
        """D with AD + DB = R."""
        del X
        return replace(self, C=R).solve(tables, plan)


@dataclass(frozen=True)
class RiccatiEquation:
    """AᵀX + XA − XGX + Q = 0."""

    A: Tensor
    G: Tensor
    Q: Tensor

    def block(self) -> tuple[Tensor, Tensor]:
        """H = [[A, −2ᵏG], [−2⁻ᵏQ, −Aᵀ]], and k such that the two are of one size: X is 2ᵏ times that of H."""
        (_, g), (_, q) = scaled_to_one(self.G), scaled_to_one(self.Q)
        k = torch.where((_norm(self.G) > 0) & (_norm(self.Q) > 0), (q - g) >> 1, torch.zeros_like(q))
        G, Q = times_power_of_two(self.G, k), times_power_of_two(self.Q, -k)
        return torch.cat([torch.cat([self.A, -G], dim=-1), torch.cat([-Q, -self.A.mT], dim=-1)], dim=-2), k

    def solve(self, tables: Sequence[Table], plan: Plan) -> tuple[Tensor, BlockSign]:
        """X and the sign of the block."""
        H, k = self.block()
        G = -H[..., : self.A.shape[-1], self.A.shape[-1] :]
        asked = Asked(
            "A",
            "the Hamiltonian",
            lambda run: _unstable(run, self.A, G),
            lambda index: _no_stable(H, index),
            f"take scipy.linalg.{ELSEWHERE['riccati']}",
        )
        run = block_sign(H, tables, plan, asked)
        return times_power_of_two(_graph(run.sign), k), run

    def left(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """R = Q + AᵀX + XA − XGX and ‖R‖_F over the sum of its terms' norms, shape (...); X symmetric."""
        XA = X @ self.A
        return _sum(self.Q, XA.mT, XA, -(X @ self.G @ X))

    def correction(
        self, X: Tensor, R: Tensor, tables: Sequence[Table], plan: Plan
    ) -> tuple[Tensor, BlockSign]:
        """Newton's D: A₁ᵀD + DA₁ = −R, A₁ = A − GX; what D then leaves is −DGD."""
        A = self.A - self.G @ X
        D, run = SylvesterEquation(A.mT, A, -R).solve(tables, plan)
        return symmetric_part(D), run


def _sides(run: BlockSign, m: int) -> str:
    """Whether the diagonal blocks of the sign are not I and −I, or the reverse."""
    traces = run.sign.diagonal(dim1=-2, dim2=-1).double()
    first, second = traces[..., :m].sum(-1).round(), traces[..., m:].sum(-1).round()
    n = traces.shape[-1] - m
    off = ~(((first == m) & (second == -n)) | ((first == -m) & (second == n)))
    if not off.any():
        return ""
    worst = int(off.flatten().int().argmax())
    right = (m + first.flatten()[worst].item()) / 2, (n - second.flatten()[worst].item()) / 2
    return (
        f"W² = I, but {right[0]:g} of {m} eigenvalues of A and {right[1]:g} of {n} of B came out in the "
        "right half plane, and all or none has to"
    )


def _no_side(A: Tensor, B: Tensor, index: int, word: str) -> str:
    """Where a common eigenvalue of A and −B, or no common side, leaves the sign without the answer."""
    (a, size), (b, other) = eigenvalues(A, index), eigenvalues(B, index)
    sums = (a[:, None] + b).abs()
    least = int(sums.argmin())
    lost = LOST * (len(a) + len(b)) * UNIT_ROUNDOFF["float64"] * (size + other)
    if sums.min() <= lost:
        shared = shown(complex(a[least // len(b)]))
        return f"A and −B have the eigenvalue {shared} in common, to rounding, and no X, or many, solve it"
    low, high = (-a.real.min()).item(), b.real.min().item()
    right, left = min(-low, high) > lost, max(a.real.max(), b.real.max()) < -lost
    if not right and not left:
        if low >= high:
            low, high = b.real.max().item(), (-a.real.max()).item()
        what = "A and B do not have all of their eigenvalues on one side of the imaginary axis"
        if low < high and word == "sylvester":
            shift = f"{(low + high) / 2:.6g} * torch"
            call = f"sylvester(A + {shift}.eye({len(a)}), B - {shift}.eye({len(b)}), C)"
            return f"{what}: write {call}, which is the same equation"
        return f"{what}: take scipy.linalg.{ELSEWHERE[word]}"
    return ""


def _no_stable(H: Tensor, index: int) -> str:
    """Where eigenvalues of the Hamiltonian are on the imaginary axis, as no table and no X can have them."""
    values, size = eigenvalues(H, index)
    # Those of multiplicity 2 are known to the root of the rounding.
    near = values[values.real.abs().argmin()]
    if abs(near.real.item()) > (LOST * len(values) * UNIT_ROUNDOFF["float64"]) ** 0.5 * size:
        return ""
    return (
        f"Its eigenvalue {shown(complex(near))} is on the imaginary axis, to rounding, and then no X makes "
        f"A − GX stable: see what scipy.linalg.{ELSEWHERE['riccati']} says"
    )


def _unstable(run: BlockSign, A: Tensor, G: Tensor) -> str:
    """Whether X, from the sign, does not make A − GX stable."""
    X = _graph(run.sign)
    if not torch.isfinite(X).all():
        return "W² = I, but no X goes with it: is (A, G) stabilizable?"
    largest = torch.linalg.eigvals(A - G @ X).real.max().item()
    if largest < 0:
        return ""
    return f"W² = I, but an eigenvalue of A − GX came out with the real part {largest:.2g}"


def _graph(W: Tensor) -> Tensor:
    """X of (W + I)[I; X] = 0 by least squares, made symmetric."""
    n = W.shape[-1] // 2
    N = W.double()
    N = torch.diagonal_scatter(N, N.diagonal(dim1=-2, dim2=-1) + 1, dim1=-2, dim2=-1)
    return symmetric_part(torch.linalg.lstsq(N[..., n:], -N[..., :n]).solution)


def _common(A: Tensor, B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A·2⁻ᵉ, B·2⁻ᵉ and e with the largest entry of both in [1/2, 1)."""
    top = torch.maximum(A.abs().amax(dim=(-2, -1), keepdim=True), B.abs().amax(dim=(-2, -1), keepdim=True))
    exponent = torch.frexp(top).exponent
    return times_power_of_two(A, -exponent), times_power_of_two(B, -exponent), exponent


def _sum(*terms: Tensor) -> tuple[Tensor, Tensor]:
    """The sum, and its norm over the sum of norms, shape (...)."""
    R = torch.stack(terms).sum(0)
    return R, (_norm(R) / nonzero(torch.stack([_norm(term) for term in terms]).sum(0)))[..., 0, 0]


def _norm(M: Tensor) -> Tensor:
    """‖M‖_F, shape (..., 1, 1), without overflow on the way."""
    W, exponent = scaled_to_one(M)
    return times_power_of_two(torch.linalg.matrix_norm(W, keepdim=True), exponent)

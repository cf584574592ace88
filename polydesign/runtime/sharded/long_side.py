"""msign of matrices that are sharded along their long side: nothing travels but Gram matrices and norms.

X (m, n) with m <= n has its columns on several ranks, and each step is X ← W X with W a polynomial of
A = X Xᵀ. A is the sum of what the ranks' own columns give; W is the same on all of them; W X needs nobody
else. So a step takes one all-reduce of a symmetric m×m matrix, and in the gram form a stretch of steps does.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from polydesign.runtime import ops
from polydesign.runtime.evidence import ROUNDS, probes
from polydesign.runtime.execute import Factor, factor, stretches
from polydesign.runtime.normalize import NORMALIZATIONS, nonzero, times_power_of_two
from polydesign.runtime.sharded.moves import largest, packed, summed, unpacked


class OnRanks:
    """The sums along a long side that these mesh dimensions split; a `normalize.LongSide`."""

    def __init__(self, mesh: Any, dims: tuple[int, ...]) -> None:
        self.mesh, self.dims = mesh, dims

    def gram(self, X: Tensor) -> Tensor:
        """X Xᵀ in X's dtype, from the columns of all ranks.

        Products of half precision are summed in float32 and rounded once, as one product would be: a sum of
        rounded ones would err by as much as there are ranks.
        """
        A = ops.wide_sym_mm(X, X.mT)
        batch, m = A.shape[:-2], A.shape[-1]
        half = summed(packed(A.reshape(-1, m, m)), self.mesh, self.dims)
        return unpacked(half, m).reshape(*batch, m, m).to(X.dtype)

    def squares(self, X: Tensor) -> Tensor:
        """‖X‖_F², shape (..., 1, 1), in float64."""
        size = torch.linalg.vector_norm(X, dim=(-2, -1), keepdim=True, dtype=torch.float64)
        return summed(size.square(), self.mesh, self.dims)

    def scaled(self, W: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """W·2^(−e), e, ‖W·2^(−e)‖_F with 1 for a zero matrix, and where there is one.

        float64 has room for the squares of every float32, so that one all-reduce gives norm and scale; of
        float64 the scale comes first.
        """
        exponent = None
        if W.dtype == torch.float64:
            exponent = torch.frexp(self.largest_entry(W)).exponent
            W = times_power_of_two(W, -exponent)
        size = self.squares(W).sqrt()
        zero = size == 0
        mantissa, more = torch.frexp(size)
        if exponent is None:
            W, size, exponent = times_power_of_two(W, -more), mantissa, more
        return W, exponent, nonzero(size).to(W.dtype), zero

    def largest_entry(self, W: Tensor) -> Tensor:
        """max|W|, shape (..., 1, 1); what is not a number counts as infinite."""
        own = W.new_zeros((*W.shape[:-2], 1, 1))
        if W.numel():
            own = W.abs().amax(dim=(-2, -1), keepdim=True).nan_to_num(nan=math.inf, posinf=math.inf)
        return largest(own, self.mesh, self.dims)


class Ran(NamedTuple):
    """X, this rank's part of the result; and the last stretch: its Gram matrix, and what multiplied X."""

    X: Tensor
    A: Tensor
    last: Factor


def signed(M: Tensor, operator: Any, how: Any, state: torch.dtype, side: OnRanks) -> Ran:
    """The iteration on this rank's columns.

    Args:
        M: (..., m, k), k of the n columns, m <= n.
        operator: A `Sign`, whose plan does not dither.
        how: The table, the normalization, and the form; a `base.Resolved`.
        state: What is iterated in.
        side: The ranks that have the other columns.
    """
    assert not operator.plan.dither
    steps, A = how.table.schedule, None
    found = operator.lowered(NORMALIZATIONS[how.normalization](M, state, side), how)
    X, A = found.matrix, found.gram
    last = None
    own = A
    for codes in stretches(steps, how.restarts if how.form == "gram" else None):
        own = side.gram(X) if A is None else A
        last = factor(own, codes)
        X, A = last.times(X), None
    assert last is not None
    assert own is not None
    return Ran(X, own, last)


def evidence(ran: Ran, side: OnRanks) -> Tensor:
    """A lower bound of ‖X‖₂ of the whole result, shape (...): what `evidence.norm_evidence` is of a matrix.

    ‖XᵀZ‖_F/‖Z‖_F holds for every Z, and takes one all-reduce of one number a matrix. Z = (W A Wᵀ)⁴V, which
    every rank has: it leans to where X is large, and errs in that at most.
    """
    dtype = torch.promote_types(ran.X.dtype, torch.float32)
    A, Q = ran.A.detach().to(dtype), ran.last.Q.detach().to(dtype)
    Z = probes(A.shape[-1], dtype, A.device).expand(*A.shape[:-1], -1)
    wide = Factor(Q, ran.last.alpha, ran.last.beta)
    turned = Factor(Q.mT, ran.last.alpha, ran.last.beta)
    for _ in range(ROUNDS):
        Z = wide.times(A @ turned.times(Z))
        Z = Z / nonzero(torch.linalg.vector_norm(Z, dim=(-2, -1), keepdim=True))
    size = torch.linalg.vector_norm(Z, dim=(-2, -1), dtype=torch.float64)
    squares = side.squares(ran.X.detach().to(dtype).mT @ Z)[..., 0, 0]
    return squares.sqrt() / nonzero(size)

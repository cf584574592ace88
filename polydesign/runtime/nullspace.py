"""P^(−s/r) that is zero on the null space of P: what counts as that is put out of the way, and cut off again.

With λ₁ an estimate of ‖P‖₂ from thin products, θ = rank_rtol·λ₁ and E = [I + sign(P − θI)]/2 the iteration
runs on E P E + (I − E)·ν/√n, positive and no longer singular, and E cuts the result off: the pseudo-inverse's
power. The sign takes as many passes of the package's table as |λ − θ| > θ/10 needs; eigenvalues nearer to θ
may be kept, cut off, or shared. It runs in float64 for rank_rtol below 1e-3, which float32 would not resolve.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from polydesign.model import InputError
from polydesign.program.cost import matmuls
from polydesign.runtime import execute, ops
from polydesign.runtime.coupled import Iterations, Side, members
from polydesign.runtime.defaults import SIGN, loaded
from polydesign.runtime.normalize import nonzero, power
from polydesign.runtime.root_evidence import Doubt

ROWS, LARGE = 4, 4.0
"""Rows that are tried on what is cut off, and how many times the threshold is not small."""

RESOLVED = 0.1
"""Of the threshold: how near to it eigenvalues are told apart."""


def filled(side: Side, rank_rtol: float, how: Iterations) -> Side:
    """The side with its null space filled, and the projector off it."""
    n, X = side.wide.shape[-1], side.wide
    dtype = torch.float64 if rank_rtol < 1e-3 or X.dtype == torch.float64 else torch.float32
    W = X.to(dtype)
    found = power(W, dtype)
    # `power` divides by 1.1 times the estimate, or by Σλ⁴ where that is less.
    largest = found.norm()[..., None, None].to(dtype) / 1.1
    there = (largest > 0).to(dtype)
    S = ops.add_to_diagonal_(W.clone(), 0.0)
    S = S - torch.diag_embed((rank_rtol * largest)[..., 0].expand(*S.shape[:-1]))
    S = S / nonzero(torch.linalg.matrix_norm(S, keepdim=True))
    table = loaded(SIGN["float64" if dtype == torch.float64 else "float32"])
    lowest = RESOLVED * rank_rtol / (2 * math.sqrt(n))
    passes = max(1, math.ceil(math.log(lowest) / math.log(table.schedule.interval[0])))
    for _ in range(passes):
        S = execute.direct(S, table.schedule) / (1 + table.schedule.error)
    E = ops.add_to_diagonal_((S + S.mT) / 4, 0.5)
    # Once (3E² − 2E³), so that what is left of the table's error is squared away.
    square = ops.sym_mm(E, E)
    E = ops.sym_mm_add(3 * square, square, E, alpha=-2, beta=1) * there
    kept = ops.sym_mm(ops.sym_mm(E, W), E)
    if how.judged:
        how.doubts.append(_doubt_small(side, W - kept, rank_rtol * largest[..., 0, 0]))
    level = 1 / math.sqrt(n)
    K = ops.add_to_diagonal_((kept + kept.mT) / 2 - level * E, level)
    how.beside += passes * matmuls(table.schedule) + found.products + 4
    wide = K.to(X.dtype)
    # A power of the norm of zero has to be a number.
    norm = nonzero(side.scaled_norm)
    return side._replace(X=wide.to(side.X.dtype), wide=wide, scaled_norm=norm, projector=E)


def _doubt_small(side: Side, rest: Tensor, threshold: Tensor) -> Doubt:
    """Whether what is cut off holds an eigenvalue that is no small one: it is negative, and as large as that.

    By thin products: ‖V Nᵏ⁺¹‖/‖V Nᵏ‖ for rows V is a lower bound of ‖N‖₂, and near it where one stands out.
    """
    N, n = rest.detach(), rest.shape[-1]
    rows = torch.from_numpy(np.random.default_rng(n).standard_normal((ROWS, n))).to(N.device, N.dtype) @ N
    for _ in range(2):
        rows = rows @ N / nonzero(torch.linalg.vector_norm(rows, dim=(-2, -1), keepdim=True))
    size = torch.linalg.vector_norm(rows, dim=(-2, -1))
    found = torch.linalg.vector_norm(rows @ N, dim=(-2, -1)) / nonzero(size)
    large = found > LARGE * threshold

    def say() -> None:
        least = found.max().item()
        value = -(found * side.norm.to(found.dtype)).max().item()
        raise InputError(
            members(side.name, large),
            f"is not positive: it has an eigenvalue near {value:.3g}, which is no rounding of a null space: "
            f"look for what made it, or damp beyond it with eps={1.2 * least / side.share:.2g}",
        )

    return Doubt(large.any(), say)


def within(side: Side, G: Tensor, how: Iterations) -> Tensor:
    """G E, where there is a projector."""
    if side.projector is None:
        return G
    how.beside += 1
    E = side.projector
    wide = torch.promote_types(G.dtype, E.dtype)
    return ops.mm(G.to(wide), E.to(wide))

"""What a normalized result is multiplied by, exactly where that is a power of two."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from polydesign.runtime.coupled import Side
from polydesign.runtime.normalize import times_power_of_two, work_dtype


def symmetric_part(M: Tensor) -> Tensor:
    """(M + Mᵀ)/2, halved first: the sum cannot overflow."""
    half = M / 2
    return half + half.mT


def rescaled(
    X: Tensor,
    state: torch.dtype,
    sides: Sequence[tuple[Side, int]],
    root: int,
    exponent: Tensor | None = None,
    *,
    symmetric: bool = False,
) -> Tensor:
    """X·2^exponent·Π ν^(k/r) over the sides (their ν with damping, k), rounded to the state last.

    symmetric: take the symmetric part of X before that, where X is one but for rounding.

    Powers of two are split off and applied exactly: ν^(k/r) alone may not fit where the result does, and
    P·2^(r·j) gives the same bits as P.
    """
    factor = torch.ones((), dtype=torch.float64, device=X.device)
    power = torch.zeros_like(sides[0][0].exponent)
    for side, k in sides:
        power = power + torch.div(side.exponent * k, root, rounding_mode="floor")
        rest = torch.remainder(side.exponent * k, root).double() / root
        factor = factor * side.scaled_norm.double() ** (k / root) * torch.exp2(rest)
    if exponent is not None:
        power = power + exponent
    work = work_dtype(state, X, *(side.scaled_norm for side, _ in sides))
    X = symmetric_part(X.to(work)) if symmetric else X.to(work)
    return times_power_of_two(X * factor.to(work), power).to(state)


def divisor(scaled_norm: Tensor, exponent: Tensor) -> Tensor:
    """scaled_norm·2^exponent of each matrix, shape (...), in float64."""
    return times_power_of_two(scaled_norm.double(), exponent)[..., 0, 0]

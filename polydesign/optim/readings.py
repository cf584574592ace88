"""What Muon's log gets: how well a matrix was orthogonalized, and how much of it the table promises for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from polydesign.optim.maps import ClampedSign, lowest
from polydesign.runtime import Run


@dataclass(frozen=True, slots=True)
class Reading:
    """One matrix at one step.

    Attributes:
        step: Calls of the optimizer's step before this one.
        name: Of the parameter, with the place in its stack, or of the fused matrix, in brackets.
        shape: Its rows and columns.
        norm: ν, what it was divided by.
        residual: ‖X Xᵀ − I‖_F/√n of the result, n the shorter side.
        promised: What the table promises of that where no singular value is below l·ν.
        below: The share of the singular values that is.
    """

    step: int
    name: str
    shape: tuple[int, int]
    norm: float
    residual: float
    promised: float
    below: float


def read(
    M: Tensor, run: Run, sign: ClampedSign, step: int, names: list[tuple[str, tuple[int, int]]]
) -> list[Reading]:
    """A Reading for each matrix of a batch M (b, m, n) that ran as `run` says; it takes singular values."""
    dtype = str(M.dtype).removeprefix("torch.")
    sigma = torch.linalg.svdvals(M.to(torch.promote_types(M.dtype, torch.float32)))
    norm = run.norm.reshape(-1)
    ends = lowest(sign, dtype) * norm.clamp_min(sign.eps)
    below = (sigma < ends[:, None]).double().mean(dim=-1)
    rows = zip(names, norm.tolist(), run.residual.reshape(-1).tolist(), below.tolist(), strict=True)
    return [
        Reading(step, name, shape, size, residual, run.promised, share)
        for (name, shape), size, residual, share in rows
    ]

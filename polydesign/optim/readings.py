"""What Muon's log gets: how well a matrix was orthogonalized, and how much of it the table promises for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from polydesign.optim.maps import ClampedSign
from polydesign.runtime import Run
from polydesign.runtime.normalize import nonzero


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
        table: What ran; with an adaptive plan the matrix decides it.
    """

    step: int
    name: str
    shape: tuple[int, int]
    norm: float
    residual: float
    promised: float
    below: float
    table: str


def read(
    M: Tensor, run: Run, sign: ClampedSign, step: int, names: list[tuple[str, tuple[int, int]]]
) -> list[Reading]:
    """A Reading for each matrix of a batch M (b, m, n) that ran as `run` says; it takes singular values."""
    sigma = torch.linalg.svdvals(M.to(torch.promote_types(M.dtype, torch.float32)))
    norm = run.norm.reshape(-1)
    # l·max(ν, eps), which l·ν and ν give; what is zero is below all of them.
    ends = run.interval[..., 0].reshape(-1) * (norm.clamp_min(sign.eps) / nonzero(norm))
    below = ((sigma < ends[:, None]) | (sigma == 0)).double().mean(dim=-1)
    promised = torch.as_tensor(run.promised, device=run.residual.device).expand(
        run.residual.shape
    )  # of a family, each matrix its own
    columns = (one.reshape(-1).tolist() for one in (norm, run.residual, promised, below))
    return [
        Reading(step, name, shape, size, residual, most, share, run.table)
        for (name, shape), size, residual, most, share in zip(names, *columns, strict=True)
    ]

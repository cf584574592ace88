"""What a run of the coupled form consists of: prepared matrices, iterations, and what is to be looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from polydesign.runtime.base import Resolved
from polydesign.runtime.root_evidence import Doubt, Evidence


class Side(NamedTuple):
    """X = (P/ν + eps·I)/(1 + eps) in the state's dtype; P + eps·ν·I = ν·(1 + eps)·X.

    wide: X in the work dtype. norm: ν in float64, shape (...). The divisor ν·(1 + eps) is
    scaled_norm·2^exponent, each (..., 1, 1). products: what the normalization took. name: the argument that P
    is, and given its dtype. projector: on what rank_rtol leaves of P; X is positive outside of that too.
    share: what eps is multiplied by at least, 1 but for complex P.
    """

    X: Tensor
    wide: Tensor
    norm: Tensor
    scaled_norm: Tensor
    exponent: Tensor
    products: int
    name: str
    given: torch.dtype
    projector: Tensor | None = None
    share: float = 1.0


class Ended(NamedTuple):
    """One iteration: what it started from and ended with, s, whether G was the identity, and the evidence.

    inverse: of a root, that of its inverse, which shows eigenvalues that are negative or below the table's.
    """

    side: Side
    G: Tensor
    power: int
    from_identity: bool
    evidence: Evidence | None = None
    inverse: Evidence | None = None


@dataclass
class Iterations:
    """One run of a `CoupledOperator`: its iterations, and the products beside them.

    out: dtype of the result. judged: whether evidence is asked for. doubts: of the input. cut: where a root
    is computed again, what is zero of P, relative to its largest eigenvalue.
    """

    how: Resolved
    out: torch.dtype
    judged: bool = True
    doubts: list[Doubt] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    beside: int = 0
    warnings: tuple[str, ...] = ()
    cut: float = 0.0


def members(name: str, which: Tensor) -> str:
    """Which matrices of a batch: P[1, 2], and how many more."""
    if not which.ndim:
        return name
    first = torch.nonzero(which)[0].tolist()
    more = int(which.sum()) - 1
    return f"{name}[{', '.join(map(str, first))}]" + (f" and {more} more" if more else "")

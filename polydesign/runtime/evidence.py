"""What can be told of a result at little cost: whether it may be right, with one look at the data.

A value that is proved to be too large refutes a result. What is merely lost, a singular value that ended near
0, cannot be told from a null space of the input without products as large as those of a step; `run` takes
one of these, for its residual.
"""

from __future__ import annotations

import warnings
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from polydesign.model import DivergenceError, Plan, PromiseWarning
from polydesign.runtime.checks import check_finite, member, on_host

SMALL = 64
"""The shorter side up to which powers of the Gram matrix cost less than thin products do."""

ROUNDS, PROBES = 4, 4
"""How often four fixed columns are multiplied by the result and its transpose."""


def norm_evidence(X: Tensor) -> Tensor:
    """A lower bound of ‖X‖₂, shape (...), up to rounding: ‖Xᵀ Z‖_F/‖Z‖_F, Z = (X Xᵀ)⁴V for a fixed random V.

    X: (..., m, n), not empty. Among others of 1 a value of 2 shows as 1.86 or more at m = 1024, in thirty
    random directions. Not finite where X is not. Zero for X = 0. With a side of at most SMALL it is
    (‖G⁴‖_F/‖G²‖_F)^(1/4), G = X Xᵀ, which takes fewer operations.
    """
    X = X.detach()
    X = X if X.shape[-2] <= X.shape[-1] else X.mT
    # float16 would overflow, and processors take longer for a small product in half precision.
    if X.dtype == torch.float16 or (X.dtype == torch.bfloat16 and X.shape[-2] <= SMALL):
        X = X.float()
    least = torch.finfo(X.dtype).tiny
    if X.shape[-2] <= SMALL:
        G = X @ X.mT
        G = G @ G
        size = torch.linalg.vector_norm(G, dim=(-2, -1)).clamp_min(least)
        return (torch.linalg.vector_norm(G @ G, dim=(-2, -1)) / size) ** 0.25
    Z = probes(X.shape[-2], X.dtype, X.device)
    for _ in range(ROUNDS):
        Z = X @ (X.mT @ Z)
    size = torch.linalg.vector_norm(Z, dim=(-2, -1)).clamp_min(least)
    return torch.linalg.vector_norm(X.mT @ Z, dim=(-2, -1)) / size


def cube_evidence(X: Tensor, rounding: float) -> Tensor:
    """‖X³V − XV‖_F/‖XV‖_F for a fixed random V, shape (...), less what rounding explains: zero for a sign.

    X: (..., n, n), not empty. rounding: relative, of a product; that of X³ grows with ‖X‖_F². Not finite
    where X is not.
    """
    X = X.detach()
    X = X.float() if X.dtype == torch.float16 else X
    W = X @ probes(X.shape[-1], X.dtype, X.device)
    size = torch.linalg.vector_norm(W, dim=(-2, -1)).clamp_min(torch.finfo(W.dtype).tiny)
    off = torch.linalg.vector_norm(X @ (X @ W) - W, dim=(-2, -1)) / size
    return off / (1 + rounding * X.square().sum(dim=(-2, -1)))


def beyond(evidence: Tensor, limit: float, name: str, *data: Tensor) -> tuple[str, float] | None:
    """The place and value of the largest evidence, shape (...), if it is above the limit.

    The one look at data; where that finds something, data that are not finite are refused.
    """
    if on_host(evidence.max() if evidence.ndim else evidence) <= limit:
        return None
    for M in data:
        check_finite(name, M)
    worst = evidence.nan_to_num(nan=torch.inf, posinf=torch.inf).flatten()
    index = int(worst.argmax())
    return name + member(index, evidence.shape), worst[index].item()


@lru_cache(maxsize=64)
def probes(rows: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The fixed V, (rows, PROBES); it is kept, and not to be written on."""
    with torch.inference_mode(False):
        V = np.random.default_rng(rows).standard_normal((rows, PROBES))
        return torch.from_numpy(V).to(device, dtype)


def refuted(problem: str, plan: Plan) -> None:
    """Raise it as a DivergenceError, or warn, as the plan says."""
    if plan.check == "warn":
        warnings.warn(problem, PromiseWarning, stacklevel=2)
    else:
        raise DivergenceError(problem + '; Plan(check="warn") warns in place of this error')


def outside(problem: str) -> None:
    """Warn that a result is outside its promise."""
    warnings.warn(problem, PromiseWarning, stacklevel=2)

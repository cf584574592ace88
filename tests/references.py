"""Reference data and naive references that several test files share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from polydesign.verification.bench import BenchSetting, Timing

DATA = Path(__file__).parent / "data"


def oracle_cases() -> list[dict[str, Any]]:
    return json.loads((DATA / "minimax_oracle.json").read_text())["cases"]


def published(name: str) -> dict[str, Any]:
    entries = json.loads((DATA / "published.json").read_text())
    return next(entry for entry in entries if entry["name"] == name)


def prototypes() -> list[dict[str, Any]]:
    return json.loads((DATA / "prototype_schedules.json").read_text())["schedules"]


def inverse_root_derivative(P: Tensor, D: Tensor, root: int) -> Tensor:
    """The derivative of P^(−1/r), r = root, at symmetric positive P (..., n, n) along (D + Dᵀ)/2, in float64.

    In P's eigenvectors divided differences of λ^(−1/r): with y = λ^(−1/r) that is
    −y_iʳ y_jʳ/Σ_k y_i^(r−1−k) y_jᵏ, k = 0 … r − 1, without a difference.
    """
    P, D = (((X + X.mT) / 2).to("cpu", torch.float64) for X in (P, D))
    values, V = torch.linalg.eigh(P)
    y = values ** (-1 / root)
    left, right = y[..., :, None], y[..., None, :]
    powers = torch.stack([left ** (root - 1 - k) * right**k for k in range(root)]).sum(0)
    return V @ ((V.mT @ D @ V) * -((left * right) ** root) / powers) @ V.mT


def truncated(sigma: Tensor, threshold: float) -> Tensor:
    """σ above θ, and 0 from there down; with `spectral` the approximation of Eckart and Young."""
    return torch.where(sigma > threshold, sigma, torch.zeros_like(sigma))


def column_row_middle(X: Tensor, Y: Tensor, C: Tensor, R: Tensor, *, diagonal: bool) -> Tensor:
    """The D, diagonal or full, with the least ‖XY − CDR‖_F, for single matrices: least squares on its
    entries, one column c_i r_jᵀ each, in float64; the reference of `column_row`."""
    X, Y, C, R = (M.to("cpu", torch.float64) for M in (X, Y, C, R))
    outer = torch.einsum("ai,jb->abij", C, R)
    if diagonal:
        columns = outer.diagonal(dim1=-2, dim2=-1).flatten(0, 1)
        return torch.linalg.lstsq(columns, (X @ Y).reshape(-1, 1), driver="gelsd").solution[:, 0].diag()
    flat = outer.flatten(2).flatten(0, 1)
    D = torch.linalg.lstsq(flat, (X @ Y).reshape(-1, 1), driver="gelsd").solution
    return D.reshape(C.shape[-1], R.shape[-2])


def timing_from_json(body: Mapping[str, Any]) -> Timing:
    """What `Timing.as_json` gave, as it was; what a file adds (the date) is left out."""
    setting = body["setting"]
    tuples = {key: tuple(setting[key]) for key in ("interval", "shape")}
    known = {key: body[key] for key in Timing.__dataclass_fields__}
    return Timing(**{**known, "setting": BenchSetting(**{**setting, **tuples})})

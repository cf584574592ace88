"""spectral_power and soft_clip on matrices with a known singular value decomposition."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from polydesign.model import InputError, Table
from polydesign.rounding.running import MOST_EXPLAINED
from polydesign.runtime import soft_clip, spectral_power
from polydesign.runtime.powers import rounding_of
from polydesign.verification.cases import Case, Setting, divisor, of_signs, refuse_rescaling, wide
from polydesign.verification.metrics import softly_clipped, spectral

ORDERS = {"frobenius": 2, "schatten4": 4, "schatten8": 8}
"""Normalization -> q of the norm (Σσ^q)^(1/q)."""

RELATED = {"frobenius": "schatten4", "schatten4": "schatten8"}
"""What M is divided by where MᵀM is meant."""

JUDGED = 0.5
"""Times c: smaller singular values are left nearly as they are, and rounding is absolute there."""


def power_case(setting: Setting) -> Case:
    """U Σᵖ Vᵀ, p = 1 − 2s/r, r the table's root and s the power.

    Raises InputError for what is not in lowest terms, for an odd root, and for s >= r.
    """
    known, r, s = setting.known, setting.table.schedule.root, setting.power
    if r % 2 or s >= r or (r > 2 and s % 2 == 0):
        raise InputError(
            "power",
            f"is {s} and the root {r}, and spectral_power takes an even root and an odd power below it: take "
            "another power, or a table of another root",
        )
    own = setting.plan.normalization
    plan = replace(setting.plan, normalization=own or RELATED.get(setting.normalization))
    p, size = 1 - 2 * s / r, divisor(replace(setting, plan=plan), _wide(known.matrix))
    M, values = known.matrix.to(setting.device), known.sigma**p
    state = "float64" if str(setting.plan.dtype) == "float64" else "float32"

    def run(table: Table) -> Tensor:
        return wide(spectral_power(M, p, table, plan))

    def rounded() -> Tensor:
        # Beyond the rank there is nothing but rounding, and a power of it is no part of the result.
        U, sigma, Vt = torch.linalg.svd(wide(known.matrix.to(setting.dtype)), full_matrices=False)
        k = values.shape[-1]
        return (U[..., :k] * (sigma**p)[:, None, :k]) @ Vt[:, :k]

    def explained(judged: Tensor) -> float:
        # A half precision rounds M and the result alone.
        ends = torch.where(judged, known.sigma, known.sigma.amax(dim=-1, keepdim=True))
        ratio = (known.sigma.amax(dim=-1) / ends.amin(dim=-1)).max().item()
        coarse = 2 * torch.finfo(setting.dtype).eps * ratio if setting.dtype.itemsize == 2 else 0.0
        return min(rounding_of(setting.table.schedule, s, state) + coarse, MOST_EXPLAINED)

    return Case(
        x=(known.sigma / size[:, None]) ** (2 / r),
        left=known.U,
        right=known.V / values[:, None, :],
        exponent=s,
        exact=(known.U * values[:, None, :]) @ known.V.mT,
        result=run(setting.table),
        run=run,
        rounded=rounded,
        explained=explained,
        form="coupled",
    )


def soft_clip_case(setting: Setting) -> Case:
    """M (MᵀM + c²·I)^(−1/2), c at the table's lower end where that can be: x = √(σ² + c²)/ν.

    Judged are values above JUDGED·c. Raises InputError for aol and none.
    """
    known = setting.known
    refuse_rescaling(setting, "bounds no norm that a threshold could refer to: schatten8")
    c = _threshold(known.sigma, min(known.matrix.shape[-2:]), setting)
    M = known.matrix if known.matrix.shape[-2] >= known.matrix.shape[-1] else known.matrix.mT
    eye = torch.eye(M.shape[-1], dtype=M.dtype).expand(M.shape[0], -1, -1)
    stacked = torch.cat([M, c * eye], dim=-2)
    size, values = divisor(setting, stacked.mT)[:, None], softly_clipped(known.sigma, c)
    keep = (known.sigma >= JUDGED * c).all(dim=0)
    x = torch.sqrt(known.sigma.square() + c * c)[:, keep] / size
    plan = replace(setting.plan, normalization=setting.normalization)

    def run(table: Table) -> Tensor:
        return wide(soft_clip(known.matrix.to(setting.device), c, table, plan))

    def explained(judged: Tensor) -> float:
        least = JUDGED / (1 + JUDGED**2) ** 0.5
        return min(of_signs(setting, stacked.shape, x, judged) / least, MOST_EXPLAINED)

    return Case(
        x=x,
        left=known.U[..., keep],
        right=(known.V / values[:, None, :])[..., keep],
        exact=(known.U * values[:, None, :]) @ known.V.mT,
        result=run(setting.table),
        run=run,
        rounded=lambda: spectral(
            wide(known.matrix.to(setting.dtype)), lambda sigma: softly_clipped(sigma, c)
        ),
        explained=explained,
    )


def _wide(M: Tensor) -> Tensor:
    return M if M.shape[-2] <= M.shape[-1] else M.mT


def _threshold(sigma: Tensor, side: int, setting: Setting) -> float:
    """c = l·ν where ν of the stacked matrix allows it, and the largest σ otherwise; 1 for zero."""
    order, lower = ORDERS.get(setting.normalization, 2), setting.table.schedule.interval[0]
    values = torch.nn.functional.pad(sigma, (0, side - sigma.shape[-1]))
    largest = values.max().item()
    c = 0.0
    for _ in range(64):
        size = (values.square() + c * c).sqrt().pow(order).sum(dim=-1).pow(1 / order).max().item()
        c = min(1.01 * lower * size, largest)
    return c or 1.0

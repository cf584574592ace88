"""spectral_clip on matrices with a known singular value decomposition, by the composed formula."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from polydesign.model import Table
from polydesign.runtime import spectral_clip
from polydesign.verification.cases import Case, Setting, divisor, of_signs, refuse_rescaling, wide
from polydesign.verification.metrics import clipped, spectral


def clip_case(setting: Setting) -> Case:
    """min(σ, l·ν)/(l·ν), ν the bound that the normalization gives: every table is run at its own threshold.

    With x = σ/ν the iteration is that of msign, bit for bit as with normalization none; judged are the values
    clipped, x >= l, and by as much as of msign, because rounding is the same. Below l the deviation is that
    of f(x) from the line x/l, relative to it. Raises InputError for aol.
    """
    known, table = setting.known, setting.table
    refuse_rescaling(setting, "bounds no norm that a threshold could refer to: schatten8")
    size = divisor(setting, known.matrix)[:, None]
    x, M = known.sigma / size, known.matrix / size[..., None]
    lower = table.schedule.interval[0]
    target = clipped(x / lower, 0.0, 1.0)
    plan = replace(setting.plan, normalization=setting.normalization)

    def run(other: Table) -> Tensor:
        return wide(spectral_clip(M.to(setting.device), high=lower, table=other, plan=plan)) / lower

    return Case(
        x=x,
        left=known.U,
        right=known.V / target[:, None, :],
        exact=(known.U * target[:, None, :]) @ known.V.mT,
        result=run(table),
        run=run,
        rounded=lambda: spectral(wide(M.to(setting.dtype)), lambda sigma: clipped(sigma / lower, 0.0, 1.0)),
        explained=lambda judged: of_signs(setting, M.shape, x, judged),
        target=target,
    )

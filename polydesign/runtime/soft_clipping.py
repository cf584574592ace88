"""The soft clip U (Σ/√(1 + Σ²/c²)) Vᵀ, by one sign.

[M; c·I] = S has SᵀS = MᵀM + c²·I, so that the upper part of msign(S) is M (MᵀM + c²·I)^(−1/2), which times c
is the soft clip. No singular value of S is below c, so that a null space of M costs nothing, and every table
for signs serves in every precision, with what was measured of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from polydesign.model import HALF, InputError, Plan, check_number, dtype_name
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime.base import DEFAULT, made
from polydesign.runtime.checks import on_host
from polydesign.runtime.clipping import guard_small
from polydesign.runtime.evidence import norm_evidence, outside
from polydesign.runtime.signs import Signs, SpectralOperator
from polydesign.table.given import CHOSEN, Source, TableField

ROUNDING = 1e-6
"""Of a norm in float32: c may be below l·ν by so much."""

MOVED = 0.5
"""What rounding M may move the result by without a warning, in units of c."""

SHARE = 0.9
"""Of the lower end that is needed: that of the table that a warning proposes."""


@dataclass(frozen=True, eq=False)
class SoftClip(SpectralOperator):
    """U (Σ/√(1 + Σ²/c²)) Vᵀ for M = U Σ Vᵀ, c = high > 0: near σ below c, near c above.

    Called with M: (..., m, n). It is c times the upper part of msign([M; c·I]), for m >= n (else on Mᵀ).
    Every singular value is off by E relatively at most, E the table's error, where c >= l·ν: l is the table's
    lower end, and ν what the stacked matrix is divided by, (‖M‖_F² + n·c²)^½ unless table or plan say
    otherwise. Rounding M to the state moves the result by up to u·‖M‖₂, and the sign's by about u·c: in
    bfloat16 0.19·c was measured for c = 0.01·‖M‖₂ and 0.021·c for 0.1·‖M‖₂. Where c is smaller than l·ν,
    values below that come out too small; a call warns of that, and where rounding M may move it by c/2.

    Products: those of msign for a matrix of m + n rows, and none more.

    Args:
        high: c.
        table: Of root 2, None for the catalogue's.
        plan: Of the sign.

    Raises InputError as `SpectralOperator` does, and for high that is not positive.
    """

    high: float = 1.0
    table: TableField = CHOSEN
    plan: Plan = DEFAULT
    formula: str = field(default="", init=False)
    word = "soft_clip"
    formulas = ("",)

    def check(self) -> None:
        super().check()
        object.__setattr__(self, "high", check_number("high", self.high))
        if self.high <= 0:
            raise InputError(
                "high", f"must be positive, and is {self.high!r}: singular values are not negative"
            )

    def largest(self) -> float:
        return self.high

    def combine(self, signs: Signs, M: Tensor) -> Tensor:
        if not M.numel():
            return signs.state_of(torch.empty_like(M))
        # No narrower than float32: there c may be out of the range of M's dtype.
        tall = signs.tall(M).to(torch.promote_types(M.dtype, torch.float32))
        n = tall.shape[-1]
        below = torch.eye(n, dtype=tall.dtype, device=M.device) * self.high
        stacked = torch.cat([tall, below.expand(*tall.shape[:-2], n, n)], dim=-2)
        X = signs.msign(stacked)[..., :-n, :]
        return signs.state_of(signs.like(M, signs.sum([(X, self.high)])))

    def guard(self, result: Tensor, found: Signs, *data: Tensor) -> None:
        super().guard(result, found, *data)
        guard_small(self.high, result)
        if found.last is None or found.last[0] is None:
            return
        normalized, how = found.last
        state = dtype_name(found.state)
        if state in HALF:
            moved = UNIT_ROUNDOFF[state] * on_host(norm_evidence(data[0]).max())
            if moved > MOVED * self.high:
                outside(
                    f"high: is {self.high:.3g}, and rounding M to {state} may move the result by "
                    f'{moved:.3g}: write Plan(dtype="float32")'
                )
                return
        lower = how.table.schedule.interval[0]
        promised = lower * on_host(normalized.norm().max())
        if self.high < promised * (1 - ROUNDING):
            state = "float64" if state == "float64" else "float32"
            smaller = SHARE * lower * self.high / promised
            outside(
                f"high: is {self.high:.3g}, and {how.table.name} promises for {promised:.3g} and more here: "
                f"singular values below that come out too small; write plan=Plan(dtype={state!r}), table="
                f"polydesign.design(degree=5, error=0.01, lower={smaller:.1g}, dtype={state!r})"
            )


def soft_clip(M: Tensor, high: float = 1.0, table: Source | None = None, plan: Plan | None = None) -> Tensor:
    """U (Σ/√(1 + Σ²/c²)) Vᵀ, c = high, by `SoftClip`.

    Args:
        M: (..., m, n), any floating dtype.
        high: c > 0, what the singular values stay below.
        table: Of root 2, None for the catalogue's.
        plan: How it runs.

    Returns:
        Tensor of M's shape in the state's dtype.
    """
    return made(SoftClip, high, table, plan)(M)

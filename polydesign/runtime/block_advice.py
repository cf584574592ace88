"""What to do where no table gave the sign of a block: said from its eigenvalues, which are looked at then.

Only what was not tried is proposed. Who has no need of products finds the same functions in scipy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polydesign.model import Plan, Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.search.sector import WIDEST

SECTORS = (75.0, 80.0)
"""Degrees of the tables that are tried where none is given: 120 and 186 products a pass."""

REAL = 0.25
"""Degrees: tables for an interval serve no eigenvalue that is further off the real axis, about."""

LOST = 100.0
"""Roundings, in units of n·u·‖H‖, that eigenvalues of a block may be off by in the figures below; from
experience, and right for blocks that are not far from normal."""


@dataclass(frozen=True)
class Asked:
    """Whose sign it is, for a refusal.

    name: the argument to name. block: what H is. misses: what is wrong with a BlockSign that squares to I, or
    an empty string. hopeless: why no table will do, and what else, for a matrix of the batch by its flat
    index, or an empty string. elsewhere: how scipy computes the result.
    """

    name: str
    block: str
    misses: Callable[[Any], str]
    hopeless: Callable[[int], str]
    elsewhere: str


def advice(H: Tensor, index: int, tried: Sequence[Table], asked: Asked, plan: Plan, state: str) -> str:
    """A sentence: what stands in the way, and what to write.

    index: of the matrix in the batch, flat. plan: as it was given, with its wishes. state: precision of the
    sign.
    """
    hopeless = asked.hopeless(index)
    if hopeless:
        return hopeless
    values, size = eigenvalues(H, index)
    smallest, widest = values.abs().min().item() / size, _angle(values)
    lost = LOST * H.shape[-1] * UNIT_ROUNDOFF[state]
    if smallest <= lost:
        what = f"Of the block an eigenvalue is {smallest:.2g} of the norm, which {state} does not tell from 0"
        return f"{what}: {_wider(state, asked)}"
    if widest > WIDEST:
        what = f"Of the block an eigenvalue is {widest:.4g} degrees off the real axis"
        return f"{what}, and tables serve up to {WIDEST:g}: {asked.elsewhere}"
    what = (
        f"The block's eigenvalues are up to {widest:.3g} degrees off the real axis, and down to "
        f"{smallest:.2g} of its norm"
    )
    for wish in ("matmuls", "error"):
        if getattr(plan, wish) is not None:
            return f"{what}: leave plan.{wish} out, and more tables are tried"
    if len(tried) == 1:  # which was given
        return f"{what}: leave table out, and others of up to {WIDEST:g} degrees are tried"
    return f"{what}; rounding moves them further, as in a block far from normal: {_wider(state, asked)}"


def sign_advice(M: Tensor, table: Table) -> str:
    """Why mcsgn of matrices diverged with this table, and what to write."""
    widest = _angle(torch.linalg.eigvals(M.detach().double()))
    served = float(re.findall(r"^sector([\d.]+)-|$", table.name)[0] or REAL)
    if widest > WIDEST:
        what = f"as an eigenvalue {widest:.4g} degrees off the real axis makes it, and tables serve up to"
        return f"{what} {WIDEST:g}: take scipy.linalg.signm(M)"
    if widest > served:
        angle = min(WIDEST, 5 * math.ceil(widest / 5))
        what = f"as an eigenvalue {widest:.3g} degrees off the real axis makes it"
        return f"{what}: write table=sector_table({angle:g})"
    # Its steps are short, and rounding grows less.
    gentle = f"write table=sector_table({WIDEST:g}), or " if served == REAL else ""
    return f"as rounding makes it where M is far from normal: {gentle}take scipy.linalg.signm(M)"


def eigenvalues(H: Tensor, index: int) -> tuple[Tensor, float]:
    """Of one matrix of a batch, and its Frobenius norm; in float64."""
    one = H.detach().reshape(-1, *H.shape[-2:])[index].double()
    return torch.linalg.eigvals(one), torch.linalg.matrix_norm(one).item()


def shown(value: complex) -> str:
    """A number in three digits, without a part that is zero to rounding."""
    real, imaginary = (0.0 if abs(part) < 1e-12 * abs(value) else part for part in (value.real, value.imag))
    return (
        f"{real:.3g}"
        if not imaginary
        else f"{imaginary:.3g}i"
        if not real
        else f"{real:.3g}{imaginary:+.3g}i"
    )


def _angle(values: Tensor) -> float:
    """The largest angle to the real axis, on either side of the imaginary one, in degrees."""
    return math.degrees(torch.atan2(values.imag.abs(), values.real.abs()).max().item())


def _wider(state: str, asked: Asked) -> str:
    return (
        asked.elsewhere if state == "float64" else 'write plan=Plan(dtype="float64"), or ' + asked.elsewhere
    )

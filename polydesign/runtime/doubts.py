"""What may be wrong with matrices of a coupled run, and with what came out: looked at later, all together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from polydesign.model import InputError
from polydesign.runtime.base import Resolved
from polydesign.runtime.checks import (
    asymmetry,
    check_finite,
    check_matrix,
    check_symmetric,
    check_vouched,
)
from polydesign.runtime.coupled import Iterations, members
from polydesign.runtime.root_evidence import Doubt

SUBNORMAL = 16
"""Below the least normal number by so much, four digits of two are gone."""


def doubts_of(name: str, P: Tensor, how: Resolved, *, damped: bool) -> list[Doubt]:
    """Whether P is finite, symmetric, and, where nothing damps it, without a negative diagonal entry."""
    if how.normalization == "none":
        check_finite(name, P)
        check_vouched(name, P, how.table.schedule.interval[1] ** how.table.schedule.root)
    M = P.detach()
    off, largest, tolerance = asymmetry(M)
    doubts = [
        Doubt(~torch.isfinite(largest).all(), lambda: check_finite(name, P)),
        Doubt((off > tolerance * largest).any(), lambda: check_symmetric(name, P)),
    ]
    if not damped:
        least = M.diagonal(dim1=-2, dim2=-1).to(off.dtype).amin(dim=-1)
        negative = least < -2 * tolerance * largest
        doubts.append(Doubt(negative.any(), lambda: _refuse_negative(name, least, negative)))
    return doubts


def doubt_zero(name: str, X: Tensor) -> Doubt:
    """Whether a normalized X is zero, which has no inverse."""
    nothing = X.detach().abs().amax(dim=(-2, -1)) == 0
    return Doubt(nothing.any(), lambda: _refuse_zero(name, nothing))


def doubt_eps(eps: Tensor) -> Doubt:
    """Whether a damping is negative, or not finite."""
    return Doubt(~((eps >= 0) & torch.isfinite(eps)).all(), lambda: _refuse_eps(eps))


def doubt_finite(name: str, M: Tensor) -> Doubt:
    """Whether M holds NaN or infinity."""
    finite = torch.isfinite(M.detach() if M.element_size() > 1 else M.detach().float()).all()
    return Doubt(~finite, lambda: check_finite(name, M))


def unfit(parts: Sequence[Tensor], found: Iterations, over: list[str]) -> list[Doubt]:
    """Whether a result has no place in its dtype: what is infinite, or so small that it is nearly zero."""
    info, last = torch.finfo(found.out), found.ended[-1]
    infinite = ~torch.stack([torch.isfinite(X).all(dim=-1).all(dim=-1) for X in parts]).all(dim=0)
    large = f"{{}} gives entries above {info.max:.3g}, the most"
    doubts = [Doubt(infinite.any(), lambda: over.append(f"{members('P', infinite)}: {large}"))]
    if last.side.projector is None and not found.cut:
        least = info.smallest_normal / SUBNORMAL
        lost = (parts[-1].abs().amax(dim=(-2, -1)) < least) & (last.G.detach() != 0).any(dim=-1).any(dim=-1)
        small = f"{{}} gives entries below {least:.3g}, the least"
        doubts.append(Doubt(lost.any(), lambda: over.append(f"{members('P', lost)}: {small}")))
    return doubts


def check_factor(G: Tensor, P: Tensor) -> None:
    """Refuse G that does not go with P."""
    check_matrix("G", G)
    if G.shape[-1] != P.shape[-1] or G.shape[:-2] != P.shape[:-2]:
        raise InputError(
            "G",
            f"has shape {tuple(G.shape)}, and P {tuple(P.shape)}: G is (..., m, n) where P is (..., n, n)",
        )


def _refuse_zero(name: str, nothing: Tensor) -> None:
    where = f" ({members(name, nothing)})" if nothing.ndim else ""
    raise InputError(
        name,
        f"holds a zero matrix, which has no inverse, damped or not{where}: leave it out, or give rank_rtol=, "
        "with which zero has the inverse zero",
    )


def _refuse_negative(name: str, least: Tensor, negative: Tensor) -> None:
    where = f" ({members(name, negative)})" if negative.ndim else ""
    raise InputError(
        name,
        f"has {least[negative].min().item():.3g} on its diagonal{where}, so it is not positive, and has no "
        "real root or inverse root: look for what made it",
    )


def _refuse_eps(eps: Tensor) -> None:
    if not torch.isfinite(eps).all():
        raise InputError("eps", "holds NaN or infinity: look for what made it")
    raise InputError("eps", "holds a number that is negative: take eps.clamp(min=0)")

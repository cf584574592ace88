"""Low rank by a threshold: truncation, pseudo-inverse, range projectors and effective rank, without an SVD.

All of them stand on one symmetric matrix (runtime/spectral.above), the projector P = V p(Σ) Vᵀ on the shorter
side, p(σ) = [1 + f(y)]/2 with f the sign table's map. With E its error and l its lower end, in exact
arithmetic p is within E/2 of 1 above θ and within E/2 of 0 below it, for every σ outside the gap:

- composed, for a bound of ‖M‖₂ up to 20,000·θ (half precisions: 6,600): y = c² − τ², c the clip table's
  curve at σ/2θ and τ that at 1/2; the gap is |c² − τ²| < l, about |σ − θ| < 2.5·l·θ.
- unnested: y = (σ² − θ²)/ν², ν >= ‖M‖₂, and the gap is |σ² − θ²| < l·ν².

Inside the gap p rises from −E/2 to 1 + E/2 and is neither: a singular value there is kept by a fraction, in
every result below, and no singular vector is turned. Rounding moves M's singular values first: one within
u·‖M‖ of θ may land on either side. A null space is on the lower side like everything small: no sign of a
small singular value is asked for.

M: (..., m, n), any floating dtype and batch; it is not changed. table (of the signs), plan: as in `msign`;
results in the state's dtype. Raised everywhere: InputError as `spectral_step` does. Cost: what P takes is a
clip iteration (none for unnested), the bound of ‖M‖₂ (schatten8: 2), one product, and one msign of the
shorter side; each function says what it adds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, Table, dtype_name
from polydesign.runtime.clipping import prepared
from polydesign.runtime.defaults import SIGN, chosen
from polydesign.runtime.prepare import RootInfo, symmetric_part
from polydesign.runtime.roots import inverse_root_with_info
from polydesign.runtime.signs import Signs
from polydesign.runtime.spectral import Above, above, check_threshold, gap, step_of

PROJECTED = ("composed", "unnested")
"""Formulas that have a projector."""

SIDES = ("left", "right")


@dataclass(frozen=True, slots=True)
class LowRankInfo:
    """What ran and how much is above the threshold.

    formula, matmuls (0 for an empty matrix), dtype: as in `ClipInfo`. rank: tr P, shape (...), as
    `effective_rank`. gap: the singular values that are neither kept nor removed in exact arithmetic. inverse:
    what the inverse of `pseudo_inverse` did, judged; None for the others.
    """

    formula: str
    matmuls: int
    dtype: str
    rank: Tensor
    gap: tuple[float, float]
    inverse: RootInfo | None = None


def spectral_truncate(
    M: Tensor,
    threshold: float,
    *,
    table: Table | None = None,
    plan: Plan | None = None,
    formula: str = "composed",
) -> Tensor:
    """U Σ·1[Σ > θ] Vᵀ for M = U Σ Vᵀ, θ = threshold > 0: hard thresholding, M·P. 1 product beside P.

    For σ_k > θ > σ_(k+1) it is the best approximation of rank k (Eckart and Young 1936), up to ‖M‖₂·E/2 in
    the spectral norm where no singular value is in the gap. One that is comes out between −σ·E/2 and
    σ·(1 + E/2), so that the error is then up to the gap's upper end. Errors are relative to σ: what is below
    θ is left at E/2 of itself, or less.
    """
    return spectral_truncate_with_info(M, threshold, table=table, plan=plan, formula=formula)[0]


def spectral_truncate_with_info(
    M: Tensor,
    threshold: float,
    *,
    table: Table | None = None,
    plan: Plan | None = None,
    formula: str = "composed",
) -> tuple[Tensor, LowRankInfo]:
    """The same result as `spectral_truncate`, bit for bit, with what ran; it costs nothing more."""
    signs = _prepared(M, threshold, table, plan, formula, "spectral_truncate")
    with torch.autocast(M.device.type, enabled=False):
        X = signs.outer(M)
        part = above(signs, X, threshold, formula)
        kept = signs.mm(signs.tall(X), part.projector)
        return signs.state_of(signs.like(M, kept)), _info(signs, part, threshold, formula)


def range_projector(
    M: Tensor,
    threshold: float,
    *,
    side: str = "left",
    table: Table | None = None,
    plan: Plan | None = None,
    formula: str = "composed",
) -> Tensor:
    """left: U 1[Σ > θ] Uᵀ, (..., m, m), on the range of M; right: V 1[Σ > θ] Vᵀ, (..., n, n), on that of Mᵀ.

    On the shorter side it is P itself, and nothing is added. On the longer one it is S Sᵀ, S the
    `spectral_step` of M: one msign of M and 2 products more; values then are f²p², within about 3E of 1.
    """
    signs = _prepared(M, threshold, table, plan, formula, "range_projector")
    if side not in SIDES:
        raise InputError("side", f"{side!r} is not one of {', '.join(SIDES)}")
    with torch.autocast(M.device.type, enabled=False):
        X = signs.outer(M.mT if side == "left" else M)
        part = above(signs, X, threshold, formula)
        P = part.projector
        if X.shape[-2] < X.shape[-1]:
            step = step_of(signs, part)
            P = signs.mm(step, step.mT)
        return signs.state_of(P)


def effective_rank(
    M: Tensor,
    threshold: float,
    *,
    table: Table | None = None,
    plan: Plan | None = None,
    formula: str = "composed",
) -> Tensor:
    """tr P = Σ p(σ), shape (...), in float32 or better: how many singular values are above θ. Only P runs.

    A polynomial in M where θ and the tables stay, so smooth, and no integer: a value in the gap counts as
    p(σ), every other one is off by at most E/2 and rounding. Its gradient is zero but for values in the gap.
    """
    signs = _prepared(M, threshold, table, plan, formula, "effective_rank")
    with torch.autocast(M.device.type, enabled=False):
        return _rank(above(signs, signs.outer(M), threshold, formula))


def pseudo_inverse(
    M: Tensor,
    threshold: float,
    *,
    table: Table | None = None,
    inverse_table: Table | None = None,
    plan: Plan | None = None,
    formula: str = "composed",
) -> Tensor:
    """V Σ⁻¹·1[Σ > θ] Uᵀ, (..., n, m), for M = U Σ Vᵀ: the pseudo-inverse of `spectral_truncate`.

    K⁻¹Sᵀ, K = SᵀM + θ·(I − P), S = msign(M)·P, for m >= n (else on Mᵀ): K is Σ on the range, θ on what is
    removed, so it is symmetric positive and as well conditioned as ‖M‖₂/θ. A value σ becomes
    f·p/[f·p·σ + θ·(1 − p)]: above the gap 1/σ, off relatively by at most about E/2·θ/σ; below it at most
    about E/(2θ) beside a norm of up to 1/θ; inside it between 0 and about 1/θ, so that nothing in the gap
    grows beyond what θ allows. Beside P: one msign of M, 3 products, the inverse of the shorter side (root 1,
    19 products by default), and one for its residual, not counted. inverse_table: of root 1, None for the
    default; its error adds to all of it, relatively, and rounding adds about u·‖M‖₂/θ.

    Raises InputError as `spectral_step` does, for an inverse_table of another root, and with plan.check where
    θ is below what it serves: l₁ times its bound of ‖K‖₂, ‖K‖_F for the tables of the package (l₁ = 1e-4).
    """
    return pseudo_inverse_with_info(
        M, threshold, table=table, inverse_table=inverse_table, plan=plan, formula=formula
    )[0]


def pseudo_inverse_with_info(
    M: Tensor,
    threshold: float,
    *,
    table: Table | None = None,
    inverse_table: Table | None = None,
    plan: Plan | None = None,
    formula: str = "composed",
) -> tuple[Tensor, LowRankInfo]:
    """The same result as `pseudo_inverse`, bit for bit, with what ran; it costs nothing more."""
    signs = _prepared(M, threshold, table, plan, formula, "pseudo_inverse")
    with torch.autocast(M.device.type, enabled=False):
        part = above(signs, signs.outer(M), threshold, formula)
        step = step_of(signs, part)
        # M/θ: eigenvalues of K from 1 up, whatever the scale.
        scaled = signs.tall(signs.sum([(signs.outer(M), 1 / threshold)]))
        K = signs.sum([(signs.mm(step.mT, scaled), 1.0), (part.projector, -1.0)], 1.0)
        plan = signs.plan
        inner = Plan(dtype=dtype_name(signs.state), check=plan.check, compile=plan.compile)
        inverted, done = inverse_root_with_info(symmetric_part(K), 1, 1, inverse_table, inner)
        if plan.check and K.numel():
            _check_served(threshold, done)
        signs.matmuls += done.matmuls
        X = signs.mm(step, inverted.to(signs.wide))
        found = signs.state_of(signs.like(M, signs.sum([(X, 1 / threshold)])).mT)
        return found, _info(signs, part, threshold, formula, done)


def _prepared(
    M: Tensor, threshold: float, table: Table | None, plan: Plan | None, formula: str, operator: str
) -> Signs:
    signs = prepared(M, table, plan, formula, PROJECTED, operator)
    check_threshold(threshold)
    return signs


def _check_served(threshold: float, done: RootInfo) -> None:
    """Refuse K, in units of θ, with eigenvalues of 1 below the inverse table's interval."""
    least = done.interval[..., 0].max().item()
    if least > 1:
        raise InputError(
            "threshold",
            f"is {threshold:.4g}, and with this M the inverse's table serves {least * threshold:.4g} and "
            "more: give inverse_table=polydesign.design(root=1, ...) with a smaller lower end, or raise it",
        )


def _rank(part: Above) -> Tensor:
    P = part.projector
    diagonal = P.diagonal(dim1=-2, dim2=-1)
    return diagonal.to(torch.promote_types(P.dtype, torch.float32)).sum(dim=-1)


def _info(
    signs: Signs, part: Above, threshold: float, formula: str, done: RootInfo | None = None
) -> LowRankInfo:
    state = dtype_name(signs.state)
    table = signs.table or chosen(2, state, signs.plan, SIGN[state])
    ends = gap(part, threshold, table.schedule.interval[0])
    return LowRankInfo(formula, signs.matmuls, state, _rank(part).detach(), ends, done)

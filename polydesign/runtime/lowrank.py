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

What they share is said by signs.SpectralOperator; InputError is raised as by SpectralStep. Cost: what P takes
is a clip iteration (none for unnested), the bound of ‖M‖₂ (schatten8: 2), one product, and one msign of
the shorter side; each class says what it adds.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, PromiseWarning, Table, check_choice, check_number, dtype_name
from polydesign.runtime.base import made
from polydesign.runtime.checks import check_matrix
from polydesign.runtime.normalize import POWER_MARGIN, nonzero, power, times_power_of_two, work_dtype
from polydesign.runtime.rescaling import symmetric_part
from polydesign.runtime.roots import InverseRoot
from polydesign.runtime.run import Run
from polydesign.runtime.signs import Signs, Tables
from polydesign.runtime.spectral import Above, Threshold, above, gap, step_of
from polydesign.table.given import Source

SIDES = ("left", "right")


class Projected(Threshold):
    """Operators with a threshold that are made of the projector P. rank and gap are in the Run."""

    formulas = ("composed", "unnested")

    def combine(self, signs: Signs, M: Tensor) -> Tensor:
        signs.part = above(signs, M, self.threshold, self.formula)
        return self.made_of(signs.part, signs, M)

    def made_of(self, part: Above, signs: Signs, M: Tensor) -> Tensor:
        """The result, made of the projector."""
        raise NotImplementedError

    def judge(self, result: Tensor, found: Signs, *data: Tensor) -> Run:
        sign = found.tables.sign
        assert sign is not None
        return replace(
            super().judge(result, found, *data),
            table=None,
            rank=_rank(found.part).detach(),
            gap=gap(found.part, self.threshold, sign.schedule.interval[0]),
            inverse=found.inverse,
        )


class Truncate(Projected):
    """U Σ·1[Σ > θ] Vᵀ for M = U Σ Vᵀ, θ = threshold > 0: hard thresholding, M·P. 1 product beside P.

    For σ_k > θ > σ_(k+1) it is the best approximation of rank k (Eckart and Young 1936), up to ‖M‖₂·E/2 in
    the spectral norm where no singular value is in the gap. One that is comes out between −σ·E/2 and
    σ·(1 + E/2), so that the error is then up to the gap's upper end. Errors are relative to σ: what is below
    θ is left at E/2 of itself, or less.
    """

    word = "spectral_truncate"

    def made_of(self, part: Above, signs: Signs, M: Tensor) -> Tensor:
        kept = signs.mm(signs.tall(M), part.projector)
        return signs.state_of(signs.like(M, kept))


@dataclass(frozen=True, eq=False)
class RangeProjector(Projected):
    """left: U 1[Σ > θ] Uᵀ, (..., m, m), on the range of M; right: V 1[Σ > θ] Vᵀ, (..., n, n), on that of Mᵀ.

    On the shorter side it is P itself, and nothing is added. On the longer one it is S Sᵀ, S the
    `SpectralStep` of M: one msign of M and 2 products more; values then are f²p², within about 3E of 1.
    """

    side: str = field(default="left", kw_only=True)
    word = "range_projector"

    def largest(self) -> float:
        return 1.0

    def check(self) -> None:
        super().check()
        check_choice("side", self.side, SIDES)

    def combine(self, signs: Signs, M: Tensor) -> Tensor:
        return super().combine(signs, M.mT if self.side == "left" else M)

    def made_of(self, part: Above, signs: Signs, M: Tensor) -> Tensor:
        P = part.projector
        if M.shape[-2] < M.shape[-1]:
            step = step_of(signs, part)
            P = signs.mm(step, step.mT)
        return signs.state_of(P)


class EffectiveRank(Projected):
    """tr P = Σ p(σ), shape (...), in float32 or better: how many singular values are above θ. Only P runs.

    A polynomial in M where θ and the tables stay, so smooth, and no integer: a value in the gap counts as
    p(σ), every other one is off by at most E/2 and rounding. Its gradient is zero but for values in the gap.
    """

    word = "effective_rank"
    counts = True

    def made_of(self, part: Above, signs: Signs, M: Tensor) -> Tensor:
        return _rank(part)


@dataclass(frozen=True, eq=False)
class PseudoInverse(Projected):
    """V Σ⁻¹·1[Σ > θ] Uᵀ, (..., n, m), for M = U Σ Vᵀ: the pseudo-inverse of what `Truncate` leaves.

    K⁻¹Sᵀ, K = SᵀM + θ·(I − P), S = msign(M)·P, for m >= n (else on Mᵀ): K is Σ on the range, θ on what is
    removed, so it is symmetric positive and as well conditioned as ‖M‖₂/θ. A value σ becomes
    f·p/[f·p·σ + θ·(1 − p)]: above the gap 1/σ, off relatively by at most about E/2·θ/σ; below it at most
    about E/(2θ) beside a norm of up to 1/θ; inside it between 0 and about 1/θ, so that nothing in the gap
    grows beyond what θ allows. Beside P: one msign of M, 3 products, the inverse of the shorter side (root 1,
    19 products by default), and one for its residual, not counted. inverse_table: of root 1, None for the
    default; its error adds to all of it, relatively, and rounding adds about u·‖M‖₂/θ.

    Raises InputError also for an inverse_table of another root, and with plan.check where θ is below what it
    serves: l₁ times its bound of ‖K‖₂, ‖K‖_F for the tables of the package (l₁ = 1e-4).

    rtol: in place of a threshold, which is then None: θ of each matrix is rtol·‖M‖₂, ‖M‖₂ as the
    normalization `power` estimates it. gap in the Run is relative to that too. In a half precision everything
    runs in float32, and is rounded last: rounding to it is as large as θ where θ is worth having.
    """

    threshold: Any
    inverse_table: Table | None = field(default=None, kw_only=True)
    rtol: float | None = field(default=None, kw_only=True)
    word = "pseudo_inverse"

    def check(self) -> None:
        if self.rtol is not None:
            if self.threshold is not None:
                raise InputError("rtol", "and a threshold are both given: threshold is None with rtol")
            object.__setattr__(self, "rtol", check_number("rtol", self.rtol))
            if not 0 < self.rtol < 1:
                raise InputError("rtol", f"must lie between 0 and 1, and is {self.rtol!r}")
            # Of a matrix of norm 1.
            self.__dict__["threshold"] = self.rtol
        elif self.threshold is None:
            raise InputError(
                "threshold", "is missing: give one, or rtol=, relative to the norm of each matrix"
            )
        super().check()
        InverseRoot(1, 1, self.inverse_table)

    def compute(self, M: Tensor) -> tuple[Tensor, Signs]:
        check_matrix("M", M)
        asked = str(self.plan.dtype or dtype_name(M.dtype, "M.dtype"))
        if asked in ("bfloat16", "float16"):
            M, plan = M.to(torch.promote_types(M.dtype, torch.float32)), self.plan.in_dtype("float32")
            theta = None if self.rtol is not None else self.threshold
            rest = {"inverse_table": self.inverse_table, "rtol": self.rtol, "formula": self.formula}
            X, signs = made(PseudoInverse, theta, self.table, plan, **rest).compute(M)
            return X.to(getattr(torch, asked)), signs
        if self.rtol is None or not M.numel():
            return super().compute(M)
        wide = M.to(work_dtype(getattr(torch, asked), M))
        found = power(wide.mT if M.shape[-2] > M.shape[-1] else wide, wide.dtype)
        norm = nonzero(found.scaled_norm / POWER_MARGIN)
        # By a power of two, and then the rest: the norm itself may not fit.
        scaled = times_power_of_two(wide, -found.exponent) / norm
        try:
            X, signs = super().compute(scaled.to(M.dtype))
        except InputError as error:
            raise InputError("rtol", error.problem) if error.field == "threshold" else error from None
        signs.matmuls += found.products
        state = X.dtype
        X = times_power_of_two(X.to(wide.dtype) / norm, -found.exponent)
        return X.to(state), signs

    def judge(self, result: Tensor, found: Signs, *data: Tensor) -> Run:
        return replace(super().judge(result, found, *data), dtype=dtype_name(result.dtype))

    def decide(self, dtype: str) -> Tables:
        plan = Plan(dtype=dtype, check=self.plan.check, compile=self.plan.compile)
        return super().decide(dtype)._replace(inverse=InverseRoot(1, 1, self.inverse_table, plan))

    def made_of(self, part: Above, signs: Signs, M: Tensor) -> Tensor:
        step = step_of(signs, part)
        # M/θ: eigenvalues of K from 1 up, whatever the scale.
        scaled = signs.tall(signs.sum([(M, 1 / self.threshold)]))
        K = signs.sum([(signs.mm(step.mT, scaled), 1.0), (part.projector, -1.0)], 1.0)
        assert signs.tables.inverse is not None
        done = signs.tables.inverse.run(symmetric_part(K))
        if self.plan.check and K.numel():
            state = str(signs.plan.dtype)
            _check_served(self.threshold, done, signs.tables.inverse.resolved(state).table, state)
            for line in done.warnings:
                warnings.warn(f"{self.word}: its inverse: {line}", PromiseWarning, stacklevel=2)
        signs.inverse, signs.matmuls = done, signs.matmuls + done.matmuls
        X = signs.mm(step, done.result.to(signs.wide))
        return signs.state_of(signs.like(M, signs.sum([(X, 1 / self.threshold)])).mT)


def spectral_truncate(
    M: Tensor,
    threshold: float,
    table: Source | None = None,
    plan: Plan | None = None,
    *,
    formula: str = "composed",
) -> Tensor:
    """U Σ·1[Σ > θ] Vᵀ, by `Truncate`.

    Args:
        M: (..., m, n), any floating dtype.
        threshold: θ > 0.
        table: Of the signs, None for the catalogue's.
        plan: How it runs.
        formula: One of composed, unnested.

    Returns:
        Tensor of M's shape in the state's dtype.
    """
    return made(Truncate, threshold, table, plan, formula=formula)(M)


def spectral_truncate_with_info(M: Tensor, *how: Any, **named: Any) -> tuple[Tensor, Run]:
    """The same result as `spectral_truncate`, bit for bit, with its Run; the arguments are the same."""
    return made(Truncate, *how, **named).run(M).with_result()


def range_projector(
    M: Tensor,
    threshold: float,
    table: Source | None = None,
    plan: Plan | None = None,
    *,
    side: str = "left",
    formula: str = "composed",
) -> Tensor:
    """U 1[Σ > θ] Uᵀ, (..., m, m), or V 1[Σ > θ] Vᵀ, (..., n, n), by `RangeProjector`.

    Args:
        M, threshold, table, plan, formula: As of `spectral_truncate`.
        side: left for the former, right for the latter.

    Returns:
        Square tensor in the state's dtype.
    """
    return made(RangeProjector, threshold, table, plan, side=side, formula=formula)(M)


def effective_rank(
    M: Tensor,
    threshold: float,
    table: Source | None = None,
    plan: Plan | None = None,
    *,
    formula: str = "composed",
) -> Tensor:
    """How many singular values are above θ, shape (...), by `EffectiveRank`.

    Arguments as of `spectral_truncate`; the result is in float32 or better.
    """
    return made(EffectiveRank, threshold, table, plan, formula=formula)(M)


def pseudo_inverse(
    M: Tensor,
    threshold: float | None = None,
    table: Source | None = None,
    plan: Plan | None = None,
    *,
    rtol: float | None = None,
    inverse_table: Source | None = None,
    formula: str = "composed",
) -> Tensor:
    """V Σ⁻¹·1[Σ > θ] Uᵀ, by `PseudoInverse`.

    Args:
        M, threshold, table, plan, formula: As of `spectral_truncate`.
        rtol: In place of the threshold: θ of each matrix relative to its spectral norm.
        inverse_table: Of root 1, None for the catalogue's.

    Returns:
        Tensor of shape (..., n, m) in the state's dtype.
    """
    rest = {"inverse_table": inverse_table, "rtol": rtol, "formula": formula}
    return made(PseudoInverse, threshold, table, plan, **rest)(M)


def pseudo_inverse_with_info(M: Tensor, *how: Any, **named: Any) -> tuple[Tensor, Run]:
    """The same result as `pseudo_inverse`, bit for bit, with its Run; the arguments are the same."""
    return made(PseudoInverse, *how, **named).run(M).with_result()


def _check_served(threshold: float, done: Run, table: Table, state: str) -> None:
    """Refuse K, in units of θ, with eigenvalues of 1 below the inverse table's interval."""
    assert done.interval is not None
    least = done.interval[..., 0].max().item()
    if least > 1:
        # ν of K over what the table serves of it, with a tenth to spare.
        lower = table.schedule.interval[0] / (1.1 * least)
        raise InputError(
            "threshold",
            f"is {threshold:.4g}, and with this M the inverse's table serves {least * threshold:.4g} and "
            f"more: give inverse_table=polydesign.design(root=1, degree=5, error=1e-4, lower={lower:.1e}, "
            f"dtype={state!r}), or raise it",
        )


def _rank(part: Above) -> Tensor:
    P = part.projector
    diagonal = P.diagonal(dim1=-2, dim2=-1)
    return diagonal.to(torch.promote_types(P.dtype, torch.float32)).sum(dim=-1)

"""Other functions of the singular values, made of msign and products: step, relu, polynomials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from polydesign.model import HALF, LEAST_RATIO, InputError, Plan, Schedule, check_number
from polydesign.model.program import monomial
from polydesign.runtime.base import DEFAULT, made
from polydesign.runtime.clipping import PAST, Clip, bound, composed, purposes_of
from polydesign.runtime.defaults import clip_tables
from polydesign.runtime.execute import inner
from polydesign.runtime.signs import Signs, SpectralOperator, Tables
from polydesign.table.given import CHOSEN, Source, TableField

CURVE_POINTS = 20_001
"""On which a clip table's curve is inverted, as a line between them: off by about 1e-8."""


class Above(NamedTuple):
    """What `above` ends with.

    projector: V 1[Σ > θ] Vᵀ of the tall one of M and Mᵀ. matrix: that one, clipped or divided, ‖.‖₂ <= PAST.
    scale: what M was divided by, 2θ where it was clipped. tau: the threshold there. curve: the clip table's
    schedule.
    """

    projector: Tensor
    matrix: Tensor
    scale: float
    tau: float
    curve: Schedule | None = None


@dataclass(frozen=True, eq=False)
class Threshold(SpectralOperator):
    """Operators with a threshold θ > 0 of the singular values."""

    threshold: float
    table: TableField = CHOSEN
    plan: Plan = DEFAULT

    def check(self) -> None:
        super().check()
        object.__setattr__(self, "threshold", check_number("threshold", self.threshold))
        if self.threshold <= 0:
            raise InputError("threshold", f"must be positive, and is {self.threshold!r}")


def above(signs: Signs, M: Tensor, threshold: float, formula: str) -> Above:
    """The projector on the right singular vectors with σ > θ: [I + msign(CᵀC − τ²·I)]/2, tall C.

    composed: C = U f(Σ·l/2θ) Vᵀ ≈ U min(Σ/2θ, 1) Vᵀ by a clip table, τ = f(l/2); f rises up to l.
    unnested: C = M/ν, τ = θ/ν, ν >= ‖M‖₂ and ν >= θ. Neither asks for the sign of a small singular value.
    """
    X, scale, tau, curve = signs.tall(M), 2 * threshold, 0.5, None
    if not M.numel():
        C = X
    elif formula == "composed":
        clipping = Signs(M, None, replace(signs.plan, matmuls=None, error=None), signs.tables)
        try:
            C = composed(clipping, X, 2 * threshold)
        except InputError as error:
            if error.field != "high":
                raise
            raise InputError("threshold", _too_small(clipping, X, threshold)) from None
        assert clipping.used is not None
        curve = clipping.used.schedule
        tau = float(curve(curve.interval[0] / 2))
        signs.matmuls += clipping.matmuls
    else:
        scale = max(bound(signs, X), threshold)
        C, tau = signs.sum([(X, 1 / scale)]), threshold / scale
    W = signs.msign(signs.sum([(signs.mm(C.mT, C), 1.0)], -tau * tau), normalized=True)
    return Above(signs.sum([(W, 0.5)], 0.5), C, scale, tau, curve)


def gap(part: Above, threshold: float, lower: float) -> tuple[float, float]:
    """Between which σ the sign in `above` is not resolved in exact arithmetic: |c² − τ²| < l = lower."""
    ends = np.sqrt(np.maximum(part.tau**2 + np.array([-lower, lower]), 0.0))
    if part.curve is not None:
        x = np.linspace(0, 1, CURVE_POINTS)
        ends = np.interp(ends, part.curve(x * part.curve.interval[0]), x, right=np.inf)
    low, high = (ends * part.scale).tolist()
    return min(low, threshold), max(high, threshold)


def _too_small(signs: Signs, X: Tensor, threshold: float) -> str:
    """What to do instead of composed, in words."""
    state, ratio = str(signs.plan.dtype), threshold / bound(signs, X)
    what = (
        f"is {threshold:.4g}, and twice that is below {clip_tables(state)[-1].interval[0]:g} of what bounds "
        f"the largest singular value, where the clip tables in {state} end: "
    )
    if state in HALF and 2 * ratio >= clip_tables("float32")[-1].interval[0]:
        return what + "write plan=Plan(dtype='float32')"
    lower = ratio * ratio / 10  # of the sign of CᵀC − τ²·I, and a narrow gap at the threshold
    if lower < LEAST_RATIO:
        return what + "nor does formula='unnested' resolve it in any precision: take torch.linalg.svd"
    table = f"polydesign.design(degree=9, error=1e-6, lower={lower:.1e}, dtype='float64')"
    return what + f"write formula='unnested', plan=Plan(dtype='float64'), table={table}"


def step_of(signs: Signs, part: Above) -> Tensor:
    """U 1[Σ > θ] Vᵀ of the tall one: its sign, which is good above θ, times the projector."""
    return signs.mm(signs.msign(signs.sum([(part.matrix, 1 / PAST)]), normalized=True), part.projector)


class SpectralStep(Threshold):
    """U 1[Σ > θ] Vᵀ for M = U Σ Vᵀ: singular values above θ = threshold > 0 become 1, those below it 0.

    table: of the signs; clipping chooses its own. Nothing is multiplied by M, so an error of the sign is one
    of the result. formula:

    - unnested: ms·[I + msign(MᵀM − θ²·I)]/2, ms = msign(M), for m >= n (else on Mᵀ), after division by
      a bound ν of ‖M‖₂. 2 msign, one of n×n, 2 products, and those of the bound (schatten8: 2). Values with
      |σ² − θ²| < l·ν² come out between 0 and 1, l the table's lower end.
    - composed: the same of U min(Σ, 2θ) Vᵀ: a third iteration, by the clip table, in place of the division.
      What is not resolved is then about |σ − θ| < 2.5·l·θ, however large M is. The clip table's curve
      rises, so θ itself is sent where the curve has it, and is not off by the table's error.
    - nested: [ms + msign(M − θ·ms)]/2, 2 msign. **Not for small singular values:** where ms does not
      resolve σ and comes out below 1, the second sign is −1 all the same, and the mean down to −1/2.

    Raises InputError as `SpectralOperator` does; for composed where 2θ is too small beside ‖M‖₂ for the clip
    tables.
    """

    word = "spectral_step"
    formulas = ("composed", "unnested", "nested")

    def largest(self) -> float:
        return 1.0

    def combine(self, signs: Signs, M: Tensor) -> Tensor:
        if self.formula == "nested":
            ms = signs.msign(M)
            step = signs.msign(signs.sum([(M, 1.0), (ms, -self.threshold)]))
            return signs.state_of(signs.sum([(ms, 0.5), (step, 0.5)]))
        part = above(signs, M, self.threshold, self.formula)
        return signs.state_of(signs.like(M, step_of(signs, part)))


@dataclass(frozen=True, eq=False)
class SpectralRelu(Threshold):
    """U max(Σ − θ, 0) Vᵀ for M = U Σ Vᵀ, θ = threshold > 0: soft thresholding, M − U min(Σ, θ) Vᵀ.

    table, plan, formula, products: as of `Clip`, which this subtracts, in the wider of M's dtype and the
    state's; so are its errors, which do not grow with M, and what is raised.
    """

    clip: Clip = field(init=False, repr=False)
    word = "spectral_relu"
    formulas = Clip.formulas

    def check(self) -> None:
        super().check()
        clip = Clip(-1.0, self.threshold, self.table, self.plan, formula=self.formula)
        self.__dict__["clip"] = clip

    @property
    def purposes(self) -> Sequence[str]:
        return purposes_of(self.formula)

    def decide(self, dtype: str) -> Tables:
        return self.clip.resolved(dtype)

    def compute(self, M: Tensor) -> tuple[Tensor, Signs]:
        try:
            clipped, found = self.clip.compute(M)
        except InputError as error:
            raise InputError("threshold", error.problem) if error.field == "high" else error from None
        wide = torch.promote_types(M.dtype, clipped.dtype)
        return (M.to(wide) - clipped.to(wide)).to(clipped.dtype), found


@dataclass(frozen=True, eq=False)
class SpectralPolynomial(SpectralOperator):
    """U p(Σ) Vᵀ for M = U Σ Vᵀ and p(σ) = Σ c_k σᵏ, c in increasing powers, even or odd or neither.

    M·o(MᵀM) + ms·e(MᵀM) with p(σ) = σ·o(σ²) + e(σ²) and ms = msign(M), which runs only where p has an even
    term. Products beside msign: one for MᵀM, those of o and e by Paterson and Stockmeyer
    (program/programs.monomial), and one for each of the two that is no constant. All of these are in the
    wider of M's dtype and the state's, and Mᵏ must fit in it. What msign does not resolve loses its even
    part: for σ near 0 the result is p(0)·f(σ).

    Raises InputError as `SpectralOperator` does, and for an empty c or one that is not finite.
    """

    c: Sequence[float]
    table: TableField = CHOSEN
    plan: Plan = DEFAULT
    formula: str = field(default="", init=False)
    word = "spectral_polynomial"
    formulas = ("",)

    def check(self) -> None:
        super().check()
        self.__dict__["c"] = tuple(self.c)
        if not self.c:
            raise InputError("c", "is empty: give the coefficients, in increasing powers")
        self.__dict__["c"] = tuple(check_number(f"c[{index}]", one) for index, one in enumerate(self.c))

    @property
    def signed(self) -> bool:
        return any(self.c[::2])

    def combine(self, signs: Signs, M: Tensor) -> Tensor:
        even, odd = _trimmed(self.c[::2]), _trimmed(self.c[1::2])
        tall = signs.tall(M)
        gram = signs.mm(tall.mT, tall) if max(len(even), len(odd)) > 1 else None
        terms: list[tuple[Tensor, float]] = []
        for part, factor in ((odd, lambda: tall), (even, lambda: signs.msign(tall))):
            if part:
                terms.append(_times(signs, factor(), part, gram))
        if not terms:
            terms = [(tall, 0.0)]
        return signs.state_of(signs.like(M, signs.sum(terms)))


def spectral_step(
    M: Tensor,
    threshold: float,
    table: Source | None = None,
    plan: Plan | None = None,
    *,
    formula: str = "composed",
) -> Tensor:
    """U 1[Σ > θ] Vᵀ, by `SpectralStep`.

    Args:
        M: (..., m, n), any floating dtype.
        threshold: θ > 0.
        table: Of the signs, None for the catalogue's.
        plan: How it runs.
        formula: One of composed, unnested, nested.

    Returns:
        Tensor of M's shape in the state's dtype.
    """
    return made(SpectralStep, threshold, table, plan, formula=formula)(M)


def spectral_relu(
    M: Tensor,
    threshold: float,
    table: Source | None = None,
    plan: Plan | None = None,
    *,
    formula: str = "composed",
) -> Tensor:
    """U max(Σ − θ, 0) Vᵀ, θ = threshold, by `SpectralRelu`; the rest as of `spectral_clip`."""
    return made(SpectralRelu, threshold, table, plan, formula=formula)(M)


def spectral_polynomial(
    M: Tensor, c: Sequence[float], table: Source | None = None, plan: Plan | None = None
) -> Tensor:
    """U p(Σ) Vᵀ, p(σ) = Σ c_k σᵏ, by `SpectralPolynomial`.

    Args:
        M: (..., m, n), any floating dtype.
        c: Coefficients in increasing powers.
        table: Of the sign, None for the catalogue's.
        plan: How it runs.

    Returns:
        Tensor of M's shape in the state's dtype.
    """
    return made(SpectralPolynomial, tuple(c), table, plan)(M)


def _times(signs: Signs, X: Tensor, part: list[float], gram: Tensor | None) -> tuple[Tensor, Any]:
    """X·q(gram) as a matrix and its weight."""
    if gram is None or len(part) == 1:
        return X, part[0]
    code = monomial(part)
    signs.matmuls += code.products if gram.numel() else 0
    return signs.mm(X, inner(code, gram)), 1.0


def _trimmed(part: Sequence[float]) -> list[float]:
    while part and part[-1] == 0:
        part = part[:-1]
    return [float(number) for number in part]

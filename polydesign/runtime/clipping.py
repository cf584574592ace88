"""Singular value clipping: U min(Σ, β) Vᵀ and U max(α, min(Σ, β)) Vᵀ by matrix products alone.

What decides the error. A sign table resolves arguments down to l times the norm of what it is given. The
nested formula asks for the sign of σ − β, the others for that of σ² − β²: with ‖M‖ = 1000·β and σ = 0.9·β
that is (σ² − β²)/‖MᵀM‖ of 2e-7, below the rounding of any half precision and out of reach of four quintics.
Worse, where the sign is multiplied by M − β·msign(M), an error of E for a large σ becomes σ·E in the result;
only where two such terms cancel (cancelling, block), and only as far as the products round alike, does it
not. `composed` has neither: it is one iteration whose map is the clipping function itself (search/clip.py),
all its values are at most β, and what rounding does to M is what remains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, Table, check_number, dtype_name
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime.base import DEFAULT, made
from polydesign.runtime.checks import SIGNS, check_finite, on_host
from polydesign.runtime.defaults import clip_table
from polydesign.runtime.evidence import outside
from polydesign.runtime.normalize import NORMALIZATIONS
from polydesign.runtime.run import Run
from polydesign.runtime.signs import Signs, SpectralOperator
from polydesign.table.given import CHOSEN, Source, TableField

BOUND = "schatten8"
"""What bounds ‖M‖₂ where the plan names no normalization: within a factor n^(1/8), guaranteed."""

PAST = 1.07
"""The composed formula's results are taken to be at most this times β: three times what the worst table that
ships leaves in exact arithmetic (0.0222), for its rounding."""


def _nested(signs: Signs, M: Tensor, low: float, high: float) -> Tensor:
    tall = signs.tall(M)
    ms = signs.msign(tall)
    gram = signs.mm(ms.mT, tall)

    def distance(theta: float) -> Tensor:
        argument = signs.sum([(tall, 1.0), (ms, -theta)])
        return signs.mm(signs.msign(argument), signs.sum([(gram, 1.0)], -theta))

    first = distance(low) if low > 0 else signs.sum([(tall, 1.0), (ms, high)])
    return signs.like(M, _joined(signs, ms, first, distance(high), low, high))


def _unnested(signs: Signs, M: Tensor, low: float, high: float, *, cancelling: bool = False) -> Tensor:
    tall = signs.tall(M)
    ms = signs.msign(tall)
    gram = signs.mm(tall.mT, tall)

    def distance(theta: float) -> Tensor:
        difference = signs.sum([(tall, 1.0), (ms, -theta)])
        if theta < 0 and not cancelling:
            return difference  # |σ − θ| without a sign to ask for
        return signs.mm(difference, signs.msign(signs.sum([(gram, 1.0)], -theta * abs(theta))))

    return signs.like(M, _joined(signs, ms, distance(low or -high), distance(high), low, high))


def _cancelling(signs: Signs, M: Tensor, low: float, high: float) -> Tensor:
    return _unnested(signs, M, low, high, cancelling=True)


def _joined(signs: Signs, ms: Tensor, first: Tensor, last: Tensor, low: float, high: float) -> Tensor:
    """[(α + β)·ms + D(α) − D(β)]/2, with α = −β for low = 0."""
    terms = [(first, 0.5), (last, -0.5)]
    return signs.sum([*terms, (ms, (low + high) / 2)] if low > 0 else terms)


def _block(signs: Signs, M: Tensor, low: float, high: float) -> Tensor:
    def clipped(beta: float) -> Tensor:
        m = M.shape[-2]
        top = torch.cat([torch.zeros_like(M[..., :1].expand(*M.shape[:-1], m)), M], dim=-1)
        bottom = torch.zeros_like(M[..., :1, :].expand(*M.shape[:-2], M.shape[-1], M.shape[-1]))
        H = torch.cat([top, torch.cat([M.mT, bottom], dim=-1)], dim=-2)
        X = signs.msign(signs.sum([(H, 1.0)], beta))[..., :m, :]
        return signs.sum([(X[..., m:], beta), (signs.mm(X[..., :m], M), 1.0)])

    if low <= 0:
        return clipped(high)
    return signs.sum([(clipped(high), 1.0), (clipped(low), -1.0), (signs.msign(M), low)])


def _composed(signs: Signs, M: Tensor, low: float, high: float) -> Tensor:
    clipped = signs.sum([(composed(signs, M, high), high)])
    if low <= 0:
        return clipped
    inner = composed(signs, M, low)
    # No norm to look for: the table says what the largest value is.
    most = PAST if signs.table is None else max(PAST, 1 + 2 * signs.table.schedule.error)
    ms = signs.msign(signs.sum([(inner, 1 / most)]), normalized=True)
    return signs.sum([(clipped, 1.0), (inner, -low), (ms, low)])


def composed(signs: Signs, M: Tensor, beta: float) -> Tensor:
    """U f(Σ·l/β) Vᵀ ≈ U min(Σ/β, 1) Vᵀ."""
    table = signs.table or _fitting(signs, M, beta)
    lower, upper = table.schedule.interval
    if signs.table is not None and signs.plan.check:
        largest = bound(signs, M)
        sums = max(M.shape[-2:]) * UNIT_ROUNDOFF["float32"]
        if largest * lower > beta * upper * (1 + 4 * UNIT_ROUNDOFF[str(signs.plan.dtype)] + sums):
            raise InputError(
                "high",
                f"is {beta:g}, and the largest singular value may be {largest:.4g}: {table.name} serves up "
                f"to {upper / lower:.4g} times high; take a table with a smaller lower end, or no table",
            )
    signs.used = table
    scaled = M.to(torch.promote_types(M.dtype, torch.float32)) * (lower / beta)
    return signs.msign(scaled, normalized=True, table=table)


def _fitting(signs: Signs, M: Tensor, beta: float) -> Table:
    """The clip table for this ratio; without a look at the data the one that serves the largest."""
    if signs.tables.clip is not None:
        return signs.tables.clip
    largest = bound(signs, M)
    return clip_table(str(signs.plan.dtype), beta / largest if largest else math.inf, signs.plan)


def bound(signs: Signs, M: Tensor) -> float:
    """An upper bound of the largest singular value in the batch, in the precision of the sums."""
    name = signs.plan.normalization or BOUND
    if name == "none":
        raise InputError(
            "plan.normalization", "none says that ‖M‖₂ is at most 1, and not what it is: write schatten8"
        )
    wide = signs.tall(M.detach()).mT
    normalized = NORMALIZATIONS[name](wide, torch.promote_types(M.dtype, torch.float32))
    signs.matmuls += normalized.products
    batch = 'formula="composed" with Plan(check=False), or call it with the batch'
    largest = on_host(normalized.norm().max(), batch if not signs.plan.check else "Plan(check=False)")
    if not math.isfinite(largest):
        check_finite("M", M)
    return largest


def guard_small(high: float, result: Tensor) -> None:
    """Warn where entries of a result whose singular values are at most high have no place in its dtype."""
    least = torch.finfo(result.dtype).smallest_normal
    if high < least * max(result.shape[-2:]) ** 0.5 and result.numel():
        outside(
            f"high: is {high:.3g}, and entries of such a matrix are below {least:.2g}, where "
            f'{dtype_name(result.dtype)} loses digits: write Plan(out_dtype="float32")'
        )


FORMULAS: dict[str, Callable[[Signs, Tensor, float, float], Tensor]] = {
    "composed": _composed,
    "nested": _nested,
    "unnested": _unnested,
    "cancelling": _cancelling,
    "block": _block,
}
"""Formula -> the clipped matrix from M, α >= 0 (0: no lower end) and β."""


def purposes_of(formula: str) -> tuple[str, ...]:
    """Of the tables that a formula takes."""
    return ("clip",) if formula == "composed" else SIGNS


@dataclass(frozen=True, eq=False)
class Clip(SpectralOperator):
    """U max(α, min(Σ, β)) Vᵀ for M = U Σ Vᵀ, α = low, β = high, called with M: (..., m, n).

    Singular values are not negative, so every α <= 0 is the interval [−β, β], U min(Σ, β) Vᵀ. formula, with
    ms = msign(M), for m >= n (else on Mᵀ), D(θ) = U |Σ − θ| Vᵀ, and min(σ, β) = (|σ + β| − |σ − β|)/2; for
    α > 0 [(α + β)·ms + D(α) − D(β)]/2:

    - nested: D(θ) = msign(M − θ·ms)·(msᵀ M − θ·I), D(−β) = M + β·ms. 2 msign (α > 0: 3), 2 products (3).
    - unnested: D(θ) = (M − θ·ms)·msign(MᵀM − θ²·I). 2 msign, one of n×n, 2 products (3, 3).
    - cancelling: unnested with D(−β) = (M + β·ms)·msign(MᵀM + β²·I) too: 3 msign, 3 products.
    - block: β·Q + P·M with [[P, Q], [Qᵀ, ·]] = msign([[β·I, M], [Mᵀ, β·I]]), of size m + n; 1 msign, 1
      product. α > 0: C_β − C_α + α·ms.
    - composed: β·f(M·l/β) for a table whose map f is min(x/l, 1), the iteration of msign alone: no product
      more but for the bound of ‖M‖₂ (schatten8: 2; plan.check=False with a table: none). table None chooses
      one by β over that bound, from 0.1 to 1e-4, with 10 to 25 products. A table for signs is refused: below
      β it gives its own curve in place of the line. α > 0: C_β − C_α + α·msign(C_α), where msign has its own
      table unless one is given. plan.normalization: of the bound.

    The default is the one that measured best (scripts/studies/clipping.py, figures/clipping.json: singular
    values up to 1000·β, most below β). Mean error of the singular values, in units of β, with what rounding
    M and clipping exactly costs: bfloat16 0.12 (0.099), float16 0.013 (0.0029), float32 0.010 (6e-8), in 22
    to 26 products; the best published one, cancelling in bfloat16, 0.33 in 39. In float32 the table decides,
    not rounding: about 1 % of β (sampling.clip_error), 0.002 with one of 32 products. For less than that and
    a gap in the spectrum at β, take a published formula, a wide state and a table with small l. Sources:
    kexue.fm 11059 (Su: nested, unnested, cancelling), leloykun (block); composed is ours.

    Raises InputError as `SpectralOperator` does; for high not positive, low not below it; and, when it runs,
    for the composed formula where ‖M‖₂ may be above u·β/l of the table, or of all that come with the package.
    The Run's table is that of the composed formula, or the one that was given.
    """

    low: float = -1.0
    high: float = 1.0
    table: TableField = CHOSEN
    plan: Plan = DEFAULT
    word = "spectral_clip"
    formulas = tuple(FORMULAS)

    @property
    def purposes(self) -> Sequence[str]:
        return purposes_of(self.formula)

    def check(self) -> None:
        super().check()
        for name, number in (("low", self.low), ("high", self.high)):
            object.__setattr__(self, name, check_number(name, number))
        if self.high <= 0:
            raise InputError(
                "high", f"must be positive, and is {self.high!r}: singular values are not negative"
            )
        if self.low >= self.high:
            raise InputError("low", f"must lie below high = {self.high!r}, and is {self.low!r}")

    @property
    def signed(self) -> bool:
        return self.formula != "composed" or self.low > 0

    def largest(self) -> float:
        return self.high

    def guard(self, result: Tensor, found: Signs, *data: Tensor) -> None:
        super().guard(result, found, *data)
        guard_small(self.high, result)

    def combine(self, signs: Signs, M: Tensor) -> Tensor:
        clip = FORMULAS[self.formula]
        found = clip(signs, M, max(self.low, 0.0), self.high) if M.numel() else torch.empty_like(M)
        return signs.state_of(found)


def spectral_clip(
    M: Tensor,
    low: float = -1.0,
    high: float = 1.0,
    table: Source | None = None,
    plan: Plan | None = None,
    *,
    formula: str = "composed",
) -> Tensor:
    """U max(α, min(Σ, β)) Vᵀ, α = low, β = high, by `Clip`.

    Args:
        M: (..., m, n), any floating dtype.
        low: α; every α <= 0 is no lower end.
        high: β > 0.
        table: For clipping, or for signs where the formula is not composed; None for the catalogue's.
        plan: How it runs.
        formula: One of composed, nested, unnested, cancelling, block.

    Returns:
        Tensor of M's shape in the state's dtype.
    """
    return made(Clip, low, high, table, plan, formula=formula)(M)


def spectral_clip_with_info(M: Tensor, *how: Any, **named: Any) -> tuple[Tensor, Run]:
    """The same result as `spectral_clip`, bit for bit, with its Run; the arguments are the same."""
    return made(Clip, *how, **named).run(M).with_result()

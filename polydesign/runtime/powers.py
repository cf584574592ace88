"""U Σᵖ Vᵀ, p = 1 − 2s/r, as M (MᵀM)^(−s/r) by a coupled iteration: no root is formed.

With X = M/ν and Y = X, W = q(XᵀX), Y ← Y Wˢ, X ← X W^(r/2) takes X to U Vᵀ and Y to X (XᵀX)^(−s/r), r even.
It runs in float32 or float64, whatever M and the result are in: no table for it is made for a half precision.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, Schedule, check_number, dtype_name
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.program.cost import count_powered
from polydesign.runtime import compiled, execute
from polydesign.runtime.base import DEFAULT, Operator, Resolved, made
from polydesign.runtime.checks import (
    ROOTS,
    check_finite,
    check_kernels,
    check_matrix,
    check_scalar,
    check_undithered,
    check_vouched,
    state_name,
)
from polydesign.runtime.coupled import Side
from polydesign.runtime.evidence import beyond, outside, refuted
from polydesign.runtime.normalize import NORMALIZATIONS, nonzero
from polydesign.runtime.rescaling import rescaled
from polydesign.runtime.root_evidence import REFUTED, promise, row_dtype, signs_of
from polydesign.runtime.run import Run
from polydesign.search.powers import power_table
from polydesign.table.given import CHOSEN, Source, TableField

MOST_ROOT = 16
"""The largest r."""

NEAR = 1e-6
"""How far from 1 − 2s/r a p may be that was rounded, as 0.333333 is."""

ROUNDINGS = {"float32": 16, "float64": 256}
"""What rounding explains of the residual, and of a result, in units of u·L^max(1, 1 − p), 1/L the least σ/ν
that is promised for: 2.3 was the most for the residual, and for a result 8 and 165
(scripts/studies/spectral_powers.py)."""


def exponents(p: Any) -> tuple[int, int]:
    """r and s of p = 1 − 2s/r, in lowest terms.

    Raises InputError for p outside of −1 < p < 1, and for one that is not of this form with r <= MOST_ROOT.
    """
    if not isinstance(p, numbers.Rational):
        p = check_number("p", p)
    share = (1 - Fraction(p)) / 2
    if not 0 < share < 1:
        cure = "take one between them, and multiply by MᵀM for others"
        if share in (0, 1):
            cure = "M itself is that" if share == 0 else "write pseudo_inverse(M, rtol=1e-3).mT"
        raise InputError("p", f"must lie between -1 and 1, and is {p!r}: {cure}")
    near = share.limit_denominator(MOST_ROOT)
    near = min(max(near, Fraction(1, MOST_ROOT)), Fraction(MOST_ROOT - 1, MOST_ROOT))
    if abs(near - share) > NEAR:
        nearest = 1 - 2 * near
        raise InputError(
            "p",
            f"must be 1 - 2·s/r with whole s and r <= {MOST_ROOT}, and is {p!r}: the nearest is "
            f"p={float(nearest):.6g}, {nearest}",
        )
    return near.denominator, near.numerator


def even(p: Any) -> tuple[int, int]:
    """The same with even r."""
    r, s = exponents(p)
    return (r, s) if r % 2 == 0 else (2 * r, 2 * s)


def rounding_of(schedule: Schedule, power: int, dtype: str) -> float:
    """What rounding explains of σᵖ, relatively, in float32 or float64."""
    least = schedule.interval[0] ** (schedule.root / 2)
    return ROUNDINGS[dtype] * UNIT_ROUNDOFF[dtype] / least ** max(1.0, 2 * power / schedule.root)


class _Ran(NamedTuple):
    """What ran: what M was divided by, the products, and residual and bound of what came out, each (...)."""

    how: Resolved
    side: Side | None = None
    products: int = 0
    residual: Any = None
    explained: Any = None


@dataclass(frozen=True, eq=False)
class SpectralPower(Operator):
    """U Σᵖ Vᵀ for M = U Σ Vᵀ and p = 1 − 2s/r, −1 < p < 1, r <= 16: p = 1/8 has r = 16, s = 7.

    M (..., m, n), any floating dtype and batch, is divided by ν, (Σσ⁴)^(1/4) unless the plan says otherwise,
    and the result multiplied by νᵖ. In exact arithmetic σᵖ is off by (1 + E)ˢ − 1 relatively at most, for
    every σ in [l^(r/2), u^(r/2)]·ν: by 0.001 for σ >= 0.001·ν in float32, by 1e-9 for σ >= 1e-5·ν in float64.
    With rounding at most 6e-4 was measured in float32 for p >= 0, 0.0042 for p = −1/2 and 0.035 for p = −7/8,
    in float64 2e-9, 3e-8 and 5e-6 (scripts/studies/spectral_powers.py). Smaller σ come out smaller than σᵖ,
    and a null space as zero but for rounding, also for p < 0. p = 0 is msign, which `Sign` computes in fewer
    products and in any precision.

    Products (program/cost.count_powered): for p = 1/8 in float32 31. A half precision is iterated in float32,
    which Run.state says, and rounded once.

    Args:
        p: A float or Fraction; 1/3 rounded to six digits is taken for 1/3.
        table: Of root r, for odd r 2r, for roots; None designs one for σ/ν down to 0.001 in float32, 1e-5
            in float64 (search/powers.py), in about a second at first, and keeps it.
        plan: dtype of the result, None for M's own.

    Raises:
        InputError: When the object is made, for p that is not of this form (it names the nearest), for the
            gram form, dither, aol, adaptive, matmuls, error, and for a table of another root. When it runs,
            as `Sign` does.
        DivergenceError: With plan.check, where the result cannot be right.

    Warns:
        PromiseWarning: With plan.check, when it is called, where the result is further off than table and
            rounding explain: `run` has the line in Run.warnings.
    """

    p: Any
    table: TableField = CHOSEN
    plan: Plan = DEFAULT
    word = "spectral_power"

    @property
    def order(self) -> int:
        return even(self.p)[0]

    @property
    def power(self) -> int:
        """s, for that r."""
        return even(self.p)[1]

    @property
    def purposes(self) -> tuple[str, ...]:
        return ROOTS

    def check(self) -> None:
        if self.plan.form != "direct":
            raise InputError(
                "plan.form", f"{self.plan.form} is of msign, and {self.word} is coupled: leave it"
            )
        check_undithered(self.plan, self.word)
        check_scalar(self.normalization, self.word)
        for name in ("matmuls", "error"):
            if self.table is None and getattr(self.plan, name) is not None:
                raise InputError(
                    f"plan.{name}",
                    f"is of the package's tables, and {self.word} designs its own: leave it out",
                )

    def resolved(self, dtype: str) -> Resolved:
        return super().resolved("float64" if dtype == "float64" else "float32")

    def decide(self, dtype: str) -> Resolved:
        table = power_table(*even(self.p), dtype) if self.table is None else self.table
        # A table's norm is one of P, and the Schatten norm of twice the order is that of M.
        name = {"frobenius": "schatten4", "schatten4": "schatten8"}.get(
            table.normalization, table.normalization
        )
        return Resolved(table, getattr(torch, dtype), self.plan.normalization or name, "coupled")

    def called(self, *data: Any) -> tuple[Tensor, _Ran]:
        result, found = self._ran(*data, judged=self.plan.guards)
        return result, found

    def compute(self, *data: Any) -> tuple[Tensor, _Ran]:
        return self._ran(*data, judged=True)

    def _ran(self, M: Tensor, *, judged: bool) -> tuple[Tensor, _Ran]:
        check_matrix("M", M)
        dtype = state_name(self.plan, "M", M)
        how, out = self.resolved(dtype), getattr(torch, self.plan.out_dtype or dtype)
        if M.numel() == 0:
            return torch.empty(M.shape, dtype=out, device=M.device), _Ran(how)
        schedule = how.table.schedule
        if self.plan.check:
            check_kernels("M", M, self.word)
            if how.normalization == "none" or not self.plan.guards:
                check_finite("M", M)
            if how.normalization == "none":
                check_vouched("M", M, schedule.interval[1] ** (self.order / 2))
        tall = M.shape[-2] > M.shape[-1]
        normalized = NORMALIZATIONS[how.normalization](M.mT if tall else M, how.state)
        X = normalized.matrix.mT
        run = compiled.powered if self.plan.compile else execute.powered
        end = run(X, schedule, power=self.power, A=normalized.gram, keep=judged)
        size = nonzero(normalized.scaled_norm)
        side = Side(X, X, normalized.norm(), size, normalized.exponent, normalized.products, "M", M.dtype)
        Y = rescaled(end.G, out, [(side, self.order - 2 * self.power)], self.order)
        products = count_powered(schedule, self.power).total + normalized.products
        products -= normalized.gram is not None
        residual, explained = self._evidence(X, end, schedule) if judged else (None, None)
        return (Y if tall else Y.mT).contiguous(), _Ran(how, side, products, residual, explained)

    def _evidence(self, X: Tensor, end: execute.Coupled, schedule: Schedule) -> tuple[Tensor, Tensor]:
        """How far Z^(r/2) XᵀX Z^(r/2) is from I where X is large, Z the product of all W, and Y from X Zˢ, on
        a few rows; and what table, rounding, and values below the interval explain of it.

        Compared after one more product with Xᵀ, because rounding leaks into the null space, where W is large.
        """
        dtype, r, s = row_dtype(X.dtype), schedule.root, self.power
        X, Y = X.detach().to(dtype), end.G.detach().to(dtype)
        kept = [W.to(dtype) for W in end.kept]

        def times(rows: Tensor, power: int) -> Tensor:
            for W in kept * power:
                rows = rows @ W
            return rows

        def apart(rows: Tensor, others: Tensor) -> Tensor:
            size = torch.linalg.vector_norm(others @ X.mT, dim=(-2, -1))
            return torch.linalg.vector_norm((rows - others) @ X.mT, dim=(-2, -1)) / nonzero(size)

        V = signs_of(X.mT)
        start = V @ X
        whole = times(times(start, r // 2) @ X.mT @ X, r // 2)
        residual = torch.maximum(apart(whole, start), apart(times(start, s), V @ Y))
        # What begins below l is off by 1 at most, and weighs no more than l² there.
        least = schedule.interval[0] ** (r / 2)
        share = least**2 * X.shape[-1] ** 0.5
        rounding = rounding_of(schedule, s, dtype_name(end.G.dtype))
        return residual, promise(schedule.error, r) + share + rounding

    def guard(self, result: Tensor, found: _Ran, *data: Tensor) -> None:
        """By the residual on a few rows, which is not finite where the result is not."""
        if found.side is None:
            return
        bad = torch.where(torch.isfinite(result.detach()).flatten(-2).all(-1), 0.0, torch.inf)
        excess = found.residual - found.explained + bad.to(found.residual)
        worst = beyond(excess, 0.0, "M", *data)
        if worst is None:
            return
        name, more = worst
        state = dtype_name(found.how.state)
        what = f"{name}: the residual is {more:.2g} more than {found.how.table.name} and {state} explain: "
        wider = 'write Plan(dtype="float64")' if state == "float32" else "leave table= out"
        if more < REFUTED:
            outside(what + wider)
        elif not torch.isfinite(result).all() and torch.isfinite(found.residual).all():
            out = dtype_name(result.dtype)
            refuted(f'{name}: {out} has no place for the result: write Plan(out_dtype="float64")', self.plan)
        else:
            refuted(f"{what}it cannot be right; {wider}", self.plan)

    def judge(self, result: Tensor, found: _Ran, *data: Tensor) -> Run:
        (M,), schedule = data, found.how.table.schedule
        zero = torch.zeros(M.shape[:-2], dtype=torch.float64, device=M.device)
        norm = zero if found.side is None else found.side.norm
        ends = [end ** (schedule.root / 2) for end in schedule.interval]
        return Run(
            operator=self.word,
            result=result,
            dtype=state_name(self.plan, "M", M),
            matmuls=found.products,
            table=found.how.table.name,
            residual=zero if found.side is None else found.residual,
            promised=promise(schedule.error, schedule.root),
            norm=norm,
            interval=norm[..., None] * torch.tensor(ends, dtype=norm.dtype, device=norm.device),
            form="coupled",
            transposed=M.shape[-2] > M.shape[-1],
            state=dtype_name(found.how.state),
        )


def spectral_power(M: Tensor, p: Any, table: Source | None = None, plan: Plan | None = None) -> Tensor:
    """U Σᵖ Vᵀ, p = 1 − 2s/r, by `SpectralPower`.

    Args:
        M: (..., m, n), any floating dtype.
        p: Between −1 and 1, with r <= 16.
        table: Of root r, None for one that is designed for it.
        plan: How it runs.

    Returns:
        Tensor of M's shape in the plan's dtype, or M's own.
    """
    return made(SpectralPower, p, table, plan)(M)

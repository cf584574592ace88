"""Roots and inverses of symmetric positive matrices: G P^(−s/r) by matrix products alone.

What all of them share is said by prepare.CoupledOperator.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, check_integer, check_number
from polydesign.runtime import ops
from polydesign.runtime.base import DEFAULT, made
from polydesign.runtime.coupled import Iterations, Side
from polydesign.runtime.doubts import check_factor, doubt_finite
from polydesign.runtime.normalize import scaled_to_one, work_dtype
from polydesign.runtime.nullspace import filled, within
from polydesign.runtime.prepare import CoupledOperator
from polydesign.runtime.rescaling import rescaled
from polydesign.runtime.root_evidence import of_root, promise
from polydesign.runtime.run import Run
from polydesign.table.given import CHOSEN, Source, TableField


@dataclass(frozen=True, eq=False)
class _Power(CoupledOperator):
    """Operators with P^(−s/r), s = power, r = root."""

    root: int
    power: int = 1
    table: TableField = CHOSEN
    plan: Plan = DEFAULT

    rank_rtol: float | None = field(default=None, kw_only=True)

    def check(self) -> None:
        object.__setattr__(self, "power", check_integer("power", self.power, 1))
        object.__setattr__(self, "root", check_integer("root", self.root, 1))
        super().check()
        if self.rank_rtol is not None:
            object.__setattr__(self, "rank_rtol", check_number("rank_rtol", self.rank_rtol))
            if not 0 < self.rank_rtol < 1:
                raise InputError("rank_rtol", f"must lie between 0 and 1, and is {self.rank_rtol!r}")

    def prepare(self, P: Tensor, how: Iterations, name: str = "P", *, zero: bool = False) -> Side | None:
        """With rank_rtol P is kept where it counts, and is no null space elsewhere."""
        side = super().prepare(P, how, name, zero=zero or self.rank_rtol is not None)
        if side is None or self.rank_rtol is None:
            return side
        return filled(side, self.rank_rtol, how)


class InverseRoot(_Power):
    """P^(−s/r), s = power, r = root, called with P. One product fewer than MatmulInverseRoot with I.

    table, plan, eps, and what is raised: as of `CoupledOperator`.
    """

    word = "inverse_root"
    steps_apart = True

    def check(self) -> None:
        super().check()
        if self.plan.precision is None:
            return
        if self.root % 2:
            raise InputError(
                "plan.precision",
                f"goes with an even root, as P ← H P H has H = W^(r/2), not {self.root}: leave it",
            )
        if self.power != 1:
            raise InputError(
                "plan.precision",
                f"was measured for power 1, and this is {self.power}: leave it out, or take the power of "
                "inverse_root(P, root)",
            )
        for name in ("matmuls", "error"):
            if self.table is None and getattr(self.plan, name) is not None:
                raise InputError(f"plan.{name}", "is of tables for one precision: leave it out, or precision")

    @property
    def shardable(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """A damping for each matrix of a batch does not go with a part of it."""
        return self.plan.precision is None and (not isinstance(self.eps, Tensor) or not self.eps.ndim)

    def work(self, how: Iterations, P: Tensor) -> Tensor:
        side = self.prepare(P, how)
        if side is None:
            return torch.empty_like(P, dtype=how.out)
        Z = within(side, self.iterate(side, None, how, self.power).G, how)
        return rescaled(Z, how.out, [(side, -self.power)], self.root, symmetric=True)


@dataclass(frozen=True, eq=False)
class Inverse(InverseRoot):
    """P^(−1), called with P: InverseRoot of root 1."""

    root: int = field(default=1, init=False)
    power: int = field(default=1, init=False)


class MatmulInverseRoot(_Power):
    """G P^(−s/r), s = power, r = root, without forming the root, called with G: (..., m, n), and P.

    G has the batch of P, and is scaled by a power of two on the way, so its size does not matter. table,
    plan, eps, and what is raised: as of `CoupledOperator`.
    """

    word = "matmul_inverse_root"

    def work(self, how: Iterations, G: Tensor, P: Tensor) -> Tensor:
        side, state = self.prepare(P, how), how.how.state
        check_factor(G, P)
        if side is None or G.numel() == 0:
            return torch.zeros(G.shape, dtype=how.out, device=G.device)
        if self.plan.check:
            how.doubts.append(doubt_finite("G", G))
        X, exponent = scaled_to_one(G.to(work_dtype(state, G, P)))
        ran = self.iterate(side, X.to(state), how, self.power)
        Y = within(side, ran.G, how)
        return rescaled(Y, how.out, [(side, -self.power)], self.root, exponent)


class TwoSidedInverseRoot(_Power):
    """Q^(−s/r) G P^(−s/r), s = power, r = root, called with Q: (..., m, m), G: (..., m, n), P: (..., n, n).

    The same table, plan and eps on both sides; plan.dtype None is P's own. Rescaled once, at the end. The
    residual is the larger one; norm and interval are left out. The rest is as of `CoupledOperator`.
    """

    word = "two_sided_inverse_root"

    def work(self, how: Iterations, Q: Tensor, G: Tensor, P: Tensor) -> Tensor:
        right, left, state = self.prepare(P, how), self.prepare(Q, how, "Q"), how.how.state
        check_factor(G, P)
        if G.shape[-2] != Q.shape[-1] or G.shape[:-2] != Q.shape[:-2]:
            raise InputError("Q", f"{tuple(Q.shape)} does not go with G {tuple(G.shape)}: Q is (..., m, m)")
        if left is None or right is None or G.numel() == 0:
            return torch.zeros(G.shape, dtype=how.out, device=G.device)
        if self.plan.check:
            how.doubts.append(doubt_finite("G", G))
        X, exponent = scaled_to_one(G.to(work_dtype(state, G, P, Q)))
        first = within(right, self.iterate(right, X.to(state), how, self.power).G, how)
        last = within(left, self.iterate(left, first.mT.to(state), how, self.power).G, how)
        powers = [(right, -self.power), (left, -self.power)]
        return rescaled(last.mT, how.out, powers, self.root, exponent).contiguous()


@dataclass(frozen=True, eq=False)
class Root(CoupledOperator):
    """P^(1/r) = P P^(−(r−1)/r), r = root >= 2, off by at most (1 + E)^(r−1) − 1, called with P.

    Zero gives zero, and a null space has the root zero. table, plan, eps, and what is raised: as of
    `CoupledOperator`.
    """

    root: int
    table: TableField = CHOSEN
    plan: Plan = DEFAULT
    word = "root"
    cuts = True

    def check(self) -> None:
        object.__setattr__(self, "root", check_integer("root", self.root, 2))
        super().check()

    def work(self, how: Iterations, P: Tensor) -> Tensor:
        side, state = self.prepare(P, how, zero=True), how.how.state
        if side is None:
            return torch.empty_like(P, dtype=how.out)
        whole_side = side
        if how.cut:
            side = filled(side, how.cut, how)
        ran = self.iterate(side, side.X, how, self.root - 1)
        G = within(side, ran.G, how)
        if how.judged:
            promised = promise(how.how.table.schedule.error, self.root * (self.root - 1))
            lower = how.how.table.schedule.interval[0]
            evidence = of_root(whole_side.wide, G, state, self.root, lower, promised)
            beside = evidence.beside(how.cut)
            how.ended[-1] = ran._replace(side=whole_side, evidence=beside, inverse=ran.evidence)
        return rescaled(G, how.out, [(side, 1)], self.root, symmetric=True)


@dataclass(frozen=True, eq=False)
class SqrtAndInverseSqrt(CoupledOperator):
    """P^(1/2) and P^(−1/2) from one run, called with P: R ≈ P^(−1/2), then P R.

    One product more than R alone. table, plan, eps, and what is raised: as of `CoupledOperator`.
    """

    table: TableField = CHOSEN
    plan: Plan = DEFAULT
    word = "sqrt_and_inverse_sqrt"

    def work(self, how: Iterations, P: Tensor) -> tuple[Tensor, Tensor]:
        side = self.prepare(P, how)
        if side is None:
            empty = torch.empty_like(P, dtype=how.out)
            return empty, empty.clone()
        Z = self.iterate(side, None, how).G
        how.beside += 1
        S = rescaled(ops.sym_mm(side.X, Z), how.out, [(side, 1)], 2, symmetric=True)
        return S, rescaled(Z, how.out, [(side, -1)], 2, symmetric=True)


def inverse_root(
    P: Tensor,
    root: int,
    power: int = 1,
    table: Source | None = None,
    plan: Plan | None = None,
    *,
    eps: float | Tensor = 0.0,
    rank_rtol: float | None = None,
) -> Tensor:
    """P^(−s/r), s = power, r = root, by `InverseRoot`.

    Args:
        P: (..., n, n), symmetric positive.
        root: r.
        power: s.
        table: Of root r, None for the catalogue's.
        plan: How it runs.
        eps: Damping relative to what P is divided by; a tensor has one number for each matrix of the batch.
        rank_rtol: What of P counts as its null space, relative to the largest eigenvalue of each matrix, and
            is zero in the result, which is then the power of the pseudo-inverse (runtime/nullspace.py).

    Returns:
        Tensor of P's shape in the state's dtype.
    """
    return made(InverseRoot, root, power, table, plan, eps=eps, rank_rtol=rank_rtol)(P)


def inverse_root_with_info(P: Tensor, *how: Any, **named: Any) -> tuple[Tensor, Run]:
    """The same result as `inverse_root`, bit for bit, with its Run; the arguments are the same."""
    return made(InverseRoot, *how, **named).run(P).with_result()


def matmul_inverse_root(
    G: Tensor,
    P: Tensor,
    root: int,
    power: int = 1,
    table: Source | None = None,
    plan: Plan | None = None,
    *,
    eps: float | Tensor = 0.0,
    rank_rtol: float | None = None,
) -> Tensor:
    """G P^(−s/r), by `MatmulInverseRoot`.

    Args:
        G: (..., m, n), of P's batch.
        P, root, power, table, plan, eps, rank_rtol: As of `inverse_root`.

    Returns:
        Tensor of G's shape in the state's dtype.
    """
    return made(MatmulInverseRoot, root, power, table, plan, eps=eps, rank_rtol=rank_rtol)(G, P)


def matmul_inverse_root_with_info(G: Tensor, P: Tensor, *how: Any, **named: Any) -> tuple[Tensor, Run]:
    """The same result as `matmul_inverse_root`, bit for bit, with its Run; the arguments are the same."""
    return made(MatmulInverseRoot, *how, **named).run(G, P).with_result()


def two_sided_inverse_root(
    Q: Tensor,
    G: Tensor,
    P: Tensor,
    root: int,
    power: int = 1,
    table: Source | None = None,
    plan: Plan | None = None,
    *,
    eps: float | Tensor = 0.0,
    rank_rtol: float | None = None,
) -> Tensor:
    """Q^(−s/r) G P^(−s/r), by `TwoSidedInverseRoot`.

    Args:
        Q: (..., m, m), symmetric positive.
        G: (..., m, n).
        P, root, power, table, plan, eps, rank_rtol: As of `inverse_root`.

    Returns:
        Tensor of G's shape in the state's dtype.
    """
    return made(TwoSidedInverseRoot, root, power, table, plan, eps=eps, rank_rtol=rank_rtol)(Q, G, P)


def inverse(
    P: Tensor,
    table: Source | None = None,
    plan: Plan | None = None,
    *,
    eps: float | Tensor = 0.0,
    rank_rtol: float | None = None,
) -> Tensor:
    """P^(−1), by `Inverse`, with a table of root 1; arguments and result as of `inverse_root`."""
    return made(Inverse, table, plan, eps=eps, rank_rtol=rank_rtol)(P)


def root(
    P: Tensor, root: int, table: Source | None = None, plan: Plan | None = None, *, eps: float | Tensor = 0.0
) -> Tensor:
    """P^(1/r), r = root >= 2, by `Root`; arguments and result as of `inverse_root`."""
    return made(Root, root, table, plan, eps=eps)(P)


def sqrt_and_inverse_sqrt(
    P: Tensor, table: Source | None = None, plan: Plan | None = None, *, eps: float | Tensor = 0.0
) -> tuple[Tensor, Tensor]:
    """P^(1/2) and P^(−1/2), by `SqrtAndInverseSqrt`; arguments and results as of `inverse_root`."""
    return made(SqrtAndInverseSqrt, table, plan, eps=eps)(P)

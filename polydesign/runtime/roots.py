"""Roots and inverses of symmetric positive matrices: G P^(−s/r) by matrix products alone.

What all of them share is said by prepare.CoupledOperator.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, Table, check_integer, dtype_name
from polydesign.runtime import ops
from polydesign.runtime.base import DEFAULT, made
from polydesign.runtime.normalize import scaled_to_one, work_dtype
from polydesign.runtime.prepare import CoupledOperator, Iterations, check_factor, rescaled
from polydesign.runtime.run import Run


@dataclass(frozen=True, eq=False)
class _Power(CoupledOperator):
    """Operators with P^(−s/r), s = power, r = root."""

    root: int
    power: int = 1
    table: Table | None = None
    plan: Plan = DEFAULT

    def check(self) -> None:
        check_integer("power", self.power, 1)
        super().check()


class InverseRoot(_Power):
    """P^(−s/r), s = power, r = root, called with P. One product fewer than MatmulInverseRoot with I.

    table, plan, eps, and what is raised: as of `CoupledOperator`.
    """

    word = "inverse_root"

    def compute(self, P: Tensor) -> tuple[Tensor, Iterations]:
        how, side = self.prepare(P)
        if side is None:
            return torch.empty_like(P, dtype=how.state), Iterations(how)
        ran = self.iterate(side, None, how, self.power)
        X = rescaled(ran.end.G, how.state, [(side, -self.power)], self.root, symmetric=True)
        return X, Iterations(how, [ran])


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

    def compute(self, G: Tensor, P: Tensor) -> tuple[Tensor, Iterations]:
        how, side = self.prepare(P)
        check_factor(G, P, self.plan)
        if side is None or G.numel() == 0:
            return torch.zeros(G.shape, dtype=how.state, device=G.device), Iterations(how)
        X, exponent = scaled_to_one(G.to(work_dtype(how.state, G, P)))
        ran = self.iterate(side, X.to(how.state), how, self.power)
        X = rescaled(ran.end.G, how.state, [(side, -self.power)], self.root, exponent)
        return X, Iterations(how, [ran])


class TwoSidedInverseRoot(_Power):
    """Q^(−s/r) G P^(−s/r), s = power, r = root, called with Q: (..., m, m), G: (..., m, n), P: (..., n, n).

    The same table, plan and eps on both sides; plan.dtype None is P's own. Rescaled once, at the end. The
    residual is the larger one; norm and interval are left out. The rest is as of `CoupledOperator`.
    """

    word = "two_sided_inverse_root"

    def compute(self, Q: Tensor, G: Tensor, P: Tensor) -> tuple[Tensor, Iterations]:
        how, right = self.prepare(P)
        _, left = self.prepare(Q, "Q", dtype_name(how.state))
        check_factor(G, P, self.plan)
        if G.shape[-2] != Q.shape[-1] or G.shape[:-2] != Q.shape[:-2]:
            raise InputError("Q", f"{tuple(Q.shape)} does not go with G {tuple(G.shape)}: Q is (..., m, m)")
        if left is None or right is None or G.numel() == 0:
            return torch.zeros(G.shape, dtype=how.state, device=G.device), Iterations(how)
        X, exponent = scaled_to_one(G.to(work_dtype(how.state, G, P, Q)))
        first = self.iterate(right, X.to(how.state), how, self.power)
        last = self.iterate(left, first.end.G.mT, how, self.power)
        powers = [(right, -self.power), (left, -self.power)]
        X = rescaled(last.end.G.mT, how.state, powers, self.root, exponent)
        return X.contiguous(), Iterations(how, [first, last])


@dataclass(frozen=True, eq=False)
class Root(CoupledOperator):
    """P^(1/r) = P P^(−(r−1)/r), r = root >= 2, off by at most (1 + E)^(r−1) − 1, called with P.

    Zero gives zero. table, plan, eps, and what is raised: as of `CoupledOperator`.
    """

    root: int
    table: Table | None = None
    plan: Plan = DEFAULT
    word = "root"

    def check(self) -> None:
        check_integer("root", self.root, 2)
        super().check()

    def compute(self, P: Tensor) -> tuple[Tensor, Iterations]:
        how, side = self.prepare(P, zero=True)
        if side is None:
            return torch.empty_like(P, dtype=how.state), Iterations(how)
        ran = self.iterate(side, side.X, how, self.root - 1)
        return rescaled(ran.end.G, how.state, [(side, 1)], self.root, symmetric=True), Iterations(how, [ran])


@dataclass(frozen=True, eq=False)
class SqrtAndInverseSqrt(CoupledOperator):
    """P^(1/2) and P^(−1/2) from one run, called with P: R ≈ P^(−1/2), then P R.

    One product more than R alone. table, plan, eps, and what is raised: as of `CoupledOperator`.
    """

    table: Table | None = None
    plan: Plan = DEFAULT
    word = "sqrt_and_inverse_sqrt"

    def compute(self, P: Tensor) -> tuple[tuple[Tensor, Tensor], Iterations]:
        how, side = self.prepare(P)
        if side is None:
            empty = torch.empty_like(P, dtype=how.state)
            return (empty, empty.clone()), Iterations(how)
        ran = self.iterate(side, None, how)
        S = rescaled(ops.sym_mm(side.X, ran.end.G), how.state, [(side, 1)], 2, symmetric=True)
        R = rescaled(ran.end.G, how.state, [(side, -1)], 2, symmetric=True)
        return (S, R), Iterations(how, [ran], beside=1)


def inverse_root(
    P: Tensor,
    root: int,
    power: int = 1,
    table: Table | None = None,
    plan: Plan | None = None,
    *,
    eps: float = 0.0,
) -> Tensor:
    """P^(−s/r), s = power, r = root, by `InverseRoot`.

    Args:
        P: (..., n, n), symmetric positive.
        root: r.
        power: s.
        table: Of root r, None for the catalogue's.
        plan: How it runs.
        eps: Damping relative to what P is divided by.

    Returns:
        Tensor of P's shape in the state's dtype.
    """
    return made(InverseRoot, root, power, table, plan, eps=eps)(P)


def inverse_root_with_info(P: Tensor, *how: Any, **named: Any) -> tuple[Tensor, Run]:
    """The same result as `inverse_root`, bit for bit, with its Run; the arguments are the same."""
    return made(InverseRoot, *how, **named).run(P).with_result()


def matmul_inverse_root(
    G: Tensor,
    P: Tensor,
    root: int,
    power: int = 1,
    table: Table | None = None,
    plan: Plan | None = None,
    *,
    eps: float = 0.0,
) -> Tensor:
    """G P^(−s/r), by `MatmulInverseRoot`.

    Args:
        G: (..., m, n), of P's batch.
        P, root, power, table, plan, eps: As of `inverse_root`.

    Returns:
        Tensor of G's shape in the state's dtype.
    """
    return made(MatmulInverseRoot, root, power, table, plan, eps=eps)(G, P)


def matmul_inverse_root_with_info(G: Tensor, P: Tensor, *how: Any, **named: Any) -> tuple[Tensor, Run]:
    """The same result as `matmul_inverse_root`, bit for bit, with its Run; the arguments are the same."""
    return made(MatmulInverseRoot, *how, **named).run(G, P).with_result()


def two_sided_inverse_root(
    Q: Tensor,
    G: Tensor,
    P: Tensor,
    root: int,
    power: int = 1,
    table: Table | None = None,
    plan: Plan | None = None,
    *,
    eps: float = 0.0,
) -> Tensor:
    """Q^(−s/r) G P^(−s/r), by `TwoSidedInverseRoot`.

    Args:
        Q: (..., m, m), symmetric positive.
        G: (..., m, n).
        P, root, power, table, plan, eps: As of `inverse_root`.

    Returns:
        Tensor of G's shape in the state's dtype.
    """
    return made(TwoSidedInverseRoot, root, power, table, plan, eps=eps)(Q, G, P)


def inverse(P: Tensor, table: Table | None = None, plan: Plan | None = None, *, eps: float = 0.0) -> Tensor:
    """P^(−1), by `Inverse`, with a table of root 1; arguments and result as of `inverse_root`."""
    return made(Inverse, table, plan, eps=eps)(P)


def root(
    P: Tensor, root: int, table: Table | None = None, plan: Plan | None = None, *, eps: float = 0.0
) -> Tensor:
    """P^(1/r), r = root >= 2, by `Root`; arguments and result as of `inverse_root`."""
    return made(Root, root, table, plan, eps=eps)(P)


def sqrt_and_inverse_sqrt(
    P: Tensor, table: Table | None = None, plan: Plan | None = None, *, eps: float = 0.0
) -> tuple[Tensor, Tensor]:
    """P^(1/2) and P^(−1/2), by `SqrtAndInverseSqrt`; arguments and results as of `inverse_root`."""
    return made(SqrtAndInverseSqrt, table, plan, eps=eps)(P)

"""Roots and inverses of symmetric positive matrices: G P^(−s/r) by matrix products alone.

What all of them share: P (..., n, n) is divided by ν (‖P‖_F, or what the table's or the plan's normalization
says; aol is refused) and iterated in the plan's precision, and the result is multiplied by the power of ν
that this calls for, in float32 or better, last. A table of root r with error E on [l, u] promises, in exact
arithmetic, P^(−s/r) with eigenvalues off by at most (1 + E)ˢ − 1 relatively, for every eigenvalue λ of P
with (λ/ν)^(1/r) in [l, u]; smaller ones come out too small in P^(−s/r), which the residual of the
`_with_info` operators shows. That residual takes products of its own, so the plain operators do not compute
it and do not warn.

table: None takes the one of DEFAULT_TABLES for this root and precision. plan.dtype: precision of the state
and of the result, None for P's own. A result that does not fit that dtype is infinite: P^(−1) for
‖P‖ = 1e-6 has no place in float16. eps: damping relative to the normalization; the operators then work on
P + eps·ν·I. Inputs are never changed, and results share no memory with them.

Raised everywhere: InputError for what is not floating, not square, or of shapes that do not fit; with
plan.check also for NaN and infinity, for P that is not symmetric within its rounding, and for a zero matrix
in P where the result holds an inverse (there is none, and damping is relative to a norm of zero); for a
table of another root, and for a root without a default table. Not checked: that P is positive.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, Table, check_integer
from polydesign.runtime import compiled, execute, ops
from polydesign.runtime.execute import Coupled
from polydesign.runtime.normalize import scaled_to_one
from polydesign.runtime.prepare import (
    DEFAULT_TABLES,
    Ready,
    RootInfo,
    check_factor,
    prepare,
    rescaled,
    root_info,
    work_dtype,
)

__all__ = [
    "DEFAULT_TABLES",
    "RootInfo",
    "inverse",
    "inverse_root",
    "inverse_root_with_info",
    "matmul_inverse_root",
    "matmul_inverse_root_with_info",
    "root",
    "sqrt_and_inverse_sqrt",
    "two_sided_inverse_root",
]


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
    """G P^(−s/r), s = power, r = root, without forming the root; G: (..., m, n), of P's batch.

    G is scaled by a power of two on the way, so its size does not matter. See the module for the rest.
    """
    return _matmul_inverse_root(G, P, root, power, table, plan or Plan(), eps)[0]


def matmul_inverse_root_with_info(
    G: Tensor,
    P: Tensor,
    root: int,
    power: int = 1,
    table: Table | None = None,
    plan: Plan | None = None,
    *,
    eps: float = 0.0,
) -> tuple[Tensor, RootInfo]:
    """The same result as `matmul_inverse_root`, bit for bit, with what the run did."""
    plan = plan or Plan()
    result, ready, end = _matmul_inverse_root(G, P, root, power, table, plan, eps)
    return result, root_info(P, plan, power, ready, end, from_identity=False)


def inverse_root(
    P: Tensor,
    root: int,
    power: int = 1,
    table: Table | None = None,
    plan: Plan | None = None,
    *,
    eps: float = 0.0,
) -> Tensor:
    """P^(−s/r), s = power, r = root. One product fewer than `matmul_inverse_root` with an identity."""
    return _inverse_root(P, root, power, table, plan or Plan(), eps)[0]


def inverse_root_with_info(
    P: Tensor,
    root: int,
    power: int = 1,
    table: Table | None = None,
    plan: Plan | None = None,
    *,
    eps: float = 0.0,
) -> tuple[Tensor, RootInfo]:
    """The same result as `inverse_root`, bit for bit, with what the run did."""
    plan = plan or Plan()
    result, ready, end = _inverse_root(P, root, power, table, plan, eps)
    return result, root_info(P, plan, power, ready, end, from_identity=True)


def inverse(P: Tensor, table: Table | None = None, plan: Plan | None = None, *, eps: float = 0.0) -> Tensor:
    """P^(−1), with a table of root 1."""
    return inverse_root(P, 1, 1, table, plan, eps=eps)


def root(
    P: Tensor, root: int, table: Table | None = None, plan: Plan | None = None, *, eps: float = 0.0
) -> Tensor:
    """P^(1/r) = P P^(−(r−1)/r), r = root >= 2, off by at most (1 + E)^(r−1) − 1. Zero gives zero."""
    plan = plan or Plan()
    check_integer("root", root, 2)
    ready, state = prepare(P, root, table, plan, eps, "root", zero=True)
    if ready is None:
        return torch.empty_like(P, dtype=state)
    with torch.autocast(P.device.type, enabled=False):
        G = _form(plan)(ready.X, ready.X, ready.table.schedule, power=root - 1).G
        return rescaled(G, state, [(ready, 1)], root, symmetric=True)


def sqrt_and_inverse_sqrt(
    P: Tensor, table: Table | None = None, plan: Plan | None = None, *, eps: float = 0.0
) -> tuple[Tensor, Tensor]:
    """P^(1/2) and P^(−1/2) from one run: R ≈ P^(−1/2), then P R, at one product more than R alone."""
    plan = plan or Plan()
    ready, state = prepare(P, 2, table, plan, eps, "sqrt_and_inverse_sqrt")
    if ready is None:
        return torch.empty_like(P, dtype=state), torch.empty_like(P, dtype=state)
    with torch.autocast(P.device.type, enabled=False):
        R = _form(plan)(ready.X, None, ready.table.schedule).G
        S = ops.sym_mm(ready.X, R)
        return (
            rescaled(S, state, [(ready, 1)], 2, symmetric=True),
            rescaled(R, state, [(ready, -1)], 2, symmetric=True),
        )


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
    """Q^(−s/r) G P^(−s/r), s = power, r = root; Q: (..., m, m), G: (..., m, n), P: (..., n, n).

    The same table, plan and eps on both sides; plan.dtype None is P's own. Rescaled once, at the end.
    """
    plan = plan or Plan()
    check_integer("power", power, 1)
    operator = "two_sided_inverse_root"
    right, state = prepare(P, root, table, plan, eps, operator)
    left, _ = prepare(Q, root, table, plan, eps, operator, name="Q", state=state)
    check_factor(G, P, plan)
    if G.shape[-2] != Q.shape[-1] or G.shape[:-2] != Q.shape[:-2]:
        raise InputError("Q", f"{tuple(Q.shape)} does not go with G {tuple(G.shape)}: Q is (..., m, m)")
    if left is None or right is None or G.numel() == 0:
        return torch.zeros(G.shape, dtype=state, device=G.device)
    with torch.autocast(G.device.type, enabled=False):
        X, exponent = scaled_to_one(G.to(work_dtype(state, G, P, Q)))
        X = X.to(state)
        for side in (right, left):
            end = _form(plan)(side.X, X, side.table.schedule, power=power)
            X = end.G.mT
        return rescaled(X, state, [(right, -power), (left, -power)], root, exponent).contiguous()


def _form(plan: Plan) -> Callable[..., Coupled]:
    return compiled.coupled if plan.compile else execute.coupled


def _matmul_inverse_root(
    G: Tensor, P: Tensor, root: int, power: int, table: Table | None, plan: Plan, eps: float
) -> tuple[Tensor, Ready | None, Coupled | None]:
    check_integer("power", power, 1)
    ready, state = prepare(P, root, table, plan, eps, "matmul_inverse_root")
    check_factor(G, P, plan)
    if ready is None or G.numel() == 0:
        return torch.zeros(G.shape, dtype=state, device=G.device), None, None
    # Autocast would run the products in another precision than the plan's.
    with torch.autocast(G.device.type, enabled=False):
        X, exponent = scaled_to_one(G.to(work_dtype(state, G, P)))
        end = _form(plan)(ready.X, X.to(state), ready.table.schedule, power=power)
        return rescaled(end.G, state, [(ready, -power)], root, exponent), ready, end


def _inverse_root(
    P: Tensor, root: int, power: int, table: Table | None, plan: Plan, eps: float
) -> tuple[Tensor, Ready | None, Coupled | None]:
    check_integer("power", power, 1)
    ready, state = prepare(P, root, table, plan, eps, "inverse_root")
    if ready is None:
        return torch.empty_like(P, dtype=state), None, None
    with torch.autocast(P.device.type, enabled=False):
        end = _form(plan)(ready.X, None, ready.table.schedule, power=power)
        return rescaled(end.G, state, [(ready, -power)], root, symmetric=True), ready, end

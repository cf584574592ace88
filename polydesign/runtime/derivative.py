"""Derivatives of msign and of inverse roots from the equations that they satisfy, not through the iteration.

Autograd through `msign` keeps a few matrices for every step, and gives the derivative of the schedule. Here
the input alone is kept, however many steps run, and the derivative is that of the exact function: where the
forward run is not converged the two differ. Reverse and forward mode (torch.autograd, torch.func.grad, jvp,
vmap, but not is_grads_batched) take the same linear map, which is self-adjoint for both functions. A second
derivative is refused.

**msign**, M = U Σ Vᵀ, (m, n) with m <= n, otherwise Mᵀ in its place. M = H X with H = (M Mᵀ)^(1/2) and
X Xᵀ = I; differentiated, with Ω = dX Xᵀ, which is antisymmetric,

    HΩ + ΩH = dM Xᵀ − X dMᵀ,      dX = ΩX + H⁻¹ dM (I − XᵀX).

With 2I added on the right H⁻¹ is added to the solution, so one Lyapunov equation (runtime/equations.py) gives
both: Ω is the antisymmetric part of its solution, H⁻¹ the symmetric one.

**P^(−1/r)** for r a power of two. With Z = P^(−1/2) and S = PZ, S dZ + dZ S = −Z dP Z; and Y with Y² = Z has
Y dY + dY Y = dZ, and so on: log₂ r Lyapunov equations. For r = 1, dY = −Y dP Y.

The derivative runs the operator once more, by a table and in a precision of its own. Source: Higham,
Functions of Matrices, sections 3.2 and 8.2; the form with one equation is our own.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from polydesign.model import DivergenceError, InputError, Plan, Table, check_integer, check_number
from polydesign.runtime import ops
from polydesign.runtime.checks import (
    ROOTS,
    SIGNS,
    check_matrix,
    check_plan,
    check_scalar,
    check_square,
    check_table,
    check_uncut,
    member,
    state_name,
)
from polydesign.runtime.coupled import members
from polydesign.runtime.defaults import SIGN, chosen
from polydesign.runtime.equations import lyapunov
from polydesign.runtime.implicit import applied
from polydesign.runtime.normalize import EMBEDDED, nonzero, scaled_to_one, times_power_of_two, work_dtype
from polydesign.runtime.operators import msign, msign_with_info
from polydesign.runtime.rescaling import symmetric_part
from polydesign.runtime.roots import inverse_root, inverse_root_with_info
from polydesign.runtime.surroundings import given_back, plain
from polydesign.table.given import Source

__all__ = ["inverse_root_differentiable", "msign_differentiable"]

_UNREACHED = "P^(-1/{}) has no derivative that the table can reach"


def msign_differentiable(
    M: Tensor,
    table: Source | None = None,
    plan: Plan | None = None,
    *,
    eps: float = 0.0,
    backward_table: Table | None = None,
    backward_plan: Plan | None = None,
) -> Tensor:
    """`msign`, bit for bit where eps is 0, with the derivative of the exact polar factor.

    M, table, plan: as in `msign`. backward_table: root 2, runs the derivative's msign and the sign of its
    block of side 2 min(m, n); None for the catalogue's. backward_plan: None is M's precision, float32 at
    least, with plan.check. The derivative's msign takes a second pass where it finds singular values below
    l·‖M‖_F, so those may be l²·‖M‖_F; rounding in the derivative grows with 1/σ. Cost of a derivative: one
    msign, or two, one Lyapunov equation, and five products.

    eps: **what to do where M is, or is nearly, rank-deficient**, and msign has no derivative. Result and
    derivative are then those of (M Mᵀ + ε²I)^(−1/2) M, ε = eps·‖M‖_F, which is the first n columns of
    msign [M, εI]: singular values σ/√(σ² + ε²), a derivative of at most 1/ε, and between left and right null
    vectors exactly 1/ε. Give eps >= 2l of the tables. ‖M‖_F is differentiated too; a zero matrix has no
    scale, and is refused in the derivative as without eps.

    Raises InputError as `msign` does, for the normalization aol, whose result is that of another matrix, and
    for a negative eps; in the derivative, with plan.check of the backward's plan, where M is rank-deficient
    as far as the table can tell; and there for a second derivative in torch.func.
    """
    of_complex = isinstance(M, Tensor) and M.is_complex()
    (M,), back = plain((M,))
    check_matrix("M", M)
    plan = check_plan(plan)
    check_uncut(plan, "msign_differentiable")
    # [M, εI] may be wider than M, and the result is not.
    plan = replace(plan.in_dtype(state_name(plan, "M", M)), out_dtype=plan.out_dtype)
    eps = check_number("eps", eps)
    if eps < 0:
        raise InputError("eps", f"must not be negative, and is {eps!r}")
    inner = _inner(M, plan, backward_plan)
    if backward_table is not None:
        check_table(backward_table, 2, "the derivative of msign", SIGNS)
    for ran, by in ((table, plan), (backward_table, inner)):
        own = ran.normalization if isinstance(ran, Table) else "frobenius"
        check_scalar(by.normalization or own, "msign_differentiable")

    def run(M: Tensor) -> Tensor:
        return msign(M, table, plan)

    def derivative(M: Tensor, D: Tensor) -> Tensor:
        return _of_msign(M, D, backward_table, inner)

    if not eps or not M.numel():
        return given_back(applied(M, run, derivative), back)
    tall = M.shape[-2] > M.shape[-1]
    W = (M.mT if tall else M).to(work_dtype(M.dtype, M))
    # Neither result nor derivative depends on the scale.
    largest = W.detach().abs().amax(dim=(-2, -1), keepdim=True)
    W = W / nonzero(largest)
    identity = torch.eye(W.shape[-2], dtype=W.dtype, device=W.device)
    size = torch.linalg.matrix_norm(W, keepdim=True) * (EMBEDDED["frobenius"] if of_complex else 1.0)
    padded = torch.cat([W, eps * size * identity], dim=-1)
    X = applied(padded, run, derivative)[..., : W.shape[-1]]
    return given_back((X.mT if tall else X).contiguous(), back)


def inverse_root_differentiable(
    P: Tensor,
    root: int,
    table: Source | None = None,
    plan: Plan | None = None,
    *,
    backward_table: Table | None = None,
    equation_table: Table | None = None,
    backward_plan: Plan | None = None,
) -> Tensor:
    """`inverse_root` P^(−1/r), bit for bit, with the derivative of the exact one; r = root = 1, 2, 4, 8, ….

    P, table, plan: as in `inverse_root`. backward_table: of root r, runs the derivative's inverse root;
    equation_table: of root 2, runs its Lyapunov equations; None for the catalogue's, which for r = 4 are no
    closer than 2e-4. backward_plan: None is P's precision, float32 at least, with plan.check. The function is
    that of (P + Pᵀ)/2, and so is its derivative, which is symmetric. A higher power is
    torch.linalg.matrix_power of the result. A singular P has no inverse root: add a multiple of I. Cost of a
    derivative: one inverse root, log₂ r Lyapunov equations, and 2 + log₂ r products or one more.

    Raises InputError as `inverse_root` does, for a root that is no power of two, and in the derivative, with
    plan.check of the backward's plan, where eigenvalues of P are below what its table serves.
    """
    (P,), back = plain((P,))
    check_square("P", P)
    root = check_integer("root", root, 1)
    if root & (root - 1):
        raise InputError(
            "root",
            f"{root} is not a power of two, and its derivative is no chain of Lyapunov equations: write "
            "inverse_root, which autograd follows step by step",
        )
    plan = check_plan(plan)
    inner = _inner(P, plan, backward_plan)
    for given, order in ((backward_table, root), (equation_table, 2)):
        if given is not None:
            what = f"the derivative of P^(-1/{root})" if order == root else "its equation"
            check_table(given, order, what, ROOTS)

    def run(P: Tensor) -> Tensor:
        return inverse_root(P, root, 1, table, plan)

    def derivative(P: Tensor, D: Tensor) -> Tensor:
        return _of_inverse_root(P, D, root, (backward_table, equation_table), inner)

    return given_back(applied(P, run, derivative), back)


def _inner(M: Tensor, plan: Plan, given: Plan | None) -> Plan:
    """The derivative's plan, with a dtype: what it runs on may be wider than M."""
    if given is None:
        return Plan(dtype=torch.promote_types(M.dtype, torch.float32), check=plan.check)
    return given if given.dtype else given.in_dtype(M.dtype)


def _solved(name: str, A: Tensor, Q: Tensor, table: Table | None, plan: Plan) -> Tensor:
    """X of AX + XA = Q, A and Q in the work dtype; name: the argument that A was made of."""
    # The rest of a plan is of msign, and not of a block.
    plan = replace(plan, form="direct", restarts=None, normalization="frobenius", dither=False)
    try:
        return lyapunov(A, Q, table, plan).to(A.dtype)
    except InputError as error:
        # What it advises is for who calls lyapunov.
        found = str(error).partition(". ")[0]
        raise InputError(name, f"has no derivative that the table can reach: {found}") from None


def _of_msign(M: Tensor, D: Tensor, table: Table | None, plan: Plan) -> Tensor:
    """The derivative of msign at M along D, in the work dtype; M and D with one batch."""
    if not M.numel():
        return torch.zeros_like(M)
    if M.shape[-2] > M.shape[-1]:
        return _of_msign(M.mT, D.mT, table, plan).mT
    work = work_dtype(getattr(torch, str(plan.dtype)), M)
    W, exponent = scaled_to_one(M.to(work))
    D, lift = scaled_to_one(D.to(work))
    X = _sign(W, table, plan).to(work)
    H, DX = symmetric_part(ops.mm(X, W.mT)), ops.mm(D, X.mT)
    C = DX - DX.mT
    wide = X.shape[-2] < X.shape[-1]
    # The other half of the right side is of the same size, so that neither is lost in the other's rounding.
    size = torch.linalg.matrix_norm(C, keepdim=True)
    share = nonzero(size)
    if wide:
        C = torch.diagonal_scatter(C, C.diagonal(dim1=-2, dim2=-1) + share[..., 0], dim1=-2, dim2=-1)
    solved = _solved("M", H, C, table, plan)
    found = ops.mm(torch.where(size == 0, 0, (solved - solved.mT) / 2), X)
    if wide:
        outside = D - ops.mm(DX, X)
        found = found + ops.mm(symmetric_part(solved) * (2 / share), outside)
    return times_power_of_two(found, lift - exponent)


def _sign(M: Tensor, table: Table | None, plan: Plan) -> Tensor:
    """msign, judged; in a second pass what the table left of singular values from l² to l.

    A third would reach what rounding leaves of a null space in float32, and call it full rank.
    """
    if not plan.check:
        return msign(M, table, plan)
    X, first = msign_with_info(M, table, plan)
    info = first
    zero = first.norm == 0
    if zero.any():
        raise InputError(members("M", zero), "is a zero matrix, where msign has no derivative: leave it out")
    ran = chosen(2, str(plan.dtype), plan, SIGN[str(plan.dtype)]) if table is None else table
    if first.warnings and torch.isfinite(X).all():
        # Singular values may lie above 1 by the table's error; u is 1 for most tables.
        X = X * (ran.schedule.interval[1] / (1 + ran.schedule.error))
        X, info = msign_with_info(X, ran, replace(plan, normalization="none", matmuls=None, error=None))
    if info.warnings:
        worst = int(info.residual.nan_to_num(nan=torch.inf).argmax())
        raise InputError(
            "M" + member(worst, info.residual.shape),
            f"msign has no derivative there: ‖X Xᵀ − I‖_F/√m is {info.residual.max().item():.2g} after two "
            f"passes of {ran.name}, so it is rank-deficient, or has singular values below "
            f"{ran.schedule.interval[0] ** 2:.2g} of its norm: give eps=, or a backward_table with a smaller "
            "lower end",
        )
    return X


def _of_inverse_root(
    P: Tensor, D: Tensor, root: int, tables: tuple[Table | None, Table | None], plan: Plan
) -> Tensor:
    """The derivative of P^(−1/r) at P along D, in the work dtype; P and D with one batch."""
    if not P.numel():
        return torch.zeros_like(P)
    work = work_dtype(getattr(torch, str(plan.dtype)), P)
    of_root, of_equation = tables
    P, D = symmetric_part(P.to(work)), symmetric_part(D.to(work))
    # By a power of 2ʳ, so that its root is one of two.
    part = -torch.div(-scaled_to_one(P)[1], root, rounding_mode="floor")
    P, (D, lift) = times_power_of_two(P, -root * part), scaled_to_one(D)
    if plan.check:
        try:
            Y, info = inverse_root_with_info(P, root, 1, of_root, plan)
        except DivergenceError as error:
            raise InputError("P", f"{_UNREACHED.format(root)}: {error}") from None
        if info.warnings:
            raise InputError("P", f"{_UNREACHED.format(root)}: {info.warnings[0]}")
    else:
        Y = inverse_root(P, root, 1, of_root, plan)
    powers = [Y.to(work)]
    while 2 ** len(powers) < root:
        powers.append(ops.sym_mm(powers[-1], powers[-1]))
    Z = powers[-1]
    found = -ops.mm(ops.mm(Z, D), Z)
    if root > 1:
        # Y² is the next power, and the last one's square is 1/P: there S in place of Z keeps the right side.
        for A in (symmetric_part(ops.mm(P, Z)), *reversed(powers[:-1])):
            found = _solved("P", A, found, of_equation, plan)
    return times_power_of_two(symmetric_part(found), lift - (root + 1) * part)

"""The Lyapunov and the Riccati equation on symmetric positive P with a known eigendecomposition.

The former stands for the Sylvester equation too, which is the same code. Of the latter's Hamiltonians only
those are run whose square is symmetric: what becomes of their eigenvalues is then an f(x) that a table
promises. Of others nothing is promised.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from polydesign.model import Table
from polydesign.runtime import lyapunov, riccati
from polydesign.runtime.normalize import NORMALIZATIONS, times_power_of_two
from polydesign.runtime.solvers import RiccatiEquation, SylvesterEquation
from polydesign.verification.cases import Case, Setting, amplification, modelled, wide
from polydesign.verification.metrics import lyapunov_by_eigenvectors, riccati_by_schur

STATE_ROUNDINGS = 4.0
"""Times u of the state and `amplification`, a model from experiment, no bound: twice the largest found (1.9),
in 270 runs of five tables made for bfloat16 and float16, sides 16, 64 and 200, nine spectra. A stored
diagonal block is off by about u·‖X‖_F/√n in any direction. Later steps bring its eigenvalues to 1 all the
same, but the block beside it, which is divided by their sums, keeps the error."""

SUM_ROUNDINGS = 40.0
"""The same for the sums inside the products, in the u of float32, or of float64 for a state of it: twice the
largest found in float32 (23), in 216 runs of four tables."""


def lyapunov_case(setting: Setting) -> Case:
    """PX + XP = 2P, whose X is I; one pass of the table, with nothing judged.

    In exact arithmetic the block sign of this equation has f(λ/ν) where X has its ones, in the basis of P's
    eigenvectors: x = λ/ν, ν the block's norm.
    """
    P = setting.known.matrix
    plan = replace(setting.plan, check=False)
    H, factor, exponent = SylvesterEquation(P, P, 2 * P).block()
    normalized = NORMALIZATIONS[setting.normalization](H, torch.float64)
    n = P.shape[-1]
    share = torch.linalg.matrix_norm(normalized.matrix[..., :n, :n]) / torch.linalg.matrix_norm(P)
    x = setting.known.sigma * share[..., None]

    def run(table: Table) -> Tensor:
        return wide(lyapunov(P.to(setting.device), 2 * P.to(setting.device), table, plan))

    def rounded() -> Tensor | None:
        stored = wide(normalized.matrix.to(setting.dtype))
        X = lyapunov_by_eigenvectors(stored[..., :n, :n], -stored[..., :n, n:])
        return None if X is None else times_power_of_two(X * factor, exponent)

    def explained(judged: Tensor) -> float:
        amplified = amplification(setting.table.schedule, x, judged)
        return modelled(setting, STATE_ROUNDINGS, SUM_ROUNDINGS, amplified)

    V = setting.known.V
    return Case(
        x=x,
        left=V,
        right=V,
        exact=torch.eye(n, dtype=torch.float64).expand(P.shape),
        result=run(setting.table),
        run=run,
        rounded=rounded,
        explained=explained,
    )


ALPHA = 0.25
GAMMA = ((1 - ALPHA**2) / 2) ** 0.5
"""Of `riccati_case`: A = α·P, G = γ·P, Q = 2γ·P, for which A² + GQ is P². G and Q differ, so that X depends
on the sign to first order; and for α up to 1/3 it is, relatively, no further from the exact one than that."""

RICCATI_STATE_ROUNDINGS = 1.0
"""As STATE_ROUNDINGS: twice the largest found (0.51), in 330 runs of five tables, sides 16, 64 and 200,
eleven spectra."""

RICCATI_SUM_ROUNDINGS = 46.0
"""As SUM_ROUNDINGS: twice the largest found in float32 and float64 (23), in 264 runs of four tables."""


def riccati_case(setting: Setting) -> Case:
    """AᵀX + XA − XGX + Q = 0 with A, G, Q multiples of P, whose X is (1 + α)/γ·I; one pass, nothing judged.

    The Hamiltonian H is not symmetric, but H² is P² on both places of the diagonal, so that in exact
    arithmetic its sign is H P⁻¹ times f(x), x = λ/ν. The least squares for X make of that r(f(x)) times the
    exact X, r(φ) = `riccati_response`, which is no further from 1 than φ; so the table's error is promised.
    """
    P = setting.known.matrix
    n, plan = P.shape[-1], replace(setting.plan, check=False)
    given = [factor * P for factor in (ALPHA, GAMMA, 2 * GAMMA)]
    H, _ = RiccatiEquation(*given).block()
    normalized = NORMALIZATIONS[setting.normalization](H, torch.float64).matrix
    share = torch.linalg.matrix_norm(normalized[..., :n, :n]) / torch.linalg.matrix_norm(given[0])
    x = setting.known.sigma * share[..., None]
    size = (1 + ALPHA) / GAMMA

    def run(table: Table) -> Tensor:
        A, G, Q = (M.to(setting.device) for M in given)
        return wide(riccati(A, G, Q, table, plan))

    def rounded() -> Tensor | None:
        stored = wide(normalized.to(setting.dtype))
        A, G, Q = stored[..., :n, :n], -stored[..., :n, n:], -stored[..., n:, :n]
        return riccati_by_schur(A, G, Q)  # which has the scale of H: ν divides all three

    def explained(judged: Tensor) -> float:
        amplified = amplification(setting.table.schedule, x, judged)
        return modelled(setting, RICCATI_STATE_ROUNDINGS, RICCATI_SUM_ROUNDINGS, amplified)

    signs = setting.table.schedule(x)
    sides = setting.known.V * size**-0.5
    return Case(
        x=x,
        left=sides,
        right=sides,
        exact=size * torch.eye(n, dtype=torch.float64).expand(P.shape),
        result=run(setting.table),
        run=run,
        rounded=rounded,
        explained=explained,
        target=signs / riccati_response(signs),
    )


def riccati_response(sign: Tensor) -> Tensor:
    """r(φ): X over the exact one where the sign's eigenvalues are ±φ, of [−γφ; 1 − αφ]·X = [−1 − αφ; 2γφ]."""
    top, bottom = -GAMMA * sign, 1 - ALPHA * sign
    solved = (top * (-1 - ALPHA * sign) + bottom * (2 * GAMMA * sign)) / (top.square() + bottom.square())
    return solved * GAMMA / (1 + ALPHA)

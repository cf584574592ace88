"""The Lyapunov equation on symmetric positive P with a known eigendecomposition.

It stands for the Sylvester equation too, which is the same code. The Riccati equation and the identities have
no entry: a Hamiltonian, and a block with zeros on its diagonal, are not symmetric, and what a result is made
of is then no f(x) that a table promises.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from polydesign.evaluation.rounding import MOST_EXPLAINED, UNIT_ROUNDOFF
from polydesign.model import Schedule, Table
from polydesign.runtime import lyapunov
from polydesign.runtime.normalize import NORMALIZATIONS, times_power_of_two
from polydesign.runtime.solvers import Sylvester
from polydesign.verify.cases import Case, Setting, wide
from polydesign.verify.metrics import lyapunov_by_eigenvectors

STATE_ROUNDINGS = 4.0
"""Times u of the state and `amplification`, a model from experiment, no bound: twice the largest found (1.9),
in 270 runs of five tables made for bfloat16 and float16, sides 16, 64 and 200, nine spectra."""

SUM_ROUNDINGS = 40.0
"""The same for the sums inside the products, in the u of float32, or of float64 for a state of it: twice the
largest found in float32 (23), in 216 runs of four tables."""


def lyapunov_case(setting: Setting) -> Case:
    """PX + XP = 2P, whose X is I; one pass of the table, with nothing judged.

    In exact arithmetic the block sign of this equation has f(λ/ν) where X has its ones, in the basis of P's
    eigenvectors: x = λ/ν, ν the block's norm.
    """
    P, dtype = setting.known.matrix, str(setting.plan.dtype)
    plan = replace(setting.plan, check=False)
    H, factor, exponent = Sylvester(P, P, 2 * P).block()
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
        u = UNIT_ROUNDOFF[dtype]
        roundings = STATE_ROUNDINGS * u + SUM_ROUNDINGS * min(u, UNIT_ROUNDOFF["float32"])
        return min(roundings * amplification(setting.table.schedule, x, judged), MOST_EXPLAINED)

    V = setting.known.V
    return Case(
        x=x,
        left=V,
        right=V,
        exponent=1,
        exact=torch.eye(n, dtype=torch.float64).expand(P.shape),
        result=run(setting.table),
        run=run,
        rounded=rounded,
        explained=explained,
        form="direct",
    )


def amplification(schedule: Schedule, x: Tensor, judged: Tensor) -> float:
    """Σ of ρ(X_t) over the start and what the steps but the last make of it, ρ = ‖X‖_F/(√n·the least |x|).

    A stored diagonal block is off by about u·‖X‖_F/√n in any direction. Later steps bring its eigenvalues to
    1 all the same, but the block beside it, which is divided by their sums, keeps the error. Eigenvalues x
    (b, n) by the steps in exact arithmetic; the least is of the judged ones. The largest of the batch.
    """
    total = torch.zeros(x.shape[0], dtype=torch.float64)
    for step in schedule.steps:
        least = torch.where(judged, x.abs(), torch.full_like(x, torch.inf)).amin(dim=-1)
        total = total + x.square().mean(dim=-1).sqrt() / least
        x = step(x)
    return total.max().item()

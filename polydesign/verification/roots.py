"""Roots and inverses of symmetric positive P with a known eigendecomposition.

What rounding explains here is a model from experiment, no bound: a number times u times `amplification`,
which says how far the condition of P lets the rounding of each step grow. The numbers come from runs of the
default tables of roots 1, 2 and 4 and of sign-d5x6-l1e-3-bf16, sides 32, 64 and 256, eight spectra, s up to
2, in every precision (inverse_root, root and matmul_inverse_root; bfloat16 and float16 only by tables made
for bfloat16).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, Schedule, Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime import inverse_root, matmul_inverse_root, root
from polydesign.verification.cases import Case, Setting, divisor, modelled, wide

STATE_ROUNDINGS = 0.5
"""Times u of the state and the sum of `amplification`. The largest found is 0.30 (the median 0.05), in 156
float16 and bfloat16 runs in which this explains at most MOST_EXPLAINED; beyond that the error is no longer in
proportion (0.73 was found), and is not excused."""

SUM_ROUNDINGS = 12.0
"""The same for the sums inside the products, in the u of float32, or of float64 for a state of it: twice the
largest found in float32 and float64 (5.8, in 2008 runs) for P of full rank."""

NULL_SUM_ROUNDINGS = 36.0
"""The same for P with a null space: 17.4 was found, on blocks of equal entries, whose sums err the same
way."""

LOWEST = 16.0
"""Times u·s/(r√n): the least λ/‖P‖_F that spectra which reach down are given. Where rounding moves
eigenvalues by more than they are, P is not positive any more and no table can help."""

NULL = 1e-60
"""What stands for an eigenvalue^(1/r) of zero, where q(x^r) = p(x)/x is formed by division."""


def inverse_root_case(setting: Setting) -> Case:
    """P^(−s/r)."""
    plan, r, s = _bare(setting), setting.table.schedule.root, setting.power
    P = setting.known.matrix.to(setting.device)
    return _case(setting, -s / r, s, lambda table: wide(inverse_root(P, r, s, table, plan)))


def root_case(setting: Setting) -> Case:
    """P^(1/r) = P P^(−(r−1)/r), so the exponent of f is r − 1."""
    plan, r = _bare(setting), setting.table.schedule.root
    P = setting.known.matrix.to(setting.device)
    return _case(setting, 1 / r, r - 1, lambda table: wide(root(P, r, table, plan)))


def matmul_inverse_root_case(setting: Setting) -> Case:
    """G P^(−s/r), G random with orthonormal columns, as many rows again as P has."""
    plan, r, s = _bare(setting), setting.table.schedule.root, setting.power
    b, n, _ = setting.known.matrix.shape
    generator = torch.Generator().manual_seed(setting.seed + 1)
    G = torch.linalg.qr(torch.randn((b, 2 * n, n), generator=generator, dtype=torch.float64)).Q
    P, factor = setting.known.matrix.to(setting.device), G.to(setting.device)
    return _case(setting, -s / r, s, lambda table: wide(matmul_inverse_root(factor, P, r, s, table, plan)), G)


def _bare(setting: Setting) -> Plan:
    """Measured is what the table does, also where a call would refuse it, or compute it again."""
    return replace(setting.plan, check=False)


def lowest_eigenvalue(schedule: Schedule, dtype: str, n: int, power: int) -> float:
    """Where spectra that reach down to the interval's end stop: l^r, or where rounding P takes over.

    Relative to ‖P‖_F, and 0.1 at most.
    """
    rounding = LOWEST * UNIT_ROUNDOFF[dtype] * power / (schedule.root * math.sqrt(n))
    return max(schedule.interval[0] ** schedule.root, min(rounding, 0.1))


def amplification(schedule: Schedule, x: Tensor, judged: Tensor, exponent: int, start: Tensor) -> float:
    """Σ over the steps of ρ(P_t) + ρ(G_t) + ρ(Wʳ) + ρ(Wˢ), ρ(A) = ‖A‖_F/(√n·the least judged |α|).

    α: the eigenvalues of A, which follow from x (b, k) by the steps in exact arithmetic; start: those of the
    first G. A stored matrix is off by about u·‖A‖_F/√n in any direction, which is u·ρ(A) of its least
    eigenvalue; W itself does not count, because the same W goes into P and G, and later steps take it back.
    The largest of the batch.
    """
    r, n = schedule.root, x.shape[-1]

    def ratio(values: Tensor) -> Tensor:
        size = values.square().sum(dim=-1).sqrt() / math.sqrt(n)
        least = torch.where(judged, values.abs(), torch.full_like(values, math.inf)).amin(dim=-1)
        return size / least

    total = torch.zeros(x.shape[0], dtype=torch.float64)
    G = start
    for index, step in enumerate(schedule.steps):
        W = step(x) / x
        G = G * W**exponent
        total = total + ratio(x**r) + ratio(G)
        if index < len(schedule.steps) - 1:
            total = total + ratio(W**r)
        if exponent > 1:
            total = total + ratio(W**exponent)
        x = step(x)
    return total.max().item()


def _case(
    setting: Setting, power: float, exponent: int, run: Callable[[Table], Tensor], G: Tensor | None = None
) -> Case:
    """P^power, or G P^power."""
    known, table = setting.known, setting.table
    dtype, schedule = str(setting.plan.dtype), table.schedule
    size = divisor(setting, known.matrix)
    x = (known.sigma / size[:, None]) ** (1 / schedule.root)
    right = known.V * known.sigma[:, None, :] ** (-power / 2)
    exact = _eigen_power(known.sigma, known.V, power)
    if not torch.isfinite(exact.to(setting.dtype)).all():
        raise InputError(
            "spectrum",
            f"{known.name}: the exact result reaches {exact.abs().max():.2g}, which {dtype} cannot hold; "
            "choose another",
        )

    def rounded() -> Tensor | None:
        stored = wide((known.matrix / size[:, None, None]).to(setting.dtype))
        values, V = torch.linalg.eigh(stored)
        k = known.sigma.shape[-1]
        if (values[:, -k:] <= 0).any():
            return None
        # Beyond the rank there is nothing but rounding, and a root of it is no part of the result.
        found = _eigen_power(values[:, -k:], V[..., -k:], power) * size[:, None, None] ** power
        return found if G is None else wide(G.to(setting.dtype)) @ found

    def explained(judged: Tensor) -> float:
        # The null space has no part in what is judged; but W is large there, and its rounding spreads.
        null = known.V.shape[-2] - x.shape[-1]
        every = torch.nn.functional.pad(x, (0, null), value=NULL)
        start = every**schedule.root if power > 0 else torch.ones_like(every)
        judged = torch.nn.functional.pad(judged, (0, null), value=False)
        amplified = amplification(schedule, every, judged, exponent, start)
        sums = NULL_SUM_ROUNDINGS if null else SUM_ROUNDINGS
        return modelled(setting, STATE_ROUNDINGS, sums, amplified if math.isfinite(amplified) else math.inf)

    return Case(
        x=x,
        left=right if G is None else G @ right,
        right=right,
        exponent=exponent,
        exact=exact if G is None else G @ exact,
        result=run(table),
        run=run,
        rounded=rounded,
        explained=explained,
        form="coupled",
    )


def _eigen_power(values: Tensor, V: Tensor, power: float) -> Tensor:
    """V diag(valuesᵖ) Vᵀ."""
    return (V * values[:, None, :] ** power) @ V.mT

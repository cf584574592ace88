"""The derivative of msign, along directions in which it is made of two values of f."""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch
from torch import Tensor

from polydesign.model import InputError, Table
from polydesign.runtime import msign_differentiable
from polydesign.runtime.normalize import NORMALIZATIONS
from polydesign.runtime.solvers import SylvesterEquation
from polydesign.verification.cases import Case, Setting, amplification, modelled, refuse_rescaling, wide
from polydesign.verification.metrics import msign_derivative

STATE_ROUNDINGS = 1.2
"""Times u of the state and `amplification` of what the equation starts from, a model from
experiment, no bound: twice the largest found (0.6), in 330 runs of five tables made for bfloat16 and float16,
sides 16, 64 and 200, eleven spectra. What the msign before the equation rounds is in it."""

SUM_ROUNDINGS = 29.0
"""The same for the sums inside the products, in the u of float32, or of float64 for a state of it: twice the
largest found in float32 and float64 (14.4), in 264 runs of four tables."""


def derivative_case(setting: Setting) -> Case:
    """The derivative at M = V S Vᵀ O along D = V S K Vᵀ O, which is V K Vᵀ O: forward mode, nothing judged.

    O is random orthogonal, S has P's eigenvalues, every second one for two vectors of V, and K turns these by
    a right angle: a rotation of two equal singular values, where nothing depends on a third. The derivative's
    own msign has f(x₁), x₁ = σ/ν, and its Lyapunov equation f(x₂), x₂ = σ·f(x₁) over the norm of its block,
    which is about 1.43 times as large as ν. The result has f(x₁)·f(x₂) in place of 1, so (1 + E)² − 1 is
    promised; x is the smaller of the two. A last vector without a second has no part in it.
    """
    refuse_rescaling(setting, "is not of a derivative, which rescales M: schatten4")
    known, schedule = setting.known, setting.table.schedule
    b, n = known.sigma.shape
    pairs = n // 2
    if not pairs:
        raise InputError("shape", "has one singular value, and a rotation takes two: write at least 2x2")
    generator = torch.Generator().manual_seed(setting.seed + 1)
    O = torch.linalg.qr(torch.randn((b, n, n), generator=generator, dtype=torch.float64)).Q  # noqa: E741
    V, S = known.V, known.sigma.clone()
    S[:, 1 : 2 * pairs : 2] = S[:, 0 : 2 * pairs : 2]
    turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    K = torch.nn.functional.pad(torch.block_diag(*[turn] * pairs), (0, n % 2, 0, n % 2))
    exact = V @ K @ V.mT @ O
    M, D = ((V * S[:, None, :]) @ factor for factor in (V.mT @ O, K @ V.mT @ O))
    plan = replace(setting.plan, check=False)

    def run(table: Table) -> Tensor:
        def sign(X: Tensor) -> Tensor:
            return msign_differentiable(X, table, plan, backward_table=table, backward_plan=plan)

        with warnings.catch_warnings():
            # torch loads its own rules for forward mode by a function that it has deprecated.
            warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
            return wide(torch.func.jvp(sign, (M.to(setting.device),), (D.to(setting.device),))[1])

    norm = NORMALIZATIONS[setting.normalization](M, torch.float64).norm()
    first = S / norm[:, None]
    values = schedule(first) * S
    H, C = ((V * values[:, None, :]) @ factor @ V.mT for factor in (torch.eye(n, dtype=S.dtype), 2 * K))
    block = NORMALIZATIONS["frobenius"](SylvesterEquation(H, H, C).block()[0], torch.float64).matrix
    share = torch.linalg.matrix_norm(block[..., :n, :n]) / torch.linalg.matrix_norm(H)
    second = values * share[:, None]
    x = torch.minimum(first, second)[:, : 2 * pairs]
    both = (schedule(first) * schedule(second))[:, : 2 * pairs]

    def explained(judged: Tensor) -> float:
        every = torch.nn.functional.pad(judged, (0, n % 2), value=False)
        return modelled(setting, STATE_ROUNDINGS, SUM_ROUNDINGS, amplification(schedule, second, every))

    return Case(
        x=x,
        left=V[..., : 2 * pairs],
        right=(O.mT @ V @ K.mT)[..., : 2 * pairs],
        exponent=2,
        exact=exact,
        result=run(setting.table),
        run=run,
        rounded=lambda: msign_derivative(
            wide((M / norm[:, None, None]).to(setting.dtype)) * norm[:, None, None], D
        ),
        explained=explained,
        target=schedule(x) / (both.sign() * both.abs().sqrt()),
    )

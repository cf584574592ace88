"""Square roots from one block sign, on symmetric positive P with a known eigendecomposition.

It stands for geometric_factor too, which is the same code with another block.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from polydesign.model import Table
from polydesign.runtime import principal_sqrt_and_inverse_sqrt
from polydesign.runtime.identities import factor_block
from polydesign.runtime.normalize import NORMALIZATIONS, times_power_of_two
from polydesign.verification.cases import Case, Setting, amplification, modelled, refuse_rescaling, wide

STATE_ROUNDINGS = 0.75
"""Times u of the state and `amplification`, a model from experiment, no bound: twice the largest found
(0.375), in 326 runs of five tables made for bfloat16 and float16, sides 16, 64 and 200, eleven spectra. In
four more, of Gaussian xxᵀ in bfloat16, it explains 22 to 54, far above MOST_EXPLAINED, and the error is 0.5
to 280."""

SUM_ROUNDINGS = 7.0
"""The same for the sums inside the products, in the u of float32, or of float64 for a state of it: twice the
largest found in float32 and float64 (3.4), in 264 runs of four tables."""


def principal_case(setting: Setting) -> Case:
    """P^(1/2) and P^(−1/2), one after the other on a diagonal; one pass of the table, with nothing judged.

    H = [[0, A], [B, 0]], B a multiple of I, is not normal, but H² is A·B on both places of the diagonal, so
    that in exact arithmetic the sign has P^(±1/2) times f(x), x = √(eigenvalue of AB)/ν, in P's eigenvectors.
    """
    refuse_rescaling(setting, "is not of a block, which is rescaled: schatten4")
    P = setting.known.matrix
    n, plan = P.shape[-1], replace(setting.plan, check=False)
    eye = torch.eye(n, dtype=torch.float64).expand(P.shape)
    H, half = factor_block(P, eye)
    normalized = NORMALIZATIONS[setting.normalization](H, torch.float64).matrix
    sizes = [torch.linalg.matrix_norm(M) for M in (normalized[..., :n, n:], P)]
    beta = normalized[..., n, 0]
    x = (setting.known.sigma * (sizes[0] / sizes[1] * beta)[..., None]).sqrt()

    def run(table: Table) -> Tensor:
        return _both(*map(wide, principal_sqrt_and_inverse_sqrt(P.to(setting.device), table, plan)))

    def rounded() -> Tensor | None:
        stored = wide(normalized.to(setting.dtype))
        values, V = torch.linalg.eigh(stored[..., :n, n:])
        if (values <= 0).any():
            return None
        ratio = (values / stored[..., n, 0, None]).sqrt()
        S, R = ((V * y[..., None, :]) @ V.mT for y in (ratio, 1 / ratio))
        return _both(times_power_of_two(S, half), times_power_of_two(R, -half))

    def explained(judged: Tensor) -> float:
        # The blocks of the iterate have eigenvalues in the ratios of √λ·f_t(x) and f_t(x)/√λ, and √λ goes as
        # x. A stored block is off by about u·‖A‖_F/√n in any direction; later steps correct their product
        # and keep their ratio.
        schedule, least = setting.table.schedule, judged[..., :n]
        amplified = amplification(schedule, x, least, lambda values: [values * x, values / x])
        return modelled(setting, STATE_ROUNDINGS, SUM_ROUNDINGS, amplified)

    V, root = setting.known.V, setting.known.sigma.sqrt()
    sides = _both(*(V * power[..., None, :] for power in (root**-0.5, root**0.5)))
    return Case(
        x=torch.cat([x, x], dim=-1),
        left=sides,
        right=sides,
        exact=_both(*((V * power[..., None, :]) @ V.mT for power in (root, 1 / root))),
        result=run(setting.table),
        run=run,
        rounded=rounded,
        explained=explained,
    )


def _both(S: Tensor, R: Tensor) -> Tensor:
    """[[S, 0], [0, R]], (..., 2m, 2k) of blocks (..., m, k)."""
    return torch.cat(
        [torch.nn.functional.pad(S, (0, R.shape[-1])), torch.nn.functional.pad(R, (S.shape[-1], 0))], dim=-2
    )

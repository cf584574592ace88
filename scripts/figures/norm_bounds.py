"""How far each normalization's bound lies above ‖M‖₂, how near to 1 its X comes, and what `power` misses.

    python scripts/figures/norm_bounds.py [largest side]

One line a precision and normalization, sides up to 256: the least and the largest ν/‖M‖₂, and the largest
‖X‖₂. Then, in float32 and up to the largest side, the largest ‖M‖₂/estimate, which POWER_MARGIN must cover.
The spectra are those that mislead a power iteration (one value above many equal ones, by 1 to 50 percent;
clusters; flat; rank 1 and 2), in random orthogonal bases and diagonal, and blocks of equal entries, whose
roundings all go the same way. Prints text; minutes for sides up to 1024.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import torch
from torch import Tensor

from polydesign.runtime.normalize import LIFT, NORMALIZATIONS, _largest_direction, _with_gram
from polydesign.verification.spectra import sample

GAPS = (0.5, 0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.05, 0.02, 0.01)
SEEDS = 3


def spectra(m: int) -> Iterator[Tensor]:
    """Singular values in [0, 1], the largest 1."""
    one, many = torch.ones(1), torch.ones(m - 1)
    yield torch.ones(m)
    for gap in GAPS:
        yield torch.cat([one, (1 - gap) * many])
    yield torch.linspace(1, 0.9, m)
    yield torch.linspace(1, 0, m)
    yield torch.linspace(1, 0.1, m).sqrt()
    yield torch.cat([one, 0 * many])
    yield torch.cat([one, 0.99 * one, 0 * many[1:]])


def matrices(m: int) -> Iterator[Tensor]:
    """Matrices (m, m) of spectral norm 1 to a few roundings of float32."""
    for seed in range(SEEDS):
        generator = torch.Generator().manual_seed(seed)
        Q = torch.linalg.qr(torch.randn((m, m), generator=generator)).Q
        for sigma in spectra(m):
            yield torch.diag(sigma[torch.randperm(m, generator=generator)])
            yield (Q * sigma) @ Q.mT
        yield from sample("rank1", (m, m), seed=seed).matrix.float()


def bounds(dtype: torch.dtype) -> None:
    for name in ("frobenius", "schatten4", "schatten8", "power", "aol"):
        norms, highest = [], 0.0
        for M in (M for m in (16, 64, 256) for M in matrices(m)):
            found = NORMALIZATIONS[name](M, dtype)
            norms.append(found.norm().item())
            highest = max(highest, torch.linalg.matrix_norm(found.matrix.double(), ord=2).item())
        print(f"{dtype} {name:10s} ν/‖M‖₂ {min(norms):.5f} to {max(norms):.3f}; ‖X‖₂ <= {highest:.5f}")


def estimate(M: Tensor) -> float:
    A = _with_gram(M, torch.float32, None)[-1]
    return ((A @ _largest_direction(A)).norm().sqrt() / LIFT * M.norm()).item()


if __name__ == "__main__":
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        bounds(dtype)
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    for side in (side for side in (16, 64, 256, 1024, 2048) if side <= largest):
        behind = max(1 / estimate(M) for M in matrices(side))
        print(f"side {side}: ‖M‖₂/estimate <= {behind:.4f}", flush=True)

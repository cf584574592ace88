"""What the singular values of a matrix ask of a table: exactly, or by a random estimate where that is dear.

The estimate is Lanczos's, of M Mᵀ by bidiagonalization of M (Golub and Kahan) from random vectors: singular
values of the small bidiagonal matrices, each with the weight that the vector gives it, stand for those of M
(Golub and Meurant, Matrices, Moments and Quadrature, 2010; Lin, Saad and Yang, SIAM Review 58, 2016).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from polydesign.model import InputError
from polydesign.runtime.normalize import POWER_MARGIN, schatten4, schatten8
from polydesign.runtime.surroundings import pinned

EXACT_SIDE = 1024
"""The shorter side up to which a decomposition is computed: about two seconds of one core."""

STEPS, PROBES = 128, 8
"""Of an estimate: products with M and with Mᵀ, each of so many vectors."""

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
SHARES = (1e-3, 1e-4)
"""Of ‖M‖_F: the share of the singular values below is said."""

UNSEEN = 1e-12
"""A weight below it is rounding."""

NORMS = ("frobenius", "schatten4", "schatten8", "power")


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The singular values of one matrix.

    Attributes:
        name: Of its tensor, with the place in a stack in brackets.
        shape: Rows and columns.
        exact: Whether all of them were computed, in float64. Otherwise all that follows but the norm and
            the divisors is estimated from random vectors, and `low` is above the least one.
        norm: ‖M‖_F.
        low: The least singular value, over ‖M‖_F.
        high: The largest, over ‖M‖_F.
        divisors: Normalization -> what it divides by, over ‖M‖_F; power with the exact σ₁ in place of its
            own estimate. Where the rest is estimated, those of Schatten are computed in float32.
        below: The shares below SHARES·‖M‖_F.
        spread: Standard errors of these; zero where they are exact.
        quantiles: QUANTILES of the singular values, over ‖M‖_F.
    """

    name: str
    shape: tuple[int, int]
    exact: bool
    norm: float
    low: float
    high: float
    divisors: dict[str, float]
    below: tuple[float, ...]
    spread: tuple[float, ...]
    quantiles: tuple[float, ...]

    @property
    def rho(self) -> float:
        """ρ = ‖M‖_F/‖M Mᵀ‖_F^(1/2): how much schatten4 lifts the singular values, between 1 and m^(1/4)."""
        return 1 / self.divisors["schatten4"]

    def range(self, normalization: str) -> tuple[float, float]:
        """Least and largest singular value after this normalization."""
        divisor = self.divisors[normalization]
        return self.low / divisor, self.high / divisor


def spectrum(M: Tensor, name: str, *, exact: bool | None = None, seed: int = 0) -> Spectrum | None:
    """The spectrum of a matrix M (m, n); None for zero.

    exact: whether to compute all singular values; None for up to EXACT_SIDE. seed: of the random vectors.

    Raises InputError for NaN and infinity.
    """
    shape = (M.shape[0], M.shape[1])
    W = M if M.shape[0] <= M.shape[1] else M.mT
    W = W.to(torch.float64 if exact or (exact is None and W.shape[0] <= EXACT_SIDE) else torch.float32)
    size = W.abs().amax()
    if not torch.isfinite(size):
        raise InputError(
            name,
            "holds NaN or infinity: take a checkpoint from before the run broke, or leave it out by only",
        )
    if size == 0:
        return None
    W = W / size  # so that no square overflows
    norm = float(torch.linalg.vector_norm(W, dtype=torch.float64))
    if W.dtype == torch.float64:
        sigma, weights = _values(W)[None] / norm, None
    else:
        sigma, weights = _estimated(W / norm, seed)
    count = W.shape[0]
    weights = torch.full_like(sigma, 1 / count) if weights is None else weights
    if W.dtype == torch.float64:
        fourth, eighth = ((sigma**p).sum().item() ** (1 / p) for p in (4, 8))
    else:  # eight vectors say little of a sum that one σ dominates, and two products say it all
        with pinned(W.device.type):
            fourth, eighth = (divide(W / norm, W.dtype).norm().item() for divide in (schatten4, schatten8))
    # What a recurrence that has ended early leaves has no weight.
    low, high = sigma[weights > UNSEEN].min().item(), min(1.0, sigma.max().item())
    least = min(1.0, max(fourth, high))
    below = torch.stack([(weights * (sigma < share)).sum(dim=-1) for share in SHARES])
    spread = below.std(dim=-1, correction=min(1, len(sigma) - 1)) / len(sigma) ** 0.5
    return Spectrum(
        name=name,
        shape=shape,
        exact=W.dtype == torch.float64,
        norm=norm * float(size),
        low=low,
        high=high,
        divisors={
            "frobenius": 1.0,
            "schatten4": least,
            "schatten8": min(least, max(eighth, high)),
            "power": min(least, POWER_MARGIN * high),
        },
        below=tuple(below.mean(dim=-1).clamp(0, 1).tolist()),
        spread=tuple(spread.tolist()),
        quantiles=_quantiles(sigma.flatten(), weights.flatten()),
    )


def _values(W: Tensor) -> Tensor:
    """All singular values of W (m, n), m <= n, in float64."""
    if 2 * W.shape[1] > 3 * W.shape[0]:  # of the triangle: a fraction of the time
        W = torch.linalg.qr(W.mT, mode="r").R
    return torch.linalg.svdvals(W)


def _estimated(W: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights (probes, steps) of W (m, n), m <= n; each row of weights sums to 1."""
    m, steps = W.shape[0], min(STEPS, W.shape[0])
    generator = torch.Generator().manual_seed(seed)
    u = torch.randn((m, PROBES), generator=generator, dtype=W.dtype, device="cpu").to(W.device)
    u = u / torch.linalg.vector_norm(u, dim=0)
    left, right = [u], []
    diagonal, beside = [], []
    v = W.mT @ u
    for step in range(steps):
        v = _orthogonal(v, right)
        alpha, v = _unit(v)
        right.append(v)
        diagonal.append(alpha)
        if step == steps - 1:
            break
        u = _orthogonal(W @ v - alpha * u, left)
        beta, u = _unit(u)
        left.append(u)
        beside.append(beta)
        v = W.mT @ u - beta * v
    B = torch.diag_embed(torch.stack(diagonal, dim=-1).double())
    if beside:
        B = B + torch.diag_embed(torch.stack(beside, dim=-1).double(), offset=-1)
    U, sigma, _ = torch.linalg.svd(B)
    return sigma.cpu(), U[:, 0, :].square().cpu()


def _orthogonal(x: Tensor, basis: list[Tensor]) -> Tensor:
    """x (n, probes) without its parts along the vectors before it, twice, as rounding asks for."""
    if not basis:
        return x
    Q = torch.stack(basis)
    for _ in range(2):
        x = x - (Q * (Q * x).sum(dim=1, keepdim=True)).sum(dim=0)
    return x


def _unit(x: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths and columns of length 1; what is rounding beside 1, which W's norm is, is zero."""
    length = torch.linalg.vector_norm(x, dim=0)
    length = torch.where(length > 8 * torch.finfo(x.dtype).eps, length, torch.zeros_like(length))
    return length, x / torch.where(length == 0, torch.ones_like(length), length) * (length > 0)


def _quantiles(sigma: Tensor, weights: Tensor) -> tuple[float, ...]:
    sigma, weights = sigma[weights > UNSEEN], weights[weights > UNSEEN]
    order = sigma.argsort()
    sigma, reached = sigma[order], weights[order].cumsum(dim=0)
    reached = reached / reached[-1]
    asked = torch.tensor(QUANTILES, dtype=reached.dtype, device=reached.device) - 1e-12
    places = torch.searchsorted(reached, asked).tolist()
    return tuple(sigma[min(place, len(sigma) - 1)].item() for place in places)

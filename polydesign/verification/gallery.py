"""The makers of test matrices, but for those with a structure (structures.py): one function a spectrum.

After Frobenius normalization a full-rank matrix has no singular value in the middle of [l, 1], where a
schedule may be worst; rank-2 and swept matrices reach every one. So both kinds are here. Where nothing else
is said, the factors are random orthogonal.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from polydesign.model import InputError
from polydesign.verification.request import Request, number, refuse_argument
from polydesign.verification.samples import Sample, from_matrix, with_random_factors

ANGLES = 16
"""Matrices in a rank2 or swept batch."""

BLOCKS = 16
"""Matrices in a rank1 batch."""

SIDES = 256
"""Sizes of a block that flat looks through, on each side."""

COPIES = 4
"""Matrices in a rankk batch."""

MOST_SCALE = 1e300
"""Of tiny and huge, and the least is its inverse: beyond it float64 cannot hold the singular values."""

TAIL = 1.5
"""Index of the tails of levy: P(|entry| > t) falls as t^(−TAIL); the variance is infinite."""


def gaussian(asked: Request) -> Sample:
    """Independent normal entries."""
    refuse_argument(asked)
    M = torch.randn(asked.shape, generator=asked.generator, dtype=torch.float64)
    return from_matrix(M, asked.name)


def levy(asked: Request) -> Sample:
    """Independent entries of Student's t with TAIL degrees of freedom: the tails of a Lévy stable law of
    that index, where single entries carry the norm."""
    refuse_argument(asked)
    entries = np.random.default_rng(_seed(asked)).standard_t(TAIL, asked.shape)
    return from_matrix(entries, asked.name)


def marchenko_pastur(asked: Request) -> Sample:
    """σ at the quantiles (i + 1/2)/k of the Marchenko-Pastur law: a Gaussian matrix without its chance.

    The argument is the ratio y of the sides, whatever the shape is; without it, the shape's. λ = σ² has
    the density √((b − λ)(λ − a))/(2π y λ) on [a, b] = [(1 − √y)², (1 + √y)²] for y <= 1. With
    λ = 1 + y − 2√y cos θ that is 2 sin²θ/(π λ) in θ, which is smooth, and is integrated.
    """
    aspect = min(asked.shape) / max(asked.shape)
    if asked.argument is not None:
        aspect = number(asked, "the ratio of the sides, in (0, 1]", "marchenko-pastur:0.5", 0.0, 1.0)
    theta = np.linspace(0, math.pi, 2**16 + 1)
    middle = (theta[1:] + theta[:-1]) / 2
    density = np.sin(middle) ** 2 / (1 + aspect - 2 * math.sqrt(aspect) * np.cos(middle))
    below = np.concatenate([[0.0], np.cumsum(density)])
    k = asked.least_side
    at = np.interp((np.arange(k) + 0.5) / k, below / below[-1], theta)
    sigma = torch.from_numpy(np.sqrt(1 + aspect - 2 * math.sqrt(aspect) * np.cos(at)))
    return with_random_factors(asked.name, asked.shape, sigma[None], asked.generator)


def logspace(asked: Request) -> Sample:
    """σ log-spaced from 1 down to the argument."""
    smallest = number(asked, "the smallest singular value, in (0, 1]", "logspace:1e-2", 0.0, 1.0)
    sigma = torch.logspace(0, math.log10(smallest), asked.least_side, dtype=torch.float64)
    return with_random_factors(asked.name, asked.shape, sigma[None], asked.generator)


def harmonic(asked: Request) -> Sample:
    """σ_i = 1/i."""
    refuse_argument(asked)
    sigma = 1 / torch.arange(1, asked.least_side + 1, dtype=torch.float64)
    return with_random_factors(asked.name, asked.shape, sigma[None], asked.generator)


def clustered(asked: Request) -> Sample:
    """Most σ within 1e-3 of 1, and one in sixteen log-spaced from 1/2 to the lower end, twice over."""
    refuse_argument(asked)
    k = asked.least_side
    few = max(1, k // 16)
    sigma = 1 + 1e-3 * (2 * _uniform(asked, k) - 1)
    sigma[k - few :] = torch.logspace(
        math.log10(0.5), math.log10(_low_bulk(asked, k)), few, dtype=torch.float64
    )
    return with_random_factors(asked.name, asked.shape, sigma[None], asked.generator)


def two_bulks(asked: Request) -> Sample:
    """Half of σ within a tenth of 1, the other half within a tenth of twice the lower end."""
    refuse_argument(asked)
    k = asked.least_side
    sigma = 1 + 0.1 * (2 * _uniform(asked, k) - 1)
    sigma[k - k // 2 :] *= _low_bulk(asked, k - k // 2)
    return with_random_factors(asked.name, asked.shape, sigma[None], asked.generator)


def levels(asked: Request) -> Sample:
    """A part of σ at 1, the others at s, swept from 10^(−2.2) to 1: the rounding of the large ones meets
    whatever is small, which is what the gram form fails on. A peak that fails is narrow, so smaller shapes
    get more matrices: 1024/min(shape), at least 8.
    """
    asked = replace(asked, argument=asked.argument or "0.1")
    part = number(asked, "the part of σ at 1, at most 1", "levels:0.1", 0.0, 1.0)
    k = asked.least_side
    count = max(8, 1024 // k)
    sigma = torch.ones((count, k), dtype=torch.float64)
    sigma[:, max(1, int(part * k)) :] = torch.logspace(-2.2, 0, count, dtype=torch.float64)[:, None]
    return with_random_factors(asked.name, asked.shape, sigma, asked.generator)


def rank1(asked: Request) -> Sample:
    """BLOCKS blocks of entries ±c, σ = 1: rounding changes every entry by the same factor, and with it x = 1.

    Which way, and how far, depends on the size of the block; so there are BLOCKS of them.
    """
    refuse_argument(asked)
    U, V = (torch.zeros((BLOCKS, side, 1), dtype=torch.float64) for side in asked.shape)
    for k in range(BLOCKS):
        for vectors, side in ((U, asked.shape[0]), (V, asked.shape[1])):
            size = max(1, side - k * side // (2 * BLOCKS))
            vectors[k, :size, 0] = _signs(asked, size)
    return Sample(asked.name, U @ V.mT, U, torch.ones((BLOCKS, 1), dtype=torch.float64), V)


def flat(asked: Request) -> Sample:
    """rank1 in the sizes that fare worst: BLOCKS blocks h x w of entries ±c, σ = 1, whose roundings add up.

    Rounded to u, c = 1/√(hw) becomes c′, and an entry of A = X Xᵀ, a sum of w equal terms, w c′² rounded: x²
    reaches h·(w c′² rounded), up to 1 ± 3u. Of the sizes that fit, those where it is largest and least, in
    bfloat16 and in float16; random sizes seldom come near.
    """
    refuse_argument(asked)
    least, most = sorted(asked.shape)
    h, w = (torch.arange(side, max(0, side - SIDES), -1, dtype=torch.float64) for side in (least, most))
    sizes = h[:, None] * w
    chosen = []
    for dtype in (torch.bfloat16, torch.float16):
        entry = sizes.rsqrt().to(dtype).double()
        square = (h[:, None] * (w * entry.square()).to(dtype).double()).flatten()
        count = min(BLOCKS // 4, len(square))
        chosen += [square.topk(count, largest=largest).indices for largest in (True, False)]
    which = torch.cat(chosen)
    narrow, wide = (torch.zeros((len(which), side, 1), dtype=torch.float64) for side in (least, most))
    for k, (i, j) in enumerate(zip(which // len(w), which % len(w), strict=True)):
        for vectors, size in ((narrow, int(h[i])), (wide, int(w[j]))):
            vectors[k, :size, 0] = _signs(asked, size)
    U, V = (narrow, wide) if asked.shape[0] <= asked.shape[1] else (wide, narrow)
    return Sample(asked.name, U @ V.mT, U, torch.ones((len(which), 1), dtype=torch.float64), V)


def blocks(asked: Request) -> Sample:
    """rank2 without chance: two blocks of entries ±c and ±c′ on the diagonal, of random sizes; σ as
    there. So roundings go the same way at every x, not only at 1."""
    refuse_argument(asked)
    _need_two(asked)
    sine = _sines(asked)
    sigma = torch.stack([(1 - sine.square()).sqrt(), sine], dim=-1)
    U, V = (torch.zeros((ANGLES, side, 2), dtype=torch.float64) for side in asked.shape)
    for k in range(ANGLES):
        for vectors, side in ((U, asked.shape[0]), (V, asked.shape[1])):
            size = int(torch.randint(1, side, (), generator=asked.generator))
            vectors[k, :size, 0] = _signs(asked, size)
            vectors[k, size:, 1] = _signs(asked, side - size)
    return Sample(asked.name, (U * sigma[:, None, :]) @ V.mT, U, sigma, V)


def rank2(asked: Request) -> Sample:
    """ANGLES matrices with σ = (cos t, sin t), sin t log-spaced from the lower end to 1/√2."""
    refuse_argument(asked)
    _need_two(asked)
    sine = _sines(asked)
    sigma = torch.stack([(1 - sine.square()).sqrt(), sine], dim=-1)
    return with_random_factors(asked.name, asked.shape, sigma, asked.generator)


def rankk(asked: Request) -> Sample:
    """COPIES matrices of the rank that the argument says, σ random, log-uniform from 1 to the lower end."""
    example = "rankk:8"
    rank = int(number(asked, "the rank, a whole number", example, 0.0, asked.least_side, whole=True))
    exponents = torch.rand((COPIES, rank), generator=asked.generator, dtype=torch.float64)
    sigma = asked.lower**exponents
    return with_random_factors(asked.name, asked.shape, sigma, asked.generator)


def swept(asked: Request) -> Sample:
    """rank2 with full rank: the other σ log-uniform from the lower end to 1/(10√k), all of norm 1.

    The pair reaches the middle of [l, 1], the others its lower end.
    """
    refuse_argument(asked)
    _need_two(asked)
    k = asked.least_side
    top = 0.1 / math.sqrt(k)
    low = min(asked.lower, top)
    others = low * (top / low) ** torch.rand((ANGLES, k - 2), generator=asked.generator, dtype=torch.float64)
    sine = _sines(asked)
    cosine = (1 - sine.square() - others.square().sum(dim=-1)).sqrt()
    sigma = torch.cat([torch.stack([cosine, sine], dim=-1), others], dim=-1)
    return with_random_factors(asked.name, asked.shape, sigma, asked.generator)


def zero(asked: Request) -> Sample:
    """The zero matrix, which must stay zero."""
    refuse_argument(asked)
    U, V = (torch.zeros((1, side, 0), dtype=torch.float64) for side in asked.shape)
    return Sample(asked.name, U @ V.mT, U, torch.zeros((1, 0), dtype=torch.float64), V)


def tiny(asked: Request) -> Sample:
    """A Gaussian matrix times the argument, 1e-20 if there is none."""
    return _scaled(asked, "tiny:1e-20", 1 / MOST_SCALE, 1.0)


def huge(asked: Request) -> Sample:
    """A Gaussian matrix times the argument, 1e30 if there is none."""
    return _scaled(asked, "huge:1e30", 1.0, MOST_SCALE)


def _scaled(asked: Request, example: str, low: float, high: float) -> Sample:
    asked = replace(asked, argument=asked.argument or example.partition(":")[2])
    factor = number(asked, f"a factor in [{low:g}, {high:g}]", example, low, high)
    known = gaussian(replace(asked, argument=None))
    return replace(known, matrix=factor * known.matrix, sigma=factor * known.sigma)


def _signs(asked: Request, size: int) -> Tensor:
    """A unit vector of entries ±size^(−1/2)."""
    return (torch.randint(2, (size,), generator=asked.generator, dtype=torch.float64) * 2 - 1) * size**-0.5


def _sines(asked: Request) -> Tensor:
    return torch.logspace(math.log10(asked.lower), math.log10(0.5) / 2, ANGLES, dtype=torch.float64)


def _uniform(asked: Request, count: int) -> Tensor:
    return torch.rand(count, generator=asked.generator, dtype=torch.float64)


def _low_bulk(asked: Request, ones: int) -> float:
    """Twice the lower end beside so many ones, once all are normalized; 1/2 where there is no such room."""
    return min(0.5, 2 * asked.lower * math.sqrt(ones))


def _seed(asked: Request) -> int:
    return int(torch.randint(2**62, (), generator=asked.generator))


def _need_two(asked: Request) -> None:
    if asked.least_side < 2:
        m, n = asked.shape
        raise InputError("shape", f"{m}x{n} has no room for rank 2: write at least 2x2")

"""Test matrices in float64 with known singular value decomposition.

After Frobenius normalization a full-rank matrix has no singular value in the middle of [l, 1], where a
schedule may be worst; rank-2 matrices with swept angles reach every one. So both kinds are here.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polydesign.model import InputError, check_integer

ANGLES = 16
"""Matrices in a rank2 batch."""

MOST_ENTRIES = 2**26
"""Of a test matrix: its decomposition in float64 needs several times the memory."""

BLOCKS = 16
"""Matrices in a rank1 batch."""

DEFAULT_SPECTRA = ("gaussian", "logspace:1e-2", "harmonic", "rank1", "rank2")


@dataclass(frozen=True, slots=True)
class Sample:
    """A batch of b matrices M = U diag(sigma) Vᵀ of numerical rank k; all float64, on the CPU.

    matrix: (b, m, n); U: (b, m, k) and V: (b, n, k) with orthonormal columns; sigma: (b, k), all positive.
    The null space is not part of the decomposition.
    """

    name: str
    matrix: Tensor
    U: Tensor
    sigma: Tensor
    V: Tensor


def sample(spectrum: str, shape: tuple[int, int], *, seed: int = 0, lower: float = 1e-3) -> Sample:
    """Matrices (b, m, n) of the named spectrum, the same digits for the same seed.

    spectrum: gaussian (independent normal entries); logspace:S (σ log-spaced from 1 down to S); harmonic
    (σ_i = 1/i); rank1 (BLOCKS blocks of entries ±c, σ = 1); rank2 (ANGLES matrices with σ = (cos t, sin t),
    sin t log-spaced from `lower` to 1/√2). Where nothing else is said, the factors are random orthogonal.
    Raises InputError for an unknown name, listing the known ones, and for a shape that the spectrum cannot
    have.
    """
    name, argument = split(spectrum)
    for side in shape:
        check_integer("shape", side, 1)
    if max(shape) * min(shape) > MOST_ENTRIES:
        raise InputError("shape", f"{shape[0]}x{shape[1]} has more than {MOST_ENTRIES} entries: take less")
    check_integer("seed", seed, 0)
    generator = torch.Generator().manual_seed(seed)
    return SPECTRA[name](spectrum, shape, generator, argument, lower)


def split(spectrum: str) -> tuple[str, str | None]:
    """ "logspace:1e-2" as ("logspace", "1e-2"). Raises InputError for a name that is not in SPECTRA."""
    name, colon, argument = spectrum.partition(":")
    if name not in SPECTRA:
        close = difflib.get_close_matches(name, SPECTRA, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError("spectrum", f"{spectrum!r} is not one of {', '.join(SPECTRA)}{hint}")
    return name, argument if colon else None


def from_matrix(matrix: Any, name: str) -> Sample:
    """A given real matrix (m, n), decomposed in float64; σ <= max(m, n)·2⁻⁵²·σ_max counts as zero."""
    M = torch.as_tensor(matrix)
    if M.ndim != 2 or M.numel() == 0:
        raise InputError(name, f"must be one matrix with two dimensions, not of shape {tuple(M.shape)}")
    if M.layout is not torch.strided or M.is_quantized or M.is_meta:
        raise InputError(name, "is not a plain dense tensor: write M.to_dense(), or M.dequantize()")
    if M.is_complex():
        raise InputError(name, "is complex, and only real matrices are run: give its real part")
    M = M.detach().cpu().to(torch.float64)
    if not torch.isfinite(M).all():
        raise InputError(name, "holds NaN or infinity: give a finite matrix")
    U, sigma, Vt = torch.linalg.svd(M, full_matrices=False)
    rank = int((sigma > max(M.shape) * 2.0**-52 * sigma[0]).sum())
    if rank == 0:
        raise InputError(name, "is zero and has no singular value to look at: give another matrix")
    return Sample(name, M[None], U[None, :, :rank], sigma[None, :rank], Vt[None, :rank].mT)


def _gaussian(
    name: str, shape: tuple[int, int], generator: torch.Generator, argument: str | None, _: float
) -> Sample:
    _refuse_argument(name, argument)
    return from_matrix(torch.randn(shape, generator=generator, dtype=torch.float64), name)


def _logspace(
    name: str, shape: tuple[int, int], generator: torch.Generator, argument: str | None, _: float
) -> Sample:
    try:
        smallest = float(argument or "")
    except ValueError:
        smallest = math.nan
    if not 0 < smallest <= 1:
        raise InputError(
            "spectrum", f"{name!r} needs the smallest singular value, in (0, 1]: write logspace:1e-2"
        )
    sigma = torch.logspace(0, math.log10(smallest), min(shape), dtype=torch.float64)
    return _with_random_factors(name, shape, sigma[None], generator)


def _harmonic(
    name: str, shape: tuple[int, int], generator: torch.Generator, argument: str | None, _: float
) -> Sample:
    _refuse_argument(name, argument)
    sigma = 1 / torch.arange(1, min(shape) + 1, dtype=torch.float64)
    return _with_random_factors(name, shape, sigma[None], generator)


def _rank1(
    name: str, shape: tuple[int, int], generator: torch.Generator, argument: str | None, _: float
) -> Sample:
    """Blocks of entries ±c: rounding changes every entry by the same factor, and with it x = 1.

    Which way, and how far, depends on the size of the block; so there are BLOCKS of them.
    """
    _refuse_argument(name, argument)
    U, V = (torch.zeros((BLOCKS, side, 1), dtype=torch.float64) for side in shape)
    for k in range(BLOCKS):
        for vectors, side in ((U, shape[0]), (V, shape[1])):
            size = max(1, side - k * side // (2 * BLOCKS))
            signs = torch.randint(2, (size, 1), generator=generator, dtype=torch.float64) * 2 - 1
            vectors[k, :size] = signs * size**-0.5
    return Sample(name, U @ V.mT, U, torch.ones((BLOCKS, 1), dtype=torch.float64), V)


def _rank2(
    name: str, shape: tuple[int, int], generator: torch.Generator, argument: str | None, lower: float
) -> Sample:
    _refuse_argument(name, argument)
    if min(shape) < 2:
        raise InputError("shape", f"{shape[0]}x{shape[1]} has no room for rank 2: write at least 2x2")
    sine = torch.logspace(math.log10(lower), math.log10(0.5) / 2, ANGLES, dtype=torch.float64)
    sigma = torch.stack([(1 - sine.square()).sqrt(), sine], dim=-1)
    return _with_random_factors(name, shape, sigma, generator)


def _with_random_factors(
    name: str, shape: tuple[int, int], sigma: Tensor, generator: torch.Generator
) -> Sample:
    """U diag(σ) Vᵀ for σ (b, k), with U and V the orthogonal factors of Gaussian matrices."""
    b, k = sigma.shape
    U, V = (
        torch.linalg.qr(torch.randn((b, side, k), generator=generator, dtype=torch.float64)).Q
        for side in shape
    )
    return Sample(name, (U * sigma[:, None, :]) @ V.mT, U, sigma, V)


def _refuse_argument(name: str, argument: str | None) -> None:
    if argument is not None:
        raise InputError("spectrum", f"{name!r}: only logspace takes a number; write {name.split(':')[0]}")


Maker = Callable[[str, tuple[int, int], torch.Generator, str | None, float], Sample]

SPECTRA: dict[str, Maker] = {
    "gaussian": _gaussian,
    "logspace": _logspace,
    "harmonic": _harmonic,
    "rank1": _rank1,
    "rank2": _rank2,
}
"""Spectrum -> function of (name, shape, generator, argument after the colon, lower end)."""

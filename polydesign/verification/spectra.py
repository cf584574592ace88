"""Test matrices by name; what each is stands with its maker, in gallery.py or structures.py."""

from __future__ import annotations

from collections.abc import Callable

import torch

from polydesign.model import InputError, check_integer
from polydesign.text.similar import closest
from polydesign.verification import gallery, structures
from polydesign.verification.request import Request
from polydesign.verification.samples import Sample, from_matrix, positive

__all__ = ["DEFAULT_SPECTRA", "SPECTRA", "Sample", "from_matrix", "names", "sample", "sample_positive"]

MOST_ENTRIES = 2**26
"""Of a test matrix: its decomposition in float64 needs several times the memory."""

SPECTRA: dict[str, Callable[[Request], Sample]] = {
    "gaussian": gallery.gaussian,
    "marchenko-pastur": gallery.marchenko_pastur,
    "logspace": gallery.logspace,
    "harmonic": gallery.harmonic,
    "clustered": gallery.clustered,
    "two-bulks": gallery.two_bulks,
    "levels": gallery.levels,
    "levy": gallery.levy,
    "rank1": gallery.rank1,
    "flat": gallery.flat,
    "blocks": gallery.blocks,
    "rank2": gallery.rank2,
    "rankk": gallery.rankk,
    "swept": gallery.swept,
    "zero": gallery.zero,
    "tiny": gallery.tiny,
    "huge": gallery.huge,
    "hippo": structures.hippo,
    "monarch": structures.monarch,
    "triangular": structures.triangular,
    "toeplitz": structures.toeplitz,
}
"""Spectrum -> its maker."""

DEFAULT_SPECTRA = ("gaussian", "logspace:1e-2", "harmonic", "rank1", "rank2")
"""What verify runs for msign when nothing is asked for."""

DEFAULT_POSITIVE = ("gaussian", "logspace:1e-2", "harmonic", "swept")
"""The same for operators on symmetric positive P."""

ALL_SPECTRA = (
    *("gaussian", "marchenko-pastur:0.25", "marchenko-pastur:1", "logspace:1e-2", "logspace:1e-4"),
    *("harmonic", "clustered", "two-bulks", "levels:0.1", "levy", "rank1", "flat", "blocks"),
    *("rank2", "rankk:8", "swept"),
    *("zero", "tiny:1e-20", "huge:1e30"),
    *("hippo:legs", "hippo:legt", "monarch", "triangular", "toeplitz:0.9"),
)
"""What "all" stands for."""

DEFICIENT = ("rank1", "flat", "blocks", "rank2", "rankk", "zero")
"""Spectra with a null space: such a P has no inverse."""

PAIRS = ("blocks", "rank2", "swept")
"""Spectra that need two singular values."""

OF_FACTORS = ("gaussian", "marchenko-pastur", "levy", "tiny", "huge")
"""Spectra that say what x is, and P is then x·xᵀ/‖x‖₂; the others say what the eigenvalues of P are."""

SYMMETRIC = ("toeplitz",)
"""Spectra that are symmetric positive P themselves, where they are square."""

SCALED = ("tiny", "huge")
"""Spectra whose roots and inverses float16 cannot hold."""


def sample(spectrum: str, shape: tuple[int, int], *, seed: int = 0, lower: float = 1e-3) -> Sample:
    """Matrices (b, m, n) of the named spectrum, the same digits for the same seed.

    spectrum: a name of SPECTRA, with its argument after a colon where it has one. lower: the lower end of
    the interval, which some spectra reach down to. Raises InputError for an unknown name, listing the known
    ones, for an argument that does not fit, and for a shape that the spectrum cannot have.
    """
    name, argument = split(spectrum)
    for side in shape:
        check_integer("shape", side, 1)
    if max(shape) * min(shape) > MOST_ENTRIES:
        raise InputError("shape", f"{shape[0]}x{shape[1]} has more than {MOST_ENTRIES} entries: take less")
    seed = check_integer("seed", seed, 0)
    generator = torch.Generator().manual_seed(seed)
    return SPECTRA[name](Request(spectrum, argument, shape, generator, lower))


def sample_positive(
    spectrum: str, shape: tuple[int, int], *, seed: int = 0, lower: float = 1e-3, singular: bool = False
) -> Sample:
    """Symmetric positive P (b, n, n), n = min(shape), of the named spectrum; see OF_FACTORS.

    lower: of λ/‖P‖_F. singular: whether P may have a null space. Raises what `sample` raises, and InputError
    for a spectrum of DEFICIENT unless `singular`.
    """
    name, _ = split(spectrum)
    if name in DEFICIENT and not singular:
        raise InputError(
            "spectrum",
            f"{spectrum} has a null space, and such a P has no inverse; swept reaches the same values with "
            "full rank",
        )
    if name in SYMMETRIC:
        shape = (min(shape), min(shape))
    return positive(sample(spectrum, shape, seed=seed, lower=lower), squared=name in OF_FACTORS)


def names(
    listed: str | None, shape: tuple[int, int], dtype: str, *, positive: bool = False, singular: bool = False
) -> list[str]:
    """The spectra of a list with commas between, in which "all" is ALL_SPECTRA; None: the defaults.

    What all and the defaults stand for is cut down to what this shape, this precision and an operator on
    positive P (singular: with or without a null space) can have; what is named is not, and is refused later.
    Raises InputError for an unknown name, so that nothing runs before it is found.
    """

    def fits(spectrum: str) -> bool:
        name, argument = split(spectrum)
        if name in SCALED and positive and dtype == "float16":
            return False
        if name in DEFICIENT and positive and not singular:
            return False
        return min(shape) >= (int(argument or 1) if name == "rankk" else 2 if name in PAIRS else 1)

    found: list[str] = []
    for name in (part.strip() for part in listed.split(",")) if listed else [None]:
        if name in (None, "all"):
            default = DEFAULT_POSITIVE if positive else DEFAULT_SPECTRA
            found += filter(fits, ALL_SPECTRA if name else default)
        else:
            split(name)
            found.append(name)
    return list(dict.fromkeys(found))


def split(spectrum: str) -> tuple[str, str | None]:
    """ "logspace:1e-2" as ("logspace", "1e-2"). Raises InputError for a name that is not in SPECTRA."""
    name, colon, argument = spectrum.partition(":")
    if name not in SPECTRA:
        close = closest(name, SPECTRA, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError("spectrum", f"{spectrum!r} is not one of {', '.join(SPECTRA)}, all{hint}")
    return name, argument if colon else None

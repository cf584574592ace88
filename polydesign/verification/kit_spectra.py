"""Which matrices a kit has, before they have numbers: singular values, shapes, and what failing one means."""

from __future__ import annotations

from dataclasses import dataclass

CORRECTNESS, ROBUSTNESS = "correctness", "robustness"


@dataclass(frozen=True, slots=True)
class Spectrum:
    """One matrix of the kit before it has a size: singular values falling evenly in their logarithm.

    about: what it is, and what failing it means. shape: (m, n), or (b, m, n). lowest: the smallest over the
    largest, None where the smallest x is BELOW·l. rank: None for full. scales: the largest singular value of
    each matrix of the batch, 0 for a zero matrix. equal: of equal entries, for positive P with a multiple of
    I. kind: CORRECTNESS, or ROBUSTNESS for what a correct code may leave to its caller. given: the half
    precision that the input is passed in, and the result must have. strided: the input is passed as every
    second row and column of a larger array. diagonal: the singular vectors are unit vectors.
    """

    about: str
    shape: tuple[int, ...]
    lowest: float | None = 0.2
    rank: int | None = None
    scales: tuple[float, ...] = (1.0,)
    equal: bool = False
    kind: str = CORRECTNESS
    given: str | None = None
    strided: bool = False
    diagonal: bool = False


_TINY = "norm 1e-20: an absolute epsilon in the norm shows"
_HUGE = "norm 1e20: squares overflow in float32"
_SEVEN = (1.0, 8.0, 2.0, 64.0, 4.0, 32.0, 16.0)


def _passed(shape: tuple[int, int]) -> dict[str, Spectrum]:
    """How the input is passed: not contiguous, and in half precision."""
    keeps = "passed in {}: the result has that dtype too"
    return {
        "strided": Spectrum("not contiguous in memory: strides are followed", shape, strided=True),
        **{
            name: Spectrum(keeps.format(name), shape, kind=ROBUSTNESS, given=name)
            for name in ("float16", "bfloat16")
        },
    }


# The order decides the seeds: new cases go to the end.
SIGN_CASES = {
    "square": Spectrum("singular values down to l/4, where every coefficient shows", (16, 16), None),
    "wide": Spectrum("more columns than rows", (12, 24)),
    "tall": Spectrum("more rows than columns: iterate on the transpose, and transpose the result", (24, 12)),
    "deficient": Spectrum("rank 6: the null space stays null", (14, 18), rank=6),
    "equal": Spectrum("rank 1 of equal entries: all roundings go the same way", (16, 24), equal=True),
    "zero": Spectrum("zero gives zero, and no 0/0", (8, 12), rank=0),
    "batch": Spectrum("each matrix has its own norm", (3, 10, 14), scales=(1.0, 8.0, 64.0)),
    "tiny": Spectrum(_TINY, (10, 14), scales=(1e-20,), kind=ROBUSTNESS),
    "huge": Spectrum(_HUGE, (10, 14), scales=(1e20,), kind=ROBUSTNESS),
    "batch_tall": Spectrum(
        "seven tall matrices: rows and columns are the last two axes", (7, 5, 3), scales=_SEVEN
    ),
    "batch_zero": Spectrum(
        "one matrix of the batch is zero, and its neighbours stay as they are",
        (3, 10, 14),
        scales=(1.0, 0.0, 4.0),
    ),
    "row": Spectrum("a single row", (1, 24)),
    "column": Spectrum("a single column", (24, 1)),
    **_passed((10, 14)),
    "diagonal": Spectrum(
        "entries are what singular values become, some above 1: nothing is clamped", (16, 24), diagonal=True
    ),
}
ROOT_CASES = {
    "steep": Spectrum("eigenvalues down to (l/4)^r, where every coefficient shows", (16, 16), None),
    "mild": Spectrum("well conditioned", (12, 12)),
    "equal": Spectrum("the identity plus equal entries", (16, 16), equal=True),
    "batch": Spectrum("each matrix has its own norm", (3, 10, 10), scales=(1.0, 4.0, 16.0)),
    "tiny": Spectrum(_TINY, (10, 10), scales=(1e-20,), kind=ROBUSTNESS),
    "huge": Spectrum(_HUGE, (10, 10), scales=(1e20,), kind=ROBUSTNESS),
    "batch_small": Spectrum("more matrices than rows", (7, 4, 4), scales=_SEVEN),
    "one": Spectrum("1 × 1", (1, 1)),
    **_passed((10, 10)),
}

"""The float formats: one table for rounding, ranges and names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Precision:
    """A binary float format, rounded to nearest with ties to even.

    name: as in torch. short: as in a table's name. bits: of the significand, the hidden one among them.
    lowest, highest: exponents of the smallest and the largest normal power of two.
    """

    name: str
    short: str
    bits: int
    lowest: int
    highest: int

    @property
    def roundoff(self) -> float:
        """u, the largest relative error of rounding to nearest in the normal range."""
        return 2.0**-self.bits

    @property
    def smallest_normal(self) -> float:
        """Below it numbers are rounded by an absolute amount."""
        return 2.0**self.lowest

    @property
    def least_exponent(self) -> int:
        """Of the smallest positive number."""
        return self.lowest - self.bits + 1

    @property
    def largest(self) -> float:
        return (2 - 2.0 ** (1 - self.bits)) * 2.0**self.highest


PRECISIONS = {
    one.name: one
    for one in (
        Precision("bfloat16", "bf16", 8, -126, 127),
        Precision("float16", "fp16", 11, -14, 15),
        Precision("float32", "fp32", 24, -126, 127),
        Precision("float64", "fp64", 53, -1022, 1023),
    )
}

UNIT_ROUNDOFF = {name: one.roundoff for name, one in PRECISIONS.items()}
"""u by precision."""

"""The numbers that a rounded constant may be: a grid, and the words for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from polydesign.model import InputError, dtype_name
from polydesign.model.precision import PRECISIONS

MOST_DECIMALS = 12

CURE = "take a lower degree, a larger lower end, or another grid"

MOST_WHOLE = 2**53
"""A float64 holds every whole number up to it."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The numbers that a constant may be: multiples of `unit`, or those of a float format.

    word: as it is asked for, 1/1024, decimals:4, bf16, fp16 or fp32. A multiple of a decimal unit is the
    float64 number nearest to it.
    """

    word: str
    unit: Fraction | None = None
    bits: int = 0
    least: int = 0
    largest: float = math.inf

    def spacing(self, x: float) -> Fraction:
        """The distance of the points of the grid at x."""
        if self.unit is not None:
            return self.unit
        exponent = math.frexp(x)[1] - self.bits  # |x| in [2^(e − 1), 2^e)
        return Fraction(2) ** max(exponent, self.least)

    def nearest(self, x: float) -> float:
        """The point nearest to x, the even one of two; raises InputError where the format ends before x."""
        spacing = self.spacing(x)
        point = float(round(Fraction(x) / spacing) * spacing)
        if abs(point) > self.largest:
            raise InputError("round", f"{x:.6g} is above the largest number of {self.word}: {CURE}")
        return point

    def holds(self, units: np.ndarray, spacings: Sequence[Fraction]) -> np.ndarray:
        """Which rows of whole numbers k, each times its spacing, lie on the grid: (m, n + 1) to (m,).

        Across a power of two only every second point of a float format does.
        """
        values = abs(units) * np.array(list(map(float, spacings)))
        if self.unit is not None:
            return np.all(abs(units) < MOST_WHOLE, axis=1)
        inside = (abs(units) < MOST_WHOLE) & (values <= self.largest)
        whole = np.where(inside, abs(units), 0).astype(np.int64)
        return np.all(inside & (whole <= (whole & -whole) * 2.0**self.bits), axis=1)


def grid(word: str) -> Grid:
    """The grid of a word: 1/N, decimals:K, or a precision below float64.

    >>> grid("1/1024").nearest(8.4703) * 1024
    8674.0
    >>> grid("decimals:2").nearest(8.4703), grid("bf16").nearest(8.4703)
    (8.47, 8.5)

    Raises InputError for anything else.
    """
    kind, _, number = word.partition(":" if word.startswith("decimals") else "/")
    if kind == "decimals" and number.isascii() and number.isdigit() and int(number) <= MOST_DECIMALS:
        return Grid(f"decimals:{int(number)}", Fraction(1, 10 ** int(number)))
    if kind == "1" and number.isascii() and number.isdigit() and 0 < int(number) <= 10**MOST_DECIMALS:
        return Grid(f"1/{int(number)}", Fraction(1, int(number)))
    try:
        form = PRECISIONS[dtype_name(word, "round")]
    except InputError:
        form = None
    if form is None or form.name == "float64":
        raise InputError(
            "round",
            f"{word!r} is not 1/N (1/1024), decimals:K with K up to {MOST_DECIMALS}, bf16, fp16 or fp32",
        )
    return Grid(form.short, None, form.bits, form.least_exponent, form.largest)

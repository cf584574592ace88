"""What a program stores, and how an error of each of it reaches q: values and derivatives at given y."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polydesign.model import MOST_INNER_DEGREE
from polydesign.model.program import Algebra, Program, Terms

_FINE = 36
"""Points for each extreme: between two of them a cosine loses 1 − cos(π/72)."""


@dataclass(frozen=True, slots=True)
class _Value:
    """What a register holds at every y, and its derivative by each stored value before it."""

    at: np.ndarray
    gains: dict[int, np.ndarray]


class _Gains(Algebra):
    """Registers at y, with the values that are rounded in `sizes`, in the order in which they are stored."""

    def __init__(self, y: np.ndarray) -> None:
        self.one = np.ones_like(y)
        self.sizes: list[np.ndarray] = []
        self.y = self.rounded(_Value(y, {}))

    def rounded(self, value: _Value) -> _Value:
        """A value that is stored: its own rounding reaches it in full."""
        self.sizes.append(value.at)
        return _Value(value.at, value.gains | {len(self.sizes) - 1: self.one})

    def sum(self, terms: Terms, shift: Any) -> _Value:
        listed = [weight * value.at for value, weight in terms]
        total: Any = sum([*listed, *([] if shift is None else [shift * self.one])], np.zeros_like(self.one))
        return _Value(total, _added(*((value.gains, weight) for value, weight in terms)))

    def total(self, terms: Terms, shift: Any) -> _Value:
        return self.sum(terms, shift)

    def factor(self, terms: Terms, shift: Any, side: str) -> _Value:
        return self.rounded(self.sum(terms, shift))

    def addend(self, terms: Terms) -> _Value:
        found = self.sum(terms, None)
        return self.rounded(found) if len(terms) > 1 else found

    def product(self, left: _Value, right: _Value, weight: Any, addend: _Value, shift: Any) -> _Value:
        added = addend.at if shift is None else addend.at + shift * self.one
        value = added + weight * left.at * right.at
        parts = (addend.gains, 1), (left.gains, weight * right.at), (right.gains, weight * left.at)
        return _Value(value, _added(*parts))

    def register(self, index: int, value: _Value) -> _Value:
        return self.rounded(value)


def _added(*parts: tuple[dict[int, np.ndarray], Any]) -> dict[int, np.ndarray]:
    found: dict[int, np.ndarray] = {}
    for gains, factor in parts:
        for k, gain in gains.items():
            found[k] = found.get(k, 0.0) + factor * gain
    return found


def stored(code: Program, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values of everything that the program rounds, at y = xʳ, and ∂Q/∂(each of them): (K, len(y)) each.

    A is the first. A sum is stored where it is a factor, or where several registers are added to a product.
    """
    algebra = _Gains(y)
    values = code.registers(algebra.y, algebra)
    index, weight = code.result
    found, none = values[index].gains, 0 * algebra.one
    return np.array(algebra.sizes), np.array([weight * found.get(k, none) for k in range(len(algebra.sizes))])


def turning_points(coefficients: Sequence[float], root: int, upper: float) -> np.ndarray:
    """Where p′ = Σ (1 + j·r) c_j x^(jr) has its real roots in (0, upper).

    Of a long step float64 has no such roots: there it is a grid of Chebyshev's spacing in y, so fine that
    what lies between two points is p at one of them to a thousandth.
    """
    n = len(coefficients) - 1
    if n > MOST_INNER_DEGREE:
        return upper * np.sin(np.linspace(0, np.pi / 2, _FINE * n + 1)[1:-1]) ** (2 / root)
    slope = [(1 + j * root) * c * upper ** (j * root) for j, c in enumerate(coefficients)]
    y = np.roots(slope[::-1])
    y = y.real[(abs(y.imag) < 1e-6) & (y.real > 0) & (y.real < 1)]
    return upper * y ** (1 / root)

"""What a program stores, and how an error of each of it reaches q: values and derivatives at given y."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from polydesign.program.programs import IDENTITY, Combination, Program


def stored(code: Program, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values of everything that the program rounds, at y = xʳ, and ∂Q/∂(each of them): (K, len(y)) each.

    A is the first. A sum is stored where it is a factor, or where several registers are added to a product.
    """
    one = np.ones_like(y)
    values: list[np.ndarray] = [y]
    sizes: list[np.ndarray] = [y]
    gains: list[dict[int, np.ndarray]] = [{0: one}]

    def total(terms: Combination, kept: bool) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        value = sum((w * (one if r == IDENTITY else values[r]) for r, w in terms), np.zeros_like(y))
        found: dict[int, np.ndarray] = {}
        for r, w in terms:
            _add(found, gains[r] if r != IDENTITY else {}, w)
        if kept:
            sizes.append(value)
            found[len(sizes) - 1] = one
        return value, found

    for line in code.lines:
        registers = sum(r != IDENTITY for r, _ in line.plus)
        value, found = total(line.plus, bool(line.left) and registers > 1)
        if line.left:
            left, of_left = total(line.left, len(line.left) > 1)
            right, of_right = total(line.right, len(line.right) > 1)
            value = value + line.weight * left * right
            _add(found, of_left, line.weight * right)
            _add(found, of_right, line.weight * left)
        sizes.append(value)
        found[len(sizes) - 1] = one
        values.append(value)
        gains.append(found)
    index, weight = code.result
    return np.array(sizes), np.array([weight * gains[index].get(k, 0 * one) for k in range(len(sizes))])


def _add(into: dict[int, np.ndarray], more: dict[int, np.ndarray], factor: Any) -> None:
    for k, gain in more.items():
        into[k] = into.get(k, 0.0) + factor * gain


def turning_points(coefficients: Sequence[float], root: int, upper: float) -> np.ndarray:
    """Where p′ = Σ (1 + j·r) c_j x^(jr) has its real roots in (0, upper)."""
    slope = [(1 + j * root) * c * upper ** (j * root) for j, c in enumerate(coefficients)]
    y = np.roots(slope[::-1])
    y = y.real[(abs(y.imag) < 1e-6) & (y.real > 0) & (y.real < 1)]
    return upper * y ** (1 / root)

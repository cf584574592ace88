"""The same map with other numbers: values may be multiplied by anything between two steps.

p_t(x) → s_t·p_t(x/s_(t−1)) leaves the composition as it is but for s_0, by which inputs are divided, and s_T,
by which the result is multiplied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, inf, log

from polydesign.identification.similarity import Row, Tolerance, simplest

LEAST_CHECKS = 3
"""Equations between coefficients beyond those that the scales are computed from: fewer may hold by chance."""

_MOST = log(100.0)
"""No scale lies beyond a hundred, or below a hundredth."""


@dataclass(frozen=True, slots=True)
class Scales:
    """scales: s_0, …, s_T. off: the relative difference that is left."""

    scales: tuple[float, ...]
    off: float

    @property
    def words(self) -> str:
        first, last = self.scales[0], self.scales[-1]
        told = "the same map, scaled between steps"
        told += f", of x/{first:.6g}" if abs(first - 1) > 1e-6 else ""
        return told + (f", times {last:.6g}" if abs(last - 1) > 1e-6 else "")


def scales_between(
    rows: Sequence[Row], known: Sequence[Row], root: int, tolerance: Tolerance
) -> Scales | None:
    """The scales that lead from the known rows to these, as many; None where there are none.

    Row t has coefficients c_j·s_t·s_(t−1)^−(1 + jr). In logarithms these are linear equations, and every
    coefficient gives an interval: differences of two bound s_(t−1), then each bounds s_t, and what one row
    says of s_t must meet what the next one says.
    """
    if len(rows) < 2 or any(len(row) != len(one) for row, one in zip(rows, known, strict=True)):
        return None
    if sum(map(len, rows)) - (len(rows) + 1) < LEAST_CHECKS:
        return None
    after: tuple[float, float] = (-_MOST, _MOST)
    found: list[tuple[float, float]] = []
    for row, one in zip(rows, known, strict=True):
        logs = _logs(row, one, tolerance)
        if logs is None or len(logs) < 2:
            return None
        before = after
        for (i, (low, high)), (j, (lower, higher)) in pairwise(logs):
            gap = (j - i) * root
            before = max(before[0], (low - higher) / gap), min(before[1], (high - lower) / gap)
        if before[0] > before[1]:
            return None
        found.append(before)
        after = -_MOST, _MOST
        for j, (low, high) in logs:
            power = 1 + j * root
            after = max(after[0], low + power * before[0]), min(after[1], high + power * before[1])
        if after[0] > after[1]:
            return None
    found.append(after)
    scales = tuple(simplest((_exp(low), _exp(high))) for low, high in found)
    return Scales(scales, max(high - low for low, high in found))


def _logs(row: Row, known: Row, tolerance: Tolerance) -> list[tuple[int, tuple[float, float]]] | None:
    """Of every coefficient that is not 0, log(p/c) as an interval."""
    found = []
    for j, (p, c) in enumerate(zip(row, known, strict=True)):
        if p == 0 or c == 0:
            if p != c:
                return None
            continue
        if p * c < 0:
            return None
        room = tolerance.relative * abs(p) + tolerance.absolute + tolerance.known * abs(p / c)
        least, most = abs(p) - room, abs(p) + room
        found.append((j, (log(least) - log(abs(c)) if least > 0 else -inf, log(most) - log(abs(c)))))
    return found


def _exp(value: float) -> float:

    return exp(min(max(value, -2 * _MOST), 2 * _MOST))

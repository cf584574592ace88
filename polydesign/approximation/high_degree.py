"""Best approximation of 1 by x·q(x^r) for q of degree up to thousands: its error, in float64.

Powers of y, and any basis in which q is written out, lose E where it is small. Here q never appears. With
y^(−1/r) = sin(π/r)/π · ∫ t^(−1/r) / (y + t) dt over t > 0 (r = 1: the unit mass at t = 0) the divided
differences of y^(−1/r) are integrals of one sign, so that on a reference y_0 < … < y_(n+1)

    E = sin(π/r)/π · ∫ t^(−1/r) / Π (y_i + t) dt  /  Σ V_i,      V_i = 1 / (x_i Π_(j≠i) |y_i − y_j|),

has no cancellation however small it is (remez.py has the same E as a quotient of sums). The error of the
q that levels the reference, in units of E, is

    (1 − x q(y)) / E  =  ± x · ΣV · Π (y − y_i) · ( Σ V_i / (y − y_i) / ΣV  −  ⟨1/(y + t)⟩ ),

⟨·⟩ the mean over t under the integrand above: two means of numbers of the same kind, as well conditioned as
barycentric interpolation is. The products are kept as logarithms.

The exchange moves every inner point by one Newton step on ln |1 − x q| a round. It starts from Chebyshev's
nodes in x for small n, and from the solution of half the degree, its points interpolated, for the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from polydesign.approximation.exchange import ConvergenceError

Numbers = NDArray[np.float64]

TOLERANCE = 1e-9
"""How far, relative, the largest |1 − p| may lie above the levelled E."""

_ROUNDS = 60
_CALM = 1e-7  # a Newton step, as a part of the gap, that moves no error by more than its square
_START = 2  # inner degrees up to this start from Chebyshev's nodes
_PER_GAP = 8  # samples between neighbouring points, for the upper end of the bracket
_BLOCK = 2**22  # numbers in one block of a table of differences


@dataclass(frozen=True, slots=True)
class Levelled:
    """Logarithms of the levelled E and of the largest |1 − p| found (natural): the best error lies between.

    By de la Vallée-Poussin's theorem the first is a lower bound on any reference whatever. The second is
    taken on samples, seven between neighbouring points. angles: of the reference, see `_Setting`.
    """

    log_error: float
    log_largest: float
    angles: tuple[float, ...]
    rounds: int


@dataclass(frozen=True, slots=True)
class _Setting:
    """[κ, 1] for a root: y = κ^r + w·sin²(θ/2), w = 1 − κ^r; points near either end keep their digits."""

    root: int
    bottom: float
    width: float

    def y(self, angles: Numbers) -> Numbers:
        return self.bottom + self.width * np.sin(angles / 2) ** 2

    def gaps(self, angles: Numbers, others: Numbers) -> Numbers:
        """y − y_j as a table: sin² − sin² = sin of the sum times sin of the difference."""
        return self.width * np.sin((angles[:, None] + others) / 2) * np.sin((angles[:, None] - others) / 2)


@lru_cache(maxsize=256)
def levelled(root: int, inner_degree: int, ratio: float) -> Levelled:
    """The error of the best x·q(x^r), q of degree inner_degree >= 1, on [ratio, 1], in float64.

    0 < ratio < 1. Takes n² operations a round, 0.7 s for n = 1,024 and all the coarser. Raises
    ConvergenceError where the largest |1 − p| found exceeds the levelled E by more than TOLERANCE.
    """
    power = root * math.log(ratio)
    setting = _Setting(root, math.exp(power), -math.expm1(power))
    if inner_degree <= _START:
        x = (1 + ratio) / 2 - (1 - ratio) / 2 * np.cos(
            np.pi * np.arange(inner_degree + 2) / (inner_degree + 1)
        )
        part = np.clip((x**root - setting.bottom) / setting.width, 0, 1)
        angles = 2 * np.arcsin(np.sqrt(part))
    else:
        coarse = np.array(levelled(root, inner_degree // 2, ratio).angles)
        angles = _refined(coarse, inner_degree + 2)
    angles[0], angles[-1] = 0.0, np.pi
    return _exchange(setting, angles)


def _refined(coarse: Numbers, count: int) -> Numbers:
    """The points as a function of i/(n + 1), at other values of it."""
    wanted = np.linspace(0, 1, count)
    # What is left beside equal spacing is smooth.
    known = np.linspace(0, 1, len(coarse))
    return np.pi * wanted + np.interp(wanted, known, coarse - np.pi * known)


def _exchange(setting: _Setting, angles: Numbers) -> Levelled:
    rounds, part = 0, np.ones(1)
    while rounds < _ROUNDS and np.max(abs(part), initial=0.0) >= _CALM:
        rounds += 1
        _, moves = _newton(setting, angles)
        room = np.minimum(np.diff(angles)[:-1], np.diff(angles)[1:])
        part = np.clip(moves / room, -0.4, 0.4)
        angles[1:-1] += part * room
    error, _ = _newton(setting, angles)
    largest = error + math.log(_largest(setting, angles))
    found = Levelled(error, largest, tuple(angles), rounds)
    if not largest - error <= TOLERANCE:
        raise ConvergenceError(
            f"no equioscillation for root {setting.root}, inner degree {len(angles) - 2} at lower/upper = "
            f"{setting.bottom ** (1 / setting.root):.8g}: after {rounds} rounds |1 − p| exceeds its level "
            f"by {math.expm1(min(largest - error, 700.0)):.3g} relative"
        )
    return found


def _mass(setting: _Setting, y: Numbers) -> tuple[float, Numbers, Numbers]:
    """ln of the integral over t, and nodes and weights (of sum 1) of its mean.

    The trapezoidal rule in ln t: the integrand is analytic for |Im ln t| < π and decays within half of
    that, so that steps of 1/5 leave e^(−π²·5).
    """
    if setting.root == 1:
        return -float(np.sum(np.log(y))), np.zeros(1), np.ones(1)
    rising = 1 - 1 / setting.root
    scale = -math.log(float(np.sum(1 / y)))
    tau = np.arange(scale - 40 / rising, math.log(float(y[-1])) + 40, 0.2)
    t = np.exp(tau)
    heights = rising * tau
    for k in range(0, len(y), max(1, _BLOCK // len(t))):
        heights -= np.sum(np.log(y[k : k + max(1, _BLOCK // len(t)), None] + t), axis=0)
    top = float(np.max(heights))
    weights = np.exp(heights - top)
    total = float(np.sum(weights))
    log_mass = top + math.log(0.2 * total * math.sin(math.pi / setting.root) / math.pi)
    kept = weights > 1e-18 * np.max(weights)
    return log_mass, t[kept], weights[kept] / total


def _log_weights(setting: _Setting, angles: Numbers, gaps: Numbers) -> Numbers:
    """ln V_i; gaps: between all of the points."""
    y = setting.y(angles)
    logs = -np.log(y) / setting.root
    for rows in _rows(len(angles), len(angles)):
        sizes = abs(gaps[rows])
        sizes[np.arange(len(sizes)), np.arange(len(angles))[rows]] = 1
        logs[rows] -= np.sum(np.log(sizes), axis=1)
    return logs


def _rows(count: int, columns: int) -> list[slice]:
    size = max(1, _BLOCK // columns)
    return [slice(k, min(k + size, count)) for k in range(0, count, size)]


def _newton(setting: _Setting, angles: Numbers) -> tuple[float, Numbers]:
    """ln E of a reference, and the Newton step on ln |1 − p|, in θ, of every inner point.

    Near y_k the error is x Π_(j≠k)(y − y_j) · (V_k + (y − y_k)·F(y)) with F the other terms of both means.
    """
    y = setting.y(angles)
    all_gaps = setting.gaps(angles, angles)
    logs = _log_weights(setting, angles, all_gaps)
    top = float(np.max(logs))
    total = float(np.sum(np.exp(logs - top)))
    v = np.exp(logs - top) / total
    log_mass, t, mu = _mass(setting, y)
    error = log_mass - top - math.log(total)

    inner = angles[1:-1]
    first, second = np.empty_like(inner), np.empty_like(inner)
    for rows in _rows(len(inner), len(angles)):
        gaps = all_gaps[1:-1][rows]
        at = (np.arange(len(gaps)), np.arange(len(angles))[1:-1][rows])
        gaps[at] = np.inf
        inverse = 1 / gaps
        here, own = y[1:-1][rows], v[1:-1][rows]
        poles = 1 / (here[:, None] + t)
        others = (inverse @ v - poles @ mu) / own
        slopes = (poles**2 @ mu - inverse**2 @ v) / own
        first[rows] = 1 / (setting.root * here) + np.sum(inverse, axis=1) + others
        second[rows] = -1 / (setting.root * here**2) - np.sum(inverse**2, axis=1) + 2 * slopes - others**2
    speed, turn = setting.width * np.sin(inner) / 2, setting.width * np.cos(inner) / 2
    slope, curvature = first * speed, second * speed**2 + first * turn
    # At a maximum of ln |1 − p| the curvature is negative; elsewhere go uphill.
    return error, slope / np.maximum(-curvature, 1e-3 * abs(slope) + 1e-300)


def _largest(setting: _Setting, angles: Numbers) -> float:
    """The largest |1 − p| / E, on samples; 1 on the reference itself."""
    y = setting.y(angles)
    logs = _log_weights(setting, angles, setting.gaps(angles, angles))
    top = float(np.max(logs))
    v = np.exp(logs - top)
    total = float(np.sum(v))
    _, t, mu = _mass(setting, y)
    steps = np.arange(1, _PER_GAP) / _PER_GAP
    samples = (angles[:-1, None] + np.diff(angles)[:, None] * steps).ravel()
    largest = 1.0
    for rows in _rows(len(samples), len(angles)):
        here = setting.y(samples[rows])
        gaps = setting.gaps(samples[rows], angles)
        means = (1 / gaps) @ (v / total) - (1 / (here[:, None] + t)) @ mu
        size = np.sum(np.log(abs(gaps)), axis=1) + np.log(here) / setting.root + top + math.log(total)
        largest = max(largest, float(np.max(abs(means) * np.exp(size))))
    return largest

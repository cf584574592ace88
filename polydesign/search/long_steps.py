"""Long steps: the best x·q(x^r) on [l, u] with q of inner degree 2ᵏ in k products, k = 4 to 6.

Of the 2ᵏ + 1 coefficients of such a q only k² are free (programs.factored), so there is no exchange, and no
optimality is proved: the constants are searched for. From seeded random starts Levenberg and Marquardt's
method makes the mean of ever higher powers of the error small, and linear programs in a trust region, as in
polish.py, bring the best of them to a local optimum of the largest error; then come hops from the best. What
is found lies near the best polynomial of inner degree close_to(k, l/u).

Everything here is for u = 1. scipy has the least squares (MINPACK) and the linear programs (HiGHS).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.optimize import least_squares, linprog

from polydesign.approximation.exchange import ConvergenceError
from polydesign.approximation.high_degree import levelled
from polydesign.program.programs import factored
from polydesign.rounding.running import running_error
from polydesign.search import pace

PRODUCTS = (4, 5, 6)
"""Of q in a long step. Three reach every q of inner degree 8, and more have too many constants to search."""

_CLOSE_TO = {4: (15, 15), 5: (31, 29), 6: (61, 41)}
_BETWEEN = (1e-3, 0.1)

NEAR = 1.02
"""Of steps whose E/(1 − E) is within this of the least, the one that rounds least is taken: for E near 1 that
is the ratio of ends that the next step sees, and for E near 0 it is E."""

POWERS = (2, 4, 8, 16)
"""Of the error, whose means are made small one after the other."""

_PER_GAP = 6  # points between neighbouring extremes of the best polynomial
_FITS = (150, 60)  # evaluations for the first power, and for each of the others
_SPREADS = (0.1, 0.5, 1.0)  # of random constants
_HOPS = (0.02, 0.1, 0.3)  # of moves away from one of the _BEST, relative
_BEST = 3
_RADIUS, _LEAST_RADIUS, _MOST_RADIUS = 0.1, 1e-8, 2.0  # of the trust region, relative
_LEAST_GAIN = 1e-7
_SMALLEST = 0.1  # what a constant is taken for, at least, where moves are relative to it


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is tried: random starts for k = 5, twice as many for 4 and half for 6; how many of the best
    are polished, in how many rounds at most; and hops from the best."""

    starts: int = 32
    polished: int = 4
    hops: int = 6
    rounds: int = 60
    seed: int = 0


@dataclass(frozen=True, slots=True)
class LongStep:
    """Constants of programs.factored for B = 2A − I, without the scale, and max |1 − x·q(x^r)| on [l, 1]."""

    error: float
    constants: tuple[float, ...]


def close_to(k: int, lower: float) -> int:
    """The inner degree of the best polynomial with about the error of the step that is found on [lower, 1]:
    measured at the ends of _BETWEEN, even in ln(lower) in between, and the same beyond."""
    return round(np.interp(math.log(lower), np.log(_BETWEEN), _CLOSE_TO[k]))


def bent(k: int) -> int:
    """How many constants are inside products; k + 1 more and ρ, which comes first, are linear."""
    return 1 + k * (k - 1) - 2


def points(root: int, k: int, lower: float) -> np.ndarray:
    """Where the error is looked at: _PER_GAP points between neighbouring extremes of the best polynomial of
    inner degree 2ᵏ, which has more of them than any step has."""
    n = 2**k
    angles = np.array(levelled(root, n, lower).angles)
    theta = np.interp(np.linspace(0, n + 1, (n + 1) * _PER_GAP + 1), np.arange(n + 2), angles)
    bottom = lower**root
    return (bottom + (1 - bottom) * np.sin(theta / 2) ** 2) ** (1 / root)


def values(p: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """q at B = b, and its derivatives by all constants p of programs.factored but the scale: (N,) and
    (N, k² + 1).

    By the chain rule from the last register back: at 2k products a point it is ten times as fast as a walk
    with derivatives in it, and a search takes thousands.
    """
    k = math.isqrt(len(p) - 1)
    registers = np.empty((k + 1, len(b)))
    registers[0], registers[1] = b, 2 * b * b - 1
    factors, sums = {}, {}
    position = 2
    with np.errstate(over="ignore", invalid="ignore"):
        for j in range(2, k + 1):
            if j == 2:
                first, second = registers[1], registers[1] + p[1] * b
            else:
                # Constants stand from the highest register down.
                own = p[position : position + 2 * (j - 1)].reshape(2, j - 1)[:, ::-1]
                sums[j] = own[0], own[1]
                first, second = registers[j - 1] + own @ registers[: j - 1]
                position += 2 * (j - 1)
            factors[j] = first, second
            registers[j] = first * second
        linear = p[position : position + k][::-1]
        q = p[0] * registers[k] + linear @ registers[:k] + p[-1]
        found = np.empty((len(p), len(b)))
        found[0], found[-1], found[position : position + k] = registers[k], 1.0, registers[:k][::-1]
        back = np.empty_like(registers)
        back[:k], back[k] = linear[:, None], p[0]
        for j in range(k, 1, -1):
            first, second = back[j] * factors[j][1], back[j] * factors[j][0]
            if j == 2:
                found[1] = second * b
                continue
            position -= 2 * (j - 1)
            found[position : position + j - 1] = (first * registers[: j - 1])[::-1]
            found[position + j - 1 : position + 2 * (j - 1)] = (second * registers[: j - 1])[::-1]
            back[j - 1] += first + second
            back[: j - 1] += sums[j][0][:, None] * first + sums[j][1][:, None] * second
    return q, found.T


@dataclass(frozen=True)
class _Points:
    """The points of one problem, and what the constants p make of them."""

    k: int
    x: np.ndarray
    b: np.ndarray

    def error(self, p: np.ndarray) -> np.ndarray:
        return self.x * values(p, self.b)[0] - 1

    def slopes(self, p: np.ndarray) -> np.ndarray:
        return self.x[:, None] * values(p, self.b)[1]

    def largest(self, p: np.ndarray) -> float:
        found = float(np.max(abs(self.error(p))))
        return found if math.isfinite(found) else math.inf

    def with_linear(self, inside: np.ndarray) -> np.ndarray:
        """These constants inside products, and the linear ones that fit best in the mean square."""
        linear = np.r_[0, np.arange(1 + bent(self.k), self.k**2 + 1)]
        p = np.zeros(self.k**2 + 1)
        p[0], p[1 : 1 + bent(self.k)] = 1.0, inside
        slopes = self.slopes(p)[:, linear]
        size = np.linalg.norm(slopes, axis=0)
        p[linear] = np.linalg.lstsq(slopes / size, np.ones(len(self.x)), rcond=1e-12)[0] / size
        return p

    def fitted(self, p: np.ndarray, power: int, most: int) -> np.ndarray:
        """The constants that make the sum of |error|^power least nearby."""
        half = power / 2
        unit = self.largest(p) if power > 2 else 1.0

        def residuals(p: np.ndarray) -> np.ndarray:
            e = self.error(p) / unit
            return np.nan_to_num(np.sign(e) * abs(e) ** half, nan=1e100, posinf=1e100, neginf=-1e100)

        def jacobian(p: np.ndarray) -> np.ndarray:
            e = self.error(p) / unit
            return np.nan_to_num((half * abs(e) ** (half - 1) / unit)[:, None] * self.slopes(p))

        fit: Any = least_squares  # its stubs know no function for the Jacobian
        with np.errstate(over="ignore", invalid="ignore"):
            return fit(residuals, p, jacobian, method="lm", x_scale="jac", max_nfev=most).x

    def descended(self, p: np.ndarray, rounds: int) -> tuple[float, np.ndarray]:
        """The least largest error near p, by a linear program a round."""
        e, radius = self.error(p), _RADIUS
        best = float(np.max(abs(e)))
        for _ in range(rounds):
            pace.check()
            size = np.maximum(abs(p), _SMALLEST)
            near = _extremes(e)
            moves = self.slopes(p)[near] * size / best
            column, aims = np.ones((len(near), 1)), e[near] / best
            solve: Any = linprog  # whose type takes a tenth of the time of all types to infer
            found = solve(
                np.r_[np.zeros(len(p)), 1],
                A_ub=np.block([[moves, -column], [-moves, -column]]),
                b_ub=np.r_[-aims, aims],
                bounds=[(-radius, radius)] * len(p) + [(0, None)],
                method="highs",
            )
            moved = p + found.x[:-1] * size if found.status == 0 else p
            new = self.largest(moved)
            if new >= best:
                radius /= 4
                if radius < _LEAST_RADIUS:
                    break
                continue
            gained, promised = 1 - new / best, 1 - found.x[-1]
            radius *= 2 if gained > 0.7 * promised else 0.5 if gained < promised / 4 else 1
            radius = min(radius, _MOST_RADIUS)
            p, e, best = moved, self.error(moved), new
            if gained < _LEAST_GAIN:
                break
        return best, p


def _extremes(e: np.ndarray) -> np.ndarray:
    """Indices of the local extremes of e and of their neighbours, both ends among them."""
    inner = 1 + np.flatnonzero((e[1:-1] - e[:-2]) * (e[2:] - e[1:-1]) <= 0)
    at = np.r_[0, inner, len(e) - 1]
    return np.unique(np.clip(np.r_[at - 1, at, at + 1], 0, len(e) - 1))


def pool(root: int, k: int, lower: float, effort: Effort) -> list[tuple[float, np.ndarray]]:
    """Local optima on [lower, 1], the best first."""
    x = points(root, k, lower)
    problem = _Points(k, x, 2 * x**root - 1)
    random = np.random.default_rng(effort.seed)
    starts = []
    for _ in range(max(1, effort.starts * 32 // 2**k)):
        pace.check()
        p = problem.with_linear(random.normal(size=bent(k)) * random.choice(_SPREADS))
        for power in POWERS:
            p = problem.fitted(p, power, _FITS[power > POWERS[0]])
        starts.append((problem.largest(p), p))
    starts.sort(key=lambda one: one[0])
    found = [problem.descended(p, effort.rounds) for p in [p for _, p in starts[: effort.polished]]]
    for _ in range(effort.hops):
        pace.check()
        found.sort(key=lambda one: one[0])
        p = found[random.integers(min(_BEST, len(found)))][1]
        inside = p[1 : 1 + bent(k)]
        moved = inside + random.normal(size=bent(k)) * random.choice(_HOPS) * np.maximum(
            abs(inside), _SMALLEST
        )
        p = problem.with_linear(moved)
        for power in POWERS[1:]:
            p = problem.fitted(p, power, _FITS[1])
        found.append(problem.descended(p, effort.rounds))
    return sorted(found, key=lambda one: one[0])


@lru_cache(maxsize=256)
def long_step(root: int, k: int, lower: float, effort: Effort) -> LongStep:
    """The best step that is found on [lower, 1]: of those within NEAR of the least error, the one that rounds
    least. Raises ConvergenceError where no start leads anywhere."""
    found = pool(root, k, lower, effort)
    least = found[0][0]
    if not least < 1:
        raise ConvergenceError(f"no long step of {k} products is found on [{lower:g}, 1]")
    most = NEAR * least / (1 - least)
    near = [(error, tuple(map(float, p))) for error, p in found if error <= most * (1 - error)]
    error, constants = min(near, key=lambda one: running_error(factored((2.0, *one[1])), root, 1.0))
    return LongStep(error, constants)

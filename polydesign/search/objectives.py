"""What a gradient search makes small, each a small frozen object with a formula.

An objective looks at the composition f on points of its own and gives one number a schedule. A new one is a
class with the methods of `Objective` and one entry in OBJECTIVES.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from polydesign.approximation.sampling import grid
from polydesign.model import InputError, Problem, check_integer, check_number
from polydesign.search.spectral_laws import quantiles


class Objective(Protocol):
    """points: where f is looked at, in order, in (0, upper], float64. loss: what is differentiated; value:
    what is reported and compared; both from f (b, g) on the points, one number for each of b schedules.
    active: the indices (b, k) of the points that loss and its gradient depend on, or None for all.
    """

    def points(self, problem: Problem) -> np.ndarray: ...

    def loss(self, f: Tensor, x: Tensor) -> Tensor: ...

    def value(self, f: Tensor, x: Tensor) -> Tensor: ...

    def active(self, f: Tensor) -> Tensor | None:
        return None


@dataclass(frozen=True, slots=True)
class TopK(Objective):
    """Mean of the k largest |f(x) − 1| on the grid u·i/points, i = 1, …, points.

    Source: Su, kexue.fm 10922, with k = 50 or 200 and 10,000 points. The grid begins at u/points whatever the
    problem's lower end is.
    """

    k: int = 50
    count: int = 10_000

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", check_integer("objective", self.count, 2))
        object.__setattr__(self, "k", check_integer("objective", self.k, 1))
        if self.k > self.count:
            raise InputError("objective", f"topk of {self.k} on {self.count} points: take k at most that")

    def points(self, problem: Problem) -> np.ndarray:
        return problem.upper * np.linspace(0, 1, self.count + 1)[1:]

    def value(self, f: Tensor, x: Tensor) -> Tensor:
        return (f - 1).abs_().topk(min(self.k, f.shape[-1]), sorted=False).values.mean(-1)

    def loss(self, f: Tensor, x: Tensor) -> Tensor:
        return (f - 1).abs().mean(-1) if f.shape[-1] == self.k else self.value(f, x)

    def active(self, f: Tensor) -> Tensor:
        return (f - 1).abs_().topk(self.k, sorted=False).indices


@dataclass(frozen=True, slots=True)
class Sup(Objective):
    """max |f(x) − 1| over [l, u]; what is differentiated is ln(mean exp(s·|f − 1|))/s, s = sharpness.

    The log-sum-exp lies below the maximum by at most ln(count)/s, and tends to it with s; Boyd and
    Vandenberghe, Convex Optimization, section 3.1.5.
    """

    sharpness: float = 300.0
    count: int = 2000

    def __post_init__(self) -> None:
        _check_positive("the sharpness of sup", self.sharpness)
        object.__setattr__(self, "count", check_integer("objective", self.count, 2))

    def points(self, problem: Problem) -> np.ndarray:
        return grid(problem.lower, problem.upper, self.count)

    def value(self, f: Tensor, x: Tensor) -> Tensor:
        return (f - 1).abs().amax(-1)

    def loss(self, f: Tensor, x: Tensor) -> Tensor:
        s = self.sharpness
        return (torch.logsumexp(s * (f - 1).abs(), -1) - math.log(f.shape[-1])) / s


@dataclass(frozen=True, slots=True)
class MeanSquare(Objective):
    """Mean of (f(x) − 1)² under a law of the singular values: over its quantiles (i + 1/2)/count.

    law: see spectral_laws.py. Source: the mean over the spectra one sees is what PRISM (arXiv 2601.22137)
    minimizes for the matrix at hand, ‖I − XᵀX‖_F; here it is taken of the schedule, beforehand.
    """

    law: str
    count: int = 1000

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", check_integer("objective", self.count, 2))

    def points(self, problem: Problem) -> np.ndarray:
        x = quantiles(self.law, self.count, (problem.lower, problem.upper))
        if not 0 < x[0] <= x[-1] <= problem.upper * (1 + 1e-12):
            raise InputError(
                "objective",
                f"the law {self.law} has values in [{x[0]:.4g}, {x[-1]:.4g}], and they must lie in "
                f"(0, upper = {problem.upper:g}]",
            )
        return x

    def value(self, f: Tensor, x: Tensor) -> Tensor:
        return (f - 1).square().mean(-1)

    loss = value


@dataclass(frozen=True, slots=True)
class Slope(Objective):
    """The steepest slope in a loose band: −ln f'(0) + weight·max(0, max |f − 1| − δ), maximum over [l, u].

    weight: of the exact penalty. A finite weight that exceeds the band's shadow price gives the constrained
    optimum itself (Nocedal and Wright, Numerical Optimization, theorem 17.3); that price is d ln f'(0)/dδ, a
    few units for δ from 0.1 to 0.5. The goal is CANS's (arXiv 2506.10935), whose band begins where it may.
    f'(0) is read off at x = 1e-12·u.
    """

    band: float
    weight: float = 30.0
    count: int = 2000

    def __post_init__(self) -> None:
        object.__setattr__(self, "band", check_number("objective", self.band))
        if not 0 < self.band < 1:
            raise InputError("objective", f"the band of slope must lie between 0 and 1, not {self.band!r}")
        _check_positive("the weight of slope", self.weight)
        object.__setattr__(self, "count", check_integer("objective", self.count, 2))

    def points(self, problem: Problem) -> np.ndarray:
        return np.concatenate(
            [[1e-12 * problem.upper], grid(problem.lower, problem.upper, self.count)],
        )

    def value(self, f: Tensor, x: Tensor) -> Tensor:
        slope = f[..., 0] / x[0]
        outside = ((f[..., 1:] - 1).abs().amax(-1) - self.band).clamp(min=0)
        # A slope of 0 or less is no start for any search: its logarithm must not win.
        return torch.where(slope > 0, -slope.clamp(min=1e-300).log() + self.weight * outside, math.inf)

    def loss(self, f: Tensor, x: Tensor) -> Tensor:
        slope = (f[..., 0] / x[0]).clamp(min=1e-300)
        # The mean over the worst few smooths the trough that changes from step to step.
        worst = (f[..., 1:] - 1).abs().topk(4).values
        return -slope.log() + self.weight * (worst - self.band).clamp(min=0).sum(-1)


Terms = tuple[tuple[float, Objective], ...]
Looks = tuple[tuple[float, Objective, np.ndarray], ...]
"""Weights, objectives, and the points of each: some laws take long to find theirs."""


def _mean_square(argument: str) -> MeanSquare:
    if not argument:
        raise InputError("objective", "mean-square needs a law: mean-square:log-uniform")
    return MeanSquare(argument)


OBJECTIVES: dict[str, Callable[[str], Objective]] = {
    "topk": lambda argument: TopK(_whole(argument or "50", "topk:50")),
    "sup": lambda argument: Sup(_number(argument or "300", "sup:300")),
    "mean-square": _mean_square,
    "slope": lambda argument: Slope(_number(argument or "0.3", "slope:0.3")),
}
"""Name -> the objective from what stands after the colon."""


def parse(text: str) -> Terms:
    """A weighted sum such as "topk:50" or "mean-square:marchenko-pastur:1024x4096 + 0.01*sup".

    Names: OBJECTIVES. Raises InputError("objective") naming the part that is not understood.
    """
    terms = []
    # A law may be a file with a + in its name, and 1e+3 is a weight: a sum goes on with the next name only.
    names = "|".join(OBJECTIVES)
    for part in re.split(rf"(?<![0-9.][eE])\+(?=\s*(?:[0-9.eE+-]+\s*\*\s*)?(?:{names})\b)|\+ ", text):
        factor, star, rest = part.strip().partition("*")
        weight = _number(factor, "0.5*sup") if star else 1.0
        _check_positive("a weight", weight)
        name, _, argument = (rest if star else factor).strip().partition(":")
        if name not in OBJECTIVES:
            raise InputError(
                "objective", f"{name!r} is not one of {', '.join(OBJECTIVES)}; write for example topk:50"
            )
        terms.append((weight, OBJECTIVES[name](argument)))
    return tuple(terms)


def _number(text: str, example: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError("objective", f"{text!r} is not a number; write for example {example}") from None


def _whole(text: str, example: str) -> int:
    if not text.isdecimal():
        raise InputError("objective", f"{text!r} is not a whole number; write for example {example}")
    return int(text)


def _check_positive(what: str, number: float) -> None:
    number = check_number("objective", number)
    if number <= 0:
        raise InputError("objective", f"{what} must be positive, and is {number!r}")

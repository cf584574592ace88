"""Best steps on [λ, 1] with the rounding of their programs, made once: a best step serves every interval by
scaling, so a few hundred of them are all that the joint search ever looks at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache

from polydesign.approximation.exchange import ConvergenceError
from polydesign.approximation.remez import best_approximation
from polydesign.model import InputError
from polydesign.program.basis import program_for
from polydesign.program.programs import check_evaluation
from polydesign.rounding.direct import Noise, noise


@dataclass(frozen=True, slots=True)
class Standard:
    """The best step on [cushion, 1] and the rounding of its program, for u = 1."""

    coefficients: tuple[float, ...]
    noise: Noise


@lru_cache(maxsize=8192)
def _best(root: int, n: int, cushion: float) -> tuple[float, ...] | None:
    try:
        return tuple(map(float, best_approximation(root, n, cushion, 1.0).coefficients))
    except ConvergenceError:
        return None


@lru_cache(maxsize=16384)
def standard(root: int, n: int, evaluation: str, cushion: float, mass: float | None) -> Standard | None:
    """For [cushion, 1]; None where no step or no program is found. mass: as in noise()."""
    row = _best(root, n, cushion)
    if row is None:
        return None
    try:
        code = program_for(evaluation, row, Fraction(1))
    except InputError:  # no program for just these coefficients
        return None
    return Standard(row, noise(code, row, root, 1.0, mass=mass))


@cache
def evaluations_of(n: int, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Those worth a look: powers of A up to inner degree 2, where all are alike, else what stores less."""
    found = []
    for evaluation in allowed:
        try:
            check_evaluation(evaluation, n)
        except InputError:
            continue
        if (evaluation == "monomial") == (n <= 2) or len(allowed) == 1:
            found.append(evaluation)
    return tuple(found)


def rounded_down(ratio: float) -> float:
    """Three digits of the ratio, or of 1 − ratio, so that steps found once are found again."""
    if ratio < 0.5:
        scale = 10.0 ** (2 - math.floor(math.log10(ratio)))
        return math.floor(ratio * scale) / scale
    rest = max(1 - ratio, 1e-14)
    scale = 10.0 ** (2 - math.floor(math.log10(rest)))
    return 1 - math.ceil(rest * scale) / scale

"""Laws of singular values after normalization, as quantiles: what a mean-square objective averages over.

A law is a function of (argument, count, interval) that returns `count` increasing values, and an entry in
LAWS. What is not in LAWS is taken for a file of singular values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from polydesign.model import InputError, shortened

Interval = tuple[float, float]

POWERS = {"frobenius": 2, "schatten4": 4, "schatten8": 8}
"""Normalization -> p of (Σσᵖ)^(1/p), the norm that it divides by."""

TAIL = 1.5
"""Index of the heavy tail of levy: entries of Student's t, as in the test matrices of that name."""


def uniform(argument: str, count: int, interval: Interval) -> np.ndarray:
    """Constant density on [l, u]."""
    low, high = interval
    return low + (high - low) * _probabilities(count)


def log_uniform(argument: str, count: int, interval: Interval) -> np.ndarray:
    """Density 1/x on [l, u]."""
    low, high = interval
    return low * (high / low) ** _probabilities(count)


def marchenko_pastur(argument: str, count: int, interval: Interval) -> np.ndarray:
    """Of an m × n Gaussian matrix, m <= n, after division by its norm; argument MxN or MxN:normalization.

    σ²/n has the density √((b − λ)(λ − a))/(2π y λ) on [a, b] = [(1 − √y)², (1 + √y)²], y = m/n; with
    λ = 1 + y − 2√y cos θ that is 2 sin²θ/(π λ) in θ, which is integrated (Marchenko and Pastur 1967).
    """
    rows, columns, power = _matrix(argument)
    y = rows / columns
    theta = np.linspace(0, math.pi, 2**16 + 1)
    middle = (theta[1:] + theta[:-1]) / 2
    density = np.sin(middle) ** 2 / (1 + y - 2 * math.sqrt(y) * np.cos(middle))
    below = np.concatenate([[0.0], np.cumsum(density)])
    at = np.interp(_probabilities(count), below / below[-1], theta)
    return _normalized(np.sqrt(1 + y - 2 * math.sqrt(y) * np.cos(at)), rows, power)


def levy(argument: str, count: int, interval: Interval) -> np.ndarray:
    """Of an m × n matrix with entries of Student's t, TAIL degrees of freedom: one draw with seed 0.

    Single entries carry the norm, and most singular values lie far below it. Argument as above.
    """
    rows, columns, power = _matrix(argument)
    entries = np.random.default_rng(0).standard_t(TAIL, (rows, columns))
    sigma = np.linalg.svd(entries, compute_uv=False)
    norm = float(np.sum((sigma / sigma[0]) ** power)) ** (1 / power) * sigma[0]
    return np.quantile(sigma / norm, _probabilities(count))


LAWS: dict[str, Callable[[str, int, Interval], np.ndarray]] = {
    "uniform": uniform,
    "log-uniform": log_uniform,
    "marchenko-pastur": marchenko_pastur,
    "levy": levy,
}
"""Name -> the law."""


def quantiles(law: str, count: int, interval: Interval) -> np.ndarray:
    """The quantiles (i + 1/2)/count of a law of LAWS, its argument after a colon, or of a user's file.

    A file (.npy, or text that numpy.loadtxt reads) holds the singular values of one matrix, or of one matrix
    a row; each matrix is divided by its Frobenius norm, and values of 0 are left out. Raises InputError.
    """
    name, _, argument = law.partition(":")
    if name in LAWS:
        return LAWS[name](argument, count, interval)
    path = Path(law)
    if not path.is_file():
        raise InputError("objective", f"{law!r} is neither a file nor one of {', '.join(LAWS)}")
    try:
        with path.open("rb") as file:
            sigma = np.load(file, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(file)
        sigma = np.atleast_2d(np.asarray(sigma, dtype=float))
    except OSError:
        raise
    except Exception as problem:  # numpy raises whatever the bytes of a file lead it to
        reason = shortened(str(problem), 160)
        raise InputError("objective", f"{law} is no list of numbers: {reason}") from problem
    if sigma.ndim != 2 or not np.isfinite(sigma).all() or (sigma < 0).any() or not sigma.any(axis=1).all():
        raise InputError(
            "objective", f"{law} must hold finite values >= 0, a matrix a row, none of them all 0"
        )
    sigma = sigma / sigma.max(axis=1, keepdims=True)
    x = (sigma / np.linalg.norm(sigma, axis=1, keepdims=True)).ravel()
    return np.quantile(x[x > 0], _probabilities(count))


def _probabilities(count: int) -> np.ndarray:
    return (np.arange(count) + 0.5) / count


def _matrix(argument: str) -> tuple[int, int, int]:
    """ "1024x4096:schatten4" as (1024, 4096, 4)."""
    shape, _, normalization = argument.partition(":")
    found = re.fullmatch(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", shape, re.ASCII)
    if found is None or (normalization or "frobenius") not in POWERS:
        raise InputError(
            "objective",
            f"{argument!r} is not a shape such as 1024x4096 or 1024x4096:schatten4 ({', '.join(POWERS)})",
        )
    m, n = sorted(map(int, found.groups()))
    return m, n, POWERS[normalization or "frobenius"]


def _normalized(sigma: np.ndarray, number: int, power: int) -> np.ndarray:
    """σ over the norm of a matrix with `number` singular values that follow these quantiles."""
    return sigma / (number * float(np.mean(sigma**power))) ** (1 / power)

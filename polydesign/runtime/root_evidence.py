"""Whether what the coupled iteration ended with can be right, from a few rows at next to no cost.

P Wʳ = I of the last step does not say so: what rounding does to P alone goes on in P, and G tends to the root
of another matrix. So the result is tried on the matrix that was given, X in the work dtype: rows V of signs,
or I, D = V G and C = D GʳXˢ, where G should be X^(−s/r); in exact arithmetic C = D diag f(x)^(rs). The
residual ‖C − D‖_F/‖D‖_F says how far GʳXˢ is from I where G is large: a result that is off by δ relatively
has one of about rδ. Where something else was multiplied, the W of all steps stand for G, with s = 1; where G
should be X^(1/r), Gʳ is compared with X.

Products with four rows are vanishing beside n×n ones. Everything that a call looks at is looked at together,
once: `look`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple, cast

import torch
from torch import Tensor

from polydesign.model import InputError
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime.normalize import nonzero

ROWS = 4
"""Of one wrong direction of n, with a share ε of the residual, 4 random signs show less than ε/5 once in a
thousand times."""

WHOLE = 16
"""Up to so many columns all of G is tried: it takes no longer than four rows, and in a small matrix a wrong
direction may hide from these."""

RESIDUAL_ROUNDINGS = {"bfloat16": 16, "float16": 16, "float32": 64, "float64": 64}
"""What rounding explains of a residual whatever the condition, in units of u, from experiment; see
tests/test_root_evidence.py."""

CONDITION_ROUNDINGS = {"bfloat16": 12, "float16": 12, "float32": 160, "float64": 80}
"""The same, in units of u·c/√n, c what 1/λ is where the result is large: rounding X once moves λ by u/√n at
random. float64 in units of u·c, because the rows are no finer than the state there."""

MOST_EXPLAINED = {"bfloat16": 0.25, "float16": 0.25, "float32": 0.05, "float64": 0.05}
"""Rounding is no excuse beyond this: a result that is off by so much is worth a word."""

REFUTED = 1.5
"""Eigenvalues that began below the interval leave at most 1: above this something was blown up."""


class Doubt(NamedTuple):
    """A bool without dimensions, and what to do where it is true: raise, or return."""

    found: Tensor
    say: Callable[[], None]


def look(doubts: Sequence[Doubt]) -> None:
    """Look at all of them at once, and say the first that is true, then the next."""
    if doubts:
        try:
            # One number, a bit for each: item() is what torch.func.grad lets through.
            bits = sum(doubt.found.detach().long() << k for k, doubt in enumerate(doubts))
            found = int(cast(Tensor, bits).item())
        except RuntimeError as problem:
            if "vmap" not in str(problem):
                raise
            what = "looks at the data, which cannot be done under torch.func.vmap: write Plan(check=False)"
            raise InputError("plan.check", what) from problem
        for k, doubt in enumerate(doubts):
            if found >> k & 1:
                doubt.say()


class Evidence(NamedTuple):
    """residual: shape (...), in float32 or better; noise: what rounding explains of it beside promised, most
    at the most."""

    residual: Tensor
    noise: Tensor
    promised: float
    most: float

    def beside(self, more: float) -> Evidence:
        """With more to explain."""
        return self._replace(noise=self.noise + more)

    def of_power(self, more: float) -> Evidence:
        """Of the power `more` of what was judged, whose error is so many times as large."""
        return self._replace(
            residual=self.residual * more, noise=self.noise * more, promised=self.promised * more
        )

    def explained(self) -> Tensor:
        return self.promised + self.noise.clamp(max=self.most)

    def beyond(self) -> Tensor:
        """Where the residual is not explained; not a number is not."""
        return ~(self.residual <= self.explained())

    def refuted(self) -> Tensor:
        """Where the result cannot be right."""
        return ~(self.residual <= REFUTED + self.promised)


def row_dtype(state: torch.dtype) -> torch.dtype:
    """Rows are more precise than what they judge."""
    return torch.float64 if state in (torch.float32, torch.float64) else torch.float32


def of_inverse(
    X: Tensor, factors: Sequence[Tensor], state: torch.dtype, exponents: tuple[int, int], promised: float
) -> Evidence:
    """From X and the factors of G, which should be X^(−s/r); exponents: s and r."""
    dtype, (s, r) = row_dtype(state), exponents
    X = X.detach().to(dtype)
    wide = [factor.detach().to(dtype) for factor in factors]
    V = signs_of(X)
    D = found = _times(V, wide)
    size = nonzero(_norm(D))
    growth = _norm(_times(D, wide)) / size
    t, turn, left = 0.0, -(r // 2) / r, {"G": r, "X": s}
    while any(left.values()):
        # In turns, so that the rows stay of one size.
        if left["X"] and (t <= turn or not left["G"]):
            found, t, left["X"] = found @ X, t + 1, left["X"] - 1
        else:
            found, t, left["G"] = _times(found, wide), t - s / r, left["G"] - 1
    name, n = str(state).removeprefix("torch."), X.shape[-1]
    # 1/λ, where D is large. Rows of float64 round as a state of it does.
    condition = growth ** (r / s) / (1 if state == torch.float64 else math.sqrt(n))
    # The residual is about r times the error, and c too small for a single λ and a large r.
    scale = UNIT_ROUNDOFF[name] * max(1.0, r / 3)
    noise = scale * (RESIDUAL_ROUNDINGS[name] + CONDITION_ROUNDINGS[name] * condition)
    return Evidence(_norm(found - D) / size, noise, promised, MOST_EXPLAINED[name])


def of_root(X: Tensor, G: Tensor, state: torch.dtype, root: int, lower: float, promised: float) -> Evidence:
    """From X and G, which should be X^(1/r); lower: l of the table.

    G = X Wʳ⁻¹ …, and rounding in it grows by l^(1 − r) at most. In half precision that is no excuse, because
    such a root is computed again.
    """
    dtype = row_dtype(state)
    X, G = X.detach().to(dtype), G.detach().to(dtype)
    V = signs_of(X)
    exact, found = V @ X, V
    for _ in range(root):
        found = found @ G
    name, size = str(state).removeprefix("torch."), nonzero(_norm(exact))
    growth = 0.0 if dtype == torch.float32 else lower ** (1 - root)
    noise = UNIT_ROUNDOFF[name] * root * (RESIDUAL_ROUNDINGS[name] + 4 * growth)
    most = MOST_EXPLAINED[name]
    return Evidence(_norm(found - exact) / size, torch.full_like(size, noise), promised, most)


def between(X: Tensor, G: Tensor, root: int, promised: float, noise: float) -> Evidence:
    """From X and G, which should be X^(−1/r), r even: how far G^(r/2) X G^(r/2) is from I, where G is large.

    Rounding of a size of 1/256 leaks from large eigenvalues into small ones, and GʳX would show it Gʳ times.
    """
    dtype, half = torch.float32, [G.detach().float()] * (root // 2)
    X = X.detach().to(dtype)
    D = signs_of(X) @ half[0]
    found, size = _times(_times(D, half) @ X, half), nonzero(_norm(D))
    return Evidence(_norm(found - D) / size, torch.full_like(size, noise), promised, math.inf)


def _times(rows: Tensor, factors: Sequence[Tensor]) -> Tensor:
    for factor in factors:
        rows = rows @ factor
    return rows


@lru_cache
def promise(error: float, exponent: int) -> float:
    """(1 + E)ᵏ − 1, rounded up; in float64 a small E would vanish beside 1."""
    exact = (1 + Fraction(error)) ** exponent - 1
    try:
        found = float(exact)
    except OverflowError:
        return math.inf
    return found if Fraction(found) >= exact else math.nextafter(found, math.inf)


def signs_of(X: Tensor) -> Tensor:
    """V (..., k, n) with entries ±1, the same on every call and device; the identity where n is small."""
    n = X.shape[-1]
    if n <= WHOLE:
        V = torch.eye(n, dtype=X.dtype, device=X.device)
    else:
        column = torch.arange(1, n + 1, dtype=torch.float64, device=X.device) ** 2
        rates = torch.arange(2, 2 + ROWS, dtype=torch.float64, device=X.device)[:, None]
        V = torch.where(torch.cos(column * (rates + 0.5).sqrt()) < 0, -1.0, 1.0).to(X.dtype)
    return V.expand(*X.shape[:-2], *V.shape)


def _norm(rows: Tensor) -> Tensor:
    return torch.linalg.vector_norm(rows, dim=(-2, -1))

"""The coupled form with a precision for each step: what rounding costs is paid for where it is lost.

What rounds W = q(P) goes into G and P alike, and later steps take it back; what rounds P or W^(r/2) alone
does not, and weighs on small eigenvalues: one rounding to bfloat16 loses 1e-4 of the norm. So

- P and G are held in float32, and products are summed in it;
- the first step updates P in pairs of bfloat16 numbers, x = hi + lo, that carry 16 bits: a product is
  hi·hi + hi·lo + lo·hi. q(P) stays in one. Later steps in bfloat16 hold P alone as such a pair;
- P ← H P H with H = W^(r/2), which stays symmetric, in place of P Wʳ;
- W = c·I + E, and H, with c half way between its ends: what a product rounds is E. So the last steps, where W
  is near I, round next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from polydesign import __version__
from polydesign.model import Problem, Provenance, Schedule, Step, Table
from polydesign.model.plan import SPLIT
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.model.program import Algebra, Terms
from polydesign.program.programs import preferred
from polydesign.runtime import ops
from polydesign.runtime.execute import Coupled, inner
from polydesign.runtime.rescaling import symmetric_part
from polydesign.search.minimax import Equioscillation

INNER, TAILS = (4, 4), (2, 4)
"""Inner degrees of the tables' first two steps, and of the last: the first that leaves at most TAIL times u.
A first step of inner degree 2 leaves eigenvalues that the second loses, and one of 8 rounds too much."""

TAIL = 2

LOWEST = 1e-4
"""λ/ν from which they promise."""

HEADROOM, FLOOR = 1.01, 0.12
"""Headroom of every step, and the least over the largest eigenvalue of what is stored after it."""

EXPLAINED = {"bfloat16": 1.35, "float16": 0.24}
"""What rounding explains of the residual (root_evidence.between), λ/ν from LOWEST on: more than was measured,
by a quarter or so (scripts/studies/split_roots.py)."""

POINTS = 2000
"""On which the range of W is looked for; half of it is off by little."""


class _Stepwise(Algebra):
    """Programs on symmetric matrices in float32, products of these rounded to a dtype."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def total(self, terms: Terms, shift: Any) -> Tensor:
        return ops.weighted_sum(terms, shift)

    def addend(self, terms: Terms) -> tuple[Tensor, Any] | None:
        return (ops.weighted_sum(terms), 1) if terms else None

    def product(self, left: Tensor, right: Tensor, weight: Any, addend: Any, shift: Any) -> Tensor:
        value = weight * ops.rounded_mm(left, right, self.dtype)
        value = value if addend is None else value + addend[0]
        return value if shift is None else ops.add_to_diagonal_(value, shift)


class Shifted(NamedTuple):
    """c·I + E: what is rounded in a product is E, which is smaller than the whole."""

    c: float
    E: Tensor

    def whole(self) -> Tensor:
        return ops.add_to_diagonal_(self.E.clone(), self.c)

    def times(self, other: Shifted, word: str) -> Shifted:
        """The product of two polynomials of one matrix."""
        E = self.c * other.E + other.c * self.E + _times(self.E, other.E, word)
        return Shifted(self.c * other.c, symmetric_part(E))


def stepwise(P: Tensor, schedule: Schedule, precision: Sequence[str], state: torch.dtype) -> Coupled:
    """P^(−1/r) of P (..., n, n), symmetric with eigenvalues in (0, 1], normalized, in float32; r even.

    precision: of each step, the last goes on. state: what q(P) is formed in in a split step. Returns float32.
    """
    G: Tensor | None = None
    for index, step in enumerate(schedule.steps):
        word = precision[min(index, len(precision) - 1)]
        low = state if word == SPLIT else getattr(torch, word)
        Q = symmetric_part(inner(step.program, P, _Stepwise(low)))
        c = centre(step)
        E = ops.add_to_diagonal_(Q, -c)
        W = Shifted(c, E if word == SPLIT else E.to(low).float())
        G = W.whole() if G is None else W.c * G + _times(G, W.E, word)
        if index == len(schedule.steps) - 1:
            break
        H = _power(W, schedule.root // 2, word)
        K = _times(H.E, P, word, pair=True)
        P = symmetric_part(H.c**2 * P + H.c * (K + K.mT) + _times(K, H.E, word))
    assert G is not None
    return Coupled(G)


@lru_cache(maxsize=64)
def centre(step: Step) -> float:
    """Half way between the least and the largest W = q(xʳ) of the step's domain."""
    x = np.linspace(*step.domain, POINTS)
    W = step(x) / x
    return float(W.min() + W.max()) / 2


def _power(W: Shifted, exponent: int, word: str) -> Shifted:
    found, square = None, W
    while exponent:
        if exponent & 1:
            found = square if found is None else found.times(square, word)
        exponent >>= 1
        if exponent:
            square = square.times(square, word)
    assert found is not None
    return found


def _times(a: Tensor, b: Tensor, word: str, *, pair: bool = False) -> Tensor:
    """a·b in float32. pair: b as a sum of two numbers also where the step is not split, in two products."""
    if word != SPLIT:
        low = getattr(torch, word)
        found = ops.rounded_mm(a, b, low)
        return (
            ops.rounded_mm(a, b - b.to(low).float(), low) + found if pair and low == torch.bfloat16 else found
        )
    half = torch.bfloat16
    low_a, low_b = (x - x.to(half).float() for x in (a, b))
    small = ops.rounded_mm(low_a, b, half) + ops.rounded_mm(a, low_b, half)
    return small + ops.rounded_mm(a, b, half)


@lru_cache(maxsize=16)
def split_table(root: int, dtype: str) -> Table:
    """The table that runs where none is given: three steps from λ/ν = LOWEST on."""
    found = [_designed(root, (*INNER, tail)) for tail in TAILS]
    schedule = next((one for one in found if one.error <= TAIL * UNIT_ROUNDOFF[dtype]), found[-1])
    made = Provenance(__version__, "equioscillation", {"root": root, "headroom": HEADROOM, "floor": FLOOR})
    return Table(f"split-root{root}-{dtype}", schedule, made, purpose="root", dtype=dtype)


def _designed(root: int, inner_degrees: tuple[int, ...]) -> Schedule:
    how = Equioscillation(
        headroom=HEADROOM,
        image_floor=FLOOR ** (1 / root),
        floor_free_tail=1,
        evaluation=tuple(map(preferred, inner_degrees)),
    )
    return how.search(Problem(root, tuple(1 + root * n for n in inner_degrees), LOWEST ** (1 / root)))

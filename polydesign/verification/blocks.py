"""Blocks of equal entries followed exactly, without a matrix: which schedules lose a value in half precision.

X = c·1·1ᵀ of size h x w stays of that kind, and A = X Xᵀ and all registers are d on and o off the diagonal:
two numbers, rounded as the executor rounds them. A hundred thousand blocks of all sizes take a tenth of a
second, so that what happens to one in a million can be seen. These are the matrices that lose values: all
entries are rounded alike, and what rounding adds up to is largest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, Schedule
from polydesign.model.program import Algebra, Program, Terms

COUNT = 300_000
"""Blocks that are looked at."""

CHUNK = 100_000
"""Of them at a time."""

RARE = 2e-5
"""The part of them that may lose a value in a schedule that counts as safe. Blocks in the sizes that fare
worst (gallery.flat) lost none of 6,400 in schedules of three steps of degree 17 that lose up to so many."""

LARGEST = 4096
"""Largest side of a block; sides are log-uniform."""

LOST = 0.25
"""Beyond the promised error: more than any rounding excuses (rounding/running.MOST_EXPLAINED)."""

HALF = ("bfloat16", "float16")
"""Precisions in which products are summed in a higher one, so that a sum of equal terms is exact enough."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """h x w blocks with the singular value x each; float64, shape (count,)."""

    h: Tensor
    w: Tensor
    x: Tensor


@lru_cache(maxsize=8)  # a search follows all its candidates on the same
def random_blocks(count: int = CHUNK, *, seed: int = 0, lower: float = 1e-3) -> Blocks:
    """Sides log-uniform from 1 to LARGEST; x = 1 for half of them, else log-uniform from `lower`."""
    generator = torch.Generator().manual_seed(seed)
    a, b, c, d = torch.rand((4, count), generator=generator, dtype=torch.float64)
    x = torch.where(d < 0.5, lower**c, 1.0)
    return Blocks((LARGEST**a).floor(), (LARGEST**b).floor(), x)


@dataclass(frozen=True, slots=True)
class _Symmetric:
    """d on the diagonal, o off it, of as many rows as the blocks have."""

    d: Tensor
    o: Tensor


def follow_blocks(schedule: Schedule, blocks: Blocks, plan: Plan) -> Tensor:
    """What becomes of each x, shape (count,), in plan.dtype and plan.form; inf or NaN where it left for good.

    Products and sums are exact and rounded where runtime/execute.py rounds: products to the state's
    precision, with what is added to them; what is added to a diagonal once more.

    Raises InputError for a precision that is not of HALF, and for the gram form without restarts.
    """
    dtype = plan.dtype
    if dtype not in HALF:
        raise InputError("plan.dtype", f"{dtype} is not followed here: take one of {', '.join(HALF)}")
    if plan.form == "gram" and plan.restarts is None:
        raise InputError("plan.restarts", "are open: say which, as rounding.gram.choose_restarts does")
    run = _Run(getattr(torch, dtype), blocks.h)
    root = torch.sqrt(blocks.h * blocks.w)
    entry = run.rounded(blocks.x / root)
    codes = [step.program for step in schedule.steps]
    # A stretch of one step is run as the direct form runs it.
    starts = range(1, len(codes)) if plan.form == "direct" else plan.restarts or ()
    for start, stop in pairwise((0, *starts, len(codes))):
        square = run.rounded(blocks.w * entry * entry)
        A = _Symmetric(square, square)
        if stop - start == 1:
            entry = run.step(codes[start], A, entry)
        else:
            entry = run.stretch(codes[start:stop], A, entry)
    return entry * root


def lost(schedule: Schedule, plan: Plan, *, count: int = COUNT, seed: int = 0) -> float:
    """The part of random blocks that end LOST or more beyond the schedule's error.

    They are drawn CHUNK by CHUNK, and where more than RARE of all `count` are lost these are the last. Raises
    InputError for an interval that does not end at 1, and what follow_blocks raises.
    """
    lower, upper = schedule.interval
    if upper != 1:
        raise InputError(
            "schedule", f"ends at {upper:g}, and blocks are normalized to 1: take the interval to 1"
        )
    done = gone = 0
    for chunk in range(0, count, CHUNK):
        blocks = random_blocks(min(CHUNK, count - chunk), seed=seed + chunk, lower=lower)
        off = (follow_blocks(schedule, blocks, plan) - 1).abs()
        done += len(off)
        gone += len(off) - int((off < schedule.error + LOST).sum())
        if gone > RARE * count:
            break
    return gone / done


class _Run(Algebra):
    """Operations on matrices of two numbers, with the rounding of ops.py."""

    def __init__(self, dtype: torch.dtype, rows: Tensor) -> None:
        self.dtype, self.rows = dtype, rows

    def rounded(self, a: Tensor) -> Tensor:
        return a.to(torch.float32).to(self.dtype).to(torch.float64)

    def stored(self, d: Tensor, o: Tensor) -> _Symmetric:
        return _Symmetric(self.rounded(d), self.rounded(o))

    def mm(
        self, a: _Symmetric, b: _Symmetric, weight: Any = 1, c: _Symmetric | None = None, beta: Any = 0
    ) -> _Symmetric:
        d = weight * (a.d * b.d + (self.rows - 1) * a.o * b.o)
        # One row has no entries off the diagonal.
        o = weight * (a.d * b.o + a.o * b.d + (self.rows - 2).clamp(min=0) * a.o * b.o)
        return self.stored(d, o) if c is None else self.stored(d + beta * c.d, o + beta * c.o)

    def addend(self, terms: Terms) -> tuple[_Symmetric | None, Any]:
        return (self.total(terms), 1) if len(terms) > 1 else terms[0] if terms else (None, 0)

    def product(
        self, left: _Symmetric, right: _Symmetric, weight: Any, addend: Any, shift: Any
    ) -> _Symmetric:
        value = self.mm(left, right, weight, *addend)
        return value if shift is None else _Symmetric(self.rounded(value.d + shift), value.o)

    def total(self, terms: Terms, shift: Any = None) -> _Symmetric:
        d = sum((w * m.d for m, w in terms), torch.zeros_like(self.rows))
        o = sum((w * m.o for m, w in terms), torch.zeros_like(self.rows))
        return self.stored(d if shift is None else d + shift, o)

    def applied(self, a: _Symmetric, entry: Tensor) -> Tensor:
        """The entries of a·X."""
        return (a.d + (self.rows - 1) * a.o) * entry

    def step(self, code: Program, A: _Symmetric, entry: Tensor) -> Tensor:
        index, weight = code.result
        Q = code.registers(A, self)[index]
        return self.rounded(weight * self.applied(Q, entry) + code.constant * entry)

    def stretch(self, codes: list[Program], R: _Symmetric, entry: Tensor) -> Tensor:
        Q = None
        for remaining, code in zip(reversed(range(len(codes))), codes, strict=True):
            index, alpha = code.result
            beta = code.constant
            Z = code.registers(R, self)[index]
            Q = self.total([(Z, alpha)], beta) if Q is None else self.mm(Z, Q, alpha, Q, beta)
            if remaining:
                RZ = self.mm(Z, R, alpha, R, beta)
                R = self.mm(Z, RZ, alpha, RZ, beta)
        assert Q is not None
        return self.rounded(self.applied(Q, entry))

"""Matrices of few numbers followed through a schedule, with the roundings of the run and without a matrix.

Products and sums are exact, and are rounded where runtime/execute.py rounds: a product to the state's
precision together with what is added to it, what is added to a diagonal once more. A kernel's sums of more
than two terms are rounded in float32 on the way, in an order of its own; here they are not. Other
loops round oftener (model.LOOPS).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from polydesign.model import HALF, LOOPS, InputError, Schedule, dtype_name
from polydesign.model.program import Algebra, Program
from polydesign.model.program import Terms as Sum
from polydesign.rounding.algebras import Members, Terms

Entries = list[np.ndarray]


def rounded(a: Any, dtype: str) -> np.ndarray:
    """float64 rounded to float32, and from there to a precision of HALF; in float64."""
    narrow = np.array(a, np.float32)  # a copy, that is rounded in place
    if dtype == "float16":
        return narrow.astype(np.float16).astype(np.float64)
    bits = narrow.view(np.uint32)
    # To nearest, ties to even: carry into the upper half unless it is even and the rest is a half.
    carry = bits >> np.uint32(16)
    carry &= np.uint32(1)
    carry += np.uint32(0x7FFF)
    bits += carry
    bits &= np.uint32(0xFFFF0000)
    return narrow.astype(np.float64)


def follow(
    schedule: Schedule,
    members: Members,
    dtype: str,
    *,
    restarts: Sequence[int] | None = None,
    loop: str = "fused",
) -> list[Entries]:
    """The entries of X at the start, rounded, and after each step; inf or NaN where it left for good.

    Args:
        schedule: Of root 2.
        members: Normalized; that is theirs to see to.
        dtype: One of HALF.
        restarts: Of the gram form, which has X only where a stretch ends; None is the direct form.
        loop: One of LOOPS, how the loop rounds that runs it.

    Raises InputError for another precision.
    """
    dtype = dtype_name(dtype)
    if dtype not in HALF:
        raise InputError("dtype", f"{dtype} is not followed here: take one of {', '.join(HALF)}")
    run = _RUNS[loop](dtype, members)
    codes = [step.program for step in schedule.steps]
    # A stretch of one step is run as the direct form runs it.
    starts = range(1, len(codes)) if restarts is None else restarts
    X = [run.rounded(e) for e in members.entries]
    ends = [X]
    with np.errstate(over="ignore", invalid="ignore"):
        for start, stop in pairwise((0, *starts, len(codes))):
            A = [run.rounded(e) for e in run.times(members.gram, X, X)]
            one = stop - start == 1
            X = run.step(codes[start], A, X) if one else run.stretch(codes[start:stop], A, X)
            ends.append(X)
    return ends


def stepper(members: Members, dtype: str, loop: str = "fused") -> Callable[[Program], Entries]:
    """The direct form step by step: a function that runs the next step's program on the members, and gives
    the entries of X after it."""
    run = _RUNS[loop](dtype, members)
    X = [run.rounded(e) for e in members.entries]

    def step(code: Program) -> Entries:
        nonlocal X
        with np.errstate(over="ignore", invalid="ignore"):
            A = [run.rounded(e) for e in run.times(members.gram, X, X)]
            X = run.step(code, A, X)
        return X

    return step


class _Fused(Algebra):
    """Registers as entries by class, with the roundings of runtime/ops.py."""

    def __init__(self, dtype: str, members: Members) -> None:
        self.dtype, self.members = dtype, members

    def rounded(self, a: Any) -> np.ndarray:
        return rounded(a, self.dtype)

    def times(self, terms: Terms, left: Entries, right: Entries) -> Entries:
        """The bilinear map, exactly."""
        found: dict[int, Any] = {}
        for k, i, j, weight in terms:
            value = left[i] * right[j]
            if not (isinstance(weight, int) and weight == 1):
                value = value * weight
            found[k] = found[k] + value if k in found else value
        return [found[k] for k in range(len(found))]

    def mm(self, a: Entries, b: Entries, weight: Any = 1, c: Entries | None = None, beta: Any = 0) -> Entries:
        """weight·a·b + beta·c."""
        exact = [weight * e for e in self.times(self.members.product, a, b)]
        return [self.rounded(e if c is None else e + beta * c[k]) for k, e in enumerate(exact)]

    def shifted(self, a: Entries, shift: Any) -> Entries:
        if shift is None:
            return a
        return [self.rounded(e + shift) if k in self.members.diagonal else e for k, e in enumerate(a)]

    def addend(self, terms: Sum) -> tuple[Entries | None, Any]:
        return (self.total(terms), 1) if len(terms) > 1 else terms[0] if terms else (None, 0)

    def product(self, left: Entries, right: Entries, weight: Any, addend: Any, shift: Any) -> Entries:
        return self.shifted(self.mm(left, right, weight, *addend), shift)

    def total(self, terms: Sum, shift: Any = None) -> Entries:
        exact = [sum(weight * m[k] for m, weight in terms) for k in range(len(terms[0][0]))]
        shift = 0 if shift is None else shift
        return [self.rounded(e + shift if k in self.members.diagonal else e) for k, e in enumerate(exact)]

    def step(self, code: Program, A: Entries, X: Entries) -> Entries:
        index, weight = code.result
        applied = self.times(self.members.action, code.registers(A, self)[index], X)
        return [self.rounded(weight * e + code.constant * x) for e, x in zip(applied, X, strict=True)]

    def stretch(self, codes: Sequence[Program], R: Entries, X: Entries) -> Entries:
        Q: Entries | None = None
        for remaining, code in zip(reversed(range(len(codes))), codes, strict=True):
            index, alpha = code.result
            Z = code.registers(R, self)[index]
            beta = code.constant
            Q = self.total([(Z, alpha)], beta) if Q is None else self.mm(Z, Q, alpha, Q, beta)
            if remaining:
                RZ = self.mm(Z, R, alpha, R, beta)
                R = self.mm(Z, RZ, alpha, RZ, beta)
        assert Q is not None
        return [self.rounded(e) for e in self.times(self.members.action, Q, X)]


class _Compiled(_Fused):
    """Products are rounded, and then each sum of them once, as where a compiler fuses all but products."""

    def mm(self, a: Entries, b: Entries, weight: Any = 1, c: Entries | None = None, beta: Any = 0) -> Entries:
        value = [self.rounded(e) for e in self.times(self.members.product, a, b)]
        if c is None:
            return self.multiple(value, weight)
        return [self.rounded(weight * e + beta * f) for e, f in zip(value, c, strict=True)]

    def multiple(self, a: Entries, weight: Any) -> Entries:
        return a if isinstance(weight, int) and weight == 1 else [self.rounded(weight * e) for e in a]

    def step(self, code: Program, A: Entries, X: Entries) -> Entries:
        index, weight = code.result
        Q = self.multiple(code.registers(A, self)[index], weight)
        applied = [self.rounded(e) for e in self.times(self.members.action, Q, X)]
        return [self.rounded(e + code.constant * x) for e, x in zip(applied, X, strict=True)]


class _Separate(_Compiled):
    """One operation at a time."""

    def mm(self, a: Entries, b: Entries, weight: Any = 1, c: Entries | None = None, beta: Any = 0) -> Entries:
        # c * A @ A is (c * A) @ A.
        product = self.times(self.members.product, self.multiple(a, weight), b)
        value = [self.rounded(e) for e in product]
        if c is None:
            return value
        return [self.rounded(e + f) for e, f in zip(value, self.multiple(c, beta), strict=True)]

    def total(self, terms: Sum, shift: Any = None) -> Entries:
        value, *others = (self.multiple(m, weight) for m, weight in terms)
        for other in others:
            value = [self.rounded(e + f) for e, f in zip(value, other, strict=True)]
        return self.shifted(value, shift)

    def step(self, code: Program, A: Entries, X: Entries) -> Entries:
        index, weight = code.result
        Q = self.multiple(code.registers(A, self)[index], weight)
        applied = [self.rounded(e) for e in self.times(self.members.action, Q, X)]
        return [self.rounded(e + f) for e, f in zip(applied, self.multiple(X, code.constant), strict=True)]


_RUNS: dict[str, type[_Fused]] = dict(zip(LOOPS, (_Fused, _Compiled, _Separate), strict=True))

"""Tables for the tests of exported texts: every evaluation and inner degree, and the roots; and how texts run."""

from __future__ import annotations

import math
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

import polydesign
from polydesign.model import Provenance, Schedule, Step, Table
from polydesign.program.basis import program_for

SHIPPED = [
    "sign-d5x6-l1e-3-bf16",  # quintics
    "sign-m15-l1e-3-bf16",  # degrees 9 and 5
    "sign-m15-l1e-3-fp16",  # degree 17, chebyshev
    "sign-m10-l1e-3-fp64",  # degree 17, chebyshev and origin
    "sign-m16-l1e-3-bf16",  # degree 9, chebyshev
    "sign-m12-l1e-3-fp16",  # degrees 3 and 17 (balanced)
    "sign-m14-l0.01-fp32-coupled",  # degrees 5 and 17
    "clip-d17x3-l0.01-fp16",  # constants that are zero in one step and not in the next
    "inverse-d3x7-l1e-4-bf16",
    "inverse-m17-l1e-4-fp32",
    "root4-d9x4-l0.1-bf16",
    "root4-m17-l0.1-fp32",
]

MADE = [
    *(("monomial", n, 2) for n in (1, 3, 4, 6, 7)),
    *(("chebyshev", n, 2) for n in (1, 2, 3, 5, 6)),
    *(("origin", n, 2) for n in (3, 5, 6)),
    ("monomial", 2, 3),
    ("chebyshev", 4, 5),
]

NAMES = [*SHIPPED, *(f"pade-{evaluation}-{n}-r{root}" for evaluation, n, root in MADE)]
ROOTS = [
    name for name in NAMES if name.startswith(("root", "inverse")) or name.endswith(("coupled", "-r3", "-r5"))
]
SIGNS = [name for name in NAMES if name not in ROOTS]


@cache
def table(name: str) -> Table:
    """A shipped table, or pade-EVALUATION-INNER-rROOT: three steps of the Taylor polynomial of y^(−1/r) at 1."""
    if name in SHIPPED:
        return polydesign.load(name)
    _, evaluation, inner, root = name.split("-")
    return pade(name, evaluation, int(inner), int(root[1:]))


def pade(name: str, evaluation: str, inner: int, root: int, count: int = 3) -> Table:
    row, low, high = taylor(inner, root), 0.3, 1.0
    steps = []
    for _ in range(count):
        domain = (low, high * 1.02)
        x = np.linspace(low, high, 20_001)
        p = sum(c * x ** (1 + root * j) for j, c in enumerate(row))
        low, high = float(np.min(p)), float(np.max(p))
        program = program_for(evaluation, row, domain[1] ** root)
        error = max(1 - low, high - 1)
        steps.append(Step(1 + inner * root, row, domain, (low, high), error, evaluation, program))
    schedule = Schedule(root, (0.3, 1.0), tuple(steps))
    return Table(name, schedule, Provenance("0", "test", {}, source="tests"))


def taylor(inner: int, root: int) -> tuple[float, ...]:
    """Coefficients of Σ_k (1/r)_k/k!·(1 − y)ᵏ, k <= inner, in increasing powers of y."""
    total = np.polynomial.Polynomial([0.0])
    for k in range(inner + 1):
        rising = math.prod(1 / root + i for i in range(k)) / math.factorial(k)
        total = total + rising * np.polynomial.Polynomial([1.0, -1.0]) ** k
    return tuple(float(c) for c in total.coef)


def run(text: str) -> Any:
    """The names that a Python text defines, under its own."""
    namespace: dict[str, Any] = {}
    exec(compile(text, "<exported>", "exec"), namespace)
    return SimpleNamespace(**namespace)

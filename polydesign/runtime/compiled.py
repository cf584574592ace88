"""The forms of execute.py through torch.compile: one compilation serves every table of the same degrees.

The constants of a schedule enter as one float64 tensor, and programs are built from its elements while the
code is traced; what is compiled depends on the degrees and evaluations alone. A new dtype, device or number
of dimensions compiles again, and a second shape once more, for all shapes. Results differ from the eager ones
by the rounding of sums: the products are the same, and the linear combinations between them are fused.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor

from polydesign.model import Schedule
from polydesign.model.family import layout_of
from polydesign.model.program import Program
from polydesign.runtime import execute
from polydesign.runtime.execute import Coupled, Gathered

_RECOMPILATIONS = 64
"""Kinds of input (degrees, dtypes, devices) that may be compiled; torch's own 8 are soon spent."""

Layout = tuple[Program, ...]
"""The programs of the steps, without their constants."""


def direct(X: Tensor, schedule: Schedule | Gathered, A: Tensor | None = None) -> Tensor:
    """execute.direct, compiled without a break in the graph."""
    known = isinstance(schedule, Gathered)
    layout, numbers = (schedule.layout, schedule.numbers) if known else _split(schedule)
    return _run(_direct, X, layout, numbers, A)


def gram(X: Tensor, schedule: Schedule, restarts: tuple[int, ...] = (), A: Tensor | None = None) -> Tensor:
    """execute.gram, compiled without a break in the graph."""
    return _run(_gram, X, *_split(schedule), restarts, A)


def matrix_sign(X: Tensor, schedule: Schedule) -> Tensor:
    """execute.matrix_sign, compiled without a break in the graph."""
    return _run(_matrix_sign, X, *_split(schedule))


def coupled(
    P: Tensor, G: Tensor | None, schedule: Schedule, *, power: int = 1, keep: bool = False
) -> Coupled:
    """execute.coupled, compiled without a break in the graph."""
    return _run(_coupled, P, G, *_split(schedule), schedule.root, power, keep)


def powered(
    X: Tensor, schedule: Schedule, *, power: int, A: Tensor | None = None, keep: bool = False
) -> Coupled:
    """execute.powered, compiled without a break in the graph."""
    return _run(_powered, X, *_split(schedule), schedule.root, power, A, keep)


def _direct(X: Tensor, layout: Layout, numbers: Tensor, A: Tensor | None = None) -> Tensor:
    return execute.direct(X, Gathered(layout, numbers).programs(), A)


def _gram(X: Tensor, layout: Layout, numbers: Tensor, restarts: tuple[int, ...], A: Tensor | None) -> Tensor:
    return execute.gram(X, Gathered(layout, numbers).programs(), restarts, A)


def _matrix_sign(X: Tensor, layout: Layout, numbers: Tensor) -> Tensor:
    return execute.matrix_sign(X, Gathered(layout, numbers).programs())


def _coupled(
    P: Tensor,
    G: Tensor | None,
    layout: Layout,
    numbers: Tensor,
    root: int,
    power: int,
    keep: bool = False,
) -> Coupled:
    return execute.coupled(P, G, Gathered(layout, numbers).programs(), root=root, power=power, keep=keep)


def _powered(
    X: Tensor, layout: Layout, numbers: Tensor, root: int, power: int, A: Tensor | None, keep: bool
) -> Coupled:
    return execute.powered(X, Gathered(layout, numbers).programs(), root=root, power=power, A=A, keep=keep)


@lru_cache(maxsize=256)
def _split(schedule: Schedule) -> tuple[Layout, Tensor]:
    codes = [step.program for step in schedule.steps]
    # Not of the inference mode or the default device that this call happens under: the tensor is kept.
    with torch.inference_mode(False):
        numbers = torch.tensor(
            [n for code in codes for n in code.constants], dtype=torch.float64, device="cpu"
        )
    return layout_of(schedule), numbers


@cache
def _compiled(function: Any) -> Any:
    return torch.compile(function, fullgraph=True)


def _run(function: Any, *arguments: Any) -> Any:
    with torch._dynamo.config.patch(recompile_limit=_RECOMPILATIONS):
        return _compiled(function)(*arguments)

"""Seconds per product on this machine; all kinds and shapes in turn, so that its moods meet them alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polydesign import __version__
from polydesign.model import InputError, dtype_name
from polydesign.program.calibration import Calibration, MeasuredPrices
from polydesign.program.cost import Prices, Products
from polydesign.runtime import ops
from polydesign.verification.bench import matrices
from polydesign.verification.machine import machine
from polydesign.verification.sweep import device_name, resolve_device
from polydesign.verification.timing import TimedRun, Timer, check_effort, timed_on

KINDS = tuple(field.name for field in fields(Products))

REPEATS = 8
"""Products of a kind that one timed call queues, as an iteration does: the device then waits for one launch
and not for each, and the clock's own error is divided by it."""


def calibrate(
    shapes: Iterable[tuple[int, int]],
    *,
    dtype: Any = "bfloat16",
    batch: int = 1,
    device: str = "auto",
    rounds: int = 15,
    seconds: float = 60.0,
    seed: int = 0,
    timer: Timer | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Calibration:
    """Medians over the rounds of what each kind of product takes (cost.Products), for each shape.

    shapes: (m, n), the side of the square matrices first. What is timed is what the direct form runs: X Xᵀ
    alone, Q·X and Q·Q with a scaled addition in the product, the symmetric ones through `ops.sym_mm`, so
    that a kernel put there shows. Entries are Gaussian, N(0, 1). seconds: divided among the products equally;
    one that needs more than its share runs in fewer rounds, but in one. progress: called after each round.

    Raises InputError for what cannot be run, and naming the shape where a product fails (memory).
    """
    shapes = list(dict.fromkeys(shapes))
    if not shapes:
        raise InputError("shape", "name at least one")
    check_effort(rounds, seconds, seed)
    place, dtype = resolve_device(device), dtype_name(dtype)
    calls = {
        f"{m}x{n} {kind}": call
        for m, n in shapes
        for kind, call in _calls((m, n), batch, dtype, seed, place).items()
    }
    how: dict[str, Any] = {"timer": timer, "rounds": rounds, "seconds": seconds, "seed": seed}
    runs = timed_on(place, calls, progress=progress, **how)
    for name, run in runs.items():
        if run.problem:
            raise InputError("shape", f"{name} cannot be run here ({run.problem}): take a smaller one")
    found = [
        _measured(dtype, (m, n), batch, {kind: runs[f"{m}x{n} {kind}"] for kind in KINDS}) for m, n in shapes
    ]
    words = machine()
    return Calibration(
        date=words.pop("date"),
        torch=torch.__version__,
        device=str(place),
        machine={
            **words,
            "device_name": device_name(place),
            "threads": str(torch.get_num_threads()),
            "float32_products": torch.get_float32_matmul_precision(),
            "polydesign": __version__,
        },
        products=tuple(found),
    )


def _measured(dtype: str, shape: tuple[int, int], batch: int, runs: dict[str, TimedRun]) -> MeasuredPrices:
    quartiles = {
        kind: np.quantile(list(run.seconds.values()), [0.25, 0.5, 0.75]) / REPEATS
        for kind, run in runs.items()
    }
    return MeasuredPrices(
        dtype=dtype,
        shape=shape,
        batch=batch,
        rounds=min(len(run.seconds) for run in runs.values()),
        spread=max(float(upper / lower) for lower, _, upper in quartiles.values()),
        seconds=Prices(**{kind: float(median) for kind, (_, median, _) in quartiles.items()}, unit="seconds"),
    )


def _calls(
    shape: tuple[int, int], batch: int, dtype: str, seed: int, place: torch.device
) -> dict[str, Callable[[], None]]:
    """One of KINDS -> REPEATS of such a product."""
    X = matrices("msign", shape, batch, dtype=dtype, seed=seed).to(place)
    Q = matrices("msign", (shape[0], shape[0]), batch, dtype=dtype, seed=seed + batch).to(place)
    products: dict[str, Callable[[], Tensor]] = {
        "gram": lambda: ops.sym_mm(X, X.mT),
        "wide": lambda: ops.mm_add(X, Q, X, alpha=0.5, beta=0.5),
        "symmetric": lambda: ops.sym_mm_add(Q, Q, Q, alpha=0.5, beta=0.5),
    }
    return {kind: lambda product=products[kind]: _repeated(product) for kind in KINDS}


def _repeated(product: Callable[[], Tensor]) -> None:
    for _ in range(REPEATS):
        product()

"""Seconds per product on this machine, one kind of product beside the other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polydesign import __version__
from polydesign.evaluation.calibration import Calibration, Measured
from polydesign.evaluation.cost import Prices, Products
from polydesign.model import InputError, check_integer, check_number, dtype_name
from polydesign.runtime import ops
from polydesign.verify.bench import matrices
from polydesign.verify.machine import machine
from polydesign.verify.sweep import device_name, resolve_device
from polydesign.verify.timing import TIMERS, Timer, interleaved

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
    that a kernel put there shows. Entries are Gaussian, N(0, 1). seconds: for all shapes together; a kind
    that needs more than its share of it runs in fewer rounds, but in one.

    Raises InputError for what cannot be run, and naming the shape where a product fails (memory).
    """
    shapes = list(dict.fromkeys(shapes))
    if not shapes:
        raise InputError("shape", "name at least one")
    check_integer("rounds", rounds, 1)
    check_integer("seed", seed, 0)
    check_number("seconds", seconds)
    if seconds <= 0:
        raise InputError("seconds", f"must be greater than 0, not {seconds!r}")
    place, dtype = resolve_device(device), dtype_name(dtype)
    found = []
    on_device = torch.cuda.device(place) if place.type == "cuda" else contextlib.nullcontext()
    with on_device, torch.no_grad():
        for index, shape in enumerate(shapes):
            calls = _calls(shape, batch, dtype, seed, place)
            runs = interleaved(
                calls,
                timer=timer or TIMERS[place.type],
                rounds=rounds,
                budget=seconds / len(shapes) / len(calls),
                seed=seed,
                progress=lambda done, total, index=index: progress(index * total + done, len(shapes) * total),
            )
            failed = next((run.problem for run in runs.values() if run.problem), None)
            if failed:
                raise InputError(
                    "shape", f"{shape[0]}x{shape[1]} cannot be run here ({failed}): take a smaller one"
                )
            medians = {
                name: float(np.median(list(run.seconds.values()))) / REPEATS for name, run in runs.items()
            }
            fewest = min(len(run.seconds) for run in runs.values())
            found.append(Measured(dtype, shape, batch, fewest, Prices(**medians, unit="seconds")))
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


def _calls(
    shape: tuple[int, int], batch: int, dtype: str, seed: int, place: torch.device
) -> dict[str, Callable[[], None]]:
    """Kind of product -> REPEATS of it."""
    X = matrices("msign", shape, batch, dtype=dtype, seed=seed).to(place)
    Q = matrices("msign", (shape[0], shape[0]), batch, dtype=dtype, seed=seed + batch).to(place)
    products: dict[str, Callable[[], Tensor]] = {
        "gram": lambda: ops.sym_mm(X, X.mT),
        "wide": lambda: ops.mm_add(X, Q, X, alpha=0.5, beta=0.5),
        "symmetric": lambda: ops.sym_mm_add(Q, Q, Q, alpha=0.5, beta=0.5),
    }
    assert list(products) == [field.name for field in fields(Products)]
    return {name: lambda product=product: _repeated(product) for name, product in products.items()}


def _repeated(product: Callable[[], Tensor]) -> None:
    for _ in range(REPEATS):
        product()

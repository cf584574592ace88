"""What `doctor` tries: products, default tables, and what surrounds a call."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from polydesign.model import HALF, Plan
from polydesign.model.precision import PRECISIONS, UNIT_ROUNDOFF
from polydesign.rounding.trial import most
from polydesign.runtime import InverseRoot, inverse_root, msign, ops
from polydesign.runtime.defaults import SIGN
from polydesign.runtime.surroundings import pinned
from polydesign.table.catalogue import load
from polydesign.verification.sweep import resolve_device
from polydesign.verification.verify import verify

SHAPE = (64, 128)
SPECTRA = {"msign": ("gaussian", "logspace:1e-3", "rank2")}
OF_ROOTS = ("gaussian", "swept")

SUM = 4096
"""Ones that are summed: a half precision that is summed in itself stops at 256 or 2048."""

BY_HAND = 1e-5
"""Relative error of a float32 product of SHAPE above which it is none: rounding gives 1e-6, TF32 4e-4."""


def versions() -> str:
    import polydesign

    return (
        f"polydesign {polydesign.__version__}, torch {torch.__version__}, Python {platform.python_version()}"
    )


def settings() -> str:
    where = torch.backends.cuda.matmul.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision  # pyright: ignore
    autocast = [kind for kind in ("cpu", "cuda") if torch.is_autocast_enabled(kind)]
    default = str(torch.get_default_dtype()).removeprefix("torch.")
    return (
        f"float32 products {where[0]} on CUDA and {where[1]} on the CPU, autocast {autocast or 'off'}, "
        f"default dtype {default}, {torch.get_num_threads()} threads of {os.cpu_count()}"
    )


def devices(device: str | None) -> list[str]:
    if device is not None:
        return [str(resolve_device(device))]
    return ["cpu", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]


Outcome = tuple[str, str, str]
"""state, found, cure"""


def attempts(device: str) -> Iterator[tuple[str, Callable[[], Outcome]]]:
    yield "float32 products of your own code", partial(_plain_product, device)
    for dtype in HALF:
        short = PRECISIONS[dtype].short
        yield f"sums in {short}", partial(_sums, dtype, device)
        yield f"one rounding in {short}", partial(_one_rounding, dtype, device)
    for dtype, table in SIGN.items():
        yield f"msign in {PRECISIONS[dtype].short}", partial(_promise, table, dtype, device, "msign")
        if dtype in HALF:
            name = f"roundings that agree in {PRECISIONS[dtype].short}"
            yield name, partial(_agreeing, table, dtype, device)
    for dtype in PRECISIONS:
        for root in (1, 2, 4):
            yield (
                f"inverse_root {root} in {PRECISIONS[dtype].short}",
                partial(_root, root, dtype, device),
            )
    yield "autocast", partial(_autocast, device)
    yield "vmap", partial(_vmap, device)
    yield "torch.compile", partial(_compile, device)


def _random(device: str, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(device)


def _plain_product(device: str) -> Outcome:
    M = _random(device, *SHAPE)
    off = (M.float() @ M.float().mT - M @ M.mT).norm() / (M @ M.mT).norm()
    said = f"off by {off:.1e} relatively"
    if off <= BY_HAND:
        return "ok", said, ""
    return "note", f"{said}; operators keep to float32", 'torch.set_float32_matmul_precision("highest")'


def _sums(dtype: str, device: str) -> Outcome:
    ones = torch.ones((SUM, 1), dtype=getattr(torch, dtype), device=device)
    with pinned(torch.device(device).type):
        total = ops.mm(ones.mT, ones).item()
    said = f"{SUM} ones give {total:g}"
    cure = 'products are not summed in float32 here: write Plan(dtype="float32")'
    return ("ok", said, "") if total == SUM else ("breaks", said, cure)


def _one_rounding(dtype: str, device: str) -> Outcome:
    """1 + 2u + (1 + u/2), where the product alone rounds to 1 and the sum then to 2."""
    u, kind = UNIT_ROUNDOFF[dtype], getattr(torch, dtype)
    a = torch.ones((1, 2), dtype=kind, device=device)
    b = torch.tensor([[1.0], [u / 2]], dtype=kind, device=device)
    c = torch.full((1, 1), 1 + 2 * u, dtype=kind, device=device)
    found = ops.mm_add(c, a, b, alpha=1.0, beta=1.0).item()
    if found > 2:
        return "ok", "a product and its sum are rounded together", ""
    said = "a product is rounded before the sum"
    return (
        "note",
        f"{said}: tables that are `fused` in polydesign list may blow up",
        "take one that is `plain`",
    )


def _promise(table: str, dtype: str, device: str, operator: str) -> Outcome:
    done = verify(
        table,
        spectra=SPECTRA.get(operator, OF_ROOTS),
        dtype=dtype,
        device=device,
        shape=SHAPE,
        operator=operator,
    )
    worst = max(done, key=lambda one: math.inf if one.worst is None else one.worst / one.allowed)
    said = f"{table}: worst {worst.worst or math.nan:.2g}, allowed {worst.allowed:.2g}"
    if all(one.holds for one in done):
        return "ok", said, ""
    return "breaks", said, f"write Plan(dtype='float32'); polydesign verify {table} --dtype {dtype} says more"


def _agreeing(table: str, dtype: str, device: str) -> Outcome:
    schedule, worst = load(table).schedule, 0.0
    for m in (4, 15, 44):
        for repeated in (1, 3):
            for a in (m - 1.0, m - 4.0, m / 2):
                M = (a * torch.eye(m) - torch.ones(m, m)).repeat_interleave(repeated, 1).to(device)
                X = msign(M, load(table), Plan(dtype, check=False, float32_side=0))
                worst = max(worst, torch.linalg.matrix_norm(X.double(), 2).item())
    said = f"largest singular value {worst:.4g}"
    cure = 'write Plan(dtype="float32")'
    return ("ok", said, "") if worst <= most(schedule) else ("breaks", said, cure)


def _root(root: int, dtype: str, device: str) -> Outcome:
    table = InverseRoot(root).resolved(dtype).table.name
    return _promise(table, dtype, device, "inverse" if root == 1 else "inverse_root")


def _same(found: Tensor, expected: Tensor, said: str, cure: str) -> Outcome:
    if torch.equal(found, expected):
        return "ok", said, ""
    off = (found.double() - expected.double()).abs().max().item()
    return "breaks", f"results differ by {off:.2g}", cure


def _autocast(device: str) -> Outcome:
    M = _random(device, *SHAPE).float()
    with torch.autocast(torch.device(device).type, torch.bfloat16):
        found = msign(M)
    return _same(found, msign(M), "changes nothing", "with torch.autocast(..., enabled=False):")


def _vmap(device: str) -> Outcome:
    M = _random(device, 3, *SHAPE).bfloat16()
    plan = Plan(check=False)
    found = torch.func.vmap(lambda M: msign(M, plan=plan))(M)
    return _same(found, msign(M, plan=plan), "gives the bits of the batch", cure_of("vmap"))


def _compile(device: str) -> Outcome:
    M = _random(device, *SHAPE).float()

    def step(M: Tensor) -> Tensor:
        return msign(M) + inverse_root(M @ M.mT, 4)[..., :1]

    found = torch.compile(step, fullgraph=True)(M)
    return _same(found, step(M), "one graph, the bits of the same step", cure_of("torch.compile"))


def cure_of(name: str) -> str:
    return {
        "torch.compile": 'install a C++ compiler, or write torch.compile(..., backend="aot_eager")',
        "vmap": "call the operator with the batch: leading dimensions are one",
    }.get(name, 'write Plan(dtype="float32"), and report what you see here')

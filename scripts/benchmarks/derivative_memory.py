"""What a derivative of msign keeps in memory: by its equation, and by autograd through the loop.

For 4 and 40 steps of degree 5 and every shape: the bytes that autograd saves between forward and backward,
each storage counted once and the input among them, and the peak of what the allocator handed out over both,
above what was there before, the input too. Both are counts and no samples: on the CPU every allocation is
recorded by torch.profiler, on CUDA the allocator keeps its peak. The derivative's own msign and block sign
run the same table, so that its steps count too. What the matrices hold does not matter to memory, and
plan.check is off: 4 steps do not converge. Writes figures/derivative_memory.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile

import polydesign
from polydesign.model import Table
from polydesign.runtime import Plan, msign, msign_differentiable
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "derivative_memory.json"
STEPS = (4, 40)
FULL, SMALL = ((256, 256), (256, 1024), (1024, 256)), ((16, 16), (16, 48))
PLAN = Plan(check=False)


def by_equation(M: Tensor, table: Table) -> Tensor:
    return msign_differentiable(M, table, PLAN, backward_table=table)


def through_the_loop(M: Tensor, table: Table) -> Tensor:
    return msign(M, table, PLAN)


OPERATORS: dict[str, Callable[[Tensor, Table], Tensor]] = {
    "equation": by_equation,
    "autograd": through_the_loop,
}


def matrix(shape: tuple[int, int], device: str) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator).to(device).requires_grad_()


def saved_bytes(operator: Callable[[Tensor, Table], Tensor], M: Tensor, table: Table) -> int:
    """What autograd keeps until the backward pass, each storage once."""
    storages: dict[int, int] = {}
    kept: list[Tensor] = []

    def pack(X: Tensor) -> Tensor:
        # Kept alive, so that no address is given twice.
        kept.append(X.detach())
        storages[X.untyped_storage().data_ptr()] = X.untyped_storage().nbytes()
        return X.detach()

    with saved_tensors_hooks(pack, lambda X: X):
        operator(M, table)
    return sum(storages.values())


def peak_bytes(operator: Callable[[Tensor, Table], Tensor], M: Tensor, table: Table) -> int:
    """The most that was allocated at a time over forward and backward, beyond what was before."""

    def both() -> None:
        torch.autograd.grad(operator(M, table).sum(), M)

    both()  # what is made once, such as a table that is loaded, is no part of it
    if M.device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        both()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        both()
    assert recorded.profiler is not None
    assert recorded.profiler.kineto_results is not None
    total = peak = 0
    events: list[Any] = recorded.profiler.kineto_results.events()
    for event in events:
        if event.name() == "[memory]":
            total += event.nbytes()
            peak = max(peak, total)
    return peak


def markdown(body: dict[str, Any]) -> str:
    """The table for the pages, in MiB."""
    lines = [
        "| shape, float32 | derivative | saved, 4 steps | saved, 40 | peak, 4 | peak, 40 |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in body["rows"]:
        cells = [f"{count / 2**20:.2f}" for key in ("saved", "peak") for count in row[key]]
        m, n = row["shape"]
        lines.append(f"| {m} × {n} | {row['derivative']} | {' | '.join(cells)} |")
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option("--small", is_flag=True, help="Tiny matrices, to see that everything runs: other figures.")
@click.option("--device", default="cpu", show_default=True)
@click.option("-o", "output", type=click.Path(path_type=Path), default=OUTPUT, show_default=False)
def main(small: bool, device: str, output: Path) -> None:
    tables = [
        polydesign.design(degree=5, steps=steps, lower=1e-3, dtype="float32", certify=False)
        for steps in STEPS
    ]
    rows = []
    for shape in SMALL if small else FULL:
        for name, operator in OPERATORS.items():
            M = matrix(shape, device)
            saved = [saved_bytes(operator, M, table) for table in tables]
            peak = [peak_bytes(operator, M, table) for table in tables]
            rows.append({"shape": shape, "derivative": name, "saved": saved, "peak": peak})
            click.echo(f"{shape} {name}: saved {saved}, peak {peak} bytes")
    body = {
        "machine": machine(),
        "torch": torch.__version__,
        "device": device,
        "dtype": "float32",
        "steps": STEPS,
        "rows": rows,
    }
    write_atomically(output, json.dumps(body, indent=1) + "\n")
    click.echo(markdown(body))


if __name__ == "__main__":
    main()

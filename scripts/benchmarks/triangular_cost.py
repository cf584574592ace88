"""Seconds of T⁻¹V without T (runtime/structured.lower_solve) for n from 1,024 to 65,536.

d = 16, e = 16, chunks of 64, float32; medians of ROUNDS, all sizes in turn. Where T fits (n <= 4,096) also
torch.linalg.solve_triangular with T formed, and the largest difference over the largest entry. Writes
figures/triangular_cost.json and prints docs/matrix_sign.md's table.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from polydesign.runtime import lower_solve
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "triangular_cost.json"
SIZES = tuple(2**k for k in range(10, 17))
RANK, ROUNDS, LARGEST_FORMED = 16, 7, 4096


def problem(n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Λ, Q, K, V; rows of K of length 1 and of Q below 1, as in DeltaNet, keep T⁻¹ bounded."""
    generator = torch.Generator().manual_seed(n)
    K, V = (torch.randn((n, RANK), generator=generator) for _ in "KV")
    K = K / K.norm(dim=-1, keepdim=True)
    return torch.ones(n), 0.5 * K, K, V


def by_forming(diagonal: Tensor, Q: Tensor, K: Tensor, V: Tensor) -> Tensor:
    T = torch.diag(diagonal) + (Q @ K.mT).tril(-1)
    return torch.linalg.solve_triangular(T, V, upper=False)


def seconds(run: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def markdown(body: dict[str, Any]) -> str:
    lines = ["| n | seconds | over n, relative | with T formed | difference |", "|---:|---:|---:|---:|---:|"]
    first = body["rows"][0]
    for row in body["rows"]:
        relative = row["seconds"] / row["n"] / (first["seconds"] / first["n"])
        formed = f"{row['formed']:.3g} | {row['difference']:.1e}" if "formed" in row else " | "
        lines.append(f"| {row['n']:,} | {row['seconds']:.3g} | {relative:.2f} | {formed} |")
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option("--small", is_flag=True, help="Small sizes, to see that it runs.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=OUTPUT)
def main(small: bool, output: Path) -> None:
    sizes = (64, 128) if small else SIZES
    problems = {n: problem(n) for n in sizes}
    times: dict[int, list[float]] = {n: [] for n in sizes}
    formed: dict[int, list[float]] = {n: [] for n in sizes if n <= LARGEST_FORMED}
    for _ in range(2 if small else ROUNDS):
        for n, given in problems.items():
            times[n].append(seconds(lambda given=given: lower_solve(*given)))
            if n in formed:
                formed[n].append(seconds(lambda given=given: by_forming(*given)))
    rows: list[dict[str, Any]] = []
    for n in sizes:
        rows.append({"n": n, "seconds": statistics.median(times[n])})
        if n in formed:
            exact = by_forming(*problems[n])
            off = (lower_solve(*problems[n]) - exact).abs().max() / exact.abs().max()
            rows[-1] |= {"formed": statistics.median(formed[n]), "difference": off.item()}
    body = {
        "machine": machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "rows": rows,
    }
    write_atomically(output, json.dumps(body, indent=1) + "\n")
    click.echo(markdown(body))


if __name__ == "__main__":
    main()

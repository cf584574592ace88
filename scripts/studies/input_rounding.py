"""What dividing a bfloat16 matrix by its norm loses, and what helps.

M / ||M||_F is rounded, and what was zero in M's singular values is no longer. Matrices of rank 8 whose
entries bfloat16 holds exactly, 128 x 256, are run by five quintics: divided and rounded to bfloat16, as msign
does; divided by a power of two alone, which rounds nothing, with the rest of the norm folded into the first
step; and divided and rounded to float16, as msign does under Plan("fp16"). `leak` is the largest singular
value that the result has in the null spaces of M, `distance` how far it is from the polar factor, relatively:
medians over seeds. Writes figures/input_rounding.json.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch
from torch import Tensor

import polydesign
from polydesign.approximation.scalar import schedule_from
from polydesign.model import Schedule
from polydesign.runtime.execute import direct
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "input_rounding.json"
SHAPE, RANK, SEEDS = (128, 256), 8, 16
TABLES = {torch.bfloat16: "sign-d5x5-l1e-3-bf16", torch.float16: "sign-d5x5-l1e-3-fp16"}


def matrix(seed: int) -> Tensor:
    """Of rank 8, in bfloat16, exactly: entries are integers of at most 24."""
    generator = torch.Generator().manual_seed(seed)
    m, n = SHAPE
    left = torch.randint(-3, 4, (m, RANK), generator=generator).double()
    return (left @ torch.randint(-1, 2, (RANK, n), generator=generator).double()).bfloat16()


def divided(M: Tensor, dtype: torch.dtype) -> Tensor:
    X = (M.float() / M.double().norm().float()).to(dtype)
    return direct(X, polydesign.load(TABLES[dtype]).schedule)


def folded(M: Tensor) -> Tensor:
    """q(A/c^2)/c in the first step, with the norm c 2^k and 1 <= c < 2."""
    norm = M.double().norm().item()
    exponent = math.floor(math.log2(norm))
    schedule = polydesign.load(TABLES[torch.bfloat16]).schedule
    return direct(torch.ldexp(M, torch.tensor(-exponent)), with_norm(schedule, norm / 2.0**exponent))


def with_norm(schedule: Schedule, c: float) -> Schedule:
    first, *rest = schedule.rows
    rows = [tuple(value / c ** (2 * k + 1) for k, value in enumerate(first)), *rest]
    low, high = schedule.interval
    return schedule_from(2, tuple(rows), (low * c, high * c))


def figures(M: Tensor, X: Tensor) -> tuple[float, float]:
    """The leak and the distance."""
    U, sigma, V = torch.linalg.svd(M.double())
    rank = int((sigma > 1e-9 * sigma[0]).sum())
    polar = U[:, :rank] @ V[:rank]
    leak = torch.linalg.matrix_norm(U[:, rank:].T @ X.double() @ V[rank:].T, 2).item()
    return leak, ((X.double() - polar).norm() / polar.norm()).item()


@click.command(help=__doc__)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=OUTPUT)
def main(output: Path) -> None:
    ways = {
        "bf16, divided": lambda M: divided(M, torch.bfloat16),
        "bf16, by a power of two": folded,
        "fp16, divided": lambda M: divided(M, torch.float16),
    }
    rows: list[dict[str, Any]] = []
    for name, way in ways.items():
        found = [figures(M, way(M)) for M in map(matrix, range(SEEDS))]
        leak, distance = (median(values) for values in zip(*found, strict=True))
        rows.append({"way": name, "leak": leak, "distance": distance})
        click.echo(f"| {name} | {leak:.2g} | {distance:.2g} |")
    body = {"machine": machine(), "torch": torch.__version__, "shape": SHAPE, "rank": RANK, "rows": rows}
    write_atomically(output, json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""What Plan(dither=True) and Plan(float32_side=...) do to signs in half precision: values lost, and errors.

`structured`: matrices of few different entries, sides 2 to 128, how many of them end with a singular value
above 1.5 (`above`), or with one more than E + 0.25 from 1 where the table promises E (`away`). `random`:
256 x 512, σ log-spaced down to 10^-2.2, the error of the singular values, and that of the direction,
‖X − U Vᵀ‖_F/‖U Vᵀ‖_F. Tables are six quintics, made here with less headroom than such matrices need. Writes
figures/dither.json and prints docs/running.md's table.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
from torch import Generator, Tensor

import polydesign
from polydesign.model import DTYPES, Plan, Table
from polydesign.runtime import Sign
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine
from polydesign.verification.spectra import sample

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "dither.json"
TABLES = [("bfloat16", 1.0), ("bfloat16", 1.005), ("bfloat16", 1.01), ("float16", 1.0), ("float16", 1.0005)]
"""Precision and headroom."""

PLANS: dict[str, dict[str, Any]] = {
    "neither": {"float32_side": 0},
    "dither": {"float32_side": 0, "dither": True},
    "float32_side": {"float32_side": 32},
    "both": {"float32_side": 32, "dither": True},
}
LARGEST, LOST, ABOVE = 128, 0.25, 1.5
ALIKE = 25
"""Matrices of one shape, which run as a batch."""


def side(high: int, generator: Generator) -> int:
    """From 2 to high, log-uniform."""
    part = torch.rand((), generator=generator, dtype=torch.float64).item()
    return min(high, int(2 * ((high + 1) / 2) ** part))


def shifted(generator: Generator) -> Tensor:
    """aI + bJ with every column up to four times, a and b small whole numbers."""
    m = side(LARGEST, generator)
    a = torch.randint(1, 33, (ALIKE, 1, 1), generator=generator)
    b = torch.randint(1, 4, (ALIKE, 1, 1), generator=generator)
    b *= 1 - 2 * torch.randint(2, (ALIKE, 1, 1), generator=generator)
    times = int(torch.randint(1, min(4, LARGEST // m) + 1, (), generator=generator))
    return (a * torch.eye(m) + b * torch.ones(m, m)).repeat_interleave(times, dim=-1)


def pairs(generator: Generator) -> Tensor:
    """2 x 2, the second column the first or its negative."""
    column = torch.randn((ALIKE, 2, 1), generator=generator)
    sign = 1 - 2 * torch.randint(2, (ALIKE, 1, 1), generator=generator)
    return torch.cat([column, sign * column], dim=-1)


def blocks(generator: Generator) -> Tensor:
    """One to three blocks of equal entries along the diagonal."""
    count = int(torch.randint(1, 4, (), generator=generator))
    shapes = [[side(LARGEST // count, generator) for _ in range(2)] for _ in range(count)]
    numbers = torch.block_diag(*(torch.full((h, w), 1 + k) for k, (h, w) in enumerate(shapes)))
    entries = torch.randn((ALIKE, count), generator=generator)
    return torch.nn.functional.pad(entries, (1, 0))[:, numbers]  # 0 outside of the blocks


KINDS: dict[str, Callable[[Generator], Tensor]] = {"shifted": shifted, "pairs": pairs, "blocks": blocks}


def fates(M: Tensor, sign: Sign) -> Tensor:
    """How many end with a value above ABOVE, and with a promised one too far from 1: shape (2,)."""
    table = sign.table
    assert table is not None
    sigma = torch.linalg.svdvals(M.double())
    promised = sigma >= table.schedule.interval[0] * torch.linalg.vector_norm(sigma, dim=-1, keepdim=True)
    X = sign(M).double()
    finite = torch.isfinite(X).all(dim=-1).all(dim=-1)
    X[~finite] = 0
    # The promised values are the largest, and end as the largest.
    found = torch.linalg.svdvals(X)
    far = (found - 1).abs() > table.schedule.error + LOST
    away = (far & promised).any(dim=-1) | (found[:, 0] > 1 + table.schedule.error + LOST)
    return torch.stack([((found[:, 0] > ABOVE) | ~finite).sum(), (away | ~finite).sum()])


def structured(table: Table, dtype: str, shapes: int) -> list[dict[str, Any]]:
    """A row a plan and kind."""
    rows = []
    for plan, keywords in PLANS.items():
        sign = Sign(table, Plan(dtype, check=False, **keywords))
        for kind, make in KINDS.items():
            generator = torch.Generator().manual_seed(0)
            found = torch.stack([fates(make(generator), sign) for _ in range(shapes)])
            above, away = found.sum(dim=0).tolist()
            rows.append({"plan": plan, "kind": kind, "above": above, "away": away})
    return rows


def errors(table: Table, dtype: str, shape: tuple[int, int], seeds: int) -> list[dict[str, Any]]:
    """A row without dither and one with it: the largest |σ − 1|, its root mean square, and the direction."""
    rows = []
    for plan in ("neither", "dither"):
        sign, found = Sign(table, Plan(dtype, check=False, **PLANS[plan])), []
        for seed in range(seeds):
            known = sample(f"logspace:{10**-2.2}", shape, seed=seed)
            X, exact = sign(known.matrix[0]).double(), known.U[0] @ known.V[0].mT
            off = torch.linalg.svdvals(X) - 1
            distance = torch.linalg.matrix_norm(X - exact) / torch.linalg.matrix_norm(exact)
            found.append((off.abs().max().item(), off.square().mean().sqrt().item(), distance.item()))
        worst, rms, direction = zip(*found, strict=True)
        row = {"worst": max(worst), "rms": sum(rms) / seeds, "direction": sum(direction) / seeds}
        rows.append({"plan": plan, **{key: float(f"{value:.3g}") for key, value in row.items()}})
    return rows


def markdown(body: dict[str, Any]) -> str:
    """The pages' table: a row a table, how many end away by plan, and the errors without and with dither."""
    head = ["", "headroom", *PLANS, "largest error of σ", "direction"]
    lines = [f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for one in body["tables"]:
        lost = [sum(row["away"] for row in one["structured"] if row["plan"] == plan) for plan in PLANS]
        seen = [" → ".join(f"{row[key]:.2g}" for row in one["random"]) for key in ("worst", "direction")]
        cells = [DTYPES[one["dtype"]], one["headroom"], *lost, *seen]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option("--shapes", default=400, show_default=True, help="Of each kind of structured matrices.")
@click.option("--small", is_flag=True, help="A few small ones: to try the script.")
@click.option("-o", "--output", type=Path, default=OUTPUT, help="[default: figures/dither.json]")
def main(shapes: int, small: bool, output: Path) -> None:
    shapes, shape, seeds = (2, (16, 32), 1) if small else (shapes, (256, 512), 4)
    tables = []
    for dtype, headroom in TABLES:
        table = polydesign.design(degree=5, steps=6, headroom=headroom, image_floor=0.1, dtype=dtype)
        tables.append({"table": table.name, "dtype": dtype, "headroom": headroom})
        tables[-1]["structured"] = structured(table, dtype, shapes)
        tables[-1]["random"] = errors(table, dtype, shape, seeds)
        click.echo(f"ran {table.name}", err=True)
    body = {
        "machine": machine(),
        "torch": torch.__version__,
        "of_each_kind": shapes * ALIKE,
        "shape": shape,
        "seeds": seeds,
        "tables": tables,
    }
    write_atomically(output, json.dumps(body, indent=1) + "\n")
    click.echo(markdown(body))


if __name__ == "__main__":
    main()

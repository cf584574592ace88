"""What a call costs beside a plain loop of its products, with and without the look at its result.

The loop divides by the Frobenius norm and runs the same products with the same roundings, as one would write
it by hand: nothing else. Calls of msign by the default tables, in turn: medians of the ratios of whole calls.
One thread by default. Writes figures/guard_cost.json and prints docs/running.md's table.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch
from torch import Tensor

from polydesign.model import DTYPES, Plan, Schedule
from polydesign.runtime import Sign
from polydesign.runtime.defaults import SIGN, loaded
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine
from polydesign.verification.sweep import device_name, resolve_device
from polydesign.verification.timing import timed_on

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "guard_cost.json"
SHAPES = ((16, 32), (64, 128), (256, 256), (1024, 1024))
PRECISIONS = ("bfloat16", "float32")


def loop(M: Tensor, dtype: torch.dtype, schedule: Schedule) -> Tensor:
    """Quintics in powers of A, written out."""
    X = (M / M.norm()).to(dtype)
    for step in schedule.steps:
        a, b, c = step.coefficients
        A = X @ X.mT
        X = torch.addmm(X, torch.addmm(A, A, A, beta=b, alpha=c), X, beta=a)
    return X


def timed(dtype: str, shape: tuple[int, int], place: torch.device, rounds: int) -> dict[str, Any]:
    M = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(place, getattr(torch, dtype))
    schedule = loaded(SIGN[dtype]).schedule
    assert all(len(step.coefficients) == 3 for step in schedule.steps)
    # The state is what the loop has, so that products are compared with products.
    calls = {
        "loop": partial(loop, M, getattr(torch, dtype), schedule),
        "unchecked": partial(Sign(plan=Plan(dtype, check=False, float32_side=0)), M),
        "checked": partial(Sign(plan=Plan(dtype, float32_side=0)), M),
    }
    found = timed_on(place, calls, timer=None, seconds=600, rounds=rounds, seed=0)
    seconds = {name: one.seconds for name, one in found.items()}
    row: dict[str, Any] = {"dtype": dtype, "shape": shape}
    for name in ("unchecked", "checked"):
        ratio = median(whole / seconds["loop"][turn] for turn, whole in seconds[name].items())
        row[name] = float(f"{ratio:.3g}")
    return row | {"loop_ms": float(f"{1000 * median(seconds['loop'].values()):.3g}")}


def markdown(body: dict[str, Any]) -> str:
    lines = ["| | | loop, ms | `check=False` | checked |", "|---|---|---:|---:|---:|"]
    for row in body["rows"]:
        m, n = row["shape"]
        ratios = f"{row['unchecked']:.2f} | {row['checked']:.2f}"
        lines.append(f"| {m} × {n} | {DTYPES[row['dtype']]} | {row['loop_ms']:g} | {ratios} |")
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option("--rounds", default=101, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--device", default="cpu", show_default=True, help="auto, cpu or cuda.")
@click.option("--small", is_flag=True, help="The smallest shape: to try the script.")
@click.option("-o", "--output", type=Path, default=OUTPUT, help="[default: figures/guard_cost.json]")
def main(rounds: int, threads: int, device: str, small: bool, output: Path) -> None:
    torch.set_num_threads(threads)
    place, rows = resolve_device(device), []
    for shape in SHAPES[:1] if small else SHAPES:
        least = rounds if shape[1] < 1000 else max(5, rounds // 10)
        rows += [timed(dtype, shape, place, least) for dtype in PRECISIONS]
        click.echo(f"timed {shape[0]} x {shape[1]}", err=True)
    body = {
        "machine": machine(),
        "torch": torch.__version__,
        "device": device_name(place),
        "threads": threads,
        "rows": rows,
    }
    write_atomically(output, json.dumps(body, indent=1) + "\n")
    click.echo(markdown(body))


if __name__ == "__main__":
    main()

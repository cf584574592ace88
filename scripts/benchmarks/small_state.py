"""What a float32 state costs small matrices whose result is in a half precision.

msign by the default tables with Plan.float32_side on and off, in turn, whole calls with their checks: medians
of the ratios, and `limit`, the largest side up to which no ratio is above MOST, which is the plan's default.
One thread by default: two threads wait for each other where anything else runs. Writes
figures/small_state.json and prints docs/running.md's table.
"""

from __future__ import annotations

import json
import os
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch

from polydesign.model import DTYPES, Plan
from polydesign.runtime import Sign
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine
from polydesign.verification.sweep import device_name, resolve_device
from polydesign.verification.timing import timed_on

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "small_state.json"
SIDES = (8, 16, 32, 64, 128, 256)
KINDS = tuple(product(("bfloat16", "float16"), (1, 4), (1, 32)))
"""Precision, how many times wider than high, and how many matrices."""

MOST = 1.1
"""A ratio that counts as about 1."""


def timed(kind: tuple[str, int, int], side: int, place: torch.device, rounds: int) -> dict[str, Any]:
    """Milliseconds of a call in either state, and the median of the ratios of those in one round."""
    dtype, wider, count = kind
    M = torch.randn((count, side, wider * side), generator=torch.Generator().manual_seed(0))
    M = M.to(place, getattr(torch, dtype))
    calls = {
        name: partial(Sign(plan=Plan(dtype, float32_side=most)), M)
        for name, most in (("half", 0), ("float32", side))
    }
    found = timed_on(place, calls, timer=None, seconds=600, rounds=rounds, seed=0)
    seconds = {name: one.seconds for name, one in found.items()}
    ratio = median(wide / seconds["half"][turn] for turn, wide in seconds["float32"].items())
    times = {name: float(f"{1000 * median(one.values()):.3g}") for name, one in seconds.items()}
    return {"kind": kind, "side": side, "ms": times, "ratio": float(f"{ratio:.3g}")}


def limit(rows: list[dict[str, Any]]) -> int:
    """The largest side up to which no ratio is above MOST."""
    beyond = min((row["side"] for row in rows if row["ratio"] > MOST), default=max(SIDES) + 1)
    return max((row["side"] for row in rows if row["side"] < beyond), default=0)


def markdown(body: dict[str, Any]) -> str:
    """The pages' table: a row a side, a column a kind."""
    columns = [
        f"{DTYPES[dtype]} 1:{wider}" + (f", {count} of them" if count > 1 else "")
        for dtype, wider, count in KINDS
    ]
    lines = [f"| shorter side | {' | '.join(columns)} |", "|---:|" + "---:|" * len(columns)]
    for side in dict.fromkeys(row["side"] for row in body["rows"]):
        ratios = [f"{row['ratio']:.2f}" for row in body["rows"] if row["side"] == side]
        lines.append(f"| {side} | {' | '.join(ratios)} |")
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option("--rounds", default=51, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--device", default="cpu", show_default=True, help="auto, cpu or cuda.")
@click.option("--small", is_flag=True, help="Sides 8 and 16: to try the script.")
@click.option("-o", "--output", type=Path, default=OUTPUT, help="[default: figures/small_state.json]")
def main(rounds: int, threads: int, device: str, small: bool, output: Path) -> None:
    torch.set_num_threads(threads)
    place, load, rows = resolve_device(device), os.getloadavg()[0], []
    for side in SIDES[:2] if small else SIDES:
        rows += [timed(kind, side, place, rounds) for kind in KINDS]
        click.echo(f"timed {side} rows", err=True)
    body = {
        "machine": machine(),
        "torch": torch.__version__,
        "device": device_name(place),
        "threads": threads,
        "load_before": load,
        "rounds": rounds,
        "limit": limit(rows),
        "rows": rows,
    }
    write_atomically(output, json.dumps(body, indent=1) + "\n")
    click.echo(markdown(body))


if __name__ == "__main__":
    main()

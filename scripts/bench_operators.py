"""Time msign and inverse_root beside what a user would otherwise call, on the CPU, and print README's table.

The contestants run in turn, `rounds` times over (polydesign bench); medians and ratios are what to quote.
Writes figures/bench_operators.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import torch

from polydesign.files import write_atomically
from polydesign.model import DTYPES
from polydesign.verify.bench import Timing, bench
from polydesign.verify.machine import machine

OUTPUT = Path(__file__).resolve().parent.parent / "figures" / "bench_operators.json"

RUNS = [
    ("msign", None, (512, 512), "bfloat16"),
    ("msign", None, (1024, 1024), "bfloat16"),
    ("msign", None, (512, 512), "float32"),
    ("msign", None, (1024, 1024), "float32"),
    ("inverse_root", 4, (512, 512), "float32"),
]


def markdown(runs: list[list[Timing]]) -> str:
    """README's table: a row a setting, with milliseconds of ours and the others' multiples of it."""
    names = list(dict.fromkeys(timing.name for run in runs for timing in run))[1:]
    lines = ["| | products | ms | " + " | ".join(names) + " |", "|---|" + "---:|" * (len(names) + 2)]
    for run in runs:
        ours, found = run[0], {timing.name: timing for timing in run}
        setting = ours.setting
        cells = [f"{_number(found[n].ratio)} ({_error(found[n])})" if n in found else "" for n in names]
        root = f"({setting.root})" if setting.operator == "inverse_root" else ""
        lines.append(
            f"| {setting.operator}{root}, {setting.shape[0]}², {DTYPES[setting.dtype]} | {setting.matmuls} "
            f"| {_number(ours.median, 1000)} ({_error(ours)}) | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def _number(value: float | None, factor: float = 1.0) -> str:
    return "-" if value is None else f"{factor * value:.3g}"


def _error(timing: Timing) -> str:
    return "-" if timing.worst is None else f"{timing.worst:.1g}"


@click.command(help=__doc__)
@click.option("--rounds", default=25, show_default=True)
@click.option("--threads", type=int, help="Of torch.  [default: torch's own]")
@click.option("--small", is_flag=True, help="Matrices of 32 rows: to try the script.")
@click.option("-o", "--output", type=Path, default=OUTPUT, help="[default: figures/bench_operators.json]")
def main(rounds: int, threads: int | None, small: bool, output: Path) -> None:
    if threads is not None:
        torch.set_num_threads(threads)
    runs = []
    for operator, root, shape, dtype in RUNS:
        sides = (32, 32) if small else shape
        runs.append(
            bench(operator, root=root, shape=sides, dtype=dtype, device="cpu", rounds=rounds, seconds=60)
        )
        click.echo(f"timed {operator} of {sides[0]}x{sides[1]} in {dtype}", err=True)
    body = {
        "machine": machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "timings": [timing.as_json() for run in runs for timing in run],
    }
    write_atomically(output, json.dumps(body, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    click.echo(markdown(runs))


if __name__ == "__main__":
    main()

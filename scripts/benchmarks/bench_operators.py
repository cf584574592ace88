"""Time msign and inverse_root beside what a user would otherwise call, on the CPU,
and print the pages' table.

The contestants run in turn, `rounds` times over (polydesign bench); medians and ratios are what to quote. One
thread by default: two threads wait for each other where anything else runs. Writes
figures/bench_operators.json.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import torch

from polydesign.model import DTYPES
from polydesign.text.files import write_atomically
from polydesign.verification.bench import Timing, bench
from polydesign.verification.machine import machine

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "bench_operators.json"

RIVALS = ("svd", "muon", "polar-express")
RUNS = [
    ("msign", None, (512, 512), "bfloat16", RIVALS),
    ("msign", None, (1024, 1024), "bfloat16", RIVALS),
    ("msign", None, (512, 512), "float32", RIVALS),
    ("msign", None, (1024, 1024), "float32", RIVALS),
    ("inverse_root", 4, (512, 512), "float32", ("eigh",)),
]


def markdown(runs: list[list[Timing]]) -> str:
    """The pages' table: a row a setting, with milliseconds of ours and the others' multiples of it."""
    names = list(dict.fromkeys(timing.name for run in runs for timing in run))[1:]
    head = ["", "precision", "products", "polydesign", *names]
    lines = [f"| {' | '.join(head)} |", "|---|---|" + "---:|" * (len(head) - 2)]
    for run in runs:
        setting, found = run[0].setting, {timing.name: timing for timing in run}
        name = (
            f"{setting.operator} {setting.root}" if setting.operator == "inverse_root" else setting.operator
        )
        cells = [f"{name}, {setting.shape[0]}²", DTYPES[setting.dtype], str(setting.matmuls)]
        cells.append("-" if run[0].median is None else f"{1000 * run[0].median:.0f} ms, {_error(run[0])}")
        cells += [_times(found[other]) if other in found else "" for other in names]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _times(timing: Timing) -> str:
    return "-" if timing.ratio is None else f"{timing.ratio:.2f}×, {_error(timing)}"


def _error(timing: Timing) -> str:
    return "-" if timing.worst is None else f"{timing.worst:.1g}"


@click.command(help=__doc__)
@click.option("--rounds", default=15, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--small", is_flag=True, help="Matrices of 32 rows: to try the script.")
@click.option("-o", "--output", type=Path, default=OUTPUT, help="[default: figures/bench_operators.json]")
def main(rounds: int, threads: int, small: bool, output: Path) -> None:
    torch.set_num_threads(threads)
    runs, load = [], os.getloadavg()[0]
    for operator, root, shape, dtype, beside in RUNS:
        sides = (32, 32) if small else shape
        runs.append(
            bench(
                operator,
                root=root,
                shape=sides,
                dtype=dtype,
                device="cpu",
                rounds=rounds,
                seconds=100,
                beside=beside,
            )
        )
        click.echo(f"timed {operator} of {sides[0]}x{sides[1]} in {dtype}", err=True)
    body = {
        "machine": machine(),
        "torch": torch.__version__,
        "threads": threads,
        "load_before": load,
        "rounds": rounds,
        "timings": [timing.as_json() for run in runs for timing in run],
    }
    write_atomically(output, json.dumps(body, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    click.echo(markdown(runs))


if __name__ == "__main__":
    main()

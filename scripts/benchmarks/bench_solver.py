"""Time the solver: a whole schedule, and single steps beside Sollya's remez where Sollya is installed.

Every row is measured in turn, `repeats` times over, so that a machine that changes its speed changes all
rows alike; medians and ratios are what to quote. Writes figures/bench_solver.json.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from polydesign import Equioscillation, Problem
from polydesign.approximation import remez
from polydesign.approximation.remez import best_approximation
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "bench_solver.json"
LOWER = 1e-3
SIZES = (2, 4, 8, 12)


def clock(work: Callable[[], object]) -> float:
    remez.solved.cache_clear()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def sollya(n: int, digits: int) -> float:
    """Seconds of Sollya's remez for the same step to the same quality, by Sollya's own clock."""
    monomials = ", ".join(f"x^{1 + 2 * j}" for j in range(n + 1))
    bits = 64 + int(3.4 * digits) + 8 * n
    script = (
        f"prec = {bits}!; display = decimal!; "
        f"t = time({{p = remez(1, [|{monomials}|], [1/1000; 1], 1, 1e-{digits});}}); print(t); quit;"
    )
    out = subprocess.run(["sollya"], input=script, capture_output=True, text=True, check=True).stdout
    return float(re.findall(r"[0-9.]+(?:e-?\d+)?", out.strip().splitlines()[-1])[0])


def cold_search() -> None:
    code = "from polydesign.cli import main; main()"
    arguments = ["search", "--degree", "5", "--steps", "6", "-o", "-"]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


def rows() -> dict[str, Callable[[], float]]:
    found: dict[str, Callable[[], float]] = {
        "schedule of six quintics, float64": lambda: clock(
            lambda: Equioscillation().search(Problem(2, (5,) * 6, LOWER))
        ),
        "polydesign search from a cold shell": lambda: clock(cold_search),
    }
    for n in SIZES:
        for digits, name in ((None, "float64"), (40, "40 digits")):
            found[f"one step, n = {n}, {name}"] = lambda n=n, digits=digits: clock(
                lambda: best_approximation(2, n, LOWER, 1.0, digits=digits)
            )
        if shutil.which("sollya"):
            for digits in (12, 40):
                found[f"one step, n = {n}, Sollya to {digits} digits"] = lambda n=n, digits=digits: sollya(
                    n, digits
                )
    return found


@click.command(help=__doc__)
@click.option("--repeats", default=15, show_default=True)
def main(repeats: int) -> None:
    work = rows()
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for name in work:
        work[name]()  # the first call fills caches
    for _ in range(repeats):
        for name, measured in work.items():
            seconds[name].append(measured())
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    width = max(map(len, medians))
    for name, median in medians.items():
        click.echo(f"{name:{width}}  {1e3 * median:9.2f} ms   ({1e3 * min(seconds[name]):.2f} at best)")
    body = {"machine": machine(), "repeats": repeats, "median_ms": {k: 1e3 * v for k, v in medians.items()}}
    write_atomically(OUTPUT, json.dumps(body, indent=2) + "\n")
    click.echo(f"wrote {OUTPUT.relative_to(OUTPUT.parent.parent)}")


if __name__ == "__main__":
    main()

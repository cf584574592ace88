"""Design and certify many random problems, and look for a wrong certificate.

Random roots 1 to 8, 1 to 8 steps of mixed inner degrees 1 to 8, l from 1e-6 to 0.9. For each: the certified
error is compared with 2,000 sampled points of f in extended precision, and with the proved optimum. The
error may exceed the optimum by what rounding the coefficients to float64 explains: step k adds
2⁻⁵³·Σ|c_j|u^(1 + jr) to its own error, and what the steps before have added moves the ends of its interval,
which changes its best error by at most the slope of p at the ends. Nothing in that allowance is tuned.
Writes figures/stress_certificates.json.
"""

from __future__ import annotations

import json
import math
import random
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import click
import numpy as np

from polydesign import Equioscillation, Problem
from polydesign.approximation.certificate import certify, ratio_to_optimum
from polydesign.approximation.scalar import derivative
from polydesign.model import Schedule, horner
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "stress_certificates.json"
POINTS = 2000


def problem(seed: int) -> Problem:
    draw = random.Random(seed)
    root = draw.randint(1, 8)
    degrees = tuple(1 + draw.randint(1, 8) * root for _ in range(draw.randint(1, 8)))
    return Problem(root, degrees, math.exp(draw.uniform(math.log(1e-6), math.log(0.9))))


def allowance(schedule: Schedule) -> float:
    """What rounding the coefficients explains of the error, first order (module docstring)."""
    carried = 0.0
    received = schedule.interval
    for step in schedule.steps:
        slope = derivative(step.coefficients, step.root)
        steepest = max(abs(horner(slope, end**step.root)) for end in received)
        rounding = 2.0**-53 * sum(
            abs(c) * received[1] ** (1 + j * step.root) for j, c in enumerate(step.coefficients)
        )
        carried = steepest * carried + rounding
        received = step.image
    return carried


def sampled(schedule: Schedule) -> tuple[float, float]:
    """Largest |f − 1| on POINTS points in extended precision, and a bound of that arithmetic's rounding."""
    low, high = schedule.interval
    x = np.geomspace(np.longdouble(low), np.longdouble(high), POINTS, dtype=np.longdouble)
    x[0], x[-1] = low, high
    unit = float(np.finfo(np.longdouble).eps)
    noise, values = 0.0, x
    for step in schedule.steps:
        slope = np.abs(horner(derivative(step.coefficients, step.root), values**step.root))
        terms = sum(abs(c) * step.domain[1] ** (1 + j * step.root) for j, c in enumerate(step.coefficients))
        noise = float(np.max(slope)) * noise + (step.degree + 4) * unit * terms
        values = step(values)
    return float(np.max(np.abs(values - 1))), noise


def examine(seed: int) -> dict[str, object]:
    asked = problem(seed)
    start = time.perf_counter()
    try:
        schedule = Equioscillation().search(asked)
        designed = time.perf_counter()
        certificate = certify(schedule)
    except (ArithmeticError, ValueError) as error:
        return {"seed": seed, "crashed": repr(error)}
    seconds = time.perf_counter() - designed
    found, noise = sampled(schedule)
    high = float(certificate.error[1])
    assert certificate.optimum is not None
    best = float(certificate.optimum[0])
    return {
        "seed": seed,
        "wrong": bool(found > high + noise),
        "claim_off": bool(high > 1e-300 and abs(schedule.error - high) > 1e-14 * high),
        "excess": (high - best) / allowance(schedule),
        "ratio": ratio_to_optimum(certificate)[1] if high > 1e-14 else 1.0,
        "seconds": seconds,
        "design_seconds": designed - start,
    }


@click.command(help=__doc__)
@click.option("--count", default=10_000, show_default=True)
@click.option("--first", default=0, show_default=True, help="First seed.")
@click.option("--processes", default=2, show_default=True)
@click.option("--write/--no-write", default=True, help="Write the JSON file.")
def main(count: int, first: int, processes: int, write: bool) -> None:
    seeds = range(first, first + count)
    with ProcessPoolExecutor(processes) as pool:
        every = list(pool.map(examine, seeds, chunksize=20))
    rows = [row for row in every if "crashed" not in row]
    ratios = np.array([row["ratio"] for row in rows], dtype=float) - 1
    excess = np.array([row["excess"] for row in rows], dtype=float)
    seconds = np.array([row["seconds"] for row in rows], dtype=float)
    body = {
        "machine": machine(),
        "problems": count,
        "crashed": [row for row in every if "crashed" in row],
        "certified_wrong": [row["seed"] for row in rows if row["wrong"]],
        "stated_error_off": [row["seed"] for row in rows if row["claim_off"]],
        "beyond_allowance": [row["seed"] for row in rows if float(str(row["excess"])) > 1],
        "excess_over_allowance": {"median": float(np.median(excess)), "max": float(excess.max())},
        "ratio_minus_1_where_error_above_1e-14": {
            f"{q:g} %": float(np.percentile(ratios, q)) for q in (50, 90, 99, 99.9, 100)
        },
        "certify_seconds": {"median": float(np.median(seconds)), "max": float(seconds.max())},
    }
    text = json.dumps(body, indent=1)
    click.echo(text)
    if write:
        write_atomically(OUTPUT, text + "\n")


if __name__ == "__main__":
    main()

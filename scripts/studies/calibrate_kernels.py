"""What depends on the kernels in the rounding models, kernel by kernel: sums, and what a root loses.

SUMS (rounding/direct.py): the relative error of X Xᵀ with equal entries, the worst of many values of the
entry. LOST (rounding/coupled.py): for schedules in float32 whose error rounding decides, the largest
error over matrices, as the LOST that would explain it. Each kernel runs in a process of its own. Writes
`kernels` in figures/rounding_model.json, and prints the page's table.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from machines import MORE, ROWS

import polydesign
from polydesign.model import Plan, Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding import coupled as coupled_noise
from polydesign.rounding import direct as noise
from polydesign.text.files import write_atomically
from polydesign.verification.cases import Setting
from polydesign.verification.machine import machine
from polydesign.verification.operators import choose
from polydesign.verification.roots import lowest_eigenvalue
from polydesign.verification.select import POSITIVE
from polydesign.verification.spectra import sample_positive
from polydesign.verification.sweep import input_share, run, worst_error

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "rounding_model.json"

SIDES = [(rows, terms) for rows in (8, 128) for terms in (16, 32, 64, 96, 128, 192, 256, 384, 512, 768)]
THIN = [(8, 1024), (8, 4096), (128, 1024), (128, 4096)]
"""(m, n) of X; of THIN the model says nothing."""

DRAWN = 400


@dataclass(frozen=True, slots=True)
class Case:
    """A schedule in the coupled form, for matrices of so many rows; asked: how it is designed."""

    root: int
    rows: int
    asked: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"root{self.root}-{self.rows}" + "".join(f"-{key}" for key in self.asked)


SAFER: dict[int, dict[str, Any]] = {
    1: {"image_floor": 0.4},
    2: {"image_floor": 0.4},
    4: {"cushion": (0.35, 0.35, 0)},
}
CASES = [Case(r, rows, asked) for r in (1, 2, 4) for rows in (64, 160) for asked in ({}, SAFER[r])]


def terms_drawn(count: int = DRAWN) -> torch.Tensor:
    """Values of an entry, in [1, 2)."""
    return torch.from_numpy(np.random.default_rng(0).uniform(1, 2, count).astype(np.float32))


def worst_sum(rows: int, terms: int, *, count: int = DRAWN) -> float:
    """The largest relative error of a sum of equal terms in a product of float32, in units of its u."""
    worst = 0.0
    for c in terms_drawn(count).tolist():
        X = torch.full((rows, terms), c, dtype=torch.float32)
        exact = terms * c * c
        worst = max(worst, ((X @ X.mT).double() / exact - 1).abs().max().item())
    return worst / UNIT_ROUNDOFF["float32"]


@cache
def designed(root: int, *asked: tuple[str, Any]) -> Table:
    """Of three steps, whose error in exact arithmetic is far below what rounding leaves."""
    degree, lower = 1 + 8 * root, 1e-4 ** (1 / root)
    return polydesign.design(root=root, degree=degree, steps=3, lower=lower, headroom=1.0001, **dict(asked))


def lost(case: Case, seeds: Iterable[int]) -> float:
    """The LOST with which the model would expect the largest error of these matrices."""
    table = designed(case.root, *case.asked.items())
    _, how = choose(table, "inverse_root", 1)
    lower = lowest_eigenvalue(table.schedule, "float32", case.rows, 1)
    found = 0.0
    for seed in seeds:
        for spectrum in POSITIVE:
            known = sample_positive(spectrum, (case.rows, case.rows), seed=seed, lower=lower)
            setting = Setting(known, table, Plan("float32"), 1, torch.device("cpu"), seed)
            # Rounding P before the first step does the same to every schedule, and is no part of the model.
            ran = run(setting, how), table.schedule
            found = max(found, (worst_error(*ran) or 0.0) - (input_share(*ran) or 0.0))
    # The image of the last step, and LOST times the rest.
    predicted = coupled_noise.predict(table.schedule, "float32", rows=case.rows)
    last = predicted.steps[-1].left
    image = coupled_noise.remaining_error(last, 0.0)
    return coupled_noise.LOST * max(0.0, found - image) / (predicted.error - image)


def measured() -> dict[str, Any]:
    """Of the kernels of this process."""
    sums = {f"{m}x{n}": float(f"{worst_sum(m, n):.3g}") for m, n in SIDES + THIN}
    losses = {case.name: float(f"{lost(case, range(5)):.3g}") for case in CASES}
    return {
        "SUMS": max(sums[f"{m}x{n}"] for m, n in SIDES),
        "LOST": max(losses.values()),
        "sums": sums,
        "lost": losses,
        "aten": torch.backends.cpu.get_cpu_capability(),
    }


def markdown(body: dict[str, Any]) -> str:
    """The page's table."""
    rows = [f"| {one['name']} | {one['SUMS']:.3g} | {one['LOST']:.3g} |" for one in body["rows"]]
    worst = [f"{max(one[key] for one in body['rows']):.3g}" for key in ("SUMS", "LOST")]
    rows.append(f"| none exceeds | {worst[0]} | {worst[1]} |")
    rows.append(f"| the model has | {body['SUMS']:g} | {body['LOST']:g} |")
    return "\n".join(["| kernels | sums of equal terms | lost in a root |", "|---|---:|---:|", *rows])


@click.command(help=__doc__)
@click.option("--here", is_flag=True, help="Measure in this process alone, and print what was found.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=OUTPUT)
def main(here: bool, output: Path) -> None:
    if here:
        click.echo(json.dumps(measured()))
        return
    rows = []
    for row in (*ROWS, *MORE):
        lacking = row.lacking()
        click.echo(f"{row.name}: {lacking or 'measured'}", err=True)
        if lacking:
            continue
        command = [sys.executable, __file__, "--here"]
        done = subprocess.run(command, env=row.variables(), capture_output=True, text=True, check=True)
        rows.append({"name": row.name, "environment": dict(row.environment), **json.loads(done.stdout)})
    body = json.loads(output.read_text("utf-8")) if output.exists() else {}
    constants = {"SUMS": noise.SUMS, "LOST": coupled_noise.LOST}
    body["kernels"] = {"machine": machine(), "torch": torch.__version__, **constants, "rows": rows}
    write_atomically(output, json.dumps(body, indent=1, allow_nan=False) + "\n")
    click.echo(markdown(body["kernels"]))


if __name__ == "__main__":
    main()

"""Products and errors of msign today, and with Plan(normalization="adaptive"), by kind of spectrum.

All are judged on every singular value from 1e-3·‖M‖_F on: by how far uᵀXv is from 1, u and v its singular
vectors, in the precision of the plan, and how many are lost, 0.25 or more beyond what the table promises.
`rho` is what the choice was made by. Where the host chooses, both have the same Plan(error=...); where the
device does, the same table, and what a call costs is timed too. Writes figures/adaptive.json and prints the
tables of docs/running.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch
from torch import Generator, Tensor

from polydesign.model import DTYPES, HALF, InputError, Plan
from polydesign.program.cost import matmuls_of
from polydesign.rounding.trial import LOST
from polydesign.runtime import Sign, msign_with_info
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine
from polydesign.verification.samples import Sample, with_random_factors
from polydesign.verification.spectra import sample
from polydesign.verification.timing import timed_on

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "adaptive.json"
ERRORS = (0.3, 0.1, 0.05, 0.03, 0.01)
LOWER, SEED = 1e-3, 0
SHAPE = (512, 1024)
RANK, NOISE = 8, 0.05
"""Of low rank and noise: so many singular values of 1, the others as of a Gaussian matrix of this size."""

FAMILIES = {
    "fp16, 15": ("float16", 15, None),
    "bf16, 15": ("bfloat16", 15, None),
    "bf16, 16": ("bfloat16", 16, None),
    "fp16, five quintics": ("float16", None, "sign-d5x5-l1e-3-fp16"),
    "bf16, five quintics": ("bfloat16", None, "sign-d5x5-l1e-3-bf16"),
}
"""Heading -> precision, and products or table."""

TIMED = ((128, 128), (1024, 1024))

Maker = Callable[[tuple[int, int], Generator], Sample]


def _named(spectrum: str) -> Maker:
    return lambda shape, generator: sample(spectrum, shape, seed=SEED)


def _power(exponent: float) -> Maker:
    def make(shape: tuple[int, int], generator: Generator) -> Sample:
        sigma = torch.arange(1, min(shape) + 1, dtype=torch.float64) ** -exponent
        return with_random_factors(f"i^-{exponent:g}", shape, sigma[None], generator)

    return make


def _low_rank_and_noise(shape: tuple[int, int], generator: Generator) -> Sample:
    sigma = NOISE * sample("marchenko-pastur:0.5", shape, seed=SEED).sigma[0]
    sigma[:RANK] = 1
    return with_random_factors("low rank + noise", shape, sigma[None], generator)


CLASSES: dict[str, Maker] = {
    "Gaussian": _named("gaussian"),
    "Marchenko-Pastur 1": _named("marchenko-pastur:1"),
    "Marchenko-Pastur 2": _named("marchenko-pastur:0.5"),
    "Marchenko-Pastur 4": _named("marchenko-pastur:0.25"),
    "i^-0.5": _power(0.5),
    "i^-1": _power(1.0),
    "i^-2": _power(2.0),
    "heavy tail": _named("levy"),
    "low rank + noise": _low_rank_and_noise,
    "rank 1": _named("rank1"),
}


def judged(M: Tensor, known: Sample, plan: Plan, table: str | None = None) -> dict[str, Any]:
    """Products, table, the largest error and how many values are lost, of those from LOWER·‖M‖_F on."""
    X, run = msign_with_info(M, table, plan)
    found = ((known.U[0].mT @ X.double()) * known.V[0].mT).sum(dim=-1)
    promised = known.sigma[0] >= LOWER * torch.linalg.vector_norm(known.sigma[0])
    off = (found[promised] - 1).abs()
    error = (1 + float(run.promised)) ** 0.5 - 1
    return {
        "table": run.table,
        "products": run.matmuls,
        "error": float(f"{off.max().item():.3g}"),
        "lost": int((~(off <= error + LOST)).sum()),
        "values": int(promised.sum()),
        "rho": None if run.rho is None else float(f"{run.rho.item():.3g}"),
    }


def offered(dtype: str, error: float) -> bool:
    """Whether there is a choice: tables that reach the error, and others for matrices that allow them."""
    try:
        return bool(Sign(plan=Plan(dtype, error=error, normalization="adaptive")).resolved(dtype).ladder)
    except InputError:
        return False


def rows_of(dtype: str, shape: tuple[int, int]) -> list[dict[str, Any]]:
    """A row a spectrum and error."""
    rows, wanted = [], [error for error in ERRORS if offered(dtype, error)]
    for name, make in CLASSES.items():
        known = make(shape, torch.Generator().manual_seed(SEED))
        M = known.matrix[0].to(getattr(torch, dtype))
        for error in wanted:
            today = judged(M, known, Plan(dtype, error=error))
            adaptive = judged(M, known, Plan(dtype, error=error, normalization="adaptive"))
            rows.append({"spectrum": name, "wanted": error, "today": today, "adaptive": adaptive})
        click.echo(f"ran {name} in {dtype}", err=True)
    return rows


def plans(heading: str, **how: Any) -> dict[str, Plan]:
    """Today, and by index on the device."""
    dtype, products, _ = FAMILIES[heading]
    today = Plan(dtype, matmuls=products, **how)
    return {"today": today, "device": replace(today, normalization="adaptive", choice="device")}


def rows_of_family(heading: str, shape: tuple[int, int]) -> list[dict[str, Any]]:
    """A row a spectrum."""
    dtype, _, table = FAMILIES[heading]
    rows = []
    for name, make in CLASSES.items():
        known = make(shape, torch.Generator().manual_seed(SEED))
        M = known.matrix[0].to(getattr(torch, dtype))
        both = {word: judged(M, known, plan, table) for word, plan in plans(heading).items()}
        assert both["today"]["products"] == both["device"]["products"]
        rows.append({"spectrum": name, **both})
    click.echo(f"ran {heading}", err=True)
    return rows


def cost(heading: str, shape: tuple[int, int], rounds: int) -> dict[str, Any]:
    """Of a call by index over one of the table, timed in turn: the median of their ratios."""
    dtype, _, table = FAMILIES[heading]
    M = torch.randn(shape, generator=torch.Generator().manual_seed(SEED)).to(getattr(torch, dtype))
    row: dict[str, Any] = {"family": heading, "shape": shape}
    for name, check in (("unchecked", False), ("checked", True)):
        both = plans(heading, check=check, float32_side=0)
        calls = {word: partial(Sign(table, plan), M) for word, plan in both.items()}
        found = timed_on(torch.device("cpu"), calls, timer=None, seconds=120, rounds=rounds, seed=0)
        today = found["today"].seconds
        ratio = median(
            spent / today[turn] for turn, spent in found["device"].seconds.items() if turn in today
        )
        row[name] = float(f"{ratio:.3g}")
    return row


def by_index(body: dict[str, Any]) -> str:
    """A row a spectrum: rho, and for each family the measured errors of both."""
    kinds = body["families"]
    lines = [f"|  | rho | {' | '.join(kinds)} |", "|---|---:" + "|---:" * len(kinds) + "|"]
    for number, name in enumerate(CLASSES):
        rows = [rows[number] for rows in kinds.values()]
        cells = [f"{row['today']['error']:.2g} → {row['device']['error']:.2g}" for row in rows]
        lines.append(f"| {name} | {rows[0]['device']['rho']:.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def costs(body: dict[str, Any]) -> str:
    """A row a shape: the time of a call by index over that of the table."""
    head = ["|  | `check=False` | checked |", "|---|---:|---:|"]
    rows = (
        f"| {row['shape'][0]} × {row['shape'][1]} | {row['unchecked']} | {row['checked']} |"
        for row in body["costs"]
    )
    return "\n".join([*head, *rows])


def markdown(body: dict[str, Any]) -> str:
    """The tables, with an empty line between them."""
    return "\n\n".join((ladders(), *map(by_products, body["precisions"]), by_index(body), costs(body)))


def ladders() -> str:
    """A row a precision and error: the least rho for each number of products, and what runs below all."""
    lines = ["| | error | products: least ρ | otherwise |", "|---|---:|---|---:|"]
    for dtype in HALF:
        for error in ERRORS:
            if not offered(dtype, error):
                continue
            how = Sign(plan=Plan(dtype, error=error, normalization="adaptive")).resolved(dtype)
            least: dict[int, float] = {}
            for one in how.ladder:
                least[one.matmuls] = min(one.interval[0] / LOWER, least.get(one.matmuls, math.inf))
            steps = [f"{number}: {math.ceil(100 * rho) / 100:.2f}" for number, rho in sorted(least.items())]
            # A matrix that allows fewer products never gets more.
            fallen = [step for n, step in zip(sorted(least), steps, strict=True) if _pays(least, n)]
            lines.append(f"| {dtype} | {error:g} | {', '.join(fallen)} | {matmuls_of(how.table)} |")
    return "\n".join(lines)


def _pays(least: dict[int, float], number: int) -> bool:
    """Whether no fewer products do from the same rho on."""
    return all(least[number] < rho for fewer, rho in least.items() if fewer < number)


def by_products(precision: dict[str, Any]) -> str:
    """A row a spectrum: rho, and for each error products and measured errors of both."""
    wanted = list(dict.fromkeys(row["wanted"] for row in precision["rows"]))
    head = ["", "rho", *(f"{DTYPES[precision['dtype']]}, {error:g}" for error in wanted)]
    lines = [f"| {' | '.join(head)} |", "|---|---:" + "|---:" * len(wanted) + "|"]
    found = {(row["spectrum"], row["wanted"]): row for row in precision["rows"]}
    for name in dict.fromkeys(name for name, _ in found):
        cells, rho = [], 0.0
        for error in wanted:
            row = found[name, error]
            rho = row["adaptive"]["rho"]
            products = " → ".join(str(row[how]["products"]) for how in ("today", "adaptive"))
            errors = " → ".join(f"{row[how]['error']:.2g}" for how in ("today", "adaptive"))
            cells.append(f"{products} ({errors})")
        lines.append(f"| {name} | {rho:.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option("--small", is_flag=True, help="A small shape: to try the script.")
@click.option("--only", type=click.Choice(("host", "device")), help="Keep what the file has of the other.")
@click.option("-o", "--output", type=Path, default=OUTPUT, help="[default: figures/adaptive.json]")
def main(small: bool, only: str | None, output: Path) -> None:
    torch.set_num_threads(1)
    shape = (40, 64) if small else SHAPE
    body = {"machine": machine(), "torch": torch.__version__, "shape": shape, "seed": SEED}
    if only is not None:
        kept = json.loads(output.read_text("utf-8"))
        body |= {key: kept[key] for key in ("precisions", "families", "costs") if key in kept}
    if only != "device":
        kinds = [dtype for dtype in HALF if any(offered(dtype, error) for error in ERRORS)]
        body["precisions"] = [{"dtype": dtype, "rows": rows_of(dtype, shape)} for dtype in kinds]
    if only != "host":
        body["families"] = {heading: rows_of_family(heading, shape) for heading in FAMILIES}
        sides = [(16, 16)] if small else TIMED
        body["costs"] = [cost("fp16, 15", side, 5 if side[0] > 500 else 51) for side in sides]
    write_atomically(output, json.dumps(body, indent=1) + "\n")
    click.echo(markdown(body))


if __name__ == "__main__":
    main()

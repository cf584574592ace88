"""What the budget search finds, beside published tables and what is possible; in half precision
half_precision.py has it.

exact: certified errors in exact arithmetic. wide: the cheapest schedule for an error at 1024×4096, symmetric
products at half cost, beside quintics in the gram form with one restart. roots: cost against error on the
test of Su's article (kexue.fm 11175), its tables among them. figure: error against products. Writes
figures/budget_targets.json, part by part, figures/error_against_products and root_fronts.
"""

from __future__ import annotations

import importlib.util
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import click
import torch

import polydesign
from polydesign.designer.budget import Budget
from polydesign.model import DTYPES, HALF, InputError, Plan, Table
from polydesign.program.cost import cost, matmuls
from polydesign.rounding.gram import choose_restarts
from polydesign.text.files import write_atomically
from polydesign.verification.cases import Setting
from polydesign.verification.machine import machine
from polydesign.verification.operators import choose
from polydesign.verification.spectra import Sample, sample
from polydesign.verification.sweep import run, worst_error

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "figures" / "budget_targets.json"

TARGETS = {12: 0.3833, 15: 0.01397, 18: 5.4e-7}
"""Errors in exact arithmetic that so many products must reach on [1e-3, 1]."""

FULL = (
    *("gaussian", "logspace:1e-1", "logspace:1e-2", "logspace:1e-3", "harmonic", "clustered", "two-bulks"),
    *("marchenko-pastur:0.25", "marchenko-pastur:1", "levels:0.1", "levy"),
)
LOW = ("rank2", "rankk:4", "rankk:8", "rankk:16", "rankk:32")  # 16 matrices and four times 4
WIDE, SYMMETRIC = (1024, 4096), 0.5
MEASURED = (256, 1024)  # as wide, and small enough to measure many
ERRORS = (0.1, 0.02, 0.005)

FEW = {"levels:0.1": 4, "swept": 4, "rank1": 2}
"""Every so many matrices of a batch are enough here."""


@cache
def known(name: str, shape: tuple[int, int], seed: int) -> Sample:
    full = sample(name, shape, seed=seed)
    few = slice(None, None, FEW.get(name, 1))
    return Sample(name, full.matrix[few], full.U[few], full.sigma[few], full.V[few])


def loaded(path: str) -> Any:
    """A file of this repository as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def described(table: Table) -> dict[str, Any]:
    parameters = table.provenance.parameters
    kept = (
        "headroom",
        "cushion",
        "caution",
        "expected",
        "measured",
        "candidates",
        "form",
        "restarts",
        "cost",
    )
    return {
        "table": table.name,
        "products": matmuls(table.schedule),
        "degrees": table.schedule.degrees,
        "evaluations": [step.evaluation for step in table.schedule.steps],
        "exact_error": table.schedule.error,
    } | {key: parameters[key] for key in kept if key in parameters}


def searched(**keywords: Any) -> tuple[Table, float]:
    """A table of the budget search, and how many seconds it took."""
    begun = time.monotonic()
    table = polydesign.design(**keywords)
    return table, round(time.monotonic() - begun, 1)


def exact() -> list[dict[str, Any]]:
    rows = []
    for products, target in TARGETS.items():
        table, _ = searched(matmuls=products, headroom=1)
        assert table.certificate is not None
        proved = table.certificate.error[1]
        rows.append(described(table) | {"target": target, "proved": proved, "met": float(proved) <= target})
    return rows


def worst(table: Table, dtype: str, shape: Any, seed: int, plan: Plan) -> Any:
    """(The largest |σ − 1| on the range, its spectrum); inf where a result is not finite."""
    how, found = choose(table, None, 1)[1], []
    for name in (*FULL, *LOW):
        matrices = known(name, shape, seed)
        setting = Setting(matrices, table, replace(plan, dtype=dtype), 1, torch.device("cpu"), seed)
        error = worst_error(run(setting, how), table.schedule)
        found.append((math.inf if error is None else error, name))
    return max(found)


@cache
def gram_quintics(
    dtype: str, steps: int, shape: tuple[int, int], seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """So many quintics of this precision in the gram form: with the one restart that is best on matrices, and
    with the restarts that the package chooses."""
    table = polydesign.design(degree=5, steps=steps, dtype=dtype)
    prices = Budget(shape=WIDE, symmetric=SYMMETRIC).prices("gram", dtype)

    def row(restarts: tuple[int, ...]) -> dict[str, Any]:
        plan = Plan(form="gram", restarts=restarts)
        found, where = worst(table, dtype, shape, seed, plan)
        price = cost(table.schedule, prices, form="gram", restarts=restarts)
        return {"table": table.name, "restarts": restarts, "cost": price, "worst": found, "on": where}

    single = (row((restart,)) for restart in range(1, len(table.schedule.steps)))
    return min(single, key=lambda one: one["worst"]), row(choose_restarts(table.schedule, dtype))


def wide(small: bool) -> list[dict[str, Any]]:
    rows, shape = [], (16, 64) if small else MEASURED
    for dtype in HALF:
        for error in ERRORS[: 1 if small else None]:
            row: dict[str, Any] = {"dtype": dtype, "error": error, "measured_at": shape}
            steps = len(polydesign.design(degree=5, error=error, dtype=dtype).schedule.steps)
            row["one_restart"], row["chosen_restarts"] = gram_quintics(dtype, steps, shape, 12)
            rows.append(row)
            try:
                asked = {
                    "error": error,
                    "dtype": dtype,
                    "shape": WIDE,
                    "symmetric": SYMMETRIC,
                    "form": "auto",
                }
                table, row["seconds"] = searched(method="budget", **asked)
            except InputError as refusal:
                row["refused"] = str(refusal)
                continue
            row["ours"] = described(table)
            plan = Plan(form=row["ours"]["form"], restarts=row["ours"].get("restarts"))
            row["ours"]["worst"], row["ours"]["on"] = worst(table, dtype, shape, 12, plan)
            for key in ("one_restart", "chosen_restarts"):
                row[f"{key}_ratio"] = row[key]["cost"] / row["ours"]["cost"]
            click.echo(f"wide {row}")
    return rows


def roots(small: bool, output: Path) -> list[dict[str, Any]]:
    fronts = loaded("scripts/figures/root_fronts.py")
    rows = fronts.roots(small, described)
    fronts.figure(rows, output.parent)
    return rows


def markdown(body: dict[str, Any]) -> tuple[str, str]:
    """The pages' tables: of wide matrices, and of roots."""
    lines = ["| precision, error | schedule | form, restarts | cost | measured | ratio |"]
    lines.append("|---|---|---|---:|---:|---:|")
    for row in body["wide"]["rows"]:
        for key in ("ours", "one_restart", "chosen_restarts"):
            one = row.get(key)
            if one is None:
                continue
            name = f"`{one['table']}`" if key != "ours" else "degrees " + ", ".join(map(str, one["degrees"]))
            form = ", ".join([one.get("form", "gram"), *map(str, one.get("restarts") or ())])
            ratio = format(row[f"{key}_ratio"], ".2f") if f"{key}_ratio" in row else ""
            lines.append(
                f"| {DTYPES[row['dtype']]}, {row['error']} | {name} | {form} | {one['cost']:.4g} | "
                f"{one['worst']:.2g} | {ratio} |"
            )
    return "\n".join(lines), loaded("scripts/figures/root_fronts.py").markdown(body["roots"]["rows"])


PARTS: dict[str, Callable[[bool, Path], Any]] = {
    "exact": lambda small, output: exact(),
    "wide": lambda small, output: wide(small),
    "roots": roots,
}


@click.command(help=__doc__)
@click.option(
    "--part", "parts", multiple=True, type=click.Choice([*PARTS, "figure"]), help="Renew only this."
)
@click.option("--small", is_flag=True, help="Few and small matrices, to see that it runs.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=OUTPUT)
def main(parts: tuple[str, ...], small: bool, output: Path) -> None:
    body: dict[str, Any] = json.loads(output.read_text()) if output.exists() else {}
    for name in parts or (*PARTS, "figure"):
        begun = time.monotonic()
        rows = (
            loaded("scripts/figures/budget_figure.py").figure(small, output.parent)
            if name == "figure"
            else PARTS[name](small, output)
        )
        body[name] = {"machine": machine(), "torch": torch.__version__, "rows": rows}
        click.echo(f"{name}: {time.monotonic() - begun:.0f} s")
        write_atomically(output, json.dumps(body, indent=1) + "\n")
    if {"wide", "roots"} <= body.keys():
        click.echo("\n\n".join(markdown(body)))


if __name__ == "__main__":
    main()

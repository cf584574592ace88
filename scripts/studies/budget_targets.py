"""What the budget search finds, beside hand-made schedules, published tables and what is possible.

exact: certified errors in exact arithmetic. prototypes: the hand-made schedules of tests/data and ours,
measured on the same matrices, of other seeds than the search's. wide: the cheapest schedule for an error at
1024×4096, symmetric products at half cost, beside quintics in the gram form with one restart. roots: cost
against error on the test of Su's article (kexue.fm 11175), its tables among them. figure: error against
products. Writes figures/budget_targets.json, part by part, figures/error_against_products and root_fronts.
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
from polydesign.model import DTYPES, InputError, Plan, Table
from polydesign.program.cost import cost, matmuls
from polydesign.rounding.gram import choose_restarts
from polydesign.rounding.trial import AGREEING, random_trial
from polydesign.text.files import write_atomically
from polydesign.verification.cases import Setting
from polydesign.verification.machine import machine
from polydesign.verification.operators import choose
from polydesign.verification.spectra import Sample, sample
from polydesign.verification.sweep import measure, run, worst_error

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "figures" / "budget_targets.json"

TARGETS = {12: 0.3833, 15: 0.01397, 18: 5.4e-7}
"""Errors in exact arithmetic that so many products must reach on [1e-3, 1]."""

FULL = (
    *("gaussian", "logspace:1e-1", "logspace:1e-2", "logspace:1e-3", "harmonic", "clustered", "two-bulks"),
    *("marchenko-pastur:0.25", "marchenko-pastur:1", "levels:0.1", "levy"),
)
LOW = ("rank2", "rankk:4", "rankk:8", "rankk:16", "rankk:32")  # 16 matrices and four times 4
FAMILIES = {"full": FULL, "low": LOW, "swept": ("swept",), "rank1": ("rank1",)}
"""The two families of the targets; a pair swept in full rank, and blocks of equal entries, show more."""

SHAPES = (((512, 1024), 11), ((256, 256), 12))
"""Shapes and seeds; the search measures with seed 0."""
BUDGETS = {"bfloat16": (12, 15, 16, 18), "float16": (15, 16)}

MANY, OTHER = 1_000_000, 1000
"""Members of families whose roundings agree, and a seed such that the search has seen none of them."""

WIDE, HALF = (1024, 4096), 0.5
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


def worst(table: Table, dtype: str, families: tuple[str, ...], shape: Any, seed: int, plan: Plan) -> Any:
    """(The largest |σ − 1| on the range, its spectrum); inf where a result is not finite."""
    how, found = choose(table, None, 1)[1], []
    for name in (name for family in families for name in FAMILIES[family]):
        matrices = known(name, shape, seed)
        setting = Setting(matrices, table, replace(plan, dtype=dtype), 1, torch.device("cpu"), seed)
        error = worst_error(run(setting, how), table.schedule)
        found.append((math.inf if error is None else error, name))
    return max(found)


def input_share(table: Table, dtype: str, family: str, shape: tuple[int, int], seed: int) -> float:
    """What rounding the input alone leaves, whatever the table."""
    runs = (measure(table, dtype=dtype, matrix=known(name, shape, seed)) for name in FAMILIES[family])
    return max(run.input_share or 0.0 for run in runs)


def prototypes(small: bool) -> list[dict[str, Any]]:
    hand = loaded("tests/tables.py")
    by_hand = [entry["name"] for entry in hand.prototypes()]
    shapes = (((32, 64), 11),) if small else SHAPES
    rows: list[dict[str, Any]] = []
    for dtype, budgets in BUDGETS.items():
        entries: list[tuple[str, Table, float | None]] = [
            (name, hand.prototype(name, "chebyshev"), None) for name in by_hand
        ]
        for budget in budgets[: 1 if small else None]:
            table, seconds = searched(matmuls=budget, dtype=dtype)
            entries.append((f"search --matmuls {budget} --dtype {DTYPES[dtype]}", table, seconds))
        rows.append({"name": "rounding of the input alone", "dtype": dtype})
        for shape, seed in shapes:
            share = {family: input_share(entries[0][1], dtype, family, shape, seed) for family in FAMILIES}
            rows[-1]["x".join(map(str, shape))] = share
        for name, table, seconds in entries:
            row: dict[str, Any] = {"name": name, "dtype": dtype, "seconds": seconds} | described(table)
            for shape, seed in shapes:
                row["x".join(map(str, shape))] = {
                    family: worst(table, dtype, (family,), shape, seed, Plan()) for family in FAMILIES
                }
            count = 1000 if small else MANY
            trials = [random_trial(table.schedule, dtype, family, count, seed=OTHER) for family in AGREEING]
            row["lost"] = max(one.lost / one.tried for one in trials)
            rows.append(row)
            click.echo(f"{dtype} {name} {row['degrees']}: {list(row.values())[-len(shapes) :]}")
    return rows


@cache
def gram_quintics(
    dtype: str, steps: int, shape: tuple[int, int], seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """So many quintics of this precision in the gram form: with the one restart that is best on matrices, and
    with the restarts that the package chooses."""
    table = polydesign.design(degree=5, steps=steps, dtype=dtype)
    prices = Budget(shape=WIDE, symmetric=HALF).prices("gram", dtype)

    def row(restarts: tuple[int, ...]) -> dict[str, Any]:
        plan = Plan(form="gram", restarts=restarts)
        found, where = worst(table, dtype, ("full", "low"), shape, seed, plan)
        price = cost(table.schedule, prices, form="gram", restarts=restarts)
        return {"table": table.name, "restarts": restarts, "cost": price, "worst": found, "on": where}

    single = (row((restart,)) for restart in range(1, len(table.schedule.steps)))
    return min(single, key=lambda one: one["worst"]), row(choose_restarts(table.schedule, dtype))


def wide(small: bool) -> list[dict[str, Any]]:
    rows, shape = [], (16, 64) if small else MEASURED
    for dtype in BUDGETS:
        for error in ERRORS[: 1 if small else None]:
            row: dict[str, Any] = {"dtype": dtype, "error": error, "measured_at": shape}
            steps = len(polydesign.design(degree=5, error=error, dtype=dtype).schedule.steps)
            row["one_restart"], row["chosen_restarts"] = gram_quintics(dtype, steps, shape, 12)
            rows.append(row)
            try:
                asked = {"error": error, "dtype": dtype, "shape": WIDE, "symmetric": HALF, "form": "auto"}
                table, row["seconds"] = searched(method="budget", **asked)
            except InputError as refusal:
                row["refused"] = str(refusal)
                continue
            row["ours"] = described(table)
            plan = Plan(form=row["ours"]["form"], restarts=row["ours"].get("restarts"))
            row["ours"]["worst"], row["ours"]["on"] = worst(table, dtype, ("full", "low"), shape, 12, plan)
            for key in ("one_restart", "chosen_restarts"):
                row[f"{key}_ratio"] = row[key]["cost"] / row["ours"]["cost"]
            click.echo(f"wide {row}")
    return rows


def roots(small: bool, output: Path) -> list[dict[str, Any]]:
    fronts = loaded("scripts/figures/root_fronts.py")
    rows = fronts.roots(small, described)
    fronts.figure(rows, output.parent)
    return rows


def markdown(body: dict[str, Any]) -> tuple[str, str, str]:
    """The pages' tables: of the prototypes at the first shape, of wide matrices, and of roots."""
    shape = "x".join(map(str, SHAPES[0][0]))
    lines = ["| schedule | precision | products | degrees | full rank | low rank | swept | rank 1 | lost |"]
    lines.append("|---|---|---:|---|---:|---:|---:|---:|---:|")
    for row in body["prototypes"]["rows"]:
        found = row[shape]
        cells = [found[f][0] if isinstance(found[f], (list, tuple)) else found[f] for f in FAMILIES]
        text = " | ".join("not finite" if math.isinf(c) else f"{c:.3g}" for c in cells)
        degrees = ", ".join(map(str, row.get("degrees", ())))
        name = f"`{row['name']}`" if row["name"].startswith("search") else row["name"]
        gone = f"{row['lost']:.1g}" if "lost" in row else ""
        lines.append(
            f"| {name} | {DTYPES[row['dtype']]} | {row.get('products', '')} | {degrees} | {text} | {gone} |"
        )
    first = "\n".join(lines)
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
    return first, "\n".join(lines), loaded("scripts/figures/root_fronts.py").markdown(body["roots"]["rows"])


PARTS: dict[str, Callable[[bool, Path], Any]] = {
    "exact": lambda small, output: exact(),
    "prototypes": lambda small, output: prototypes(small),
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
            loaded("scripts/figures/budget_figure.py").figure(small, body, output.parent)
            if name == "figure"
            else PARTS[name](small, output)
        )
        body[name] = {"machine": machine(), "torch": torch.__version__, "rows": rows}
        click.echo(f"{name}: {time.monotonic() - begun:.0f} s")
        write_atomically(output, json.dumps(body, indent=1) + "\n")
    if {"prototypes", "wide", "roots"} <= body.keys():
        click.echo("\n\n".join(markdown(body)))


if __name__ == "__main__":
    main()

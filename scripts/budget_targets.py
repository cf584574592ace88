"""What the budget search finds, beside hand-made schedules, published tables and what is possible.

exact: certified errors in exact arithmetic. prototypes: the hand-made schedules of tests/data and ours,
measured on the same matrices, of other seeds than the search's. wide: the cheapest schedule for an error at
1024×4096, symmetric products at half cost, beside quintics in the gram form with one restart. roots: cost
against error on the test of Su's article (kexue.fm 11175), its tables among them. figure: error against
products. Writes figures/budget_targets.json, part by part, and figures/error_against_products.
"""

from __future__ import annotations

import importlib.util
import json
import math
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import click
import torch

import polydesign
from polydesign.designer import published_table
from polydesign.evaluation.cost import matmuls
from polydesign.files import write_atomically
from polydesign.model import DTYPES, InputError, Plan, Table
from polydesign.spending import Spending
from polydesign.verify.machine import machine
from polydesign.verify.spectra import Sample, sample
from polydesign.verify.sweep import measure

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "figures" / "budget_targets.json"
FIGURE = "error_against_products"

TARGETS = {12: 0.3833, 15: 0.01397, 18: 5.4e-7}
"""Errors in exact arithmetic that so many products must reach on [1e-3, 1]."""

FULL = (
    *("gaussian", "logspace:1e-1", "logspace:1e-2", "logspace:1e-3", "harmonic", "clustered", "two-bulks"),
    *("marchenko-pastur:0.25", "marchenko-pastur:1", "levels:0.1", "levy"),
)
LOW = ("rank2", "rankk:4", "rankk:8", "rankk:16", "rankk:32")  # 16 matrices and four times 4
FAMILIES = {"full": FULL, "low": LOW, "swept": ("swept",), "rank1": ("rank1",)}
"""The two families of the targets; and what shows more: full rank with a pair swept, blocks of equal entries."""

SHAPES = (((512, 1024), 11), ((256, 256), 12))
"""Shapes and seeds; the search measures with seed 0."""
BUDGETS = {"bfloat16": (12, 15, 16, 18), "float16": (15, 16)}

WIDE, HALF = (1024, 4096), 0.5
ERRORS = (0.1, 0.02, 0.005)
WIDE_SPECTRA = ("gaussian", "logspace:1e-2", "rankk:32", "levels:0.1")

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


def worst(table: Table, dtype: str, family: str, shape: tuple[int, int], seed: int) -> dict[str, Any]:
    """The largest |σ − 1| on the range, where, and the largest that rounding the input alone leaves."""
    runs = [measure(table, dtype=dtype, matrix=known(name, shape, seed)) for name in FAMILIES[family]]
    first = max(runs, key=lambda run: math.inf if run.worst is None else run.worst)
    share = max((run.input_share or 0.0 for run in runs), default=0.0)
    return {"worst": first.worst, "spectrum": first.spectrum, "input_share": share}


def prototypes(small: bool) -> list[dict[str, Any]]:
    hand = loaded("tests/tables.py")
    names = [entry["name"] for entry in hand.prototypes()]
    rows = []
    for dtype, budgets in BUDGETS.items():
        entries = [(name, hand.prototype(name, "chebyshev"), None) for name in names]
        for budget in budgets[: 1 if small else None]:
            table, seconds = searched(matmuls=budget, dtype=dtype)
            entries.append((f"search --matmuls {budget} --dtype {DTYPES[dtype]}", table, seconds))
        for name, table, seconds in entries:
            row: dict[str, Any] = {"name": name, "dtype": dtype, "seconds": seconds} | described(table)
            for shape, seed in (((32, 64), 11),) if small else SHAPES:
                row["x".join(map(str, shape))] = {
                    family: worst(table, dtype, family, shape, seed) for family in FAMILIES
                }
            rows.append(row)
            click.echo(f"{dtype} {name} {row['products']} {row['degrees']}: {list(row.items())[-2:]}")
    return rows


PARTS: dict[str, Callable[[bool], Any]] = {
    "exact": lambda small: exact(),
    "prototypes": prototypes,
}


@click.command(help=__doc__)
@click.option("--part", "parts", multiple=True, type=click.Choice(list(PARTS)), help="Renew only this.")
@click.option("--small", is_flag=True, help="Few and small matrices, to see that it runs.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=OUTPUT)
def main(parts: tuple[str, ...], small: bool, output: Path) -> None:
    body: dict[str, Any] = json.loads(output.read_text()) if output.exists() else {}
    for name in parts or PARTS:
        begun = time.monotonic()
        found = PARTS[name](small)
        body[name] = {"machine": machine(), "torch": torch.__version__, "rows": found}
        click.echo(f"{name}: {time.monotonic() - begun:.0f} s")
        write_atomically(output, json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()

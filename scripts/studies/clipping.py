"""Singular value clipping on the published test (kexue.fm 11059), by every formula, beside what rounding
costs.

M = U Σ Vᵀ is 4096 × 1024, Σ 128 values from 1 to 1000 and 896 from 0 to 1, evenly spaced, clipped to [−1, 1].
First the four published formulas with the published table (four steps of Polar Express, 1.01 folded into all
rows) in bfloat16; then the floor of each precision, M rounded to it and clipped exactly; then ours: the same
formulas with the package's tables, the composed formula as it runs by default, and longer clip tables up to
36 products in all. Writes figures/clipping.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

import polydesign
from polydesign.approximation.scalar import schedule_from
from polydesign.model import DTYPES, Provenance, Table
from polydesign.runtime import Plan, spectral_clip_with_info
from polydesign.table.published import published
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine
from polydesign.verification.metrics import clipped, spectral

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "clipping.json"
FULL, SMALL = ((4096, 1024), 128), ((96, 32), 4)
REPORTED = {
    "nested": (711, 21.8),
    "unnested": (258, 10.7),
    "cancelling": (1.76, 0.327),
    "block": (12.75, 0.710),
}
"""Spectral norm and mean error of the singular values, as published (and reproduced before, to these
digits)."""

HALVES, LOWER = ("bfloat16", "float16"), 5e-4
MOST = 36


def matrix(shape: tuple[int, int], large: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """U, σ, V and M, in float64."""
    m, n = shape
    generator = torch.Generator().manual_seed(seed)
    U, V = (
        torch.linalg.qr(torch.randn((side, n), generator=generator, dtype=torch.float64)).Q for side in (m, n)
    )
    parts = (torch.linspace(1, 1000, large), torch.linspace(0, 1, n - large))
    sigma = torch.cat(parts).double()
    return U, sigma, V, (U * sigma) @ V.mT


def four_steps() -> Table:
    """The published table, as its author ran it."""
    rows = published("polar_express_deg5").rows[:4]
    folded = [tuple(c / 1.01 ** (1 + 2 * j) for j, c in enumerate(row)) for row in rows]
    schedule = schedule_from(2, folded, (1e-3, 1.0))
    return Table(
        "polar-express-4-folded-1.01", schedule, Provenance("0", "published", {}, source="kexue.fm 11059")
    )


def judged(X: Tensor, U: Tensor, sigma: Tensor, V: Tensor) -> dict[str, float | None]:
    """Spectral norm, mean error of the singular values and of the entries; None where X is not finite."""
    names = ("spectral_norm", "sigma_error", "entry_error")
    if not torch.isfinite(X).all():
        return dict.fromkeys(names)
    target = clipped(sigma, -1.0, 1.0)
    # By the Gram matrix in float64, ten times faster: good to 1e-8 of the largest.
    found = torch.linalg.eigvalsh(X.double().mT @ X.double()).clamp(min=0).sqrt().flip(-1)
    off = (found - target.sort(descending=True).values).abs().mean()
    entries = (X.double() - (U * target) @ V.mT).abs().mean()
    return dict(zip(names, (found[0].item(), off.item(), entries.item()), strict=True))


def runs(small: bool) -> Iterator[tuple[str, str, str, Table | None, Plan]]:
    """kind, precision, formula, table, plan."""
    for formula in REPORTED:
        yield "published", "bfloat16", formula, four_steps(), Plan(dtype="bfloat16")
    for dtype in (*HALVES, "float32"):
        for formula in ("nested", "cancelling"):
            yield (
                "same formula, four steps in this precision",
                dtype,
                formula,
                four_steps(),
                Plan(dtype=dtype),
            )
            for products in (15, 20):
                plan = Plan(dtype=dtype, matmuls=products, normalization="schatten8")
                yield "same formula, our tables", dtype, formula, None, plan
        yield "default", dtype, "composed", None, Plan(dtype=dtype)
        degree, counts = (9, (4, 5, 6, 7, 8)) if dtype == "bfloat16" else (17, (3, 4, 5, 6))
        for steps in counts[: 1 if small else None]:
            table = polydesign.design(method="clip", degree=degree, steps=steps, lower=LOWER, dtype=dtype)
            yield "composed, by length", dtype, "composed", table, Plan(dtype=dtype)


def markdown(body: dict[str, Any]) -> str:
    """The table of docs/matrix_sign.md."""
    lines = [
        "| precision | formula | table | products | largest value | error |",
        "|---|---|---|---:|---:|---:|",
    ]
    for dtype, floor in body["floors"].items():
        shown = [row for row in body["runs"] if row["dtype"] == dtype]
        chosen = [row for row in shown if row["kind"] in ("published", "default")] + [body["best"][dtype]]
        lines += [
            f"| {DTYPES[dtype]} | {row['formula']} | {row['table']} | {row['matmuls']} | "
            f"{row['spectral_norm']:.4g} | {row['sigma_error']:.3g} |"
            for row in chosen
        ]
        lines.append(f"| {DTYPES[dtype]} | rounding M, then exactly | | | 1 | {floor['sigma_error']:.3g} |")
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option("--small", is_flag=True, help="A tiny matrix, to see that everything runs: other figures.")
@click.option("-o", "output", type=click.Path(path_type=Path), default=OUTPUT, show_default=False)
def main(small: bool, output: Path) -> None:
    shape, large = SMALL if small else FULL
    U, sigma, V, M = matrix(shape, large)
    floors, rows = {}, []
    for dtype in (*HALVES, "float32"):
        rounded = M.to(getattr(torch, dtype))
        floors[dtype] = judged(spectral(rounded, lambda s: clipped(s, -1.0, 1.0)), U, sigma, V)
        click.echo(f"{dtype}: floor {floors[dtype]}")
    for kind, dtype, formula, table, plan in runs(small):
        # As a user has it: M in float32 or, as published, in the state's own dtype.
        given = M.to(getattr(torch, dtype) if kind == "published" else torch.float32)
        X, info = spectral_clip_with_info(
            given, table=table, plan=replace(plan, check="input"), formula=formula
        )
        row: dict[str, Any] = {
            "kind": kind,
            "dtype": dtype,
            "formula": formula,
            "table": info.table or f"msign's for {plan.matmuls} products",
            "matmuls": info.matmuls,
            **judged(X, U, sigma, V),
        }
        if kind == "published" and not small:
            row["reported"] = REPORTED[formula]
        rows.append(row)
        click.echo("  ".join(map(str, row.values())))
    inside = [row for row in rows if row["matmuls"] <= MOST and row["sigma_error"] is not None]
    best = {
        dtype: min((row for row in inside if row["dtype"] == dtype), key=lambda row: row["sigma_error"])
        for dtype in floors
    }
    body = {
        "machine": machine(),
        "torch": torch.__version__,
        "shape": shape,
        "large": large,
        "floors": floors,
        "best": best,
        "runs": rows,
    }
    write_atomically(output, json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()

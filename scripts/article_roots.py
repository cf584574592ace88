"""The test of Su's article on r-th roots (kexue.fm 11175): mean absolute error of G P^(−1/r), r = 4.

G is 2d × d and x is d × d, both N(0, 1)/√d, P = x xᵀ + 0.001 I, d = 1000, no damping; the reference is a
float64 eigendecomposition. The published table beside one of ours. Writes figures/article_roots.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import torch

import polydesign
from polydesign.designer import published_table
from polydesign.evaluation.cost import matmuls
from polydesign.files import write_atomically
from polydesign.runtime import Plan, matmul_inverse_root
from polydesign.verify.machine import machine

OUTPUT = Path(__file__).resolve().parent.parent / "figures" / "article_roots.json"
ROOT = 4
OURS = {"root": ROOT, "degree": 17, "steps": 3, "lower": 0.0683, "dtype": "float32"}


def mean_error(
    table: polydesign.Table, G: torch.Tensor, P: torch.Tensor, exact: torch.Tensor, dtype: str
) -> float:
    found = matmul_inverse_root(G.float(), P.float(), ROOT, table=table, plan=Plan(dtype=dtype))
    return (found.double() - exact).abs().mean().item()


@click.command(help=__doc__)
@click.option("--size", default=1000, show_default=True)
def main(size: int) -> None:
    rows = []
    for seed in (0, 1):
        generator = torch.Generator().manual_seed(seed)
        x, G = (
            torch.randn((k * size, size), generator=generator, dtype=torch.float64) / size**0.5
            for k in (1, 2)
        )
        P = x @ x.mT + 0.001 * torch.eye(size, dtype=torch.float64)
        eigenvalues, V = torch.linalg.eigh(P)
        exact = G @ (V * eigenvalues ** (-1 / ROOT)) @ V.mT
        for table in (published_table("su_root_r4"), polydesign.design(**OURS)):
            for dtype in ("float32", "bfloat16"):
                row = {
                    "seed": seed,
                    "table": table.name,
                    "matmuls": matmuls(table.schedule),
                    "dtype": dtype,
                    "mean_absolute_error": mean_error(table, G, P, exact, dtype),
                }
                rows.append(row)
                click.echo("  ".join(map(str, row.values())))
    body = {"machine": machine(), "torch": torch.__version__, "size": size, "runs": rows}
    write_atomically(OUTPUT, json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()

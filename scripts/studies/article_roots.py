"""The test of Su's article on r-th roots (kexue.fm 11175): mean absolute error of G P^(−1/r), r = 4 and 2.

G is 2d × d and x is d × d, both N(0, 1)/√d, P = x xᵀ + 0.001 I, d = 1000, no damping; the reference is a
float64 eigendecomposition. The published tables beside ours, which are designed down to the smallest
eigenvalue; and the share that nothing can undo: the exact root of P/‖P‖_F rounded to the state's precision.
Writes figures/article_roots.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import torch

import polydesign
from polydesign.designer.design import published_table
from polydesign.program.cost import matmuls
from polydesign.runtime import Plan, matmul_inverse_root
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "article_roots.json"
LOWEST = 2.2e-5  # smallest eigenvalue of P over ‖P‖_F, a little below what either seed gives
OURS = {
    4: {"degree": 17, "steps": 3, "dtype": "bfloat16"},
    2: {"degree": 9, "steps": 4, "dtype": "bfloat16"},
}


def exact_product(G: torch.Tensor, P: torch.Tensor, root: int) -> torch.Tensor:
    eigenvalues, V = torch.linalg.eigh(P)
    # Rounding may have made the smallest negative; LOWEST of the largest is where the tables begin.
    eigenvalues = eigenvalues.clamp(min=LOWEST * eigenvalues.square().sum().sqrt())
    return G @ (V * eigenvalues ** (-1 / root)) @ V.mT


def from_rounded(G: torch.Tensor, P: torch.Tensor, root: int, dtype: str) -> torch.Tensor:
    """G P^(−1/r) in float64 for P as the iteration gets it."""
    norm = torch.linalg.matrix_norm(P)
    return exact_product(G, (P / norm).to(getattr(torch, dtype)).double(), root) * norm ** (-1 / root)


@click.command(help=__doc__)
@click.option("--size", default=1000, show_default=True)
def main(size: int) -> None:
    tables = [
        (root, table)
        for root, keywords in OURS.items()
        for table in (
            published_table(f"su_root_r{root}"),
            polydesign.design(root=root, lower=round(LOWEST ** (1 / root), 4), **keywords),
        )
    ]
    rows = []
    for seed in (0, 1):
        generator = torch.Generator().manual_seed(seed)
        x, G = (
            torch.randn((k * size, size), generator=generator, dtype=torch.float64) / size**0.5
            for k in (1, 2)
        )
        P = x @ x.mT + 0.001 * torch.eye(size, dtype=torch.float64)
        exact = {root: exact_product(G, P, root) for root in OURS}
        share = {
            (root, dtype): (from_rounded(G, P, root, dtype) - exact[root]).abs().mean().item()
            for root in OURS
            for dtype in ("float32", "bfloat16")
        }
        for root, table in tables:
            for dtype in ("float32", "bfloat16"):
                found = matmul_inverse_root(G.float(), P.float(), root, table=table, plan=Plan(dtype=dtype))
                row = {
                    "seed": seed,
                    "root": root,
                    "table": table.name,
                    "matmuls": matmuls(table.schedule, form="coupled"),
                    "dtype": dtype,
                    "mean_absolute_error": (found.double() - exact[root]).abs().mean().item(),
                    "share_of_rounding_P": share[root, dtype],
                }
                rows.append(row)
                click.echo("  ".join(map(str, row.values())))
    body = {"machine": machine(), "torch": torch.__version__, "size": size, "runs": rows}
    write_atomically(OUTPUT, json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Sylvester and Riccati equations by matrix signs beside scipy's, and what refinement gives back.

sylvester: A of side 30 and B of side 20, positive eigenvalues log-spaced over κ, non-normal. riccati: the
equations of the CAREX collection (tests/carex.py) with default parameters. precision: one Sylvester equation
with its sign in each precision. Residuals are relative to the sum of the norms of the terms. Writes
figures/equations.json and prints docs/matrix_sign.md's tables.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import click
import numpy as np
import scipy.linalg
import torch

from polydesign.model import DTYPES, InputError, Plan
from polydesign.runtime import riccati_with_info, sylvester_with_info
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "figures" / "equations.json"
CONDITIONS = (1e1, 1e2, 1e3, 1e4, 1e5, 1e6)
NUMBERS = range(1, 21)
REFINED = (0, 1, 2, 4)
SEED = 0


def non_normal(n: int, condition: float, seed: int) -> np.ndarray:
    """V diag(λ) V⁻¹, λ log-spaced from 1/κ to 1, V = I + half of a random matrix of norm 1."""
    N = np.random.default_rng(seed).standard_normal((n, n))
    V = np.eye(n) + N / (2 * np.linalg.norm(N, 2))
    return V @ np.diag(np.geomspace(1 / condition, 1, n)) @ np.linalg.inv(V)


def left(*terms: np.ndarray) -> float:
    """‖Σ terms‖_F over the sum of their norms."""
    return float(np.linalg.norm(sum(terms)) / sum(np.linalg.norm(term) for term in terms))


def sylvester_rows(sides: tuple[int, int]) -> list[dict[str, Any]]:
    rows = []
    for condition in CONDITIONS:
        A, B = (non_normal(n, condition, SEED + k) for k, n in enumerate(sides))
        C = np.random.default_rng(SEED + 2).standard_normal(sides)
        a, b, c = map(torch.as_tensor, (A, B, C))
        X, info = sylvester_with_info(a, b, c, refine=2)
        found = {"ours": X.numpy(), "scipy": scipy.linalg.solve_sylvester(A, B, C)}
        rows.append(
            {"condition": condition, "table": info.table, "products": info.matmuls}
            | {name: left(A @ Y, Y @ B, -C) for name, Y in found.items()}
        )
    return rows


def riccati_rows(numbers: Any) -> list[dict[str, Any]]:
    carex: Any = runpy.run_path(str(ROOT / "tests" / "carex.py"))
    rows: list[dict[str, Any]] = []
    for number in numbers:
        equation = carex["WRITTEN"].get(number) or carex["in_file"](number)
        if equation is None:  # this scipy comes without its tests
            continue
        A, B, Q, R = equation
        G = B @ np.linalg.solve(R, B.T)
        G, Q = (G + G.T) / 2, (Q + Q.T) / 2
        row: dict[str, Any] = {"number": number, "side": len(A)}
        X = scipy.linalg.solve_continuous_are(A, B, Q, R)
        row["scipy"] = left(A.T @ X, X @ A, -X @ G @ X, Q)
        try:
            a, g, q = map(torch.as_tensor, (A, G, Q))
            found, info = riccati_with_info(a, g, q, refine=2)
        except InputError as problem:
            rows.append(row | {"refused": str(problem)})
            continue
        X = found.numpy()
        rows.append(
            row | {"table": info.table, "products": info.matmuls, "ours": left(A.T @ X, X @ A, -X @ G @ X, Q)}
        )
    return rows


def precision_rows(side: int) -> list[dict[str, Any]]:
    A, B = (non_normal(side, 100, SEED + k) for k in (0, 1))
    C = np.random.default_rng(SEED + 2).standard_normal((side, side))
    rows = []
    for dtype in ("float32", "float16", "bfloat16"):
        row: dict[str, Any] = {"dtype": dtype, "side": side}
        for refine in REFINED:
            a, b, c = map(torch.as_tensor, (A, B, C))
            X, _ = sylvester_with_info(a, b, c, plan=Plan(dtype=dtype), refine=refine)
            row[str(refine)] = left(A @ X.numpy(), X.numpy() @ B, -C)
        rows.append(row)
    return rows


def markdown(body: dict[str, Any]) -> str:
    """The tables of docs/matrix_sign.md."""
    lines = ["| κ | residual | scipy's | products |", "|---:|---:|---:|---:|"]
    lines += [
        f"| {row['condition']:.0e} | {row['ours']:.1e} | {row['scipy']:.1e} | {row['products']} |"
        for row in body["sylvester"]
    ]
    lines += [
        "",
        f"With sides of {body['precision'][0]['side']}, κ = 100 and the sign in lower precision:",
        "",
    ]
    lines += ["| the sign in | " + " | ".join(f"refine={r}" for r in REFINED) + " |"]
    lines.append("|---|" + "---:|" * len(REFINED))
    lines += [
        f"| {DTYPES[row['dtype']]} | " + " | ".join(f"{row[str(r)]:.1e}" for r in REFINED) + " |"
        for row in body["precision"]
    ]
    solved = [row for row in body["riccati"] if "ours" in row]
    refused = ", ".join(str(row["number"]) for row in body["riccati"] if "refused" in row)
    worst = max(solved, key=lambda row: row["ours"])
    other = max(solved, key=lambda row: row["scipy"])
    lines += [
        "",
        f"Of {len(body['riccati'])} Riccati equations of the CAREX collection (Benner, Laub, Mehrmann, 1995) "
        f"{len(solved)} are",
        f"solved, with two steps of Newton's method after the sign, to residuals of at most "
        f"{worst['ours']:.1e} (number {worst['number']});",
        f"scipy's reach {other['scipy']:.1e} on these (number {other['number']}). Refused: {refused}, with "
        "eigenvalues on or",
        "near the imaginary axis, or more than 80° off the real one.",
    ]
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option("--small", is_flag=True, help="A few small equations, to see that it runs.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=OUTPUT)
def main(small: bool, output: Path) -> None:
    body = {
        "machine": machine(),
        "torch": torch.__version__,
        "sylvester": sylvester_rows((6, 4) if small else (30, 20)),
        "riccati": riccati_rows((1, 2, 11) if small else NUMBERS),
        "precision": precision_rows(4 if small else 10),
    }
    write_atomically(output, json.dumps(body, indent=1) + "\n")
    click.echo(markdown(body))


if __name__ == "__main__":
    main()

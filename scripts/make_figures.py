"""Rebuild figures/ from the shipped tables and fresh measurements, and print the pages' table of errors.

Measurements are taken here and now, on the CPU; figures/measured.json says on what machine and when.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import click

import polydesign
from polydesign.evaluation.cost import matmuls
from polydesign.files import write_atomically
from polydesign.model import DTYPES, Measurement, Table
from polydesign.report.figures import comparison_figure, save_figure, schedule_figure
from polydesign.verify.machine import machine
from polydesign.verify.spectra import DEFAULT_SPECTRA
from polydesign.verify.sweep import measure

FIGURES = Path(__file__).resolve().parent.parent / "figures"
SHAPE = (512, 1024)

RUNS = [
    ("sign-d5x5-l1e-3-bf16", "bfloat16"),
    ("sign-d5x6-l1e-3-bf16", "bfloat16"),
    ("sign-d5x5-l1e-3-fp16", "float16"),
    ("sign-d5x6-l1e-3-fp16", "float16"),
    ("sign-d9x4-l1e-3-h1.015-f0.12x3-0", "bfloat16"),
    ("sign-d17x3-l1e-3-h1.005-f0.1x2-0", "float16"),
    ("sign-d9x4-l1e-3-h1.005-f0.06x3-0", "float16"),
    ("sign-d5x7-l1e-3-fp32", "float32"),
    ("sign-d5x8-l1e-3-fp64", "float64"),
    # Negative controls: the optimum has no room for rounding; terms are too large for bfloat16 in powers of
    # A from degree 9 on, and in Chebyshev polynomials at degree 17.
    ("sign-d5x6-l1e-3", "bfloat16"),
    ("sign-d9x4-l1e-3-h1.015-f0.12x3-0-monomial", "bfloat16"),
    ("sign-d17x3-l1e-3-h1.05x2-1.03-f0.2x2-0", "bfloat16"),
]
NOT_SHIPPED = [
    polydesign.design(
        degree=9, steps=4, headroom=1.015, image_floor=(0.12, 0.12, 0.12, 0), evaluation="monomial"
    ),
    polydesign.design(degree=17, steps=3, headroom=(1.05, 1.05, 1.03), image_floor=(0.2, 0.2, 0)),
]


def table_of(name: str) -> Table:
    return next((table for table in NOT_SHIPPED if table.name == name), None) or polydesign.load(name)


def measured() -> list[Measurement]:
    found = []
    for name, dtype in RUNS:
        table = table_of(name)
        for spectrum in DEFAULT_SPECTRA:
            found.append(measure(table, shape=SHAPE, dtype=dtype, spectrum=spectrum, seed=0, device="cpu"))
            click.echo(f"measured {name} in {dtype} on {spectrum}", err=True)
    return found


def markdown(found: list[Measurement]) -> str:
    """The pages' table: a row a table and precision, a column a spectrum."""
    head = "| table | products | precision | promised | " + " | ".join(DEFAULT_SPECTRA) + " | |"
    lines = [head, "|---|---:|---|" + "---:|" * (len(DEFAULT_SPECTRA) + 1) + "---|"]
    for name, dtype in RUNS:
        rows = [m for m in found if (m.table, m.dtype) == (name, dtype)]
        cells = ["not finite" if m.worst is None else f"{m.worst:.3g}" for m in rows]
        verdict = "holds" if all(m.holds for m in rows) else "**fails**"
        lines.append(
            f"| `{name}` | {matmuls(table_of(name).schedule)} | {DTYPES[dtype]} | "
            f"{rows[0].promised:.3g} | {' | '.join(cells)} | {verdict} |"
        )
    return "\n".join(lines)


@click.command(help=__doc__)
def main() -> None:
    found = measured()
    body = {"machine": machine(), "measurements": [asdict(replace(m, map=None)) for m in found]}
    write_atomically(FIGURES / "measured.json", json.dumps(body, indent=1, allow_nan=False) + "\n")
    name = "sign-d5x6-l1e-3-bf16"
    mine = [m for m in found if m.table == name]
    save_figure(schedule_figure(polydesign.load(name), mine), FIGURES / f"{name}.png")
    save_figure(schedule_figure(polydesign.load("sign-d5x6-l1e-3")), FIGURES / "sign-d5x6-l1e-3.svg")
    five = [polydesign.load(f"sign-d5x5-l1e-3{precision}") for precision in ("", "-fp16", "-bf16")]
    save_figure(comparison_figure(five), FIGURES / "five-quintics.png")
    click.echo(markdown(found))


if __name__ == "__main__":
    main()

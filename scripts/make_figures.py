"""Rebuild figures/ from the shipped tables and fresh measurements, and print README's table of errors.

Measurements are taken here and now, on the CPU; figures/measured.json says on what machine and when.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import click

import polydesign
from polydesign.files import write_atomically
from polydesign.model import DTYPES, Measurement
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
    ("sign-d5x7-l1e-3-fp32", "float32"),
    ("sign-d5x8-l1e-3-fp64", "float64"),
    ("sign-d5x6-l1e-3", "bfloat16"),  # the negative control: the optimum has no room for rounding
]


def measured() -> list[Measurement]:
    found = []
    for name, dtype in RUNS:
        table = polydesign.load(name)
        for spectrum in DEFAULT_SPECTRA:
            found.append(measure(table, shape=SHAPE, dtype=dtype, spectrum=spectrum, seed=0, device="cpu"))
            click.echo(f"measured {name} in {dtype} on {spectrum}", err=True)
    return found


def markdown(found: list[Measurement]) -> str:
    """README's table: a row a table and precision, a column a spectrum."""
    head = "| table | precision | promised | " + " | ".join(DEFAULT_SPECTRA) + " | |"
    lines = [head, "|---|---|" + "---:|" * (len(DEFAULT_SPECTRA) + 1) + "---|"]
    for name, dtype in RUNS:
        rows = [m for m in found if (m.table, m.dtype) == (name, dtype)]
        cells = ["not finite" if m.worst is None else f"{m.worst:.3g}" for m in rows]
        verdict = "holds" if all(m.holds for m in rows) else "**fails**"
        lines.append(
            f"| `{name}` | {DTYPES[dtype]} | {rows[0].promised:.3g} | {' | '.join(cells)} | {verdict} |"
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

"""Rebuild figures/: every picture that the pages show, and the pages' table of errors.

python scripts/make_figures.py               all of them
python scripts/make_figures.py --only NAME   some of them, by the name of the file without its suffix
python scripts/make_figures.py --check       write nothing; exit 1 where a picture differs from the file

Pictures of what takes long to measure are drawn from the .json files beside them, and DATA names the script
that measures those. What is measured here and now, on the CPU, is `measured` with the pages' table, the
points in the picture of one table, and matrix_sign; figures/measured.json says on what machine and when.
"""

from __future__ import annotations

import json
import runpy
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import click

import polydesign
from polydesign.drawing.figures import comparison_figure, save_figure, schedule_figure
from polydesign.model import DTYPES, Measurement, Table
from polydesign.program.cost import matmuls
from polydesign.table.catalogue import catalogue
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine
from polydesign.verification.spectra import DEFAULT_SPECTRA
from polydesign.verification.sweep import measure

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


@cache
def not_shipped() -> dict[str, Table]:
    """The last two of RUNS."""
    powers = polydesign.design(
        degree=9, steps=4, headroom=1.015, image_floor=(0.12, 0.12, 0.12, 0), evaluation="monomial"
    )
    high = polydesign.design(degree=17, steps=3, headroom=(1.05, 1.05, 1.03), image_floor=(0.2, 0.2, 0))
    return {table.name: table for table in (powers, high)}


def table_of(name: str) -> Table:
    return polydesign.load(name) if name in catalogue() else not_shipped()[name]


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


def error_table(folder: Path) -> None:
    found = measured()
    body = {"machine": machine(), "measurements": [asdict(replace(m, map=None)) for m in found]}
    write_atomically(folder / "measured.json", json.dumps(body, indent=1, allow_nan=False) + "\n")
    click.echo(markdown(found))


def six_quintics_measured(folder: Path) -> None:
    name = "sign-d5x6-l1e-3-bf16"
    table = polydesign.load(name)
    found = [measure(table, shape=SHAPE, dtype="bfloat16", spectrum=s, seed=0) for s in DEFAULT_SPECTRA]
    save_figure(schedule_figure(table, found), folder / f"{name}.png")


def six_quintics(folder: Path) -> None:
    save_figure(schedule_figure(polydesign.load("sign-d5x6-l1e-3")), folder / "sign-d5x6-l1e-3.svg")


def five_quintics(folder: Path) -> None:
    five = [polydesign.load(f"sign-d5x5-l1e-3{precision}") for precision in ("", "-fp16", "-bf16")]
    save_figure(comparison_figure(five), folder / "five-quintics.png")


def error_against_products(folder: Path) -> None:
    script("budget_figure")["figure"](False, folder)


def half_precision(folder: Path) -> None:
    script("half_precision_figure")["figure"](data("half_precision"), folder)


def does_it_matter(folder: Path) -> None:
    script("matter_figure")["figure"](data("does_it_matter"), folder)


def root_fronts(folder: Path) -> None:
    script("root_fronts")["figure"](data("budget_targets")["roots"]["rows"], folder)


def rounding_model(folder: Path) -> None:
    points = script("calibrate_rounding")["points"](data("rounding_model"))
    save_figure(script("scatter")["prediction_figure"](points), folder / "rounding_model.png")


def matrix_sign(folder: Path) -> None:
    script("matrix_sign")["main"].callback(small=False, output=folder / "matrix_sign.png")


def sharded_scaling(folder: Path) -> None:
    script("layouts_figure")["figure"](data("sharded_scaling"), folder)


def explorer(folder: Path) -> None:
    script("explorer_picture")["main"].callback(output=folder / "explorer.png")


MAKERS: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "measured": (error_table, (".json",)),
    "sign-d5x6-l1e-3-bf16": (six_quintics_measured, (".png",)),
    "sign-d5x6-l1e-3": (six_quintics, (".svg",)),
    "five-quintics": (five_quintics, (".png",)),
    "error_against_products": (error_against_products, (".png", ".svg")),
    "half_precision": (half_precision, (".png", ".svg")),
    "does_it_matter": (does_it_matter, (".png",)),
    "root_fronts": (root_fronts, (".png", ".svg")),
    "rounding_model": (rounding_model, (".png",)),
    "matrix_sign": (matrix_sign, (".png",)),
    "sharded_scaling": (sharded_scaling, (".png",)),
    "explorer": (explorer, (".png",)),
}
"""Name -> what writes its files into a folder, and their suffixes."""

DATA = {
    "adam_targets": "adam_targets",
    "adaptive": "adaptive",
    "article_roots": "article_roots",
    "bench_operators": "bench_operators",
    "bench_solver": "bench_solver",
    "bilinear_step": "bilinear_step",
    "budget_targets": "budget_targets",
    "certificates": "certify_all",
    "clipping": "clipping",
    "derivative_memory": "derivative_memory",
    "dither": "dither",
    "does_it_matter": "does_it_matter",
    "does_it_matter_again": "does_it_matter",
    "equations": "solve_equations",
    "explorer_latency": "explorer_latency",
    "gram_restarts": "gram_restarts",
    "guard_cost": "guard_cost",
    "half_precision": "half_precision",
    "input_rounding": "input_rounding",
    "muon_step": "muon_step",
    "reachable": "reachable",
    "rounding_model": "calibrate_rounding",
    "sharded_scaling": "sharded_scaling",
    "small_state": "small_state",
    "smaller_norm": "smaller_norm",
    "silent_faults": "silent_faults",
    "spectral_powers": "spectral_powers",
    "split_roots": "split_roots",
    "stress_certificates": "stress_certificates",
    "stress_defaults": "stress_defaults",
    "triangular_cost": "triangular_cost",
}
"""Every other .json of figures/ -> the script that measures it, in minutes or hours."""


def script(name: str) -> dict[str, Any]:
    """What a script defines."""
    return runpy.run_path(str(next(Path(__file__).parent.rglob(f"{name}.py"))))


def data(name: str) -> Any:
    return json.loads((FIGURES / f"{name}.json").read_text("utf-8"))


def differing(name: str, folder: Path) -> list[str]:
    """The pictures of this name that are not those in figures/; a .json has a date, and is not compared."""
    pictures = [f"{name}{suffix}" for suffix in MAKERS[name][1] if suffix != ".json"]
    same = {p: (FIGURES / p).is_file() and (FIGURES / p).read_bytes() for p in pictures}
    return [picture for picture in pictures if (folder / picture).read_bytes() != same[picture]]


@click.command(help=__doc__)
@click.option("--only", multiple=True, type=click.Choice(list(MAKERS)), help="Of these names alone.")
@click.option("--check", is_flag=True, help="Compare only.")
def main(only: tuple[str, ...], check: bool) -> None:
    found = []
    with tempfile.TemporaryDirectory() as empty:
        for name in only or MAKERS:
            if check and MAKERS[name][1] == (".json",):
                continue
            folder = Path(empty) if check else FIGURES
            MAKERS[name][0](folder)
            found += differing(name, folder) if check else []
            click.echo(f"{'drew' if check else 'wrote'} {name}", err=True)
    for picture in found:
        click.echo(f"differs: {picture}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()

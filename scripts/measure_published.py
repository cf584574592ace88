"""Measure the published schedules: store what verify finds in coeffs/published/, as verify --write does.

Half and single precision, small matrices: some 4 s a table. Roots and inverses run as such.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

import polydesign
from polydesign.model import Measurement
from polydesign.table import save
from polydesign.verify.sweep import measure

FOLDER = Path(__file__).resolve().parent.parent / "coeffs" / "published"
DTYPES = ("bfloat16", "float16", "float32")
SPECTRA = ("gaussian", "logspace:1e-2", "rank1", "rank2")
"""Of msign: harmonic of verify's defaults tells nothing beside these."""

POSITIVE = ("gaussian", "logspace:1e-2", "swept")
INVERSES = ("su_root_r2", "su_root_r2_full_precision", "cans_invsqrt_10", "cans_invsqrt_10_folded_nvidia")
"""Of root 2, and meant for P^(-1/2), not for the polar factor."""


@click.command(help=__doc__)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--shape", nargs=2, type=int, default=(256, 512), show_default=True)
def main(names: tuple[str, ...], shape: tuple[int, int]) -> None:
    paths = [FOLDER / f"{name}.json" for name in names] or sorted(FOLDER.glob("*.json"))
    for path in paths:
        table = polydesign.load(path)
        root = table.schedule.root
        inverse = root != 2 or table.name in INVERSES
        # What verify takes for this root, where it is not the polar factor.
        operator = ("inverse" if root == 1 else "inverse_root") if inverse else "msign"
        found = [
            replace(measure(table, dtype=dtype, spectrum=spectrum, shape=shape, operator=operator), map=None)
            for dtype in DTYPES
            for spectrum in (POSITIVE if inverse else SPECTRA)
        ]
        save(replace(table, measured=tuple(found)), path, force=True)
        worst = (f"{dtype} {_worst([m for m in found if m.dtype == dtype])}" for dtype in DTYPES)
        click.echo(f"{table.name}: {', '.join(worst)}")


def _worst(found: list[Measurement]) -> str:
    errors = [m.worst for m in found if m.worst is not None]
    return f"{max(errors):.4g}" if len(errors) == len(found) else "not finite"


if __name__ == "__main__":
    main()

"""Measure the tables of coeffs/: store what verify finds in their files, as verify --write does.

In half and single precision, and in the one that a table was made for, on small matrices: some 4 s a table.
Published schemes that are no powers of A run in double precision too.
Roots and inverses run as such, and so do FOR_ROOTS; clip tables as clipping, in their own precision.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

import polydesign
from polydesign.model import Measurement, Table
from polydesign.table import save
from polydesign.table.published import names as published_names
from polydesign.table.published import published
from polydesign.verification.operators import DEFAULT_OPERATORS
from polydesign.verification.sweep import measure

FOLDER = Path(__file__).resolve().parent.parent / "coeffs"
DTYPES = ("bfloat16", "float16", "float32")
SPECTRA = ("gaussian", "logspace:1e-2", "rank1", "rank2")
"""Of msign: harmonic of verify's defaults tells nothing beside these."""

FOR_ROOTS = ("sign-d5x7-l0.01-fp32", "sign-d5x6-l0.01-bf16")
"""Tables of signs that inverse_root took by default before there were tables for it."""

POSITIVE = ("gaussian", "logspace:1e-2", "swept")


def dtypes_of(table: Table, operator: str) -> list[str]:
    """The precisions that it is measured in, its own first."""
    own = (table.dtype,) if table.dtype else ()
    if table.name in published_names() and published(table.name).scheme:
        return [*DTYPES, "float64"]
    return list(own if operator == "spectral_clip" else dict.fromkeys((*own, *DTYPES)))


@click.command(help=__doc__)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--shape", nargs=2, type=int, default=(256, 512), show_default=True)
def main(names: tuple[str, ...], shape: tuple[int, int]) -> None:
    known = {path.stem: path for path in sorted(FOLDER.rglob("*.json"))}
    for name in names or known:
        table = polydesign.load(known[name])
        for_roots = table.name in FOR_ROOTS
        operator = (
            "inverse_root" if for_roots and table.purpose == "sign" else DEFAULT_OPERATORS[table.purpose]
        )
        spectra = SPECTRA if operator in ("msign", "spectral_clip") else POSITIVE
        found = [
            replace(measure(table, dtype=dtype, spectrum=spectrum, shape=shape, operator=operator), map=None)
            for dtype in dtypes_of(table, operator)
            for spectrum in spectra
        ]
        save(replace(table, measured=tuple(found)), known[name], force=True)
        dtypes = dict.fromkeys(m.dtype for m in found)
        worst = (f"{dtype} {_worst([m for m in found if m.dtype == dtype])}" for dtype in dtypes)
        click.echo(f"{table.name}: {', '.join(worst)}")


def _worst(found: list[Measurement]) -> str:
    errors = [m.worst for m in found if m.worst is not None]
    return f"{max(errors):.4g}" if len(errors) == len(found) else "not finite"


if __name__ == "__main__":
    main()

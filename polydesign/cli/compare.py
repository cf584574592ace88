"""polydesign compare: tables on equal terms."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import click

import polydesign
from polydesign.cli.given import given
from polydesign.cli.measure import Shape
from polydesign.cli.progress import progress
from polydesign.cli.strategies import NumberList
from polydesign.model import InputError


@click.command(short_help="Compare tables: error, cost, room, and how far from the best.")
@click.argument("tables", metavar="FILE_OR_NAME...", nargs=-1, required=True)
@click.option(
    "--lower",
    type=NumberList(float),
    default="1e-3,1e-2,1e-1",
    show_default=True,
    help="Lower ends of the common intervals, in units of the upper end; the first gives the order.",
)
@click.option("--measure", is_flag=True, help="Measure bf16, fp16 and fp32 now, on the same matrices.")
@click.option("--shape", type=Shape(), default="256x512", show_default=True, help="Of these matrices.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, or auto: cuda where there is.")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of the matrices."
)
@click.option("--csv", "csv_file", metavar="FILE", help="Write every figure as CSV.")
@click.option(
    "-o",
    "--output",
    metavar="FILE|FOLDER/",
    help="Draw maps, and error against products: PNG or SVG.  [in a folder: comparison.png]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def compare(
    tables: tuple[str, ...],
    csv_file: str | None,
    output: str | None,
    as_json: bool,
    quiet: bool,
    **how: Any,
) -> None:
    """Compare tables of one root, ours and published ones, on equal terms.

    The order is by excess: the products of a table, less those that the best schedule in exact arithmetic
    needs for the same error on the first interval (in between whole products, on the front's curve). So it
    is the order of cost-equalized errors, and it has a value for every table: one whose error is no better
    than doing nothing is all excess. Errors are proved, for singular values, or eigenvalues^(1/r), from
    LOWER times the upper end of the table's interval up to that end. Root 2 counts products of the direct
    form, other roots of the coupled one.

    Measured errors are those stored in the tables (marked s: on each table's own interval) or, with
    --measure, fresh ones: all tables on the same matrices, judged from the first lower end on.

    \b
    Examples:
      polydesign compare sign-d5x5-l1e-3-bf16 polar_express_deg5 jordan_5
      polydesign compare mine.json jordan_5 --lower 1e-4,1e-3 --measure
      polydesign compare sign-m15-l1e-3-bf16 cans_quintic_5 --csv c.csv -o c.svg
    """
    from polydesign.reporting.tables import text
    from polydesign.text.files import check_place, place, write_atomically

    output = output and str(place(output, "comparison.png"))
    if output:
        from polydesign.drawing import SUFFIXES

        if Path(output).suffix.lower() not in SUFFIXES:  # before minutes are spent
            raise InputError("output", f"{output!r} is no picture: end its name in {' or '.join(SUFFIXES)}")
    for file in (csv_file, output):
        if file:
            check_place(Path(file))
    loaded = [given(table) for table in tables]
    with progress(quiet=quiet or as_json or not how["measure"]) as advance:
        found = polydesign.compare(loaded, progress=advance, **how)
    if csv_file:
        write_atomically(Path(csv_file), found.to_csv())
    if output:
        from polydesign.drawing import save_figure

        save_figure(found.figure(), output)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2, allow_nan=False))
    elif not quiet:
        click.echo(text(found.rows, shutil.get_terminal_size().columns if sys.stdout.isatty() else None))
        for path in (csv_file, output):
            if path:
                click.echo(f"wrote {path}")

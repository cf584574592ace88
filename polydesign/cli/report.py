"""polydesign report: a page that explains tables, for the browser and as Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import polydesign
from polydesign.cli.given import given
from polydesign.cli.measure import Shape
from polydesign.cli.progress import progress
from polydesign.cli.strategies import NumberList


@click.command(short_help="Write a page that explains tables: HTML and Markdown.")
@click.argument("tables", metavar="FILE_OR_NAME...", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FOLDER", required=True, help="Where index.html and report.md go.")
@click.option(
    "--measured",
    metavar="FILE",
    multiple=True,
    help="Measurements that polydesign verify --save wrote; may be repeated.",
)
@click.option("--measure", is_flag=True, help="Measure bf16, fp16 and fp32 now, after every step too.")
@click.option("--shape", type=Shape(), default="256x512", show_default=True, help="Of these matrices.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, or auto: cuda where there is.")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of the matrices."
)
@click.option(
    "--lower",
    type=NumberList(float),
    default="1e-3,1e-2,1e-1",
    show_default=True,
    help="Lower ends of the intervals that the tables are compared on; see polydesign compare.",
)
@click.option("--force", is_flag=True, help="Write into a folder that holds other files.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def report(tables: tuple[str, ...], output: str, quiet: bool, **how: Any) -> None:
    """Write a page about tables, ours and published ones: what each promises and proves, its map, the error
    of each step, what rounding makes of it, where it comes from and the list to paste; all of them compared.

    FOLDER/index.html stands alone: styles, figures and the script of its copy buttons are inside, and it
    fetches nothing.
    FOLDER/report.md is the same for GitHub, with its figures in FOLDER/figures. A report may replace an
    earlier one; a folder with other files is refused. Nothing is written where a table cannot be read.

    \b
    Examples:
      polydesign report sign-d5x6-l1e-3-bf16 -o page
      polydesign report sign-m15-l1e-3-bf16 polar_express_deg5 jordan_5 --measure -o page
      polydesign verify sign-d5x6-l1e-3-bf16 --steps --save m.json
      polydesign report sign-d5x6-l1e-3-bf16 --measured m.json -o page
    """
    from polydesign.reporting.folder import PAGE, TEXT

    loaded = [given(table) for table in tables]
    with progress(quiet=quiet or not how["measure"]) as advance:
        polydesign.report(loaded, output, progress=advance, **how)
    if not quiet:
        for name in (PAGE, TEXT):
            click.echo(f"wrote {Path(output, name)}")

"""polydesign import: a list in somebody's source file, written as a table."""

from __future__ import annotations

from typing import Any

import click

import polydesign
from polydesign.identification.source_files import source_file
from polydesign.model import NORMALIZATIONS, PURPOSES, InputError


@click.command("import", short_help="Write a list in a source file as a table, certified.")
@click.argument("source", metavar="FILE")
@click.option("--list", "which", metavar="NAME", help="Of several lists in the file, the one called so.")
@click.option(
    "--root", type=click.IntRange(1), help="Of the list.  [default: the known table's that it is, else 2]"
)
@click.option(
    "--purpose", type=click.Choice(tuple(PURPOSES)), help="What it is for.  [default: by table, or by root]"
)
@click.option(
    "--lower",
    type=click.FloatRange(0, min_open=True),
    help="l of the interval [l, u] of the proof.  [default: 1e-3; roots: the known table's, or 0.1]",
)
@click.option("--upper", type=float, default=1.0, show_default=True, help="u of the interval [l, u].")
@click.option("--steps", type=click.IntRange(1, 200), help="How often one row runs.  [default: as published]")
@click.option(
    "--layout",
    help="How the numbers are meant: steps, columns, descending or powers-of-x.  [default: steps]",
)
@click.option(
    "--normalization",
    type=click.Choice(NORMALIZATIONS),
    default="frobenius",
    show_default=True,
    help="What the input is divided by when it runs.",
)
@click.option("--name", help="Of the table.  [default: the file's, with the list's]")
@click.option(
    "-o", "--output", metavar="FILE|FOLDER/", help="- for standard output.  [default: coeffs/NAME.json]"
)
@click.option("--force", is_flag=True, help="Replace a file that is different.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def import_(source: str, output: str | None, force: bool, quiet: bool, **how: Any) -> None:
    """Write a table from a list of coefficients in a source file. Nothing in the file is run.

    It takes what identify reads, and FILE:NAME for one of several lists. The table is certified, and says
    from which file and line it is, and the file's sha256. Where the list could be meant in another way, what
    each way comes to is said, and nothing is written until an option decides.

    \b
    Examples:
      polydesign import muon.py -o mine.json
      polydesign import optimizer.py --list NS_COEFFS --lower 1e-2
      polydesign import shampoo.py --root 4 --lower 0.1
    """
    from polydesign.identification.imported import taken  # mpmath and flint
    from polydesign.table import dumps, save
    from polydesign.text.files import place

    path, named = source_file(source)
    if path is None:
        polydesign.load(source)  # or says that there is none
        raise InputError("FILE", f"{source} is a table already: polydesign show {source}")
    table = polydesign.import_table(path, **{**how, "which": how["which"] or named})
    if not quiet:
        click.echo(f"Note: {taken(table)}", err=True)
    if output == "-":
        click.echo(dumps(table), nl=False)
        return
    where = place(output or "coeffs/", f"{table.name}.json")
    written = save(table, where, force=force)
    if not quiet:
        click.echo(_told(table))
        click.echo(f"wrote {where}" if written else f"{where} holds this table already; left as it is")


def _told(table: Any) -> str:
    from polydesign.exporters.target import standings, stated_error
    from polydesign.program.cost import matmuls_of

    low, high = table.schedule.interval
    lines = [
        f"{table.name}: root {table.schedule.root}, {len(table.schedule.steps)} steps, "
        f"{matmuls_of(table)} matrix products, for {table.purpose}",
        f"error     max |f(x) - 1| <= {stated_error(table, 9)} on [{low:g}, {high:g}], proved",
    ]
    return "\n".join([*lines, *(f"half      {line}" for line in standings(table))])

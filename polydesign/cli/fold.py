"""polydesign fold, unfold: a safety factor into the rows of a table, or out of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

import polydesign
from polydesign.cli.given import list_option, table_given

if TYPE_CHECKING:
    from polydesign.model import Table

WHICH = ("all", "all-but-last", "first")


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--quiet", is_flag=True, help="Print nothing but errors."),
        click.option("--force", is_flag=True, help="Replace a file that is different."),
        click.option("--name", help="Of the new table.  [default: made from the old one's]"),
        click.option(
            "-o",
            "--output",
            metavar="FILE|FOLDER/",
            help="- for standard output.  [default: coeffs/NAME.json]",
        ),
        click.option(
            "--rows",
            "which",
            type=click.Choice(WHICH),
            default="all",
            show_default=True,
            help="Which hold it.",
        ),
        click.option("--factor", type=float, required=True, help="Such as 1.01."),
        list_option,
        click.argument("table", metavar="FILE_OR_NAME"),
    ):
        command = option(command)
    return command


@click.command(short_help="Fold a safety factor into a table's rows.")
@_options
def fold(
    table: str, list_name: str | None, factor: float, which: str, name: str | None, **where: Any
) -> None:
    """Write the table whose steps are p(x/factor): coefficients divided by factor, factor^(1+r), ….

    It makes room above u: with all rows for every step, with all-but-last as in the listing of Polar Express
    (the last row then keeps its fixed point 1), with first for the input alone, which is the same as dividing
    the input by the factor. The new table is certified: its error is that of the new map.

    \b
    Example:
      polydesign fold polar_express_deg5 --factor 1.01 --rows all-but-last
    """
    old = table_given(table, list_name)
    _write(old, polydesign.fold(old, factor, which, name=name), **where)


@click.command(short_help="Take a safety factor out of a table's rows.")
@_options
def unfold(
    table: str, list_name: str | None, factor: float, which: str, name: str | None, **where: Any
) -> None:
    """Write the table whose steps are p(x·factor): what fold with this factor and these rows has made.

    \b
    Example:
      polydesign unfold polar_express_gram_ns_1.05 --factor 1.05 -o plain.json
    """
    old = table_given(table, list_name)
    _write(old, polydesign.unfold(old, factor, which, name=name), **where)


def _write(old: Table, new: Table, output: str | None, force: bool, quiet: bool) -> None:
    from polydesign.table import dumps, save
    from polydesign.text.files import place

    if output == "-":
        click.echo(dumps(new), nl=False)
        return
    path = place(output or "coeffs/", f"{new.name}.json")
    written = save(new, path, force=force)
    if not quiet:
        click.echo(_told(old, new))
        click.echo(f"wrote {path}" if written else f"{path} holds this table already; left as it is")


def _told(old: Table, new: Table) -> str:
    low, high = new.schedule.interval
    lines = [f"{new.name}: on [{low:g}, {high:g}]", "           before            after"]
    for words, of in (
        ("error", lambda table: f"{table.schedule.error:.6g}"),
        ("image", lambda table: "[{:.4g}, {:.4g}]".format(*table.schedule.steps[-1].image)),
        ("safe edge", _edge),
    ):
        lines.append(f"{words:10} {of(old):17} {of(new)}")
    return "\n".join(lines)


def _edge(table: Table) -> str:
    from decimal import ROUND_FLOOR

    from polydesign.text.digits import in_digits

    certificate = table.certificate
    if certificate is None or certificate.basin_edge is None:
        return "none"
    return in_digits(certificate.basin_edge[0], 7, ROUND_FLOOR)

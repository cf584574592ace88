"""polydesign certify: what a table does, proved from its coefficients."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from decimal import ROUND_FLOOR
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import click

import polydesign
from polydesign.cli.given import given, list_option
from polydesign.text.digits import in_digits

if TYPE_CHECKING:
    from polydesign.model import Certificate, Table


@click.command(short_help="Prove what a table does, from its coefficients alone.")
@click.argument("table", metavar="FILE_OR_NAME")
@list_option
@click.option("--write", is_flag=True, help="Add the certificate to the table's file, or renew it.")
@click.option("--json", "as_json", is_flag=True, help="Print the certificate as JSON.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.pass_context
def certify(
    ctx: click.Context, table: str, list_name: str | None, write: bool, as_json: bool, quiet: bool
) -> None:
    """Prove a table's error, how far it is from the best possible, and how much room there is above u.

    Everything is recomputed from the coefficients and compared with what the file states. Exit code 1 where
    a statement does not follow from them; the message names it. With --write the certificate of the file is
    left out of the comparison and renewed.

    \b
    Examples:
      polydesign certify sign-d5x6-l1e-3-bf16
      polydesign certify coeffs/mine.json --write
    """
    from polydesign.model import ClaimError, InputError
    from polydesign.table.catalogue import find

    taken = given(table, list_name)
    if write and not isinstance(taken, str):
        raise InputError("write", f"{table} is no table's file: write one, polydesign import {table}")
    file = find(taken) if isinstance(taken, str) else Path(table)
    try:
        fresh = polydesign.certify(file if isinstance(taken, str) else taken, renew=write)
    except ClaimError as problem:  # its field names the file
        click.echo(f"FAILED {problem}", err=True)
        ctx.exit(1)
    found = polydesign.load(file, proving=False) if isinstance(taken, str) else taken  # certify has proved it
    if write:
        polydesign.save(replace(found, certificate=fresh), file, force=True)
    if as_json:
        click.echo(json.dumps({k: v for k, v in asdict(fresh).items() if v is not None}, indent=2))
    elif not quiet:
        click.echo(_proof(found, fresh, renewed=write))
        if write:
            click.echo(f"wrote {file}")


def _proof(table: Table, fresh: Certificate, *, renewed: bool) -> str:
    from polydesign.approximation.certificate import ratio_to_optimum

    low, high = table.schedule.interval
    assert fresh.optimum is not None
    stated = table.certificate
    ratio = ratio_to_optimum(fresh)[1]
    against = f"{ratio:.12g}{_price(table)}" if isfinite(ratio) else "not known: the optimum is too small"
    lines = [
        f"{table.name}: proved for every x in [{low:g}, {high:g}], in exact arithmetic",
        f"error       max |f(x) - 1| in [{fresh.error[0]}, {fresh.error[1]}]",
        f"optimum     for these degrees in [{fresh.optimum[0]}, {fresh.optimum[1]}]",
        f"ratio       {against}",
        f"safe edge   {_bracket(fresh.safe_edge)}: so far above u the error stays, and every step in (0, 2)",
        f"basin edge  {_bracket(fresh.basin_edge)}: so far every step stays in (0, 2)",
    ]
    if stated is None:
        lines.append("The file has no certificate yet; --write adds this one.")
    elif stated.kind == "sampled":
        lines.append("The file's certificate is sampled; --write replaces it by this one.")
    elif renewed and stated != fresh:
        lines.append("The file stated something else, and has this certificate now.")
    else:
        lines.append("What the file states follows from its coefficients.")
    return "\n".join(lines)


def _price(table: Table) -> str:
    if table.provenance.source is not None:
        return ": the price of this table's rounding, folding or cushion"
    where = table.provenance.parameters.get("round", "float64")
    return f": the price of headroom and cushion, and of rounding the coefficients to {where}"


def _bracket(bracket: tuple[str, str] | None) -> str:
    return "none" if bracket is None else in_digits(bracket[0], 10, ROUND_FLOOR)

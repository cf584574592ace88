"""polydesign list: the tables that names resolve to, in groups."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

import polydesign

if TYPE_CHECKING:
    from polydesign.table import Entry


@click.command("list", short_help="List the tables that names resolve to.")
@click.option("--root", type=click.IntRange(1), help="Only those of this root.")
@click.option("--degree", type=click.IntRange(2), help="Only those whose highest degree this is.")
@click.option("--dtype", help="Only those that were designed for this precision.")
@click.option("--published", is_flag=True, help="Only the literature's.")
@click.option("--own", is_flag=True, help="Only those of this package's own design.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one list, with the group of each.")
def list_tables(as_json: bool, **which: Any) -> None:
    """List the tables that come with the package, ours and the literature's, and those of ./coeffs.

    \b
    Examples:
      polydesign list --own --dtype bf16
      polydesign list --published --root 2 --degree 5
    """
    found = polydesign.tables(**which)
    if as_json:
        click.echo(json.dumps([_as_json(one) for one in found], indent=2))
    elif found:
        _print(found)
    else:
        click.echo("no such tables yet: polydesign search --degree 5 --steps 6 makes one")


def _as_json(one: Entry) -> dict[str, Any]:
    from polydesign.table.listing import group

    words = ("name", "purpose", "root", "degrees", "interval", "dtype", "form", "matmuls", "error")
    return {word: getattr(one, word) for word in words} | {"group": group(one), "from": _place(one)}


def _place(one: Entry) -> str:
    return "package" if one.shipped else str(one.path.parent)


def _print(found: list[Entry]) -> None:
    from polydesign.table.listing import GROUPS, group
    from polydesign.text.numbers import number

    width = max(len(one.name) for one in found)
    click.echo(f"{'name':{width}}  root  degrees         products  error      interval")
    for word, heading in GROUPS.items():
        members = [one for one in found if group(one) == word]
        if members:
            click.echo(f"\n{heading}")
        for one in members:
            low, high = one.interval
            where = f"  {_place(one)}" if word == "here" and _place(one) != "coeffs" else ""
            click.echo(
                f"{one.name:{width}}  {one.root:4d}  {_degrees(one.degrees):14}  "
                f"{one.matmuls:8d}  {number(one.error, 3, up=True):<9}  [{low:g}, {high:g}]{where}"
            )


def _degrees(degrees: tuple[int, ...]) -> str:
    """5, 9, 9, 9 as "5, 9 x3"."""
    from itertools import groupby

    counted = [(degree, len(list(same))) for degree, same in groupby(degrees)]
    return ", ".join(f"{degree} x{count}" if count > 1 else str(degree) for degree, count in counted)

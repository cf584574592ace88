"""polydesign list: the tables that names resolve to, in groups."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

import polydesign
from polydesign.model import HALF, visible

if TYPE_CHECKING:
    from polydesign.table import Entry


_HEADINGS = ("name", "root", "degrees", "cost", "error", "from", "half")
_SIDES = "<><>>><"

_HALF = """
half: what became of matrices whose roundings agree, in half precision. plain:
none that was tried blew up; fused: none in loops such as addmm, some in others;
unsafe: some in such loops too; untried: not every kind of loop was tried."""
"""What the last column means."""


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
    half = {dtype: one.standing(dtype) for dtype in HALF}
    return {word: getattr(one, word) for word in words} | {
        "standing": half,
        "group": group(one),
        "from": _place(one),
    }


def _place(one: Entry) -> str:
    return "package" if one.shipped else str(one.path.parent)


def _print(found: list[Entry]) -> None:
    from polydesign.table.listing import GROUPS, group

    lines = [_HEADINGS, *map(_cells, found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = [
        " ".join(f"{c:{side}{w}}" for c, side, w in zip(line, _SIDES, widths, strict=True)).rstrip()
        for line in lines
    ]
    click.echo(aligned[0])
    for word, heading in GROUPS.items():
        members = [(one, line) for one, line in zip(found, aligned[1:], strict=True) if group(one) == word]
        if members:
            click.echo(f"\n{heading}")
        for one, line in members:
            where = f"  {_place(one)}" if word == "here" and _place(one) != "coeffs" else ""
            click.echo(line + visible(where))
    if any(one.tried for one in found):
        click.echo(_HALF)


def _cells(one: Entry) -> tuple[str, ...]:
    """A line of the list: cost in matrix products, the lower end, and the upper one where it is not 1."""
    from polydesign.designer.naming import runs
    from polydesign.text.numbers import number

    low, high = one.interval
    where = f"{low:.3g}" if high == 1 else f"{low:.3g}–{high:.3g}"
    degrees = runs(one.degrees) if one.degrees[1:] else f"{one.degrees[0]}x1"
    if len(degrees) > 8:  # a line is to fit 80 columns
        degrees = f"{len(one.degrees)} steps"
    half = one.standing() if one.half else "-"
    return (
        visible(one.name),
        str(one.root),
        degrees,
        str(one.matmuls),
        number(one.error, 3, up=True),
        where,
        half,
    )

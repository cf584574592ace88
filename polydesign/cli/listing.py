"""polydesign list: the tables that names resolve to, in groups."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from polydesign.model import InputError, dtype_name

if TYPE_CHECKING:
    from polydesign.table.catalogue import Entry

GROUPS = {
    "sign": "ours, for the sign and the polar factor",
    "roots": "ours, for roots and inverses",
    "clip": "ours, for clipping singular values",
    "published": "of the literature, as printed or as run",
    "here": "of ./coeffs",
}
"""Group -> its heading, in the order in which they are shown."""


@click.command("list", short_help="List the tables that names resolve to.")
@click.option("--root", type=click.IntRange(1), help="Only those of this root.")
@click.option("--degree", type=click.IntRange(2), help="Only those whose highest degree this is.")
@click.option("--dtype", help="Only those that were designed for this precision.")
@click.option("--published", is_flag=True, help="Only the literature's.")
@click.option("--own", is_flag=True, help="Only those of this package's own design.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one list, with the group of each.")
def list_tables(
    root: int | None, degree: int | None, dtype: str | None, published: bool, own: bool, as_json: bool
) -> None:
    """List the tables that come with the package, ours and the literature's, and those of ./coeffs.

    \b
    Examples:
      polydesign list --own --dtype bf16
      polydesign list --published --root 2 --degree 5
    """
    precision = dtype_name(dtype) if dtype else None
    if published and own:
        raise InputError("own", "and --published leave nothing: take one of them, or neither")
    groups = [g for g in GROUPS if not (published and g != "published") and not (own and g in _NOT_OURS)]
    rows = [
        row
        for row in _rows()
        if row["group"] in groups
        and root in (None, row["root"])
        and degree in (None, max(row["degrees"]))
        and precision in (None, row["dtype"])
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif rows:
        _print(rows)
    else:
        click.echo("no such tables yet: polydesign search --degree 5 --steps 6 makes one")


_NOT_OURS = ("published", "here")


def _rows() -> list[dict[str, Any]]:
    """What each file says of itself; show and certify check it."""
    from polydesign.table.catalogue import catalogue, entry

    rows = []
    for name, path in catalogue().items():
        try:
            found = entry(name, path)
            row = {
                "name": name,
                "purpose": found.purpose,
                "root": found.root,
                "degrees": list(found.degrees),
                "interval": list(found.interval),
                "dtype": found.dtype,
                "form": found.form,
                "matmuls": found.matmuls,
                "error": found.error,
                "group": _group(found),
                "from": "package" if found.shipped else str(path.parent),
            }
        except InputError as problem:
            click.echo(f"Warning: left out {problem}", err=True)
            continue
        except (OSError, LookupError, TypeError, AttributeError) as problem:
            click.echo(
                f"Warning: left out {path}: {problem!r}; polydesign show {path} says what is wrong", err=True
            )
            continue
        rows.append(row)
    return sorted(rows, key=lambda row: list(GROUPS).index(row["group"]))


def _group(found: Entry) -> str:
    if not found.shipped:
        return "here"
    if found.published:
        return "published"
    return found.purpose if found.purpose in ("sign", "clip") else "roots"


def _print(rows: list[dict[str, Any]]) -> None:
    from polydesign.text.numbers import number

    width = max(len(row["name"]) for row in rows)
    click.echo(f"{'name':{width}}  root  degrees         products  error      interval")
    for group, heading in GROUPS.items():
        own = [row for row in rows if row["group"] == group]
        if own:
            click.echo(f"\n{heading}")
        for row in own:
            low, high = row["interval"]
            where = f"  {row['from']}" if group == "here" and row["from"] != "coeffs" else ""
            click.echo(
                f"{row['name']:{width}}  {row['root']:4d}  {_degrees(row['degrees']):14}  "
                f"{row['matmuls']:8d}  {number(row['error'], 3, up=True):<9}  [{low:g}, {high:g}]{where}"
            )


def _degrees(degrees: list[int]) -> str:
    """5, 9, 9, 9 as "5, 9 x3"."""
    from itertools import groupby

    counted = [(degree, len(list(same))) for degree, same in groupby(degrees)]
    return ", ".join(f"{degree} x{count}" if count > 1 else str(degree) for degree, count in counted)

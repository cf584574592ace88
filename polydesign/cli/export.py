"""polydesign export: a table as text for another codebase."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import polydesign
from polydesign.cli.given import table_given
from polydesign.model import InputError


def _names(ctx: Any, param: Any, incomplete: str) -> list[str]:
    from polydesign.exporters import TARGETS

    return [name for name in TARGETS if name.startswith(incomplete)]


@click.command(short_help="Write a table as text for another codebase.")
@click.argument("table", metavar="FILE_OR_NAME", required=False)
@click.option("--to", metavar="TARGET", help="For whom; --list shows them.", shell_complete=_names)
@click.option(
    "-o",
    "--output",
    metavar="FILE|FOLDER/",
    help="File to write, or the folder for TABLE-TARGET.  [default: standard output]",
)
@click.option("--force", is_flag=True, help="Replace a different file.")
@click.option("--list", "listing", is_flag=True, help="List the targets, and why some take no table.")
def export(table: str | None, to: str | None, output: str | None, force: bool, listing: bool) -> None:
    """Write a table as text that another codebase takes: to paste, or to import.

    The text names the table and its digest, has the argument's name and type, the number of steps and the
    factor that the target divides by, and says what to mind there. What a target cannot express is refused
    with the reason.

    \b
    Examples:
      polydesign export sign-d5x6-l1e-3-bf16 --to optax
      polydesign export sign-d5x6-l1e-3-bf16 --to timm -o muon_table.py
      polydesign export --list
    """
    if listing:
        click.echo(_listing())
        return
    from polydesign.exporters import TARGETS, caveats
    from polydesign.text.files import place

    if table is None or to is None:
        missing = "FILE_OR_NAME" if table is None else "--to"
        raise InputError(missing, "is missing: polydesign export sign-d5x6-l1e-3-bf16 --to optax, or --list")
    found = table_given(table)
    text = polydesign.export(found, to)
    if output is None or output == "-":
        click.echo(text, nl=False)
    else:
        name = f"{found.name}-{to}{TARGETS[to].suffix}"
        click.echo(_written(place(output, name), text, force))
    for line in caveats(found, TARGETS[to]):
        click.echo(f"Warning: {line}", err=True)


def _written(path: Path, text: str, force: bool) -> str:
    """Write text to path unless it is there already; say what was done."""
    from polydesign.text.files import write_atomically

    if path.is_file() and path.read_bytes() == text.encode():
        return f"{path} holds this text already; left as it is"
    try:
        write_atomically(path, text, replace=force)
    except FileExistsError as problem:
        raise InputError(
            str(path), "exists and is different; choose another with -o, or replace it with --force"
        ) from problem
    return f"wrote {path}"


def _listing() -> str:
    from polydesign.exporters import TARGETS

    width = max(map(len, TARGETS))
    taking = [f"{name:{width}}  {t.about}" for name, t in TARGETS.items() if t.reason is None]
    refusing = [f"{name:{width}}  {t.reason}" for name, t in TARGETS.items() if t.reason is not None]
    return "\n".join([*taking, "", "take no table:", *refusing])

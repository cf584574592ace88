"""polydesign identify: which table a pasted list is, what it does, and what to use instead."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import click

import polydesign
from polydesign.cli.given import in_options
from polydesign.model import InputError

_LONGEST_NAME = 255
"""Of a file."""


@click.command(short_help="Say which table a pasted list is, and what it does.")
@click.argument("source", metavar="FILE|FOLDER|-|NAME")
@click.option(
    "--root", type=click.IntRange(1), help="Of the list.  [default: the table's that it is, else 2]"
)
@click.option(
    "--lower",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Lower end of what it is run on.  [default: 1e-3; roots: the table's]",
)
@click.option(
    "--steps", type=click.IntRange(1, 200), help="How often one row is run.  [default: as published, else 5]"
)
@click.option("--list", "which", metavar="NAME", help="Of several lists in the text, the one called so.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def identify(
    source: str, root: int | None, lower: float | None, steps: int | None, which: str | None, as_json: bool
) -> None:
    """Say which published table a list of coefficients is, or which of ours, and how it differs.

    Takes a file, or - for standard input: Python (a list, or the module around it), a notebook, JSON, YAML,
    TOML, sources of other languages, or lines of numbers. Nothing in it is run. Then: what the list does on
    [lower, 1], proved; how far above 1 it is safe; and what to use instead. Where a file holds several
    tables, and of a folder, a line for each: where it stands, and which it is.

    \b
    Examples:
      polydesign identify optimizer.py
      polydesign identify muon_utils.py --list polar_express
      polydesign identify src/
      echo "3.4445 -4.7750 2.0315" | polydesign identify - --steps 5
    """
    from polydesign.identification.scanning import inventory
    from polydesign.identification.sources import holds_several

    given, which = _given(source, which)
    if which is None and holds_several(given):
        if steps is not None:
            raise InputError("steps", "is for one list: name one with --list, or leave it out")
        found = inventory(given, root=root, lower=lower)
        hint = "" if isinstance(given, Path) and given.is_dir() else "; --list NAME says what one does"
        click.echo(json.dumps(found.to_json(), indent=2) if as_json else f"{found}{hint}")
        return
    one = polydesign.identify(given, root=root, lower=lower, steps=steps, which=which)
    click.echo(json.dumps(one.to_json(), indent=2) if as_json else in_options(str(one)))


def _given(source: str, which: str | None) -> tuple[str | Path, str | None]:
    """The text of standard input, the path of a file, or a table's name; with the name of the list in it."""
    from polydesign.identification.source_files import source_file
    from polydesign.table.catalogue import find
    from polydesign.table.published import names

    if source == "-":
        return f"{sys.stdin.read()}\n", which  # of one line it could be a path
    path = Path(source)
    if _is_list(source) and (len(source) > _LONGEST_NAME or not path.is_file()):
        raise InputError(
            "FILE",
            f'is a list, not a file: give it on standard input, echo "{source[:30]}…" | polydesign '
            "identify -",
        )
    if path.is_file() or (path.is_dir() and source not in names()):
        return path, which
    if source in names():
        return source, which
    file, named = source_file(source)
    return (find(source), which) if file is None else (file, which or named)


def _is_list(source: str) -> bool:
    """Whether it is numbers with something between them, as no file is called."""
    return re.search(r"\d\s*[,;\s)\]]+[\s(\[]*[-+]?[\d.]", source) is not None

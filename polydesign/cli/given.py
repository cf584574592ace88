"""Tables on the command line: a name, a file, or a list in somebody's source file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

import polydesign
from polydesign.model import InputError
from polydesign.table import as_table
from polydesign.text.incoming import read_text

if TYPE_CHECKING:
    from polydesign.model import Table

Command = TypeVar("Command", bound=Callable[..., None])

_DECIDED = ("root", "purpose", "lower", "steps", "layout")
"""Fields of import_table that decide between readings: options of polydesign import alone."""


_MOST = 1_000_000
"""Characters of a JSON file that may be a list; load says what is wrong with a longer one."""


def list_option(command: Command) -> Command:
    """--list, for a command that takes one table."""
    about = "Of several lists in a source file, the one called so; or write FILE:NAME."
    return click.option("--list", "list_name", metavar="NAME", help=about)(command)


def given(source: str, which: str | None = None) -> Table | str:
    """The table of a list in a source file, FILE or FILE:NAME; a table's name or file as it is.

    What is taken of a source file is said on standard error.
    """
    path, named = source_file(source)
    if path is None:
        if which is not None:
            raise InputError("list_name", f"is for a source file, and {source} is none: leave it out")
        return source
    from polydesign.identification.imported import taken  # mpmath and flint

    try:
        table = polydesign.import_table(path, which=which or named)
    except InputError as problem:
        field = problem.field.rpartition(" ")[2]
        if field in _DECIDED:
            how = f"polydesign import {path} --{field} … writes the table that you mean, to be given here"
            raise InputError(str(path), f"{problem.problem}; {how}") from problem
        cure = problem.problem.replace("name one with --list", f"name one as {path}:NAME")
        raise InputError(problem.field, cure) from problem
    click.echo(f"Note: {taken(table)}", err=True)
    return table


def table_given(source: str, which: str | None = None) -> Table:
    """The same, loaded where it is a name or a table's file."""
    return as_table(given(source, which))


def source_file(given: str) -> tuple[Path | None, str | None]:
    """The source file and the name of a list in it, where it is no table's file and no name of a table."""
    if Path(given).is_file():
        return (None, None) if _is_table(Path(given)) else (Path(given), None)
    file, _, name = given.partition(":")
    while name:
        if Path(file).is_file() and not _is_table(Path(file)):
            return Path(file), name
        more, _, name = name.partition(":")
        file = f"{file}:{more}"
    return None, None


def _is_table(path: Path) -> bool:
    """Whether it is the file of a table, also of one that was cut off or edited."""
    text = read_text(path, "a table, or a list that is read", marked=True)
    if '"polydesign/schedule/' in text:
        return True
    if path.suffix != ".json" or len(text) > _MOST:
        return path.suffix == ".json"
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return True  # load says where it breaks off
    return isinstance(body, dict) and bool({"schema", "steps"} & set(body))

"""Tables on the command line: a name, a file, or a list in somebody's source file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

from polydesign.identification.source_files import source_file
from polydesign.identification.tables import taken_from
from polydesign.model import InputError
from polydesign.table import as_table

if TYPE_CHECKING:
    from polydesign.model import Table

Command = TypeVar("Command", bound=Callable[..., None])

_CURE = "polydesign import {path} --{field} … writes the table that you mean, to be given here"


_SPOKEN = {"force=True": "--force", "which=NAME": "--list NAME", "to_json()": "--json"}
"""Arguments of Python, as its messages say them, and the options that they are here."""


def in_options(said: str) -> str:
    """A message of Python in the words of the command line."""
    for argument, option in _SPOKEN.items():
        said = said.replace(argument, option)
    return said


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

    table = taken_from(path, which or named, _CURE)
    click.echo(f"Note: {taken(table)}", err=True)
    return table


def table_given(source: str, which: str | None = None) -> Table:
    """The same, loaded where it is a name or a table's file."""
    return as_table(given(source, which))

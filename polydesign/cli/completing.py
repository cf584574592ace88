"""What the shell completes beside commands and options: names of tables, files, folders, and values."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from polydesign.model import DTYPES

_VALUES = {
    "dtype": (*DTYPES.values(), *DTYPES),
    "device": ("auto", "cpu", "cuda"),
}
"""Parameter -> what it mostly is."""


class _Completed(click.types.StringParamType):
    """A text of which the shell knows what it may be.

    Args:
        values: Some of what it may be.
        tables: Whether the catalogue's names are among it.
        place: "file", "dir" or "": what else the shell looks for.
    """

    def __init__(self, values: tuple[str, ...] = (), *, tables: bool = False, place: str = "") -> None:
        self.values, self.tables, self.place = values, tables, place

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        values = self.values
        if self.tables:
            from polydesign.table.catalogue import catalogue

            values += tuple(catalogue())
        # Places come first: in bash they take back what stands before them.
        found = [CompletionItem(incomplete, type=self.place)] if self.place else []
        return found + [CompletionItem(value) for value in values if value.startswith(incomplete)]


def completed(command: click.Command) -> click.Command:
    """The command, whose texts the shell completes by what they are called in its help."""
    for param in command.params:
        if type(param.type) is click.types.StringParamType:
            param.type = _kind(param)
    return command


def _kind(param: click.Parameter) -> click.ParamType:
    called = (param.metavar or "").upper()
    if param.name in _VALUES:
        return _Completed(_VALUES[param.name])
    if called in ("DIR", "FOLDER"):
        return _Completed(place="dir")
    if "FILE" in called or called.endswith(".TOML") or param.name == "output":
        return _Completed(tables="NAME" in called, place="file")
    return param.type

"""Tables for the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Column
    from rich.table import Table as Grid


def grid(*headings: str, left: tuple[str, ...]) -> Grid:
    """An empty table; the columns of these headings are words, on the left, the others numbers."""
    from rich import box
    from rich.table import Table as Grid

    made = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        made.add_column(heading, justify="left" if heading in left else "right")
    return made


def show(made: Grid, columns: int) -> None:
    """Print it as wide as the terminal, or in so many columns where the output is piped.

    What is wider is printed in parts, one below the other, each with the first column: a number that is cut
    off says nothing.
    """
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else columns, highlight=False)
    for part in _parts(made, console):
        console.print(part)


def _parts(made: Grid, console: Console) -> Iterator[Grid]:
    if _width(made, console) <= console.width or len(made.columns) < 3:
        yield made
        return
    first, *others = made.columns
    chosen: list[Column] = []
    for column in others:
        if chosen and _width(_of([first, *chosen, column]), console) > console.width:
            yield _of([first, *chosen])
            chosen = []
        chosen.append(column)
    yield _of([first, *chosen])


def _width(made: Grid, console: Console) -> int:
    """That of the table where no cell is cut off or wrapped."""
    return console.measure(made, options=console.options.update(width=10_000)).maximum


def _of(columns: Sequence[Column]) -> Grid:
    """A table of these columns."""
    made = grid(left=())
    for column in columns:
        made.add_column(column.header, justify=column.justify)
    for cells in zip(*(column.cells for column in columns), strict=True):
        made.add_row(*cells)
    return made

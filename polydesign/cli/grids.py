"""Tables for the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    """Print it as wide as the terminal, or in so many columns where the output is piped."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else columns, highlight=False).print(made)

"""How exported text is laid out: what is said of a table, and rows of numbers as Python's formatters do."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from polydesign.exporters.printer import Routine, Row
from polydesign.exporters.target import header
from polydesign.model import Table

WIDTH = 110


def comment(table: Table, mark: str = "# ", more: Sequence[str] = ()) -> str:
    """The lines of target.header, and more, as comments, none longer than WIDTH."""
    lines = [*header(table), *more]
    return "\n".join(mark + part for line in lines for part in wrapped(line, WIDTH - len(mark)))


def wrapped(line: str, width: int = WIDTH - 4) -> list[str]:
    """A line as lines that fit; addresses and digests stay whole."""
    return textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)


def indented(lines: Sequence[str], depth: int) -> str:
    """Lines of code, four blanks a level."""
    return textwrap.indent("\n".join(lines), "    " * depth)


def row_text(entries: Sequence[str], names: Sequence[str], indent: str) -> str:
    """A tuple in one line where it fits, else an entry a line with its name behind it."""
    short = f"{indent}({', '.join(entries)}{',' * (len(entries) == 1)}),\n"
    if len(short) - 1 <= WIDTH:
        return short
    lines = [f"{indent}    {e},{f'  # {n}' if n else ''}\n" for e, n in zip(entries, names, strict=True)]
    return f"{indent}(\n{''.join(lines)}{indent}),\n"


def steps_text(calls: list[tuple[Routine, Row]], *, several: bool) -> str:
    """STEPS = [...], a tuple a step: its constants; with `several`, after the function that runs them."""
    rows = []
    for routine, row in calls:
        entries, names = [repr(c) for c in row], list(routine.constants)
        if several:
            entries, names = [f"_{routine.name}", *entries], ["", *names]
        rows.append(row_text(entries, names, "    "))
    return f"STEPS = [\n{''.join(rows)}]\n"


def loop_text(routine: Routine) -> str:
    """The head of a loop over STEPS that unpacks a routine's constants."""
    return f"for {', '.join(routine.constants)}{',' * (len(routine.constants) == 1)} in STEPS:"


def identifier(name: str) -> str:
    """A table's name as a name of a programming language: no word of letters alone, such as double."""
    found = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"table_{found}" if found.isalpha() or not found[0].isalpha() else found

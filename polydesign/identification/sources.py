"""Where a list of rows may come from: a table, its name, a file, or the text itself."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from polydesign.identification.matches import given_rows
from polydesign.identification.pasted import read_rows
from polydesign.identification.similarity import Row
from polydesign.model import MOST_INNER_DEGREE, MOST_STEPS, InputError, Table
from polydesign.table.catalogue import catalogue, earlier_tables, glance, load
from polydesign.table.published import names, published
from polydesign.text.incoming import read_text

Source = Table | str | os.PathLike[str] | Iterable[Sequence[float]]


def read(source: Source, which: str | None = None) -> tuple[list[Row], Table | None]:
    """The rows of a source, and the table that they are of where the source is one.

    Args:
        source: A Table; the name of one, or of the published misprint; a path; the text of a list; or rows.
        which: The name of the list, where a text holds several.

    Raises:
        InputError: Where there is no list; the field is the line, with the file's name before it.
    """
    if isinstance(source, Table):
        return source.as_tuples(), source
    if isinstance(source, os.PathLike):
        return _from_file(Path(source), which)
    if not isinstance(source, str):
        rows = given_rows(source)
        if len(rows) > MOST_STEPS or not all(2 <= len(row) <= MOST_INNER_DEGREE + 1 for row in rows):
            raise InputError(
                "rows", f"must be {MOST_STEPS} at most, of 2 to {MOST_INNER_DEGREE + 1} numbers each"
            )
        return list(rows), None
    if source in names() and published(source).misprint:
        return list(published(source).steps_run()), None
    if source in catalogue():
        return read(load(source))
    return _from_text(source, which)


def _from_file(path: Path, which: str | None) -> tuple[list[Row], Table | None]:
    text = read_text(path, "a list that is read: paste the list itself", marked=True)
    try:
        return read(load(path)) if '"polydesign/schedule/' in text[:200] else _from_text(text, which)
    except InputError as problem:
        if problem.field.startswith(("line", "text")):
            raise InputError(f"{path}, {problem.field}", problem.problem) from problem
        raise


def _from_text(text: str, which: str | None) -> tuple[list[Row], Table | None]:
    table = _of_the_header(text)
    if table is not None:
        return table.as_tuples(), table
    for one in earlier_tables():
        # Above degree 5 they run programs, whose constants are no coefficients.
        if one.digest in text and max(map(len, one.rows)) > 3:
            return list(one.rows), None
    return list(read_rows(text, which)), None


def _of_the_header(text: str) -> Table | None:
    """The table whose digest the text names, where it runs a program: its numbers are no coefficients.

    All of the program's constants must stand in the text as well.
    """
    stated = set(re.findall(r"sha256:[0-9a-f]{64}", text))
    for path in catalogue().values() if stated else ():
        try:
            if glance(path).get("certificate", {}).get("digest") not in stated:
                continue
            table = load(path)
        except (InputError, OSError, AttributeError):
            continue
        programs = [step.program for step in table.schedule.steps if step.evaluation != "monomial"]
        numbers = [c for program in programs for c in program.constants]
        if numbers and all(repr(c) in text for c in numbers):
            return table
    return None

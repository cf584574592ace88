"""Where a list of rows may come from: a table, its name, a file, or the text itself."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from polydesign.identification.lists import Listed, Reading
from polydesign.identification.matches import given_rows
from polydesign.identification.pasted import MOST_CHARACTERS, chosen, decided, find_lists, several
from polydesign.identification.similarity import Row
from polydesign.model import MOST_INNER_DEGREE, MOST_STEPS, InputError, Table, visible
from polydesign.table.catalogue import catalogue, earlier_tables, glance, load
from polydesign.table.published import names, published
from polydesign.text.incoming import read_text

Source = Table | str | os.PathLike[str] | Iterable[Sequence[float]]

_NAMED = 3
"""Other lists of a text that are named beside the one that is read."""


@dataclass(frozen=True, slots=True)
class Given:
    """The rows of a source.

    table: that they are of, where the source is one. words: how they were read, "" for as they stand. others:
    readings that make as much sense, where no known table decides. remarks: what else the text says. line:
    where the list begins, in its cell of a notebook.
    """

    rows: tuple[Row, ...]
    table: Table | None = None
    words: str = ""
    others: tuple[Reading, ...] = ()
    remarks: tuple[str, ...] = ()
    line: int = 1


def read(source: Source, which: str | None = None) -> tuple[list[Row], Table | None]:
    """The rows of a source, and the table that they are of where the source is one.

    Args:
        source: A Table; the name of one, or of the published misprint; a path; the text of a list; or rows.
        which: The name of the list, where a text holds several.

    Raises:
        InputError: Where there is no list, or one that can be read in several ways and is not known; the
            field is the line, with the file's name before it.
    """
    found = unambiguous(given(source, which))
    return list(found.rows), found.table


def unambiguous(found: Given) -> Given:
    """The same, refused where it can be read in several ways."""
    if found.others:
        raise InputError(*several(Reading(found.rows, found.words), *found.others))
    return found


def given(source: Source, which: str | None = None) -> Given:
    """The rows of a source, with how they were read. Takes and raises what `read` does, but for readings."""
    if isinstance(source, Table):
        return Given(source.schedule.rows, source)
    if isinstance(source, os.PathLike):
        return _from_file(Path(source), which)
    if not isinstance(source, str):
        rows = given_rows(source)
        if len(rows) > MOST_STEPS or not all(2 <= len(row) <= MOST_INNER_DEGREE + 1 for row in rows):
            raise InputError(
                "rows", f"must be {MOST_STEPS} at most, of 2 to {MOST_INNER_DEGREE + 1} numbers each"
            )
        return Given(rows)
    if source in names() and published(source).misprint:
        return Given(published(source).steps_run())
    if source in catalogue():
        return given(load(source))
    return _from_text(source, which)


def _from_file(path: Path, which: str | None) -> Given:
    if path.is_dir():
        raise InputError(
            str(path), "is a folder: polydesign.identification.inventory(path) lists the tables of its files"
        )
    text = read_text(path, "a list that is read: paste the list itself", marked=True)
    try:
        if '"polydesign/schedule/' in text[:200]:
            return given(load(path))
        return _from_text(text, which, path.suffix.removeprefix("."))
    except InputError as problem:
        if problem.field.startswith(("line", "text", "cell")):
            raise InputError(f"{path}, {problem.field}", problem.problem) from problem
        raise


def _from_text(text: str, which: str | None, suffix: str = "") -> Given:
    table = of_the_header(text)
    if table is not None:
        return Given(table.schedule.rows, table)
    for one in earlier_tables():
        # Above degree 5 they run programs, whose constants are no coefficients.
        if one.digest in text and max(map(len, one.rows)) > 3:
            return Given(one.rows)
    one = chosen(text, which, suffix)
    reading, others = decided(one)
    return Given(reading.rows, None, reading.words, others, _remarks(one, text, suffix), one.line)


def _remarks(one: Listed, text: str, suffix: str) -> tuple[str, ...]:
    """What becomes of the list under a condition, and which other lists there are."""
    found = [f"{one.changed}: as it stands before that"] if one.changed else []
    others = [
        f"{visible(other.name[:40])} ({other.place})"
        for other in find_lists(text, suffix)[0]
        if other.name and other.rows != one.rows and not other.sensible and len(other.rows[0]) > 1
    ]
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    if others:
        found.append(f"{', '.join(others[:_NAMED])}{more}: lists that are no steps; --list NAME reads one")
    return tuple(found)


def holds_several(source: str | os.PathLike[str]) -> bool:
    """Whether it is a folder, or a text of several different lists that can be steps."""
    if isinstance(source, os.PathLike):
        path = Path(source)
        if path.is_dir():
            return True
        text, suffix = read_text(path, "a list that is read", marked=True), path.suffix.removeprefix(".")
        if '"polydesign/schedule/' in text[:200]:
            return False
    else:
        text, suffix = source, ""
        if source in names() or source in catalogue():
            return False
    if len(text) > MOST_CHARACTERS or not text.strip() or of_the_header(text) is not None:
        return False
    if any(one.digest in text for one in earlier_tables()):
        return False
    return len({one.rows for one in find_lists(text, suffix)[0] if one.sensible}) > 1


def of_the_header(text: str) -> Table | None:
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

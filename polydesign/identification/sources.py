"""Where a list of rows may come from: a table, its name, a file, or the text itself."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from polydesign.identification.exported import (
    divided_by_more,
    refuse_constants,
    runs,
    runs_programs,
    stated,
)
from polydesign.identification.lists import Listed, Reading
from polydesign.identification.pasted import MOST_CHARACTERS, chosen, decided, find_lists, several
from polydesign.identification.paths import as_path, is_known
from polydesign.identification.schemes import of_its_constants
from polydesign.identification.similarity import Row
from polydesign.model import InputError, Table, quoted, visible
from polydesign.table.catalogue import catalogue, earlier_tables, load
from polydesign.table.layouts import checked_rows
from polydesign.table.published import names, published
from polydesign.text.incoming import read_text

Source = Table | str | os.PathLike[str] | Iterable[Sequence[float]]

BEFORE = "as it stands before that"
"""What is said of a list that may change below."""

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
        source: A Table; the name of one, or of the published misprint; a path, as FILE or FILE:NAME; the text
            of a list; or rows.
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
    if which is not None and not isinstance(which, str):
        raise InputError("which", f"must be the name of a list, and is {quoted(which)}")
    if isinstance(source, (str, os.PathLike)):
        source, which = as_path(source, which)
    if isinstance(source, Path):
        return _from_file(source, which)
    if not isinstance(source, str):
        rows = checked_rows(source)
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
    text = read_text(path, "a list that is read: paste the list itself")
    try:
        if '"polydesign/schedule/' in text[:200]:
            return given(load(path))
        return _from_text(text, which, path.suffix.removeprefix("."))
    except InputError as problem:
        if problem.field.startswith(("line", "text", "cell")):
            raise InputError(f"{path}, {problem.field}", problem.problem) from problem
        raise


def _from_text(text: str, which: str | None, suffix: str = "") -> Given:
    table = stated(text)
    if table is not None and runs(text, table):
        return Given(table.schedule.rows, table)
    scheme = of_its_constants(text) if which is None else None
    if scheme is not None:
        table, line = scheme
        return Given(table.schedule.rows, table, "by its constants, which are no coefficients", line=line)
    for one in earlier_tables():
        # Above degree 5 they run programs, whose constants are no coefficients.
        if one.digest in text and max(map(len, one.rows)) > 3:
            return Given(one.rows)
    refuse_constants(text, table)
    one = chosen(text, which, suffix)
    if table is not None and (words := divided_by_more(one.rows, table)):
        return Given(table.schedule.rows, table, words, (), _remarks(one, text, suffix), one.line)
    reading, others = decided(one)
    return Given(reading.rows, None, reading.words, others, _remarks(one, text, suffix), one.line)


def _remarks(one: Listed, text: str, suffix: str) -> tuple[str, ...]:
    """What becomes of the list under a condition, and which other lists there are."""
    found = [f"{one.changed}: {BEFORE}"] if one.changed else []
    others = [
        f"{visible(other.name[:40])} ({other.place})"
        for other in find_lists(text, suffix)[0]
        if other.name and other.rows != one.rows and not other.sensible and len(other.rows[0]) > 1
    ]
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    if others:
        found.append(f"{', '.join(others[:_NAMED])}{more}: lists that are no steps; which=NAME reads one")
    return tuple(found)


def holds_several(source: str | os.PathLike[str]) -> bool:
    """Whether it is a folder, or a text of several different lists that can be steps."""
    source, which = as_path(source)
    if which is not None:
        return False
    if isinstance(source, Path):
        path = source
        if path.is_dir():
            return True
        text, suffix = read_text(path, "a list that is read"), path.suffix.removeprefix(".")
        if '"polydesign/schedule/' in text[:200]:
            return False
    else:
        text, suffix = source, ""
        if is_known(source):
            return False
    if len(text) > MOST_CHARACTERS or not text.strip() or runs_programs(text):
        return False
    table = stated(text)
    if (table is not None and runs(text, table)) or any(one.digest in text for one in earlier_tables()):
        return False
    if of_its_constants(text) is not None:
        return False
    return len({one.rows for one in find_lists(text, suffix)[0] if one.sensible}) > 1

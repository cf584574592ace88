"""Every table in a text, a file or a folder: where it stands, and which it is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from polydesign.identification.advice import LOWER
from polydesign.identification.described import error_of
from polydesign.identification.exported import refuse_constants, runs, stated
from polydesign.identification.known import KnownRows, candidates
from polydesign.identification.lists import Listed, Reading
from polydesign.identification.matches import Match, find_matches
from polydesign.identification.pasted import MOST_CHARACTERS, decided, find_lists
from polydesign.identification.paths import SUFFIXES, as_path
from polydesign.identification.schemes import of_its_constants
from polydesign.identification.similarity import Row
from polydesign.model import MOST_INNER_DEGREE, MOST_STEPS, InputError, check_number, visible
from polydesign.table.published import names, published
from polydesign.text.incoming import read_text

MOST_FILES = 20_000
"""Of a folder."""

MOST_LISTS = 500
"""Of a file: one with more holds data, not coefficients."""

_SKIPPED = ("node_modules", "site-packages", "__pycache__", "venv", "build", "dist")
_NEGATIVE = re.compile("[-\u2012-\u2014\u2212\ufe63\uff0d]\\s?(?:\\d+\\s*[/.,]|\\.\\d)|-0[xX]")
"""Every table has a negative coefficient, and none that is searched for has integers alone."""

_TELLING = re.compile(
    r"(?i)coef|newton|schul[tz]z|polar|muon|(?<![a-z])ns(?![a-z])|ortho|cubic|polynom|weights"
)
"""In the name of a list of two numbers, which may be anything elsewhere."""

_ORDER = ("MISPRINT", "unsafe", "known", "unknown")


@dataclass(frozen=True, slots=True)
class Sighting:
    """A table in a file.

    Attributes:
        path: Of the file; "" for a text.
        place: Line 3, or cell 2, line 3.
        line: In the file, or in the cell.
        name: What the list is assigned to; "" for nothing.
        rows: As they were read.
        words: How they were read, where that is not as they stand.
        kind: "MISPRINT", "unsafe", "known" or "unknown".
        table: The name of the table that the rows are or come from; None for unknown ones.
        about: The same in words, with what was done to the rows; of unknown ones the error, not proved.
    """

    path: str
    place: str
    line: int
    name: str
    rows: tuple[Row, ...]
    words: str
    kind: str
    table: str | None
    about: str

    def __str__(self) -> str:
        cell = self.place.partition(",")[0] + ":" if self.place.startswith("cell") else ""
        where = f"{self.path or 'text'}:{cell.removeprefix('cell ')}{self.line}"
        name = f" {visible(self.name[:60])}:" if self.name else ""
        loud = f" {self.kind}:" if self.kind in ("MISPRINT", "unsafe") else ""
        words = f" (read {self.words})" if self.words else ""
        return f"{visible(where)}:{name}{loud} {self.about}{words}"


@dataclass(frozen=True, slots=True)
class Inventory:
    """The tables that were found; `print` shows a line for each.

    Attributes:
        sightings: Misprints first, then unsafe tables, known ones, unknown ones; each in the order of files.
        files: How many files were read.
        unread: Path and reason of those that could not be.
    """

    sightings: tuple[Sighting, ...]
    files: int
    unread: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        count, with_any = len(self.sightings), len({one.path for one in self.sightings})
        lines = [str(one) for one in self.sightings]
        lines += [f"{visible(path)}: not read: {why}" for path, why in self.unread]
        noun = "table" if count == 1 else "tables"
        files = f" in {with_any} of {self.files} files" if self.files > 1 else ""
        return "\n".join([*lines, f"{count or 'no'} {noun}{files}"])

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON."""
        unread = [{"path": path, "problem": why} for path, why in self.unread]
        return {"tables": [asdict(one) for one in self.sightings], "files": self.files, "unread": unread}


def inventory(
    source: str | os.PathLike[str], *, root: int | None = None, lower: float | None = None
) -> Inventory:
    """List every table of coefficients in a text, a file, or the files of a folder.

    Of a folder these files are read: Python, notebooks, YAML, TOML, JSON, Markdown, and sources in C, CUDA,
    C++, Rust, Julia and others. What is hidden or generated is left out, and links are not followed. Lists
    that can be no steps of an iteration to 1 are left out too, and so are those that are unknown, whose name
    does not tell of coefficients, and under which small values do not grow.

    Args:
        source: The path of a file or a folder, or a text.
        root: Compare with tables of this root alone; None for all.
        lower: Lower end of the interval that the errors of unknown tables are of; None for 1e-3.

    Returns:
        The tables with file and line, those that need attention first.

    Raises:
        InputError: For a lower end outside (0, 1), a path at which nothing is, a text that is too long, and a
            folder of more than 20,000 such files.
        OSError: Where a file or a folder cannot be read.
    """
    lower = LOWER if lower is None else lower
    lower = check_number("lower", lower)
    if not 0 < lower < 1:
        raise InputError("lower", f"must lie between 0 and 1, and is {lower!r}")
    known = [one for one in candidates() if root in (None, one.root)]
    source, which = as_path(source)
    if which is not None:
        raise InputError(str(source), f"is looked at as a whole: leave out :{which}, or call identify")
    if isinstance(source, str):
        found, problem = _of_text(source, "", "", known, lower)
        return Inventory(_sorted(found), 1, (("text", problem),) if problem else ())
    path = source
    alone = not path.is_dir()
    files = [path] if alone else list(_files(path))
    sightings: list[Sighting] = []
    unread = []
    for file in files:
        try:
            text = read_text(file, "a list that is read")
        except (InputError, OSError) as problem:
            if alone:
                raise
            unread.append((str(file), problem.problem if isinstance(problem, InputError) else str(problem)))
            continue
        if not alone and (not text.strip() or not _NEGATIVE.search(text)):
            continue
        found, problem = _of_text(text, str(file), file.suffix.removeprefix("."), known, lower)
        sightings += found
        unread += [(str(file), problem)] if problem else []
    return Inventory(_sorted(sightings), len(files), tuple(unread))


def _files(folder: Path) -> Iterator[Path]:
    count = 0
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(one for one in folders if one[0] != "." and one not in _SKIPPED)
        for name in sorted(files):
            path = Path(place, name)
            if path.suffix.lower().removeprefix(".") not in SUFFIXES or name[0] == "." or path.is_symlink():
                continue
            count += 1
            if count > MOST_FILES:
                raise InputError(str(folder), f"has more than {MOST_FILES:,} files: name a folder inside it")
            yield path


def _of_text(
    text: str, path: str, suffix: str, known: Sequence[KnownRows], lower: float
) -> tuple[list[Sighting], str | None]:
    """The tables of a text, and why it was not read."""
    if len(text) > MOST_CHARACTERS and suffix != "ipynb":
        return [], f"has {len(text):,} characters, and at most {MOST_CHARACTERS:,} are read"
    table = stated(text)
    if table is not None and runs(text, table):
        return [
            Sighting(path, "line 1", 1, "", table.schedule.rows, "", "known", table.name, table.name)
        ], None
    try:
        refuse_constants(text, table)
        lists = find_lists(text, suffix)[0]
    except InputError as problem:
        return [], problem.problem
    if len(lists) > MOST_LISTS:
        return [], f"holds {len(lists):,} lists of numbers, and at most {MOST_LISTS} are looked at"
    told = [one for one in lists if _tells(one)]
    found = [sighting for one in told for sighting in _sightings(one, path, known, lower)]
    scheme = of_its_constants(text)
    if scheme is None:
        return found, None
    table, line = scheme
    said = path, f"line {line}", line, "", table.schedule.rows, "by its constants"
    # Parts of it are lists too, and are not known.
    others = [one for one in found if one.kind != "unknown"]
    return [Sighting(*said, "known", table.name, table.name), *others], None


def _tells(one: Listed) -> bool:
    rows = one.rows
    if not one.sensible or len(rows) > MOST_STEPS or max(map(len, rows)) > MOST_INNER_DEGREE + 1:
        return False
    if all(c.is_integer() for row in rows for c in row) or not all(
        abs(c) < 1e300 for row in rows for c in row
    ):
        return False
    return len(rows) > 1 or max(map(len, rows)) > 2 or bool(_TELLING.search(one.name))


def _sightings(one: Listed, path: str, known: Sequence[KnownRows], lower: float) -> Iterator[Sighting]:
    """One for each reading between which no known table decides."""
    reading, others = decided(one)
    for each in (reading, *others):
        if not all(2 <= len(row) <= MOST_INNER_DEGREE + 1 and any(row) for row in each.rows):
            continue
        very = [one for one in known if each.rows in (one.rows, one.rows[:1] if one.shared else ())][:1]
        matches = find_matches(each.rows, known=very or known)  # most are the very rows of a table
        if matches or _TELLING.search(one.name) or all(map(_amplifies, each.rows)):
            yield _sighting(one, each, matches, path, lower)


def _amplifies(row: Row) -> bool:
    """Whether small values grow and signs alternate, as in every step that is meant to lead to 1."""
    return max(row[0], row[-1]) > 1 and all(p * c <= 0 for p, c in pairwise(row))


def _sighting(one: Listed, reading: Reading, matches: list[Match], path: str, lower: float) -> Sighting:
    rows = reading.rows
    if matches:
        best = matches[0]
        misprint = best.name in names() and published(best.name).misprint
        kind = "MISPRINT" if misprint else "unsafe" if best.unsafe else "known"
        about, table = str(best), best.name
    else:
        kind, table = "unknown", None
        size = f"{len(rows)} row{'s' if len(rows) > 1 else ''} of {max(map(len, rows))}"
        about = f"unknown, {size}: {error_of(rows, 2, lower)}"
    if one.changed:
        about += f"; {one.changed}"
    said = path, one.place, one.line, one.name, rows, reading.words
    return Sighting(*said, kind, table, about)


def _sorted(sightings: Sequence[Sighting]) -> tuple[Sighting, ...]:
    return tuple(sorted(sightings, key=lambda one: _ORDER.index(one.kind)))

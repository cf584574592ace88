"""The tables that a list of rows is compared with: the published schedules, and those of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from polydesign.identification.similarity import Row
from polydesign.model import InputError
from polydesign.table.catalogue import catalogue, earlier_tables, glance
from polydesign.table.earlier import Earlier
from polydesign.table.published import names, published


@dataclass(frozen=True, slots=True)
class KnownRows:
    """A known table: its rows as they are run. earlier: of one that an earlier version had."""

    name: str
    root: int
    rows: tuple[Row, ...]
    published: bool
    source: str | None = None
    earlier: Earlier | None = None

    @property
    def shared(self) -> bool:
        """Whether all steps are one row."""
        return len(set(self.rows)) == 1


def candidates() -> list[KnownRows]:
    """The published schedules, the known misprint with them, earlier tables of ours, then the catalogue's."""
    return [*_published(), *_earlier(), *_own()]


@cache
def _published() -> tuple[KnownRows, ...]:
    entries = [published(name) for name in names()]
    return tuple(KnownRows(e.name, e.root, e.steps_run(), True, e.source) for e in entries)


def _earlier() -> Iterator[KnownRows]:
    for one in earlier_tables():
        yield KnownRows(f"{one.name} of an earlier version", 2, one.rows, False, earlier=one)


def _own() -> Iterator[KnownRows]:
    for name, path in catalogue().items():
        if name in names():
            continue
        try:
            written = path.stat()
            found = _in_file(name, path, (written.st_mtime_ns, written.st_size))
        except (InputError, OSError, LookupError, TypeError, ValueError):
            continue  # list says what is wrong with it
        if found is not None:
            yield found


@lru_cache(maxsize=1024)
def _in_file(name: str, path: Path, _written: tuple[int, int]) -> KnownRows | None:
    """The rows of a table's file, read again when it is written again; None for a family, which begins with
    the rows of a table that has a file of its own."""
    body = glance(path)
    if body.get("members"):
        return None
    rows = tuple(tuple(map(float, step["coefficients"])) for step in body["steps"])
    return KnownRows(name, body["root"], rows, False)

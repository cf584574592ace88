"""The lists of a Python text as its statements make them, and what later statements do to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from polydesign.identification.changes import all_within
from polydesign.identification.columns import Assigned, put_together
from polydesign.identification.lists import NOT_READ, Listed, Reading, both, listed, readings
from polydesign.identification.nested import in_value, is_number
from polydesign.model import InputError

Place = tuple[str, ...]
"""The functions and branches around a statement, from the outermost on."""


@dataclass(slots=True)
class Entry:
    """A list. lines: where it is changed in a way that is followed; before: what it was before all of them.

    changed, maybe, derived: as of a Listed.
    """

    name: str
    line: int
    value: Any
    place: Place = ()
    before: Any = None
    lines: list[int] = field(default_factory=list)
    changed: str = ""
    maybe: bool = False
    derived: bool = False


class Findings:
    """What was found so far; a number for each list is its key."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.bare: dict[int, tuple[int, Any]] = {}
        self.apart: list[Assigned] = []
        self.problem: InputError | None = None
        self.count = 0
        self.numbers: list[tuple[str, int]] = []  # names and lines of numbers that are changed
        self._holders: dict[int, set[int]] = {}
        self._own: dict[int, int] = {}
        self._kept: list[Any] = []  # so that no other list gets the identity of one of these
        self._later: list[tuple[str, str]] = []

    def next(self) -> int:
        self.count += 1
        return self.count

    def add(self, entry: Entry) -> int:
        key = self.next()
        self.entries[key] = entry
        self._hold(key, entry.value)
        return key

    def change(self, key: int, value: Any) -> None:
        """Give a list another value."""
        self.entries[key].value = value
        self._hold(key, value)

    def remove(self, key: int) -> None:
        self.entries.pop(key, None)

    def key_of(self, value: Any) -> int | None:
        """The key of the list that this very object is."""
        key = self._own.get(id(value)) if isinstance(value, (list, dict)) else None
        return key if key in self.entries else None

    def holding(self, objects: Iterable[Any]) -> set[int]:
        """The keys of all lists in which one of these very objects is."""
        found = {key for one in objects for key in self._holders.get(id(one), ())}
        return {key for key in found if key in self.entries}

    def note(self, key: int, said: str, maybe: bool) -> None:
        """What the text makes of a list that is not read; what is certain counts more than what may be."""
        entry = self.entries[key]
        if not entry.changed or (entry.maybe and not maybe):
            entry.changed, entry.maybe = said, maybe

    def note_later(self, name: str, said: str) -> None:
        """The same of a list that the text may make further down, such as one that a function changes."""
        self._later.append((name, said))

    def listed(self) -> list[Listed]:
        """All lists, in the order of the text."""
        self._note_what_came_later()
        apart, lists = list(self.apart), []
        for entry in self.entries.values():
            lists += _of(entry)
            if isinstance(entry.value, list) and entry.value and all(map(is_number, entry.value)):
                apart.append(Assigned(entry.name, entry.line, entry.value))
        apart.sort(key=lambda one: one.line)
        groups, used = put_together(apart)
        columns = {(apart[index].name, apart[index].line) for index in used}
        groups = [self._with_changes(group) for group in groups]
        lists = [one for one in lists if (one.name, one.line) not in columns]
        if self.bare:  # lines of tuples without brackets around them are one table
            bare = [found for _, value in self.bare.values() for _, found, _ in in_value("", value)]
            line = next(iter(self.bare.values()))[0]
            lists += [listed("", line, tuple(row for rows in bare for row in rows))] if bare else []
        found = sorted([*lists, *groups], key=lambda one: one.line)
        for name, line in self.numbers:
            of = [i for i, one in enumerate(found) if one.line < line and name in one.name.split(", ")]
            if of and not found[of[-1]].changed:
                found[of[-1]] = replace(found[of[-1]], changed=f"line {line} changes {name}, {NOT_READ}")
        return found

    def _with_changes(self, group: Listed) -> Listed:
        """What is said of a column is said of the list that it is of."""
        names = group.name.split(", ")
        for entry in self.entries.values():
            said = entry.changed or (f"line {entry.lines[0]} changes {entry.name}" if entry.lines else "")
            if said and entry.name in names:
                return replace(group, changed=said, maybe=entry.maybe)
        return group

    def _note_what_came_later(self) -> None:
        for name, said in self._later:
            last = name.rpartition(".")[2]
            for key, entry in self.entries.items():
                local = any(part.startswith("def") for part in entry.place)
                if entry.name == name and ("." in name or not local):
                    self.note(key, said, False)
                elif "." in name and entry.name.rpartition(".")[2] == last and not local:
                    self.note(key, said, True)

    def _hold(self, key: int, value: Any) -> None:
        self._kept.append(value)
        self._own[id(value)] = key
        for one in (value, *all_within(value)):
            self._holders.setdefault(id(one), set()).add(key)


def _of(entry: Entry) -> Iterator[Listed]:
    before = {name: rows for name, rows, _ in in_value(entry.name, entry.before)} if entry.lines else {}
    for inner, rows, words in in_value(entry.name, entry.value):
        ways = (Reading(rows, words),) if words else readings(rows)
        was = before.get(inner)
        either = was is not None and was != rows
        if was is not None and either:
            ways = both(ways, was, entry.lines, entry.line)
        one = Listed(inner, entry.line, ways, changed=entry.changed, maybe=entry.maybe)
        yield replace(one, either=either, derived=entry.derived)

"""What the server keeps and asks processes for: tables that were made or given, and what is pasted."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from polydesign.explorer.jobs import BrokenError, Pool, StaleError
from polydesign.explorer.looks import Look
from polydesign.explorer.state import State
from polydesign.explorer.work import View
from polydesign.model import InputError, Schedule, Table, quoted
from polydesign.table.catalogue import catalogue

DESIGN, PASTED = "design", "pasted"
"""Names of what is no table of the catalogue: what the sliders make, and the list that was pasted."""

MOST_TEXT = 400_000
"""Characters of a text that identify reads."""

QUICK_LIMIT, LIMIT, RUN_LIMIT = 10.0, 120.0, 300.0
"""Seconds for a preview, for other work, and for a run on matrices, waiting for a process included."""

SETTLE = 0.05
"""Seconds in which a newer request may replace one that is to run long."""


class Kept:
    """The last so many values by key, for threads."""

    def __init__(self, most: int) -> None:
        self._most, self._values, self._lock = most, OrderedDict[Any, Any](), threading.Lock()

    def get(self, key: Any) -> Any:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Any, value: Any) -> None:
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)


@dataclass
class Running:
    """A run on matrices.

    key: of the design. told: (done, in all, spectrum), None before it begins. seen: whether the page has what
    came of it.
    """

    key: str
    told: tuple[int, int, str] | None = None
    result: dict[str, Any] | None = None
    problem: str | None = None
    over: bool = False
    seen: bool = False


@dataclass
class Desk:
    """All that callbacks ask; its processes end with `close`.

    given: tables of the command line by name. preload: modules from which processes are forked.
    """

    given: Mapping[str, Table] = field(default_factory=dict)
    preload: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.quick = Pool(2, 1, QUICK_LIMIT, ends_stale=False, preload=self.preload)
        self.slow = Pool(4, 2, LIMIT, preload=self.preload)
        self._made, self._schedules, self._tables = Kept(64), Kept(256), Kept(32)
        self._pasted, self._around, self._runs = Kept(32), Kept(128), Kept(64)

    def close(self) -> None:
        self.quick.close()
        self.slow.close()

    def warm(self) -> None:
        """Start the processes, so that the first slider does not wait for them."""
        try:
            self.quick.run("-", "warm", "preview", State(), View(), None, None, limit=60)
            self.slow.run("-", "warm", "exact", State(), View())
        except (InputError, StaleError, BrokenError):
            return  # the page says what is wrong

    def names(self) -> list[str]:
        """Of the tables that can be drawn over the design."""
        return [*self.given, *(name for name in catalogue() if name not in self.given)]

    def schedule(self, session: str, name: str, pasted: str | None) -> Schedule:
        """Of a table that is drawn over the design. Raises InputError for a name that there is not."""
        if name == PASTED:
            found = self._pasted.get(pasted)
            if found is None:
                raise InputError("over", "nothing is pasted: paste a list first, or take pasted out")
            return found
        if name in self.given:
            return self.given[name].schedule
        self._check(name)
        found = self._schedules.get(name)
        if found is None:
            found = self.quick.run(session, f"load {name}", "loaded", name)
            self._schedules.put(name, found)
        return found

    def view(
        self, session: str, state: State, look: Look, pasted: str | None, points: Any
    ) -> tuple[View, list[str]]:
        """What is drawn beside the design, and what could not be."""
        over, problems = [], []
        for name in state.over:
            try:
                over.append((name, self.schedule(session, name, pasted)))
            except InputError as problem:
                problems.append(str(problem))
        return View(tuple(over), look, points), problems

    def preview(
        self, session: str, state: State, view: View, degrees: Sequence[int] | None, lower: float | None
    ) -> dict[str, Any]:
        """See work.preview."""
        listed = None if degrees is None else tuple(degrees)
        return self.quick.run(session, "preview", "preview", state, view, listed, lower)

    def exact(self, session: str, state: State, view: View) -> tuple[Table, dict[str, Any], list[str]]:
        """See work.exact; the table is kept."""
        made, drawn, heard = self.slow.run(session, "exact", "exact", state, view, settle=SETTLE)
        self._made.put(design_key(state), made)
        return made, drawn, heard

    def around(self, session: str, state: State, lower: float, products: int) -> dict[str, Any]:
        """See around.around."""
        key = (state.root, state.purpose, lower, products)
        found = self._around.get(key)
        if found is None:
            found = self.slow.run(session, "around", "around", *key, settle=SETTLE)
            self._around.put(key, found)
        return found

    def table(self, session: str, state: State, name: str) -> Table:
        """The design, proved, or one of the tables that are shown. Raises InputError, StaleError."""
        if name == PASTED:
            raise InputError(
                "table", "a pasted list is not written again: take the design, or the table that it is"
            )
        if name in self.given:
            return self.given[name]
        if name == DESIGN:
            made = self._made.get(design_key(state))
            if made is None:
                made = self.slow.run(session, "made", "exact", state, View())[0]
                self._made.put(design_key(state), made)
            return made
        self._check(name)
        found = self._tables.get(name)
        if found is None:
            found = self.slow.run(session, f"fetch {name}", "fetched", name)
            self._tables.put(name, found)
        return found

    def text(self, session: str, task: str, *args: Any) -> str:
        """A table as text: task exported or written."""
        return self.slow.run(session, task, task, *args)

    def identify(self, session: str, text: str, file: str, which: str | None) -> dict[str, Any]:
        """See work.identified; the schedule is kept, and `key` names it."""
        if len(text) > MOST_TEXT:
            raise InputError("text", f"has {len(text)} characters, and {MOST_TEXT} at most are read")
        found = self.slow.run(session, "identify", "identified", text, file, which)
        schedule = found.pop("schedule")
        found["key"] = None
        if schedule is not None:
            found["key"] = hashlib.sha256(repr((text, which)).encode()).hexdigest()[:16]
            self._pasted.put(found["key"], schedule)
        return found

    def run(self, session: str, state: State, name: str) -> None:
        """Begin a run on matrices, in place of the session's last one."""
        self.slow.cancel(session, "run")
        running = Running(design_key(state))
        self._runs.put(session, running)
        threading.Thread(target=self._run, args=(session, state, name, running), daemon=True).start()

    def running(self, session: str) -> Running | None:
        """The session's last run."""
        return self._runs.get(session)

    def cancel_run(self, session: str) -> None:
        self.slow.cancel(session, "run")

    def _run(self, session: str, state: State, name: str, running: Running) -> None:
        def told(progress: tuple[int, int, str]) -> None:
            running.told = progress

        try:
            table = self.table(session, state, name)
            asked = (table, state.spectra, state.runs_in, state.shape)
            running.result = self.slow.run(session, "run", "measured", *asked, limit=RUN_LIMIT, watch=told)
        except StaleError:
            running.problem = "cancelled"
        except (InputError, BrokenError) as problem:
            running.problem = str(problem)
        running.over = True

    def _check(self, name: str) -> None:
        """Only names: a path would be a file of this machine."""
        if name not in catalogue():
            raise InputError("over", f"{quoted(name)} is no table of the catalogue: leave it out")


def design_key(state: State) -> str:
    """The query of what the design depends on."""
    plain = State()
    same = {
        name: getattr(plain, name) for name in ("over", "reference", "pasted", "spectra", "runs_in", "shape")
    }
    return replace(state, **same).to_query()

"""The literature's schedules: coefficients as printed or as run, with their source and folding.

The data is published.json. What each schedule does is not stated there but proved
(scripts/studies/certify_all.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from polydesign.model import InputError
from polydesign.model.program import Program
from polydesign.program.literature import SCHEMES
from polydesign.text.similar import closest

DEFAULT_INTERVAL = (1e-3, 1.0)
"""Where the source names no interval, schedules are looked at on this one, and say so."""


@dataclass(frozen=True, slots=True)
class Published:
    """One schedule of the literature.

    purpose: what its source runs it for, as a Table's. rows: coefficients of q, increasing powers, one a
    step; a single row stands for a step that is repeated. scheme: what computes q from the constants, of
    program.literature.SCHEMES, where the source has no rows; these are then the same polynomials, rounded.
    constants: of each step, as they run; () without a scheme. steps: how many steps its authors run.
    interval: the one that the source names, or None. folded: the safety factor that the rows already contain;
    recommended_factor: what the source tells the user to divide by beside that. tail: what its users do
    beyond the rows (repeat_last, cycle, none). misprint: whether the printed table is known to be wrong.
    """

    name: str
    purpose: str
    root: int
    rows: tuple[tuple[float, ...], ...]
    steps: int
    interval: tuple[float, float] | None
    folded: float
    recommended_factor: float
    cushion: float | None
    tail: str
    misprint: bool
    source: str
    scheme: str | None = None
    constants: tuple[tuple[float, ...], ...] = ()

    def steps_run(self) -> tuple[tuple[float, ...], ...]:
        """The rows as run: a single row repeated `steps` times, several rows as they are."""
        return self.rows * self.steps if len(self.rows) == 1 else self.rows

    def programs(self) -> tuple[Program, ...] | None:
        """What computes q of each step as run; None where that is powers of A."""
        return tuple(map(SCHEMES[self.scheme], self.constants)) if self.scheme else None


@cache
def _entries() -> dict[str, Published]:
    found = {}
    for entry in json.loads(files("polydesign").joinpath("published.json").read_text("utf-8")):
        rows, interval = entry.pop("coefficients"), entry["interval"]
        entry |= {key: float(entry[key]) for key in ("folded", "recommended_factor")}
        entry |= {"rows": tuple(map(tuple, rows)), "interval": interval and tuple(interval)}
        entry |= {"constants": tuple(map(tuple, entry.get("constants", ())))}
        found[entry["name"]] = Published(**entry)
    return found


def names() -> list[str]:
    """The names of all published schedules, the known misprint among them."""
    return list(_entries())


def published(name: str) -> Published:
    """The schedule of that name. Raises InputError with the names that come close."""
    entries = _entries()
    if name not in entries:
        close = closest(name, entries)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise InputError("name", f"{name!r} is not a published schedule{hint}")
    return entries[name]

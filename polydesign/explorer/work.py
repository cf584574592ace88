"""What runs in the processes of jobs.py: previews, searches, identification, runs on matrices, exports.

Each task gets plain values and gives plain values and Tables; a process serves one after another.
"""

from __future__ import annotations

import signal
import tempfile
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polydesign
from polydesign.explorer import designs
from polydesign.explorer.around import around
from polydesign.explorer.drawing import Named, difference_figure, map_figure, steps_figure
from polydesign.explorer.looks import LIGHT, Look
from polydesign.explorer.state import State
from polydesign.identification.paths import is_known
from polydesign.identification.scanning import inventory
from polydesign.identification.sources import holds_several
from polydesign.model import InputError, Schedule, Table
from polydesign.program.cost import matmuls
from polydesign.rounding.running import allowance
from polydesign.table import as_table, dumps
from polydesign.text.numbers import number

MODULE = __name__

_SUFFIXES = (".py", ".ipynb", ".json", ".yaml", ".yml", ".toml", ".md", ".txt")
_SUFFIXES += (".c", ".cc", ".cpp", ".cu", ".h", ".hpp", ".rs", ".go", ".jl", ".js", ".ts", ".m", ".r")

_MOST_POINTS = 256
"""Measured points of a matrix that are drawn."""


@dataclass(frozen=True, slots=True)
class View:
    """What is drawn beside the design: other tables by name, and measured points."""

    over: tuple[Named, ...] = ()
    look: Look = LIGHT
    points: dict[str, tuple[list[float], list[float]]] | None = None


def preview(state: State, view: View, degrees: tuple[int, ...] | None, lower: float | None) -> dict[str, Any]:
    """Figures of the schedule with the solver's numbers, before anything is proved or searched for."""
    return _drawn(state, designs.preview(state, degrees, lower), view, designs.precise(state))


def exact(state: State, view: View, tell: Callable[[Any], None]) -> tuple[Table, dict[str, Any], list[str]]:
    """The table that `design` makes, figures of it, and warnings."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        table = designs.table(state, tell)
    return table, _drawn(state, table.schedule, view, True), [str(one.message) for one in heard]


def _drawn(state: State, schedule: Schedule, view: View, final: bool) -> dict[str, Any]:
    seen = view.look
    shown: Named = ("the design", schedule)
    over = [one for one in view.over if one[1].root == schedule.root]
    allowed = None
    if final and state.purpose == "sign":
        m, n = map(int, state.shape.split("x"))
        allowed = allowance(schedule, state.dtype, (m, n))
    figures = {
        "map": map_figure(shown, over, seen, allowed=allowed, points=view.points),
        "steps": steps_figure(schedule, seen),
        "difference": None,
    }
    reference = next((one for one in over if one[0] == state.reference), None)
    if reference is not None:
        figures["difference"] = difference_figure(
            [shown, *(one for one in over if one is not reference)], reference, seen
        )
    return {
        "figures": figures,
        "error": schedule.error,
        "lower": schedule.interval[0],
        "degrees": list(schedule.degrees),
        "products": matmuls(schedule),
        "allowed": allowed,
        "left_out": [name for name, one in view.over if one.root != schedule.root],
    }


def loaded(name: str) -> Schedule:
    """The schedule of a table of the catalogue."""
    return as_table(name, proving=False).schedule


def identified(text: str, file: str, which: str | None, tell: Callable[[Any], None]) -> dict[str, Any]:
    """What identify says of a text or of a dropped file, and the list as it runs.

    Where there are several lists, their names, for one to be chosen. Nothing in the text is run.
    """
    suffix = Path(file).suffix.lower()
    with tempfile.TemporaryDirectory() as folder:
        source: str | Path = text if is_known(text) else f"{text}\n"  # of one line it could be a path
        if suffix in _SUFFIXES or '"polydesign/schedule/' in text[:200]:
            kind = suffix if suffix in _SUFFIXES else ".json"
            source = Path(folder, f"dropped{kind}")
            source.write_text(text, "utf-8")
        try:
            if which is None and holds_several(source):
                found = inventory(source)
                names = list(dict.fromkeys(one.name for one in found.sightings if one.name))
                if len(names) > 1:
                    return {"words": str(found).replace(folder + "/", ""), "lists": names, "schedule": None}
            one = polydesign.identify(source, which=which)
        except InputError as problem:
            field = problem.field.replace(f"{folder}/dropped{suffix}, ", "").replace(folder + "/", "")
            cure = problem.problem.replace("name one with which=NAME", "choose one of them")
            raise InputError(field, cure.replace(folder + "/", "")) from problem
    instead = [(a.name, a.matmuls, a.error) for a in one.instead]
    match = one.matches[0].name if one.matches else None
    return {"words": str(one), "lists": [], "schedule": one.schedule, "instead": instead, "match": match}


def measured(
    table: Table, spectra: Sequence[str], dtype: str, shape: str, tell: Callable[[Any], None]
) -> dict[str, Any]:
    """verify on these matrices: a line each, and the points that they give."""
    m, n = map(int, shape.split("x"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is in the lines: whether the promise holds
        runs = polydesign.verify(
            table,
            spectra=list(spectra),
            dtype=dtype,
            shape=(m, n),
            progress=lambda done, total, name: tell((done, total, name)),
        )
    points, rows = {}, []
    for run in runs:
        worst = "not finite" if run.worst is None else number(run.worst, 3, up=True)
        rows.append((run.spectrum, dtype, worst, number(run.allowed, 3), run.holds))
        if run.map is not None:
            kept = [(x, y) for x, y in zip(run.map.x, run.map.measured, strict=True) if y is not None]
            kept = sorted(kept)[:: max(1, len(kept) // _MOST_POINTS)]
            points[f"{run.spectrum}, {dtype}"] = ([x for x, _ in kept], [y for _, y in kept])
    return {"rows": rows, "points": points, "digest": table.digest}


def exported(table: Table, to: str) -> str:
    """The table as text for a codebase. Raises InputError where that cannot have it."""
    return polydesign.export(table, to)


def written(table: Table) -> str:
    """The text of the table's file."""
    return dumps(table)


def fetched(name: str) -> Table:
    """A table of the catalogue, proved."""
    return as_table(name)


def _plain(task: Callable[..., Any]) -> Callable[..., Any]:
    """A task that tells nothing of its progress."""
    return lambda *args: task(*args[:-1])


TASKS: dict[str, Callable[..., Any]] = {
    "preview": _plain(preview),
    "exact": exact,
    "around": _plain(around),
    "loaded": _plain(loaded),
    "identified": identified,
    "measured": measured,
    "exported": _plain(exported),
    "written": _plain(written),
    "fetched": _plain(fetched),
}
"""What a process can be asked for."""


def serve(pipe: Any) -> None:
    """Do what comes over the pipe until it is closed: (name of a task, its arguments).

    It begins with ("ready",). Answers are ("told", progress), and then one of ("done", result), ("refused",
    field, problem) and ("failed", words).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this
    pipe.send(("ready",))
    while True:
        try:
            name, args = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer = ("done", TASKS[name](*args, lambda told: pipe.send(("told", told))))
        except InputError as problem:
            answer = ("refused", problem.field, problem.problem)
        except ArithmeticError as problem:
            answer = ("refused", "numbers", str(problem) or type(problem).__name__)
        except Exception as problem:  # an answer in the page, in place of a process that is gone
            traceback.print_exc()
            answer = ("failed", f"{type(problem).__name__}: {problem}"[:300])
        pipe.send(answer)

"""Runs on matrices, and what is taken away: lines, files, commands."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output, ctx, dcc, no_update
from dash import State as Held

from polydesign.explorer import designs
from polydesign.explorer.desk import DESIGN, Desk
from polydesign.explorer.jobs import BrokenError, StaleError
from polydesign.explorer.state import State
from polydesign.explorer.words import problem_words, run_rows
from polydesign.model import InputError


def register_running(app: Dash, desk: Desk) -> None:
    """Connect the part that runs."""

    @app.callback(
        output={
            "tick": Output("tick", "disabled"),
            "cancel": Output("cancel", "disabled"),
            "words": Output("running", "children"),
        },
        inputs={"run": Input("run", "n_clicks"), "cancel": Input("cancel", "n_clicks")},
        state={"settled": Held("settled", "data"), "session": Held("session", "data")},
        prevent_initial_call=True,
    )
    def begin(run: Any, cancel: Any, settled: Any, session: str) -> dict[str, Any]:
        if ctx.triggered_id == "cancel":
            desk.cancel_run(session)
            return {"tick": False, "cancel": True, "words": "cancelling"}
        try:
            if not settled:
                raise InputError("design", "is not made yet: wait a moment, or mend what is wrong above")
            desk.run(session, State.from_query(settled["query"]), DESIGN)
        except InputError as problem:
            return {"tick": True, "cancel": True, "words": problem_words(problem)}
        return {"tick": False, "cancel": False, "words": "begins"}

    @app.callback(
        output={
            "tick": Output("tick", "disabled", allow_duplicate=True),
            "cancel": Output("cancel", "disabled", allow_duplicate=True),
            "words": Output("running", "children", allow_duplicate=True),
            "value": Output("progress", "value"),
            "max": Output("progress", "max"),
            "rows": Output("runs", "children"),
            "points": Output("points", "data"),
        },
        inputs={"tick": Input("tick", "n_intervals")},
        state={"session": Held("session", "data")},
        prevent_initial_call=True,
    )
    def look(tick: Any, session: str) -> dict[str, Any]:
        nothing: dict[str, Any] = dict.fromkeys(
            ("tick", "cancel", "words", "value", "max", "rows", "points"), no_update
        )
        running = desk.running(session)
        if running is None or running.seen:
            return nothing | {"tick": True, "cancel": True}
        if not running.over:
            if running.told is None:
                return nothing | {"words": "makes the table"}
            done, total, spectrum = running.told
            words = f"{done} of {total} done, now {spectrum}"
            return nothing | {"words": words, "value": str(done), "max": str(total)}
        ended, running.seen = nothing | {"tick": True, "cancel": True}, True
        if running.problem is not None or running.result is None:
            return ended | {"words": running.problem or "nothing came of it", "value": "0"}
        result = running.result
        return ended | {
            "words": f"{len(result['rows'])} matrices done: the points are on the map",
            "value": "1",
            "max": "1",
            "rows": run_rows(result["rows"]),
            "points": {"key": running.key, "points": result["points"]},
        }


def register_taking(app: Dash, desk: Desk) -> None:
    """Connect the part that gives."""

    @app.callback(
        output={"export": Output("export", "children"), "command": Output("command", "children")},
        inputs={
            "tab": Input("tab", "value"),
            "taken": Input("taken", "value"),
            "target": Input("target", "value"),
            "settled": Input("settled", "data"),
        },
        state={"session": Held("session", "data")},
    )
    def take(tab: str, taken: Any, target: Any, settled: Any, session: str) -> dict[str, Any]:
        nothing: dict[str, Any] = dict.fromkeys(("export", "command"), no_update)
        if tab != "take" or not settled:
            return nothing
        try:
            table = desk.table(session, State.from_query(settled["query"]), str(taken or DESIGN))
            line, note = designs.command(table)
        except StaleError:
            return nothing
        except (InputError, BrokenError) as problem:
            return {"export": problem_words(problem), "command": ""}
        command = "\n".join(part for part in (line, note and f"# {note}") if part)
        try:
            return {"export": desk.text(session, "exported", table, str(target)), "command": command}
        except StaleError:
            return nothing
        except (InputError, BrokenError) as problem:
            return {"export": problem_words(problem), "command": command}

    @app.callback(
        output={
            "file": Output("file", "data"),
            "problem": Output("download-problem", "children"),
        },
        inputs={"pressed": Input("download", "n_clicks")},
        state={
            "taken": Held("taken", "value"),
            "settled": Held("settled", "data"),
            "session": Held("session", "data"),
        },
        prevent_initial_call=True,
    )
    def download(pressed: Any, taken: Any, settled: Any, session: str) -> dict[str, Any]:
        try:
            if not settled:
                raise InputError("design", "is not made yet: wait a moment, or mend what is wrong above")
            table = desk.table(session, State.from_query(settled["query"]), str(taken or DESIGN))
            text = desk.text(session, "written", table)
        except StaleError:
            return dict.fromkeys(("file", "problem"), no_update)
        except (InputError, BrokenError) as problem:
            return {"file": no_update, "problem": problem_words(problem)}
        return {"file": dcc.send_string(text, f"{table.name}.json"), "problem": ""}

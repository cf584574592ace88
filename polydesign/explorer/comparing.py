"""Lists that are pasted or dropped, and tables over each other."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from dash import ALL, Dash, Input, Output, ctx, html, no_update
from dash import State as Held

from polydesign.explorer.desk import DESIGN, PASTED, Desk
from polydesign.explorer.jobs import BrokenError, StaleError
from polydesign.explorer.state import MOST_OVER
from polydesign.explorer.words import problem_words
from polydesign.model import InputError
from polydesign.text.numbers import number


def register_comparing(app: Dash, desk: Desk) -> None:
    """Connect the part that compares."""

    @app.callback(
        output={
            "words": Output("identified", "children"),
            "key": Output("pasted-key", "data"),
            "over": Output("over", "value", allow_duplicate=True),
            "paste": Output("paste", "value", allow_duplicate=True),
            "lists": Output("which", "options"),
            "hidden": Output("which-row", "hidden"),
            "instead": Output("instead", "children"),
        },
        inputs={
            "pressed": Input("identify", "n_clicks"),
            "dropped": Input("drop", "contents"),
            "which": Input("which", "value"),
            "link": Input("link-read", "data"),
        },
        state={
            "text": Held("paste", "value"),
            "file": Held("drop", "filename"),
            "over": Held("over", "value"),
            "session": Held("session", "data"),
        },
        prevent_initial_call=True,
    )
    def identify(
        pressed: Any, dropped: Any, which: Any, link: Any, text: Any, file: Any, over: Any, session: str
    ) -> dict[str, Any]:
        keys = ("words", "key", "over", "paste", "lists", "hidden", "instead")
        nothing: dict[str, Any] = dict.fromkeys(keys, no_update)
        name = ""
        if ctx.triggered_id == "which" and not which:
            return nothing
        try:
            if ctx.triggered_id == "drop":
                text, name, which = _content(dropped), str(file or ""), None
            elif ctx.triggered_id != "which":
                which = None
            if not isinstance(text, str) or not text.strip():
                if ctx.triggered_id == "link-read":
                    return nothing
                raise InputError("text", "is empty: paste a list such as [(3.4445, -4.7750, 2.0315)]")
            found = desk.identify(session, text, name, which)
        except StaleError:
            return nothing
        except (InputError, BrokenError) as problem:
            return nothing | {"words": problem_words(problem), "key": None, "instead": []}
        shown = list(over or [])
        if found["key"] and PASTED not in shown:
            shown = [*shown[: MOST_OVER - 1], PASTED]
        return {
            "words": found["words"],
            "key": found["key"],
            "over": shown,
            "paste": text if ctx.triggered_id == "drop" else no_update,
            "lists": found["lists"] if found["lists"] else no_update,
            "hidden": not found["lists"] if found["lists"] or which is None else no_update,
            "instead": _buttons(found.get("instead", [])),
        }

    @app.callback(
        output={
            "over": Output("over", "value", allow_duplicate=True),
            "taken": Output("taken", "value", allow_duplicate=True),
            "tab": Output("tab", "value", allow_duplicate=True),
        },
        inputs={"pressed": Input({"kind": "instead", "name": ALL}, "n_clicks")},
        state={"over": Held("over", "value")},
        prevent_initial_call=True,
    )
    def take_instead(pressed: list[Any], over: Any) -> dict[str, Any]:
        if not any(pressed) or not isinstance(ctx.triggered_id, dict):
            return dict.fromkeys(("over", "taken", "tab"), no_update)
        name, shown = ctx.triggered_id["name"], list(over or [])
        if name not in shown:
            shown = [*shown[: MOST_OVER - 1], name]
        return {"over": shown, "taken": name, "tab": "take"}

    @app.callback(
        output={
            "reference": Output("reference", "options", allow_duplicate=True),
            "value": Output("reference", "value", allow_duplicate=True),
            "taken": Output("taken", "options"),
        },
        inputs={"over": Input("over", "value")},
        state={"reference": Held("reference", "value"), "taken": Held("taken", "value")},
        prevent_initial_call="initial_duplicate",
    )
    def offer(over: Any, reference: Any, taken: Any) -> dict[str, Any]:
        shown = list(over or [])
        kept = reference if reference in shown else None
        return {
            "reference": shown,
            "value": no_update if kept == reference else None,
            "taken": list(dict.fromkeys([DESIGN, *(one for one in shown if one != PASTED), taken or DESIGN])),
        }


def _content(dropped: Any) -> str:
    """The text of a dropped file. Raises InputError."""
    _, _, encoded = str(dropped or "").partition(",")
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as problem:
        raise InputError(
            "text", "of the file is no text in UTF-8: drop a source file, or paste the list"
        ) from problem


def _buttons(instead: list[Any]) -> list[Any]:
    """One for each table that does better."""
    return [
        html.Button(
            f"Take {name} instead: {products} products, error {number(error, 3, up=True)}",
            id={"kind": "instead", "name": name},
            type="button",
        )
        for name, products, error in instead
    ]

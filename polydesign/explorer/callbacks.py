"""What happens when something on the page changes."""

from __future__ import annotations

from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, ctx, no_update
from dash import State as Held
from dash.exceptions import PreventUpdate

from polydesign.explorer import designs
from polydesign.explorer.around import products_figure, worst
from polydesign.explorer.comparing import register_comparing
from polydesign.explorer.desk import Desk, design_key
from polydesign.explorer.jobs import BrokenError, StaleError
from polydesign.explorer.looks import Look, look
from polydesign.explorer.state import State, fits_link
from polydesign.explorer.taking import register_running, register_taking
from polydesign.explorer.words import listed_degrees, problem_words, refused, said, steps_table
from polydesign.model import InputError
from polydesign.program.cost import matmuls

CONTROLS = {
    "goal": "goal",
    "purpose": "purpose",
    "root": "root",
    "lower": "lower-number",
    "degrees": "degrees",
    "products": "products-number",
    "band": "band-number",
    "safety": "safety",
    "headroom": "headroom-number",
    "floor": "floor-number",
    "tail": "tail",
    "dtype": "dtype",
    "over": "over",
    "reference": "reference",
    "spectra": "spectra",
    "runs_in": "runs_in",
    "shape": "shape",
}
"""Field of a State -> the control that has it; pasted is the list that was identified."""

PAIRS = ("products", "band", "headroom", "floor")
ROWS = ("root", "lower", "degrees", "products", "band", "headroom", "floor", "tail")
MOST_CHECKED = 10_000
"""Products of what the browser gives back."""


def register(app: Dash, desk: Desk, start: State) -> None:
    """Connect the page's parts; start: what it shows without a link."""
    _in_the_browser(app)
    _restoring(app, start)
    _designing(app, desk)
    register_comparing(app, desk)
    register_running(app, desk)
    register_taking(app, desk)


def _in_the_browser(app: Dash) -> None:
    def function(name: str) -> ClientsideFunction:
        return ClientsideFunction("explorer", name)

    app.clientside_callback(function("screen"), Output("screen", "data"), Input("session", "data"))
    app.clientside_callback(
        function("lower"),
        [Output("lower", "value"), Output("lower-number", "value")],
        [Input("lower", "value"), Input("lower-number", "value")],
        prevent_initial_call=True,
    )
    for name in PAIRS:
        app.clientside_callback(
            function("alike"),
            [Output(name, "value"), Output(f"{name}-number", "value")],
            [Input(name, "value"), Input(f"{name}-number", "value")],
            prevent_initial_call=True,
        )
    app.clientside_callback(
        function("degrees"),
        Output("degrees", "value", allow_duplicate=True),
        [Input("longer", "n_clicks"), Input("shorter", "n_clicks")],
        Held("degrees", "value"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        function("visible"),
        [Output(f"{name}-row", "style") for name in ROWS],
        [Input(name, "value") for name in ("goal", "purpose", "safety")],
    )
    app.clientside_callback(
        function("tabs"),
        [Output(f"tab-{name}", "hidden") for name in ("design", "compare", "run", "take")],
        Input("tab", "value"),
    )
    app.clientside_callback(function("later"), Output("steps-box", "title"), Input("later", "data"))
    app.clientside_callback(function("settle"), Output("link", "children"), Input("query", "data"))


def _restoring(app: Dash, start: State) -> None:
    @app.callback(
        output={
            "controls": {name: Output(control, "value") for name, control in CONTROLS.items()},
            "pasted": Output("paste", "value"),
            "problem": Output("link-problem", "children"),
            "read": Output("link-read", "data"),
            "offered": Output("reference", "options"),
        },
        inputs={"search": Input("url", "search")},
    )
    def restore(search: str | None) -> dict[str, Any]:
        state, problem = start, ""
        try:
            state = State.from_query(search) if search else start
        except InputError as refused:
            problem = f"The link is not read. {problem_words(refused)}"
        values = {name: getattr(state, name) for name in CONTROLS}
        values |= {
            "degrees": listed_degrees(state.degrees),
            "lower": f"{state.lower:.12g}",
            "over": list(state.over),
            "spectra": list(state.spectra),
            "reference": state.reference or None,
        }
        return {
            "controls": values,
            "pasted": state.pasted,
            "problem": problem,
            "read": True,
            "offered": values["over"],
        }


def _designing(app: Dash, desk: Desk) -> None:
    controls = {name: Input(control, "value") for name, control in CONTROLS.items()}

    @app.callback(
        output={
            "map": Output("map-figure", "figure"),
            "later": Output("later", "data"),
            "said": Output("said", "children"),
            "query": Output("query", "data"),
        },
        inputs={
            "values": controls,
            "screen": Input("screen", "data"),
            "key": Input("pasted-key", "data"),
            "points": Input("points", "data"),
        },
        state={
            "pasted": Held("paste", "value"),
            "found": Held("found", "data"),
            "session": Held("session", "data"),
        },
    )
    def preview(
        values: dict[str, Any], screen: Any, key: Any, points: Any, pasted: Any, found: Any, session: str
    ) -> dict[str, Any]:
        nothing: dict[str, Any] = dict.fromkeys(("map", "later", "said", "query"), no_update)
        try:
            state = _state(values, pasted)
            view, problems = desk.view(session, state, _screen(screen), key, _points(points, state))
            before = _before(found, state)
            drawn = desk.preview(session, state, view, before.get("degrees"), before.get("lower"))
        except StaleError:
            return nothing
        except (InputError, BrokenError) as problem:
            return nothing | {"said": refused(problem), "query": None}
        return _drawn(drawn) | {
            "said": said(state, drawn, None, problems),
            "query": {"query": state.to_query(), "point": _point(drawn)},
        }

    @app.callback(
        output={
            "map": Output("map-figure", "figure", allow_duplicate=True),
            "later": Output("later", "data", allow_duplicate=True),
            "said": Output("said", "children", allow_duplicate=True),
            "found": Output("found", "data"),
            "numbers": Output("numbers", "children"),
        },
        inputs={"settled": Input("settled", "data")},
        state={
            "screen": Held("screen", "data"),
            "key": Held("pasted-key", "data"),
            "points": Held("points", "data"),
            "session": Held("session", "data"),
        },
        prevent_initial_call=True,
    )
    def exact(settled: Any, screen: Any, key: Any, points: Any, session: str) -> dict[str, Any]:
        nothing: dict[str, Any] = dict.fromkeys(("map", "later", "said", "found", "numbers"), no_update)
        if not settled:
            return nothing
        try:
            state = State.from_query(settled["query"])
            view, problems = desk.view(session, state, _screen(screen), key, _points(points, state))
            table, drawn, heard = desk.exact(session, state, view)
        except StaleError:
            return nothing
        except (InputError, BrokenError) as problem:
            return nothing | {"said": refused(problem)}
        # A preview that is precise has drawn the same.
        shown = dict.fromkeys(("map", "later"), no_update) if designs.precise(state) else _drawn(drawn)
        return shown | {
            "said": said(state, drawn, table, [*problems, *heard]),
            "found": {"query": settled["query"], "point": _point(drawn)},
            "numbers": steps_table(table.schedule),
        }

    @app.callback(
        output=Output("products-figure", "figure"),
        inputs={"settled": Input("settled", "data"), "found": Input("found", "data")},
        state={
            "screen": Held("screen", "data"),
            "key": Held("pasted-key", "data"),
            "session": Held("session", "data"),
        },
        prevent_initial_call=True,
    )
    def products(settled: Any, found: Any, screen: Any, key: Any, session: str) -> Any:
        if not settled:
            raise PreventUpdate
        try:
            state = State.from_query(settled["query"])
            exactly = bool(found) and found["query"] == settled["query"]
            if ctx.triggered_id == "found" and (not exactly or designs.precise(state)):
                raise PreventUpdate  # the preview had the same point
            point = _checked(found["point"] if exactly else settled["point"])
            view, _ = desk.view(session, state, _screen(screen), key, None)
            around = desk.around(session, state, point["lower"], point["products"])
        except (StaleError, InputError, BrokenError):
            raise PreventUpdate from None  # what is wrong stands above the map
        over = [
            (name, matmuls(one), worst(one.rows, one.root, point["lower"]))
            for name, one in view.over
            if one.root == state.root
        ]
        return products_figure(
            around, ("the design", point["products"], point["error"]), over, _screen(screen)
        )


def _state(values: dict[str, Any], pasted: Any) -> State:
    """Of the controls. A list that is no part of a link is shown all the same."""
    text = pasted if isinstance(pasted, str) and fits_link(pasted) else ""
    return State.of_controls({**values, "reference": values["reference"] or "", "pasted": text})


def _screen(told: Any) -> Look:
    """Light or dark, wide or narrow, as the browser tells."""
    told = told if isinstance(told, dict) else {}
    return look(bool(told.get("dark")), narrow=bool(told.get("narrow")))


def _drawn(drawn: dict[str, Any]) -> dict[str, Any]:
    """The map, and the figures that the browser draws in the frame after it."""
    figures = drawn["figures"]
    return {"map": figures["map"], "later": {name: figures[name] for name in ("steps", "difference")}}


def _point(drawn: dict[str, Any]) -> dict[str, Any]:
    return {name: drawn[name] for name in ("lower", "products", "error", "degrees")}


def _checked(point: Any) -> dict[str, Any]:
    """What the browser gives back of a point, if it can be one. Raises InputError."""
    try:
        made: dict[str, Any] = {"lower": float(point["lower"]), "error": float(point["error"])}
        made |= {"products": int(point["products"]), "degrees": tuple(map(int, point["degrees"]))}
    except (KeyError, TypeError, ValueError) as problem:
        raise InputError("point", "is none of this page: load it again") from problem
    if not (0 < made["lower"] < 1 and 0 <= made["error"] < 1e300 and 1 <= made["products"] <= MOST_CHECKED):
        raise InputError("point", "is none of this page: load it again")
    return made


def _before(found: Any, state: State) -> dict[str, Any]:
    """Degrees and l that the last search found, where they may serve as a preview of the next."""
    if not found:
        return {}
    try:
        before = State.from_query(found["query"])
        point = _checked(found["point"])
    except (InputError, KeyError, TypeError):
        return {}
    return point if (before.root, before.goal) == (state.root, state.goal) else {}


def _points(points: Any, state: State) -> Any:
    """Measured points, where they are of this design."""
    if not isinstance(points, dict) or points.get("key") != design_key(state):
        return None
    return {str(label): (x, y) for label, (x, y) in points.get("points", {}).items()}

"""What stands on the page: controls on one side, figures on the other."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from math import log10
from typing import Any

from dash import dcc, html

from polydesign.explorer import state as limits
from polydesign.explorer.desk import DESIGN, PASTED
from polydesign.explorer.state import GOALS, PURPOSES, SAFETIES, SHAPES, State
from polydesign.explorer.words import aria, listed_degrees
from polydesign.exporters.targets import TARGETS
from polydesign.model import DTYPES

SPECTRA = (
    *(
        "gaussian",
        "marchenko-pastur:0.25",
        "marchenko-pastur:1",
        "logspace:1e-2",
        "logspace:1e-4",
        "harmonic",
    ),
    *("clustered", "two-bulks", "levels:0.1", "levy", "rank1", "rank2", "rankk:8", "swept", "blocks"),
)
"""Test matrices that are offered."""

STORES = ("screen", "query", "settled", "found", "pasted-key", "points", "link-read", "later")
"""What callbacks tell each other; callbacks.py says what is in them."""

FIGURES = {
    "map": "The composed map f(x) over x, with the band that is promised",
    "difference": "Differences of maps against the chosen table",
    "steps": "The error of each step over its domain",
    "products": "Error over matrix products, with the best possible and tables of the package",
}
_CONFIG: Any = {"displayModeBar": False, "responsive": True, "scrollZoom": False, "doubleClick": False}


def layout(names: Sequence[str], start: State) -> Any:
    """The page; its session is a new one."""
    tabs = {
        "design": ("Design", _design(start)),
        "compare": ("Compare", _compare(names, start)),
        "run": ("Run", _run(start)),
        "take": ("Take", _take()),
    }
    return html.Div(
        [
            dcc.Location(id="url", refresh=False),
            dcc.Store(id="session", data=secrets.token_urlsafe(12)),
            *(dcc.Store(id=name) for name in STORES),
            dcc.Download(id="file"),
            dcc.Interval(id="tick", interval=300, disabled=True),
            html.Header(
                [
                    html.H1("polydesign explore"),
                    html.P("Design a schedule, compare it, run it, take it.", className="lead"),
                ]
            ),
            html.Main(
                [
                    html.Section(
                        [
                            html.Div(id="link-problem", className="problem", **_live("alert")),
                            html.Div(id="said", className="said", **_live("status")),
                            html.Div(id="download-problem", className="problem", **_live("alert")),
                            _figure("map"),
                        ],
                        className="top",
                    ),
                    html.Section(
                        [
                            _choice("tab", "Part", {k: label for k, (label, _) in tabs.items()}, "design"),
                            *(
                                html.Div(inside, id=f"tab-{k}", className="part", hidden=k != "design")
                                for k, (_, inside) in tabs.items()
                            ),
                        ],
                        className="controls",
                    ),
                    html.Section(
                        [
                            _figure("difference"),
                            html.H2("Error of each step"),
                            _figure("steps"),
                            html.H2("Error against products"),
                            _figure("products"),
                            html.Details([html.Summary("Steps in numbers"), html.Div(id="numbers")]),
                        ],
                        className="rest",
                    ),
                ]
            ),
        ],
        className="page",
    )


def _live(role: str) -> dict[str, Any]:
    return {"role": role, "aria-live": "polite"}


def _figure(name: str) -> Any:
    graph = dcc.Graph(id=f"{name}-figure", config=_CONFIG, figure=_EMPTY)
    return html.Div(graph, id=f"{name}-box", role="img", className="figure", **aria(label=FIGURES[name]))


_EMPTY: dict[str, Any] = {
    "data": [],
    "layout": {
        "height": 230,
        "xaxis": {"visible": False},
        "yaxis": {"visible": False},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
    },
}


def _row(label: str, control: Any, *, name: str, hint: str = "") -> Any:
    parts = [html.Label(label, htmlFor=name, id=f"{name}-label"), control]
    if hint:
        parts.append(html.Small(hint))
    return html.Div(parts, className="row")


def _choice(name: str, title: str, options: Mapping[str, str], value: str, *, inline: bool = False) -> Any:
    listed = [{"label": label, "value": key} for key, label in options.items()]
    radio = dcc.RadioItems(id=name, options=listed, value=value, inline=inline)
    return html.Fieldset([html.Legend(title), radio], id=f"{name}-row")


def _slider(name: str, low: float, high: float, step: float, value: float, marks: dict[Any, str]) -> Any:
    return dcc.Slider(
        id=name,
        min=low,
        max=high,
        step=step,
        value=value,
        marks=marks,
        updatemode="drag",
        allow_direct_input=False,
    )


def _shown(name: str, label: str, slider: Any, number: Any) -> Any:
    """A slider with a field for its number."""
    head = html.Div(
        [html.Label(label, htmlFor=f"{name}-number", id=f"{name}-label"), number], className="pair"
    )
    return html.Div([head, slider], className="row", id=f"{name}-row")


def _number(name: str, value: float, low: float, high: float, step: Any = "any") -> Any:
    return dcc.Input(id=name, type="number", value=value, min=low, max=high, step=step, debounce=True)


def _design(start: State) -> Any:
    return [
        _choice("goal", "Goal", GOALS, start.goal),
        _choice("purpose", "For", PURPOSES, start.purpose),
        html.Div(
            _row("Root r", _number("root", start.root, 1, limits.MOST_ROOT, 1), name="root"), id="root-row"
        ),
        _shown(
            "lower",
            "Lower end l",
            _slider("lower", -8, -0.5, 0.01, log10(start.lower), {k: f"1e{k}" for k in (-8, -6, -4, -2)}),
            dcc.Input(id="lower-number", type="text", value=f"{start.lower:.3g}", debounce=True),
        ),
        html.Div(
            [
                _row(
                    "Degrees, one a step",
                    dcc.Input(id="degrees", type="text", value=listed_degrees(start.degrees), debounce=True),
                    name="degrees",
                    hint="such as 5, 5, 9 or 5x5; each is 1 + n·r",
                ),
                html.Div(
                    [
                        html.Button("+ one step", id="longer", type="button"),
                        html.Button("− one step", id="shorter", type="button"),
                    ],
                    className="buttons",
                ),
            ],
            id="degrees-row",
        ),
        _shown(
            "products",
            "Matrix products",
            _slider(
                "products",
                2,
                limits.MOST_PRODUCTS,
                1,
                start.products,
                {k: str(k) for k in (2, 10, 20, 30, 40)},
            ),
            _number("products-number", start.products, 2, limits.MOST_PRODUCTS, 1),
        ),
        _shown(
            "band",
            "Band around 1",
            _slider("band", 0.01, 0.6, 0.01, start.band, {0.01: "0.01", 0.3: "0.3", 0.6: "0.6"}),
            _number("band-number", start.band, 1e-6, 0.9),
        ),
        _choice("safety", "Room for rounding", SAFETIES, start.safety),
        _shown(
            "headroom",
            "Headroom",
            _slider("headroom", 1, 1.1, 0.001, start.headroom, {1: "1", 1.05: "1.05", 1.1: "1.1"}),
            _number("headroom-number", start.headroom, 1, 1.5),
        ),
        _shown(
            "floor",
            "Image floor",
            _slider("floor", 0, 0.5, 0.01, start.floor, {0: "none", 0.25: "0.25", 0.5: "0.5"}),
            _number("floor-number", start.floor, 0, 0.9),
        ),
        html.Div(
            _row(
                "Last steps without floor", _number("tail", start.tail, 0, limits.MOST_STEPS, 1), name="tail"
            ),
            id="tail-row",
        ),
        _choice("dtype", "Made for", DTYPES, start.dtype, inline=True),
    ]


def _compare(names: Sequence[str], start: State) -> Any:
    options = [{"label": name, "value": name} for name in (PASTED, *names)]
    return [
        _row("Paste a list, a file, or the name of a table", _paste(start), name="paste"),
        html.Div(
            html.Button("Identify", id="identify", type="button", className="first"), className="buttons"
        ),
        dcc.Upload(
            html.Div("or drop a source file here, or press to choose one"),
            id="drop",
            className="drop",
            className_active="drop over",
            max_size=1_000_000,
        ),
        html.Div(
            _row("Which list", dcc.Dropdown(id="which", clearable=True), name="which"),
            id="which-row",
            hidden=True,
        ),
        html.Div(id="instead", className="buttons"),
        html.Pre(id="identified", tabIndex=0, **aria(label="What the list is")),
        _row(
            "Tables drawn over the design",
            dcc.Dropdown(id="over", options=options, value=list(start.over), multi=True),
            name="over",
        ),
        _row(
            "Differences against",
            dcc.Dropdown(id="reference", options=list(start.over), value=start.reference or None),
            name="reference",
        ),
    ]


def _paste(start: State) -> Any:
    return dcc.Textarea(
        id="paste", value=start.pasted, rows=5, spellCheck=False, placeholder="[(3.4445, -4.7750, 2.0315)]"
    )


def _run(start: State) -> Any:
    return [
        html.P("Runs the design on matrices with known singular values, in a process of its own."),
        _row(
            "Test matrices",
            dcc.Dropdown(id="spectra", options=list(SPECTRA), value=list(start.spectra), multi=True),
            name="spectra",
        ),
        _choice("runs_in", "Precision", DTYPES, start.runs_in, inline=True),
        _choice("shape", "Shape", {shape: shape for shape in SHAPES}, start.shape, inline=True),
        html.Div(
            [
                html.Button("Run", id="run", type="button", className="first"),
                html.Button("Cancel", id="cancel", type="button", disabled=True),
            ],
            className="buttons",
        ),
        html.Progress(id="progress", value="0", max="1", **aria(label="progress of the run")),
        html.Div(id="running", **_live("status")),
        html.Div(id="runs"),
    ]


def _take() -> Any:
    return [
        _row(
            "Table", dcc.Dropdown(id="taken", options=[DESIGN], value=DESIGN, clearable=False), name="taken"
        ),
        _row(
            "For",
            dcc.Dropdown(
                id="target",
                options=[{"label": f"{name}: {one.about}", "value": name} for name, one in TARGETS.items()],
                value="python",
                clearable=False,
            ),
            name="target",
        ),
        _copied("export", "Lines to paste"),
        html.Div(html.Button("Download the table (JSON)", id="download", type="button"), className="buttons"),
        _copied("command", "The command that makes the same table"),
        _copied("link", "A link to this page as it is"),
    ]


def _copied(name: str, title: str) -> Any:
    head = html.Div(
        [
            html.H3(title, id=f"{name}-title"),
            dcc.Clipboard(
                "Copy",
                id=f"{name}-copy",
                target_id=name,
                copied_children="Copied",
                className="copy",
                title=title,
            ),
        ],
        className="pair",
    )
    return html.Div([head, html.Pre(id=name, tabIndex=0, **aria(labelledby=f"{name}-title"))])

"""Figures of schedules: the composed map, its deviation from 1 and the error of every step.

Matplotlib by its object interface: no pyplot, no lasting change of its settings. Whatever a colour tells
is also told by a line style, a marker or a grey, so that the figures read in black and white. Axes carry
labels ("map", "deviation", "step 3") by which a caller finds them.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from polydesign.drawing.overlaid import draw_errors, draw_maps
from polydesign.drawing.panels import (
    HATCHED,
    draw_deviation,
    draw_map,
    draw_step,
    measured_points,
    number,
    short,
)
from polydesign.model import InputError, Measurement, Table
from polydesign.program.cost import matmuls_of
from polydesign.text.files import write_atomically

WIDTH, DPI = 9.0, 160
STYLE: list[Any] = [
    "default",  # a reader's own matplotlibrc must not change what is built
    {
        "font.size": 10,
        "axes.titlesize": 10,
        "xtick.labelsize": 9.5,
        "ytick.labelsize": 9.5,
        "legend.fontsize": 9.5,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "polydesign",
    },
]
"""Sizes in points of a figure 9 inches wide: shown 900 pixels wide, 9.5 points are 13 pixels."""

THIN = 0.1  # from this error on the band is too thin on the map's own axis: the deviation gets its own
_NAMES = {"frobenius": "Frobenius", "schatten4": "Schatten-4", "schatten8": "Schatten-8", "aol": "AOL"}
SUFFIXES = (".png", ".svg")


def schedule_figure(table: Table, measurements: Sequence[Measurement] = ()) -> Figure:
    """One figure that explains a schedule.

    Top: f(x) from a decade below l to a little above u, [1 − E, 1 + E] shaded over [l, u], and lighter what
    verify allows with rounding; where E is below 0.1 also f(x) − 1 on its own scale. Below: the error
    1 − p(x) of every step on its own domain, its alternating extreme points marked, what headroom and
    cushion add to it hatched. measurements: those with a `map` are drawn as points over the predicted curve,
    one marker a spectrum, one filling a precision; a note counts the points that lie outside the axes and
    those that were not finite.

    Raises InputError where a measurement belongs to another table.
    """
    groups = measured_points(table, measurements)
    schedule = table.schedule
    count = len(schedule.steps)
    columns = count if count <= 4 else 3 if count in (5, 6, 9) else 4
    rows = math.ceil(count / columns)
    thin = schedule.error < THIN
    heights = [3.0, *([1.7] if thin else []), 1.8 * rows]
    with style.context(STYLE):
        fig = new_figure()
        grid = fig.add_gridspec(len(heights), 1, height_ratios=heights)
        ax = fig.add_subplot(grid[0], label="map")
        draw_map(ax, schedule, groups)
        if thin:
            below = fig.add_subplot(grid[1], label="deviation", sharex=ax)
            draw_deviation(below, schedule, groups)
            fig.align_ylabels([ax, below])
            ax.tick_params(labelbottom=False)
            ax.set_xlabel("")
        panels = grid[len(heights) - 1].subgridspec(rows, columns)
        received = schedule.interval
        for index, step in enumerate(schedule.steps):
            panel = fig.add_subplot(panels[index // columns, index % columns], label=f"step {index + 1}")
            draw_step(panel, step, index + 1, received)
            if index % columns == 0:
                panel.set_ylabel("1 − p(x)")
            received = step.image
        hatched = [Patch(**HATCHED)] if any(panel.patches for panel in fig.axes) else []
        head(fig, sum(heights), promise(table), _meaning(table), ax, more=hatched)
    return fig


def comparison_figure(tables: Sequence[Table]) -> Figure:
    """The maps of several tables where they rise, and below the error that each leaves on [x, u].

    A line style and ink each. Raises InputError where there is no table.
    """
    if not tables:
        raise InputError("tables", "a comparison needs at least one table")
    labels = [f"{table.name}, E = {number(table.schedule.error, 3, up=True)}" for table in tables]
    with style.context(STYLE):
        fig = new_figure()
        above, below = fig.subplots(2, 1, height_ratios=[3, 2.2])
        above.set_label("map")
        below.set_label("error")
        draw_maps(above, tables, labels)
        draw_errors(below, tables)
        fig.align_ylabels([above, below])
        meaning = "above: where they rise; below: the error that is left if no value lies below x"
        head(fig, 5.4, f"{len(tables)} composed maps f(x)", meaning, above, columns=2)
    return fig


def save_figure(fig: Figure, path: str | Path) -> None:
    """Write a figure as PNG (160 dots an inch) or SVG, as the suffix says; the same figure, the same bytes.

    The file appears whole or not at all. Raises InputError for another suffix, OSError.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError("output", f"{path.name!r} is no picture: end its name in {' or '.join(SUFFIXES)}")
    kind = path.suffix.lower().removeprefix(".")
    write_atomically(path, rendered(fig, kind))


def rendered(fig: Figure, kind: str, dpi: int = DPI) -> bytes:
    """The figure as png or svg; the same figure, the same bytes."""
    unnamed = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}[kind]
    content = io.BytesIO()
    with style.context(STYLE):
        fig.savefig(content, format=kind, dpi=dpi, metadata=unnamed)
    return content.getvalue()


def promise(table: Table) -> str:
    """What a table promises, in words; the error is rounded up, so that the words stay true."""
    schedule = table.schedule
    root = "" if schedule.root == 2 else f" (root {schedule.root})"
    low, high = map(short, schedule.interval)
    promised = f"|f(x) − 1| ≤ {number(schedule.error, 3, up=True)} on [{low}, {high}]"
    products = matmuls_of(table)
    return f"{table.name}{root}: {promised}, {products} matrix product{'s' * (products != 1)}"


class _Shown(Figure):
    """A figure that a notebook shows without pyplot, which alone would tell it how."""

    def _repr_png_(self) -> bytes:
        return rendered(self, "png", dpi=80)


def new_figure() -> Figure:
    """An empty figure, laid out as all are; `head` gives it its size."""
    fig = _Shown(layout="constrained")
    FigureCanvasAgg(fig)
    return fig


def head(
    fig: Figure,
    body: float,
    title: str,
    meaning: str,
    ax: Axes,
    columns: int = 3,
    more: Sequence[Patch] = (),
) -> None:
    """Title, subtitle and legend above the axes, where they cover nothing; fixes height and layout.

    body: height of the axes in inches. more: what the legend has beside the contents of `ax`.
    """
    handles, labels = ax.get_legend_handles_labels()
    handles, labels = [*handles, *more], [*labels, *(str(one.get_label()) for one in more)]
    lines = textwrap.wrap(title, 84, break_on_hyphens=False)
    columns = min(columns, len(handles))
    rows = math.ceil(len(handles) / columns)
    parts = [0.08, 0.22 * len(lines), 0.24 if meaning else 0.04, 0.05 + 0.21 * rows]
    height = body + sum(parts)
    fig.set_size_inches(WIDTH, height)
    engine = fig.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(rect=(0.005, 0, 0.99, body / height), h_pad=0.06, w_pad=0.06)
    at = [1 - sum(parts[:k]) / height for k in range(1, 4)]
    heading: dict[str, Any] = {"va": "top", "parse_math": False}
    fig.text(0.01, at[0], "\n".join(lines), fontsize=12, fontweight="bold", linespacing=1.25, **heading)
    fig.text(0.01, at[1], meaning, color="0.25", **heading)
    legend: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0.01, at[2]), "borderaxespad": 0}
    fig.legend(handles, labels, ncols=columns, frameon=False, borderpad=0, handlelength=2.8, **legend)
    # Every drawing would move the axes by another rounding: lay them out here, once.
    engine.execute(fig)
    fig.set_layout_engine("none")


def _meaning(table: Table) -> str:
    root = table.schedule.root
    values = "singular values" if root == 2 else "eigenvalues" if root == 1 else f"eigenvalues^(1/{root})"
    degrees = table.schedule.degrees
    if len(set(degrees)) == 1:
        steps = f"{len(degrees)} step{'s' * (len(degrees) != 1)} of degree {degrees[0]}"
    else:
        steps = f"{len(degrees)} steps of degree {', '.join(map(str, degrees))}"
    name = table.normalization
    after = "as given" if name == "none" else f"after {_NAMES.get(name, name)} normalization"
    return f"x: {values} {after}; {steps}"

"""The figures of a report: drawn for the width of a phone, without titles, which the page has.

4.2 inches wide, shown 358 pixels wide (a phone of 390): 9.5 points are then 11 pixels. What a colour tells is
also told by a line style, a marker or a hatch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from polydesign.drawing.figures import STYLE, THIN, new_figure
from polydesign.drawing.overlaid import draw_errors, draw_maps
from polydesign.drawing.panels import EDGE, draw_deviation, draw_map, draw_step, measured_points
from polydesign.model import DTYPES, MeasuredMap, Measurement, Schedule, Table
from polydesign.reporting.comparison import Row
from polydesign.reporting.comparison_figure import draw_products
from polydesign.rounding.direct import Prediction

PHONE = 4.2
"""Width in inches."""

LOOKS: dict[str, dict[str, Any]] = {
    "bfloat16": {"color": "#d55e00", "linestyle": "--", "marker": "o"},
    "float16": {"color": "#0072b2", "linestyle": ":", "marker": "s"},
    "float32": {"color": "#009e73", "linestyle": "-.", "marker": "^"},
    "float64": {"color": "0.4", "linestyle": (0, (7, 2, 1, 2)), "marker": "D"},
}
"""Precision -> how its prediction is drawn; what was measured has the marker alone."""

MOST_SPECTRA = 4
"""Of measured maps over the predicted one."""

TOP, FLOOR = 5.0, 1e-17
"""Errors outside are drawn at these ends."""


def map_picture(table: Table, measurements: Sequence[Measurement] = ()) -> Figure:
    """f with the promised band, below it f − 1 on its own scale where the band is thin; measured points."""
    thin = table.schedule.error < THIN
    groups = measured_points(table, measurements)[:MOST_SPECTRA]
    with style.context(STYLE):
        fig = new_figure()
        axes: Any = fig.subplots(
            2 if thin else 1, 1, sharex=True, squeeze=False, height_ratios=[3, 2][: 1 + thin]
        )
        draw_map(axes[0][0], table.schedule, groups)
        axes[0][0].set_label("map")
        axes[0][0].set_title(axes[0][0].get_title(), fontsize=9.5, color="0.25", pad=18)  # over l and u
        if table.schedule.error > TOP:
            axes[0][0].set_ylim(-1.5, 3.5)  # where it begins to leave is worth more than how far it gets
        if thin:
            axes[0][0].set_xlabel("")
            draw_deviation(axes[1][0], table.schedule, groups)
            axes[1][0].set_label("deviation")
        return _finished(fig, 2.4 + 1.6 * thin, axes[0][0])


def steps_picture(schedule: Schedule) -> Figure:
    """1 − p of every step on its own domain."""
    count = len(schedule.steps)
    rows = math.ceil(count / 2)
    with style.context(STYLE):
        fig = new_figure()
        received = schedule.interval
        for index, step in enumerate(schedule.steps):
            ax = fig.add_subplot(rows, min(count, 2), index + 1, label=f"step {index + 1}")
            draw_step(ax, step, index + 1, received)
            received = step.image
            for axis in (ax.xaxis, ax.yaxis):
                if axis is ax.xaxis and ax.get_xscale() == "linear":
                    axis.set_major_locator(MaxNLocator(3))
        return _finished(fig, 1.75 * rows, None)


def rounding_picture(
    schedule: Schedule, predictions: dict[str, Prediction], measurements: Sequence[Measurement]
) -> Figure:
    """max |v − 1| after each step: exact, expected with rounding, and measured (the worst of the runs)."""
    with style.context(STYLE):
        fig = new_figure()
        ax = fig.add_subplot(label="rounding")
        steps = range(1, len(schedule.steps) + 1)
        exact = [_shown(step.half_width) for step in schedule.steps]
        ax.plot(steps, exact, color="black", linewidth=1.5, label="exact")
        least = min(exact)
        for dtype, prediction in predictions.items():
            look = dict(LOOKS[dtype])
            marker = look.pop("marker")
            ends = [_shown(max(1 - s.left[0], s.left[1] - 1)) for s in prediction.steps]
            if len(ends) == len(exact):  # turned vectors count at the end
                ends[-1] = _shown(prediction.error)
            least = min([least, *ends])
            ax.plot(steps[: len(ends)], ends, label=f"{DTYPES[dtype]}, expected", linewidth=1.3, **look)
            worst = _after_steps(dtype, measurements)
            if worst:
                shape: dict[str, Any] = {"linestyle": "none", "markerfacecolor": "white", "markersize": 6}
                shape |= {"markeredgecolor": look["color"], "markeredgewidth": 1.1, "marker": marker}
                ax.plot(steps[: len(worst)], worst, label=f"{DTYPES[dtype]}, measured", zorder=3, **shape)
        ax.set_yscale("log")
        ax.set_ylim(least / 3, TOP * 1.4)
        ax.set_xlabel("after step")
        ax.set_ylabel("largest |v − 1|")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.grid(visible=True, axis="y", color="0.9", linewidth=0.6)
        return _finished(fig, 2.4, ax, columns=2)


def _after_steps(dtype: str, measurements: Sequence[Measurement]) -> list[float]:
    """The worst of the runs after each step; not finite is the top."""
    runs = [m.after_steps for m in measurements if m.dtype == dtype and m.after_steps and m.count]
    if not runs:
        return []
    return [
        max(_shown(math.inf if run[k].worst is None else run[k].worst or 0.0) for run in runs)
        for k in range(min(map(len, runs)))
    ]


def _shown(error: float) -> float:
    return min(max(error, FLOOR), TOP)


def histogram_picture(values: MeasuredMap) -> Figure:
    """Singular values (or eigenvalues^(1/r)) before, on a logarithmic axis, and after."""
    before = np.array(values.x)
    after = np.array([y for y in values.measured if y is not None])
    with style.context(STYLE):
        fig = new_figure()
        above, below = fig.subplots(2, 1)
        low = 10 ** math.floor(math.log10(max(before.min(), 1e-12)))
        edges = np.geomspace(low, max(1.0, before.max()), 41)
        look: dict[str, Any] = {"edgecolor": "black", "linewidth": 0.5}
        above.hist(np.clip(before, low, None), bins=edges, facecolor="0.85", hatch="////", **look)
        above.set_xscale("log")
        bottom, top = min(0.0, after.min(initial=0.0)), max(1.25, after.max(initial=0.0))
        below.hist(after, bins=np.linspace(bottom, top, 61).tolist(), facecolor="0.35", **look)
        below.axvline(1, color="black", linewidth=0.8, linestyle=":")
        for ax, what in ((above, "before"), (below, "after")):
            ax.set_label(what)
            ax.set_xlabel(what, labelpad=1)
            ax.set_ylabel("values")
            ax.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        return _finished(fig, 3.0, None)


def maps_picture(tables: Sequence[Table]) -> Figure:
    """All maps where they rise, and below the error on [x, 1]."""
    with style.context(STYLE):
        fig = new_figure()
        above, below = fig.subplots(2, 1)
        draw_maps(above, tables)
        draw_errors(below, tables)
        return _finished(fig, 4.2, above, columns=1)


def products_picture(rows: Sequence[Row]) -> Figure:
    """Errors over products, and what is possible."""
    with style.context(STYLE):
        fig = new_figure()
        ax = fig.add_subplot()
        draw_products(ax, rows)
        return _finished(fig, 2.8, ax, columns=1)


def _finished(fig: Figure, body: float, ax: Axes | None, columns: int = 1) -> Figure:
    """Size, the legend of `ax` above everything, and a layout that stays."""
    handles, labels = ax.get_legend_handles_labels() if ax is not None else ([], [])
    shown = [(h, name) for h, name in zip(handles, labels, strict=True) if not name.startswith("_")]
    rows = math.ceil(len(shown) / columns)
    room = 0.175 * rows + (0.08 if rows else 0)
    height = body + room
    fig.set_size_inches(PHONE, height)
    engine: Any = fig.get_layout_engine()
    engine.set(rect=(0, 0, 1, body / height), h_pad=0.04, w_pad=0.03)
    if shown:
        look: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0.01, 1), "borderaxespad": 0.1}
        look |= {"frameon": False, "handlelength": 3.0, "labelspacing": 0.25, "columnspacing": 1.2}
        fig.legend(*zip(*shown, strict=True), ncols=columns, **look)
    for one in fig.axes:
        one.tick_params(colors="black")
        for spine in one.spines.values():
            spine.set_edgecolor(EDGE)
    engine.execute(fig)
    fig.set_layout_engine("none")
    return fig

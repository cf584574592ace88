"""Several tables in one pair of axes: their maps where they rise, and what error each leaves.

From there to the upper end the maps swing too fast to be told apart, and the error says what that is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from polydesign.drawing.panels import EDGE, curve, map_axes, plain
from polydesign.model import Table

LINES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (7, 2, 1, 2, 1, 2)), (0, (10, 3)), (0, (3, 3, 1, 3)))
INKS = ("black", "#e07b00", "#00558c", "#5fb592", "#8a4f7d", "#999999")  # black, then light and dark in turn

SMALLEST, MOST = 1e-16, 3.0
"""Below the first a sampled error shows the rounding of float64; above the second it is drawn at the top."""

SHOWN_UP_TO = 30.0
"""Times the least lower end: further up the maps swing too fast to be told apart."""


def draw_maps(ax: Axes, tables: Sequence[Table], labels: Sequence[str] = ()) -> None:
    """Composed maps over x/u, a line style and ink each, from a decade below the least lower end.

    labels: for the legend, in place of the tables' names.
    """
    low = _lowest(tables)
    top, bottom = 1.0, 0.0
    for table, look in zip(tables, _looks(tables, labels), strict=True):
        upper = table.schedule.interval[1]
        x, f = curve(table.schedule, low * upper, upper)
        x = x / upper
        kept = x <= min(1.0, SHOWN_UP_TO * low)
        ax.plot(x[kept], f[kept], **look)
        inside = f[kept & np.isfinite(f) & (np.abs(f) < MOST)]
        top, bottom = max([top, *inside]), min([bottom, *inside])
    ax.axhline(1, color=EDGE, linewidth=0.6, zorder=0)
    map_axes(ax, (low, 1.0), (bottom, top))
    ax.set_xlim(low / 10, min(1.0, SHOWN_UP_TO * low))
    ax.set_xlabel(_across(tables))


def draw_errors(ax: Axes, tables: Sequence[Table]) -> None:
    """max |f − 1| on [x, u], sampled, over x/u: what a table is worth if no value lies below x."""
    low = _lowest(tables)
    least = 1.0
    for table, look in zip(tables, _looks(tables, ()), strict=True):
        upper = table.schedule.interval[1]
        x, f = curve(table.schedule, low * upper, upper)
        inside = x <= upper
        away = np.nan_to_num(np.abs(f[inside] - 1), nan=np.inf)
        worst = np.maximum.accumulate(away[::-1])[::-1]
        worst = np.clip(worst, SMALLEST, MOST)
        least = min(least, float(worst[-1]), float(np.min(worst)))
        shown = x[inside] < 0.5 * upper  # the last swing would look like a fall
        ax.plot(x[inside][shown] / upper, worst[shown], **look)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(low / 10, 1)
    ax.set_ylim(least / 2, MOST)
    ax.grid(visible=True, axis="y", color="0.9", linewidth=0.6)
    ax.set_xlabel(_across(tables))
    ax.set_ylabel("error on [x, 1]" if _across(tables) == "x" else "error on [x, u]")


def _across(tables: Sequence[Table]) -> str:
    """What stands below the axis: x, or x/u where an upper end is not 1."""
    return "x" if {table.schedule.interval[1] for table in tables} == {1.0} else "x / u"


def _lowest(tables: Sequence[Table]) -> float:
    return min(table.schedule.interval[0] / table.schedule.interval[1] for table in tables)


def _looks(tables: Sequence[Table], labels: Sequence[str]) -> list[dict[str, Any]]:
    names = labels or [table.name for table in tables]
    return [
        {
            "color": INKS[index % len(INKS)],
            "linestyle": LINES[index % len(LINES)],
            "linewidth": 1.3,
            "label": plain(name),
        }
        for index, name in enumerate(names)
    ]

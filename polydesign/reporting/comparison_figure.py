"""The figure of a comparison: maps and errors over each other, errors beside what products can buy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from polydesign.drawing.figures import STYLE, WIDTH, new_figure
from polydesign.drawing.overlaid import MOST, draw_errors, draw_maps
from polydesign.drawing.panels import MARKERS, plain
from polydesign.model import Table
from polydesign.reporting.comparison import Row, front
from polydesign.text.numbers import short

LEAST = 1e-18
"""The lowest error on the axis; what lies below stands at its foot."""

TITLES = (
    "f(x) where it rises",
    "the error that is left if no value lies below x",
    "what the error costs, and what is possible",
)
"""Of the panels, from above."""

ASIDE = 0.09
"""Of a product: markers of equal products stand side by side, closer where they are many."""


def figure_of_comparison(tables: Sequence[Table], rows: Sequence[Row]) -> Figure:
    """All three panels with their titles, one above the other; see draw_maps, draw_errors, draw_products."""
    ordered = {table.name: table for table in tables}
    chosen = [ordered[row.name] for row in rows]
    legend = 0.21 * math.ceil((len(rows) + 1) / 2) + 0.3
    heights = [2.6, 2.4, 2.6]
    total = sum(heights) + 2 * legend + 2.0
    with style.context(STYLE):
        fig = new_figure()
        fig.set_size_inches(WIDTH, total)
        grid = fig.add_gridspec(3, 1, height_ratios=[heights[0], heights[1] + legend, heights[2] + legend])
        draw_maps(fig.add_subplot(grid[0], label="map"), chosen)
        draw_errors(fig.add_subplot(grid[1], label="error"), chosen)
        draw_products(fig.add_subplot(grid[2], label="products"), rows)
        for ax, title in zip(fig.axes, TITLES, strict=True):
            ax.set_title(title, loc="left", pad=4)
        for ax in fig.axes[1:]:
            legend_below(ax, 2, 0.42)
        words = f"{len(rows)} tables of root {rows[0].root} compared" if rows[1:] else chosen[0].name
        fig.suptitle(words, x=0.01, ha="left", fontsize=12, fontweight="bold", parse_math=False)
        engine: Any = fig.get_layout_engine()
        engine.execute(fig)
        fig.set_layout_engine("none")
    return fig


def legend_below(ax: Axes, columns: int, inches: float) -> None:
    """A legend under the axis label; `inches` below axes that are about two and a half high."""
    look: dict[str, Any] = {"frameon": False, "handlelength": 3.2, "labelspacing": 0.25, "ncols": columns}
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -inches / 2.4), borderaxespad=0, **look)


def draw_products(ax: Axes, rows: Sequence[Row]) -> None:
    """Proved errors on the first common interval over products, a marker each, and the front that is the
    best possible."""
    first = rows[0].at[0]
    most = max(row.products for row in rows) + 1
    best = [(cost, float(error)) for cost, error in front(rows[0].root, first.lower, most)]
    seen = [(cost, error) for cost, error in best if error >= LEAST and cost > 0]
    ax.plot(
        *zip(*seen, strict=True),
        color="black",
        linewidth=1.5,
        marker=".",
        label="best possible, exact",
        zorder=2,
    )
    least = 1.0
    for index, row in enumerate(rows):
        equal = [other.name for other in rows if other.products == row.products]
        aside = min(ASIDE, 0.7 / len(equal)) * (equal.index(row.name) - (len(equal) - 1) / 2)
        error = min(max(row.at[0].error, LEAST), MOST)
        least = min(least, error)
        ax.plot(
            [row.products + aside],
            [error],
            linestyle="none",
            marker=MARKERS[index % len(MARKERS)],
            markersize=7.5,
            markerfacecolor="white" if index // len(MARKERS) % 2 == 0 else "0.6",
            markeredgecolor="black",
            markeredgewidth=1.1,
            label=plain(row.name),
            zorder=3,
        )
    ax.set_yscale("log")
    bottom = max(LEAST / 3, least / 30)
    ax.set_ylim(bottom, MOST * (MOST / bottom) ** 0.06)
    ax.set_xlim(min(row.products for row in rows) - 2.5, most + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(visible=True, axis="y", color="0.9", linewidth=0.6)
    ax.set_xlabel("matrix products")
    ax.set_ylabel(f"error on [{short(first.lower)}, 1]")

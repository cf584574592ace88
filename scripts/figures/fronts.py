"""Error against matrix products: what a budget buys, what others reach with it, and what nothing can beat."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from polydesign.drawing.figures import STYLE, WIDTH
from polydesign.drawing.panels import MARKERS, plain
from polydesign.model import InputError

Points = Sequence[tuple[float, float]]
"""(products, error), in any order."""

LEAST = 1e-18
"""The lowest error on the axis: what lies below it is drawn at its foot, and counted in a note."""

WORST = 1.0
"""The highest measured error of a cost figure: what blew up is drawn at its top, with its number."""

FEWEST = 5.5
"""Where the axis of products begins: no schedule of fewer comes far from 0."""


def front_figure(front: Points, limit: Points, groups: Mapping[str, Points]) -> Figure:
    """Exact errors against products: ours as a line, the limit as another, each group as markers.

    Raises InputError where the front has no point, or an error is not positive.
    """
    if not front:
        raise InputError("front", "has no point: give at least one")
    every = [*front, *limit, *(p for g in groups.values() for p in g)]
    if not all(error > 0 for _, error in every):
        raise InputError("error", "must be positive on a logarithmic axis")
    with style.context(STYLE):
        fig = Figure(figsize=(WIDTH, 5.4), layout="constrained")
        FigureCanvasAgg(fig)
        _exact(fig.add_subplot(), front, limit, groups)
    return fig


def cost_figure(panels: Mapping[str, tuple[Mapping[str, Points], float]]) -> Figure:
    """Measured errors against products, one pair of axes a panel: title -> (groups, share).

    The first group has a line through its markers; share is what rounding the input alone leaves, a dashed
    line. Errors above WORST are drawn there. Raises InputError for no panel, or an error that is not
    positive.
    """
    if not panels:
        raise InputError("panels", "has no panel: give at least one")
    if not all(e > 0 for groups, share in panels.values() for e in (share, *(e for _, e in _points(groups)))):
        raise InputError("error", "must be positive on a logarithmic axis")
    with style.context(STYLE):
        fig = Figure(figsize=(WIDTH, 3.1 * math.ceil(len(panels) / 2) + 0.6), layout="constrained")
        FigureCanvasAgg(fig)
        for index, (title, (groups, share)) in enumerate(panels.items()):
            ax = fig.add_subplot(math.ceil(len(panels) / 2), 2, index + 1)
            _axes(ax, title, title)
            for number, (name, points) in enumerate(groups.items()):
                _marks(ax, name, [(n, min(error, WORST)) for n, error in points], number)
                if points and not number:
                    ax.plot(*zip(*sorted(points), strict=True), color="black", linewidth=1.2, zorder=2)
            _clip(ax, _points(groups))
            ax.axhline(share, color="0.45", linestyle="--", linewidth=1.2, label="rounding P alone")
        lines, labels = fig.axes[0].get_legend_handles_labels()
        fig.legend(lines, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return fig


def _points(groups: Mapping[str, Points]) -> list[tuple[float, float]]:
    return [point for points in groups.values() for point in points]


def _clip(ax: Axes, points: Points) -> None:
    """Write the errors that are too large for the axis beside their markers at its top."""
    for n, error in points:
        if error > WORST:
            ax.annotate(
                f"{error:.1g}", (n, WORST), (0, -6), textcoords="offset points", ha="center", va="top"
            )


def _axes(ax: Axes, label: str, title: str) -> None:
    ax.set_label(label)
    ax.set_yscale("log")
    ax.set_xlabel("matrix products")
    ax.set_ylabel("error")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_title(title, loc="left")
    ax.grid(visible=True, axis="y", color="0.9", linewidth=0.6)


def _exact(ax: Axes, front: Points, limit: Points, groups: Mapping[str, Points]) -> None:
    _axes(ax, "exact", "exact arithmetic")
    below = 0
    for index, (name, points) in enumerate(groups.items()):
        below += sum(error < LEAST for _, error in points)
        _marks(ax, name, points, index)
    for points, look in (
        (front, {"color": "black", "linestyle": "-", "linewidth": 1.8, "label": "ours, the exact front"}),
        (limit, {"color": "0.45", "linestyle": "--", "linewidth": 1.4, "label": "limit by degree"}),
    ):
        ordered = sorted(points)
        ax.plot([n for n, _ in ordered], [error for _, error in ordered], zorder=2, **look)
    ax.set_ylim(LEAST / 3, 10)
    ax.set_xlim(left=FEWEST)
    if below:
        ax.text(0.01, 0.01, f"{below} below {LEAST:g}, at the foot", transform=ax.transAxes, color="0.25")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False)


def _marks(ax: Axes, name: str, points: Points, index: int) -> None:
    ax.plot(
        [n for n, _ in points],
        [max(error, LEAST) for _, error in points],
        linestyle="none",
        marker=MARKERS[index % len(MARKERS)],
        markersize=6,
        markerfacecolor="black" if index % 2 else "white",
        markeredgecolor="black",
        markeredgewidth=0.9,
        label=plain(name),
        zorder=3,
    )

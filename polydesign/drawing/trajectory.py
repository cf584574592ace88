"""The figure of a gradient search's way down."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from polydesign.drawing.figures import STYLE, WIDTH

ROOM = 0.25
"""Of the span of the best values: what is left above and below them."""


def trajectory_figure(rows: Sequence[tuple[int, float, float, float]], objective: str) -> Figure:
    """Current and best value over the iterations; rows: (iteration, rate, current, best), see adam.Outcome.

    On a logarithmic axis where all values are positive; where the rate changes there is a thin line. The axis
    is scaled to the best values, and a title says how many of the current ones lie above it.
    """
    with style.context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.45 * WIDTH), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot(label="trajectory")
        iterations = [row[0] for row in rows]
        axes.plot(iterations, [row[2] for row in rows], color="#999999", linewidth=0.7, label="current")
        axes.plot(iterations, [row[3] for row in rows], color="black", linewidth=1.5, label="best so far")
        if all(row[3] > 0 for row in rows):
            axes.set_yscale("log")
        _scale(axes, [row[2] for row in rows], [row[3] for row in rows])
        for before, row in pairwise(rows[:-1]):
            if row[1] != before[1]:
                axes.axvline(row[0], color="black", linewidth=0.5, linestyle=":")
        axes.set_xlabel("iteration")
        axes.set_ylabel(f"objective: {objective}")
        axes.legend(frameon=False, loc="upper right")
    return figure


def _scale(axes: Axes, current: Sequence[float], best: Sequence[float]) -> None:
    """The axis as the best values need it; a value that is not finite lies above it too."""
    if not best:
        return
    low, high = min(best), max(best)
    if axes.get_yscale() == "log":
        room = max((high / low) ** ROOM, 1.1)
        bottom, top = low / room, high * room
    else:
        room = ROOM * (high - low) or 0.1 * abs(high) or 1.0
        bottom, top = low - room, high + room
    axes.set_ylim(bottom, top)
    above = sum(not value <= top for value in current)
    if above:
        axes.set_title(f"{above} of {len(current)} current values lie above these axes", color="0.25", pad=4)

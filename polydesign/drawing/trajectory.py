"""The figure of a gradient search's way down."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from polydesign.drawing.figures import STYLE, WIDTH


def trajectory_figure(rows: Sequence[tuple[int, float, float, float]], objective: str) -> Figure:
    """Current and best value over the iterations; rows: (iteration, rate, current, best), see adam.Outcome.

    On a logarithmic axis where all values are positive; where the rate changes there is a thin line.
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
        for before, row in pairwise(rows[:-1]):
            if row[1] != before[1]:
                axes.axvline(row[0], color="black", linewidth=0.5, linestyle=":")
        axes.set_xlabel("iteration")
        axes.set_ylabel(objective)
        axes.legend(frameon=False)
    return figure

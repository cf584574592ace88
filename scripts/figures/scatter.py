"""Predicted against measured errors of schedules: one point a run, in logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure

from polydesign.drawing.figures import STYLE, head, new_figure
from polydesign.drawing.panels import EDGE, number
from polydesign.model import DTYPES, InputError

LOOKS = {
    "bfloat16": ("o", "white", "#d55e00"),
    "float16": ("s", "0.75", "#0072b2"),
    "float32": ("^", "0.35", "#009e73"),
    "float64": ("D", "black", "black"),
}
"""Precision -> marker, filling and colour of its edge: any one of them tells."""


FAR = 3.0
"""Errors from here on, and what is not finite, stand at the edge of the axes."""


@dataclass(frozen=True, slots=True)
class Point:
    """One run. predicted: inf where the model calls it unsafe; measured: inf where no result is finite."""

    name: str
    dtype: str
    predicted: float
    measured: float

    @property
    def factor(self) -> float:
        """measured/predicted: above 1 the model said too little."""
        return self.measured / self.predicted


def prediction_figure(points: Sequence[Point], named: int = 6) -> Figure:
    """Measured over predicted error, with the diagonal; the points above it with their factors, worst first.

    named: how many of those are named inside the axes; all of them are ringed. Points whose prediction is at
    least FAR stand in a column at the right edge, those whose result is in a row at the top.
    Raises InputError where there is no point.
    """
    if not points:
        raise InputError("points", "there is none: a figure needs at least one run")
    least = min(v for p in points for v in (p.predicted, p.measured, 1.0) if v > 0)
    low = 10.0 ** math.floor(math.log10(least))
    edge = 2 * FAR
    above = sorted((p for p in points if p.measured > p.predicted), key=lambda p: -p.factor)

    def place(p: Point) -> tuple[float, float]:
        x, y = (edge if v >= FAR else max(v, low) for v in (p.predicted, p.measured))
        return x, y

    with style.context(STYLE):
        fig = new_figure()
        ax = fig.add_subplot(label="prediction")
        ax.plot([low, FAR], [low, FAR], color=EDGE, linewidth=0.8, zorder=1)
        for line in (ax.axvline, ax.axhline):
            line(1.3 * FAR, color=EDGE, linewidth=0.6, linestyle=":", zorder=1)
        for dtype, (marker, face, ink) in LOOKS.items():
            chosen = [place(p) for p in points if p.dtype == dtype]
            if chosen:
                look: dict[str, Any] = {"marker": marker, "facecolor": face, "edgecolor": ink}
                ax.scatter(
                    *zip(*chosen, strict=True), s=20, linewidths=0.9, zorder=2, label=DTYPES[dtype], **look
                )
        if above:
            ring: dict[str, Any] = {"s": 80, "facecolor": "none", "edgecolor": "black", "linewidths": 1.0}
            label = f"measured above predicted: {len(above)}"
            ax.scatter(*zip(*map(place, above), strict=True), zorder=3, label=label, **ring)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlim(low, 2 * edge)
        ax.set_ylim(low, 2 * edge)
        ax.set_xlabel("predicted error; right of the dotted line: called unsafe")
        ax.set_ylabel("measured error; above the dotted line: 3 or more")
        listed = "\n".join(
            f"{number(p.factor, 3)}×  {p.name}, {DTYPES[p.dtype]}: {number(p.measured, 2)}"
            for p in above[:named]
        )
        note: dict[str, Any] = {"transform": ax.transAxes, "va": "top", "fontsize": 7.5, "parse_math": False}
        ax.text(0.02, 0.92, listed, **note)
        head(fig, 4.8, f"{len(points)} runs: the rounding model against matrices", "", ax, columns=4)
    return fig

"""Predicted against measured errors of schedules: one point a run, in logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure

from polydesign.model import DTYPES, InputError
from polydesign.report.figures import STYLE, _figure, _head
from polydesign.report.panels import EDGE, number

LOOKS = {
    "bfloat16": ("o", "white", "#d55e00"),
    "float16": ("s", "0.75", "#0072b2"),
    "float32": ("^", "0.35", "#009e73"),
    "float64": ("D", "black", "black"),
}
"""Precision -> marker, filling and colour of its edge: any one of them tells."""


@dataclass(frozen=True, slots=True)
class Point:
    """One run. predicted, measured: errors, inf where the model calls it unsafe, or the result is not finite."""

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

    named: how many of those are named beside the axes; all of them are ringed. Points without a finite
    prediction stand in a column at the right edge, those without a finite result in a row at the top.
    Raises InputError where there is no point.
    """
    if not points:
        raise InputError("points", "there is none: a figure needs at least one run")
    finite = [v for p in points for v in (p.predicted, p.measured) if math.isfinite(v)]
    low = 10 ** math.floor(math.log10(min(finite)))
    top = 2 * max(finite)
    edge = 3 * top
    above = sorted((p for p in points if p.measured > p.predicted), key=lambda p: -p.factor)

    def place(p: Point) -> tuple[float, float]:
        return min(p.predicted, edge), min(p.measured, edge)

    with style.context(STYLE):
        fig = _figure()
        ax = fig.add_subplot(label="prediction")
        ax.plot([low, top], [low, top], color=EDGE, linewidth=0.8, zorder=1)
        ax.axvline(1.6 * top, color=EDGE, linewidth=0.6, linestyle=":", zorder=1)
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
        ax.set_ylim(low, 2 * edge if any(not math.isfinite(p.measured) for p in points) else top)
        ax.set_xlabel("predicted error (right of the dotted line: called unsafe)")
        ax.set_ylabel("measured error")
        listed = "\n".join(
            f"{number(p.factor, 3)}×  {p.name}, {DTYPES[p.dtype]}: {number(p.measured, 2)}"
            for p in above[:named]
        )
        note: dict[str, Any] = {"transform": ax.transAxes, "va": "top", "fontsize": 7.5, "parse_math": False}
        ax.text(0.02, 0.98, listed, **note)
        _head(fig, 4.8, f"{len(points)} runs: the rounding model against matrices", "", ax, columns=4)
    return fig

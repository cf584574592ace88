"""Colours, line styles and axes of the page's figures, for light and dark.

Whatever a colour tells, a line style or a marker tells too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from polydesign.drawing.overlaid import INKS

DASHES = ("dash", "dot", "dashdot", "longdash", "longdashdot", "5px,2px,1px,2px", "10px,3px", "2px,4px")
SYMBOLS = ("circle", "triangle-up", "square", "diamond", "triangle-down", "star", "x", "cross")
"""The markers of drawing/panels.py, as Plotly calls them."""

_LIGHTER = ("#ffffff", "#ffb454", "#6cb6ff", "#7fd8b0", "#d9a0cc", "#b5b5b5")
"""INKS on a dark page."""


@dataclass(frozen=True, slots=True)
class Look:
    """What lines, words and areas are drawn in."""

    ink: str
    soft: str
    grid: str
    band: str
    allowed: str
    inks: tuple[str, ...]
    narrow: bool = False

    def layout(self, height: int, names: int = 0, **more: Any) -> dict[str, Any]:
        """The layout that all figures share; names: how many the legend has."""
        small = {"orientation": "h", "x": 0, "bgcolor": "rgba(0,0,0,0)", "traceorder": "normal"}
        below = {"y": -0.3, "yanchor": "top", "font": {"size": 10}}
        legend = small | (below if self.narrow else {"y": 1.02, "yanchor": "bottom"})
        return {
            "height": height + (16 * -(-names // 2) if self.narrow else 0),
            "margin": {"l": 62, "r": 8, "t": 12 if self.narrow else 30, "b": 40},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": self.ink, "size": 12, "family": "system-ui, sans-serif"},
            "legend": legend,
            "hovermode": "closest",
            "dragmode": False,
            "uirevision": "kept",
            **more,
        }

    def axis(self, title: str, **more: Any) -> dict[str, Any]:
        """An axis with a title."""
        return {
            "title": {"text": title, "standoff": 6},
            "gridcolor": self.grid,
            "linecolor": self.soft,
            "showline": True,
            "zeroline": False,
            "ticks": "outside",
            "tickcolor": self.soft,
            "exponentformat": "e",
            **more,
        }

    def line(self, index: int) -> dict[str, Any]:
        """The line of the so manieth table that lies over the first."""
        return {
            "color": self.inks[1 + index % (len(self.inks) - 1)],
            "dash": DASHES[index % len(DASHES)],
            "width": 1.8,
        }


LIGHT = Look("#1a1a1a", "#666666", "#e4e4e4", "rgba(90,90,90,0.22)", "rgba(90,90,90,0.10)", INKS)
DARK = Look("#f0f0f0", "#a0a0a0", "#3a3d42", "rgba(220,220,220,0.22)", "rgba(220,220,220,0.10)", _LIGHTER)


def look(dark: bool, *, narrow: bool = False) -> Look:
    """For a light or a dark page, on a wide or a narrow screen."""
    return replace(DARK if dark else LIGHT, narrow=narrow)

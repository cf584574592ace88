"""Error against products: the best that is possible, and the tables of the package around a design."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from polydesign.drawing.overlaid import MOST, SMALLEST
from polydesign.explorer.looks import SYMBOLS, Look
from polydesign.model import evaluate
from polydesign.reporting.comparison import LEAST_LOWER, front
from polydesign.table.catalogue import glance
from polydesign.table.listing import group, tables
from polydesign.text.numbers import number, short

MORE = 3
"""Products beyond those of the design up to which the front is drawn."""

LEAST_SHOWN = 1e-3
"""Of the design's error: what lies below it is further away than a few products."""

_GRID = 4001
_GROUPS = {"published": "published", "sign": "ours", "bands": "ours, bands", "roots": "ours"}


@dataclass(frozen=True, slots=True)
class Known:
    """A table of the package. steps: coefficients of each step's q."""

    name: str
    group: str
    purpose: str
    root: int
    products: int
    steps: tuple[tuple[float, ...], ...]


@cache
def known() -> tuple[Known, ...]:
    """The tables of the package for signs, roots and inverses, as their files state them."""
    found = []
    for one in tables():
        where = group(one)
        if not one.shipped or where not in _GROUPS:
            continue
        steps = tuple(tuple(map(float, step["coefficients"])) for step in glance(one.path)["steps"])
        found.append(Known(one.name, _GROUPS[where], one.purpose, one.root, one.matmuls, steps))
    return tuple(found)


def around(root: int, purpose: str, lower: float, products: int) -> dict[str, Any]:
    """The front of exact arithmetic on [lower, 1], and the sampled errors there of tables of the package."""
    most = products + MORE
    best = front(root, lower, most) if lower >= LEAST_LOWER else ()
    curve = [(cost, float(error)) for cost, error in best if cost > 0]
    x = np.geomspace(lower, 1.0, _GRID)
    points = []
    for one in known():
        if (one.root, one.purpose) != (root, purpose) or not abs(one.products - products) <= 2 * MORE:
            continue
        error = _worst(one.steps, one.root, x)
        if error < 1:
            points.append((one.name, one.group, one.products, error))
    return {"front": curve, "points": points, "lower": lower}


def worst(rows: Sequence[Sequence[float]], root: int, lower: float) -> float:
    """max |f − 1| of these rows on [lower, 1], sampled; inf where that is more than a table may be worth."""
    return _worst(rows, root, np.geomspace(lower, 1.0, _GRID))


def _worst(rows: Sequence[Sequence[float]], root: int, x: np.ndarray) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        for row in rows:
            x = evaluate(row, root, x)
        found = float(np.max(np.abs(x - 1)))
    return found if found < MOST else math.inf


def products_figure(
    found: dict[str, Any] | None,
    shown: tuple[str, int, float],
    over: Sequence[tuple[str, int, float]],
    look: Look,
) -> dict[str, Any]:
    """Errors over products: the front, tables of the package, and those that are shown."""
    data: list[dict[str, Any]] = []
    if found is not None:
        best = [(cost, error) for cost, error in found["front"] if error >= SMALLEST]
        line = {"color": look.ink, "width": 1.4, "dash": "solid"}
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": [cost for cost, _ in best],
                "y": [error for _, error in best],
                "line": line,
                "marker": {"size": 4},
                "name": "best possible, exact arithmetic",
            }
        )
        for index, kind in enumerate(dict.fromkeys(_GROUPS.values())):
            mine = [p for p in found["points"] if p[1] == kind]
            if mine:
                marker = {
                    "symbol": f"{SYMBOLS[1 + index]}-open",
                    "size": 8,
                    "color": look.inks[1 + index],
                    "line": {"width": 1.4},
                }
                data.append(_dots(mine, marker, kind))
    for index, (name, products, error) in enumerate([shown, *over]):
        first = index == 0
        marker = {"symbol": "star" if first else SYMBOLS[index % len(SYMBOLS)], "size": 15 if first else 10}
        marker |= {"color": look.ink if first else look.inks[1 + (index - 1) % (len(look.inks) - 1)]}
        data.append(_dots([(name, "", products, max(error, SMALLEST))], marker, name))
    at = shown[1]
    seen = [e for one in data for c, e in zip(one["x"], one["y"], strict=True) if abs(c - at) <= MORE + 0.5]
    low, high = math.log10(max(min(seen), shown[2] * LEAST_SHOWN)), math.log10(max(seen))
    pad = 0.08 * (high - low) + 0.1
    lower = found["lower"] if found else None
    layout = look.layout(
        330,
        len(data),
        xaxis=look.axis("matrix products", range=[at - MORE - 0.6, at + MORE + 0.6], dtick=1),
        yaxis=look.axis(
            f"error on [{short(lower)}, 1]" if lower else "error", type="log", range=[low - pad, high + pad]
        ),
    )
    return {"data": data, "layout": layout}


def _dots(points: Sequence[tuple[str, str, int, float]], marker: dict[str, Any], name: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [p[2] for p in points],
        "y": [p[3] for p in points],
        "text": [f"{p[0]}: {p[2]} products, error {number(p[3], 3, up=True)}" for p in points],
        "hoverinfo": "text",
        "marker": marker,
        "name": name,
    }

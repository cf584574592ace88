"""Schedules as figures of Plotly, in plain dicts: the map, differences, and the error of each step."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from polydesign.drawing.overlaid import MOST
from polydesign.drawing.panels import EXACT_BELOW, alternation, curve
from polydesign.explorer.looks import SYMBOLS, Look
from polydesign.model import Schedule, Step
from polydesign.text.numbers import number, short

BINS = 400
"""Of a curve: of the points in each, the lowest and the highest are drawn, so that no extreme is lost."""

THIN = 0.1
"""From this error on the deviation from 1 has an axis of its own."""

PER_STEP = 121
"""Points of a step's error."""

Named = tuple[str, Schedule]
Points = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""Measured points by label: x, and what it became."""

GAP = np.array([np.nan])
_OF_A_STEP = "x = %{customdata[0]:.4g}, 1 − p = %{customdata[1]:.3g}<extra></extra>"
_PLAIN: dict[str, Any] = {"type": "scatter", "mode": "lines"}


def map_figure(
    shown: Named,
    over: Sequence[Named],
    look: Look,
    *,
    allowed: float | None = None,
    points: Points | None = None,
) -> dict[str, Any]:
    """The composed map on a log axis, with its band; below it, where E < THIN, the deviation from 1.

    over: other tables. allowed: what rounding may add to the error, by the model that verify judges by.
    """
    _, schedule = shown
    error, (low, high) = schedule.error, schedule.interval
    thin = error < THIN
    traces = _band(schedule, look, 0.0, "")
    if allowed is not None:
        traces = [*_band(schedule, look, allowed, ""), *traces]
    low = min([low, *(one.interval[0] for _, one in over)])
    top, bottom = 1 + error, 0.0
    for index, (label, one) in enumerate([shown, *over]):
        x, f = _thinned(*curve(one, low, high))
        inside = f[np.isfinite(f) & (np.abs(f) < MOST) & (x <= high)]
        top, bottom = max([top, *inside]), min([bottom, *inside])
        style = {"color": look.ink, "width": 1.8} if index == 0 else look.line(index - 1)
        traces.append(_PLAIN | {"x": _packed(x), "y": _packed(f), "name": label, "line": style})
        if thin:
            within = (x >= one.interval[0]) & (x <= one.interval[1])
            y = {"x": _packed(x[within]), "y": _packed(f[within] - 1), "yaxis": "y2"}
            traces.append(_PLAIN | y | {"name": label, "line": style | {"width": 1.2}, "showlegend": False})
    traces += _measured(points or {}, look, thin)
    pad = 0.06 * (top - bottom)
    floor = 0.42 if thin else 0.0
    layout = look.layout(
        (340 if thin else 240) if look.narrow else (460 if thin else 360),
        sum(one.get("showlegend", True) for one in traces),
        showlegend=bool(over or points),
        meta={"lower": schedule.interval[0], "degrees": list(schedule.degrees)},
        xaxis=look.axis(
            "x; grey: promised, lighter: with rounding",
            type="log",
            range=[np.log10(low / 10), np.log10(1.15 * high)],
            anchor="y2" if thin else "y",
            dtick=1,
        ),
        yaxis=look.axis("f(x)", range=[bottom - pad, top + pad], domain=[floor, 1]),
        shapes=[_upright(look, end) for end in schedule.interval],
    )
    if thin:
        limit = 1.4 * max(error + (allowed or 0.0) if (allowed or 0) < 3 * error else error, 1e-15)
        layout["yaxis2"] = look.axis("f(x) − 1", range=[-limit, limit], domain=[0, 0.32])
    return {"data": traces, "layout": layout}


def _band(schedule: Schedule, look: Look, more: float, place: str) -> list[dict[str, Any]]:
    """1 ± (E + more) over the interval; and the same about 0 on the second axis."""
    error, ends = schedule.error + more, list(schedule.interval)
    colour, dash = (look.allowed, "1px,6px") if more else (look.band, "solid")
    name = f"± {number(error, 3, up=True)} with rounding" if more else f"1 ± {number(error, 3, up=True)}"
    edge = {"x": ends, "line": {"color": look.soft, "width": 1, "dash": dash}, "hoverinfo": "skip"}
    found: list[dict[str, Any]] = []
    for axis, centre in (("y", 1.0), ("y2", 0.0))[: 2 if schedule.error < THIN else 1]:
        lower = {"y": [centre - error] * 2, "showlegend": False, "yaxis": axis}
        upper = {"y": [centre + error] * 2, "fill": "tonexty", "fillcolor": colour, "yaxis": axis}
        found += [_PLAIN | edge | lower, _PLAIN | edge | upper | {"name": name, "showlegend": axis == "y"}]
    return found


def _measured(points: Points, look: Look, thin: bool) -> list[dict[str, Any]]:
    found = []
    for index, (label, (x, y)) in enumerate(points.items()):
        marker = {
            "symbol": f"{SYMBOLS[index % len(SYMBOLS)]}-open",
            "size": 7,
            "color": look.inks[1 + index % (len(look.inks) - 1)],
        }
        plain = {"type": "scatter", "mode": "markers", "marker": marker, "name": label}
        found.append(plain | {"x": _packed(x), "y": _packed(y)})
        if thin:
            away = {"x": _packed(x), "y": _packed(np.asarray(y) - 1), "yaxis": "y2", "showlegend": False}
            found.append(plain | away)
    return found


def difference_figure(others: Sequence[Named], reference: Named, look: Look) -> dict[str, Any]:
    """f − f of the reference, of each of the others, where the reference promises something."""
    name, chosen = reference
    low, high = chosen.interval
    traces, peak = [], 1e-15
    for index, (label, one) in enumerate(others):
        x, ours = curve(one, low, high)
        _, theirs = _resampled(chosen, x)
        x, away = _thinned(x, np.where(np.abs(ours - theirs) < MOST, ours - theirs, np.nan))
        inside = np.abs(away[(x >= low) & (x <= high) & np.isfinite(away)])
        peak = max([peak, *inside])
        style = {"color": look.ink, "width": 1.6} if index == 0 else look.line(index - 1)
        traces.append(_PLAIN | {"x": _packed(x), "y": _packed(away), "name": label, "line": style})
    layout = look.layout(
        260,
        len(traces),
        xaxis=look.axis("x", type="log", range=[np.log10(low / 10), np.log10(1.15 * high)], dtick=1),
        yaxis=look.axis(f"f − f of {name}"[:40], range=[-1.1 * peak, 1.1 * peak]),
        showlegend=True,
    )
    return {"data": traces, "layout": layout}


def _resampled(schedule: Schedule, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(over="ignore", invalid="ignore"):
        return x, schedule(x)


def steps_figure(schedule: Schedule, look: Look) -> dict[str, Any]:
    """1 − p of every step over its own domain, side by side, in units of the step's own E.

    Circles are the alternating extreme points; grey is what headroom and cushion add to what a step receives.
    """
    across, along, about = [], [], []
    dots: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    shapes, notes, ticks = [], [], []
    received = schedule.interval
    for index, step in enumerate(schedule.steps):
        t, x, error = _of_step(step)
        place = index + 0.06 + 0.88 * t
        relative = np.clip(error / step.half_width, -4, 4)
        extreme = alternation(error) if np.any(error) else []
        across += [place, GAP]
        along += [relative, GAP]
        about += [np.column_stack([x, error]), np.column_stack([GAP, GAP])]
        dots[0].append(place[extreme])
        dots[1].append(relative[extreme])
        for start, stop in _unused(t, (x >= received[0]) & (x <= received[1])):
            shapes.append(_shade(look, index + 0.06 + 0.88 * start, index + 0.06 + 0.88 * stop))
        ticks.append(f"{index + 1}<br>deg {step.degree}")
        small: dict[str, Any] = {"showarrow": False, "font": {"size": 11}}
        notes.append({"x": index + 0.5, "y": 1.75, "text": f"E {number(step.half_width, 2)}", **small})
        received = step.image
    count = len(schedule.steps)
    line = _PLAIN | {"x": _packed(np.concatenate(across)), "y": _packed(np.concatenate(along))}
    told = {"customdata": _packed(np.concatenate(about)), "hovertemplate": _OF_A_STEP}
    marks = {"symbol": "circle-open", "size": 6, "color": look.ink}
    peaks = {"x": _packed(np.concatenate(dots[0])), "y": _packed(np.concatenate(dots[1])), "mode": "markers"}
    data = [
        line | told | {"line": {"color": look.ink, "width": 1.3}},
        _PLAIN | peaks | {"marker": marks, "hoverinfo": "skip"},
    ]
    layout = look.layout(
        230,
        xaxis=look.axis(
            "",
            range=[0, count],
            tickvals=[index + 0.5 for index in range(count)],
            ticktext=ticks,
            showgrid=False,
        ),
        yaxis=look.axis("1 − p(x)", range=[-1.5, 2.0], tickvals=[-1, 0, 1], ticktext=["−E", "0", "E"]),
        shapes=shapes,
        annotations=notes,
        showlegend=False,
    )
    return {"data": data, "layout": layout}


def _of_step(step: Step) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a point lies between the ends of the domain, the point, and 1 − p there.

    Nothing of a step whose error float64 does not show.
    """
    low, high = step.domain
    t = (1 - np.cos(np.linspace(0, np.pi, PER_STEP))) / 2  # extreme points crowd at the ends
    logarithmic = high / low > 20
    x = np.clip(low * (high / low) ** t if logarithmic else low + (high - low) * t, low, high)
    return t, x, 1 - step(x) if step.half_width >= EXACT_BELOW else np.zeros_like(x)


def _unused(t: np.ndarray, used: np.ndarray) -> list[tuple[float, float]]:
    """What of [0, 1] lies before and after the part that is used."""
    where = t[used]
    ends = (float(where[0]), float(where[-1])) if len(where) else (1.0, 1.0)
    return [(a, b) for a, b in ((0.0, ends[0]), (ends[1], 1.0)) if b - a > 1e-3]


def _shade(look: Look, start: float, stop: float) -> dict[str, Any]:
    return {
        "type": "rect",
        "x0": start,
        "x1": stop,
        "y0": -1.5,
        "y1": 1.5,
        "fillcolor": look.band,
        "line": {"width": 0},
        "layer": "below",
    }


def _upright(look: Look, x: float) -> dict[str, Any]:
    line = {"color": look.soft, "width": 1, "dash": "dot"}
    return {
        "type": "line",
        "x0": x,
        "x1": x,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": line,
        "layer": "below",
    }


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest point of each of BINS parts, in the order of x."""
    width = -(-len(x) // BINS)
    if width <= 2:
        return x, y
    padded = np.concatenate([y, np.full(-len(y) % width, np.nan)]).reshape(-1, width)
    gaps = np.isnan(padded)
    ends = [np.where(gaps, np.inf, padded).argmin(axis=1), np.where(gaps, -np.inf, padded).argmax(axis=1)]
    kept = np.unique(np.concatenate([np.arange(len(padded)) * width + end for end in ends]))
    return x[kept], y[kept]


def _packed(values: Any) -> dict[str, Any]:
    """Numbers as Plotly reads them fastest: float32 in base64; what is not finite is a gap."""
    array = np.ascontiguousarray(values, dtype="<f4")
    packed = {"dtype": "f4", "bdata": base64.b64encode(array.tobytes()).decode("ascii")}
    return packed if array.ndim == 1 else packed | {"shape": ", ".join(map(str, array.shape))}


def said(schedule: Schedule) -> str:
    """The interval in words."""
    return f"[{short(schedule.interval[0])}, {short(schedule.interval[1])}]"

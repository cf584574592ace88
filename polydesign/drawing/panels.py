"""What is drawn inside one pair of axes: a composed map, its deviation from 1, the error of a step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import mpmath
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from polydesign.model import DTYPES, InputError, Measurement, Schedule, Step, Table
from polydesign.text.numbers import number, short

BAND, ALLOWED, EDGE = "0.86", "0.95", "0.4"
MARKERS = "o^sDvP*X"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#8a4f7d", "#56b4e9", "#6b5b00", "#e69f00", "#333333")
FACES = {"bfloat16": "white", "float16": "0.8", "float32": "0.6", "float64": "0.35"}
HATCHED: dict[str, Any] = {
    "facecolor": "none",
    "edgecolor": "0.75",
    "hatch": "////",
    "linewidth": 0,
    "label": "headroom and cushion",
}
"""What a step is designed for beyond the values that it receives."""

EXACT_BELOW = 1e-10  # from here on 1 − p in float64 shows its own rounding


@dataclass
class Points:
    """The measured points of one spectrum in one precision, and how they are drawn."""

    look: dict[str, Any]
    allowed: float = 0.0  # the largest that verify allows in these runs
    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    lost: int = 0  # measured values that are not finite


def measured_points(table: Table, measurements: Sequence[Measurement]) -> list[Points]:
    """The measured maps by spectrum and precision: a marker each spectrum, a filling each precision.

    Raises InputError where a measurement is of another table.
    """
    groups: dict[tuple[str, str], Points] = {}
    spectra: list[str] = []
    for measurement in measurements:
        if measurement.table != table.name:
            raise InputError(
                "measurements", f"one belongs to table {measurement.table!r}, and this is {table.name!r}"
            )
        if measurement.map is None:
            continue
        if measurement.spectrum not in spectra:
            spectra.append(measurement.spectrum)
        rank = spectra.index(measurement.spectrum)
        label = f"measured: {measurement.spectrum}, {DTYPES.get(measurement.dtype, measurement.dtype)}"
        look = {
            "label": plain(label),
            "marker": MARKERS[rank % len(MARKERS)],
            "markeredgecolor": COLOURS[rank % len(COLOURS)],
            "markerfacecolor": FACES.get(measurement.dtype, "white"),
        }
        group = groups.setdefault((measurement.spectrum, measurement.dtype), Points(look))
        group.allowed = max(group.allowed, measurement.allowed)
        for x, y in zip(measurement.map.x, measurement.map.measured, strict=True):
            if y is None or not math.isfinite(y):
                group.lost += 1
            else:
                group.x.append(x)
                group.y.append(y)
    return list(groups.values())


def plain(text: str) -> str:
    """Text that matplotlib shows as it is: a leading _ would hide it, a $ would start mathematics."""
    return text.lstrip("_").replace("$", r"\$")


def _grid(schedule: Schedule, low: float, high: float) -> np.ndarray:
    """Points from low to high, even in log x: ten for each oscillation that f can have, 6000 at most."""
    turns = math.prod(step.inner_degree + 1 for step in schedule.steps)
    return np.geomspace(low, high, min(max(1500, 10 * turns), 6000))


def curve(schedule: Schedule, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """f from a decade below `low` to a little above `high`; above it f may exceed any number."""
    x = np.union1d(_grid(schedule, low / 10, 1.15 * high), schedule.interval)
    with np.errstate(over="ignore", invalid="ignore"):
        f = schedule(x)
        return x, np.where(np.abs(f) < 1e3 * (1 + schedule.error), f, np.nan)


def _error(function: Schedule | Step, x: Any, error: float) -> np.ndarray:
    """1 − function(x) on points x, in as many digits as an error as small as `error` asks for.

    Below 1e-10 float64 would show its own rounding instead.
    """
    if error >= EXACT_BELOW:
        return 1 - function(np.array(x, dtype=float))
    with mpmath.workdps(60 if error == 0 else max(60, 20 - math.floor(math.log10(error)))):
        return np.array([float(1 - function(mpmath.mpf(t))) for t in x])


def draw_map(ax: Axes, schedule: Schedule, groups: Sequence[Points]) -> None:
    """f from a decade below the interval, the promised band over it, and measured points."""
    x, f = curve(schedule, *schedule.interval)
    error = schedule.error
    low, high = schedule.interval
    _band(ax, schedule, 1.0)
    ax.plot(x, f, color="black", linewidth=1.2, label="predicted f(x)" if groups else "f(x)", zorder=2)
    shown = f[(x <= high) & np.isfinite(f)]
    bottom, top = min([0.0, 1 - error, *shown]), max([1 + error, *shown])
    # Points widen the axis by a third on either side and no more: one lost value must not flatten it.
    room = (top - bottom) / 3
    inside = [y for group in groups for y in group.y if bottom - room <= y <= top + room]
    map_axes(ax, (low, high), (min([bottom, *inside]), max([top, *inside])))
    for end, letter in ((low, "l"), (high, "u")):
        place: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "va": "bottom", "ha": "center"}
        ax.text(end, 1.01, f"{letter} = {short(end)}", color="0.25", fontsize=9.5, **place)
    _allowed(ax, schedule, groups, 1.0)
    _draw_points(ax, groups, 0.0, (-math.inf, math.inf))


def map_axes(ax: Axes, interval: tuple[float, float], span: tuple[float, float]) -> None:
    """The conventions of every composed map: x from a decade below the interval, f(x) over `span`."""
    pad = 0.05 * (span[1] - span[0])
    ax.set_xscale("log")
    ax.set_xlim(interval[0] / 10, 1.15 * interval[1])
    ax.set_ylim(span[0] - pad, span[1] + pad)
    ax.set_xlabel("x")
    ax.set_ylabel("f(x)")


def draw_deviation(ax: Axes, schedule: Schedule, groups: Sequence[Points]) -> None:
    """f − 1 on the interval, on the scale of the error, with the measured points that began there."""
    low, high = schedule.interval
    x = _grid(schedule, low, high)
    if schedule.error < EXACT_BELOW:
        x = x[:: max(1, len(x) // 1500)]  # 60 digits take microseconds a point and step
    x = np.clip(np.union1d(x, schedule.interval), low, high)
    deviation = -_error(schedule, x, schedule.error)
    _band(ax, schedule, 0.0)
    ax.plot(x, deviation, color="black", linewidth=0.9, label="_deviation", zorder=2)
    peak = max(schedule.error or 1e-50, float(np.max(np.abs(deviation))), 1e-280)
    near = [abs(y - 1) for group in groups for t, y in zip(group.x, group.y, strict=True) if low <= t <= high]
    allowed = max((group.allowed for group in groups), default=0.0)
    limit = 1.12 * max([1.15 * peak, min(allowed, 3 * peak), *(y for y in near if y <= 6 * peak)])
    ax.set_ylim(-limit, limit)
    _scaled(ax, "y", limit, "f(x) − 1")
    ax.set_xlabel("x")
    _allowed(ax, schedule, groups, 0.0)
    _draw_points(ax, groups, 1.0, (low, high))


def _band(ax: Axes, schedule: Schedule, centre: float) -> None:
    interval, error = schedule.interval, schedule.error
    name = "1 ± E" if centre else "± E"
    text = f"{name} on [l, u], E = {number(error, 3, up=True)}"
    ax.fill_between(interval, centre - error, centre + error, color=BAND, linewidth=0, label=text, zorder=0)
    for edge in (centre - error, centre + error):
        ax.plot(interval, (edge, edge), color=EDGE, linewidth=0.8, linestyle="--", label="_edge", zorder=1)
    for end in interval:
        ax.axvline(end, color=EDGE, linewidth=0.8, linestyle=":", label="_end", zorder=1)


def _allowed(ax: Axes, schedule: Schedule, groups: Sequence[Points], centre: float) -> None:
    """What verify allows in the runs that are drawn, the promise and what rounding explains: the largest."""
    allowed = max((group.allowed for group in groups), default=0.0)
    if allowed <= schedule.error:
        return
    interval, ends = schedule.interval, (centre - allowed, centre + allowed)
    text = f"allowed with rounding: ± {number(allowed, 3)}" + (" at most" if len(groups) > 1 else "")
    bottom_top = ax.get_ylim()  # the band may be wider than the axes, which points and curve decide
    ax.fill_between(interval, *ends, color=ALLOWED, linewidth=0, label=text, zorder=-1)
    for edge in ends:
        ax.plot(interval, (edge, edge), color=EDGE, linewidth=0.7, linestyle="-.", label="_allowed", zorder=1)
    ax.set_ylim(bottom_top)


def _draw_points(ax: Axes, groups: Sequence[Points], centre: float, interval: tuple[float, float]) -> None:
    """Measured values less `centre` for x in the interval, and how many of them the axes do not show."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    outside = 0
    for group in groups:
        pairs = [
            (x, y - centre) for x, y in zip(group.x, group.y, strict=True) if interval[0] <= x <= interval[1]
        ]
        seen = [(x, y) for x, y in pairs if left <= x <= right and bottom <= y <= top]
        outside += len(pairs) - len(seen)
        shape = {"linestyle": "none", "markersize": 4.5, "markeredgewidth": 0.9, "zorder": 3}
        ax.plot([x for x, _ in seen], [y for _, y in seen], **shape, **group.look)
    lost = sum(group.lost for group in groups)
    notes = [f"{outside} measured outside these axes"] if outside else []
    notes += [f"{lost} not finite"] if lost and centre == 0 else []  # said once, over the map
    if notes:  # in the middle, between the labels of l and u
        ax.set_title(", ".join(notes), fontsize=9.5, color="0.25", pad=3)


def draw_step(ax: Axes, step: Step, index: int, received: tuple[float, float]) -> None:
    """1 − p over the step's domain; what headroom and cushion add to the interval received is hatched."""
    ax.set_title(f"step {index}, degree {step.degree}", loc="left", pad=3)
    low, high = step.domain
    if low == high:
        ax.text(0.5, 0.5, "below float64\nresolution", ha="center", va="center", transform=ax.transAxes)
        ax.text(0.98, 0.97, f"E = {number(step.half_width, 4)}", ha="right", va="top", transform=ax.transAxes)
        ax.set_xticks([])
        ax.set_yticks([])
        return
    logarithmic = high / low > 20
    # Chebyshev spacing: the extreme points crowd at the ends.
    t = (1 - np.cos(np.linspace(0, math.pi, 1001))) / 2
    if logarithmic:
        x = np.clip(low * (high / low) ** t, low, high)
    elif step.half_width < EXACT_BELOW:
        with mpmath.workdps(60):  # the domain may be a few units in the last place wide
            x = [mpmath.mpf(low) + (mpmath.mpf(high) - low) * mpmath.mpf(s) for s in t]
    else:
        x = low + (high - low) * t
    error = _error(step, x, step.half_width)
    origin = 1 if high - low < 0.02 and abs(low - 1) < 0.02 else 0
    shown = np.array([float(s - origin) for s in x])
    extreme = alternation(error)
    ax.axhline(0, color="0.8", linewidth=0.6, label="_zero", zorder=0)
    for level in (-step.half_width, step.half_width):
        ax.axhline(level, color=EDGE, linewidth=0.8, linestyle="--", label="_edge", zorder=1)
    ax.plot(shown, error, color="black", linewidth=1.1, label="_error", zorder=2)
    dot = {
        "linestyle": "none",
        "marker": "o",
        "markersize": 4,
        "markerfacecolor": "white",
        "zorder": 3,
        "clip_on": False,
    }
    ax.plot(shown[extreme], error[extreme], markeredgecolor="black", label="_extreme", **dot)
    unused = [(low, min(received[0], high)), (max(received[1], low), high)]
    for start, stop in [(a - origin, b - origin) for a, b in unused if a < b]:
        ax.axvspan(start, stop, zorder=0, **HATCHED)
    ax.set_xlim(shown[0], shown[-1])
    _step_scale(ax, step, float(np.max(np.abs(error))))
    if logarithmic:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(numticks=5))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlabel("x", labelpad=1)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(4))
        _scaled(ax, "x", float(np.max(np.abs(shown))), "x − 1" if origin else "x")


def _step_scale(ax: Axes, step: Step, peak: float) -> None:
    """The y axis in units of E, with room above for E; in plain numbers where 1 − p leaves ±E far behind."""
    error = step.half_width
    text = f"E = {number(error, 4)}"
    if peak > 3 * error:
        text += f", max {number(peak, 2)}"
        ax.set_yticks([-peak, 0, peak], [f"−{number(peak, 2)}", "0", number(peak, 2)])
    else:
        ax.set_yticks([-error, 0, error], ["−E", "0", "E"])
    limit = max(peak, error, 1e-280)  # matplotlib takes a smaller span for an empty one
    ax.set_ylim(-1.25 * limit, 1.85 * limit)
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # over the hatching
    ax.text(0.98, 0.97, text, ha="right", va="top", transform=ax.transAxes, bbox=paper)


def _scaled(ax: Axes, axis: str, limit: float, label: str) -> None:
    """Ticks in units of a power of ten that the label names, where the numbers are small."""
    exponent = math.floor(math.log10(limit)) if 0 < limit < 0.02 else 0
    unit = 10.0**exponent
    if exponent:
        inner = f"({label})" if "−" in label else label
        label = rf"{inner} / $10^{{{exponent}}}$"
    which = ax.xaxis if axis == "x" else ax.yaxis
    which.set_major_formatter(lambda value, _: f"{value / unit:.6g}".replace("-", "−"))
    which.set_label_text(label)


def alternation(error: np.ndarray) -> list[int]:
    """Where a sampled error is largest between two changes of its sign: its alternating extreme points.

    Runs a thousand times smaller than the largest are left out: they come from rounding at a zero.
    """
    cuts = np.flatnonzero(np.diff(np.sign(error)) != 0) + 1
    least = float(np.max(np.abs(error))) / 1000
    peaks: list[int] = []
    for run in np.split(np.arange(len(error)), cuts):
        peak = int(run[np.argmax(np.abs(error[run]))])
        if abs(error[peak]) <= least:
            continue
        if peaks and (error[peaks[-1]] > 0) == (error[peak] > 0):  # a run left out lay between
            peaks[-1] = max(peaks[-1], peak, key=lambda k: abs(error[k]))
        else:
            peaks.append(peak)
    return peaks

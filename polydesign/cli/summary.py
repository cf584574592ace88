"""What polydesign verify prints: a row a spectrum, and on request a row a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from polydesign.cli.grids import grid, show
from polydesign.model import Measurement, Table

if TYPE_CHECKING:
    from rich.table import Table as Grid

COLUMNS = 160
"""Wide enough for every column where the output is piped; on a terminal it is as wide as that."""


def report(table: Table, measurements: list[Measurement]) -> None:
    """Print the verdict on every measurement, and the last line on all of them."""
    first = measurements[0]
    low, high = table.schedule.interval
    how = first.operator if first.power == 1 else f"{first.operator}, error of f(x)^{first.power},"
    click.echo(
        f"{table.name} in {first.dtype} on {first.device}: promises {_short(first.promised)} "
        f"on [{low:g}, {high:g}]; {how} in the {first.form} form{_restarts(first)}, "
        f"{first.normalization} normalization"
    )
    if table.members:
        from polydesign.table.standings import first_of_members

        click.echo(f"This is {first_of_members(table)}. The first alone is judged here.")
    show(_by_spectrum(table, measurements), COLUMNS)
    if any(m.after_steps for m in measurements):
        show(_by_step(measurements), COLUMNS)
    _verdict(measurements)


def _restarts(m: Measurement) -> str:
    if m.form != "gram":
        return ""
    return f" with restarts before {', '.join(map(str, m.restarts))}" if m.restarts else " without restarts"


def _by_spectrum(table: Table, measurements: list[Measurement]) -> Grid:
    polar = measurements[0].polar_distance is not None or measurements[0].operator == "msign"
    last = ("orthogonality", "polar distance") if polar else ("mean error", "relative error")
    headings = (
        "spectrum",
        "shape",
        "lower end",
        "values",
        "predicted",
        "measured",
        "rms",
        "allowed",
        "input share",
    )
    rows = grid(*headings, "below", *last, "", left=("spectrum",))
    for m in measurements:
        below = f"{m.below_count}, {_short(m.below_worst)}" if m.below_count else "0"
        rows.add_row(
            m.spectrum,
            "x".join(map(str, m.shape)),
            _short(m.lower_end),
            str(m.count),
            _short(_predicted(table, m)),
            _short(m.worst),
            _short(m.rms),
            _short(m.allowed),
            _short(m.input_share),
            below,
            *map(_short, (m.orthogonality, m.polar_distance) if polar else (m.mean_error, m.relative_error)),
            "ok" if m.holds else "FAILED",
        )
    return rows


def _by_step(measurements: list[Measurement]) -> Grid:
    """Each step's interval, over all spectra, with the spectrum that ends farthest from 1."""
    rows = grid("after step", "predicted", "measured", "worst", "where", left=("where",))
    for index in range(max(len(m.after_steps) for m in measurements)):
        seen = [(m, m.after_steps[index]) for m in measurements if m.after_steps]
        row = [str(index + 1), _interval(*seen[0][1].predicted)]
        lost = [m.spectrum for m, step in seen if step.measured is None and m.count]
        ends = [(step.measured, step.worst or 0.0, m.spectrum) for m, step in seen if step.measured]
        if lost or not ends:
            row += ["not finite", "-", ", ".join(lost)]
        else:
            low, high = min(e[0][0] for e in ends), max(e[0][1] for e in ends)
            _, worst, where = max(ends, key=lambda end: end[1])
            row += [_interval(low, high), _short(worst), where]
        rows.add_row(*row)
    return rows


def _verdict(measurements: list[Measurement]) -> None:
    failed = [m for m in measurements if not m.holds]
    count = len(measurements)
    for m in measurements:
        if m.input_share is None and m.count and m.operator != "msign":
            click.echo(
                f"{m.spectrum}: rounded to {m.dtype}, P is not positive any more; no table can help there."
            )
    if not failed:
        click.echo(f"Within promise and rounding (allowed) on {count} of {count} spectra.")
        return
    words = ", ".join(
        f"{m.spectrum} ({'not finite' if not m.finite else f'{m.worst:.8g} > {m.allowed:.8g}'})"
        for m in failed
    )
    click.echo(f"FAILED: beyond promise and rounding on {len(failed)} of {count} spectra: {words}.")


def _predicted(table: Table, m: Measurement) -> float | None:
    """max |f(x)ˢ − 1| over the values that this matrix has on the promised range."""
    from polydesign.verification.sweep import EDGE

    assert m.map is not None, "measure always gives the map"
    low, high = table.schedule.interval
    pairs = zip(m.map.x, m.map.predicted, strict=True)
    judged = (f for x, f in pairs if low * (1 - EDGE) <= x <= high * (1 + EDGE))
    return max((abs(f**m.power - 1) for f in judged), default=None)


def _interval(low: float, high: float) -> str:
    return f"[{_short(low)}, {_short(high)}]"


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"

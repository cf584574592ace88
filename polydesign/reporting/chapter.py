"""What a report says of one table, before it is laid out: words, grids and figures."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polydesign.drawing.figures import rendered
from polydesign.model import DTYPES, MeasuredMap, Measurement, Schedule, Table, half_of
from polydesign.reporting import origin, pictures, sentences
from polydesign.reporting.comparison import Row
from polydesign.reporting.tables import SHOWN, degrees, edge, ratio
from polydesign.rounding import coupled as coupled_noise
from polydesign.rounding import direct as noise
from polydesign.text.numbers import number, short

ROWS = 256
"""Of the matrices that rounding is expected for."""

VALUES = 512
"""Of the histogram where nothing was measured."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure: name of its file, what it shows in words for who does not see it, caption, SVG."""

    stem: str
    alt: str
    caption: str
    svg: bytes

    @property
    def uri(self) -> str:
        """The figure itself as an address, for a page that stands alone."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode()


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of text: the first `left` columns are words, the others numbers."""

    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1


@dataclass(frozen=True, slots=True)
class Chapter:
    """Everything about one table."""

    name: str
    promise: str
    facts: tuple[tuple[str, str], ...]
    proof: tuple[str, ...]
    unproved: str
    map: Picture
    steps: Picture
    step_rows: TextTable
    rounding: Picture
    precisions: TextTable
    expected: str
    runs: str
    histogram: Picture
    provenance: tuple[tuple[str, str], ...]
    command: str
    command_note: str
    listing: str
    programs: tuple[str, ...]
    exports: tuple[tuple[str, str], ...]


def chapter(table: Table, row: Row, measurements: Sequence[Measurement] = ()) -> Chapter:
    """The chapter of a table; measurements: those of its file and others of it, with maps where there are.

    Raises InputError where a measurement is of another table.
    """
    schedule = table.schedule
    predict = noise.predict if schedule.root == 2 else coupled_noise.predict
    predictions = {
        dtype: predict(
            schedule,
            dtype,
            rows=ROWS,
            normalization=table.normalization,
            caution=origin.caution(table, dtype),
        )
        for dtype in SHOWN
    }
    mapped = _mapped(table, measurements)
    command, note = origin.command(table)
    return Chapter(
        name=table.name,
        promise=sentences.promise(table, row),
        facts=_facts(table, row),
        proof=tuple(sentences.proof(table, row)),
        unproved=sentences.UNPROVED,
        map=_map(table, row, mapped),
        steps=_steps(table),
        step_rows=_step_rows(schedule),
        rounding=Picture(
            f"{table.name}-rounding",
            f"Largest distance from 1 after each of {len(schedule.steps)} steps, exact and with rounding; it "
            f"ends at {number(row.error, 3, up=True)} in exact arithmetic.",
            f"Largest |v − 1| after each step: exact, and expected with rounding in matrices of {ROWS} rows"
            + (", markers: the worst of the runs." if any(m.after_steps for m in measurements) else "."),
            rendered(pictures.rounding_picture(schedule, predictions, measurements), "svg"),
        ),
        precisions=TextTable(
            ("precision", "promised", "expected", "measured", "worst on", "runs held"),
            tuple(sentences.rounding(row, predictions, measurements)),
        ),
        expected=sentences.expected(table),
        runs=sentences.runs(measurements),
        histogram=_histogram(table, mapped),
        provenance=tuple(origin.provenance(table)),
        command=command,
        command_note=note,
        listing=origin.listing(table),
        programs=tuple(origin.programs(schedule)),
        exports=tuple(origin.exports(table)),
    )


def _facts(table: Table, row: Row) -> tuple[tuple[str, str], ...]:
    half = half_of(table.purpose, table.dtype)
    return (
        ("proved error", number(row.error, 3, up=True)),
        ("products", str(row.products)),
        ("degrees", degrees(row)),
        ("error / optimum", ratio(row.ratio_to_optimum)),
        ("safe edge", edge(row)),
        ("slope at 0", number(row.slope, 4)),
        *([(f"in {DTYPES[half]}", row.standings[half])] if half else []),
    )


def _mapped(table: Table, measurements: Sequence[Measurement]) -> list[Measurement]:
    """Measurements with maps in one precision: that of the table's design, else the lowest there is."""
    found = [m for m in measurements if m.map is not None and m.count]
    wanted = table.dtype
    for dtype in (wanted, *DTYPES):
        chosen = [m for m in found if m.dtype == dtype]
        if chosen:
            return chosen
    return []


def _map(table: Table, row: Row, mapped: list[Measurement]) -> Picture:
    low, high = map(short, table.schedule.interval)
    error = number(row.error, 3, up=True)
    points = (
        f" Lighter: what verify allows. Markers: measured in {DTYPES[mapped[0].dtype]}." if mapped else ""
    )
    return Picture(
        f"{table.name}-map",
        f"The composed map of {table.name}: from 0 it rises to about 1 at x = {low} and stays within {error} "
        f"of 1 up to x = {high}.",
        f"The composed map f; grey: the proved band 1 ± {error} on [{low}, {high}].{points}",
        rendered(pictures.map_picture(table, mapped), "svg"),
    )


def _steps(table: Table) -> Picture:
    count = len(table.schedule.steps)
    return Picture(
        f"{table.name}-steps",
        f"{count} panels: the error 1 − p(x) of each step on the interval it is designed for, with its "
        "alternating extreme points marked.",
        "1 − p(x) of each step on its own domain, E its largest value on what the step receives; hatched: "
        "headroom and cushion.",
        rendered(pictures.steps_picture(table.schedule), "svg"),
    )


def _step_rows(schedule: Schedule) -> TextTable:
    def pair(ends: tuple[float, float]) -> str:
        return f"[{number(ends[0], 5)}, {number(ends[1], 5)}]"

    rows = [
        (
            str(k),
            step.evaluation,
            str(step.degree),
            pair(step.domain),
            pair(step.image),
            number(step.half_width, 4),
        )
        for k, step in enumerate(schedule.steps, start=1)
    ]
    return TextTable(("step", "evaluation", "degree", "domain", "image", "max |p − 1|"), tuple(rows), left=2)


def _histogram(table: Table, mapped: list[Measurement]) -> Picture:
    """Measured values of one run, or where there is none, values even in log x in exact arithmetic."""
    low, high = table.schedule.interval
    if mapped:
        chosen = next((m for m in mapped if m.spectrum == "gaussian"), mapped[0])
        values, found = chosen.map, f"measured on {chosen.spectrum} in {DTYPES[chosen.dtype]}"
    else:
        x = np.clip(np.geomspace(low, high, VALUES), low, high)
        y = tuple(table.schedule(x).tolist())
        values, found = (
            MeasuredMap(tuple(x.tolist()), y, y),
            "computed for values even in log x, without rounding",
        )
    assert values is not None
    what = sentences.values(table.schedule.root) + "s"
    gone = values.measured.count(None)
    lost = f", of which {gone} ended as no finite number" if gone else ""
    return Picture(
        f"{table.name}-values",
        f"Two histograms of {what}: before, from {number(min(values.x), 2)} to {number(max(values.x), 2)}; "
        "after, gathered about 1.",
        f"{what[0].upper()}{what[1:]} before and after, {found}: {len(values.x)} values{lost}.",
        rendered(pictures.histogram_picture(values), "svg"),
    )

"""One screen of a table, a schedule, a certificate and a measurement: what their reprs show."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR
from itertools import groupby

from polydesign.model import Certificate, Measurement, Schedule, Step, Table, shortened
from polydesign.program.cost import matmuls_of
from polydesign.table.standings import banded, cut_short, first_of_members, made_for, standings
from polydesign.text.digits import in_digits
from polydesign.text.numbers import number, short
from polydesign.text.sheet import Cells, Sheet


def sheet_of(shown: Table | Schedule | Certificate | Measurement) -> Sheet:
    """What a console and a notebook show of it. Bounds are rounded to the side on which they stay true."""
    if isinstance(shown, Table):
        return _of_table(shown)
    if isinstance(shown, Schedule):
        return _of_schedule(shown)
    if isinstance(shown, Certificate):
        return Sheet("Certificate", (*_bounds(shown), ("of", shortened(shown.digest, 19))))
    return _of_measurement(shown)


def _of_table(table: Table) -> Sheet:
    schedule = table.schedule
    source = table.provenance.source
    lines = [made_for(table), banded(table), *standings(table), cut_short(table)]
    facts = [
        ("promise", _promise(schedule, table.certificate)),
        ("steps", f"{_degrees(schedule)}, {matmuls_of(table)} matrix products"),
        ("made for", f"{table.purpose} in {table.dtype or 'exact arithmetic'}, {table.form} form"),
        ("input", f"normalization {table.normalization}"),
        *_bounds(table.certificate)[2:],
        *(("note", line) for line in lines if line),
        *(("family", line) for line in [first_of_members(table)] if line),
        ("measured", f"{len(table.measured)} runs, {sum(m.holds for m in table.measured)} within promise"),
        ("from", source or f"polydesign {table.provenance.polydesign}, {table.provenance.strategy}"),
    ]
    kept = tuple(fact for fact in facts if fact[0] != "measured" or table.measured)
    return Sheet(f"Table {table.name}", kept, (_steps(schedule.steps),))


def _of_schedule(schedule: Schedule) -> Sheet:
    facts = (("promise", _promise(schedule, None)), ("steps", _degrees(schedule)))
    return Sheet(f"Schedule of root {schedule.root}", facts, (_steps(schedule.steps),))


def _promise(schedule: Schedule, certificate: Certificate | None) -> str:
    error = number(schedule.error, 3, up=True)
    how = "as its last step states it"
    if certificate is not None:
        error = in_digits(certificate.error[1], 3, ROUND_CEILING)
        how = "proved" if certificate.kind == "proved" else f"seen on {certificate.samples} points"
    low, high = map(short, schedule.interval)
    return f"|f(x) − 1| <= {error} on [{low}, {high}], {how}"


def _degrees(schedule: Schedule) -> str:
    """5 steps of degree 5; 5 steps of degree 3, 5 (4 times) for a cubic and four quintics."""
    runs = [(degree, len(list(run))) for degree, run in groupby(schedule.degrees)]
    words = [
        f"{degree}" if len(runs) == 1 or times == 1 else f"{degree} ({times} times)" for degree, times in runs
    ]
    count = len(schedule.steps)
    return f"{count} step{'s' * (count > 1)} of degree {', '.join(words)}"


def _bounds(certificate: Certificate | None) -> list[tuple[str, str]]:
    """Kind, error, and what else is proved: word and text."""
    if certificate is None:
        return []
    low, high = certificate.error
    kind = certificate.kind + (f", on {certificate.samples} points" if certificate.samples else "")
    error = f"between {in_digits(low, 8, ROUND_FLOOR)} and {in_digits(high, 8, ROUND_CEILING)}"
    found = [("kind", kind), ("error", error)]
    if certificate.optimum is not None:
        least = in_digits(certificate.optimum[0], 4, ROUND_FLOOR)
        found.append(("optimum", f"at least {least} for these degrees"))
    edges = (
        ("safe edge", certificate.safe_edge, "the error holds"),
        ("basin edge", certificate.basin_edge, "values stay in (0, 2)"),
    )
    return found + [(w, f"{said} up to x = {in_digits(e[0], 5, ROUND_FLOOR)}") for w, e, said in edges if e]


def _steps(steps: tuple[Step, ...]) -> Cells:
    def interval(ends: tuple[float, float]) -> str:
        return f"[{ends[0]:.4g}, {ends[1]:.4g}]"

    rows = (
        (
            str(index),
            str(step.degree),
            interval(step.domain),
            interval(step.image),
            number(step.half_width, 3, up=True),
        )
        for index, step in enumerate(steps, start=1)
    )
    return Cells(("step", "degree", "domain", "image", "max |p − 1|"), tuple(rows))


def _of_measurement(m: Measurement) -> Sheet:
    worst = "not finite" if m.worst is None else number(m.worst, 4, up=True)
    verdict = "holds" if m.holds else "FAILED"
    facts = (
        ("worst", f"{worst}, allowed {number(m.allowed, 4)}, promised {number(m.promised, 4, up=True)}"),
        ("verdict", f"{verdict}, {m.count} values in the promised range, {m.below_count} below"),
        ("run", f"{m.operator} in {m.dtype}, {m.form} form, {m.normalization} normalization, {m.device}"),
    )
    where = f"{m.spectrum}, {' x '.join(map(str, m.shape))}"
    return Sheet(f"Measurement of {m.table} on {where}: {verdict}", facts)

"""What to use in place of a schedule: tables of ours for bfloat16, the safe one of its shape and the best."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf

from polydesign.approximation.scalar import schedule_from
from polydesign.model import STANDINGS, Schedule, purpose_of
from polydesign.program.cost import matmuls
from polydesign.table.catalogue import entries, load

USUAL = 5
"""Steps that torch, optax, timm and others run where nobody says how many."""

LOWER = 1e-3
"""Lower end for root 2 where nobody says another: Muon's singular values, after the Frobenius norm."""

FLOOR = 7.5e-3
"""Errors in bfloat16 below this are alike: rounding the input alone costs up to 0.0071 on a swept pair of
singular values (figures/budget_targets.json)."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A table of ours. measured: its worst error in bfloat16, None where nothing finite is known. figure:
    what it is judged by, the larger of both. standing: in bfloat16, one of model.STANDINGS. rows: as of a
    catalogue's Entry. interval: what its error is of. safer: whether its error is larger than that of the
    schedule, and it is offered because nothing that was tried blew up under it. asked: its error on the
    interval that was asked for, where its own begins higher. band: whether it was designed from the smallest
    lower end on that its error allows: below that it promises nothing."""

    name: str
    degrees: tuple[int, ...]
    matmuls: int
    error: float
    measured: float | None
    figure: float
    standing: str
    rows: bool
    interval: tuple[float, float]
    safer: bool = False
    asked: float | None = None
    band: bool = False


def alternatives(schedule: Schedule, error: float, *, safe: bool = False) -> list[Alternative]:
    """Of ours for bfloat16 and this root, with no more products, what to take instead.

    First quintics, which every codebase takes: the best that beat this error, and where there are none, and
    `safe` is not known of the schedule, plain ones with a larger error. Then the best of all. Nothing unsafe;
    plain ones first, since nobody knows whose loop runs what is pasted. Where none is made for so low an
    interval, those that come nearest.
    """
    lower = schedule.interval[0]
    fitting = list(_candidates(schedule))
    covering = [one for one in fitting if one.interval[0] <= lower < 1e2 * one.interval[0]]
    if not covering and schedule.root == 2:
        fitting = [one for one in fitting if not one.band]
        nearest = min((one.interval[0] for one in fitting if one.interval[0] > lower), default=None)
        near = [one for one in fitting if one.interval[0] == nearest]
        return [_asked(one, lower) for one in _first(near, near)]
    most, worth = matmuls(schedule), max(error, FLOOR)
    better = [one for one in covering if (max(one.figure, FLOOR), one.matmuls) < (worth, most)]
    rows = [one for one in better if one.rows]
    if not rows and not safe:
        rows = [one for one in covering if one.rows and one.standing == "plain"]
    found = _first(rows if schedule.root == 2 else [], better)
    return [replace(one, safer=one.error > schedule.error) for one in found]


def _first(rows: list[Alternative], better: list[Alternative]) -> list[Alternative]:
    """The best of the one and the best of the other, each once."""
    order = STANDINGS.index
    found: list[Alternative] = []
    for group in ([one for one in rows if one.rows], better):
        group.sort(key=lambda one: (order(one.standing), max(one.figure, FLOOR), one.matmuls, one.figure))
        found += group[:1]
    return list({one.name: one for one in reversed(found)}.values())[::-1]


def _asked(one: Alternative, lower: float) -> Alternative:
    """With its error on [lower, 1]."""
    table = load(one.name).schedule
    rows, evaluations = [step.coefficients for step in table.steps], [step.evaluation for step in table.steps]
    return replace(one, asked=schedule_from(table.root, rows, (lower, 1.0), evaluations).error)


def _candidates(schedule: Schedule) -> Iterable[Alternative]:
    for one in entries():
        if one.root != schedule.root or one.matmuls > matmuls(schedule):
            continue
        if one.dtype != "bfloat16" or one.purpose != purpose_of(schedule.root) or one.standing() == "unsafe":
            continue
        runs = [worst for dtype, worst in one.runs if dtype == "bfloat16"]
        # As `measured` says of a list that is one of ours; a table without runs has its search's figure.
        finite = [worst for worst in runs if worst is not None]
        measured = (max(finite) if len(finite) == len(runs) else None) if runs else one.observed
        figure = inf if len(finite) < len(runs) else max(one.error, measured or 0.0)
        said = (one.name, one.degrees, one.matmuls, one.error, measured, figure, one.standing(), one.rows)
        yield Alternative(*said, one.interval, band=one.band is not None)

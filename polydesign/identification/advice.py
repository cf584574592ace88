"""What to use in place of a schedule: tables of ours for bfloat16 that do better for no more products."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from polydesign.model import STANDINGS, Schedule, purpose_of
from polydesign.program.cost import matmuls
from polydesign.table.catalogue import entries

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
    catalogue's Entry."""

    name: str
    degrees: tuple[int, ...]
    matmuls: int
    error: float
    measured: float | None
    figure: float
    standing: str
    rows: bool


def alternatives(schedule: Schedule, error: float) -> list[Alternative]:
    """Of ours for bfloat16, this root and interval, with no more products, what beats this error: the best of
    quintics, which every codebase takes, then the best of all. Nothing unsafe; plain ones first, since nobody
    knows whose loop runs what is pasted."""
    most, lower, found = matmuls(schedule), schedule.interval[0], []
    worth = max(error, FLOOR)
    for one in entries():
        low = one.interval[0]
        if one.root != schedule.root or one.matmuls > most or not low <= lower < 1e2 * low:
            continue
        if one.dtype != "bfloat16" or one.purpose != purpose_of(schedule.root) or one.standing() == "unsafe":
            continue
        runs = [worst for dtype, worst in one.runs if dtype == "bfloat16"]
        # As `measured` says of a list that is one of ours; a table without runs has its search's figure.
        finite = [worst for worst in runs if worst is not None]
        measured = (max(finite) if len(finite) == len(runs) else None) if runs else one.observed
        figure = inf if len(finite) < len(runs) else max(one.error, measured or 0.0)
        if (max(figure, FLOOR), one.matmuls) < (worth, most):
            said = (one.name, one.degrees, one.matmuls, one.error, measured, figure, one.standing(), one.rows)
            found.append(Alternative(*said))
    order = STANDINGS.index
    found.sort(key=lambda one: (order(one.standing), max(one.figure, FLOOR), one.matmuls, one.figure))
    rows = [one for one in found if schedule.root == 2 and one.rows]
    return list(dict.fromkeys((*rows[:1], *found[:1])))

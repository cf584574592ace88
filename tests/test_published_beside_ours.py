"""No published table that is plain is better than ours for as many products, proved and measured."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

import polydesign
from polydesign.approximation.scalar import schedule_from
from polydesign.model import HALF
from polydesign.table.catalogue import Entry, entries, entry, shipped

LOWEST = 1e-3
"""Where our tables for the sign begin; what published ones do below is not compared."""

PUBLISHED = [entry(path.stem, path) for path in sorted((shipped() / "published").glob("*.json"))]
PLAIN = [
    (one, dtype)
    for dtype in HALF
    for one in PUBLISHED
    if one.purpose == "sign" and one.standing(dtype) == "plain"
]


BEATEN = {
    ("cubic5", "bfloat16"),
    ("cubic5_full_precision", "bfloat16"),
    ("cubic5b05_thirdparty", "bfloat16"),
    ("cubic5", "float16"),
    ("cubic5_full_precision", "float16"),
    ("cubic5b05_thirdparty", "float16"),
}
"""Ours that are not there yet: these cubics of 10 products begin higher than 1e-3, and end nearer to 1 there. A
table that takes one out of here is wanted."""


@cache
def error_from(path: Path, lower: float) -> float:
    """On [lower, 1], of the numbers that run."""
    schedule = polydesign.load(path).schedule
    rows, evaluations = (
        [step.coefficients for step in schedule.steps],
        [s.evaluation for s in schedule.steps],
    )
    return schedule_from(schedule.root, rows, (lower, 1.0), evaluations).error


def measured(one: Entry, dtype: str) -> float | None:
    """The worst that its file holds; None where nothing is measured, or a value was lost."""
    found = [worst for precision, worst in one.runs if precision == dtype]
    known = [worst for worst in found if worst is not None]
    return max(known) if known and len(known) == len(found) else None


def beaten_by(ours: Entry, theirs: Entry, dtype: str) -> bool:
    """Whether theirs is the better one in both, from where its own interval begins."""
    lower = max(theirs.interval[0], LOWEST)
    if error_from(theirs.path, lower) >= error_from(ours.path, lower):
        return False
    here, there = measured(ours, dtype), measured(theirs, dtype)
    return there is not None and (here is None or there < here)


def test_there_are_some_to_compare():
    assert len(PLAIN) > 20


@pytest.mark.few(20)
@pytest.mark.parametrize(("theirs", "dtype"), PLAIN, ids=lambda one: getattr(one, "name", one))
def test_ours_is_not_beaten(theirs, dtype):
    fitting = [
        one
        for one in entries()
        if (one.purpose, one.dtype, one.standing()) == ("sign", dtype, "plain")
        and one.matmuls <= theirs.matmuls
    ]
    beaten = all(beaten_by(one, theirs, dtype) for one in fitting)
    assert beaten == ((theirs.name, dtype) in BEATEN), [one.name for one in fitting]

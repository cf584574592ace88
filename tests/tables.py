"""Tables for the tests: the prototypes and published schedules of tests/data, independent of the search."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from polydesign.model import Provenance, Schedule, Step, Table

DATA = Path(__file__).parent / "data"


def table_of(
    rows: list[tuple[float, ...]], *, name: str = "test", lower: float = 1e-3, headroom: float = 1.0
) -> Table:
    """A table of root 2 from bare coefficients: images by dense evaluation, domains with headroom."""
    steps: list[Step] = []
    low, high = lower, 1.0
    for row in rows:
        x = np.geomspace(low, high, 200_001)
        p = sum(c * x ** (1 + 2 * j) for j, c in enumerate(row))
        domain = (low, high * headroom)
        low, high = float(np.min(p)), float(np.max(p))
        steps.append(Step(1 + 2 * (len(row) - 1), row, domain, (low, high), max(1 - low, high - 1)))
    return Table(name, Schedule(2, (lower, 1.0), tuple(steps)), Provenance("0", "test", {}, source="test"))


def prototype(name: str) -> Table:
    """quintics_15, quintics_18, 9x4_16_fp16, …: designed with headroom."""
    listed = json.loads((DATA / "prototype_schedules.json").read_text())["schedules"]
    entry = next(schedule for schedule in listed if schedule["name"] == name)
    rows = [tuple(map(float, step["coefficients"])) for step in entry["steps"]]
    return table_of(rows, name=name, headroom=entry["steps"][0]["headroom"])


def published(name: str) -> Table:
    entry = next(e for e in json.loads((DATA / "published.json").read_text()) if e["name"] == name)
    return table_of([tuple(map(float, row)) for row in entry["coefficients"]], name=name)

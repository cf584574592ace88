"""Tables for the tests: the prototypes and published schedules of tests/data, independent of the search."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from polydesign.model import Provenance, Schedule, Step, Table
from polydesign.program.basis import program_for
from polydesign.reporting.comparison import AtLower, Row, Seen

DATA = Path(__file__).parent / "data"


def table_of(
    rows: list[tuple[float, ...]],
    *,
    name: str = "test",
    lower: float = 1e-3,
    headroom: float | list[float] = 1.0,
    evaluation: str = "monomial",
) -> Table:
    """A table of root 2 from bare coefficients: images by dense evaluation, domains with headroom."""
    steps: list[Step] = []
    low, high = lower, 1.0
    rooms = headroom if isinstance(headroom, list) else [headroom] * len(rows)
    for row, room in zip(rows, rooms, strict=True):
        x = np.geomspace(low, high, 200_001)
        p = sum(c * x ** (1 + 2 * j) for j, c in enumerate(row))
        domain = (low, high * room)
        low, high = float(np.min(p)), float(np.max(p))
        program = program_for(evaluation, row, domain[1] ** 2)
        degree = 1 + 2 * (len(row) - 1)
        steps.append(Step(degree, row, domain, (low, high), max(1 - low, high - 1), evaluation, program))
    return Table(name, Schedule(2, (lower, 1.0), tuple(steps)), Provenance("0", "test", {}, source="test"))


def with_coefficients(step: Step, coefficients: tuple[float, ...]) -> Step:
    """The step with other coefficients, run by the program that it would have for them."""
    program = program_for(step.evaluation, coefficients, step.domain[1] ** step.root)
    return replace(step, coefficients=coefficients, program=program)


def prototypes() -> list[dict]:
    """The hand-made schedules of tests/data, with what was measured of them."""
    return json.loads((DATA / "prototype_schedules.json").read_text())["schedules"]


@cache
def prototype(name: str, evaluation: str = "monomial") -> Table:
    """quintics_15, quintics_18, 9x4_16_fp16, …: designed with headroom."""
    entry = next(schedule for schedule in prototypes() if schedule["name"] == name)
    rows = [tuple(map(float, step["coefficients"])) for step in entry["steps"]]
    rooms = [float(step["headroom"]) for step in entry["steps"]]
    return table_of(rows, name=name, headroom=rooms, evaluation=evaluation)


def published(name: str) -> Table:
    entry = next(e for e in json.loads((DATA / "published.json").read_text()) if e["name"] == name)
    return table_of([tuple(map(float, row)) for row in entry["coefficients"]], name=name)


def rows_from_json(body: list[dict[str, Any]]) -> tuple[Row, ...]:
    """The rows that polydesign.reporting.comparison.to_json gave."""

    def numbers(item: dict[str, Any]) -> dict[str, Any]:
        return {key: math.inf if value is None else value for key, value in item.items()}

    rows = []
    for item in body:
        edges = {key: item[key] for key in ("safe_edge", "basin_edge")}
        rest = numbers(item) | edges
        rest |= {key: tuple(item[key]) for key in ("degrees", "interval")}
        rest["at"] = tuple(AtLower(**numbers(at)) for at in item["at"])
        rest["measured"] = tuple(Seen(**seen) for seen in item["measured"])
        rows.append(Row(**rest))
    return tuple(rows)

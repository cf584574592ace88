"""The digest of a schedule: what it computes and what it is for, whatever else is said of it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from polydesign.model.checks import purpose_of
from polydesign.model.program import Combination, Program
from polydesign.model.schedule import Schedule


def digest(schedule: Schedule, purpose: str = "") -> str:
    """sha256 of purpose, root, interval, and the steps' programs with their constants.

    Args:
        schedule: what is run.
        purpose: as in a Table; left out, what the root says.

    Returns:
        "sha256:" and 64 hexadecimal digits, of canonical JSON with sorted keys and without spaces, all
        weights as hexadecimal floats (float.hex). Name, claims, measurements and provenance are not part.
    """
    body = {
        "purpose": purpose or purpose_of(schedule.root),
        "root": schedule.root,
        "interval": [end.hex() for end in map(float, schedule.interval)],
        "steps": [_program(step.program) for step in schedule.steps],
    }
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def _program(code: Program) -> dict[str, Any]:
    lines = [
        {"plus": _pairs(x.plus), "left": _pairs(x.left), "right": _pairs(x.right), "weight": _hex(x.weight)}
        for x in code.lines
    ]
    return {"lines": lines, "result": _pairs((code.result,))[0], "constant": _hex(code.constant)}


def _pairs(terms: Combination) -> list[list[Any]]:
    return [[register, _hex(weight)] for register, weight in terms]


def _hex(weight: float) -> str:
    return float(weight).hex()

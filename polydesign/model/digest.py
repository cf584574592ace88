"""The digest of a schedule: which one it is, whatever is said of it."""

from __future__ import annotations

import hashlib
import json

from polydesign.model.schedule import Schedule


def digest(schedule: Schedule) -> str:
    """sha256 of what the iteration computes: root, interval, and the steps' constants and evaluations.

    Canonical JSON with sorted keys and without spaces, floats as hexadecimal (float.hex). Name, claims,
    measurements and provenance are not part of it.
    """
    body = {
        "root": schedule.root,
        "interval": [end.hex() for end in map(float, schedule.interval)],
        "steps": [
            {"coefficients": [c.hex() for c in step.coefficients], "evaluation": step.evaluation}
            | ({"program": [c.hex() for c in step.program]} if step.program else {})
            for step in schedule.steps
        ],
    }
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()

"""Reference data and naive references that several test files share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"


def oracle_cases() -> list[dict[str, Any]]:
    return json.loads((DATA / "minimax_oracle.json").read_text())["cases"]


def published(name: str) -> dict[str, Any]:
    entries = json.loads((DATA / "published.json").read_text())
    return next(entry for entry in entries if entry["name"] == name)


def prototypes() -> list[dict[str, Any]]:
    return json.loads((DATA / "prototype_schedules.json").read_text())["schedules"]

"""Tables as JSON, and their digest. The format is described by schema/schedule-v2.schema.json."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from polydesign.model import Step, Table
from polydesign.program.cost import matmuls_of
from polydesign.program.programs import constant_names
from polydesign.table import measurements

SCHEMA = "polydesign/schedule/v2"


def to_json(table: Table) -> dict[str, Any]:
    """The JSON object of a table."""
    schedule = table.schedule
    certificate = table.certificate
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "name": table.name,
        "purpose": table.purpose,
        "root": schedule.root,
        "interval": [float(end) for end in schedule.interval],
        "normalization": table.normalization,
        "dtype": table.dtype,
        "form": table.form,
        "steps": [_step(step) for step in schedule.steps],
        "error": {
            "exact": schedule.error,
            "observed": table.observed,
            "measured": [measurements.to_entry(m) for m in table.measured],
        },
        "cost": {"matmuls": matmuls_of(table)},
    }
    if certificate is not None:
        body["certificate"] = {k: v for k, v in asdict(certificate).items() if v is not None}
    body["provenance"] = asdict(table.provenance)
    return json.loads(json.dumps(body, allow_nan=False))  # tuples become lists, as a reader sees them


def _step(step: Step) -> dict[str, Any]:
    """A step as the file keeps it: the constants of its program by name, where it has one."""
    entry = asdict(step)
    names = constant_names(step.evaluation, step.inner_degree)
    del entry["program"]
    return entry | ({"program": dict(zip(names, step.program, strict=True))} if names else {})


def dumps(table: Table) -> str:
    """The text of the file: one field or one list of numbers a line, floats in shortest round-trip form."""
    return _pretty(to_json(table), "") + "\n"


def _pretty(value: Any, indent: str) -> str:
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        lines = [f"{deeper}{json.dumps(key)}: {_pretty(item, deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, (list, tuple)) and any(isinstance(item, (dict, list, tuple)) for item in value):
        return "[\n" + ",\n".join(deeper + _pretty(item, deeper) for item in value) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False, ensure_ascii=False)

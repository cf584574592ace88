"""Tables as JSON, and their digest. The format is described by schema/schedule-v2.schema.json."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from polydesign.model import Step, Table
from polydesign.model.program import Program
from polydesign.program.cost import matmuls_of
from polydesign.table import measurements
from polydesign.table.schema import SCHEMA
from polydesign.text.incoming import check_values


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
        "steps": [step_json(step) for step in schedule.steps],
        "error": {
            "exact": schedule.error,
            "observed": table.observed,
            "measured": [measurements.to_entry(m) for m in table.measured],
            **({"tried": [asdict(one) for one in table.tried]} if table.tried else {}),
        },
        "cost": {"matmuls": matmuls_of(table)},
    }
    if certificate is not None:
        body["certificate"] = {k: v for k, v in asdict(certificate).items() if v is not None}
    body["provenance"] = asdict(table.provenance)
    if table.members:
        body["members"] = [to_json(one) for one in table.members]
    return json.loads(json.dumps(body, allow_nan=False))  # tuples become lists, as a reader sees them


def step_json(step: Step) -> dict[str, Any]:
    """A step as the file keeps it."""
    names = ("degree", "coefficients", "domain", "image", "half_width", "evaluation")
    return {name: getattr(step, name) for name in names} | {"program": program_json(step.program)}


def program_json(code: Program) -> dict[str, Any]:
    """A program as the file keeps it."""
    return {"lines": [asdict(line) for line in code.lines], "result": code.result, "constant": code.constant}


def dumps(table: Table) -> str:
    """The text of the file: a field, a list of numbers or a line of a program a line, floats in shortest
    round-trip form.

    Raises InputError for texts that a reader refuses, such as escape sequences; it names the field.
    """
    body = to_json(table)
    check_values(body["provenance"], "provenance")
    return _pretty(body, "") + "\n"


def _pretty(value: Any, indent: str) -> str:
    deeper = indent + "  "
    if isinstance(value, dict) and value and "plus" not in value:
        lines = [f"{deeper}{json.dumps(key)}: {_pretty(item, deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, (list, tuple)) and any(isinstance(item, (dict, list, tuple)) for item in value):
        return "[\n" + ",\n".join(deeper + _pretty(item, deeper) for item in value) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False, ensure_ascii=False)

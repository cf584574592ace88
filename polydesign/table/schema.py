"""What a file holds, against the JSON Schema of tables, schema/schedule-v2.schema.json."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from polydesign.model import InputError, quoted, shortened

SCHEMA = "polydesign/schedule/v2"


def check(body: Any) -> None:
    """Refuse what is no table. Raises InputError whose field is a JSON path."""
    _check(_validator(""), body, "$")


def check_measurement(item: Any, where: str) -> None:
    """Refuse what is no measurement of a table's file. Raises InputError whose field begins with `where`."""
    _check(_validator("measurement"), item, where)


@cache
def _validator(part: str) -> Any:
    # A tenth of a second, and only reading needs it.
    from jsonschema import Draft202012Validator

    schema = json.loads(files("polydesign").joinpath("schema/schedule-v2.schema.json").read_text("utf-8"))
    definitions = schema.pop("$defs")
    return Draft202012Validator(_in_place(definitions[part] if part else schema, definitions))


def _in_place(part: Any, definitions: Any) -> Any:
    """The same with definitions where they are referred to: looking each up took a third of the time."""
    if isinstance(part, list):
        return [_in_place(item, definitions) for item in part]
    if not isinstance(part, dict):
        return part
    found = {key: _in_place(value, definitions) for key, value in part.items()}
    name = part.get("$ref", "#").removeprefix("#/$defs/")
    if name == "#":  # a table in a table
        return found
    del found["$ref"]
    return _in_place(definitions[name], definitions) | found


def _check(validator: Any, body: Any, where: str) -> None:
    from jsonschema.exceptions import best_match

    found = best_match(validator.iter_errors(body))
    if found is None:
        return
    path, problem = where + found.json_path.removeprefix("$"), found.message
    if isinstance(found.instance, dict) and found.validator == "additionalProperties":
        unknown = sorted(set(found.instance) - set(found.schema["properties"]))  # pyright: ignore
        path, problem = f"{path}.{unknown[0]}", "is not a key of this format"
    elif isinstance(found.instance, dict) and found.validator == "required":
        missing = [key for key in found.schema["required"] if key not in found.instance]  # pyright: ignore
        path, problem = f"{path}.{missing[0]}", "is missing"
    elif path == "$.schema":
        problem = f"must be {SCHEMA!r}; this version reads that and v1, and no other"
    raise InputError(path, shortened(problem.replace(repr(found.instance), quoted(found.instance)), 200))

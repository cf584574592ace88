"""Measurements as JSON: a list, or one a line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path
from typing import Any

from polydesign.model import AfterStep, InputError, MeasuredMap, Measurement, Table, Trial


def dumps(found: Iterable[Measurement], *, lines: bool = False) -> str:
    """A JSON list, or with `lines` one object a line (JSON Lines), which can be appended to.

    The same measurements give the same text: it holds no date.
    """
    entries = [asdict(m) for m in found]
    if lines:
        return "".join(json.dumps(e, allow_nan=False, ensure_ascii=False) + "\n" for e in entries)
    return json.dumps(entries, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def loads(text: str) -> list[Measurement]:
    """Measurements from a text of either kind. Raises json.JSONDecodeError, and what the next one raises."""
    try:
        return measurements_from_json(json.loads(text))
    except json.JSONDecodeError:
        rows = [line for line in text.splitlines() if line.strip()]
        if len(rows) < 2:
            raise
        return measurements_from_json([json.loads(row) for row in rows])


def read(path: str | PathLike[str]) -> list[Measurement]:
    """The measurements in a file of either kind.

    Raises InputError where it holds something else, OSError where it cannot be read.
    """
    try:
        return loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise InputError("measured", f"{path} is not JSON; polydesign verify --save writes it") from problem


def with_measured(table: Table, new: Iterable[Measurement]) -> Table:
    """The table with further measurements; a run repeated in the same setting replaces its old self."""

    def setting(m: Measurement) -> tuple[Any, ...]:
        how = m.operator, m.power, m.form, m.restarts, m.normalization
        return m.dtype, m.shape, m.spectrum, m.seed, m.device, *how

    new = list(new)
    repeated = {setting(m) for m in new}
    kept = [m for m in table.measured if setting(m) not in repeated]
    return replace(table, measured=tuple(replace(m, map=None) for m in (*kept, *new)))


def with_tried(table: Table, new: Iterable[Trial]) -> Table:
    """The table with further trials; one of the same family, loop, dtype and seed replaces its old self."""

    def setting(one: Trial) -> tuple[Any, ...]:
        return one.family, one.loop, one.dtype, one.seed

    new = list(new)
    repeated = {setting(one) for one in new}
    return replace(table, tried=(*(one for one in table.tried if setting(one) not in repeated), *new))


def measurements_from_json(body: Any) -> list[Measurement]:
    """Measurements, with their maps, from the list that `polydesign verify --json` prints.

    Raises InputError naming the entry.
    """
    found = []
    for index, item in enumerate(body if isinstance(body, list) else [body]):
        try:
            found.append(from_entry({**item, "map": item["map"]}))
        except (TypeError, KeyError, AttributeError) as problem:
            raise InputError(
                f"measured[{index}]",
                f"is not a measurement ({problem}); polydesign verify --save writes them",
            ) from problem
    return found


def from_entry(item: dict[str, Any]) -> Measurement:
    """One measurement from its JSON object; what earlier versions did not write has its default."""
    mapped = item.get("map") and MeasuredMap(**{key: tuple(v) for key, v in item["map"].items()})
    after = tuple(
        AfterStep(tuple(step["predicted"]), step["measured"] and tuple(step["measured"]))
        for step in item.get("after_steps", ())
    )
    tuples = {"shape": tuple(item["shape"]), "restarts": tuple(item.get("restarts", ()))}
    return Measurement(**{**item, **tuples, "map": mapped, "after_steps": after})


def to_entry(measurement: Measurement) -> dict[str, Any]:
    """A measurement as a table's file keeps it: without the map, and without the name of its own table."""
    entry = asdict(replace(measurement, map=None))
    del entry["map"], entry["table"]
    return entry

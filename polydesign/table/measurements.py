"""Measurements as JSON: a list, or one a line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from os import PathLike
from typing import Any

from polydesign.model import (
    AfterStep,
    InputError,
    MeasuredMap,
    Measurement,
    Table,
    Trial,
    check_number,
    check_plain,
    located,
    quoted,
)
from polydesign.table.schema import check_measurement
from polydesign.text.incoming import parse, read_text

MOST_BYTES, MOST_NUMBERS = 128 * 1024 * 1024, 10_000_000
"""Of a file with maps, which hold three numbers for every singular value."""

_COLUMNS = set(MeasuredMap.__slots__)


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
        body = parse(text, "measured", MOST_NUMBERS)
    except json.JSONDecodeError:
        rows = [line for line in text.splitlines() if line.strip()]
        if len(rows) < 2:
            raise
        body = [parse(row, f"measured[{index}]", MOST_NUMBERS) for index, row in enumerate(rows)]
    return measurements_from_json(body)


def read(path: str | PathLike[str]) -> list[Measurement]:
    """The measurements in a file of either kind.

    Raises InputError where it holds something else, OSError where it cannot be read.
    """
    text = read_text(path, "measurements", most=MOST_BYTES)
    try:
        with located(f"{path}: "):
            return loads(text)
    except json.JSONDecodeError as problem:
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
        where = f"measured[{index}]"
        try:
            mapped, table = item["map"], item["table"]
            check_measurement({key: v for key, v in item.items() if key not in ("map", "table")}, where)
            _check_map(mapped, f"{where}.map")
            check_plain(f"{where}.table", table)
            with located(f"{where}."):
                found.append(from_entry({**item, "map": mapped}))
        except (TypeError, KeyError, AttributeError) as problem:
            raise InputError(
                where, f"is not a measurement ({quoted(problem)}); polydesign verify --save writes them"
            ) from problem
    return found


def _check_map(mapped: Any, where: str) -> None:
    """Refuse what is no map: lists of numbers, as many in each."""
    if mapped is None:
        return
    columns = list(mapped.values()) if isinstance(mapped, dict) and set(mapped) == _COLUMNS else []
    if not columns or not all(isinstance(c, list) and len(c) == len(columns[0]) for c in columns):
        raise InputError(where, f"must have lists of {', '.join(sorted(_COLUMNS))}, of one length")
    for name, column in mapped.items():
        for index, value in enumerate(column):
            if value is not None or name != "measured":
                check_number(f"{where}.{name}[{index}]", value)


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

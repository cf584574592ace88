"""Published schemes in a text: their constants are no coefficients, and so are looked for themselves."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace

from polydesign.approximation.certificate import certify
from polydesign.model import Schedule, Table
from polydesign.table.catalogue import load
from polydesign.table.published import Published, names, published

_NUMBER = re.compile(r"(?<!\d)\d+\.\d+(?:[eE][-+]?\d+)?")  # never begun within digits: no time squared

_SAME = 2.0**-51
"""Relative: a constant may be divided by the safety factor in the source, which rounds once."""

LEAST = 2
"""Steps of a scheme that a text must have: the constants of one may be those of a well-known polynomial."""


def of_its_constants(text: str) -> tuple[Table, int] | None:
    """The published scheme whose constants stand in the text, however they are arranged, and in which line.

    Its first steps alone are a table of their own, named for them. None where a text has fewer than LEAST.
    """
    entries = [entry for entry in map(published, names()) if entry.scheme]
    found = [(float(one[0]), one.start()) for one in _NUMBER.finditer(text)]
    values = sorted({value for value, _ in found})
    for entry in entries:
        steps = sum(1 for _ in _there(entry, values))
        if steps >= min(LEAST, len(entry.constants)):
            place = next(start for value, start in found if _among(value, _constants(entry)))
            return _first(load(entry.name), steps), text.count("\n", 0, place) + 1
    return None


def _constants(entry: Published) -> list[float]:
    """Of the first step, as they run and as they are before they are divided by the safety factor."""
    return sorted(abs(c) * factor for c in entry.constants[0] for factor in (1.0, entry.folded))


def _there(entry: Published, values: list[float]) -> Iterator[None]:
    """As often as the text has all constants of a step, from the first on."""
    for row in entry.constants:
        if not all(_among(abs(c), values) or _among(abs(c) * entry.folded, values) for c in row):
            return
        yield None


def _among(value: float, values: list[float]) -> bool:
    """Whether one of the sorted values is this one, but for a rounding."""
    room = _SAME * value
    index = bisect_left(values, value - room)
    return index < len(values) and values[index] <= value + room


def _first(table: Table, steps: int) -> Table:
    """The table of the first steps alone."""
    schedule = table.schedule
    if steps == len(schedule.steps):
        return table
    cut = Schedule(schedule.root, schedule.interval, schedule.steps[:steps])
    certificate = certify(cut, table.purpose)
    name = f"{table.name}-first-{steps}"
    alone = replace(table, measured=(), tried=(), members=())
    return replace(alone, name=name, schedule=cut, certificate=certificate)

"""Lists of numbers in data: JSON, TOML, YAML; one a key, with the line where it begins."""

from __future__ import annotations

import json
import re
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from polydesign.identification.columns import Assigned, put_together
from polydesign.identification.lists import Listed, Reading, listed
from polydesign.identification.nested import in_value, is_number, lettered
from polydesign.model import MOST_DEPTH

MOST_YAML = 300_000
"""Characters: its reader takes some microseconds for each."""

LineOf = Callable[[dict[str, Any], str], int]


def parsed_json(text: str) -> Any:
    """The value of a JSON text; None where it is none."""
    try:
        return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 400 else float(digits))
    except (ValueError, RecursionError):
        return None


def in_json(body: Any, text: str) -> list[Listed]:
    """The lists of a JSON value, with the lines of its keys in the text."""
    if isinstance(body, dict) and str(body.get("schema")).startswith("polydesign/"):
        body = {"steps": body.get("steps")}  # a table of ours: its interval is no row
    return _in_data(body, _lines_of_keys(text, r'"{}"\s*:'))


def in_toml(text: str) -> list[Listed]:
    """The lists of a TOML text; none where it is not TOML."""
    try:
        body = tomllib.loads(text)
    except (ValueError, RecursionError):
        return []
    return _in_data(body, _lines_of_keys(text, r"(?<![\w-])[\"']?{}[\"']?\s*[=\].]"))


def in_yaml(text: str) -> list[Listed]:
    """The lists of a YAML text; none where it is not YAML."""
    if len(text) > MOST_YAML:
        return []
    lines: dict[tuple[int, str], int] = {}
    try:
        bodies = _from_events(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)), lines)
    except (yaml.YAMLError, ValueError, RecursionError):
        return []
    return [one for body in bodies for one in _in_data(body, lambda inside, key: lines[id(inside), key])]


def _lines_of_keys(text: str, pattern: str) -> LineOf:
    """Keys are asked for in the order of the text, so that the n-th of a name is the n-th in the text."""
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    places: dict[str, Iterator[re.Match[str]]] = {}

    def line_of(inside: dict[str, Any], key: str) -> int:
        if key not in places:  # each name is a search of the text: not for a thousand
            search = len(places) < 200 and len(key) < 200
            places[key] = re.finditer(pattern.replace("{}", re.escape(key)), text) if search else iter(())
        found = next(places[key], None)
        return 1 if found is None else bisect_right(starts, found.start())

    return line_of


def _in_data(body: Any, line_of: LineOf) -> list[Listed]:
    apart: list[Assigned] = []
    found = list(_lists("", body, 1, line_of, apart, MOST_DEPTH))
    groups, _ = put_together(apart)
    return sorted([*found, *groups], key=lambda one: one.line)


def _lists(
    name: str, value: Any, line: int, line_of: LineOf, apart: list[Assigned], depth: int
) -> Iterator[Listed]:
    """What a value holds under its name; numbers that stand alone go to `apart`."""
    own = next((found for found in in_value(name, value, 0) if found[0] == name), None)
    if own:
        yield Listed(name, line, (Reading(own[1], own[2]),)) if own[2] else listed(name, line, own[1])
    if isinstance(value, dict) and depth:
        lines = {key: line_of(value, key) for key in value}
        for key, inner in value.items():
            if own is None and is_number(inner):
                apart.append(Assigned(f"{name}.{key}", lines[key], inner))
            elif isinstance(inner, (dict, list)) and (own is None or lettered(value)):
                yield from _lists(
                    f"{name}[{key!r}]" if name else key, inner, lines[key], line_of, apart, depth - 1
                )
    elif isinstance(value, list) and own is None and depth:
        for index, inner in enumerate(value):
            if isinstance(inner, (dict, list)):
                yield from _lists(f"{name}[{index}]", inner, line, line_of, apart, depth - 1)


def _from_events(events: Any, lines: dict[tuple[int, str], int]) -> list[Any]:
    """The documents of a YAML text as plain values, and the lines of their keys. Aliases are None."""
    roots: list[tuple[Any, int]] = []
    stack: list[tuple[bool, list[tuple[Any, int]], int]] = []
    for event in events:
        kind, line = type(event).__name__, event.start_mark.line + 1
        if kind in ("SequenceStartEvent", "MappingStartEvent"):
            stack.append((kind == "MappingStartEvent", [], line))
            continue
        if kind in ("SequenceEndEvent", "MappingEndEvent"):
            mapping, items, line = stack.pop()
            value: Any = [item for item, _ in items]
            if mapping:
                keys = [str(item) for item in value[::2]]
                value = dict(zip(keys, value[1::2], strict=False))
                lines.update({(id(value), key): at for key, (_, at) in zip(keys, items[::2], strict=True)})
        elif kind == "ScalarEvent":
            key = stack and stack[-1][0] and len(stack[-1][1]) % 2 == 0
            value = event.value if key or not event.implicit[0] else _scalar(event.value)
        elif kind == "AliasEvent":
            value = None
        else:
            continue
        (stack[-1][1] if stack else roots).append((value, line))
    return [value for value, _ in roots]


def _scalar(text: str) -> Any:
    """A number where it is one, 1e-3 too, which YAML 1.1 takes for a text; else the text."""
    try:
        return float(text) if len(text) < 400 and re.fullmatch(r"[-+.\deE]+", text) else text
    except ValueError:
        return text

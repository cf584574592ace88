"""Coefficients that stand apart, a = …, b = …, c = …, put together: numbers to rows, lists to columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from polydesign.identification.lists import COLUMNS, Listed, Reading, listed, sensible_row
from polydesign.identification.nested import as_float, is_number

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_ORDER = {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4, "alpha": 0, "beta": 1, "gamma": 2, "delta": 3}


@dataclass(frozen=True, slots=True)
class Assigned:
    """A number, or a list of numbers, with its name and its line."""

    name: str
    line: int
    value: Any


def put_together(assigned: Iterable[Assigned]) -> tuple[list[Listed], set[int]]:
    """The lists that names alike but for a letter make: NS_A, NS_B, NS_C; a_list, b_list, c_list.

    A second a begins another row. It belongs to the same list where it stands right below, or where the names
    are numbered; elsewhere it is another function's. Returns the lists, and which of the given (by their
    place) are in them.
    """
    found: list[Listed] = []
    used: set[int] = set()
    numbers: list[tuple[str, int, list[tuple[float, ...]]]] = []
    last = 0
    for key, members in _groups(assigned):
        values = [one.value for _, one in members]
        names = _named([one.name for _, one in members])
        line = min(one.line for _, one in members)
        if all(map(is_number, values)):
            row = tuple(map(as_float, values))
            if not sensible_row(row) or (len(row) == 2 and all(c.is_integer() for c in row)):
                continue
            below = line <= last + 1 or "#" in key
            last = max(one.line for _, one in members)
            if numbers and below and numbers[-1][0] == key and len(numbers[-1][2][0]) == len(row):
                numbers[-1][2].append(row)
            else:
                numbers.append((key, line, [row]))
                found.append(Listed(names, line, ()))
        elif _same_lengths(values):
            rows = tuple(tuple(map(as_float, row)) for row in zip(*values, strict=True))
            if sum(map(sensible_row, rows)) * 2 < len(rows):
                continue
            found.append(Listed(names, line, (Reading(rows, COLUMNS),)))
        else:
            continue
        used.update(index for index, _ in members)
    rows_at = {line: tuple(rows) for _, line, rows in numbers}
    return [one if one.readings else listed(one.name, one.line, rows_at[one.line]) for one in found], used


def _same_lengths(values: Sequence[Any]) -> bool:
    return all(isinstance(one, list) and one and all(map(is_number, one)) for one in values) and (
        len({len(one) for one in values}) == 1
    )


def _groups(assigned: Iterable[Assigned]) -> list[tuple[str, list[tuple[int, Assigned]]]]:
    """Members in the order of the letters, from a on without a gap, two at least; or all backwards."""
    given = list(enumerate(assigned))
    return _in_order(given) or _in_order(given[::-1])


def _in_order(given: Sequence[tuple[int, Assigned]]) -> list[tuple[str, list[tuple[int, Assigned]]]]:
    open_groups: dict[str, list[tuple[int, Assigned]]] = {}
    done: list[tuple[str, list[tuple[int, Assigned]]]] = []
    for index, one in given:
        for key, place in _patterns(one.name):
            members = open_groups.get(key)
            if members is not None and place == len(members) and _kind(members[0][1]) == _kind(one):
                members.append((index, one))
            elif place == 0:
                open_groups[key] = [(index, one)]
                done.append((key, open_groups[key]))
            elif members is not None:
                del open_groups[key]
    return [(key, members) for key, members in done if len(members) > 1]


def _kind(one: Assigned) -> bool:
    return isinstance(one.value, list)


def _patterns(name: str) -> list[tuple[str, int]]:
    """The name with a letter left out, and the place of that letter: NS_A is ("ns ?", 0).

    Digits stay, so that a1, b1, c1 are a row and a2, b2, c2 the next; c0, c1, c2 have theirs left out.
    """
    words = [word.lower() for word in _WORDS.findall(name.rsplit(".", 1)[-1])][:12]
    found = []
    for index, word in enumerate(words):
        if word in _ORDER:
            rest = [*words[:index], f"?{len(word) > 1}", *words[index + 1 :]]
            found.append((" ".join("#" if part.isdigit() else part for part in rest), _ORDER[word]))
    if words and words[-1].isdigit() and len(words) > 1 and words[-2] in ("c", "a", "coeff", "coef"):
        found.append((f"{' '.join(words[:-1])} ##", int(words[-1]) if len(words[-1]) < 3 else 999))
    return found


def _named(names: Sequence[str]) -> str:
    return ", ".join(names)

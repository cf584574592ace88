"""Lists of numbers in source text of any language: what stands in brackets, and what it is assigned to.

C, CUDA, C++, Rust, Julia, JavaScript, Go, MATLAB, R and others write numbers alike; they differ in brackets,
in suffixes, and in the words before a bracket. Nothing is run, and of the grammar nothing else is known.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from polydesign.identification.below import below, with_changes
from polydesign.identification.columns import Assigned, put_together
from polydesign.identification.lists import NOT_READ, Listed, both, listed, readings
from polydesign.identification.literals import UnreadError, parsed, value_of
from polydesign.identification.nested import in_value
from polydesign.identification.tree import Bracket, tree_of

NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"  # one way to read digits: no time squared
_LONGEST_ITEM = 200

_COMMENTS = re.compile(
    r"/\*.*?(?:\*/|\Z)|//[^\n]*|#(?!define|if|pragma|include)[^\n]*|(?<!\S)(?:--|%)(?=\s)[^\n]*", re.DOTALL
)
_NOT_READ = re.compile(r"(?<=\w)<[\w\s,:*&]*>|\[\s*(?:\w+\s*)?\](?!\s*[,\]])|\"[^\"\n]*\"")
"""Arguments of templates, dimensions, and strings, of which those without brackets stay."""

_STRINGS = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")

_BETWEEN = re.compile(r"[\s,;]*(?:(?:new|&\s*mut|&)\s*)?(?:[A-Za-z_][\w:.]*!?)?\s*")
"""What may stand before a list in a list: a separator, and a constructor's name."""

_NAME = re.compile(
    r"([A-Za-z_][\w.]*(?:-\w+)*)(?![\w!])[\"']?\s*(?:\[[^\[\]\n]*\]\s*){0,3}(?::[^=:{}()\n]{0,80})?(?::=|=>|<-|=|:|\(|)\s*"
    r"(?:(?:new|&\s*mut|&)\s*)?(?:[\w:.<>]{1,60}!?)?\s*\(?\s*$"
)
_CONSTANT = re.compile(
    rf"(?:(?:#define|--)\s*(?=\w)([\w-]+)[\s=]+|(?<!\w)([A-Za-z_]\w*)[\"']?\s*(?::\s*\w+\s*)?(?::=|=>|<-|=|:)\s*)\(?({NUMBER})"
    r"(?:_?f32|_?f64|[fFL])?(?!\w|\.\w|\s*[*/(])"
)


_SEVERAL = re.compile(
    rf"((?<![\w,])[A-Za-z]\w{{0,40}}(?: *, *[A-Za-z]\w{{0,40}}){{1,8}}) *= *"
    rf"({NUMBER}(?: *, *{NUMBER}){{1,12}})(?![\w.]\w)"
)
"""a, b, c = 3.4445, -4.7750, 2.0315, as Julia and pages have it."""


_TURNED_BEFORE = re.compile(
    r"(?<![\w.])(?:reverse|reversed|rev|transpose|flip|flipud|fliplr|reshape|matrix)\s*\(?\s*$"
)
_TURNED_AFTER = re.compile(
    r"\)*(?:\.\w+\(\))*\.(?:(?:reverse|toReversed|rev|transpose|sort|toSorted)\(|(?:slice|skip|take)\(\s*-?\w)"
)
_TRANSPOSED = re.compile(r"\.?'\s*(?:[;,)\n%#]|\Z)")
"""What has a list in another order, or a part of it, where it is made."""

_TIMES_BEFORE = re.compile(r"(?:[\w)]\s*\.\*|\d\.\d*\s*\*)\s*[(\[{\s]*$")
_TIMES_AFTER = re.compile(r"\)*\s*(?:\./|\.\*|/(?=\s*[\w(])|\*(?=\s*\d*\.\d))")
"""What multiplies a list where it is made; an integer may repeat it."""


def in_brackets(text: str) -> list[Listed]:
    """The lists in the text, in its order."""
    text = text.replace("(/", "( ").replace("/)", " )")  # arrays of Fortran
    code = _COMMENTS.sub(_blank, _decimal(text))
    bare = _NOT_READ.sub(_without_strings, code)
    code = _STRINGS.sub(_blank, code)
    starts = [0, *(found.end() for found in re.finditer("\n", bare))]
    root = tree_of(bare)
    assigned, turned, places = [], set(), []
    for name, place, end, value in _top(bare, root):
        if _turned(bare, place, end):
            turned.add(len(assigned))
        assigned.append(Assigned(name, bisect_right(starts, place), value))
        places.append((place, end))
    constants = [
        Assigned(found[1] or found[2], bisect_right(starts, found.start()), float(found[3]))
        for found in _CONSTANT.finditer(bare)
    ]
    assigned += [
        Assigned(found[1], bisect_right(starts, found.start()), [float(c) for c in found[2].split(",")])
        for found in _SEVERAL.finditer(bare)
        if found[1].count(",") == found[2].count(",")
    ]
    groups, used = put_together(assigned)
    changes = below(code, root, assigned, places, starts)
    lists = []
    for index, one in enumerate(assigned):
        turns = f"line {one.line} puts {one.name or 'it'} in another order, {NOT_READ}"
        said = turns if index in turned else ""
        if index < len(places) and (what := _not_all(bare, *places[index])):
            said = said or f"line {one.line} {what.format(one.name or 'it')}, {NOT_READ}"
        change = None if said else changes.get(index)
        for inner, rows, _ in in_value(one.name, one.value) if index not in used else ():
            found = listed(inner, one.line, rows)
            if change and change.factor is not None:
                scaled = tuple(tuple(c * change.factor for c in row) for row in rows)
                ways = both(readings(scaled), rows, change.lines, one.line)
                found = replace(found, readings=ways, either=True)
            if change:
                found = replace(found, changed=change.said, maybe=change.maybe)
            lists.append(replace(found, changed=said) if said else found)
    groups = [with_changes(group, assigned, changes) for group in groups]
    return sorted([*groups, *put_together(constants)[0], *lists], key=lambda one: one.line)


def _turned(text: str, start: int, end: int) -> bool:
    """Whether what stands around a list, such as reverse(…) or ….slice(1), makes another of it."""
    before, after = text[max(0, start - 60) : start - 1], text[end : end + 60]
    quoted = before.rstrip("[({ ").endswith("'")
    return bool(
        _TURNED_BEFORE.search(before)
        or _TURNED_AFTER.match(after)
        or (not quoted and _TRANSPOSED.match(after))
    )


def _not_all(text: str, start: int, end: int) -> str:
    """Why its numbers are not all that a list is: it is multiplied, or rows beside it have names in them."""
    before, after = text[max(0, start - 200) : start - 1], text[end : end + 200]
    if _TIMES_BEFORE.search(before) or _TIMES_AFTER.match(after):
        return "makes another list of {}"
    row = r"[(\[{]([^()\[\]{}]*)[)\]}]"
    beside = [re.match(rf"\s*,\s*{row}", after), re.search(rf"{row}\s*,\s*$", before)]
    for one in filter(None, beside):
        if "," in one[1] and re.search(r"\d\.\d", one[1]) and numbers_of(one[1]) is None:
            return "holds rows that are not numbers alone beside {}"
    return ""


def _blank(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", found[0])


def _without_strings(found: re.Match[str]) -> str:
    named = found[0][0] == '"' and not re.search(r"[()\[\]{}]", found[0])
    return found[0] if named else _blank(found)


def _decimal(text: str) -> str:
    """Numbers as Python writes them: without suffixes, hexadecimal digits, and exponents of d or f."""
    text = re.sub(r"0[xX][\da-fA-F]+(?:\.[\da-fA-F]*)?[pP][-+]?\d{1,4}", _hexadecimal, text)
    text = re.sub(r"(?<![\w.])\d+(?:_\d+)+", lambda found: found[0].replace("_", ""), text)
    text = re.sub(r"(?<=[\d.])_?(?:f32|f64|dp|[fFlL])\b", " ", text)
    return re.sub(r"(?<=[\d.])[dDf](?=[-+]?\d)", "e", text)


def _hexadecimal(found: re.Match[str]) -> str:
    try:
        return repr(float.fromhex(found[0]))
    except OverflowError:
        return found[0]


def _top(text: str, node: Bracket) -> Iterator[tuple[str, int, int, Any]]:
    """Name, place, end and value of the outermost lists; those with nothing but commas between are one."""
    children = [child for child in node.children if child.end >= 0]
    run: list[Any] = []
    name, place, end = "", 0, node.start
    for child in children:
        before = text[end : child.start - 1]
        value = _value(text, child)
        if value is None:
            if run:
                yield name, place, end, run if len(run) > 1 else run[0]
                run = []
            yield from _top(text, child)
        elif run and not before.strip(" \t\n,;&"):
            run.append(value)
        else:
            if run:
                yield name, place, end, run if len(run) > 1 else run[0]
            found = _NAME.search(text[max(0, child.start - 200) : child.start - 1])
            name, place, run = found[1] if found else "", child.start, [value]
        end = child.end + 1
    if run:
        yield name, place, end, run if len(run) > 1 else run[0]


def _value(text: str, node: Bracket) -> Any:
    """A list of numbers, or of such lists; None for anything else."""
    children = [child for child in node.children if child.end >= 0]
    if not children:
        rows = numbers_of(text[node.start : node.end])
        if not rows or len(rows) == len(rows[0]) == 1:
            return None
        return rows if len(rows) > 1 else rows[0]
    end, values = node.start, []
    for child in children:
        if not _BETWEEN.fullmatch(text[end : child.start - 1]):
            return _arithmetic(text[node.start : node.end])
        values.append(_value(text, child))
        end = child.end + 1
    if any(value is None for value in values) or text[end : node.end].strip(" \t\n,;"):
        return _arithmetic(text[node.start : node.end])
    return values if len(values) > 1 or not isinstance(values[0][0], list) else values[0]


def _arithmetic(text: str) -> list[float] | None:
    """Numbers of which some have brackets of their own, as in -(4.775), 3/(2*1.01)."""
    if len(text) > 20 * _LONGEST_ITEM or not re.fullmatch(r"[\d.eE+\-*/(),\s]+", text):
        return None
    try:
        value = value_of(parsed(f"[{text.strip()}]", "eval").body, {})
    except (UnreadError, ArithmeticError, SyntaxError, ValueError, RecursionError, MemoryError, TypeError):
        return None
    return value if all(isinstance(one, (int, float)) for one in value) else None


def numbers_of(text: str) -> list[list[float]] | None:
    """The rows of a text of numbers alone, between which stand commas or blanks; None where others are there.

    A semicolon, and without commas the end of a line, ends a row; where nothing but semicolons parts
    numbers, they do what commas do.
    """
    parts = [part.strip() for part in text.split(";")]
    if len(parts) > 1 and not any(re.search(r"[^\s,][\s,]+[^\s,]", part) for part in parts):
        parts = [",".join(part.strip(", ") for part in parts if part)]
    elif "," not in text:
        parts = [line for part in parts for line in part.splitlines()]
    rows = [_items(part) for part in parts if part.strip(" ,\t\n")]
    return None if not rows or any(row is None for row in rows) else [row for row in rows if row]


def _items(text: str) -> list[float] | None:
    found = []
    parts = (
        text.strip(", \t\n").split(",") if "," in text else re.split(r"(?<![-+*/\s])\s+(?![*/]|[-+]\s)", text)
    )
    for part in parts:
        item = part.strip()
        if re.fullmatch(NUMBER, item):
            found.append(float(item))
        elif item:
            value = _arithmetic(item) if len(item) <= _LONGEST_ITEM else None
            if value is None or len(value) != 1:
                return None
            found.append(float(value[0]))
    return found

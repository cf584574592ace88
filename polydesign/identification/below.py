"""What source text of any language does to a list below the place where it is made.

Of the grammar nothing is known but how assignments, calls and loops look, so that nearly all that changes a
list is said and not followed. What is followed is a product with a number of all that is in it, c .*= 1.01.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from polydesign.identification.columns import Assigned
from polydesign.identification.lists import NOT_READ, Listed
from polydesign.identification.tree import Bracket, block_at

_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_NAME = r"(?<![\w.])([A-Za-z_][\w.]{0,60})"
_INDEX = (
    r"(?:\s?\[[^\]\n]{0,60}\]|\.at\([^)\n]{0,40}\)|\.\d+|\(\s*[\w:]+\s*,\s*[\w:]+\s*\)|\[\[[^\]\n]{0,40}\]\])"
)

_ASSIGNED = re.compile(rf"{_NAME}({_INDEX}{{0,3}})\s*(\.?[-+*/]=|\.?=(?![=>])|<-)\s*([^;\n]{{0,300}})")
_METHODS = (
    "append|clear|copyWithin|emplace_back|erase|extend|fill|for_each|insert|iter_mut|map_inplace|pop|pop_back|push|"
    "push_back|remove|resize|retain|Reverse|reverse|rotate_left|rotate_right|scale|shift|sort|Sort|sort_by|splice|"
    "swap|truncate|unshift|rev|reversed|toReversed|mapv_inplace|mul_assign|div_assign|assign"
)
_CALLED = re.compile(
    rf"{_NAME}{_INDEX}{{0,2}}(?:\.(?:iter|into_iter|begin|entries|values)\(\))?\.(?:{_METHODS})\("
)
_PASSED = re.compile(
    r"(?<![\w.])([\w.:]{0,40}(?:reverse|rev|sort|shuffle|transform|scal|swap|rotate|flip|fill|sscal|dscal)\w{0,12}|\w+)"
    r"(!?)\(([^()\n]{0,120})"
)
_TELLING = re.compile(r"(?i)(?:reverse|rev$|sort|shuffle|transform|scal$|scale|swap|rotate|flip|fill)")
_MACROS = (
    "assert",
    "assert_eq",
    "dbg",
    "eprintln",
    "format",
    "panic",
    "print",
    "println",
    "vec",
    "write",
    "writeln",
)
_MAPPED = re.compile(rf"{_NAME}(?:\.(?:iter|into_iter)\(\))?\.(?:map|Select|flatMap)\(([^;\n]{{0,200}})")
_ROW = r"([A-Za-z_]\w*)"
_LOOPS = (
    re.compile(
        rf"\bfor\s*\(?[^;\n(){{}}]{{0,60}}?{_ROW}\s*(?::|of|in|<-|:=\s*range)\s*[&*(]*(?:mut\s+)?{_NAME}"
    ),
    re.compile(
        rf"\bfor\s+\w+\s*,\s*{_ROW}\s*(?:in|:?=\s*range)\s*(?:(?:ipairs|pairs|enumerate)\s*\(\s*)?{_NAME}"
    ),
)
_EACH = re.compile(
    rf"{_NAME}\.(?:forEach|for_each|each|ForEach)\(\s*(?:function\s*)?[(|]?\s*(?:auto\s*&\s*)?{_ROW}"
)
_HEADS = re.compile(r"(?m)^(?:\}|end\b|(?:pub |local |static |export )*(?:function|fn|func|def)\b)")
"""Where a function ends, or begins."""
_MOST_NAMED = 3
"""Lists of one name, the last ones before a change, that it may change."""
_REACH = 600
"""Characters after the head of a loop in which its name is one of the rows."""


@dataclass(frozen=True, slots=True)
class Change:
    """A statement that changes a list. factor: of all its numbers, None where it does something else."""

    place: int
    name: str
    what: str
    factor: float | None = None


def changes_in(text: str) -> list[Change]:
    """All statements that may change a list, in a text without comments.

    What changes a row in a loop changes the list that the loop runs over.
    """
    found = sorted([*_assignments(text), *_calls(text)], key=lambda one: one.place)
    over = sorted(_loops(text))
    return [one for change in found for one in _of_all_names(change, over)]


def _of_all_names(change: Change, over: Sequence[tuple[int, str, str]]) -> Iterator[Change]:
    """The change as it stands, and the same of the list whose row the name is there."""
    yield change
    name, seen = change.name.partition(".")[0], 0
    for start, row, held in reversed(over):
        if row == name and start <= change.place < start + _REACH and seen < 4:
            yield Change(change.place, held, change.what)
            name, seen = held.partition(".")[0], seen + 1


def _assignments(text: str) -> Iterator[Change]:
    for found in _ASSIGNED.finditer(text):
        name, index, op, right = found.groups()
        before = text[max(0, found.start() - 30) : found.start()]
        declared = re.search(r"[\w>*&\])]\s+[*&]?$|[\w>][*&]\s?$", before)
        declared = declared and not re.search(r"\b(?:do|then|else|begin|in)\s+$|\)\s+$", before)
        own = re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", right)
        if op not in ("=", ".=", "<-"):
            factor = (
                re.fullmatch(rf"({_NUMBER})(?:_?f32|_?f64|[fF]|f0)?\s*,?\s*", right) if not index else None
            )
            scales = factor and op.strip(".") in ("*=", "/=") and float(factor[1])
            by = None if not scales or not factor else float(factor[1]) if "*" in op else 1 / float(factor[1])
            yield Change(found.start(), name, "changes {}", by)
        elif index and not declared:
            yield Change(found.start(), name, "changes {}")
        elif own and not index and not re.match(r"\s*[\[{(]", right):
            yield Change(found.start(), name, "assigns {} again")
        for product in re.finditer(r"^\s*([\w.]+?)\s*\.?[*/]\s*([\w.]+?)\s*$", right):
            for side in product.groups():  # d = c .* s, which is another list
                if re.fullmatch(r"[A-Za-z_][\w.]*", side) and not index:
                    yield Change(found.start(), side, "makes another list of {}")


def _calls(text: str) -> Iterator[Change]:
    for found in _CALLED.finditer(text):
        yield Change(found.start(), found[1], "changes {}")
    for found in _PASSED.finditer(text):
        name, mark, inside = found.groups()
        if (mark and name not in _MACROS) or _TELLING.search(name):
            for one in re.finditer(r"(?<![\w.])([A-Za-z_][\w.]*)", inside):
                yield Change(
                    found.start(), re.sub(r"\.(?:c?r?begin|data|iter_mut)$", "", one[1]), "changes {}"
                )
    for found in _MAPPED.finditer(text):
        if re.search(r"[\w\])]\s*[*/]\s*[\w(]", found[2]):
            yield Change(found.start(), found[1], "makes another list of {}")


def _loops(text: str) -> Iterator[tuple[int, str, str]]:
    for one in _LOOPS:
        for found in one.finditer(text):
            held = re.sub(r"\.(?:iter|iter_mut|into_iter|entries|values)$", "", found[2])
            yield found.end(), found[1], held
    for found in _EACH.finditer(text):
        yield found.end(), found[2], found[1]


def _shadowed(name: str, own: str) -> bool:
    """Whether the name is a parameter, or declared anew, in the text of a function so far."""
    named = re.escape(name)
    typed = r"\b(?!(?:return|in|of|else|and|or)\b)[A-Za-z_][\w>\]]{0,40}[*&]{0,2}\s+(?:mut\s+)?[*&]{0,2}"
    typed += rf"{named}\s*(?:[,)\[:]|=(?!=))"
    return bool(re.search(rf"(?:function|fn|func|def)\b[^\n]*\([^)\n]*(?<!\w){named}(?!\w)|{typed}", own))


@dataclass(slots=True)
class Below:
    """What becomes of a list: the factor of all changes where all are followed, or what is said."""

    lines: list[int]
    factor: float | None
    said: str = ""
    maybe: bool = False


def below(
    text: str, root: Bracket, assigned: list[Assigned], places: list[tuple[int, int]], starts: list[int]
) -> dict[int, Below]:
    """Index of a list -> what the text does to it further down."""
    by_name: dict[str, list[int]] = {}
    for index, one in enumerate(assigned[: len(places)]):
        if one.name:
            by_name.setdefault(one.name.rpartition(".")[2], []).append(index)
    heads = [one.start() for one in _HEADS.finditer(text)] if by_name else []
    found: dict[int, Below] = {}
    for change in changes_in(text) if by_name else ():
        named = by_name.get(change.name.rpartition(".")[2], [])
        before = bisect_right(named, change.place, key=lambda index: places[index][1])
        for index in named[max(0, before - _MOST_NAMED) : before]:
            one, (place, end) = assigned[index], places[index]
            same, block = one.name == change.name, block_at(text, root, place - 1)
            around = block_at(text, root, change.place)
            if same and "." not in one.name and change.place > block.end:
                continue
            head = bisect_right(heads, change.place) - 1
            last = heads[head] if head >= 0 and heads[head] >= end else end if around is not block else None
            own = "" if last is None else text[max(last, change.place - _REACH * 10) : change.place]
            if _shadowed(change.name, own):
                continue
            line = bisect_right(starts, change.place)
            plain = same and change.factor is not None and around is block
            plain = plain and _indent(text, place) == _indent(text, change.place)
            said = f"line {line} {change.what.format(change.name)}, {NOT_READ}"
            known = found.get(index)
            if plain and change.factor is not None and (known is None or known.factor is not None):
                factor = change.factor * (known.factor if known and known.factor else 1)
                found[index] = Below([*(known.lines if known else ()), line], factor)
            elif known is None or known.factor is not None or (known.maybe and same):
                found[index] = Below([line], None, said, not same)
    return found


def with_changes(group: Listed, assigned: list[Assigned], below: dict[int, Below]) -> Listed:
    """What is said of a column is said of the list that it is of."""
    for index, change in below.items():
        if assigned[index].name in group.name.split(", ") and assigned[index].line >= group.line:
            said = change.said or f"line {change.lines[0]} changes {assigned[index].name}, {NOT_READ}"
            return replace(group, changed=said, maybe=change.maybe)
    return group


def _indent(text: str, place: int) -> int:
    line = text[text.rfind("\n", 0, place) + 1 : place]
    return len(line) - len(line.lstrip())

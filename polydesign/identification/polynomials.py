"""Steps that are written out as polynomials: 3.4445x - 4.7750x³ + 2.0315x⁵, X = 1.5 * X - 0.5 * X @ X.T @ X.

A line of code has one step at most. Of products of matrices it counts what they do to singular values: X, X.T
and X' are x.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from polydesign.identification.lists import NOT_READ, Listed, Reading, sensible_row
from polydesign.identification.literals import UnreadError, dotted, parsed
from polydesign.model import MOST_INNER_DEGREE, InputError, visible

_LONGEST_LINE = 400
_HIGHEST = 2 * MOST_INNER_DEGREE + 1
_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_TELLS = re.compile(rf"\^|\*\*|[{_SUPERSCRIPTS}]|@|\b(\w)\s*\*\s*\1\b|\w'\s*[-+*)]|matmul|\bmm\(")
"""Without one of these a line has no power of anything."""

_LEFT = re.compile(
    r"^(?:return\s+|(?:let|const|auto|local|var|double|float)\s+)*"
    r"([A-Za-z_]\w*|[pfg]_?\{?\w*\}?\s*\(\w+\)|\\?sigma|σ)\s*(?::=|=|<-|:|\\mapsto|->)\s*(?!=)"
)
_CHANGED = re.compile(r"^([A-Za-z_]\w*)\s*[-+*/@]=\s*([^=;]+)")
_RUN = re.compile(rf"[-+]?\s*[\d.(][\d.\s()*^+/·{{}}xX{_SUPERSCRIPTS}-]{{4,200}}")
"""What may be a polynomial of x in a sentence."""

_UNREAD = (UnreadError, SyntaxError, ValueError, RecursionError, ArithmeticError, MemoryError)

Powers = dict[int, float]


@dataclass(slots=True)
class _Scope:
    """Names that hold numbers or polynomials, with their variable. names: those of an expression."""

    known: dict[str, Powers] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)


def in_polynomials(text: str) -> tuple[list[Listed], InputError | None]:
    """The steps of a text, lines below each other as one list; what is wrong with one, where none is read."""
    if not _TELLS.search(text):
        return [], None
    found: list[tuple[int, str, tuple[float, ...]]] = []
    problem, unread, scope = None, {}, _Scope()
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(r"\s*(?:def|function|fn|class)\b", line):
            scope = _Scope()
        if len(line) > _LONGEST_LINE or not re.search(r"\d|[*@]", line):
            continue
        changed = _CHANGED.match(_plain(line))
        if changed:  # A /= 1.01: it is no longer what it was
            scope.known.pop(changed[1], None)
            with suppress(*_UNREAD):
                if [*_read(changed[2], scope)[0]] == [0]:  # by a number, and not by its norm
                    unread.setdefault(changed[1], number)
            continue
        target, said = _split(line)
        try:
            powers, variable = _read(said, scope)
        except _UNREAD:
            # Of a line of code a part is no step.
            rows = [] if "@" in line or not _TELLS.search(line) else [*_in_sentence(line)]
            found += [(number, "", row) for row in rows]
            if target and re.search(rf"(?<!\w){re.escape(target)}(?!\w).*[+@-]", said):
                unread.setdefault(target, number)
            continue
        wrong = _wrong(powers, variable)
        if not wrong and _TELLS.search(line):
            row = _row(powers)
            if len(row) > 1 and sensible_row(row):
                own = target == variable and not line.lstrip().startswith(("#", "//"))
                found.append((number, target if own else "", row))
                scope.known = {name: held for name, held in scope.known.items() if [*held] == [0]}
                continue
        if target and "(" not in target and "," not in variable and target != variable:
            scope.known[target], scope.owners[target] = powers, variable
        elif not target and wrong and powers and _TELLS.search(line) and problem is None:
            problem = InputError(f"line {number}", wrong)
        if target and target == variable and [*powers] == [1] and powers[1] != 1:
            unread.setdefault(target, number)  # X = X / 1.01 beside the steps
        if target and target in variable.split(", ") and wrong and _TELLS.search(line):
            unread.setdefault(target, number)
            problem = problem or InputError(f"line {number}", wrong)
    return [_listed(group, unread) for group in _groups(found)], problem


def _groups(
    found: list[tuple[int, str, tuple[float, ...]]],
) -> Iterator[list[tuple[int, str, tuple[float, ...]]]]:
    """Steps of one variable that is assigned again and again, and lines that stand below each other."""
    group: list[tuple[int, str, tuple[float, ...]]] = []
    for one in found:
        if group and (one[1] != group[-1][1] or (not one[1] and one[0] > group[-1][0] + 1)):
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def _listed(group: list[tuple[int, str, tuple[float, ...]]], unread: dict[str, int]) -> Listed:
    line, name, _ = group[0]
    changed = f"line {unread[name]} computes {name}, {NOT_READ}" if name in unread else ""
    rows = tuple(row for *_, row in group)
    return Listed(name, line, (Reading(rows, "as a polynomial that is written out"),), changed=changed)


def _split(line: str) -> tuple[str, str]:
    """What is assigned, "" for nothing, and the expression."""
    bare = _plain(line)
    left = _LEFT.match(bare)
    target = left[1].replace("\\\\", "") if left else ""
    return target, (bare[left.end() :] if left else re.sub(r"^return\s+", "", bare)).strip(" ;,.")


def _plain(line: str) -> str:
    """The line as Python would have it."""
    line = re.sub("[\u2010-\u2014\u2212\ufe63\uff0d]", "-", line)
    text = line.partition(" # ")[0] if not line.lstrip().startswith("#") else line
    text = re.sub(r"^[\s>#/%*|]*(?:[-*] (?=[\w\\$`]))?", "", text).replace("`", "").replace("$", "")
    text = re.sub(r"\\(?:left|right|,|;|!|quad)(?![a-z])", "", text)
    for _ in range(8):
        text, count = re.subn(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))", text)
        if not count:
            break
    text = re.sub(r"\\cdot|\\times|·|×", "*", text).replace("\\sigma", "σ")
    text = re.sub(r"\^\{?\s*(?:\\top|T|\\mathsf\{T\})\s*\}?", ".T", text)
    text = re.sub(r"\^\{?\s*(\d{1,3})\s*\}?", r"**\1", text)
    powers = rf"([{_SUPERSCRIPTS}]+)"
    digits = str.maketrans(_SUPERSCRIPTS, "0123456789")
    text = re.sub(powers, lambda found: "**" + found[1].translate(digits), text)
    text = re.sub(r"(?<=[\w)])'", ".H", text)
    text = re.sub(r"(?<=[\d.])[fF](?![\w.])", "", text)
    text = re.sub(r"(?<![\w.])((?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(?=[A-Za-zσ(])", r"\1*", text)
    return re.sub(r"\)\s*(?=[\w(σ])", ")*", text).strip()


def _in_sentence(line: str) -> Iterator[tuple[float, ...]]:
    for found in _RUN.finditer(line):
        said = (
            _plain(found[0]).strip(" +-*/^(")
            if found[0].count("(") != found[0].count(")")
            else _plain(found[0])
        )
        try:
            powers, variable = _read(said.strip(" +*/"), _Scope())
        except _UNREAD:
            continue
        row = () if _wrong(powers, variable) else _row(powers)
        if len(row) > 1 and sensible_row(row):
            yield row


def _wrong(powers: Powers, variable: str) -> str:
    """Why this is no step; "" where it may be one."""
    shape = "write a·x + b·x³ + c·x⁵ with numbers for a, b and c"
    if "," in variable:
        return f"has the variables {visible(variable)}, and a step has one: {shape}"
    if any(power % 2 == 0 and c for power, c in powers.items()):
        return f"has even powers of {visible(variable) or 'x'}, which no step has: {shape}"
    return "" if variable else f"has no variable: {shape}"


def _row(powers: Powers) -> tuple[float, ...]:
    held = {power: c for power, c in powers.items() if c}
    return tuple(held.get(power, 0.0) for power in range(1, max(held, default=0) + 1, 2))


def _read(said: str, scope: _Scope) -> tuple[Powers, str]:
    """The powers of an expression, and its variable; several names with commas between for more than one."""
    scope.names = set()
    if not said or not re.search(r"[A-Za-zσ\d]", said):
        raise UnreadError
    matrices = "@" in said or ".T" in said or ".mT" in said
    powers = _powers(parsed(said, "eval").body, scope, matrices)
    return powers, ", ".join(sorted(scope.names))


def _powers(node: ast.AST, scope: _Scope, matrices: bool) -> Powers:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return {0: float(node.value)}
    if isinstance(node, ast.Name):
        return _name(node.id, scope)
    if isinstance(node, ast.Attribute) and node.attr in ("T", "mT", "H"):
        return _powers(node.value, scope, matrices)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
        sign = -1 if isinstance(node.op, ast.USub) else 1
        return {power: sign * c for power, c in _powers(node.operand, scope, matrices).items()}
    if isinstance(node, ast.Call):
        name = dotted(node.func).rpartition(".")[2]
        if name == "eye":
            return {0: 1.0}
        if name in ("matmul", "mm", "bmm", "dot") and len(node.args) == 2:
            return _product(*(_powers(one, scope, matrices) for one in node.args))
        if len(name) == 1 and len(node.args) == 1 and not node.keywords:  # x(3 - x²)
            return _product(_name(name, scope), _powers(node.args[0], scope, matrices))
    if not isinstance(node, ast.BinOp):
        raise UnreadError
    left, right = _powers(node.left, scope, matrices), _powers(node.right, scope, matrices)
    if isinstance(node.op, (ast.Add, ast.Sub)):
        sign = -1 if isinstance(node.op, ast.Sub) else 1
        return {power: left.get(power, 0) + sign * right.get(power, 0) for power in {**left, **right}}
    if isinstance(node.op, (ast.Mult, ast.MatMult)):
        if matrices and isinstance(node.op, ast.Mult) and [*left] != [0] and [*right] != [0]:
            raise UnreadError  # a product of entries beside products of matrices
        return _product(left, right)
    if isinstance(node.op, ast.Div) and [*right] == [0]:
        return {power: c / right[0] for power, c in left.items()}
    if isinstance(node.op, ast.Pow) and [*right] == [0] and right[0] in range(_HIGHEST + 1):
        if matrices and [*left] != [0]:
            raise UnreadError
        made: Powers = {0: 1.0}
        for _ in range(int(right[0])):
            made = _product(made, left)
        return made
    raise UnreadError


def _name(name: str, scope: _Scope) -> Powers:
    if name in scope.known:
        scope.names |= {scope.owners[name]} - {""}
        return scope.known[name]
    if name in ("I", "Id", "eye", "identity"):
        return {0: 1.0}
    scope.names.add(name)
    return {1: 1.0}


def _product(left: Powers, right: Powers) -> Powers:
    made: Powers = {}
    for p, a in left.items():
        for q, b in right.items():
            if p + q > _HIGHEST:
                raise UnreadError
            made[p + q] = made.get(p + q, 0.0) + a * b
    return made

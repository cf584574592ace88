"""Rows of coefficients from a pasted text: JSON, Python, or plain numbers. Nothing in the text is run.

Of Python only literals count (literals.py).
"""

from __future__ import annotations

import ast
import csv
import json
import math
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from polydesign.identification.literals import UnreadError, bind, value_of
from polydesign.model import MOST_INNER_DEGREE, MOST_STEPS, InputError

Rows = tuple[tuple[float, ...], ...]

MOST_CHARACTERS = 1_000_000
CURE = "paste the list alone, as [(3.4445, -4.775, 2.0315), …], JSON, or a row of numbers a line"

_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"  # one way to read digits: no time squared
_RULED = re.compile(rf"[\[\]|\s]*{_NUMBER}(?:[\s|]+{_NUMBER})+[\[\]|\s]*")
"""A row as numpy prints it, or of a Markdown table."""
_LINE = re.compile(rf"{_NUMBER}(?:(?:\s*[,;]\s*|\s+){_NUMBER})*\s*[,;]?")


def read_rows(text: str, which: str | None = None) -> Rows:
    """The rows of coefficients in a text, one a step, increasing powers as they stand.

    which: the name of the list, or a part of it, where the text holds several.

    Raises InputError whose field is the line, or "text", with what to paste instead: where there is no list
    of rows, or more than one, where a row has fewer than two numbers, and where a number is not finite.
    """
    if len(text) > MOST_CHARACTERS:
        raise InputError("text", f"has {len(text)} characters: {CURE}")
    lines = ["" if line.strip().startswith("```") else line for line in text.expandtabs().splitlines()]
    if not any(line.strip() for line in lines):
        raise InputError("text", f"is empty: {CURE}")
    found = _json(text) or _columns(lines) or _plain(lines) or _python("\n".join(lines))
    line, rows = _chosen(found, which)
    for number, row in enumerate(rows, start=1):
        where = f"line {line}" if len(rows) == 1 else f"line {line}, row {number}"
        if not all(math.isfinite(c) for c in row):
            raise InputError(where, f"holds a number that is not finite: {row}")
        if not any(row):
            raise InputError(where, f"is all zeros, which is no step: {CURE}")
        if len(row) < 2:
            raise InputError(where, f"has one number, and a step needs two or more: {CURE}")
        if len(row) > MOST_INNER_DEGREE + 1:
            raise InputError(
                where,
                f"has {len(row)} numbers, and a step at most {MOST_INNER_DEGREE + 1}: put rows in brackets",
            )
    if len(rows) > MOST_STEPS:
        raise InputError(f"line {line}", f"has {len(rows)} rows, and at most {MOST_STEPS} are read")
    return rows


Found = dict[str, tuple[int, Rows]]


def _chosen(found: Found, which: str | None) -> tuple[int, Rows]:
    """The one list, or the one whose name has `which` in it, with its line."""
    different: dict[Rows, str] = {}
    for name, (_, rows) in found.items():
        different.setdefault(rows, name)  # a default that is passed on is the same list again
    names = list(different.values())
    if which is not None:
        same = [name for name in names if name == which or name.endswith(f"[{which!r}]")]
        names = same or [name for name in names if which in name]
    if not names:
        about = f"holds no list of rows{f' called {which}' if which and found else ''}"
        raise InputError("text", f"{about}: {CURE}")
    if len(names) > 1:
        listed = ", ".join(f"{name or 'a list'} (line {found[name][0]})" for name in names)
        raise InputError("text", f"holds several lists, {listed}: name one with --list, or paste it alone")
    return found[names[0]]


def _json(text: str) -> Found:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if isinstance(body, dict) and str(body.get("schema")).startswith("polydesign/"):
        body = {"steps": body.get("steps")}  # a table of ours: its interval is no row
    return {name: (1, rows) for name, rows in _in_value("", body)}


def _plain(lines: list[str]) -> Found:
    """Lines of nothing but numbers, with blanks, commas or semicolons between; words may head them.

    Also as numpy prints an array, and the rows of a Markdown table.
    """
    rows, first, headed = [], 0, False
    for number, line in enumerate(lines, start=1):
        bare = line.partition("#")[0].strip()
        if _RULED.fullmatch(bare):
            bare = re.sub(r"[\[\]|]", " ", bare).strip()
        elif bare.startswith("|"):
            bare = bare.strip("|").replace("|", ",").strip(" -:,")
        if not bare:
            continue
        if _LINE.fullmatch(bare):
            rows.append(tuple(map(float, re.findall(_NUMBER, bare))))
            first = first or number
        elif not rows and not headed and re.fullmatch(r"[A-Za-z_]\w*(\s*[,;]\s*[A-Za-z_]\w*)*", bare):
            headed = True
        else:
            return {}
    return {"": (first, tuple(rows))} if rows else {}


def _columns(lines: list[str]) -> Found:
    """CSV with columns a, b, c or c0, c1, c2, … among others."""
    try:
        rows = list(csv.DictReader(line for line in lines if line.strip() and not line.startswith("#")))
    except csv.Error:  # a line that is too long
        return {}
    for names in (("a", "b", "c"), tuple(f"c{j}" for j in range(MOST_INNER_DEGREE + 1))):
        try:
            found = [tuple(float(row[name]) for name in names if row.get(name)) for row in rows]
        except ValueError:
            continue
        if found and all(found):
            return {"": (1, tuple(found))}
    return {}


def _bracketed(text: str) -> Found:
    """Innermost brackets of plain numbers, all as long, in a language that is not Python."""
    bare = re.sub(r"/\*.*?(?:\*/|\Z)|(//|#|%|--).*?$", "", text, flags=re.DOTALL | re.MULTILINE)
    groups = re.findall(rf"[(\[{{]\s*({_NUMBER}[fF]?(?:\s*,\s*{_NUMBER}[fF]?)+)\s*,?\s*[)\]}}]", bare)
    rows = tuple(tuple(float(c.strip().rstrip("fF")) for c in group.split(",")) for group in groups)
    return {"": (1, rows)} if rows and len({len(row) for row in rows}) == 1 else {}


def _python(text: str) -> Found:
    try:
        tree = ast.parse(textwrap.dedent(text))
    except SyntaxError as problem:
        found = _bracketed(text)
        if found:
            return found
        raise InputError(
            f"line {problem.lineno}", f"is not read as Python ({problem.msg}): {CURE}"
        ) from problem
    except (RecursionError, MemoryError, ValueError) as problem:
        raise InputError("text", f"is not read as Python ({problem}): {CURE}") from problem
    known: dict[str, Any] = {}
    found: Found = {}
    bare: list[tuple[int, Rows]] = []
    for name, line, node in _assigned(tree):
        try:
            value = value_of(node, known)
        except UnreadError:
            again = any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node))
            if again and name in found:
                raise InputError(
                    f"line {line}",
                    f"assigns {name} again, by what is not read here: paste the list that results",
                ) from None
            continue
        except (LookupError, TypeError, ValueError):
            continue  # such as a key that is no text
        except (ArithmeticError, RecursionError) as problem:
            raise InputError(f"line {line}", f"cannot be computed ({problem}): {CURE}") from problem
        bind(name.rstrip("="), value, known)
        for inner, rows in _in_value(name, value):
            if inner:
                found[inner] = line, rows
            else:
                bare.append((line, rows))
    if bare:  # lines of tuples without brackets around them are one table
        found[""] = bare[0][0], tuple(row for _, rows in bare for row in rows)
    for prefix in {name[:-1] for name in known if name.endswith("a")} if not found else ():
        letters = [known[prefix + c] for c in "abc" if isinstance(known.get(prefix + c), (int, float))]
        if len(letters) > 1:
            found[f"{prefix}a, …"] = 1, (tuple(map(float, letters)),)
    return found


def _assigned(tree: ast.AST) -> Iterator[tuple[str, int, ast.expr]]:
    """Every value in the order of the text, with the name that it gets: "" for a bare one."""
    for node in ast.iter_child_nodes(tree):
        line = getattr(node, "lineno", 1)
        if isinstance(node, ast.Assign):
            yield ast.unparse(node.targets[-1]), line, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield ast.unparse(node.target), line, node.value
        elif isinstance(node, ast.keyword) and node.arg:
            yield f"{node.arg}=", line, node.value
        elif isinstance(node, ast.Expr):
            yield "", line, node.value
        elif isinstance(node, ast.arguments):
            for parameter, default in zip(reversed(node.args), reversed(node.defaults), strict=False):
                yield parameter.arg, default.lineno, default
        yield from _assigned(node)


def _in_value(name: str, value: Any) -> Iterator[tuple[str, Rows]]:
    """The lists of rows in a value: it itself, or what the keys of a dict hold."""
    rows = _rows(value)
    if rows:
        yield name, rows
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _in_value(f"{name}[{key!r}]" if name else str(key), inner)


def _rows(value: Any) -> Rows | None:
    """One row or a list of them; objects with coefficients, or with a, b and c, are rows too."""
    if isinstance(value, list) and value and all(_is_number(c) for c in value):
        # A pair needs a change of sign to be a step: betas = (0.9, 0.95) is none.
        return (tuple(map(float, value)),) if len(value) > 2 or min(value) < 0 < max(value) else None
    if not isinstance(value, list) or not value:
        return None
    rows = []
    for item in value:
        row = item
        if isinstance(item, dict):
            row = item["coefficients"] if "coefficients" in item else [item[c] for c in "abc" if c in item]
        if not isinstance(row, list) or not row or not all(_is_number(c) for c in row):
            return None
        rows.append(tuple(map(float, row)))
    return tuple(rows)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

"""Lists of coefficients in a text: JSON, TOML, YAML, a notebook, a page, source code, or plain numbers.

Nothing in the text is run.
"""

from __future__ import annotations

import ast
import math
import re
import textwrap
from dataclasses import replace
from typing import Any

from polydesign.identification.brackets import in_brackets
from polydesign.identification.cells import changed_in_cells
from polydesign.identification.formats import in_json, in_toml, in_yaml, parsed_json
from polydesign.identification.lists import Listed, Reading, Rows, joined, listed
from polydesign.identification.literals import parsed
from polydesign.identification.match import EFFORT
from polydesign.identification.matches import find_matches
from polydesign.identification.plain import columns_of_csv, plain, tables_of_markdown
from polydesign.identification.polynomials import in_polynomials
from polydesign.identification.python_text import in_python, parsed_python
from polydesign.model import MOST_INNER_DEGREE, MOST_STEPS, InputError, quoted, visible

MOST_CHARACTERS = 400_000
"""Of a text; a notebook may have more, of which its cells are read."""
CURE = "paste the list alone, as [(3.4445, -4.775, 2.0315), …], JSON, or a row of numbers a line"

LANGUAGES = ("c", "cc", "cpp", "cu", "cuh", "go", "h", "hpp", "java", "jl", "js", "lua", "m", "r", "rs", "ts")
"""Suffixes of sources that are read by their brackets."""

_PYTHON = "is not read as Python"
_MINUS = re.compile("[\u2010-\u2014\u2212\ufe63\uff0d](?=\\s?[\\d.])")
"""Hyphens, dashes and minus signs before a number, as pages and word processors have them."""

_BLANKS = re.compile("[\u00a0\u2000-\u200b\u202f\u205f\u3000\ufeff]")


def read_rows(text: str, which: str | None = None) -> Rows:
    """The rows of coefficients in a text, one a step, increasing powers as they stand.

    which: the name of the list, or a part of it, where the text holds several.

    Raises InputError whose field is the line, or "text", with what to paste instead: where there is no list
    of rows, or more than one, where a list can be read in more than one way, where a row has fewer than two
    numbers, and where a number is not finite.
    """
    reading, others = decided(chosen(text, which))
    if others:
        raise InputError(*several(reading, *others))
    return reading.rows


def several(*readings: Reading) -> tuple[str, str]:
    """Field and problem of a list that makes sense in more than one way."""
    each = (f"{one.words or 'as it stands'} ({len(one.rows)} of {len(one.rows[0])})" for one in readings)
    cure = "write the rows that you mean alone, one a step, without zeros between, or give Python the rows"
    return "text", f"can be read in several ways, {', or '.join(each)}: {cure}"


def decided(one: Listed) -> tuple[Reading, tuple[Reading, ...]]:
    """The reading that a known table explains best; the likeliest and the others, where none does, or may."""
    if len(one.readings) == 1 or one.either:
        return one.readings[0], one.readings[1:]
    efforts = []
    for reading in one.readings:
        try:
            found = find_matches(reading.rows)
        except InputError:
            found = []  # too long for steps
        efforts.append(found[0].effort if found else EFFORT["near"])
    best = min(efforts)
    if best < EFFORT["near"]:
        return one.readings[efforts.index(best)], ()
    return one.readings[0], one.readings[1:]


def chosen(text: str, which: str | None = None, suffix: str = "") -> Listed:
    """The one list of the text, or the one whose name has `which` in it.

    Of several lists only those count of which half of the rows can be steps of an iteration to 1, if there
    are such. Raises what read_rows raises.
    """
    found, problem = find_lists(text, suffix)
    sensible = [one for one in found if one.sensible]
    candidates = found if which is not None or not sensible else [*sensible, *(o for o in found if o.derived)]
    different: dict[Rows, Listed] = {}
    for one in candidates:  # a default that is passed on is the same list again
        if one.rows not in different or (one.changed and not different[one.rows].changed):
            different[one.rows] = one
    lists = list(different.values())
    if which is not None:
        same = [one for one in lists if one.name == which or one.name.endswith(f"[{which!r}]")]
        lists = same or [one for one in lists if which in one.name]
    if not lists and problem is not None:
        raise problem
    if not lists:
        about = f"holds no list of rows{f' called {visible(which)}' if which and found else ''}"
        raise InputError("text", f"{about}: {CURE}")
    if len(lists) > 1:
        named = ", ".join(f"{visible(one.name[:80]) or 'a list'} ({one.place})" for one in lists[:12])
        more = f" and {len(lists) - 12} more" if len(lists) > 12 else ""
        raise InputError(
            "text", f"holds several lists, {named}{more}: name one with which=NAME, or paste it alone"
        )
    (one,) = lists
    if one.changed and not one.maybe:
        field, _, rest = one.changed.partition(" ")
        number, _, rest = rest.partition(" ")
        raise InputError(f"{field} {number}", f"{rest}: paste the list that results")
    for reading in one.readings:
        _check(reading.rows, one.place)
    return one


def _check(rows: Rows, place: str) -> None:
    for number, row in enumerate(rows, start=1):
        where = place if len(rows) == 1 else f"{place}, row {number}"
        if not all(math.isfinite(c) for c in row):
            raise InputError(where, f"holds a number that is not finite: {quoted(row)}")
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
        raise InputError(place, f"has {len(rows)} rows, and at most {MOST_STEPS} are read")


def find_lists(text: str, suffix: str = "") -> tuple[list[Listed], InputError | None]:
    """All lists of numbers in a text, in its order, and why it may not be read, where it holds none.

    suffix: of the file, without the dot, where that is known; else the text tells. Rows with numbered names
    are one list. Where no list can be steps, polynomials that are written out are looked for.

    Raises InputError where the text is empty, or too long.
    """
    found, problem = _find(text, suffix)
    found = joined(found)
    if any(one.sensible for one in found) or (problem is not None and _PYTHON not in problem.problem):
        return found, problem
    steps, said = in_polynomials(text)
    return [*found, *steps], None if steps else problem if found or said is None else said


def _find(text: str, suffix: str) -> tuple[list[Listed], InputError | None]:
    if len(text) > MOST_CHARACTERS and suffix != "ipynb":
        raise InputError("text", f"has {len(text)} characters: {CURE}")
    if suffix == "ipynb" and isinstance(notebook := parsed_json(text), dict) and "cells" in notebook:
        return _notebook(notebook), None
    if not text.strip():
        raise InputError("text", f"is empty: {CURE}")
    text = _BLANKS.sub(" ", _MINUS.sub("-", text)).expandtabs()
    text = "\n".join(text.splitlines())
    suffix = suffix.lower()
    if suffix in ("md", "markdown", "rst", "toml", "yaml", "yml", *LANGUAGES):
        found = _of_suffix(text, suffix)
        if found:
            return found, None
    body = parsed_json(text)
    if isinstance(body, dict) and isinstance(body.get("cells"), list):
        return _notebook(body), None
    if isinstance(body, (dict, list)):
        return in_json(body, text), None
    if "```" in text and suffix not in ("md", "markdown", "rst"):
        text = "\n".join("" if line.strip().startswith("```") else line for line in text.splitlines())
    return _told_by_the_text(text)


def _found(text: str, suffix: str) -> list[Listed]:
    return joined(_find(text, suffix)[0])


def _of_suffix(text: str, suffix: str) -> list[Listed]:
    if suffix == "toml":
        return in_toml(text)
    if suffix in ("yaml", "yml"):
        return in_yaml(text)
    if suffix in ("md", "markdown", "rst"):
        return _page(text)
    return in_brackets(text) if suffix in LANGUAGES else []


def _told_by_the_text(text: str) -> tuple[list[Listed], InputError | None]:
    """By what is the narrowest first: numbers alone, then Python, then data, then brackets."""
    lines = text.splitlines()
    ruled = all(line.strip()[:1] in ("", "|") for line in lines)
    found = [listed("", line, rows) for line, rows in tables_of_markdown(lines)] if ruled else []
    found = found or columns_of_csv(lines) or plain(lines)
    if not found and re.search(r"(?m)^ *\[\[?[\w.\"-]+\]\]? *$", text):
        found = in_toml(text)
    if found:
        return found, None
    tree = parsed_python(text)
    problem = None
    if tree is not None:
        found, problem = in_python(tree)
        if found or problem:
            return found, problem
    if re.search(r"(?m)^[ -]*[\"']?\w[^:\n]{0,80}:(?: |$)|^ *- ", text):
        found = in_yaml(text)
    listing = (ast.List, ast.Tuple, ast.Set, ast.ListComp)
    if not found and (tree is None or not any(isinstance(node, listing) for node in ast.walk(tree))):
        page = re.search(r"(?m)^ *\||&.*\\\\", text)  # has tables
        found = (_page(text) if page else []) or in_brackets(text) or _page(text)
    return found, None if found or tree is not None else _syntax(text)


def _syntax(text: str) -> InputError:
    """What Python says of the text."""
    try:
        parsed(textwrap.dedent(text))
    except SyntaxError as problem:
        return InputError(f"line {problem.lineno or 1}", f"{_PYTHON} ({problem.msg}): {CURE}")
    except (RecursionError, MemoryError, ValueError) as problem:
        return InputError("text", f"{_PYTHON} ({visible(str(problem))}): {CURE}")
    return InputError("text", f"holds no list of rows: {CURE}")


def _notebook(body: dict[str, Any]) -> list[Listed]:
    """The lists of the cells of a Jupyter notebook."""
    found: list[Listed] = []
    cells = body["cells"] if isinstance(body["cells"], list) else []
    codes: list[tuple[int, str]] = []
    for number, cell in enumerate(cells, start=1):
        source = cell.get("source", "") if isinstance(cell, dict) else ""
        text = "".join(map(str, source)) if isinstance(source, list) else str(source)
        if not text.strip() or len(text) > MOST_CHARACTERS:
            continue
        code = cell.get("cell_type") == "code"
        text = re.sub(r"(?m)^ *[%!].*$", "", text) if code else text
        lists = _found(text, "" if code else "md") if text.strip() else []
        found += [replace(one, cell=number) for one in lists]
        codes += [(number, text)] if code else []
    return changed_in_cells(found, codes)


def _no_table(line: str) -> str:
    return "" if line.strip().startswith("|") else line.replace("`", "")


def _page(text: str) -> list[Listed]:
    """The lists of a page in Markdown: fenced blocks, tables, and what its sentences have in brackets."""
    found: list[Listed] = []
    lines = text.splitlines()
    prose, block, fenced, suffix = [*lines], [], 0, ""
    for number, line in enumerate([*lines, "```"], start=1):
        fence = re.match(r"\s*(?:```|~~~)\s*(\w*)", line)
        if fence and fenced:
            inner = "\n".join(block)
            lists = _found(inner, {"python": "py"}.get(suffix, suffix)) if inner.strip() else []
            found += [replace(one, line=one.line + fenced) for one in lists]
            block, fenced = [], 0
        elif fence and number <= len(lines):
            fenced, suffix = number, fence[1].lower()
        elif fenced:
            block.append(line)
        if (fenced or fence) and number <= len(lines):
            prose[number - 1] = ""
    tables = [listed("", line, rows) for line, rows in tables_of_markdown(prose)]
    rest = [line.replace("`", "") for line in prose] if not tables else [_no_table(line) for line in prose]
    said = [replace(one, name="") for one in in_brackets("\n".join(rest))]
    return sorted([*found, *tables, *said], key=lambda one: one.line)

"""Lists in texts of nothing but numbers: lines, CSV, arrays as numpy prints them, tables of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

from polydesign.identification.brackets import NUMBER, numbers_of
from polydesign.identification.headings import COUNTS, columns_of, leaves_out
from polydesign.identification.lists import Listed, Reading, Rows, listed, share_of
from polydesign.model import visible

_RULED = re.compile(rf"[\[\]|\s]*{NUMBER}(?:[\s|]+{NUMBER})+[\[\]|\s]*")
"""A row as numpy prints it, or of a Markdown table."""
_LINE = re.compile(rf"{NUMBER}(?:(?:\s*[,;]\s*|\s+){NUMBER})*\s*[,;]?")
_NAME = re.compile(r"[^\W\d][\w^*{}$⁰¹²³-⁹ ]{0,40}|#|")
_COMMA = r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?"
_DECIMAL_COMMAS = re.compile(rf"{_COMMA}(?:(?:\s*;\s*|\s+){_COMMA})+\s*;?")
"""3,4445; -4,7750; 2,0315, as some of Europe writes it."""


def plain(lines: Sequence[str]) -> list[Listed]:
    """The list of lines of nothing but numbers; words may head them."""
    rows: list[tuple[float, ...]] = []
    first, headed, decimal_commas = 0, False, True
    for number, line in enumerate(lines, start=1):
        bare = line.partition("#")[0].strip()
        if _RULED.fullmatch(bare):
            bare = re.sub(r"[\[\]|]", " ", bare).strip()
        elif bare.startswith("|"):
            bare = bare.strip("|").replace("|", ",").strip(" -:,")
        if not bare:
            continue
        if _LINE.fullmatch(bare):
            decimal_commas = decimal_commas and bool(_DECIMAL_COMMAS.fullmatch(bare))
            rows += map(tuple, numbers_of(bare.rstrip(",;")) or [map(float, re.findall(NUMBER, bare))])
            first = first or number
        elif not rows and not headed and re.fullmatch(r"[A-Za-z_]\w*((\s*[,;]\s*|\s+)[A-Za-z_]\w*)*", bare):
            headed = True
        else:
            return []
    if not rows:
        return []
    if decimal_commas:
        numbers = [re.findall(_COMMA, line.partition("#")[0]) for line in lines]
        rows = [tuple(float(c.replace(",", ".")) for c in found) for found in numbers if found]
    return [listed("", first, tuple(rows))]


def columns_of_csv(lines: Sequence[str]) -> list[Listed]:
    """The list of a text of columns under a head of words: CSV, tabs or blanks.

    Where the head says which coefficient a column has, columns go by that, whatever their order; where it
    does not, increasing and decreasing powers are both possible.
    """
    kept = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if len(kept) < 2 or len(kept[0][1]) > 1000:
        return []
    (first, head), *body = kept
    part = next((one for one in "\t,;|" if one in head), None)
    names = [
        name.strip(" \"'") for name in re.split((part and re.escape(part)) or r"\s+", head.strip("#| \t"))
    ]
    columns = columns_of(names)
    if columns is None and (head.startswith("#") or not all(map(_NAME.fullmatch, names)) or len(names) < 2):
        return []
    unknown = columns is None
    counts = [index for index, name in enumerate(names) if name.lower() in COUNTS]
    columns = columns if columns is not None else [j for j in range(len(names)) if j not in counts]
    rows, powers = [], columns[columns.index(-1) + 1 :] if -1 in columns else []
    for number, line in body:
        cells = [
            one.strip(" \"'") for one in re.split((part and re.escape(part)) or r"\s+", line.strip("| \t"))
        ]
        if line.startswith("#") or set(line) <= set("-|: \t"):
            continue
        if part is None and len(cells) != len(names):
            return []
        if any(j < len(cells) and re.fullmatch(NUMBER, cells[j]) and float(cells[j]) for j in powers):
            said = f"line {number} has a number under {visible(names[powers[0]])}, an even power of x, "
            said += "which no step has"
            return [replace(listed("", first, ((1.0, 1.0),)), changed=said)]
        row = [cells[j] for j in takewhile(lambda j: j >= 0, columns) if j < len(cells) and cells[j]]
        if not row or not all(re.fullmatch(NUMBER, one) for one in row):
            return []
        rows.append(tuple(map(float, row)))
    if not rows or max(map(len, rows)) < 2:
        return []
    found = listed("", first, tuple(rows))
    if leaves_out(names):
        ends = f"{visible(names[0])} and {visible(names[-1])}"
        said = f"line {first} has no column for a coefficient between {ends}"
        return [replace(listed("", first, ((1.0, 1.0),)), changed=said)]
    down = tuple(row[::-1] for row in rows)
    if not unknown or max(share_of(down), share_of(found.rows)) < 0.5:
        return [found]
    return [replace(found, readings=(*found.readings, Reading(down, "coefficients in decreasing powers")))]


def tables_of_markdown(lines: Sequence[str]) -> Iterator[tuple[int, Rows]]:
    """Line and rows of each table of numbers in a page of Markdown or LaTeX: its columns a, b, c or c0, c1, …

    Where the head names no such columns, all count but a first one that counts the rows.
    """
    block: list[tuple[int, list[str]]] = []
    for number, line in enumerate([*lines, ""], start=1):
        bare = line.strip()
        if bare.startswith("|"):
            block.append((number, bare.strip("|").split("|")))
        elif "&" in bare and bare.endswith(("\\\\", "\\\\ \\hline")):
            parts = bare.removesuffix("\\hline").strip().removesuffix("\\\\").split("\\\\")
            block += [(number, part.split("&")) for part in parts]
        elif not bare.startswith("\\"):  # a rule stands between rows
            rows = _rows_of_table(block)
            if steps := _a_coefficient_a_row(block):
                yield block[0][0], steps
            elif (
                rows
                and not leaves_out(block[0][1])
                and (_named(block) or len({len(found) for _, found in rows}) == 1)
            ):
                yield rows[0][0], tuple(found for _, found in rows)
            block = []


def _a_coefficient_a_row(block: list[tuple[int, list[str]]]) -> Rows:
    """The rows of a table with columns j and c_j, where each step begins with j = 0; () for any other."""
    heads = [re.sub(r"[^a-z]", "", cell.lower()) for cell in block[0][1]] if block else []
    if not {"j", "cj"} <= set(heads):
        return ()
    at, of = heads.index("j"), heads.index("cj")
    steps: list[list[float]] = []
    for _, cells in block[1:]:
        index, coefficient = (cells[place].strip(" ${}") if place < len(cells) else "" for place in (at, of))
        if index == "0":
            steps.append([])
        if not steps or index != str(len(steps[-1])) or not re.fullmatch(NUMBER, coefficient):
            return ()
        steps[-1].append(float(coefficient))
    return tuple(map(tuple, steps))


def _named(block: list[tuple[int, list[str]]]) -> list[int]:
    """Where the columns a, b, c or c0, c1, … stand, from the first row that names them."""
    for _, cells in block:
        columns = columns_of(cells)
        if columns and -1 not in columns:
            return columns
    return []


def _rows_of_table(block: list[tuple[int, list[str]]]) -> list[tuple[int, tuple[float, ...]]]:
    if columns := _named(block):
        picked = [(at, [row[j] for j in columns if j < len(row)]) for at, row in block]
        return [(at, found) for at, row in picked if (found := _cells(row))]
    rows = [(at, found) for at, row in block if (found := _cells(row))]
    steps = [found[0] for _, found in rows]
    numbered = steps in ([*range(len(rows))], [*range(1, len(rows) + 1)])
    counted = numbered and bool(rows) and len(rows[0][1]) > 2
    return [(at, found[counted:]) for at, found in rows]


def _cells(cells: list[str]) -> tuple[float, ...]:
    """The numbers of a row, beside which stand words alone; () for others, heads and rules among them."""
    bare = [cell.strip(" *`${}") for cell in cells]
    words = [cell for cell in bare if not re.fullmatch(NUMBER, cell)]
    numbers = tuple(float(cell) for cell in bare if re.fullmatch(NUMBER, cell))
    return () if len(numbers) < 2 or any(re.search(r"\d", word) for word in words) else numbers

"""What the cells of a notebook do to lists that stand in cells further up."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from polydesign.identification.lists import NOT_READ, Listed
from polydesign.identification.python_text import in_python, parsed_python


def changed_in_cells(found: Sequence[Listed], codes: Sequence[tuple[int, str]]) -> list[Listed]:
    """The lists of cells, with what Python cells do to them that come later.

    found: read from each cell alone. codes: number and text of each cell of code. All of them are read once
    more as one text; a list that is another there is changed by the cell of that line.
    """
    codes = [(number, text) for number, text in codes if parsed_python(text) is not None]
    tree = parsed_python("\n".join(text for _, text in codes)) if len(codes) > 1 else None
    if tree is None:
        return [*found]
    firsts = [0, *accumulate(text.count("\n") + 1 for _, text in codes)]
    begins = {number: first for (number, _), first in zip(codes, firsts, strict=False)}
    together, told = in_python(tree)[0], []
    for one in found:
        line = _changing(one, begins[one.cell] + one.line, together) if one.cell in begins else None
        if line is not None:
            cell = codes[bisect_left(firsts, line[0]) - 1][0]
            said = f"cell {cell} changes {one.name or 'it'}, {NOT_READ}"
            one = replace(one, changed=said, maybe=line[1])
        told.append(one)
    return told


def _changing(one: Listed, line: int, together: Sequence[Listed]) -> tuple[int, bool] | None:
    """The line of all cells where a list that stands on a line is changed; whether under a condition."""
    now = next((other for other in together if (other.name, other.line) == (one.name, line)), None)
    if now is None:  # a later list of its name is made of it, which is then no list of its own
        later = [
            other.line
            for other in together
            if one.name and (other.name, other.line > line) == (one.name, True)
        ]
        return (later[0], False) if later else None
    said = now.changed if now.changed and not one.changed else ""
    if not said and now.rows != one.rows:
        said = now.readings[0].words
    lines = re.findall(r"lines? (\d+)", said)
    return (int(lines[0]), bool(now.changed) and now.maybe) if lines else None

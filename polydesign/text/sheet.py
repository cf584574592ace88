"""What a console and a notebook show of an object: one screen of facts and rows, as text and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from textwrap import wrap

from polydesign.model import shortened, visible

MOST_ROWS = 12
"""A screen has 24 lines, and facts stand above the rows."""

MOST_CHARACTERS = 100
"""Of one fact, so that a source of a thousand characters takes one line; a note may be a paragraph."""
MOST_OF_NOTE = 400

_LEFT = "text-align: left; vertical-align: top"
_RIGHT = "text-align: right; vertical-align: top; white-space: nowrap"


@dataclass(frozen=True, slots=True)
class Cells:
    """Rows under a heading, the first `left` columns of words, the others of numbers."""

    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 0


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is shown. Whatever the texts hold, a terminal obeys none of it, and a page neither.

    Args:
        title: A line: what the object is, and its name.
        facts: Word and text of a line each.
        grids: Below them; of each the first MOST_ROWS rows are shown.
        notes: Lines below all.
    """

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    grids: tuple[Cells, ...] = ()
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """Aligned lines."""
        facts = [(_plain(word), _plain(fact)) for word, fact in self.facts]
        width = max((len(word) for word, _ in facts), default=0)
        lines = [_plain(self.title), *(f"{word:{width}}  {fact}" for word, fact in facts)]
        for grid in self.grids:
            cells = [list(map(_plain, row)) for row in (grid.heading, *grid.rows[:MOST_ROWS])]
            widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
            sides = ["<" if index < grid.left else ">" for index in range(len(widths))]
            for row in cells:
                line = (f"{c:{side}{w}}" for c, side, w in zip(row, sides, widths, strict=True))
                lines.append("  ".join(line).rstrip())
            lines += _left_out(grid)
        notes = (line for note in self.notes for line in wrap(_plain(note, MOST_OF_NOTE), MOST_CHARACTERS))
        return "\n".join([*lines, *notes])

    def html(self) -> str:
        """Tables without colours of their own, so that a dark page shows them too."""
        parts = [f"<strong>{_safe(self.title)}</strong>"]
        if self.facts:
            rows = (
                f'<tr><th style="{_LEFT}">{_safe(word)}</th><td style="{_LEFT}">{_safe(fact)}</td></tr>'
                for word, fact in self.facts
            )
            parts.append(f"<table><tbody>{''.join(rows)}</tbody></table>")
        for grid in self.grids:
            head = _row("th", grid.heading, grid.left)
            body = "".join(_row("td", row, grid.left) for row in grid.rows[:MOST_ROWS])
            parts.append(f"<table><thead>{head}</thead><tbody>{body}</tbody></table>")
            parts += [f"<p>{line}</p>" for line in _left_out(grid)]
        parts += [f"<p>{_safe(note, MOST_OF_NOTE)}</p>" for note in self.notes]
        return f"<div>{''.join(parts)}</div>"


def _left_out(grid: Cells) -> list[str]:
    more = len(grid.rows) - MOST_ROWS
    return [f"… and {more} more"] if more > 0 else []


def _row(tag: str, cells: Sequence[str], left: int) -> str:
    sides = (_LEFT if index < left else _RIGHT for index in range(len(cells)))
    inside = (f'<{tag} style="{s}">{_safe(c)}</{tag}>' for c, s in zip(cells, sides, strict=True))
    return f"<tr>{''.join(inside)}</tr>"


def _plain(text: str, most: int = MOST_CHARACTERS) -> str:
    return shortened(visible(text), most)


def _safe(text: str, most: int = MOST_CHARACTERS) -> str:
    return escape(_plain(text, most))

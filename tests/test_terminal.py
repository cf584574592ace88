"""Tables at a terminal: whole numbers at every width."""

from __future__ import annotations

import io
import re
import sys

import pytest
from rich.console import Console

from polydesign.cli.grids import grid, show

HEADINGS = ("spectrum", "shape", "lower end", "values", "predicted", "measured", "polar distance", "")
ROWS = [
    ("logspace:1e-2", "16x32x64", "0.002711", "64", "0.1309", "0.1331", "0.09356", "ok"),
    ("rank1", "16x32x64", "0.001", "16", "0.1155", "1.299e-10", "2.665e-15", "FAILED"),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made = grid(*HEADINGS, left=("spectrum",))
    for row in ROWS:
        made.add_row(*row)
    monkeypatch.setattr(sys, "stdout", found := Terminal())
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    show(made, 200)
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", found.getvalue()).splitlines()]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_every_cell_is_whole_and_stands_beside_its_name(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(width, monkeypatch)
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    for name, *cells in ROWS:
        own = [line.split() for line in lines if line.split()[:1] == [name]]
        assert [cell for row in own for cell in row[1:]] == cells
    heads = [line for line in lines if line.strip().startswith("spectrum")]
    assert " ".join(line.replace("spectrum", "") for line in heads).split() == " ".join(HEADINGS[1:]).split()


def test_what_fits_is_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sum("spectrum" in line for line in shown(200, monkeypatch)) == 1
    assert sum("spectrum" in line for line in shown(60, monkeypatch)) > 1


def test_rich_itself_cuts_numbers() -> None:
    """The control: what a narrow terminal got before."""
    made = grid(*HEADINGS, left=("spectrum",))
    made.add_row(*ROWS[0])
    console = Console(width=60, file=io.StringIO())
    console.print(made)
    assert isinstance(console.file, io.StringIO)
    assert "…" in console.file.getvalue()

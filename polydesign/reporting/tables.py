"""Comparisons as text: for a terminal, as CSV and as Markdown."""

from __future__ import annotations

import csv
import io
import math
import textwrap
from collections.abc import Callable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table as Grid

from polydesign.designer.naming import runs
from polydesign.model import DTYPES, HALF, STANDINGS
from polydesign.reporting.comparison import AtLower, Row
from polydesign.text.numbers import number, short
from polydesign.text.sheet import Cells, Sheet

SHOWN = ("bfloat16", "float16", "float32")
"""Precisions that have a column."""

COLUMNS = 100
"""Below this many, and more for more lower ends than three, a terminal gets a block a table."""

NOTES = (
    "excess: products beyond those that the best schedule (degrees {degrees}, exact arithmetic) needs for "
    "the error on {first}; the order is by it.",
    "/best: error on {first} over the least for the same products.",
    "/optimum: proved error on its own interval over the least for the same degrees.",
    "safe edge: the error holds up to there, in units of the upper end.",
    "Errors are rounded up.",
)


def interval(at: AtLower) -> str:
    """[0.001, 1], in units of the upper end."""
    return f"[{short(at.lower)}, 1]"


def figures(row: Row, at: AtLower) -> tuple[str, str]:
    """The error on a common interval, and its ratio to the best for the same products."""
    return number(at.error, 3, up=True), ratio(at.ratio_to_best)


def ratio(value: float) -> str:
    """A ratio to what is best; that may lie so low that no float64 holds the ratio."""
    return ">1e308" if value == math.inf else number(value, 3)


def measured(row: Row, dtype: str) -> str:
    """What was measured: 0.0123, with an s behind it where it was stored; - where nothing was."""
    seen = row.seen(dtype)
    if seen is None:
        return "-"
    value = "lost" if seen.worst is None else number(seen.worst, 3, up=True)
    return f"{value} s" if seen.source == "stored" else value


def notes(rows: Sequence[Row]) -> list[str]:
    """What the columns mean, and where the measured figures come from."""
    first = interval(rows[0].at[0])
    best = ", ".join(str(1 + rows[0].root * n) for n in (1, 2, 4, 8))
    lines = [note.format(first=first, degrees=best) for note in NOTES]
    kinds = {seen.source for row in rows for seen in row.measured if seen.dtype in SHOWN}
    fresh = {seen.runs for row in rows for seen in row.measured if seen.source == "fresh"}
    if "fresh" in kinds:
        lowers = {seen.lower for row in rows for seen in row.measured if seen.source == "fresh"}
        where = f"from {short(lowers.pop())} on" if len(lowers) == 1 else "on each table's own interval"
        many = "/".join(map(str, sorted(fresh)))
        lines.append(f"Measured: the largest error on {many} matrices, of values {where}.")
    if "stored" in kinds:
        lines.append("s: stored in the table's file, on its own interval and on whatever matrices ran then.")
    if not kinds:
        lines.append("-: not measured; --measure does it.")
    if any(seen.worst is None for row in rows for seen in row.measured):
        lines.append("lost: a result was not finite.")
    return [*lines, *standings(rows)]


def standings(rows: Sequence[Row]) -> list[str]:
    """Which tables blow up matrices whose roundings agree: a line a half precision in which any was tried."""
    lines = []
    for dtype in HALF:
        names = {word: [row.name for row in rows if row.standings[dtype] == word] for word in STANDINGS}
        if len(names["untried"]) < len(rows):
            words = "; ".join(f"{word} {', '.join(found)}" for word, found in names.items() if found)
            lines.append(f"Blow-ups in {DTYPES[dtype]} (polydesign list says what the words mean): {words}.")
    return lines


def text(rows: Sequence[Row], width: int | None = None) -> str:
    """Two grids, in exact arithmetic and measured; on a narrow terminal a block of lines a table.

    width: of the terminal; None is no terminal, where nothing is cut or folded.
    """
    enough = COLUMNS + 9 * max(0, len(rows[0].at) - 3)
    if width is not None and width < enough:
        blocks = [_block(row, width) for row in rows]
    else:
        blocks = [_lines(_exact(rows), width), _lines(_measured(rows), width)]
    room = min(width or COLUMNS, COLUMNS)
    return "\n\n".join([*blocks, "\n".join(_folded(note, room) for note in notes(rows))])


def exact_cells(row: Row) -> tuple[str, ...]:
    """What is proved: name, products, excess, the error on each interval, /best, the safe edge."""
    errors = [figures(row, at)[0] for at in row.at]
    excess = f"{row.at[0].excess:.2f}"
    return (row.name, str(row.products), excess, *errors, figures(row, row.at[0])[1], edge(row))


def measured_cells(row: Row) -> tuple[str, ...]:
    """What holds on its own interval, and what was measured in each precision of SHOWN."""
    return (row.name, degrees(row), *own(row), *(measured(row, dtype) for dtype in SHOWN))


def screen(rows: Sequence[Row]) -> Sheet:
    """What a notebook shows of a comparison."""
    errors = (f"on {interval(at)}" for at in rows[0].at)
    exact = ("table", "products", "excess", *errors, "/best", "safe edge")
    about = ("table", "degrees", "interval", "proved", "/optimum", "f'(0)", *(DTYPES[one] for one in SHOWN))
    grids = (
        Cells(exact, tuple(map(exact_cells, rows)), left=1),
        Cells(about, tuple(map(measured_cells, rows)), left=2),
    )
    count = f"{len(rows)} table{'s' * (len(rows) > 1)}"
    return Sheet(
        f"Comparison of {count}, root {rows[0].root}: errors on common intervals, proved",
        grids=grids,
        notes=tuple(notes(rows)),
    )


def _exact(rows: Sequence[Row]) -> Grid:
    grid = _grid()
    for heading in ("products", "excess", *(f"error on\n{interval(at)}" for at in rows[0].at)):
        grid.add_column(heading, justify="right", no_wrap=True)
    grid.add_column("/best", justify="right", no_wrap=True)
    grid.add_column("safe edge", justify="right", no_wrap=True)
    for row in rows:
        grid.add_row(*exact_cells(row))
    return grid


def _measured(rows: Sequence[Row]) -> Grid:
    grid = _grid()
    grid.add_column("degrees", no_wrap=False, overflow="fold")
    for heading in ("interval", "proved", "/optimum", "f'(0)", *(DTYPES[dtype] for dtype in SHOWN)):
        grid.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        grid.add_row(*measured_cells(row))
    return grid


def own(row: Row) -> tuple[str, str, str, str]:
    """Its own interval, the error and the ratio to the optimum there, and the slope at 0."""
    low, high = map(short, row.interval)
    return (
        f"[{low}, {high}]",
        number(row.error, 3, up=True),
        ratio(row.ratio_to_optimum),
        number(row.slope, 4),
    )


def degrees(row: Row) -> str:
    """5x6 for six quintics, 3-17x2 for a cubic and two of degree 17."""
    return runs(row.degrees) if row.degrees[1:] else f"{row.degrees[0]}x1"


def edge(row: Row) -> str:
    """Four decimals, rounded down, so that the words stay true."""
    return "none" if row.safe_edge is None else f"{math.floor(row.safe_edge * 1e4) / 1e4:.4f}"


def _grid() -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), collapse_padding=True)
    grid.add_column("table", overflow="fold", min_width=12)
    return grid


def _lines(grid: Grid, width: int | None) -> str:
    """The grid as plain lines."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=width or 10_000, color_system=None, highlight=False)
    console.print(grid)
    lines = [line.rstrip() for line in textwrap.dedent(buffer.getvalue()).splitlines()]
    return "\n".join(line for line in lines if line)


def _block(row: Row, width: int) -> str:
    """One table in lines that fold."""
    promised, proved, price, slope = own(row)
    first = row.at[0]
    facts = [
        f"{row.products} products, {degrees(row)}, excess {first.excess:.2f}",
        *(f"error on {interval(at)}: {figures(row, at)[0]}" for at in row.at),
        f"/best {figures(row, first)[1]}, safe edge {edge(row)}",
        f"own {promised}: {proved}, /optimum {price}",
        f"f'(0) {slope}",
        "measured: " + ", ".join(f"{DTYPES[dtype]} {measured(row, dtype)}" for dtype in SHOWN),
    ]
    return "\n".join([row.name, *(_folded(fact, width, "  ") for fact in facts)])


def _folded(line: str, width: int, indent: str = "") -> str:
    return textwrap.fill(line, max(width, 20), initial_indent=indent, subsequent_indent=2 * indent)


CSV_FIELDS: dict[str, Callable[[Row], object]] = {
    "name": lambda row: row.name,
    "digest": lambda row: row.digest,
    "root": lambda row: row.root,
    "form": lambda row: row.form,
    "products": lambda row: row.products,
    "degrees": lambda row: " ".join(map(str, row.degrees)),
    "lower": lambda row: row.interval[0],
    "upper": lambda row: row.interval[1],
    "error": lambda row: row.error,
    "ratio_to_optimum": lambda row: row.ratio_to_optimum,
    "slope": lambda row: row.slope,
    "safe_edge": lambda row: row.safe_edge,
    "basin_edge": lambda row: row.basin_edge,
    "bf16_standing": lambda row: row.standings["bfloat16"],
    "fp16_standing": lambda row: row.standings["float16"],
}
"""Column -> its value; those for each lower end and each precision follow."""


def to_csv(rows: Sequence[Row]) -> str:
    """A line a table, every digit; an empty field is a number that there is not, or none of float64."""
    columns = dict(CSV_FIELDS)
    for index, at in enumerate(rows[0].at):
        for name in ("error", "optimum", "best", "ratio_to_optimum", "ratio_to_best", "excess"):
            columns[f"{name}_from_{short(at.lower)}"] = lambda row, i=index, n=name: getattr(row.at[i], n)
    for dtype in SHOWN:
        for name in ("worst", "source"):
            columns[f"{DTYPES[dtype]}_{name}"] = lambda row, d=dtype, n=name: getattr(row.seen(d), n, None)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        values = [value(row) for value in columns.values()]
        writer.writerow("" if v is None or v == math.inf else v for v in values)
    return buffer.getvalue()


def markdown_rows(heading: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table in GitHub's Markdown, the first `left` columns to the left and numbers to the right.

    Cells are Markdown of one line, with every | escaped.
    """

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    rule = "|" + "---|" * left + "---:|" * (len(heading) - left)
    return "\n".join([line(heading), rule, *map(line, rows)])

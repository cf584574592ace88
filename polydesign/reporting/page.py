"""The report: any tables as one page that stands alone, and the same as Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from jinja2 import Environment

import polydesign
from polydesign.drawing.figures import rendered
from polydesign.model import DTYPES, InputError, Measurement, Table
from polydesign.reporting import pictures
from polydesign.reporting.chapter import Chapter, Picture, TextTable, chapter
from polydesign.reporting.comparison import LOWERS, Row, Seen, check_names, compared_rows, stored
from polydesign.reporting.tables import SHOWN, exact_cells, interval, markdown_rows, measured_cells, notes
from polydesign.text.templates import environment

GENERATOR = "polydesign report"
"""By this in its head a page is known to be ours."""

_NARROW = "\u00a0"


@dataclass(frozen=True, slots=True)
class Beside:
    """The tables of one root beside each other; grids: in exact arithmetic, and what was measured."""

    title: str
    grids: tuple[TextTable, TextTable]
    notes: tuple[str, ...]
    maps: Picture
    products: Picture


@dataclass(frozen=True, slots=True)
class Report:
    """What is laid out."""

    title: str
    comparisons: tuple[Beside, ...]
    chapters: tuple[Chapter, ...]
    command: str
    version: str = polydesign.__version__
    generator: str = GENERATOR

    @property
    def unlisted(self) -> list[Chapter]:
        """Chapters whose table stands in no comparison."""
        compared = {row[0] for one in self.comparisons for row in one.grids[0].rows}
        return [one for one in self.chapters if one.name not in compared]

    @property
    def pictures(self) -> list[Picture]:
        """All figures."""
        between = [p for c in self.comparisons for p in (c.maps, c.products)]
        return between + [p for c in self.chapters for p in (c.map, c.steps, c.rounding, c.histogram)]


def laid_out(
    tables: Sequence[Table],
    measurements: Sequence[Measurement] = (),
    *,
    lowers: Sequence[float] = LOWERS,
    fresh: Mapping[str, Sequence[Seen]] | None = None,
    command: str = "",
) -> Report:
    """Everything that the page says, in the order of the comparison.

    measurements: of these tables, beside those in their files; fresh: what the comparison shows as measured,
    by table, in place of all these. The same arguments give the same report.

    Raises what check_given and compared_rows raise.
    """
    check_given(tables, measurements)
    of_table = {table.name: _own(table, measurements) for table in tables}
    roots = sorted({table.schedule.root for table in tables}, key=lambda root: (root != 2, root))
    comparisons, chapters = [], []
    for root in roots:
        group = [table for table in tables if table.schedule.root == root]
        seen = fresh or {table.name: stored(table, _extra(table, of_table[table.name])) for table in group}
        rows = compared_rows(group, lowers, seen)
        named = {table.name: table for table in group}
        if len(group) > 1:
            comparisons.append(_comparison(root, len(roots) > 1, [named[row.name] for row in rows], rows))
        chapters += [chapter(named[row.name], row, of_table[row.name]) for row in rows]
    title = f"{chapters[0].name}" if len(chapters) == 1 else f"{len(chapters)} tables compared"
    return Report(title, tuple(comparisons), tuple(chapters), command)


def check_given(tables: Sequence[Table], measurements: Sequence[Measurement]) -> None:
    """Raises InputError for two tables of one name, and where a measurement is of none of the tables."""
    check_names(tables)
    known = {table.digest for table in tables}
    for m in measurements:
        if m.digest not in known:
            raise InputError(
                "measured", f"one is of {m.table} ({m.digest[:19]}…), which is not in this report"
            )


def _own(table: Table, measurements: Sequence[Measurement]) -> list[Measurement]:
    """The measurements of this table, under its name: those with maps before the same ones without."""
    mine = [replace(m, table=table.name) for m in measurements if m.digest == table.digest]
    bare = [replace(m, map=None) for m in mine]
    return [*mine, *(m for m in table.measured if m not in bare)]


def _extra(table: Table, own_ones: Sequence[Measurement]) -> list[Measurement]:
    return [m for m in own_ones if m not in table.measured]


def _comparison(root: int, several: bool, tables: Sequence[Table], rows: Sequence[Row]) -> Beside:
    first = interval(rows[0].at[0])
    heading = ["table", "products", "excess", *(f"error{_NARROW}on {interval(at)}" for at in rows[0].at)]
    heading += ["/best", "safe edge"]
    cells = [exact_cells(row) for row in rows]
    heading_too = ["table", "degrees", "own interval", "proved", "/optimum", "f′(0)"]
    heading_too += [f"measured {DTYPES[dtype]}" for dtype in SHOWN]
    cells_too = [measured_cells(row) for row in rows]
    names = ", ".join(row.name for row in rows)
    return Beside(
        title=f"Comparison, root {root}" if several else "Comparison",
        grids=(TextTable(tuple(heading), tuple(cells)), TextTable(tuple(heading_too), tuple(cells_too))),
        notes=tuple(notes(rows)),
        maps=Picture(
            f"comparison-root{root}-maps",
            f"Above: the composed maps of {names} where they rise to 1. Below: their errors on [x, 1].",
            "Above: the maps where they rise. Below: what error is left if no value lies below x.",
            rendered(pictures.maps_picture(tables), "svg"),
        ),
        products=Picture(
            f"comparison-root{root}-products",
            f"Errors on {first} of {names} over matrix products, above the curve of the best possible.",
            f"Proved error on {first} over products; the line is the best that such steps can do, and "
            "markers of equal products stand side by side.",
            rendered(pictures.products_picture(rows), "svg"),
        ),
    )


def html(found: Report) -> str:
    """The page: styles, figures and the few lines of script of its copy buttons inside, nothing to fetch."""
    return _environment(autoescape=True).get_template("index.html.j2").render(report=found)


def markdown(found: Report) -> str:
    """The same in GitHub's Markdown; figures are files in figures/."""
    templates = _environment(autoescape=False)
    templates.filters |= {"escaped": _escaped, "grid": _grid, "fence": _fence}
    return templates.get_template("report.md.j2").render(report=found)


def _tight(text: str) -> str:
    """Text whose intervals and sums are not broken at a line's end."""
    text = re.sub(r"\[[^\]]*\]|\|[^|]{1,20}\|", lambda found: found.group().replace(" ", _NARROW), text)
    return re.sub(r" ([±≤=]) ", rf"{_NARROW}\1{_NARROW}", text)


def _environment(*, autoescape: bool) -> Environment:
    found = environment("polydesign.reporting", autoescape=autoescape)
    found.filters["tight"] = _tight
    return found


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    escaped = re.sub(r"([\\`*_\[\]|~])", r"\\\1", text)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")


def _grid(grid: TextTable) -> str:
    rows = [[_escaped(cell) for cell in row] for row in grid.rows]
    return markdown_rows([_escaped(cell) for cell in grid.heading], rows, grid.left)


def _fence(text: str) -> str:
    """A fence that the text does not contain."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * max(3, longest + 1)

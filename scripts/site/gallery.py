"""The gallery: every table of the catalogue with its picture, promise, source and lines of export."""

from __future__ import annotations

import io
import warnings
from html import escape
from itertools import groupby
from typing import Any

from joblib import Parallel, delayed
from matplotlib import style
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.ticker import NullLocator

import polydesign
from polydesign.drawing.figures import STYLE, new_figure
from polydesign.drawing.panels import draw_map
from polydesign.exporters.target import how_known, stated_error
from polydesign.model import DTYPES, SafetyWarning, Table
from polydesign.program.cost import matmuls_of
from polydesign.reporting.origin import command, exports, listing
from polydesign.table import Entry
from polydesign.table.listing import GROUPS, group
from polydesign.table.standings import banded, cut_short, made_for, standings
from polydesign.text.numbers import short

SIZE = (4.2, 2.1)
"""Inches of a picture, which is shown as wide as a phone at most."""

LOOK = {"svg.fonttype": "none", "path.simplify_threshold": 0.5, "font.size": 9, "axes.labelsize": 9}
"""Text as text and a curve in as few points as half a pixel needs: a tenth of the bytes."""

DEAR = ("gram-newton-schulz", "pytorch_optimizer")
"""Their exports choose restarts on matrices, two seconds a table; the list that every card names has them."""

_HEAD = """---
hide: [toc]
---

# Tables

Every table that comes with the package: its map f(x), which is what becomes of a singular value x, with
the promised interval and band in grey; what it promises; where it comes from; and what to type to use it.
`polydesign show NAME` says more of one of them, and [safety](safety.md) what the standing in half precision
means.

<div class="filter" data-search-exclude>
<label>Words that a table must have <input type="search" placeholder="bfloat16 quintics 15 products"></label>
<output></output>
</div>
"""


def gallery(most: int | str = "all") -> dict[str, str | bytes]:
    """File -> content: the page and its pictures. most: so many tables of each group, or all."""
    count = None if most == "all" else int(most)
    shipped = [one for one in polydesign.tables() if one.shipped]
    groups = {word: list(members)[:count] for word, members in groupby(shipped, key=group)}
    chosen = [one for members in groups.values() for one in members]
    cards = dict(zip([one.name for one in chosen], _drawn(chosen), strict=True))
    page, files = [_HEAD], {}
    for word, members in groups.items():
        page.append(f'\n## {GROUPS[word].capitalize()}\n\n<div class="cards" markdown>\n')
        for one in members:
            page.append(cards[one.name][0])
            files[f"tables/{one.name}.svg"] = cards[one.name][1]
        page.append("</div>\n")
    return {"gallery.md": "\n".join(page), **files}


def _drawn(entries: list[Entry]) -> list[tuple[str, bytes]]:
    """Card and picture of each, in a process a core where there are many."""
    work: Any = Parallel(n_jobs=-1 if len(entries) > 20 else 1)
    return work(delayed(_of_entry)(one) for one in entries)


def _of_entry(one: Entry) -> tuple[str, bytes]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SafetyWarning)  # the card says it
        table = polydesign.load(one.path, proving=False)  # tests prove those that come with the package
    return card(table), picture(table)


def picture(table: Table) -> bytes:
    """The composed map as SVG, the same table the same bytes."""
    with style.context([*STYLE, LOOK]):
        figure = new_figure()
        figure.set_layout_engine("none")
        figure.set_size_inches(SIZE)
        ax = figure.add_axes((0.14, 0.21, 0.8, 0.67))
        draw_map(ax, table.schedule, [])
        ax.xaxis.set_major_formatter(lambda x, _: short(x))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.tick_params(labelsize=8)
        for patch in (figure.patch, ax.patch):
            patch.set_visible(False)
        content = io.BytesIO()
        FigureCanvasSVG(figure).print_svg(content, metadata={"Date": None, "Creator": None})
    return content.getvalue()


def card(table: Table) -> str:
    """Markdown of one table. What its file says in its own words is text."""
    schedule, source = table.schedule, table.provenance.source
    low, high = map(short, schedule.interval)
    made, about = command(table)
    facts = [
        f"|f(x) − 1| ≤ {stated_error(table, 3)} on [{low},\u00a0{high}], {how_known(table)}",
        f"root {schedule.root}, {_degrees(table)}, {matmuls_of(table)} matrix products",
        f"{table.purpose}, {_precision(table)}, {table.form} form, {table.normalization}",
        *(line for line in (made_for(table), banded(table), *standings(table), cut_short(table)) if line),
        f"source: {source or f'polydesign, {table.provenance.strategy}'}",
    ]
    lines = "".join(f"<li>{escape(' '.join(fact.splitlines()))}</li>" for fact in facts)
    rows = "" if any(step.long for step in schedule.steps) else listing(table)
    uses = "\n".join([*(line for _, line in exports(table, without=DEAR)), "polydesign export --list"])
    again = f"<p>{escape(about)}</p>{_code(made)}" if made else ""
    return f"""
<section class="card" markdown>

### {table.name} {{ #{table.name} }}

![The map of {table.name}](tables/{table.name}.svg){{ loading=lazy }}

<ul>{lines}</ul>

<details data-search-exclude><summary>Use it</summary>{_code(rows)}{_code(uses)}</details>
<details data-search-exclude><summary>Make it again</summary>{again or "<p>It is given.</p>"}</details>

</section>
"""


def _code(text: str) -> str:
    """A block with a copy button; a blank line in it would end the HTML."""
    lines = "\n".join(line for line in text.splitlines() if line)
    return f"<pre><code>{escape(lines)}</code></pre>" if lines else ""


def _degrees(table: Table) -> str:
    words = {3: "cubics", 5: "quintics"}
    runs = [(degree, len(list(run))) for degree, run in groupby(table.schedule.degrees)]
    if len(runs) == 1:
        degree, count = runs[0]
        return f"{count} {words.get(degree, f'steps of degree {degree}')}"
    return f"steps of degree {', '.join(map(str, table.schedule.degrees))}"


def _precision(table: Table) -> str:
    """Both names of a precision, so that either finds it."""
    return f"{table.dtype} ({DTYPES[table.dtype]})" if table.dtype else "exact arithmetic"

"""Error against products in half precision: README's figure and table.

python scripts/figures/half_precision_figure.py            write the tables of README and docs/measurements.md
python scripts/figures/half_precision_figure.py --check    write nothing; exit 1 where a page says otherwise

What scripts/studies/half_precision.py wrote is what they show.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from polydesign.drawing.figures import STYLE, WIDTH, save_figure
from polydesign.model import DTYPES, HALF
from polydesign.text.files import write_atomically
from polydesign.text.numbers import number

ROOT = Path(__file__).resolve().parents[2]
FIGURE = "half_precision"
BEGIN, END = "<!-- table: scripts/figures/half_precision_figure.py -->", "<!-- end of table -->"
TOP, FOOT = 2.0, 2e-4
"""Of the axis of errors: what is larger is drawn at its top."""

GROUPS = {
    "published": ("published", "^", "0.45"),
    "before": ("ours, as of 2026-11-22", "s", "0.45"),
    "ours": ("ours", "o", "black"),
}
"""Key -> label, marker, color."""

Row = dict[str, Any]


def figure(body: dict[str, Any], folder: Path) -> None:
    """A panel a precision; filled where nothing that was tried blew up in any loop, hollow elsewhere."""
    with style.context(STYLE):
        fig = Figure(figsize=(WIDTH, 4.4), layout="constrained")
        FigureCanvasAgg(fig)
        axes: Any = fig.subplots(1, len(HALF), sharey=True)
        for ax, dtype in zip(axes, HALF, strict=True):
            panel(ax, body, dtype)
        handles, labels = axes[0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
        for suffix in (".png", ".svg"):
            save_figure(fig, folder / f"{FIGURE}{suffix}")


def panel(ax: Axes, body: dict[str, Any], dtype: str) -> None:
    for key, (label, marker, color) in GROUPS.items():
        rows = [row for row in body[key] if row["dtype"] == dtype]
        for safe in (False, True):
            points = [(row["products"], height(row)) for row in rows if (row["standing"] == "plain") == safe]
            if not points:
                continue
            ax.plot(
                *zip(*points, strict=True),
                linestyle="none",
                marker=marker,
                markersize=6,
                color=color,
                markerfacecolor=color if safe else "white",
                label=f"{label}, {'plain' if safe else 'not plain'}",
                zorder=3 if safe else 2,
            )
    best = best_of(body["ours"], dtype)
    ax.plot(list(best), list(map(height, best.values())), color="black", linewidth=1.2, zorder=2)
    limit = [point for point in body["limit"] if point[1] > FOOT / 10]
    ax.plot(*zip(*limit, strict=True), color="0.45", linestyle="--", linewidth=1.2, label="limit by degree")
    ax.set_title(DTYPES[dtype], loc="left")
    ax.set_label(dtype)
    ax.set_yscale("log")
    ax.set_ylim(FOOT, 1.2 * TOP)
    ax.set_xlim(7.5, 24.5)
    ax.set_xlabel("matrix products")
    ax.set_ylabel("largest |σ − 1| measured")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(visible=True, axis="y", color="0.9", linewidth=0.6)


def height(row: Row) -> float:
    return TOP if row["worst"] is None else min(row["worst"], TOP)


def best_of(rows: Iterable[Row], dtype: str, *, plain: bool = True) -> dict[int, Row]:
    """Products -> the row that errs least at so many, in their order; of plain ones alone, or of all."""
    found: dict[int, Row] = {}
    for row in rows:
        if row["dtype"] == dtype and (row["standing"] == "plain" or not plain):
            other = found.get(row["products"])
            if other is None or height(row) < height(other):
                found[row["products"]] = row
    return dict(sorted(found.items()))


def markdown(body: dict[str, Any]) -> str:
    """README's: a row for every number of products that a table of ours takes."""
    columns = [
        column
        for dtype in HALF
        for column in (
            (f"{DTYPES[dtype]}: published", best_of(body["published"], dtype, plain=False)),
            ("ours, 2026-11-22", best_of(body["before"], dtype, plain=False)),
            ("ours", best_of(body["ours"], dtype)),
        )
    ]
    limit = dict(map(tuple, body["limit"]))
    taken = sorted({products for name, found in columns for products in found if name == "ours"})
    rows = [
        [
            str(m),
            *(cell(found.get(m)) for _, found in columns),
            number(limit[m], 2) if limit[m] else "< 1e-300",
        ]
        for m in taken
    ]
    return lines(["products", *(name for name, _ in columns), "limit"], rows)


def named(body: dict[str, Any]) -> str:
    """That of the page of measurements: which tables these are, the plain ones of the literature beside the
    best of all."""
    rows = []
    for dtype in HALF:
        found = [best_of(body[key], dtype, plain=plain) for key, plain in PICKED]
        for products in sorted(set().union(*found)):
            cells = [
                "–" if (row := one.get(products)) is None else f"`{row['name']}` {cell(row)}" for one in found
            ]
            rows.append([DTYPES[dtype], str(products), *cells])
    return lines(["precision", "products", "published", "published, plain", "ours"], rows)


PICKED = (("published", False), ("published", True), ("ours", True))


def lines(heads: list[str], rows: list[list[str]]) -> str:
    every = [heads, ["---" if name == "precision" else "---:" for name in heads], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in every)


def cell(row: Row | None) -> str:
    """Bold where it is plain."""
    if row is None:
        return "–"
    error = "not finite" if row["worst"] is None else number(row["worst"], 3, up=True)
    return f"**{error}**" if row["standing"] == "plain" else error


PAGES: dict[Path, Callable[[dict[str, Any]], str]] = {
    ROOT / "README.md": markdown,
    ROOT / "docs" / "measurements.md": named,
}


def page(text: str, table: str) -> str:
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.split(END)[1]}"


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="Compare only.")
def main(check: bool) -> None:
    body = json.loads((ROOT / "figures" / f"{FIGURE}.json").read_text("utf-8"))
    for path, table in PAGES.items():
        text = path.read_text("utf-8")
        if not check:
            write_atomically(path, page(text, table(body)))
        elif page(text, table(body)) != text:
            sys.exit(f"{path} is not what figures/{FIGURE}.json says")


if __name__ == "__main__":
    main()

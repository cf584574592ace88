"""Write the table of bands of docs/search.md from the files of coeffs/.

python scripts/figures/bands_page.py            write it
python scripts/figures/bands_page.py --check    write nothing; exit 1 where the page says something else

Of a published table it is the smallest lower end from which all end within BAND of 1, or where those from
PLATEAU on do not end so near, as near as these.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

import polydesign
from polydesign.approximation.scalar import schedule_from
from polydesign.designer.naming import runs
from polydesign.model import DTYPES, Table
from polydesign.program.cost import matmuls_of
from polydesign.table.catalogue import entries
from polydesign.text.files import write_atomically
from polydesign.text.numbers import number

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "search.md"
BEGIN, END = "<!-- table: scripts/figures/bands_page.py -->", "<!-- end of table -->"

PUBLISHED = ("cubic5", "turbo_muon_4", "jordan_5")
BAND, PLATEAU = 0.3, 0.1

HEAD = """| table | precision | products | degrees | from | within, proved | measured | tried | |
|---|---|---:|---|---:|---:|---:|---:|---|
"""


def error_from(table: Table, lower: float) -> float:
    """On [lower, 1]."""
    schedule = table.schedule
    rows, evaluations = ([s.coefficients for s in schedule.steps], [s.evaluation for s in schedule.steps])
    return schedule_from(schedule.root, rows, (lower, 1.0), evaluations).error


def band(table: Table) -> tuple[float, float]:
    """The lower end, and what it ends within from there on."""
    within = max(BAND, error_from(table, PLATEAU))
    low, high = 1e-6, PLATEAU
    while high / low > 1.0001:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if error_from(table, middle) <= within * (1 + 1e-9) else (middle, high)
    return high, within


def row(table: Table, dtype: str, lower: float, within: float) -> str:
    """The measured figure is of the table's own interval: of a published one it is left out."""
    worst = [one.worst for one in table.measured if one.dtype == dtype]
    known = [one for one in worst if one is not None]
    measured = "–" if table.provenance.source or not known else number(max(known), 3, up=True)
    tried = sum(one.tried for one in table.tried if one.dtype == dtype)
    cells = (
        f"`{table.name}`",
        DTYPES[dtype],
        str(matmuls_of(table)),
        runs(table.schedule.degrees),
        number(lower, 3, up=True),
        number(within, 3, up=True),
        measured if len(known) == len(worst) else "not finite",
        f"{tried:.2g}" if tried else "0",
        table.standing(dtype),
    )
    return f"| {' | '.join(cells)} |"


def rows() -> Iterator[str]:
    ours = [one for one in entries() if one.band is not None and one.dtype is not None]
    dtypes = list(dict.fromkeys(one.dtype for one in ours))
    for dtype in dtypes:
        for one in sorted((one for one in ours if one.dtype == dtype), key=lambda one: one.matmuls):
            table = polydesign.load(one.path)
            yield row(table, str(dtype), table.schedule.interval[0], table.schedule.error)
        for name in PUBLISHED:
            table = polydesign.load(name)
            yield row(table, str(dtype), *band(table))


def page(text: str) -> str:
    """The page with the table as the files have it."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{HEAD}" + "\n".join(rows()) + f"\n\n{END}{rest.split(END)[1]}"


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="Compare only.")
def main(check: bool) -> None:
    text = PAGE.read_text("utf-8")
    if check:
        sys.exit(0 if page(text) == text else f"{PAGE} is not what the files say")
    write_atomically(PAGE, page(text))


if __name__ == "__main__":
    main()

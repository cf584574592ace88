"""Write the tables of docs/safety.md from what the files of coeffs/ say was tried (scripts/try_coeffs.py).

python scripts/figures/safety_page.py            write them
python scripts/figures/safety_page.py --check    write nothing; exit 1 where the page says something else
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from polydesign.model import DTYPES, LOOPS, STANDINGS, Table, Trial
from polydesign.program.cost import matmuls_of
from polydesign.text.files import write_atomically
from polydesign.text.numbers import number

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "safety.md"
BEGIN, END = "<!-- tables: scripts/figures/safety_page.py -->", "<!-- end of tables -->"


def cell(trials: Iterable[Trial]) -> str:
    """Blown up, lost, worst."""
    found = list(trials)
    if not found:
        return "–"
    worst = [one.worst for one in found]
    farthest = "not finite" if None in worst else f"{max(w for w in worst if w is not None):.3g}"
    return f"{sum(one.blown for one in found)} / {sum(one.lost for one in found)} / {farthest}"


def row(table: Table, dtype: str) -> str:
    """Of a family, what was tried of all its members."""
    tables = (table, *table.members)
    trials = [trial for one in tables for trial in one.tried if trial.dtype == dtype]
    tried = sum(one.tried for one in trials)
    loops = (cell(one for one in trials if one.loop == loop) for loop in LOOPS)
    cells = (
        f"`{table.name}`",
        DTYPES[dtype],
        str(matmuls_of(table)),
        number(table.schedule.error, 3, up=True),
        f"{tried:.2g}" if tried else "0",
        *loops,
        max((one.standing(dtype) for one in tables), key=STANDINGS.index),
    )
    return f"| {' | '.join(cells)} |"


def markdown(found: Iterable[tuple[Table, Iterable[str]]]) -> str:
    """A table of those that come with the package, and one of published ones."""
    head = f"| table | precision | products | proved | tried | {' | '.join(LOOPS)} | |\n"
    head += "|---|---|---:|---:|---:|" + "---:|" * len(LOOPS) + "---|\n"
    parts: dict[bool, list[str]] = {False: [], True: []}
    for table, dtypes in found:
        parts[table.provenance.source is not None] += [row(table, dtype) for dtype in dtypes]
    titles = {False: "Tables of this package", True: "Published tables"}
    return "\n\n".join(f"### {titles[key]}\n\n{head}" + "\n".join(rows) for key, rows in parts.items())


def page(text: str) -> str:
    """The page with the tables as the files have them."""
    tables = runpy.run_path(str(ROOT / "scripts" / "try_coeffs.py"))["tables"]((), proving=False)
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n\n{markdown((table, dtypes) for _, table, dtypes in tables)}\n\n{END}{after}"


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="Compare only.")
def main(check: bool) -> None:
    text = PAGE.read_text("utf-8")
    if check:
        sys.exit(0 if page(text) == text else f"{PAGE} is not what the files say")
    write_atomically(PAGE, page(text))


if __name__ == "__main__":
    main()

"""Time the inventory of a folder of 500 synthetic files, of which one in ten holds a table.

Prints the seconds of processor time of REPEATS runs, and where they are spent.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click

from polydesign.identification import inventory
from polydesign.table.published import names, published
from polydesign.verification.machine import machine

REPEATS = 3
COUNT = 500
TABLE_IN = 10

FILLER = '''def step_{i}(x, scale=-0.5):
    """Some code, with numbers that are no table."""
    window = [1.0, -2.0, 1.0]
    return [scale * value + {i} for value in window if value > -{i}.25]
'''
LAYOUTS = {
    "py": "import math\n\nCOEFFS = {rows!r}\n",
    "yaml": "muon:\n  lr: 0.02\n  ns_coeffs: {lists!r}\n",
    "toml": "[muon]\nns_coeffs = {lists!r}\n",
    "md": "# Coefficients\n\n```python\ncoeffs = {rows!r}\n```\n",
    "cu": "__constant__ float NS[{count}][3] = {braces};\n",
}


def fill(folder: Path) -> int:
    """Write the files, and return how many hold a table."""
    tables = [list(published(name).rows) for name in names() if len(published(name).rows[0]) == 3]
    suffixes = list(LAYOUTS)
    tabled = 0
    for i in range(COUNT):
        suffix, text = suffixes[i % len(suffixes)], ""
        if suffix == "py":
            text = "\n\n".join(FILLER.format(i=i + j) for j in range(40))
        if i % TABLE_IN < 1 or (i // len(suffixes)) % (2 * TABLE_IN) == 0:
            rows = tables[i % len(tables)]
            lists = [list(row) for row in rows]
            braces = repr(lists).replace("[", "{").replace("]", "}")
            text += LAYOUTS[suffix].format(rows=rows, lists=lists, braces=braces, count=len(rows))
            tabled += 1
        (folder / f"file_{i}.{suffix}").write_text(text, "utf-8")
    return tabled


@click.command(help=__doc__)
def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        tabled = fill(Path(place))
        size = sum(path.stat().st_size for path in Path(place).iterdir())
        click.echo(f"{COUNT} files, {size / 1e6:.1f} MB, {tabled} with a table; {machine()}")
        for _ in range(REPEATS):
            start, wall = time.process_time(), time.perf_counter()
            found = inventory(Path(place))
            seconds = time.process_time() - start
            click.echo(
                f"{seconds:.2f} s of processor time, {time.perf_counter() - wall:.2f} s; "
                f"{len(found.sightings)} tables"
            )


if __name__ == "__main__":
    main()

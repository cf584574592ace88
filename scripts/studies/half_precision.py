"""Error against products in half precision: published schedules, our earlier tables, ours, and the limit.

python scripts/studies/half_precision.py EARLIER

EARLIER is a folder of tables as an earlier version shipped them; those of 2026-11-22, before rounding that
agrees was known to blow tables up, come from `git archive 9e3060b9 coeffs | tar -x -C EARLIER --strip 1`.

Every schedule for the sign of at most 24 products is run on every spectrum of verify but those of zero, tiny
and huge matrices, 128 x 256, divided by the Frobenius norm; of spectra of many matrices every fourth is
taken. `worst` is the largest |sigma - 1| of any singular value of at least 1e-3 of that norm, whatever
interval the schedule was made for; null where a result is not finite. Published schemes that are no powers of
A are left out, and so is what divides by another norm. `standing` is what became of the table in trials
(docs/safety.md): of published ones and ours as their files say, of earlier ones as polydesign/earlier.json
says. Writes figures/half_precision.json, and draws figures/half_precision.
"""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import click
import torch

import polydesign
from polydesign.approximation.scalar import schedule_from
from polydesign.model import HALF, Table
from polydesign.program.cost import matmuls_of
from polydesign.search.limits import limit
from polydesign.table.catalogue import catalogue
from polydesign.table.published import names, published
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine
from polydesign.verification.spectra import ALL_SPECTRA, Sample, sample
from polydesign.verification.sweep import measure

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "figures" / "half_precision.json"
PICTURE = str(ROOT / "scripts" / "figures" / "half_precision_figure.py")
INTERVAL, MOST = (1e-3, 1.0), 24
SPECTRA = tuple(name for name in ALL_SPECTRA if name.split(":")[0] not in ("zero", "tiny", "huge"))
SHAPE = (128, 256)


Case = tuple[Table, str, str]
"""A table, the precision that it runs in, and its standing there."""


def published_tables() -> Iterator[Case]:
    for name in names():
        entry = published(name)
        if entry.purpose == "sign" and entry.root == 2 and not (entry.misprint or entry.scheme):
            table = polydesign.load(name)
            if table.normalization == "frobenius":
                schedule = schedule_from(2, entry.steps_run(), INTERVAL)
                on = replace(table, schedule=schedule, certificate=None, measured=(), tried=())
                yield from ((on, dtype, table.standing(dtype)) for dtype in HALF)


def own(tables: Iterable[Table], unsafe: frozenset[str] = frozenset()) -> Iterator[Case]:
    """For the sign from 1e-3 on, made for a half precision. unsafe: digests of what is known to blow up."""
    for table in tables:
        schedule = table.schedule
        usual = (table.purpose, table.normalization, table.form) == ("sign", "frobenius", "direct")
        if usual and table.dtype in HALF and schedule.interval == INTERVAL:
            yield table, table.dtype, "unsafe" if table.digest in unsafe else table.standing()


@cache
def samples() -> dict[str, Sample]:
    found = {}
    for name in SPECTRA:
        known = sample(name, SHAPE, lower=INTERVAL[0])
        few = slice(None, None, 4)
        found[name] = Sample(name, known.matrix[few], known.U[few], known.sigma[few], known.V[few])
    return found


def measured(table: Table, dtype: str, standing: str) -> dict[str, Any]:
    worst: dict[str, float | None] = {}
    for spectrum, known in samples().items():
        worst[spectrum] = measure(table, dtype=dtype, matrix=known).worst
    lost = [name for name, error in worst.items() if error is None]
    most = max(worst, key=lambda name: worst[name] or 0.0)
    return {
        "name": table.name,
        "dtype": dtype,
        "products": matmuls_of(table),
        "exact": table.schedule.error,
        "worst": None if lost else worst[most],
        "spectrum": lost[0] if lost else most,
        "standing": standing,
    }


@click.command(help=__doc__)
@click.argument("earlier", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", type=Path, default=OUTPUT, help="[default: figures/half_precision.json]")
def main(earlier: Path, output: Path) -> None:
    known = json.loads((ROOT / "polydesign" / "earlier.json").read_text("utf-8"))
    blown = frozenset(entry["digest"] for entry in known)
    groups = {
        "published": published_tables(),
        "before": own((polydesign.load(path) for path in sorted(earlier.glob("*.json"))), blown),
        "ours": own(polydesign.load(name) for name in catalogue() if name not in names()),
    }
    body: dict[str, Any] = {
        "machine": machine(),
        "torch": torch.__version__,
        "shape": SHAPE,
        "spectra": SPECTRA,
        "limit": [[m, limit(m, INTERVAL[0]).error] for m in range(6, MOST + 1)],
    }
    for group, tables in groups.items():
        rows = body[group] = []
        for case in tables:
            if matmuls_of(case[0]) <= MOST:
                rows.append(measured(*case))
                click.echo(f"{group}: {rows[-1]}", err=True)
    write_atomically(output, json.dumps(body, indent=1, allow_nan=False) + "\n")
    picture = runpy.run_path(PICTURE)
    click.echo(picture["markdown"](body))
    picture["figure"](body, output.parent)


if __name__ == "__main__":
    main()

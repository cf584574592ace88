"""Certify every shipped table and every published schedule; print error, price and time of each.

Writes figures/certificates.json. Where a source names no interval the schedule is looked at on [1e-3, 1].
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

import click

import polydesign
from polydesign.approximation.certificate import certify, ratio_to_optimum
from polydesign.approximation.enclosure import _critical_points
from polydesign.approximation.remez import solved
from polydesign.designer.design import published_table
from polydesign.model import Certificate, Schedule
from polydesign.table.catalogue import ADAPTIVE_FOLDER, shipped
from polydesign.table.published import names
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "certificates.json"
REPEATS = 5


def short(value: str | None) -> str:
    return "-" if value is None else f"{float(value):.6g}"


def timed(schedule: Schedule) -> tuple[Certificate, float]:
    """The certificate, and the median of REPEATS times without what earlier ones left in caches."""
    found = []
    for _ in range(REPEATS):
        _critical_points.cache_clear()
        solved.cache_clear()
        start = time.perf_counter()
        certificate = certify(schedule)
        found.append((time.perf_counter() - start, certificate))
    return found[0][1], statistics.median(seconds for seconds, _ in found)


@click.command(help=__doc__)
def main() -> None:
    folders = (shipped(), shipped() / ADAPTIVE_FOLDER)
    tables = [polydesign.load(path) for folder in folders for path in sorted(folder.glob("*.json"))]
    tables += [published_table(name) for name in names()]
    rows = []
    width = max(len(table.name) for table in tables)
    click.echo(f"{'table':{width}}  steps  error         optimum       ratio      safe edge  ms")
    for table in tables:
        certificate, seconds = timed(table.schedule)
        assert certificate.optimum is not None
        ratio = ratio_to_optimum(certificate)[1]
        edge = certificate.safe_edge[0] if certificate.safe_edge else None
        row = {
            "name": table.name,
            "source": table.provenance.source,
            "interval": list(table.schedule.interval),
            "interval_from": table.provenance.parameters.get("interval", "the design"),
            "steps": len(table.schedule.steps),
            "error": list(certificate.error),
            "optimum": list(certificate.optimum),
            "ratio": f"{ratio:.15g}",
            "safe_edge": certificate.safe_edge,
            "basin_edge": certificate.basin_edge,
            "median_ms": 1e3 * seconds,
        }
        rows.append(row)
        click.echo(
            f"{table.name:{width}}  {row['steps']:5d}  {short(certificate.error[1]):12}  "
            f"{short(certificate.optimum[1]):12}  {ratio:<9.4g}  {short(edge):9}  {row['median_ms']:.0f}"
        )
    click.echo(f"{len(rows)} certified, {sum(row['median_ms'] for row in rows) / 1e3:.2f} s")
    write_atomically(OUTPUT, json.dumps({"machine": machine(), "tables": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()

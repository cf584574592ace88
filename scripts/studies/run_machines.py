"""The tests of matrices and optimizers with other machines' kernels: a row a setting, a table at the end.

python scripts/studies/run_machines.py                 all rows, seeds 0 to 4
python scripts/studies/run_machines.py --row slowest   that one
python scripts/studies/run_machines.py --cases 4       of each test function four cases; pytest gets it

Exits with 1 where a test fails in any row. Rows that the processor lacks are named and skipped.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

import click
from machines import ROWS, Row

ROOT = Path(__file__).resolve().parents[2]

MARKED = "(numerics or kernels) and not alike"


def marked() -> list[str]:
    """The files of such tests: to import all others took a third of the collection."""
    marks = re.compile(r"\bmark\.(numerics|kernels)\b")
    paths = sorted((ROOT / "tests").glob("test_*.py"))
    return [str(path.relative_to(ROOT)) for path in paths if marks.search(path.read_text("utf-8"))]


def run(row: Row, seeds: int, arguments: tuple[str, ...], folder: Path) -> tuple[int, int, list[str]]:
    """How many tests ran and were skipped in this row, and the names of those that failed."""
    report = folder / "report.xml"
    report.unlink(missing_ok=True)
    # More threads than cores wait for each other, four times as long and more.
    workers = max(1, (os.cpu_count() or 1) // int(row.variables()["OMP_NUM_THREADS"]))
    command = ["-m", "pytest", "-n", str(workers), "--dist", "worksteal", "-q", "--no-header", "--tb=short"]
    command += ["-m", MARKED, "--kernels", "--seeds", str(seeds), f"--junitxml={report}"]
    if not any((ROOT / argument.partition("::")[0]).exists() for argument in arguments):
        command += marked()
    # Code that inductor has built for other instructions does not build again.
    environment = row.variables() | {"TORCHINDUCTOR_CACHE_DIR": str(folder / row.name.replace(" ", "-"))}
    done = subprocess.run([sys.executable, *command, *arguments], cwd=ROOT, env=environment, check=False)
    if not report.exists():
        return 0, 0, [f"pytest ended with {done.returncode}"]
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    failed = [
        f"{case.get('classname')}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]
    if done.returncode and not failed:
        failed = [f"pytest ended with {done.returncode}"]
    return len(cases), sum(case.find("skipped") is not None for case in cases), failed


@click.command(help=__doc__, context_settings={"ignore_unknown_options": True})
@click.option("--row", "chosen", multiple=True, type=click.Choice([row.name for row in ROWS]))
@click.option(
    "--seeds", type=click.IntRange(min=1), default=5, help="So many seeds from 0; 5 is the default."
)
@click.argument("arguments", nargs=-1)
def main(chosen: tuple[str, ...], seeds: int, arguments: tuple[str, ...]) -> None:
    lines, all_failed = [], False
    with tempfile.TemporaryDirectory() as name:
        for row in [row for row in ROWS if not chosen or row.name in chosen]:
            lacking = row.lacking()
            if lacking:
                lines.append(f"| {row.name} | skipped: {lacking} | | | |")
                continue
            click.echo(f"{row.name}: {' '.join(f'{k}={v}' for k, v in row.environment.items())}", err=True)
            start = time.monotonic()
            count, skipped, failed = run(row, seeds, arguments, Path(name))
            all_failed = all_failed or bool(failed)
            seconds = time.monotonic() - start
            lines.append(
                f"| {row.name} | {count} | {skipped} | {'<br>'.join(failed) or 'none'} | {seconds:.0f} |"
            )
    click.echo(
        "\n".join(["| row | tests | skipped | failed | seconds |", "|---|---:|---:|---|---:|", *lines])
    )
    sys.exit(all_failed)


if __name__ == "__main__":
    main()

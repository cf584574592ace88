"""polydesign sweep: many problems from a file, solved in parallel."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polydesign.cli.progress import progress

if TYPE_CHECKING:
    from polydesign.designer.sweeping import Outcome


@click.command(short_help="Design tables for a grid of problems, in parallel.")
@click.argument("problems", metavar="PROBLEMS.toml")
@click.option(
    "-o", "--output", required=True, metavar="DIR", help="Folder of the tables, and of sweep.jsonl."
)
@click.option("--jobs", type=click.IntRange(1), help="Processes.  [default: one a core]")
@click.option(
    "--backend",
    type=click.Choice(("loky", "dask")),
    default="loky",
    show_default=True,
    help="loky: processes here. dask: a cluster.",
)
@click.option(
    "--address", metavar="tcp://HOST:PORT", help="Of a Dask scheduler.  [default: a cluster is started here]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes, one line of JSON each.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def sweep(
    problems: str,
    output: str,
    jobs: int | None,
    backend: str,
    address: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Design a table for every problem of a TOML or JSON file and write it into DIR.

    Keys are the options of `polydesign search` with _ for -, and lists are tried one after the other:

    \b
      degree = [5, 9]             lower = 1e-3
      steps = [4, 5, 6]           dtype = ["bfloat16", "float32"]

    are twelve problems; degree = [[5, 9, 9]] is one degree a step, and [[grid]] begins a grid of its own,
    with the keys above it for all. A problem that fails does not stop the others. Run again, after Ctrl-C
    too, it goes on where it was: what is in DIR is kept. Exit code 1 where a problem failed.

    \b
    Examples:
      polydesign sweep problems.toml -o tables
      polydesign sweep problems.toml -o tables --backend dask --address tcp://head:8786
    """
    from polydesign.designer.sweeping import read_problems
    from polydesign.designer.sweeping import sweep as swept
    from polydesign.text.files import check_place

    asked = read_problems(problems)
    check_place(Path(output, "sweep.jsonl"))
    with progress(quiet=quiet, text="designing") as advance:
        advance(0, len(asked))
        outcomes = swept(
            asked,
            output,
            jobs=jobs,
            backend=backend,
            address=address,
            progress=advance,
        )
    if as_json:
        for outcome in outcomes:
            click.echo(json.dumps(asdict(outcome), ensure_ascii=False))
    elif not quiet:
        _report(outcomes, output)
    if any(outcome.failure for outcome in outcomes):
        raise SystemExit(1)


def _report(outcomes: list[Outcome], folder: str) -> None:
    named = [outcome for outcome in outcomes if outcome.table is not None]
    width = max((len(str(outcome.table)) for outcome in named), default=0)
    for outcome in sorted(named, key=lambda o: (o.matmuls, o.error)):
        click.echo(f"{outcome.table:{width}}  products {outcome.matmuls:3d}  error {outcome.error:.3g}")
    for outcome in outcomes:
        if outcome.failure:
            click.echo(f"FAILED: {json.dumps(outcome.problem)}: {outcome.failure}", err=True)
    click.echo(f"{len(named)} of {len(outcomes)} problems have a table in {folder}")

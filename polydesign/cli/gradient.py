"""Options and words of the gradient search, polydesign search --method adam."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polydesign.model import METHODS, InputError

if TYPE_CHECKING:
    from polydesign.model import Table

_OPTIONS = (
    click.option(
        "--method",
        type=click.Choice(METHODS),
        default="equioscillation",
        show_default=True,
        help="Best for the worst case, or by gradients for an --objective.",
    ),
    click.option("--objective", help="topk:50, sup, mean-square:LAW, slope:0.3, or a sum.  [topk:50]"),
    click.option("--iterations", type=int, help="Of adam.  [default: 20000]"),
    click.option("--rate", type=float, help="Learning rate of adam, a tenth after 10000.  [default: 1e-3]"),
    click.option(
        "--start", help="minimax, classical, random, youjiacheng, a published table, a file.  [minimax]"
    ),
    click.option("--shared", is_flag=True, default=None, help="One polynomial for all steps."),
    click.option("--restarts", type=int, help="Starts run as one batch; the best counts.  [default: 1]"),
    click.option("--perturbation", type=float, help="Average gradients over shifts by this.  [default: 0]"),
    click.option("--parameters", help="coefficients, or fixed-points, which keeps p(1) = 1."),
    click.option("--polish/--no-polish", default=None, help="Linear programs after adam, where they apply."),
    click.option("--seed", type=int, help="Of random starts and restarts.  [default: 0]"),
    click.option("--timeout", type=float, help="Seconds of adam; the best so far is then polished."),
    click.option("--resume", help="A table of an earlier --method adam that goes on."),
    click.option("--trajectory", help="Write the way down: .csv, or a figure, .png or .svg."),
)

SETTINGS = (
    *("objective", "iterations", "rate", "start", "shared", "restarts", "perturbation", "parameters"),
    *("polish", "seed", "timeout", "resume", "trajectory"),
)


def gradient_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with the options of the gradient search."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@contextmanager
def watched(
    keywords: dict[str, Any], output: str | None, force: bool, quiet: bool
) -> Iterator[dict[str, Any]]:
    """The keywords of design, without settings that were not given, and with a progress bar on a terminal.

    Raises InputError for a setting of adam given to another method, and, before a search that may take long,
    where its output is there already.
    """
    kept = {key: value for key, value in keywords.items() if key not in SETTINGS or value is not None}
    if kept["method"] != "adam":
        for key in SETTINGS:
            if key in kept:
                raise InputError(key, "is a setting of --method adam only")
        yield kept
        return
    if output and output != "-" and Path(output).exists() and not force:
        raise InputError("output", f"{output} exists; choose another, or replace it with --force")
    if quiet or not sys.stderr.isatty():
        yield kept
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting")

        def watch(done: int, total: int, current: float, best: float) -> None:
            bar.update(task, completed=done, total=total, description=f"now {current:.6g}, best {best:.6g}")

        yield kept | {"watch": watch}


def by_gradient(table: Table) -> bool:
    return table.provenance.strategy == "adam"


def free_place(table: Table, path: Path, force: bool) -> Path:
    """The path, or for a table found by gradients path-2, path-3, …: what took long must find a place."""
    if force or not by_gradient(table):
        return path
    from polydesign.table import dumps

    for number in itertools.count(2):
        if not path.exists() or path.read_text("utf-8") == dumps(table):
            break
        path = path.with_name(f"{table.name}-{number}.json")
    return path


def searched(table: Table) -> str:
    """What the summary says of the search in place of the safety."""
    p = table.provenance.parameters
    return (
        f"objective {p['objective']} = {p['value']:.9g}; its start, {p['start']}, has {p['start_value']:.9g} "
        f"({p['iterations_done']} iterations, seed {table.provenance.seed})"
    )


def rounding_price(table: Table) -> str:
    """What the grid costs the objective; a factor says nothing of a slope, which counts as its logarithm."""
    p = table.provenance.parameters
    value, unrounded = p["value"], p["unrounded_value"]
    price = f"{value - unrounded:+.5g}"
    if unrounded > 1e-300 and "slope" not in p["objective"]:
        price = f"{value / unrounded:.5g} times that"
    return f"rounding  to {p['round']}: {value:.9g}; without it {unrounded:.9g}; the price is {price}"


def unfinished(table: Table, path: str) -> str | None:
    """What to say of a search that was cut short."""
    p = table.provenance.parameters
    if p.get("stopped", "done") == "done":
        return None
    why = "the time was over" if p["stopped"] == "timeout" else "interrupted"
    low, high = table.schedule.interval
    for flag, value, default in (
        ("root", table.schedule.root, 2),
        ("lower", low, 1e-3),
        ("upper", high, 1.0),
        ("normalization", table.normalization, "frobenius"),
    ):
        path += "" if value == default else f" --{flag} {value}"
    hastily = ", rounded without moving later steps" if "round" in p else ""
    return (
        f"{why} after {p['iterations_done']} of {p['iterations']} iterations; this is the best "
        f"so far{hastily}, and --method adam --resume {path} goes on"
    )

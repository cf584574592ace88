"""Options and words of the budget search, polydesign search --matmuls N."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polydesign.cli.gradient import SETTINGS as OF_ADAM
from polydesign.cli.measure import Shape
from polydesign.model import InputError

if TYPE_CHECKING:
    from polydesign.model import Table

_OPTIONS = (
    click.option("--matmuls", type=click.IntRange(1), help="Find the best degrees for so many products."),
    click.option("--shape", type=Shape(), help="Of the matrices that a budget is for.  [default: 512x1024]"),
    click.option(
        "--form",
        type=click.Choice(("direct", "gram", "auto", "coupled")),
        help="Form that a budget is for; auto: direct or gram; coupled: roots.  [default: by root]",
    ),
    click.option(
        "--symmetric",
        type=float,
        metavar="PART",
        help="With --method budget --error: cost of a symmetric product, 0.5 or 1, counted by shape.",
    ),
    click.option("--costs", metavar="FILE", help="The same in seconds: what bench --calibrate FILE wrote."),
    click.option(
        "--measure/--no-measure", default=None, help="Measure a budget's best candidates.  [default: measure]"
    ),
)

SETTINGS = ("matmuls", "shape", "form", "symmetric", "costs", "measure")


def budget_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with the options of the budget search."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def asks_for_budget(keywords: dict[str, Any]) -> bool:
    return keywords["method"] == "budget" or (
        keywords["method"] == "equioscillation" and keywords["matmuls"] is not None
    )


def without_budget(keywords: dict[str, Any]) -> dict[str, Any]:
    """The keywords of another method; raises InputError for a setting of the budget search among them."""
    for key in SETTINGS:
        if keywords[key] is not None:
            raise InputError(key, "is a setting of the budget search: give --matmuls or --method budget")
    return {key: value for key, value in keywords.items() if key not in SETTINGS}


@contextmanager
def proposing(
    keywords: dict[str, Any], output: str | None, force: bool, quiet: bool
) -> Iterator[dict[str, Any]]:
    """The keywords of design for a budget, with a progress bar on a terminal.

    Raises InputError for a setting of adam, and, before the search, where its output is there already.
    """
    ours = (*SETTINGS, "seed")
    for key in OF_ADAM:
        if key not in ours and keywords.get(key) is not None:
            raise InputError(key, "is a setting of --method adam only")
    kept = {
        key: value
        for key, value in keywords.items()
        if key not in OF_ADAM + SETTINGS or (key in ours and value is not None)
    }
    kept["method"] = "budget"
    if output and output != "-" and Path(output).exists() and not force:
        raise InputError("output", f"{output} exists; choose another, or replace it with --force")
    if quiet or not sys.stderr.isatty():
        yield kept
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("searching", total=None)

        def watch(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description="measuring")

        yield kept | {"watch": watch}


def by_budget(table: Table) -> bool:
    return table.provenance.strategy == "budget"


def spent(table: Table) -> str:
    """What the summary says of the choice, under the safety."""
    p = table.provenance.parameters
    if p.get("exact"):
        return "budget    the best sequence of degrees in exact arithmetic, without headroom or cushion"
    where = f"in {p['dtype']}, {p['form']} form"
    if p.get("restarts") is not None:
        where += f" with restarts {p['restarts']}"
    cost = "" if p["cost_unit"] == "products" else f"; cost {p['cost']:.4g} {p['cost_unit']}"
    if "measured" not in p:
        return (
            f"budget    the model expects {p['expected']:.3g} {where}{cost}; nothing was measured, run "
            "polydesign verify"
        )
    shape = "x".join(map(str, p["measured_shape"]))
    return (
        f"budget    at most {p['measured']:.3g} measured {where}, {shape}, "
        f"{len(p['measured_spectra'])} spectra, the best of {p['candidates']} candidates{cost}"
    )

"""polydesign search: from a degree and a number of steps to a table in a file."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import ROUND_CEILING, ROUND_FLOOR
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import click

from polydesign.cli.strategies import NumberList, Search
from polydesign.model import DTYPES, NORMALIZATIONS, PURPOSES, InputError
from polydesign.text.digits import in_digits

if TYPE_CHECKING:
    from polydesign.designer.strategy import Strategy
    from polydesign.model import Schedule, Table


# From experiment: degree 17 in float16 rounds by up to 80 times its headroom (Chebyshev) and holds, degree
# 13 in powers of A in float32 by 90 times and does not. Degree 9 in bfloat16 rounds by up to 0.5 and holds,
# degree 17 by up to 2.8 and holds on most matrices, but not on blocks of equal entries: roundings add up.
_ROUNDING_PER_ROOM = 85
_MOST_ROUNDING = 1


class LowerEnd(click.ParamType):
    """A number, or the word min."""

    name = "number|min"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return value if value == "min" else click.FLOAT.convert(value, param, ctx)


@click.command(cls=Search, short_help="Design a schedule and write it as a table.")
@click.option(
    "--degree",
    type=NumberList(int),
    help="One, or one a step; for a budget, those it may use.  [default: 5; all of them for a budget]",
)
@click.option("--steps", type=int, help="How many steps of one degree.")
@click.option("--error", type=float, help="Reach this error with the fewest steps, in place of --steps.")
@click.option(
    "--band",
    type=float,
    help="End within so much of 1, from the smallest l that --matmuls, or --degree and --steps, can.",
)
@click.option("--root", type=int, default=2, show_default=True, help="2 = sign, 1 = inverse, 4 = ^(-1/4).")
@click.option(
    "--lower",
    type=LowerEnd(),
    default=1e-3,
    show_default=True,
    help="l of the interval [l, u]; min: the smallest for --error and --steps or --matmuls.",
)
@click.option("--upper", type=float, default=1.0, show_default=True, help="u of the interval [l, u].")
@click.option(
    "--dtype",
    help=f"Precision it will run in; sets the safety below: {', '.join(DTYPES)}.  [default: bfloat16]",
)
@click.option(
    "--normalization",
    type=click.Choice(NORMALIZATIONS),
    default="frobenius",
    show_default=True,
    help="What the input is divided by when it runs.",
)
@click.option(
    "--purpose",
    type=click.Choice(tuple(PURPOSES)),
    help="root: a schedule of root 2 is for P^(-1/2), not for signs.  [default: what root and method say]",
)
@click.option(
    "--timeout",
    type=float,
    help="Seconds, after which the best so far is written, and said to be that; Ctrl-C does the same.",
)
@click.option("--fresh", is_flag=True, help="Search again, though the result is known from before.")
@click.option("--name", help="Name of the table.  [default: made from the parameters]")
@click.option(
    "-o", "--output", help="File or folder/, or - for standard output.  [default: coeffs/NAME.json]"
)
@click.option("--force", is_flag=True, help="Replace a different file.")
@click.option("--certify/--no-certify", default=True, help="Prove the error, or only sample it.")
@click.option("--json", "as_json", is_flag=True, help="Print the table's JSON in place of the summary.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def search(output: str | None, force: bool, as_json: bool, quiet: bool, **keywords: Any) -> None:
    """Design the best schedule of steps of these degrees and write it as a JSON table.

    Without --headroom, --cushion and --image-floor the precision chooses them, so that the schedule
    survives its rounding, and the summary says what that costs; --headroom 1 --cushion 0 is the optimum.
    With --matmuls the search also finds the degrees, and measures candidates in the precision.

    \b
    Examples:
      polydesign search --degree 5 --steps 6
      polydesign search --degree 5 --steps 6 --headroom 1 --cushion 0
      polydesign search --degree 5 --error 1e-3 --dtype float16
      polydesign search --root 4 --degree 9 --steps 3 --lower 0.1 --dtype float32
      polydesign search --degree 5 --steps 6 --round 1/1024
      polydesign search --band 0.3 --matmuls 12 --dtype bf16
      polydesign search --band 0.3 --degree 5 --steps 5
      polydesign search --matmuls 15 --dtype bfloat16 --shape 1024x4096
      polydesign search --matmuls 15 --headroom 1
      polydesign search --method budget --error 0.02 --shape 1024x4096 --symmetric 0.5 --form auto
      polydesign search --steps 6 --method adam --objective topk:50
      polydesign search --steps 6 --method adam --round bf16
    """
    from polydesign.designer.design import design
    from polydesign.designer.methods import METHODS, method_of
    from polydesign.table import dumps
    from polydesign.table.catalogue import shipped_name
    from polydesign.text.files import check_place, is_folder, place

    # A list of one number is that number.
    keywords = {k: v[0] if isinstance(v, tuple) and len(v) == 1 else v for k, v in keywords.items()}
    strategy = METHODS[method_of(keywords["method"], keywords)]
    file = bool(output) and not is_folder(str(output))
    if strategy.takes_long and output and output != "-" and file and Path(output).exists() and not force:
        raise InputError("output", f"{output} exists; choose another, or replace it with --force")
    if output != "-":
        check_place(place(output or "coeffs/", "table.json"))
    reasons: list[str] = []
    with _waiting(quiet) as told:
        table = design(**keywords, **told, cut_short=reasons.append)
    if output == "-":
        click.echo(dumps(table), nl=False)
        _warn([strategy.unfinished(table, why, output) for why in reasons])
        return
    path = place(output or "coeffs/", f"{table.name}.json")
    # What is cut short cannot be found once more.
    elsewhere = bool(reasons) or (strategy.takes_long and not file)
    places = _places(path) if elsewhere and not force else [path]
    try:
        path, written = _saved(table, places, force)
    except OSError as problem:
        raise OSError(problem.errno, _kept(table, problem), problem.filename) from problem
    if as_json:
        click.echo(dumps(table), nl=False)
    elif not quiet:
        same = shipped_name(table.digest) if strategy.takes_long else None
        if same is not None:
            click.echo(f"Note: this is the same table as {same}, which comes with the package", err=True)
        click.echo(_summary(table, strategy))
        click.echo(f"wrote {path}" if written else f"{path} holds this table already; left as it is")
    cut_short = [strategy.unfinished(table, why, str(path)) for why in reasons]
    _warn(cut_short + _zeros(table) + _warnings(table, keywords["dtype"] or "bfloat16"))


search.output = ("name", "output", "force", "certify", "as_json", "quiet")


@contextmanager
def _waiting(quiet: bool) -> Iterator[dict[str, Any]]:
    """On a terminal a bar, as callables for `design` that are told what is being done and how far it is."""
    if quiet or not sys.stderr.isatty():
        yield {} if quiet else _telling(lambda words: click.echo(words, err=True))
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=12), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("designing", total=None)

        def watch(done: int, total: int, *values: float) -> None:
            bar.update(task, completed=done, total=total)
            words = zip(("now", "best"), values, strict=False)
            what = ", ".join(f"{word} {value:.6g}" for word, value in words)
            if what:
                bar.update(task, description=f"{done}/{total}: {what}")

        def doing(words: str) -> None:
            bar.update(task, description=words)

        def above(words: str) -> None:
            bar.console.print(words, highlight=False, markup=False, soft_wrap=True)

        yield {"watch": watch, "doing": doing, **_telling(above)}


def _telling(say: Callable[[str], None]) -> dict[str, Callable[[str], None]]:
    """What is said of tables that are there already."""
    return {"known": lambda name: say(_known(name)), "recalled": lambda where: say(_recalled(where))}


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        click.echo(f"Warning: {warning}", err=True)


def _places(path: Path) -> Iterator[Path]:
    """The path, then path-2, path-3, …: what took long must find a place."""
    yield path
    yield from (path.with_name(f"{path.stem}-{i}.json") for i in itertools.count(2))


def _saved(table: Table, places: Iterable[Path], force: bool) -> tuple[Path, bool]:
    """Where the table is now, the first place that holds nothing else, and whether it was written."""
    from polydesign.table import save

    taken = None
    for path in places:
        try:
            return path, save(table, path, force=force)
        except InputError as problem:
            taken = problem
    assert taken is not None
    raise taken


def _known(name: str) -> str:
    return (
        f"Note: this search has found {name}, which comes with the package: polydesign show {name} has it at "
        "once; searching again"
    )


def _recalled(where: str) -> str:
    return f"Note: this search was made before, and its result is that of {where}; --fresh searches again"


def _kept(table: Table, problem: OSError) -> str:
    """What to say of a place that cannot be written after all; the table is kept elsewhere, if it can be."""
    from polydesign.table import save

    folder = Path(mkdtemp(prefix="polydesign-"))
    other = folder / f"{table.name}.json"
    try:
        save(table, other)
    except OSError:
        rmtree(folder, ignore_errors=True)
        return problem.strerror or str(problem)
    return f"{problem.strerror}; the table is in {other}"


def _summary(table: Table, strategy: type[Strategy]) -> str:
    from polydesign.program.cost import matmuls_of

    schedule = table.schedule
    low, high = schedule.interval
    lines = [
        f"{table.name}: root {schedule.root}, {len(schedule.steps)} steps, "
        f"{matmuls_of(table)} matrix products, [{low:g}, {high:g}]{_evaluation(schedule)}",
        f"error     {_how(table)}",
        *strategy.summary(table),
        "",
        "step degree  max |p(x) - 1|  coefficients of q, increasing powers",
    ]
    for index, step in enumerate(schedule.steps, start=1):
        numbers = ", ".join(f"{c!r}" for c in step.coefficients)
        if step.long:  # rounded, they are those of another polynomial
            count = len(step.program.constants)
            numbers = f"of order {max(map(abs, step.coefficients)):.0e}: what runs are {count} constants"
        lines.append(f"{index:4d} {step.degree:6d}  {step.half_width:<14.9g}  {numbers}")
    return "\n".join(lines)


def _evaluation(schedule: Schedule) -> str:
    """Which steps are not computed in powers of A, where there are any."""
    found = ""
    for evaluation in sorted({step.evaluation for step in schedule.steps} - {"monomial"}):
        which = [str(i) for i, step in enumerate(schedule.steps, start=1) if step.evaluation == evaluation]
        found += f", {evaluation}"
        found += "" if len(which) == len(schedule.steps) else f" in step {', '.join(which)}"
    return found


def _how(table: Table) -> str:
    certificate = table.certificate
    assert certificate is not None
    error = in_digits(certificate.error[1], 9, ROUND_CEILING)
    if certificate.kind == "sampled":
        return f"{error} = max |f(x) - 1|, from the solver and sampled, not proved"
    proved = f"max |f(x) - 1| <= {error}, proved"
    if certificate.safe_edge is None:
        return proved
    return f"{proved}; the same up to x = {in_digits(certificate.safe_edge[0], 7, ROUND_FLOOR)}"


def _zeros(table: Table) -> list[str]:
    """What to say of the first step that a grid has left with a lower degree than was asked for."""
    for index, step in enumerate(table.schedule.steps, start=1):
        degree = 1 + table.schedule.root * max(j for j, c in enumerate(step.coefficients) if c)
        if degree < step.degree:
            return [
                f"nothing of degree {step.degree} that was found on the grid is better in step {index} than "
                f"degree {degree}, whose products are fewer: give --degree {degree} there, or a finer grid"
            ]
    return []


def _warnings(table: Table, dtype: str) -> list[str]:
    """What to say of the first step whose rounding is too large for its headroom, or for anything."""
    from polydesign.model import dtype_name
    from polydesign.rounding.running import term_rounding

    if table.observed is not None:
        return []  # matrices have told more than the running error can
    dtype = dtype_name(dtype)
    received = table.schedule.interval
    for index, step in enumerate(table.schedule.steps, start=1):
        rounding, room = term_rounding(step, dtype), step.domain[1] - received[1]
        if rounding > _MOST_ROUNDING or 0 < _ROUNDING_PER_ROOM * room < rounding:
            return [
                f"step {index} (degree {step.degree}, {step.evaluation}) sums terms so large that in {dtype} "
                f"their rounding may reach {rounding:.2g}, and the headroom is {room:.2g}; run polydesign "
                "verify before you use it, or take a lower degree or a higher precision"
            ]
        received = step.image
    return []

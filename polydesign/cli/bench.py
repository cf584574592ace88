"""polydesign bench: an operator timed beside what a user would otherwise call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polydesign.cli.given import table_given
from polydesign.cli.grids import grid, show
from polydesign.cli.measure import Shape
from polydesign.cli.progress import progress
from polydesign.model import DTYPES

if TYPE_CHECKING:
    from polydesign.program.calibration import Calibration
    from polydesign.verification.bench import Timing


BUSY = 1.25
"""Ratio of quartiles above which the summary of a calibration says so."""

COLUMNS = 120
"""Wide enough for every column where the output is piped; on a terminal it is as wide as that."""


class Shapes(Shape):
    """One shape or more, with commas between."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return [super(Shapes, self).convert(shape, param, ctx) for shape in str(value).split(",")]


@click.command(short_help="Time an operator beside SVD, Muon and others.")
@click.argument("table", metavar="[FILE_OR_NAME]", required=False)
@click.option("--operator", default="msign", show_default=True, help="msign, inverse_root, root, inverse.")
@click.option(
    "--root", type=click.IntRange(1), help="Of inverse_root and root.  [default: the table's; 4; 2]"
)
@click.option(
    "--shape",
    type=Shapes(),
    default="1024x1024",
    show_default=True,
    help="Of the matrices; with --calibrate also several, with commas between.",
)
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="How many at once.")
@click.option("--dtype", help=f"{', '.join(DTYPES)}.  [default: the one the table was designed for]")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, or auto: cuda where there is.")
@click.option("--beside", metavar="NAMES", help="Contestants, with commas between.  [default: all]")
@click.option(
    "--rounds", type=click.IntRange(1), default=15, show_default=True, help="Runs of each, in turn."
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    help="For all; the slow run in fewer rounds.",
)
@click.option("--seed", type=click.IntRange(0, 2**62), default=0, show_default=True, help="Of the matrices.")
@click.option("--save", "destination", metavar="FILE", help="Write one line of JSON a contestant, with date.")
@click.option(
    "--calibrate",
    "calibration",
    metavar="FILE",
    help="Time bare products instead, and write what the cost model takes in place of flops.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of the summary.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def bench(
    table: str | None,
    operator: str,
    root: int | None,
    shape: list[tuple[int, int]],
    dtype: str | None,
    beside: str | None,
    destination: str | None,
    calibration: str | None,
    as_json: bool,
    quiet: bool,
    **how: Any,
) -> None:
    """Time an operator beside what does the same without it, and compare how right they are.

    All contestants run once in each round, in a new order. Times are medians over the rounds; `ratio` is a
    contestant's median to ours, `in a round` the median of the ratios within one round. Without a table the
    operator's default is run. Exit code 1 if our own operator failed to run.

    With --calibrate nothing of this happens: single products are timed, of m×m matrices with each other and
    with m×n ones, for each shape mxn. The side of the square ones comes first: 1024x4096 serves msign of
    that shape and of its transpose, and roots of P (1024, 1024) with G (4096, 1024).

    \b
    Contestants:
      msign         unchecked, gram, svd, muon (torch.optim.Muon), polar-express (the paper's listing)
      inverse_root  unchecked, eigh          root  unchecked, eigh
      inverse       unchecked, inv, cholesky

    \b
    Examples:
      polydesign bench --shape 512x512 --dtype float32
      polydesign bench sign-d5x5-l1e-3-bf16 --beside muon,polar-express
      polydesign bench --operator inverse_root --root 4 --shape 512x512 --save times.jsonl
      polydesign bench --calibrate costs.json --shape 1024x1024,1024x4096 --dtype bfloat16
    """
    if calibration is not None:
        given = {"FILE_OR_NAME": table, "--root": root, "--beside": beside, "--save": destination}
        given["--operator"] = None if operator == "msign" else operator
        for name, value in given.items():
            if value is not None:
                raise click.UsageError(f"--calibrate times bare products: leave out {name}.")
        how["dtype"] = dtype or "bfloat16"
        _calibrate(Path(calibration), shape, how, as_json=as_json, quiet=quiet)
        return
    if len(shape) > 1:
        raise click.UsageError("--shape takes one shape, and several only with --calibrate.")
    from polydesign.text.files import check_place, write_atomically
    from polydesign.verification import bench as benches

    loaded = None if table is None else table_given(table)
    designed_for = None if loaded is None else loaded.dtype
    if destination:
        check_place(Path(destination))
    with progress(quiet=quiet, text="warming up") as advance:
        timings = benches.bench(
            operator,
            loaded,
            root=root,
            shape=shape[0],
            dtype=dtype or str(designed_for or "bfloat16"),
            beside=None if beside is None else [name.strip() for name in beside.split(",")],
            progress=lambda done, total: advance(done, total, "timing"),
            **how,
        )
    if destination:
        write_atomically(Path(destination), benches.json_lines(timings))
    if as_json:
        click.echo(json.dumps([t.as_json() for t in timings], indent=2, allow_nan=False, ensure_ascii=False))
    elif not quiet:
        _report(timings)
    if timings[0].problem is not None:
        raise SystemExit(1)


def _calibrate(
    path: Path, shapes: list[tuple[int, int]], settings: dict[str, Any], *, as_json: bool, quiet: bool
) -> None:
    from polydesign.program.calibration import dumps, load
    from polydesign.text.files import check_place, write_atomically
    from polydesign.verification.calibrate import calibrate

    check_place(path)
    if path.exists():
        load(path)  # what is there is replaced only where it is a calibration
    with progress(quiet=quiet, text="timing") as advance:
        found = calibrate(shapes, **settings, progress=advance)
    write_atomically(path, dumps(found))
    if as_json:
        click.echo(dumps(found), nl=False)
    elif not quiet:
        _report_calibration(found)
        click.echo(f"wrote {path}")


def _report_calibration(found: Calibration) -> None:
    from polydesign.program.cost import flops

    where = found.machine["device_name"]
    threads = f", {found.machine['threads']} threads" if found.device == "cpu" else ""
    click.echo(f"milliseconds per product on {found.device} ({where}{threads}), torch {found.torch}")
    for measured in found.products:
        m, n = measured.shape
        # Coupled reads (rows, side of P); the other forms would turn the shape.
        seconds, work = measured.seconds, flops((n, m), form="coupled", batch=measured.batch)
        kinds = (
            (f"X Xᵀ {m}x{n}x{m}", seconds.gram, work.gram),
            (f"Q·X {m}x{m}x{n}", seconds.wide, work.wide),
            (f"Q·Q {m}x{m}x{m}", seconds.symmetric, work.symmetric),
        )
        words = [f"{name}: {1e3 * s:.3g} ({count / s / 1e9:.0f} Gflop/s)" for name, s, count in kinds]
        click.echo(f"{measured}: {', '.join(words)}; medians of {measured.rounds}")
        if measured.spread > BUSY:
            click.echo(f"The machine was busy: quartiles differ by a factor {measured.spread:.2g}.", err=True)


def _report(timings: list[Timing]) -> None:
    setting, shape = timings[0].setting, "x".join(map(str, timings[0].setting.shape))
    low, high = setting.interval
    where = (
        f"{setting.device_name}, {setting.threads} threads"
        if setting.device == "cpu"
        else setting.device_name
    )
    click.echo(
        f"{setting.operator} of {setting.batch} x {shape} in {setting.dtype} on {setting.device} ({where}), "
        f"torch {setting.versions['torch']}"
    )
    click.echo(
        f"{setting.table}: root {setting.root}, {setting.matmuls} matrix products, "
        f"promises {setting.promised:.4g} on [{low:g}, {high:g}]"
    )
    numbers = ("median", "quartiles (ms)", "rounds", "ratio", "in a round", "worst |σ - 1|")
    rows = grid("contestant", *numbers, left=("contestant",))
    for t in timings:
        quartiles = "-"
        if t.lower_quartile is not None and t.upper_quartile is not None:
            quartiles = f"{1e3 * t.lower_quartile:.3g} … {1e3 * t.upper_quartile:.3g}"
        rows.add_row(
            t.name,
            "-" if t.median is None else f"{1e3 * t.median:.4g}",
            quartiles,
            str(t.rounds),
            *("-" if value is None else f"{value:.3g}" for value in (t.ratio, t.round_ratio)),
            "not finite" if t.finite is False else "-" if t.worst is None else f"{t.worst:.3g}",
        )
    show(rows, COLUMNS)
    width = max(len(t.name) for t in timings)
    for t in timings:
        click.echo(f"{t.name:{width}}  {t.about}" + (f"; FAILED: {t.problem}" if t.problem else ""))
    if any(t.finite and t.worst is None for t in timings):
        click.echo("No accuracy: a decomposition in float64 of matrices this large takes minutes.")

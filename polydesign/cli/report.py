"""polydesign report: a page that explains tables, for the browser and as Markdown."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from polydesign.cli.design import Numbers
from polydesign.cli.fresh import progress, table_of, worst_errors
from polydesign.cli.measure import Shape
from polydesign.model import InputError, Measurement, Table


@click.command(short_help="Write a page that explains tables: HTML and Markdown.")
@click.argument("tables", metavar="FILE_OR_NAME...", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FOLDER", required=True, help="Where index.html and report.md go.")
@click.option(
    "--measured",
    metavar="FILE",
    multiple=True,
    help="Measurements that polydesign verify --save wrote; may be repeated.",
)
@click.option("--measure", is_flag=True, help="Measure bf16, fp16 and fp32 now, after every step too.")
@click.option("--shape", type=Shape(), default="256x512", show_default=True, help="Of these matrices.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, or auto: cuda where there is.")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of the matrices."
)
@click.option(
    "--lower",
    type=Numbers(float),
    default="1e-3,1e-2,1e-1",
    show_default=True,
    help="Lower ends of the intervals that the tables are compared on; see polydesign compare.",
)
@click.option("--force", is_flag=True, help="Write into a folder that holds other files.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def report(
    tables: tuple[str, ...],
    output: str,
    measured: tuple[str, ...],
    measure: bool,
    shape: tuple[int, int],
    device: str,
    seed: int,
    lower: tuple[float, ...],
    force: bool,
    quiet: bool,
) -> None:
    """Write a page about tables, ours and published ones: what each promises and proves, its map, the error
    of each step, what rounding makes of it, where it comes from and the list to paste; all of them compared.

    FOLDER/index.html stands alone: styles and figures are inside, it has no script and fetches nothing.
    FOLDER/report.md is the same for GitHub, with its figures in FOLDER/figures. A report may replace an
    earlier one; a folder with other files is refused. Nothing is written where a table cannot be read.

    \b
    Examples:
      polydesign report sign-d5x6-l1e-3-bf16 -o page
      polydesign report sign-m15-l1e-3-bf16 polar_express_deg5 jordan_5 --measure -o page
      polydesign verify sign-d5x6-l1e-3-bf16 --steps --save m.json
      polydesign report sign-d5x6-l1e-3-bf16 --measured m.json -o page
    """
    from polydesign.reporting.folder import check_folder, write
    from polydesign.reporting.page import check_given
    from polydesign.reporting.page import report as made

    folder = Path(output)
    loaded = [table_of(source) for source in tables]
    found = [one for path in measured for one in _read(path)]
    check_folder(folder, force=force)  # all of this before minutes are spent
    check_given(loaded, found)
    fresh = None
    command = [
        "polydesign report",
        *map(shlex.quote, tables),
        *(f"--measured {shlex.quote(m)}" for m in measured),
    ]
    if lower != (1e-3, 1e-2, 1e-1):
        command.append(f"--lower {','.join(map(repr, lower))}")
    if measure:
        by_root = {root: [t for t in loaded if t.schedule.root == root] for root in _roots(loaded)}
        fresh = {}
        for group in by_root.values():
            fresh |= worst_errors(group, lower[0], shape, device, seed, quiet=quiet)
        found += _measurements(loaded, shape, device, seed, quiet)
        command.append(f"--measure --shape {shape[0]}x{shape[1]} --seed {seed}")
    page = made(loaded, found, lowers=lower, fresh=fresh, command=" ".join([*command, "-o FOLDER"]))
    written = write(page, folder, force=force)
    if not quiet:
        for path in written:
            click.echo(f"wrote {path}")


def _roots(tables: list[Table]) -> list[int]:
    return list(dict.fromkeys(table.schedule.root for table in tables))


def _read(path: str) -> list[Measurement]:
    import json

    from polydesign.table.measurements import loads

    try:
        return loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise InputError("measured", f"{path} is not JSON; polydesign verify --save writes it") from problem


def _measurements(
    tables: list[Table], shape: tuple[int, int], device: str, seed: int, quiet: bool
) -> list[Measurement]:
    """Every table in every precision on the matrices that verify takes by default, step by step."""
    from polydesign.reporting.tables import SHOWN
    from polydesign.verification.operators import choose
    from polydesign.verification.spectra import names
    from polydesign.verification.sweep import measure

    runs: list[tuple[Table, str, str]] = []
    for table in tables:
        _, how = choose(table, None, 1)
        kind: dict[str, Any] = {"positive": how.positive, "singular": how.singular}
        runs += [(table, dtype, one) for dtype in SHOWN for one in names(None, shape, dtype, **kind)]
    found = []
    with progress(len(runs), quiet=quiet) as advance:
        for table, dtype, spectrum in runs:
            settings: dict[str, Any] = {"shape": shape, "device": device, "seed": seed, "steps": True}
            try:
                found.append(measure(table, dtype=dtype, spectrum=spectrum, **settings))
            except InputError as problem:
                click.echo(
                    f"Warning: {table.name} is not measured on {spectrum}: {problem.problem}", err=True
                )
            advance(f"{table.name}, {dtype}, {spectrum}")
    return found

"""polydesign verify: a table run on matrices in the real precision, beside what it promises."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polydesign.model import DTYPES, InputError, Measurement, Table

if TYPE_CHECKING:
    from polydesign.verify.spectra import Sample


class Shape(click.ParamType):
    """Two sides, as 512x1024."""

    name = "ROWSxCOLUMNS"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        sides = str(value).lower().split("x")
        if len(sides) != 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
            self.fail(f"{value!r} is not a shape such as 512x1024", param, ctx)
        return int(sides[0]), int(sides[1])


@click.command(short_help="Run a table on matrices and check its promise.")
@click.argument("table", metavar="FILE_OR_NAME")
@click.option("--shape", type=Shape(), default="512x1024", show_default=True, help="Of the test matrices.")
@click.option("--dtype", help=f"{', '.join(DTYPES)}.  [default: the one the table was designed for]")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, or auto: cuda where there is.")
@click.option(
    "--spectrum",
    help="gaussian, logspace:SMALLEST, harmonic, rank1, rank2, with commas between.  "
    "[default: gaussian,logspace:1e-2,harmonic,rank1,rank2]",
)
@click.option("--matrix", metavar="FILE", help="A matrix of yours: .npy, .pt or .safetensors[::NAME].")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of the matrices."
)
@click.option("--write", is_flag=True, help="Store the measurements in the table's file.")
@click.option("--save", "destination", metavar="FILE", help="Write them with the maps, for plot --measured.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON in place of the summary.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def verify(
    table: str,
    shape: tuple[int, int],
    dtype: str | None,
    device: str,
    spectrum: str | None,
    matrix: str | None,
    seed: int,
    write: bool,
    destination: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run a table on matrices with known singular values and compare the result with what it promises.

    A run holds when every singular value that began on the promised interval ends within the promised
    error, plus what the precision's rounding explains (`allowed`). Exit code 1 if one does not.
    With --matrix, spectra are run only if --spectrum names them.

    \b
    Examples:
      polydesign verify sign-d5x6-l1e-3-bf16
      polydesign verify coeffs/mine.json --dtype float16 --spectrum gaussian,rank2 --write
      polydesign verify sign-d5x6-l1e-3-bf16 --matrix momentum.safetensors::layers.0.weight
    """
    from polydesign.catalogue import find, load, shipped
    from polydesign.files import write_atomically
    from polydesign.table import save

    file = find(table)
    if write and file.resolve().is_relative_to(shipped().resolve()) and not Path(table).is_file():
        raise InputError("write", f"{table} is the package's own; copy {file} and verify the copy")
    loaded = load(file)
    measurements = _measured(loaded, shape, dtype, device, spectrum, matrix, seed, quiet)
    if write:
        save(replace(loaded, measured=_merged(loaded, measurements)), file, force=True)
    text = json.dumps([asdict(m) for m in measurements], indent=2, allow_nan=False, ensure_ascii=False)
    if destination:
        write_atomically(Path(destination), text + "\n")
    if as_json:
        click.echo(text)
    elif not quiet:
        _report(loaded, measurements)
    if not all(m.holds for m in measurements):
        raise SystemExit(1)


def _measured(
    table: Table,
    shape: tuple[int, int],
    dtype: str | None,
    device: str,
    spectrum: str | None,
    matrix: str | None,
    seed: int,
    quiet: bool,
) -> list[Measurement]:
    from rich.console import Console
    from rich.progress import Progress

    from polydesign.verify.files import read_matrix
    from polydesign.verify.spectra import DEFAULT_SPECTRA, split
    from polydesign.verify.sweep import measure

    precision = dtype or str(table.provenance.parameters.get("dtype") or "bfloat16")
    defaults = [name for name in DEFAULT_SPECTRA if name != "rank2" or min(shape) > 1]
    names = [name.strip() for name in spectrum.split(",")] if spectrum else defaults
    for name in names:
        split(name)  # a misspelt name is refused before anything runs
    runs: list[tuple[str, Sample | None]] = [(name, None) for name in names]
    if matrix is not None:
        given = read_matrix(matrix)
        runs = [(given.name, given), *(runs if spectrum else [])]
    found = []
    with Progress(
        console=Console(stderr=True), transient=True, disable=quiet or not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task("measuring", total=len(runs))
        for name, sample in runs:
            bar.update(task, description=name)
            found.append(
                measure(
                    table,
                    shape=shape,
                    dtype=precision,
                    spectrum=name,
                    seed=seed,
                    device=device,
                    matrix=sample,
                )
            )
            bar.advance(task)
    return found


def _merged(table: Table, new: list[Measurement]) -> tuple[Measurement, ...]:
    """The file's measurements with the new ones; a run repeated in the same setting replaces its old self."""

    def setting(m: Measurement) -> tuple[Any, ...]:
        return m.dtype, m.shape, m.spectrum, m.seed, m.device

    repeated = {setting(m) for m in new}
    kept = [m for m in table.measured if setting(m) not in repeated]
    return tuple(replace(m, map=None) for m in (*kept, *new))


def _report(table: Table, measurements: list[Measurement]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid

    first = measurements[0]
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("spectrum", "shape", "values", "predicted", "measured", "rms", "allowed"):
        grid.add_column(heading, justify="left" if heading == "spectrum" else "right")
    for heading in ("below", "orthogonality", "polar distance", ""):
        grid.add_column(heading, justify="right")
    for m in measurements:
        below = f"{m.below_count}, {_short(m.below_worst)}" if m.below_count else "0"
        grid.add_row(
            m.spectrum,
            "x".join(map(str, m.shape)),
            str(m.count),
            _short(_predicted(table, m)),
            _short(m.worst),
            _short(m.rms),
            _short(m.allowed),
            below,
            _short(m.orthogonality),
            _short(m.polar_distance),
            "ok" if m.holds else "FAILED",
        )
    low, high = table.schedule.interval
    click.echo(
        f"{table.name} in {first.dtype} on {first.device}: promises {_short(first.promised)} "
        f"on [{low:g}, {high:g}]"
    )
    # Wide enough for every column where the output is piped, and as wide as the terminal otherwise.
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    console.print(grid)
    failed = [m for m in measurements if not m.holds]
    if not failed:
        count = len(measurements)
        click.echo(f"Within promise and rounding (allowed) on {count} of {count} spectra.")
        return
    words = ", ".join(
        f"{m.spectrum} ({'not finite' if not m.finite else f'{m.worst:.8g} > {m.allowed:.8g}'})"
        for m in failed
    )
    click.echo(
        f"FAILED: beyond promise and rounding on {len(failed)} of {len(measurements)} spectra: {words}."
    )


def _predicted(table: Table, m: Measurement) -> float:
    """max |f(x) − 1| over the singular values that this matrix has on the promised range."""
    from polydesign.verify.sweep import EDGE

    assert m.map is not None, "measure always gives the map"
    low, high = table.schedule.interval
    pairs = zip(m.map.x, m.map.predicted, strict=True)
    return max(abs(f - 1) for x, f in pairs if low * (1 - EDGE) <= x <= high * (1 + EDGE))


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"

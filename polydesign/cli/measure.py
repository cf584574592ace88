"""polydesign verify: a table run on matrices in the real precision, beside what it promises."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polydesign.model import DTYPES, FORMS, NORMALIZATIONS, InputError, Measurement, Plan, Table, dtype_name

if TYPE_CHECKING:
    from polydesign.verification.spectra import Sample


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
    help="Names with commas between, or all: gaussian, marchenko-pastur[:ASPECT], logspace:SMALLEST, "
    "harmonic, clustered, two-bulks, levels[:PART], levy, rank1, flat, blocks, rank2, rankk:RANK, "
    "swept, zero, tiny[:FACTOR], huge[:FACTOR], hippo:legs, hippo:legt, monarch, triangular[:WIDTH], "
    "toeplitz:RATIO.  [default: gaussian,logspace:1e-2,harmonic, and rank1,rank2 or, for roots, swept]",
)
@click.option(
    "--operator",
    help="msign, mcsgn, spectral_clip, range_projector, inverse_root, root, inverse, "
    "matmul_inverse_root, lyapunov, riccati, msign_derivative, principal_sqrt_and_inverse_sqrt.  "
    "[default: msign for root 2, inverse for root 1, inverse_root for others]",
)
@click.option("--power", type=click.IntRange(1), default=1, show_default=True, help="s of P^(-s/r).")
@click.option(
    "--normalization",
    type=click.Choice(NORMALIZATIONS),
    help="What the matrices are divided by.  [default: the table's]",
)
@click.option("--form", type=click.Choice(FORMS), default="direct", show_default=True, help="Of msign.")
@click.option(
    "--restarts",
    help="Of the gram form: indices of steps, as 2,4, or none.  [default: chosen for the precision]",
)
@click.option("--steps", is_flag=True, help="Measure after every step too: one run more for each.")
@click.option("--matrix", metavar="FILE", help="A matrix of yours: .npy, .pt or .safetensors[::NAME].")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of the matrices."
)
@click.option("--write", is_flag=True, help="Store the measurements in the table's file.")
@click.option(
    "--save",
    "destination",
    metavar="FILE",
    help="Write them with the maps, for plot --measured; one a line if the name ends in .jsonl.",
)
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON in place of the summary.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def verify(
    table: str,
    shape: tuple[int, int],
    dtype: str | None,
    device: str,
    spectrum: str | None,
    operator: str | None,
    power: int,
    normalization: str | None,
    form: str,
    restarts: str | None,
    steps: bool,
    matrix: str | None,
    seed: int,
    write: bool,
    destination: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run a table on matrices with known singular values and compare the result with what it promises.

    Tables of root 2 run as msign, others as roots and inverses of symmetric positive matrices with known
    eigenvalues, of the smaller side of --shape. A run holds when every value that began on the promised
    interval ends within the promised error, plus what the precision's rounding explains (`allowed`). Exit
    code 1 if one does not. `input share` is the part that rounding the input causes, whatever the table.
    With --matrix, spectra are run only if --spectrum names them.

    \b
    Examples:
      polydesign verify sign-d5x6-l1e-3-bf16
      polydesign verify coeffs/mine.json --dtype float16 --spectrum gaussian,rank2 --write
      polydesign verify root4-d9x4-l0.1-fp32 --operator matmul_inverse_root --dtype float32 --steps
      polydesign verify sign-d5x6-l1e-3-bf16 --matrix momentum.safetensors::layers.0.weight
    """
    from polydesign.cli.summary import report
    from polydesign.table import measurements as text_of
    from polydesign.table import save
    from polydesign.table.catalogue import find, load, shipped
    from polydesign.text.files import write_atomically

    file = find(table)
    if write and file.resolve().is_relative_to(shipped().resolve()) and not Path(table).is_file():
        raise InputError("write", f"{table} is the package's own; copy {file} and verify the copy")
    loaded = load(file)
    how: dict[str, Any] = {"operator": operator, "power": power, "steps": steps}
    plan = Plan(normalization=normalization, form=form, restarts=_indices(restarts))
    how |= {"shape": shape, "device": device, "seed": seed, "plan": plan}
    measurements = _measured(loaded, how, dtype, spectrum, matrix, quiet)
    if write:
        save(replace(loaded, measured=_merged(loaded, measurements)), file, force=True)
    if destination:
        lines = Path(destination).suffix == ".jsonl"
        write_atomically(Path(destination), text_of.dumps(measurements, lines=lines))
    if as_json:
        click.echo(text_of.dumps(measurements), nl=False)
    elif not quiet:
        report(loaded, measurements)
        if form == "gram" and any(m.form == "direct" for m in measurements):
            click.echo("In the gram form this needs a restart before every step: the direct form, which ran.")
    if not all(m.holds for m in measurements):
        raise SystemExit(1)


def _indices(text: str | None) -> tuple[int, ...] | None:
    """ "2,4" as (2, 4), "none" as ()."""
    if text is None or text == "none":
        return None if text is None else ()
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise InputError("restarts", f"{text!r} is not a list of steps, counted from 0: write 2,4 or none")
    return tuple(int(part) for part in parts)


def _measured(
    table: Table,
    how: dict[str, Any],
    dtype: str | None,
    spectrum: str | None,
    matrix: str | None,
    quiet: bool,
) -> list[Measurement]:
    precision = dtype_name(dtype or table.dtype or "bfloat16")
    from rich.console import Console
    from rich.progress import Progress

    from polydesign.verification.files import read_matrix
    from polydesign.verification.operators import choose
    from polydesign.verification.spectra import names
    from polydesign.verification.sweep import measure

    _, operator = choose(table, how["operator"], how["power"])
    kind = {"positive": operator.positive, "singular": operator.singular}
    listed = names(spectrum, how["shape"], precision, **kind)
    runs: list[tuple[str, Sample | None]] = [(name, None) for name in listed]
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
            found.append(measure(table, dtype=precision, spectrum=name, matrix=sample, **how))
            bar.advance(task)
    return found


def _merged(table: Table, new: list[Measurement]) -> tuple[Measurement, ...]:
    """The file's measurements with the new ones; a run repeated in the same setting replaces its old self."""

    def setting(m: Measurement) -> tuple[Any, ...]:
        how = m.operator, m.power, m.form, m.restarts, m.normalization
        return m.dtype, m.shape, m.spectrum, m.seed, m.device, *how

    repeated = {setting(m) for m in new}
    kept = [m for m in table.measured if setting(m) not in repeated]
    return tuple(replace(m, map=None) for m in (*kept, *new))

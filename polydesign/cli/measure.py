"""polydesign verify: a table run on matrices in the real precision, beside what it promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import polydesign
from polydesign.cli.given import given, list_option
from polydesign.cli.progress import progress
from polydesign.model import DTYPES, FORMS, NORMALIZATIONS, InputError


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
@list_option
@click.option("--shape", type=Shape(), default="512x1024", show_default=True, help="Of the test matrices.")
@click.option("--dtype", help=f"{', '.join(DTYPES)}.  [default: the one the table was designed for]")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, or auto: cuda where there is.")
@click.option(
    "--spectrum",
    "spectra",
    help="Names with commas between, or all: gaussian, marchenko-pastur[:ASPECT], logspace:SMALLEST, "
    "harmonic, clustered, two-bulks, levels[:PART], levy, rank1, flat, blocks, rank2, rankk:RANK, "
    "swept, zero, tiny[:FACTOR], huge[:FACTOR], hippo:legs, hippo:legt, monarch, triangular[:WIDTH], "
    "toeplitz:RATIO.  [default: gaussian,logspace:1e-2,harmonic, and rank1,rank2 or, for roots, swept]",
)
@click.option(
    "--operator",
    help="msign, mcsgn, spectral_clip, soft_clip, spectral_power, range_projector, inverse_root, root, "
    "inverse, matmul_inverse_root, lyapunov, riccati, msign_derivative, principal_sqrt_and_inverse_sqrt.  "
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
@click.option(
    "--hunt",
    "seconds",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="In place of measuring, look so long for matrices that half precision blows up.",
)
@click.option("--state", metavar="FILE", help="Of a hunt, in JSON: one that is there goes on, and is kept.")
@click.option("--write", is_flag=True, help="Store the measurements, or the hunt, in the table's file.")
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
    list_name: str | None,
    restarts: str | None,
    seconds: float | None,
    state: str | None,
    write: bool,
    destination: str | None,
    as_json: bool,
    quiet: bool,
    **how: Any,
) -> None:
    """Run a table on matrices with known singular values and compare the result with what it promises.

    Tables of root 2 run as msign, others as roots and inverses of symmetric positive matrices with known
    eigenvalues, of the smaller side of --shape. A run holds when every value that began on the promised
    interval ends within the promised error, plus what the precision's rounding explains (`allowed`). Exit
    code 1 if one does not. `input share` is the part that rounding the input causes, whatever the table.
    With --matrix, spectra are run only if --spectrum names them.

    With --hunt, families of matrices whose roundings agree are followed in three kinds of loops, and small
    dense matrices are run: first random ones, a million of each family in half a minute, then what is close
    to the worst. Exit code 1 if one ends above 1.5 in a fused loop. The worst are written as files for
    --matrix. Ctrl-C ends it with what is there.

    \b
    Examples:
      polydesign verify sign-d5x6-l1e-3-bf16
      polydesign verify coeffs/mine.json --dtype float16 --spectrum gaussian,rank2 --write
      polydesign verify root4-d9x4-l0.1-fp32 --operator matmul_inverse_root --dtype float32 --steps
      polydesign verify sign-d5x6-l1e-3-bf16 --matrix momentum.safetensors::layers.0.weight
      polydesign verify sign-d5x5-l1e-3-bf16 --hunt 600 --state hunt.json
    """
    from polydesign.cli.hunting import hunted, refuse_others
    from polydesign.cli.summary import report
    from polydesign.table import measurements as text_of
    from polydesign.table.catalogue import find, shipped
    from polydesign.text.files import check_place, write_atomically

    taken = given(table, list_name)
    if not isinstance(taken, str):
        if write:
            raise InputError("write", f"{table} is no table's file: write one, polydesign import {table}")
        file, loaded = Path(table), taken
    else:
        file = find(table)
        if write and file.resolve().is_relative_to(shipped().resolve()) and not Path(table).is_file():
            raise InputError("write", f"{table} is the package's own; copy {file} and verify the copy")
        loaded = polydesign.load(file)
    if seconds is None and state is not None:
        raise InputError("state", "is of a hunt: say how long with --hunt SECONDS")
    if seconds is not None:
        others = {name: how[name] for name in ("spectra", "operator", "normalization", "steps", "matrix")}
        refuse_others(restarts=restarts, save=destination, json=as_json, **others)
        for place in (state, file if write else None):
            if place is not None:
                check_place(Path(place))
        hunt = hunted(loaded, seconds, dtype=how["dtype"], seed=how["seed"], state=state, quiet=quiet)
        if write:
            polydesign.save(text_of.with_tried(loaded, hunt.trials()), file, force=True)
        if hunt.blown(("fused",)):
            raise SystemExit(1)
        return
    for place in (destination, file if write else None):
        if place is not None:
            check_place(Path(place))
    with progress(quiet=quiet) as advance:
        found = polydesign.verify(loaded, restarts=_indices(restarts), progress=advance, **how)
    if write:
        polydesign.save(text_of.with_measured(loaded, found), file, force=True)
    if destination:
        lines = Path(destination).suffix == ".jsonl"
        write_atomically(Path(destination), text_of.dumps(found, lines=lines))
    if as_json:
        click.echo(text_of.dumps(found), nl=False)
    elif not quiet:
        report(loaded, found)
        if how["form"] == "gram" and any(m.form == "direct" for m in found):
            click.echo("In the gram form this needs a restart before every step: the direct form, which ran.")
    if not all(m.holds for m in found):
        raise SystemExit(1)


def _indices(text: str | None) -> tuple[int, ...] | None:
    """ "2,4" as (2, 4), "none" as ()."""
    if text is None or text == "none":
        return None if text is None else ()
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise InputError("restarts", f"{text!r} is not a list of steps, counted from 0: write 2,4 or none")
    return tuple(int(part) for part in parts)

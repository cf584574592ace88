"""polydesign advise: which table serves the matrices of a checkpoint."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import polydesign
from polydesign.cli.progress import progress
from polydesign.cli.strategies import NumberList
from polydesign.model import DTYPES, InputError, visible

if TYPE_CHECKING:
    from rich.table import Table as Grid

    from polydesign.optim import Advice, Spectrum
    from polydesign.optim.advice import Serves
    from polydesign.optim.serving import Choice

COLUMNS = 150
"""Wide enough for every column where the output is piped."""

ESTIMATED = (
    "~: estimated from random vectors; shares are off by the standard error beside them, and the least value "
    "is not known."
)


@click.command(short_help="Say which table serves the matrices of a checkpoint.")
@click.argument("states", metavar="FILE...", nargs=-1, required=True)
@click.option("--dtype", default="bf16", show_default=True, help=f"{', '.join(DTYPES)}: that tables run in.")
@click.option(
    "--lower", type=float, default=1e-3, show_default=True, help="Singular values above this are served."
)
@click.option(
    "--error",
    "errors",
    type=NumberList(float),
    default="0.3,0.1,0.03",
    show_default=True,
    help="For which a table is looked for; lines to paste are for the first.",
)
@click.option("--only", multiple=True, metavar="PATTERN", help="Tensors of such names, as *.attn.*; several.")
@click.option(
    "--exact/--estimate",
    default=None,
    help="Compute all singular values, or none.  [default: up to a side of 1024]",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of estimates.")
@click.option("-o", "--output", metavar="FILE|FOLDER/", help="Draw the spectra over the layers: PNG or SVG.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every matrix of every stack.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def advise(states: tuple[str, ...], output: str | None, as_json: bool, quiet: bool, **how: Any) -> None:
    """Look at the momenta in the state of an optimizer, or at the matrices of a checkpoint, and say for each
    its singular values after every normalization, how many lie below 1e-3 and 1e-4 of the Frobenius norm, and
    the cheapest table of the package that serves it; and for the whole model what that saves against five
    quintics, and the lines to paste.

    FILE is .pt, .pth or .bin (tensors alone are read, nothing is unpickled), .safetensors, .npz or .npy.
    Three dimensions are a stack of matrices, more the weight of a convolution.

    \b
    Examples:
      polydesign advise optimizer.pt
      polydesign advise checkpoint.pt --only '*mlp*' --error 0.1 -o spectra.svg
      polydesign advise momentum.safetensors --dtype fp32 --json
    """
    from polydesign.text.files import check_place, place

    output = output and str(place(output, "spectra.png"))
    if output:
        from polydesign.drawing import SUFFIXES

        if Path(output).suffix.lower() not in SUFFIXES:  # before minutes are spent
            raise InputError("output", f"{output!r} is no picture: end its name in {' or '.join(SUFFIXES)}")
        check_place(Path(output))
    with progress(quiet=quiet or as_json, text="decomposing") as advance:
        found = polydesign.advise(*states, progress=advance, **how)
    if output:
        from polydesign.drawing import save_figure, spectra_figure

        save_figure(spectra_figure(found.spectra), output)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2, allow_nan=False))
    elif not quiet:
        _print(found)
        if output:
            click.echo(f"wrote {output}")


def _print(found: Advice) -> None:
    from polydesign.cli.grids import show

    what = f"momenta ({found.key})" if found.key else "matrices"
    left_out = ", ".join(f"{len(names)} {reason}" for reason, names in found.left_out.items())
    click.echo(f"{len(found.spectra)} {what}" + (f"; left out: {visible(left_out)}" if left_out else ""))
    show(_rows(found), COLUMNS)
    if not all(one.exact for one in found.spectra):
        click.echo(ESTIMATED)
    tables = sorted({name for one in found.serves for name in _tables(one)})
    for index, name in enumerate(tables):
        click.echo(f"{_letter(index)}  {name}")
    click.echo(
        f"At an error, products of the cheapest table in {found.dtype} for singular values above "
        f"{found.lower:g}·‖M‖_F,\nthe table, and 4 or 8 where it is to divide by schatten4 or schatten8."
    )
    for one in found.serves:
        click.echo("\n".join(_whole(one)))
    lines = found.lines(found.serves[0].error)
    if lines:
        click.echo(f"\nAt {found.serves[0].error:g}, one table for all:\n\n{lines}", nl=False)


def _rows(found: Advice) -> Grid:
    """A row a tensor: of a stack the worst of each."""
    from polydesign.cli.grids import grid

    headings = ("tensor", "shape", "σ/‖M‖_F", "schatten4", "schatten8", "power", "<1e-3", "<1e-4", "ρ")
    rows = grid(*headings, *(f"at {one.error:g}" for one in found.serves), left=("tensor",))
    tables = sorted({name for one in found.serves for name in _tables(one)})
    stacks: dict[tuple[str, tuple[int, int]], list[int]] = {}
    for index, one in enumerate(found.spectra):
        stacks.setdefault((re.sub(r"\[\d+\]$", "", one.name), one.shape), []).append(index)
    for (name, shape), members in stacks.items():
        spectra = [found.spectra[index] for index in members]
        chosen = [_worst([one.each[index] for index in members]) for one in found.serves]
        rows.add_row(
            visible(name) + (f" (×{len(members)})" if len(members) > 1 else ""),
            f"{'' if all(one.exact for one in spectra) else '~'}{shape[0]}x{shape[1]}",
            *(_span(spectra, norm) for norm in ("frobenius", "schatten4", "schatten8", "power")),
            *(_share(spectra, k) for k in range(2)),
            f"{min(one.rho for one in spectra):.2f}",
            *(_short(choice, tables) for choice in chosen),
        )
    return rows


def _span(spectra: list[Spectrum], normalization: str) -> str:
    ranges = [one.range(normalization) for one in spectra]
    return f"{min(low for low, _ in ranges):.1e}–{max(high for _, high in ranges):.2f}"


def _share(spectra: list[Spectrum], index: int) -> str:
    most = max(spectra, key=lambda one: one.below[index])
    spread = "" if most.exact else f"±{100 * most.spread[index]:.1f}"
    return f"{100 * most.below[index]:.1f}{spread} %"


def _worst(choices: list[Choice | None]) -> Choice | None:
    return None if None in choices else max(choices, key=lambda one: one.matmuls if one else 0)


def _short(choice: Choice | None, tables: list[str]) -> str:
    if choice is None:
        return "none"
    norm = {"frobenius": "", "schatten4": "4", "schatten8": "8"}[choice.normalization]
    return f"{choice.matmuls} {_letter(tables.index(choice.table))}{norm}"


def _letter(index: int) -> str:
    return chr(ord("a") + index) if index < 26 else f"t{index}"


def _tables(one: Serves) -> set[str]:
    return {choice.table for choice in (*one.each, one.one) if choice is not None}


def _whole(one: Serves) -> list[str]:
    """What is saved at an error, by one table for all matrices and by one for each."""
    own, whole, usual = one.products
    lines = []
    if whole is not None and one.one is not None and one.operations[1] is not None:
        what = f"{one.one.table} after {one.one.normalization} for all"
        lines.append(f"  {what}: {_counted(whole, usual, one.operations[1])}")
    if own is not None and own != whole and one.operations[0] is not None:
        lines.append(f"  a table for each: {_counted(own, usual, one.operations[0])}")
    if not lines:
        lines = ["  no table of the package serves all of them: polydesign search --error makes one"]
    return [f"error {one.error:g}, where five quintics take {usual} products a step", *lines]


def _counted(products: int, usual: int, operations: float) -> str:
    saved = f"{usual - products} saved" if products <= usual else f"{products - usual} more"
    return f"{products} products, {saved}, {operations:.0%} of the operations"

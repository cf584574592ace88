"""polydesign conformance: files with which other code proves that it applies a table correctly."""

from __future__ import annotations

import click

import polydesign
from polydesign.cli.given import given, list_option


@click.command(short_help="Write matrices and results that prove other code right.")
@click.argument("table", metavar="FILE_OR_NAME")
@list_option
@click.option("-o", "--output", required=True, metavar="DIR", help="Folder to write into.")
@click.option(
    "--operator", help="msign or inverse_root.  [default: msign for root 2, inverse_root for others]"
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the matrices.")
@click.option("--force", is_flag=True, help="Write into a folder that holds something else.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def conformance(
    table: str,
    list_name: str | None,
    output: str,
    operator: str | None,
    seed: int,
    force: bool,
    quiet: bool,
) -> None:
    """Write small matrices, the table, and what the table makes of them, with tolerances for each precision.

    What is expected is the table's exact map of known singular values, not the ideal sign: it says whether
    the rows that were given are the ones that run. kit.json is the index and says how to judge;
    matrices.json has all matrices as lists, beside a .npy file each.

    \b
    Examples:
      polydesign conformance sign-d5x6-l1e-3-bf16 -o kit
      polydesign conformance sign-d5x7-l0.01-fp32 --operator inverse_root -o kit
    """
    written = polydesign.conformance(
        given(table, list_name), output, operator=operator, seed=seed, force=force
    )
    if not quiet:
        size = sum(path.stat().st_size for path in written)
        click.echo(f"wrote {output}: {size / 1000:.0f} kB, kit.json says how to judge")

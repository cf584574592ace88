"""polydesign conformance: files with which other code proves that it applies a table, and the judgement."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

import polydesign
from polydesign.cli.given import given, list_option
from polydesign.model import InputError

if TYPE_CHECKING:
    from polydesign.model import Table


@click.command(short_help="Write matrices and results that prove other code right, or judge it.")
@click.argument("table", metavar="FILE_OR_NAME_OR_KIT")
@list_option
@click.option("-o", "--output", metavar="DIR", help="Folder to write a kit into.")
@click.option("--run", metavar="MODULE:FUNCTION", help="Judge this function of Python, found from here.")
@click.option("--outputs", metavar="DIR", help="Judge results that code in any language has written there.")
@click.option("--dtype", default="float32", show_default=True, help="Precision that the code works in.")
@click.option(
    "--framework",
    type=click.Choice(["numpy", "torch"]),
    default="numpy",
    show_default=True,
    help="What the function takes.",
)
@click.option("--no-batches", is_flag=True, help="The function takes one matrix at a time.")
@click.option("--robustness", is_flag=True, help="Exit with 1 where a case of robustness fails, too.")
@click.option(
    "--operator", help="msign or inverse_root.  [default: msign for root 2, inverse_root for others]"
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the matrices.")
@click.option("--force", is_flag=True, help="Write into a folder that holds something else.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.pass_context
def conformance(
    ctx: click.Context,
    table: str,
    list_name: str | None,
    output: str | None,
    run: str | None,
    outputs: str | None,
    operator: str | None,
    seed: int,
    force: bool,
    quiet: bool,
    **how: Any,
) -> None:
    """Write small matrices, the table, and what the table makes of them, with tolerances for each precision;
    or judge code by them.

    What is expected is the table's exact map of known singular values, not the ideal sign: it says whether
    the rows that were given are the ones that run. kit.json is the index and says how to judge;
    matrices.json has all matrices as lists, beside a .npy file each.

    Code is judged twice, correctness apart from robustness (extreme norms, half precision kept), and where it
    fails, known mistakes are run and compared. Exit code 1: not correct, or nothing could be judged.

    \b
    Examples:
      polydesign conformance sign-d5x6-l1e-3-bf16 -o kit
      polydesign conformance sign-d5x6-l1e-3-bf16 --run my_optimizer:orthogonalize --framework torch
      polydesign conformance kit --outputs results
      polydesign conformance sign-d5x7-l0.01-fp32 --operator inverse_root -o kit
    """
    asked = [name for name, value in (("-o", output), ("--run", run), ("--outputs", outputs)) if value]
    if len(asked) != 1:
        these = " and ".join(asked) or "none"
        raise click.UsageError(f"Give one of -o DIR, --run MODULE:FUNCTION and --outputs DIR, not {these}.")
    if output is not None:
        _write(given(table, list_name), output, operator=operator, seed=seed, force=force, quiet=quiet)
        return
    from polydesign.verification.conformance import check, check_outputs

    if run is not None:
        how_run = {"framework": how["framework"], "batches": not how["no_batches"]}
        source = table if os.path.isdir(table) else given(table, list_name)
        found = check(source, _function(run), dtype=how["dtype"], operator=operator, seed=seed, **how_run)
    else:
        if not os.path.isdir(table):
            raise InputError(
                "outputs",
                f"belong to a kit's folder, and {table} is none: polydesign conformance {table} -o kit",
            )
        found = check_outputs(table, str(outputs), dtype=how["dtype"], batches=not how["no_batches"])
    if not quiet:
        click.echo(str(found))
    if not found.passed(robustness=how["robustness"]):
        ctx.exit(1)


def _write(table: Table | str, output: str, *, quiet: bool, **how: Any) -> None:
    written = polydesign.conformance(table, output, **how)
    if not quiet:
        size = sum(path.stat().st_size for path in written)
        click.echo(f"wrote {output}: {size / 1000:.0f} kB, kit.json says how to judge")


def _function(place: str) -> Callable[[Any], Any]:
    """A function by MODULE:FUNCTION, with the working directory on the path as for `python -m`."""
    module, _, name = place.partition(":")
    if not module or not name:
        raise InputError("run", f"{place!r} must be MODULE:FUNCTION, such as my_optimizer:orthogonalize")
    sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as problem:
        raise InputError(
            "run", f"{problem}: call this where {module.partition('.')[0]}.py lies, or install it"
        ) from problem
    except (Exception, SystemExit) as problem:  # a script that runs when it is imported, or breaks off
        said = f"importing {module} raised {type(problem).__name__}: {problem}".partition("\n")[0]
        cure = 'put what it runs below if __name__ == "__main__":, and mend it until python can import it'
        raise InputError("run", f"{said}; {cure}") from problem
    finally:
        sys.path.remove(os.getcwd())
    for part in name.split("."):
        if not hasattr(found, part):
            raise InputError("run", f"{module} has no {name}")
        found = getattr(found, part)
    if not callable(found):
        raise InputError("run", f"{place} is no function")
    return found

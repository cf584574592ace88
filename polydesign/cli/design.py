"""polydesign search: from a degree and a number of steps to a table in a file."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polydesign.model import DTYPES

if TYPE_CHECKING:
    from polydesign.designer import Design


# From experiment: quintics in bfloat16 round by 19 times their headroom and hold, degree 13 in float32
# rounds by 30 times and does not.
_ROUNDING_PER_ROOM = 25
_MOST_ROUNDING = 0.5


class Numbers(click.ParamType):
    """One number, or several separated by commas: one a step."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.name = "number[,number...]"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return tuple(self.kind(part) for part in value.split(","))
        except ValueError:
            what = "whole numbers" if self.kind is int else "numbers"
            self.fail(f"{value!r} is not a list of {what} such as 5 or 5,9,9", param, ctx)


@click.command(short_help="Design a schedule and write it as a table.")
@click.option("--degree", type=Numbers(int), default="5", show_default=True, help="One, or one a step.")
@click.option("--steps", type=int, help="How many steps of one degree.")
@click.option("--error", type=float, help="Reach this error with the fewest steps, in place of --steps.")
@click.option("--root", type=int, default=2, show_default=True, help="2 = sign, 1 = inverse, 4 = ^(-1/4).")
@click.option("--lower", type=float, default=1e-3, show_default=True, help="l of the interval [l, u].")
@click.option("--upper", type=float, default=1.0, show_default=True, help="u of the interval [l, u].")
@click.option(
    "--dtype",
    default="bfloat16",
    show_default=True,
    help=f"Precision it will run in; sets the safety below: {', '.join(DTYPES)}.",
)
@click.option("--headroom", type=Numbers(float), help="Design each step up to u times this.")
@click.option("--cushion", type=Numbers(float), help="Raise a step's lower end to u times this.")
@click.option("--image-floor", type=Numbers(float), help="Least lower/upper of a step's designed image.")
@click.option("--name", help="Name of the table.  [default: made from the parameters]")
@click.option("-o", "--output", help="File to write, or - for standard output.  [default: coeffs/NAME.json]")
@click.option("--force", is_flag=True, help="Replace a different file.")
@click.option("--json", "as_json", is_flag=True, help="Print the table's JSON in place of the summary.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def search(output: str | None, force: bool, as_json: bool, quiet: bool, **keywords: Any) -> None:
    """Design the best schedule of steps of these degrees and write it as a JSON table.

    Without --headroom, --cushion and --image-floor the precision chooses them, so that the schedule
    survives its rounding, and the summary says what that costs; --headroom 1 --cushion 0 is the optimum.

    \b
    Examples:
      polydesign search --degree 5 --steps 6
      polydesign search --degree 5 --steps 6 --headroom 1 --cushion 0
      polydesign search --degree 5 --error 1e-3 --dtype float16
      polydesign search --root 4 --degree 9 --steps 3 --lower 0.1 --dtype float32
    """
    from polydesign.designer import design_with_optimum
    from polydesign.table import dumps, save

    for option in ("degree", "headroom", "cushion", "image_floor"):
        if isinstance(keywords[option], tuple) and len(keywords[option]) == 1:
            keywords[option] = keywords[option][0]
    with _waiting(keywords):
        designed = design_with_optimum(**keywords)
    table = designed.table
    if output == "-":
        click.echo(dumps(table), nl=False)
        return
    path = Path(output) if output else Path("coeffs", f"{table.name}.json")
    written = save(table, path, force=force)
    if as_json:
        click.echo(dumps(table), nl=False)
    elif not quiet:
        click.echo(_summary(designed))
        click.echo(f"wrote {path}" if written else f"{path} holds this table already; left as it is")
    for warning in _warnings(designed, keywords["dtype"]):
        click.echo(f"Warning: {warning}", err=True)


def _waiting(keywords: dict[str, Any]) -> Any:
    """A spinner on a terminal where the search can take seconds: high inner degrees need many digits."""
    degree = keywords["degree"]
    highest = max(degree) if isinstance(degree, tuple) else degree
    if highest < 13 or not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status("designing")


def _summary(designed: Design) -> str:
    from polydesign.evaluation.cost import matmuls

    table, optimum = designed.table, designed.optimum
    schedule = table.schedule
    low, high = schedule.interval
    lines = [
        f"{table.name}: root {schedule.root}, {len(schedule.steps)} steps, "
        f"{matmuls(schedule)} matrix products, [{low:g}, {high:g}]",
        f"error     {schedule.error:.9g} = max |f(x) - 1| (from the solver, sampled; not proved)",
        f"optimum   {optimum.error:.9g} for these degrees without safety"
        + (f"; the safety costs a factor {schedule.error / optimum.error:.3g}" if optimum.error else ""),
        f"safety    {_safety(table.provenance.parameters)}",
        "",
        "step degree  max |p(x) - 1|  coefficients of q, increasing powers",
    ]
    for index, step in enumerate(schedule.steps, start=1):
        numbers = ", ".join(f"{c!r}" for c in step.coefficients)
        lines.append(f"{index:4d} {step.degree:6d}  {step.half_width:<14.9g}  {numbers}")
    return "\n".join(lines)


def _safety(parameters: dict[str, Any]) -> str:
    def said(value: Any) -> str:
        return ", ".join(f"{v:g}" for v in value) if isinstance(value, list) else f"{value:g}"

    parts = [f"headroom {said(parameters['headroom'])}"]
    if parameters.get("image_floor"):
        tail = parameters["floor_free_tail"]
        parts.append(
            f"image floor {said(parameters['image_floor'])}" + (f" but for the last {tail}" if tail else "")
        )
    else:
        parts.append(f"cushion {said(parameters['cushion'])}")
    if "dtype" in parameters:
        parts.append(f"the default for {parameters['dtype']}")
    return "; ".join(parts)


def _warnings(designed: Design, dtype: str) -> list[str]:
    """What to say of the first step whose rounding is too large for its headroom, or for anything."""
    from polydesign.evaluation.rounding import term_rounding
    from polydesign.model import dtype_name

    dtype = dtype_name(dtype)
    received = designed.table.schedule.interval
    for index, step in enumerate(designed.table.schedule.steps, start=1):
        rounding, room = term_rounding(step, dtype), step.domain[1] - received[1]
        if rounding > _MOST_ROUNDING or 0 < _ROUNDING_PER_ROOM * room < rounding:
            return [
                f"step {index} (degree {step.degree}) sums terms so large that in {dtype} their rounding "
                f"alone is {rounding:.2g}, and the headroom is {room:.2g}; run polydesign verify before you "
                "use it, or take a lower degree or a higher precision"
            ]
        received = step.image
    return []

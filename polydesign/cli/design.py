"""polydesign search: from a degree and a number of steps to a table in a file."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from decimal import ROUND_CEILING, ROUND_FLOOR
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polydesign.cli.budget import (
    asks_for_budget,
    budget_options,
    by_budget,
    proposing,
    spent,
    without_budget,
)
from polydesign.cli.gradient import (
    by_gradient,
    free_place,
    gradient_options,
    rounding_price,
    searched,
    unfinished,
    watched,
)
from polydesign.model import DTYPES, EVALUATIONS, NORMALIZATIONS, PURPOSES
from polydesign.text.digits import in_digits

if TYPE_CHECKING:
    from polydesign.model import Schedule, Table


# From experiment: degree 17 in float16 rounds by up to 80 times its headroom (Chebyshev) and holds, degree
# 13 in powers of A in float32 by 90 times and does not. Degree 9 in bfloat16 rounds by up to 0.5 and holds,
# degree 17 by up to 2.8 and holds on most matrices, but not on blocks of equal entries: roundings add up.
_ROUNDING_PER_ROOM = 85
_MOST_ROUNDING = 1


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


class LowerEnd(click.ParamType):
    """A number, or the word min."""

    name = "number|min"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return value if value == "min" else click.FLOAT.convert(value, param, ctx)


@click.command(short_help="Design a schedule and write it as a table.")
@click.option(
    "--degree",
    type=Numbers(int),
    help="One, or one a step; for a budget, those it may use.  [default: 5; all of them for a budget]",
)
@click.option("--steps", type=int, help="How many steps of one degree.")
@click.option("--error", type=float, help="Reach this error with the fewest steps, in place of --steps.")
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
@click.option("--headroom", type=Numbers(float), help="Design each step up to u times this.")
@click.option("--cushion", type=Numbers(float), help="Raise a step's lower end to u times this.")
@click.option("--image-floor", type=Numbers(float), help="Least lower/upper of a step's designed image.")
@click.option(
    "--evaluation",
    type=click.Choice(EVALUATIONS),
    help="How q is computed.  [default: chebyshev from inner degree 3 on]",
)
@click.option(
    "--round",
    metavar="GRID",
    help="Coefficients on a grid: 1/1024 (any 1/N), decimals:4, bf16, fp16 or fp32.",
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
@budget_options
@gradient_options
@click.option("--name", help="Name of the table.  [default: made from the parameters]")
@click.option("-o", "--output", help="File to write, or - for standard output.  [default: coeffs/NAME.json]")
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
      polydesign search --degree 3 --steps 5 --error 0.3 --lower min
      polydesign search --matmuls 15 --dtype bfloat16 --shape 1024x4096
      polydesign search --matmuls 15 --headroom 1
      polydesign search --method budget --error 0.02 --shape 1024x4096 --symmetric 0.5 --form auto
      polydesign search --steps 6 --method adam --objective topk:50
      polydesign search --steps 6 --method adam --round bf16
    """
    from polydesign.designer.design import design
    from polydesign.table import dumps, save

    for option in ("degree", "headroom", "cushion", "image_floor"):
        if isinstance(keywords[option], tuple) and len(keywords[option]) == 1:
            keywords[option] = keywords[option][0]
    if asks_for_budget(keywords):
        waiting = proposing(keywords, output, force, quiet)
    else:
        waiting = watched(without_budget(keywords), output, force, quiet)
    with _spinner(keywords), waiting as wanted:
        table = design(**wanted)
    if output == "-":
        click.echo(dumps(table), nl=False)
        return
    path = Path(output) if output else free_place(table, Path("coeffs", f"{table.name}.json"), force)
    written = save(table, path, force=force)
    if as_json:
        click.echo(dumps(table), nl=False)
    elif not quiet:
        click.echo(_summary(table))
        click.echo(f"wrote {path}" if written else f"{path} holds this table already; left as it is")
    cut_short = unfinished(table, str(path))
    for warning in ([cut_short] if cut_short else []) + _warnings(table, keywords["dtype"] or "bfloat16"):
        click.echo(f"Warning: {warning}", err=True)


def _spinner(keywords: dict[str, Any]) -> Any:
    """A spinner on a terminal where the search can take seconds: high inner degrees need many digits."""
    degree = keywords["degree"] or 5
    highest = max(degree) if isinstance(degree, tuple) else degree
    has_bar = keywords["method"] == "adam" or asks_for_budget(keywords)
    if highest < 13 or has_bar or not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status("designing")


def _summary(table: Table) -> str:
    from polydesign.program.cost import matmuls_of

    schedule = table.schedule
    low, high = schedule.interval
    lines = [
        f"{table.name}: root {schedule.root}, {len(schedule.steps)} steps, "
        f"{matmuls_of(table)} matrix products, [{low:g}, {high:g}]{_evaluation(schedule)}",
        f"error     {_how(table)}",
        # A clip schedule is no approximation of 1: the least error of that says nothing of it.
        *([] if table.purpose == "clip" else [f"optimum   {_cost(table)}"]),
        searched(table) if by_gradient(table) else f"safety    {_safety(table.provenance.parameters)}",
        *([spent(table)] if by_budget(table) else []),
        *_goals(table),
        "",
        "step degree  max |p(x) - 1|  coefficients of q, increasing powers",
    ]
    for index, step in enumerate(schedule.steps, start=1):
        numbers = ", ".join(f"{c!r}" for c in step.coefficients)
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


def _cost(table: Table) -> str:
    certificate = table.certificate
    if certificate is None or certificate.optimum is None:
        return "not known without a proof"
    optimum = float(certificate.optimum[1])
    if optimum < 1e-300:
        return "below 1e-300 for these degrees without safety"
    ratio = table.schedule.error / optimum
    if by_gradient(table):
        return f"{optimum:.9g} in the worst case for these degrees; this error is {ratio:.5g} times that"
    return f"{optimum:.9g} for these degrees without safety; the safety costs a factor {ratio:.5g}"


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


def _safety(parameters: dict[str, Any]) -> str:
    def said(value: Any) -> str:
        return ", ".join(f"{v:g}" for v in value) if isinstance(value, list) else f"{value:g}"

    parts = [f"headroom {said(parameters['headroom'])}"]
    if parameters.get("image_floor"):
        tail = parameters.get("floor_free_tail", 0)
        parts.append(
            f"image floor {said(parameters['image_floor'])}" + (f" but for the last {tail}" if tail else "")
        )
    elif "cushion" in parameters:
        parts.append(f"cushion {said(parameters['cushion'])}")
    if "dtype" in parameters and "floor_free_tail" in parameters and "candidates" not in parameters:
        parts.append(f"the default for {parameters['dtype']}")
    return "; ".join(parts)


def _goals(table: Table) -> list[str]:
    """What was asked for beside the error: coefficients on a grid, the smallest lower end."""
    parameters, lines = table.provenance.parameters, []
    if table.purpose == "clip":
        from polydesign.approximation.sampling import stated_clip_error

        low, off = table.schedule.interval[0], stated_clip_error(table.schedule)
        lines.append(f"clipping  |f(x) - min(x/{low:g}, 1)| <= {off:g} on a grid of [0, 1]")
    if "round" in parameters and by_gradient(table):
        lines.append(rounding_price(table))
    elif "round" in parameters:
        unrounded = parameters["unrounded_error"]
        price = f"; it costs a factor {table.schedule.error / unrounded:.5g}" if unrounded > 1e-300 else ""
        lines.append(f"rounding  to {parameters['round']}; without it {unrounded:.9g}{price}")
    if parameters.get("lower") == "min":
        slope = prod(step.coefficients[0] for step in table.schedule.steps)
        lines.append(
            f"lower     {table.schedule.interval[0]!r}, the smallest from which the error is at most "
            f"{parameters['error']:g}; slope at 0: {slope:.6g}"
        )
    return lines


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

"""polydesign show, plot, completion: looking at tables and passing them on."""

from __future__ import annotations

from pathlib import Path

import click

import polydesign
from polydesign.cli.given import given, list_option, table_given
from polydesign.model import Schedule, Table, located, shortened, visible

_INPUT = {
    "power": "divided by an estimate of its spectral norm, with a margin (power)",
    "aol": "rows divided by their own bounds (aol): the polar factor is that of the rescaled matrix",
    "none": "taken as it is: the caller vouches for a spectral norm of at most u",
}
"""What `show` says of normalizations that are not a norm."""


@click.command(short_help="Show what a table promises and where it comes from.")
@click.argument("table", metavar="FILE_OR_NAME")
@list_option
@click.option("--json", "as_json", is_flag=True, help="Print the table's JSON.")
def show(table: str, list_name: str | None, as_json: bool) -> None:
    """Show a table: promise, steps, safety, measurements, and the list of tuples to paste.

    \b
    Example:
      polydesign show sign-d5x6-l1e-3-bf16
    """
    from polydesign.approximation.certificate import with_proved_optimum
    from polydesign.table import as_table, dumps
    from polydesign.table.catalogue import find

    taken = given(table, list_name)
    found, path = as_table(taken), find(taken) if isinstance(taken, str) else Path(table)
    if as_json and found.certificate is not None and found.certificate.kind == "proved":
        with located(f"{path}: $."):  # the rest is proved where a file is read
            with_proved_optimum(found.schedule, found.certificate)
    click.echo(dumps(found) if as_json else _described(found, path), nl=not as_json)


def _described(table: Table, path: Path) -> str:
    from polydesign.exporters.target import cut_short, standings, stated_error
    from polydesign.program.cost import matmuls_of
    from polydesign.reporting.origin import listing
    from polydesign.table.standings import banded, first_of_members

    schedule, provenance = table.schedule, table.provenance
    low, high = schedule.interval
    lines = [
        f"{table.name}  ({visible(str(path))})",
        f"promise      |f(x) - 1| <= {stated_error(table, 6)} for x in [{low:g}, {high:g}], "
        f"root {schedule.root}",
        *[f"band         {line}" for line in [banded(table)] if line],
        *[f"family       {line}" for line in [first_of_members(table)] if line],
        f"made for     {table.purpose} in {table.dtype or 'exact arithmetic'}, {table.form} form",
        f"input        {_INPUT.get(table.normalization, f'divided by its {table.normalization} norm')}",
        f"cost         {matmuls_of(table)} matrix products, exactly {len(schedule.steps)} steps",
    ]
    if table.certificate is not None:
        certificate = table.certificate
        if certificate.kind == "sampled":
            what = f"largest error found {certificate.error[0]} on {certificate.samples} points"
        else:
            what = f"error in [{certificate.error[0]}, {certificate.error[1]}]"
        lines.append(f"certificate  {certificate.kind}: {what}; {certificate.digest[:19]}…")
    lines += [f"half         {line}" for line in standings(table)]
    lines += [f"search       {line}" for line in [cut_short(table)] if line]
    parameters = ", ".join(f"{key} {value}" for key, value in provenance.parameters.items())
    made = f"provenance   polydesign {provenance.polydesign}, {provenance.strategy}: {parameters}"
    lines += _of_the_literature(table) or [made]
    if provenance.source:
        lines.append(f"source       {provenance.source}")
    lines += ["", "step degree  domain                  image                   max |p(x) - 1|"]
    for index, step in enumerate(schedule.steps, start=1):
        domain, image = (f"[{a:.6g}, {b:.6g}]" for a, b in (step.domain, step.image))
        lines.append(f"{index:4d} {step.degree:6d}  {domain:22}  {image:22}  {step.half_width:.6g}")
    if table.measured:
        lines += ["", "measured     worst |v - 1| on the promised range"]
        for m in table.measured:
            worst = "not finite" if m.worst is None else f"{m.worst:.4g}"
            shape = "x".join(map(str, m.shape))
            power = f" {m.power}" if m.power > 1 else ""
            restarts = f" {','.join(map(str, m.restarts))}" if m.restarts else ""
            how = f"{m.operator}{power}, {m.form}{restarts}, {m.normalization}, {m.device}"
            verdict = "holds" if m.holds else "FAILED"
            lines.append(f"  {m.dtype:9} {shape:10} {m.spectrum:14} {worst:10} {verdict:6} ({how})")
    lines += ["", "coefficients of q, increasing powers, one tuple a step:", listing(table)]
    return "\n".join([*lines, *_programs(schedule)])


_TAILS = {
    "repeat_last": "for more steps they repeat the last row",
    "cycle": "for more steps they begin again with the first row",
    "none": "for more steps they say nothing",
}


def _of_the_literature(table: Table) -> list[str]:
    """What the rows of a published table contain, and what its authors say of using them.

    Nothing for another table, and for one that does not say it: a file holds what it likes there.
    """
    made = table.provenance.parameters
    folded, factor, cushion = (made.get(key) for key in ("folded", "recommended_factor", "cushion"))
    count, tail, named = (made.get(key) for key in ("rows", "tail", "interval"))
    known = (
        table.provenance.strategy == "published"
        and isinstance(folded, int | float)
        and isinstance(factor, int | float)
        and isinstance(cushion, int | float | None)
        and isinstance(count, int)
        and isinstance(tail, str)
        and isinstance(named, str)
    )
    if not known:
        return []
    low, high = table.schedule.interval
    steps = len(table.schedule.steps)
    rows = "one row, run" if count == 1 else f"{count} rows,"
    inside = f"{folded:g} is in the rows" if folded != 1 else "nothing: no safety factor is in the rows"
    outside = "" if factor == 1 else f"; divide the input by {factor:g} too, which this table leaves to you"
    about = "the source's" if named == "named by the source" else "ours: the source names none"
    margin = "" if cushion is None else f"; cushion {cushion:.4g}"
    said = _TAILS.get(str(tail), f"for more steps: {shortened(str(tail), 80)}")
    return [
        f"folded       {inside}",
        f"authors      {rows} {steps} steps; {said}{outside}{margin}",
        f"interval     [{low:g}, {high:g}] is {about}",
    ]


def _programs(schedule: Schedule) -> list[str]:
    """The constants that run, where they are not the coefficients."""
    from polydesign.reporting.origin import programs

    lines = programs(schedule)
    head = "what runs (schedule-v2.schema.json says how; the tuples are the same polynomials, rounded):"
    return ["", head, *lines] if lines else []


@click.command(short_help="Draw the composed map and the error of each step.")
@click.argument("tables", metavar="FILE_OR_NAME...", nargs=-1, required=True)
@click.option("--measured", metavar="FILE", help="Measurements that polydesign verify --save wrote.")
@click.option(
    "-o",
    "--output",
    metavar="FILE|FOLDER/",
    help="PNG or SVG.  [default: NAME.png; comparison.png for several]",
)
def plot(tables: tuple[str, ...], measured: str | None, output: str | None) -> None:
    """Draw one table's composed map and the error of each step, or several tables' maps together.

    \b
    Examples:
      polydesign plot sign-d5x6-l1e-3-bf16 -o map.svg
      polydesign verify sign-d5x6-l1e-3-bf16 --save measured.json
      polydesign plot sign-d5x6-l1e-3-bf16 --measured measured.json
    """
    from polydesign.drawing import save_figure
    from polydesign.text.files import place

    loaded = [table_given(table) for table in tables]
    figure = polydesign.plot(*loaded, measured=measured)
    name = f"{loaded[0].name}.png" if len(loaded) == 1 else "comparison.png"
    path = place(output or "./", name)
    save_figure(figure, path)
    click.echo(f"wrote {path}")


@click.command(short_help="Print the shell's completion script.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that makes the shell complete polydesign's commands and options.

    \b
    Example:
      eval "$(polydesign completion bash)"
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # click knows the three shells of the choice
    root = click.get_current_context().find_root()
    click.echo(kind(root.command, {}, "polydesign", "_POLYDESIGN_COMPLETE").source())

"""polydesign doctor: what works in this process, and the line that mends what does not."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

import polydesign

_MARKS = {"ok": "ok", "note": "note", "breaks": "BREAKS"}


@click.command(short_help="Run the default tables here, and say what breaks.")
@click.option("--device", help="cpu, or cuda:0.  [default: the CPU and every CUDA device]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one list.")
@click.pass_context
def doctor(ctx: click.Context, device: str | None, as_json: bool) -> None:
    """Run the tables that are taken by default with the versions, settings and devices of this process.

    Exit code 1 where something breaks; the line under it mends it. What your own process has set is seen by
    polydesign.doctor() inside of it.

    \b
    Examples:
      polydesign doctor
      polydesign doctor --device cuda:0 --json
    """
    found = polydesign.doctor(device)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=2))
    else:
        for one in found:
            click.echo(f"{_MARKS[one.state]:7}{one.device:7}{one.name}: {one.found}")
            if one.cure:
                click.echo(f"{'':14}{one.cure}")
    broken = sum(one.state == "breaks" for one in found)
    if not as_json:
        click.echo(f"{broken} of {len(found)} break" if broken else "nothing breaks")
    if broken:
        ctx.exit(1)

"""The command line that makes a table again, option by option."""

from __future__ import annotations

from polydesign.designer.naming import short
from polydesign.model import Schedule, Table
from polydesign.program.programs import preferred


def search(table: Table, options: list[str]) -> str:
    """The whole command."""
    return " ".join(["polydesign search", *options, f"--name {table.name}"])


def degrees(schedule: Schedule) -> list[str]:
    """--degree, with --steps where one degree is enough."""
    listed = schedule.degrees
    if len(set(listed)) == 1:
        return [f"--degree {listed[0]}", f"--steps {len(listed)}"]
    return [f"--degree {','.join(map(str, listed))}"]


def problem(table: Table, error: float | None = None) -> list[str]:
    """Root, interval, purpose and normalization, where they are not what they are anyway.

    error: an error that was asked for.
    """
    schedule, stated = table.schedule, table.provenance.parameters
    low, high = schedule.interval
    options = [] if schedule.root == 2 else [f"--root {schedule.root}"]
    if stated.get("lower") == "min":
        options.append(f"--band {stated['error']!r}")
    else:
        options += [f"--lower {short(low)}", *([] if error is None else [f"--error {error!r}"])]
    options += [] if high == 1 else [f"--upper {short(high)}"]
    if schedule.root == 2 and table.purpose == "root" and stated.get("form") != "coupled":
        options.append("--purpose root")
    options += [] if table.normalization == "frobenius" else [f"--normalization {table.normalization}"]
    return options


def evaluation(schedule: Schedule) -> list[str]:
    """--evaluation, where the steps have another one than they would have had anyway."""
    used = {step.evaluation for step in schedule.steps}
    if used == {preferred(step.inner_degree) for step in schedule.steps}:
        return []
    return [f"--evaluation {used.pop()}"]

"""Where a table comes from, and what to type to have it again."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Container
from typing import Any

from polydesign.designer.methods import METHODS
from polydesign.exporters.printer import program_text
from polydesign.exporters.targets import TARGETS
from polydesign.model import InputError, Schedule, Table
from polydesign.table.catalogue import catalogue
from polydesign.table.published import names
from polydesign.table.standings import first_of_members


def provenance(table: Table) -> list[tuple[str, str]]:
    """Everything that the file says of its origin: (what, value)."""
    origin = table.provenance
    listed = [
        ("digest", table.digest),
        ("made by", f"polydesign {origin.polydesign}, {origin.strategy}"),
    ]
    if origin.source:
        listed.append(("source", origin.source))
    if origin.seed is not None and "seed" not in origin.parameters:
        listed.append(("seed", str(origin.seed)))
    listed += [(key, _value(value)) for key, value in origin.parameters.items()]
    return [*listed, ("input normalization", table.normalization)]


def caution(table: Table, dtype: str) -> float:
    """The part of the rounding model's noise that a budget search made the table for, in that precision."""
    stated = table.provenance.parameters
    part = stated.get("caution")
    if table.dtype != dtype or not isinstance(part, (int, float)) or not 0 < part < math.inf:
        return 1.0
    return float(part)


def typed(table: Table) -> str:
    """What one types for a table that was given as an object: its source file and list, or its name."""
    stated = table.provenance.parameters
    if table.provenance.strategy != "rows" or not isinstance(stated.get("file"), str):
        return table.name
    return f"{stated['file']}:{stated['list']}" if "list" in stated else stated["file"]


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def command(table: Table) -> tuple[str, str]:
    """The command line that makes this table, and what to know of it; the first is empty where none does."""
    name = table.provenance.strategy
    if table.members:
        return "", f"{table.name} is {first_of_members(table)}; scripts/build_coeffs.py made it."
    try:
        if name in METHODS:
            return METHODS[name].command(table)
        if name == "published":
            return _published(table)
        if name == "rows" and "file" in table.provenance.parameters:
            return _imported(table)
    except (KeyError, TypeError):  # a file says what it likes of its origin
        pass
    return "", f"Made by {name}, with these parameters."


def _imported(table: Table) -> tuple[str, str]:
    stated, schedule = table.provenance.parameters, table.schedule
    low, high = schedule.interval
    options = [f"--list {shlex.quote(stated['list'])}"] if "list" in stated else []
    options += [f"--root {schedule.root}", f"--purpose {table.purpose}", f"--lower {low!r}"]
    options += [f"--upper {high!r}"] if high != 1 else []
    options += [f"--steps {len(schedule.steps)}"] if stated["rows"] == 1 else []
    options += [f"--layout {shlex.quote(stated['layout'])}"] if stated["layout"] != "steps" else []
    options += [f"--normalization {table.normalization}"] if table.normalization != "frobenius" else []
    command = " ".join(["polydesign import", shlex.quote(stated["file"]), *options, f"--name {table.name}"])
    return command, f"The file had sha256 {stated['sha256']}."


def _published(table: Table) -> tuple[str, str]:
    if table.name not in names():
        return "", "A published schedule under another name."
    code = (
        f"import polydesign as p; from polydesign.designer.design import published_table; "
        f"p.save(published_table('{table.name}'), '{table.name}.json')"
    )
    return f'python -c "{code}"', "Coefficients as its source prints or runs them."


def listing(table: Table) -> str:
    """The coefficients of q, increasing powers, as a list of tuples to paste; comments for long steps."""
    rows = [
        f"    # degree {step.degree}: its program alone runs, in powers of A float64 loses it"
        if step.long
        else f"    {step.coefficients!r},"
        for step in table.schedule.steps
    ]
    return "\n".join(["[", *rows, "]"])


def exports(table: Table, without: Container[str] = ()) -> list[tuple[str, str]]:
    """What the table can be exported as: for whom, and the command line; without: targets to leave out.

    Without -o a command prints; a table that the catalogue has not is named by its file.
    """
    source = table.name if table.name in catalogue() or table.name in names() else f"{table.name}.json"
    found = []
    for name, target in TARGETS.items():
        if name in without:
            continue
        try:
            target.write(table)
        except InputError:  # it cannot express the table: `polydesign export` says why
            continue
        found.append((target.about, shlex.join(["polydesign", "export", source, "--to", name])))
    return found


def programs(schedule: Schedule) -> list[str]:
    """The constants that run, a line a step, where they are not the coefficients."""
    lines = []
    for index, step in enumerate(schedule.steps, start=1):
        if text := program_text(step):
            constants = ", ".join(f"k{j} {c!r}" for j, c in enumerate(step.program.constants))
            lines.append(f"step {index}, {step.evaluation}: {text}; {constants}")
    return lines

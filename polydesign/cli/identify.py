"""polydesign identify: which table a pasted list is, what it does, and what to use instead."""

from __future__ import annotations

import json
import math
import re
import sys
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polydesign.cli.described import USUAL, advice, slope, what, who
from polydesign.model import InputError, Schedule, Table
from polydesign.text.numbers import number

if TYPE_CHECKING:
    from polydesign.identification.identify import Match
    from polydesign.model import Certificate

_LONGEST_NAME = 255
"""Of a file."""

LOWER = 1e-3
"""Lower end for root 2 where nobody says another: Muon's singular values, after the Frobenius norm."""

FLOOR = 7.5e-3
"""Errors in bfloat16 below this are alike: rounding the input alone costs up to 0.0071 on a swept pair of
singular values (figures/budget_targets.json)."""


@click.command(short_help="Say which table a pasted list is, and what it does.")
@click.argument("source", metavar="FILE|-|NAME")
@click.option(
    "--root", type=click.IntRange(1), help="Of the list.  [default: the table's that it is, else 2]"
)
@click.option(
    "--lower",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Lower end of what it is run on.  [default: 1e-3; roots: the table's]",
)
@click.option(
    "--steps", type=click.IntRange(1, 200), help="How often one row is run.  [default: as published, else 5]"
)
@click.option("--list", "which", metavar="NAME", help="Of several lists in the text, the one called so.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def identify(
    source: str, root: int | None, lower: float | None, steps: int | None, which: str | None, as_json: bool
) -> None:
    """Say which published table a list of coefficients is, or which of ours, and how it differs.

    Takes a file, or - for standard input: JSON, a Python list (an assignment, with arithmetic such as
    3.4445/1.01, or the function around it), or lines of numbers. Nothing in it is run. Then: what the list
    does on [lower, 1], proved; how far above 1 it is safe; and what to use instead.

    \b
    Examples:
      polydesign identify optimizer.py
      polydesign identify muon_utils.py --list polar_express
      echo "3.4445 -4.7750 2.0315" | polydesign identify - --steps 5
    """
    from polydesign.exporters.target import made_for
    from polydesign.identification.identify import identify as explain

    rows, table = _rows(source, which)
    if table is not None and root not in (None, table.schedule.root):
        raise InputError("root", f"{table.name} is of root {table.schedule.root}: leave it out")
    root = root or (table.schedule.root if table else None)
    matches = explain(rows, root)
    best = matches[0] if matches else None
    own = _own(best) or table
    if steps is not None and len(rows) > 1:
        raise InputError("steps", f"is for one row, and there are {len(rows)}: leave it out")
    root = root or (best.root if best else 2)
    count = (steps or (best.of if best and _repeats(best) else USUAL)) if len(rows) == 1 else 1
    purpose = made_for(own) if own else None
    if table is not None and lower is None and count == 1:
        schedule = table.schedule
    else:
        evaluations = [step.evaluation for step in table.schedule.steps] if table else None
        schedule = _as_run(root, rows, count, lower or _lower(own, root), evaluations)
    certificate = _certified(schedule) if schedule else None
    measured = _measured(best, own) if steps is None or (best and steps == best.of) else {}
    lost = None in measured.get("bfloat16", [])
    # What is made for something else is not replaced by a table for the sign.
    instead = [] if schedule is None or purpose else _instead(schedule, inf if lost else schedule.error)
    if as_json:
        click.echo(
            json.dumps(
                _as_json(rows, matches, schedule, certificate, instead) | {"made_for": purpose}, indent=2
            )
        )
        return
    lines = who(matches, rows)
    if schedule is None:
        lines.append(f"map        leaves float64: run as root {root} it diverges")
    else:
        lines += [*what(schedule, certificate, len(rows) == 1), *_told(measured)]
        lines += [f"for        {purpose}"] if purpose else advice(schedule, instead)
    click.echo("\n".join(lines))


def _as_run(
    root: int, rows: list[tuple[float, ...]], count: int, lower: float, evaluations: list[str] | None
) -> Schedule | None:
    """The schedule of the rows on [lower, 1]; None where it leaves float64 there."""
    from polydesign.approximation.scalar import schedule_from

    run = [_bare(row) for row in rows] * count
    try:
        return schedule_from(root, run, (lower, 1.0), evaluations and evaluations * count)
    except InputError:
        return None  # an image that is not finite is all that these rows can be refused for


def _rows(source: str, which: str | None) -> tuple[list[tuple[float, ...]], Table | None]:
    """The rows, and the table that they are of where it is one of ours."""
    from polydesign.identification.pasted import read_rows
    from polydesign.table.catalogue import load
    from polydesign.table.published import names, published

    path = Path(source)
    if source in names() and published(source).misprint and not path.is_file():
        return list(published(source).steps_run()), None
    if _is_list(source) and (len(source) > _LONGEST_NAME or not path.is_file()):
        raise InputError(
            "FILE",
            f'is a list, not a file: give it on standard input, echo "{source[:30]}…" | polydesign '
            "identify -",
        )
    try:
        text = path.read_text(encoding="utf-8-sig") if path.is_file() else None
        text = sys.stdin.read() if source == "-" else text
        if text is None or (source != "-" and '"polydesign/schedule/' in text[:200]):
            table = load(source)
            return table.as_tuples(), table
        table = _of_the_header(text)
        return (table.as_tuples(), table) if table else (list(read_rows(text, which)), None)
    except UnicodeDecodeError as problem:
        raise InputError(source, "is not UTF-8 text: paste the list itself") from problem
    except InputError as problem:
        if source != "-" and problem.field.startswith(("line", "text")):
            raise InputError(f"{source}, {problem.field}", problem.problem) from problem
        raise


def _is_list(source: str) -> bool:
    """Whether it is numbers with something between them, as no file is called."""
    return re.search(r"\d\s*[,;\s)\]]+[\s(\[]*[-+]?[\d.]", source) is not None


def _own(best: Match | None) -> Table | None:
    """The table of the catalogue that the rows are, or come from."""
    from polydesign.table.catalogue import catalogue, load

    if best is None or best.beyond or best.differs or best.name not in catalogue():
        return None
    try:
        return load(best.name)
    except (InputError, OSError):
        return None  # one of ./coeffs that is broken in some other place


def _of_the_header(text: str) -> Table | None:
    """The table whose digest the text names, where it runs a program: its numbers are no coefficients.

    All of the program's constants must stand in the text as well.
    """
    from polydesign.table.catalogue import catalogue, glance, load

    stated = set(re.findall(r"sha256:[0-9a-f]{64}", text))
    for path in catalogue().values() if stated else ():
        try:
            if glance(path).get("certificate", {}).get("digest") not in stated:
                continue
            table = load(path)
        except (InputError, OSError, AttributeError):
            continue
        programs = [step.program for step in table.schedule.steps if step.evaluation != "monomial"]
        numbers = [c for program in programs for c in program.constants]
        if numbers and all(repr(c) in text for c in numbers):
            return table
    return None


def _bare(row: tuple[float, ...]) -> tuple[float, ...]:
    while len(row) > 2 and row[-1] == 0:
        row = row[:-1]
    return row


def _repeats(match: Match) -> bool:
    """Whether the table is one row, run several times."""
    return any(words.startswith("its one row") for words in match.how)


def _lower(own: Table | None, root: int) -> float:
    if root == 2 or own is None:
        return LOWER if root == 2 else 0.1
    return own.schedule.interval[0]


def _certified(schedule: Schedule) -> Certificate | None:
    from polydesign.approximation.certificate import certify

    try:
        return certify(schedule)
    except ArithmeticError:
        return None


def _measured(best: Match | None, own: Table | None) -> dict[str, list[float | None]]:
    """Precision -> the errors measured of the table itself, where the rows are its rows as run."""
    if best is None or own is None or not (best.exact or _repeats(best)):
        return {}
    found: dict[str, list[float | None]] = {}
    for m in own.measured:
        found.setdefault(m.dtype, []).append(m.worst)
    return found


def _told(measured: dict[str, list[float | None]]) -> list[str]:
    told = []
    for dtype, errors in measured.items():
        finite = [error for error in errors if error is not None]
        told.append(
            f"{dtype} {number(max(finite), 3, up=True)}"
            if len(finite) == len(errors)
            else f"{dtype} not finite"
        )
    return [f"measured   worst error in {', '.join(told)}"] if told else []


def _instead(schedule: Schedule, error: float) -> list[dict[str, Any]]:
    """Of ours for bfloat16, this root and interval, with no more products, what beats this error: the best of
    quintics, which every codebase takes, then the best of all."""
    from polydesign.model import purpose_of
    from polydesign.program.cost import matmuls
    from polydesign.table.catalogue import entries

    most, lower, found = matmuls(schedule), schedule.interval[0], []
    for one in entries():
        low = one.interval[0]
        if one.root != schedule.root or one.matmuls > most or not low <= lower < 1e2 * low:
            continue
        if one.dtype != "bfloat16" or one.purpose != purpose_of(schedule.root):
            continue
        runs = [worst for dtype, worst in one.runs if dtype == "bfloat16"]
        # As `measured` says of a list that is one of ours; a table without runs has its search's figure.
        finite = [worst for worst in runs if worst is not None]
        measured = (max(finite) if len(finite) == len(runs) else None) if runs else one.observed
        found.append(
            {
                "name": one.name,
                "degrees": list(one.degrees),
                "matmuls": one.matmuls,
                "error": one.error,
                "measured": measured,
                "figure": math.inf if len(finite) < len(runs) else max(one.error, measured or 0.0),
            }
        )
    found.sort(key=lambda one: (max(one["figure"], FLOOR), one["matmuls"], one["figure"]))
    rows = [one for one in found if schedule.root == 2 and max(one["degrees"]) <= 5]
    worth = max(error, FLOOR)
    picks = [
        one for one in (*rows[:1], *found[:1]) if (max(one["figure"], FLOOR), one["matmuls"]) < (worth, most)
    ]
    return list({one["name"]: one for one in picks}.values())


def _as_json(
    rows: list[tuple[float, ...]],
    matches: list[Match],
    schedule: Schedule | None,
    certificate: Certificate | None,
    instead: list[dict[str, Any]],
) -> dict[str, Any]:
    from polydesign.program.cost import matmuls

    body: dict[str, Any] = {"rows": rows, "matches": [asdict(match) for match in matches], "map": None}
    if schedule is not None:
        body["map"] = {
            "root": schedule.root,
            "interval": schedule.interval,
            "steps": len(schedule.steps),
            "matmuls": matmuls(schedule),
            "image": schedule.steps[-1].image,
            "error": schedule.error,
            "proved": certificate is not None,
            "slope": slope(schedule),
            "safe_edge": certificate.safe_edge if certificate else None,
            "basin_edge": certificate.basin_edge if certificate else None,
        }
    return body | {"instead": instead}

"""Where a table comes from, and what to type to have it again."""

from __future__ import annotations

import json
import math
from typing import Any

from polydesign.designer.naming import short
from polydesign.exporters.printer import program_text
from polydesign.model import Schedule, Table
from polydesign.program.programs import preferred
from polydesign.table.published import names


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


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def command(table: Table) -> tuple[str, str]:
    """The command line that makes this table, and what to know of it; the first is empty where none does."""
    makers = {"equioscillation": _greedy, "budget": _budget, "clip": _clip, "published": _published}
    maker = makers.get(table.provenance.strategy)
    if maker is not None:
        try:
            return maker(table)
        except (KeyError, TypeError):  # a file says what it likes of its origin
            pass
    return "", f"Made by {table.provenance.strategy}, with these parameters."


def _greedy(table: Table) -> tuple[str, str]:
    p, schedule = table.provenance.parameters, table.schedule
    options = [*_degrees(schedule), *_problem(table)]
    if "dtype" in p:
        options.append(f"--dtype {p['dtype']}")
    else:
        options += [f"--{key.replace('_', '-')} {_list(p[key])}" for key in _SAFETY if key in p]
        options += [f"--dtype {table.dtype}"] if table.dtype else []
    if "round" in p:
        options.append(f"--round {p['round']}")
    used = {step.evaluation for step in schedule.steps}
    if used != {preferred(step.inner_degree) for step in schedule.steps}:
        options.append(f"--evaluation {used.pop()}")
    note = "The same digits on the same platform."
    if "dtype" in p:
        note += " Headroom and floor are the defaults of that precision."
    return _search(table, options), note


_SAFETY = ("headroom", "cushion", "image_floor")


def _budget(table: Table) -> tuple[str, str]:
    p = table.provenance.parameters
    options = [f"--matmuls {p['matmuls']}"] if "matmuls" in p else ["--method budget"]
    options += _problem(table)
    if p.get("exact"):
        options.append("--headroom 1")
        return _search(table, options), "The same digits on the same platform."
    options.append(f"--dtype {p['dtype']}")
    if "shape" in p:
        options.append(f"--shape {'x'.join(map(str, p['shape']))}")
    if p.get("form", "direct") != ("direct" if table.schedule.root == 2 else "coupled"):
        options.append(f"--form {p['form']}")
    note = "It measures candidates in one order of sums; another version may choose another."
    return _search(table, options), note


def _clip(table: Table) -> tuple[str, str]:
    degrees = ",".join(map(str, table.schedule.degrees))
    options = ["--method clip", f"--degree {degrees}", *_problem(table)]
    p = table.provenance.parameters
    if "dtype" not in p:
        options += [f"--{key.replace('_', '-')} {p[key]!r}" for key in ("headroom", "image_floor")]
    options += [f"--dtype {table.dtype}"] if table.dtype else []
    return _search(table, options), "Linear programs: another solver may end with other digits."


def _published(table: Table) -> tuple[str, str]:
    if table.name not in names():
        return "", "A published schedule under another name."
    code = (
        f"import polydesign as p; from polydesign.designer.design import published_table; "
        f"p.save(published_table('{table.name}'), '{table.name}.json')"
    )
    return f'python -c "{code}"', "Coefficients as its source prints or runs them."


def _search(table: Table, options: list[str]) -> str:
    return " ".join(["polydesign search", *options, f"--name {table.name}"])


def _degrees(schedule: Schedule) -> list[str]:
    degrees = schedule.degrees
    if len(set(degrees)) == 1:
        return [f"--degree {degrees[0]}", f"--steps {len(degrees)}"]
    return [f"--degree {','.join(map(str, degrees))}"]


def _problem(table: Table) -> list[str]:
    schedule, p = table.schedule, table.provenance.parameters
    low, high = schedule.interval
    options = [] if schedule.root == 2 else [f"--root {schedule.root}"]
    if p.get("lower") == "min":
        options += [f"--error {p['error']!r}", "--lower min"]
    else:
        options += [f"--lower {short(low)}"]
        options += (
            [f"--error {p['error']!r}"] if table.provenance.strategy == "budget" and "error" in p else []
        )
    options += [] if high == 1 else [f"--upper {short(high)}"]
    if schedule.root == 2 and table.purpose == "root" and p.get("form") != "coupled":
        options.append("--purpose root")
    return options + (
        [] if table.normalization == "frobenius" else [f"--normalization {table.normalization}"]
    )


def _list(value: Any) -> str:
    values = value if isinstance(value, (list, tuple)) else [value]
    return ",".join(repr(v) for v in values)


def listing(table: Table) -> str:
    """The coefficients of q, increasing powers, as a list of tuples to paste."""
    rows = "\n".join(f"    {row!r}," for row in table.as_tuples())
    return f"[\n{rows}\n]"


def programs(schedule: Schedule) -> list[str]:
    """The constants that run, a line a step, where they are not the coefficients."""
    lines = []
    for index, step in enumerate(schedule.steps, start=1):
        if text := program_text(step):
            constants = ", ".join(f"k{j} {c!r}" for j, c in enumerate(step.program.constants))
            lines.append(f"step {index}, {step.evaluation}: {text}; {constants}")
    return lines

"""Texts that polydesign export wrote: which table they are of, though their numbers are not its coefficients.

A text for matrices holds the constants of programs, and one for a codebase that divides by more than the
norm a first row that makes up for it. The digest in the header names the table, and its numbers must be
there: a header alone proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from polydesign.exporters.sheet import constants_beside
from polydesign.exporters.target import compensated
from polydesign.exporters.targets import TARGETS, divides_by
from polydesign.identification.brackets import NUMBER
from polydesign.identification.similarity import SAME, Row
from polydesign.model import InputError, Table
from polydesign.table.catalogue import catalogue, glance, load, shipped, shipped_name

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CALLS = re.compile(r"\(\s*_step\d+(?:_\d+)?,|\bdouble \w+_step\d+(?:_\d+)?\(double x, |\| c0 = `")
"""Rows that begin with the function that runs them, functions of C, and our tables of Markdown."""

_PROGRAMS = re.compile(r"for k0\b.* in STEPS|\bdef _step\d+(?:_\d+)?\(\w+, k0\b|\bdouble k0 = row\[0\]")

_AS_EXPORTED = re.compile(r"\s*(?:STEPS = \[|for [\w, *]+ in STEPS:\s*$|[\w, *()]+, \*\w+ = STEPS\s*$)")
"""All that an export does with its list."""

_TELLING = 7
"""Characters of a number that stands in no text by chance, such as 2.0 or 0.001."""


def stated(text: str) -> Table | None:
    """The table of the catalogue whose digest the text names."""
    digests = sorted(set(_DIGEST.findall(text)))
    names = [name for name in map(shipped_name, digests) if name]
    if names:
        return load(names[0])
    for path in catalogue().values() if digests else ():
        if shipped() in path.parents:
            continue
        try:
            if glance(path).get("certificate", {}).get("digest") in digests:
                return load(path)
        except (InputError, OSError, AttributeError):
            continue  # of ./coeffs, broken in some other place
    return None


def runs(text: str, table: Table) -> bool:
    """Whether the text runs this very table by functions of its own, or lists the constants of its programs.

    All numbers must stand there in their order, as often as one text has them: rows that were exchanged or
    left out are another table.
    """
    steps = table.schedule.steps
    programs = any(step.evaluation != "monomial" for step in steps)
    if _changes(text) or not (programs or _CALLS.search(text)):
        return False  # what has no functions of its own is a list like others
    run = [c for step in steps for c in step.program.constants]
    both = [c for step in steps for c in (*step.coefficients, *constants_beside(step))]
    numbers = [float(one) for one in re.findall(rf"(?<![\w.]){NUMBER}(?![\w.])", text)]
    return any(_in_order(numbers, wanted) for wanted in (run, both))


def _changes(text: str) -> bool:
    """Whether anything else is done with the list, which may then be another."""
    lines = [line.partition("#")[0] for line in text.splitlines() if "STEPS" in line]
    return any(re.search(r"\bSTEPS\b", line) and not _AS_EXPORTED.match(line) for line in lines)


def _in_order(numbers: Sequence[float], wanted: Sequence[float]) -> bool:
    telling = [c for c in wanted if len(repr(abs(c))) >= _TELLING]
    kept = set(telling)
    found = [c for c in numbers if c in kept]
    times, rest = divmod(len(found), len(telling) or 1)
    return bool(telling) and times > 0 and not rest and found == telling * times


def divided_by_more(rows: Sequence[Row], table: Table) -> str:
    """For which codebases, which divide by more than the norm, the rows are this table, in words; else ""."""
    if table.schedule.root != 2:
        return ""
    for factor in sorted({target.factor for target in TARGETS.values()} - {1.0}):
        wanted = compensated(table, factor)
        if len(rows) == len(wanted) and all(map(_same, rows, wanted)):
            return f"for {divides_by(factor)}: the first row is p({factor:g}x)"
    return ""


def _same(row: Row, wanted: Row) -> bool:
    padded = (*wanted, *[0.0] * (len(row) - len(wanted)))
    return len(row) == len(padded) and all(
        abs(p - c) <= SAME * abs(c) for p, c in zip(row, padded, strict=True)
    )


def runs_programs(text: str) -> bool:
    """Whether rows of the text are constants k0, k1, … of programs."""
    return bool(_PROGRAMS.search(text))


def refuse_constants(text: str, table: Table | None) -> None:
    """Raise InputError where rows of a text are constants of programs: as coefficients they are another map.

    table: that the text names, where it is not this one.
    """
    if not runs_programs(text):
        return
    if table is not None:
        known = f"names {table.name}, but has other constants or changes them: export it again"
    else:
        known = "names no table of the catalogue: give the table's file, or put it into ./coeffs"
    raise InputError("text", f"runs programs, whose constants are no coefficients, and {known}")

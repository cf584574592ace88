"""A list in somebody's source file as a table: where it stands, what it is known as, and how it is meant."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from pathlib import Path

from polydesign.identification.matches import Match, find_matches
from polydesign.identification.meant import check_known, check_layout, check_like, check_root, of_the_known
from polydesign.identification.paths import as_path
from polydesign.identification.sources import BEFORE, given, unambiguous
from polydesign.model import (
    InputError,
    InputWarning,
    Table,
    check_choice,
    check_integer,
    check_path,
    check_purpose,
    located,
    visible,
)
from polydesign.table.catalogue import is_shipped
from polydesign.table.layouts import (
    LAYOUTS,
    Plain,
    as_steps,
    checked_rows,
    usual_lower,
)
from polydesign.table.rows import Origin, from_rows


def import_table(
    path: str | os.PathLike[str],
    *,
    which: str | None = None,
    root: int | None = None,
    purpose: str | None = None,
    lower: float | None = None,
    upper: float = 1.0,
    steps: int | None = None,
    layout: str | None = None,
    form: str = "",
    normalization: str = "frobenius",
    name: str | None = None,
) -> Table:
    """The table of a list of coefficients in a file of another project, certified.

    Nothing in the file is run. Where the list is a known one, its root, its purpose and the number of its
    steps are that table's; elsewhere it is for the sign. Where it could be meant in another way, it is
    refused until the caller decides. Where code below may change it, under a condition or elsewhere, it is
    taken as it stands before that, with an InputWarning.

    Args:
        path: A file of Python, JSON, or another source that `identify` reads; FILE:NAME is one of its lists.
        which: The name of the list, where the file holds several.
        root: r of its steps x·q(xʳ).
        purpose: What it is for, one of model.PURPOSES.
        lower: l of the interval on which its error is proved; None for 1e-3 where r is 2, for that of a known
            table of another root, else for 0.1.
        upper: u of the interval.
        steps: How often a single row is run.
        layout: How the numbers are meant: steps, columns, descending or powers-of-x (table.layouts).
        form: As of a Table, "" for the purpose's.
        normalization: What the input is divided by, one of model.NORMALIZATIONS.
        name: Of the table; None for one made of the file's and the list's.

    Returns:
        The table. Its provenance has the file, the line, the file's sha256, and what the list is known as.

    Raises:
        InputError: There is no list, or several, or several readings of it; for rows that do no good on
            the interval, and for a known misprint. The field is the argument, or the line in the file.
        OSError: The file cannot be read.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "muon.py")
    ...     _ = path.write_text("coeffs = [(3.4445, -4.775, 2.0315)] * 5")
    ...     table = import_table(path)
    >>> table.name, table.provenance.parameters["line"], round(table.schedule.error, 3)
    ('muon', 1, 0.529)
    """
    checked = check_path("path", path)
    if isinstance(path, str):
        path, which = as_path(path, which)
        checked = Path(path)
    path = checked
    source = unambiguous(given(path, which))
    found, table = list(source.rows), source.table
    if table is not None:
        asked = {"root": root, "purpose": purpose, "lower": lower, "steps": steps, "layout": layout}
        for field, value in asked.items():
            if value is not None:
                raise InputError(field, f"is that of {table.name}, which the file names: leave it out")
        return table  # the numbers of a file that names one may be those of a program
    content = path.read_bytes()
    where = f"{visible(str(path))}:{source.line}"
    if root is not None:
        root = check_integer("root", root, 1)
    rows = _laid_out(checked_rows(found), layout, root or 2, where)
    for remark in source.remarks:
        if remark.endswith(BEFORE):
            warnings.warn(f"{where}: {remark}", InputWarning, stacklevel=2)
    # A table of ./coeffs may be what an earlier import has written.
    matches = [one for one in find_matches(rows, root) if one.published or one.unsafe or is_shipped(one.name)]
    best = matches[0] if matches else None
    known = best if best is not None and (best.exact or best.repeats) else None
    check_known(best, layout, where)
    if best is not None and known is None:
        check_like(best, root, purpose, where)
    order = root or (known.root if known else 2)
    rows = _run(rows, steps, known, where)
    chosen = "given" if lower is not None else None
    purpose, lower = _serves(known, order, purpose, lower)
    if known is None and layout is None:
        check_layout(rows, order, (lower, upper), where)
    if known is None and root is None:
        check_root(rows, order, where)
    parameters = {
        "lower": chosen or ("usual" if lower == usual_lower(order) else "that of the known list"),
        "file": visible(str(path)),
        "line": source.line,
        "rows": len(found),
        "sha256": hashlib.sha256(content).hexdigest(),
        "list": which,
        "layout": layout or "steps",
        "known_as": known and known.name,
    }
    source = f"{where}, a list of {len(found)} rows"
    with located(f"{where}: "):
        return from_rows(
            rows,
            order,
            lower=lower,
            upper=upper,
            purpose=purpose,
            form=form,
            normalization=normalization,
            name=name or _name(path, which),
            origin=Origin(source, {key: value for key, value in parameters.items() if value is not None}),
        )


def taken(table: Table) -> str:
    """What import_table took, in a line: where it stands, what it is, and what was assumed of it."""
    made, schedule = table.provenance.parameters, table.schedule
    if table.provenance.strategy != "rows":
        return f"the text is that of {table.name}, and that table is taken"
    low, high = schedule.interval
    named = f", {made['list']}" if "list" in made else ""
    known = f", known as {made['known_as']}" if "known_as" in made else ""
    count = len(schedule.steps)
    return (
        f"{made['file']}:{made['line']}{named}: {count} step{'s' if count > 1 else ''} of root "
        f"{schedule.root}{known}, for {table.purpose}, certified on [{low:g}, {high:g}]"
    )


def _laid_out(rows: Plain, layout: str | None, root: int, where: str) -> Plain:
    """The rows as steps, in the layout that the caller names."""
    if layout is None:
        return rows
    check_choice("layout", layout, LAYOUTS)
    steps = as_steps(rows, layout, root)
    if steps is None:
        raise InputError("layout", f"{where} cannot be {layout}, {LAYOUTS[layout]}: leave it out")
    return steps


def _run(rows: Plain, steps: int | None, known: Match | None, where: str) -> Plain:
    """The rows as often as they run: one row may stand for several steps."""
    if steps is not None:
        steps = check_integer("steps", steps, 1)
        if len(rows) > 1:
            raise InputError("steps", f"is for one row, and {where} has {len(rows)}: leave it out")
        return rows * steps
    if len(rows) > 1:
        return rows
    if known is None or not known.repeats:
        raise InputError(
            "steps", f"{where} has one row, which may run once or several times: say steps 1, or how many"
        )
    return rows * known.of


def _serves(known: Match | None, root: int, purpose: str | None, lower: float | None) -> tuple[str, float]:
    """What the list is for, and from which lower end on: what the caller says, or else the known table."""
    own_purpose, own_lower = of_the_known(known)
    if known is not None and known.root != root:
        own_purpose = own_lower = None
    serves = check_purpose(purpose or own_purpose, root)
    if lower is None and serves == "clip" and own_lower is None:
        raise InputError("lower", "say from which value on the list clips, over the largest: it is l")
    own = own_lower if serves == "clip" or root != 2 else None
    return serves, lower if lower is not None else own or usual_lower(root)


def _name(path: Path, which: str | None) -> str:
    """Of the table: the file's, with the list's, and none that a table of the package has."""
    parts = [path.stem, *([which] if which else [])]
    made = re.sub(r"[^\w.+-]+", "-", "-".join(parts), flags=re.ASCII).strip("-.")[:150] or "rows"
    return f"{made}-imported" if is_shipped(made) else made

"""Which table a list of rows is, what it does, and what to use instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf, prod
from typing import Any

from polydesign.approximation.certificate import certify
from polydesign.approximation.scalar import schedule_from
from polydesign.identification.advice import LOWER, USUAL, Alternative, alternatives
from polydesign.identification.described import NARROW, described
from polydesign.identification.lists import Reading
from polydesign.identification.matches import Match, find_matches
from polydesign.identification.similarity import Row
from polydesign.identification.sources import Source, given
from polydesign.model import Certificate, InputError, Schedule, Table, check_integer, check_number
from polydesign.program.cost import matmuls
from polydesign.table.catalogue import catalogue, load
from polydesign.table.standings import made_for, standings


@dataclass(frozen=True, slots=True)
class Identification:
    """What a list of rows is; `print` shows it as the command line does.

    Attributes:
        rows: The coefficients of q as they were found, one row a step.
        root: That they run as.
        matches: The known tables that explain them, the likeliest first.
        schedule: The rows as they run on their interval; None where values leave float64 there.
        certificate: The proof of what the schedule does; None where nothing is proved.
        measured: Precision -> the worst errors measured of the table itself, None where one was not finite.
        half: Its standing in half precision, in words, where it was tried.
        made_for: What the table is for, where that is not the sign or the root that its promise is of.
        instead: What to take instead for no more products: quintics, safe ones if need be, then the best.
        words: How the rows were read, "" for as they stand.
        others: Readings that make as much sense, where no known table decides between them.
        remarks: What else the text holds.
    """

    rows: tuple[Row, ...]
    root: int
    matches: tuple[Match, ...]
    schedule: Schedule | None
    certificate: Certificate | None
    measured: dict[str, tuple[float | None, ...]]
    half: tuple[str, ...]
    made_for: str | None
    instead: tuple[Alternative, ...]
    words: str = ""
    others: tuple[Reading, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def slope(self) -> float | None:
        """f′(0), what the smallest singular values are multiplied by."""
        return prod(step.coefficients[0] for step in self.schedule.steps) if self.schedule else None

    def __str__(self) -> str:
        return described(self)

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON."""
        schedule, certificate = self.schedule, self.certificate
        body: dict[str, Any] = {"rows": self.rows, "matches": [asdict(m) for m in self.matches], "map": None}
        if schedule is not None:
            body["map"] = {
                "root": schedule.root,
                "interval": schedule.interval,
                "steps": len(schedule.steps),
                "matmuls": matmuls(schedule),
                "image": schedule.steps[-1].image,
                "error": schedule.error,
                "proved": certificate is not None,
                "slope": self.slope,
                "safe_edge": certificate.safe_edge if certificate else None,
                "basin_edge": certificate.basin_edge if certificate else None,
            }
        instead = [asdict(one) for one in self.instead]
        body |= {"half": self.half, "instead": instead, "made_for": self.made_for}
        others = [asdict(one) for one in self.others]
        return body | {"read": self.words, "read_otherwise": others, "remarks": self.remarks}


def identify(
    source: Source,
    *,
    root: int | None = None,
    lower: float | None = None,
    steps: int | None = None,
    which: str | None = None,
) -> Identification:
    """Say which known table a list of coefficients is, how it differs, what it does, and what does better.

    Args:
        source: The text of the list (JSON, Python or plain numbers; nothing in it is run), a path to such a
            text or to a table's file, as FILE or FILE:NAME, a table's name, a Table, or rows of numbers.
        root: Of the list; None for that of the table that it is, else 2.
        lower: Lower end of what the list is run on, up to 1; None for 1e-3, for roots the table's own.
        steps: How often a single row is run; None for as often as its authors do, else 5.
        which: The name of the list, where a text holds several.

    Returns:
        The tables that explain the rows, what the rows do, proved, and what to use instead.

    Raises:
        InputError: Where there is no list in the source (the field is then its line), or root, lower or steps
            does not go with it.
        OSError: Where a path cannot be read.

    >>> found = identify("(3.4445, -4.7750, 2.0315)")
    >>> found.matches[0].name, len(found.schedule.steps), round(found.schedule.error, 6)
    ('jordan_5', 5, 0.529456)
    """
    if lower is not None:
        lower = check_number("lower", lower)
        if not 0 < lower < 1:
            raise InputError("lower", f"must lie between 0 and 1, and is {lower!r}")
    for field, value in (("root", root), ("steps", steps)):
        if value is not None:
            check_integer(field, value, 1)
    found = given(source, which)
    rows, table = found.rows, found.table
    if table is not None and root not in (None, table.schedule.root):
        raise InputError("root", f"{table.name} is of root {table.schedule.root}: leave it out")
    root = root or (table.schedule.root if table else None)
    matches = find_matches(rows, root)
    best = matches[0] if matches else None
    own = _own(best) or table
    if steps is not None and len(rows) > 1:
        raise InputError("steps", f"is for one row, and there are {len(rows)}: leave it out")
    root = root or (best.root if best else 2)
    count = (steps or (best.of if best and best.repeats else USUAL)) if len(rows) == 1 else 1
    purpose = made_for(own) if own else None
    if table is not None and lower is None and count == 1:
        schedule = table.schedule
    else:
        evaluations = [step.evaluation for step in table.schedule.steps] if table else None
        schedule = _as_run(root, rows, count, lower or _lower(own, root), evaluations)
    measured = _measured(best, own) if steps is None or (best and steps == best.of) else {}
    lost = None in measured.get("bfloat16", ())
    # What is made for something else is not replaced by a table for the sign.
    safe = own is not None and own.standing("bfloat16") == "plain" and best is not None and best.exact
    certificate = _certified(schedule) if schedule else None
    edge = certificate.basin_edge if certificate else None
    # Where rounding to bfloat16 leaves the basin, the error is none that anybody sees.
    lost = lost or (not safe and (edge is None or float(edge[0]) < NARROW))
    worth = inf if lost or schedule is None else schedule.error
    instead = [] if schedule is None or purpose else alternatives(schedule, worth, safe=safe)
    listed = tuple(map(tuple, rows)), root, tuple(matches)
    same = best is not None and (best.exact or best.repeats)
    half = tuple(standings(own)) if own and own.tried and same else ()
    read = found.words, found.others, found.remarks
    return Identification(*listed, schedule, certificate, measured, half, purpose, tuple(instead), *read)


def _as_run(
    root: int, rows: Sequence[Row], count: int, lower: float, evaluations: list[str] | None
) -> Schedule | None:
    """The schedule of the rows on [lower, 1]; None where it leaves float64 there."""
    run = [_bare(row) for row in rows] * count
    try:
        return schedule_from(root, run, (lower, 1.0), evaluations and evaluations * count)
    except InputError:
        return None  # an image that is not finite is all that these rows can be refused for


def _own(best: Match | None) -> Table | None:
    """The table of the catalogue that the rows are, or come from."""
    if best is None or best.beyond or best.differs or best.name not in catalogue():
        return None
    try:
        return load(best.name)
    except (InputError, OSError):
        return None  # one of ./coeffs that is broken in some other place


def _bare(row: Row) -> Row:
    while len(row) > 2 and row[-1] == 0:
        row = row[:-1]
    return row


def _lower(own: Table | None, root: int) -> float:
    if root == 2 or own is None:
        return LOWER if root == 2 else 0.1
    return own.schedule.interval[0]


def _certified(schedule: Schedule) -> Certificate | None:
    try:
        return certify(schedule)
    except ArithmeticError:
        return None


def _measured(best: Match | None, own: Table | None) -> dict[str, tuple[float | None, ...]]:
    """Precision -> the errors measured of the table itself, where the rows are its rows as run."""
    if best is None or own is None or not (best.exact or best.repeats):
        return {}
    found: dict[str, tuple[float | None, ...]] = {}
    for m in own.measured:
        found[m.dtype] = (*found.get(m.dtype, ()), m.worst)
    return found

"""What an exporter is, and what every one of them says of the table it writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_CEILING

from polydesign.model import InputError, Table, half_of
from polydesign.table.catalogue import entries
from polydesign.table.standings import cut_short, first_of_members, made_for, standings
from polydesign.text.digits import in_digits

Rows = list[tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Target:
    """A codebase, language or format that a table can be written for.

    about: one line, for the list of targets. suffix: of a file that holds the text, with its dot. write: the
    text to paste or import, from a table; raises InputError("to", why not, and what to do instead) where the
    target cannot express the table. dtype: of a codebase that computes the steps itself, in powers of A, the
    precision that decides what rounding does there; None where the text brings its evaluation along. when:
    under which condition it is that precision, "" for always. reason: why no table at all can be written for
    it, None where some can. coarsest: of a text that runs in the dtype that it is given, the one that rounds
    most. loop: how its loop rounds, one of model.LOOPS; any, where that is for the reader to say, or not
    known; None where nothing runs in a half precision. factor: what the codebase divides by beyond the
    table's normalization, for which the first row makes up.
    """

    about: str
    suffix: str
    write: Callable[[Table], str]
    dtype: str | None = None
    when: str = ""
    reason: str | None = None
    coarsest: str | None = None
    loop: str | None = "any"
    factor: float = 1.0


def header(table: Table) -> list[str]:
    """The lines that every exported text carries as comments: which table, its promise, how it is run."""
    schedule = table.schedule
    (low, high), count = schedule.interval, len(schedule.steps)
    lines = [
        f"{table.name}, {table.digest}",
        f"root {schedule.root}: |f(x) - 1| <= {stated_error(table, 6)} for x in [{low:.12g}, {high:.12g}] "
        f"({how_known(table)}), input normalization {table.normalization}",
        *filter(None, [made_for(table), first_of_members(table), _lost(table), cut_short(table)]),
        *standings(table),
        f"exactly {count} step{'s' if count > 1 else ''}, degrees {', '.join(map(str, schedule.degrees))};"
        " never repeat or leave out a row",
    ]
    if table.provenance.source:
        lines.append(f"source: {table.provenance.source}")
    lines.append(f"written by polydesign {table.provenance.polydesign}")
    # A file says where it comes from in any words: a line break in them would end the comment, and what
    # cannot be printed may be no text at all in a language, or hide some of it.
    plain = ("".join(c if c.isprintable() else " " if c.isspace() else "?" for c in line) for line in lines)
    return [" ".join(line.split()) for line in plain]


def stated_error(table: Table, digits: int) -> str:
    """The table's bound of |f − 1| as text, rounded up: to nearest, a proved bound might not be one."""
    bound = table.certificate.error[1] if table.certificate else repr(table.schedule.error)
    return in_digits(bound, digits, ROUND_CEILING)


def how_known(table: Table) -> str:
    """What stands behind the error: proved; sampled, not proved; or not certified."""
    kind = table.certificate.kind if table.certificate else "not certified"
    return f"{kind}, not proved" if kind == "sampled" else kind


def _lost(table: Table) -> str | None:
    if table.schedule.error < 1:
        return None
    return "Warning: some x of this interval come out at 0 or below, or at 2 or above"


def check_normalization(table: Table, target: str, *known: str) -> None:
    """Refuse a table made for a normalization that the target does not have; known: those it has.

    Raises InputError.
    """
    if table.normalization in known:
        return
    raise InputError(
        "to",
        f"{target} divides by the norm of {' or '.join(known)}, and {table.name} is made for "
        f"{table.normalization}: design it again with --normalization {known[0]}",
    )


def quintic_rows(table: Table, target: str, factor: float = 1.0, *, roots: bool = False) -> Rows:
    """Rows (a, b, c) of p(x) = ax + bx³ + cx⁵, one a step, for a target that takes just these.

    Degree 3 becomes (a, b, 0.0). factor: what the target divides its input by beyond the table's own
    normalization; the first row is p₁(factor·x), so that the map of M stays the table's. roots: whether the
    target has P^(-1/2) too.

    Raises InputError for roots other than 2, for tables that are made for P^(-1/2) where the target has none,
    and for degrees above 5, with the steps that are in the way.
    """
    _check_polar(table, target, roots=roots)
    schedule = table.schedule
    high = [index for index, degree in enumerate(schedule.degrees, start=1) if degree > 5]
    if high:
        raise InputError(
            "to",
            f"{target} takes rows of three numbers (degree 5), and {table.name} has degree "
            f"{', '.join(map(str, sorted({schedule.degrees[index - 1] for index in high})))} in step "
            f"{', '.join(map(str, high))}: "
            "take a table of quintics (polydesign search --degree 5), or --to torch-function",
        )
    return [(*row, *[0.0] * (3 - len(row))) for row in compensated(table, factor)]


def compensated(table: Table, factor: float) -> Rows:
    """The coefficients of a table of root 2, the first row those of p₁(factor·x)."""
    first, *others = table.as_tuples()
    return [tuple(c * factor ** (1 + 2 * j) for j, c in enumerate(first)), *others]


def shared_row(table: Table, target: str, cure: str) -> tuple[float, ...]:
    """The one row of a table whose steps are all the same, for a target that repeats it; of any degree.

    cure: what to do where the rows differ. Raises InputError then, for roots other than 2, and for tables
    that are made for P^(-1/2).
    """
    _check_polar(table, target)
    rows = table.as_tuples()
    if any(row != rows[0] for row in rows):
        raise InputError(
            "to",
            f"{target} takes one row of coefficients and repeats it, and the {len(rows)} steps of "
            f"{table.name} differ: {cure}",
        )
    return tuple(map(float, rows[0]))


def is_polar(table: Table) -> bool:
    """Whether a table is for the polar factor: of root 2, and not made for P^(-1/2)."""
    return table.schedule.root == 2 and table.purpose != "root"


def _quintics(dtype: str) -> str:
    """The plain table of quintics for the polar factor in this precision that errs least."""
    wanted = ("sign", dtype, "plain")
    plain = [one for one in entries() if one.rows and (one.purpose, one.dtype, one.standing()) == wanted]
    return min(plain, key=lambda one: one.error).name


def _check_polar(table: Table, target: str, *, roots: bool = False) -> None:
    root, instead = table.schedule.root, ""
    if is_polar(table) or (roots and root == 2):
        return
    what = f"of root {root}"
    if root == 2:
        what = "made for P^(-1/2), in the coupled form"
        instead = f"; for the polar factor take {_quintics(half_of('sign', table.dtype) or 'bfloat16')}"
    raise InputError(
        "to",
        f"{target} runs the polar factor (root 2), and {table.name} is {what}: --to torch-function, numpy "
        f"and jax write its inverse root{instead}",
    )

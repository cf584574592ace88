"""What polydesign identify prints: whose the rows are, what they do, and what to use instead."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_FLOOR
from textwrap import shorten, wrap
from typing import TYPE_CHECKING

from polydesign.approximation.scalar import schedule_from
from polydesign.identification.advice import LOWER, USUAL
from polydesign.identification.matches import ORDERS, Match
from polydesign.model import InputError, Schedule
from polydesign.program.cost import matmuls
from polydesign.table.published import published
from polydesign.text.digits import in_digits
from polydesign.text.numbers import number

if TYPE_CHECKING:
    from polydesign.identification.identify import Identification

NARROW = 1 + 2.0**-8
"""A basin that ends below this is one that rounding to bfloat16 can leave."""

MOST_NAMED = 6


def described(found: Identification) -> str:
    """The lines that polydesign identify prints."""
    lines = [*_who(found.matches, found.rows), *_read(found)]
    schedule = found.schedule
    if schedule is None:
        return "\n".join([*lines, f"map        leaves float64: run as root {found.root} it diverges"])
    lines += [*_what(found, schedule), *_measured(found)]
    lines += [f"half       {line}" for line in found.half]
    lines += [f"for        {found.made_for}"] if found.made_for else _advice(found, schedule)
    return "\n".join(lines)


def _who(matches: Sequence[Match], rows: Sequence[tuple[float, ...]]) -> list[str]:
    """Which table the rows are, what else they could be, and which safety factor they hold."""
    if not matches:
        return ["no table that is known here, not even folded, rounded, cut or turned round"]
    best = matches[0]
    lines = [f"{best.name}{'' if best.exact else ': ' + ', '.join(best.how)}"]
    if "MISPRINT" in best.name:
        lines.append("misprint   this table is known to be wrong as printed: it diverges")
    if best.unsafe:
        first, *more = wrap(best.unsafe, 100, break_on_hyphens=False)
        lines += [f"unsafe     {first}", *(f"           {part}" for part in more)]
    if best.source:
        lines.append(f"source     {shorten(best.source, 105, placeholder=' …')}")
    lines += [f"or         {other}" for other in matches[1:MOST_NAMED]]
    if len(matches) > MOST_NAMED:
        lines.append(f"or         {len(matches) - MOST_NAMED} more; to_json() has all")
    if best.differs is not None and best.expected is not None:
        lines.append(f"row {best.differs:<6d} is {_pasted(best, rows)}")
        lines.append(f"           where that table has ({', '.join(f'{c:.6g}' for c in best.expected)})")
        if best.changed:
            lines.append(f"           which is {best.changed}")
    if best.published:
        lines += _safety(best)
    if best.order:
        lines.append(
            "order      what follows is of the rows as they were given; turned round they are that table"
        )
    return lines


def _read(found: Identification) -> list[str]:
    """How the rows were read, where that is not as they stand, and how else they may be."""
    lines = [f"read       {found.words}"] if found.words or found.others else []
    if lines and not found.words:
        lines = ["read       as they stand"]
    for other in found.others:
        count, lower = len(other.rows), found.schedule.interval[0] if found.schedule else LOWER
        error = error_of(other.rows, found.root, lower)
        lines.append(
            f"or read    {other.words or 'as they stand'}: {count} row{'s' if count > 1 else ''} of "
            f"{len(other.rows[0])}, {error}"
        )
    return [*lines, *(f"beside     {remark}" for remark in found.remarks)]


def error_of(rows: Sequence[tuple[float, ...]], root: int, lower: float) -> str:
    """The error of rows in words, not proved; a single row is run as often as codebases do."""
    try:
        made = schedule_from(root, [*rows] * (USUAL if len(rows) == 1 else 1), (lower, 1.0))
    except InputError:
        return "diverges"
    return f"error {number(made.error, 3, up=True)} on [{lower:g}, 1]"


def _pasted(best: Match, rows: Sequence[tuple[float, ...]]) -> str:
    by_row, by_power = ORDERS[best.order]
    assert best.differs is not None
    row = rows[::by_row][best.differs - 1][::by_power]
    return f"({', '.join(f'{c:.6g}' for c in row)})"


def _safety(best: Match) -> list[str]:
    """Which factor the rows hold: what the table had, times what was folded in since."""
    entry = published(best.name)
    had = (
        f"{entry.folded:g} is in the published rows" if entry.folded != 1 else "none is in the published rows"
    )
    since = "" if best.which == "none" else f", and {best.factor:.6g} more in these"
    if best.factor < 1:
        since = f", and {1 / best.factor:.6g} was taken out of these"
    advice = (
        ""
        if entry.recommended_factor == 1
        else f"; its authors divide the input by {entry.recommended_factor:g}"
    )
    return [f"factor     {had}{since}{advice}"]


def _what(found: Identification, schedule: Schedule) -> list[str]:
    """What the rows do on their interval, and above it."""
    certificate = found.certificate
    low, high = schedule.interval
    bottom, top = schedule.steps[-1].image
    count = len(schedule.steps)
    steps = f"{count} times this row" if len(found.rows) == 1 and count > 1 else f"exactly {count} steps"
    proof = "proved" if certificate else "not proved"
    lost = "; some values do not come near 1 at all" if schedule.error >= 1 else ""
    lines = [
        f"run        {steps}, {matmuls(schedule)} matrix products, root {schedule.root}",
        f"map        [{low:g}, {high:g}] onto [{bottom:.6g}, {top:.6g}], error {schedule.error:.6g} ({proof})"
        f"{lost}; slope {found.slope:.6g} at zero",
        *_short_of(schedule),
    ]
    if certificate is None:
        return lines
    if certificate.basin_edge is None:
        return [*lines, "safe edge  none: already below 1 values leave the basin (0, 2)"]
    basin, kept = certificate.basin_edge[0], certificate.safe_edge
    edge = in_digits(basin, 7, ROUND_FLOOR)
    holds = in_digits(kept[0], 7, ROUND_FLOOR) if kept else edge
    told = f"safe edge  {edge}: above it values blow up" + (
        f"; the error holds up to {holds}" if holds != edge else ""
    )
    if float(basin) < NARROW:
        told += "; rounding in bfloat16 goes beyond that, so fold a factor in"
    return [*lines, told]


def _short_of(schedule: Schedule) -> list[str]:
    """What is left of a long table where the codebase runs its default of five steps."""
    rows = [step.coefficients for step in schedule.steps]
    if schedule.root != 2 or len(rows) <= USUAL or len(set(rows)) == 1:
        return []
    cut = schedule_from(2, rows[:USUAL], schedule.interval)
    return [
        f"           its first {USUAL} rows alone, which many codebases run by default: error {cut.error:.4g}"
    ]


def _measured(found: Identification) -> list[str]:
    told = []
    for dtype, errors in found.measured.items():
        finite = [error for error in errors if error is not None]
        worst = number(max(finite), 3, up=True) if len(finite) == len(errors) else "not finite"
        told.append(f"{dtype} {worst}")
    return [f"measured   worst error in {', '.join(told)}"] if told else []


def _advice(found: Identification, schedule: Schedule) -> list[str]:
    """What to use instead, with the line to type."""
    if not found.instead:
        return ["instead    nothing: no table of ours for bfloat16 does better here with so few products"]
    lines = []
    lower = schedule.interval[0]
    if found.instead[0].asked is not None:
        lines = [f"instead    nothing: no table of ours for bfloat16 is made for [{lower:g}, 1]"]
    for one in found.instead:
        label = "instead" if not lines else "nearest" if len(lines) == 1 else "or"
        degrees = sorted(set(one.degrees))
        kind = f"{len(one.degrees)} steps of degree {', '.join(map(str, degrees))}"
        measured = f", measured {number(one.measured, 3, up=True)} in bfloat16" if one.measured else ""
        measured += {"plain": ", safe in any loop", "fused": ", safe in fused loops"}.get(one.standing, "")
        if one.asked is not None:
            asked = number(one.asked, 3, up=True)
            measured = f" on [{one.interval[0]:g}, 1], {asked} on [{lower:g}, 1]{measured}"
        target = "python" if schedule.root != 2 else "optax" if one.rows else "torch-function"
        lines += [
            f"{label:10} {one.name}: {kind}, {one.matmuls} products, "
            f"error {number(one.error, 3, up=True)}{measured}",
            *(
                ["           a larger error, and in return nothing that was tried blows up"]
                if one.safer
                else []
            ),
            f"           polydesign export {one.name} --to {target}",
        ]
    return lines

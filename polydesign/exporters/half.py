"""What becomes of matrices whose roundings agree where a target runs a table in half precision."""

from __future__ import annotations

from polydesign.exporters.target import Target
from polydesign.model import LOOPS, Table, blown, half_of
from polydesign.table.instead import plain_instead

ROUNDING = {
    "fused": "rounds a product together with what is added to it",
    "compiled": "rounds every product, and then every sum of products once",
    "separate": "rounds after every operation",
    "any": "may round in any way",
}
"""What a loop of each kind does."""


def loop_notes(table: Table, loop: str | None, dtype: str | None, *, as_powers: bool = False) -> list[str]:
    """What is known of this table in a loop that rounds so; none where it runs in no half precision.

    loop, dtype: as in Target. as_powers: whether the text computes it in powers of A, whatever its steps say:
    the matrices were tried as they say.
    """
    found = _counted(table, loop, dtype)
    if found is None:
        return []
    dtype, kind, bad, tried = found
    many = f"{bad:,} of {tried:,} matrices whose roundings agree blew up"
    other = as_powers and any(step.evaluation != "monomial" for step in table.schedule.steps)
    own = ", computed otherwise," if other else ""
    known = f"; in {dtype} and {kind} loops{own} {many}" if tried else ""
    return [f"this loop {ROUNDING[str(loop)]} ({loop}){known}"]


def blow_ups(table: Table, loop: str | None, dtype: str | None, when: str = "") -> list[str]:
    """That the table blows up matrices in a loop that rounds so, and what to take instead.

    loop, dtype, when: as in Target.
    """
    found = _counted(table, loop, dtype)
    if found is None or not found[2]:
        return []
    dtype, kind, bad, tried = found
    condition = f"where {when}, " if when else ""
    many = f"{bad:,} of {tried:,} matrices whose roundings agree"
    return [
        f"{condition}{table.name} blows up {many}, in {dtype} and {kind} loops: "
        f"{plain_instead(table.schedule, dtype)}"
    ]


def runs_in(table: Table, target: Target) -> tuple[str | None, str]:
    """The precision that decides what rounding does at a target, and under which condition it is that."""
    if target.dtype is not None or table.dtype is not None:
        return target.dtype or table.dtype, target.when
    return target.coarsest, f"the dtype is {target.coarsest or 'bfloat16'}"


def _counted(table: Table, loop: str | None, dtype: str | None) -> tuple[str, str, int, int] | None:
    """Precision, kind of loop, how many blew up there and how many were tried.

    The kind is the target's. It is another one where that blew up nothing: fused, where a table is unsafe for
    anyone; and for a loop of any kind the one in which most blew up.
    """
    half = half_of(table.purpose, dtype)
    if loop is None or half is None:
        return None
    kinds = LOOPS if loop == "any" else (loop, "fused")
    kind = max(kinds, key=lambda one: (blown(table.tried, half, one)[0], one == loop))
    return half, kind, *blown(table.tried, half, kind)

"""numpy: msign(M) for root 2, inverse_root(P) for others, in float32 or float64."""

from __future__ import annotations

from polydesign.exporters.functions import Library, write
from polydesign.exporters.printer import Infix, Routine, is_one, plain
from polydesign.exporters.target import Target
from polydesign.model import Table


def numpy_text(table: Table) -> str:
    """msign for root 2, else inverse_root.

    numpy has no fast products below float32, so nothing narrower is iterated and a product may be scaled
    and added to after it: it is rounded to no less than float32 each time. Raises InputError for a
    normalization other than frobenius and schatten4.
    """
    return write(table, _NUMPY)


def _lines(routine: Routine) -> list[str]:
    return Infix(routine, "@", lambda total, weight: f"_add_identity({total}, {weight})").written()


def _scaled(routine: Routine) -> str:
    register, weight, _ = routine.final
    return register if is_one(weight) else f"{plain(weight)} * {register}"


def _add(routine: Routine) -> str:
    return f"X = {plain(routine.final[2])} * X + {_scaled(routine)} @ X"


def _inner(routine: Routine) -> str:
    return f"W = _add_identity({_scaled(routine)}, {plain(routine.final[2])})"


_NUMPY = Library(
    name="numpy",
    template="numpy.py.j2",
    gram="A = X @ X.swapaxes(-1, -2)",
    lines=_lines,
    add=_add,
    inner=_inner,
    product=lambda a, b: f"{a} @ {b}",
    coarsest="float32",
    loop=None,
)

NUMPY = Target(
    "numpy: msign(M), or inverse_root(P), in float32 or float64",
    ".py",
    numpy_text,
    coarsest=_NUMPY.coarsest,
    loop=_NUMPY.loop,
)

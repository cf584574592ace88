"""Texts that run a table on matrices: what those for numpy, jax and torch have in common.

A text is a header, the few helpers that it uses, a function for each kind of step where there are several,
STEPS with the constants, and one function: msign for signs, inverse_root for the others. How products,
sums and multiples of I are written is the Library's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from jinja2 import Environment

from polydesign.exporters.caveats import undesigned
from polydesign.exporters.half import blow_ups, loop_notes
from polydesign.exporters.layout import comment, indented, loop_text, steps_text, wrapped
from polydesign.exporters.printer import Routine, Row, routines
from polydesign.exporters.target import how_known, is_polar, stated_error
from polydesign.model import InputError, Table
from polydesign.text.templates import environment

_REFUSED = {
    "aol": "rescales each row by its own factor, so that another matrix's polar factor comes out",
    "schatten8": "takes a product that the text does not have",
    "power": "estimates the spectral norm and guarantees nothing",
    "none": "leaves the division to the caller",
}


LIFT = 64
"""Binary places by which matrices far from 1 are moved in jax, about; roots of it are powers of two."""


@dataclass(frozen=True, slots=True)
class Library:
    """How a library of matrices writes the parts of a step; the text around them is a template.

    name: of the target. template: the file in templates/. gram: A from X. lines: a routine's registers from
    A. add: the last addition of a step of root 2. inner: W = q(A) from the registers. product: of two
    matrices, rounded. coarsest: the dtype that rounds most of those that it iterates in. loop: as in Target.
    """

    name: str
    template: str
    gram: str
    lines: Callable[[Routine], list[str]]
    add: Callable[[Routine], str]
    inner: Callable[[Routine], str]
    product: Callable[[str, str], str]
    coarsest: str
    loop: str | None


def write(table: Table, library: Library) -> str:
    """The text. Raises InputError for a normalization that it does not have."""
    if table.normalization in _REFUSED:
        raise InputError(
            "to",
            f"{library.name} divides by the norm frobenius or schatten4, and {table.name} is made for "
            f"{table.normalization}, which {_REFUSED[table.normalization]}: take a table of one of those, or "
            "run this one by polydesign.runtime",
        )
    made, calls = routines(table.schedule)
    sign, several = is_polar(table), len(made) > 1
    called = several or not sign
    functions = [_function(routine, library, sign=sign) for routine in made] if called else []
    what = "what computes it, and its constants" if several else ", ".join(made[0].constants)
    constants = f"# One step a row: {what}.\n{steps_text(calls, several=several)}"
    dtype = table.dtype or library.coarsest
    when = "" if table.dtype else f"the dtype is {dtype}"
    found = [*undesigned(table, library.coarsest), *blow_ups(table, library.loop, dtype, when)]
    warned = [*loop_notes(table, library.loop, dtype), *(f"Warning: {line}" for line in found)]
    root = table.schedule.root
    return (
        _templates()
        .get_template(library.template)
        .render(
            comment=comment(table, more=warned),
            functions=functions,
            constants=constants,
            root=root,
            polar=sign,
            lift=root * max(1, LIFT // root),
            normalization=table.normalization,
            promise=promise(table),
            loop=_loop(table, library, calls),
            exponent=repr(-1 / root),
            function_name="P⁻¹" if root == 1 else f"P^(-1/{root})",
            dtype=f"torch.{table.dtype}" if table.dtype else "None",
        )
    )


@cache
def _templates() -> Environment:
    return environment("polydesign.exporters", autoescape=False)


def _body(routine: Routine, library: Library) -> list[str]:
    return [library.gram, *library.lines(routine), library.add(routine)]


def _function(routine: Routine, library: Library, *, sign: bool) -> str:
    """One step: of X, or W = q(A)."""
    lines = _body(routine, library) if sign else [*library.lines(routine), library.inner(routine)]
    lines[-1] = "return " + lines[-1].partition(" = ")[2]
    arguments = ", ".join(["X" if sign else "A", *routine.constants])
    return f"def _{routine.name}({arguments}):\n{indented(lines, 1)}\n"


def _loop(table: Table, library: Library, calls: list[tuple[Routine, Row]]) -> list[str]:
    """The lines that run all steps."""
    routine = calls[0][0]
    if not is_polar(table):
        return _coupled(table.schedule.root, library, {routine.name for routine, _ in calls})
    if len({routine.name for routine, _ in calls}) > 1:
        return ["for step, *constants in STEPS:", "    X = step(X, *constants)"]
    return [loop_text(routine), *("    " + line for line in _body(routine, library))]


def _coupled(root: int, library: Library, names: set[str]) -> list[str]:
    """W = q(P), G ← G W, P ← P Wʳ; the P that the last step would leave is not formed.

    names: of the functions that the steps run; a row begins with its own where there are several.
    """
    step, row = ("step", "step, *constants") if len(names) > 1 else (f"_{min(names)}", "constants")
    first = f"({row})" if len(names) > 1 else row
    squares = [f"W{2**k}" if k else "W" for k in range(root.bit_length())]
    updates = [f"{b} = {library.product(a, a)}" for a, b in pairwise(squares)]
    factors = [square for bit, square in enumerate(squares) if root >> bit & 1]
    power = factors[0]
    for other in factors[1:]:
        updates.append(f"{squares[-1]}W = {library.product(power, other)}")
        power = f"{squares[-1]}W"
    updates.append(f"X = {library.product('X', power)}")
    return [
        f"{first}, *others = STEPS",
        f"G = W = {step}(X, *constants)",
        f"for {row} in others:",
        *("    " + line for line in updates),
        f"    W = {step}(X, *constants)",
        f"    G = {library.product('G', 'W')}",
    ]


def promise(table: Table) -> list[str]:
    """What the function promises, as lines of its docstring."""
    schedule = table.schedule
    low, high = schedule.interval
    error = stated_error(table, 3)
    if is_polar(table):
        norm = "‖M‖_F" if table.normalization == "frobenius" else "‖M Mᵀ‖_F^(1/2)"
        ends = f"{low:.12g} to {high:.12g} times {norm}"
        what = f"Singular values of M from {ends} come out as 1 within {error}"
    else:
        norm = "‖P‖_F" if table.normalization == "frobenius" else "‖P Pᵀ‖_F^(1/2)"
        ends = f"{low**schedule.root:.12g} to {high**schedule.root:.12g} times {norm}"
        what = f"For eigenvalues of P from {ends} it is off by {error} at most, relatively"
    designed = table.dtype
    coarser = "" if designed == "bfloat16" else ": in a coarser dtype it may diverge"
    rounding = f" Designed for the rounding of {designed}{coarser}." if designed else ""
    return wrapped(f"{what} ({how_known(table)}, in exact arithmetic).{rounding}")

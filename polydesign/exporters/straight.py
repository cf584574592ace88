"""Programs with named constants, for texts that run a table in another language.

Steps of one degree and evaluation differ in their constants alone, so a text holds one routine for them and
a row of numbers for each step. The routine is the very program that runs here (program/programs.py), built
with names in place of numbers: nothing is written twice, and what is added, multiplied and rounded where is
the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from polydesign.model import Schedule, Step
from polydesign.program.programs import (
    IDENTITY,
    Combination,
    Line,
    Program,
    block_size,
    build,
    constant_names,
    constants,
)


@dataclass(frozen=True, slots=True)
class Symbol:
    """A constant by its name; arithmetic with it gives the text of the result. is_sum: of two."""

    text: str
    is_sum: bool = False

    def __mul__(self, other: Symbol) -> Symbol:
        return Symbol(f"{factor(self)} * {factor(other)}")

    def __rmul__(self, other: float) -> Symbol:
        return Symbol(f"{factor(other)} * {factor(self)}")

    def __sub__(self, other: Symbol) -> Symbol:
        return Symbol(f"{self.text} - {factor(other)}", is_sum=True)

    def __neg__(self) -> Symbol:
        return Symbol(f"-{factor(self)}")


def plain(weight: Any) -> str:
    """A weight as text; whole numbers become floats, since some readers take an int for another type."""
    return weight.text if isinstance(weight, Symbol) else repr(float(weight))


def factor(weight: Any) -> str:
    """A weight as text that can be multiplied."""
    return f"({weight.text})" if isinstance(weight, Symbol) and weight.is_sum else plain(weight)


def is_one(weight: Any) -> bool:
    """Whether it is the 1 that a program has where nothing is scaled."""
    return isinstance(weight, int) and weight == 1


@dataclass(frozen=True, slots=True)
class Routine:
    """What steps of one degree and evaluation share.

    name: of the function that runs it. constants: what a row holds, in order. registers: the names of A and
    of what each line of the program gives. program: its weights are Symbols, or the whole numbers it has.
    """

    name: str
    degree: int
    evaluation: str
    constants: tuple[str, ...]
    registers: tuple[str, ...]
    program: Program

    def split(self, terms: Combination) -> tuple[list[tuple[str, Any]], Any]:
        """The registers of a sum by name, with their weights; and its multiple of I, or None."""
        named = [(self.registers[index], weight) for index, weight in terms if index != IDENTITY]
        return named, next((weight for index, weight in terms if index == IDENTITY), None)

    def single(self, terms: Combination) -> str | None:
        """The name of the register that these terms are, if they are no more than that."""
        named, shift = self.split(terms)
        return named[0][0] if len(named) == 1 and shift is None and is_one(named[0][1]) else None

    @property
    def final(self) -> tuple[str, Any, Any]:
        """Register, weight w and constant c of the last addition, X ← c·X + w·register·X."""
        index, weight = self.program.result
        return self.registers[index], weight, self.program.constant


Row = tuple[float, ...]

_REGISTERS = {
    ("chebyshev", 8): ("A", "B", "T", "Y"),
    ("origin", 8): ("A", "S", "Y"),
    ("balanced", 8): ("A", "S", "Y"),
    "chebyshev": ("A", "B", "T", "T3"),
    "origin": ("A", "S", "R"),
    "balanced": ("A", "S"),
}
"""Names as in the docstrings of program/programs.py; the last register is Q."""


def routines(schedule: Schedule) -> tuple[list[Routine], list[tuple[Routine, Row]]]:
    """The routines that a schedule needs, and for each step its routine and constants.

    A constant that is zero in all of them, as a₁ mostly is, is left out with its term.
    """
    kinds: dict[tuple[str, int], list[Step]] = {}
    for step in schedule.steps:
        kinds.setdefault((step.evaluation, step.inner_degree), []).append(step)
    inner_degrees = [inner for _, inner in kinds]
    made, kept = {}, {}
    for (evaluation, inner), steps in kinds.items():
        rows = [constants(step) for step in steps]
        names = constant_names(evaluation, inner) or _monomial_names(inner)
        used = [inner != 8 or any(column) for column in zip(*rows, strict=True)]
        symbols = [Symbol(name) if use else 0.0 for name, use in zip(names, used, strict=True)]
        code = _without_zeros(build(evaluation, inner, symbols))
        name = f"step{steps[0].degree}" + (f"_{evaluation}" if inner_degrees.count(inner) > 1 else "")
        kept[evaluation, inner] = used
        made[evaluation, inner] = Routine(
            name=name,
            degree=steps[0].degree,
            evaluation=evaluation,
            constants=tuple(name for name, use in zip(names, used, strict=True) if use),
            registers=_registers(evaluation, inner, len(code.lines)),
            program=code,
        )
    calls = []
    for step in schedule.steps:
        kind = step.evaluation, step.inner_degree
        row = [c for c, use in zip(constants(step), kept[kind], strict=True) if use]
        calls.append((made[kind], tuple(row)))
    return list(made.values()), calls


def _monomial_names(inner: int) -> tuple[str, ...]:
    return tuple("abc"[: inner + 1]) if inner <= 2 else tuple(f"c{j}" for j in range(inner + 1))


def _registers(evaluation: str, inner: int, lines: int) -> tuple[str, ...]:
    if evaluation == "monomial":
        powers = [f"A{k}" for k in range(2, block_size(inner) + 1)]
        names = ["A", *powers, *(f"H{k}" for k in range(1, lines + 1))]
    else:
        found = _REGISTERS.get((evaluation, inner)) or _REGISTERS[evaluation]
        names = list(found)
    return (*names[:lines], "Q") if lines else ("A",)


def _without_zeros(code: Program) -> Program:
    def kept(terms: Combination) -> Combination:
        return tuple(term for term in terms if not (isinstance(term[1], float) and term[1] == 0))

    lines = tuple(Line(kept(x.plus), kept(x.left), kept(x.right), x.weight) for x in code.lines)
    return Program(lines, code.result, code.constant)


def signed_sum(terms: list[str]) -> str:
    """Terms joined by plus and minus."""
    first, *others = terms
    return first + "".join(f" - {t[1:]}" if t.startswith("-") else f" + {t}" for t in others)


def infix(routine: Routine, times: str, identity: Callable[[str, str], str]) -> list[str]:
    """The program's lines as assignments, for languages with sums and products of their own.

    times: the sign of a product of registers. identity: the text of a sum plus a multiple of I, from both.
    """

    def total(terms: Combination, products: tuple[str, ...] = ()) -> str:
        named, shift = routine.split(terms)
        texts = [name if is_one(w) else f"{factor(w)} * {name}" for name, w in named]
        if len(texts) + len(products) == 1 and texts and is_one(named[0][1]) and shift is not None:
            texts = [f"1.0 * {texts[0]}"]  # a value of its own, which the identity may be added to
        found = signed_sum([*texts, *products])
        return found if shift is None else identity(found, plain(shift))

    def side(terms: Combination) -> str:
        found = total(terms)
        called = re.fullmatch(r"\w+\([^()]*\)", found)
        return routine.single(terms) or (found if called else f"({found})")

    lines = []
    for name, line in zip(routine.registers[1:], routine.program.lines, strict=True):
        if not line.left:
            lines.append(f"{name} = {total(line.plus)}")
            continue
        product = f"{side(line.left)} {times} {side(line.right)}"
        if not is_one(line.weight):
            product = f"{factor(line.weight)} * ({product})"
        lines.append(f"{name} = {total(line.plus, (product,))}")
    return lines

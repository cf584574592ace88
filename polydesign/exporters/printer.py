"""Programs as text: one routine for all steps that differ in their constants alone, and its lines.

The routine is the very program that runs here, walked with names in place of numbers: nothing is written
twice, and what is added, multiplied and rounded where is the same. How a language writes a line is its
Printer's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from polydesign.model import Schedule, Step
from polydesign.model.program import Algebra, Program, Terms, monomial


@dataclass(frozen=True, slots=True)
class Routine:
    """What steps of one program share.

    name: of the function that runs it. constants: what a row holds, in order. registers: the names of A and
    of what each line of the program gives, by index. program: its weights are names, or the whole numbers
    that it has.
    """

    name: str
    degree: int
    constants: tuple[str, ...]
    registers: tuple[str, ...]
    program: Program

    @property
    def final(self) -> tuple[str, Any, Any]:
        """Register, weight w and constant c of the last addition, X ← c·X + w·register·X."""
        index, weight = self.program.result
        return self.registers[index], weight, self.program.constant


Row = tuple[float, ...]


def routines(schedule: Schedule) -> tuple[list[Routine], list[tuple[Routine, Row]]]:
    """The routines that a schedule needs, and for each step its routine and constants.

    A constant that is zero in all of them, as a₁ of `factored` mostly is, is left out with its term; c stays,
    and powers of A keep all of their coefficients.
    """
    groups: dict[Program, list[Step]] = {}
    for step in schedule.steps:
        groups.setdefault(_bare(step.program), []).append(step)
    degrees = [steps[0].degree for steps in groups.values()]
    made, kept = {}, {}
    for number, (bare, steps) in enumerate(groups.items(), start=1):
        step = steps[0]
        rows = [one.program.constants for one in steps]
        powers = step.evaluation == "monomial"
        names = _monomial_names(step.inner_degree) if powers else [f"k{j}" for j in range(len(rows[0]))]
        kept[bare] = [powers or not j or any(column) for j, column in enumerate(zip(*rows, strict=True))]
        symbols = [name if use else 0.0 for name, use in zip(names, kept[bare], strict=True)]
        made[bare] = Routine(
            name=f"step{step.degree}" + (f"_{number}" if degrees.count(step.degree) > 1 else ""),
            degree=step.degree,
            constants=tuple(name for name, use in zip(names, kept[bare], strict=True) if use),
            registers=_registers(len(step.program.lines)),
            program=step.program.with_constants(symbols),
        )
    calls = []
    for step in schedule.steps:
        bare = _bare(step.program)
        row = zip(step.program.constants, kept[bare], strict=True)
        calls.append((made[bare], tuple(c for c, use in row if use)))
    return list(made.values()), calls


def _registers(lines: int) -> tuple[str, ...]:
    """I, A, a letter a line, and Q for the last."""
    names = [*"BCDEF", *(f"R{k}" for k in range(6, lines))]
    return ("I", "A", *names[: lines - 1], "Q")[: lines + 2]


def _bare(code: Program) -> Program:
    # No number: 0.0 would equal a whole number of another program.
    return code.with_constants([None] * len(code.constants))


def _monomial_names(inner: int) -> tuple[str, ...]:
    """In the order of the program's constants: a, b, c, or c0, c1, …"""
    return monomial("abc"[: inner + 1] if inner <= 2 else [f"c{j}" for j in range(inner + 1)]).constants


def plain(weight: Any) -> str:
    """A weight as text; whole numbers become floats, since some readers take an int for another type."""
    return weight if isinstance(weight, str) else repr(float(weight))


def is_one(weight: Any) -> bool:
    """Whether it is the 1 that a program has where nothing is scaled."""
    return isinstance(weight, int) and weight == 1


class Printer(Algebra):
    """A walk that writes a register a line; values are names."""

    def __init__(self, routine: Routine) -> None:
        self.routine, self.lines = routine, []

    def register(self, index: int, value: str) -> str:
        name = self.routine.registers[index]
        self.lines.append(f"{name} = {value}")
        return name

    def written(self) -> list[str]:
        """The lines of the program, but for the last addition."""
        self.routine.program.registers("A", self)
        return self.lines


def signed_sum(terms: list[str]) -> str:
    """Terms joined by plus and minus."""
    first, *others = terms
    return first + "".join(f" - {t[1:]}" if t.startswith("-") else f" + {t}" for t in others)


class Infix(Printer):
    """For languages with sums and products of their own.

    times: the sign of a product of registers. identity: the text of a sum plus a multiple of I, from both.
    """

    def __init__(self, routine: Routine, times: str, identity: Callable[[str, str], str]) -> None:
        super().__init__(routine)
        self.times, self.identity = times, identity

    def total(self, terms: Terms, shift: Any) -> str:
        texts = [name if is_one(weight) else f"{plain(weight)} * {name}" for name, weight in terms]
        if len(texts) == 1 and is_one(terms[0][1]):
            texts = [f"1.0 * {texts[0]}"]  # a value of its own, which an identity may be added to
        return self._sum(texts, shift)

    def factor(self, terms: Terms, shift: Any, side: str) -> str:
        found = self.total(terms, shift)
        return found if re.fullmatch(r"\w+\([^()]*\)", found) else f"({found})"

    def product(self, left: str, right: str, weight: Any, addend: Terms, shift: Any) -> str:
        product = f"{left} {self.times} {right}"
        if not is_one(weight):
            product = f"{plain(weight)} * ({product})"
        texts = [name if is_one(w) else f"{plain(w)} * {name}" for name, w in addend]
        return self._sum([*texts, product], shift)

    def _sum(self, texts: list[str], shift: Any) -> str:
        found = signed_sum(texts)
        return found if shift is None else self.identity(found, plain(shift))


def program_text(step: Step) -> str:
    """A step's program in a line, for people: its registers, then q; '' where it is powers of A."""
    if step.evaluation == "monomial":
        return ""
    names = [f"k{j}" for j in range(len(step.program.constants))]
    code = step.program.with_constants(names)
    routine = Routine("q", step.degree, tuple(names), _registers(len(code.lines)), code)
    lines = Infix(routine, "@", lambda total, weight: signed_sum([total, f"{weight} * I"])).written()
    register, weight, constant = routine.final
    scaled = register if is_one(weight) else f"{plain(weight)} * {register}"
    return "; ".join([*lines, f"q = {scaled} + {plain(constant)} * I"])

"""Straight-line programs for q, and the one walk over them.

A program evaluates Q(A) = q(A) − c·I from A by matrix products and linear combinations, a register a line.
The constant c is kept apart: it multiplies X in the last scaled addition, X ← c·X + Q·X, and is never stored
in a matrix, because an identity rounded to the state's precision errs the same way in every diagonal entry
and the error does not average out. Where a line needs a multiple of I, it is added to a diagonal.

Weights are any numbers: floats run, Fractions give the exact polynomial, tensors let compiled code take
another table without compiling again, symbols are printed. Weights that are whole numbers of Python (1, −1,
2) belong to the program itself; all others are its constants.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from polydesign.model.checks import InputError, check_integer, check_number

IDENTITY, A = 0, 1
"""The registers that are there before the first line: I, which only sums hold, and A. Line k gives k + 2."""

Combination = tuple[tuple[int, Any], ...]
"""A linear combination of registers: pairs (register, weight)."""

Terms = list[tuple[Any, Any]]
"""The same without I, as pairs (value of a register, weight)."""


@dataclass(frozen=True, slots=True)
class Line:
    """One register: weight·left·right + plus, or `plus` alone where left and right are empty."""

    plus: Combination
    left: Combination = ()
    right: Combination = ()
    weight: Any = 1


class Algebra:
    """What a walk does with the lines of a program: numbers, matrices, errors or texts.

    Every method gets values that the algebra made itself. `shift` is the multiple of I in a sum, or None.
    """

    def total(self, terms: Terms, shift: Any) -> Any:
        """Σ weight·value + shift·I: a register, or a factor of a product."""
        raise NotImplementedError

    def factor(self, terms: Terms, shift: Any, side: str) -> Any:
        """A factor that is no register alone; side is left or right."""
        return self.total(terms, shift)

    def addend(self, terms: Terms) -> Any:
        """What is added to a product, without its multiple of I; it is worked out before the factors."""
        return terms

    def product(self, left: Any, right: Any, weight: Any, addend: Any, shift: Any) -> Any:
        """weight·left·right + addend + shift·I."""
        raise NotImplementedError

    def register(self, index: int, value: Any) -> Any:
        """What later lines see of a line's value."""
        return value


class _Degrees(Algebra):
    """The degree of every register in A, where nothing cancels."""

    def total(self, terms: Terms, shift: Any) -> int:
        return max((degree for degree, _ in terms), default=0)

    def product(self, left: int, right: int, weight: Any, addend: Terms, shift: Any) -> int:
        return max(left + right, self.total(addend, shift))


class Numbers(Algebra):
    """For numbers, or for whatever else has sums and products; I is 1."""

    def total(self, terms: Terms, shift: Any) -> Any:
        value = sum(weight * value for value, weight in terms)
        return value if shift is None else value + shift

    def addend(self, terms: Terms) -> Any:
        return self.total(terms, None)

    def product(self, left: Any, right: Any, weight: Any, addend: Any, shift: Any) -> Any:
        added = addend if shift is None else addend + shift
        return added + weight * (left * right)


Side = tuple[Combination, Any, int | None]
"""A sum as a walk takes it: registers and weights without those of weight 0, the multiple of I or None, and
the register that it is where it is one alone."""


@dataclass(frozen=True)
class Program:
    """Q(A) as a straight line; result: the register that Q is, and its weight; constant: c of q = Q + c·I."""

    lines: tuple[Line, ...]
    result: tuple[int, Any]
    constant: Any

    def _walk(self) -> tuple[tuple[Side, Side | None, Side | None, Any], ...]:
        """The lines as `registers` takes them: plus, left, right, weight. Worked out once."""
        if "walk" not in self.__dict__:
            self.__dict__["walk"] = tuple(
                [
                    (
                        _split(line.plus),
                        _split(line.left) if line.left else None,
                        _split(line.right) if line.left else None,
                        line.weight,
                    )
                    for line in self.lines
                ]
            )
        return self.__dict__["walk"]

    @property
    def products(self) -> int:
        """How many matrix products it takes."""
        return sum(bool(line.left) for line in self.lines)

    @property
    def degree(self) -> int:
        """Of q in A, where nothing cancels."""
        # Weights that are no floats: a zero counts here.
        code = self.with_constants([None] * len(self.constants))
        return code.registers(1, _Degrees())[self.result[0]]

    @property
    def constants(self) -> tuple[Any, ...]:
        """All weights but whole numbers: c, of each line plus, left, right and weight, and the result's."""
        return tuple(w for w in self._weights() if not isinstance(w, int))

    def with_constants(self, numbers: Sequence[Any]) -> Program:
        """The same program with other constants, in the order of `constants`, of whatever kind of number."""
        left = iter(numbers)

        def new(weight: Any) -> Any:
            return weight if isinstance(weight, int) else next(left)

        def moved(terms: Combination) -> Combination:
            return tuple((register, new(weight)) for register, weight in terms)

        constant = new(self.constant)
        lines = tuple(
            Line(moved(one.plus), moved(one.left), moved(one.right), new(one.weight)) for one in self.lines
        )
        return Program(lines, (self.result[0], new(self.result[1])), constant)

    def _weights(self) -> Iterator[Any]:
        yield self.constant
        for line in self.lines:
            for _, weight in (*line.plus, *line.left, *line.right):
                yield weight
            yield line.weight
        yield self.result[1]

    def registers(self, a: Any, algebra: Algebra) -> list[Any]:
        """The values of all registers, by their index; that of I is None."""
        values = [None, a]
        for (plus, shift, _), left, right, weight in self._walk():
            terms = [(values[register], w) for register, w in plus]
            if left and right:
                addend = algebra.addend(terms)
                first, second = (
                    _factor(left, values, algebra, "left"),
                    _factor(right, values, algebra, "right"),
                )
                value = algebra.product(first, second, weight, addend, shift)
            else:
                value = algebra.total(terms, shift)
            values.append(algebra.register(len(values), value))
        return values

    def __call__(self, a: Any) -> Any:
        """q(a) for a number, or for whatever else has sums and products; I is 1."""
        index, weight = self.result
        return weight * self.registers(a, Numbers())[index] + self.constant


def check_program(code: Program) -> None:
    """Refuse what no walk can follow.

    Raises InputError naming the field: a register that is not there yet, one that is twice in a sum, a sum of
    I alone, a product of one factor, a constant that is no finite number, a line that nothing reads.
    """
    for index, line in enumerate(code.lines):
        where = f"program.lines[{index}]"
        if bool(line.left) != bool(line.right):
            empty = "left" if line.right else "right"
            raise InputError(f"{where}.{empty}", "is empty, and a product has two factors")
        for side in ("plus", "left", "right") if line.left else ("plus",):
            needed = side != "plus" or not line.left
            _check_sum(f"{where}.{side}", getattr(line, side), index + 2, needed=needed)
        _check_constant(f"{where}.weight", line.weight)
    _check_sum("program.result", (code.result,), len(code.lines) + 2, needed=True)
    _check_constant("program.constant", code.constant)
    # Of such a line no degree is known: squarings that nothing reads would be expanded all the same.
    read = {code.result[0]}
    for register in range(len(code.lines) + 1, A, -1):
        line = code.lines[register - 2]
        if register not in read:
            raise InputError(f"program.lines[{register - 2}]", "is read by no line after it: leave it out")
        read |= {known for known, _ in (*line.plus, *line.left, *line.right)}


def _check_constant(field: str, value: Any) -> None:
    """One of numpy would be no constant: what is an int is a weight that costs nothing."""
    found = check_number(field, value)
    if not isinstance(value, (int, float)):
        raise InputError(field, f"must be an int or a float, not {type(value).__name__}: write {found!r}")


def _check_sum(field: str, terms: Combination, known: int, *, needed: bool) -> None:
    for index, (register, weight) in enumerate(terms):
        _check_constant(f"{field}[{index}][0]", register)
        check_integer(f"{field}[{index}][0]", register, 0)
        if register >= known:
            raise InputError(f"{field}[{index}][0]", f"is {register}: registers go up to {known - 1} here")
        _check_constant(f"{field}[{index}][1]", weight)
    registers = [register for register, _ in terms]
    if len(set(registers)) < len(registers):
        raise InputError(field, "has a register twice: add their weights")
    if needed and not set(registers) - {IDENTITY}:
        raise InputError(field, "has no register but I: a sum needs one")


def _factor(side: Side, values: list[Any], algebra: Algebra, name: str) -> Any:
    terms, shift, alone = side
    if alone is not None:
        return values[alone]
    return algebra.factor([(values[register], weight) for register, weight in terms], shift, name)


def _split(side: Combination) -> Side:
    listed = tuple(one for one in side if one[0] != IDENTITY)
    # A factor of zeros alone is still one. Compiled code, whose weights are tensors, cannot ask.
    terms = tuple(one for one in listed if not (isinstance(one[1], float) and one[1] == 0)) or listed[:1]
    shift = next((weight for register, weight in side if register == IDENTITY), None)
    one = shift is None and len(terms) == 1 and isinstance(terms[0][1], int) and terms[0][1] == 1
    return terms, shift, terms[0][0] if one else None


def block_size(inner_degree: int) -> int:
    """The Paterson-Stockmeyer block s with the fewest products (s − 1) + (⌈n/s⌉ − 1), smallest s first."""
    n = inner_degree
    return min(range(1, n + 1), key=lambda s: (s - 1) + math.ceil(n / s) - 1)


def monomial(coefficients: Sequence[Any]) -> Program:
    """q = Σ c_j Aʲ by Paterson and Stockmeyer (SIAM J. Comput. 2, 1973) without a stored identity.

    With block size s and powers A, …, Aˢ, Horner's rule in Aˢ runs over the blocks
    c_(ks+1) A + … + c_(ks+s) Aˢ: where the textbook adds c_(ks)·I before the next product, this adds
    c_(ks)·Aˢ after it. Products: 0, 1, 2, 2, 3, 3, 4, 4 for inner degree 1 to 8.
    """
    n = len(coefficients) - 1
    if n == 1:
        return Program((), (A, coefficients[1]), coefficients[0])
    s = block_size(n)
    lines = [Line((), ((A, 1),), ((k, 1),)) for k in range(1, s)]  # register k is Aᵏ

    def block(k: int) -> Combination:
        return tuple((i, coefficients[k * s + i]) for i in range(1, s + 1) if k * s + i <= n)

    blocks = math.ceil(n / s)
    last = block(blocks - 1)
    for k in reversed(range(blocks - 1)):
        # A lone register keeps its weight for the product's own scale.
        left, weight = (((last[0][0], 1),), last[0][1]) if len(last) == 1 else (last, 1)
        lines.append(Line(block(k), left, ((s, 1),), weight))
        last = ((len(lines) + 1, 1),)
    return Program(tuple(lines), last[0], coefficients[0])

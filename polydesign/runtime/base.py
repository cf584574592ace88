"""What all operators are: objects that are checked and decided when they are made, and then run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import fields, replace
from functools import lru_cache, partial
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor

from polydesign.model import ADAPTIVE, HALF, InputError, Plan, PromiseWarning, SafetyWarning, Table, stated
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime import opaque
from polydesign.runtime.checks import (
    SIGNS,
    check_plan,
    check_table,
    check_unadapted,
    check_unchosen,
    check_uncut,
    given_table,
)
from polydesign.runtime.run import Run
from polydesign.runtime.sharded import blocks, layouts
from polydesign.runtime.sharded.layouts import by_shards
from polydesign.runtime.surroundings import Back, each, given_back, pinned, plain, seen
from polydesign.table.given import TableField
from polydesign.table.instead import plain_instead

LARGER = ("frobenius", "schatten4", "schatten8")
"""Norms, from the largest on; power and aol may be smaller than all."""

DEFAULT = Plan()
"""What runs where no plan is given."""


class Resolved(NamedTuple):
    """What is decided for one precision: the table, the dtype of the state, what normalizes, and the form.

    ladder: For the normalization "adaptive", the tables that may run in place of this one. family: Whose
    members may, each matrix its own. choice: Which one does, for one call.
    """

    table: Table
    state: torch.dtype
    normalization: str
    form: str = "direct"
    restarts: tuple[int, ...] = ()
    ladder: tuple[Any, ...] = ()
    family: Any = None
    choice: Any = None


class Operator:
    """A function of matrices, by a table and a plan, that is decided when the object is made.

    Calling it gives the tensor, or tensors; `run` gives a `Run`. A subclass is a frozen dataclass of its
    parameters, then `table` and `plan`, with

    - `word`, its name in messages and in the Run; `purposes`, of the tables that it takes; `order`, their
      root;
    - `check`, which refuses parameters;
    - `decide`, what follows from the precision alone, where something does: `resolved` calls it when the
      object is made if plan.dtype is given, else once for every precision that comes;
    - `compute`, the result and what `judge` needs besides; `judge`, the Run, where compute does not give it.

    - `guard`, what can be told of a result at little cost, under plan.check; see evidence.py.

    A table may be given by its name, by its path, or as a list of rows of coefficients, which is certified
    for the operator's root as `polydesign.from_rows` does it.
    A table of another root or purpose is refused when the object is made, and so is a plan that chooses one
    of the package's tables beside a table. For a table that is unsafe in the precision, and in half precision
    for a norm that tables were not tried with, there is a SafetyWarning, once an object, and a PromiseWarning
    for a table that was made for a finer precision, unless plan.check is False. Inputs are never changed, and
    results share no memory with them. Neither autocast nor TF32 reaches inside; complex matrices are run as
    real ones, and DTensors that no layout of sharded/ runs as plain ones (surroundings.py).
    """

    table: TableField
    plan: Plan
    word: ClassVar[str]
    counts: ClassVar[bool] = False
    """Whether the result is a number of singular values."""
    adapts: ClassVar[bool] = False
    """Whether it can choose its table by the matrix."""
    cuts_rows: ClassVar[bool] = False
    """Whether it runs blocks of rows as matrices of their own (Plan.blockwise with sizes)."""
    letter: ClassVar[str] = "M"
    """What messages call the matrix."""
    steps_apart: ClassVar[bool] = False
    """Whether each step may have a precision of its own."""
    shardable: ClassVar[bool] = False
    """Whether it is a function of one matrix, to one of its shape, and runs DTensors by shards (sharded/)."""

    def __post_init__(self) -> None:
        plan = check_plan(self.plan)
        table = given_table(self.table, self.order, self.purposes)
        # Frozen for others.
        self.__dict__.update(plan=plan, table=table, _resolved={}, _held={}, _number=opaque.numbered(self))
        if not self.adapts:
            check_unadapted(plan.normalization, self.word)
        if not self.cuts_rows:
            check_uncut(plan, self.word)
        if plan.precision is not None and not self.steps_apart:
            raise InputError("plan.precision", f"is of inverse_root, and {self.word} has one: leave it out")
        self.check()
        check_unchosen(plan, self.table)
        if self.table is not None:
            check_table(self.table, self.order, self.word, self.purposes)
        if plan.dtype is not None:
            self.resolved(plan.dtype)

    @property
    def normalization(self) -> str | None:
        """The plan's, or else the given table's."""
        return self.plan.normalization or getattr(self.table, "normalization", None)

    @property
    def order(self) -> int:
        """The root of its tables: the parameter of that name, or 2."""
        return getattr(self, "root", 2)

    @property
    def purposes(self) -> Sequence[str]:
        """Of the tables that it takes."""
        return SIGNS

    def __getstate__(self) -> dict[str, Any]:
        """Without what is of this object and process alone."""
        own = ("_resolved", "_held", "_twin", "_twice", "_block", "_number")
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _resolved={}, _held={}, _number=opaque.numbered(self))

    def check(self) -> None:
        """Refuse parameters, and what the plan says where it does not go with the operator."""

    def resolved(self, dtype: str) -> Any:
        """What `decide` says for this precision, decided once."""
        kept: dict[str, Any] = self.__dict__["_resolved"]
        if dtype not in kept:
            if self.table is not None and self.plan.check:
                self._warn_of(self.table, dtype)
            if self.plan.check and dtype in HALF and self.purposes[0] == "sign":
                self._warn_of_norm(dtype)
            kept[dtype] = self.decide(dtype)
        return kept[dtype]

    def _warn_of(self, table: Table, dtype: str) -> None:
        """Warn of a table that blows up some matrices in this precision, or was made for a finer one."""
        without = "; Plan(check=False) runs it without this warning"
        known = table.standing(dtype) if dtype in HALF else "untried"
        if self.purposes[0] == "sign" and known == "unsafe":
            what = f"{table.name} is {stated(table.tried, dtype)}; {plain_instead(table.schedule, dtype)}"
            warnings.warn(what + without, SafetyWarning, stacklevel=2)
        elif (
            self.plan.guards
            and dtype in HALF
            and known == "untried"
            and UNIT_ROUNDOFF.get(table.dtype or "", 1) < UNIT_ROUNDOFF[dtype]
        ):
            warnings.warn(
                f"table: {table.name} is made for {table.dtype}, and {dtype} rounds more than it allows for: "
                f"take one for {dtype}, or write Plan(dtype={table.dtype!r})" + without,
                PromiseWarning,
                stacklevel=2,
            )

    def _warn_of_norm(self, dtype: str) -> None:
        """Warn where half precision is divided by another norm than the one that tables are tried with."""
        own = "frobenius" if self.table is None else self.table.normalization
        norm = self.plan.normalization
        larger = LARGER[: LARGER.index(own)] if own in LARGER else LARGER[:1]
        # What none was divided by, the caller knows.
        if norm in (None, own, ADAPTIVE, "none", *larger):
            return
        instead = f', or write normalization="{ADAPTIVE}"' if self.adapts and self.table is None else ""
        warnings.warn(
            f"plan.normalization: is {norm!r}, and tables are tried in {dtype} divided by {own}; some that "
            "blow up nothing there blow up matrices whose roundings agree under a smaller norm: leave it "
            f"out{instead}"
            "; Plan(check=False) runs it without this warning",
            SafetyWarning,
            stacklevel=2,
        )

    def decide(self, dtype: str) -> Any:
        """What follows from the precision of the state alone."""

    def compute(self, *data: Any, **named: Any) -> tuple[Any, Any]:
        """The result, and what `judge` makes a Run of."""
        raise NotImplementedError

    def called(self, *data: Any) -> tuple[Any, Any]:
        """What `compute` gives, for a call, which needs no Run."""
        return self.compute(*data)

    def judge(self, result: Any, found: Any, *data: Tensor) -> Run:
        """The Run; it may take products of its own."""
        return found

    def guard(self, result: Any, found: Any, *data: Tensor) -> None:
        """Raise what cannot be right, and warn of what is outside the promise."""

    def __call__(self, *data: Any) -> Any:
        """The tensor, or tensors."""
        if torch.compiler.is_dynamo_compiling():
            return opaque.call(self.__dict__["_number"], *data)
        if not isinstance(self.plan.blockwise, bool):
            return blocks.run(self.letter, self._of_a_block(), data[0], self.plan.blockwise)
        if self.shardable and len(data) == 1 and by_shards(data[0]):
            return layouts.run(self, data[0])
        if self.plan.check and not seen(*data):
            return self._unchecked()(*data)
        runs = self.of_embedded() if _complex(data) else self
        data, back = plain(data, counts=self.counts)
        with pinned(_device(data)):
            result, found = runs.called(*data)
            if self.plan.guards:
                self.guard(result, found, *data)
        return self._given(result, back)

    def blank(self, *data: Any) -> Any:
        """A result without values for data without any: what code that is traced has to know."""
        return self(*data)

    def run(self, *data: Any) -> Run:
        """The same result, bit for bit, with what was done and what came out."""
        if not isinstance(self.plan.blockwise, bool):
            raise InputError(
                "plan.blockwise",
                "has sizes, and a Run is of one matrix: leave it out, and run each of "
                f"{self.letter}.split(sizes, dim=-2)",
            )
        if self.plan.check and not seen(*data):
            return self._unchecked().run(*data)
        given, (data, back) = data, plain(data, counts=self.counts)
        runs = self.of_embedded() if _complex(given) else self
        with pinned(_device(data)):
            result, found = runs.compute(*data)
            if self.plan.guards:
                self.guard(result, found, *data)
            run = self.judge(result, found, *data)
        if run.rank is not None and _complex(given):
            run = replace(run, rank=run.rank / 2)
        return replace(run, result=self._given(run.result, back))

    def _unchecked(self) -> Operator:
        """The same operator, for where data cannot be looked at: one that chooses by them has one table."""
        if "_twin" not in self.__dict__:
            twin, plan = copy(self), self.plan
            if plan.normalization == ADAPTIVE and plan.choice == "host":
                plan = replace(plan, normalization=None, every=1)
            twin.__dict__.update(plan=replace(plan, check=False))
            self.__dict__["_twin"] = twin
        return self.__dict__["_twin"]

    def of_embedded(self) -> Operator:
        """The operator for the real matrices that stand for complex ones, whose norms may be smaller."""
        return self

    def _of_a_block(self) -> Operator:
        """The same operator, for a matrix that is a block."""
        if "_block" not in self.__dict__:
            block = copy(self)
            block.__dict__.update(plan=replace(self.plan, blockwise=False))
            self.__dict__["_block"] = block
        return self.__dict__["_block"]

    def _given(self, result: Any, back: Back | None) -> Any:
        """The result in plan.out_dtype, complex or distributed where the data was."""
        out = self.plan.out_dtype
        if out is not None:
            result = each(result, lambda X: X.to(getattr(torch, out)))
        return given_back(result, back)


def _complex(data: tuple[Any, ...]) -> bool:
    return any(isinstance(M, Tensor) and M.is_complex() for M in data)


def _device(data: tuple[Any, ...]) -> str:
    return next((M.device.type for M in data if isinstance(M, Tensor)), "cpu")


Kind = TypeVar("Kind", bound=Operator)


class _Same:
    """A table as a key: the same object, because comparing two takes as long as running one."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __hash__(self) -> int:
        return id(self.table)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.table is other.table


def made(kind: Callable[..., Kind], *arguments: Any, **named: Any) -> Kind:
    """kind(*arguments, **named), made once and kept: what the functions run."""
    if torch.compiler.is_dynamo_compiling():
        spelled = {name: _spelled(value) for name, value in named.items()}
        number = _number(kind, tuple(spelled), *map(_spelled, arguments), *spelled.values())
        return partial(opaque.call, number)  # pyright: ignore[reportReturnType]
    if any(isinstance(value, Tensor) for value in named.values()):
        return kind(*arguments, **named)  # kept, it would keep the tensor
    try:
        return _made(kind, *map(_key, arguments), **{name: _key(value) for name, value in named.items()})
    except TypeError:  # what is no key is refused by the class
        return kind(*arguments, **named)


_PLAN = tuple(one.name for one in fields(Plan))


def _spelled(value: Any) -> Any:
    """A plan as the tuple of its fields: one that traced code makes is no object yet."""
    return (_PLAN, tuple([getattr(value, name) for name in _PLAN])) if isinstance(value, Plan) else value


def _number(kind: Callable[..., Kind], names: tuple[str, ...], *values: Any) -> str:
    """Of the operator that is made while code is traced; names: of the last values.

    One by one, because a table within a tuple would have to be written out.
    """

    def read(value: Any) -> Any:
        spelled = isinstance(value, tuple) and len(value) == 2 and value[0] == _PLAN
        return Plan(**dict(zip(*value, strict=True))) if spelled else value

    given = list(map(read, values))
    count = len(given) - len(names)
    return opaque.numbered(kind(*given[:count], **dict(zip(names, given[count:], strict=True))), kept=True)


# As torch.compiler.assume_constant_result marks it, which loads the compiler: as long again as torch itself.
_number._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]


@lru_cache(maxsize=256, typed=True)
def _made(kind: Callable[..., Kind], *keys: Any, **named: Any) -> Kind:
    return kind(*map(_value, keys), **{name: _value(key) for name, key in named.items()})


def _key(value: Any) -> Any:
    if isinstance(value, list) and value and all(isinstance(row, (list, tuple)) for row in value):
        return tuple(map(tuple, value))  # rows
    return _Same(value) if isinstance(value, Table) else value


def _value(key: Any) -> Any:
    return key.table if isinstance(key, _Same) else key

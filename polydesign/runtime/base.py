"""What all operators are: objects that are checked and decided when they are made, and then run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, SafetyWarning, Table, stated
from polydesign.runtime.checks import SIGNS, check_table, check_unchosen
from polydesign.runtime.run import Run
from polydesign.table.instead import plain_instead

DEFAULT = Plan()
"""What runs where no plan is given."""


class Resolved(NamedTuple):
    """What is decided for one precision: the table, the dtype of the state, what normalizes, and the form."""

    table: Table
    state: torch.dtype
    normalization: str
    form: str = "direct"
    restarts: tuple[int, ...] = ()


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

    A table of another root or purpose is refused when the object is made, and so is a plan that chooses one
    of the package's tables beside a table. For a table that is unsafe in the precision there is a
    SafetyWarning, once an object, unless plan.check is False. Inputs are never changed, and results share no
    memory with them. Autocast does not reach inside, where it would run products in another precision than
    the plan's.
    """

    table: Table | None
    plan: Plan
    word: ClassVar[str]

    def __post_init__(self) -> None:
        plan = DEFAULT if self.plan is None else self.plan
        if not isinstance(plan, Plan):
            raise InputError("plan", f"must be a Plan, not {type(plan).__name__}: write Plan(dtype=...)")
        # Frozen for others.
        self.__dict__.update(plan=plan, _resolved={})
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

    def check(self) -> None:
        """Refuse parameters, and what the plan says where it does not go with the operator."""

    def resolved(self, dtype: str) -> Any:
        """What `decide` says for this precision, decided once."""
        kept: dict[str, Any] = self.__dict__["_resolved"]
        if dtype not in kept:
            self._warn_of_unsafe(dtype)
            kept[dtype] = self.decide(dtype)
        return kept[dtype]

    def _warn_of_unsafe(self, dtype: str) -> None:
        """Warn that the given table blows up some matrices in this precision, unless plan.check is False."""
        table = self.table
        if table is None or not self.plan.check or self.purposes[0] != "sign":
            return
        if table.standing(dtype) == "unsafe":
            what = f"{table.name} is {stated(table.tried, dtype)}; {plain_instead(table.schedule, dtype)}"
            warnings.warn(
                f"{what}; Plan(check=False) runs it without this warning", SafetyWarning, stacklevel=2
            )

    def decide(self, dtype: str) -> Any:
        """What follows from the precision of the state alone."""

    def compute(self, *data: Any, **named: Any) -> tuple[Any, Any]:
        """The result, and what `judge` makes a Run of."""
        raise NotImplementedError

    def judge(self, result: Any, found: Any, *data: Tensor) -> Run:
        """The Run; it may take products of its own."""
        return found

    def __call__(self, *data: Tensor) -> Any:
        """The tensor, or tensors."""
        with exact(data):
            return self.compute(*data)[0]

    def run(self, *data: Tensor) -> Run:
        """The same result, bit for bit, with what was done and what came out."""
        with exact(data):
            return self.judge(*self.compute(*data), *data)


def exact(data: tuple[Any, ...]) -> torch.autocast:
    """Where autocast does not reach."""
    devices = [M.device.type for M in data if isinstance(M, Tensor)]
    return torch.autocast(devices[0] if devices else "cpu", enabled=False)


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
    if any(isinstance(value, Tensor) for value in named.values()):
        return kind(*arguments, **named)  # kept, it would keep the tensor
    try:
        return _made(kind, *map(_key, arguments), **{name: _key(value) for name, value in named.items()})
    except TypeError:  # what is no key is refused by the class
        return kind(*arguments, **named)


@lru_cache(maxsize=256, typed=True)
def _made(kind: Callable[..., Kind], *keys: Any, **named: Any) -> Kind:
    return kind(*map(_value, keys), **{name: _value(key) for name, key in named.items()})


def _key(value: Any) -> Any:
    return _Same(value) if isinstance(value, Table) else value


def _value(key: Any) -> Any:
    return key.table if isinstance(key, _Same) else key

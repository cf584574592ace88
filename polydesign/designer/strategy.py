"""What a strategy is: the page to read before you add one.

A strategy is one frozen dataclass, a subclass of `Strategy`, in a file of its own, with one entry in METHODS
(designer/methods.py). Its fields are its hyper-parameters, and `search` is all that it must have. The rest
follows from the fields: keywords of `design`, options of `polydesign search` in a group of their own in
--help, keys of `polydesign sweep`, provenance in the file, the table's name, the lines of the summary, and
the command that makes the table again.

- Fields have defaults, and simple types: bool, int, float, str, float | tuple[float, ...] for a number or one
  a step, tuple[int, int] for the sides of a matrix, each with | None where nothing is said. The words that a
  field may hold stand in its metadata: field(default="a", metadata={"choices": ("a", "b")}).
- The first line of the docstring is the heading of the options, and its Args are their help texts. No field
  may be called as a keyword of `design` is.
- A search that may take more than a second or two calls search/pace.py in its loops, so that --timeout and
  Ctrl-C end it with the best so far.
- A module of a strategy imports torch, and searches, which load numpy and mpmath, in the functions that need
  them, and not at its top: --help reads the fields of all.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints

from polydesign.designer import commands, naming, summaries
from polydesign.designer.fields import StrategyField, plain
from polydesign.model import (
    MOST_STEPS,
    InputError,
    Problem,
    Schedule,
    Table,
    check_degree,
    check_integer,
    check_normalization,
    check_number,
    check_purpose,
    dtype_name,
)
from polydesign.search.pace import nobody


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Without what is None: what was left out."""
    return {key: value for key, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked for, whatever the method; the keywords of `design`, checked.

    Args:
        method: The name that the strategy has in METHODS.
        degree: 1 + n·root, one for all steps or one a step; None where nobody said.
        lower: A number, or "min": the smallest lower end from which the error is reached.
        dtype: The full name of a precision; None where nobody said.
        watch: Called now and then with (done, in all), and with numbers that a strategy has to show.
        doing: Called with what is being done, in words.
        cut_short: Called with "timeout" or "interrupted" where a search gives the best so far in place of
            what it would have found.
        known: Called before the search with the name of a table of the package that it has found before.
        recalled: Called in place of the search with where its result was found: a file, or a table's name.
        fresh: Search, even if the result is known.

    Raises InputError naming the keyword.
    """

    method: str
    root: int = 2
    degree: int | Sequence[int] | None = None
    steps: int | None = None
    error: float | None = None
    lower: float | str = 1e-3
    upper: float = 1.0
    dtype: str | None = None
    normalization: str = "frobenius"
    purpose: str | None = None
    watch: Callable[..., None] = nobody
    doing: Callable[[str], None] = nobody
    cut_short: Callable[[str], None] = nobody
    known: Callable[[str], None] = nobody
    recalled: Callable[[str], None] = nobody
    fresh: bool = False

    def __post_init__(self) -> None:
        if self.dtype is not None:
            object.__setattr__(self, "dtype", dtype_name(self.dtype))
        for name in ("degree", "steps", "error", "lower", "upper"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        if not isinstance(self.degree, (int, tuple, types.NoneType)):
            raise InputError("degree", f"must be a whole number, or one a step, not {self.degree!r}")
        object.__setattr__(self, "upper", check_number("upper", self.upper))
        if isinstance(self.lower, str) and not self.smallest:
            raise InputError("lower", f"must be a number, or min, not {self.lower!r}")
        if self.smallest and self.error is None:
            raise InputError("lower", "min is the smallest lower end for an error: give error too")
        if not self.smallest:
            object.__setattr__(self, "lower", check_number("lower", self.lower))
        check_normalization(self.normalization, self.root)
        object.__setattr__(self, "root", check_integer("root", self.root, 1))
        check_purpose(self.purpose, self.root)

    @property
    def smallest(self) -> bool:
        """Whether the smallest lower end is asked for."""
        return self.lower == "min"

    @property
    def precision(self) -> str:
        """The precision that it will run in: bfloat16 where nobody said."""
        return self.dtype or "bfloat16"

    def degrees(self) -> tuple[int, ...]:
        """One degree a step, or the one that is repeated until the error is reached; quintics by default."""
        degree = 5 if self.degree is None else self.degree
        listed = (degree,) if isinstance(degree, int) else tuple(degree)
        if self.smallest and self.steps is None and isinstance(degree, int):
            raise InputError("lower", "min is for so many steps: give steps too, or one degree a step")
        if not listed:
            raise InputError("degree", "give at least one")
        for one in listed:
            check_degree("degree", one, self.root)
        if self.error is not None and not self.smallest:
            if self.steps is not None:
                raise InputError(
                    "steps",
                    "the error decides the number of steps: give one of them, or lower min with both",
                )
            return listed
        if self.steps is not None:
            object.__setattr__(self, "steps", check_integer("steps", self.steps, 1))
            if self.steps > MOST_STEPS:
                raise InputError("steps", f"must be from 1 to {MOST_STEPS}")
            if len(listed) == 1:
                return listed * self.steps
            if len(listed) != self.steps:
                raise InputError(
                    "steps", f"is {self.steps}, and {len(listed)} degrees are given: leave steps out"
                )
        elif isinstance(degree, int):
            raise InputError("steps", f"say how many steps of degree {degree}, or give error")
        return listed

    def problem(self, degrees: tuple[int, ...] | None = None) -> Problem:
        """The problem with these degrees, or with those of `degrees`. Refuses lower="min"."""
        if isinstance(self.lower, str):
            raise InputError("lower", f"min is not for method {self.method}: give a number")
        degrees = degrees or self.degrees()
        return Problem(self.root, degrees, float(self.lower), float(self.upper), self.error)


@dataclass(frozen=True, slots=True)
class Found:
    """A schedule, and what its table is to say of it.

    Args:
        parameters: All that the strategy was told, and what it reports: for people, in the provenance.
        seed: Of random numbers.
        purpose: "" for the task's, or else for what the root says.
        dtype, form, observed: As in a Table.
        warned: Whether the search has warned of it, and will next time.
    """

    schedule: Schedule
    parameters: dict[str, Any]
    seed: int | None = None
    purpose: str = ""
    dtype: str | None = None
    form: str = ""
    observed: float | None = None
    warned: bool = False


class Strategy:
    """The base of all strategies: what one has beside its fields and `search`.

    takes_long: whether a search may take more than seconds; the command line then makes sure beforehand that
    the result has a place, and does not lose it where its name is taken. serves: the
    purposes (model.PURPOSES) that its schedules may have.
    """

    __slots__ = ()
    takes_long: ClassVar[bool] = False
    serves: ClassVar[tuple[str, ...]] = ("sign", "root", "inverse")

    @classmethod
    def made(cls, settings: dict[str, Any]) -> Strategy:
        """The strategy of the settings that were given; for one that takes the others from elsewhere."""
        return cls(**settings)

    def search(self, task: Task) -> Schedule | Found:
        """The schedule; as a Found where there is more to say of it than the fields and the task do.

        Most begin with task.problem(). Raises InputError naming the keyword.
        """
        raise NotImplementedError

    def name(self, found: Found, task: Task) -> str:
        """The name of the table, where the caller gives none: different settings have different names."""
        own = [
            f"{s.name}{getattr(self, s.name)}" for s in self.settings() if getattr(self, s.name) != s.default
        ]
        plain = naming.table_name(found.schedule, None, None, task.normalization)
        parts = [plain, task.method, *(re.sub(r"[^\w.]+", "-", one).strip("-") for one in own)]
        return "-".join(parts) + naming.ending(found.schedule.root, found.dtype, task.purpose)

    def known(self, task: Task) -> str | None:
        """The table of the package that this search has found before, where that is known beforehand."""
        return None

    def remembered(self, task: Task) -> bool:
        """Whether a table found for it is kept for the next time (remembered.py): where it takes seconds, and
        follows from the fields, the task and this package alone."""
        return False

    @classmethod
    def summary(cls, table: Table) -> list[str]:
        """The lines of the command line between the error and the steps, each with a word of at most nine
        letters in front."""
        stated = ", ".join(f"{key} {value}" for key, value in table.provenance.parameters.items())
        return [summaries.optimum(table), f"settings  {stated or 'none'}"]

    @classmethod
    def command(cls, table: Table) -> tuple[str, str]:
        """The command line that makes the table again, and what to know of it; the first may be empty."""
        stated = table.provenance.parameters
        options = [f"--method {table.provenance.strategy}", *commands.degrees(table.schedule)]
        options += [*commands.problem(table), *cls.options(stated)]
        options += [f"--dtype {table.dtype}"] if table.dtype else []
        return commands.search(table, options), "The same digits on the same platform."

    @classmethod
    def unfinished(cls, table: Table, why: str, path: str) -> str:
        """What to say of a search that was cut short (Task.cut_short) and whose table is at this path."""
        missing = table.provenance.parameters.get("unfinished", "")
        missing = f", and {missing}" if missing else ""
        kept = "" if path == "-" else f"; run polydesign verify {shlex.quote(path)} before you use it"
        return (
            f"cut short ({why}): this is the best so far{missing}{kept}. The same command "
            "starts over: nothing is kept to go on from. A longer --timeout, or none, takes it further"
        )

    @classmethod
    def settings(cls) -> tuple[StrategyField, ...]:
        """The fields, in order."""
        kinds, texts = get_type_hints(cls), _texts(cls)
        found = []
        for one in dataclasses.fields(cls):  # pyright: ignore[reportArgumentType]
            choices, text = one.metadata.get("choices", ()), texts.get(one.name, "")
            found.append(StrategyField(one.name, _alternatives(kinds[one.name]), one.default, text, choices))
        return tuple(found)

    @classmethod
    def options(cls, stated: dict[str, Any]) -> list[str]:
        """The options that say what is stated, where it is not the default."""
        plain = {key: tuple(v) if isinstance(v, list) else v for key, v in given(stated).items()}
        listed = [(one, plain[one.name]) for one in cls.settings() if one.name in plain]
        return [one.option(value) for one, value in listed if value != one.default]


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _texts(cls: type) -> dict[str, str]:
    """What the docstrings of a class and of its bases say of each of Args, on one line."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        _, _, listed = cleandoc(base.__doc__ or "").partition("\nArgs:\n")
        block = re.split(r"\n(?=\S)", listed)[0]
        for name, text in re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", block, flags=re.MULTILINE):
            found[name] = " ".join(text.split())
    return found

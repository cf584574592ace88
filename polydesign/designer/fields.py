"""A field of a strategy as keyword and option, and which values it takes."""

from __future__ import annotations

import shlex
import types
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from polydesign.model import InputError

_KINDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text",
    tuple[float, ...]: "one number a step",
    types.NoneType: "",
}


@dataclass(frozen=True, slots=True)
class StrategyField:
    """A field of a strategy as keyword and option. kinds: its types; choices: the words that it may be."""

    name: str
    kinds: tuple[Any, ...]
    default: Any
    text: str
    choices: tuple[str, ...]

    @property
    def sides(self) -> bool:
        """Whether it is a pair such as the shape of a matrix, written 512x1024."""
        return any(get_origin(kind) is tuple and ... not in get_args(kind) for kind in self.kinds)

    def plain(self, value: Any) -> Any:
        """The value as a file can hold it (`plain`).

        Raises InputError for what is none of its kinds: a text or True for a number, or one side of two.
        """
        found = plain(value)
        if any(_is_of(kind, found) for kind in self.kinds):
            return found
        names = [
            _KINDS.get(kind, "a pair such as (512, 1024)" if self.sides else "a path") for kind in self.kinds
        ]
        raise InputError(
            self.name, f"must be {' or '.join(dict.fromkeys(filter(None, names)))}, not {value!r}"
        )

    @property
    def flag(self) -> str:
        """The option that it is, without dashes in front."""
        return self.name.replace("_", "-")

    def said(self, value: Any) -> str:
        """A value as the option takes it: 1.01,1.0 or 512x1024; for yes and no the option itself."""
        if isinstance(value, bool):
            return self.flag if value else f"no-{self.flag}"
        values = value if isinstance(value, tuple) else (value,)
        return ("x" if self.sides else ",").join(v if isinstance(v, str) else repr(v) for v in values)

    def option(self, value: Any) -> str:
        """The option that says this: --no-polish, --headroom 1.01,1.0, --shape 512x1024."""
        word = self.said(value)
        return f"--{word}" if isinstance(value, bool) else f"--{self.flag} {shlex.quote(word)}"


def plain(value: Any) -> Any:
    """The value with lists as tuples, and numbers of numpy as Python's, which a file can hold."""
    if isinstance(value, (list, tuple)):
        return tuple(map(plain, value))
    return value.item() if getattr(value, "shape", None) == () else value


def _is_of(kind: Any, value: Any) -> bool:
    if get_origin(kind) is tuple:
        own = [one for one in get_args(kind) if one is not ...]
        sized = isinstance(value, tuple) and (... in get_args(kind) or len(value) == len(own))
        return sized and all(_is_of(own[0], one) for one in value)
    if kind in (int, float):
        fits = isinstance(value, kind) or (isinstance(value, int) and abs(value) < 2**1023)
        return fits and not isinstance(value, bool)
    return isinstance(value, get_origin(kind) or kind)

"""What the page shows, as one checked value, and as the query of a link that brings it back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import parse_qsl, urlencode

from polydesign.model import (
    InputError,
    check_choice,
    check_degree,
    check_integer,
    check_number,
    check_plain,
    check_purpose,
    dtype_name,
    obeyed,
    quoted,
)

GOALS = {
    "degrees": "these degrees on [l, 1]",
    "products": "the best degrees for so many products",
    "band": "these degrees from the smallest l, within a band",
}
SAFETIES = {
    "own": "headroom and floor from the sliders",
    "found": "found for the precision (takes longer)",
    "none": "none: exact arithmetic",
}
PURPOSES = {
    "sign": "sign, polar factor (Muon)",
    "root": "inverse root (Shampoo)",
    "inverse": "inverse",
}
SHAPES = ("32x64", "64x128", "128x256", "256x512", "512x1024")

LEAST_LOWER, MOST_LOWER = 1e-8, 0.9
MOST_STEPS, MOST_DEGREE, MOST_PRODUCTS = 12, 25, 40
"""Less than the library takes: the page answers while a slider moves."""

MOST_ROOT = 8
MOST_OVER, MOST_SPECTRA, MOST_NAME = 8, 12, 200
MOST_PASTED = 4000
"""Characters of a list that a link brings along; a longer one is shown, and not kept in it."""

MOST_QUERY = 16_000
"""Characters of a query: percent signs treble those of a pasted list."""

_NAME = re.compile(r"[\w.+:-]{1,200}", re.ASCII)


@dataclass(frozen=True, slots=True)
class State:
    """What the page shows.

    Args:
        goal: One of GOALS.
        purpose: One of PURPOSES.
        root: r, up to MOST_ROOT.
        lower: l of [l, 1]; of goal band it is found.
        degrees: One a step; of goal products they are found.
        products: How many may be spent, of goal products.
        band: Distance from 1, of goal band.
        safety: One of SAFETIES.
        headroom: Each step is designed up to so much times its upper end.
        floor: Least lower/upper of a step's image; 0 for none.
        tail: So many steps at the end have no floor.
        dtype: The precision that it is for.
        over: Names of tables that are drawn over it.
        reference: One of `over`, of which differences are shown, or "".
        pasted: A list that was pasted, or "".
        spectra: Names of test matrices to run on.
        runs_in: The precision to run in.
        shape: Of the test matrices, one of SHAPES.

    Raises InputError naming the field.
    """

    goal: str = "degrees"
    purpose: str = "sign"
    root: int = 2
    lower: float = 1e-3
    degrees: tuple[int, ...] = (5, 5, 5, 5, 5)
    products: int = 15
    band: float = 0.3
    safety: str = "own"
    headroom: float = 1.02
    floor: float = 0.08
    tail: int = 2
    dtype: str = "bfloat16"
    over: tuple[str, ...] = ()
    reference: str = ""
    pasted: str = ""
    spectra: tuple[str, ...] = ("gaussian", "logspace:1e-2", "rank2")
    runs_in: str = "bfloat16"
    shape: str = "64x128"

    def __post_init__(self) -> None:
        check_choice("goal", self.goal, GOALS)
        check_choice("purpose", self.purpose, PURPOSES)
        check_choice("safety", self.safety, SAFETIES)
        check_choice("shape", self.shape, SHAPES)
        for name in ("dtype", "runs_in"):
            object.__setattr__(self, name, dtype_name(getattr(self, name), name))
        object.__setattr__(self, "root", check_integer("root", self.root, 1))
        _between("root", self.root, 1, MOST_ROOT)
        check_purpose(self.purpose, self.root)
        for name, least, most in (
            ("lower", LEAST_LOWER, MOST_LOWER),
            ("band", 1e-6, 0.9),
            ("headroom", 1.0, 1.5),
            ("floor", 0.0, 0.9),
        ):
            _between(name, getattr(self, name), least, most)
            object.__setattr__(self, name, float(getattr(self, name)))
        object.__setattr__(self, "products", check_integer("products", self.products, 2))
        _between("products", self.products, 2, MOST_PRODUCTS)
        object.__setattr__(self, "tail", check_integer("tail", self.tail, 0))
        _between("tail", self.tail, 0, MOST_STEPS)
        if not 1 <= len(self.degrees) <= MOST_STEPS:
            raise InputError("degrees", f"must be 1 to {MOST_STEPS} numbers, and are {len(self.degrees)}")
        for degree in self.degrees:
            check_integer("degrees", degree, 2)
            _between("degrees", degree, 2, 1 + 12 * self.root if self.root > 2 else MOST_DEGREE)
            check_degree("degrees", degree, self.root)
        self._check_texts()

    def _check_texts(self) -> None:
        for name, most in (("over", MOST_OVER), ("spectra", MOST_SPECTRA)):
            listed = getattr(self, name)
            if len(listed) > most or len(set(listed)) < len(listed):
                raise InputError(name, f"are at most {most} different names, and {len(listed)} are given")
            for one in listed:
                if not _NAME.fullmatch(one):
                    raise InputError(name, f"{quoted(one)} is no name: take letters, digits, and . _ + - :")
        if self.reference and self.reference not in self.over:
            raise InputError("reference", f"{quoted(self.reference)} is not among the tables that are shown")
        if len(self.pasted) > MOST_PASTED:
            raise InputError("pasted", f"has {len(self.pasted)} characters, and a link {MOST_PASTED} at most")
        check_plain("pasted", _unbroken(self.pasted))

    def to_query(self) -> str:
        """The query of a link: what is not as it is anyway."""
        plain = State()
        pairs = [
            (one.name, _written(getattr(self, one.name)))
            for one in fields(self)
            if getattr(self, one.name) != getattr(plain, one.name)
        ]
        return urlencode(pairs)

    @classmethod
    def from_query(cls, query: str) -> State:
        """The state of a link. Raises InputError naming what does not fit."""
        if len(query) > MOST_QUERY:
            raise InputError("link", f"has {len(query)} characters, and {MOST_QUERY} at most are read")
        try:
            pairs = parse_qsl(
                query.removeprefix("?"), keep_blank_values=True, strict_parsing=bool(query.strip("?"))
            )
        except ValueError as problem:
            raise InputError("link", f"is none of this page ({problem}): open the page without it") from None
        values = dict(pairs)
        if len(values) < len(pairs):
            raise InputError("link", "says something twice: open the page without it")
        unknown = sorted(set(values) - set(_READERS))
        if unknown:
            raise InputError("link", f"{quoted(unknown[0])} is nothing that this page has: leave it out")
        return cls(**{name: _READERS[name](name, text) for name, text in values.items()})

    @classmethod
    def of_controls(cls, values: Mapping[str, Any]) -> State:
        """The state of the page's controls. Raises InputError naming the one that does not fit."""
        given = dict(values)
        if isinstance(given.get("degrees"), str):
            given["degrees"] = degrees_of(given["degrees"])
        if given.get("purpose") in ("sign", "inverse"):
            given["root"] = {"sign": 2, "inverse": 1}[given["purpose"]]
        for name in ("over", "spectra"):
            given[name] = tuple(map(str, given.get(name) or ()))
        if isinstance(given.get("lower"), str):
            given["lower"] = _float("lower", given["lower"].strip())
        for name in ("root", "products", "tail"):
            value = given.get(name)
            given[name] = int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in given.items():
            if value is None:
                raise InputError(name, "is empty, or no number that it may be: give one")
        return cls(**given)


def fits_link(text: str) -> bool:
    """Whether a pasted list may be part of a link."""
    return len(text) <= MOST_PASTED and obeyed(_unbroken(text)) is None


def _unbroken(text: str) -> str:
    return text.replace("\r", "").replace("\n", "").replace("\t", "")


def degrees_of(text: str) -> tuple[int, ...]:
    """ "5, 9, 9" and "5x3 9" as a degree a step. Raises InputError."""
    found: list[int] = []
    for part in re.split(r"[\s,;]+", text[:200].strip()):
        match = re.fullmatch(r"(\d{1,3})(?:[x×*](\d{1,2}))?", part)
        if match is None:
            raise InputError(
                "degrees", f"{quoted(part)} is no degree: write one a step, such as 5, 5, 9 or 5x5"
            )
        found += [int(match[1])] * int(match[2] or 1)
        if len(found) > MOST_STEPS:
            raise InputError("degrees", f"are more than {MOST_STEPS}: take fewer steps")
    return tuple(found)


def _between(name: str, value: Any, least: float, most: float) -> None:
    check_number(name, value)
    if not least <= value <= most:
        raise InputError(name, f"must lie from {least:g} to {most:g} on this page, and is {value!r}")


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return repr(value) if isinstance(value, float) else str(value)


def _whole(name: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,6}", text, re.ASCII):
        raise InputError(name, f"must be a whole number, not {quoted(text)}")
    return int(text)


def _float(name: str, text: str) -> float:
    if not re.fullmatch(r"[-+]?\d{1,30}(\.\d{0,30})?(e[-+]?\d{1,3})?", text, re.ASCII | re.IGNORECASE):
        raise InputError(name, f"must be a number, not {quoted(text)}")
    return float(text)


def _texts(name: str, text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _wholes(name: str, text: str) -> tuple[int, ...]:
    return tuple(_whole(name, part) for part in _texts(name, text))


def _text(name: str, text: str) -> str:
    return text


_BY_KIND: dict[str, Callable[[str, str], Any]] = {
    "str": _text,
    "int": _whole,
    "float": _float,
    "tuple[str, ...]": _texts,
    "tuple[int, ...]": _wholes,
}
_READERS = {one.name: _BY_KIND[str(one.type)] for one in fields(State)}

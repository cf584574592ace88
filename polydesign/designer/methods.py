"""The strategies by name: the only place where they are listed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from polydesign.designer.budget import Budget
from polydesign.designer.clip import ClipSearch
from polydesign.designer.gradient import Gradient
from polydesign.designer.minimax import Minimax
from polydesign.designer.strategy import Strategy, given
from polydesign.model import InputError, check_choice, check_number
from polydesign.text.similar import closest

METHODS: dict[str, type[Strategy]] = {
    "equioscillation": Minimax,
    "budget": Budget,
    "adam": Gradient,
    "clip": ClipSearch,
}
"""What `design` can search with. A table's provenance names it as its strategy."""


BANDED = ("budget", "equioscillation")
"""Methods that look for the smallest lower end."""


def method_of(method: str | None, settings: Mapping[str, Any]) -> str:
    """The method, or where none is named: budget for so many products, or else equioscillation.

    Raises InputError for an unknown one.
    """
    if method is None:
        return "equioscillation" if settings.get("matmuls") is None else "budget"
    check_choice("method", method, METHODS)
    return method


def within(
    band: float,
    method: str,
    degree: Any,
    steps: Any,
    error: float | None,
    lower: float | str,
    settings: Mapping[str, Any],
) -> tuple[float, str]:
    """What `band` of `design` stands for: this error, from the smallest lower end.

    Raises InputError where it is no distance from 1, where something else says the same, and where nothing
    says how much may be spent.
    """
    band = check_number("band", band)
    if not 0 < band < 1:
        raise InputError("band", f"must lie between 0 and 1, and is {band!r}")
    if method not in BANDED:
        raise InputError("band", f"is for methods {' and '.join(BANDED)}, not {method}: leave it out")
    if error is not None:
        raise InputError("error", "and band both say how far from 1 values may end: leave one of them out")
    if lower not in (1e-3, "min"):
        raise InputError("lower", "is what band looks for: leave one of them out, or give error for band")
    listed = isinstance(degree, Sequence) and not isinstance(degree, str)
    if method == "budget" and settings.get("matmuls") is None:
        raise InputError("band", "is for so many products: give matmuls too")
    if method == "equioscillation" and steps is None and not listed:
        raise InputError("band", "is for so many products or steps: give matmuls, or degree and steps")
    return float(band), "min"


def strategy_of(method: str, settings: Mapping[str, Any], keywords: Iterable[str]) -> Strategy:
    """The strategy of this method with these settings; None is what is left out.

    keywords: of `design`, which a misspelt setting may have meant. Raises InputError for what is no setting
    of the method, naming the methods that have it or the name that comes close.
    """
    fields = {name: {one.name: one for one in strategy.settings()} for name, strategy in METHODS.items()}
    own = fields[method]
    settings = {k: own[k].plain(v) if k in own and v is not None else v for k, v in settings.items()}
    for key, value in settings.items():
        owners = [name for name, listed in fields.items() if key in listed]
        if key in own and own[key].choices and value is not None:
            check_choice(key, value, own[key].choices)
        if key in own or (owners and value is None):
            continue
        if owners:
            raise InputError(key, f"is a setting of method {' or '.join(owners)}, and not of {method}")
        close = closest(key, [*own, *keywords], 1, cutoff=0.75)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise InputError(key, f"is not a setting of method {method}{meant}")
    return METHODS[method].made(given(settings))

"""From where on a table of the package keeps to an error, and the cheapest one that serves a spectrum."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from polydesign.approximation.certificate import enclose
from polydesign.model import HALF, Schedule
from polydesign.table.catalogue import Entry, entries, entry, load, shipped

if TYPE_CHECKING:
    from polydesign.optim.spectra import Spectrum

EXTRA = {"frobenius": 0, "schatten4": 0, "schatten8": 1}
"""Normalizations that are guaranteed and leave the answer as it is -> products that they take. In half
precision a table is divided by the one that it was tried with: plain under one norm, tables blow up matrices
under a smaller one. Those that divide by ν₄ themselves are left out: rounding moves values at their lower
ends by more than was measured of them, and Plan(normalization="adaptive") chooses among them in every call.
"""

LEAST = 1e-6
"""No table is looked at below."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A table and how it is run. matmuls: its products, with those of the normalization. lower: from where
    on, after normalization, it keeps to the error that was asked for."""

    table: str
    normalization: str
    matmuls: int
    lower: float


@lru_cache
def candidates(dtype: str) -> tuple[Entry, ...]:
    """The package's tables for the sign, ours and the literature's, that run in this precision: in half
    precision the plain ones."""
    published = [entry(path.stem, path) for path in sorted((shipped() / "published").glob("*.json"))]
    found = []
    for one in (*entries(), *published):
        kind = (one.purpose, one.root, one.form, one.normalization)
        if (
            kind != ("sign", 2, "direct", "frobenius")
            or one.dtype not in (None, dtype)
            or (dtype in HALF and one.standing(dtype) != "plain")
        ):
            continue
        if _rounding(one, dtype) is not None:
            found.append(one)
    return tuple(sorted(found, key=lambda one: (one.matmuls, one.error)))


def _rounding(one: Entry, dtype: str) -> float | None:
    """What was measured beyond the error, in this precision; None where nothing was, or nothing finite."""
    runs = [worst for name, worst in one.runs if name == dtype]
    if not runs or None in runs:
        return None
    return max(0.0, *(worst - one.error for worst in runs if worst is not None))


def divided(one: Entry, dtype: str) -> tuple[str, ...]:
    """The normalizations that a candidate may run with."""
    return (one.normalization,) if dtype in HALF else tuple(EXTRA)


@lru_cache(maxsize=4096)
def reach(name: str, error: float, dtype: str) -> float | None:
    """The least l for which |f(x) − 1| is at most `error` on [l, u], less what rounding was measured to take.

    In exact arithmetic it is proved. None where the table never keeps to it.
    """
    one = next(one for one in candidates(dtype) if one.name == name)
    allowed = error - (_rounding(one, dtype) or 0.0)
    schedule = load(one.path, proving=False).schedule  # what is used of it is proved below
    if allowed <= 0:
        return None
    high = schedule.interval[1]
    x = np.geomspace(LEAST * high, high, 8000)
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.nan_to_num(np.abs(schedule(x) - 1), nan=np.inf)
    within = np.maximum.accumulate(off[::-1])[::-1] <= allowed
    if not within.any():
        return None
    low = float(x[int(np.argmax(within))])
    while low < high:
        if _proved(schedule, low) <= allowed:
            return low
        low *= 1.02
    return None


def _proved(schedule: Schedule, low: float) -> float:
    return float(enclose(replace(schedule, interval=(low, schedule.interval[1])))[-1].half_width[1])


def serving(lows: dict[str, float], error: float, dtype: str) -> Choice | None:
    """The cheapest table for singular values from lows[normalization] to 1 at this error; None for none."""
    best: Choice | None = None
    for one in candidates(dtype):
        for normalization in divided(one, dtype):
            products = one.matmuls + EXTRA[normalization]
            if best is not None and products > best.matmuls:
                continue
            least = reach(one.name, error, dtype)
            if least is None or least > lows[normalization]:
                continue
            if best is None or (products, least) < (best.matmuls, best.lower):
                best = Choice(one.name, normalization, products, least)
    return best


def lows(one: Spectrum, lower: float) -> dict[str, float]:
    """Normalization -> from where on singular values are to be served, those above lower·‖M‖_F."""
    # An estimate does not know the least one.
    start = max(one.low, lower) if one.exact else lower
    return {name: start / one.divisors[name] for name in EXTRA}

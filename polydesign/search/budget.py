"""The best sequence of degrees for what one may spend on matrix products, in exact arithmetic.

The best error on [l, u] depends on l/u alone and improves with it, so a composition is a path through one
number, the error E of what has been done so far (its image is [1 − E, 1 + E]), and the best sequence of
degrees is a shortest path: of all ways to spend the same, only the one with the smallest E need be followed
(Bellman's principle; the same argument as for the greedy composition, design.md, section 3). That nothing
better is missed is tested against all sequences, tests/test_budget.py.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import mpmath

from polydesign.approximation.remez import best_approximation
from polydesign.approximation.scalar import exactly
from polydesign.model import LEAST_RATIO, MOST_STEPS, InputError, check_integer, check_number
from polydesign.program.cost import UNIT, Prices, Products, form_of, power_products, step_products
from polydesign.program.programs import INNER_DEGREES, preferred, products
from polydesign.search import pace

MOST_COST = 64
"""Products up to which an error is looked for."""

_ROUNDING = 1e-9  # costs that differ by less are equal: sums of the same prices in another order

Price = Callable[[int, str], float]
"""What a step costs: (inner degree, evaluation) -> so many units of the prices."""


@dataclass(frozen=True, slots=True)
class Path:
    """A sequence of steps: what it costs, what is left to improve, and how each step was chosen.

    rank: smaller is better, and a better one stays better whatever follows. state: what the next step sees.
    """

    cost: float
    rank: Any
    state: Any
    choices: tuple[Any, ...] = ()


Moves = Callable[[Path], Iterable[tuple[float, Any, Any, Any]]]
"""Every step that may follow a path: (cost, rank, state, choice)."""


def front(start: Path, moves: Moves, most: float) -> tuple[Path, ...]:
    """The Pareto front of cost against rank: for each cost up to `most`, the path that ranks best.

    Paths are taken up in the order of their cost; one that ranks no better than a cheaper or equal one is
    dropped with everything that would follow it. Every step must cost something.
    """
    waiting: list[tuple[float, Any, int, Path]] = [(start.cost, start.rank, 0, start)]
    kept: list[Path] = []
    number = 0
    while waiting:
        pace.check()
        path = heapq.heappop(waiting)[3]
        if kept and not path.rank < kept[-1].rank:
            continue
        if kept and path.cost - kept[-1].cost < _ROUNDING:
            kept.pop()
        kept.append(path)
        if len(path.choices) == MOST_STEPS:
            continue
        for cost, rank, state, choice in moves(path):
            total = path.cost + cost
            if total <= most + _ROUNDING and rank < path.rank:
                number += 1
                following = Path(total, rank, state, (*path.choices, choice))
                heapq.heappush(waiting, (total, rank, number, following))
    return tuple(kept)


def additive(prices: Prices, **how: Any) -> tuple[Price, float]:
    """What a step costs, and what a path costs before its first step, so that costs add up along a path.

    Coupled form: the last step leaves out P Wʳ, and the first a product where G = I. Gram form: without
    restarts, which are chosen for a whole schedule; the last step takes other products than those before it.
    All that is the same whatever the degrees, and is reckoned at the start; so is a power s > r of a root.
    how: of cost.step_products.
    """
    beside, power = 0.0, how.get("power", 1)
    if how.get("form") == "coupled" and power > how["root"]:
        wide = 0 if how.get("from_identity") else 1
        beside = prices.of(Products(wide=wide, symmetric=power_products(power)))
        how = how | {"power": 1, "from_identity": True}

    def step(n: int, evaluation: str, **ends: Any) -> float:
        return prices.of(step_products(products(evaluation, n), **how, **ends))

    plain = step(1, "monomial")
    first, last = step(1, "monomial", first=True), step(1, "monomial", last=True)
    return step, (first - plain) + (last - plain) + beside


@lru_cache(maxsize=4096)
def next_error(root: int, inner_degree: int, error: Any) -> Any:
    """E of the best step on [1 − error, 1 + error]."""
    return exactly(best_approximation(root, inner_degree, 1 - error, 1 + error).error)


def start_error(lower: Any, upper: Any) -> Any:
    """The E for which [1 − E, 1 + E] has the same ratio of ends as [lower, upper]."""
    low, high = exactly(lower), exactly(upper)
    return (high - low) / (high + low)


def exact_front(
    root: int,
    lower: float,
    upper: float,
    most: float,
    *,
    inner_degrees: Iterable[int] = INNER_DEGREES,
    prices: Prices = UNIT,
    form: str | None = None,
) -> tuple[Path, ...]:
    """For each cost up to `most` the best error on [lower, upper]: paths of rank E, choices inner degrees.

    E is an mpmath number of the exact composition of best steps, without headroom; a table made of float64
    coefficients reaches it but for their rounding. prices: of a product of each kind (program/cost.py);
    form: direct or coupled, None for `form_of`. Raises InputError for a bad interval or no cost to spend.
    """
    root = check_integer("root", root, 1)
    lower, upper = check_number("lower", lower), check_number("upper", upper)
    most = check_number("matmuls", most)
    if not 0 < lower < upper:
        raise InputError("lower", f"must lie between 0 and upper = {upper!r}, and is {lower!r}")
    inner_degrees = tuple(inner_degrees)
    price, begin = additive(prices, root=root, form=form or form_of(root))

    def moves(path: Path) -> Iterator[tuple[float, Any, Any, Any]]:
        for n in inner_degrees:
            cost = price(n, preferred(n))
            if path.cost + cost <= most + _ROUNDING:
                error = next_error(root, n, path.state)
                yield cost, error, error, n

    error = start_error(lower, upper)
    return front(Path(begin, error, error), moves, most)


def cheapest(
    root: int, lower: float, upper: float, error: float, *, most: float = MOST_COST, **options: Any
) -> Path:
    """The path of least cost whose E is at most `error`; the best of those that cost the same.

    options: further arguments of exact_front. Raises InputError where `most` is not enough.
    """
    error = check_number("error", error)
    if not 0 < error < 1:
        raise InputError("error", f"must lie between 0 and 1, not {error!r}")
    allowed = 8.0
    while True:
        found = exact_front(root, lower, upper, min(allowed, most), **options)
        enough = [path for path in found if path.rank <= error]
        if enough:
            return enough[0]
        if allowed >= most:
            raise InputError(
                "error",
                f"{error!r} is out of reach at a cost of {most:g}, which reaches "
                f"{mpmath.nstr(found[-1].rank, 3)}",
            )
        allowed *= 1.5


def bisected(reaches: Callable[[float], bool], low: float, high: float, ratio: float) -> float:
    """A number that reaches: `high` of a bracket that is bisected in logarithms until high/low <= ratio."""
    while high / low > ratio:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def widest(root: int, upper: float, error: float, most: float, **options: Any) -> tuple[float, Path]:
    """The smallest lower end from which `error` is reached at a cost of `most`, and the path; good to 1e-3.

    By bisection in ln(lower): E falls as lower rises. The degrees of the path are those to hand to
    band.smallest_lower for all its digits. Raises InputError where no interval is left, or no end found.
    """

    def best(ratio: float) -> Path:
        return exact_front(root, ratio * upper, upper, most, **options)[-1]

    low, high = LEAST_RATIO, 0.999
    if best(high).rank > error:
        raise InputError("matmuls", f"{most:g} are too few to reach {error!r} on any interval")
    if best(low).rank <= error:
        raise InputError("lower", f"{error!r} is reached from {low:g}·upper already: ask for a number")
    high = bisected(lambda ratio: best(ratio).rank <= error, low, high, 1.001)
    return high * upper, best(high)

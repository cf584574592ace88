"""Programs of schemes that others publish, from the constants as their sources store them.

No search designs with these. Every constant stays a weight of its own, so that a program defines exactly the
polynomial of the constants: nothing is rounded on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from polydesign.model import InputError
from polydesign.model.program import IDENTITY, A, Combination, Line, Program

_PRODUCTS = 3
"""Of `products_of_sums`."""

_V1, _V2, _V3 = 2, 3, 4
_V = (IDENTITY, _V1, _V2, _V3)
"""Registers of `odd_chebyshev`: V₀ to V₃."""

Terms = list[tuple[int, Any]]
Series = list[list[Any]]


def products_of_sums(constants: Sequence[Any]) -> Program:
    """q in three products, each of two sums of I, A and the products before it.

    R₂, R₃, R₄ are (Σ a_j R_j)·(Σ b_j R_j) over all registers before, R₀ = I and R₁ = A, and q = Σ c_j R_j.
    The multiple of I is part of the matrix, as in the source: it is rounded with it.

    Args:
        constants: Those of the left factors, 2, 3 and 4 of them, of the right ones alike, then c₀ to c₄.

    Raises:
        InputError: They are not 23.

    Source:
        E. Erikson, Compositional Polynomial Approximation of the Matrix Sign Function for the Muon Optimizer,
        2026, github.com/Emrik3/degree17PolarExpress.
    """
    widths = range(2, 2 + _PRODUCTS)
    count = 2 * sum(widths) + _PRODUCTS + 2
    if len(constants) != count:
        raise InputError("constants", f"must be {count} for products-of-sums, not {len(constants)}")
    left = iter(constants)
    factors = [[tuple((j, next(left)) for j in range(width)) for width in widths] for _ in range(2)]
    lines = [Line((), one, other) for one, other in zip(*factors, strict=True)]
    lines.append(Line(tuple(enumerate(left))))
    return Program(tuple(lines), (len(lines) + 1, 1), 0.0)


def odd_chebyshev(constants: Sequence[Any]) -> Program:
    """q with x·q(x²) = Σ c_k T_(2k+1)(x), the Chebyshev series of an odd polynomial on [−1, 1].

    With B = 2A − I, T_(2k+1)(x)/x is V_k(B), Chebyshev's polynomial of the third kind, and V_(m+i) =
    2T_m V_i − V_(m−1−i). So a series of 2m terms is one product, of 2T_m and its upper half, and a series of
    m terms. Products: 2 for degree 7, 4 for 15, 5 for 17, 7 for 31.

    Args:
        constants: c₀, c₁, …, at least 4 and at most 16.

    Raises:
        InputError: They are fewer, or more.

    Source:
        Mason, Handscomb, Chebyshev Polynomials, 2003, section 2.4 (products of T_m and V_i).
    """
    if not 4 <= len(constants) <= 16:
        raise InputError("constants", f"must be 4 to 16 for odd-chebyshev, not {len(constants)}")
    first, *others = constants
    lines = [
        Line(((IDENTITY, -3), (A, 4))),
        Line(((IDENTITY, -1),), ((IDENTITY, -2), (A, 4)), ((_V1, 1),)),
        Line(((_V1, -1),), ((IDENTITY, -2), (A, 4)), ((_V2, 1),)),
    ]
    twice: dict[int, int] = {}
    factor: Combination = ((_V1, 1), (_V2, 1))  # 2T₂(B)
    for m in (4, 8):
        if m < len(constants):
            lines.append(Line(((IDENTITY, -2),), factor, factor))
            twice[m], factor = len(lines) + 1, ((len(lines) + 1, 1),)
    terms = _sum([[], *([c] for c in others)], twice, lines)
    if len(terms) > 1:
        lines.append(Line(_once(terms, lines)))
        terms = [(len(lines) + 1, 1)]
    return Program(tuple(lines), terms[0], first)


def _sum(series: Series, twice: dict[int, int], lines: list[Line]) -> Terms:
    """The terms of Σ e_k V_k; products that it takes are added to the lines.

    series: of every k the constants whose sum is e_k. twice: m -> the register of 2T_m(B).
    """
    if len(series) <= len(_V):
        return [(register, c) for register, e in zip(_V, series, strict=False) for c in e]
    m = max(m for m in twice if m < len(series))
    upper = series[m:]
    lower = [[*e] for e in series[:m]]
    for i, e in enumerate(upper):
        lower[m - 1 - i] += [-c for c in e]
    terms = _sum(lower, twice, lines)
    if len(upper) == 1:
        return terms + [(twice[m], c) for c in upper[0]]
    right = _once(_sum(upper, twice, lines), lines)
    lines.append(Line(_once(terms, lines), ((twice[m], 1),), right))
    return [(len(lines) + 1, 1)]


def _once(terms: Terms, lines: list[Line]) -> Combination:
    """The terms with every register once: a second constant of one goes into a sum of its own."""
    layers: list[dict[int, Any]] = []
    for register, weight in terms:
        layer = next((one for one in layers if register not in one), None)
        if layer is None:
            layers.append(layer := {})
        layer[register] = weight
    first, *more = layers
    for layer in more:
        lines.append(Line(tuple(layer.items())))
        first[len(lines) + 1] = 1
    return tuple(first.items())


SCHEMES: dict[str, Callable[[Sequence[Any]], Program]] = {
    "products-of-sums": products_of_sums,
    "odd-chebyshev": odd_chebyshev,
}
"""Name, as Step.evaluation has it -> what builds the program of a step's constants."""

"""The relaxed band: the smallest lower end from which given steps still reach a given error.

For cubics the composition found so has, of all n cubics that map [l, u] into [1 − δ, 1 + δ], the smallest l,
and with it the steepest slope at zero (CANS, delta-orthogonalization: Grishina, Smirnov and Rakhuba,
arXiv 2506.10935). For other degrees and roots the smallest l is found in the same way, as the best error on
[l, u] falls as l rises.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Context

from polydesign.model import LEAST_RATIO, InputError, Problem
from polydesign.search import pace
from polydesign.search.minimax import Equioscillation

DIGITS = 10
"""Of the lower end found, so that every machine designs with the same number."""

_WIDEST = 1 - 2.0**-20  # l/u where the search gives up: no interval is left


def smallest_lower(
    strategy: Equioscillation, root: int, degrees: tuple[int, ...], error: float, upper: float = 1.0
) -> float:
    """The smallest l, rounded up to DIGITS digits, for which the strategy's error on [l, upper] is <= error.

    Found by bisection in ln l. It is the smallest where the error falls as l rises, as it does without
    rounding; a grid for the coefficients makes the error jump, and then it is one of the places where the
    error crosses the asked one.

    Raises InputError where the error is out of reach for every l (a grid may leave a floor), or reached for
    every l down to LEAST_RATIO·upper.
    """
    Problem(root, degrees[:1], upper / 2, upper, error)  # refuses what is wrong with the error itself

    def reaches(ratio: float) -> bool:
        pace.check()
        try:
            return strategy.search(Problem(root, degrees, ratio * upper, upper)).error <= error
        except InputError as problem:
            if problem.field == "round":  # a grid too coarse for so wide an interval
                return False
            raise

    high = 0.5
    while not reaches(high):
        high = (1 + high) / 2
        if high > _WIDEST:
            raise InputError("error", f"{error!r} is out of reach of these steps for every lower end")
    low = high / 4
    while reaches(low):
        high, low = low, low / 4
        if low < LEAST_RATIO:
            raise InputError(
                "lower",
                f"these steps reach {error!r} from {high * upper:.1g} already: give fewer, or a number",
            )
    while high / low - 1 > 10.0 ** -(DIGITS + 1):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if reaches(middle) else (middle, high)
    up = Context(prec=DIGITS, rounding=ROUND_CEILING)
    found = float(up.create_decimal(high * upper))
    while not reaches(found / upper):  # where a grid makes the error jump
        found = float(up.create_decimal(found * (1 + 10.0 ** (1 - DIGITS))))
    return found

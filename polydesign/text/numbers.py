"""Numbers as people read them."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal


def number(value: float, digits: int, *, up: bool = False) -> str:
    """`value` to so many significant digits, to nearest or rounded up: 0.8657, 1.73e-3, inf."""
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    context = Context(prec=digits, rounding=ROUND_CEILING if up else ROUND_HALF_EVEN)
    rounded = float(context.create_decimal(Decimal(value)))
    if rounded == 0 or 0.01 <= abs(rounded) < 10**digits:
        return f"{rounded:.{digits}g}"
    mantissa, exponent = f"{rounded:.{digits - 1}e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def short(value: float) -> str:
    """An end of an interval as people write it, exact, for it is promised: 0.001, 1, 1e-5, 0.00123456789."""
    text = f"{value:g}"
    return (text if float(text) == value else repr(float(value))).replace("e-0", "e-")

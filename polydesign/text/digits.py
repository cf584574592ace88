"""Proved bounds in few digits."""

from __future__ import annotations

from decimal import Context


def in_digits(decimal: str, digits: int, rounding: str) -> str:
    """A proved bound in fewer digits, rounded to the side on which it stays true.

    decimal: as a certificate states it. rounding: ROUND_CEILING or ROUND_FLOOR of the module decimal.
    """
    return f"{Context(prec=digits, rounding=rounding).create_decimal(decimal).normalize():g}"

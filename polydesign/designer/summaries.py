"""Lines that `polydesign search` prints of a table it found."""

from __future__ import annotations

from math import prod
from typing import Any

from polydesign.model import Table

ROUNDED = "for these degrees; rounding the coefficients costs a factor {:.5g}"
SAFETY = "for these degrees without safety; the safety costs a factor {:.5g}"


def optimum(table: Table, words: str = SAFETY) -> str:
    """What is possible with these degrees; words: how to say the ratio of the table's error to it."""
    certificate = table.certificate
    if certificate is None or certificate.optimum is None:
        return "optimum   not known without a proof"
    if any(step.long for step in table.schedule.steps):
        least = float(certificate.optimum[0])
        return f"optimum   above {least:.3g} for any q of these degrees; what programs reach is not known"
    least = float(certificate.optimum[1])
    if least < 1e-300:
        return "optimum   below 1e-300 for these degrees without safety"
    stated = table.provenance.parameters
    if (
        words == SAFETY
        and stated.get("headroom") == 1
        and not (stated.get("cushion") or stated.get("image_floor"))
    ):
        words = ROUNDED
    return f"optimum   {least:.9g} {words.format(table.schedule.error / least)}"


def safety(stated: dict[str, Any]) -> str:
    """Headroom, and the image floor or the cushion."""
    parts = [f"headroom {_numbers(stated['headroom'])}"]
    if stated.get("image_floor"):
        tail = stated.get("floor_free_tail", 0)
        but = f" but for the last {tail}" if tail else ""
        parts.append(f"image floor {_numbers(stated['image_floor'])}{but}")
    elif "cushion" in stated:
        parts.append(f"cushion {_numbers(stated['cushion'])}")
    return f"safety    {'; '.join(parts)}"


def smallest(table: Table) -> list[str]:
    """The lower end, where the smallest was asked for."""
    stated = table.provenance.parameters
    if stated.get("lower") != "min":
        return []
    slope = prod(step.coefficients[0] for step in table.schedule.steps)
    return [
        f"band      from {table.schedule.interval[0]!r} on, the smallest found, within {stated['error']:g} "
        f"of 1; slope at 0: {slope:.6g}"
    ]


def _numbers(value: Any) -> str:
    return ", ".join(f"{v:g}" for v in value) if isinstance(value, list) else f"{value:g}"

"""What a maker of test matrices is asked for, and how it reads its argument."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from polydesign.model import InputError


@dataclass(frozen=True, slots=True)
class Request:
    """What a maker is asked for: the whole name, the argument after the colon, the shape (m, n), the source
    of randomness, and the lower end of the interval that the table promises for."""

    name: str
    argument: str | None
    shape: tuple[int, int]
    generator: torch.Generator
    lower: float

    @property
    def least_side(self) -> int:
        return min(self.shape)


def number(asked: Request, what: str, example: str, low: float, high: float, *, whole: bool = False) -> float:
    """The argument as a positive number in [low, high]."""
    try:
        value = float(asked.argument or "")
    except ValueError:
        value = math.nan
    if not (low <= value <= high and value > 0 and not (whole and value != int(value))):
        raise InputError("spectrum", f"{asked.name!r} needs {what}: write {example}")
    return value


def refuse_argument(asked: Request) -> None:
    """Refuse an argument where the spectrum has none."""
    if asked.argument is not None:
        name = asked.name.partition(":")[0]
        raise InputError("spectrum", f"{asked.name!r}: {name} takes no number; write {name}")

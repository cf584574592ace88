"""Tables that earlier versions of this package shipped, and that blow up matrices whose roundings agree.

The data is earlier.json, which scripts/earlier_tables.py makes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from polydesign.model import DTYPES, Trial, blown, standing


@dataclass(frozen=True, slots=True)
class Earlier:
    """One table of an earlier version.

    Attributes:
        name: That it was shipped under; today's table of that name is another one.
        dtype: Precision that it was made for.
        digest: Of its schedule and purpose.
        rows: Coefficients of q, one row a step, to 12 digits.
        tried: A trial in fused and one in separate loops.
        renewed: Whether another table of this name ships now.
    """

    name: str
    dtype: str
    digest: str
    rows: tuple[tuple[float, ...], ...]
    tried: tuple[Trial, ...]
    renewed: bool = True

    def __str__(self) -> str:
        """What it is, what it does, and what to take instead."""
        kind = "fused" if standing(self.tried, self.dtype) == "unsafe" else "separate"
        bad, tried = blown(self.tried, self.dtype, kind)
        word = "unsafe" if kind == "fused" else "safe in fused loops only"
        instead = f"take the {self.name} of this version"
        if not self.renewed:
            instead = f"polydesign list --own --dtype {DTYPES[self.dtype]} shows what to take"
        return (
            f"an earlier table of this package, {self.name}, {word}: in {self.dtype} it blows up {bad:,} of "
            f"{tried:,} matrices whose roundings agree, in {kind} loops; {instead}"
        )


@cache
def recorded() -> tuple[Earlier, ...]:
    """All that were recorded; catalogue.earlier_tables has those that do not ship any more."""
    found = []
    for item in json.loads(files("polydesign").joinpath("earlier.json").read_text("utf-8")):
        rows = tuple(map(tuple, item["rows"]))
        trials = tuple(Trial(item["digest"], dtype=item["dtype"], **trial) for trial in item["tried"])
        found.append(Earlier(item["name"], item["dtype"], item["digest"], rows, trials))
    return tuple(found)

"""Where a hunt looks: families of matrices whose roundings agree, in each kind of loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from polydesign.model import Table
from polydesign.rounding.families import Family, Parameters, families
from polydesign.rounding.neighbours import near
from polydesign.rounding.trial import CHUNK, Outcome, reached


class Sought(Protocol):
    """Where members come from, and what becomes of them.

    kept: how many go on, by each measure and group. children: how many are tried of each.
    """

    @property
    def name(self) -> str: ...
    @property
    def loop(self) -> str: ...
    @property
    def kept(self) -> int: ...
    @property
    def children(self) -> int: ...

    def draw(self, rng: np.random.Generator) -> Parameters:
        """Random ones."""
        ...

    def changed(self, rng: np.random.Generator, parents: Parameters) -> Parameters:
        """One close to each."""
        ...

    def group(self, of: Parameters) -> str:
        """What all members that are run together have in common."""
        ...

    def outcome(self, of: Parameters) -> tuple[Outcome, np.ndarray]:
        """What they became, and how near the schedule was to blowing them up."""
        ...

    def matrix(self, of: Parameters) -> np.ndarray:
        """The first one, of norm 1."""
        ...

    def words(self, of: Parameters) -> str:
        """What the first one is."""
        ...


@dataclass(frozen=True, slots=True)
class Followed:
    """A family of rounding.families followed without matrices, as the table runs in one kind of loop."""

    table: Table
    dtype: str
    name: str
    loop: str
    kept: int = 128
    children: int = 64

    @property
    def family(self) -> Family:
        return families(self.table.normalization)[self.name]

    def draw(self, rng: np.random.Generator) -> Parameters:
        return self.family.draw(rng, CHUNK, self.table.schedule.interval[0])

    def changed(self, rng: np.random.Generator, parents: Parameters) -> Parameters:
        return near(rng, parents, list(self.family.sizes.values()))

    def group(self, of: Parameters) -> str:
        return str(len(of.numbers))

    def outcome(self, of: Parameters) -> tuple[Outcome, np.ndarray]:
        return reached(self.table.schedule, self.family.members(of), self.dtype, self.loop)

    def matrix(self, of: Parameters) -> np.ndarray:
        return self.family.matrix(of)

    def words(self, of: Parameters) -> str:
        sizes = (f"{name} {int(size[0])}" for name, size in zip(self.family.sizes, of.sizes, strict=True))
        values = {f"{float(abs(v[0])):.6g}": None for v in self.family.members(of).values}
        return ", ".join((*sizes, f"singular values {', '.join(values)}"))

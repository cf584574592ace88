"""Which table a matrix gets: chosen by its own spectrum, from a norm that comes with the first Gram matrix.

A table that divides by ν₂ = ‖M‖_F promises for every σ >= l₀·ν₂. ν₄ = ‖M Mᵀ‖_F^½ bounds ‖M‖₂ as well, and
is smaller by a factor ρ = ν₂/ν₄: ρ⁴ = (Σσ²)²/Σσ⁴ says how many singular values share the norm, 1 where there
is one, m where all of m are equal. Divided by ν₄, what began at l₀ begins at l₀·ρ. So a table that divides by
ν₄ and is made for [l, 1] with l <= l₀·ρ keeps the promise for every σ >= l₀·ν₂, with fewer products or with
less error. Where ρ is near 1 there is none, and the table runs that runs otherwise, divided by ν₂.

The tables are those of coeffs/adaptive, read from the catalogue: all of one precision are one ladder.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from polydesign.model import Plan, Table
from polydesign.program.cost import matmuls
from polydesign.runtime.checks import on_host
from polydesign.runtime.defaults import loaded, measured_error
from polydesign.table.catalogue import Entry, adaptive_entries

NO_VMAP = 'Plan(check=False) without normalization="adaptive"'


class Choice(NamedTuple):
    """What was chosen for one call.

    table: That runs. fourth: Whether M is divided by ν₄, else by ν₂. why: One line. lower: l₀. rho: Of each
    matrix, shape (...), on the device of M. held: Whether an earlier call chose, and this one did not look.
    """

    table: Table
    fourth: bool
    why: str
    lower: float
    rho: Tensor
    held: bool = False

    def kept(self) -> Tensor:
        """Whether the table's interval begins at l₀·‖M‖_F or below, for every matrix: one bool."""
        lower = self.table.schedule.interval[0] if self.fourth else self.lower
        return (self.lower * self.rho >= lower).all() if self.fourth else torch.ones_like(self.rho).all()


@lru_cache
def members(dtype: str) -> tuple[Entry, ...]:
    """The tables of the package that divide by ν₄ and are made for this precision, but for unsafe ones."""
    return tuple(
        one
        for one in adaptive_entries()
        if (one.dtype, one.root, one.form, one.normalization) == (dtype, 2, "direct", "schatten4")
        and one.worst is not None
        and one.standing() not in ("unsafe", "untried")
    )


def ladder(dtype: str, plan: Plan, base: Table) -> tuple[Entry, ...]:
    """What may run in place of `base`, the best first; none takes more products.

    For plan.error the cheapest whose Entry.worst is at most that, and of those the best; for plan.matmuls
    what errs least. What is no better than `base` is left out.
    """
    own, most = (matmuls(base.schedule), measured_error(base)), plan.error

    def rank(products: int, error: float) -> tuple[float, float]:
        return (products, error) if most is not None else (error, products)

    found = [
        (rank(one.matmuls, one.worst), one.name, one)
        for one in members(dtype)
        if one.worst is not None and one.matmuls <= own[0] and (most is None or one.worst <= most)
    ]
    return tuple(one for key, _, one in sorted(found, key=lambda one: one[:2]) if key < rank(*own))


@dataclass(slots=True)
class Held:
    """What an earlier call chose, and for how many more calls it stands."""

    entry: Entry | None
    left: int


class Chooser:
    """Chooses for one call: called with ρ of each matrix, it says whether to divide by ν₄.

    Args:
        base: What runs otherwise, divided by ν₂.
        steps: Of `ladder`.
        every: It looks at ρ in one of so many calls.
        kept: Of the operator: key -> what was chosen.
        key: Of this call: what is alike shares a choice.
    """

    choice: Choice

    def __init__(
        self, base: Table, steps: tuple[Entry, ...], every: int, kept: dict[Any, Held], key: Any
    ) -> None:
        self.base, self.steps, self.every, self.kept, self.key = base, steps, every, kept, key

    def __call__(self, rho: Tensor) -> bool:
        held = self.kept.get(self.key)
        stands = held is not None and held.left > 0
        lower = self.base.schedule.interval[0]
        if held is None or not stands:
            entry, why = _fitting(self.steps, self.base, lower, on_host(rho.min(), NO_VMAP))
            held = Held(entry, self.every)
            if self.every > 1:
                self.kept[self.key] = held
        else:
            why = "chosen by an earlier call"
        held.left -= 1
        table = self.base if held.entry is None else loaded(str(held.entry.path))
        self.choice = Choice(table, held.entry is not None, why, lower, rho, stands)
        return self.choice.fourth

    def release(self) -> None:
        """The next call looks again."""
        self.kept.pop(self.key, None)


def _fitting(steps: tuple[Entry, ...], base: Table, lower: float, rho: float) -> tuple[Entry | None, str]:
    """The first that begins low enough for this ρ, None where none does, and why in words."""
    begins = lower * rho
    entry = next((one for one in steps if one.interval[0] <= begins), None)
    where = f"rho = {rho:.4g}, so {lower:g}·‖M‖_F is {begins:.4g}·‖M Mᵀ‖_F^½"
    if entry is None:
        least = min((one.interval[0] for one in steps), default=None)
        none = "no table is better" if least is None else f"the tables for it begin at {least:.4g} or above"
        return None, f"{where}, and {none}: {base.name} runs, divided by ‖M‖_F"
    other = f"{base.name} takes {matmuls(base.schedule)} and was measured at {measured_error(base):.2g}"
    return entry, (
        f"{where}, and {entry.name} begins at {entry.interval[0]:.4g}: {entry.matmuls} products, measured at "
        f"{entry.worst:.2g}; {other}"
    )

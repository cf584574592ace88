"""Which member of a family each matrix runs: chosen on the device, by index, with no look at the data.

The members of a family have one list of programs and differ in their constants alone (model/family.py). ρ is
there with the first Gram matrix (runtime/adaptive.py): the index of the last member that begins at l₀·ρ or
below is counted from it, and the constants are gathered as tensors, for every matrix of a batch its own. So
nothing waits for the device, a graph that was captured chooses again in every replay, and the products are
those of the table that begins the family. What errs less is what a matrix with many singular values gets.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from polydesign.model import DTYPES, InputError, Plan, Table
from polydesign.model.family import layout_of
from polydesign.runtime.defaults import loaded
from polydesign.runtime.execute import Gathered
from polydesign.table.catalogue import entries, families


class _Numbers(NamedTuple):
    """Along the last dimension members: lower ends and errors in float64, (count, members) constants."""

    lowers: Tensor
    errors: Tensor
    constants: Tensor


_KEPT: dict[tuple[tuple[str, ...], torch.device, torch.dtype], _Numbers] = {}
"""Of every family and device that was run on: while a graph is captured nothing can be sent there."""


class Family:
    """The members of a table, as tensors.

    Args:
        table: With members.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.layout = layout_of(table.schedule)
        self._digests = tuple(one.digest for one in (table, *table.members))

    def numbers(self, device: torch.device, dtype: torch.dtype) -> _Numbers:
        """dtype: of the constants."""
        # Tensors of a transform or of a mode, such as fake ones, live no longer than these do.
        followed = torch._C._len_torch_dispatch_stack() or torch._C._are_functorch_transforms_active()
        key = (self._digests, device, dtype)
        if key in _KEPT and not followed:
            return _KEPT[key]
        schedules = [one.schedule for one in (self.table, *self.table.members)]
        constants = [[number for step in one.steps for number in step.program.constants] for one in schedules]
        with torch.inference_mode(False):
            made = _Numbers(
                torch.tensor([one.interval[0] for one in schedules], dtype=torch.float64, device=device),
                torch.tensor([one.error for one in schedules], dtype=torch.float64, device=device),
                torch.tensor(constants, dtype=dtype, device=device).mT.contiguous(),
            )
        if not followed:
            _KEPT[key] = made
        return made


class Indexed:
    """Chooses for one call: called with ρ of each matrix, (...), it says to divide by ν₄.

    Args:
        family: Whose members run.
        state: What the matrices are iterated in.
    """

    held = False
    rho: Tensor

    def __init__(self, family: Family, state: torch.dtype) -> None:
        self.family = family
        self.state = torch.promote_types(state, torch.float32)
        count, low = len(family.table.members) + 1, family.table.schedule.interval[0]
        high = family.table.members[-1].schedule.interval[0]
        self.why = (
            f"by rho, of each matrix, on the device: of the {count} schedules of {family.table.name}, from "
            f"{low:g} to {high:g}, the last that begins at {low:g}·rho or below"
        )

    def __call__(self, rho: Tensor) -> bool:
        self.rho = rho
        self._numbers = self.family.numbers(rho.device, self.state)
        begins = self.family.table.schedule.interval[0] * rho.double()
        # The first serves every matrix: rounding may leave rho a little below 1, and NaN counts nothing.
        self.index = ((begins[..., None] >= self._numbers.lowers).sum(dim=-1) - 1).clamp_min(0)
        return True

    def steps(self) -> Gathered:
        """What runs."""
        return Gathered(self.family.layout, self._of(self._numbers.constants)[..., None, None])

    def lower(self) -> Tensor:
        """Where the member of each matrix begins, relative to ν₄, (...)."""
        return self._of(self._numbers.lowers)

    def error(self) -> Tensor:
        """What the member of each matrix promises, (...)."""
        return self._of(self._numbers.errors)

    def _of(self, numbers: Tensor) -> Tensor:
        """Those of the members that run: (..., members) -> (..., batch)."""
        # numbers[..., index] would read an index of no dimensions.
        found = numbers.index_select(-1, self.index.reshape(-1))
        return found.reshape((*numbers.shape[:-1], *self.index.shape))


def family_of(table: Table) -> Table:
    """The table itself where it has members, else the family of the package that begins with it.

    Raises InputError where there is none.
    """
    if table.members:
        return table
    known = [one for one in families() if one.digest == table.digest]
    if known:
        return loaded(str(known[0].path))
    like = [one for one in families() if one.dtype == table.dtype]
    first = (like or families())[0]
    dtype = "" if like else f" and dtype={DTYPES[str(first.dtype)]!r}"
    raise InputError(
        "plan.choice",
        f"by the device is among the members of a family, and none begins with {table.name}: write "
        f'table="{first.name}"{dtype}',
    )


def family_for(dtype: str, plan: Plan) -> Table:
    """The family of the package for a plan: of those within plan.error the one with fewest products, for
    plan.matmuls the one that errs least.

    Its first member counts, which runs where a matrix allows no other.

    Raises InputError naming the field of the plan, with what there is.
    """
    usable = [one for one in families() if one.standing() in ("plain", "fused")]
    measured = {one.digest: one.worst for one in entries() if one.worst is not None}
    known = {one: measured.get(one.digest, one.error) for one in usable if one.dtype == dtype}
    if not known:
        others = " or ".join(sorted({f"dtype={DTYPES[str(one.dtype)]!r}" for one in usable}))
        raise InputError(
            "plan.choice",
            f"by the device is among the members of a family, and none comes with the package in {dtype}: "
            f"write {others}, or leave choice out",
        )
    if plan.error is not None:
        within = [one for one in known if known[one] <= plan.error]
        if not within:
            raise InputError(
                "plan.error",
                f"is {plan.error!r}, and the best of the families that the device chooses among errs by "
                f"{min(known.values()):.2g} in {dtype} where a matrix allows no more: give no less, or leave "
                "choice out",
            )
        return loaded(str(min(within, key=lambda one: (one.matmuls, known[one])).path))
    most = math.inf if plan.matmuls is None else plan.matmuls
    affordable = [one for one in known if one.matmuls <= most]
    fewest = min(one.matmuls for one in known)
    if not affordable:
        raise InputError(
            "plan.matmuls",
            f"is {plan.matmuls}, and the smallest family that the device chooses among takes {fewest} "
            f"in {dtype}: give as many, or leave choice out",
        )
    if plan.matmuls is None:
        raise InputError(
            "plan.choice",
            f"by the device goes with a number of products or an error, and the plan has none: write "
            f"matmuls={fewest}",
        )
    return loaded(str(min(affordable, key=lambda one: (known[one], one.matmuls)).path))

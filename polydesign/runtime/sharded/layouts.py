"""DTensors run by an operator: what each rank computes, and what it sends.

- local: no matrix is split; each rank runs what it has.
- gram: each rank runs its part of the long side, and sums of Gram matrices are all that travels
  (long_side.py); where the short side is split, an all-to-all first turns the shards.
- owner: each matrix of a batch goes whole to one rank, and its shards back, by an all-to-all each way.
- gather: every rank gathers the matrices, runs all of them, and keeps its part.

The map is that of the whole matrices in each of them, and results differ by rounding. Never a shard by
itself, unless the plan says `blockwise`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from polydesign.model import ADAPTIVE, DivergenceError, InputError
from polydesign.program.cost import count
from polydesign.runtime.checks import check_finite, check_kernels, check_matrix, check_vouched, state_name
from polydesign.runtime.evidence import beyond
from polydesign.runtime.sharded import cost
from polydesign.runtime.sharded.agreement import settle, together
from polydesign.runtime.sharded.cost import Explanation, Machine, Work
from polydesign.runtime.sharded.long_side import OnRanks, evidence, signed
from polydesign.runtime.sharded.moves import gathered, largest, summed, swapped
from polydesign.runtime.sharded.placed import Placed, as_placed, chunks, is_placed, placed
from polydesign.runtime.surroundings import pinned, seen


def by_shards(D: Any) -> bool:
    """Whether D is a DTensor that is run by its shards: real, and no derivative is asked for."""
    if not is_placed(D):
        return False
    return not D.is_complex() and not (D.requires_grad and torch.is_grad_enabled())


def run(operator: Any, D: Any) -> Any:
    """The operator's result for a DTensor, placed as it was.

    Args:
        operator: A shardable `base.Operator`.
        D: (..., m, n), of any placements that `placed` takes.
    """
    name, plan = operator.letter, operator.plan
    where = placed(name, D)
    with torch.no_grad():
        X = D.detach().to_local()
        check_matrix(name, X)
        check = bool(plan.check) and seen(X)
        whole = _Whole(operator, where, check)
        if plan.blockwise or not where.splits or not math.prod(where.shape):
            found = whole(X)
        else:
            layout = explained(operator, where, X, None).layout
            if layout == "gram":
                found = _gram(operator, X, where, check)
            elif layout == "owner":
                found = _owner(whole, X, where)
            else:
                found = _gather(whole, X, where)
        return as_placed(found, where)


def explain(operator: Any, D: Any, machine: Machine | None = None) -> Explanation:
    """Which layout an operator runs for a DTensor, and why, in numbers.

    Args:
        operator: `Sign(...)`, `InverseRoot(...)` or another that runs DTensors by shards.
        D: (..., m, n), a DTensor; its data are not looked at.
        machine: What a rank can do, None for what is assumed of the device. A call assumes that too: to run
            what another machine would choose, write its name, `Plan(layout=...)`.

    Returns:
        The layout, and what each that can run costs.

    Raises:
        InputError: For what is no DTensor, for an operator that gathers, and for a placement that is refused.
    """
    if not is_placed(D):
        raise InputError(
            "D", f"must be a DTensor, not {type(D).__name__}: write distribute_tensor(D, mesh, ...)"
        )
    if not hasattr(operator, "shardable"):
        raise InputError("operator", f"must be one such as Sign(), not {type(operator).__name__}")
    if not operator.shardable:
        raise InputError("operator", f"{operator.word} gathers every DTensor, and has no layouts to choose")
    where = placed(operator.letter, D)
    check_matrix(operator.letter, D._local_tensor)
    if operator.plan.blockwise:
        raise InputError(
            "plan.blockwise",
            "runs each shard, or blocks of rows, by themselves: leave it out, and give a block",
        )
    return explained(operator, where, D._local_tensor, machine)


def explained(operator: Any, where: Placed, X: Tensor, machine: Machine | None = None) -> Explanation:
    """The same of what lies there; X: of which a rank has this, without its values."""
    how = operator.resolved(state_name(operator.plan, operator.letter, X))
    work, turn, why_not = work_of(operator, how, where, X)
    machine = machine or cost.machine_of(where.mesh.device_type, work.coarse)
    return cost.explained(where, work, operator.plan.layout, machine, turn=turn, why_not=why_not)


def work_of(operator: Any, how: Any, where: Placed, X: Tensor) -> tuple[Work, bool, str]:
    """What it costs, whether a square matrix may be turned, and why the gram layout cannot run."""
    plan, schedule = operator.plan, how.table.schedule
    checked = bool(plan.check) and seen(X)
    guards = checked and plan.guards
    result: torch.dtype = getattr(torch, plan.out_dtype) if plan.out_dtype else how.state
    common: dict[str, Any] = {"gathered": X.element_size(), "result": result.itemsize, "checked": checked}
    if how.form == "coupled" or getattr(operator, "general", False):
        form, power = ("direct", {}) if how.form != "coupled" else ("coupled", _power(operator))
        parts = count(schedule, form=form, **power)
        why_not = f"which is of msign, and {operator.word} has no long side"
        work = Work(
            **common, gram=parts.gram, wide=parts.wide, symmetric=parts.symmetric, stretches=0, summed=0,
            sums=0, vouched=False, layouts=("owner", "gather"), coarse=how.state.itemsize,
        )  # fmt: skip
        return work, False, why_not
    state = operator.state(torch.empty(where.shape, device="meta"), how)
    parts = count(schedule, form=how.form, restarts=how.restarts)
    extra = how.normalization == "schatten8"
    why_not, names = "", cost.LAYOUTS
    if plan.dither and state.itemsize <= 2:
        why_not = "which does not dither"
    elif plan.compile:
        why_not = "which is not compiled"
    elif how.normalization == ADAPTIVE:
        why_not = "which chooses no table by the matrix"
    if why_not:
        names = ("owner", "gather")
    sums = 0 if how.normalization == "none" else 2 if torch.float64 in (X.dtype, state) else 1
    work = Work(
        **common,
        gram=parts.gram,
        wide=parts.wide,
        symmetric=parts.symmetric + extra,
        stretches=parts.gram,
        summed=max(4, state.itemsize),
        sums=sums + bool(guards),
        vouched=checked and how.normalization == "none",
        layouts=names,
        coarse=state.itemsize,
    )
    return work, how.normalization != "aol", why_not


def _power(operator: Any) -> dict[str, Any]:
    return {"power": getattr(operator, "power", 1), "from_identity": True}


class _Whole:
    """The operator on whole matrices of this rank, what one rank refuses being refused by all."""

    def __init__(self, operator: Any, where: Placed, check: bool) -> None:
        self.operator, self.where, self.check = operator, where, check

    def __call__(self, X: Tensor, *, flat: bool = False) -> Tensor:
        """flat: X is a part of a batch of one dimension; of a matrix alone it is that, or nothing."""
        alone = flat and len(self.where.shape) == 2 and len(X) == 1
        given, mesh = X[0] if alone else X, self.where.mesh
        if not self.check or mesh.size() == 1:
            found = self.operator(given)
        else:
            first = list(self.where.first[:-2])
            here = f" (counted on one rank, whose first is {first})" if any(first) else ""
            if flat and not alone:
                here = " (counted among the matrices of one rank)"
            found = together(mesh, lambda: self.operator(given), here)
        return found[None] if alone else found


def _gather(whole: _Whole, X: Tensor, where: Placed) -> Tensor:
    for split in reversed(where.splits):
        X = gathered(X, where.mesh.get_group(split.dim), split.side, split.sizes)
    X = whole(X)
    for side in (-2, -1):
        X = X.narrow(side, where.first[side], where.local[side])
    return X.contiguous()


def _owner(whole: _Whole, X: Tensor, where: Placed) -> Tensor:
    """By one mesh dimension after the other: the batch is split, and the matrices are joined."""
    batch = X.shape[:-2]
    X, ways = X.reshape(batch.numel(), *X.shape[-2:]), []
    for split in reversed(where.splits):
        way = ((-3, chunks(X.shape[-3], split.ranks)), (split.side, split.sizes))
        group = where.mesh.get_group(split.dim)
        X = swapped(X, group, *way)
        ways.append((group, way))
    X = whole(X, flat=True)
    for group, (split, join) in reversed(ways):
        X = swapped(X, group, join, split)
    return X.reshape(*batch, *X.shape[-2:])


def _gram(operator: Any, X: Tensor, where: Placed, check: bool) -> Tensor:
    plan, name = operator.plan, operator.letter
    how = operator.resolved(state_name(plan, name, X))
    state = operator.state(torch.empty(where.shape, device="meta"), how)
    along = cost.long_side(where, how.normalization != "aol")
    M, ways = X, []
    for split in reversed(where.splits):
        if split.side != along:
            way = ((along, chunks(M.shape[along], split.ranks)), (split.side, split.sizes))
            group = where.mesh.get_group(split.dim)
            M = swapped(M, group, *way)
            ways.append((group, way))
    M, side = M.mT if along == -2 else M, OnRanks(where.mesh, where.dims)
    with pinned(X.device.type):
        if check:
            _look(operator, X, M, how, side)
        ran = signed(M, operator, how, state, side)
        if check and plan.guards:
            _guard(operator, X, where, how, evidence(ran, side))
    found = (ran.X.mT if along == -2 else ran.X).to(how.state)
    if plan.out_dtype is not None:
        found = found.to(getattr(torch, plan.out_dtype))
    for group, (split, join) in reversed(ways):
        found = swapped(found, group, join, split)
    return found.contiguous()


def _look(operator: Any, X: Tensor, M: Tensor, how: Any, side: OnRanks) -> None:
    """At the input, where nothing looks at the result, or nothing normalizes it."""
    name, mesh = operator.letter, side.mesh
    check_kernels(name, X, operator.word)
    if how.normalization != "none" and operator.plan.guards:
        return
    if how.normalization != "none":
        together(mesh, lambda: check_finite(name, X))
        return
    wide = M.to(torch.promote_types(M.dtype, torch.float32))
    rows = summed(wide.square().sum(dim=-1).double(), mesh, side.dims)
    squares = torch.cat([rows.flatten(), wide.square().sum(dim=-2).flatten().double()])
    upper = how.table.schedule.interval[1]

    def look() -> None:
        check_finite(name, X)
        if squares.numel():
            check_vouched(name, X, upper, math.sqrt(squares.max().item()))

    together(mesh, look)


def _guard(operator: Any, X: Tensor, where: Placed, how: Any, found: Tensor) -> None:
    """Look at the evidence of all ranks, once; where that finds something, say it on all of them."""
    limit = operator.most(how)
    worst = found.max() if found.numel() else found.new_zeros(())
    worst = worst.nan_to_num(nan=math.inf, posinf=math.inf).reshape(1)
    if largest(worst, where.mesh, where.others).item() <= limit:
        return
    problem: Exception | None = None
    try:
        mine = beyond(found, limit, operator.letter, X) if found.numel() else None
        if mine is not None:
            operator.say(mine, how)
    except (InputError, DivergenceError) as raised:
        problem = raised
    settle(where.mesh, problem)

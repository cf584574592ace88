"""msign of many matrices at once, as an optimizer needs it once a step: batches, owners, and overlap.

Matrices of one shape, dtype and placement run as one batch. Those that one mesh dimension splits, or none,
may go to owners (owners.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from polydesign.model import InputError, Plan
from polydesign.runtime.base import made
from polydesign.runtime.checks import check_matrix, check_plan
from polydesign.runtime.operators import Sign
from polydesign.runtime.sharded import layouts
from polydesign.runtime.sharded.owners import Batch, Owners
from polydesign.runtime.sharded.placed import Placed, is_placed, place, placed
from polydesign.table.given import Source

LARGEST_BATCH = 1 << 27
"""Entries of the whole matrices that run in one call, half a GB in float32; a larger one runs alone."""


def sign_many(matrices: Iterable[Any], table: Source | None = None, plan: Plan | None = None) -> list[Any]:
    """U Vᵀ of every matrix, in the order given: what `msign` gives for each, within rounding.

    All ranks of a mesh must call it with the same list, as all of them must call `msign`. No derivative is
    followed: what requires one is taken as it is.

    Args:
        matrices: Tensors (..., m, n), plain ones or DTensors of any placement that `msign` takes.
        table: Of root 2, None for the catalogue's.
        plan: How each runs. plan.layout "owner" sends every matrix that it can to an owner, also a replicated
            one, which all ranks else run alike; "gram" and "gather" run batches as `msign` does. None leaves
            it to the model of the cost; replicated matrices then stay where they are.

    Returns:
        A list of tensors, each of the shape and placement of its matrix.

    Raises:
        InputError: As `Sign`; the matrix is named by its index in the list, or that of its batch.
    """
    plan = check_plan(plan)
    if isinstance(matrices, Tensor):
        raise InputError("matrices", "must be a list of matrices; for one tensor write msign(M)")
    matrices = list(matrices)
    return run_many(made(Sign, table, plan), matrices, [f"matrices[{k}]" for k in range(len(matrices))])


def run_many(operator: Sign, matrices: Sequence[Any], names: Sequence[str]) -> list[Any]:
    """What `sign_many` does, by an operator, for matrices that refusals call by these names."""
    with torch.no_grad():
        kinds: dict[Any, list[int]] = {}
        for index, (name, M) in enumerate(zip(names, matrices, strict=True)):
            kinds.setdefault(_kind(name, M), []).append(index)
        results: list[Any] = [None] * len(matrices)
        owned: dict[tuple[Any, int], list[Batch]] = {}
        for indices in kinds.values():
            batch = Batch(indices, [matrices[k].detach() for k in indices], [names[k] for k in indices])
            along = batch.along(operator.plan)
            if along is not None and _to_owners(operator, along[0], batch):
                owned.setdefault((along[0].mesh, along[1]), []).append(batch)
            else:
                for part in _parts(batch):
                    for index, X in zip(part.indices, _together(operator, part), strict=True):
                        results[index] = X
        for way, batches in owned.items():
            for index, X in Owners(operator, *way, batches).results():
                results[index] = X
    return results


def _kind(name: str, M: Any) -> Any:
    if not is_placed(M):
        check_matrix(name, M)
        return M.shape, M.dtype, M.device
    return M.shape, M.dtype, M.device, M.device_mesh, tuple(M.placements)


def _parts(batch: Batch) -> Iterator[Batch]:
    """As many matrices at once as LARGEST_BATCH says; the same on all ranks, which have to call alike."""
    first, size = batch.matrices[0], batch.matrices[0].numel()
    if is_placed(first):
        where = placed(batch.names[0], first)
        largest = place(where.mesh, where.placements, where.shape, [0] * where.mesh.ndim)
        size = size if where.splits else math.prod(largest.local)
    count = max(1, LARGEST_BATCH // max(1, size))
    for start in range(0, len(batch.matrices), count):
        some = slice(start, start + count)
        yield Batch(batch.indices[some], batch.matrices[some], batch.names[some])


def _stacked(batch: Batch) -> Any:
    """The matrices as one batch."""
    first = batch.matrices[0]
    if not is_placed(first):
        return torch.stack(batch.matrices)
    from torch.distributed.tensor import DTensor, Shard

    placed(batch.names[0], first)
    moved = [Shard(one.dim % first.ndim + 1) if one.is_shard() else one for one in first.placements]
    shape = torch.Size((len(batch.matrices), *first.shape))
    stride = torch.empty(shape, device="meta").stride()
    local = torch.stack([M.to_local() for M in batch.matrices])
    return DTensor.from_local(local, first.device_mesh, moved, run_check=False, shape=shape, stride=stride)


def _together(operator: Sign, batch: Batch) -> list[Any]:
    """The results of a batch that runs as msign runs it."""
    if len(batch.matrices) == 1:
        return [operator(batch.matrices[0])]
    found = operator(_stacked(batch))
    if not is_placed(found):
        return list(found.unbind())
    from torch.distributed.tensor import DTensor

    first = batch.matrices[0]
    return [
        DTensor.from_local(
            X, first.device_mesh, first.placements, run_check=False, shape=first.shape, stride=_stride(first)
        )
        for X in found.to_local().unbind()
    ]


def _stride(M: Any) -> tuple[int, ...]:
    return torch.empty(M.shape, device="meta").stride()


def _to_owners(operator: Sign, where: Placed, batch: Batch) -> bool:
    """Whether these go to owners: where the plan says so, or else by the model of the cost."""
    if operator.plan.layout is not None or not where.splits:
        return operator.plan.layout == "owner"
    return layouts.explain(operator, _stacked(batch)).layout == "owner"

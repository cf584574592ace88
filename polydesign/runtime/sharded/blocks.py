"""Blocks of rows that are matrices of their own; and parts of DTensors along a dimension.

Shards that split that dimension first move to another one (`away`), by DTensor's own redistribution, so that
no part is spread over it, and the result moves back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch

from polydesign.model import InputError
from polydesign.runtime.checks import check_matrix
from polydesign.runtime.sharded.layouts import by_shards
from polydesign.runtime.sharded.placed import as_placed, is_placed, place, placed


def run(name: str, operator: Callable[[Any], Any], M: Any, sizes: tuple[int, ...]) -> Any:
    """The operator's results for blocks of so many rows, above each other as the blocks lie.

    Args:
        name: Of M, for refusals.
        operator: Of one matrix; on a DTensor it gives one that is placed alike.
        M: (..., m, n), a DTensor or a plain tensor.
        sizes: Of the blocks; they sum to m.
    """
    if is_placed(M):
        placed(name, M)
        if not by_shards(M):
            raise InputError(
                "plan.blockwise",
                "has sizes, and cuts no DTensor that is complex or whose derivative is asked for: call it "
                f"for {name}.full_tensor(), or for {name}.detach()",
            )
    else:
        check_matrix(name, M)
    if sum(sizes) != M.shape[-2]:
        raise InputError(
            "plan.blockwise",
            f"{sizes} sum to {sum(sizes)}, and {name} of shape {tuple(M.shape)} has {M.shape[-2]} rows: give "
            "sizes of that sum",
        )
    if not is_placed(M):
        return torch.cat([operator(part) for part in M.split(list(sizes), dim=-2)], dim=-2)
    with torch.no_grad():
        whole, dim = away(M.detach(), -2, -1), M.ndim - 2
        starts = accumulate(sizes, initial=0)
        parts = [operator(part_of(whole, dim, *cut)) for cut in zip(starts, sizes, strict=False)]
        return moved(joined(parts, dim), M.placements)


def away(D: Any, dim: int, other: int) -> Any:
    """D with all of `dim` on every rank: what splits it splits `other` instead."""
    from torch.distributed.tensor import Shard

    dim, other = dim % D.ndim, other % D.ndim
    return moved(D, [Shard(other) if one.is_shard(dim) else one for one in D.placements])


def moved(D: Any, placements: Sequence[Any]) -> Any:
    """D in these placements; nothing travels where it has them."""
    return D if tuple(placements) == tuple(D.placements) else D.redistribute(placements=list(placements))


def part_of(D: Any, dim: int, start: int, size: int) -> Any:
    """size entries of a dimension that no mesh dimension splits, from start on."""
    shape = list(D.shape)
    shape[dim] = size
    where = place(D.device_mesh, D.placements, tuple(shape))
    return as_placed(D.to_local().narrow(dim, start, size).contiguous(), where)


def joined(parts: Sequence[Any], dim: int) -> Any:
    """Parts of one placement as one, along a dimension that no mesh dimension splits."""
    first = parts[0]
    shape = list(first.shape)
    shape[dim] = sum(part.shape[dim] for part in parts)
    where = place(first.device_mesh, first.placements, tuple(shape))
    return as_placed(torch.cat([part.to_local() for part in parts], dim=dim), where)

"""Where a batch of matrices lies on a mesh: what each dimension of the mesh splits, and what is refused.

A mesh dimension replicates, splits the batch (experts), or splits the matrices along a side. Only the last
kind makes a matrix of which no rank has all. Shards are those of DTensor: of ceil(n/p) rows or columns, the
last ones smaller or empty; where two mesh dimensions split one side, the later splits what the earlier left.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from polydesign.model import InputError


class Split(NamedTuple):
    """Of one mesh dimension: its index, how many ranks it has, and the side that it splits, −2 or −1.

    sizes: of the shards along it, where this rank is.
    """

    dim: int
    ranks: int
    side: int
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Placed:
    """A batch of matrices on a mesh.

    shape: of all of it. local: the shape of what this rank has. splits: what splits the matrices, outermost
    first. batched: the mesh dimensions that split the batch. first: the index of this rank's first row,
    column or matrix, for each dimension.
    """

    mesh: Any
    placements: tuple[Any, ...]
    shape: tuple[int, ...]
    local: tuple[int, ...]
    splits: tuple[Split, ...]
    batched: tuple[int, ...]
    first: tuple[int, ...]

    @property
    def dims(self) -> tuple[int, ...]:
        """The mesh dimensions that split the matrices."""
        return tuple(split.dim for split in self.splits)

    @property
    def others(self) -> tuple[int, ...]:
        """The other mesh dimensions of more than one rank."""
        mine = self.dims
        return tuple(k for k in range(self.mesh.ndim) if self.mesh.size(k) > 1 and k not in mine)


def is_placed(M: Any) -> bool:
    """Whether M is a DTensor. Loads nothing: where there is one, its module is loaded."""
    if type(M) is Tensor or not isinstance(M, Tensor):
        return False
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(M, module.DTensor)


def chunks(length: int, parts: int) -> tuple[int, ...]:
    """The lengths of the shards that DTensor makes of a dimension."""
    size = -(-length // parts)
    return tuple(max(0, min(size, length - k * size)) for k in range(parts))


def check_placements(name: str, D: Any) -> None:
    """Refuse partial sums and strided shards, with what to write."""
    from torch.distributed.tensor import Replicate, Shard

    for index, one in enumerate(D.placements):
        if type(one) in (Replicate, Shard):
            continue
        here = ", ".join("Replicate()" if k == index else _word(p) for k, p in enumerate(D.placements))
        if one.is_partial():
            problem = (
                f"is {one} on mesh dimension {index}: its shards are terms of a sum, and the function of a "
                f"sum is not the sum of the functions: write {name}.redistribute(placements=[{here}]), or "
                "Shard(d) in place of Replicate()"
            )
        else:
            kind = type(one).__name__.lstrip("_")
            problem = (
                f"is {kind} on mesh dimension {index}: what its ranks hold is interleaved, and a result "
                f"cannot be placed like it: write {name}.redistribute(placements=[{here}])"
            )
        raise InputError(name, problem)


def placed(name: str, D: Any) -> Placed:
    """Where the matrices of a DTensor lie.

    Raises InputError for partial sums, strided shards, and a shard of another shape than its placement says.
    """
    check_placements(name, D)
    if D.ndim < 2:
        raise InputError(
            name,
            f"must have shape (..., m, n), not {tuple(D.shape)}: a part of a flattened matrix has no "
            f"singular vectors; write {name}.full_tensor().view(m, n), and distribute that",
        )
    found = place(D.device_mesh, D.placements, tuple(D.shape))
    has = tuple(D._local_tensor.shape)
    if has != found.local:
        raise InputError(
            name,
            f"has a shard of shape {has} on a rank, and its placements say {found.local}: give "
            "DTensor.from_local the shape and stride of the whole, and shards as torch.chunk makes them; "
            "parts of other sizes that are matrices of their own are plain tensors: call it for each",
        )
    return found


def place(
    mesh: Any, placements: Sequence[Any], shape: tuple[int, ...], where: Sequence[int] | None = None
) -> Placed:
    """Where matrices lie that have this shape and these placements, which are Replicate and Shard.

    where: the rank, by its place in the mesh; None for this one. The first has the largest parts.
    """
    where = mesh.get_coordinate() if where is None else where
    if where is None:
        raise InputError(
            "M", "lies on a mesh that this rank is no part of: call it on the mesh's ranks alone"
        )
    local, first, splits, batched = list(shape), [0] * len(shape), [], []
    for dim, one in enumerate(placements):
        if not one.is_shard():
            continue
        at, ranks = one.dim % len(shape), mesh.size(dim)
        sizes = chunks(local[at], ranks)
        first[at] += sum(sizes[: where[dim]])
        local[at] = sizes[where[dim]]
        if ranks == 1:
            continue
        if at < len(shape) - 2:
            batched.append(dim)
        else:
            splits.append(Split(dim, ranks, at - len(shape), sizes))
    return Placed(mesh, tuple(placements), shape, tuple(local), tuple(splits), tuple(batched), tuple(first))


def as_placed(X: Tensor, where: Placed) -> Any:
    """The DTensor that has X on this rank, placed as `where` says."""
    from torch.distributed.tensor import DTensor

    stride = torch.empty(where.shape, device="meta").stride()
    return DTensor.from_local(
        X, where.mesh, where.placements, run_check=False, shape=torch.Size(where.shape), stride=stride
    )


def _word(one: Any) -> str:
    return f"Shard({one.dim})" if one.is_shard() else "Replicate()"

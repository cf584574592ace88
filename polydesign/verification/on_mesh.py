"""Code of others on sharded matrices: a kit's cases as DTensors of a mesh, and what such code does wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from polydesign.model import InputError
from polydesign.verification.expected import KitCase
from polydesign.verification.mistakes import Mistake
from polydesign.verification.plain_code import Code

SIDES = {-2: "rows", -1: "columns"}


class Sharding(NamedTuple):
    """Over so many ranks, along the side −2 (rows) or −1 (columns), in shards as DTensor makes them."""

    ranks: int
    side: int


def sharding(mesh: Any, side: int) -> Sharding:
    """That of a mesh of one dimension. Raises InputError for another mesh, or side."""
    if side not in SIDES:
        raise InputError("side", f"must be -2, the rows, or -1, the columns, and is {side!r}")
    if getattr(mesh, "ndim", None) != 1:
        raise InputError("mesh", "must be a DeviceMesh of one dimension: init_device_mesh(device, (n,))")
    return Sharding(mesh.size(), side)


def on_mesh(function: Callable[[Any], Any], mesh: Any, side: int) -> Callable[[Any], Any]:
    """A function of whole tensors that gives `function` a DTensor, and returns all of what that returns.

    All ranks call it with the same tensor. Where a rank's shard was changed, so is the tensor that was given.
    """

    def run(M: Any) -> Any:
        import torch.distributed as dist
        from torch.distributed.tensor import DTensor, Shard, distribute_tensor

        D = distribute_tensor(M.clone(), mesh, [Shard(M.ndim + side)], src_data_rank=None)
        before = D.to_local().clone()
        found = function(D)
        changed = (D.to_local() != before).any().int().reshape(1)
        dist.all_reduce(changed, op=dist.ReduceOp.MAX, group=mesh.get_group())
        if changed.item():
            M.add_(1)
        return found.full_tensor() if isinstance(found, DTensor) else found

    return run


def sharded_mistakes(how: Sharding) -> dict[str, Mistake]:
    """Mistakes that code makes with shards, by the sentence that names them."""
    where = f"the {SIDES[how.side]} are split over {how.ranks} ranks"
    return {
        f"each shard is run by itself, as if it were a matrix: {where}": lambda code, case: _each(
            code, case, how
        ),
        f"each shard is divided by its own norm, and not by that of the matrix: {where}": lambda code, case: (
            code(case.input, lambda M: _norms(code, M, how))
        ),
    }


def _each(code: Code, case: KitCase, how: Sharding) -> np.ndarray:
    return np.concatenate([code(part) for part in _parts(case.input, how)], axis=how.side)


def _norms(code: Code, M: np.ndarray, how: Sharding) -> np.ndarray:
    """The norm of the shard that each row, or column, is in."""
    parts = [np.broadcast_to(code.guarded(part), _lengths(part, how)) for part in _parts(M, how)]
    return np.concatenate(parts, axis=how.side)


def _lengths(part: np.ndarray, how: Sharding) -> tuple[int, ...]:
    shape = [*part.shape[:-2], 1, 1]
    shape[how.side] = part.shape[how.side]
    return tuple(shape)


def _parts(M: np.ndarray, how: Sharding) -> list[np.ndarray]:
    size = -(-M.shape[how.side] // how.ranks)
    return np.split(M, range(size, M.shape[how.side], size), axis=how.side)

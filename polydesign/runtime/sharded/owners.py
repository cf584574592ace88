"""Whole matrices sent to owners, run there, and their results sent back.

Each matrix goes to one rank, the largest first to the rank with least to do (longest processing time). Shards
travel by one all-to-all a batch and direction; all of those there begin at once, and those back begin as soon
as a batch has run, so that products run while others travel.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from polydesign.model import InputError, Plan
from polydesign.runtime.sharded.agreement import settle
from polydesign.runtime.sharded.moves import as_bytes, of_bytes
from polydesign.runtime.sharded.placed import Placed, as_placed, is_placed, placed
from polydesign.runtime.surroundings import seen


class Batch(NamedTuple):
    """Matrices of one shape, dtype and placement, their indices in the list, and what refusals call them."""

    indices: list[int]
    matrices: list[Any]
    names: list[str]

    def along(self, plan: Plan) -> tuple[Placed, int] | None:
        """Where each lies, and the mesh dimension along which it may go to an owner.

        The one that splits it; of a replicated one that of most ranks. None where several split it, or one
        splits its batch.
        """
        first = self.matrices[0]
        if not is_placed(first) or plan.blockwise or first.is_complex() or not first.numel():
            return None
        where = placed(self.names[0], first)
        if where.mesh.size() == 1 or where.batched or len(where.splits) > 1:
            return None
        if where.splits:
            return where, where.splits[0].dim
        return where, max(range(where.mesh.ndim), key=where.mesh.size)


class _Item(NamedTuple):
    """One matrix on its way: its index in the list, what this rank has of it, where it lies, its owner."""

    number: int
    name: str
    local: Tensor
    where: Placed
    owner: int

    def shard(self, rank: int) -> list[int]:
        """The shape of what a rank has."""
        shape = list(self.where.shape)
        for split in self.where.splits:
            shape[split.side] = split.sizes[rank]
        return shape


class Owners:
    """Batches that run at owners along one dimension of a mesh; other dimensions do the same."""

    def __init__(self, operator: Any, mesh: Any, dim: int, batches: list[Batch]) -> None:
        self.operator, self.mesh = operator, mesh
        self.group, self.rank, self.ranks = mesh.get_group(dim), mesh.get_local_rank(dim), mesh.size(dim)
        # The largest work first: what travels meanwhile has the most to hide behind.
        places = [(batch, placed(batch.names[0], batch.matrices[0])) for batch in batches]
        places.sort(key=lambda pair: (-_work(pair[1].shape), pair[0].indices))
        load = [(0.0, rank) for rank in range(self.ranks)]
        self.batches: list[list[_Item]] = []
        for batch, where in places:
            items = []
            for index, M, name in zip(*batch, strict=True):
                done, owner = heapq.heappop(load)
                heapq.heappush(load, (done + _work(where.shape), owner))
                items.append(_Item(index, name, M.to_local(), where, owner))
            self.batches.append(items)

    def results(self) -> list[tuple[int, Any]]:
        """Index and result of every matrix."""
        there = [self._there(items) for items in self.batches]
        back, problem = [], None
        for items, (wait, parts) in zip(self.batches, there, strict=True):
            wait()
            mine = [item for item in items if item.owner == self.rank]
            dtype = self._dtype(items[0])
            found = [torch.zeros(item.where.shape, dtype=dtype, device=item.local.device) for item in mine]
            try:
                if mine:
                    found = list(self.operator(torch.stack([self._whole(k, parts) for k in mine])).unbind())
            except Exception as raised:  # the others wait for what this rank sends
                names = f" (M[k] is the k-th of {', '.join(item.name for item in mine)}, from 0)"
                problem = problem or _named(raised, names)
            back.append(self._back(items, dict(zip((k.number for k in mine), found, strict=True)), dtype))
        results: list[tuple[int, Any]] = []
        for items, (wait, read) in zip(self.batches, back, strict=True):
            wait()
            results += [(item.number, as_placed(read(item), item.where)) for item in items]
        if self.operator.plan.check and seen(self.batches[0][0].local):
            settle(self.mesh, problem)
        elif problem is not None:
            raise problem
        return results

    def _dtype(self, item: _Item) -> torch.dtype:
        plan = self.operator.plan
        dtype = plan.out_dtype or plan.dtype
        return getattr(torch, dtype) if dtype else item.local.dtype

    def _whole(self, item: _Item, parts: dict[tuple[int, int], Tensor]) -> Tensor:
        if not item.where.splits:
            return item.local
        (split,) = item.where.splits
        return torch.cat([parts[item.number, rank] for rank in range(self.ranks)], dim=split.side)

    def _there(self, items: list[_Item]) -> tuple[Any, dict[tuple[int, int], Tensor]]:
        """Shards on their way to owners; what replicas have need not go."""
        moving = [item for item in items if item.where.splits]
        if not moving:
            return (lambda: None), {}
        sent = {(item.number, item.owner): item.local for item in moving}
        shapes = {
            (item.number, rank): item.shard(rank)
            for rank in range(self.ranks)
            for item in moving
            if item.owner == self.rank
        }
        order = [[(item.number, rank) for item in moving if item.owner == rank] for rank in range(self.ranks)]
        come = [[key for key in shapes if key[1] == rank] for rank in range(self.ranks)]
        wait, parts = self._exchanged(order, sent, come, shapes, items[0].local, items[0].local.dtype)
        return wait, parts

    def _back(self, items: list[_Item], found: dict[int, Tensor], dtype: torch.dtype) -> tuple[Any, Any]:
        """Results on their way to those who have the shards, or the replicas."""
        sent, order = {}, []
        for rank in range(self.ranks):
            keys = []
            for item in items:
                if item.owner == self.rank:
                    sent[item.number, rank] = _part(found[item.number], item.where, rank)
                    keys.append((item.number, rank))
            order.append(keys)
        come = [[(item.number, rank) for item in items if item.owner == rank] for rank in range(self.ranks)]
        shapes = {(item.number, item.owner): item.shard(self.rank) for item in items}
        wait, parts = self._exchanged(order, sent, come, shapes, items[0].local, dtype)
        return wait, lambda item: parts[item.number, item.owner]

    def _exchanged(
        self,
        order: list[list[tuple[int, int]]],
        sent: dict[tuple[int, int], Tensor],
        come: list[list[tuple[int, int]]],
        shapes: dict[tuple[int, int], list[int]],
        like: Tensor,
        dtype: torch.dtype,
    ) -> tuple[Any, dict[tuple[int, int], Tensor]]:
        """One all-to-all that has begun: what waits for it, and a dict that has its parts after that.

        order: the keys of what goes to each rank; come: of what comes from each.
        """
        out = [[as_bytes(sent[key].reshape(-1)) for key in keys] for keys in order]
        counts = [sum(map(len, one)) for one in out]
        sizes = {key: torch.Size(shape).numel() * dtype.itemsize for key, shape in shapes.items()}
        coming = [sum(sizes[key] for key in keys) for keys in come]
        flat = [piece for one in out for piece in one]
        buffer = torch.cat(flat) if flat else torch.empty(0, dtype=torch.uint8, device=like.device)
        received = torch.empty(sum(coming), dtype=torch.uint8, device=like.device)
        parts: dict[tuple[int, int], Tensor] = {}
        work = dist.all_to_all_single(received, buffer, coming, counts, group=self.group, async_op=True)

        def wait() -> None:
            if work is not None:
                work.wait()
            keys = [key for one in come for key in one]
            for key, piece in zip(keys, received.split([sizes[key] for key in keys]), strict=True):
                parts[key] = of_bytes(piece, dtype).view(shapes[key])

        # The buffer must live until the end.
        return (lambda kept=buffer: wait()), parts


def _part(X: Tensor, where: Placed, rank: int) -> Tensor:
    """What a rank gets of a result."""
    for split in where.splits:
        X = X.narrow(split.side, sum(split.sizes[:rank]), split.sizes[rank])
    return X


def _work(shape: Sequence[int]) -> float:
    """What the products of a batch take, but for a factor: m²n a matrix, m the shorter side."""
    m, n = sorted(shape[-2:])
    return float(torch.Size(shape[:-2]).numel()) * m * m * n


def _named(problem: Exception, where: str) -> Exception:
    return InputError(problem.field, problem.problem + where) if isinstance(problem, InputError) else problem

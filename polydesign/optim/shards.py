"""Parameters that are DTensors: where their matrices lie whole enough to be cut apart, and back.

A fused matrix is cut along one side, and the weight of a convolution is read as a matrix of fewer dimensions.
Where a mesh dimension splits what is cut, or what becomes one dimension, the tensor first moves to another
placement (`home`), and the result moves back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polydesign.model import InputError
from polydesign.optim.matrices import Layout, Piece
from polydesign.runtime.sharded.blocks import joined, moved, part_of
from polydesign.runtime.sharded.layouts import explained
from polydesign.runtime.sharded.placed import Placed, as_placed, is_placed, place, placed


def local_of(x: Any) -> Tensor:
    """What this rank has of a tensor, in its own memory."""
    return x.to_local() if is_placed(x) else x


@dataclass(frozen=True)
class Spread:
    """A parameter that is a DTensor.

    where: Where it lies. home: The placements in which its matrices can be cut apart. blockwise: Whether
    each shard is a matrix.
    """

    name: str
    where: Placed
    layout: Layout
    home: tuple[Any, ...]
    blockwise: bool

    @property
    def pieces(self) -> list[Piece]:
        return list(self.layout.pieces(self.where.shape, self.name))

    def matrices(self, M: Tensor) -> list[Any]:
        """A DTensor for each piece, of what this rank has of all of them."""
        whole, found = moved(as_placed(M, self.where), self.home), []
        for piece in self.pieces:
            part = part_of(whole, piece.dim, piece.start, piece.size) if self.layout.split else whole
            if piece.flat:
                flat = place(self.where.mesh, self.home, self._shape(piece))
                part = as_placed(part.to_local().flatten(1).contiguous(), flat)
            found.append(part)
        return found

    def joined(self, results: list[Any]) -> Tensor:
        """What this rank has of all of them, where the parameter lies; the inverse of `matrices`."""
        parts, shape = [], list(self.where.shape)
        for piece, X in zip(self.pieces, results, strict=True):
            if self.layout.split:
                shape[piece.dim] = piece.size
            where = place(self.where.mesh, self.home, tuple(shape))
            parts.append(as_placed(X.to_local().reshape(where.local), where))
        whole = joined(parts, self.pieces[0].dim) if len(parts) > 1 else parts[0]
        return moved(whole, self.where.placements).to_local()

    def check_layout(self, operator: Any, dtype: Any) -> None:
        """Refuse a layout that cannot run its matrices, before a step has changed anything."""
        if self.blockwise:
            return
        for piece in self.pieces:
            where = place(self.where.mesh, self.home, self._shape(piece))
            explained(operator, where, torch.empty(where.local, dtype=dtype, device="meta"))

    def here(self, piece: Piece, x: Tensor) -> Tensor:
        """What this rank has of a piece, of what it has of the parameter: a view, which may be empty."""
        first, size = self.where.first[piece.dim], self.where.local[piece.dim]
        start = min(max(piece.start - first, 0), size)
        stop = min(max(piece.start + piece.size - first, 0), size)
        return x.narrow(piece.dim, start, stop - start)

    def length(self, piece: Piece) -> int:
        """Of the dimension that the piece is cut out of."""
        return self.where.shape[piece.dim]

    def sides(self, piece: Piece) -> tuple[int, int]:
        """Rows and columns of its matrix."""
        if self.blockwise:
            rows, columns = self.layout.sides(self.where.local)
        else:
            rows, columns = self._shape(piece)[-2:]
        return rows, columns

    def _shape(self, piece: Piece) -> tuple[int, ...]:
        """Of the piece, as its matrix or stack of matrices."""
        shape = list(self.where.shape)
        shape[piece.dim] = piece.size
        return (shape[0], math.prod(shape[1:])) if piece.flat else tuple(shape)


def spread(name: str, p: Any, layout: Layout, *, blockwise: bool) -> Spread:
    """Where a parameter lies that is a DTensor.

    Raises InputError for placements that `placed` refuses, and where each shard is to be a matrix and the
    layout cuts across shards.
    """
    where = _placed(name, p)
    home = tuple(_home(one, layout, where.shape) for one in where.placements)
    if blockwise and (home != where.placements or layout.split):
        raise InputError(
            "plan.blockwise",
            f"makes each shard of {name} a matrix, and matrices= or split= read matrices across shards: "
            "leave one of them out",
        )
    return Spread(name, where, layout, home, blockwise)


def placed_as(name: str, x: Any, p: Any) -> Any:
    """A gradient or momentum of a parameter, in the parameter's placement; it travels where it has another.

    x may be all of it, as a state has it that was saved without shards, and p a plain tensor.
    """
    if not is_placed(p):
        return x.full_tensor() if is_placed(x) else x
    if is_placed(x):
        alike = x.device_mesh == p.device_mesh
        if alike and x.placements == p.placements:
            return x
        return x.redistribute(placements=p.placements) if alike else distributed(x.full_tensor(), p)
    if x.shape != p.shape:
        raise InputError(
            name,
            f"is a tensor of shape {tuple(x.shape)}, and its parameter a DTensor of shape {tuple(p.shape)}: "
            "give all of it, or a DTensor",
        )
    return distributed(x, p)


def distributed(x: Tensor, p: Any) -> Any:
    """A tensor that every rank has, placed as p is."""
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(x, p.device_mesh, p.placements, src_data_rank=None)


def _placed(name: str, p: Any) -> Placed:
    """As `placed` has it, with what to write about a parameter."""
    strided = [k for k, one in enumerate(p.placements) if type(one).__name__ == "_StridedShard"]
    if strided:
        raise InputError(
            name,
            f"has the placements {p.placements}: FSDP has split the rows that tensor parallelism split, and "
            "what its ranks hold is interleaved; so that it splits columns of matrices, write "
            "fully_shard(…, shard_placement_fn=lambda p: Shard(1) if p.ndim > 1 else None)",
        )
    return placed(name, p)


def _home(one: Any, layout: Layout, shape: tuple[int, ...]) -> Any:
    """Where a mesh dimension may leave a tensor whose matrices are cut apart."""
    from torch.distributed.tensor import Replicate, Shard

    if not one.is_shard():
        return one
    dim, flat, cut = one.dim % len(shape), layout.flat(shape), None
    if layout.split:
        cut = (0 if flat else len(shape) - 2) + layout.split_dim
    if flat and (dim or cut is not None):
        return Replicate() if cut is not None else Shard(0)
    if dim == cut:
        return Shard(2 * len(shape) - 3 - dim)  # the other side of the matrix
    return Shard(dim)

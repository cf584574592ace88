"""The matrices of a step's gradients and momenta, and which of them run together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polydesign.optim.matrices import Piece
from polydesign.runtime.sharded.many import LARGEST_BATCH


@dataclass(frozen=True)
class Part:
    """Matrices of one parameter that run in one call: of gradient and momentum, and where the result goes."""

    name: str
    piece: Piece
    parameter: Tensor
    gradient: Tensor
    momentum: Tensor

    @property
    def sides(self) -> tuple[int, int]:
        """Rows and columns; from shapes alone, so that nothing is copied."""
        shape = self.piece.of(self.parameter).shape
        return (shape[0], shape[1:].numel()) if self.piece.flat else (shape[-2], shape[-1])


def batches(parts: list[Part]) -> Iterator[list[Part]]:
    """Parts whose matrices have one shape, or the transposed one, up to LARGEST_BATCH."""
    alike: dict[Any, list[Part]] = defaultdict(list)
    for part in parts:
        alike[(*sorted(part.sides), part.parameter.dtype, part.parameter.device)].append(part)
    for found in alike.values():
        batch, size = [], 0
        for part in found:
            more = part.piece.of(part.parameter).numel()
            if batch and size + more > LARGEST_BATCH:
                yield batch
                batch, size = [], 0
            batch.append(part)
            size += more
        yield batch


def joined(stacks: list[Tensor]) -> Tensor:
    """One batch (b, m, n), m <= n unless there is one stack alone, which runs as it is."""
    if len(stacks) == 1:
        return stacks[0]
    return torch.cat([M.mT if M.shape[-2] > M.shape[-1] else M for M in stacks])


def called(name: str, piece: Piece, length: int) -> str:
    """A parameter's name, with the rows or columns of a fused matrix; length: of all of them."""
    return name if piece.size == length else f"{name}[{piece.start}:{piece.start + piece.size}]"


def each_called(batch: list[Part], counts: list[int]) -> list[tuple[str, tuple[int, int]]]:
    """Name and shape of every matrix of a batch."""
    found = []
    for part, count in zip(batch, counts, strict=True):
        length = part.parameter.shape[part.piece.dim]
        found += [(called(one, part.piece, length), part.sides) for one in in_stack(part.name, count)]
    return found


def in_stack(name: str, count: int) -> list[str]:
    """What the matrices of a stack are called."""
    return [f"{name}[{k}]" for k in range(count)] if count > 1 else [name]

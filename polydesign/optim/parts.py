"""The matrices of a step's gradients and momenta, and which of them run together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polydesign.optim.matrices import Piece

LARGEST_BATCH = 1 << 27
"""Entries of what runs in one call, half a GB in float32; a larger matrix runs alone."""


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


def called(batch: list[Part], counts: list[int]) -> list[tuple[str, tuple[int, int]]]:
    """Name and shape of every matrix of a batch."""
    found = []
    for part, count in zip(batch, counts, strict=True):
        piece = part.piece
        whole = piece.size == part.parameter.shape[piece.dim]
        rows = "" if whole else f"[{piece.start}:{piece.start + piece.size}]"
        places = [f"[{k}]" for k in range(count)] if count > 1 else [""]
        found += [(f"{part.name}{place}{rows}", part.sides) for place in places]
    return found

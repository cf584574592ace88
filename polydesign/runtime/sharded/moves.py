"""What travels between ranks: shards of matrices, and sums over the ranks of a mesh.

Collectives of torch.distributed on the groups of a mesh, one dimension after the other. Shards travel as
bytes, so that every dtype can.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def summed(x: Tensor, mesh: Any, dims: Iterable[int]) -> Tensor:
    """The sum of x over the ranks of these mesh dimensions, which have one shape of it; x is overwritten."""
    for dim in dims:
        if x.numel():
            dist.all_reduce(x, group=mesh.get_group(dim))
    return x


def largest(x: Tensor, mesh: Any, dims: Iterable[int]) -> Tensor:
    """The maximum of x, without NaN, over the ranks of these mesh dimensions; x is overwritten."""
    for dim in dims:
        if x.numel():
            dist.all_reduce(x, op=dist.ReduceOp.MAX, group=mesh.get_group(dim))
    return x


def swapped(
    X: Tensor, group: Any, split: tuple[int, Sequence[int]], join: tuple[int, Sequence[int]]
) -> Tensor:
    """X split along one dimension, and joined along another, by one all-to-all.

    Args:
        X: What this rank has: all of the dimension `split`, and its own part of `join`.
        group: The ranks.
        split: A dimension, negative, and how much of it each rank gets.
        join: A dimension, negative, and how much of it each rank has.

    Returns:
        Tensor with all of the dimension `join`, and this rank's part of `split`.
    """
    me = dist.get_rank(group)
    (along, parts), (other, sizes) = split, join
    shape = list(X.shape)
    shape[along], shape[other] = sum(parts), sum(sizes)
    empty = not torch.Size(shape).numel()
    shape[along] = parts[me]
    if empty:  # on all of these ranks
        return X.new_empty(shape)
    shapes = []
    for size in sizes:
        shape[other] = size
        shapes.append(tuple(shape))
    pieces = [piece.reshape(-1) for piece in X.split(list(parts), dim=along)]
    counts = [torch.Size(one).numel() * X.element_size() for one in shapes]
    sent = as_bytes(torch.cat(pieces))
    received = torch.empty(sum(counts), dtype=torch.uint8, device=X.device)
    dist.all_to_all_single(
        received, sent, counts, [piece.numel() * X.element_size() for piece in pieces], group=group
    )
    blocks = [
        of_bytes(part, X.dtype).view(one) for part, one in zip(received.split(counts), shapes, strict=True)
    ]
    return torch.cat(blocks, dim=other)


def gathered(X: Tensor, group: Any, side: int, sizes: Sequence[int]) -> Tensor:
    """X of all ranks joined along a dimension, of which they have these sizes, the first the largest.

    One all-gather of parts of one size: a smaller one is filled up.
    """
    shape = list(X.shape)
    shape[side] = sum(sizes)
    if not torch.Size(shape).numel():  # on all of these ranks
        return X.new_empty(shape)
    shape[side] = sizes[0]
    count = torch.Size(shape).numel() * X.element_size()
    sent = torch.zeros(count, dtype=torch.uint8, device=X.device)
    sent[: X.numel() * X.element_size()] = as_bytes(X.reshape(-1))
    received = [torch.empty_like(sent) for _ in sizes]
    dist.all_gather(received, sent, group=group)
    parts = []
    for size, one in zip(sizes, received, strict=True):
        shape[side] = size
        numel = torch.Size(shape).numel() * X.element_size()
        parts.append(of_bytes(one[:numel], X.dtype).view(shape))
    return torch.cat(parts, dim=side)


def as_bytes(x: Tensor) -> Tensor:
    """The bytes of a contiguous tensor of one dimension."""
    return x.view(torch.uint8)


def of_bytes(x: Tensor, dtype: torch.dtype) -> Tensor:
    """The numbers that bytes stand for; copied, so that they begin where numbers may."""
    return x.clone().view(dtype)


def packed(A: Tensor) -> Tensor:
    """One half of symmetric matrices (b, m, m), shape (b, m(m + 1)/2), in no order that matters.

    The upper triangle of the upper left block and the lower one of the lower right block fill a rectangle
    together, so that no list of indices is needed. Source: Gustavson et al., rectangular full packed format,
    ACM TOMS 37 (2010), whose idea this is and whose order it is not.
    """
    h, k = _halves(A)
    both = A.new_zeros((*A.shape[:-2], k, h + 1))
    both[..., :, :k] += A[..., h:, h:].tril()
    both[..., :h, 1:] += A[..., :h, :h].triu()
    return torch.cat([both.flatten(-2), A[..., :h, h:].flatten(-2)], dim=-1)


def unpacked(x: Tensor, m: int) -> Tensor:
    """The symmetric matrices (b, m, m) of their packed halves."""
    A = x.new_empty((*x.shape[:-1], m, m))
    h, k = _halves(A)
    both = x[..., : k * (h + 1)].unflatten(-1, (k, h + 1))
    corner = x[..., k * (h + 1) :].unflatten(-1, (h, k))
    lower, upper = both[..., :, :k], both[..., :h, 1:]
    A[..., h:, h:] = lower.tril() + lower.tril(-1).mT
    A[..., :h, :h] = upper.triu() + upper.triu(1).mT
    A[..., :h, h:] = corner
    A[..., h:, :h] = corner.mT
    return A


def _halves(A: Tensor) -> tuple[int, int]:
    m = A.shape[-1]
    return m // 2, m - m // 2

"""Dither: entries moved by about as much as rounding moves them, so that equal ones are not rounded alike.

How far an entry is moved is a hash of where it stands, and of nothing else: there is no generator, no seed
and no state. The same bits come out on every device, for a shard as for the whole matrix, in a batch and in
a compiled step.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LOW = 2**32 - 1
_BITS = 23
"""Of a hash that are used: a float32 holds them and one more."""


def dithered(X: Tensor, dtype: torch.dtype, row: int = 0, column: int = 0) -> Tensor:
    """X with each entry times 1 + u·r, to be rounded to `dtype`, whose unit roundoff is u.

    r is uniform on a grid of 2²³ numbers in (−1, 1), symmetric about 0. It is a hash of the two indices of
    the entry in either order: Xᵀ becomes the transpose, and a symmetric X stays symmetric.

    Args:
        X: (..., m, n), float32 or float64.
        dtype: bfloat16 or float16.
        row: Index in the whole matrix of the first row of X, where X is a part of it.
        column: The same of the first column.

    Returns:
        Tensor of X's shape and dtype.
    """
    rows, columns = (
        _mixed(torch.arange(start + 1, start + 1 + count, device=X.device))
        for start, count in zip((row, column), X.shape[-2:], strict=True)
    )
    number = _mixed((rows[:, None] + columns) & _LOW) >> (32 - _BITS)
    u = torch.finfo(dtype).eps / 2
    # 1 + u·((2·number + 1)/2²³ − 1). The product is exact, so that fusing it with the sum changes no bit.
    return X * (number.to(X.dtype) * (u * 2.0 ** (1 - _BITS)) + (1 - u + u * 2.0**-_BITS))


def _mixed(x: Tensor) -> Tensor:
    """A hash of 32 bits for each of x, int64 from 0 to 2³² − 1; written over x. No product leaves int64.

    Source: github.com/skeeto/hash-prospector; of the pairs of multipliers with least bias, one below 2³¹.
    """
    x.bitwise_xor_(x >> 16).mul_(0x21F0AAAD).bitwise_and_(_LOW)
    x.bitwise_xor_(x >> 15).mul_(0x735A2D97).bitwise_and_(_LOW)
    return x.bitwise_xor_(x >> 15)

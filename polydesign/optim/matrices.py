"""Which matrices a parameter is made of: layers, stacks of experts, convolutions, fused QKV."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from polydesign.model import InputError, check_choice, check_integer

if TYPE_CHECKING:
    from torch import Tensor

KINDS = ("auto", "stack", "flatten")
"""How more than two dimensions are read; see Layout."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a tensor that is one matrix, or a stack of them: size entries of dimension dim from start.

    flat: whether all dimensions but the first are one.
    """

    dim: int
    start: int
    size: int
    flat: bool

    def of(self, x: Tensor) -> Tensor:
        """That part of a tensor, in the tensor's own dimensions: a view."""
        return x.narrow(self.dim, self.start, self.size)

    def matrices(self, x: Tensor) -> Tensor:
        """That part as (count, m, n)."""
        part = self.of(x)
        part = part.flatten(1) if self.flat else part
        return part.reshape(-1, *part.shape[-2:])


@dataclass(frozen=True, slots=True)
class Layout:
    """How a parameter is read as matrices.

    Args:
        matrices: auto: of two dimensions one matrix, of three a stack of them, such as experts, of four and
            more the weight of a convolution, (out, in, …), whose matrix is (out, in·…). stack: the last two
            dimensions are the matrix whatever there is before. flatten: all but the first are one, as the
            weight of a convolution in one dimension, (out, in, k), needs.
        split: Sizes of the matrices that are fused in one, such as (q, k, v) in an attention's projection;
            empty for one matrix.
        split_dim: 0 where they lie above each other, as in the weight of a Linear, 1 where side by side.

    Raises:
        InputError: A field is not one of its words, or sizes are no positive whole numbers.
    """

    matrices: str = "auto"
    split: tuple[int, ...] = ()
    split_dim: int = 0

    def __post_init__(self) -> None:
        check_choice("matrices", self.matrices, KINDS)
        check_choice("split_dim", self.split_dim, (0, 1))
        split: Any = () if self.split is None else self.split
        if not isinstance(split, (tuple, list)):
            raise InputError("split", f"must be sizes such as (512, 128, 128), not {split!r}")
        sizes = tuple(check_integer(f"split[{index}]", size, 1) for index, size in enumerate(split))
        object.__setattr__(self, "split", sizes)

    def sides(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Rows and columns of the matrix in a tensor of this shape, before it is split."""
        return (shape[0], math.prod(shape[1:])) if self.flat(shape) else (shape[-2], shape[-1])

    def flat(self, shape: tuple[int, ...]) -> bool:
        """Whether all dimensions but the first are the columns."""
        return self.matrices == "flatten" or (self.matrices == "auto" and len(shape) >= 4)

    def pieces(self, shape: tuple[int, ...], name: str) -> Iterator[Piece]:
        """The parts of a tensor of this shape that are matrices; name: of the tensor, for refusals."""
        if len(shape) < 2:
            raise InputError(
                name,
                f"has shape {shape}, and Muon is for matrices: give it and other vectors to "
                "torch.optim.AdamW",
            )
        flat = self.flat(shape)
        dim = (0 if flat else len(shape) - 2) + self.split_dim
        if not self.split:
            yield Piece(0, 0, shape[0], flat)
            return
        if flat and self.split_dim:
            raise InputError("split_dim", f"is of the rows of {name}, which is flattened: write split_dim=0")
        if sum(self.split) != shape[dim]:
            raise InputError(
                "split",
                f"{self.split} sum to {sum(self.split)}, and {name} of shape {shape} has {shape[dim]} "
                f"{'columns' if self.split_dim else 'rows'}: give sizes of that sum, or this parameter a "
                "group of its own",
            )
        start = 0
        for size in self.split:
            yield Piece(dim, start, size, flat)
            start += size

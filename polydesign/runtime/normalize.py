"""Division by an upper bound of the spectral norm, safe at every scale.

A normalization takes a batch of matrices and the dtype of the state, and gives X with ‖X‖₂ <= 1 up to the
rounding of that dtype (a table's headroom covers this). It never makes NaN or infinity out of finite input,
maps a zero matrix to zero, and gives the same bits for M and for 2ᵏ·M as long as no entry that matters
overflows or becomes subnormal.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_LAYOUT = {torch.float32: (torch.int32, 127, 23), torch.float64: (torch.int64, 1023, 52)}
"""IEEE 754: integer of the same width, exponent bias, bits of the fraction."""


class Normalized(NamedTuple):
    """matrix: X (..., m, n) in the state's dtype; the divisor of each matrix is scaled_norm·2^exponent.

    scaled_norm and exponent have shape (..., 1, 1): the norm itself may not fit a narrow dtype.
    """

    matrix: Tensor
    scaled_norm: Tensor
    exponent: Tensor

    def norm(self) -> Tensor:
        """What each matrix was divided by, shape (...), in float64."""
        return times_power_of_two(self.scaled_norm.double(), self.exponent)[..., 0, 0]


def times_power_of_two(x: Tensor, exponent: Tensor) -> Tensor:
    """x·2^exponent for float32 and float64, in two factors so that 2^exponent itself cannot overflow.

    torch.ldexp computes pow(2, exponent) in floating point: it overflows for exponents that the result does
    not, and its pow need not be exact. Here each factor is written as bits.
    """
    integer, bias, fraction = _LAYOUT[x.dtype]
    # The clamp only matters for the unspecified exponent that frexp gives for NaN and infinity.
    exponent = exponent.to(integer).clamp(-2 * bias + 2, 2 * bias)
    half = exponent >> 1
    for part in (half, exponent - half):
        x = x * ((part + bias) << fraction).view(x.dtype)
    return x


def scaled_to_one(W: Tensor) -> tuple[Tensor, Tensor]:
    """W·2^(−e) and e, shape (..., 1, 1), with the largest entry of each matrix in [1/2, 1); exact.

    W: float32 or float64, no side empty. A zero matrix stays as it is.
    """
    exponent = torch.frexp(W.abs().amax(dim=(-2, -1), keepdim=True)).exponent
    return times_power_of_two(W, -exponent), exponent


def frobenius(M: Tensor, dtype: torch.dtype) -> Normalized:
    """M/‖M‖_F. Bound guaranteed: ‖M‖₂ <= ‖M‖_F, with equality for rank one.

    M: (..., m, n), m, n >= 1, floating. Entries are first scaled by the power of two that brings the largest
    of each matrix into [1/2, 1): exact, and the squares of entries that matter neither overflow nor
    underflow. Norm and division are in float32, or float64 where M or dtype is; the result is rounded to
    `dtype` last, so that a narrow exponent range never meets the unnormalized values.
    """
    work = torch.float64 if torch.float64 in (M.dtype, dtype) else torch.float32
    W, exponent = scaled_to_one(M.to(work))
    squares = W.square().sum(dim=(-2, -1), keepdim=True)
    # The derivative of a square root at 0 is infinite, also where its value is not used.
    divisor = torch.where(squares == 0, torch.ones_like(squares), squares).sqrt()
    norm = torch.where(squares == 0, torch.zeros_like(squares), divisor)
    return Normalized((W / divisor).to(dtype), norm, exponent)


NORMALIZATIONS = {"frobenius": frobenius}

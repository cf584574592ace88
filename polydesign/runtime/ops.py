"""The matrix products that everything is made of, by name.

The names say what the caller knows: `sym_` promises that the result is symmetric, so that a kernel which
computes only half of it can be put here. Tests count the calls. Shapes: (..., m, k) times (..., k, n); the
leading dimensions of all operands are equal. On CPUs half-precision products accumulate in float32 and are
rounded once; on CUDA that, and TF32 for float32, follow torch.backends.cuda.matmul.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def mm(a: Tensor, b: Tensor) -> Tensor:
    """a·b."""
    if _slow(a):
        return (a.float() @ b.float()).half()
    return a @ b


def mm_add(c: Tensor, a: Tensor, b: Tensor, *, alpha: float, beta: float) -> Tensor:
    """beta·c + alpha·a·b, rounded once: the sum is formed in the product's accumulator."""
    if _slow(c):
        return mm_add(c.float(), a.float(), b.float(), alpha=alpha, beta=beta).half()
    if c.ndim == 2:
        return torch.addmm(c, a, b, alpha=alpha, beta=beta)
    batch = c.shape[:-2]
    c, a, b = (t.reshape(batch.numel(), *t.shape[-2:]) for t in (c, a, b))
    return torch.baddbmm(c, a, b, alpha=alpha, beta=beta).unflatten(0, batch)


def sym_mm(a: Tensor, b: Tensor) -> Tensor:
    """a·b where the product is known to be symmetric."""
    return mm(a, b)


def sym_mm_add(c: Tensor, a: Tensor, b: Tensor, *, alpha: float, beta: float) -> Tensor:
    """beta·c + alpha·a·b where c and the product are known to be symmetric."""
    return mm_add(c, a, b, alpha=alpha, beta=beta)


def weighted_sum(terms: Sequence[tuple[Tensor, float]], shift: float | None = None) -> Tensor:
    """Σ weight·matrix + shift·I, formed in float32 or better and rounded once; a new tensor.

    torch.add(a, b, alpha=weight) would round the weight itself to bfloat16, and refuse one above 65504 in
    float16.
    """
    (first, weight), *others = terms
    total = weight * first.to(torch.promote_types(first.dtype, torch.float32))
    for matrix, weight in others:
        total = total.add(matrix, alpha=weight)
    if shift is not None:
        add_to_diagonal_(total, shift)
    return total.to(first.dtype)


def add_to_diagonal_(a: Tensor, value: float) -> Tensor:
    """a + value·I, in place and without an identity matrix; returns a."""
    a.diagonal(dim1=-2, dim2=-1).add_(value)
    return a


def _slow(x: Tensor) -> bool:
    """float16 on CPUs: torch's own products give the same rounding, ten to thirty times slower."""
    return x.dtype == torch.float16 and x.device.type == "cpu"

"""The matrix products that everything is made of, by name.

The names say what the caller knows: `sym_` promises that the result is symmetric, so that a kernel which
computes only half of it can be put here. Tests count the calls. Shapes: (..., m, k) times (..., k, n); the
leading dimensions of all operands are equal. On CPUs half-precision products accumulate in float32 and are
rounded once; on CUDA that, and TF32 for float32, follow torch.backends.cuda.matmul.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def mm(a: Tensor, b: Tensor) -> Tensor:
    """a·b."""
    if _slow(a):
        return (a.float() @ b.float()).half()
    return a @ b


def mm_add(c: Tensor, a: Tensor, b: Tensor, *, alpha: Any, beta: Any) -> Tensor:
    """beta·c + alpha·a·b, rounded once: the sum is formed in the product's accumulator.

    alpha, beta: numbers, or float64 tensors without dimensions, on the CPU, in code that is compiled.
    """
    if isinstance(alpha, Tensor) or isinstance(beta, Tensor):
        return _traced_mm_add(c, a, b, _constant(alpha), _constant(beta))
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


def sym_mm_add(c: Tensor, a: Tensor, b: Tensor, *, alpha: Any, beta: Any) -> Tensor:
    """beta·c + alpha·a·b where c and the product are known to be symmetric."""
    return mm_add(c, a, b, alpha=alpha, beta=beta)


def weighted_sum(terms: Sequence[tuple[Tensor, Any]], shift: Any = None) -> Tensor:
    """Σ weight·matrix + shift·I, formed in float32 or better and rounded once; a new tensor.

    torch.add(a, b, alpha=weight) would round the weight itself to bfloat16, and refuse one above 65504 in
    float16.
    """
    (first, weight), *others = terms
    total = weight * first.to(torch.promote_types(first.dtype, torch.float32))
    for matrix, weight in others:
        if isinstance(weight, Tensor):
            total = total + weight * matrix.to(total.dtype)
        else:
            total = total.add(matrix, alpha=weight)
    if shift is not None:
        add_to_diagonal_(total, shift)
    return total.to(first.dtype)


def add_to_diagonal_(a: Tensor, value: Any) -> Tensor:
    """a + value·I, in place and without an identity matrix; returns a."""
    a.diagonal(dim1=-2, dim2=-1).add_(value)
    return a


def _slow(x: Tensor) -> bool:
    """float16 on CPUs: torch's own products give the same rounding, ten to thirty times slower."""
    return x.dtype == torch.float16 and x.device.type == "cpu"


def _constant(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    return torch.tensor(float(value), dtype=torch.float64, device="cpu")


@torch.library.custom_op("polydesign::mm_add", mutates_args=())
def _traced_mm_add(c: Tensor, a: Tensor, b: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """mm_add with constants that a compiler does not see, so that it need not compile for each of them.

    torch.addmm takes numbers only, and as beta·c + alpha·(a·b) a half-precision step would be rounded three
    times.
    """
    return mm_add(c, a, b, alpha=alpha.item(), beta=beta.item())


@_traced_mm_add.register_fake
def _(c: Tensor, a: Tensor, b: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return torch.empty_like(c, memory_format=torch.contiguous_format)


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[1:])


def _gradients(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    a, b, alpha, beta = ctx.saved_tensors
    return beta * g, alpha * mm(g, b.mT), alpha * mm(a.mT, g), None, None


_traced_mm_add.register_autograd(_gradients, setup_context=_save)


@_traced_mm_add.register_vmap
def _(info: Any, in_dims: tuple[int | None, ...], *inputs: Tensor) -> tuple[Tensor, int]:
    size, dims = info.batch_size, in_dims[:3]
    c, a, b = (
        x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)
        for x, dim in zip(inputs[:3], dims, strict=True)
    )
    return _traced_mm_add(c, a, b, *inputs[3:]), 0

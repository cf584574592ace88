"""The matrix products that everything is made of, by name.

The names say what the caller knows: `sym_` promises that the result is symmetric, so that a kernel which
computes only half of it can be put here. Tests count the calls. Shapes: (..., m, k) times (..., k, n); the
leading dimensions of all operands are equal. Half-precision products accumulate in float32 and are rounded
once; on CUDA torch.backends.cuda.matmul says how parts of long sums are joined. Products of float32 are
float32 (surroundings.pinned).

What torch.compile and torch.func.vmap would make of a product and a sum is rounded oftener, and what is
compiled cannot keep to float32. The one gets both operations as custom operators, the other as Functions of
their own, and so does autograd, whose products in `backward` would else be those of autocast and TF32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from polydesign.runtime.surroundings import pinned


def mm(a: Tensor, b: Tensor) -> Tensor:
    """a·b."""
    if torch.compiler.is_dynamo_compiling():
        if a.dtype == torch.float32:
            return _whole_mm(a, b)
    elif _differentiated(a, b, a):
        return _Product.apply(a, b)  # pyright: ignore[reportReturnType]
    if _slow(a):
        return (a.float() @ b.float()).half()
    return a @ b


def mm_add(c: Tensor, a: Tensor, b: Tensor, *, alpha: Any, beta: Any) -> Tensor:
    """beta·c + alpha·a·b, rounded once: the sum is formed in the product's accumulator.

    alpha, beta: numbers, or float64 tensors without dimensions, on the CPU, in code that is compiled; or one
    for each matrix, tensors (..., 1, 1) of float32 or better, with which the product is left in float32 until
    the sum is there.
    """
    if any(isinstance(weight, Tensor) and weight.ndim for weight in (alpha, beta)):
        terms = [(unrounded_mm(a, b), alpha)]
        if not (isinstance(beta, int) and beta == 0):
            terms.append((c, beta))
        return weighted_sum(terms).to(c.dtype)
    if isinstance(alpha, Tensor) or isinstance(beta, Tensor):
        return _traced_mm_add(c, a, b, _constant(alpha), _constant(beta))
    if torch.compiler.is_dynamo_compiling():
        return _whole_mm_add(c, a, b, float(alpha), float(beta))
    if _differentiated(a, b, c):
        return _Fused.apply(c, a, b, float(alpha), float(beta))  # pyright: ignore[reportReturnType]
    if _slow(c):
        return mm_add(c.float(), a.float(), b.float(), alpha=alpha, beta=beta).half()
    if c.ndim == 2:
        return torch.addmm(c, a, b, alpha=alpha, beta=beta)
    batch = c.shape[:-2]
    c, a, b = (t.reshape(batch.numel(), *t.shape[-2:]) for t in (c, a, b))
    return torch.baddbmm(c, a, b, alpha=alpha, beta=beta).unflatten(0, batch)


def rounded_mm(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    """a·b of a and b rounded to this dtype, in float32: what is summed is not rounded again."""
    x, y = a.to(dtype), b.to(dtype)
    if x.is_cuda and dtype.itemsize == 2 and not _differentiated(a, b, a):
        x, y = (t.reshape(-1, *t.shape[-2:]) for t in (x, y))
        return torch.bmm(x, y, out_dtype=torch.float32).reshape(*a.shape[:-1], b.shape[-1])
    # A product of two halves is exact in float32.
    return mm(x.float(), y.float())


def unrounded_mm(a: Tensor, b: Tensor) -> Tensor:
    """a·b, in float32 where a and b are narrower: what it is a part of is rounded once."""
    if a.element_size() > 2:
        return mm(a, b)
    if torch.compiler.is_dynamo_compiling():
        return _whole_unrounded_mm(a, b)
    return rounded_mm(a, b, a.dtype)


def sym_mm(a: Tensor, b: Tensor) -> Tensor:
    """a·b where the product is known to be symmetric."""
    return mm(a, b)


def wide_sym_mm(a: Tensor, b: Tensor) -> Tensor:
    """a·b where the product is known to be symmetric, in float32 where a and b are narrower."""
    if a.element_size() > 2:
        return mm(a, b)
    return mm(a.float(), b.float())


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
        if isinstance(weight, Tensor) and weight.ndim:
            total = torch.addcmul(total, matrix, weight)
        elif isinstance(weight, Tensor):
            total = total + weight * matrix.to(total.dtype)
        else:
            total = total.add(matrix, alpha=weight)
    if shift is not None:
        add_to_diagonal_(total, shift)
    return total.to(first.dtype)


def add_to_diagonal_(a: Tensor, value: Any) -> Tensor:
    """a + value·I, in place and without an identity matrix; returns a. value: a number, or (..., 1, 1)."""
    if isinstance(value, Tensor) and value.ndim:
        value = value[..., 0]
    a.diagonal(dim1=-2, dim2=-1).add_(value)
    return a


def _differentiated(a: Tensor, b: Tensor, c: Tensor) -> bool:
    """Whether autograd or a transform of torch.func follows them. In a small call every look counts."""
    if torch._C._are_functorch_transforms_active():
        return True
    return (a.requires_grad or b.requires_grad or c.requires_grad) and torch.is_grad_enabled()


def _slow(x: Tensor) -> bool:
    """float16 on CPUs: torch's own products give the same rounding, ten to thirty times slower."""
    return x.dtype == torch.float16 and x.device.type == "cpu"


def _constant(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    return torch.tensor(float(value), dtype=torch.float64, device="cpu")


@torch.library.custom_op("polydesign::mm", mutates_args=())
def _whole_mm(a: Tensor, b: Tensor) -> Tensor:
    with pinned(a.device.type):
        return mm(a, b)


@torch.library.custom_op("polydesign::mm_add", mutates_args=())
def _whole_mm_add(c: Tensor, a: Tensor, b: Tensor, alpha: float, beta: float) -> Tensor:
    with pinned(a.device.type):
        return mm_add(c, a, b, alpha=alpha, beta=beta)


@torch.library.custom_op("polydesign::mm_add_traced", mutates_args=())
def _traced_mm_add(c: Tensor, a: Tensor, b: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """With constants that a compiler does not see, so that it need not compile for each of them."""
    with pinned(a.device.type):
        return mm_add(c, a, b, alpha=alpha.item(), beta=beta.item())


@torch.library.custom_op("polydesign::unrounded_mm", mutates_args=())
def _whole_unrounded_mm(a: Tensor, b: Tensor) -> Tensor:
    with pinned(a.device.type):
        return rounded_mm(a, b, a.dtype)


@_whole_unrounded_mm.register_fake
def _(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty((*a.shape[:-1], b.shape[-1]), dtype=torch.float32)


@_whole_mm.register_fake
def _(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty((*a.shape[:-1], b.shape[-1]))


@_whole_mm_add.register_fake
@_traced_mm_add.register_fake
def _(c: Tensor, a: Tensor, b: Tensor, alpha: Any, beta: Any) -> Tensor:
    return torch.empty_like(c, memory_format=torch.contiguous_format)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*(x for x in inputs if isinstance(x, Tensor)))
    ctx.numbers = [x for x in inputs if not isinstance(x, Tensor)]


def _of_mm(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
    a, b = ctx.saved_tensors
    with pinned(g.device.type):
        return mm(g, b.mT), mm(a.mT, g)


def _of_unrounded_mm(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
    a, b = ctx.saved_tensors
    with pinned(g.device.type):
        return mm(g, b.float().mT).to(a.dtype), mm(a.float().mT, g).to(b.dtype)


def _of_mm_add(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    _, a, b, *numbers = ctx.saved_tensors
    alpha, beta = numbers or ctx.numbers
    with pinned(g.device.type):
        return beta * g, alpha * mm(g, b.mT), alpha * mm(a.mT, g), None, None


_whole_mm.register_autograd(_of_mm, setup_context=_save)
_whole_unrounded_mm.register_autograd(_of_unrounded_mm, setup_context=_save)
_whole_mm_add.register_autograd(_of_mm_add, setup_context=_save)
_traced_mm_add.register_autograd(_of_mm_add, setup_context=_save)


def _batched(operation: Any) -> Any:
    """The rule of vmap: its dimension is one more of the batch."""

    def rule(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        tensors = [
            x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)
            for x, dim in zip(inputs, in_dims, strict=True)
            if isinstance(x, Tensor) and x.ndim
        ]
        return operation(*tensors, *inputs[len(tensors) :]), 0

    return rule


for _operation in (_whole_mm, _whole_unrounded_mm, _whole_mm_add, _traced_mm_add):
    _operation.register_vmap(_batched(_operation))


class _Product(torch.autograd.Function):
    """mm."""

    @staticmethod
    def forward(a: Tensor, b: Tensor) -> Tensor:
        return mm(a, b)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _save(ctx, inputs, output)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return _of_mm(ctx, gradients[0])

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        (a, b), (da, db) = ctx.saved_tensors, tangents
        parts = [mm(*pair) for pair in ((da, b), (a, db)) if pair[0] is not None and pair[1] is not None]
        return sum(parts[1:], parts[0])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        return _batched(_Product.apply)(info, in_dims, *inputs)


class _Fused(torch.autograd.Function):
    """mm_add with numbers."""

    @staticmethod
    def forward(c: Tensor, a: Tensor, b: Tensor, alpha: float, beta: float) -> Tensor:
        return mm_add(c, a, b, alpha=alpha, beta=beta)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _save(ctx, inputs, output)
        ctx.save_for_forward(*inputs[:3])

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return _of_mm_add(ctx, gradients[0])

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        (_, a, b), (dc, da, db), (alpha, beta) = ctx.saved_tensors, tangents[:3], ctx.numbers
        parts = [
            weight * found
            for weight, found in (
                (beta, dc),
                (alpha, None if da is None else mm(da, b)),
                (alpha, None if db is None else mm(a, db)),
            )
            if found is not None
        ]
        return sum(parts[1:], parts[0])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        return _batched(_Fused.apply)(info, in_dims, *inputs)

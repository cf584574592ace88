"""Functions whose derivative is computed from their input, and not through what they did.

For torch.autograd and torch.func, reverse and forward mode. The derivative has to be a self-adjoint map; the
input alone is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.autograd import Function

from polydesign.model import InputError
from polydesign.runtime.surroundings import pinned

_SECOND = "has a first derivative here and no second: write msign or inverse_root, which autograd follows"

Derivative = Callable[[Tensor, Tensor], Tensor]
"""Of the input M and a direction D, of M's shape: the derivative along D, or of a cotangent D its adjoint."""


def applied(M: Tensor, run: Callable[[Tensor], Tensor], derivative: Derivative) -> Tensor:
    """run(M), with this derivative; what it returns is rounded to the dtype of M or of run(M)."""
    found = _Implicit.apply(M, run, derivative)
    assert isinstance(found, Tensor)
    return found


def _linear(M: Tensor, D: Tensor, derivative: Derivative) -> Tensor:
    found = _Linear.apply(M, D, derivative)
    assert isinstance(found, Tensor)
    return found


class _Implicit(Function):
    """run(M), whose derivative along D, and its adjoint, is derivative(M, D)."""

    @staticmethod
    def forward(M: Tensor, run: Callable[[Tensor], Tensor], derivative: Derivative) -> Tensor:
        del derivative
        return run(M)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.save_for_forward(inputs[0])
        ctx.derivative, ctx.state = inputs[2], output.dtype

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (M,) = ctx.saved_tensors
        return _linear(M, gradients[0], ctx.derivative).to(M.dtype), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        (M,) = ctx.saved_tensors
        return _linear(M, tangents[0], ctx.derivative).to(ctx.state)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> Any:
        M, *rest = inputs
        return _Implicit.apply(_leading(M, in_dims[0], info.batch_size), *rest), 0


class _Linear(Function):
    """derivative(M, D), as an operation of its own: vmap reaches it with whole batches, and what asks for a
    second derivative with a refusal. once_differentiable gave torch.func a second derivative of zeros."""

    @staticmethod
    def forward(M: Tensor, D: Tensor, derivative: Derivative) -> Tensor:
        with pinned(M.device.type):
            return derivative(M, D)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        raise InputError("M", _SECOND)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise InputError("M", _SECOND)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> Any:
        M, D = (_leading(X, dim, info.batch_size) for X, dim in zip(inputs[:2], in_dims, strict=False))
        return _Linear.apply(M, D, inputs[2]), 0


def _leading(M: Tensor, dim: int | None, size: int) -> Tensor:
    """The batch of a vmap first."""
    return M.expand(size, *M.shape) if dim is None else M.movedim(dim, 0)

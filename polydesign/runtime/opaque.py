"""Operators inside code that torch.compile traces: one operation each, which runs as it does outside.

So a compiled step holds the default tables, which were read while it was traced, has no break in its graph,
and gives the bits of the same step that is not compiled. The derivative is that of the operator, which runs
once more for it.
"""

from __future__ import annotations

import secrets
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from polydesign.runtime.surroundings import pinned

_PROCESS, _NUMBERS = secrets.token_hex(8), count()
"""What a compiler keeps on disk must not serve the operators of another process."""

_OPERATORS: WeakValueDictionary[str, Any] = WeakValueDictionary()
_KEPT: list[Any] = []
"""Operators that traced functions made: a compiled graph knows their numbers alone."""


def numbered(operator: Any, *, kept: bool = False) -> str:
    """The number by which `call` knows the operator, for as long as it exists, or for ever."""
    number = f"{_PROCESS}-{next(_NUMBERS)}"
    _OPERATORS[number] = operator
    if kept:
        _KEPT.append(operator)
    return number


def call(number: str, *data: Tensor) -> Any:
    """What the operator gives for the data, as one operation of a graph."""
    found = _run(list(data), number)
    return found[0] if len(found) == 1 else tuple(found)


@torch.library.custom_op("polydesign::run", mutates_args=())
def _run(data: list[Tensor], number: str) -> list[Tensor]:
    return _tensors(_OPERATORS[number](*data))


@_run.register_fake
def _(data: list[Tensor], number: str) -> list[Tensor]:
    return _tensors(_OPERATORS[number].blank(*data))


@torch.library.custom_op("polydesign::gradient", mutates_args=())
def _gradient(data: list[Tensor], gradients: list[Tensor], number: str) -> list[Tensor]:
    excluded = torch._C._dispatch_tls_local_exclude_set()
    for key in ("AutogradCPU", "AutogradCUDA", "AutogradOther", "ADInplaceOrView"):
        excluded = excluded - torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, key))
    # An operation runs below autograd, which has to follow the operator here.
    guard = torch._C._ForceDispatchKeyGuard(torch._C._dispatch_tls_local_include_set(), excluded)
    with pinned(data[0].device.type), guard, torch.enable_grad():
        inputs = [M.detach().requires_grad_() for M in data]
        outputs = _tensors(_OPERATORS[number](*inputs))
        found = torch.autograd.grad(outputs, inputs, gradients, allow_unused=True)
    return [torch.zeros_like(M) if D is None else D.clone() for M, D in zip(data, found, strict=True)]


@_gradient.register_fake
def _(data: list[Tensor], gradients: list[Tensor], number: str) -> list[Tensor]:
    return [torch.empty_like(M) for M in data]


def _save(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    data, ctx.number = inputs
    ctx.save_for_backward(*data)


def _backward(ctx: Any, gradients: list[Tensor]) -> tuple[list[Tensor], None]:
    """gradients: zeros where nobody uses a result."""
    return _gradient(list(ctx.saved_tensors), gradients, ctx.number), None


_run.register_autograd(_backward, setup_context=_save)


def _tensors(found: Any) -> list[Tensor]:
    return [X.contiguous() for X in (found if isinstance(found, tuple) else (found,))]

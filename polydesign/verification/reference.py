"""Arithmetic that is the same on every machine: what a budget search measures its candidates in.

Kernels sum in different orders, so that the same run errs differently on another processor, and the better of
two candidates may be another one. Here every operation on bfloat16, float16 and float32 is carried out in
float64 and rounded once. Products in float32 are summed in one order: CHUNK terms exactly, then rounded with
what was summed before, as a kernel would. For a state in half precision they are summed exactly, because
float32's sums err by less than storing the result. What is left of the machine is float64's own rounding. A
state in float64 runs as it is.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from polydesign.model import dtype_name

CHUNK = 8
"""Terms of a product that are summed exactly. With so many, sign-m20-l1e-3-fp32 on 256 x 512 errs by 0.7 to
0.8 of what MKL's kernels make of it on random matrices (gaussian, swept), and by 0.2 to 0.3 of that on blocks
of equal entries (rank1, flat); four would err as much on the first, and take half as long again."""

NARROW = (torch.bfloat16, torch.float16, torch.float32)

aten = torch.ops.aten


def _product(a: Tensor, b: Tensor, chunk: int | None) -> Tensor:
    """a·b of float64 matrices (..., m, k), (..., k, n), in float64: exact but for its own rounding, or
    rounded to float32 after every `chunk` terms."""
    if chunk is None:
        return a @ b
    total = a.new_zeros((*a.shape[:-1], b.shape[-1]))
    add = torch.Tensor.addmm_ if a.ndim == 2 else torch.Tensor.baddbmm_
    narrow = torch.empty_like(total, dtype=torch.float32)
    for left, right in zip(a.split(chunk, dim=-1), b.split(chunk, dim=-2), strict=True):
        add(total, left, right)
        total.copy_(narrow.copy_(total))
    return total


def _added(
    c: Tensor, a: Tensor, b: Tensor, chunk: int | None, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    if chunk is None:
        add = torch.addmm if a.ndim == 2 else torch.baddbmm
        return add(c, a, b, beta=beta, alpha=alpha)
    product = _product(a, b, chunk).mul_(alpha)
    # As in BLAS, c is not read where it does not count: it may hold anything.
    return product if beta == 0 else product.add_(c, alpha=beta)


_PRODUCTS: dict[Any, Any] = {
    aten.mm.default: _product,
    aten.bmm.default: _product,
    aten.addmm.default: _added,
    aten.baddbmm.default: _added,
}


class FixedSums(TorchDispatchMode):
    """A context in which torch computes as the module says, for a state of this dtype.

    Views, conversions and what happens in place go through as they are: none of them sums more than two
    terms. Source: torch.utils._python_dispatch.
    """

    def __init__(self, dtype: str) -> None:
        super().__init__()
        self._chunk = CHUNK if dtype_name(dtype) == "float32" else None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """torch's own switch: nothing is compiled in here, and asking costs an import of seconds."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if _as_it_is(func):
            return func(*args, **kwargs)
        dtypes = {x.dtype for x in _leaves(args) if isinstance(x, Tensor)}
        narrow = [dtype for dtype in NARROW if dtype in dtypes]
        if not narrow or torch.float64 in dtypes:
            return func(*args, **kwargs)
        dtype = narrow[0] if len(narrow) == 1 else torch.float32
        args = tree_map(_widened, args)
        kwargs = {key: _widened(value) for key, value in kwargs.items()}
        if func in _PRODUCTS:
            return _PRODUCTS[func](*args, self._chunk, **kwargs).to(dtype)
        return tree_map(lambda x: _narrowed(x, dtype), func(*args, **kwargs))


@cache
def _as_it_is(func: Any) -> bool:
    """Whether an operation gives a view, changes its input, or converts."""
    aliased = any(value.alias_info is not None for value in func._schema.returns)
    return aliased or func is aten._to_copy.default


def _leaves(args: Any) -> list[Any]:
    """Tensors come one by one, or in lists, as in torch.stack."""
    return [x for arg in args for x in (arg if isinstance(arg, list | tuple) else (arg,))]


def _widened(x: Any) -> Any:
    """In float64; numbers as the float32 that kernels take them for."""
    if isinstance(x, Tensor):
        return x.double() if x.dtype in NARROW else x
    return torch.tensor(x, dtype=torch.float32).item() if isinstance(x, float) else x


def _narrowed(x: Any, dtype: torch.dtype) -> Any:
    return x.to(dtype) if isinstance(x, Tensor) and x.dtype == torch.float64 else x

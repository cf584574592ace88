"""What surrounds a call: settings of the process that would change results, tensors that are no plain ones.

Settings are switched off while an operator runs. A DTensor is gathered, and the result placed as it was;
a complex matrix is run as the real one of twice its sides.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import torch
from torch import Tensor

from polydesign.runtime.sharded.placed import check_placements

_SETTINGS: dict[str, tuple[tuple[Any, str, tuple[Any, ...]], ...]] = {
    "cpu": ((torch.backends.mkldnn.matmul, "fp32_precision", ("ieee", "none")),),  # pyright: ignore
    "cuda": (
        (torch.backends.cuda.matmul, "fp32_precision", ("ieee", "none")),
        (torch.backends.cuda.matmul, "allow_fp16_accumulation", (False,)),
    ),
}
"""Device -> where a setting is, its name, and the values with which products are what the operators say. The
first is what is set. On processors with bfloat16 products fp32_precision is theirs too."""


class _Exact(AbstractContextManager[None]):
    """The settings of a device at their first value. Threads share them: the last to leave restores them."""

    def __init__(self, device: str) -> None:
        self.settings, self.lock = _SETTINGS[device], threading.Lock()
        self.inside, self.found = 0, ()

    def needed(self) -> bool:
        return self.inside > 0 or any(
            getattr(where, name) not in right for where, name, right in self.settings
        )

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.found = tuple(getattr(where, name) for where, name, _ in self.settings)
                for where, name, right in self.settings:
                    setattr(where, name, right[0])

    def __exit__(self, *problem: object) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                for (where, name, right), value in zip(self.settings, self.found, strict=True):
                    # "none" is what follows the setting of all backends, as far as that gives the same.
                    for restored in ("none", value) if "none" in right else (value,):
                        setattr(where, name, restored)
                        if getattr(where, name) == value:
                            break


_EXACT = {device: _Exact(device) for device in _SETTINGS}
_NOTHING = nullcontext()


def pinned(device: str) -> AbstractContextManager[Any]:
    """A context in which autocast is off, and float32 products are float32: neither TF32 nor bfloat16.

    Code that is being compiled cannot change settings: there `ops` runs every product in this context.
    """
    if torch.compiler.is_dynamo_compiling():
        return torch.autocast(device, enabled=False)
    exact = _EXACT.get(device)
    settings = _NOTHING if exact is None or not exact.needed() else exact
    if device == "meta" or not torch.is_autocast_enabled(device):
        return settings
    both = ExitStack()
    both.enter_context(settings)
    both.enter_context(torch.autocast(device, enabled=False))
    return both


def seen(*data: Any) -> bool:
    """Whether the data may be looked at: not while code is compiled or captured, and not without any data."""
    if torch.compiler.is_compiling():
        return False
    tensors = [M for M in data if isinstance(M, Tensor)]
    if any(M.is_cuda for M in tensors) and torch.cuda.is_current_stream_capturing():
        return False
    # A FakeTensor is on a device of its own choice, and has no data either.
    return not any(M.is_meta or type(M).__name__ == "FakeTensor" for M in tensors)


Back = Callable[[Any], Any]
"""From the result on plain, real tensors to that on those that were given."""


def plain(data: tuple[Any, ...], *, counts: bool = False) -> tuple[tuple[Any, ...], Back | None]:
    """The data as plain, real tensors, and what to do with the result; None where they were.

    counts: the result counts singular values, which a complex matrix has half as many of.
    """
    backs: list[Back] = []
    distributed = sys.modules.get("torch.distributed.tensor") if any(map(_subclass, data)) else None
    if distributed is not None:
        placed = [M for M in data if isinstance(M, distributed.DTensor)]
        for number, M in enumerate(data):
            if isinstance(M, distributed.DTensor):
                check_placements("M" if len(data) == 1 else f"argument {number + 1}", M)
        if placed:
            data = tuple(M.full_tensor() if isinstance(M, distributed.DTensor) else M for M in data)
            backs.append(_placed_as(placed[0], distributed))
    if any(isinstance(M, Tensor) and M.is_complex() for M in data):
        dtype = next(M.dtype for M in data if isinstance(M, Tensor) and M.is_complex())
        data = tuple(embedded(M) if isinstance(M, Tensor) else M for M in data)
        backs.append(lambda X: X / 2 if counts else each(X, lambda part: _complex(part, dtype)))
    if not backs:
        return data, None

    def back(result: Any) -> Any:
        for one in reversed(backs):
            result = one(result)
        return result

    return data, back


def given_back(result: Any, back: Back | None) -> Any:
    """The result as `back` has it, where there is one."""
    return result if back is None else back(result)


def _subclass(M: Any) -> bool:
    return isinstance(M, Tensor) and type(M) is not Tensor


def each(result: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """change(result), or of each of several."""
    return tuple(map(change, result)) if isinstance(result, tuple) else change(result)


def _placed_as(given: Any, distributed: Any) -> Back:
    """Results as DTensors on the mesh of the given one, sharded as it was."""
    mesh, ndim = given.device_mesh, given.ndim
    replicated = [distributed.Replicate()] * mesh.ndim

    def placed(X: Tensor) -> Tensor:
        found = distributed.DTensor.from_local(X, mesh, replicated, run_check=False)
        return found.redistribute(mesh, given.placements) if X.ndim == ndim else found

    return lambda result: each(result, placed)


def embedded(M: Tensor) -> Tensor:
    """[[Re, −Im], [Im, Re]] of M, shape (..., 2m, 2n): sums, products and M^H become those of real matrices.

    Its singular values are those of M, each twice, and its Frobenius norm is √2 times as large.
    """
    if not M.is_complex():
        M = torch.complex(M, torch.zeros_like(M))
    real, imaginary = M.real, M.imag
    return torch.cat([torch.cat([real, -imaginary], dim=-1), torch.cat([imaginary, real], dim=-1)], dim=-2)


def _complex(X: Tensor, dtype: torch.dtype) -> Tensor:
    """The complex matrix whose embedding is nearest to X, in float32 at least."""
    m, n = X.shape[-2] // 2, X.shape[-1] // 2
    X = X.to(torch.promote_types(X.dtype, torch.float32)) / 2
    real = X[..., :m, :n] + X[..., m:, n:]
    found = torch.complex(real, X[..., m:, :n] - X[..., :m, n:])
    return found.to(dtype) if dtype == torch.complex32 else found

"""What a call really sends, counted where it is called: collectives, and bytes by the rules of cost.py."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch.distributed as dist
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Meter(TorchDispatchMode):
    """Counts the collectives of torch.distributed inside a `with`, of this rank and thread.

    Attributes:
        calls: How many of each kind: all_reduce, all_gather, all_to_all.
        sent: Bytes that this rank sends where they go round a ring, as cost.py says.

    Raises:
        NotImplementedError: For a collective of another kind, whose bytes it does not know.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.sent = 0.0

    @property
    def collectives(self) -> int:
        """All of them."""
        return sum(self.calls.values())

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.namespace == "c10d":
            self._count(func.name().partition("::")[2], args)
        return func(*args, **(kwargs or {}))

    def _count(self, name: str, args: tuple[Any, ...]) -> None:
        if name == "allreduce_":
            ranks = dist.ProcessGroup.unbox(args[1]).size()
            self._add("all_reduce", 2 * (ranks - 1) / ranks * sum(map(_bytes, args[0])))
        elif name == "allgather_":
            ranks = dist.ProcessGroup.unbox(args[2]).size()
            self._add("all_gather", (ranks - 1) * sum(map(_bytes, args[1])))
        elif name == "alltoall_base_":
            group = dist.ProcessGroup.unbox(args[2])
            sent = args[1]
            own = args[4][group.rank()] if args[4] else len(sent) // group.size()
            self._add("all_to_all", _bytes(sent) - own * _bytes(sent) / max(len(sent), 1))
        else:
            raise NotImplementedError(f"the bytes of {name} are not known")

    def _add(self, kind: str, sent: float) -> None:
        self.calls[kind] += 1
        self.sent += sent


def _bytes(x: Tensor) -> int:
    return x.numel() * x.element_size()

"""One refusal for all ranks: what one of them finds in its data is raised by each, and nobody waits.

A rank that raised alone would leave the others in their next collective until that times out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from polydesign.model import DivergenceError, InputError
from polydesign.runtime.sharded.moves import largest

Found = TypeVar("Found")

Told = tuple[int, str, str, str]
"""How much it explains (the least first), the kind of a problem, its field, and what it says."""

_FIRST, _LATER, _LAST = 0, 1, 2


def together(mesh: Any, action: Callable[[], Found], where: str = "") -> Found:
    """action() on every rank of the mesh; what it raises on one of them, all of them raise.

    One all-reduce of one number for each mesh dimension, and more only where something was raised. action
    must not communicate. where: what is added to a refusal, of the rank that found it.
    """
    problem: Exception | None = None
    result: Any = None
    try:
        result = action()
    except Exception as raised:  # whatever it is, the other ranks have to know
        problem = raised
    settle(mesh, problem, where)
    return result


def settle(mesh: Any, problem: Exception | None, where: str = "") -> None:
    """Raise on all ranks what one of them found."""
    dims = [dim for dim in range(mesh.ndim) if mesh.size(dim) > 1]
    flag = torch.tensor([int(problem is not None)], dtype=torch.int32, device=device_of(mesh))
    if int(largest(flag, mesh, dims).item()):
        shared(mesh, dims, problem, where)


def shared(mesh: Any, dims: Iterable[int], problem: Exception | None, where: str = "") -> None:
    """Raise what the ranks found, where all of them know that there is something.

    Of several the one that explains most: what is wrong with an input before what is wrong with a result.
    """
    told = None if problem is None else _told(problem, where)
    for dim in dims:
        group = mesh.get_group(dim)
        heard: list[Told | None] = [None] * dist.get_world_size(group)
        dist.all_gather_object(heard, told, group=group)
        said = [one for one in heard if one is not None]
        # The first rank of several that say as much.
        told = min(said, key=lambda one: one[0]) if said else None
    assert told is not None
    _, kind, field, text = told
    ours = problem is not None and _told(problem, where) == told
    cause = problem if ours else None
    if kind == "InputError":
        raise InputError(field, text) from cause
    if kind == "DivergenceError":
        raise DivergenceError(text) from cause
    raise RuntimeError(f"a rank of the mesh raised {kind}: {text}") from cause


def device_of(mesh: Any) -> torch.device:
    """Where the numbers of this mesh's collectives lie."""
    if mesh.device_type != "cuda":
        return torch.device(mesh.device_type)
    return torch.device("cuda", torch.cuda.current_device())


def _told(problem: Exception, where: str) -> Told:
    if isinstance(problem, InputError):
        return _FIRST, "InputError", problem.field, problem.problem + where
    if isinstance(problem, DivergenceError):
        return _LATER, "DivergenceError", "", str(problem) + where
    return _LAST, type(problem).__name__, "", str(problem) + where

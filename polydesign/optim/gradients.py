"""The gradients of a step, looked at before anything is changed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from polydesign.model import InputError
from polydesign.optim.shards import local_of, placed_as
from polydesign.runtime.sharded.agreement import settle
from polydesign.runtime.sharded.placed import is_placed


def gradient_of(name: str, p: Tensor) -> Tensor:
    """A parameter's gradient, placed as it is: terms of a sum are summed."""
    grad = p.grad
    assert grad is not None
    if grad.layout != torch.strided:
        raise InputError(f"gradient of {name}", "is sparse: make the layer with sparse=False")
    return placed_as(f"gradient of {name}", grad, p)


def check_finite(found: list[tuple[str, Any]]) -> None:
    """Refuse gradients that are not, before they reach the momentum: names, and gradients.

    One look at the data. Ranks that share a mesh refuse alike, because one that raised alone would leave the
    others in the next collective.
    """
    if not found:
        return
    problem: InputError | None = None
    try:
        _look([name for name, _ in found], [local_of(grad) for _, grad in found])
    except InputError as raised:
        problem = raised
    for mesh in dict.fromkeys(grad.device_mesh for _, grad in found if is_placed(grad)):
        try:
            settle(mesh, problem)
        except InputError as told:  # the ranks of other meshes have to know
            problem = told
    if problem is not None:
        raise problem


def _look(names: list[str], grads: list[Tensor]) -> None:
    # float8 has no such norm; the entries of the empty are none.
    sizes = [g.abs().amax() if g.numel() else g.new_zeros(()) for g in grads]
    device = sizes[0].device
    finite = torch.stack([size.float().isfinite().to(device) for size in sizes])
    if not finite.all():
        wrong = names[int((~finite).int().argmax())]
        raise InputError(
            f"gradient of {wrong}",
            "holds NaN or infinity: look for what made it, or leave this step out, as "
            "torch.amp.GradScaler does; nothing was changed. Plan(check=False) runs without this check",
        )

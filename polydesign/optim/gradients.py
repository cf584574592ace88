"""The gradients of a step, looked at before anything is changed."""

from __future__ import annotations

import torch
from torch import Tensor

from polydesign.model import InputError


def gradient_of(name: str, p: Tensor) -> Tensor:
    grad = p.grad
    assert grad is not None
    if grad.layout != torch.strided:
        raise InputError(f"gradient of {name}", "is sparse: make the layer with sparse=False")
    return grad


def check_finite(names: list[str], grads: list[Tensor]) -> None:
    """Refuse gradients that are not, before they reach the momentum. One look at the data."""
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

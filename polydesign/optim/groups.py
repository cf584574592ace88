"""Groups of parameters: their arguments, what they run, and what is refused."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polydesign.model import InputError, check_integer, check_number
from polydesign.optim.maps import TORCH_COEFFICIENTS, TORCH_STEPS, ClampedSign, name_of, sign_of
from polydesign.optim.matrices import Layout
from polydesign.optim.shards import Spread, local_of, spread

OWN = ("table", "plan", "matmuls", "error", "matrices", "split", "split_dim")
"""Arguments of a group that torch.optim.Muon does not have."""

CHOICES = ("table", "matmuls", "error", "ns_coefficients")
"""Arguments that say which table runs, one of them."""

SAVED = ("lr", "weight_decay", "momentum", "nesterov", "adjust_lr_fn")
"""Keys of a group without which a step cannot be made."""

NUMBERS = ("lr", "momentum", "weight_decay", "eps")
"""Keys that are kept as numbers of Python, or as tensors where they are given as such."""

KEPT = ("ns_coefficients", "ns_steps", "eps", "table")
"""Keys of a group that say what runs: the arguments decide that, and no state that is loaded."""


@dataclass(frozen=True)
class Map:
    """What a group runs, and on which matrices."""

    sign: ClampedSign
    layout: Layout

    def spread(self, name: str, p: Tensor) -> Spread:
        """Where a parameter lies that is a DTensor."""
        return spread(name, p, self.layout, blockwise=bool(self.sign.plan.blockwise))


def settled(
    given: dict[str, Any], own: dict[str, Any], defaults: dict[str, Any]
) -> tuple[dict[str, Any], Map]:
    """A group as torch keeps it, and what it runs.

    Args:
        given: The group, with arguments of its own.
        own: The optimizer's for OWN.
        defaults: The optimizer's others.
    """
    given, own, settings = {**given}, {**own}, {**defaults}
    if any(given.get(name) is not None for name in CHOICES):  # one of them replaces the other
        own |= dict.fromkeys(CHOICES[:3])
        settings["ns_coefficients"], settings["ns_steps"] = None, TORCH_STEPS
    own |= {name: given.pop(name) for name in OWN if name in given}
    settings |= given
    settings |= _checked(settings)
    given |= {name: settings[name] for name in NUMBERS}
    layout = Layout(own["matrices"], own["split"], own["split_dim"])
    wishes = {name: own[name] for name in ("table", "plan", "matmuls", "error")}
    known = {name: settings[name] for name in ("ns_coefficients", "ns_steps", "eps")}
    sign = sign_of(**known, **wishes)
    if not isinstance(sign.plan.blockwise, bool):
        raise InputError("plan.blockwise", f"has sizes: write split={sign.plan.blockwise} in their place")
    given["ns_steps"] = settings["ns_steps"]
    given["ns_coefficients"] = tuple(
        check_number("ns_coefficients", one) for one in settings["ns_coefficients"] or TORCH_COEFFICIENTS
    )
    given["table"] = name_of(sign)
    return given, Map(sign, layout)


def names_of(group: dict[str, Any], index: int) -> list[str]:
    """Of a group's parameters: their own where they were given with names."""
    numbered = [f"param_groups[{index}].params[{k}]" for k in range(len(group["params"]))]
    return list(group.get("param_names", numbered))


def moving(group: dict[str, Any], index: int) -> list[tuple[str, Any]]:
    """The parameters of a group that have a gradient, with their names."""
    named = zip(names_of(group, index), group["params"], strict=True)
    return [(name, p) for name, p in named if p.grad is not None]


def _checked(settings: dict[str, Any]) -> dict[str, Any]:
    """Those of NUMBERS, as a file of a state can hold them."""
    found: dict[str, Any] = {
        "eps": check_number("eps", settings["eps"]),
        "ns_steps": check_integer("ns_steps", settings["ns_steps"], 1),
    }
    lr = settings["lr"]
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise InputError("lr", f"must be one number, and is a tensor of shape {tuple(lr.shape)}")
    for name in ("lr", "momentum", "weight_decay"):
        value = settings[name]
        known = isinstance(value, Tensor) and value.numel() == 1 and not value.is_meta
        number = value.item() if known else value
        real = isinstance(number, numbers.Real)
        if not isinstance(number, Tensor) and not (real and 0 <= float(number) < math.inf):
            raise InputError(name, f"must be a number of at least 0, not {value!r}")
        found[name] = value if isinstance(value, Tensor) or type(value) in (int, float) else float(value)
    if settings["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
        raise InputError(
            "adjust_lr_fn", f"must be None, original or match_rms_adamw, not {settings['adjust_lr_fn']!r}"
        )
    return found


def check_state(state_dict: dict[str, Any], groups: list[dict[str, Any]], maps: list[Map]) -> None:
    """Refuse a state that this optimizer cannot go on with, before anything of its own is replaced.

    What is as in no state of an optimizer is left to torch, which says it.
    """
    saved = state_dict["param_groups"]
    for index, (given, group, how) in enumerate(zip(saved, groups, maps, strict=False)):
        missing = [name for name in SAVED if name not in given]
        if missing:
            raise InputError(
                f"state_dict.param_groups[{index}]",
                f"lacks {', '.join(missing)}: it is of another optimizer; give a state of this one or of "
                "torch.optim.Muon",
            )
        for name, key, p in zip(names_of(group, index), given["params"], group["params"], strict=False):
            buffer = state_dict["state"].get(key, {}).get("momentum_buffer")
            if not isinstance(buffer, Tensor):
                continue
            if buffer.shape != p.shape:
                raise InputError(
                    f"momentum of {name}",
                    f"has shape {tuple(buffer.shape)}, and the parameter {tuple(p.shape)}: give the state of "
                    "this model",
                )
            if how.sign.plan.check and not torch.isfinite(local_of(buffer)).all():
                raise InputError(
                    f"momentum of {name}",
                    "holds NaN or infinity: load an earlier state; nothing was changed. Plan(check=False) "
                    "loads it without this check",
                )


def check_parameter(name: str, p: Tensor) -> None:
    if p.is_complex():
        raise InputError(
            name, "is complex: give torch.view_as_real parts as parameters, or leave it to AdamW"
        )
    if not p.is_floating_point():
        raise InputError(name, f"has dtype {str(p.dtype).removeprefix('torch.')}, which nothing can train")
    if p.element_size() == 1:
        raise InputError(
            name,
            f"has dtype {str(p.dtype).removeprefix('torch.')}, in which no step can be added: write "
            "p.to(torch.bfloat16) as the parameter, and round it in the forward pass",
        )


def scale_of(name: str | None, rows: int, columns: int) -> float:
    if name == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1.0, rows / columns))

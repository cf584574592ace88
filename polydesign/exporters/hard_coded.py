"""Codebases whose coefficients are written into their functions: why no table goes there, and what does."""

from __future__ import annotations

from polydesign.exporters.target import Target
from polydesign.model import InputError, Table

_REASONS = {
    "dion": (
        "microsoft/dion: Muon, NorMuon, Dion2",
        "takes no coefficients, but a function: write it with --to torch-function and give it as "
        "newton_schulz_func=",
    ),
    "kellerjordan-muon": (
        "KellerJordan/Muon (muon-optimizer)",
        "has three numbers inside zeropower_via_newtonschulz5: replace that function by the one that "
        "--to torch-function writes, or train with a Muon that takes a table (timm, pytorch_optimizer)",
    ),
    "flash-muon": (
        "flash-muon",
        "has three numbers inside its function: take the one that --to torch-function writes in its place",
    ),
    "megatron-lm": (
        "Megatron-LM",
        "takes the name of a preset (--muon-coefficient-type), and 'custom' fails at the first step: add the "
        "rows to _COEFFICIENT_SETS of Emerging-Optimizers (--to emerging-optimizers writes them)",
    ),
    "mlx": (
        "mlx.optimizers.Muon",
        "has three numbers inside _zeropower_via_newtonschulz5: subclass it and override that method with a "
        "loop over the rows",
    ),
    "deepspeed": (
        "DeepSpeed",
        "takes the name of a method (ns_method), and the coefficients are inside it: train with a Muon that "
        "takes a table (timm, pytorch_optimizer)",
    ),
    "heavyball": (
        "HeavyBall",
        "takes the name of a mode (heavyball.utils.zeroth_power_mode), and runs its own table on inputs that "
        "are not square whatever the mode: train with a Muon that takes a table (timm, pytorch_optimizer)",
    ),
}


def _refusing(name: str, about: str, reason: str) -> Target:
    def write(table: Table) -> str:
        raise InputError("to", f"{name} {reason}")

    return Target(about, "", write, reason=reason, loop=None)


TARGETS = {name: _refusing(name, about, reason) for name, (about, reason) in _REASONS.items()}

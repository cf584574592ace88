"""Every target that a table can be exported to, by the name that --to takes."""

from __future__ import annotations

from polydesign.exporters import (
    adam_atan2,
    distributed_shampoo,
    emerging_optimizers,
    gram_newton_schulz,
    hard_coded,
    keras_muon,
    nanogpt,
    newton_schulz_jl,
    optax_muon,
    pytorch_optimizer_muon,
    timm_muon,
    tinygrad_muon,
    torch_muon,
    transformer_engine,
)
from polydesign.exporters.target import Target
from polydesign.exporters.texts import TEXTS
from polydesign.model import InputError
from polydesign.table.catalogue import Source, as_table
from polydesign.text.similar import closest

CODEBASES: dict[str, Target] = {
    "torch": torch_muon.TARGET,
    "optax": optax_muon.TARGET,
    "timm": timm_muon.TARGET,
    "pytorch_optimizer": pytorch_optimizer_muon.TARGET,
    "emerging-optimizers": emerging_optimizers.TARGET,
    "transformer-engine": transformer_engine.TARGET,
    "gram-newton-schulz": gram_newton_schulz.TARGET,
    "adam-atan2": adam_atan2.TARGET,
    "keras": keras_muon.TARGET,
    "tinygrad": tinygrad_muon.TARGET,
    "distributed-shampoo": distributed_shampoo.TARGET,
    "newtonschulz.jl": newton_schulz_jl.TARGET,
    **nanogpt.TARGETS,
    **hard_coded.TARGETS,
}
"""Codebases with an evaluation of their own, in powers of A."""

TARGETS: dict[str, Target] = {**TEXTS, **CODEBASES}


def target(name: str) -> Target:
    """The target of that name. Raises InputError with the names that come close."""
    if name not in TARGETS:
        close = closest(name, TARGETS)
        hint = f"did you mean {' or '.join(close)}?" if close else "polydesign export --list shows them all"
        raise InputError("to", f"{name!r} is not a target; {hint}")
    return TARGETS[name]


def export(table: Source, to: str) -> str:
    """The table as text that another codebase takes: to paste, or to import.

    Args:
        table: A Table, its name in the catalogue, or the path of its file.
        to: For whom, a name of `polydesign.exporters.TARGETS`.

    Returns:
        The text. It names the table and its digest, has the argument's name and type, the number of steps and
        the factor that the target divides by, and says what to mind there.

    Raises:
        InputError: For a name that is not known, and, with the reason and what to do instead, where the
            target cannot express the table.

    >>> print(export("sign-d5x5-l1e-3-bf16", "optax").splitlines()[-2].strip())
    preconditioning='frobenius',
    """
    found = as_table(table)
    return target(to).write(found)

"""Every target that a table can be exported to, by the name that --to takes."""

from __future__ import annotations

from polydesign.exporters import hard_coded, nanogpt, newton_schulz_jl
from polydesign.exporters.codebases import TAKE_KEYWORDS
from polydesign.exporters.jax_text import JAX
from polydesign.exporters.numpy_text import NUMPY
from polydesign.exporters.scalar_text import PYTHON, C
from polydesign.exporters.sheet import CSV, LATEX, MARKDOWN
from polydesign.exporters.target import Target
from polydesign.exporters.torch_text import TORCH_FUNCTION
from polydesign.model import InputError, quoted
from polydesign.text.similar import closest

TEXTS: dict[str, Target] = {
    "torch-function": TORCH_FUNCTION,
    "numpy": NUMPY,
    "jax": JAX,
    "python": PYTHON,
    "c": C,
    "csv": CSV,
    "markdown": MARKDOWN,
    "latex": LATEX,
}
"""Languages and formats."""

CODEBASES: dict[str, Target] = {
    **TAKE_KEYWORDS,
    "newtonschulz.jl": newton_schulz_jl.TARGET,
    **nanogpt.TARGETS,
    **hard_coded.TARGETS,
}
"""Codebases with an evaluation of their own, in powers of A."""

TARGETS: dict[str, Target] = {**TEXTS, **CODEBASES}


def target(name: str) -> Target:
    """The target of that name. Raises InputError with the names that come close."""
    if not isinstance(name, str):
        raise InputError("to", f"must be the name of a target, and is {quoted(name)}")
    if name not in TARGETS:
        close = closest(name, TARGETS)
        hint = f"did you mean {' or '.join(close)}?" if close else "polydesign export --list shows them all"
        raise InputError("to", f"{name!r} is not a target; {hint}")
    return TARGETS[name]


def divides_by(factor: float) -> str:
    """The codebases that divide by so much more than the norm, in words; "" where none does."""
    names = sorted(name for name, one in TARGETS.items() if one.factor == factor)
    return f"what divides by {factor:g} times the norm ({', '.join(names)})" if names else ""

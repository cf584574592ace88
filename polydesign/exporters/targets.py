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
from polydesign.identification.tables import table_of
from polydesign.model import InputError
from polydesign.table.given import Source
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
    if name not in TARGETS:
        close = closest(name, TARGETS)
        hint = f"did you mean {' or '.join(close)}?" if close else "polydesign export --list shows them all"
        raise InputError("to", f"{name!r} is not a target; {hint}")
    return TARGETS[name]


def export(table: Source, to: str) -> str:
    """The table as text that another codebase takes: to paste, or to import.

    Args:
        table: A Table, its name in the catalogue, the path of its file, rows, or a source file with a list.
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
    found = table_of(table)
    return target(to).write(found)

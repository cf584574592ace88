"""The targets that are languages and formats, by the name that --to takes."""

from __future__ import annotations

from polydesign.export.jax_text import JAX
from polydesign.export.numpy_text import NUMPY
from polydesign.export.scalar_text import PYTHON, C
from polydesign.export.sheet import CSV, LATEX, MARKDOWN
from polydesign.export.target import Target
from polydesign.export.torch_text import TORCH_FUNCTION

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

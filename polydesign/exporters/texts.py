"""The targets that are languages and formats, by the name that --to takes."""

from __future__ import annotations

from polydesign.exporters.jax_text import JAX
from polydesign.exporters.numpy_text import NUMPY
from polydesign.exporters.scalar_text import PYTHON, C
from polydesign.exporters.sheet import CSV, LATEX, MARKDOWN
from polydesign.exporters.target import Target
from polydesign.exporters.torch_text import TORCH_FUNCTION

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

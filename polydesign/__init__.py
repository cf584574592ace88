"""Polynomials for Newton-Schulz iterations: designed by minimax theory, written as tables, run on matrices.

    import polydesign

    table = polydesign.design(root=2, degree=5, steps=6, lower=1e-3)
    table.schedule.error, table.as_tuples(), polydesign.save(table, "coeffs/mine.json")
    table = polydesign.load("coeffs/mine.json")          # or a catalogue name

Matrices are in polydesign.runtime, which needs torch; nothing here does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polydesign.designer.design import design
    from polydesign.designer.sweeping import sweep
    from polydesign.model import Certificate, InputError, Problem, Schedule, Step, Table
    from polydesign.search.greedy import Equioscillation
    from polydesign.table import save
    from polydesign.table.catalogue import load

__version__ = "0.1.0"

# Loaded on first use: `import polydesign` costs nothing that the caller does not ask for.
_PLACES = {
    "design": "polydesign.designer.design",
    "load": "polydesign.table.catalogue",
    "save": "polydesign.table",
    "sweep": "polydesign.designer.sweeping",
    "Certificate": "polydesign.model",
    "InputError": "polydesign.model",
    "Problem": "polydesign.model",
    "Schedule": "polydesign.model",
    "Step": "polydesign.model",
    "Table": "polydesign.model",
    "Equioscillation": "polydesign.search.greedy",
}

__all__ = [
    "Certificate",
    "Equioscillation",
    "InputError",
    "Problem",
    "Schedule",
    "Step",
    "Table",
    "__version__",
    "design",
    "load",
    "save",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'polydesign' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

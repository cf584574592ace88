"""The reference: a page for every public place, with what its `__all__` names and nothing else."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType

import polydesign

PLACES = {
    "polydesign": "The verbs and the words",
    "polydesign.runtime": "Matrices: operators",
    "polydesign.optim": "Optimizers",
    "polydesign.verification": "Measurements and test matrices",
    "polydesign.exporters": "Targets of export",
    "polydesign.model": "The words",
    "polydesign.table": "Files",
    "polydesign.drawing": "Figures",
    "polydesign.identification": "Identifications",
    "polydesign.approximation": "Best steps",
    "polydesign.search": "What is possible",
    "polydesign.program": "Products and prices",
}
"""Public place -> what is there, as docs/python.md has it."""

_INDEX = """# Reference

What is public, by the place that it is imported from. Everything else is private and may change.
[From Python](../python.md) is the way in.

"""


def _page(place: str) -> str:
    return f"reference/{place.rpartition('.')[2]}.md"


NAV: list[dict[str, str] | str] = ["reference/index.md", *({place: _page(place)} for place in PLACES)]


def reference() -> dict[str, str]:
    """Page -> its Markdown."""
    pages = {_page(place): _written(importlib.import_module(place), about) for place, about in PLACES.items()}
    lines = [f"- [`{place}`]({_page(place)[10:]}): {about.lower()}" for place, about in PLACES.items()]
    return {"reference/index.md": _INDEX + "\n".join(lines) + "\n", **pages}


def _written(module: ModuleType, about: str) -> str:
    """Functions first, where there are both; a name that is documented above all is left to its page."""
    names = [name for name in module.__all__ if not name.startswith("__")]
    if module is not polydesign:
        names = [name for name in names if name not in polydesign.__all__]
    names.sort(key=lambda name: (_kind(getattr(module, name, None)), name.lower()))
    head = f"# {module.__name__}\n\n{about}: `from {module.__name__} import {names[0]}`, and so on.\n\n"
    return head + "\n".join(f"::: {module.__name__}.{name}" for name in names) + "\n"


def _kind(value: object) -> int:
    return 0 if inspect.isroutine(value) else 1 if inspect.isclass(value) else 2

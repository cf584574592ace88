"""The reference: a page for every public place, with what its `__all__` names and nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

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
    pages = {_page(place): _written(place, about) for place, about in PLACES.items()}
    lines = [f"- [`{place}`]({_page(place)[10:]}): {about.lower()}" for place, about in PLACES.items()]
    return {"reference/index.md": _INDEX + "\n".join(lines) + "\n", **pages}


def _written(place: str, about: str) -> str:
    """Functions, then classes, then constants; a name that is documented above all is left to its page."""
    above = () if place == "polydesign" else public("polydesign")
    names = [name for name in public(place) if name not in above and not name.startswith("__")]
    names.sort(key=lambda name: (name.isupper(), name[0].isupper(), name.lower()))
    head = f"# {place}\n\n{about}: `from {place} import {names[0]}`, and so on.\n\n"
    return head + "\n".join(f"::: {place}.{name}" for name in names) + "\n"


def public(place: str) -> list[str]:
    """The `__all__` of a package, read and not imported: torch alone would take five seconds."""
    path = ROOT.joinpath(*place.split("."), "__init__.py")
    names: list[str] = []
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign):
            targets: list[ast.expr] = node.targets
        elif isinstance(node, ast.AugAssign):
            targets = [node.target]
        else:
            continue
        if any(isinstance(one, ast.Name) and one.id == "__all__" for one in targets):
            names += ast.literal_eval(node.value)
    return names

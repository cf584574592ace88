"""Names that a package offers, and loads when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package whose names are in modules that cost something to load.

    places: module, after the package's name -> the names that it has, with spaces between. Type checkers
    need the same names under `if TYPE_CHECKING`, and readers in `__all__`.
    """
    modules = {name: f"{package}.{module}" for module, names in places.items() for name in names.split()}

    def find(name: str) -> Any:
        if name in modules:
            return getattr(import_module(modules[name]), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find

"""Finding a table by its path or by its name, and reading it."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from polydesign.model import InputError, Table
from polydesign.table import loads

_PACKAGE = Path(__file__).parent


def shipped() -> Path:
    """The folder of the tables that come with the package (in a checkout, coeffs/ at its top)."""
    inside = _PACKAGE / "coeffs"
    return inside if inside.is_dir() else _PACKAGE.parent / "coeffs"


def catalogue() -> dict[str, Path]:
    """Every table that a name resolves to: those in ./coeffs, then those that come with the package."""
    found: dict[str, Path] = {}
    for folder in (Path("coeffs"), shipped()):
        if folder.is_dir():
            for path in sorted(folder.rglob("*.json")):
                found.setdefault(path.stem, path)
    return found


def find(source: str | os.PathLike[str]) -> Path:
    """The file of a table, given its path or its name in the catalogue.

    Raises InputError where there is none, with the names that come close.
    """
    path = Path(source)
    if path.is_file():
        return path
    name = str(source)
    known = catalogue()
    if name in known:
        return known[name]
    if path.suffix == ".json" or len(path.parts) > 1:
        raise InputError(name, "no such file; polydesign list shows the tables there are")
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else "polydesign list shows the tables there are"
    raise InputError(name, f"is neither a file nor a table of the catalogue; {hint}")


def load(source: str | os.PathLike[str]) -> Table:
    """The table in a file, or of a name in the catalogue.

    Raises InputError naming the file and the JSON path of what is wrong, OSError where it cannot be read.
    """
    path = find(source)
    try:
        return loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as problem:
        raise InputError(str(path), "is not UTF-8 text; a table is a JSON file") from problem
    except InputError as problem:
        raise type(problem)(f"{path}: {problem.field}", problem.problem) from problem

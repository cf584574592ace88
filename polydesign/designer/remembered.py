"""Tables that were found before, under what was asked: who asks again does not wait again.

A search that takes seconds keeps its table in the user's cache folder. Its name there is a digest of the
question and of this package's own code, so that a changed search finds nothing. The file is a table like
any other, and is proved when it is read. POLYDESIGN_CACHE names another folder; `off` keeps nothing.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from polydesign import __version__
from polydesign.model import InputError, Table
from polydesign.text.files import write_atomically

if TYPE_CHECKING:
    from polydesign.designer.strategy import Strategy, Task

_ROOT = Path(__file__).resolve().parents[1]

_BESIDE = ("watch", "doing", "cut_short", "known", "recalled", "fresh")
"""Fields of a task that say nothing of what is asked."""


def folder() -> Path | None:
    """Where tables are kept; None where they are not."""
    said = os.environ.get("POLYDESIGN_CACHE", "")
    if said == "off":
        return None
    if said:
        return Path(said)
    from platformdirs import user_cache_path  # 10 ms that only a search needs

    return user_cache_path("polydesign", appauthor=False) / "tables"


def recall(strategy: Strategy, task: Task) -> tuple[Table, Path] | None:
    """The table that this very search has found before, and its file; None where there is none that holds."""
    from polydesign.table import loads

    path = _path(strategy, task)
    try:
        return None if path is None else (loads(path.read_text("utf-8")), path)
    except (OSError, UnicodeDecodeError, InputError):
        return None  # not there, or damaged: searching replaces it


def keep(strategy: Strategy, task: Task, table: Table) -> None:
    """Keep it for the next time, where that is possible: a folder that cannot be written is no fault."""
    from polydesign.table import dumps

    path = _path(strategy, task)
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, dumps(table))
    except OSError:
        return


def _path(strategy: Strategy, task: Task) -> Path | None:
    where = folder()
    if where is None or not strategy.remembered(task):
        return None
    asked = {one.name: getattr(task, one.name) for one in fields(task) if one.name not in _BESIDE}
    # 1 and 1.0 ask the same, and are told apart: a search more is no fault.
    question = repr((strategy, sorted(asked.items()), __version__, _code()))
    return where / f"{hashlib.sha256(question.encode()).hexdigest()[:32]}.json"


@cache
def _code() -> str:
    """A digest of the package's own modules."""
    found = hashlib.sha256()
    for path in sorted(_ROOT.rglob("*.py")):
        found.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()

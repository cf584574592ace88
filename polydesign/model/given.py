"""Checks of what a caller gives for a path, a shape or several of something: they name the argument."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from polydesign.model.checks import InputError, check_integer
from polydesign.model.quoting import quoted

_LONGEST_NAME, _LONGEST_PATH = 255, 4095
"""Bytes that common file systems take."""


def check_path(field: str, value: Any) -> Path:
    """The path that a str or a PathLike is. Refuses what no file system takes for one."""
    said = os.fspath(value) if isinstance(value, (str, os.PathLike)) else value
    if not isinstance(said, str):
        raise InputError(field, f"must be a path, as text or as a pathlib.Path, and is {_kind(said)}")
    if not said:
        raise InputError(field, "is empty: name a file or a folder")
    if "\0" in said:
        raise InputError(field, "holds a zero character, which no path can: take it out")
    long = max(len(os.fsencode(part)) for part in Path(said).parts or (said,))
    if long > _LONGEST_NAME or len(os.fsencode(said)) > _LONGEST_PATH:
        raise InputError(field, f"has a name of {long:,} bytes, and a file's has at most {_LONGEST_NAME}")
    return Path(said)


def check_folder(field: str, value: Any) -> Path:
    """The same for a folder, which may be there or not."""
    path = check_path(field, value)
    if path.exists() and not path.is_dir():
        raise InputError(field, f"{path} is a file: name a folder")
    return path


def check_shape(field: str, value: Any) -> tuple[int, int]:
    """Refuse what is not (m, n), two whole numbers of at least 1."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise InputError(field, f"must be (m, n), two whole numbers, not {quoted(value)}")
    m, n = value
    for side in (m, n):
        check_integer(field, side, 1)
    return m, n


def check_texts(field: str, value: Any) -> list[str]:
    """The texts of a list of them; one text alone is a list of one."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, Iterable) or isinstance(listed, bytes):
        raise InputError(field, f"must be texts, as a list, and is {_kind(value)}")
    texts = [*listed]
    for one in texts:
        if not isinstance(one, str):
            raise InputError(field, f"must hold texts alone, not {quoted(one)}")
    return texts


def check_several(field: str, value: Any, alone: type | tuple[type, ...]) -> list[Any]:
    """What is given as a list; one of these types alone is a list of one."""
    if isinstance(value, alone):
        return [value]
    if not isinstance(value, Iterable):
        raise InputError(field, f"must be a list, and is {_kind(value)}")
    return [*value]


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__name__

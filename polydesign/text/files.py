"""Writing a file so that it is there whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write content to a new file beside path, then rename it over path; make the folder if it is missing.

    Text is written as UTF-8, a symbolic link is followed, and what is no regular file is refused. Raises
    OSError naming path; then nothing is left behind, and what was there before stays.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as problem:
        raise OSError(problem.errno, f"cannot be written ({problem.strerror})", str(path)) from problem
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes the file private
        os.replace(temporary, path)
    except BaseException:  # also an interrupt must leave nothing behind
        os.unlink(temporary)
        raise


def write_together(
    folder: Path, contents: Mapping[str, str | bytes], *, last: str, replacing: Iterable[str] = ()
) -> None:
    """Write files of these names into a folder, which is made; the one named `last` says that all are there.

    They are written beside the folder first and then moved, `last` after the others; a `last` that is there
    goes before anything else does. replacing: names of an earlier set, of which nothing is left. Raises
    OSError naming the folder; what was there before then stays.
    """
    folder = folder.resolve()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    except OSError as problem:
        raise OSError(problem.errno, f"cannot be written ({problem.strerror})", str(folder)) from problem
    try:
        for name, content in contents.items():
            write_atomically(stage / name, content)
        folder.mkdir(exist_ok=True)
        for name in (last, *replacing):
            (folder / name).unlink(missing_ok=True)
        for name in sorted(contents, key=lambda name: name == last):
            os.replace(stage / name, folder / name)
    finally:
        shutil.rmtree(stage)

"""Writing a file so that it is there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import socket
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_PART = re.compile(r"\..+\.([0-9a-f]{8})-([0-9]+)-[0-9a-f]{8}\.part")
"""Name of what is being written: where the process runs, its number, and a random one."""

_A_DAY = 86400
"""After so many seconds without a change, what was being written is left over, whoever wrote it."""

_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV)
"""What file systems without hard links say."""


def write_atomically(path: Path, content: str | bytes, *, replace: bool = True) -> None:
    """Write content to a new file beside path, then rename it over path; make the folder if it is missing.

    Text is written as UTF-8, a symbolic link is followed, and what is no regular file is refused. Raises
    OSError naming path; then nothing is left behind, not even a folder that was made, and what was there
    before stays. What processes that were killed have left beside path goes.

    replace: False raises FileExistsError where there is a file, also one that another process put there a
    moment ago: of several that write at once, one succeeds.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    with _named(path), _folder(path.parent):
        temporary = _part_of(path.parent, path.name)
        try:
            with open(temporary, "xb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                os.replace(temporary, path)
            else:
                _place(temporary, path)
        finally:  # also an interrupt must leave nothing behind
            temporary.unlink(missing_ok=True)
    remove_leftovers(path.parent)


def is_folder(output: str) -> bool:
    """Whether it means a folder: one that is there, or a name that ends with a slash."""
    return output.endswith(("/", os.sep)) or Path(output).is_dir()


def place(output: str, name: str) -> Path:
    """Where a file goes: output itself, or its name within output where that means a folder, as for cp."""
    return Path(output, name) if is_folder(output) else Path(output)


def check_place(path: Path) -> None:
    """Raise the OSError that write_atomically would raise for this path, before work is spent on what goes
    there. A file is made and removed where it would be, or in the nearest folder that is there."""
    path = path.resolve()
    with _named(path):
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        folder = next(one for one in path.parents if one.exists())
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(folder))
        probe = _part_of(folder, path.name)
        try:
            probe.open("xb").close()
        finally:
            probe.unlink(missing_ok=True)


def write_together(
    folder: Path, contents: Mapping[str, str | bytes], *, last: str, replacing: Iterable[str] = ()
) -> None:
    """Write files of these names into a folder, which is made; the one named `last` says that all are there.

    They are written beside each other in a folder of their own and then moved, `last` after the others; a
    `last` that is there goes before anything else does. Names may be of files in folders. replacing: names
    of an earlier set, of which nothing is left. Raises OSError naming the folder; what was there before
    then stays.
    """
    folder = folder.resolve()
    with _named(folder), _folder(folder):
        remove_leftovers(folder)
        stage = _part_of(folder, folder.name)
        try:
            for name, content in contents.items():
                write_atomically(stage / name, content)
            for name in (last, *replacing):
                (folder / name).unlink(missing_ok=True)
            for name in sorted(contents, key=lambda name: name == last):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(stage / name, folder / name)
        finally:
            shutil.rmtree(stage, ignore_errors=True)


def is_leftover(path: Path) -> bool:
    """Whether it was being written by a process that is gone."""
    found = _PART.fullmatch(path.name)
    if found is None:
        return False
    with contextlib.suppress(OSError):
        if time.time() - path.stat().st_mtime > _A_DAY:
            return True
    here, process = found.groups()
    if here != _here() or sys.platform == "win32":  # os.kill ends a process there
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass
    return False


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed were writing into the folder."""
    with contextlib.suppress(OSError):
        for path in [path for path in folder.iterdir() if path.suffix == ".part" and is_leftover(path)]:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


@cache
def _here() -> str:
    """Stands for the machine, and on Linux for the container, whose processes have numbers of their own."""
    names = socket.gethostname()
    with contextlib.suppress(OSError):
        names += os.readlink("/proc/self/ns/pid")
    return f"{zlib.crc32(names.encode()):08x}"


def _part_of(folder: Path, name: str) -> Path:
    start = os.fsdecode(os.fsencode(name)[:150])  # a name may have 255 bytes
    return folder / f".{start}.{_here()}-{os.getpid()}-{secrets.token_hex(4)}.part"


def _place(temporary: Path, path: Path) -> None:
    """Give it the name, unless another file has it: then FileExistsError."""
    try:
        try:
            os.link(temporary, path)
        except OSError as problem:
            if problem.errno not in _NO_LINKS:
                raise
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            os.replace(temporary, path)
    except FileExistsError as problem:
        raise FileExistsError(errno.EEXIST, "is there already", str(path)) from problem


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """What the system refuses to do is said of this path, and not of what is beside it."""
    try:
        yield
    except OSError as problem:
        if problem.filename == str(path):
            raise
        words = problem.strerror or str(problem)
        words = words if words.startswith("cannot be written") else f"cannot be written ({words})"
        raise OSError(problem.errno or errno.EIO, words, str(path)) from problem


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """The folder is there; where what is done in it fails, those that were made go again."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as problem:
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(folder)) from problem
        yield
    except BaseException:
        for one in missing:
            with contextlib.suppress(OSError):  # another process has written into it
                one.rmdir()
        raise

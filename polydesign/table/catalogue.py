"""Finding a table by its path, its name or what it is for; reading and writing its file."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from polydesign.model import (
    DTYPES,
    PURPOSES,
    InputError,
    SafetyWarning,
    Table,
    Trial,
    check_choice,
    check_integer,
    check_number,
    check_path,
    half_of,
    located,
    standing,
    weakest,
)
from polydesign.table.earlier import Earlier, recorded
from polydesign.table.published import names as published_names
from polydesign.table.reading import loads
from polydesign.table.standings import band_of
from polydesign.table.upgrade import upgraded
from polydesign.table.writing import dumps
from polydesign.text.files import write_atomically
from polydesign.text.incoming import parse, read_text
from polydesign.text.similar import closest

_WHAT = "a table, which is a JSON file"

_PACKAGE = Path(__file__).parent.parent


def shipped() -> Path:
    """The folder of the tables that come with the package (in a checkout, coeffs/ at its top)."""
    inside = _PACKAGE / "coeffs"
    return inside if inside.is_dir() else _PACKAGE.parent / "coeffs"


ADAPTIVE_FOLDER = "adaptive"
"""Below shipped(): tables that divide by ‖M Mᵀ‖_F^½, for matrices that allow it (runtime/adaptive.py)."""


def is_shipped(name: str) -> bool:
    """Whether a table of this name comes with the package, ours or the literature's."""
    folders = (shipped() / inside for inside in ("", "published", ADAPTIVE_FOLDER))
    return any((folder / f"{name}.json").is_file() for folder in folders)


def catalogue() -> dict[str, Path]:
    """Every table that a name resolves to: those in ./coeffs, then those that come with the package."""
    found: dict[str, Path] = {}
    for folder in (Path("coeffs"), shipped()):
        if folder.is_dir():
            for path in sorted(folder.rglob("*.json")):
                found.setdefault(path.stem, path)
    return found


@dataclass(frozen=True, slots=True)
class Entry:
    """What a file of the catalogue says of itself, unchecked; load checks it.

    path: where it is. shipped: whether it comes with the package; published: whether it is of the literature.
    rows: whether it is quintics and cubics in powers of A, as codebases run that take rows (a, b, c). The
    rest is as in a Table; digest is that of the certificate, None where there is none; matmuls and error
    are cost.matmuls and error.exact, runs have dtype and worst of those that the file holds, worst None where
    a result was not finite. band: the error from whose smallest lower end on it was designed, None for
    another table.
    """

    name: str
    path: Path
    shipped: bool
    published: bool
    purpose: str
    root: int
    interval: tuple[float, float]
    degrees: tuple[int, ...]
    normalization: str
    dtype: str | None
    form: str
    rows: bool
    matmuls: int
    error: float
    observed: float | None
    runs: tuple[tuple[str, float | None], ...]
    tried: tuple[Trial, ...] = ()
    digest: str | None = None
    band: float | None = None
    members: tuple[tuple[Trial, ...], ...] = ()

    def __post_init__(self) -> None:
        check_choice("purpose", self.purpose, PURPOSES)
        check_choice("dtype", self.dtype, (None, *DTYPES))
        for name, numbers in (
            ("root", (self.root,)),
            ("matmuls", (self.matmuls,)),
            ("steps", self.degrees),
        ):
            for number in numbers:
                check_integer(name, number, 1)
        for name, numbers in (
            ("interval", self.interval),
            ("error", (self.error,)),
            ("observed", () if self.observed is None else (self.observed,)),
            ("band", () if self.band is None else (self.band,)),
            ("measured", [worst for _, worst in self.runs if worst is not None]),
        ):
            for number in numbers:
                check_number(name, number)
        if not self.degrees:
            raise InputError("steps", "are none")

    @property
    def half(self) -> str | None:
        """The half precision in which its standing matters, as half_of."""
        return half_of(self.purpose, self.dtype)

    @property
    def worst(self) -> float | None:
        """The largest error in its own precision that is proved, or was measured by a search or in runs; None
        where nothing was measured, or a result was not finite."""
        of_runs = [worst for dtype, worst in self.runs if dtype == self.dtype]
        measured = [*of_runs, *([] if self.observed is None else [self.observed])]
        finite = [one for one in measured if one is not None]
        return max(self.error, *finite) if finite and len(finite) == len(measured) else None

    def standing(self, dtype: str | None = None) -> str:
        """What it may be called in a half precision, as Table.standing."""
        of = dtype or self.dtype or "bfloat16"
        return weakest(standing(tried, of) for tried in (self.tried, *self.members))


def entry(name: str, path: Path) -> Entry:
    """The entry of a file.

    Raises InputError where it is no JSON object of this format, OSError where it cannot be read, LookupError
    or TypeError where it lacks something.
    """
    body = glance(path)
    place = path.resolve()
    inside = place.is_relative_to(shipped().resolve())
    low, high = body["interval"]
    with located(f"{path}: "):
        return Entry(
            name=name,
            path=path,
            shipped=inside,
            published=inside and place.parent.name == "published",
            interval=(low, high),
            degrees=tuple(step["degree"] for step in body["steps"]),
            **{key: body[key] for key in ("purpose", "root", "normalization", "dtype", "form")},
            rows=all(step["degree"] <= 5 and step["evaluation"] == "monomial" for step in body["steps"]),
            matmuls=body["cost"]["matmuls"],
            error=body["error"]["exact"],
            observed=body["error"]["observed"],
            runs=tuple((run["dtype"], run["worst"]) for run in body["error"]["measured"]),
            tried=_tried(body),
            digest=body.get("certificate", {}).get("digest"),
            band=band_of(body["provenance"].get("parameters", {})),
            members=tuple(map(_tried, body.get("members", ()))),
        )


def _tried(body: dict[str, Any]) -> tuple[Trial, ...]:
    return tuple(Trial(**trial) for trial in body["error"].get("tried", ()))


@cache
def entries() -> tuple[Entry, ...]:
    """The tables of our own design that come with the package, by name, but for `adaptive_entries`."""
    return tuple(entry(path.stem, path) for path in sorted(shipped().glob("*.json")))


@cache
def adaptive_entries() -> tuple[Entry, ...]:
    """Those that normalization="adaptive" chooses among, by name."""
    return tuple(one for one in _adaptive() if not one.members)


@cache
def families() -> tuple[Entry, ...]:
    """Those whose members choice="device" chooses among, by name."""
    return tuple(one for one in _adaptive() if one.members)


@cache
def _adaptive() -> tuple[Entry, ...]:
    folder = shipped() / ADAPTIVE_FOLDER
    return tuple(entry(path.stem, path) for path in sorted(folder.glob("*.json")))


@cache
def earlier_tables() -> tuple[Earlier, ...]:
    """Tables of earlier versions that blow up matrices whose roundings agree, but for what still ships."""
    now = {one.digest: one.name for one in entries()}
    renewed = set(now.values())
    return tuple(replace(one, renewed=one.name in renewed) for one in recorded() if one.digest not in now)


def earlier_table(digest: str) -> Earlier | None:
    """The one of earlier_tables with this digest: a hundred files are looked at where one was recorded."""
    if all(one.digest != digest for one in recorded()):
        return None
    return next((one for one in earlier_tables() if one.digest == digest), None)


def shipped_name(digest: str) -> str | None:
    """The name of the table of the package, ours or the literature's, with this digest."""
    return _shipped_names().get(digest)


@cache
def _shipped_names() -> dict[str, str]:
    # A family begins with a table of our own, and its digest.
    paths = sorted(shipped().rglob("*.json"), key=lambda path: (path.parent.name == ADAPTIVE_FOLDER, path))
    found = {}
    for path in paths:
        found.setdefault(glance(path).get("certificate", {}).get("digest"), path.stem)
    return found


def glance(path: Path) -> dict[str, Any]:
    """What a table's file says, unchecked: for lists, where loading a hundred tables would take seconds.

    Raises InputError where it is no JSON object of this format, OSError where it cannot be read.
    """
    text = read_text(path, _WHAT)
    try:
        with located(f"{path}: "):
            body = parse(text)
    except json.JSONDecodeError as problem:
        raise InputError(str(path), f"is not JSON: {problem}") from problem
    if not isinstance(body, dict) or not str(body.get("schema")).startswith("polydesign/schedule/"):
        raise InputError(str(path), "is no table of polydesign")
    return upgraded(body)


def find(source: str | os.PathLike[str]) -> Path:
    """The file of a table, given its path or its name in the catalogue.

    Raises InputError where there is none, with the names that come close.
    """
    path = check_path("source", source)
    if path.is_file():
        return path
    name = str(source)
    if len(path.parts) > 1 and path.is_dir():
        raise InputError(name, "is a folder: name a file in it")
    known = catalogue()
    if name in known:
        return known[name]
    if name in published_names():
        raise InputError(
            name,
            "is known to be a misprint of its source, and so no table of the catalogue; "
            f"{_hint(name, known, 2)}",
        )
    if path.suffix == ".json" or len(path.parts) > 1:
        raise InputError(name, "no such file; polydesign list shows the tables there are")
    raise InputError(name, f"is neither a file nor a table of the catalogue; {_hint(name, known)}")


def _hint(name: str, known: Iterable[str], count: int = 3) -> str:
    close = closest(name, known, count)
    return f"did you mean {' or '.join(close)}?" if close else "polydesign list shows the tables there are"


def load(source: str | os.PathLike[str], *, proving: bool = True) -> Table:
    """The table in a file, or of a name in the catalogue.

    A table that an earlier version of this package shipped, and that blows up matrices whose roundings agree,
    is loaded with a SafetyWarning.

    Args:
        source: A path, or a name that `polydesign list` shows.
        proving: Prove again what its certificate calls proved, but for the optimum, which `certify` proves;
            off for who makes a new certificate.

    Returns:
        The table, checked: schema, digest, images and claims.

    Raises:
        InputError: There is none, or it is wrong; it names the file and the JSON path.
        OSError: The file cannot be read.
    """
    path = find(source)
    text = read_text(path, _WHAT)
    with located(f"{path}: "):
        table = loads(text, proving=proving)
    earlier = earlier_table(table.digest)
    if earlier is not None:
        warnings.warn(f"{path} is {earlier}", SafetyWarning, stacklevel=2)
    return table


def save(table: Table, path: str | os.PathLike[str], *, force: bool = False) -> bool:
    """Write the table to path, atomically: either the whole file is there, or what was there before.

    Args:
        table: What is written.
        path: Where; folders are made.
        force: Replace a different file.

    Returns:
        Whether anything was written: without force, a file that holds the same table already, perhaps with
        measurements of it, stays as it is.

    Raises:
        InputError: A different file is there, and force is off; or path can be none.
        OSError: The place is not writable.
    """
    if not isinstance(table, Table):
        kind = type(table).__name__
        raise InputError("table", f"must be a Table, and is {kind}: load and import_table make one")
    path = check_path("path", path)
    text = dumps(table)
    if force or not path.exists():
        try:
            write_atomically(path, text, replace=force)
            return True
        except FileExistsError:  # another process has just put it there
            pass
    if path.is_file() and _holds(path, table):
        return False
    raise InputError(str(path), "exists and is different; choose another path, or replace it with force=True")


def _holds(path: Path, table: Table) -> bool:
    try:
        there = loads(read_text(path))
    except InputError:
        return False
    return there == table or replace(there, measured=(), tried=()) == table

"""A kit with which any codebase can prove that it applies a table correctly: matrices, results, tolerances.

The result that is expected is the table's own map, U f(Σ/ν) Vᵀ, and not U Vᵀ: the kit says whether the rows
that were given are the ones that run, and nothing of how good they are. expected.py says how it is found, and
what rounding may add.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import polydesign
from polydesign.model import DTYPES, InputError, Table, check_number, dtype_name, located
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.running import MOST_EXPLAINED
from polydesign.table import dumps
from polydesign.table.given import Source, as_table
from polydesign.text.files import check_place, is_leftover, write_together
from polydesign.text.incoming import parse, read_text
from polydesign.verification.expected import DRAWS, MARGIN, cases, chosen_operator, distance

SCHEMA = "polydesign/conformance/v1"
INDEX = "kit.json"


def kit(table: Table, *, operator: str | None = None, seed: int = 0) -> dict[str, bytes]:
    """The kit's files by name: kit.json, table.json, matrices.json, and two .npy a case; see `cases`.

    The same bytes for the same table and seed on one platform.
    """
    found = cases(table, operator=operator, seed=seed)
    files = {"table.json": dumps(table).encode()}
    entries, matrices = [], {}
    for case in found:
        entry: dict[str, Any] = {"name": case.name, "about": case.about, "shape": list(case.input.shape)}
        for key, array in (("input", case.input), ("expected", case.expected)):
            entry[key] = f"{case.name}-{key}.npy"
            files[entry[key]] = _npy(array)
        entries.append(entry | {"tolerance": case.tolerance})
        matrices[case.name] = {"input": case.input.tolist(), "expected": case.expected.tolist()}
    files["matrices.json"] = (json.dumps(matrices, allow_nan=False) + "\n").encode()
    schedule = table.schedule
    index = {
        "schema": SCHEMA,
        "polydesign": polydesign.__version__,
        "table": table.name,
        "digest": table.digest,
        "operator": chosen_operator(table, operator),
        "root": schedule.root,
        "normalization": table.normalization,
        "seed": seed,
        "judge": "||output - expected||_F / ||expected||_F <= tolerance of the precision, for every matrix "
        "of a batch; an expected zero must be zero exactly; null: rounding decides, or the precision cannot "
        "hold the matrix, and nothing is judged",
        "tolerance": f"{MARGIN:g} times the worst of {DRAWS} runs in float64 with every stored matrix "
        "rounded at random by up to u, half of them entry by entry, half alike; null above "
        f"{MOST_EXPLAINED:g}",
        "u": UNIT_ROUNDOFF,
        "files": ["table.json", "matrices.json"],
        "cases": entries,
    }
    files[INDEX] = (json.dumps(index, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()
    return files


def check(
    folder: str | os.PathLike[str],
    function: Callable[[np.ndarray], Any],
    *,
    dtype: str = "float32",
    names: Sequence[str] | None = None,
) -> list[str]:
    """What is wrong with a function that should apply the kit's table; an empty list: nothing.

    function: takes (m, n) or (b, m, n), float64 for dtype float64 and else float32 (numpy has no bfloat16,
    and rounding is the function's own), and returns what numpy can turn into an array. dtype: the precision
    that it works in, whose tolerances count. names: of the cases to run, None for all; one without
    tolerance in this precision is left out. One line a failure, with the case's name first.

    Raises InputError for a folder that is no kit, and for an unknown name; what the function raises.
    """
    dtype = dtype_name(dtype)
    index = _index(Path(folder))
    known = {case["name"]: case for case in index["cases"]}
    for name in names or ():
        if name not in known:
            raise InputError("names", f"{name!r} is not one of {', '.join(known)}")
    failures = []
    for case in (known[name] for name in names or known):
        allowed = case["tolerance"].get(dtype)
        if allowed is None:
            continue
        given, expected = (_array(Path(folder, case[key])) for key in ("input", "expected"))
        given = given if dtype == "float64" else given.astype(np.float32)
        found = np.asarray(function(given), dtype=np.float64)
        problem = _problem(found, expected, allowed)
        if problem:
            failures.append(f"{case['name']}: {problem} ({case['about']})")
    return failures


def conformance(
    table: Source,
    folder: str | os.PathLike[str],
    *,
    operator: str | None = None,
    seed: int = 0,
    force: bool = False,
) -> list[Path]:
    """Write a kit into a folder, whole or not at all: matrices, and what the table makes of them; see `kit`.

    A kit that is there is replaced.

    Args:
        table: A Table, its name in the catalogue, the path of its file, or rows.
        folder: Where kit.json, which says how to judge, and the other files go.
        operator: "msign" or "inverse_root"; None for that of the table's root.
        seed: Of the matrices.
        force: Write into a folder that holds something else, which stays but for files of the same names.

    Returns:
        The paths of the files.

    Raises:
        InputError: Where the folder holds something else and force is off, and for an operator that does not
            go with the table.
    """
    folder, found = Path(folder), as_table(table)
    check_place(folder / INDEX)
    contents = kit(found, operator=operator, seed=seed)
    if folder.is_dir() and not force:
        others = {path.name for path in folder.iterdir() if not is_leftover(path)} - _own(folder)
        if others:
            raise InputError(
                str(folder),
                f"holds {sorted(others)[0]}, which is no part of a kit: choose another folder, or write into "
                "this one with --force",
            )
    write_together(folder, contents, last=INDEX, replacing=_own(folder) if folder.is_dir() else ())
    return [folder / name for name in contents]


def _index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    try:
        with located(f"{path}: "):
            index = parse(read_text(path, "the index of a kit"))
    except (OSError, ValueError) as problem:
        if isinstance(problem, InputError):
            raise
        raise InputError(
            str(folder), f"has no {INDEX}: polydesign conformance TABLE -o writes it"
        ) from problem
    if not isinstance(index, dict) or index.get("schema") != SCHEMA:
        raise InputError(str(folder), f"its {INDEX} is not of {SCHEMA}; this version reads no other")
    cases, names = index.get("cases"), index.get("files")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: $.files", "must be a list of names")
    for place, found in enumerate(cases if isinstance(cases, list) and cases else [None]):
        case: dict[str, Any] = found if isinstance(found, dict) else {}
        known = all(isinstance(case.get(key), str) for key in _TEXTS)
        if not known or not isinstance(case.get("tolerance"), dict):
            raise InputError(f"{path}: $.cases[{place}]", f"is no case, with {', '.join(_TEXTS)}, tolerance")
        for dtype in DTYPES:
            allowed = case["tolerance"].get(dtype)
            if allowed is not None:
                check_number(f"{path}: $.cases[{place}].tolerance.{dtype}", allowed)
    return index


_TEXTS = ("name", "about", "input", "expected")
"""What a case says of itself."""


def _array(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
    except Exception as problem:  # numpy raises whatever the bytes of a file lead it to
        raise InputError(str(path), "is no array: polydesign conformance TABLE -o writes it") from problem
    if not isinstance(found, np.ndarray) or found.dtype.kind != "f":
        raise InputError(str(path), "holds no real numbers: polydesign conformance TABLE -o writes it")
    return found


def _own(folder: Path) -> set[str]:
    """The names of the files that belong to the kit in this folder; none where it is no kit."""
    try:
        index = _index(folder)
    except InputError:
        return set()
    listed = [case[key] for case in index["cases"] for key in ("input", "expected")]
    return {Path(name).name for name in (INDEX, *index["files"], *listed)}


def _problem(found: np.ndarray, expected: np.ndarray, allowed: float) -> str | None:
    if found.shape != expected.shape:
        return f"has shape {found.shape}, not {expected.shape}"
    if not np.isfinite(found).all():
        return "is not finite"
    error = distance(found, expected)
    return f"is off by {error:.3g}, and {allowed:.3g} is allowed" if error > allowed else None


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()

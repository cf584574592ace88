"""The files of a conformance kit: made from a table, and read again; docs/conformance.md describes them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

import polydesign
from polydesign.model import DTYPES, HALF, InputError, Table, check_number, located
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.running import MOST_EXPLAINED
from polydesign.table import dumps, loads
from polydesign.text.incoming import parse, read_text
from polydesign.verification.expected import DRAWS, MARGIN, SINGLE, KitCase, cases, chosen_operator
from polydesign.verification.kit_spectra import CORRECTNESS, ROBUSTNESS

SCHEMA = "polydesign/conformance/v2"
INDEX = "kit.json"

_WRITE = "polydesign conformance TABLE -o writes it"
_TEXTS = ("name", "kind", "about", "input", "expected")
"""What a case says of itself."""

JUDGE = (
    "A matrix is right where ||output - expected||_F / ||expected||_F <= tolerance of the precision that the "
    "code works in; of a batch, each is judged. Where zeros are expected, the output must be zero.",
    "A tolerance of null: rounding decides, or the precision cannot hold the matrix; it is not judged.",
    "The code must not change its input. strided: pass the input as a view that is not contiguous. given: "
    "pass the input in that precision, which holds it exactly; the output must have it too.",
    "Cases of kind correctness say whether the table is applied. Those of kind robustness ask for more than "
    "a correct code must do, and are reported apart.",
)


def kit(table: Table, *, operator: str | None = None, seed: int = 0) -> dict[str, bytes]:
    """The kit's files by name: kit.json, table.json, matrices.json, and two .npy a case; see `cases`.

    The same bytes for the same table and seed on one platform.
    """
    found = cases(table, operator=operator, seed=seed)
    files = {"table.json": dumps(table).encode()}
    entries, matrices = [], {}
    for case in found:
        entry: dict[str, Any] = {"name": case.name, "kind": case.kind, "about": case.about}
        entry |= {"shape": list(case.input.shape), "given": case.given, "strided": case.strided}
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
        "judge": list(JUDGE),
        "tolerance": f"{MARGIN:g} times ({MARGIN * SINGLE:g} for one singular value) the worst of {DRAWS} "
        "runs in float64 with every stored matrix rounded at random by up to u, half of them entry by entry, "
        f"half alike; null above {MOST_EXPLAINED:g}",
        "u": UNIT_ROUNDOFF,
        "files": ["table.json", "matrices.json"],
        "cases": entries,
    }
    files[INDEX] = (json.dumps(index, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()
    return files


def read_kit(folder: Path) -> tuple[Table, str, list[KitCase]]:
    """The table, the operator and the cases of a kit that was written.

    Raises InputError for a folder that is no kit, with the path and the field.
    """
    index = read_index(folder)
    try:
        with located(f"{folder / 'table.json'}: "):
            table = loads(read_text(folder / "table.json", "the table of a kit"))
    except OSError as problem:
        raise InputError(str(folder), f"has no table.json: {_WRITE}") from problem
    with located(f"{folder / INDEX}: $."):
        operator = chosen_operator(table, index.get("operator"))
    found = [_case(folder, entry) for entry in index["cases"]]
    return table, operator, found


def read_index(folder: Path) -> dict[str, Any]:
    """kit.json, checked. Raises InputError with its path and the field."""
    path = folder / INDEX
    try:
        with located(f"{path}: "):
            index = parse(read_text(path, "the index of a kit"))
    except (OSError, ValueError) as problem:
        if isinstance(problem, InputError):
            raise
        raise InputError(str(folder), f"has no {INDEX}: {_WRITE}") from problem
    if not isinstance(index, dict) or index.get("schema") != SCHEMA:
        raise InputError(str(folder), f"its {INDEX} is not of {SCHEMA}, and no other is read: {_WRITE} anew")
    listed, names = index.get("cases"), index.get("files")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: $.files", "must be a list of names")
    for place, found in enumerate(listed if isinstance(listed, list) and listed else [None]):
        _check(f"{path}: $.cases[{place}]", found if isinstance(found, dict) else {})
    return index


def own_files(folder: Path) -> set[str]:
    """The names of the files that belong to the kit in this folder, of any version; none where it is none."""
    try:
        index = parse(read_text(folder / INDEX, "the index of a kit"))
        listed = [case[key] for case in index["cases"] for key in ("input", "expected")]
        ours = str(index["schema"]).startswith(SCHEMA.rpartition("/")[0])
        return {Path(name).name for name in (INDEX, *index["files"], *listed)} if ours else set()
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _check(field: str, case: dict[str, Any]) -> None:
    texts = all(isinstance(case.get(key), str) for key in _TEXTS)
    if not texts or not isinstance(case.get("tolerance"), dict):
        raise InputError(field, f"is no case, with {', '.join(_TEXTS)}, tolerance")
    if case["kind"] not in (CORRECTNESS, ROBUSTNESS):
        raise InputError(f"{field}.kind", f"must be {CORRECTNESS} or {ROBUSTNESS}")
    if case.get("given") not in (None, *HALF):
        raise InputError(f"{field}.given", f"must be null or one of {', '.join(HALF)}")
    if not isinstance(case.get("strided", False), bool):
        raise InputError(f"{field}.strided", "must be true or false")
    for dtype in DTYPES:
        allowed = case["tolerance"].get(dtype)
        if allowed is not None:
            check_number(f"{field}.tolerance.{dtype}", allowed)


def _case(folder: Path, entry: dict[str, Any]) -> KitCase:
    given, expected = (read_array(folder / entry[key]) for key in ("input", "expected"))
    if given.ndim not in (2, 3) or given.shape != expected.shape:
        raise InputError(
            str(folder / entry["input"]),
            f"has shape {given.shape}, and what is expected {expected.shape}: {_WRITE}",
        )
    tolerance = {dtype: entry["tolerance"].get(dtype) for dtype in DTYPES}
    how = (entry["kind"], entry.get("given"), entry.get("strided", False))
    return KitCase(entry["name"], entry["about"], given, expected, tolerance, *how)


def read_array(path: Path) -> np.ndarray:
    """An array of real numbers in float64. Raises InputError naming the file."""
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
    except Exception as problem:  # numpy raises whatever the bytes of a file lead it to
        raise InputError(str(path), f"is no array: {_WRITE}") from problem
    if not isinstance(found, np.ndarray) or found.dtype.kind != "f":
        raise InputError(str(path), f"holds no real numbers: {_WRITE}")
    return found.astype(np.float64)


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()

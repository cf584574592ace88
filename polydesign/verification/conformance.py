"""A kit with which any codebase can prove that it applies a table correctly: matrices, results, tolerances.

The result that is expected is the table's own map, U f(Σ/ν) Vᵀ, and not U Vᵀ: the kit says whether the rows
that were given are the ones that run, and nothing of how good they are. expected.py says how it is found, and
what rounding may add; judging.py how answers are judged; guessing.py how mistakes are named.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from polydesign.identification.tables import table_of
from polydesign.model import InputError, Table, check_folder, dtype_name
from polydesign.table.given import Source
from polydesign.text.files import check_place, is_leftover, write_together
from polydesign.text.incoming import parse, read_text
from polydesign.verification.calling import Answer, call, refused
from polydesign.verification.expected import KitCase, cases, chosen_operator, listed_spectra
from polydesign.verification.judging import Judgement, Outcome, judged
from polydesign.verification.kit import INDEX, kit, own_files, read_array, read_kit
from polydesign.verification.on_mesh import Sharding, on_mesh, sharding

__all__ = ["Judgement", "Outcome", "check", "check_outputs", "conformance", "kit", "kit_of"]

Found = tuple[Table, str, list[KitCase]]
"""A table, the operator that applies it, and cases."""

_ABSENT = "there is no result"
_ONE_AT_A_TIME = "several matrices, and the code takes one at a time"

OUTPUTS = "outputs.json"
"""Results of all cases in one file: name -> rows."""


def check(
    source: Source,
    function: Callable[[Any], Any],
    *,
    dtype: str = "float32",
    framework: str = "numpy",
    operator: str | None = None,
    batches: bool = True,
    names: Sequence[str] | None = None,
    seed: int = 0,
    mesh: Any = None,
    side: int = -2,
) -> Judgement:
    """Run a function that should apply a table on the matrices of a kit, and judge what it returns.

    >>> print(check("sign-d5x5-l1e-3-bf16", lambda M: 0 * M, names=["wide"]).guesses[0])
    zeros are returned

    Args:
        source: The folder of a kit that was written, or a table, whose kit is made now: a Table, its name in
            the catalogue, or the path of its file.
        function: Takes (m, n) or (b, m, n), float64 for dtype float64 and else float32, since rounding is
            the function's own; cases that are given in half precision are passed in it.
        dtype: The precision that the function works in, whose tolerances count.
        framework: What is passed: arrays of "numpy", or tensors of "torch".
        operator: "msign" or "inverse_root"; None for that of the table, or of the kit.
        batches: Off, cases of several matrices are not judged: the function takes one at a time.
        names: Of the cases to run, None for all.
        seed: Of the matrices, where the kit is made now.
        mesh: A DeviceMesh of one dimension, all of whose ranks call this alike: the function is given
            DTensors, with framework "torch", and may return one.
        side: Which side of the matrices the ranks of the mesh share, -2 for rows and -1 for columns.

    Returns:
        The judgement, with a verdict on correctness and one on robustness; what the function raises is a
        failure of that case.

    Raises:
        InputError: For a folder that is no kit, a table that has none, an unknown name, a mesh of another
            number of dimensions, and another framework than torch with a mesh.
    """
    table, operator, found = kit_of(source, operator, seed)
    known = {case.name: case for case in found}
    for name in names or ():
        if name not in known:
            raise InputError("names", f"{name!r} is not one of {', '.join(known)}")
    chosen = found if names is None else [known[name] for name in names]
    sharded = None
    if mesh is not None:
        sharded = sharding(mesh, side)
        if framework != "torch":
            raise InputError("framework", f'is {framework!r}, and a mesh has DTensors: write "torch"')
        function = on_mesh(function, mesh, side)
    return checked((table, operator, chosen), function, dtype, framework, batches=batches, sharded=sharded)


def checked(
    found: Found,
    function: Callable[[Any], Any],
    dtype: str,
    framework: str,
    *,
    batches: bool,
    sharded: Sharding | None = None,
) -> Judgement:
    """The judgement of a function on cases that are there; see `check`, which finds them."""
    table, operator, chosen = found
    dtype = dtype_name(dtype)
    answers: dict[str, Answer | str] = {}
    for case in chosen:
        why = refused(case, framework)
        if case.input.ndim == 3 and not batches:
            why = _ONE_AT_A_TIME
        answers[case.name] = why or call(function, case, dtype, framework)
    return judged(table, operator, chosen, answers, dtype, sharded)


def check_outputs(
    source: str | os.PathLike[str],
    outputs: str | os.PathLike[str],
    *,
    dtype: str = "float32",
    batches: bool = True,
) -> Judgement:
    """Judge results that code in any language has written for the cases of a kit.

    Args:
        source: The folder of the kit.
        outputs: A folder with a file NAME-output.npy a case, or with outputs.json, which has the rows of each
            by its name, as matrices.json has them, and null for what is not finite.
        dtype: The precision that the code works in, whose tolerances count.
        batches: Off, cases of several matrices need no result.

    Returns:
        The judgement; a case without a result has failed, but for those that are given in half precision,
        which a language need not have. Whether the input was changed, and which dtype a result had, is not
        known.

    Raises:
        InputError: For a folder that is no kit, or has no results, and for files that hold no numbers.
    """
    dtype = dtype_name(dtype)
    table, operator, found = read_kit(Path(source))
    values = _outputs(Path(outputs), found)
    answers: dict[str, Answer | str] = {
        case.name: Answer(values[case.name]) if case.name in values else _absent(case, batches)
        for case in found
    }
    return judged(table, operator, found, answers, dtype)


def _absent(case: KitCase, batches: bool) -> Answer | str:
    if case.input.ndim == 3 and not batches:
        return _ONE_AT_A_TIME
    return _ABSENT if case.given else Answer(None, problem=f"is missing: {_ABSENT}")


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
        table: A Table, its name in the catalogue, or the path of its file.
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
    folder, found = check_folder("folder", folder), table_of(table)
    check_place(folder / INDEX)
    contents = kit(found, operator=operator, seed=seed)
    ours = own_files(folder) if folder.is_dir() else set()
    if folder.is_dir() and not force:
        others = {path.name for path in folder.iterdir() if not is_leftover(path)} - ours
        if others:
            raise InputError(
                str(folder),
                f"holds {sorted(others)[0]}, which is no part of a kit: choose another folder, or write into "
                "this one with force=True",
            )
    write_together(folder, contents, last=INDEX, replacing=ours)
    return [folder / name for name in contents]


def kit_of(source: Source, operator: str | None = None, seed: int = 0) -> Found:
    """Table, operator and cases of a kit's folder, or of a table, whose kit is made.

    Raises InputError for a folder that is no kit, and for an operator that is not the kit's.
    """
    folder = _folder(source)
    if folder is not None:
        table, stated, found = read_kit(folder)
        if operator not in (None, stated):
            raise InputError(
                "operator",
                f"is {operator!r}, and the kit in {folder} is of {stated}: leave it out",
            )
        return table, stated, found
    table = table_of(source)
    operator = chosen_operator(table, operator)
    return table, operator, cases(table, operator=operator, seed=seed)


def case_names(source: Source, operator: str | None = None) -> list[str]:
    """The names of the cases that `kit_of` has, without making any."""
    if _folder(source) is not None:
        return [case.name for case in kit_of(source, operator)[2]]
    return list(listed_spectra(chosen_operator(table_of(source), operator)))


def _folder(source: Source) -> Path | None:
    """The folder of a kit, where it is one."""
    path = Path(source) if isinstance(source, (str, os.PathLike)) else None
    return path if path is not None and path.is_dir() else None


def _outputs(folder: Path, found: Sequence[KitCase]) -> Mapping[str, np.ndarray]:
    listed = folder / OUTPUTS
    if listed.is_file():
        body = parse(read_text(listed, "the results of a kit's cases"))
        if not isinstance(body, dict) or not {case.name for case in found} & set(body):
            raise InputError(
                str(listed),
                f'has none of the cases: write rows by the names in {INDEX}, {{"{found[0].name}": [[…], …]}}',
            )
        return {case.name: _rows(listed, case.name, body[case.name]) for case in found if case.name in body}
    files = {case.name: folder / f"{case.name}-output.npy" for case in found}
    values = {name: read_array(path) for name, path in files.items() if path.is_file()}
    if not values:
        raise InputError(
            "outputs", f"{folder} holds neither {OUTPUTS} nor {found[0].name}-output.npy: write one of them"
        )
    return values


def _rows(path: Path, name: str, rows: Any) -> np.ndarray:
    try:
        return np.array(rows, dtype=np.float64)  # null becomes NaN
    except (TypeError, ValueError) as problem:
        raise InputError(f"{path}: $.{name}", "must be the rows of a matrix, or a list of such") from problem

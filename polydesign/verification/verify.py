"""A table run on matrices with known singular values, one measurement a matrix."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from polydesign.identification.tables import table_of
from polydesign.model import InputError, Measurement, Plan, check_shape, check_texts, dtype_name
from polydesign.table.given import Source

if TYPE_CHECKING:
    from polydesign.verification.samples import Sample

Progress = Callable[[int, int, str], object]
"""Called with how many runs are done, how many there are, and what runs now."""


def verify(
    table: Source,
    *,
    spectra: str | Iterable[str] | None = None,
    shape: tuple[int, int] = (512, 1024),
    dtype: Any = None,
    device: str = "auto",
    operator: str | None = None,
    power: int = 1,
    normalization: str | None = None,
    form: str = "direct",
    restarts: tuple[int, ...] | None = None,
    steps: bool = False,
    matrix: str | os.PathLike[str] | Any = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Measurement]:
    """Run a table on matrices with known singular values and compare the result with what it promises.

    Tables of root 2 run as msign, others as roots and inverses of symmetric positive matrices with known
    eigenvalues, of side min(shape).

    Args:
        table: A Table, its name in the catalogue, the path of its file, rows, or a source file with a list.
        spectra: Names of test matrices, as a list or with commas between; "all" is all of them. None is a few
            that differ, or where a matrix is given none.
        shape: (m, n) of the test matrices.
        dtype: What the iteration runs in; None for the precision the table was designed for, or bfloat16.
        device: "cpu", "cuda", or "auto": cuda where there is.
        operator: Which runs the table, such as "inverse_root"; None for that of the table's purpose.
        power: s of P^(-s/r).
        normalization: What the matrices are divided by; None for the table's.
        form: "direct" or "gram", of msign.
        restarts: Of the gram form, indices of steps; None for those of the precision.
        steps: Measure after every step too: one run more for each.
        matrix: A matrix of yours, (m, n), or the path of a .npy, .pt or .safetensors file.
        seed: Of the test matrices.
        progress: Called before each run.

    Returns:
        A measurement a matrix: `holds` says whether the promise held, `worst` and `allowed` by how much.

    Raises:
        InputError: Where nothing can be measured; the field is the argument.

    >>> found = verify("sign-d5x5-l1e-3-bf16", spectra="harmonic", shape=(32, 64))
    >>> [(one.spectrum, one.holds) for one in found]
    [('harmonic', True)]
    """
    found = table_of(table)
    shape = check_shape("shape", shape)
    listed = spectra if spectra is None else ",".join(check_texts("spectra", spectra))
    plan = Plan(normalization=normalization, form=form, restarts=restarts)
    precision = dtype_name(dtype or found.dtype or "bfloat16")

    from polydesign.verification.operators import choose  # these need torch, and the name of verify does not
    from polydesign.verification.spectra import names
    from polydesign.verification.sweep import measure

    _, how = choose(found, operator, power)
    given = None if matrix is None else _sample(matrix)
    settings: dict[str, Any] = {"operator": operator, "power": power, "steps": steps, "seed": seed}
    settings |= {"shape": shape, "device": device, "plan": plan, "dtype": precision}
    try:
        fitting = names(listed, shape, precision, positive=how.positive, singular=how.singular)
        runs: list[tuple[str, Sample | None]] = [(name, None) for name in fitting]
        if given is not None:
            runs = [(given.name, given), *(runs if listed else [])]
        measurements = []
        for done, (name, sample) in enumerate(runs):
            if progress is not None:
                progress(done, len(runs), name)
            measurements.append(measure(found, spectrum=name, matrix=sample, **settings))
    except InputError as problem:
        if problem.field != "spectrum":
            raise
        raise InputError("spectra", problem.problem) from problem
    return measurements


def _sample(matrix: Any) -> Sample:
    from polydesign.verification.files import read_matrix
    from polydesign.verification.samples import from_matrix

    if isinstance(matrix, (str, os.PathLike)):
        return read_matrix(os.fspath(matrix))
    return from_matrix(matrix, "matrix")

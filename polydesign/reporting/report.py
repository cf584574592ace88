"""A page that explains tables: what the command line and Python callers share."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from polydesign.model import Measurement, check_path, check_several, check_shape
from polydesign.reporting.comparison import LOWERS
from polydesign.reporting.folder import check_folder, write
from polydesign.reporting.fresh import Matrices, check_tables, measurements, table_of, worst_errors
from polydesign.reporting.origin import typed
from polydesign.reporting.page import Report, check_given, laid_out
from polydesign.table.given import Source
from polydesign.table.measurements import read
from polydesign.verification.verify import Progress


def report(
    tables: Sequence[Source],
    folder: str | os.PathLike[str],
    *,
    measured: Sequence[str | os.PathLike[str] | Measurement] = (),
    measure: bool = False,
    lower: Sequence[float] = LOWERS,
    shape: tuple[int, int] = (256, 512),
    device: str = "auto",
    seed: int = 0,
    force: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Write a page that explains tables: promise, proof, map, rounding and origin of each, and all compared.

    Args:
        tables: Each a Table, its name, the path of its file, rows, or a source file with a list.
        folder: Where index.html, which stands alone, and report.md with its figures go. An earlier report
            there is replaced.
        measured: Measurements of these tables, or files of them.
        measure: Measure bfloat16, float16 and float32 now, after every step too; this needs torch.
        lower: Lower ends of the intervals that the tables are compared on, as for `compare`.
        shape: (m, n) of the matrices that are measured on.
        device: "cpu", "cuda", or "auto": cuda where there is.
        seed: Of these matrices.
        force: Write into a folder that holds other files.
        progress: Called before each run.

    Returns:
        What is laid out. Nothing is written where a table cannot be read.

    Raises:
        InputError: For a folder that holds something else, two tables of one name, and a measurement of none.
        OSError: Where the folder cannot be written.
    """
    folder = check_path("folder", folder)
    tables, lower = check_tables(tables), check_several("lower", lower, (int, float))
    shape = check_shape("shape", shape)
    loaded = [table_of(source) for source in tables]
    measured = check_several("measured", measured, (str, os.PathLike, Measurement))
    files = [one for one in measured if not isinstance(one, Measurement)]
    found = [one for one in measured if isinstance(one, Measurement)]
    found += [one for path in files for one in read(path)]
    check_folder(folder, force=force)  # all of this before minutes are spent
    check_given(loaded, found)
    given = zip(tables, loaded, strict=True)
    names = [str(one) if isinstance(one, (str, os.PathLike)) else typed(table) for one, table in given]
    command = ["polydesign report", *map(shlex.quote, names)]
    command += [f"--measured {shlex.quote(str(path))}" for path in files]
    if tuple(lower) != LOWERS:
        command.append(f"--lower {','.join(map(repr, lower))}")
    fresh = None
    if measure:
        on, fresh = Matrices(shape, device, seed), {}
        for root in dict.fromkeys(table.schedule.root for table in loaded):
            group = [table for table in loaded if table.schedule.root == root]
            fresh |= worst_errors(group, lower[0], on, progress)
        found += measurements(loaded, on, progress)
        command.append(f"--measure --shape {shape[0]}x{shape[1]} --seed {seed}")
    page = laid_out(loaded, found, lowers=lower, fresh=fresh, command=" ".join([*command, "-o FOLDER"]))
    write(page, folder, force=force)
    return page

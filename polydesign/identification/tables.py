"""A table as it is given to a verb: what `as_table` takes, or a list in somebody's source file."""

from __future__ import annotations

import os
from pathlib import Path

from polydesign.identification.source_files import source_file
from polydesign.model import InputError, Table
from polydesign.table.given import Source, as_table

_DECIDED = ("root", "purpose", "lower", "steps", "layout")
"""Arguments of import_table that decide between readings."""

_CURE = "polydesign.import_table({path!r}, {field}=…) is the table that you mean, to be given here"


def table_of(source: Source, *, proving: bool = True) -> Table:
    """The table that is meant, wherever one is asked for.

    Args:
        source: A Table, its name in the catalogue, the path of its file, rows of coefficients, or a source
            file of another project with a list in it, as FILE, or as FILE:NAME for one of several lists.
            Nothing in such a file is run.
        proving: As for `as_table`.

    Raises:
        InputError: Where there is no such table, and for a list that could be meant in several ways.
        ClaimError: For a Table whose certificate states what does not follow.
        OSError: The file cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        path, which = source_file(os.fspath(source))
        if path is not None:
            return taken_from(path, which)
    return as_table(source, proving=proving)


def taken_from(path: Path, which: str | None, cure: str = _CURE) -> Table:
    """The table of a list in a source file, as `import_table` makes it where nothing needs to be decided.

    cure: how the caller decides, with {path} and {field}. Raises what import_table raises.
    """
    from polydesign.identification.imported import import_table  # mpmath and flint

    try:
        return import_table(path, which=which)
    except InputError as problem:
        field = problem.field.rpartition(" ")[2]
        if field in _DECIDED:
            how = cure.format(path=str(path), field=field)
            raise InputError(str(path), f"{problem.problem}; {how}") from problem
        name_it = problem.problem.replace("name one with which=NAME", f"name one as {path}:NAME")
        raise InputError(problem.field, name_it) from problem

"""How a table is given wherever one is asked for: itself, its name, its file, or a list of rows."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from polydesign.model import Certificate, InputError, Schedule, Table, located
from polydesign.table.catalogue import load
from polydesign.table.rows import Rows, from_rows

Source = Table | str | os.PathLike[str] | Rows
"""A Table, its name in the catalogue, the path of its file, or rows of coefficients."""

if TYPE_CHECKING:

    class TableField:
        """A field of an operator: given as a Source or None, and a Table or None from then on."""

        def __get__(self, instance: object, owner: type | None = None) -> Table | None: ...
        def __set__(self, instance: object, value: Source | None) -> None: ...

    CHOSEN = TableField()
else:
    TableField, CHOSEN = Table | None, None  # a plain field, and a table that the operator chooses


def as_table(source: Source, *, proving: bool = True, **how: Any) -> Table:
    """The table itself, what load finds for its name or path, or what from_rows makes of rows.

    proving: as for load, for a Table too. how: keywords of from_rows, for rows alone.

    Raises what load and from_rows raise, and ClaimError for a Table whose certificate states what does not
    follow.
    """
    if isinstance(source, (str, os.PathLike)):
        return load(source, proving=proving)
    if not isinstance(source, Table):
        if not hasattr(source, "__iter__"):
            kind = type(source).__name__
            raise InputError("table", f"must be a Table, a name, a path or a list of rows, and is {kind}")
        return from_rows(source, **how)
    certificate = source.certificate
    if proving and certificate is not None and certificate.kind == "proved":
        with located("table: $."):
            _check_bounds(source.schedule, certificate)
    return source


@lru_cache(maxsize=256)
def _check_bounds(schedule: Schedule, certificate: Certificate) -> None:
    from polydesign.approximation.certificate import check_bounds  # numpy and flint

    check_bounds(schedule, certificate)

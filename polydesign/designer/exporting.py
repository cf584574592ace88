"""A table as text for another codebase, whatever it is given as."""

from __future__ import annotations

from polydesign.exporters.targets import target
from polydesign.identification.tables import table_of
from polydesign.table.given import Source


def export(table: Source, to: str) -> str:
    """The table as text that another codebase takes: to paste, or to import.

    Args:
        table: A Table, its name in the catalogue, the path of its file, rows, or a source file with a list.
        to: For whom, a name of `polydesign.exporters.TARGETS`.

    Returns:
        The text. It names the table and its digest, has the argument's name and type, the number of steps and
        the factor that the target divides by, and says what to mind there.

    Raises:
        InputError: For a name that is not known, and, with the reason and what to do instead, where the
            target cannot express the table.

    >>> print(export("sign-d5x5-l1e-3-bf16", "optax").splitlines()[-2].strip())
    preconditioning='frobenius',
    """
    found = table_of(table)
    return target(to).write(found)

"""Tables drawn: what the command line and Python callers share."""

from __future__ import annotations

import os
from collections.abc import Sequence

from matplotlib.figure import Figure

from polydesign.drawing.figures import comparison_figure, schedule_figure
from polydesign.identification.tables import table_of
from polydesign.model import InputError, Measurement, check_several
from polydesign.table.given import Source
from polydesign.table.measurements import read


def plot(*tables: Source, measured: str | os.PathLike[str] | Sequence[Measurement] | None = None) -> Figure:
    """Draw one table's composed map and the error of each step, or several tables' maps together.

    Args:
        tables: Of one root, each a Table, its name, the path of its file, rows, or a source file with a list.
        measured: Of one table, measurements with maps to draw on its own, or a file of them.

    Returns:
        The figure; `polydesign.drawing.save_figure` writes it as PNG or SVG.

    Raises:
        InputError: For tables of different roots, and for measurements of another table.

    >>> [ax.get_label() for ax in plot("sign-d5x5-l1e-3-bf16").axes][:2]
    ['map', 'step 1']
    """
    loaded = [table_of(table) for table in tables]
    if not loaded:
        raise InputError("tables", "a figure needs at least one table")
    if len(loaded) > 1 and measured:
        raise InputError("measured", "goes with one table; several are drawn without measurements")
    if len({table.schedule.root for table in loaded}) > 1:
        raise InputError("tables", "of different roots have no axis in common: draw them one by one")
    if len(loaded) > 1:
        return comparison_figure(loaded)
    given = (
        read(measured)
        if isinstance(measured, (str, os.PathLike))
        else check_several("measured", measured or (), Measurement)
    )
    if any(m.digest != loaded[0].digest for m in given):
        about = f"{measured} was" if isinstance(measured, (str, os.PathLike)) else "these were"
        raise InputError("measured", f"{about} measured on another table than {loaded[0].name}")
    return schedule_figure(loaded[0], given)

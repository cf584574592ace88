"""Tables compared: what the command line and Python callers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from polydesign.model import Table, check_several, check_shape
from polydesign.reporting.comparison import LOWERS, Row, compared_rows, to_json
from polydesign.reporting.fresh import Matrices, check_tables, table_of, worst_errors
from polydesign.reporting.tables import screen, text, to_csv
from polydesign.table.given import Source
from polydesign.verification.verify import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Comparison:
    """Tables of one root on equal terms; `print` shows it as the command line does, a notebook as tables.

    Attributes:
        tables: As they were given.
        rows: What each proves on the common intervals, that with the fewest excess products first.
    """

    tables: tuple[Table, ...]
    rows: tuple[Row, ...]

    def __str__(self) -> str:
        return text(self.rows)

    def __repr__(self) -> str:
        """What is proved; the text, which has what was measured too, may be longer than a screen."""
        shown = screen(self.rows)
        return replace(shown, grids=shown.grids[:1], notes=("print() shows all of it",)).text()

    def _repr_html_(self) -> str:
        return screen(self.rows).html()

    def to_csv(self) -> str:
        """Every figure, a line a table."""
        return to_csv(self.rows)

    def to_json(self) -> dict[str, Any]:
        """Every figure as plain JSON."""
        return {"order": "excess on the first interval", "tables": to_json(self.rows)}

    def figure(self) -> Figure:
        """Maps and errors over each other, and errors beside what products can buy."""
        from polydesign.reporting.comparison_figure import figure_of_comparison

        return figure_of_comparison(self.tables, self.rows)


def compare(
    tables: Sequence[Source],
    *,
    lower: Sequence[float] = LOWERS,
    measure: bool = False,
    shape: tuple[int, int] = (256, 512),
    device: str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Compare tables of one root, ours and published ones, on equal terms.

    The order is by excess: the products of a table, less those that the best schedule in exact arithmetic
    needs for the same error on the first interval.

    Args:
        tables: Each a Table, its name, the path of its file, rows, or a source file with a list.
        lower: Lower ends of the common intervals, in units of the upper end; the first gives the order.
        measure: Measure bfloat16, float16 and float32 now, all tables on the same matrices, in place of what
            is stored in the tables; this needs torch.
        shape: (m, n) of these matrices.
        device: "cpu", "cuda", or "auto": cuda where there is.
        seed: Of these matrices.
        progress: Called before each run.

    Returns:
        The comparison: rows of numbers, and text, CSV, JSON and a figure of them.

    Raises:
        InputError: For no table, two of one name or different roots, and for lower ends out of range.
        ArithmeticError: Where an error is not enclosed.

    >>> found = compare(["jordan_5", "sign-d5x5-l1e-3-bf16"])
    >>> [(row.name, round(row.at[0].excess, 2)) for row in found.rows]
    [('sign-d5x5-l1e-3-bf16', 1.82), ('jordan_5', 3.7)]
    """
    lower, shape = check_several("lower", lower, (int, float)), check_shape("shape", shape)
    loaded = tuple(table_of(source) for source in check_tables(tables))
    rows = compared_rows(loaded, lower)  # what cannot be compared is refused before minutes are spent
    if measure:
        fresh = worst_errors(loaded, lower[0], Matrices(shape, device, seed), progress)
        rows = compared_rows(loaded, lower, fresh)
    return Comparison(loaded, rows)

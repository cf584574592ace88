"""The figure of a comparison: every table is drawn where its row says, and nothing lies below the front."""

from __future__ import annotations

import numpy as np
import pytest

from polydesign.designer.design import published_table
from polydesign.reporting.comparison import compared_rows, front
from polydesign.reporting.comparison_figure import ASIDE, MOST, figure_of_comparison
from polydesign.table.catalogue import load

NAMES = ("polar_express_gram_ns_blog_table_MISPRINT", "jordan_5", "cans_quintic_5")


def test_every_table_is_drawn_where_it_stands() -> None:
    tables = [load("sign-d5x6-l1e-3"), *map(published_table, NAMES)]
    rows = compared_rows(tables)
    figure = figure_of_comparison(tables, rows)
    maps, errors, products = figure.axes
    assert figure.get_suptitle() == "4 tables of root 2 compared"
    assert all(ax.get_title(loc="left") for ax in figure.axes)
    order = [row.name for row in rows]
    for ax in (maps, errors):
        named = [str(line.get_label()) for line in ax.lines if not str(line.get_label()).startswith("_")]
        assert named == order
    assert len({str(line.get_linestyle()) for line in errors.lines}) == len(order)
    drawn = {str(line.get_label()): line for line in products.lines}
    assert len({str(drawn[name].get_marker()) for name in order}) == len(order)
    for row in rows:
        (x,), (y,) = (np.asarray(drawn[row.name].get_data()[k], dtype=float) for k in (0, 1))
        assert abs(x - row.products) <= ASIDE * len(rows)
        assert y == min(row.at[0].error, MOST)
    best = dict(front(2, 1e-3, max(row.products for row in rows)))
    assert all(float(best[row.products]) < row.at[0].error for row in rows)
    # A column of markers: three tables of 15 products stand at three places.
    places = {float(np.asarray(drawn[name].get_xdata(), dtype=float)[0]) for name in NAMES}
    assert len(places) == 3


def test_the_error_from_x_on_falls_and_ends_at_the_promise() -> None:
    table = load("sign-d5x6-l1e-3")
    figure = figure_of_comparison([table], compared_rows([table]))
    (line,) = (one for one in figure.axes[1].lines if one.get_label() == table.name)
    x, worst = (np.asarray(part, dtype=float) for part in line.get_data())
    assert np.all(np.diff(worst) <= 0)
    assert worst[x >= 1e-3][0] == pytest.approx(table.schedule.error, rel=1e-6)
    assert worst[0] > 0.5

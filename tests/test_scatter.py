"""The scatter plot of predictions: every run is drawn where it belongs, and what is wrong is named."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_scripts import loaded

from polydesign.drawing.figures import save_figure
from polydesign.model import InputError

scatter = loaded("scatter")
FAR, Point, prediction_figure = scatter.FAR, scatter.Point, scatter.prediction_figure

POINTS = [
    Point("good, gaussian 64x64", "bfloat16", 0.02, 0.01),
    Point("wrong, rank1 64x64", "float16", 0.01, 0.03),
    Point("a little, swept 64x64", "float32", 1e-6, 1.1e-6),
    Point("unsafe but fine, rank2 64x64", "bfloat16", math.inf, 0.05),
    Point("unsafe and lost, rank1 64x64", "bfloat16", math.inf, math.inf),
]


def test_every_run_is_a_point_and_the_wrong_ones_are_ringed_and_named(tmp_path):
    figure = prediction_figure(POINTS)
    (ax,) = figure.axes
    drawn = {str(one.get_label()): np.asarray(one.get_offsets()).tolist() for one in ax.collections}
    edge = 2 * FAR
    assert drawn["bf16"] == [[0.02, 0.01], [edge, 0.05], [edge, edge]]
    assert drawn["fp16"] == [[0.01, 0.03]]
    assert drawn["fp32"] == [[1e-6, 1.1e-6]]
    assert drawn["measured above predicted: 2"] == [[0.01, 0.03], [1e-6, 1.1e-6]]
    (note,) = ax.texts
    assert note.get_text().splitlines() == [
        "3×  wrong, rank1 64x64, fp16: 0.03",
        "1.1×  a little, swept 64x64, fp32: 1.1e-6",
    ]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    save_figure(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_where_nothing_is_wrong_nothing_is_ringed():
    (ax,) = prediction_figure(POINTS[:1]).axes
    assert [one.get_label() for one in ax.collections] == ["bf16"]
    assert ax.texts[0].get_text() == ""


def test_precisions_differ_in_marker_and_filling():
    (ax,) = prediction_figure(POINTS).axes
    looks = {
        (np.shape(one.get_paths()[0].vertices), tuple(np.asarray(one.get_facecolor())[0]))
        for one in ax.collections[:3]
    }
    assert len(looks) == 3


def test_no_points():
    with pytest.raises(InputError, match="at least one run"):
        prediction_figure([])

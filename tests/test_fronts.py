"""Error against products: what is in the axes is what was given."""

from __future__ import annotations

import pytest
from test_scripts import loaded

from polydesign.model import InputError

fronts = loaded("fronts")
LEAST, WORST = fronts.LEAST, fronts.WORST
cost_figure, front_figure = fronts.cost_figure, fronts.front_figure

FRONT = [(6.0, 0.9), (12.0, 0.4), (15.0, 0.014)]


def lines(axes):
    return {line.get_label(): [tuple(p) for p in line.get_xydata()] for line in axes.get_lines()}


def test_everything_given_is_drawn() -> None:
    groups = {"theirs": [(15, 0.1), (24, 1e-26)], "_$others": [(18, 0.02)]}
    fig = front_figure(FRONT[::-1], [(6, 0.8)], groups)
    (exact,) = fig.axes
    drawn = lines(exact)
    assert drawn["ours, the exact front"] == FRONT
    assert drawn["limit by degree"] == [(6, 0.8)]
    assert drawn["theirs"] == [(15, 0.1), (24, LEAST)]
    assert drawn[r"others".join(["\\$", ""])] == [(18, 0.02)]
    assert [text.get_text() for text in exact.texts] == ["1 below 1e-18, at the foot"]
    markers = [line.get_marker() for line in exact.get_lines() if line.get_linestyle() == "None"]
    assert len(set(markers)) == len(markers) == 2  # they differ without colour


@pytest.mark.parametrize(("front", "limit"), [([], []), (FRONT, [(6, 0.0)])])
def test_what_cannot_be_drawn_is_refused(front: list, limit: list) -> None:
    with pytest.raises(InputError, match=r"front|error"):
        front_figure(front, limit, {})


def test_each_panel_of_costs_has_its_groups_and_the_share() -> None:
    groups = {"ours": [(11, 0.02), (8, 0.1)], "theirs": [(17, 0.05)], "none": []}
    fig = cost_figure({"r = 4, bf16": (groups, 0.01), "r = 2, bf16": (groups, 0.02), "r = 1": (groups, 0.03)})
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["r = 4, bf16", "r = 2, bf16", "r = 1"]
    for ax, share in zip(fig.axes, (0.01, 0.02, 0.03), strict=True):
        drawn = lines(ax)
        assert drawn["ours"] == groups["ours"]
        assert drawn["theirs"] == groups["theirs"]
        assert {y for _, y in drawn["rounding P alone"]} == {share}
        assert not ax.texts
    with pytest.raises(InputError, match="panels"):
        cost_figure({})
    with pytest.raises(InputError, match="error"):
        cost_figure({"r = 4": ({"ours": [(8, 0.0)]}, 0.01)})


def test_a_cost_that_blew_up_is_drawn_at_the_top_with_its_number() -> None:
    groups = {"ours": [(8, 0.1)], "theirs": [(16, 794.0), (17, WORST)]}
    (ax,) = cost_figure({"r = 4": (groups, 0.01)}).axes
    assert lines(ax)["theirs"] == [(16, WORST), (17, WORST)]
    assert [text.get_text() for text in ax.texts] == ["8e+02"]

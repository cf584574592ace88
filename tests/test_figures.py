"""What the figures show is what the table says: data in the axes, words in the title, bytes on disk."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from tables import with_coefficients

from polydesign.drawing.figures import comparison_figure, promise, save_figure, schedule_figure
from polydesign.drawing.panels import alternation, number, short
from polydesign.drawing.trajectory import trajectory_figure
from polydesign.model import InputError, MeasuredMap, Measurement, Provenance, Schedule, Step, Table

DATA = Path(__file__).parent / "data"
MADE = Provenance("0", "hand", {})
PUBLISHED = Provenance("0", "published", {}, source="the literature")


@pytest.fixture
def laid() -> None:
    """For tests of the layout itself, or of the bytes: see `unlaid`."""


@pytest.fixture(autouse=True)
def unlaid(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn does not hang on where it is placed, and placing it takes most of the time."""
    if "laid" not in request.fixturenames:
        monkeypatch.setattr(ConstrainedLayoutEngine, "execute", lambda *_: None)


def prototype(name: str) -> Table:
    cases = json.loads((DATA / "prototype_schedules.json").read_text())["schedules"]
    case = next(case for case in cases if case["name"] == name)
    steps = [
        Step(
            step["degree"],
            tuple(map(float, step["coefficients"])),
            (float(step["domain"][0]), float(step["domain"][1])),
            (float(step["image"][0]), float(step["image"][1])),
            float((Decimal(step["image"][1]) - Decimal(step["image"][0])) / 2),
        )
        for step in case["steps"]
    ]
    return Table(name, Schedule(2, (1e-3, 1.0), tuple(steps)), MADE)


def published(name: str, lower: float) -> Table:
    cases = json.loads((DATA / "published.json").read_text())
    case = next(case for case in cases if case["name"] == name)
    root, domain, steps = case["root"], (lower, 1.0), []
    for row in case["coefficients"]:
        coefficients = tuple(map(float, row))
        step = Step(1 + root * (len(row) - 1), coefficients, domain, domain, 0.0)
        p = step(np.geomspace(*domain, 20001))
        image = (float(p.min()), float(p.max()))
        steps.append(replace(step, image=image, half_width=float(np.max(np.abs(p - 1)))))
        domain = image
    return Table(name, Schedule(root, (lower, 1.0), tuple(steps)), PUBLISHED)


def oracle(degrees: list[int], lower: str) -> Table:
    """Bare best approximations, from the independent solver."""
    cases = json.loads((DATA / "minimax_oracle.json").read_text())["cases"]
    case = next(
        c for c in cases if (c["degrees"], c["lower"], c["upper"], c["root"]) == (degrees, lower, "1", 2)
    )
    domain, steps = (float(lower), 1.0), []
    for degree, row in zip(degrees, case["steps"], strict=True):
        error = Decimal(row["error"])
        image = (float(1 - error), float(1 + error))
        steps.append(Step(degree, tuple(map(float, row["coefficients"])), domain, image, float(error)))
        domain = image
    return Table("oracle", Schedule(2, (float(lower), 1.0), tuple(steps)), PUBLISHED)


def cubic(low: float, high: float) -> Step:
    """The best step of degree 3 on [low, high], by its closed form: p(low) = p(high) = 2 − p(m)."""
    m = math.sqrt((low * low + low * high + high * high) / 3)
    peak, end = 2 * m**3, low * high * (low + high)
    a, b, error = 6 * m * m / (peak + end), 2 / (peak + end), (peak - end) / (peak + end)
    return Step(3, (a, -b), (low, high), (1 - error, 1 + error), error)


def cubics(count: int, interval: tuple[float, float] = (0.02, 1.0)) -> Table:
    steps = [cubic(*interval)]
    while len(steps) < count:
        steps.append(cubic(*steps[-1].image))
    return Table(f"cubics-{count}", Schedule(2, interval, tuple(steps)), MADE)


def last(step: Step, root: int = 2) -> Table:
    return Table("single", Schedule(root, step.domain, (step,)), MADE)


def measurement(table: Table, x: list[float], measured: list[float | None], **changes: Any) -> Measurement:
    base = Measurement(
        table=table.name, digest="", dtype="bfloat16", shape=(8, 8), spectrum="gaussian", seed=0,
        device="cpu", promised=0.1, allowed=0.1, holds=False, finite=True, count=len(x), worst=None, rms=None,
        below_count=0, below_worst=None, below_rms=None, orthogonality=None, polar_distance=None,
        map=MeasuredMap(tuple(x), tuple(x), tuple(measured)),
    )  # fmt: skip
    return replace(base, **changes)


def axes(fig: Figure, label: str) -> Axes:
    return next(ax for ax in fig.axes if ax.get_label() == label)


def lines(ax: Axes, label: str) -> list[Line2D]:
    return [line for line in ax.get_lines() if line.get_label() == label]


def data(line: Line2D) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)


def words(fig: Figure) -> list[str]:
    return [text.get_text() for text in fig.texts]


def legend(fig: Figure) -> list[str]:
    return [text.get_text() for text in fig.legends[0].get_texts()]


@pytest.mark.parametrize("name", ["quintics_18", "17x3_15_bf16"])
def test_map_shows_the_schedule_and_its_band(name: str) -> None:
    table = prototype(name)
    fig = schedule_figure(table)
    ax = axes(fig, "map")
    x, f = data(lines(ax, "f(x)")[0])
    inside = x <= 1
    np.testing.assert_array_equal(f[inside], table.schedule(x[inside]))
    one_step_less = replace(table.schedule, steps=table.schedule.steps[:-1])
    assert not np.array_equal(f[inside], one_step_less(x[inside]))
    assert x[0] == pytest.approx(1e-4)
    assert 1 < x[-1] < 1.5
    assert {1e-3, 1.0} <= set(x)
    assert ax.get_xscale() == "log"
    error = table.schedule.error
    shaded = ax.collections[0].get_paths()[0].get_extents()
    assert list(shaded.extents) == [1e-3, 1 - error, 1.0, 1 + error]
    edges = [data(line) for line in lines(ax, "_edge")]
    assert [list(y) for _, y in edges] == [[1 - error] * 2, [1 + error] * 2]
    assert [list(x) for x, _ in edges] == [[1e-3, 1.0]] * 2
    assert [data(line)[0][0] for line in lines(ax, "_end")] == [1e-3, 1.0]
    assert [text.get_text() for text in ax.texts] == ["l = 0.001", "u = 1"]


@pytest.mark.parametrize("name", ["quintics_18", "17x3_15_bf16"])
def test_deviation_fills_the_band_and_no_more(name: str) -> None:
    table = prototype(name)
    ax = axes(schedule_figure(table), "deviation")
    x, deviation = data(lines(ax, "_deviation")[0])
    np.testing.assert_allclose(deviation, table.schedule(x) - 1, atol=0)
    assert (x[0], x[-1]) == (1e-3, 1.0)
    edges = [data(line)[1][0] for line in lines(ax, "_edge")]
    assert edges == [-table.schedule.error, table.schedule.error]
    # Ten points an oscillation miss a peak by 1 − cos(π/10) = 5 % at most; coefficients of order 1e3 in
    # float64 move f by less than 1e-12.
    assert 0.95 * table.schedule.error <= np.max(np.abs(deviation)) <= table.schedule.error + 1e-12


def test_deviation_has_its_own_axes_only_where_the_band_is_thin() -> None:
    assert "deviation" not in [ax.get_label() for ax in schedule_figure(cubics(1)).axes]
    assert "deviation" in [ax.get_label() for ax in schedule_figure(cubics(8)).axes]


@pytest.mark.parametrize("count", [1, 3, 5, 7, 12, 20])
def test_one_panel_a_step(count: int) -> None:
    table = cubics(count, (1e-5, 1.0))
    fig = schedule_figure(table)
    panels = [ax for ax in fig.axes if str(ax.get_label()).startswith("step ")]
    assert [ax.get_title(loc="left") for ax in panels] == [f"step {k + 1}, degree 3" for k in range(count)]
    for ax, step in zip(panels, table.schedule.steps, strict=True):
        assert f"E = {number(step.half_width, 4)}" in ax.texts[-1].get_text()
        assert ax.get_xscale() == ("log" if step.domain[1] / step.domain[0] > 20 else "linear")


@pytest.mark.parametrize(
    "table",
    [oracle([5] * 6, "1e-3"), oracle([3] * 8, "1e-3"), cubics(5, (0.1, 2.0))],
    ids=["quintics", "cubics", "upper 2"],
)
def test_best_steps_equioscillate(table: Table) -> None:
    fig = schedule_figure(table)
    for index, step in enumerate(table.schedule.steps):
        ax = axes(fig, f"step {index + 1}")
        x, error = data(lines(ax, "_error")[0])
        np.testing.assert_array_equal(error, 1 - step(x))
        at, extreme = data(lines(ax, "_extreme")[0])
        assert len(extreme) == step.inner_degree + 2
        assert (at[0], at[-1]) == step.domain
        assert np.all(extreme[1:] * extreme[:-1] < 0)
        # The grid has over 60 points an oscillation here: 1 − cos(π/60) = 1.4e-3.
        np.testing.assert_allclose(np.abs(extreme), step.half_width, rtol=1.4e-3)
        levels = [data(line)[1][0] for line in lines(ax, "_edge")]
        assert levels == [-step.half_width, step.half_width]


def test_a_spoilt_step_shows() -> None:
    step = cubic(0.1, 1.0)
    spoilt = with_coefficients(step, coefficients=(1.05 * step.coefficients[0], step.coefficients[1]))
    _, extreme = data(lines(axes(schedule_figure(last(spoilt)), "step 1"), "_extreme")[0])
    assert np.max(np.abs(np.abs(extreme) / step.half_width - 1)) > 0.05


def test_headroom_is_hatched_and_a_bare_step_is_not() -> None:
    assert [patch.get_hatch() for patch in axes(schedule_figure(cubics(2)), "step 2").patches] == []
    with_headroom = axes(schedule_figure(prototype("quintics_18")), "step 6").patches
    assert [patch.get_hatch() for patch in with_headroom] == ["////"]


def test_tiny_errors_are_drawn_without_rounding_noise() -> None:
    # 1 − p = 3/2 h² + 1/2 h³ for p = 3/2 x − 1/2 x³, h = x − 1; float64 knows h to 1e-16/1e-7 at the ends.
    half = 1e-7
    error = 1.5 * half * half
    step = Step(3, (1.5, -0.5), (1 - half, 1 + half), (1 - error, 1.0), error)
    ax = axes(schedule_figure(last(step)), "step 1")
    h, shown = data(lines(ax, "_error")[0])
    assert ax.get_xlabel() == r"(x − 1) / $10^{-7}$"
    np.testing.assert_allclose(shown, 1.5 * h**2 + 0.5 * h**3, rtol=1e-9, atol=1e-30)
    noisy = 1 - step(1 + h)
    assert np.max(np.abs(noisy - shown)) > 1e-3 * error


def test_degenerate_domain_says_so() -> None:
    good = cubic(0.9, 1.0)
    flat = Step(3, (1.5, -0.5), (1.0, 1.0), (1.0, 1.0), 1e-40)
    table = Table("flat", Schedule(2, good.domain, (good, flat)), PUBLISHED)
    ax = axes(schedule_figure(table), "step 2")
    assert [text.get_text() for text in ax.texts] == ["below float64\nresolution", "E = 1e-40"]
    assert ax.get_lines()[:] == []
    assert axes(schedule_figure(table), "step 1").get_lines()[:] != []


def test_measured_points_lie_where_they_were_measured() -> None:
    table = prototype("quintics_18")
    measurements = [
        measurement(table, [2e-4, 0.01, 0.5], [0.3, 1.002, 0.999]),
        measurement(table, [0.02, 0.7], [1.001, 0.998], spectrum="logspace:1e-2"),
        measurement(table, [0.03], [1.0005], spectrum="logspace:1e-2", dtype="float32"),
        measurement(table, [0.3], [1.0], map=None),
    ]
    fig = schedule_figure(table, measurements)
    names = ["measured: gaussian, bf16", "measured: logspace:1e-2, bf16", "measured: logspace:1e-2, fp32"]
    allowed = "allowed with rounding: ± 0.1 at most"
    assert legend(fig)[1:] == ["predicted f(x)", allowed, *names, "headroom and cushion"]
    drawn = [lines(axes(fig, "map"), name)[0] for name in names]
    x, y = data(drawn[0])
    assert (list(x), list(y)) == ([2e-4, 0.01, 0.5], [0.3, 1.002, 0.999])
    first, second, third = (line.get_marker() for line in drawn)
    assert first != second == third
    assert drawn[1].get_markerfacecolor() != drawn[2].get_markerfacecolor()
    assert lines(axes(fig, "map"), "predicted f(x)")[0].get_color() == "black"
    # Below l nothing was promised: the deviation leaves that point out and counts nothing as hidden.
    x, y = data(lines(axes(fig, "deviation"), names[0])[0])
    assert (list(x), list(y)) == ([0.01, 0.5], [1.002 - 1, 0.999 - 1])
    assert axes(fig, "map").get_title() == axes(fig, "deviation").get_title() == ""


def test_what_verify_allows_is_drawn_beside_the_promise() -> None:
    """The largest of the runs, where it is more than the promise; a narrow one is seen whole."""
    table = prototype("quintics_18")
    error = table.schedule.error
    for allowed in (2 * error, 40 * error):
        points = [
            measurement(table, [0.01], [1.001], allowed=allowed),
            measurement(table, [0.1], [1.0], allowed=error),
        ]
        fig = schedule_figure(table, points)
        for label, centre in (("map", 1.0), ("deviation", 0.0)):
            ax = axes(fig, label)
            levels = [data(line)[1][0] for line in lines(ax, "_allowed")]
            assert levels == [centre - allowed, centre + allowed]
            band = ax.collections[1].get_paths()[0].get_extents()
            assert list(band.extents) == [1e-3, centre - allowed, 1.0, centre + allowed]
        top = axes(fig, "deviation").get_ylim()[1]
        assert (top > allowed) == (allowed == 2 * error)
        assert top < 4 * error  # a wide band must not flatten the curve
    bare = schedule_figure(table, [measurement(table, [0.01], [1.0], allowed=error)])
    assert lines(axes(bare, "map"), "_allowed") == []


def test_the_trajectory_is_scaled_to_the_best_values() -> None:
    best = [1.0, 0.5, 0.25, 0.1, 0.1]
    calm = trajectory_figure([(k, 0.1, value, value) for k, value in enumerate(best)], "worst").axes[0]
    current = [1.0, 1e9, 0.25, math.nan, 0.1]
    rows = [(k, 0.1, now, value) for k, (now, value) in enumerate(zip(current, best, strict=True))]
    spiked = trajectory_figure(rows, "worst").axes[0]
    assert spiked.get_ylim() == calm.get_ylim()
    assert 0.01 < calm.get_ylim()[0] < 0.1 < 1 < calm.get_ylim()[1] < 2
    assert spiked.get_title() == "2 of 5 current values lie above these axes"
    assert calm.get_title() == ""
    assert spiked.get_ylabel() == "objective: worst"
    falling = trajectory_figure([(0, 0.1, -1.0, -1.0), (1, 0.1, 5.0, -3.0)], "mean").axes[0]
    assert falling.get_yscale() == "linear"
    assert falling.get_ylim() == (-3.5, -0.5)


def test_an_outlier_is_counted_and_leaves_the_axes_alone() -> None:
    table = prototype("17x3_15_bf16")
    calm = schedule_figure(table, [measurement(table, [0.1], [1.0])])
    fig = schedule_figure(
        table, [measurement(table, [0.1, 0.2, 0.3, 1e-6, 0.4, 0.5], [1.0, 900.0, None, 0.0, math.inf, 5.0])]
    )
    for label in ("map", "deviation"):
        assert axes(fig, label).get_ylim()[0] == axes(calm, label).get_ylim()[0]
        assert axes(fig, label).get_ylim()[1] < 1.5
    assert axes(fig, "map").get_title() == "3 measured outside these axes, 2 not finite"
    assert axes(fig, "deviation").get_title() == "2 measured outside these axes"
    assert axes(calm, "map").get_title() == ""


def test_measurement_of_another_table_is_refused() -> None:
    table = cubics(2)
    with pytest.raises(InputError, match="belongs to table 'cubics-3', and this is 'cubics-2'"):
        schedule_figure(table, [measurement(cubics(3), [0.5], [1.0])])


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (prototype("quintics_18"), "quintics_18: |f(x) − 1| ≤ 1.73e-3 on [0.001, 1], 18 matrix products"),
        (published("su_root_r4", 0.1), "su_root_r4 (root 4): |f(x) − 1| ≤ "),
        (cubics(1, (1e-5, 2.0)), "cubics-1: |f(x) − 1| ≤ 1 on [1e-5, 2], 2 matrix products"),
    ],
    ids=["root 2", "root 4", "upper 2"],
)
def test_title_is_the_promise(table: Table, expected: str) -> None:
    assert promise(table).startswith(expected)
    assert words(schedule_figure(table))[0].replace("\n", " ") == promise(table)


@pytest.mark.parametrize(
    ("root", "values"), [(1, "eigenvalues after"), (2, "singular values"), (8, "eigenvalues^(1/8)")]
)
def test_subtitle_says_what_x_is(root: int, values: str) -> None:
    step = Step(1 + root, (1.0 + 1 / root, -1 / root), (0.5, 1.0), (0.5, 1.0), 0.5)
    text = words(schedule_figure(last(step, root)))[1]
    assert values in text
    assert text.endswith(f"Frobenius normalization; 1 step of degree {1 + root}")


def test_promised_error_is_never_rounded_down() -> None:
    rng = np.random.default_rng(0)
    for value in 10.0 ** rng.uniform(-60, 0, 500):
        assert float(number(value, 3, up=True)) >= value
    assert any(float(number(value, 3)) < value for value in 10.0 ** rng.uniform(-60, 0, 50))
    assert [number(v, 4) for v in (0.86574, 0.0017257, 0.0, 1.0)] == ["0.8657", "1.726e-3", "0", "1"]
    assert [short(v) for v in (0.001, 1.0, 1e-5, 1e-12)] == ["0.001", "1", "1e-5", "1e-12"]


def test_alternation_ignores_rounding_at_a_zero() -> None:
    assert alternation(np.array([1.0, 0.5, -1e-9, 1e-9, -0.4, -1.0, -0.3, 0.0, 0.9])) == [0, 5, 8]
    assert alternation(np.array([1.0, 0.5, -1e-9, 2.0])) == [3]
    assert alternation(np.zeros(4)) == []


@pytest.mark.usefixtures("laid")
def test_high_degree_and_high_root_are_drawn(tmp_path: Path) -> None:
    coefficients = tuple((-1) ** j * math.comb(12, j) / 12 for j in range(13))
    wild = Step(25, coefficients, (0.01, 1.0), (-1e3, 1e3), 1e3)
    steep = Step(25, (4 / 3, 0.0, 0.0, -1 / 3), (0.5, 1.0), (0.5, 1.0), 0.5)
    for name, table in {"wild": last(wild), "steep": last(steep, 8)}.items():
        fig = schedule_figure(table)
        save_figure(fig, tmp_path / f"{name}.png")
        x, f = data(lines(axes(fig, "map"), "f(x)")[0])
        np.testing.assert_array_equal(f, table.schedule(x))
        assert len(lines(axes(fig, "step 1"), "_extreme")) == 1


def test_comparison_overlays_maps_with_different_lines() -> None:
    tables = [prototype("quintics_18"), published("jordan_5", 1e-3), cubics(4, (0.01, 2.0))]
    fig = comparison_figure(tables)
    ax = axes(fig, "map")
    drawn = [line for line in ax.get_lines() if not str(line.get_label()).startswith("_")]
    for table, line in zip(tables, drawn, strict=True):
        x, f = data(line)
        finite = np.isfinite(f)
        upper = table.schedule.interval[1]
        np.testing.assert_allclose(f[finite], table.schedule(upper * x[finite]), rtol=1e-9)
        assert finite[x <= 1].all()
    assert len({str(line.get_linestyle()) for line in drawn}) == 3
    assert [text.split(",")[0] for text in legend(fig)] == [table.name for table in tables]
    assert ax.get_xlim() == pytest.approx((1e-4, 0.03))  # where they rise: above it nothing is told apart
    assert ax.get_ylim()[1] < 2
    assert ax.get_xlabel() == axes(fig, "error").get_xlabel() == "x / u"
    for table, line in zip(tables, axes(fig, "error").get_lines(), strict=True):
        x, worst = data(line)
        assert (np.diff(worst) <= 0).all()
        assert worst[x >= table.schedule.interval[0] / table.schedule.interval[1]][0] == pytest.approx(
            table.schedule.error, rel=1e-2
        )
    with pytest.raises(InputError, match="at least one table"):
        comparison_figure([])


@pytest.mark.usefixtures("laid")
@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_same_figure_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    table = cubics(2)
    points = [measurement(table, [0.1, 0.2], [1.0, 1.01])]
    paths = [tmp_path / f"{k}{suffix}" for k in range(3)]
    fig = schedule_figure(table, points)
    for path in paths[:2]:
        save_figure(fig, path)
    save_figure(schedule_figure(table, points), paths[2])
    first, again, rebuilt = (path.read_bytes() for path in paths)
    assert first == again == rebuilt
    assert not any(word in first for word in (b"Matplotlib", b"Software", b"dc:date"))
    save_figure(schedule_figure(table), paths[0])
    assert paths[0].read_bytes() != first


def test_saving_refuses_what_it_cannot_write_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fig = schedule_figure(cubics(1))
    with pytest.raises(InputError, match=r"output: 'map.pdf' is no picture: end its name in .png or .svg"):
        save_figure(fig, tmp_path / "map.pdf")

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_figure(fig, tmp_path / "map.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("laid")
def test_pictures_are_wide_enough_and_sharp(tmp_path: Path) -> None:
    save_figure(schedule_figure(cubics(1)), tmp_path / "map.PNG")
    header = (tmp_path / "map.PNG").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(header[16:20], "big") == 9 * 160
    assert [path.name for path in tmp_path.iterdir()] == ["map.PNG"]


@pytest.mark.usefixtures("laid")
def test_no_text_is_too_small_or_outside_the_page() -> None:
    table = replace(cubics(12, (1e-3, 1.0)), name="a-long-name-" * 9 + "x_1")
    points = [measurement(table, [0.5], [1.0], spectrum=f"spectrum-{k}") for k in range(8)]
    fig = schedule_figure(table, points)
    fig.canvas.draw()
    page = fig.bbox
    texts = [text for ax in fig.axes for text in ax.texts] + list(fig.texts) + fig.legends[0].get_texts()
    labels = [label for ax in fig.axes for label in ax.get_xticklabels() + ax.get_yticklabels()]
    for text in texts:
        box = text.get_window_extent()
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
        assert box.y1 <= page.y1
    assert min(float(text.get_fontsize()) for text in texts + labels) >= 9
    top = max(ax.get_tightbbox().y1 for ax in fig.axes)  # pyright: ignore[reportOptionalMemberAccess]
    assert fig.legends[0].get_window_extent().y0 >= top


@pytest.mark.usefixtures("laid")
def test_pyplot_stays_unimported_and_settings_untouched(tmp_path: Path) -> None:
    code = """
import sys
import polydesign.model
print("matplotlib" in sys.modules)
import matplotlib
matplotlib.rcParams["lines.linewidth"] = 7.0
before = matplotlib.rcParams.copy()
def changed():  # to ask for the backend would import pyplot
    return [key for key in before if key != "backend" and before[key] != matplotlib.rcParams[key]]
from polydesign.model import Provenance, Schedule, Step, Table
from polydesign.drawing.figures import save_figure, schedule_figure
step = Step(3, (1.5, -0.5), (0.5, 1.0), (0.6875, 1.0), 0.3125)
table = Table("classical", Schedule(2, (0.5, 1.0), (step,)), Provenance("0", "hand", {}))
save_figure(schedule_figure(table), sys.argv[1])
print("matplotlib.pyplot" in sys.modules, changed())
"""
    run = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "map.svg")]
    result = subprocess.run(run, capture_output=True, text=True, check=False)
    assert result.stdout.split() == ["False", "False", "[]"], result.stderr
    # Another process, other settings: the same bytes.
    step = Step(3, (1.5, -0.5), (0.5, 1.0), (0.6875, 1.0), 0.3125)
    save_figure(schedule_figure(replace(last(step), name="classical")), tmp_path / "here.svg")
    assert (tmp_path / "here.svg").read_bytes() == (tmp_path / "map.svg").read_bytes()

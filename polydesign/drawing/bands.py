"""Spectra of many matrices: bands of quantiles over the layers, a panel for each kind of layer."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from polydesign.drawing.figures import STYLE, head, new_figure
from polydesign.drawing.panels import EDGE, plain
from polydesign.model import InputError

COLUMNS, MOST_PANELS = 3, 12
GREYS = ("0.88", "0.74", "0.58")
"""Of the bands, from the widest on."""

FLOOR = 1e-9
"""A singular value that is nearly zero is drawn there."""


class Drawn(Protocol):
    """What is drawn of a matrix: seven quantiles of its singular values over ‖M‖_F, least to largest."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def exact(self) -> bool: ...
    @property
    def quantiles(self) -> tuple[float, ...]: ...


def spectra_figure(spectra: Sequence[Drawn], marks: Sequence[float] = (1e-3, 1e-4)) -> Figure:
    """Bands of quantiles of σ/‖M‖_F over the layers: all values, 10 to 90 %, 25 to 75 %, and the median.

    Layers of one kind, whose names differ in numbers alone and which have one shape, share a panel; of more
    than MOST_PANELS kinds those with most layers are drawn. Open points: estimated. marks: lines across.

    Raises InputError where there is nothing to draw.
    """
    if not spectra:
        raise InputError("spectra", "are none: a figure needs at least one matrix")
    kinds: dict[tuple[str, tuple[int, int]], list[Drawn]] = defaultdict(list)
    for one in spectra:
        kinds[re.sub(r"\d+", "*", one.name), one.shape].append(one)
    shown = sorted(kinds, key=lambda kind: -len(kinds[kind]))[:MOST_PANELS]
    shown = [kind for kind in kinds if kind in shown]
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    least = max(FLOOR, min(one.quantiles[0] for kind in shown for one in kinds[kind]))
    with style.context(STYLE):
        fig = new_figure()
        panels = fig.subplots(rows, columns, squeeze=False, sharey=True)
        for index, kind in enumerate(shown):
            ax = panels[index // columns, index % columns]
            ax.set_label(f"{kind[0]} {kind[1][0]}x{kind[1][1]}")
            _draw(ax, kinds[kind], marks)
            ax.set_title(plain(_short(kind[0])) + f"\n{kind[1][0]} × {kind[1][1]}", fontsize=9)
            if index % columns == 0:
                ax.set_ylabel("σ / ‖M‖_F", parse_math=False)
        for ax in panels.flat[len(shown) :]:
            ax.set_visible(False)
        panels[0, 0].set_ylim(least / 2, 1.2)
        left_out = len(kinds) - len(shown)
        meaning = "across: layers of one kind; dashed: " + " and ".join(f"{mark:g}" for mark in marks)
        meaning += f"; {left_out} kinds with fewer layers are not drawn" if left_out else ""
        count = sum(len(kinds[kind]) for kind in shown)
        title = f"Singular values of {count} matri{'x' if count == 1 else 'ces'}, relative to ‖M‖_F"
        head(fig, 2.4 * rows + 0.3, title, meaning, panels[0, 0], columns=5)
    return fig


def _draw(ax: Axes, spectra: Sequence[Drawn], marks: Sequence[float]) -> None:
    x = list(range(len(spectra)))
    if len(x) == 1:  # a band needs two ends
        spectra, x = [*spectra, *spectra], [0, 1]
    at = [[max(FLOOR, one.quantiles[k]) for one in spectra] for k in range(7)]
    for (low, high, label), grey in zip(
        ((0, 6, "all"), (1, 5, "10 to 90 %"), (2, 4, "25 to 75 %")), GREYS, strict=True
    ):
        ax.fill_between(x, at[low], at[high], color=grey, linewidth=0, label=label)
    ax.plot(x, at[3], color="black", linewidth=1.2, label="median")
    guessed = [(k, at[3][k]) for k, one in enumerate(spectra) if not one.exact]
    if guessed:
        ax.plot(*zip(*guessed, strict=True), "o", mfc="white", mec="black", markersize=4, label="estimated")
    for mark in marks:
        ax.axhline(mark, color=EDGE, linewidth=0.7, linestyle="--")
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    if spectra[0] is spectra[-1]:
        ax.set_xticks([])


def _short(name: str, most: int = 34) -> str:
    return name if len(name) <= most else "…" + name[1 - most :]

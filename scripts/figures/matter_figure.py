"""Loss less that of the exact map against products, from what scripts/studies/does_it_matter.py wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from polydesign.drawing.figures import STYLE, WIDTH, save_figure
from polydesign.drawing.panels import MARKERS

APART = 0.16
"""Products between maps that take equally many, so that their intervals can be told apart."""


def figure(body: dict[str, Any], folder: Path) -> None:
    """A panel a task: the mean of the paired differences with its interval, a marker a map; hollow where the
    interval holds 0."""
    tasks = {task: drawn(rows) for task, rows in body["summary"].items() if drawn(rows)}
    with style.context(STYLE):
        fig = Figure(figsize=(WIDTH, 3.8), layout="constrained")
        FigureCanvasAgg(fig)
        axes: Any = fig.subplots(1, len(tasks), squeeze=False)[0]
        for ax, (task, rows) in zip(axes, tasks.items(), strict=True):
            ax.axhline(0, color="black", linewidth=0.8, label="exact")
            for row, marker, place in zip(rows, MARKERS, places(rows), strict=False):
                low, high = row["of_difference"]
                ax.errorbar(
                    [place],
                    [row["difference"]],
                    yerr=[[row["difference"] - low], [high - row["difference"]]],
                    fmt=marker,
                    color="0.25",
                    markerfacecolor="0.25" if row["differs"] else "white",
                    capsize=3,
                    label=row["map"],
                )
            ax.set_title(task)
            ax.set_xlabel("products")
        axes[0].set_ylabel("validation loss less the exact map's")
        fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
        save_figure(fig, folder / "does_it_matter.png")


def drawn(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What has a difference: all maps but the exact one, of those that ran on every seed."""
    return [row for row in rows if "difference" in row]


def places(rows: list[dict[str, Any]]) -> list[float]:
    """Products, moved apart where several maps take as many."""
    found = []
    for k, row in enumerate(rows):
        same = [j for j, other in enumerate(rows) if other["products"] == row["products"]]
        found.append(row["products"] + APART * (2 * same.index(k) - len(same) + 1))
    return found

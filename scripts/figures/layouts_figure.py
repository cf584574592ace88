"""Where each layout of sharded matrices takes least, from what sharded_scaling.py wrote.

A cell is a number of ranks and a bandwidth of a node; its colour is the layout that takes least by the model,
the fuller the more: below 1.25 times, below 2 times, and from 2 times on by which the next one takes longer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from polydesign.drawing.figures import STYLE, save_figure
from polydesign.drawing.panels import COLOURS

FIGURE = "sharded_scaling"
LAYOUTS = {"gram": COLOURS[0], "owner": COLOURS[6], "gather": COLOURS[2]}
STEPS = ((1.25, 0.3), (2.0, 0.6), (float("inf"), 1.0))
"""Times by which the next one takes longer, below which a cell has this opacity."""


def layouts_figure(rows: list[dict[str, Any]]) -> Figure:
    """A column a model, a row a kind of call."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    ranks, networks = (sorted({row[name] for row in rows}) for name in ("ranks", "network"))
    with style.context(STYLE):
        fig = Figure(figsize=(2.6 * len(models) + 0.8, 6.0), layout="constrained")
        FigureCanvasAgg(fig)
        panels = fig.subplots(2, len(models), sharex=True, sharey=True, squeeze=False)
        for row in rows:
            ax = panels[int(row["single"]), models.index(row["model"])]
            best, second = sorted(LAYOUTS, key=lambda layout: row[layout])[:2]
            alpha = next(alpha for times, alpha in STEPS if row[second] / row[best] < times)
            at = (ranks.index(row["ranks"]) - 0.5, networks.index(row["network"]) - 0.5)
            ax.add_patch(Rectangle(at, 1, 1, facecolor=LAYOUTS[best], alpha=alpha, edgecolor="white"))
            if not row["fits"]:
                ax.add_patch(Rectangle(at, 1, 1, fill=False, hatch="////", edgecolor="0.35", linewidth=0))
        for number, ax in enumerate(panels.flat):
            line, column = divmod(number, len(models))
            ax.set_xlim(-0.5, len(ranks) - 0.5)
            ax.set_ylim(-0.5, len(networks) - 0.5)
            ax.set_xticks(range(len(ranks)), [str(count) for count in ranks], rotation=60)
            ax.set_yticks(range(len(networks)), [f"{one / 1e9:g}" for one in networks])
            ax.grid(visible=False)
            ax.tick_params(length=0)
            if line == 0:
                ax.set_title(models[column])
            if line == 1:
                ax.set_xlabel("ranks")
            if column == 0:
                kind = ("all matrices at once", "one by one")[line]
                ax.set_ylabel(f"{kind}\nGB/s of a node to others")
        key: list[Patch] = [Patch(facecolor=colour, label=name) for name, colour in LAYOUTS.items()]
        lesser = (f"< {STEPS[0][0]:g}×", f"< {STEPS[1][0]:g}×", f"≥ {STEPS[1][0]:g}×")
        key += [
            Patch(facecolor="0.3", alpha=alpha, label=f"the next takes {text}")
            for (_, alpha), text in zip(STEPS, lesser, strict=True)
        ]
        key.append(Patch(fill=False, hatch="////", edgecolor="0.35", linewidth=0, label="does not fit"))
        fig.legend(handles=key, loc="outside lower center", ncols=7, frameon=False)
    return fig


def figure(body: dict[str, Any], folder: Path) -> None:
    save_figure(layouts_figure(body["rows"]), folder / f"{FIGURE}.png")


@click.command(help=__doc__)
@click.argument("path", type=click.Path(path_type=Path, exists=True))
def main(path: Path) -> None:
    figure(json.loads(path.read_text()), path.parent)


if __name__ == "__main__":
    main()

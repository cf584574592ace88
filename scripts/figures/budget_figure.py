"""Error against products, a part of budget_targets.py: our exact front, published tables and the limit on
[1e-3, 1], in exact arithmetic.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from polydesign.approximation.scalar import schedule_from
from polydesign.drawing.figures import save_figure
from polydesign.program.cost import matmuls
from polydesign.search.budget import exact_front
from polydesign.search.limits import limit
from polydesign.table.published import names, published

FIGURE = "error_against_products"
FRONTS: Any = runpy.run_path(str(Path(__file__).with_name("fronts.py")))

SOURCES = {
    "Newton-Schulz, Padé": ("newton_schulz", "pade", "prism"),
    "Muon, Su, You": ("muon", "jordan", "su_", "youjiacheng", "unattributed"),
    "Polar Express": ("polar_express",),
    "CANS, cubics": ("cans", "cubic", "unso"),
    "AOL, Turbo-Muon": ("aol", "turbo"),
    "DeepSeek": ("deepseek",),
    "ROOT, by shape": ("noah",),
    "Niemitalo": ("niemitalo",),
}
"""Groups of published tables, by how their names begin."""


def sources() -> dict[str, list[tuple[int, float]]]:
    """Published tables for root 2 by source: (products, exact error on [1e-3, 1])."""
    found: dict[str, list[tuple[int, float]]] = {}
    for name in names():
        entry = published(name)
        if entry.root != 2 or entry.misprint or entry.scheme:  # schemes run programs of other costs
            continue
        schedule = schedule_from(2, entry.steps_run(), (1e-3, 1.0))
        source = next(source for source, starts in SOURCES.items() if name.startswith(starts))
        found.setdefault(source, []).append((matmuls(schedule), schedule.error))
    return found


def figure(small: bool, folder: Path) -> dict[str, Any]:
    most = 12 if small else 24
    front = [(path.cost, float(path.rank)) for path in exact_front(2, 1e-3, 1.0, most) if path.choices]
    bounds = [(m, limit(m, 1e-3).error) for m in range(6, most + 1)]
    shown = [bound for bound in bounds if bound[1] > FRONTS["LEAST"]]
    picture = FRONTS["front_figure"](front, shown, sources())
    for suffix in (".png", ".svg"):
        save_figure(picture, folder / f"{FIGURE}{suffix}")
    return {"front": front, "limit": bounds, "published": sources()}

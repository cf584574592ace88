"""Cost against error for roots, a part of budget_targets.py: on the test of Su's article (kexue.fm 11175).

For each root and precision: the article's table, what the budget search finds for that precision, and the
best sequence of degrees in exact arithmetic, run in it. Products are those of G P^(−1/r).
"""

from __future__ import annotations

import importlib.util
import json
import math
import runpy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch

import polydesign
from polydesign.designer.design import published_table
from polydesign.drawing.figures import save_figure
from polydesign.model import DTYPES, InputError, Plan, Table
from polydesign.program.cost import matmuls
from polydesign.runtime import matmul_inverse_root

FIGURE = "root_fronts"
FRONTS: Any = runpy.run_path(str(Path(__file__).with_name("fronts.py")))
BUDGETS = (8, 11, 14, 16, 18)
ROOTS = (4, 2)
DTYPES_RUN = ("float32", "bfloat16")
KINDS = {"searched": "ours", "exact": "best in exact arithmetic", "published": "Su's table"}


def _article() -> Any:
    path = Path(__file__).parents[1] / "studies" / "article_roots.py"
    spec = importlib.util.spec_from_file_location("article_roots", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _tables(asked: dict[str, Any], dtype: str, size: int, budgets: tuple[int, ...]) -> Any:
    """(kind, budget, table, seconds) of everything that is run in this precision."""
    yield "published", None, published_table(f"su_root_r{asked['root']}"), None
    for budget in budgets:
        begun = time.monotonic()
        try:
            table = polydesign.design(**asked, matmuls=budget, dtype=dtype, shape=(2 * size, size))
        except InputError as refusal:
            click.echo(f"{asked['root']} {dtype} {budget}: {refusal}")
            continue
        yield "searched", budget, table, round(time.monotonic() - begun, 1)
        yield "exact", budget, polydesign.design(**asked, matmuls=budget, headroom=1), None


def roots(small: bool, described: Callable[[Table], dict[str, Any]]) -> list[dict[str, Any]]:
    article = _article()
    size, rows = 32 if small else 1000, []
    generator = torch.Generator().manual_seed(0)
    x, G = (
        torch.randn((k * size, size), generator=generator, dtype=torch.float64) / size**0.5 for k in (1, 2)
    )
    P = x @ x.mT + 0.001 * torch.eye(size, dtype=torch.float64)
    for root in ROOTS:
        result = article.exact_product(G, P, root)
        asked = {"root": root, "lower": round(article.LOWEST ** (1 / root), 4), "form": "coupled"}
        for dtype in DTYPES_RUN:
            share = (article.from_rounded(G, P, root, dtype) - result).abs().mean().item()
            for kind, budget, table, seconds in _tables(asked, dtype, size, BUDGETS[: 1 if small else None]):
                plan = Plan(dtype=dtype)
                found = matmul_inverse_root(G.float(), P.float(), root, table=table, plan=plan).double()
                error = (found - result).abs().mean().item()
                row = {"root": root, "dtype": dtype, "kind": kind, "budget": budget, "seconds": seconds}
                row |= described(table) | {"products": matmuls(table.schedule, form="coupled")}
                row |= {"mean_absolute_error": error if math.isfinite(error) else None, "share": share}
                rows.append(row)
                click.echo(f"{root} {dtype} {kind} {row['products']} {error:.3g} {share:.3g}")
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    """The pages' table: the article's and what was searched for, with the share that rounding P alone has."""
    lines = ["| r | precision | schedule | products | degrees | error | rounding P alone |"]
    lines.append("|---|---|---|---:|---|---:|---:|")
    for row in rows:
        if row["kind"] == "exact":
            continue
        name = "the article's" if row["kind"] == "published" else f"`search --matmuls {row['budget']}`"
        error = row["mean_absolute_error"]
        text = "not finite" if error is None else f"{error:.3g}"
        degrees = ", ".join(map(str, row["degrees"]))
        lines.append(
            f"| {row['root']} | {DTYPES[row['dtype']]} | {name} | {row['products']} | {degrees} | {text} | "
            f"{row['share']:.3g} |"
        )
    return "\n".join(lines)


def figure(rows: list[dict[str, Any]], folder: Path) -> None:
    panels: dict[str, Any] = {}
    for row in rows:
        title = f"r = {row['root']}, {DTYPES[row['dtype']]}"
        groups, _ = panels.setdefault(title, ({name: [] for name in KINDS.values()}, row["share"]))
        if row["mean_absolute_error"] is not None:
            groups[KINDS[row["kind"]]].append((row["products"], row["mean_absolute_error"]))
    picture = FRONTS["cost_figure"](panels)
    for suffix in (".png", ".svg"):
        save_figure(picture, folder / f"{FIGURE}{suffix}")


@click.command(help="The figure again, from what budget_targets.py --part roots wrote.")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
def main(path: Path) -> None:
    figure(json.loads(path.read_text())["roots"]["rows"], path.parent)


if __name__ == "__main__":
    main()

"""What the gradient search reaches, on the objectives of the literature, and what it costs.

article: from the starting points and settings of kexue.fm 10922, beside its tables. minimax: from minimax,
beside every published table of as many steps and minimax. sup: from 20 random starts, beside the proved
optimum. band: the steepest slope of cubics in [0.7, 1.3], beside the minimax chain. marchenko-pastur: mean
squares under the law of a 1024 × 4096 Gaussian matrix, and of real ones in bfloat16. rounded: the first of
minimax's on three grids, beside rounding each of its coefficients to nearest. time: of 20,000 iterations.
Single-threaded unless --threads says more. Writes figures/adam_targets.json.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

import polydesign
from polydesign.approximation.certificate import certify
from polydesign.approximation.scalar import schedule_from
from polydesign.model import Problem, Provenance, Schedule, Table
from polydesign.search.adam import Adam, run
from polydesign.search.finish import valid
from polydesign.search.grids import grid
from polydesign.search.minimax import Equioscillation
from polydesign.search.objectives import TopK
from polydesign.search.polish import Goal, polish
from polydesign.search.spectral_laws import quantiles
from polydesign.table.published import names, published
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine
from polydesign.verification.spectra import sample
from polydesign.verification.sweep import measure

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "adam_targets.json"
ARTICLE = Adam(perturbation=0.05, bias_correction=False)
"""The article's settings; its starts are classical for one shared step, youjiacheng for different ones."""

LAW = "marchenko-pastur:1024x4096"
RATES = {4: 1e-4, 5: 1e-7}
"""By steps: minimax on the law's range is within 2e-3 of 1 after four steps, and within 1e-8 after five."""

GRIDS = ("1/1024", "bf16", "decimals:4")

PARTS = ("time", "sup", "band", "minimax", "rounded", "article", "marchenko_pastur")

LOWEST = 0.015
"""Below the law's smallest value, (1 − 1/2)/32 = 0.0156: ours promise from here on."""


def rows_of(name: str, steps: int) -> tuple[tuple[float, ...], ...]:
    """A published table's first rows, as many; fewer where it has fewer."""
    return published(name).steps_run()[:steps]


def rivals(steps: int) -> dict[str, tuple[tuple[float, ...], ...]]:
    """Published quintics for root 2: tables of as many steps, and Polar Express's first rows; and minimax."""
    found = {
        name: rows_of(name, steps)
        for name in names()
        if published(name).root == 2
        and not published(name).misprint
        and len(rows_of(name, steps)) == steps
        and (len(published(name).steps_run()) == steps or name.startswith("polar_express"))
        and all(len(row) == 3 for row in rows_of(name, steps))
    }
    schedule = Equioscillation().search(Problem(2, (5,) * steps, 1e-3))
    return found | {"minimax": tuple(step.coefficients for step in schedule.steps)}


def mean_of_worst(rows: Any, k: int) -> float:
    """By numpy alone: the mean of the k largest |f − 1| on linspace(0, 1, 10001)[1:]."""
    x = np.linspace(0, 1, 10001)[1:]
    for row in rows:
        x = x * np.polynomial.polynomial.polyval(x**2, row)
    return float(np.mean(np.sort(np.abs(x - 1))[-k:]))


def searched(config: Adam, problem: Problem) -> dict[str, Any]:
    """One search, its value with and without the polish, and what is proved of it."""
    begun = time.monotonic()
    outcome = run(config, problem)
    error = certify(outcome.schedule).error[1]
    return {
        "settings": asdict(config),
        "steps": len(problem.degrees),
        "start_value": outcome.start_value,
        "adam": outcome.values[0],
        "polished": outcome.value,
        "proved_error": float(error),
        "coefficients": [step.coefficients for step in outcome.schedule.steps],
        "seconds": time.monotonic() - begun,
    }


def article(iterations: int, fewer: int = 1) -> list[dict[str, Any]]:
    """fewer: a divisor of k, and of the searches."""
    wanted = [(5, 50, True, 0.334), (6, 50, False, 0.079), (6, 200, False, 0.031), (5, 50, False, 0.193)]
    found = []
    for steps, k, shared, target in wanted[: math.ceil(len(wanted) / fewer)]:
        k //= fewer
        start = "classical" if shared else "youjiacheng"
        config = replace(ARTICLE, objective=f"topk:{k}", start=start, shared=shared, iterations=iterations)
        tried = [("the article's", config)]
        if steps == 5 and not shared:
            exact = {"perturbation": 0.0, "bias_correction": True}
            tried.append(("exact gradients", replace(config, **exact)))
            tried.append(("its own table as the start", replace(config, **exact, start="su_adam_5")))
        for what, setting in tried:
            entry = searched(setting, Problem(2, (5,) * steps, 1e-3))
            found.append({"what": what, "k": k, "shared": shared, "target": target} | entry)
    return found


def minimax(iterations: int, fewer: int = 1) -> list[dict[str, Any]]:
    """fewer: a divisor of k, and of the searches."""
    found, wanted = [], ((6, 50 // fewer), (6, 200 // fewer), (5, 50 // fewer))
    for steps, k in wanted[: math.ceil(len(wanted) / fewer)]:
        beside = {name: mean_of_worst(rows, k) for name, rows in rivals(steps).items()}
        entry = searched(Adam(f"topk:{k}", iterations=iterations), Problem(2, (5,) * steps, 1e-3))
        again = mean_of_worst(entry["coefficients"], k)
        found.append(
            {"k": k, "beside": beside, "best_beside": min(beside.values()), "by_numpy": again} | entry
        )
    return found


def rounded(iterations: int, steps: int) -> dict[str, Any]:
    """Quintics on grids: what run rounds, and the same unrounded coefficients rounded to nearest."""
    problem, config = Problem(2, (5,) * steps, 1e-3), Adam("topk:50", iterations=iterations)
    grids = []
    for word in GRIDS:
        begun = time.monotonic()
        outcome = run(replace(config, round=word), problem)
        seconds = time.monotonic() - begun
        assert outcome.unrounded is not None
        plain = tuple(tuple(map(grid(word).nearest, row)) for row in outcome.unrounded)
        ours = [step.coefficients for step in outcome.schedule.steps]
        runs = valid(plain, problem)
        grids.append(
            {
                "grid": word,
                "value": outcome.value,
                "by_numpy": mean_of_worst(ours, 50),
                "unrounded": outcome.unrounded_value,
                "nearest": mean_of_worst(plain, 50),
                "nearest_loses_values": runs is None,
                "proved_error": float(certify(outcome.schedule).error[1]),
                "nearest_error": None if runs is None else runs.error,
                "coefficients": ours,
                "unrounded_coefficients": outcome.unrounded,
                "seconds": seconds,
            }
        )
        click.echo("  ".join(f"{key} {value}" for key, value in list(grids[-1].items())[:8]))
    return {"settings": asdict(config), "steps": steps, "k": 50, "grids": grids}


def markdown(part: dict[str, Any]) -> str:
    """The pages' sentence and table of `rounded`."""
    (unrounded,) = {entry["unrounded"] for entry in part["grids"]}
    lines = [
        f"topk:50 from minimax, {unrounded:.4g} unrounded:\n",
        "| grid | ours | rounded to nearest |",
        "|---|---:|---|",
    ]
    for entry in part["grids"]:
        nearest = "loses values" if entry["nearest_loses_values"] else f"{entry['nearest']:.4g}"
        lines.append(f"| {entry['grid']} | {entry['value']:.4g} | {nearest} |")
    return "\n".join(lines) + "\n"


def sup(iterations: int, restarts: int) -> dict[str, Any]:
    problem = Problem(2, (5,) * 3, 0.01)
    config = Adam("sup", start="random", restarts=restarts, rate=1e-2, iterations=iterations)
    outcome = run(replace(config, drop_after=3 * iterations // 4, polish=False), problem)
    x = np.geomspace(0.01, 1, 40_001)
    found = []
    for rows in outcome.rows:
        before, after = valid(rows, problem), valid(polish(rows, 2, Goal(x)), problem)
        found.append([s and float(certify(s).error[0]) for s in (before, after)])
    low, high = certify(outcome.schedule).optimum or ("0", "1")
    return {"optimum": [float(low), float(high)], "adam_and_polished": found}


def band(iterations: int) -> list[dict[str, Any]]:
    """A of literature: CANS's lower ends for B = 1, δ = 0.3."""
    found = []
    for steps, lower in ((4, 0.015586), (5, 0.0060176)):
        chain = Equioscillation().search(Problem(2, (3,) * steps, lower))
        outcome = run(
            Adam("slope:0.3", start="random", restarts=4, rate=3e-3, iterations=iterations, drop_after=1500),
            Problem(2, (3,) * steps, 1.2 * lower),
        )
        slopes = [float(np.prod([s.coefficients[0] for s in one.steps])) for one in (chain, outcome.schedule)]
        found.append({"steps": steps, "chain_error": chain.error, "chain": slopes[0], "gradient": slopes[1]})
    return found


def table(name: str, schedule: Schedule) -> Table:
    return Table(name, schedule, Provenance(polydesign.__version__, "published", {}, source="compared"))


def marchenko_pastur(
    iterations: int, shape: tuple[int, int], seeds: int, numbers: tuple[int, ...]
) -> list[dict[str, Any]]:
    """numbers: of steps."""
    x = quantiles(LAW, 4000, (1e-3, 1.0))
    matrices = [sample("gaussian", shape, seed=seed) for seed in range(seeds)]
    found = []
    for steps in numbers:
        tables = {name: schedule_from(2, rows, (1e-3, 1.0)) for name, rows in rivals(steps).items()}
        narrow = Problem(2, (5,) * steps, LOWEST)
        tables["minimax on [0.015, 1]"] = Equioscillation().search(narrow)
        for objective in (f"mean-square:{LAW}", f"mean-square:{LAW} + 1e-4*sup"):
            config = Adam(objective, rate=RATES[steps], iterations=iterations, drop_after=3 * iterations // 4)
            starts = ["minimax", "aol_4_sept2025" if steps == 4 else "su_root_r2"]
            outcomes = [run(replace(config, start=start), narrow) for start in starts]
            best = min(outcomes, key=lambda outcome: outcome.value)
            tables[f"ours: {objective}, from {starts[outcomes.index(best)]}"] = best.schedule
        for name, schedule in tables.items():
            runs = [measure(table("compared", schedule), dtype="bfloat16", matrix=m) for m in matrices]
            found.append(
                {
                    "steps": steps,
                    "table": name,
                    "error": schedule.error,
                    "mean_square_law": float(np.mean((schedule(x) - 1) ** 2)),
                    "mean_square_bf16": [None if m.rms is None else m.rms**2 for m in runs],
                    "below_l": [m.below_count for m in runs],
                }
            )
            click.echo("  ".join(map(str, found[-1].values())))
    return found


def timing(iterations: int) -> list[dict[str, Any]]:
    problem = Problem(2, (5,) * 6, 1e-3)
    run(Adam(iterations=20), problem)  # what torch loads at first
    found = []
    for restarts in (1, 32):
        config = Adam(start="classical", restarts=restarts, iterations=iterations, polish=False)
        wall, cpu = time.monotonic(), time.process_time()
        run(config, problem)
        taken = {"wall": time.monotonic() - wall, "cpu": time.process_time() - cpu}
        per = {f"{key}_s_per_20000": value * 20_000 / iterations for key, value in taken.items()}
        found.append({"restarts": restarts, "iterations": iterations, "points": TopK().count} | per)
    return found


@click.command(help=__doc__)
@click.option("--iterations", default=20_000, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option(
    "--part", "parts", multiple=True, type=click.Choice(PARTS), help="Renew this part of the file only."
)
@click.option("--small", is_flag=True, help="Few iterations and points, small matrices, to see that it runs.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=OUTPUT)
def main(iterations: int, threads: int, small: bool, parts: tuple[str, ...], output: Path) -> None:
    torch.set_num_threads(threads)
    few = 10 if small else iterations
    fewer = 10 if small else 1
    shape, numbers = ((64, 256), (4,)) if small else ((1024, 4096), (4, 5))
    about = {"machine": machine(), "torch": torch.__version__, "threads": threads}
    # A part that is renewed says where and when; the head of the file is of the other parts.
    body: dict[str, Any] = json.loads(output.read_text()) if parts else about
    for name, part in (
        ("time", lambda: timing(few if small else 2000)),
        ("sup", lambda: sup(*((few, 3) if small else (3000, 20)))),
        ("band", lambda: band(few if small else 2000)),
        ("minimax", lambda: minimax(few, fewer)),
        ("rounded", lambda: rounded(few, 2 if small else 6)),
        ("article", lambda: article(few, fewer)),
        ("marchenko_pastur", lambda: marchenko_pastur(few if small else 5000, shape, 1, numbers)),
    ):
        if parts and name not in parts:
            continue
        begun = time.monotonic()
        body[name] = part()
        if parts:
            body.setdefault("renewed", {})[name] = about
        click.echo(f"{name}: {time.monotonic() - begun:.0f} s")
        write_atomically(output, json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()

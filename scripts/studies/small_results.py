"""What the runs of the study show: the rates that were chosen, intervals, and the tables of the page."""

from __future__ import annotations

import math
from collections import Counter
from functools import lru_cache
from statistics import fmean
from typing import Any

from scipy import optimize, stats
from small_models import Size
from small_runs import MAPS

CHOOSING = 0
"""The seed on which learning rates are chosen; those of Size.seeds are for what is compared."""
LEVEL, POWER = 0.95, 0.8
"""Of the intervals, and of `detectable`."""


def key_of(task: str, name: str, rate: float, seed: int) -> str:
    return f"{task}/{name}/{rate:g}/{seed}"


def losses_of(body: dict[str, Any], task: str, size: Size, name: str) -> dict[float, float]:
    """Rate -> loss on the seed for choosing, of what has run; infinite where training broke."""
    runs = {rate: body["runs"].get(key_of(task, name, rate, CHOOSING)) for rate in size.rates}
    return {
        rate: math.inf if run["loss"] is None else run["loss"]
        for rate, run in runs.items()
        if run is not None
    }


def asked_rates(body: dict[str, Any], task: str, size: Size, name: str) -> list[float]:
    """The middle of the grid and its neighbours; once these have run, also those of the best so far."""
    losses, middle = losses_of(body, task, size, name), len(size.rates) // 2
    near = {middle - 1, middle, middle + 1}
    if all(size.rates[k] in losses for k in near):
        place = size.rates.index(min(losses, key=lambda rate: losses[rate]))
        near |= {place - 1, place + 1}
    return [rate for k, rate in enumerate(size.rates) if k in near]


def chosen_rate(body: dict[str, Any], task: str, size: Size, name: str) -> float | None:
    """The rate with the least loss on the seed for choosing; None until its neighbours have run."""
    losses = losses_of(body, task, size, name)
    if any(rate not in losses for rate in asked_rates(body, task, size, name)):
        return None
    best = min(losses, key=lambda rate: losses[rate])
    return best if math.isfinite(losses[best]) else None


def summary(body: dict[str, Any], task: str, size: Size) -> list[dict[str, Any]]:
    """A row a map: mean and interval of the loss, and of the paired difference to the exact one."""
    losses = {}
    for name in MAPS:
        rate = chosen_rate(body, task, size, name)
        runs = (
            [] if rate is None else [body["runs"].get(key_of(task, name, rate, seed)) for seed in size.seeds]
        )
        losses[name] = (rate, [run["loss"] for run in runs if run is not None and run["loss"] is not None])
    rows, (_, exact) = [], losses["exact"]
    for name, (rate, found) in losses.items():
        row: dict[str, Any] = {
            "map": name,
            "products": body["products"].get(name),
            "rate": rate,
            "runs": len(found),
        }
        row["at_the_end"] = rate in (size.rates[0], size.rates[-1])
        if len(found) == len(size.seeds):
            row["loss"], row["interval"], _ = interval(found, LEVEL)
            if name != "exact" and len(exact) == len(found):
                level = 1 - (1 - LEVEL) / (len(MAPS) - 1)
                pairs = [a - b for a, b in zip(found, exact, strict=True)]
                row["difference"], row["of_difference"], error = interval(pairs, level)
                freedom = len(pairs) - 1
                row["detectable"] = detectable(error, level, freedom)
                row["differs"] = not row["of_difference"][0] <= 0 <= row["of_difference"][1]
        rows.append(row)
    return rows


def interval(values: list[float], level: float) -> tuple[float, tuple[float, float], float]:
    """Mean, its interval, and its standard error."""
    count = len(values)
    mean = fmean(values)
    error = math.sqrt(sum((x - mean) ** 2 for x in values) / (count - 1) / count)
    half = error * quantile(level, count - 1)
    return mean, (mean - half, mean + half), error


def detectable(error: float, level: float, freedom: int) -> float:
    """The difference at which a test of this level finds one with probability POWER."""
    return error * _shift(level, freedom)


@lru_cache
def _shift(level: float, freedom: int) -> float:
    """In standard errors. The square of a shifted t is a noncentral F, which counts both sides."""
    least = quantile(level, freedom)

    def short(shift: float) -> float:
        return float(stats.ncf.sf(least**2, 1, freedom, shift**2)) - POWER

    return float(optimize.brentq(short, 1e-3, 4 * least))  # pyright: ignore[reportArgumentType]


@lru_cache
def quantile(level: float, freedom: int) -> float:
    """Of Student's t, on both sides."""
    return float(stats.t.ppf((1 + level) / 2, freedom))


def markdown(body: dict[str, Any]) -> str:
    """The tables of what is there."""
    size, parts = size_of(body), []
    for task, data in body["data"].items():
        parts.append(f"**{task}**: {data['about']} (sha256 {data['sha256']})")
        parts.append(_losses(summary(body, task, size)))
        runs = compared(body, task, size)
        if runs:
            parts += [_momenta(runs), _advised(runs)]
    return "\n\n".join(parts)


def compared(body: dict[str, Any], task: str, size: Size) -> dict[str, list[dict[str, Any]]]:
    """Map -> its runs on the new seeds, of those that stayed finite."""
    found = {}
    for name in MAPS:
        rate = chosen_rate(body, task, size, name)
        runs = [body["runs"].get(key_of(task, name, rate, seed)) for seed in size.seeds] if rate else []
        kept = [run for run in runs if run is not None and run["advice"] is not None]
        if kept:
            found[name] = kept
    return found


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _losses(rows: list[dict[str, Any]]) -> str:
    heads = ["map", "products", "rate", "loss, 95 %", "less exact's, 99.2 %", "detectable", "verdict"]
    found = []
    for row in rows:
        rate = "–" if row["rate"] is None else f"{row['rate']:g}"
        loss = difference = least = verdict = "–"
        if "loss" in row:
            loss = f"{row['loss']:.4f} ({row['interval'][0]:.4f} to {row['interval'][1]:.4f})"
        if "difference" in row:
            low, high = row["of_difference"]
            difference = f"{row['difference']:+.4f} ({low:+.4f} to {high:+.4f})"
            least = f"{row['detectable']:.4f}"
            verdict = "differs" if row["differs"] else "no difference shown"
        if row["at_the_end"]:
            rate, verdict = rate + " (an end)", "rate at an end"
        elif row["map"] != "exact" and rows[-1]["at_the_end"]:
            verdict = "exact's rate at an end"
        products = "–" if row["products"] is None else str(row["products"])
        found.append([row["map"], products, rate, loss, difference, least, verdict])
    return _table(heads, found)


def _momenta(runs: dict[str, list[dict[str, Any]]]) -> str:
    """Means over layers and seeds; ρ on the way, the other columns after the last step."""
    steps = [look["step"] for look in next(iter(runs.values()))[0]["momentum"]]
    heads = ["momenta of", f"ρ at step {', '.join(map(str, steps))}", "below 1e-3", "below 1e-4"]
    rows = []
    for name, found in runs.items():
        way = [fmean([run["momentum"][k]["rho"] for run in found]) for k in range(len(steps))]
        last = [run["momentum"][-1] for run in found]
        cells = [f"{100 * fmean([one[key] for one in last]):.1f} %" for key in ("below_1e-3", "below_1e-4")]
        spread = [f"{fmean([one['quantiles'][k] for one in last]):.2g}" for k in (0, 1, 3, 5, 6)]
        rows.append([name, ", ".join(f"{one:.2f}" for one in way), *cells, *spread])
    return _table([*heads, "least σ/‖M‖_F", "10 %", "median", "90 %", "largest"], rows)


def _advised(runs: dict[str, list[dict[str, Any]]]) -> str:
    """advise beside decompositions by NumPy: the worst of all momenta of all runs."""
    every = [run["advice"] for found in runs.values() for run in found]
    heads = ["advise, worst of the momenta", "ρ", "largest σ", "least σ", "share < 1e-3", "share < 1e-4"]
    rows = []
    for word in ("exact", "estimated"):
        worst = {key: max(one[word][key] for one in every) for key in every[0][word]}
        cells = [worst[key] for key in ("rho", "high", "low", "below_1e-3", "below_1e-4")]
        rows.append([word, *(f"{one:.2g}" for one in cells)])
    lines = []
    for k, error in enumerate(one["error"] for one in every[0]["serves"]):
        served = [one["serves"][k] for one in every]
        tables = Counter("none" if one["one"] is None else f"`{one['one']}`" for one in served)
        named = ", ".join(f"{table} {count}×" for table, count in tables.most_common())
        ends = max(one["worst"] for one in served)
        lines.append([f"{error:g}", named, f"{ends:.3g}"])
    return _table(heads, rows) + "\n\n" + _table(["error", "one table for all", "served σ end within"], lines)


def size_of(body: dict[str, Any]) -> Size:
    """Of what the file has; JSON has lists for tuples."""
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in body["size"].items()
    }
    return Size(**fields)

"""Run the tables of the catalogue on many random matrices in their precision, and look for values lost.

Each table of root 2 whose provenance names a half precision runs there, or those named here; the members of
a family share its matrices, and each has an entry. A draw is one spectrum with random arguments, shape, scale
and seed, and at most MEMBERS matrices of its batch; it comes from (seed, digest of the table, number of the
draw) alone. So a run that was stopped goes on where it was, and ends with the same figures as one that was
not. What the environment says of kernels (machines.py) is part of the setting, and each has entries of its
own. Writes figures/stress_defaults.json as it goes; exit code 1 where a result is not finite or a value is
lost: LOST or more beyond the error that was promised.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch
from machines import MORE, ROWS

import polydesign
from polydesign.model import HALF, InputError, Plan, Table, dtype_name
from polydesign.table.catalogue import adaptive_entries, entries, families
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine
from polydesign.verification.samples import Sample
from polydesign.verification.spectra import SPECTRA, sample
from polydesign.verification.sweep import device_name, measure, resolve_device

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "stress_defaults.json"
SIDES = (64, 512)
SCALE = 8
"""Matrices are multiplied by 10^(−SCALE) to 10^SCALE."""

MEMBERS = 4
"""Matrices of a batch that run: more draws show more than more members of one."""

LOST = 0.25
"""Beyond the promised error: more than any rounding excuses (rounding/running.MOST_EXPLAINED)."""

OWN = ("OMP_NUM_THREADS",)
"""Set by the script itself: one thread."""

CHUNK = 16
"""Draws between two writings of the file."""

Line = dict[str, Any]


def log_uniform(draw: random.Random, low: float, high: float) -> float:
    return low * (high / low) ** draw.random()


def number(low: float, high: float) -> Callable[[random.Random, int], str]:
    return lambda draw, _: f"{log_uniform(draw, low, high):.3g}"


ARGUMENTS: dict[str, Callable[[random.Random, int], str]] = {
    "marchenko-pastur": number(0.05, 1),
    "logspace": number(1e-3, 1),
    "levels": number(0.02, 1),
    "rankk": lambda draw, most: str(round(log_uniform(draw, 1, min(32, most)))),
    "tiny": number(1e-30, 1),
    "huge": number(1, 1e30),
    "hippo": lambda draw, _: draw.choice(("legs", "legt")),
    "toeplitz": number(0.05, 0.999),
}
"""Of the spectra that take one, drawn for matrices with so many singular values."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One random case: what `sample` is asked for, the members of its batch that run, as parts of its size,
    and the factor. shape: (rows, columns)."""

    spectrum: str
    shape: tuple[int, int]
    seed: int
    members: tuple[float, ...]
    scale: float


def drawn(seed: int, table_digest: str, index: int, sides: tuple[int, int] = SIDES) -> Draw:
    """Draw number `index` for the table; nothing else enters."""
    draw = random.Random(f"{seed} {table_digest} {index}")
    rows, columns = (round(log_uniform(draw, *sides)) for _ in range(2))
    name = draw.choice(sorted(SPECTRA))
    spectrum = f"{name}:{ARGUMENTS[name](draw, min(rows, columns))}" if name in ARGUMENTS else name
    scale = 10 ** draw.uniform(-SCALE, SCALE)
    return Draw(
        spectrum,
        (rows, columns),
        draw.getrandbits(48),
        tuple(draw.random() for _ in range(MEMBERS)),
        scale,
    )


def matrices(case: Draw, lower: float) -> list[tuple[int, Sample]]:
    """The members that run, one by one, each with its place in the batch."""
    known = sample(case.spectrum, case.shape, seed=case.seed, lower=lower)
    batch = len(known.matrix)
    places = sorted({int(part * batch) for part in case.members})
    return [
        (
            place,
            replace(
                known,
                matrix=known.matrix[place : place + 1] * case.scale,
                U=known.U[place : place + 1],
                sigma=known.sigma[place : place + 1] * case.scale,
                V=known.V[place : place + 1],
            ),
        )
        for place in places
    ]


def examine(table: Table, plan: Plan, device: str, seed: int, sides: tuple[int, int], index: int) -> Line:
    """What draw number `index` shows: one entry a matrix. A worst of None is a result that is not finite."""
    torch.set_num_threads(1)  # sums in another order would be another result
    case = drawn(seed, table.digest, index, sides)
    found = []
    for place, known in matrices(case, table.schedule.interval[0]):
        try:
            run = measure(table, dtype=str(plan.dtype), matrix=known, device=device, plan=plan)
        except InputError as problem:
            if problem.field != "spectrum":
                raise
            continue  # no singular value is on the interval, which a table that divides by ν₄ begins higher
        found.append({"place": place, "worst": run.worst, "allowed": run.allowed, "holds": run.holds})
    return {"index": index, "case": asdict(case), "found": found}


def kernels() -> str:
    """What is set of those that machines.py knows, as its rows say it; "" for nothing."""
    names = dict.fromkeys(name for row in (*ROWS, *MORE) for name in row.environment)
    return " ".join(f"{name}={os.environ[name]}" for name in names if name in os.environ and name not in OWN)


def begun(table: Table, plan: Plan, device: torch.device, seed: int, sides: tuple[int, int]) -> Line:
    """The entry of a table before its first draw. What is in `setting` decides the figures."""
    return {
        "table": table.name,
        "setting": {
            "digest": table.digest,
            "normalization": table.normalization,
            "dtype": plan.dtype,
            "form": plan.form,
            "restarts": None if plan.restarts is None else list(plan.restarts),
            "seed": seed,
            "sides": list(sides),
            "spectra": sorted(SPECTRA),
            "device": device_name(device),
            "kernels": kernels(),
            "torch": torch.__version__,
            "polydesign": polydesign.__version__,
        },
        "promised": table.schedule.error,
        "draws": 0,
        "matrices": 0,
        "worst": 0.0,
        "worst_at": None,
        "above_allowed": 0,
        "lost": 0,
        "not_finite": 0,
        "not_finite_at": None,
        "spectra": {},
    }


def added(entry: Line, shown: Line) -> Line:
    """The entry with one more draw; draws come in order.

    worst: of the finite results. bad, above_allowed: those for which `holds` of the measurement is False.
    """
    assert shown["index"] == entry["draws"]
    case = shown["case"]
    entry = {**entry, "draws": entry["draws"] + 1, "spectra": dict(entry["spectra"])}
    kind = case["spectrum"].partition(":")[0]
    for one in shown["found"]:
        at = {key: case[key] for key in ("spectrum", "shape", "seed", "scale")}
        at |= {"draw": shown["index"], "place": one["place"], "allowed": one["allowed"]}
        of_kind = dict(entry["spectra"].get(kind, {"matrices": 0, "worst": 0.0, "bad": 0}))
        of_kind["matrices"] += 1
        of_kind["bad"] += not one["holds"]
        entry["matrices"] += 1
        entry["above_allowed"] += not one["holds"]
        if one["worst"] is None:
            entry["not_finite"] += 1
            entry["not_finite_at"] = entry["not_finite_at"] or at
        else:
            entry["lost"] += one["worst"] >= entry["promised"] + LOST
            of_kind["worst"] = max(of_kind["worst"], one["worst"])
            if one["worst"] > entry["worst"]:
                entry |= {"worst": one["worst"], "worst_at": at}
        entry["spectra"][kind] = of_kind
    return entry


@contextmanager
def workers(processes: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """map, in this process or in several; spawned, since a fork of a process with CUDA or threads hangs."""
    if processes == 1:
        threads = torch.get_num_threads()
        yield map
        torch.set_num_threads(threads)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool.map


def plan_of(table: Table, dtype: str | None) -> Plan:
    """The precision and form that the table was made for; dtype replaces the former."""
    chosen = dtype or table.dtype
    if chosen is None:
        raise InputError("dtype", f"{table.name} does not say which it is for: add --dtype")
    return Plan(dtype_name(chosen), form=table.form)


def alone(table: Table) -> list[tuple[Table, int]]:
    """The members of a family as tables of their own, each with how many share the matrices."""
    parts = 1 + len(table.members)
    return [(one, parts) for one in (replace(table, members=()), *table.members)]


def defaults() -> list[str]:
    """Tables for the sign made for a half precision, with adaptive ones and families, without unsafe ones."""
    return [
        one.name
        for one in (*entries(), *adaptive_entries(), *families())
        if one.purpose == "sign" and one.dtype in HALF and one.standing() != "unsafe"
    ]


def read(path: Path) -> dict[str, Line]:
    """Entries by table, precision and kernels."""
    if not path.exists():
        return {}
    known = json.loads(path.read_text(encoding="utf-8"))["tables"]
    return {key_of(entry["table"], entry["setting"]): entry for entry in known}


def key_of(table: str, setting: Line) -> str:
    return f"{table} {setting['dtype']} {setting['kernels']}".strip()


def summary(entry: Line) -> str:
    where = entry["worst_at"] or {"spectrum": "no matrix", "shape": (0, 0)}
    rows, columns = where["shape"]
    return (
        f"{entry['table']} {entry['setting']['dtype']}: {entry['matrices']} matrices, worst "
        f"{entry['worst']:.4g} ({where['spectrum']}, {rows}x{columns}), promised {entry['promised']:.4g}; "
        f"{entry['above_allowed']} above what is allowed, {entry['lost']} lost, "
        f"{entry['not_finite']} not finite"
    )


@click.command(help=__doc__)
@click.argument("tables", nargs=-1, metavar="[FILE_OR_NAME]...")
@click.option("--count", default=200, show_default=True, help="Matrices a table, at least.")
@click.option("--most-used", default="", help="Names with commas between, which get --most-count.")
@click.option("--most-count", default=2000, show_default=True)
@click.option("--dtype", help="[default: the one that each table was made for]")
@click.option("--seed", default=0, show_default=True)
@click.option("--sides", nargs=2, type=int, default=SIDES, show_default=True, help="Least and largest side.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--minutes", default=math.inf, help="Then it stops; the same command goes on.")
@click.option("--processes", default=2, show_default=True)
@click.option("-o", "--output", type=Path, default=OUTPUT, help="[default: figures/stress_defaults.json]")
def main(
    tables: tuple[str, ...],
    count: int,
    most_used: str,
    most_count: int,
    dtype: str | None,
    seed: int,
    sides: tuple[int, int],
    device: str,
    minutes: float,
    processes: int,
    output: Path,
) -> None:
    end = time.monotonic() + 60 * minutes
    favourites = [name.strip() for name in most_used.split(",") if name.strip()]
    names = list(dict.fromkeys([*(tables or defaults()), *favourites]))
    try:
        place = resolve_device(device)
        loaded = [(name, one, parts) for name in names for one, parts in alone(polydesign.load(name))]
        plans = [plan_of(table, dtype) for _, table, _ in loaded]
    except InputError as problem:
        raise click.ClickException(str(problem)) from problem
    kept = read(output)
    keys = [
        key_of(table.name, {"dtype": plan.dtype, "kernels": kernels()})
        for (_, table, _), plan in zip(loaded, plans, strict=True)
    ]
    with workers(processes) as run:
        for key, (name, table, parts), plan in zip(keys, loaded, plans, strict=True):
            entry = begun(table, plan, place, seed, sides)
            if key in kept and kept[key]["setting"] == entry["setting"]:
                entry = kept[key]
            wanted = math.ceil((most_count if name in favourites else count) / parts)
            work = partial(examine, table, plan, str(place), seed, sides)
            while entry["matrices"] < wanted and time.monotonic() < end:
                for shown in run(work, range(entry["draws"], entry["draws"] + CHUNK)):
                    if entry["matrices"] < wanted:  # what was begun beyond it is not part of the run
                        entry = added(entry, shown)
                kept[key] = {**entry, "wanted": wanted, "machine": machine()}
                body = {"lost": LOST, "tables": list(kept.values())}
                write_atomically(output, json.dumps(body, indent=1, ensure_ascii=False) + "\n")
            click.echo(summary(entry) + ("" if entry["matrices"] >= wanted else f"; {wanted} were wanted"))
    run_now = [kept[key] for key in keys if key in kept]
    sys.exit(1 if any(entry["lost"] or entry["not_finite"] for entry in run_now) else 0)


if __name__ == "__main__":
    main()

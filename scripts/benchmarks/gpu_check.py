"""What a GPU has to show, in one run of minutes: the tables keep their promise there, and what they cost.

Default tables of msign in each precision on the default spectra; root tables beside a float64 decomposition
and beside the CPU; times beside SVD, Muon and the listing of Polar Express. Writes JSON lines, a piece a
line, the machine first; what the time did not allow is a line of kind "skipped". Exit code 1 where a promise
does not hold or something failed to run. On a machine without GPU: --device cpu --small.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import torch
from torch._dynamo.utils import counters

import polydesign
from polydesign.model import InputError, Plan
from polydesign.runtime import defaults, inverse_root_with_info, msign
from polydesign.text.files import write_atomically
from polydesign.verification.bench import bench, matrices, worst_deviation
from polydesign.verification.machine import machine
from polydesign.verification.spectra import DEFAULT_SPECTRA, from_matrix
from polydesign.verification.sweep import measure, resolve_device

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "gpu_check.jsonl"
Line = dict[str, Any]

BENCHES = [  # shape, batch, contestants; svd takes seconds a call at 4096²
    ((1024, 1024), 1, None),
    ((4096, 4096), 1, ("unchecked", "gram", "muon", "polar-express")),
    ((1024, 4096), 8, ("unchecked", "gram", "muon", "polar-express")),
]
SMALL_BENCHES = [((64, 64), 1, None), ((32, 64), 2, ("unchecked", "gram", "muon", "polar-express"))]


HIGHER = [  # degrees 9 and 17, in Chebyshev programs
    ("sign-d9x4-l1e-3-h1.015-f0.12x3-0", "bfloat16"),
    ("sign-d9x4-l1e-3-h1.005-f0.06x3-0", "float16"),
    ("sign-d17x3-l1e-3-h1.005-f0.1x2-0", "float16"),
]


def verified(
    name: str, dtype: str, spectrum: str, shape: tuple[int, int], device: str, plan: Plan | None = None
) -> list[Line]:
    table = polydesign.load(name)
    found = measure(table, shape=shape, dtype=dtype, spectrum=spectrum, device=device, plan=plan)
    body = asdict(replace(found, map=None))
    del body["map"]
    return [{"kind": "verify", **body}]


def compiled(dtype: str, shape: tuple[int, int], device: str) -> list[Line]:
    """msign through torch.compile: the largest difference from the eager one, the graphs of two tables."""
    counters.clear()
    M = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device, getattr(torch, dtype))
    worst, promised = 0.0, 0.0
    for lower in (1e-3, 2e-3):
        table = polydesign.design(degree=(5, 9, 9, 9), lower=lower, dtype=dtype)
        eager, fast = (msign(M, table, Plan(compile=chosen)).double() for chosen in (False, True))
        worst, promised = max(worst, (eager - fast).abs().max().item()), table.schedule.error
    graphs = counters["stats"]["unique_graphs"]
    return [
        {"kind": "compile", "dtype": dtype, "shape": list(shape), "device": device, "graphs": graphs}
        | {"worst": worst, "promised": promised}
    ]


def root_checked(root: int, dtype: str, size: int, device: str) -> list[Line]:
    """P^(−1/r) on the device and on the CPU: largest relative error of eigenvalues on the promised range."""
    table = polydesign.load(defaults.DEFAULT_TABLES[root, dtype])
    P = matrices("inverse_root", (size, size), 1, dtype=dtype, seed=0)
    known = from_matrix(P, "P")
    line: Line = {"kind": "root", "root": root, "table": table.name, "dtype": dtype, "size": size}
    line |= {"device": device, "promised": table.schedule.error}
    for key, place in (("worst", device), ("worst_on_cpu", "cpu")):
        R, info = inverse_root_with_info(P.to(place), root, table=table, plan=Plan(dtype=dtype, check=False))
        X = R.to("cpu", torch.float64)
        finite = bool(torch.isfinite(X).all())
        line[key] = worst_deviation(X, "inverse_root", table, known) if finite else None
        line[key.replace("worst", "residual")] = float(info.residual) if finite else None
    return [line]


def timed(
    dtype: str, case: tuple[Any, ...], rounds: int, device: str, left: Callable[[], float]
) -> list[Line]:
    shape, batch, beside = case
    budget = max(1.0, min(30.0, left() / 2))
    found = bench(
        shape=shape, batch=batch, dtype=dtype, device=device, rounds=rounds, beside=beside, seconds=budget
    )
    return [{"kind": "bench", **timing.as_json()} for timing in found]


def pieces(device: str, small: bool, left: Callable[[], float]) -> list[tuple[str, Callable[[], list[Line]]]]:
    """Name and work of everything to be done; names of like work begin alike."""
    shape, size, rounds = ((48, 80), 48, 3) if small else ((512, 1024), 512, 30)
    found: list[tuple[str, Callable[[], list[Line]]]] = [
        (
            f"verify {name} {dtype} {spectrum}",
            lambda n=name, d=dtype, s=spectrum: verified(n, d, s, shape, device),
        )
        for name, dtype in [*((n, d) for d, n in defaults.SIGN.items()), *HIGHER]
        for spectrum in DEFAULT_SPECTRA
    ]
    found += [
        (
            f"verify {table} {dtype} {spectrum} in the gram form",
            lambda n=table, d=dtype, s=spectrum: verified(n, d, s, shape, device, Plan(form="gram")),
        )
        for dtype, table in defaults.SIGN.items()
        for spectrum in ("gaussian", "rank2", "levels:0.1")
    ]
    if device != "cpu" or shutil.which("g++"):  # on a CPU, inductor needs a C++ compiler
        found += [
            (f"compile {dtype}", lambda d=dtype: compiled(d, shape, device))
            for dtype in ("bfloat16", "float32")
        ]
    found += [
        (f"root {root} {dtype}", lambda r=root, d=dtype: root_checked(r, d, size, device))
        for root in (1, 2, 4)
        for dtype in ("float32", "bfloat16")
    ]
    found += [
        (
            f"bench {case[0][0]}x{case[0][1]} {dtype}",
            lambda c=case, d=dtype: timed(d, c, rounds, device, left),
        )
        for case in (SMALL_BENCHES if small else BENCHES)
        for dtype in ("bfloat16", "float16")
    ]
    return found


def on(device: str) -> Line:
    place = resolve_device(device)
    line: Line = {"kind": "machine", "device": str(place), "torch": torch.__version__, **machine()}
    if place.type == "cuda":
        line |= {"device_name": torch.cuda.get_device_name(place), "cuda": torch.version.cuda}
        line |= {"capability": list(torch.cuda.get_device_capability(place))}
    return line | {"polydesign": polydesign.__version__, "threads": torch.get_num_threads()}


def failed(line: Line) -> bool:
    """Whether this line says that something is wrong (a rival's failure is not ours)."""
    return (
        line["kind"] == "failed"
        or (line["kind"] == "verify" and not line["holds"])
        or (line["kind"] == "root" and line["worst"] is None)
        or (line["kind"] == "compile" and not (line["graphs"] == 1 and line["worst"] <= line["promised"]))
        or (line["kind"] == "bench" and line["name"] == "polydesign" and line["problem"] is not None)
    )


def summary(line: Line) -> str:
    match line["kind"]:
        case "verify":
            return f"worst {line['worst']}, promised {line['promised']:.3g}, holds: {line['holds']}"
        case "compile":
            return (
                f"compiled and eager differ by {line['worst']:.2g}; {line['graphs']} graph(s) for two tables"
            )
        case "root":
            return (
                f"worst {line['worst']}, on the CPU {line['worst_on_cpu']}, promised {line['promised']:.3g}"
            )
        case "bench":
            times = f"median {line['median']} s, ratio {line['ratio']}, worst {line['worst']}"
            return f"{line['name']}: {line['problem'] or times}"
        case _:
            return f"{line['kind'].upper()}: {line['why']}"


@click.command(help=__doc__)
@click.option("--device", default="cuda", show_default=True)
@click.option("--small", is_flag=True, help="Tiny matrices: to try the script.")
@click.option("--seconds", default=420.0, show_default=True, help="What no longer fits is skipped.")
@click.option("-o", "--output", type=Path, default=OUTPUT, help="[default: figures/gpu_check.jsonl]")
def main(device: str, small: bool, seconds: float, output: Path) -> None:
    start = time.monotonic()
    try:
        lines = [on(device)]
    except InputError as problem:
        raise click.ClickException(f"--{problem}") from problem
    longest: dict[str, float] = {}

    def left() -> float:
        return seconds - (time.monotonic() - start)

    for name, work in pieces(device, small, left):
        kind, before = name.split()[0], left()
        if before < longest.get(kind, 0.0) or before <= 0:
            found = [{"kind": "skipped", "what": name, "why": f"{max(before, 0):.0f} s were left"}]
        else:
            try:
                found = work()
            except Exception as problem:  # the other pieces are worth having
                found = [
                    {"kind": "failed", "what": name, "why": f"{type(problem).__name__}: {problem}"[:300]}
                ]
            longest[kind] = max(longest.get(kind, 0.0), before - left())
        lines += found
        for line in found:
            click.echo(f"{name}: {summary(line)}")
        # After every piece, so that a run that is cut short leaves what it has.
        write_atomically(output, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    bad = sum(map(failed, lines))
    skipped = sum(line["kind"] == "skipped" for line in lines)
    click.echo(
        f"{len(lines) - 1} lines in {output}; {bad} wrong, {skipped} pieces skipped; {seconds - left():.0f} s"
    )
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

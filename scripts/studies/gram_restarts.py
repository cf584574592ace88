"""The gram form with every set of restarts, measured beside the simulation that chooses them.

First the spurious eigenvalues of a computed X Xᵀ: the most negative one, in units of u·‖X‖², over the spectra
and over every step of the tables. Then the worst |σ − 1| on the promised range, direct form and gram form.
The spectrum `levels` finds what the others miss. Writes figures/gram_restarts.json.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import click
import torch

import polydesign
from polydesign.model import DTYPES, InputError, Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.gram import SPURIOUS, choose_restarts, every, limit, shift, simulate
from polydesign.runtime import Plan, msign_with_info, ops
from polydesign.runtime.execute import direct
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine
from polydesign.verification.metrics import deviation
from polydesign.verification.spectra import Sample, sample

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "gram_restarts.json"
SPECTRA = ("gaussian", "logspace:1e-2", "logspace:1e-3", "rank1", "rank2")
PARTS = (0.03, 0.1, 0.5)
EVERY_SET, CHOSEN_ONLY = ((32, 256), (128, 512)), ((256, 1024),)
HIGHER = {
    "d9x4": {"degree": 9, "steps": 4, "headroom": 1.015, "image_floor": (0.12, 0.12, 0.12, 0)},
    "d17x3": {"degree": 17, "steps": 3, "headroom": (1.05, 1.05, 1.03), "image_floor": (0.2, 0.2, 0)},
}


def tables(dtype: str) -> list[Table]:
    short = "fp16" if dtype == "float16" else "bf16"
    quintics = [polydesign.load(f"sign-d5x{steps}-l1e-3-{short}") for steps in (5, 6)]
    return quintics + [polydesign.design(**keywords, name=name) for name, keywords in HIGHER.items()]


def samples(shape: tuple[int, int]) -> list[Sample]:
    found = [sample(f"levels:{part}", shape) for part in PARTS]
    for name in SPECTRA:
        known = sample(name, shape)
        few = slice(None, None, 4)  # of the 16 matrices of rank 1 and 2
        found.append(Sample(name, known.matrix[few], known.U[few], known.sigma[few], known.V[few]))
    return found


def spurious(table: Table, known: Sample, dtype: str) -> float:
    """The most negative eigenvalue of X Xᵀ as computed, before any step, in units of u·‖X‖₂²."""
    worst = 0.0
    few = known.matrix[::4]
    X = (few / torch.linalg.matrix_norm(few)[:, None, None]).to(getattr(torch, dtype))
    for step in table.schedule.steps:
        R = ops.sym_mm(X, X.mT).double()
        values = torch.linalg.eigvalsh((R + R.mT) / 2)
        worst = max(worst, (-values[:, 0] / values[:, -1]).max().item())
        X = direct(X, [step])
    return worst / UNIT_ROUNDOFF[dtype]


def worst(table: Table, known: Sample, plan: Plan) -> float:
    X, info = msign_with_info(known.matrix, table, replace(plan, check=False))
    if not torch.isfinite(X).all():
        return float("inf")
    inside = known.sigma / info.norm[:, None] >= table.schedule.interval[0] * (1 - 1e-12)
    return deviation(X.double(), known.U, known.V, inside).worst or 0.0


def measured(table: Table, dtype: str, shapes: dict[tuple[int, int], list[Sample]]) -> list[dict]:
    """One row a set of restarts; `lost`: by how much gram is worse than direct form and promise, the most."""
    schedule = table.schedule
    most = limit(schedule, dtype)
    try:
        chosen = choose_restarts(schedule, dtype)
    except InputError as refusal:
        click.echo(refusal)
        chosen = None
    places, rows = every(schedule), []
    alone = {
        (shape, known.name): worst(table, known, Plan(dtype=dtype))
        for shape, group in shapes.items()
        for known in group
    }
    for restarts in (one for n in range(len(places) + 1) for one in combinations(places, n)):
        simulated = simulate(schedule, restarts, shift(dtype))
        plan = Plan(dtype=dtype, form="gram", restarts=restarts)
        errors = {
            (shape, known.name): worst(table, known, plan)
            for shape, group in shapes.items()
            if shape in EVERY_SET or restarts == chosen
            for known in group
        }
        lost = {key: max(0.0, error - max(alone[key], schedule.error)) for key, error in errors.items()}
        where = max(lost, key=lambda key: lost[key])
        row = {
            "table": table.name,
            "dtype": dtype,
            "restarts": list(restarts),
            "chosen": restarts == chosen,
            "condition": simulated.condition,
            "simulated": simulated.error,
            "within": simulated.error <= most,
            "limit": most,
            "lost": lost[where],
            "where": f"{where[0][0]}x{where[0][1]} {where[1]}",
            "lost_without_levels": max(v for (_, name), v in lost.items() if "levels" not in name),
        }
        rows.append({key: str(v) if v in (float("inf"),) else v for key, v in row.items()})
        click.echo(
            f"{table.name:22} {DTYPES[dtype]} {restarts!s:16} {'*' if row['chosen'] else ' '} cond "
            f"{row['condition']:.3g}  simulated {row['simulated']:.2g} of {most:.2g}  lost {row['lost']:.2g} "
            f"({row['where']}; else {row['lost_without_levels']:.2g})"
        )
    return rows


@click.command(help=__doc__)
def main() -> None:
    shapes = {shape: samples(shape) for shape in EVERY_SET + CHOSEN_ONLY}
    shifts, rows = {}, []
    for dtype in DTYPES:
        shifts[dtype] = {
            f"{shape[0]}x{shape[1]}": max(
                spurious(t, known, dtype) for t in tables(dtype)[1:] for known in group
            )
            for shape, group in shapes.items()
        }
        click.echo(f"{dtype}: spurious {shifts[dtype]}, taken {SPURIOUS[dtype]}")
    for dtype in list(DTYPES)[:3]:
        for table in tables(dtype):
            rows += measured(table, dtype, shapes)
    for dtype in list(DTYPES)[:3]:
        kept, refused = (
            [float(r["lost"]) for r in rows if r["dtype"] == dtype and r["within"] is within]
            for within in (True, False)
        )
        as_good = sum(lost <= max(kept) for lost in refused)
        click.echo(
            f"{dtype}: {len(kept)} sets within the limit lost at most {max(kept):.2g}; of {len(refused)} "
            f"beyond it, {as_good} lost no more than that"
        )
    body = {"machine": machine(), "torch": torch.__version__, "spurious": shifts, "runs": rows}
    write_atomically(OUTPUT, json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()

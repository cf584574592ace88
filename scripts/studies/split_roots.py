"""Inverse roots with a precision a step, Plan(precision=("split", "bf16")), beside those in one precision.

P has known eigenvalues, the least at 1e-4 of its Frobenius norm, where the tables begin: ten spectra, with
eigenvectors at random and from families whose roundings agree (Hadamard, reflections a·I + b·J, Kronecker
products, cosines, none), sides 8 to 160; and a hunt, which changes spectra and eigenvectors of the worst
matrices and keeps what is worse. The error is the largest |value − 1| of an eigenvalue of the result over
the exact one; lost is one of more than 0.5, or no number. All of it by the kernels of the processor as it is
and by the slowest ones. "without" is P ← P Wʳ in place of P ← H P H. Writes figures/split_roots.json.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import machines
import torch
from scipy.fft import dct
from scipy.linalg import hadamard
from torch import Tensor

from polydesign.model import DTYPES, Plan, Schedule
from polydesign.runtime import InverseRoot
from polydesign.runtime.root_evidence import between
from polydesign.runtime.stepwise import LOWEST, split_table, stepwise
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "split_roots.json"
ROOTS = (2, 4, 6, 8)
SIDES = (8, 24, 64, 160)
LOST = 0.5
KERNELS = ("as it is", "slowest")
WAYS = ("split", "plain", "without")
F64 = torch.float64


def spectra(n: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Eigenvalues by name, before the least is put where the tables begin."""
    i = torch.arange(1, n + 1, dtype=F64)
    found = {
        "log": LOWEST ** ((i - 1) / (n - 1)),
        "half": torch.where(i <= n // 2, 1.0, LOWEST).to(F64),
        "all but one": torch.where(i < n, 1.0, LOWEST).to(F64),
        "one": torch.where(i == 1, 1.0, LOWEST).to(F64),
        "three": torch.where(i <= 3, 1.0, LOWEST).to(F64),
        "1/i": 1 / i,
        "1/i²": 1 / i**2,
        "levels": LOWEST ** ((i % 4) / 3),
    }
    for name in ("random", "random 2"):
        found[name] = LOWEST ** torch.rand(n, generator=generator, dtype=F64)
    return {name: placed(values) for name, values in found.items()}


def placed(values: Tensor) -> Tensor:
    """The least at LOWEST of the norm, those below it raised to that, and the norm 1."""
    values = values / values.norm()
    least = values.argmin()
    for _ in range(50):
        values = values.clone()
        values[least] = 0
        values = values.clamp(min=LOWEST * values.norm())
        values = values / values.norm()
    return values.clamp(min=LOWEST)


def vectors(n: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Orthogonal matrices by name."""
    one = torch.full((n, 1), n**-0.5, dtype=F64)
    eye = torch.eye(n, dtype=F64)
    small = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=F64)).Q.contiguous()
    found = {
        "random": torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=F64)).Q,
        "none": eye,
        "reflection": eye - 2 * one @ one.mT,
        "cosines": torch.from_numpy(dct(eye.numpy(), norm="ortho")),
        "blocks": torch.kron(torch.eye(n // 4, dtype=F64), small),
        "blocks of cosines": torch.kron(
            small, torch.from_numpy(dct(torch.eye(n // 4, dtype=F64).numpy(), norm="ortho"))
        ),
    }
    if n & (n - 1) == 0:
        found["Hadamard"] = torch.from_numpy(hadamard(n)).to(F64) / n**0.5
    return found


def matrices(sides: tuple[int, ...]) -> Iterator[tuple[str, Tensor, Tensor]]:
    for n in sides:
        generator = torch.Generator().manual_seed(n)
        for kind, V in vectors(n, generator).items():
            for name, values in spectra(n, generator).items():
                yield f"{name}, {kind}, {n}", V, values


def made(V: Tensor, values: Tensor) -> Tensor:
    P = (V * values) @ V.mT
    return ((P + P.mT) / 2).float()


def off(found: Tensor, V: Tensor, values: Tensor, root: int) -> float:
    """The largest relative error of an eigenvalue; infinite where it is lost to infinity."""
    if not torch.isfinite(found).all():
        return math.inf
    R = V * values ** (0.5 / root)
    C = R.mT @ found.double() @ R
    return (torch.linalg.eigvalsh((C + C.mT) / 2) - 1).abs().max().item()


class Tried:
    """What a way of running loses: of all matrices, the worst, and how many were lost."""

    def __init__(self) -> None:
        self.worst, self.where, self.lost, self.tried, self.residual = 0.0, "", 0, 0, 0.0

    def add(self, error: float, where: str, residual: float = 0.0) -> None:
        self.tried += 1
        self.lost += error > LOST
        self.residual = max(self.residual, residual)
        if error > self.worst:
            self.worst, self.where = error, where

    def row(self) -> dict[str, Any]:
        worst = None if math.isinf(self.worst) else float(f"{self.worst:.3g}")
        return {
            "error": worst,
            "where": self.where,
            "lost": self.lost,
            "tried": self.tried,
            "residual": float(f"{self.residual:.3g}"),
        }


def without(P: Tensor, schedule: Schedule, dtype: str) -> Tensor:
    """stepwise with P ← P Wʳ: what the symmetric update is for."""
    from polydesign.runtime import stepwise as module

    state, G = getattr(torch, dtype), None
    for index, step in enumerate(schedule.steps):
        word = "split" if index == 0 else dtype
        W = module.inner(step.program, P, module._Stepwise(state))
        W = W if index == 0 else W.to(state).float()
        G = W if G is None else module._times(G, W, word)
        H = W
        for _ in range(schedule.root - 1):
            H = module._times(H, W, word)
        P = module._times(P, H, word)
    assert G is not None
    return G


def hunted(root: int, dtype: str, rounds: int) -> Tried:
    """Climb from random matrices: change an eigenvalue, some, or the eigenvectors, and keep what is worse."""
    generator, schedule = torch.Generator().manual_seed(root), split_table(root, dtype).schedule
    found, state = Tried(), getattr(torch, dtype)

    def drawn(n: int) -> tuple[Tensor, Tensor]:
        kinds = list(vectors(n, generator).values())
        V = kinds[int(torch.randint(len(kinds), (1,), generator=generator))]
        return V, placed(LOWEST ** torch.rand(n, generator=generator, dtype=F64))

    def error(V: Tensor, values: Tensor) -> float:
        P = made(V, values)
        G = stepwise(P, schedule, ("split", dtype), state).G
        value = off(G, V, values, root)
        seen = between(P, G, root, 0.0, 0.0).residual.item()
        found.add(value, f"hunt, {len(values)}", seen)
        return value

    for start in range(8):
        n = (8, 16, 32, 16)[start % 4]
        best = max((drawn(n) for _ in range(4)), key=lambda one: error(*one))
        most = error(*best)
        for _ in range(rounds):
            V, values = best
            draw = torch.rand(3, generator=generator, dtype=F64).tolist()
            if draw[0] < 0.6:
                values = values.clone()
                count = 1 + int(draw[1] * 3)
                which = torch.randint(n, (count,), generator=generator)
                values[which] = LOWEST ** torch.rand(count, generator=generator, dtype=F64)
                values = placed(values)
            elif draw[0] < 0.8:
                values = placed(values ** (0.8 + 0.4 * draw[1]))
            else:
                turn = torch.randn(n, n, generator=generator, dtype=F64) * 0.3 * draw[1]
                V = torch.linalg.qr(V + turn / n**0.5).Q
            value = error(V, values)
            if value > most:
                best, most = (V, values), value
    return found


def measured(rounds: int, roots: tuple[int, ...], sides: tuple[int, ...]) -> list[dict[str, Any]]:
    """What these kernels do."""
    rows = []
    for root in roots:
        for dtype in ("bfloat16", "float16"):
            split = InverseRoot(
                root, plan=Plan(dtype, precision=("split", dtype), check="input", out_dtype="float32")
            )
            plain = InverseRoot(root, plan=Plan(dtype, check="input", out_dtype="float32"))
            schedule = split_table(root, dtype).schedule
            ways: dict[str, Tried] = {name: Tried() for name in WAYS}
            products = {}
            for where, V, values in matrices(sides):
                P = made(V, values)
                run = split.run(P)
                ways["split"].add(off(run.result, V, values, root), where, run.residual.item())
                ways["plain"].add(off(plain(P), V, values, root), where)
                ways["without"].add(off(without(P, schedule, dtype), V, values, root), where)
                if not products:
                    products = {"split": run.matmuls, "plain": plain.run(P).matmuls}
            ways["hunted"] = hunted(root, dtype, rounds)
            for name, tried in ways.items():
                how = {"root": root, "dtype": dtype, "way": name, "products": products.get(name)}
                rows.append(how | tried.row())
    return rows


def markdown(body: dict[str, Any]) -> str:
    """The page's table: a row a root and precision, the worst of all kernels."""
    head = ["root", "precision", "products", "worst", "hunted", "plain: products", "worst", "lost"]
    lines = [f"| {' | '.join(head)} |", "|---:|---" + "|---:" * (len(head) - 2) + "|"]
    for key in dict.fromkeys((one["root"], one["dtype"]) for one in body["rows"]):
        rows = [one for one in body["rows"] if (one["root"], one["dtype"]) == key]
        split, hunt, plain = (
            [one for one in rows if one["way"] == way] for way in ("split", "hunted", "plain")
        )

        def worst(ways: list[dict[str, Any]]) -> str:
            found = [one["error"] for one in ways]
            return "not finite" if None in found else f"{max(found):.2g}"

        lost = f"{max(one['lost'] for one in plain)} of {plain[0]['tried']}"
        cells = [key[0], DTYPES[key[1]], split[0]["products"], worst(split), worst(hunt)]
        cells += [plain[0]["products"], worst(plain), lost]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option("--rounds", default=40, show_default=True, help="Of each climb of a hunt.")
@click.option("--small", is_flag=True, help="A few small ones: to try the script.")
@click.option("--kernel", is_flag=True, help="Print what these kernels do, for the script's own processes.")
@click.option("-o", "--output", type=Path, default=OUTPUT, help="[default: figures/split_roots.json]")
def main(rounds: int, small: bool, kernel: bool, output: Path) -> None:
    rounds, roots, sides = (2, (4,), (8,)) if small else (rounds, ROOTS, SIDES)
    if kernel:
        print(json.dumps(measured(rounds, roots, sides)))
        return
    known = {row.name: row for row in machines.ROWS}
    rows = []
    for name in KERNELS[:1] if small else KERNELS:
        if known[name].lacking():
            click.echo(f"{name}: {known[name].lacking()}", err=True)
            continue
        command = [sys.executable, os.fspath(Path(__file__)), "--kernel", "--rounds", str(rounds)]
        command += ["--small"] if small else []
        done = subprocess.run(
            command, env=known[name].variables(), capture_output=True, text=True, check=True
        )
        rows += [{"kernels": name} | row for row in json.loads(done.stdout)]
        click.echo(f"measured: {name}", err=True)
    body = {"lowest": LOWEST, "lost_above": LOST, "machine": machine(), "torch": torch.__version__}
    write_atomically(output, json.dumps(body | {"rows": rows}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

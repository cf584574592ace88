"""What rounding does to U Σᵖ Vᵀ and to the soft clip, beside decompositions in float64.

Eleven kinds of matrices, some of few different entries, sides 12 to 256, the least singular value at, above
and far above where the tables begin. Of the power the largest relative error of a promised value, beside
what the table promises, in units of u·L^max(1, 1 − p), 1/L the least σ/ν that is promised for; and of the
residual that a call looks at. Of the soft clip, c from 0.01 to 10 times the largest σ, the largest error in
the spectral norm over c. Writes figures/spectral_powers.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from polydesign.model import Plan
from polydesign.runtime import SoftClip, SpectralPower
from polydesign.runtime.powers import ROUNDINGS, rounding_of
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine
from polydesign.verification.metrics import softly_clipped, spectral

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "spectral_powers.json"
SHAPES = ((64, 96), (128, 64), (256, 256), (12, 20))
POWERS = (0.125, 0.5, 0.75, 0.0, -0.5, -0.875)
LEAST = {"float32": (1e-3, 4e-3, 3e-2), "float64": (1e-5, 1e-3)}
CLIPS = (0.01, 0.1, 1.0, 10.0)
F64 = torch.float64


def matrices(shape: tuple[int, int], least: float) -> Iterator[tuple[str, Tensor]]:
    m, n = shape
    k, generator = min(m, n), torch.Generator().manual_seed(m + n)
    U, V = (torch.linalg.qr(torch.randn(side, k, generator=generator, dtype=F64)).Q for side in shape)
    i = torch.arange(1, k + 1, dtype=F64)
    values = {
        "log": least ** ((i - 1) / (k - 1)),
        "two large": torch.where(i <= 2, 1.0, least).to(F64),
        "two small": torch.where(i > k - 2, least, 1.0).to(F64),
        "rank 3": (i <= 3).to(F64),
        "rank 6": (i <= 3).to(F64) + least * ((i > 3) & (i <= 6)).to(F64),
        "1/i": 1 / i,
        "1/i²": 1 / i**2,
    }
    for name, sigma in values.items():
        yield name, (U * sigma) @ V.mT
    yield "gaussian", torch.randn(m, n, generator=generator, dtype=F64)
    yield "ones", torch.ones(m, n, dtype=F64)
    yield "a·I + b·J", torch.eye(m, n, dtype=F64) * least + 1
    small = torch.randn(4, 4, generator=generator, dtype=F64)
    yield "blocks", torch.kron(torch.ones(m // 4, n // 4, dtype=F64), small)


def of_power(p: float, dtype: str, shapes: tuple[tuple[int, int], ...]) -> dict[str, Any]:
    one = SpectralPower(p, plan=Plan(dtype=dtype, check="input"))
    schedule = one.resolved(dtype).table.schedule
    unit = rounding_of(schedule, one.power, dtype) / ROUNDINGS[dtype]
    worst: dict[str, Any] = {"error": 0.0, "where": "", "units": 0.0, "residual_units": 0.0, "tried": 0}
    products = 0
    for shape in shapes:
        for least in LEAST[dtype]:
            for name, M in matrices(shape, least):
                A = M.to(getattr(torch, dtype))
                run = one.run(A)
                U, sigma, Vt = torch.linalg.svd(A.double(), full_matrices=False)
                keep = sigma >= run.interval[0]
                C = (U.mT @ run.result.double() @ Vt.mT)[keep][:, keep] / sigma[keep] ** p
                products = run.matmuls
                error = (torch.linalg.svdvals(C) - 1).abs().max().item()
                worst["tried"] += 1
                if error > worst["error"]:
                    worst |= {"error": error, "where": f"{name}, {shape[0]} x {shape[1]}, {least:g}"}
                worst["units"] = max(worst["units"], (error - schedule.promise(one.power)) / unit)
                seen = (run.residual.item() - run.promised) / unit
                worst["residual_units"] = max(worst["residual_units"], seen)
    return {"p": p, "dtype": dtype, "products": products} | _short(worst)


def of_clip(share: float, dtype: str, shapes: tuple[tuple[int, int], ...]) -> dict[str, Any]:
    worst: dict[str, Any] = {"error": 0.0, "where": "", "tried": 0}
    for shape in shapes:
        for name, M in matrices(shape, 1e-3):
            A = M.to(getattr(torch, dtype))
            high = share * torch.linalg.svdvals(M)[0].item()
            exact = spectral(A.double(), lambda sigma, high=high: softly_clipped(sigma, high))
            found = SoftClip(high, plan=Plan(check="input"))(A)
            error = torch.linalg.matrix_norm(found.double() - exact, ord=2).item() / high
            worst["tried"] += 1
            if error > worst["error"]:
                worst |= {"error": error, "where": f"{name}, {shape[0]} x {shape[1]}"}
    return {"c": share, "dtype": dtype} | _short(worst)


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return {key: float(f"{value:.3g}") if isinstance(value, float) else value for key, value in row.items()}


@click.command(help=__doc__)
@click.option("--small", is_flag=True, help="A few small ones: to try the script.")
@click.option("-o", "--output", type=Path, default=OUTPUT, help="[default: figures/spectral_powers.json]")
def main(small: bool, output: Path) -> None:
    shapes, ps, clips = (SHAPES[-1:], POWERS[:1], CLIPS[:1]) if small else (SHAPES, POWERS, CLIPS)
    found = {"machine": machine(), "torch": torch.__version__}
    found["powers"] = [of_power(p, dtype, shapes) for dtype in LEAST for p in ps]
    halves = ("float32", "bfloat16", "float16")
    found["clips"] = [of_clip(share, dtype, shapes) for dtype in halves for share in clips]
    write_atomically(output, json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

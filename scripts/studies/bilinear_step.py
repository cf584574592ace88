"""The bilinear step of LegT (runtime/state_space.bilinear) against elimination in float64.

Order 64, steps from 0.001 to 1. For each precision of the sign and the inverse: ‖I − YT‖₂ for T = I − Δ/2·A
by the polar factors, which is what runs, and by the normal equations, and ‖Ā − exact‖_F/‖exact‖_F after 0, 1
and 2 refinements. Writes figures/bilinear_step.json and prints docs/matrix_sign.md's table.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from polydesign.model import DTYPES, InputError, Plan
from polydesign.runtime import bilinear, hippo_legt, inverse, msign
from polydesign.runtime.rescaling import symmetric_part
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine
from polydesign.verification.metrics import bilinear_by_solve

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "bilinear_step.json"
ORDER, STEPS, REFINEMENTS = 64, (0.001, 0.01, 0.1, 1.0), (0, 1, 2)
PRECISIONS = ("bfloat16", "float16", "float32")


def by_polar(T: Tensor, plan: Plan) -> Tensor:
    U = msign(T, plan=plan).double()
    return inverse(symmetric_part(U.mT @ T), plan=plan).double() @ U.mT


def by_normal_equations(T: Tensor, plan: Plan) -> Tensor:
    return inverse(T.mT @ T, plan=plan).double() @ T.mT


def left(T: Tensor, Y: Tensor) -> float | None:
    if not torch.isfinite(Y).all():
        return None
    return torch.linalg.matrix_norm(torch.eye(len(T), dtype=T.dtype) - Y @ T, 2).item()


def measured(order: int, step: float, dtype: str) -> dict[str, Any]:
    A, B = hippo_legt(order)
    T = torch.eye(order, dtype=A.dtype) - step / 2 * A
    exact, plan = bilinear_by_solve(A, B, step)[0], Plan(dtype=dtype)
    errors: list[float | None] = []
    for refine in REFINEMENTS:
        try:
            found = bilinear(A, B, step, plan=plan, refine=refine)[0]
        except InputError:
            errors.append(None)
        else:
            errors.append((torch.linalg.matrix_norm(found - exact) / torch.linalg.matrix_norm(exact)).item())
    return {
        "step": step,
        "condition": torch.linalg.cond(T).item(),
        "dtype": dtype,
        "normal": left(T, by_normal_equations(T, plan)),
        "polar": left(T, by_polar(T, plan)),
        "errors": errors,
    }


def markdown(body: dict[str, Any]) -> str:
    refined = " | ".join(f"refine={refine}" for refine in REFINEMENTS)
    lines = [
        f"| Δ | κ | the sign in | ‖I − YT‖₂ by TᵀT | by polar factors | {refined} |",
        "|---:|---:|---|---:|---:|" + "---:|" * len(REFINEMENTS),
    ]
    for row in body["rows"]:
        errors = " | ".join("refused" if e is None else f"{e:.1e}" for e in row["errors"])
        normal = "not finite" if row["normal"] is None else f"{row['normal']:.2g}"
        lines.append(
            f"| {row['step']:g} | {row['condition']:.3g} | {DTYPES[row['dtype']]} | {normal} | "
            f"{row['polar']:.2g} | {errors} |"
        )
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option("--small", is_flag=True, help="A small order, to see that it runs.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=OUTPUT)
def main(small: bool, output: Path) -> None:
    order = 8 if small else ORDER
    body = {
        "machine": machine(),
        "torch": torch.__version__,
        "order": order,
        "rows": [measured(order, step, dtype) for step in STEPS for dtype in PRECISIONS],
    }
    write_atomically(output, json.dumps(body, indent=1) + "\n")
    click.echo(markdown(body))


if __name__ == "__main__":
    main()

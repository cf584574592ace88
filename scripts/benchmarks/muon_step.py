"""Seconds of an optimizer's step: polydesign.optim.Muon beside torch.optim.Muon, at the same products.

The matrices are those of a transformer (QKV, output, two of the MLP), with fixed gradients; 15 products each,
in bfloat16. torch: its default. rows: torch's coefficients by ours. default: our table of 15 products.
unchecked: the same with Plan(check=False). Steps run in turn: medians of the ratios of whole steps, on a CPU
in seconds of the processor. Writes figures/muon_step.json and prints docs/training.md's table.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch

from polydesign.model import Plan
from polydesign.optim import Muon
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine
from polydesign.verification.sweep import device_name, resolve_device
from polydesign.verification.timing import timed_on

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "muon_step.json"
SIZES = ((64, 4), (128, 2))
"""Width and layers."""

TORCH = (3.4445, -4.7750, 2.0315)


def processor_seconds(call: Callable[[], object]) -> float:
    """Of this process: what else runs on the machine does not count."""
    start = time.process_time()
    call()
    return time.process_time() - start


def parameters(width: int, layers: int, place: torch.device) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(3 * width, width), (width, width), (4 * width, width), (width, 4 * width)] * layers
    found = []
    for shape in shapes:
        p = torch.nn.Parameter(torch.randn(shape, generator=generator).to(place))
        p.grad = torch.randn(shape, generator=generator).to(place)
        found.append(p)
    return found


def optimizers(width: int, layers: int, place: torch.device) -> dict[str, Callable[[], Any]]:
    def of(make: Callable[..., Any], **how: Any) -> Callable[[], Any]:
        return make(parameters(width, layers, place), lr=1e-4, **how).step

    return {
        "torch": of(torch.optim.Muon),  # pyright: ignore[reportPrivateImportUsage]
        "rows": of(Muon, ns_coefficients=TORCH),
        "default": of(Muon),
        "unchecked": of(Muon, plan=Plan("bfloat16", check=False, matmuls=15)),
    }


def timed(width: int, layers: int, place: torch.device, rounds: int) -> dict[str, Any]:
    timer = processor_seconds if place.type == "cpu" else None
    found = timed_on(place, optimizers(width, layers, place), timer=timer, seconds=900, rounds=rounds, seed=0)
    seconds = {name: one.seconds for name, one in found.items()}
    row: dict[str, Any] = {"width": width, "layers": layers}
    for name in ("rows", "default", "unchecked"):
        ratio = median(whole / seconds["torch"][turn] for turn, whole in seconds[name].items())
        row[name] = float(f"{ratio:.3g}")
    return row | {"torch_ms": float(f"{1000 * median(seconds['torch'].values()):.3g}")}


def markdown(body: dict[str, Any]) -> str:
    lines = [
        "| width | layers | torch.optim.Muon, ms | its coefficients, ours | default | `check=False` |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for row in body["rows"]:
        ratios = " | ".join(f"{row[name]:.2f}" for name in ("rows", "default", "unchecked"))
        lines.append(f"| {row['width']} | {row['layers']} | {row['torch_ms']:g} | {ratios} |")
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option("--rounds", default=21, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--device", default="cpu", show_default=True, help="auto, cpu or cuda.")
@click.option("--small", is_flag=True, help="One small layer: to try the script.")
@click.option("-o", "--output", type=Path, default=OUTPUT, help="[default: figures/muon_step.json]")
def main(rounds: int, threads: int, device: str, small: bool, output: Path) -> None:
    torch.set_num_threads(threads)
    place, rows = resolve_device(device), []
    for width, layers in ((40, 1),) if small else SIZES:
        rows.append(timed(width, layers, place, rounds if width < 500 else max(3, rounds // 3)))
        click.echo(f"timed width {width}", err=True)
    body = {
        "machine": machine(),
        "torch": torch.__version__,
        "device": device_name(place),
        "threads": threads,
        "rows": rows,
    }
    write_atomically(output, json.dumps(body, indent=1) + "\n")
    click.echo(markdown(body))


if __name__ == "__main__":
    main()

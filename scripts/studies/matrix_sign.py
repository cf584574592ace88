"""What the operators built on signs do to a singular value, measured: the figure of docs/matrix_sign.md.

One 256×256 matrix in float32 with singular values from 0.001 to 1, evenly spaced; for each operator uᵢᵀ X vᵢ
over σᵢ. Writes figures/matrix_sign.png.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import torch
from matplotlib import style

from polydesign.drawing.figures import STYLE, head, new_figure, save_figure
from polydesign.runtime import msign, spectral_clip, spectral_polynomial, spectral_relu, spectral_step
from polydesign.verification.metrics import measured_map

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "matrix_sign.png"
HALF = 0.5
OPERATORS: dict[str, Any] = {
    "msign": msign,
    "spectral_clip, β = 0.5": lambda M: spectral_clip(M, high=HALF),
    "spectral_step, threshold 0.5": lambda M: spectral_step(M, HALF),
    "spectral_relu, threshold 0.5": lambda M: spectral_relu(M, HALF),
    "spectral_polynomial, (3σ − σ³)/2": lambda M: spectral_polynomial(M, [0, 1.5, 0, -0.5]),
}
LINES = ("-", "--", "-.", ":", (0, (5, 1)))


@click.command(help=__doc__)
@click.option("--small", is_flag=True, help="A small matrix, to see that it runs.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=OUTPUT)
def main(small: bool, output: Path) -> None:
    n = 16 if small else 256
    generator = torch.Generator().manual_seed(0)
    U, V = (torch.linalg.qr(torch.randn((n, n), generator=generator, dtype=torch.float64)).Q for _ in "UV")
    sigma = torch.linspace(1e-3, 1, n, dtype=torch.float64)
    M = ((U * sigma) @ V.mT).float()
    with style.context(STYLE):
        fig = new_figure()
        ax = fig.subplots()
        for (name, operator), line in zip(OPERATORS.items(), LINES, strict=True):
            ax.plot(
                sigma, measured_map(operator(M).double(), U, V), linestyle=line, color="black", label=name
            )
        ax.set_xlabel("singular value σ of M")
        ax.set_ylabel("what it becomes")
        head(fig, 3.6, "Functions of singular values by matrix products", "float32, measured", ax, columns=2)
    save_figure(fig, output)
    click.echo(f"wrote {output.name}")


if __name__ == "__main__":
    main()

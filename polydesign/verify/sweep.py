"""One run of a table on one test matrix: a Measurement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from polydesign import __version__
from polydesign.evaluation.rounding import allowance
from polydesign.model import InputError, MeasuredMap, Measurement, Plan, Schedule, Table, dtype_name
from polydesign.runtime import msign_with_info
from polydesign.runtime.normalize import NORMALIZATIONS
from polydesign.table import digest
from polydesign.verify.metrics import Deviation, deviation, measured_map, orthogonality, polar_distance
from polydesign.verify.spectra import Sample, sample

EDGE = 1e-12
"""A normalized singular value this close to l or u, relatively, lies on it: normalizing has rounded it."""


def measure(
    table: Table,
    *,
    shape: tuple[int, int] = (512, 1024),
    dtype: str = "bfloat16",
    spectrum: str = "gaussian",
    seed: int = 0,
    device: str = "cpu",
    matrix: Sample | None = None,
) -> Measurement:
    """Run the table as msign does, state in `dtype`, and compare with what it promises.

    The test matrix is `matrix`, or else `spectra.sample(spectrum, shape, seed=seed)`; it enters in float64.
    Where the table's normalization is none, the test matrix is scaled to ‖M‖₂ = u first; where it is aol,
    the result is compared with msign of the matrix with its rows rescaled.
    device: auto, cpu, cuda, as in torch. holds: the result is finite and worst <= promised + allowance.
    Raises InputError where nothing can be measured: an unknown name, a device that is not there, a table
    that msign refuses, a matrix without a singular value on the promised range.
    """
    dtype = dtype_name(dtype)
    place = resolve_device(device)
    lower, upper = table.schedule.interval
    known = sample(spectrum, shape, seed=seed, lower=lower) if matrix is None else matrix
    if table.normalization == "none":
        known = _of_norm(upper, known)
    result, info = msign_with_info(known.matrix.to(place), table, Plan(dtype=dtype))
    X = result.to("cpu", torch.float64)
    if table.normalization == "aol":
        known, x = _rows_rescaled(known)
    else:
        x = known.sigma / info.norm.cpu()[:, None]
    inside = (x >= lower * (1 - EDGE)) & (x <= upper * (1 + EDGE))
    below = x < lower * (1 - EDGE)
    if not inside.any():
        raise InputError(
            "spectrum",
            f"{known.name}: no singular value lies in [{lower:g}, {upper:g}] after normalization; "
            "choose another",
        )
    finite = bool(torch.isfinite(X).all())
    nothing = Deviation(0, None, None)
    on_range = deviation(X, known.U, known.V, inside) if finite else nothing
    under = deviation(X, known.U, known.V, below) if finite else nothing
    batch, *sides = known.matrix.shape
    promised = table.schedule.error
    # The metrics round too: singular values and factors in float64 are good to about n·2⁻⁵².
    allowed = (
        promised
        + allowance(
            table.schedule,
            dtype,
            (sides[0], sides[1]),
            smallest=float(x[inside].min()),
            norm=x.square().sum(dim=-1).max().sqrt().item(),
        )
        + max(known.matrix.shape) * 2.0**-52
    )
    return Measurement(
        table=table.name,
        digest=digest(table.schedule),
        dtype=dtype,
        shape=tuple(sides) if batch == 1 else (batch, *sides),
        spectrum=known.name,
        seed=seed if matrix is None else None,
        device=str(place),
        promised=promised,
        allowed=allowed,
        holds=on_range.worst is not None and on_range.worst <= allowed,
        finite=finite,
        count=int(inside.sum()),
        worst=on_range.worst,
        rms=on_range.rms,
        below_count=int(below.sum()),
        below_worst=under.worst,
        below_rms=under.rms,
        orthogonality=orthogonality(X) if finite else None,
        polar_distance=polar_distance(X, known.U, known.V) if finite else None,
        versions={"polydesign": __version__, "torch": torch.__version__},
        map=_map(table.schedule, x, measured_map(X, known.U, known.V)),
    )


def _of_norm(upper: float, known: Sample) -> Sample:
    """The sample with each matrix scaled to the spectral norm `upper`."""
    scale = upper / known.sigma.amax(dim=-1, keepdim=True)
    return replace(known, matrix=known.matrix * scale[..., None], sigma=known.sigma * scale)


def _rows_rescaled(known: Sample) -> tuple[Sample, Tensor]:
    """The sample as aol sees it, on its shorter side, decomposed again; and its singular values."""
    tall = known.matrix.shape[-2] > known.matrix.shape[-1]
    scaled = NORMALIZATIONS["aol"](known.matrix.mT if tall else known.matrix, torch.float64).matrix
    scaled = scaled.mT if tall else scaled
    U, sigma, Vt = torch.linalg.svd(scaled, full_matrices=False)
    rank = known.sigma.shape[-1]  # rescaling by positive factors does not change it
    sigma = sigma[:, :rank]
    return Sample(known.name, known.matrix, U[..., :rank], sigma, Vt[:, :rank].mT), sigma


def resolve_device(name: str) -> torch.device:
    """The torch device of a name; "auto" is CUDA where there is one. Raises InputError with the cure."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as problem:
        raise InputError("device", f"{name!r} is not a torch device: write auto, cpu or cuda") from problem
    if device.type not in ("cpu", "cuda"):
        raise InputError("device", f"{name!r} is not supported: write auto, cpu or cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError("device", "torch sees no CUDA device here: write auto or cpu")
    return device


def _map(schedule: Schedule, x: Tensor, measured: Tensor) -> MeasuredMap:
    """The map in increasing x, over the whole batch."""
    order = x.flatten().argsort()
    start = x.flatten()[order].numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        predicted = schedule(start)
    if not np.isfinite(predicted).all():
        raise InputError("table", "its schedule overflows float64 on this matrix: it is no iteration")
    seen = measured.flatten()[order]
    return MeasuredMap(
        x=tuple(start.tolist()),
        predicted=tuple(predicted.tolist()),
        measured=tuple(v if np.isfinite(v) else None for v in seen.tolist()),
    )

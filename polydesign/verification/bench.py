"""An operator timed beside what a user would otherwise call: the contestants of contestants.py, interleaved.

Medians over the rounds, and ratios to ours, are what to quote. A time is that of one call as a user makes it:
on CUDA between two events, with the launches that the device waits for.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polydesign import __version__
from polydesign.identification.tables import table_of
from polydesign.model import InputError, Table, check_integer, dtype_name
from polydesign.table.given import Source
from polydesign.verification.contestants import OPERATORS, OURS, contestants, table_for
from polydesign.verification.machine import processor, today
from polydesign.verification.metrics import deviation
from polydesign.verification.spectra import Sample, from_matrix
from polydesign.verification.sweep import EDGE, resolve_device
from polydesign.verification.timing import Timer, check_effort, timed_on

MOST_ENTRIES = 2**28
"""Of all matrices of a bench together."""

MOST_REFERENCE_WORK = 2**31
"""m·n·min(m, n) up to which a result is compared with a decomposition in float64 on the CPU: seconds there,
minutes not far above."""


@dataclass(frozen=True, slots=True)
class BenchSetting:
    """What was run, on what. shape: of one matrix, of which there are `batch`. table, digest: ours, which
    takes `matmuls` products and promises `promised` on `interval`. float32_products: torch's setting, which
    on CUDA decides whether float32 means TF32. seed: of the matrices and of the order."""

    operator: str
    table: str
    digest: str
    root: int
    interval: tuple[float, float]
    promised: float
    matmuls: int
    dtype: str
    shape: tuple[int, int]
    batch: int
    device: str
    device_name: str
    threads: int
    float32_products: str
    seed: int
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Timing:
    """One contestant in one setting; None for what could not be had.

    about: what it is. rounds: how many it ran in, fewer than asked for where it is slow. median,
    lower_quartile, upper_quartile: seconds of a call. ratio: its median to ours. round_ratio: median of the
    ratios within a round. finite: of its result. worst: largest |σ − 1| of its result on the promised range
    (see `worst_deviation`), for the first matrix of a batch; None above MOST_REFERENCE_WORK. problem: what it
    raised; it then runs no further.
    """

    setting: BenchSetting
    name: str
    about: str
    rounds: int
    median: float | None
    lower_quartile: float | None
    upper_quartile: float | None
    ratio: float | None
    round_ratio: float | None
    finite: bool | None
    worst: float | None
    problem: str | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def json_lines(timings: Iterable[Timing]) -> str:
    """One line a timing, with today's date, as files of them are kept."""
    lines = [{"date": today(), **timing.as_json()} for timing in timings]
    return "".join(json.dumps(line, allow_nan=False, ensure_ascii=False) + "\n" for line in lines)


def bench(
    operator: str = "msign",
    table: Source | None = None,
    *,
    root: int | None = None,
    shape: tuple[int, int] = (1024, 1024),
    batch: int = 1,
    dtype: str = "bfloat16",
    device: str = "auto",
    rounds: int = 15,
    seconds: float = 60.0,
    seed: int = 0,
    beside: Iterable[str] | None = None,
    timer: Timer | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Timing]:
    """Times of our operator and of those `beside` it (names of its contestants; None: all), ours first.

    table: A Table, its name, the path of its file, rows, or a source file with a list; None takes the
    operator's default for root and dtype. M is Gaussian, N(0, 1); the operators on
    symmetric positive matrices get P = x xᵀ/2n with a Gaussian x (n, 2n), all entries rounded to dtype.
    seconds: divided among the contestants equally; one that would need more than its share for `rounds`
    rounds takes part in fewer, but in one. It is no limit: each also runs once or twice before, to warm up.
    timer: what measures a call; None is that of the device. progress: called after each round.

    Raises InputError for a name that is not known, a shape or size that cannot be run, and a table of
    another root. What a contestant raises is its `problem`.
    """
    chosen = contestants(operator, beside)
    check_effort(rounds, seconds, seed)
    place = resolve_device(device)
    dtype = dtype_name(dtype)
    given = None if table is None else table_of(table)
    table = table_for(operator, given, dtype=dtype, root=root)
    if table.normalization != "frobenius":
        raise InputError(
            "table",
            f"{table.name} divides by {table.normalization}, and a bench compares tables that divide by the "
            "frobenius norm: design one with --normalization frobenius",
        )
    M = matrices(operator, shape, batch, dtype=dtype, seed=seed).to(place)
    known = None
    if shape[0] * shape[1] * min(shape) <= MOST_REFERENCE_WORK:
        known = from_matrix(M if batch == 1 else M[0], "the bench's matrix")
    calls = {name: partial(contestant, M, table) for name, contestant in chosen.items()}
    how: dict[str, Any] = {"timer": timer, "rounds": rounds, "seconds": seconds, "seed": seed}
    runs = timed_on(place, calls, progress=progress, **how)
    setting = _setting(operator, table, dtype, shape, batch, place, seed)
    base = runs[OURS].seconds
    found = []
    for name, ran in runs.items():
        finite, worst = _judged(ran.result, operator, table, known)
        found.append(
            Timing(
                setting=setting,
                name=name,
                about=(inspect.getdoc(chosen[name]) or "").partition("\n")[0],
                problem=ran.problem,
                finite=finite,
                worst=worst,
                **_times(ran.seconds, base),
            )
        )
    return found


def matrices(operator: str, shape: tuple[int, int], batch: int, *, dtype: str, seed: int) -> Tensor:
    """What a bench runs on, on the CPU: (m, n), or (batch, m, n) for more than one, from seed, seed + 1, …"""
    for side in shape:
        check_integer("shape", side, 1)
    batch = check_integer("batch", batch, 1)
    symmetric = OPERATORS[operator].exponent is not None
    if symmetric and shape[0] != shape[1]:
        raise InputError("shape", f"{operator} takes square matrices: write {shape[0]}x{shape[0]}")
    if batch * shape[0] * shape[1] > MOST_ENTRIES:
        raise InputError("shape", f"more than {MOST_ENTRIES} entries in all: take less, or a smaller batch")
    M = torch.empty((batch, *shape), dtype=getattr(torch, dtype))
    for index in range(batch):
        generator = torch.Generator().manual_seed(seed + index)
        sides = (shape[0], 2 * shape[0]) if symmetric else shape
        x = torch.randn(sides, generator=generator, dtype=torch.float64)
        if symmetric:
            P = x @ x.mT / sides[1]
            x = (P + P.mT) / 2
        M[index] = x
    return M if batch > 1 else M[0]


def worst_deviation(X: Tensor, operator: str, table: Table, known: Sample) -> float | None:
    """Largest |σ − 1| over what began on the table's [l, u]; None if nothing did.

    X: (m, n), float64, finite, on the CPU; known: the input, decomposed. For msign these are singular values
    of X. Where the result should be Pᵉ they are eigenvalues of P^(−e/2) X P^(−e/2): relative errors, the same
    for a large eigenvalue of P as for a small one.
    """
    lower, upper = table.schedule.interval
    exponent = OPERATORS[operator].exponent
    x = known.sigma / torch.linalg.vector_norm(known.sigma, dim=-1, keepdim=True)
    if exponent is None:
        V = known.V
    else:
        x, V = x ** (1 / table.schedule.root), known.U
        half = (known.U * known.sigma[:, None] ** (-exponent(table.schedule.root) / 2)) @ known.U.mT
        X = half[0] @ X @ half[0]
    inside = (x >= lower * (1 - EDGE)) & (x <= upper * (1 + EDGE))
    return deviation(X[None], known.U, V, inside).worst


def _setting(
    operator: str,
    table: Table,
    dtype: str,
    shape: tuple[int, int],
    batch: int,
    place: torch.device,
    seed: int,
) -> BenchSetting:
    cuda = place.type == "cuda"
    versions = {"polydesign": __version__, "torch": torch.__version__}
    return BenchSetting(
        operator=operator,
        table=table.name,
        digest=table.digest,
        root=table.schedule.root,
        interval=table.schedule.interval,
        promised=table.schedule.promise(table.schedule.root - 1 if operator == "root" else 1),
        matmuls=OPERATORS[operator].products(table.schedule),
        dtype=dtype,
        shape=shape,
        batch=batch,
        device=str(place),
        device_name=torch.cuda.get_device_name(place) if cuda else processor(),
        threads=torch.get_num_threads(),
        float32_products=torch.get_float32_matmul_precision(),
        seed=seed,
        versions={**versions, "cuda": str(torch.version.cuda)} if cuda else versions,
    )


def _judged(
    result: Any, operator: str, table: Table, known: Sample | None
) -> tuple[bool | None, float | None]:
    """Whether all of the result is finite, and how far its first matrix is off."""
    if result is None:
        return None, None
    if not torch.isfinite(result).all():
        return False, None
    if known is None:
        return True, None
    X = result if result.ndim == 2 else result[0]
    return True, worst_deviation(X.to("cpu", torch.float64), operator, table, known)


def _times(own: Mapping[int, float], base: Mapping[int, float]) -> dict[str, Any]:
    """The fields of Timing that follow from seconds by round; base: those of OURS."""
    names = ("lower_quartile", "median", "upper_quartile", "ratio", "round_ratio")
    found: dict[str, Any] = {"rounds": len(own), **dict.fromkeys(names)}
    if own:
        quartiles = np.quantile(list(own.values()), [0.25, 0.5, 0.75]).tolist()
        found.update(zip(names, quartiles, strict=False))
    if own and base:
        found["ratio"] = found["median"] / float(np.median(list(base.values())))
    if own.keys() & base.keys():
        found["round_ratio"] = float(np.median([own[i] / base[i] for i in own.keys() & base.keys()]))
    return found

"""One run of a table on one test matrix: a Measurement."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from polydesign import __version__
from polydesign.model import (
    AfterStep,
    InputError,
    MeasuredMap,
    Measurement,
    Plan,
    Schedule,
    Table,
    check_integer,
    dtype_name,
)
from polydesign.verification import metrics
from polydesign.verification.cases import Case, MeasuredOperator, Setting
from polydesign.verification.machine import processor
from polydesign.verification.metrics import Deviation
from polydesign.verification.operators import choose
from polydesign.verification.roots import lowest_eigenvalue
from polydesign.verification.samples import Sample, from_symmetric
from polydesign.verification.spectra import sample, sample_positive

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
    operator: str | None = None,
    power: int = 1,
    steps: bool = False,
    plan: Plan | None = None,
) -> Measurement:
    """Run the table by an operator, state in `dtype`, and compare with what it promises.

    The test matrix is `matrix`, or else that of the spectrum: `spectra.sample` for msign, and for operators
    on symmetric positive P `spectra.sample_positive`, of side min(shape); it enters in float64. device: auto,
    cpu, cuda, as in torch. operator: a name of operators.OPERATORS; None is msign for root 2, inverse for
    root 1, inverse_root for others. power: s of P^(−s/r). steps: measure after every step too, which runs as
    many schedules as there are steps. plan: of the run; its dtype is replaced. Where nothing normalizes
    (none), the matrices are scaled to the largest norm that the table serves first; under aol the result is
    compared with msign of the matrices with their rows rescaled.

    promised: (1 + E)ˢ − 1. allowed: that, and what rounding explains by a model from experiment
    (rounding/running.py for msign, verification/roots.py for the others); holds: the result is finite and
    worst <= allowed. Where rounding the input alone makes P lose its sign there is no input_share, and the
    promise cannot be expected to hold. A zero matrix has no value to judge: count is 0, worst the largest
    entry of the result, and allowed 0.

    Raises InputError where nothing can be measured: an unknown name, a device that is not there, a table
    that the operator refuses, a spectrum that it has no result for, a matrix without a value on the promised
    range.
    """
    dtype = dtype_name(dtype)
    place = resolve_device(device)
    power = check_integer("power", power, 1)
    name, how = choose(table, operator, power)
    if steps and not how.stepwise:
        raise InputError(
            "steps", f"do not show in {name}, which is made of more than one value: leave it out"
        )
    known = _matrices(table.schedule, how, shape, dtype, spectrum, seed, power) if matrix is None else matrix
    if how.positive and matrix is not None:
        known = from_symmetric(matrix)
    setting = Setting(known, table, (plan or Plan()).in_dtype(dtype), power, place, seed)
    case = run(setting, how)
    lower, _ = table.schedule.interval
    inside = _inside(case, table.schedule)
    below = case.x < lower * (1 - EDGE)
    found = _judged(setting, case, inside, below)
    batch, *sides = known.matrix.shape
    return Measurement(
        table=table.name,
        digest=table.digest,
        dtype=dtype,
        shape=tuple(sides) if batch == 1 else (batch, *sides),
        spectrum=known.name,
        seed=seed if matrix is None else None,
        device=str(place),
        promised=table.schedule.promise(case.exponent),
        allowed=found.allowed,
        holds=found.on_range.worst is not None and found.on_range.worst <= found.allowed,
        finite=found.finite,
        count=int(inside.sum()),
        worst=found.on_range.worst,
        rms=found.on_range.rms,
        below_count=int(below.sum()),
        below_worst=found.under.worst,
        below_rms=found.under.rms,
        orthogonality=metrics.orthogonality(case.result)
        if found.relative_error is not None and how.polar
        else None,
        polar_distance=found.relative_error if how.polar else None,
        versions={"polydesign": __version__, "torch": torch.__version__},
        map=_map(table.schedule, case),
        operator=name,
        power=case.exponent,
        form=case.form,
        restarts=case.restarts,
        normalization=setting.normalization,
        device_name=device_name(place),
        input_share=found.input_share,
        mean_error=metrics.mean_error(case.result, case.exact) if found.finite else None,
        relative_error=found.relative_error,
        lower_end=_lower_end(case.x, table.schedule, how),
        after_steps=_after_steps(setting, case, inside) if steps else (),
    )


def run(setting: Setting, how: MeasuredOperator) -> Case:
    """The operator on these matrices, in the plan's precision however small they are.

    Where nothing normalizes, they are scaled to the largest norm that it serves.
    """
    setting = replace(setting, plan=replace(setting.plan, float32_side=0))
    if setting.normalization == "none":
        setting = replace(setting, known=_of_norm(setting.table.schedule, how, setting.known))
    # Who measures a table sees what it does: no warning of what was tried, and no member of its family.
    if setting.table.tried or setting.table.members:
        setting = replace(setting, table=replace(setting.table, tried=(), members=()))
    return how.case(setting)


def worst_error(case: Case, schedule: Schedule) -> float | None:
    """`worst` of a Measurement and nothing else of it, in a tenth of the time; None where there is none."""
    if not torch.isfinite(case.result).all():
        return None
    return metrics.deviation(case.result, case.left, case.right, _inside(case, schedule)).worst


def input_share(case: Case, schedule: Schedule) -> float | None:
    """`input_share` of a Measurement: the same for all tables of one interval and normalization."""
    rounded = case.rounded()
    if rounded is None:
        return None
    return metrics.deviation(rounded, case.left, case.right, _inside(case, schedule)).worst


def _inside(case: Case, schedule: Schedule) -> Tensor:
    lower, upper = schedule.interval
    return (case.x >= lower * (1 - EDGE)) & (case.x <= upper * (1 + EDGE))


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


def device_name(device: torch.device) -> str:
    """What the maker calls it: of the GPU, or of the processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def _lower_end(x: Tensor, schedule: Schedule, how: MeasuredOperator) -> float | None:
    """l over the largest x, as singular values or eigenvalues."""
    if not x.numel():
        return None
    return (schedule.interval[0] / x.amax(dim=-1).min().item()) ** _root(schedule, how)


def _root(schedule: Schedule, how: MeasuredOperator) -> float:
    """x is a singular value or eigenvalue to the power 1/r; for msign and mcsgn it is one itself."""
    if how.squared:
        return schedule.root / 2
    return 1 if how.root == 2 and not how.rooted else schedule.root


def _of_norm(schedule: Schedule, how: MeasuredOperator, known: Sample) -> Sample:
    """Each matrix scaled to the largest spectral norm that the table serves."""
    upper = schedule.interval[1] ** _root(schedule, how)
    scale = upper / known.sigma.amax(dim=-1, keepdim=True)
    return replace(known, matrix=known.matrix * scale[..., None], sigma=known.sigma * scale)


@dataclass(frozen=True, slots=True)
class _Judged:
    finite: bool
    allowed: float
    on_range: Deviation
    under: Deviation
    input_share: float | None
    relative_error: float | None


def _matrices(
    schedule: Schedule,
    how: MeasuredOperator,
    shape: tuple[int, int],
    dtype: str,
    spectrum: str,
    seed: int,
    power: int,
) -> Sample:
    if not how.positive:
        return sample(spectrum, shape, seed=seed, lower=schedule.interval[0] ** _root(schedule, how))
    lower = lowest_eigenvalue(schedule, dtype, min(shape), power)
    return sample_positive(spectrum, shape, seed=seed, lower=lower, singular=how.singular)


def _judged(setting: Setting, case: Case, inside: Tensor, below: Tensor) -> _Judged:
    finite = bool(torch.isfinite(case.result).all())
    nothing = Deviation(0, None, None)
    if not case.x.numel():
        left = Deviation(0, case.result.abs().max().item(), None) if finite else nothing
        return _Judged(finite, 0.0, left, nothing, None, None)
    if not inside.any():
        lower, upper = setting.table.schedule.interval
        raise InputError(
            "spectrum",
            f"{setting.known.name}: no singular value lies in [{lower:g}, {upper:g}] after normalization; "
            "choose another",
        )
    allowed = (
        setting.table.schedule.promise(case.exponent)
        + case.explained(inside)
        # The metrics round too: singular values and factors in float64 are good to about n·2⁻⁵².
        + max(setting.known.matrix.shape) * 2.0**-52
    )
    share = input_share(case, setting.table.schedule)
    if not finite:
        return _Judged(finite, allowed, nothing, nothing, share, None)
    return _Judged(
        finite=finite,
        allowed=allowed,
        on_range=metrics.deviation(case.result, case.left, case.right, inside),
        under=metrics.deviation(case.result, case.left, case.right, below),
        input_share=share,
        relative_error=metrics.relative_error(case.result, case.exact),
    )


def _after_steps(setting: Setting, case: Case, inside: Tensor) -> tuple[AfterStep, ...]:
    """The judged values after 1, 2, … steps: those of the operator run with so many of them."""
    schedule = setting.table.schedule
    # A prefix is no design of its own: headroom of its steps is one number a step of the whole.
    bare = replace(setting.table.provenance, parameters={})
    alone = replace(setting.table, provenance=bare, certificate=None, measured=(), tried=(), members=())
    found = []
    for count, step in enumerate(schedule.steps, start=1):
        prefix = replace(schedule, steps=schedule.steps[:count])
        X = case.run(replace(alone, schedule=prefix))
        measured = None
        if torch.isfinite(X).all() and inside.any():
            values = _rooted(metrics.values(X, case.left, case.right, inside), case.exponent)
            measured = (values.min().item(), values.max().item())
        found.append(AfterStep(predicted=step.image, measured=measured))
    return tuple(found)


def _rooted(values: Tensor, exponent: int) -> Tensor:
    """The f(x) that such powers come from, with the sign kept."""
    return values.sign() * values.abs() ** (1 / exponent)


def _map(schedule: Schedule, case: Case) -> MeasuredMap:
    """The map in increasing x, over the whole batch."""
    x = case.x
    order = x.flatten().argsort()
    start = x.flatten()[order].numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        predicted = schedule(start)
    if not np.isfinite(predicted).all():
        raise InputError("table", "its schedule overflows float64 on this matrix: it is no iteration")
    if case.target is not None:
        predicted = predicted / case.target.flatten()[order].numpy()
    measured = metrics.measured_map(case.result, case.left, case.right)
    seen = _rooted(measured, case.exponent).flatten()[order]
    return MeasuredMap(
        x=tuple(start.tolist()),
        predicted=tuple(predicted.tolist()),
        measured=tuple(v if np.isfinite(v) else None for v in seen.tolist()),
    )

"""What an operator is asked to do in one run, and what it did, in a form that the metrics take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, Schedule, Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.running import MOST_EXPLAINED, allowance
from polydesign.runtime.normalize import NORMALIZATIONS
from polydesign.verification.samples import Sample


@dataclass(frozen=True, slots=True)
class Setting:
    """One run: the table on these matrices by this plan (whose dtype is the state's), on this device.

    power: s of P^(−s/r). seed: of what an operator adds to the matrices, such as a factor G.
    """

    known: Sample
    table: Table
    plan: Plan
    power: int
    device: torch.device
    seed: int

    def __post_init__(self) -> None:
        # What is measured may be wrong.
        if self.plan.guards:
            object.__setattr__(self, "plan", replace(self.plan, check="input"))

    @property
    def dtype(self) -> torch.dtype:
        return getattr(torch, str(self.plan.dtype))

    @property
    def normalization(self) -> str:
        """The plan's, where it has one, else the table's."""
        return self.plan.normalization or self.table.normalization


@dataclass(frozen=True, slots=True)
class Case:
    """A run in float64 on the CPU, beside what is exact.

    x: (b, k), what each singular value, or eigenvalue^(1/r), was after normalization. left, right: (b, ., k)
    with leftᵀ exact right = I; in exact arithmetic leftᵀ result right = diag f(x)ᵉ, e = exponent. exact and
    result: the operator's, exactly and as it ran. rounded: the exact function of the matrices as the state
    rounds them, None where it does not exist. run: the operator with another table of the same root.
    explained: how far rounding may carry a judged value, given which are judged. form, restarts: as in a Run.
    target: (b, k), where the operator is no power: leftᵀ result right is then diag (f(x)/target)ᵉ; what f(x)
    should be, where that is 1 in the end. None is 1 everywhere.
    """

    x: Tensor
    left: Tensor
    right: Tensor
    exact: Tensor
    result: Tensor
    run: Callable[[Table], Tensor]
    rounded: Callable[[], Tensor | None]
    explained: Callable[[Tensor], float]
    exponent: int = 1
    form: str = "direct"
    restarts: tuple[int, ...] = ()
    target: Tensor | None = None


@dataclass(frozen=True, slots=True)
class MeasuredOperator:
    """How an operator is measured.

    positive: whether it takes symmetric positive P; singular: whether P may then have a null space. polar:
    whether the result is a polar factor. takes_power: whether it has a power s. root: the only root it has,
    None for any. stepwise: whether a table of fewer steps gives what a value is after these. rooted: whether
    x goes as the root of an eigenvalue where `root` is given, as it does where that is None. squared: whether
    that is an eigenvalue of MᵀM.
    """

    case: Callable[[Setting], Case]
    positive: bool = True
    polar: bool = False
    singular: bool = False
    takes_power: bool = False
    root: int | None = None
    stepwise: bool = True
    rooted: bool = False
    squared: bool = False


def wide(X: Tensor) -> Tensor:
    """X in float64 on the CPU."""
    return X.to("cpu", torch.float64)


def divisor(setting: Setting, M: Tensor) -> Tensor:
    """What the unrounded M is divided by, (b,), in float64 as the operator's own; 1 for a zero matrix."""
    return nonzero(NORMALIZATIONS[setting.normalization](M, torch.float64).norm())


def nonzero(norm: Tensor) -> Tensor:
    """The norm, with 1 in place of 0."""
    return torch.where(norm == 0, torch.ones_like(norm), norm)


def refuse_rescaling(setting: Setting, why: str) -> None:
    """Refuse the normalizations that no judgement goes with."""
    if setting.normalization in ("aol", "none"):
        raise InputError("normalization", f"{setting.normalization} {why}")


def of_signs(setting: Setting, sides: Sequence[int], values: Tensor, judged: Tensor) -> float:
    """What rounding explains of msign, from the values that it starts with (rounding/running.allowance)."""
    smallest, size = values[judged].min().item(), torch.linalg.vector_norm(values, dim=-1).max().item()
    first, last = sides[-2:]
    return allowance(
        setting.table.schedule, str(setting.plan.dtype), (first, last), smallest=smallest, norm=size
    )


def modelled(setting: Setting, state: float, sums: float, amplified: float) -> float:
    """What rounding explains by a model: roundings of the state and of the sums, amplified."""
    u = UNIT_ROUNDOFF[str(setting.plan.dtype)]
    return min((state * u + sums * min(u, UNIT_ROUNDOFF["float32"])) * amplified, MOST_EXPLAINED)


def amplification(
    schedule: Schedule,
    x: Tensor,
    judged: Tensor,
    blocks: Callable[[Tensor], Sequence[Tensor]] = lambda values: [values],
) -> float:
    """Σ of ρ over the start and what the steps but the last make of it, ρ as `spread` says.

    Values x (b, n) go by the steps in exact arithmetic; blocks: from them the eigenvalues of the stored
    blocks that keep the error of their rounding. The least is of the judged ones. The largest of the batch.
    """
    total = torch.zeros(x.shape[0], dtype=torch.float64)
    for step in schedule.steps:
        for values in blocks(x):
            total = total + spread(values, judged)
        x = step(x)
    return total.max().item()


def spread(values: Tensor, judged: Tensor) -> Tensor:
    """ρ = ‖A‖_F/(√n·the least judged |α|), (b,), of the eigenvalues α of A: what one rounding of A costs."""
    least = torch.where(judged, values.abs(), torch.full_like(values, torch.inf)).amin(dim=-1)
    return values.square().mean(dim=-1).sqrt() / least

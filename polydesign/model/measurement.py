"""What runs on matrices gave; nothing here is proved."""

from __future__ import annotations

from dataclasses import dataclass, field

import polydesign
from polydesign.model.checks import InputError, check_integer, check_plain, dtype_name
from polydesign.model.quoting import quoted


@dataclass(frozen=True, slots=True)
class MeasuredMap:
    """What a run made of each singular value: x_i before, f(x_i) predicted, u_iᵀ X v_i measured."""

    x: tuple[float, ...]
    predicted: tuple[float, ...]
    measured: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class AfterStep:
    """The interval of the promised values after a step: what the schedule says, and what was measured, for
    operators with a power s the s-th roots. None where the result was not finite."""

    predicted: tuple[float, float]
    measured: tuple[float, float] | None

    @property
    def worst(self) -> float | None:
        """max |f − 1| measured after this step."""
        return None if self.measured is None else max(abs(end - 1) for end in self.measured)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of a table on one matrix, or on one batch of like matrices.

    worst, rms: of |v − 1| over the promised range, where v are the singular values of msign's result, or,
    for operators on P, the eigenvalues of the result relative to the exact one; below_worst, below_rms: over
    those that began below it; None where there are none, or where the result is not finite. orthogonality:
    ‖X Xᵀ − I‖_F/√n. polar_distance: ‖X − U Vᵀ‖_F/√rank. promised: (1 + error)ˢ − 1; allowed: promised plus
    what the precision explains. holds: worst <= allowed. A zero matrix has count 0; worst is then the largest
    entry of the result, and allowed is 0.

    operator, form, restarts, normalization: how it ran; power: s, the result's values are f(x)ˢ. input_share:
    worst, had everything been exact but for the rounding of the input to dtype; None where that leaves no
    such function. mean_error: mean |X − exact| over the entries. relative_error: ‖X − exact‖_F/‖exact‖_F.
    device_name: what the maker calls it. lower_end: the least singular value, or eigenvalue of P, that the
    table promises for, relative to the largest, after this normalization; the largest of the batch.
    """

    table: str
    digest: str
    dtype: str
    shape: tuple[int, ...]
    spectrum: str
    seed: int | None
    device: str
    promised: float
    allowed: float
    holds: bool
    finite: bool
    count: int
    worst: float | None
    rms: float | None
    below_count: int
    below_worst: float | None
    below_rms: float | None
    orthogonality: float | None
    polar_distance: float | None
    versions: dict[str, str] = field(default_factory=dict)
    map: MeasuredMap | None = None
    operator: str = "msign"
    power: int = 1
    form: str = "direct"
    restarts: tuple[int, ...] = ()
    normalization: str = "frobenius"
    device_name: str | None = None
    input_share: float | None = None
    mean_error: float | None = None
    relative_error: float | None = None
    after_steps: tuple[AfterStep, ...] = ()
    lower_end: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", dtype_name(self.dtype))
        object.__setattr__(self, "power", check_integer("power", self.power, 1))
        for name in ("table", "spectrum", "device", "operator", "form", "normalization", "device_name"):
            check_plain(name, getattr(self, name))
        check_plain("versions", self.versions)
        if len(self.shape) not in (2, 3):
            raise InputError("shape", f"must be (m, n) or (batch, m, n), not {quoted(self.shape)}")
        if self.holds != (self.worst is not None and self.worst <= self.allowed):
            raise InputError("holds", f"is {self.holds}, and worst is {self.worst}, allowed {self.allowed}")

    def __repr__(self) -> str:
        """One line, for `verify` gives a list of them."""
        return f"<{polydesign.sheet_of(self).title}>"

    def _repr_html_(self) -> str:
        return polydesign.sheet_of(self).html()

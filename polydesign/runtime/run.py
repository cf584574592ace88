"""What an operator did in one run, and what came out: one type for all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polydesign.text.numbers import number
from polydesign.text.sheet import Sheet


@dataclass(frozen=True, slots=True)
class Run:
    """What an operator did, and what came out; tensors have one entry a matrix of the batch, shape (...).

    A field is None, or empty, where the operator has nothing to say of it; that follows from the operator,
    which a type checker does not see, and is Any for that reason.

    Attributes:
        operator: Name of the operator, as that of its function: "msign".
        result: Tensor, or tuple of tensors, that the operator gives when it is called, bit for bit.
        dtype: Precision that was asked for, named as in torch: the plan's, or else that of the input.
        state: Precision of the iterations, the lowest where there were several: float32 for a small matrix
            in a half precision (Plan.float32_side), else `dtype`.
        matmuls: Matrix products that ran, those of the normalization with them; 0 for an empty matrix.
        table: Name of the table that ran; None where several did, or none.
        residual: How far the result is from what defines it, in float32 or better, in exact arithmetic at
            most `promised`. msign: ‖X Xᵀ − I‖_F/√n with n the smaller dimension, large for a rank-deficient
            input, whose null space stays null; mcsgn: ‖X² − I‖_F/√n; roots: how far GʳPˢ is from I where the
            result G is large, on a few rows (runtime/root_evidence.py); equations: ‖R‖_F, R what is left in
            float64, over the sum of the norms of the terms.
        promised: Upper bound of the residual in exact arithmetic where all of the spectrum is in `interval`:
            (1 + E)² − 1 for signs, (1 + E)^(rs) − 1 for P^(−s/r), rounded up. A number; a tensor (...) where
            each matrix ran the member of a family that it allows.
        norm: ν, what the matrix was divided by, in float64; aol: the largest divisor of a row.
        interval: Shape (..., 2), in float64, what the table promises for: singular values of M between l·ν
            and u·ν (mcsgn: absolute eigenvalues), eigenvalues of P + eps·ν·I between lʳ and uʳ times
            ν·(1 + eps). With aol, a singular value of M above l·ν sees to as many of diag(s) M above l.
        warnings: One line where the residual is above what the table and rounding explain, with the numbers;
            none where plan.check is False, because that looks at the data.
        form: "direct", "gram" or "coupled"; for an empty matrix what would have run. Where the plan leaves
            the gram form's restarts open, and nothing less than one before every step will do, it is direct.
        restarts: Steps before which the gram form started again.
        transposed: Whether the iteration ran on Mᵀ, so that the Gram matrix is the small one.
        formula: Name of the formula that ran.
        passes: Passes of the table in the first solve of an equation.
        sign_residual: ‖W² − I‖_F/√N of the first solve of an equation, N the block's side.
        residuals: The residual after each solve of an equation, the last one for the result.
        rank: tr P, shape (...): how many singular values are above the threshold.
        gap: Between which singular values nothing is decided in exact arithmetic.
        inverse: Run of the inverse in a pseudo-inverse.
        rho: ‖M‖_F/‖M Mᵀ‖_F^½, where the table was chosen by it (Plan(normalization="adaptive")).
        choice: Which table that gave, and why, in one line.
    """

    operator: str
    result: Any
    dtype: str
    matmuls: int
    table: Any = None
    residual: Any = None
    promised: Any = None
    norm: Any = None
    interval: Any = None
    warnings: tuple[str, ...] = ()
    form: Any = None
    restarts: tuple[int, ...] = ()
    transposed: bool = False
    formula: str | None = None
    passes: int | None = None
    sign_residual: Any = None
    residuals: tuple[Tensor, ...] = ()
    rank: Any = None
    gap: Any = None
    inverse: Any = None
    state: Any = None
    rho: Any = None
    choice: str | None = None

    def __post_init__(self) -> None:
        if self.state is None:
            object.__setattr__(self, "state", self.dtype)

    def with_result(self) -> tuple[Any, Run]:
        """The result and the run, as the functions `..._with_info` give them."""
        return self.result, self

    def __repr__(self) -> str:
        return self._sheet().text()

    def _repr_html_(self) -> str:
        return self._sheet().html()

    def _sheet(self) -> Sheet:
        """Numbers of a batch as the least and the largest of them; the result by its shape alone."""
        iterated = "" if self.state == self.dtype else f", iterated in {self.state}"
        facts = [
            ("result", _described(self.result)),
            ("precision", f"{self.dtype}{iterated}"),
            ("table", f"{self.table or 'none, or several'}"),
            ("products", f"{self.matmuls}{f', {self.form} form' if self.form else ''}"),
            ("restarts", ", ".join(map(str, self.restarts))),
            ("residual", _spread(self.residual)),
            ("promised", _spread(self.promised)),
            ("divided by", _spread(self.norm)),
            ("promised for", _interval(self.interval)),
            ("formula", self.formula or ""),
            ("rank", _spread(self.rank)),
            ("choice", self.choice or ""),
            *(("warning", line) for line in self.warnings),
        ]
        return Sheet(f"Run of {self.operator}", tuple(fact for fact in facts if fact[1]))


def _described(result: Any) -> str:
    if isinstance(result, tuple):
        return "; ".join(map(_described, result))
    if not isinstance(result, Tensor):
        return type(result).__name__
    return f"{' x '.join(map(str, result.shape)) or 'a number'}, {str(result.dtype)[6:]}, {result.device}"


def _spread(values: Any) -> str:
    """0.0123, or from the least to the largest of a batch; nothing where there is none."""
    if values is None:
        return ""
    if not isinstance(values, Tensor):
        return number(float(values), 4)
    if not values.numel():
        return "none: the batch is empty"
    try:
        least, most = (float(end) for end in torch.aminmax(values.detach().to(torch.float64)))
    except (RuntimeError, NotImplementedError):  # without data: meta, fake, or inside of vmap
        return f"of shape {tuple(values.shape)}"
    if math.isnan(least):
        return "nan"
    return number(least, 4) if least == most else f"{number(least, 4)} to {number(most, 4)}"


def _interval(ends: Any) -> str:
    if ends is None or not ends.numel():
        return ""
    low, high = (_spread(ends[..., index]) for index in (0, 1))
    return f"values between {low} and {high}" if ends.ndim == 1 else f"values between ({low}) and ({high})"

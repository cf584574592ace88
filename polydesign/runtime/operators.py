"""Operators on matrices: an eager shell of checks around the pure core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, Schedule, Table, dtype_name
from polydesign.program.cost import matmuls
from polydesign.rounding.gram import choose_restarts, every
from polydesign.runtime import compiled, execute
from polydesign.runtime.checks import (
    SIGNS,
    check_finite,
    check_matrix,
    check_square,
    check_table,
    check_unchosen,
    check_vouched,
    residual_warnings,
    scalar_normalization,
)
from polydesign.runtime.defaults import SIGN, chosen
from polydesign.runtime.normalize import NORMALIZATIONS, Normalized

RESIDUAL_ROUNDINGS = {"bfloat16": 4, "float16": 4, "float32": 64, "float64": 64}
"""What rounding explains of a residual, in units of u, from experiment: three times the largest found for up
to 512 x 1024 in full rank (bfloat16 1.2, float16 1.4 beyond the promise, float32 9, float64 22)."""


@dataclass(frozen=True, slots=True)
class Info:
    """What a run did and what came out; tensors have one entry a matrix of the batch, shape (...).

    matmuls: matrix products that ran (0 for an empty matrix): those of the iteration and those of the
    normalization, less one where that formed the first Gram matrix. dtype: precision of the state, named as
    in torch. transposed: whether the iteration ran on Mᵀ, so that the Gram matrix is the small one.
    residual: ‖X Xᵀ − I‖_F/√n with n the smaller dimension, for mcsgn ‖X² − I‖_F/√n, in float32 or better;
    large for a rank-deficient input, whose null space stays null. promised: an upper bound of it in exact
    arithmetic, (1 + E)² − 1, where all of the spectrum is in the table's interval. warnings: one line where
    the residual is above that and what rounding explains, with the numbers; none where plan.check is False,
    because it looks at the data. norm: ν, what M was divided by, in float64
    (aol: the largest divisor of a row). interval: [l·ν, u·ν], shape (..., 2), in float64: the singular values
    of M (mcsgn: absolute eigenvalues) that the table promises for. With aol, a singular value of M above l·ν
    sees to as many of diag(s) M above l. form, restarts: what ran, for an empty matrix what would have: where
    the plan leaves the gram form's restarts open and nothing less than one before every step will do, that is
    the direct form, and it says so.
    """

    matmuls: int
    dtype: str
    transposed: bool
    residual: Tensor
    promised: float
    norm: Tensor
    interval: Tensor
    warnings: tuple[str, ...]
    form: str = "direct"
    restarts: tuple[int, ...] = ()


def msign(M: Tensor, table: Table | None = None, plan: Plan | None = None) -> Tensor:
    """U Vᵀ for M = U Σ Vᵀ, as exactly as the table promises for singular values in [l, u] once normalized.

    M: (..., m, n), any floating dtype, layout and batch; it is not changed, and the result shares no memory
    with it. table: root 2; None takes the catalogue's table for the state's precision, plan.matmuls or
    plan.error the one for that (runtime/defaults.py).
    plan.dtype: precision of the state, None for M's own; the result is a contiguous tensor of M's shape **in
    the state's dtype**. plan.normalization: what M is divided by, None for the table's own; rounding to the
    state comes after the division, which is in float32 or better. With aol the result is msign(diag(s) M),
    with s on the shorter side. Singular values below l grow as the table's map says and are not promised
    anything; a zero matrix gives zero. plan.form gram is the same map by products of the small Gram matrix,
    cheaper where M is wide or tall; its rounding is another, and plan.restarts says how it is kept in bounds.

    Raises InputError for a tensor that is not floating or has fewer than two dimensions, for NaN or
    infinity in M unless plan.check is False (they then spread over their own matrix), for a table of
    another root or purpose, where nothing normalizes M (none) and it has a row or column longer than u, for
    restarts that the table has no steps for, and for a gram form that no restarts would keep in bounds.
    """
    return _msign(M, table, plan or Plan())[0]


def msign_with_info(M: Tensor, table: Table | None = None, plan: Plan | None = None) -> tuple[Tensor, Info]:
    """The same result as `msign`, bit for bit, with what the run did. One product more, for the residual."""
    X, ready = _msign(M, table, plan or Plan())
    with torch.autocast(M.device.type, enabled=False):
        wide = _wide(X.mT if _transposed(X) else X)
        return X, _info(M, X, ready, wide @ wide.mT, transposed=_transposed(M))


def msign_counted(M: Tensor, table: Table | None = None, plan: Plan | None = None) -> tuple[Tensor, int]:
    """The same result as `msign`, with the matrix products that ran; no residual, so nothing more runs.

    For operators that are made of it: a clip table is run too.
    """
    X, ready = _msign(M, table, plan or Plan(), (*SIGNS, "clip"))
    return X, _count(ready)


def mcsgn(M: Tensor, table: Table | None = None, plan: Plan | None = None) -> Tensor:
    """M (M²)^(−1/2) for square M with real spectrum: the same eigenvectors, eigenvalues −1, 0 and 1.

    X ← X q(X²): every eigenvalue λ becomes f(λ/ν), f odd, so that eigenvalues with l·ν <= |λ| <= u·ν end
    within the table's error of ±1, in exact arithmetic; those nearer to 0 are not promised anything, and zero
    stays zero. M: (..., n, n); the rest is as in `msign`. aol is refused: it would change the eigenvalues.

    For symmetric M this is msign. Of non-normal M **nothing is promised in finite precision**: eigenvectors
    at small angles magnify every rounding. Nor is anything for complex eigenvalues; neither is checked, and
    the residual of `mcsgn_with_info` shows it.

    Raises InputError as `msign` does, and for sides that differ.
    """
    return _mcsgn(M, table, plan or Plan())[0]


def mcsgn_with_info(M: Tensor, table: Table | None = None, plan: Plan | None = None) -> tuple[Tensor, Info]:
    """The same result as `mcsgn`, bit for bit, with what the run did. One product more, for the residual."""
    X, ready = _mcsgn(M, table, plan or Plan())
    with torch.autocast(M.device.type, enabled=False):
        wide = _wide(X)
        return X, _info(M, X, ready, wide @ wide, transposed=False, general=True)


class _Ready(NamedTuple):
    """What an iteration starts from; normalized is None for an empty matrix."""

    normalized: Normalized | None
    table: Table
    state: torch.dtype
    checked: bool
    form: str = "direct"
    restarts: tuple[int, ...] = ()


def _msign(
    M: Tensor, table: Table | None, plan: Plan, purposes: Sequence[str] = SIGNS
) -> tuple[Tensor, _Ready]:
    check_matrix("M", M)
    table, state = _table_and_state(M, table, plan, "msign", purposes)
    transposed = _transposed(M)
    # Autocast would run the products in another precision than the plan's.
    with torch.autocast(M.device.type, enabled=False):
        form, restarts = _form(plan, table.schedule, dtype_name(state))
        name = plan.normalization or table.normalization
        normalized = _normalized(M.mT if transposed else M, name, table, plan, state)
        if normalized is None:
            empty = torch.empty(M.shape, dtype=state, device=M.device)
            return empty, _Ready(None, table, state, plan.check, form, restarts)
        forms = compiled if plan.compile else execute
        if form == "gram":
            X = forms.gram(normalized.matrix, table.schedule, restarts, normalized.gram)
        else:
            X = forms.direct(normalized.matrix, table.schedule, normalized.gram)
    return (X.mT if transposed else X).contiguous(), _Ready(
        normalized, table, state, plan.check, form, restarts
    )


def _mcsgn(M: Tensor, table: Table | None, plan: Plan) -> tuple[Tensor, _Ready]:
    check_square("M", M)
    if plan.form != "direct":
        raise InputError(
            "plan.form", f"{plan.form} is of msign, and mcsgn has no Gram matrix: leave form out"
        )
    table, state = _table_and_state(M, table, plan, "mcsgn")
    with torch.autocast(M.device.type, enabled=False):
        normalized = _normalized(M, scalar_normalization(table, plan, "mcsgn"), table, plan, state)
        if normalized is None:
            return torch.empty(M.shape, dtype=state, device=M.device), _Ready(None, table, state, plan.check)
        forms = compiled if plan.compile else execute
        X = forms.matrix_sign(normalized.matrix, table.schedule)
    return X.contiguous(), _Ready(normalized, table, state, plan.check)


def _table_and_state(
    M: Tensor, table: Table | None, plan: Plan, operator: str, purposes: Sequence[str] = SIGNS
) -> tuple[Table, torch.dtype]:
    state = plan.dtype or dtype_name(M.dtype, "M.dtype")
    check_unchosen(plan, table)
    table = chosen(2, state, plan, SIGN[state]) if table is None else table
    return check_table(table, 2, operator, purposes), getattr(torch, state)


def _normalized(M: Tensor, name: str, table: Table, plan: Plan, state: torch.dtype) -> Normalized | None:
    if M.numel() == 0:
        return None
    if plan.check:
        check_finite("M", M)
        if name == "none":
            check_vouched("M", M, table.schedule.interval[1])
    return NORMALIZATIONS[name](M, state)


def _count(ready: _Ready, *, general: bool = False) -> int:
    """Products of the iteration and the normalization, less one where that formed the first Gram matrix.

    general: no step begins with a Gram matrix, as in mcsgn.
    """
    normalized = ready.normalized
    if normalized is None:
        return 0
    saved = normalized.gram is not None and not general
    return (
        matmuls(ready.table.schedule, form=ready.form, restarts=ready.restarts) + normalized.products - saved
    )


def _info(
    M: Tensor, X: Tensor, ready: _Ready, square: Tensor, *, transposed: bool, general: bool = False
) -> Info:
    """square: of X, what should be I. general: as in `_count`."""
    normalized, schedule = ready.normalized, ready.table.schedule
    norm = torch.zeros(M.shape[:-2], dtype=torch.float64, device=M.device)
    if normalized is not None:
        norm = normalized.norm()
    square.diagonal(dim1=-2, dim2=-1).sub_(1)
    residual = square.square().sum(dim=(-2, -1)).div(max(square.shape[-1], 1)).sqrt()
    promised = (1 + schedule.error) ** 2 - 1
    interval = norm[..., None] * torch.tensor(schedule.interval, dtype=norm.dtype, device=norm.device)
    dtype = dtype_name(X.dtype)
    warnings = ()
    if ready.checked and normalized is not None:
        what = "singular values of M"
        warnings = residual_warnings(residual, promised, dtype, interval, what, RESIDUAL_ROUNDINGS)
    return Info(
        matmuls=_count(ready, general=general),
        dtype=dtype,
        transposed=transposed,
        residual=residual,
        promised=promised,
        norm=norm,
        interval=interval,
        warnings=warnings,
        form=ready.form,
        restarts=ready.restarts,
    )


Form = tuple[str, tuple[int, ...]]
"""Form and restarts."""


def _form(plan: Plan, schedule: Schedule, state: str) -> Form:
    """What runs. Chosen restarts before every step are the direct form, and named so."""
    if plan.form == "direct":
        return "direct", ()
    if plan.restarts is None:
        restarts = choose_restarts(schedule, state)
        return ("direct", ()) if restarts == every(schedule) else ("gram", restarts)
    for index, restart in enumerate(plan.restarts):
        if restart >= len(schedule.steps):
            raise InputError(
                f"plan.restarts[{index}]",
                f"is {restart}, and the table has {len(schedule.steps)} steps: write at most "
                f"{len(schedule.steps) - 1}, counted from 0",
            )
    return "gram", plan.restarts


def _transposed(M: Tensor) -> bool:
    return M.shape[-2] > M.shape[-1]


def _wide(X: Tensor) -> Tensor:
    return X.detach().to(torch.promote_types(X.dtype, torch.float32))

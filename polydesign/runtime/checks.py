"""What the operators refuse, each refusal naming the argument and what to write instead."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from polydesign.model import (
    ADAPTIVE,
    DTYPES,
    PURPOSES,
    InputError,
    Plan,
    PromiseWarning,
    Table,
    dtype_name,
    located,
)
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime.defaults import loaded
from polydesign.table.rows import from_rows


def check_plan(plan: Any) -> Plan:
    """The plan, or the usual one for None."""
    if plan is None:
        return Plan()
    if not isinstance(plan, Plan):
        is_dtype = isinstance(plan, (str, torch.dtype))
        what = repr(plan) if isinstance(plan, str) else plan if is_dtype else None
        write = f"Plan(dtype={what})" if is_dtype else 'Plan(), or with arguments such as Plan(dtype="bf16")'
        name = f"the class {plan.__name__}" if isinstance(plan, type) else type(plan).__name__
        raise InputError("plan", f"must be a Plan, not {name}: write plan={write}")
    return plan


def check_matrix(name: str, M: Tensor, of_complex: str = "") -> None:
    """Refuse what is not a plain tensor of shape (..., m, n) with a floating dtype.

    of_complex: what to do with a complex one, "" where the real matrix of twice its sides does as well.
    """
    if not isinstance(M, Tensor):
        if isinstance(M, (list, tuple)) and any(isinstance(one, Tensor) for one in M):
            write = f"torch.stack({name}) where all have one shape, or call it for each"
        else:
            write = f"torch.as_tensor({name})"
        raise InputError(name, f"must be a torch tensor, not {type(M).__name__}: write {write}")
    if M.is_nested or (type(M) is not Tensor and (is_traceable_wrapper_subclass(M) or _masked(M))):
        _check_subclass(name, M)
    if M.layout != torch.strided:
        layout = str(M.layout).removeprefix("torch.")
        raise InputError(name, f"must be a dense tensor, not of layout {layout}: write {name}.to_dense()")
    if M.is_complex():
        dtype = str(M.dtype).removeprefix("torch.")
        embedding = (
            "write the real matrix of twice its sides, it has the same singular values, each twice: "
            f"torch.cat([torch.cat([{name}.real, -{name}.imag], -1), "
            f"torch.cat([{name}.imag, {name}.real], -1)], -2)"
        )
        raise InputError(name, f"must be real here, not {dtype}: {of_complex or embedding}")
    if not M.is_floating_point():
        dtype = str(M.dtype).removeprefix("torch.")
        write = f"{name}.dequantize()" if M.is_quantized else f"{name}.to(torch.float32)"
        raise InputError(name, f"must have a floating dtype, not {dtype}: write {write}")
    if M.ndim < 2:
        raise InputError(
            name,
            f"must have shape (..., m, n), not {tuple(M.shape)}: write {name}.view(m, n) for a matrix that "
            f"was flattened; {name}[None] is a matrix of one row",
        )


def _masked(M: Tensor) -> bool:
    return type(M).__name__ == "MaskedTensor"


def _check_subclass(name: str, M: Tensor) -> None:
    """Refuse tensors that stand for others and need not implement every operation, nor say so."""
    if M.is_nested:
        raise InputError(
            name, f"must be a dense tensor, not a nested one: write {name}.unbind() and call it for each"
        )
    if _masked(M):
        raise InputError(
            name, f"is a MaskedTensor, and there is no rule for a mask: write {name}.to_tensor(0.0)"
        )
    if type(M).__name__ != "AsyncCollectiveTensor":
        raise InputError(
            name,
            f"is a {type(M).__name__}, which need not implement every operation: write the plain tensor that "
            f"it stands for, such as {name}.dequantize(), {name}.to_local() or {name}.full_tensor()",
        )


def state_name(plan: Plan, name: str, M: Tensor) -> str:
    """The precision of the state: the plan's, or M's own."""
    dtype = str(M.dtype).removeprefix("torch.")
    if plan.dtype is None and dtype not in DTYPES:
        raise InputError(
            name, f"has dtype {dtype}, in which nothing is computed: write {name}.to(torch.bfloat16)"
        )
    return plan.dtype or dtype


def check_square(name: str, P: Tensor, of_complex: str = "") -> None:
    """Refuse what `check_matrix` refuses, and sides that differ."""
    check_matrix(name, P, of_complex)
    if P.shape[-2] != P.shape[-1]:
        raise InputError(name, f"must be square, (..., n, n), not {tuple(P.shape)}")


def check_finite(name: str, M: Tensor, switch: str = "Plan(check=False)") -> None:
    """Refuse NaN and infinity. Looks at the data. switch: what runs without, "" where nothing does."""
    # float8 has no isfinite of its own
    finite = torch.isfinite(M if M.element_size() > 1 else M.float())
    field = name if not switch else "plan.check" if switch.startswith("Plan") else "check"
    if not on_host(finite.all(), switch or "the call with the whole batch in place of vmap", field):
        where = member(int((~finite).flatten(-2).any(-1).int().argmax()), M.shape[:-2])
        raise InputError(
            name + where,
            "holds NaN or infinity: look for what made it"
            + (f"; {switch} runs without this check" if switch else ""),
        )


def on_host(number: Tensor, write: str = "Plan(check=False)", field: str = "plan.check") -> Any:
    """The one number of a tensor; a refusal under torch.func.vmap, where there is none. write: what helps."""
    try:
        return number.item()
    except RuntimeError as problem:
        if "vmap" not in str(problem):
            raise
        raise InputError(
            field, f"looks at the data, which torch.func.vmap does not allow: write {write}"
        ) from None


def member(index: int, shape: torch.Size | tuple[int, ...]) -> str:
    """The place of the flat index in a batch, as one writes it after a tensor's name: [2, 0], or nothing."""
    places = []
    for size in reversed(shape):
        index, place = divmod(index, size)
        places.append(place)
    return f"[{', '.join(map(str, reversed(places)))}]" if places else ""


KERNELS = (1, 2, 3, 5, 7)
"""Sides of the kernels of convolutions, which mostly have equal ones."""

MANY = 8
"""Kernels that a convolution has at least."""


def check_kernels(name: str, M: Tensor, operator: str) -> None:
    """Warn of what looks like the weight of a convolution, (out, in, 3, 3): its matrices are the kernels."""
    many = M.ndim >= 4 and M.shape[:2].numel() >= MANY
    if many and M.shape[-1] in KERNELS and set(M.shape[2:]) == {M.shape[-1]}:
        sides = " x ".join(map(str, M.shape[-2:]))
        warnings.warn(
            f"{name}: of shape {tuple(M.shape)}, {operator} takes each {sides} as a matrix; for one matrix "
            f"of all kernels of a convolution write {operator}({name}.flatten(1)).view_as({name}); "
            "Plan(check=False) runs without this warning",
            PromiseWarning,
            stacklevel=2,
        )


def check_symmetric(name: str, P: Tensor) -> None:
    """Refuse P with an entry of |P − Pᵀ| above (8·u + n·v)·max|P|. Looks at the data.

    u: unit roundoff of P's dtype, v: that of the sums in its products (float32's where P is narrower). So
    P = x·xᵀ passes however it was summed, and a matrix with one wrong triangle does not.
    """
    off, largest, tolerance = asymmetry(P)
    if (off > tolerance * largest).any():
        relative = (off / largest)[off > tolerance * largest].max().item()
        raise InputError(
            name,
            f"is not symmetric: {name} and its transpose differ by {relative:.2g} of its largest entry, and "
            f"rounding explains {tolerance:.2g}: write ({name} + {name}.mH)/2",
        )


def symmetry_tolerance(dtype: torch.dtype, n: int) -> float:
    """What rounding explains of P − Pᵀ, relative to the largest entry: 8·u + n·v of `check_symmetric`."""
    # A narrower dtype than bfloat16 is exact in it.
    roundoff = UNIT_ROUNDOFF[dtype_name(dtype if dtype.itemsize > 1 else torch.bfloat16)]
    return 8 * roundoff + n * min(roundoff, UNIT_ROUNDOFF["float32"])


def asymmetry(P: Tensor) -> tuple[Tensor, Tensor, float]:
    """|P − Pᵀ|/2 and |P|/2 at their largest, shape (...), and how much of the latter rounding explains."""
    tolerance = symmetry_tolerance(P.dtype, P.shape[-1])
    wide = P.to(torch.promote_types(P.dtype, torch.float32))
    # In halves, so that finite entries of opposite sign cannot overflow.
    off = (wide / 2 - wide.mT / 2).abs().amax(dim=(-2, -1))
    return off, wide.abs().amax(dim=(-2, -1)) / 2, tolerance


SIGNS = ("sign",)
ROOTS = ("root", "inverse", "sign")
"""Purposes of the tables that run signs, and roots: what is made for the sign serves P^(−1/2) too."""


def given_table(table: Any, root: int, purposes: Sequence[str]) -> Any:
    """The table of a name, a path, or rows for an operator of this root; anything else as it is."""
    if isinstance(table, (str, os.PathLike)):
        return loaded(os.fspath(table))
    if not isinstance(table, (list, tuple, np.ndarray)):
        return table
    if purposes[0] == "clip":
        raise InputError(
            "table",
            "rows for clipping say nothing of the value from which they clip: write "
            'polydesign.from_rows(rows, lower=l, purpose="clip"), l that value over the norm',
        )
    purpose = "root" if purposes[0] != "sign" and root != 1 else None
    with located("table: "):
        return from_rows(table, root, purpose=purpose)


def check_table(table: Table, root: int, operator: str, purposes: Sequence[str]) -> Table:
    """The table, if it is one, and has this root and one of these purposes."""
    if not isinstance(table, Table):
        write = "plan=Plan(...)" if isinstance(table, Plan) else "polydesign.load(name or path), or rows"
        if isinstance(table, Tensor):  # msign(A, B) is a mistake, also where B could be rows
            write += ", and .tolist() where the tensor holds them"
        raise InputError("table", f"must be a Table, not {type(table).__name__}: write {write}")
    if table.schedule.root != root:
        raise InputError(
            "table",
            f"{table.name} has root {table.schedule.root}, and {operator} needs a table of root {root}",
        )
    if table.purpose not in purposes:
        raise InputError(
            "table",
            f"{table.name} is made for {PURPOSES[table.purpose]}, and {operator} needs one for "
            f"{PURPOSES[purposes[0]]}: polydesign list shows them",
        )
    return table


def check_unchosen(plan: Plan, table: Table | None) -> None:
    """Refuse a wish for one of the package's tables beside a table. (adaptive has matmuls or error too.)"""
    for name in ("matmuls", "error"):
        if table is not None and getattr(plan, name) is not None:
            raise InputError(f"plan.{name}", "chooses a table where none is given: leave one of them out")


def check_uncut(plan: Plan, operator: str) -> None:
    """Refuse sizes of blocks, for an operator that does not run rows by blocks."""
    if not isinstance(plan.blockwise, bool):
        raise InputError(
            "plan.blockwise",
            f"has sizes, which are of msign, and {operator} runs whole matrices: leave it out, and call it "
            "for each block",
        )


def check_undithered(plan: Plan, operator: str) -> None:
    """Refuse dither, for an operator that does not begin with msign."""
    if plan.dither:
        raise InputError("plan.dither", f"is of msign, and {operator} has none: leave it out")


def check_scalar(normalization: str | None, operator: str) -> None:
    """Refuse a normalization of more than one divisor, for an operator on eigenvalues or of sums, and one
    that chooses tables of msign."""
    check_unadapted(normalization, operator)
    if normalization == "aol":
        raise InputError(
            "normalization",
            f"aol rescales each row by its own factor, and {operator} of that is another matrix: leave "
            "it out",
        )


def check_unadapted(normalization: str | None, operator: str) -> None:
    """Refuse the normalization that chooses among tables, for an operator that does not."""
    if normalization == ADAPTIVE:
        raise InputError(
            "plan.normalization",
            f"adaptive is of msign, and {operator} has one table: leave it out, and choice too",
        )


def check_vouched(name: str, M: Tensor, upper: float, longest: float | None = None) -> None:
    """Refuse M, given as normalized, with a row or column longer than upper: then ‖M‖₂ > upper.

    Looks at the data, unless it is told how long the longest is. It does not find every M of too large a
    norm. Allowed beyond: the rounding of M and of the sums.
    """
    if longest is None:
        wide = M.to(torch.promote_types(M.dtype, torch.float32))
        longest = max(wide.norm(dim=dim).max().item() for dim in (-2, -1))
    roundoff = UNIT_ROUNDOFF[dtype_name(M.dtype if M.element_size() > 1 else torch.bfloat16)]
    if longest > upper * (1 + 4 * roundoff + max(M.shape[-2:]) * UNIT_ROUNDOFF["float32"]):
        raise InputError(
            name,
            f"has a row or column of length {longest:.4g}, so its spectral norm is above {upper:g}, and "
            "nothing normalizes it: divide it by a bound of its spectral norm, or write "
            'Plan(normalization="frobenius")',
        )


def residual_warnings(
    residual: Tensor,
    promised: float | Tensor,
    dtype: str,
    interval: Tensor,
    what: str,
    roundings: dict[str, int],
    cure: str = "",
) -> tuple[str, ...]:
    """What to say where residuals, shape (...), exceed what the table and the precision explain: one line.

    interval: (..., 2), what the table promises for. what: whose singular values or eigenvalues those are.
    roundings: what rounding explains, in units of u. cure: what else helps. Looks at the data.
    """
    explained = promised + roundings[dtype] * UNIT_ROUNDOFF[dtype]
    # Not a number is beyond too; a zero matrix, whose interval is 0, came out as it should.
    beyond = ~(residual <= explained) & (interval[..., 1] > 0)
    if not beyond.any():
        return ()
    worst = int(torch.where(beyond, residual, torch.zeros_like(residual)).nan_to_num(nan=torch.inf).argmax())
    found, lower = residual.flatten()[worst].item(), interval[..., 0].flatten()[worst].item()
    if isinstance(explained, Tensor):  # each matrix has its own
        explained = explained.flatten()[worst].item()
    cause = (
        f"some {what} may have begun below {lower:.3g}, where nothing is promised, or there is a null space: "
        f"design a table with a smaller --lower{cure}"
    )
    if not found <= 1.5:  # diverged, and not only lost
        cause += f"; or the table rounds too much in {dtype}: run polydesign verify"
    where = f" in {int(beyond.sum())} of {residual.numel()} matrices" if residual.numel() > 1 else ""
    return (
        f"the residual is {found:.2g}{where}, and the table with the rounding of {dtype} explains "
        f"{explained:.2g}: {cause}",
    )

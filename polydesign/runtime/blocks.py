"""mcsgn of a block matrix, pass after pass until it squares to I: what the equations stand on.

One pass is a whole table. What it leaves of an eigenvalue below l is larger by the slope of f at 0, about
1/l, so a further pass with the same table carries eigenvalues down to l², without a table for l². Where no
table is given, two are tried: the catalogue's for a real interval, and that of search/sector.py for
eigenvalues of up to 75 degrees on both sides of the real axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from polydesign.evaluation.rounding import UNIT_ROUNDOFF
from polydesign.model import InputError, Plan, Table, dtype_name
from polydesign.runtime.checks import check_table, check_unchosen
from polydesign.runtime.defaults import SIGN, chosen
from polydesign.runtime.operators import RESIDUAL_ROUNDINGS, mcsgn_with_info
from polydesign.search.sector import sector_table

SECTOR = 75.0
"""Degrees of the second table that is tried: 120 products a pass, beside 168 for 80."""

PASSES = 4
"""With l = 1e-3 these reach eigenvalues of 1e-12·ν, where float64 has no digits left for the rest."""


@dataclass(frozen=True, slots=True)
class BlockSign:
    """sign: (..., n, n), in the state's dtype. residual: ‖W² − I‖_F/√n over max(1, ‖W‖_F²/n), shape (...).

    table: what ran last. matmuls: products of the block's side, of everything that ran. passes: of the last
    table.
    """

    sign: Tensor
    residual: Tensor
    table: Table
    matmuls: int
    passes: int


def block_sign(
    H: Tensor,
    table: Table | None,
    plan: Plan,
    name: str,
    block: str,
    misses: Callable[[BlockSign], str],
) -> BlockSign:
    """mcsgn(H) with the first table whose sign squares to I within its promise and rounding.

    name: the argument to name in a refusal, block: what H is. misses: what is wrong with a sign that squares
    to I, or an empty string. With plan.check False one pass of the first table runs and is not judged.

    Raises InputError with the residuals where no table serves.
    """
    spent, tried = 0, []
    for candidate in _tables(H, table, plan):
        run = _passes(H, candidate, plan)
        spent += run.matmuls
        run = replace(run, matmuls=spent)
        if not plan.check:
            return run
        off = _unconverged(run)
        problem = off or misses(run)
        if not problem:
            return run
        tried.append(f"with {run.table.name} {problem}")
    raise InputError(
        name,
        f"mcsgn of {block} does not apply: {'; '.join(tried)}. Its eigenvalues are too close to the "
        "imaginary axis, or do not lie on the sides of it that the formula needs, or are complex where the "
        "table is for real ones: write table=sector_table(80) for those, or take scipy.linalg",
    )


def explained(table: Table, dtype: str) -> float:
    """What a table and the rounding of a precision explain of a relative residual."""
    return (1 + table.schedule.error) ** 2 - 1 + RESIDUAL_ROUNDINGS[dtype] * UNIT_ROUNDOFF[dtype]


def _tables(H: Tensor, table: Table | None, plan: Plan) -> Iterator[Table]:
    check_unchosen(plan, table)
    if table is not None:
        yield check_table(table, 2, "mcsgn")
        return
    state = plan.dtype or dtype_name(H.dtype)
    yield chosen(2, state, plan, SIGN[state])
    if plan.matmuls is None and plan.error is None:
        yield sector_table(SECTOR)


def _passes(H: Tensor, table: Table, plan: Plan) -> BlockSign:
    """Passes until the sign squares to I or is lost."""
    W, info = mcsgn_with_info(H, table, plan)
    run = BlockSign(W, _relative(info.residual, W), table, info.matmuls, 1)
    inner = replace(plan, normalization="none", check=False)
    while plan.check and run.passes < PASSES and _unconverged(run) and torch.isfinite(run.residual).all():
        # Eigenvalues may lie above 1 by the table's error; u is 1 for most tables.
        scale = table.schedule.interval[1] / (1 + table.schedule.error)
        W, info = mcsgn_with_info(W * scale, table, inner)
        run = BlockSign(W, _relative(info.residual, W), table, run.matmuls + info.matmuls, run.passes + 1)
    return run


def _unconverged(run: BlockSign) -> str:
    allowed = explained(run.table, dtype_name(run.sign.dtype))
    off = ~(run.residual <= allowed)
    if not off.any():
        return ""
    worst = run.residual[off].nan_to_num(nan=torch.inf).max().item()
    return f"‖W² − I‖ is {worst:.2g} after {run.passes} passes, and {allowed:.2g} is explained"


def _relative(residual: Tensor, W: Tensor) -> Tensor:
    """In parts of ‖W‖_F²/n: a sign of a non-normal matrix has a large norm, and its square rounds as much."""
    size = W.detach().to(torch.float64).square().sum(dim=(-2, -1)) / max(W.shape[-1], 1)
    return residual.double() / size.clamp(min=1)

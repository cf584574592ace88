"""mcsgn of a block matrix, pass after pass until it squares to I: what the equations stand on.

One pass is a whole table. What it leaves of an eigenvalue below l is larger by the slope of f at 0, about
1/l, so a further pass with the same table carries eigenvalues down to l², without a table for l². Where no
table is given, three are tried: the catalogue's for a real interval, and those of search/sector.py for
eigenvalues of up to 75 and 80 degrees on both sides of the real axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, Table, dtype_name
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime.base import DEFAULT, Operator, made
from polydesign.runtime.block_advice import SECTORS, Asked, advice
from polydesign.runtime.checks import member
from polydesign.runtime.defaults import SIGN, chosen
from polydesign.runtime.matrix_sign import MatrixSign
from polydesign.runtime.operators import RESIDUAL_ROUNDINGS
from polydesign.search.sector import sector_table
from polydesign.table.given import CHOSEN, TableField

PASSES = 4
"""With l = 1e-3 these reach eigenvalues of 1e-12·ν, where float64 has no digits left for the rest."""


@dataclass(frozen=True, slots=True)
class BlockSign:
    """What `block_sign` ends with.

    sign: W, (..., n, n), in the state's dtype. residual: ‖W² − I‖_F/√n, shape (...). growth: of its rounding,
    max(1, ‖W‖_F²/n), shape (...); the sign of a non-normal matrix is large. table: what ran last. matmuls:
    products of the block's side, of everything that ran. passes: of the last table.
    """

    sign: Tensor
    residual: Tensor
    growth: Tensor
    table: Table
    matmuls: int
    passes: int


@dataclass(frozen=True, eq=False)
class BlockOperator(Operator):
    """What stands in a block of the sign of a block matrix, by `MatrixSign` in passes until it squares to I.

    **The eigenvalues of the block have to be in the sector that the table serves**, on both sides of the
    imaginary axis. Tables for an interval [l, u] serve real eigenvalues and no others: half a degree off the
    axis is too much. Where no table is given and that of the state's precision fails, `sector_table(75)`
    runs, and then `sector_table(80)`. What no table reaches is refused, with the residuals: eigenvalues on
    the imaginary axis or more than 80 degrees off the real one, and a block so far from normal that rounding
    moves its eigenvalues that far.

    Args:
        table: Of root 2; None tries the catalogue's and those of the sectors.
        plan: Of the sign; dtype is its precision, None for the inputs'. With check False nothing is judged,
            one pass of the first table runs, and no data is looked at.

    Raises:
        InputError: When the object is made, for a table of another root, and for what `MatrixSign` refuses
            then; when it runs, for what is not floating, not square, or of shapes that do not fit, for NaN
            and infinity, and where the sign does not apply.
    """

    table: TableField = CHOSEN
    plan: Plan = DEFAULT

    def check(self) -> None:
        MatrixSign(self.table, self.plan)

    def decide(self, dtype: str) -> list[Table]:
        """The tables to try, in this order."""
        if self.table is not None:
            return [self.table]
        first = chosen(2, dtype, self.plan, SIGN[dtype])
        # Who asks for a number of products gets no more, and what is not judged is not tried again.
        alone = self.plan.matmuls is not None or self.plan.error is not None or not self.plan.check
        return [first] if alone else [first, *map(sector_table, SECTORS)]


def block_sign(H: Tensor, tables: Sequence[Table], plan: Plan, asked: Asked) -> BlockSign:
    """mcsgn(H) with the first table whose sign squares to I within its promise and rounding.

    asked: whose sign it is. With plan.check False one pass of the first table runs and is not judged.

    Raises InputError with the residuals where no table serves, and with what to do.
    """
    spent, tried = 0, []
    # They are chosen by now, and a wish for one beside them would be refused.
    inner = replace(plan, matmuls=None, error=None, out_dtype=None)
    worst, off, run = 0, "", None
    for candidate in tables:
        run = _passes(H, candidate, inner)
        spent += run.matmuls
        run = replace(run, matmuls=spent)
        if not plan.check:
            return run
        worst, off = _unconverged(run)
        problem = off or asked.misses(run)
        if not problem:
            return run
        tried.append(f"with {run.table.name} {problem}")
    assert run is not None
    state = dtype_name(run.sign.dtype)
    if not off:
        worst = next((k for k in range(H.shape[:-2].numel()) if asked.hopeless(k)), 0)
    where = member(worst, H.shape[:-2])
    raise InputError(
        asked.name + where,
        f"mcsgn of {asked.block} does not apply: {'; '.join(tried)}. "
        + advice(H, worst, tables, asked, plan, state),
    )


def explained(table: Table, dtype: str) -> float:
    """What a table and the rounding of a precision explain of a relative residual."""
    return (1 + table.schedule.error) ** 2 - 1 + RESIDUAL_ROUNDINGS[dtype] * UNIT_ROUNDOFF[dtype]


def _passes(H: Tensor, table: Table, plan: Plan) -> BlockSign:
    """Passes until the sign squares to I or is lost."""
    run = _signed(H, table, plan)
    inner = replace(plan, normalization="none", check=False)
    while plan.check and run.passes < PASSES and _unconverged(run)[1] and torch.isfinite(run.residual).all():
        # Eigenvalues may lie above 1 by the table's error; u is 1 for most tables.
        scale = table.schedule.interval[1] / (1 + table.schedule.error)
        again = _signed(run.sign * scale, table, inner)
        run = replace(again, matmuls=run.matmuls + again.matmuls, passes=run.passes + 1)
    return run


def _signed(H: Tensor, table: Table, plan: Plan) -> BlockSign:
    """One pass. It is judged here, and where it diverged another table may not."""
    run = made(MatrixSign, table, replace(plan, check="input" if plan.check else False)).run(H)
    assert run.residual is not None
    return BlockSign(run.result, run.residual, _growth(run.result), table, run.matmuls, 1)


def _unconverged(run: BlockSign) -> tuple[int, str]:
    """Where, and what to say of ‖W² − I‖_F/√n where W is not a sign.

    However large W is, one eigenvalue that did not arrive leaves 1/√n; half of that is the limit.
    """
    least = explained(run.table, dtype_name(run.sign.dtype))
    allowed = (
        (least * run.growth).clamp(max=max(least, 0.5 / run.sign.shape[-1] ** 0.5)).nan_to_num(nan=least)
    )
    off = ~(run.residual <= allowed)
    if not off.any():
        return 0, ""
    worst = int((run.residual / allowed).nan_to_num(nan=torch.inf).flatten().argmax())
    found, limit = run.residual.flatten()[worst].item(), allowed.flatten()[worst].item()
    return worst, f"‖W² − I‖ is {found:.2g} after {run.passes} passes, and {limit:.2g} is explained"


def _growth(W: Tensor) -> Tensor:
    return (W.detach().double().square().sum(dim=(-2, -1)) / W.shape[-1]).clamp(min=1)

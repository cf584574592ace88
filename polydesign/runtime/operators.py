"""Signs of matrices: an eager shell of checks around the pure core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from polydesign.model import ADAPTIVE, HALF, InputError, Plan, Schedule, Table, dtype_name
from polydesign.model.family import NORM
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.program.cost import matmuls
from polydesign.rounding.gram import choose_restarts, every
from polydesign.rounding.trial import LOST, most
from polydesign.runtime import compiled, execute
from polydesign.runtime.adaptive import NO_VMAP, Chooser, ladder
from polydesign.runtime.base import DEFAULT, Operator, Resolved, made
from polydesign.runtime.checks import (
    SIGNS,
    check_finite,
    check_kernels,
    check_matrix,
    check_square,
    check_vouched,
    on_host,
    residual_warnings,
    state_name,
)
from polydesign.runtime.defaults import SIGN, chosen
from polydesign.runtime.dither import dithered
from polydesign.runtime.evidence import beyond, norm_evidence, outside, refuted
from polydesign.runtime.indexed import Family, Indexed, family_for, family_of
from polydesign.runtime.normalize import NORMALIZATIONS, Normalized, adaptive, scaled_to_one, work_dtype
from polydesign.runtime.run import Run
from polydesign.table.given import CHOSEN, Source, TableField
from polydesign.table.instead import plain_instead

RESIDUAL_ROUNDINGS = {"bfloat16": 4, "float16": 4, "float32": 64, "float64": 64}
"""What rounding explains of a residual, in units of u, from experiment: three times the largest found for up
to 512 x 1024 in full rank (bfloat16 1.2, float16 1.4 beyond the promise, float32 9, float64 22)."""

ABOVE = 1024
"""What rounding explains of the largest singular value in float32 and float64, in units of u: its residual is
a mean, and this the largest of many."""

Found = tuple[Normalized | None, Resolved]
"""What an iteration started from, None for an empty matrix, and how it ran."""


@dataclass(frozen=True, eq=False)
class Sign(Operator):
    """U Vᵀ for M = U Σ Vᵀ, as exactly as the table promises for singular values in [l, u] once normalized.

    Called with M: (..., m, n), any floating dtype, layout and batch; the result is a contiguous tensor of
    M's shape **in the plan's dtype**, or M's own. Singular values below l grow as the table's map says and
    are not promised anything; a zero matrix gives zero. `run` takes one product more, for the residual.

    Args:
        table: Of root 2; None takes the catalogue's table for the state's precision, plan.matmuls or
            plan.error the one for that (runtime/defaults.py).
        plan: dtype: precision of the state, None for M's own; in place of a half one float32 for small M
            (float32_side). normalization: what M is divided by, None for the table's own; rounding to the
            state comes after the division, which is in float32 or better. With aol the result is
            msign(diag(s) M), with s on the shorter side. form: gram is the same map by products of the small
            Gram matrix, cheaper where M is wide or tall; its rounding is another, and restarts says how it is
            kept in bounds.

    Raises:
        InputError: When the object is made, for a table of another root or purpose, for restarts that the
            table has no steps for, and for a gram form that no restarts would keep in bounds. When it runs,
            for a tensor that is not floating or has fewer than two dimensions; for NaN or infinity in M
            unless plan.check is False (they then spread over their own matrix); where nothing normalizes M
            (none) and it has a row or column longer than u.
    """

    table: TableField = CHOSEN
    plan: Plan = DEFAULT
    word: ClassVar[str] = "msign"
    shardable: ClassVar[bool] = True
    general: ClassVar[bool] = False
    """Whether no step begins with a Gram matrix, as in mcsgn."""
    adapts: ClassVar[bool] = True
    cuts_rows: ClassVar[bool] = True

    def check(self) -> None:
        if isinstance(self.table, Table):
            _check_restarts(self.plan, self.table.schedule)

    def decide(self, dtype: str) -> Resolved:
        table = self.table
        if table is None:
            on_device = self.plan.choice == "device"
            table = family_for(dtype, self.plan) if on_device else chosen(2, dtype, self.plan, SIGN[dtype])
            _check_restarts(self.plan, table.schedule)
        if self.plan.choice == "device":
            table = family_of(table)
        form, restarts = _form(self.plan, table, dtype)
        how = Resolved(
            table, getattr(torch, dtype), self.plan.normalization or table.normalization, form, restarts
        )
        if self.adapts and table.members and how.normalization in (NORM, ADAPTIVE):
            return how._replace(normalization=ADAPTIVE, family=Family(table))
        return how._replace(ladder=ladder(dtype, self.plan, table)) if how.normalization == ADAPTIVE else how

    def compute(self, M: Tensor) -> tuple[Tensor, Found]:
        (check_square if self.general else check_matrix)("M", M)
        how, transposed = self.resolved(state_name(self.plan, "M", M)), _tall(M)
        normalized, how = self.normalized(M.mT if transposed else M, how)
        if normalized is None:
            return torch.empty(M.shape, dtype=how.state, device=M.device), (None, how)
        forms = compiled if self.plan.compile else execute
        X, steps = normalized.matrix, how.choice.steps() if how.family else how.table.schedule
        if self.general:
            X = forms.matrix_sign(X, steps)
        elif how.form == "gram":
            X = forms.gram(X, steps, how.restarts, normalized.gram)
        else:
            X = forms.direct(X, steps, normalized.gram)
        return (X.mT if transposed else X).to(how.state).contiguous(), (normalized, how)

    def blank(self, *data: Any) -> Any:
        (M,) = data
        if not isinstance(M, Tensor) or M.is_complex():
            return super().blank(M)
        (check_square if self.general else check_matrix)("M", M)
        dtype = self.plan.out_dtype or state_name(self.plan, "M", M)
        return torch.empty(M.shape, dtype=getattr(torch, dtype), device=M.device)

    def state(self, M: Tensor, how: Resolved) -> torch.dtype:
        """What M is iterated in: it depends on the shape alone."""
        small = not self.general and 0 < min(M.shape[-2:]) <= self.plan.float32_side
        return torch.promote_types(how.state, torch.float32) if small else how.state

    def normalized(self, M: Tensor, how: Resolved) -> tuple[Normalized | None, Resolved]:
        """What the iteration starts from, None for an empty matrix, and how it runs."""
        if M.numel() == 0:
            return None, how
        if self.plan.check:
            if not self.general:
                check_kernels("M", M, self.word)
            if how.normalization == "none" or not self.plan.guards:
                check_finite("M", M)
            if how.normalization == "none":
                check_vouched("M", M, how.table.schedule.interval[1])
        state = self.state(M, how)
        if how.normalization != ADAPTIVE:
            found = self._divided(M, state, NORMALIZATIONS[how.normalization], how.normalization)
            return self.lowered(found, how), how
        if how.family is not None:
            indexed = Indexed(how.family, state)
            found = self._divided(M, state, partial(adaptive, fourth=indexed), ADAPTIVE)
            how = how._replace(choice=indexed)
            return self.lowered(found, how), how
        key = (how.state, M.shape, M.device)
        chooser = Chooser(how.table, how.ladder, self.plan.every, self.__dict__["_held"], key)
        found = self._divided(M, state, partial(adaptive, fourth=chooser), ADAPTIVE)
        table = chooser.choice.table
        form, restarts = _form(self.plan, table, dtype_name(how.state))
        how = how._replace(table=table, form=form, restarts=restarts, choice=chooser.choice)
        return self.lowered(found, how), how

    def lowered(self, found: Normalized, how: Resolved) -> Normalized:
        """For what divides by more than the norm: what it makes of the matrix once normalized."""
        return found

    def _divided(
        self, M: Tensor, state: torch.dtype, divided: Callable[..., Normalized], name: str
    ) -> Normalized:
        if not self.plan.dither or state.itemsize > 2:
            return divided(M, state)
        # Before any Gram matrix is formed; scaled, because what is near the largest number may grow.
        W = M.to(work_dtype(state, M))
        W, exponent = (W, 0) if name == "none" else scaled_to_one(W)
        found = divided(dithered(W, state), state)
        return found._replace(exponent=found.exponent + exponent)

    def guard(self, result: Tensor, found: Found, *data: Tensor) -> None:
        """By a lower bound of the largest singular value."""
        normalized, how = found
        if normalized is None:
            return
        self._guard_choice(how)
        worst = beyond(norm_evidence(result), self.most(how), "M", *data)
        if worst is not None:
            self.say(worst, how)

    def most(self, how: Resolved) -> float:
        """What table and rounding explain of the largest singular value."""
        dtype = dtype_name(how.state)
        rounding = LOST if dtype in HALF else ABOVE * UNIT_ROUNDOFF[dtype]
        return 1 + how.table.schedule.error + rounding

    def say(self, worst: tuple[str, float], how: Resolved) -> None:
        """Raise, or warn of, a singular value above that: the name of the matrix, and a lower bound."""
        dtype, error = dtype_name(how.state), how.table.schedule.error
        name, value = worst
        what = (
            f"{name}: a singular value of the result is at least {value:.3g}, and {how.table.name} ends at "
            f"{1 + error:.4g} or below in exact arithmetic"
        )
        if value <= most(how.table.schedule):
            outside(f"{what}: {dtype} rounds too much for this matrix; {_cure(how, dtype)}")
        else:
            given = "if ‖M‖₂ <= 1, as normalization none promises, " if how.normalization == "none" else ""
            refuted(f"{what}: {given}it blew up in {dtype}; {_cure(how, dtype)}", self.plan)

    def _guard_choice(self, how: Resolved) -> None:
        """Warn where what an earlier call chose begins above l₀·‖M‖_F for this matrix; the next one looks."""
        choice = how.choice
        if choice is None or not choice.held or on_host(choice.kept(), NO_VMAP):
            return
        self.__dict__["_held"].clear()
        low, rho = choice.table.schedule.interval[0], choice.rho.min().item()
        outside(
            f"M: an earlier call chose {choice.table.name}, which begins at {low / rho:.3g}·‖M‖_F here, and "
            f"{choice.lower:g}·‖M‖_F is asked for: singular values between them are not promised anything; "
            f"the next call chooses again, and Plan(every=1) looks at each matrix"
        )

    def count(self, found: Found) -> int:
        """Products of iteration and normalization, less one where that formed the first Gram matrix."""
        normalized, how = found
        if normalized is None:
            return 0
        saved = normalized.gram is not None and not self.general
        return matmuls(how.table.schedule, form=how.form, restarts=how.restarts) + normalized.products - saved

    def judge(self, result: Tensor, found: Found, *data: Tensor) -> Run:
        (normalized, how), (M,) = found, data
        schedule, transposed = how.table.schedule, _tall(M) and not self.general
        X = result.mT if transposed else result
        X = X.detach().to(torch.promote_types(X.dtype, torch.float32))
        square = X @ (X if self.general else X.mT)
        square.diagonal(dim1=-2, dim2=-1).sub_(1)
        residual = square.square().sum(dim=(-2, -1)).div(max(square.shape[-1], 1)).sqrt()
        norm = torch.zeros(M.shape[:-2], dtype=torch.float64, device=M.device)
        norm = norm if normalized is None else normalized.norm()
        interval = norm[..., None] * torch.tensor(schedule.interval, dtype=norm.dtype, device=norm.device)
        error: Any = schedule.error
        if how.family is not None and how.choice is not None:
            error, interval[..., 0] = how.choice.error(), norm * how.choice.lower()
        promised, dtype, warnings = (1 + error) ** 2 - 1, dtype_name(result.dtype), ()
        if self.plan.check and normalized is not None:
            what, cure = "singular values of M", ""
            if self.general:
                what, cure = (
                    "eigenvalues of M",
                    ", or, for those off the real axis, write table=sector_table(80)",
                )
            warnings = residual_warnings(residual, promised, dtype, interval, what, RESIDUAL_ROUNDINGS, cure)
        return Run(
            operator=self.word,
            result=result,
            dtype=dtype,
            matmuls=self.count(found),
            table=how.table.name,
            residual=residual,
            promised=promised,
            norm=norm,
            interval=interval,
            warnings=warnings,
            form=how.form,
            restarts=how.restarts,
            transposed=transposed,
            state=dtype_name(self.state(M, how)),
            rho=None if how.choice is None else how.choice.rho,
            choice=None if how.choice is None else how.choice.why,
        )


class AnySign(Sign):
    """Sign that runs a clip table too, for operators that are made of signs."""

    cuts_rows = False

    @property
    def purposes(self) -> Sequence[str]:
        return (*SIGNS, "clip")

    def counted(self, M: Tensor) -> tuple[Tensor, int, torch.dtype, Found]:
        """The result, the products that ran, in what, and from what; no residual, so nothing more runs."""
        X, found = self.compute(M)
        return X, self.count(found), self.state(M, found[1]), found


def msign(M: Tensor, table: Source | None = None, plan: Plan | None = None) -> Tensor:
    """U Vᵀ for M = U Σ Vᵀ, by `Sign`.

    Args:
        M: (..., m, n), any floating dtype.
        table: Of root 2, None for the catalogue's.
        plan: How it runs.

    Returns:
        Tensor of M's shape in the plan's dtype, or M's own.
    """
    return made(Sign, table, plan)(M)


def msign_with_info(M: Tensor, *how: Any, **named: Any) -> tuple[Tensor, Run]:
    """The same result as `msign`, bit for bit, with its Run; the arguments are the same."""
    return made(Sign, *how, **named).run(M).with_result()


def _check_restarts(plan: Plan, schedule: Schedule) -> None:
    for index, restart in enumerate(plan.restarts or ()):
        if restart >= len(schedule.steps):
            raise InputError(
                f"plan.restarts[{index}]",
                f"is {restart}, and the table has {len(schedule.steps)} steps: write at most "
                f"{len(schedule.steps) - 1}, counted from 0",
            )


def _cure(how: Resolved, dtype: str) -> str:
    if dtype not in HALF:
        return "look at its norm, or design a table with more headroom"
    return f'{plain_instead(how.table.schedule, dtype)}, or write Plan(dtype="float32")'


def _form(plan: Plan, table: Table, dtype: str) -> tuple[str, tuple[int, ...]]:
    """Form and restarts that run. Chosen restarts before every step are the direct form, and named so."""
    if plan.form == "direct":
        return "direct", ()
    if table.members:
        raise InputError(
            "plan.form", f"gram is of one schedule, and {table.name} is a family of several: leave form out"
        )
    schedule = table.schedule
    if plan.restarts is not None:
        return "gram", plan.restarts
    restarts = choose_restarts(schedule, dtype)
    return ("direct", ()) if restarts == every(schedule) else ("gram", restarts)


def _tall(M: Tensor) -> bool:
    return M.shape[-2] > M.shape[-1]

"""msign of several matrices and the products between them, by one table and plan, all counted."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from polydesign.model import HALF, Plan, Table, check_choice, dtype_name
from polydesign.rounding.trial import LOST
from polydesign.runtime import ops
from polydesign.runtime.base import Operator, made
from polydesign.runtime.checks import check_finite, check_matrix, check_scalar, state_name
from polydesign.runtime.defaults import SIGN, chosen, clip_tables, loaded
from polydesign.runtime.evidence import beyond, norm_evidence, refuted
from polydesign.runtime.operators import AnySign
from polydesign.runtime.run import Run


class Tables(NamedTuple):
    """What runs: the table of the signs, that for clipping where no data is looked at, and what inverts."""

    sign: Table | None
    clip: Table | None = None
    inverse: Operator | None = None


class Signs:
    """What an operator that is made of signs runs on.

    state: the dtype of the iterations and of the result. Products and sums outside of them are in the wider
    of M's dtype and the state's. table: the one given, or None; tables: what was decided. used: the table
    that ran, where it was given or is the clip table. matmuls: the products so far. part: the projector that
    the result is made of, and inverse: the Run of an inverse, where there is one. lowest: the lowest
    precision that a sign was iterated in. last: what the last sign started from and how it ran. out: the
    dtype of the result, None for the state's.
    """

    lowest: torch.dtype | None = None
    last: Any = None
    out: torch.dtype | None = None
    part: Any = None
    inverse: Run | None = None

    def __init__(self, M: Tensor, table: Table | None, plan: Plan, tables: Tables) -> None:
        self.state: torch.dtype = getattr(torch, plan.dtype)
        self.wide = torch.promote_types(self.state, M.dtype)
        self.table, self.plan, self.tables = table, plan, tables
        self.used, self.matmuls = table, 0

    def state_of(self, X: Tensor) -> Tensor:
        """The result, contiguous, in the state's dtype, or that which the plan wants."""
        return X.to(self.out or self.state).contiguous()

    def msign(self, X: Tensor, *, normalized: bool = False, table: Table | None = None) -> Tensor:
        """msign in the state, given back for sums. normalized: ‖X‖₂ is known to be at most 1.

        Only what the caller passed is checked, by the caller: a refusal of X would name what he never saw.
        """
        name = "none" if normalized else self.plan.normalization
        plan = replace(self.plan, check=False, normalization=name, matmuls=None, error=None)
        found, count, ran, self.last = made(AnySign, table or self.tables.sign, plan).counted(X)
        self.matmuls += count
        self.lowest = ran if self.lowest in (None, ran) else self.state
        return found.to(self.wide)

    def mm(self, a: Tensor, b: Tensor) -> Tensor:
        """a·b; nothing is counted where nothing is there."""
        self.matmuls += bool(a.numel() and b.numel())
        return ops.mm(a, b)

    def sum(self, terms: Sequence[tuple[Tensor, float]], shift: float | None = None) -> Tensor:
        """Σ weight·matrix + shift·I, rounded once."""
        return ops.weighted_sum(terms, shift)

    def tall(self, M: Tensor) -> Tensor:
        """M or Mᵀ, whichever has the smaller MᵀM."""
        return M.mT if M.shape[-2] < M.shape[-1] else M

    def like(self, M: Tensor, X: Tensor) -> Tensor:
        """X, made of tall(M), turned back."""
        return X.mT if M.shape[-2] < M.shape[-1] else X


@dataclass(frozen=True, eq=False)
class SpectralOperator(Operator):
    """A function of the singular values of M that is made of signs and products, called with M: (..., m, n).

    M has any floating dtype and batch, and is not changed. The result is in the state's dtype; sums and
    products outside of the signs are in the wider of M's dtype and the state's.

    Args:
        table: Of the signs, None for the catalogue's.
        plan: Of the signs.
        formula: One of `formulas`.

    Raises:
        InputError: When the object is made, for an unknown formula, for aol, and for what `Sign` refuses
            then; when it runs, as Sign does.
    """

    formula: str = field(default="composed", kw_only=True)
    formulas: ClassVar[Collection[str]]

    def check(self) -> None:
        check_choice("formula", self.formula, self.formulas)
        check_scalar(self.normalization, self.word)

    @property
    def signed(self) -> bool:
        """Whether a sign runs, whatever the data."""
        return True

    def decide(self, dtype: str) -> Tables:
        sign, clip = self.table, None
        if sign is None and self.signed:
            sign = chosen(2, dtype, self.plan, SIGN[dtype])
        if self.formula == "composed" and not self.plan.check:
            clip = loaded(str(clip_tables(dtype)[-1].path))
        return Tables(sign, clip)

    def compute(self, M: Tensor) -> tuple[Tensor, Signs]:
        check_matrix("M", M)
        dtype = state_name(self.plan, "M", M)
        tables = self.resolved(dtype)
        if self.plan.check and not self.plan.guards:
            check_finite("M", M)
        signs = Signs(M, self.table, self.plan.in_dtype(dtype), tables)
        if self.plan.out_dtype is not None:
            out: torch.dtype = getattr(torch, self.plan.out_dtype)
            signs.out, signs.wide = out, torch.promote_types(signs.wide, out)
        return self.combine(signs, M.to(signs.wide)), signs

    def combine(self, signs: Signs, M: Tensor) -> Tensor:
        """The result."""
        raise NotImplementedError

    def largest(self) -> float:
        """What no singular value of a result exceeds in exact arithmetic, where that is known."""
        return math.inf

    def guard(self, result: Tensor, found: Signs, *data: Tensor) -> None:
        """By a lower bound of the largest singular value, which is not finite where the result is not."""
        if not result.numel():
            return
        most, X = self.largest(), result.detach()
        if math.isfinite(most):
            limit, evidence = most * (1 + LOST), most * norm_evidence(X / most)
        else:
            limit, evidence = sys.float_info.max, X.abs() if self.counts else X.abs().amax(dim=(-2, -1))
        worst = beyond(evidence, limit, "M", *data)
        if worst is not None:
            name, value = worst
            state = dtype_name(found.state)
            what = (
                f"a singular value of the result is at least {value:.3g}, and {most:.4g} is the most"
                if value < math.inf
                else "the result is not finite"
            )
            cure = 'write Plan(dtype="float32")' if state in HALF else "take another formula, or scale M to 1"
            refuted(
                f"{name}: {what}: a sign blew up in {state}, or {state} has no place for the result; {cure}",
                self.plan,
            )

    def judge(self, result: Tensor, found: Signs, *data: Tensor) -> Run:
        table = None if found.used is None else found.used.name
        formula, state = self.formula or None, dtype_name(found.lowest or found.state)
        return Run(
            self.word, result, str(found.plan.dtype), found.matmuls, table, formula=formula, state=state
        )

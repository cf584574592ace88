"""Around the coupled form: checks, normalization and damping before it, rescaling and judging after it."""

from __future__ import annotations

import warnings
from copy import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from polydesign.model import (
    HALF,
    InputError,
    PromiseWarning,
    Schedule,
    check_integer,
    check_number,
    dtype_name,
)
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.program.cost import count_stepwise, matmuls
from polydesign.runtime import compiled, execute, ops
from polydesign.runtime.base import Operator, Resolved
from polydesign.runtime.checks import (
    ROOTS,
    check_scalar,
    check_square,
    check_undithered,
    state_name,
)
from polydesign.runtime.coupled import Ended, Iterations, Side
from polydesign.runtime.defaults import default_table
from polydesign.runtime.diagnosis import diagnosed, unexplained
from polydesign.runtime.doubts import doubt_eps, doubt_zero, doubts_of, unfit
from polydesign.runtime.evidence import refuted as refuted_as
from polydesign.runtime.normalize import EMBEDDED, NORMALIZATIONS, power_of_complex, work_dtype
from polydesign.runtime.rescaling import divisor, symmetric_part
from polydesign.runtime.root_evidence import Doubt, between, look, of_inverse, promise
from polydesign.runtime.run import Run
from polydesign.runtime.stepwise import EXPLAINED, split_table, stepwise

CUT = 4.0
"""Times u of P: below that, relative to its largest eigenvalue, P is rounding."""

LEAST_CUT = 1e-10
"""Less is not told apart in float64."""


@dataclass(frozen=True, eq=False)
class CoupledOperator(Operator):
    """A function of symmetric positive P by the coupled iteration, whose tables have the root r.

    P (..., n, n) is divided by ν (‖P‖_F, or what the table's or the plan's normalization says; aol is
    refused) and iterated in the plan's precision, and the result is multiplied by the power of ν that this
    calls for, in float32 or better, last. A table of root r with error E on [l, u] promises, in exact
    arithmetic, P^(−s/r) with eigenvalues off by at most (1 + E)ˢ − 1 relatively, for every eigenvalue λ of P
    with (λ/ν)^(1/r) in [l, u]; smaller ones come out too small in P^(−s/r).

    With plan.check every run is judged by its residual on a few rows (runtime/root_evidence.py): one look at
    the data, for the input and the result together. In a half precision a result that is refuted is computed
    again in float32, which `Run.state` says; a root P^(1/r) that is not as good as promised also in float64,
    with what rounding P leaves of a null space cut off.

    Args:
        table: Of root r, None takes the one of DEFAULT_TABLES for this root and precision.
        plan: dtype: precision of the state and of the result, None for P's own. A result that does not fit
            that dtype is raised, and infinite without plan.check: P^(−1) for ‖P‖ = 1e-6 has no place in
            float16, and plan.out_dtype gives it one.
        eps: Damping relative to the normalization: the operators then work on P + eps·ν·I. One number, or a
            tensor with one for each matrix of the batch.

    Raises:
        InputError: When the object is made, for a root or power that is no whole number, a negative eps, the
            gram form, aol, and a table of another root or purpose. When it runs, for a root without a
            default table; for what is not floating, not square, or of shapes that do not fit; with
            plan.check also for NaN and infinity, for P that is not symmetric within its rounding, for a
            zero matrix in P where the result holds an inverse (there is none, and damping is relative to a
            norm of zero), and for P with a negative eigenvalue that makes the result wrong.
        DivergenceError: With plan.check, where the result cannot be right though P is positive.

    Warns:
        PromiseWarning: With plan.check, when it is called, where the residual is more than table and rounding
            explain; a `run` has the lines in Run.warnings and does not warn.
    """

    eps: Any = field(default=0.0, kw_only=True)
    embedding: ClassVar[bool] = False
    """Whether P stands for a complex matrix, to whose norm eps is relative."""
    cuts: ClassVar[bool] = False
    letter: ClassVar[str] = "P"

    @property
    def purposes(self) -> tuple[str, ...]:
        return ROOTS

    def check(self) -> None:
        check_integer("root", self.order, 1)
        if not isinstance(self.eps, Tensor):
            object.__setattr__(self, "eps", check_number("eps", self.eps))
            if self.eps < 0:
                raise InputError("eps", f"must not be negative, and is {self.eps!r}")
        elif not self.eps.is_floating_point():
            raise InputError("eps", f"must have a floating dtype, not {self.eps.dtype}: write eps.float()")
        if self.plan.form != "direct":
            raise InputError(
                "plan.form", f"{self.plan.form} is of msign, and {self.word} is coupled: leave form out"
            )
        check_undithered(self.plan, self.word)
        check_scalar(self.normalization, self.word)

    def decide(self, dtype: str) -> Resolved:
        if self.plan.precision is not None and dtype in HALF and self.table is None:
            table = split_table(self.order, dtype)
        else:
            table = default_table(self.order, dtype, self.plan) if self.table is None else self.table
        return Resolved(
            table, getattr(torch, dtype), self.plan.normalization or table.normalization, "coupled"
        )

    def work(self, how: Iterations, *data: Any, **named: Any) -> Any:
        """The result, in the state's dtype."""
        raise NotImplementedError

    def called(self, *data: Any) -> tuple[Any, Iterations]:
        result, found = self._judged(data, judged=self.plan.guards)
        for line in found.warnings:
            warnings.warn(f"{self.word}: {line}", PromiseWarning, stacklevel=4)
        return result, found

    def compute(self, *data: Tensor) -> tuple[Any, Iterations]:
        return self._judged(data, judged=True)

    def _judged(self, data: tuple[Tensor, ...], *, judged: bool) -> tuple[Any, Iterations]:
        """The result, looked at where the plan says so."""
        P = data[-1]
        check_square("P", P)
        dtype = state_name(self.plan, "P", P)
        if self.plan.precision is not None and dtype not in HALF:
            raise InputError(
                "plan.precision", f'goes with a half precision, and the state is {dtype}: write dtype="bf16"'
            )
        how: Resolved = self.resolved(dtype)
        out: torch.dtype = getattr(torch, self.plan.out_dtype or dtype)
        found = Iterations(how, out, judged)
        result = self.work(found, *data)
        if not self.plan.guards:
            look(found.doubts)
        if not self.plan.guards or not found.ended:
            return result, found
        wider = {"bfloat16": "float32", "float16": "float32"}
        if self.cuts:
            wider |= {"float32": "float64", "float64": "float64"}
        if self._looked_at(found, result, again=dtype in wider):
            again: Resolved = how._replace(state=getattr(torch, wider[dtype]))
            if self.table is None and self.plan.matmuls is None and self.plan.error is None:
                again = self.resolved(wider[dtype])
            # A narrower dtype than bfloat16 is exact in it.
            roundoff = UNIT_ROUNDOFF[dtype_name(P.dtype if P.element_size() > 1 else torch.bfloat16)]
            cut = max(LEAST_CUT, CUT * roundoff) if self.cuts else 0.0
            found = Iterations(again, out, judged, cut=cut)
            result = self.work(found, *data)
            self._looked_at(found, result, again=False)
        return result, found

    def _looked_at(self, found: Iterations, result: Any, *, again: bool) -> bool:
        """Look at input and result, once. again: whether a result that is refuted, or root that is not
        explained, is computed again: then nothing is said of it, and the answer is True."""
        refuted: list[Ended] = []
        unsure: list[Ended] = []
        over: list[str] = []
        doubts = list(found.doubts)
        parts: tuple[Tensor, ...] = result if isinstance(result, tuple) else (result,)
        doubts += unfit([X.detach() for X in parts], found, over)
        for ended in found.ended:
            assert ended.evidence is not None
            finite = torch.isfinite(ended.G.detach()).all()
            doubts.append(Doubt(~finite | ended.evidence.refuted().any(), lambda e=ended: refuted.append(e)))
            doubts.append(Doubt(ended.evidence.beyond().any(), lambda e=ended: unsure.append(e)))
            if again and ended.inverse is not None:
                doubts.append(Doubt(ended.inverse.beyond().any(), lambda e=ended: unsure.append(e)))
        look(doubts)
        if again and (refuted or (unsure and self.cuts)):
            return True
        state, table = dtype_name(found.how.state), found.how.table
        # What is not explained after a cut has lost a negative eigenvalue.
        for ended in refuted + (unsure if found.cut else []):
            assert ended.evidence is not None
            problem = diagnosed(ended, self.word, table, state, self.order)
            if isinstance(problem, InputError):
                raise problem
            refuted_as(str(problem), self.plan)
        if over and not refuted:
            out = dtype_name(found.out)
            write = 'write Plan(out_dtype="float32"), or scale P'
            refuted_as(f"{over[0].format(self.word)} that {out} holds: {write}", self.plan)
        found.warnings = tuple(unexplained(ended, self.word, table, state, self.order) for ended in unsure)
        return False

    def iterate(self, side: Side, G: Tensor | None, how: Iterations, power: int = 1) -> Ended:
        """The iteration on a prepared P, with nothing in place of an identity G.

        For s = power > r Wˢ would be too small where W is, and G lose there what later steps do not give
        back: then P^(−1/r) runs, and its power is taken, in float32 or better.
        """
        if self.apart(how):
            return self._stepwise(side, how)
        high, schedule = power > self.order, how.how.table.schedule
        run = compiled.coupled if self.plan.compile else execute.coupled
        once = 1 if high else power
        keep = how.judged and not high and G is not None
        end = run(side.X, None if high else G, schedule, power=once, keep=keep)
        evidence, exponents = None, (1 if keep else once, self.order)
        if how.judged:
            promised = promise(schedule.error, exponents[0] * self.order)
            factors = end.kept if keep else (end.G,)
            evidence = of_inverse(side.wide, factors, how.how.state, exponents, promised)
            evidence = evidence.of_power(power / self.order) if high else evidence
        found = end.G
        if high:
            found = execute.power_of(found.to(torch.promote_types(found.dtype, torch.float32)), power)
            found = found if G is None else ops.mm(G.to(found.dtype), found)
        ended = Ended(side, found, power, G is None, evidence)
        how.ended.append(ended)
        return ended

    def apart(self, how: Iterations) -> bool:
        """Whether steps have precisions of their own: not where a result is computed again in float32."""
        return self.plan.precision is not None and how.how.state.itemsize == 2

    def _stepwise(self, side: Side, how: Iterations) -> Ended:
        schedule, state = how.how.table.schedule, how.how.state
        found, evidence = stepwise(side.wide.float(), schedule, self.plan.precision, state).G, None
        if how.judged:
            promised = promise(schedule.error, self.order)
            evidence = between(side.wide, found, self.order, promised, EXPLAINED[dtype_name(state)])
        ended = Ended(side, found, 1, True, evidence)
        how.ended.append(ended)
        return ended

    def prepare(self, P: Tensor, how: Iterations, name: str = "P", *, zero: bool = False) -> Side | None:
        """What an iteration starts from; None for an empty P.

        zero: whether a zero matrix has a result. The division by 1 + eps keeps the damped spectrum in (0, 1],
        where the table is good.
        """
        check_square(name, P)
        if P.numel() == 0:
            return None
        state, normalization = how.how.state, how.how.normalization
        if self.plan.check:
            how.doubts += doubts_of(name, P, how.how, damped=isinstance(self.eps, Tensor) or self.eps > 0)
        work = work_dtype(state, P)
        X, scaled_norm, exponent, gram, products = NORMALIZATIONS[normalization](P, work)
        if self.plan.check and not zero:
            how.doubts.append(doubt_zero(name, X))
        norm = divisor(scaled_norm, exponent)
        share = EMBEDDED.get(normalization, 1.0) if self.embedding else 1.0
        if isinstance(self.eps, Tensor) or self.eps:
            exact = share
            if self.embedding and normalization == "power" and gram is not None:
                exact = power_of_complex(gram)
            X, scaled_norm = self._damped(X, scaled_norm, how, P.shape[:-2], exact)
        wide = symmetric_part(X)
        return Side(wide.to(state), wide, norm, scaled_norm, exponent, products, name, P.dtype, share=share)

    def of_embedded(self) -> Operator:
        if "_twice" not in self.__dict__:
            twin = copy(self)
            twin.__dict__["embedding"] = True
            self.__dict__["_twice"] = twin
        return self.__dict__["_twice"]

    def _damped(
        self, X: Tensor, scaled_norm: Tensor, how: Iterations, batch: torch.Size, share: Any
    ) -> tuple[Tensor, Tensor]:
        """share: the norm that eps is relative to over the one that P was divided by."""
        eps: Any = self.eps
        if isinstance(eps, Tensor):
            if eps.ndim and eps.shape != batch:
                raise InputError(
                    "eps",
                    f"has shape {tuple(eps.shape)}, and the batch {tuple(batch)}: give one number, or one "
                    "for each matrix of the batch",
                )
            eps = eps.to(X.device, X.dtype)[..., None, None]
            if self.plan.check:
                how.doubts.append(doubt_eps(eps))
        eps = eps * share
        # Of the diagonal alone.
        diagonal = X.diagonal(dim1=-2, dim2=-1) + (eps[..., 0] if isinstance(eps, Tensor) else eps)
        return torch.diagonal_scatter(X, diagonal, dim1=-2, dim2=-1) / (1 + eps), scaled_norm * (1 + eps)

    def judge(self, result: Any, found: Iterations, *data: Tensor) -> Run:
        """What the iterations ended with."""
        schedule, dtype = found.how.table.schedule, dtype_name(found.how.state)
        nothing = torch.zeros((*data[-1].shape[:-2], 2), dtype=torch.float64, device=data[-1].device)
        residual, norm, interval, promised = nothing[..., 0], nothing[..., 0], nothing, 0.0
        count = found.beside
        for number, (side, _, power, identity, evidence, _) in enumerate(found.ended):
            assert evidence is not None
            interval = _interval(side, schedule)
            residual = torch.maximum(residual, evidence.residual) if number else evidence.residual
            norm, promised = side.norm, max(promised, evidence.promised)
            count += side.products
            if self.apart(found):
                count += count_stepwise(schedule, self.plan.precision).total
            else:
                count += matmuls(schedule, form="coupled", power=power, from_identity=identity)
        return Run(
            operator=self.word,
            result=result,
            dtype=state_name(self.plan, "P", data[-1]),
            matmuls=count,
            table=found.how.table.name,
            residual=residual,
            promised=promised,
            norm=None if len(found.ended) > 1 else norm,
            interval=None if len(found.ended) > 1 else interval,
            warnings=found.warnings,
            form="coupled",
            state=dtype,
        )


def _interval(side: Side, schedule: Schedule) -> Tensor:
    """The eigenvalues that are promised for, shape (..., 2), in float64."""
    powers = [end**schedule.root for end in schedule.interval]
    ends = torch.tensor(powers, dtype=torch.float64, device=side.norm.device)
    return divisor(side.scaled_norm, side.exponent)[..., None] * ends

"""Operators as objects: one row of cases an operator, and what holds for all of them."""

from __future__ import annotations

import builtins
import inspect
import io
import os
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

import polydesign
from polydesign import runtime
from polydesign.model import InputError, Plan, Table
from polydesign.runtime import (
    Operator,
    Run,
    base,
    block_sign,
    defaults,
    operators,
    ops,
    powers,
    prepare,
    signs,
)

pytestmark = pytest.mark.numerics


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).float()


M, G = random(6, 9), random(4, 6, seed=1)
P = random(6, 20, seed=2) @ random(6, 20, seed=2).mT
Q = random(4, 20, seed=3) @ random(4, 20, seed=3).mT
E = torch.eye(6)

SIGN, ROOT, CLIP = (
    polydesign.load(n) for n in ("sign-d5x7-l1e-3-fp32", "root4-d9x4-l0.1-fp32", "clip-d17x2-l0.1-fp32")
)


@dataclass(frozen=True)
class Row:
    """An operator: its class, the function of the same name, parameters, data, and what it refuses.

    wrong: parameters and what the refusal begins with. table: one that it takes; other: one that it refuses.
    """

    kind: type[Operator]
    parameters: tuple[Any, ...]
    data: tuple[Tensor, ...]
    wrong: list[tuple[dict[str, Any], str]]
    table: Table = SIGN
    other: Table = ROOT
    rest: dict[str, Any] = field(default_factory=dict)

    @property
    def function(self) -> Callable[..., Any]:
        return getattr(runtime, self.kind.word if self.kind is not runtime.Inverse else "inverse")

    def made(self, *how: Any) -> Operator:
        return self.kind(*self.parameters, *how, **self.rest)


GRAM = ({"plan": Plan(form="gram")}, "plan.form: gram is of msign")
AOL = ({"plan": Plan(normalization="aol")}, "normalization: aol rescales")
COUPLED = [({"eps": -1.0}, "eps: must not be negative"), ({"eps": "1"}, "eps: "), GRAM, AOL]
POWER = [({"root": 0}, "root: "), ({"root": 2.0}, "root: "), ({"power": 0}, "power: "), *COUPLED]
BLOCK = [GRAM, AOL]
EQUATION = [({"refine": -1}, "refine: "), ({"refine": 0.5}, "refine: "), *BLOCK]
FORMULA = ({"formula": "best"}, "formula: 'best' is not one of composed")
THRESHOLD = [
    ({"threshold": 0.0}, "threshold: must be positive"),
    ({"threshold": "1"}, "threshold: "),
    FORMULA,
    AOL,
]

ROWS = [
    Row(runtime.Sign, (), (M,), [({"table": SIGN, "plan": Plan(form="gram", restarts=(9,))}, "plan.restarts[0]: is 9")]),
    Row(runtime.MatrixSign, (), (P,), BLOCK),
    Row(runtime.InverseRoot, (4, 3), (P,), POWER, ROOT, SIGN),
    Row(runtime.Inverse, (), (P,), COUPLED, polydesign.load("inverse-m11-l1e-4-fp32"), SIGN),
    Row(runtime.MatmulInverseRoot, (4, 1), (G, P), POWER, ROOT, SIGN, {"eps": 0.1}),
    Row(runtime.TwoSidedInverseRoot, (4, 1), (Q, G, P), POWER, ROOT, SIGN),
    Row(runtime.Root, (4,), (P,), [({"root": 1}, "root: must be a whole number of at least 2"), *COUPLED], ROOT, SIGN),
    Row(runtime.SqrtAndInverseSqrt, (), (P,), COUPLED),
    Row(runtime.Clip, (0.5, 2.0), (M,), [({"high": -1.0}, "high: must be positive"), ({"low": 3.0}, "low: must lie below"), FORMULA, AOL], CLIP, SIGN),
    Row(runtime.SpectralStep, (1.0,), (M,), THRESHOLD, other=CLIP),
    Row(runtime.SpectralRelu, (1.0,), (M,), THRESHOLD, CLIP, SIGN),
    Row(runtime.SpectralPolynomial, ((0.5, 1.0, 0.25),), (M,), [({"c": ()}, "c: is empty"), ({"c": (0.0, float("nan"))}, "c[1]: "), AOL], other=CLIP),
    Row(runtime.SpectralPower, (0.5,), (M,), [({"p": 0.1}, "p: must be 1 - 2·s/r with whole s and r <= 16, and is 0.1: the nearest is p=0.0909091, 1/11"), ({"p": 2.0}, "p: must lie between -1 and 1"), ({"p": "1"}, "p: "), GRAM, AOL], ROOT, SIGN),
    Row(runtime.SoftClip, (1.0,), (M,), [({"high": 0.0}, "high: must be positive"), ({"high": "1"}, "high: "), AOL], other=CLIP),
    Row(runtime.Truncate, (1.0,), (M,), THRESHOLD, other=CLIP),
    Row(runtime.RangeProjector, (1.0,), (M,), [({"side": "both"}, "side: 'both' is not one of left, right"), *THRESHOLD], other=CLIP, rest={"side": "right"}),
    Row(runtime.EffectiveRank, (1.0,), (M,), THRESHOLD, other=CLIP),
    Row(runtime.PseudoInverse, (1.0,), (M,), [({"inverse_table": SIGN}, "table: sign-d5x7-l1e-3-fp32 has root 2"), *THRESHOLD], other=CLIP),
    Row(runtime.Sylvester, (), (P, Q, G.mT), EQUATION),
    Row(runtime.Lyapunov, (), (P, E), EQUATION, rest={"refine": 1}),
    Row(runtime.Riccati, (), (P, E, E), EQUATION),
    Row(runtime.GeometricFactor, (), (P, E), BLOCK),
    Row(runtime.PrincipalSqrtAndInverseSqrt, (), (P,), BLOCK),
]  # fmt: skip

every_operator = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.kind.__name__)


def parts(X: Any) -> tuple[Tensor, ...]:
    return X if isinstance(X, tuple) else (X,)


def same(X: Any, Y: Any) -> bool:
    return all(torch.equal(a, b) for a, b in zip(parts(X), parts(Y), strict=True))


def test_no_operator_is_left_out() -> None:
    public = {
        kind for kind in vars(runtime).values() if isinstance(kind, type) and issubclass(kind, Operator)
    }
    assert public - {Operator} == {row.kind for row in ROWS}


@every_operator
def test_bad_arguments_are_refused_when_it_is_made(row: Row) -> None:
    own: dict[str, Any] = dict(zip(inspect.signature(row.kind).parameters, row.parameters, strict=False))
    kind: Callable[..., Operator] = row.kind
    both = {"table": row.table, "plan": Plan(matmuls=15)}
    for wrong, message in (
        *row.wrong,
        ({"plan": "bf16"}, "plan: must be a Plan, not str"),
        ({"table": 3}, "table: must be a Table, not int"),
        ({"table": row.other}, f"table: {row.other.name} "),
        (both, "plan.matmuls: chooses a table where none is given"),
    ):
        with pytest.raises(InputError) as refused:
            kind(**own | row.rest | wrong)
        assert str(refused.value).startswith(message), (wrong, refused.value)
    kind(**own | row.rest)  # the control


@pytest.mark.few(16)
@every_operator
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_object_gives_the_bits_of_the_function(row: Row, dtype: str) -> None:
    for how in ((), (row.table, Plan(dtype=dtype, check=False)), (None, Plan(dtype=dtype, check=False))):
        one = row.made(*how)
        X, run = one(*row.data), one.run(*row.data)
        assert same(X, row.function(*row.data, *row.parameters, *how, **row.rest))
        assert isinstance(run, Run)
        assert same(X, run.result)
        assert run.operator == one.word
        assert run.matmuls > 0
        assert how or run.warnings == ()
        # Another object of the same is no other operator.
        assert same(X, row.made(*how)(*row.data))


@every_operator
@pytest.mark.parametrize("normalization", ["frobenius", "schatten8"])
def test_products_that_ran_are_products_said(
    row: Row, normalization: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    for name in ("mm", "mm_add"):  # the symmetric ones call these
        backend = getattr(ops, name)

        def counted(*operands: Tensor, name: str = name, backend: Any = backend, **factors: float) -> Tensor:
            ran.append(name)
            return backend(*operands, **factors)

        monkeypatch.setattr(ops, name, counted)
    one = row.made(None, Plan(normalization=normalization))
    one(*row.data)
    assert len(ran) == one.run(*row.data).matmuls > 0


class LookedError(Exception):
    """Something was read or searched."""


def raising(*arguments: Any, **named: Any) -> Any:
    raise LookedError(arguments)


def blinded(patch: pytest.MonkeyPatch) -> None:
    """Nothing can be opened, found, chosen or searched."""
    for module, name in (
        *((builtins, "open"), (io, "open"), (os, "stat"), (os, "scandir"), (os, "listdir")),
        *((defaults, "load"), (defaults, "entries"), (operators, "choose_restarts")),
        *((module, "chosen") for module in (operators, signs, block_sign)),
        (prepare, "default_table"),
        (powers, "power_table"),
        *((signs, "loaded"), (block_sign, "sector_table")),
    ):
        patch.setattr(module, name, raising)


@every_operator
@pytest.mark.parametrize("given", [True, False])
def test_an_unchecked_run_reads_no_file_and_searches_nothing(
    row: Row, given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    base._made.cache_clear()
    one = row.made(row.table if given else None, Plan(dtype="float32", check=False))
    with monkeypatch.context() as patch:
        blinded(patch)
        X = one(*row.data)
    assert same(X, one(*row.data))


def test_neither_does_the_gram_form_and_what_is_not_decided_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    decided, late = (runtime.Sign(SIGN, Plan(dtype=d, check=False, form="gram")) for d in ("float32", None))
    with monkeypatch.context() as patch:
        blinded(patch)
        decided(M)
        for other in (late, runtime.Sign(plan=Plan(check=False))):
            with pytest.raises(LookedError):  # the control
                other(M)
    # Once for each precision.
    first = late(M)
    with monkeypatch.context() as patch:
        blinded(patch)
        assert torch.equal(first, late(M))
        with pytest.raises(LookedError):
            late(M.double())


@every_operator
def test_it_is_frozen_and_kept_by_its_function(row: Row) -> None:
    one = row.made()
    with pytest.raises(FrozenInstanceError):
        one.table = SIGN
    arguments = (*row.parameters, row.table, Plan(check=False))
    kept = [base.made(row.kind, *arguments, **row.rest) for _ in range(2)]
    assert kept[0] is kept[1]
    assert kept[0] is not base.made(row.kind, *row.parameters, row.table, Plan(), **row.rest)
    assert base.made(row.kind, *row.parameters, **row.rest).table is None


def test_what_is_kept_for_a_number_is_not_taken_for_another_kind_of_number() -> None:
    runtime.inverse_root(P, 2)
    with pytest.raises(InputError, match=r"^root: "):
        runtime.inverse_root(P, 2.0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"^root: "):
        runtime.inverse_root(P, [2])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("check", [False, True])
def test_a_compiled_step_can_hold_it(check: bool) -> None:
    """Without a break in the graph."""
    torch._dynamo.reset()
    one = runtime.Sign(plan=Plan(dtype="float32", check=check))
    step = torch.compile(lambda M: one(M * 2), backend="aot_eager", fullgraph=True)
    assert torch.equal(step(M), one(M * 2))

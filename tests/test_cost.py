"""The cost model against a backend that counts what runs: how many products, of which shapes, symmetric or not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import polydesign
from polydesign.model import InputError, Plan, Table
from polydesign.program.cost import (
    UNIT,
    Prices,
    Products,
    cost,
    count,
    flops,
    matmuls,
    sides,
    step_products,
)
from polydesign.runtime import inverse_root, matmul_inverse_root, msign, ops, root
from polydesign.runtime.execute import matrix_sign

SIGN = {
    "cubics": polydesign.design(degree=3, steps=4, dtype="float64"),
    "quintics": polydesign.design(degree=5, steps=4, dtype="float64"),
    "chebyshev": polydesign.design(degree=[9, 5, 17, 13], steps=4, lower=0.05, dtype="float64"),
    "monomial": polydesign.design(degree=[9, 15, 17], steps=3, dtype="float64", evaluation="monomial"),
}
UNJUDGED = Plan(check=False)  # of the spectrum nothing is known
ROOTS = {
    r: polydesign.design(root=r, degree=[1 + 2 * r, 1 + 3 * r, 1 + r], steps=3, lower=0.3, dtype="float64")
    for r in (1, 2, 3, 4)
}
RESTARTS: list[tuple[int, ...]] = [(), (1,), (2,), (1, 2)]
QUINTIC, SEVENTEEN = (2, "monomial"), (8, "chebyshev")

Ran = list[tuple[int, bool]]
"""Operations of each product, and whether the runtime said that it is symmetric."""


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Ran:
    found: Ran = []

    def counted(a: Tensor, b: Tensor, symmetric: bool) -> Tensor:
        assert a.shape[:-2] == b.shape[:-2]
        result = a @ b
        found.append((2 * result.numel() * a.shape[-1], symmetric))
        if symmetric:
            # What the runtime says is true: the tables are float64, and the products of normalized matrices.
            torch.testing.assert_close(result, result.mT, rtol=1e-6, atol=1e-6)
        return result

    for name in ("mm", "sym_mm", "mm_add", "sym_mm_add"):
        symmetric = name.startswith("sym")

        def product(*operands: Tensor, symmetric: bool = symmetric, **factors: float) -> Tensor:
            result = counted(operands[-2], operands[-1], symmetric)
            return factors["beta"] * operands[0] + factors["alpha"] * result if factors else result

        monkeypatch.setattr(ops, name, product)
    return found


def expected(counted: Products, m: int, n: int, batch: int) -> Counter[tuple[int, bool]]:
    """What the backend sees of so many products; for square matrices, kinds fall together."""
    found: Counter[tuple[int, bool]] = Counter()
    found[2 * m * m * n * batch, True] += counted.gram
    found[2 * m * m * n * batch, False] += counted.wide
    found[2 * m**3 * batch, True] += counted.symmetric
    return +found


def total(ran: Ran, symmetric: float) -> float:
    return sum(operations * (symmetric if known else 1) for operations, known in ran)


def check(ran: Ran, table: Table, shape: tuple[int, int], batch: int = 1, **how: Any) -> None:
    """Numbers, operations at full and at half cost; and none of it for other steps."""
    schedule, form = table.schedule, how.get("form") or "coupled"
    m, n = sides(shape, form)
    assert Counter(ran) == expected(count(schedule, **how), m, n, batch)
    for symmetric in (1, 0.5):
        prices = flops(shape, form=form, symmetric=symmetric, batch=batch)
        assert total(ran, symmetric) == cost(schedule, prices, **how)
    assert len(ran) == cost(schedule, UNIT, **how) == matmuls(schedule, **how)
    fewer = replace(schedule, steps=schedule.steps[1:])
    shorter = {**how, "restarts": [r - 1 for r in how.get("restarts", ()) if r > 1]}
    assert Counter(ran) != expected(count(fewer, **shorter), m, n, batch)


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def positive(*batch: int, side: int, seed: int) -> Tensor:
    x = random(*batch, side, 2 * side, seed=seed)
    return x @ x.mT + torch.eye(side, dtype=torch.float64)


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (5, 5)])
@pytest.mark.parametrize("batch", [(), (2, 3)])
@pytest.mark.parametrize("name", SIGN)
def test_direct(name: str, batch: tuple[int, ...], shape: tuple[int, int], ran: Ran, seed: int) -> None:
    msign(random(*batch, *shape, seed=seed), SIGN[name])
    check(ran, SIGN[name], shape, 6 if batch else 1, form="direct")


@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (5, 5)])
@pytest.mark.parametrize("batch", [(), (2, 3)])
@pytest.mark.parametrize("restarts", RESTARTS)
@pytest.mark.parametrize("name", SIGN)
def test_gram(
    name: str,
    restarts: tuple[int, ...],
    batch: tuple[int, ...],
    shape: tuple[int, int],
    ran: Ran,
    seed: int,
) -> None:
    msign(random(*batch, *shape, seed=seed), SIGN[name], Plan(form="gram", restarts=restarts))
    check(ran, SIGN[name], shape, 6 if batch else 1, form="gram", restarts=restarts)


@pytest.mark.parametrize("rows", [3, 5, 9])
@pytest.mark.parametrize("batch", [(), (2, 3)])
@pytest.mark.parametrize("power", [1, 2, 3])
@pytest.mark.parametrize("r", ROOTS)
def test_coupled(r: int, power: int, batch: tuple[int, ...], rows: int, ran: Ran, seed: int) -> None:
    G, P = random(*batch, rows, 5, seed=seed), positive(*batch, side=5, seed=seed)
    matmul_inverse_root(G, P, r, power, ROOTS[r], UNJUDGED)
    check(ran, ROOTS[r], (rows, 5), 6 if batch else 1, form="coupled", power=power)


@pytest.mark.parametrize("batch", [(), (2, 3)])
@pytest.mark.parametrize("power", [1, 2, 3])
@pytest.mark.parametrize("r", ROOTS)
def test_from_identity(r: int, power: int, batch: tuple[int, ...], ran: Ran, seed: int) -> None:
    inverse_root(positive(*batch, side=5, seed=seed), r, power, ROOTS[r], UNJUDGED)
    how = {"form": "coupled", "power": power, "from_identity": True}
    number = 6 if batch else 1
    check(ran, ROOTS[r], (5, 5), number, **how)
    assert Counter(ran) != expected(count(ROOTS[r].schedule, form="coupled", power=power), 5, 5, number)


def test_root_is_a_product_with_p_itself(ran: Ran, seed: int) -> None:
    root(positive(side=5, seed=seed), 4, ROOTS[4])
    check(ran, ROOTS[4], (5, 5), form="coupled", power=3)


def test_mcsgn_knows_nothing_symmetric(ran: Ran, seed: int) -> None:
    """As many products as direct, all at the price of a wide one."""
    schedule = SIGN["quintics"].schedule
    X = random(5, 5, seed=seed)
    matrix_sign(X / torch.linalg.matrix_norm(X), schedule)
    assert ran == [(2 * 5**3, False)] * matmuls(schedule)
    assert total(ran, 0.5) == matmuls(schedule) * flops((5, 5), symmetric=0.5).wide


def test_the_formulas_of_the_source() -> None:
    """Dao-AILab: symmetric products at half cost, n = a·m, T quintics, in m³: direct T(1 + 3a), gram 4T − 3 + 3a,
    and 3a − 3 more for each restart."""
    m, T = 1024, 5
    for a in (1, 4):
        prices = flops((m, a * m), symmetric=0.5)
        assert cost([QUINTIC] * T, prices) == T * (1 + 3 * a) * m**3
        for restarts in RESTARTS:
            found = cost([QUINTIC] * T, prices, form="gram", restarts=restarts)
            assert found == (4 * T - 3 + 3 * a + (3 * a - 3) * len(restarts)) * m**3
    # Of square matrices the gram form is worth nothing, whatever symmetry costs.
    for symmetric in (0.5, 1):
        prices = flops((m, m), symmetric=symmetric)
        assert cost([QUINTIC] * T, prices, form="gram") >= cost([QUINTIC] * T, prices)


@pytest.mark.parametrize("r", ROOTS)
def test_no_coefficients_are_needed(r: int) -> None:
    schedule = ROOTS[r].schedule
    bare = [(step.inner_degree, step.evaluation) for step in schedule.steps]
    assert count(bare, root=r) == count(schedule)
    assert count(bare, root=r, power=3, from_identity=True) == count(schedule, power=3, from_identity=True)
    assert count([SEVENTEEN] * 3).total == 15


def test_a_schedule_is_the_sum_of_its_steps() -> None:
    first, between, last = (
        step_products(1, form="coupled", root=4, power=3, first=index == 0, last=index == 2)
        for index in range(3)
    )
    assert count([QUINTIC] * 3, root=4, power=3) == first + between + last
    assert between == Products(wide=1, symmetric=1 + 1 + 2 + 1)  # q, P Wʳ, squares, W³
    assert last == Products(wide=1, symmetric=1 + 2)
    assert step_products(1) == step_products(1, form="gram", last=True) == Products(1, 1, 1)


@pytest.mark.parametrize(
    ("call", "field", "words"),
    [
        (lambda: count([QUINTIC], form="indirect"), "form", "not one of direct, gram, coupled"),
        (lambda: count([QUINTIC] * 3, restarts=(1,)), "restarts", "form is direct"),
        (lambda: count([QUINTIC] * 3, form="gram", restarts=(3,)), "restarts[0]", "there are 3 steps"),
        (lambda: count([QUINTIC] * 3, form="gram", restarts=(0,)), "restarts[0]", "at least 1"),
        (lambda: count([QUINTIC] * 3, form="gram", restarts=(2, 1)), "restarts", "must increase"),
        (lambda: count([(7, "chebyshev")]), "evaluation", "take monomial"),
        (lambda: count([(3, "taylor")]), "evaluation", "'taylor' is not one of"),
        (lambda: count([(0, "monomial")]), "inner_degree", "at least 1"),
        (lambda: count([QUINTIC], power=0), "power", "at least 1"),
        (lambda: count([QUINTIC], root=0), "root", "at least 1"),
        (lambda: count(ROOTS[4].schedule, root=2), "root", "the schedule has root 4"),
        (lambda: flops((4, 0)), "shape", "at least 1"),
        (lambda: flops((4,)), "shape", "two sides"),  # pyright: ignore[reportArgumentType]
        (lambda: flops((4, 5), symmetric=0), "symmetric", "above 0"),
        (lambda: flops((4, 5), symmetric=1.5), "symmetric", "at most 1"),
        (lambda: flops((4, 5), batch=0), "batch", "at least 1"),
        (lambda: Prices(1, 0, 1, "seconds"), "wide", "greater than 0"),
        (lambda: Prices(1, 1, float("nan"), "seconds"), "symmetric", "finite"),
    ],
)
def test_refusals(call: Any, field: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        call()
    assert refused.value.field == field
    assert words in refused.value.problem

"""normalization="adaptive": the table is chosen by the matrix, the promise stays, and no call takes more."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import polydesign
from polydesign.model import InputError, Plan, PromiseWarning, Table, Trial
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.program.cost import matmuls
from polydesign.rounding.families import EXPONENTS, FAMILIES, families
from polydesign.rounding.neighbours import taken
from polydesign.runtime import (
    Sign,
    adaptive,
    base,
    inverse_root,
    mcsgn,
    msign,
    msign_with_info,
    spectral_clip,
)
from polydesign.runtime.normalize import adaptive as divided
from polydesign.table import save
from polydesign.table.catalogue import Entry, entry

pytestmark = pytest.mark.numerics

PLAN = Plan("float16", error=0.05, normalization="adaptive", float32_side=0)
TODAY = Plan("float16", error=0.05, float32_side=0)
LOWER = 1e-3


@cache
def ladder_tables() -> tuple[Table, ...]:
    """Without any search: of 14, 15 and 12 products, and one of 12 that errs too much."""
    found = []
    for lower, degree, observed in (
        (1.3e-3, (17, 9, 17), 0.02),
        (1.9e-3, (17, 17, 17), 0.012),
        (2e-3, (17, 17, 3), 0.2),
        (4e-3, (17, 17, 3), 0.049),
    ):
        table = polydesign.design(
            degree=degree,
            lower=lower,
            headroom=1.005,
            image_floor=(0.1, 0, 0),
            dtype="float16",
            normalization="schatten4",
        )
        tried = tuple(
            Trial(table.digest, "blocks", loop, "float16", 1, 0, 0, 0.1)
            for loop in ("fused", "compiled", "separate")
        )
        found.append(replace(table, observed=observed, tried=tried))
    return tuple(found)


@pytest.fixture
def ladder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Entry, ...]]:
    """In place of those that come with the package."""
    found = []
    for table in ladder_tables():
        save(table, tmp_path / f"{table.name}.json")
        found.append(entry(table.name, tmp_path / f"{table.name}.json"))
    monkeypatch.setattr(adaptive, "members", lambda dtype: tuple(found) if dtype == "float16" else ())
    # Operators that were made for a plan are kept.
    base._made.cache_clear()
    yield tuple(found)
    base._made.cache_clear()


def with_values(sigma: list[float] | Tensor, n: int, seed: int, device: str = "cpu") -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    m = len(sigma)
    U, V = (
        torch.linalg.qr(torch.randn(side, m, generator=generator, dtype=torch.float64)).Q for side in (m, n)
    )
    return (U * torch.as_tensor(sigma, dtype=torch.float64) @ V.mT).to(device)


def flat(k: int, others: int) -> list[float]:
    """k values of 1, and others just above the lower end of the promise."""
    return [1.0] * k + [LOWER * math.sqrt(k) * 1.02] * others


def test_what_promises_little_is_taken_where_the_matrix_allows_it(ladder, seed, device) -> None:
    """ρ⁴ counts equal singular values: 300 of them allow 12 products, 16 allow 14, two nothing."""
    most = matmuls(polydesign.load("sign-m15-l1e-3-fp16").schedule)
    for k, products in ((300, 12), (16, 14), (2, most)):
        M = with_values(flat(k, 3), 320, seed, device)
        X, run = msign_with_info(M, plan=PLAN)
        assert run.matmuls == products
        assert run.rho.item() == pytest.approx(k**0.25, rel=2e-3)
        assert run.table in run.choice
        # The values at the lower end are promised too, and keep it.
        table = polydesign.load("sign-m15-l1e-3-fp16") if products == most else None
        error = table.schedule.error if table else run.promised
        found = torch.linalg.svdvals(X.double())[: k + 3]
        assert (found - 1).abs().max() <= error + 16 * UNIT_ROUNDOFF["float16"]


def test_the_promise_begins_where_it_did(ladder, seed) -> None:
    """In floating point, for every ρ: l·ν of the table that ran is at most l₀·‖M‖_F, and products no more."""
    generator = torch.Generator().manual_seed(seed)
    most = msign_with_info(torch.eye(40), plan=TODAY)[1].matmuls
    seen = set()
    for power in np.linspace(0, 2, 13):
        sigma = torch.arange(1, 301, dtype=torch.float64) ** -power
        M = torch.diag(sigma)[torch.randperm(300, generator=generator)]
        run = msign_with_info(M, plan=PLAN)[1]
        size = torch.linalg.vector_norm(sigma).item()
        assert run.interval[0].item() <= LOWER * size * (1 + 1e-6)
        assert run.matmuls <= most
        seen.add(run.table)
    assert len(seen) >= 3


def test_a_table_that_the_matrix_does_not_allow_would_lose_values(ladder, seed) -> None:
    """Negative control: the table for 4e-3 run where two values share the norm promises from 2.8e-3 on, and
    what begins at 1e-3 ends far from 1."""
    M = with_values(flat(2, 3), 40, seed)
    (table,) = (one for one in ladder_tables() if one.schedule.interval[0] == 4e-3)
    X = msign(M, table, Plan("float16", float32_side=0)).double()
    assert torch.linalg.svdvals(X)[4] < 1 - 4 * table.schedule.error
    assert torch.linalg.svdvals(msign(M, plan=PLAN).double())[4] > 0.9


def test_where_nothing_fits_the_result_is_that_of_today(ladder, seed, device) -> None:
    """But for what becomes subnormal in a Gram matrix of X in float16, and not in that of 2⁷·X."""
    M = with_values([1.0, 0.3, 0.01], 7, seed, device)
    for dtype, u in (("float16", UNIT_ROUNDOFF["float16"]), ("bfloat16", UNIT_ROUNDOFF["bfloat16"])):
        plan = replace(PLAN, dtype=dtype)
        X, run = msign_with_info(M, plan=plan)
        today, before = msign_with_info(M, plan=replace(TODAY, dtype=dtype))
        assert (run.table, run.matmuls) == (before.table, before.matmuls)
        assert (X - today).abs().max() <= 8 * u
        assert "divided by ‖M‖_F" in (run.choice or "")


def test_a_batch_takes_what_all_of_it_allow(ladder, seed) -> None:
    many, few = with_values([1.0] * 300, 320, seed), with_values([1.0] * 16 + [1e-5] * 284, 320, seed)
    assert msign_with_info(many, plan=PLAN)[1].matmuls == 12
    run = msign_with_info(torch.stack([many, few]), plan=PLAN)[1]
    assert run.matmuls == 14
    assert run.rho.tolist() == pytest.approx([300**0.25, 2.0], rel=2e-3)
    # A zero matrix has no values, and does not count.
    with_zero = torch.stack([many, torch.zeros_like(many)])
    X, run = msign_with_info(with_zero, plan=PLAN)
    assert run.matmuls == 12
    assert X[1].count_nonzero() == 0


def test_for_a_number_of_products_the_least_error_is_taken(ladder, seed) -> None:
    plan = replace(PLAN, error=None, matmuls=15)
    run = msign_with_info(with_values([1.0] * 300, 320, seed), plan=plan)[1]
    assert (run.table.split("-")[1], run.matmuls) == ("d17x3", 15)
    assert run.promised < 2 * 0.012
    assert msign_with_info(with_values([1.0, 1.0], 20, seed), plan=plan)[1].table == "sign-m15-l1e-3-fp16"


def test_the_gram_form_tall_matrices_and_small_ones(ladder, seed) -> None:
    M = with_values([1.0] * 300, 320, seed)
    X = msign(M, plan=PLAN)
    assert torch.equal(msign(M.mT, plan=PLAN), X.mT)
    by_gram, run = msign_with_info(M, plan=replace(PLAN, form="gram"))
    assert run.table == msign_with_info(M, plan=PLAN)[1].table
    assert (by_gram - X).abs().max() < 0.05
    # A state in float32 for what is small, by the same table.
    run = msign_with_info(M, plan=replace(PLAN, float32_side=300))[1]
    assert (run.state, run.matmuls) == ("float32", 12)


def test_a_choice_that_stands_for_several_calls(ladder, seed) -> None:
    """It is kept by shape, what it no longer promises is warned of, and the next call chooses again."""
    many, few = with_values([1.0] * 300, 320, seed), with_values([1.0] * 2 + [1e-5] * 298, 320, seed)
    sign = Sign(plan=replace(PLAN, every=3))
    assert [sign.run(M).matmuls for M in (few, many, many)] == [15, 15, 15]
    assert sign.run(many).matmuls == 12
    # Another shape has its own.
    assert sign.run(few[:, :310]).matmuls == 15
    with pytest.warns(PromiseWarning, match=r"^M: an earlier call chose .* begins at 0\.0033\d·‖M‖_F here"):
        assert sign.run(few).matmuls == 12
    assert sign.run(few).matmuls == 15


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"^normalization: adaptive chooses .* write error=0.05 or matmuls=15 too$"),
        ({"error": 0.05, "check": False}, r"^normalization: adaptive looks at the data"),
        ({"error": 0.05, "every": 2, "check": "input"}, r"^every: needs a look at the result"),
        ({"error": 0.05, "every": 0}, r"^every: "),
        ({"error": 0.05, "form": "gram", "restarts": (1,)}, r"^restarts: are of one table"),
    ],
)
def test_what_a_plan_refuses(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Plan(normalization="adaptive", **given)
    with pytest.raises(InputError, match=r"^every: is of normalization=\"adaptive\""):
        Plan(every=2)


@pytest.mark.parametrize(
    "call",
    [
        lambda M: mcsgn(M, plan=PLAN),
        lambda M: inverse_root(M, 4, plan=PLAN),
        lambda M: spectral_clip(M, 0.5, plan=PLAN),
        lambda M: polydesign.runtime.msign_differentiable(M, plan=PLAN),
    ],
)
def test_others_refuse_it(call: Any) -> None:
    with pytest.raises(InputError, match=r"plan.normalization: adaptive is of msign"):
        call(torch.eye(4))


def test_a_table_beside_it_is_refused() -> None:
    with pytest.raises(InputError, match=r"plan.error: chooses a table where none is given"):
        msign(torch.eye(4), "sign-d5x6-l1e-3-fp16", PLAN)


def test_nothing_is_chosen_where_no_data_are_seen(ladder) -> None:
    assert msign(torch.empty(40, 60, device="meta"), plan=PLAN).shape == (40, 60)
    with pytest.raises(InputError, match=r"vmap does not allow: write Plan\(check=False\) without"):
        torch.func.vmap(lambda M: msign(M, plan=PLAN))(torch.randn(2, 4, 6))
    M = torch.ones(3, 4)
    M[1, 1] = torch.nan
    with pytest.raises(InputError, match=r"^M: holds NaN"):
        msign(M, plan=PLAN)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_the_norms_are_those_of_the_matrix(dtype: str, seed: int, device: str) -> None:
    """ρ is never above what rounding leaves of it, so that l₀·ρ is no promise too much."""
    state = getattr(torch, dtype)
    sigma = torch.logspace(0, -3, 20, dtype=torch.float64)
    M = with_values(sigma, 50, seed, device) * 3e-5
    for fourth, power in ((True, 4), (False, 2)):
        seen: list[Tensor] = []
        found = divided(M[None], state, lambda rho, fourth=fourth, seen=seen: seen.append(rho) or fourth)
        exact = [(sigma**p).sum() ** (1 / p) * 3e-5 for p in (2, 4)]
        (rho,) = seen
        assert rho.shape == (1,)
        assert rho.item() == pytest.approx((exact[0] / exact[1]).item(), rel=4 * UNIT_ROUNDOFF[dtype] + 1e-6)
        assert found.norm().item() == pytest.approx(
            exact[power // 4].item(), rel=4 * UNIT_ROUNDOFF[dtype] + 1e-6
        )
        assert found.gram is not None
        off = (found.gram.double() - found.matrix.double() @ found.matrix.double().mT).abs().max()
        assert off <= 4 * UNIT_ROUNDOFF[dtype] + 1e-6


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("normalization", EXPONENTS)
def test_members_are_divided_as_the_table_divides(family: str, normalization: str, seed: int) -> None:
    """In the matrix itself: (Σσᵖ)^(1/p) is 1, and the values are its singular values."""
    of, p = families(normalization)[family], EXPONENTS[normalization]
    parameters = of.draw(np.random.default_rng(seed), 40, LOWER)
    small = [i for i in range(40) if np.prod(parameters.sizes[:, i] ** 2, initial=1) <= 2000**2][:8]
    assert len(small) >= 3
    for index in small:
        one = taken(parameters, [index])
        if np.prod([len(of.matrix(one)), 1]) > 300:
            continue
        sigma = np.linalg.svd(of.matrix(one), compute_uv=False)
        assert np.sum(sigma**p) == pytest.approx(1, abs=1e-9)
        for value in of.members(one).values:
            size = abs(value[0])
            assert min(abs(sigma - size)) < 1e-9 or size < 1e-9


def test_the_ladders_that_ship(seed: int) -> None:
    """Plain, proved, measured; a table of fewer products begins higher."""
    assert adaptive.members("float16")
    for dtype in ("float16", "bfloat16"):
        found = adaptive.members(dtype)
        for one in found:
            table = polydesign.load(one.path)
            assert table.certificate is not None
            assert (table.certificate.kind, table.normalization, one.standing()) == (
                "proved",
                "schatten4",
                "plain",
            )
            assert table.measured
            assert one.worst is not None
        chosen = Sign(plan=Plan(dtype, error=0.05, normalization="adaptive")).resolved(dtype)
        assert chosen.ladder or not found
        for cheaper, dearer in itertools.pairwise(chosen.ladder):
            assert cheaper.matmuls <= dearer.matmuls
        assert all(one.matmuls <= matmuls(chosen.table.schedule) for one in chosen.ladder)

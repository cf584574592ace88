"""Small matrices whose result is in a half precision: they are iterated in float32, and rounded once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters

import polydesign
from polydesign.model import InputError, Plan, dtype_name
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime import (
    Clip,
    Sign,
    SpectralPolynomial,
    compiled,
    execute,
    mcsgn_with_info,
    spectral_step,
)
from polydesign.verification.samples import from_matrix
from polydesign.verification.sweep import measure

pytestmark = pytest.mark.numerics

HALF = ["bfloat16", "float16"]
SIDE = 12
EQUAL = (11 * torch.eye(15) - torch.ones(15, 15)).repeat_interleave(3, dim=1)
"""11·I − J with every column three times: condition 2.75, and few different entries."""


def random(*shape: int, seed: int, device: str = "cpu") -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)


def unsafe(steps: int) -> polydesign.Table:
    """Made for bfloat16 with too little headroom for entries that are all rounded alike."""
    return polydesign.design(degree=5, steps=steps, headroom=1.01, image_floor=0.1, dtype="bfloat16")


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> set[torch.dtype]:
    """The dtypes of all matrices that an iteration starts from and gives back."""
    seen = set()

    def watched(name):
        real = getattr(execute, name)

        def form(X, *how):
            found = real(X, *how)
            seen.update((X.dtype, found.dtype))
            return found

        return form

    for name in ("direct", "gram"):
        monkeypatch.setattr(execute, name, watched(name))
    return seen


@pytest.mark.parametrize("form", ["direct", "gram"])
@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize(
    "shape",
    [(12, 12), (12, 40), (40, 12), (3, 12, 20), (2, 2, 1, 5), (13, 13), (13, 40), (40, 13), (3, 13, 20)],
)
def test_the_state_is_float32_exactly_up_to_the_side(
    shape: tuple[int, ...], dtype: str, form: str, states: set[torch.dtype], seed: int, device: str
) -> None:
    M, plan = random(*shape, seed=seed, device=device), Plan(dtype, form=form, float32_side=SIDE)
    small = min(shape[-2:]) <= SIDE
    table = Sign(plan=plan).run(M).table
    states.clear()
    sign = Sign(polydesign.load(table), plan)
    X = sign(M)
    assert states == {torch.float32 if small else getattr(torch, dtype)}
    run = sign.run(M)
    assert torch.equal(X, run.result)
    assert (run.state, run.dtype) == ("float32" if small else dtype, dtype)
    assert run.matmuls == Sign(sign.table, replace(plan, float32_side=0)).run(M).matmuls
    # The float32 run of the same table and restarts, rounded once.
    restarts = run.restarts if run.form == "gram" else None
    wide = Sign(sign.table, Plan("float32", form=run.form, restarts=restarts))(M)
    assert torch.equal(X, wide.to(X.dtype)) == small
    assert X.is_contiguous()


@pytest.mark.parametrize("dtype", HALF)
def test_it_follows_the_matrix_where_the_plan_has_no_precision(dtype: str, seed: int) -> None:
    M = random(2, 8, 9, seed=seed).to(getattr(torch, dtype))
    run = Sign().run(M)
    assert (run.state, dtype_name(run.result.dtype)) == ("float32", dtype)
    assert torch.equal(run.result, Sign(plan=Plan(dtype))(M.float()))
    assert not torch.equal(run.result, Sign(plan=Plan(float32_side=0))(M))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_other_precisions_stay_as_they_are(dtype: str, seed: int) -> None:
    M = random(5, 9, seed=seed).double()
    with_it, without = (Sign(plan=Plan(dtype, float32_side=side)).run(M) for side in (SIDE, 0))
    assert torch.equal(with_it.result, without.result)
    assert with_it.state == without.state == dtype


@pytest.mark.parametrize("steps", [5, 6])
@pytest.mark.parametrize("tall", [False, True])
def test_entries_that_are_rounded_alike_keep_the_promise(steps: int, tall: bool, device: str) -> None:
    M, table = (EQUAL.mT if tall else EQUAL).to(device), unsafe(steps)
    X = Sign(table, Plan("bfloat16"))(M)
    error = table.schedule.error
    # The result is rounded, which moves a value by its Frobenius norm times u at most.
    allowed = error + UNIT_ROUNDOFF["bfloat16"] * (1 + error) * len(EQUAL) ** 0.5 + 1e-5
    assert (torch.linalg.svdvals(X.double()) - 1).abs().max() <= allowed < 0.2
    # The negative control.
    lost = Sign(table, Plan("bfloat16", check=False, float32_side=0))(M)
    assert (torch.linalg.svdvals(lost.double()) - 1).abs().max() > 10


def test_what_is_measured_is_the_half_precision() -> None:
    """A table that loses values is seen to, on matrices that msign itself would run in float32."""
    found = measure(unsafe(6), dtype="bfloat16", matrix=from_matrix(EQUAL, "equal"))
    assert not found.holds
    assert Sign(unsafe(6), Plan("bfloat16")).run(EQUAL).state == "float32"


def test_vmap_gives_what_the_batch_gives(seed: int, device: str) -> None:
    """But for one rounding of the result: kernels of one matrix and of many sum in float32 in other orders."""
    M = random(3, 8, 20, seed=seed, device=device)
    sign = Sign(plan=Plan("bfloat16", check=False))
    one_rounding = 2 * UNIT_ROUNDOFF["bfloat16"]
    torch.testing.assert_close(torch.vmap(sign)(M), sign(M), rtol=one_rounding, atol=1e-5)
    torch.testing.assert_close(sign(M)[1], sign(M[1]), rtol=one_rounding, atol=1e-5)


# Of torch itself, about a cache inside of what is traced.
@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`:UserWarning")
@pytest.mark.filterwarnings("ignore:.*_prims_common.check:FutureWarning")
def test_it_compiles(monkeypatch: pytest.MonkeyPatch, seed: int, device: str) -> None:
    """Inside of a compiled step without a break, and by Plan(compile=True) in one graph for all small ones."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **options: real(f, backend="aot_eager", **options))
    torch._dynamo.reset()
    compiled._compiled.cache_clear()
    table = polydesign.load("sign-d5x5-l1e-3-bf16")
    M = random(8, 20, seed=seed, device=device)
    eager, inside = (Sign(table, Plan("bfloat16", check=False, compile=chosen)) for chosen in (False, True))
    step = torch.compile(lambda M: eager(M * 2), fullgraph=True)
    torch.testing.assert_close(step(M), eager(M * 2))
    counters.clear()
    for small in (M, M.bfloat16(), M.half()):
        # One rounding of the result apart: sums in float32 are in another order.
        torch.testing.assert_close(inside(small), eager(small), rtol=2 * UNIT_ROUNDOFF["bfloat16"], atol=1e-5)
    assert counters["stats"]["unique_graphs"] == 1
    compiled._compiled.cache_clear()


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 4), (0, 3, 4)])
def test_empty(shape: tuple[int, ...]) -> None:
    for side in (0, 32):
        run = Sign(plan=Plan("bfloat16", float32_side=side)).run(torch.ones(shape))
        assert run.result.dtype == torch.bfloat16
        assert run.result.shape == shape
        assert run.matmuls == 0


def test_operators_that_are_made_of_signs_say_so(seed: int) -> None:
    M = random(8, 20, seed=seed)
    low, high = Plan("bfloat16", float32_side=0), Plan("bfloat16", float32_side=8)
    for one in (Clip(0.1, 0.5), Clip(0.0, 0.5, formula="nested"), Clip(0.0, 0.5, formula="unnested")):
        assert replace(one, plan=low).run(M).state == "bfloat16"
        run = replace(one, plan=high).run(M)
        assert (run.state, run.dtype, run.result.dtype) == ("float32", "bfloat16", torch.bfloat16)
    # Its block has 28 rows, and M has 8.
    mixed = Clip(0.1, 0.5, formula="block", plan=high).run(M)
    assert mixed.state == "bfloat16"
    assert SpectralPolynomial((0.0, 1.0), plan=high).run(M).state == "bfloat16"  # no sign runs
    assert not torch.equal(spectral_step(M, 1.0, plan=low), spectral_step(M, 1.0, plan=high))


def test_the_sign_of_a_square_matrix_stays_as_it_is(seed: int) -> None:
    P = random(8, 20, seed=seed)
    P = P @ P.mT
    found = [mcsgn_with_info(P, plan=Plan("bfloat16", float32_side=side)) for side in (0, 32)]
    assert torch.equal(found[0][0], found[1][0])
    assert found[1][1].state == "bfloat16"


@pytest.mark.parametrize("side", [-1, True, 1.5, None])
def test_refusals(side: object) -> None:
    with pytest.raises(InputError, match=r"^float32_side: must be a whole number of at least 0"):
        Plan(float32_side=side)  # pyright: ignore[reportArgumentType]

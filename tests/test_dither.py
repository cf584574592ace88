"""Dither: the hash, and that it reaches the input of a half-precision iteration and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product

import pytest
import torch
from torch import Tensor

import polydesign
from polydesign.model import InputError, Plan
from polydesign.runtime import (
    Clip,
    InverseRoot,
    Lyapunov,
    MatrixSign,
    PrincipalSqrtAndInverseSqrt,
    Sign,
    execute,
    msign,
    msign_differentiable,
    spectral_relu,
)
from polydesign.runtime.dither import dithered
from polydesign.runtime.normalize import NORMALIZATIONS, Normalized, frobenius, scaled_to_one
from polydesign.verification.sweep import measure

pytestmark = pytest.mark.numerics

HALF = [torch.bfloat16, torch.float16]
TABLE = polydesign.load("sign-d5x5-l1e-3-bf16")
SIDE = 400
"""Of the matrices of r that are looked at: 80,000 numbers."""


def random(*shape: int, seed: int, device: str = "cpu") -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)


def drawn(m: int, n: int, dtype: torch.dtype = torch.bfloat16, device: str = "cpu") -> Tensor:
    """r, in float64."""
    ones = torch.ones(m, n, dtype=torch.float64, device=device)
    return (dithered(ones, dtype) - 1) / (torch.finfo(dtype).eps / 2)


def started(sign: Sign, M: Tensor) -> Normalized:
    """What the iteration starts from."""
    found, _ = sign.normalized(M, sign.resolved(str(sign.plan.dtype)))
    assert found is not None
    return found


# the hash


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("wide", [torch.float32, torch.float64])
def test_entries_move_by_a_unit_roundoff_at_most(
    dtype: torch.dtype, wide: torch.dtype, seed: int, device: str
) -> None:
    X, u = random(2, 60, 80, seed=seed, device=device).to(wide), torch.finfo(dtype).eps / 2
    found = dithered(X, dtype)
    assert found.dtype == wide
    moved = (found.double() / X.double() - 1).abs()
    assert moved.max() <= u * (1 + 2**-10)
    assert moved.max() > 0.99 * u
    assert not dithered(0 * X, dtype).any()


def test_a_part_is_dithered_as_the_whole(seed: int, device: str) -> None:
    X = random(2, 30, 40, seed=seed, device=device)
    whole, shard = dithered(X, torch.bfloat16), X[:, 8:20, 17:]
    assert torch.equal(whole[:, 8:20, 17:], dithered(shard, torch.bfloat16, 8, 17))
    for row, column in ((0, 0), (17, 8), (8, 16)):  # the controls
        assert not torch.equal(whole[:, 8:20, 17:], dithered(shard, torch.bfloat16, row, column))
    far = dithered(X, torch.bfloat16, 2**31, 2**31)
    assert (far != whole).double().mean() > 0.9


def test_a_symmetric_matrix_stays_symmetric(seed: int, device: str) -> None:
    X = random(3, 20, 30, seed=seed, device=device)
    assert torch.equal(dithered(X.mT, torch.float16), dithered(X, torch.float16).mT)
    P = X @ X.mT
    P = (P + P.mT) / 2
    found = dithered(P, torch.float16)
    assert torch.equal(found, found.mT)
    assert not torch.equal(found, P)


def test_batch_vmap_and_compiled_code_give_the_same_bits(seed: int, device: str) -> None:
    X = random(3, 20, 30, seed=seed, device=device)
    found = dithered(X, torch.bfloat16)
    assert torch.equal(found[1], dithered(X[1], torch.bfloat16))
    assert torch.equal(found, torch.vmap(lambda X: dithered(X, torch.bfloat16))(X))
    torch._dynamo.reset()
    compiled = torch.compile(dithered, backend="aot_eager", fullgraph=True)
    assert torch.equal(found, compiled(X, torch.bfloat16))


def correlations(r: Tensor) -> dict[str, float]:
    """Means over a matrix of what is 0 for independent r, in units of their standard deviation then.

    r has the variance 1/3. Entries that stand in twice, above and below the diagonal, are left out.
    """
    i, j = torch.arange(len(r))[:, None], torch.arange(len(r))
    parts = {"mean": (r, 1)}
    for down, right in ((0, 1), (1, 0), (1, -1), (1, 1), (0, 2), (7, 0)):
        parts[f"{down}, {right}"] = (r * r.roll((-down, -right), (0, 1)), 2)
    # A sum of a part of the row and a part of the column, from which r is cut, shows in four corners.
    corners = r * r.roll(-1, 0) * r.roll(-1, 1) * r.roll((-1, -1), (0, 1))
    parts["corners"] = (corners, 4)
    inner = (j > i + 10) & (j < len(r) - 10)
    return {
        name: (x[inner].mean() * inner.sum() ** 0.5 * 3 ** (factors / 2)).item()
        for name, (x, factors) in parts.items()
    }


@pytest.mark.parametrize("dtype", HALF)
def test_the_hash_is_even_and_without_correlation(dtype: torch.dtype, device: str) -> None:
    r = drawn(SIDE, SIDE, dtype, device).cpu()
    assert r.abs().max() <= 1
    off = correlations(r)
    assert max(map(abs, off.values())) < 4.5, off
    # Neither rows nor columns are constant, nor alike.
    for lines in (r, r.mT):
        assert (lines.std(dim=-1) / 3**-0.5 - 1).abs().max() < 0.2
        assert len(lines.unique(dim=0)) == SIDE
    # A quarter of all in each quarter of (−1, 1).
    counts = torch.histc(r.triu(1)[r.triu(1) != 0].float(), 4, -1, 1)
    assert ((counts / counts.sum() - 0.25).abs() < 4.5 * (0.25 * 0.75 / counts.sum()) ** 0.5).all()


@pytest.mark.parametrize(
    "poor",
    [
        lambda a, b: a.expand(SIDE, SIDE),  # of the row alone
        lambda a, b: b.expand(SIDE, SIDE),
        lambda a, b: (a + b) % 1,  # two hashes added, and not mixed again
        lambda a, b: a * b,
    ],
)
def test_a_poor_hash_is_seen(poor: Callable[[Tensor, Tensor], Tensor]) -> None:
    """The control of the one above."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand((2, SIDE), generator=generator, dtype=torch.float64)
    assert max(map(abs, correlations(2 * poor(a[:, None], b) - 1).values())) > 6


# what runs


def test_without_it_nothing_is_changed(seed: int, device: str) -> None:
    M = random(40, 60, seed=seed, device=device)
    X, plan = frobenius(M, torch.bfloat16).matrix, Plan("bfloat16")
    assert torch.equal(Sign(TABLE, plan)(M), execute.direct(X, TABLE.schedule))
    moved = frobenius(dithered(scaled_to_one(M)[0], torch.bfloat16), torch.bfloat16).matrix
    found = Sign(TABLE, Plan("bfloat16", dither=True))(M)
    assert torch.equal(found, execute.direct(moved, TABLE.schedule))
    assert not torch.equal(found, Sign(TABLE, plan)(M))


@pytest.mark.parametrize("name", NORMALIZATIONS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_gram_matrix_is_that_of_what_is_iterated(name: str, dtype: str, seed: int) -> None:
    M = random(2, 40, 60, seed=seed) / 64
    plain, sign = (
        Sign(TABLE, Plan(dtype, normalization=name, dither=on, check=False)) for on in (False, True)
    )
    state, found, other = getattr(torch, dtype), started(sign, M), started(plain, M)
    W, exponent = (M, 0) if name == "none" else scaled_to_one(M)
    expected = NORMALIZATIONS[name](dithered(W, state), state)
    assert torch.equal(found.matrix, expected.matrix)
    assert not torch.equal(found.matrix, other.matrix)
    torch.testing.assert_close(found.norm(), other.norm(), rtol=torch.finfo(state).eps, atol=0)
    assert torch.equal(found.exponent, expected.exponent + exponent)
    if expected.gram is None:
        assert found.gram is None
    else:
        assert found.gram is not None
        assert other.gram is not None
        assert torch.equal(found.gram, expected.gram)
        assert not torch.equal(found.gram, other.gram)
    assert sign.run(M).matmuls == plain.run(M).matmuls


@pytest.mark.parametrize("form", ["direct", "gram"])
def test_sign_of_a_batch_a_transpose_and_a_compiled_step(form: str, seed: int, device: str) -> None:
    M = random(3, 40, 60, seed=seed, device=device)
    sign = Sign(TABLE, Plan("bfloat16", check=False, form=form, dither=True))
    X, start = sign(M), partial(started, sign)
    assert torch.equal(sign(M.mT), X.mT)
    # What is iterated: the products of a vmap are rounded otherwise, with dither and without.
    assert torch.equal(torch.vmap(lambda M: start(M).matrix)(M), start(M).matrix)
    torch._dynamo.reset()
    step = torch.compile(lambda M: sign(M), backend="aot_eager", fullgraph=True)
    assert torch.equal(step(M), X)


def test_every_scale(seed: int) -> None:
    M, sign = random(40, 60, seed=seed), Sign(TABLE, Plan("bfloat16", dither=True))
    for k in (-100, -3, 100):
        assert torch.equal(sign(M * 2.0**k), sign(M))
    largest = torch.full((40, 60), torch.finfo(torch.float32).max)
    assert torch.isfinite(sign(largest)).all()
    run = sign.run(torch.stack([largest, 0 * M]))
    assert not run.result[1].any()
    assert run.norm[1] == 0
    u = 2.0**-8
    assert abs(run.norm[0].item() / (largest[0, 0].double() * 2400**0.5).item() - 1) <= u


@pytest.mark.parametrize(
    ("plan", "shape"),
    [(Plan("bfloat16", dither=True), (32, 60)), (Plan(dither=True), (40, 60)), (Plan(dither=True), (8, 60))],
)
def test_a_state_in_float32_is_not_dithered(plan: Plan, shape: tuple[int, int], seed: int) -> None:
    M = random(*shape, seed=seed)
    assert torch.equal(Sign(TABLE, plan)(M), Sign(TABLE, Plan(plan.dtype))(M))
    assert not torch.equal(
        Sign(TABLE, Plan("bfloat16", float32_side=0, dither=True))(M), Sign(TABLE, Plan("bfloat16"))(M)
    )


def test_equal_entries_are_not_rounded_alike() -> None:
    """11·I − J with every column three times, by a table with too little headroom for that."""
    M = (11 * torch.eye(15) - torch.ones(15, 15)).repeat_interleave(3, dim=1)
    table = polydesign.design(degree=5, steps=6, headroom=1.01, image_floor=0.1, dtype="bfloat16")
    off = {
        on: (
            torch.linalg.svdvals(
                Sign(table, Plan("bf16", check=False, float32_side=0, dither=on))(M).double()
            )
            - 1
        )
        .abs()
        .max()
        for on in (False, True)
    }
    assert off[False] > 10
    assert off[True] < 0.25


def test_what_is_made_of_signs_is_dithered_too(seed: int) -> None:
    M = random(40, 60, seed=seed)
    for dtype, differs in (("bfloat16", True), ("float32", False)):
        one, other = (Clip(0.1, 0.5, plan=Plan(dither=on)) for on in (True, False))
        assert torch.equal(one(M.to(getattr(torch, dtype))), other(M.to(getattr(torch, dtype)))) != differs
    assert torch.isfinite(spectral_relu(M, 1.0, plan=Plan("fp16", dither=True))).all()
    for dtype, differs in (("bfloat16", True), ("float32", False)):
        one, other = (
            measure(TABLE, shape=(40, 60), dtype=dtype, plan=Plan(dither=on)) for on in (True, False)
        )
        assert (one.worst != other.worst) == differs


def test_the_derivative_leaves_it_out(seed: int) -> None:
    M, plan = random(40, 60, seed=seed), Plan("bfloat16", dither=True)
    for forward, backward in product((None, plan), repeat=2):
        leaf = M.clone().requires_grad_()
        X = msign_differentiable(leaf, TABLE, forward, backward_plan=backward)
        assert torch.equal(X, msign(M, TABLE, forward))
        (gradient,) = torch.autograd.grad(X[..., 0].sum(), leaf)
        assert torch.isfinite(gradient).all()


REFUSED = [
    (lambda: Plan("float32", dither=True), r"^dither: is of bfloat16 and float16, and dtype is float32"),
    (lambda: Plan("fp64", dither=True), r"^dither: .*leave it out"),
    (lambda: Plan("bf16", dither=1), r"^dither: must be True or False"),  # pyright: ignore[reportArgumentType]
    (lambda: MatrixSign(plan=Plan(dither=True)), r"^plan.dither: is of msign, and mcsgn has none"),
    (lambda: InverseRoot(4, plan=Plan(dither=True)), r"^plan.dither: is of msign, and inverse_root has none"),
    (lambda: Lyapunov(plan=Plan("bf16", dither=True)), r"^plan.dither: is of msign"),
    (lambda: PrincipalSqrtAndInverseSqrt(plan=Plan(dither=True)), r"^plan.dither: is of msign"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refusals(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()

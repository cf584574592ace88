"""Monarch matrices: the product of the factors that they are named for, and the nearest one."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from scipy.linalg import hadamard
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from polydesign.model import InputError
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime import monarch_apply, monarch_dense, monarch_project

pytestmark = pytest.mark.numerics

DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
# (batch, p, j, k, i): m = p·j, n = k·i, p the rows of L's blocks.
SHAPES = [
    ((), 4, 4, 4, 4),
    ((), 3, 5, 2, 7),
    ((2, 3), 2, 3, 4, 3),
    ((), 1, 6, 6, 1),
    ((), 6, 1, 1, 6),
    ((1,), 1, 1, 1, 1),
]


def factors(shape: tuple[tuple[int, ...], int, int, int, int], seed: int) -> tuple[Tensor, Tensor]:
    batch, p, j, k, i = shape
    generator = torch.Generator().manual_seed(seed)
    L = torch.randn(*batch, j, p, k, generator=generator, dtype=torch.float64)
    return L, torch.randn(*batch, k, j, i, generator=generator, dtype=torch.float64)


def product(L: Tensor, R: Tensor) -> Tensor:
    """(rows transposed) blockdiag(L) (middle transposed) blockdiag(R), with permutation matrices written out."""
    j, p, k = L.shape
    middle = torch.eye(k * j, dtype=L.dtype).unflatten(0, (k, j)).transpose(0, 1).flatten(0, 1)
    rows = torch.eye(j * p, dtype=L.dtype).unflatten(0, (j, p)).transpose(0, 1).flatten(0, 1)
    return rows @ torch.block_diag(*L) @ middle @ torch.block_diag(*R)


def slices(M: Tensor, j: int, k: int) -> Tensor:
    """(k·j, p, i), each cut out by strides."""
    i = M.shape[-1] // k
    return torch.stack([M[b::j, a * i : (a + 1) * i] for a in range(k) for b in range(j)])


def norm(M: Tensor) -> float:
    return torch.linalg.matrix_norm(M).max().item()


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_product_of_its_factors(
    shape: tuple[tuple[int, ...], int, int, int, int], seed: int, device: str
) -> None:
    L, R = factors(shape, seed)
    M = monarch_dense(L.to(device), R.to(device)).cpu()
    _, p, j, k, i = shape
    for one, left, right in zip(
        M.reshape(-1, p * j, k * i), L.reshape(-1, j, p, k), R.reshape(-1, k, j, i), strict=True
    ):
        assert (one - product(left, right)).abs().max() <= 4 * UNIT_ROUNDOFF["float64"] * one.abs().max()
        assert (torch.linalg.matrix_rank(slices(one, j, k)) == 1).all()
    if min(p, j, k, i) > 1:  # the control: the blocks are transposed between the factors
        assert norm(M - product_without(L, R)) > 0.1 * norm(M)


def product_without(L: Tensor, R: Tensor) -> Tensor:
    j, p, k = L.shape[-3:]
    made = [
        torch.block_diag(*left) @ torch.block_diag(*right)
        for left, right in zip(L.reshape(-1, j, p, k), R.reshape(-1, *R.shape[-3:]), strict=True)
    ]
    return torch.stack(made).reshape(*L.shape[:-3], *made[0].shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_apply(
    shape: tuple[tuple[int, ...], int, int, int, int], dtype: torch.dtype, seed: int, device: str
) -> None:
    batch, _, _, k, i = shape
    L, R = (M.to(device, dtype) for M in factors(shape, seed))
    X = torch.randn(*batch, k * i, 3, generator=torch.Generator().manual_seed(seed + 1)).to(device, dtype)
    before = L.clone(), R.clone(), X.clone()
    found = monarch_apply(L, R, X)
    assert found.dtype == dtype
    for given, kept in zip((L, R, X), before, strict=True):
        assert torch.equal(given, kept)
    L, R, X = (M.cpu().double() for M in (L, R, X))
    exact = monarch_dense(L, R) @ X
    # Sums over i and k, and a rounding after each of the two.
    u = UNIT_ROUNDOFF[str(dtype).removeprefix("torch.")]
    allowed = (3 * u + 2 * (i + k) * min(u, UNIT_ROUNDOFF["float32"])) * (
        monarch_dense(L.abs(), R.abs()) @ X.abs()
    )
    assert ((found.cpu().double() - exact).abs() <= allowed).all()
    wrong = monarch_dense(L * (1 + 16 * (i + k) * u), R) @ X
    assert ((found.cpu().double() - wrong).abs() > allowed).any()


def test_it_costs_what_is_said(seed: int) -> None:
    (p, j, k, i), e = (3, 5, 2, 7), 11
    L, R = factors(((), p, j, k, i), seed)
    with FlopCounterMode(display=False) as counter:
        monarch_apply(L, R, torch.ones(k * i, e, dtype=torch.float64))
    assert counter.get_total_flops() == 2 * e * k * j * (i + p)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_projection_of_a_monarch_matrix_is_itself(
    shape: tuple[tuple[int, ...], int, int, int, int], dtype: torch.dtype, seed: int, device: str
) -> None:
    _, p, j, k, i = shape
    M = monarch_dense(*factors(shape, seed)).to(device)
    given = M.to(dtype)
    before = given.clone()
    L, R = monarch_project(given, (j, k))
    assert torch.equal(given, before)
    assert L.dtype == R.dtype == dtype
    assert (L.shape[-3:], R.shape[-3:]) == ((j, p, k), (k, j, i))
    u = UNIT_ROUNDOFF[str(dtype).removeprefix("torch.")]
    # M, L and R are rounded to dtype; the decompositions are backward stable in float32 or better.
    slack = 4 * u + 16 * max(p, i) * min(u, UNIT_ROUNDOFF["float32"])
    assert norm(monarch_dense(L.double(), R.double()) - M) <= slack * norm(M)


def gaussian(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("shape", "blocks"), [((16, 16), None), ((12, 20), (3, 5)), ((2, 15, 14), (5, 2)), ((7, 8), None)]
)
def test_the_nearest(shape: tuple[int, ...], blocks: tuple[int, int] | None, seed: int, device: str) -> None:
    M = gaussian(*shape, seed=seed)
    L, R = (factor.cpu() for factor in monarch_project(M.to(device), blocks))
    nearest = monarch_dense(L, R)
    j, k = L.shape[-3], R.shape[-3]
    for one, found in zip(M.reshape(-1, *shape[-2:]), nearest.reshape(-1, *shape[-2:]), strict=True):
        tail = torch.linalg.svdvals(slices(one, j, k))[:, 1:]
        assert norm(one - found) == pytest.approx(tail.norm().item(), rel=1e-12)
    again = monarch_dense(*monarch_project(nearest, (j, k)))
    assert norm(again - nearest) <= 1e-13 * norm(M)
    assert torch.linalg.vector_norm(L).item() == pytest.approx(torch.linalg.vector_norm(R).item(), rel=1e-12)
    # Nothing beside it is nearer; beside something else there is.
    optimum = torch.linalg.vector_norm(M - nearest).item()
    generator = torch.Generator().manual_seed(seed + 1)

    def closest(L: Tensor, R: Tensor) -> float:
        best = math.inf
        for trial in range(200):
            size = 10 ** (-4 + 4 * trial / 200)
            near = [X + size * torch.randn(X.shape, generator=generator, dtype=torch.float64) for X in (L, R)]
            best = min(best, torch.linalg.vector_norm(M - monarch_dense(*near)).item())
        return best

    assert closest(L, R) >= optimum * (1 - 1e-12)
    elsewhere = torch.linalg.vector_norm(M - monarch_dense(1.5 * L, R)).item()
    if optimum > 1e-9 * norm(M):
        assert closest(1.5 * L, R) < elsewhere


def test_kronecker_products_are_monarch_matrices() -> None:
    H = torch.from_numpy(hadamard(16)).double()
    assert norm(monarch_dense(*monarch_project(H)) - H) <= 1e-14 * norm(H)
    mixed = H[torch.randperm(16, generator=torch.Generator().manual_seed(0))]
    assert norm(monarch_dense(*monarch_project(mixed)) - mixed) > 0.1 * norm(H)


def test_blocks_when_none_are_given() -> None:
    for shape, left, right in (
        ((16, 16), (4, 4, 4), (4, 4, 4)),
        ((512, 512), (16, 32, 32), (32, 16, 16)),
        ((12, 7), (3, 4, 7), (7, 3, 1)),
    ):
        L, R = monarch_project(torch.ones(shape))
        assert (L.shape, R.shape) == (left, right)


def test_gradients(seed: int) -> None:
    L, R = (X.requires_grad_() for X in factors(((2,), 2, 3, 2, 3), seed))
    X = gaussian(2, 6, 2, seed=seed).requires_grad_()
    assert torch.autograd.gradcheck(monarch_apply, [L, R, X])
    assert torch.autograd.gradcheck(monarch_dense, [L, R])


ONE = torch.ones(2, 2, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: monarch_apply(ONE[0], ONE, ONE[0]), r"^L: has shape \(2, 2\), and is \(\.\.\., j, l, k\)"),
        (lambda: monarch_dense(ONE, ONE[0]), r"^R: has shape \(2, 2\), and is"),
        (
            lambda: monarch_dense(ONE[:1], ONE),
            r"^L: has shape \(1, 2, 2\), and R \(2, 2, 2\): L is \(\.\.\., 2",
        ),
        (lambda: monarch_dense(ONE * math.nan, ONE), r"^L\[0\]: holds NaN"),
        (lambda: monarch_apply(ONE, ONE, torch.ones(3, 2)), r"^X: has shape \(3, 2\).*X is \(\.\.\., 4, e\)"),
        (lambda: monarch_apply(ONE, ONE, torch.ones(2, 4, 2)), r"^X: has shape \(2, 4, 2\)"),
        (lambda: monarch_apply(ONE.int(), ONE, torch.ones(4, 2)), r"^L: must have a floating dtype"),
        (lambda: monarch_project(torch.ones(6, 6), (4, 2)), r"^blocks: 4 does not divide the side 6"),
        (lambda: monarch_project(torch.ones(6, 6), (0, 2)), r"^blocks: must be"),
        (lambda: monarch_project(torch.ones(0, 6)), r"^M: has shape \(0, 6\)"),
        (lambda: monarch_project(torch.full((4, 4), math.inf)), r"^M: holds NaN or infinity"),
    ],
)
def test_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()

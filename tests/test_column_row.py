"""Column-row approximation of a product, against its definition and against least squares."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from references import column_row_middle
from torch import Tensor

from polydesign.model import InputError
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime import ColumnRow, column_row
from polydesign.runtime.structured.column_row import CHOICES, MIDDLES

pytestmark = pytest.mark.numerics

SHAPES = [(6, 20, 9), (9, 20, 6), (30, 12, 25), (2, 3, 6, 14, 5)]
"""(..., m, p, n)."""
SAMPLED_RUNS = 4000


def factors(*shape: int, seed: int, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """X and Y whose columns and rows have sizes from 1 to 0.01."""
    *batch, m, p, n = shape
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.logspace(0, -1, p, dtype=torch.float64)[torch.randperm(p, generator=generator)]
    X = torch.randn(*batch, m, p, generator=generator, dtype=torch.float64) * sizes
    Y = torch.randn(*batch, p, n, generator=generator, dtype=torch.float64) * sizes[:, None]
    return X.to(device), Y.to(device)


def generator_of(seed: int, device: str) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def error(found: ColumnRow, X: Tensor, Y: Tensor) -> Tensor:
    return torch.linalg.matrix_norm(found.product() - X @ Y)


def middle_of(how: str, found: ColumnRow, X: Tensor, Y: Tensor) -> Tensor:
    """D where no middle was asked for, by its definition; (..., k)."""
    if how == "largest":
        return torch.ones_like(found.indices, dtype=torch.float64)
    w = X.norm(dim=-2) * Y.norm(dim=-1)
    p = w / w.sum(dim=-1, keepdim=True)
    return 1 / (found.indices.shape[-1] * p.take_along_dim(found.indices, dim=-1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("how", CHOICES)
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_columns_times_rows(
    dtype: torch.dtype, how: str, shape: tuple[int, ...], seed: int, device: str
) -> None:
    X, Y = (M.to(dtype) for M in factors(*shape, seed=seed, device=device))
    before = X.clone(), Y.clone()
    found = column_row(X, Y, 5, how, generator=generator_of(seed, device))
    again = column_row(X, Y, 5, how, generator=generator_of(seed, device))
    assert torch.equal(X, before[0])
    assert torch.equal(Y, before[1])
    for one, other in ((found.left, again.left), (found.right, again.right)):
        assert torch.equal(one, other)
        assert one.dtype == dtype
    wide = X.double(), Y.double()
    C = wide[0].take_along_dim(found.indices[..., None, :], dim=-1)
    D = middle_of(how, found, *wide)[..., None, :]
    assert torch.equal(found.right, Y.take_along_dim(found.indices[..., :, None], dim=-2))
    # Norms of up to 30 entries are in float32 or better, and the result is rounded once.
    u = UNIT_ROUNDOFF[str(dtype).removeprefix("torch.")]
    sums = 100 * min(u, UNIT_ROUNDOFF["float32"])
    assert ((found.left.double() - C * D).abs() <= (u + sums) * (C * D).abs()).all()
    assert found.product().shape == (*shape[:-2], shape[-1])


@pytest.mark.parametrize("shape", SHAPES)
def test_largest_are_the_largest_and_leave_what_is_said(
    shape: tuple[int, ...], seed: int, device: str
) -> None:
    X, Y = factors(*shape, seed=seed, device=device)
    w = X.norm(dim=-2) * Y.norm(dim=-1)
    for k in (1, 4, shape[-2]):
        found = column_row(X, Y, k)
        kept = w.take_along_dim(found.indices, dim=-1)
        assert torch.equal(kept, w.sort(dim=-1, descending=True).values[..., :k])
        left = w.sum(dim=-1) - kept.sum(dim=-1)
        assert (error(found, X, Y) <= left + 1e-12).all()
    assert error(found, X, Y).max().item() <= 1e-11  # k = p is all of it
    assert error(column_row(X, Y, shape[-2] - 1), X, Y).min().item() > 1e-5  # the control


@pytest.mark.parametrize("k", [1, 6])
def test_sampling_is_unbiased_and_varies_as_said(k: int, seed: int, device: str) -> None:
    X, Y = factors(6, 20, 9, seed=seed, device=device)
    N = SAMPLED_RUNS
    many = X.expand(N, *X.shape), Y.expand(N, *Y.shape)
    exact = X @ Y
    w = X.norm(dim=0) * Y.norm(dim=1)
    variance = ((w.sum().square() - exact.square().sum()) / k).item()
    found = column_row(*many, k, "sampled", generator=generator_of(seed, device))
    # The mean of N has a mean square of variance/N; 4 times its root leaves 1/16 by Chebyshev, and far less
    # for a sum of 54 entries.
    allowed = 4 * math.sqrt(variance / N)
    assert torch.linalg.matrix_norm(found.product().mean(0) - exact).item() <= allowed
    squares = error(found, *many).square()
    assert abs(squares.mean().item() - variance) <= 5 * squares.std().item() / math.sqrt(N) < 0.3 * variance
    # The controls: larger weights, and optimal ones, are biased; even draws vary more.
    optimal = column_row(*many, k, "sampled", middle="diagonal", generator=generator_of(seed, device))
    for other in (1.5 * found.product(), optimal.product()):
        assert torch.linalg.matrix_norm(other.mean(0) - exact).item() > allowed
    even = ((20 * w.square().sum() - exact.square().sum()) / k).item()
    assert squares.mean().item() + 5 * squares.std().item() / math.sqrt(N) < even


@pytest.mark.parametrize("middle", MIDDLES)
@pytest.mark.parametrize("how", CHOICES)
@pytest.mark.parametrize("shape", SHAPES[:3])
@pytest.mark.parametrize("k", [1, 5, 11])
def test_middles_are_least_squares(
    middle: str, how: str, shape: tuple[int, ...], k: int, seed: int, device: str
) -> None:
    X, Y = factors(*shape, seed=seed, device=device)
    found = column_row(X, Y, k, how, middle=middle, generator=generator_of(seed, device))
    plain = column_row(X, Y, k, how, generator=generator_of(seed, device))
    assert torch.equal(found.indices, plain.indices)
    C, R = X[:, found.indices], Y[found.indices, :]
    D = column_row_middle(X, Y, C, R, diagonal=middle == "diagonal").to(X)
    # Both solve the same problem, perhaps a singular one: what they leave is the same, not D.
    least = torch.linalg.matrix_norm(C @ D @ R - X @ Y).item()
    scale = torch.linalg.matrix_norm(X @ Y).item()
    assert abs(error(found, X, Y).item() - least) <= 1e-7 * scale
    assert error(found, X, Y).item() <= error(plain, X, Y).item() + 1e-7 * scale
    shifted = ColumnRow(found.indices, found.left + 1e-2 * C, found.right)  # the control
    assert error(shifted, X, Y).item() > least + 1e-7 * scale


@pytest.mark.parametrize("how", CHOICES)
@pytest.mark.parametrize("middle", MIDDLES)
def test_middles_of_a_batch_are_those_of_each(how: str, middle: str, seed: int, device: str) -> None:
    X, Y = factors(3, 6, 14, 5, seed=seed, device=device)
    found = column_row(X, Y, 4, how, middle=middle, generator=generator_of(seed, device))
    for i in range(3):
        C, R = X[i][:, found.indices[i]], Y[i][found.indices[i], :]
        D = column_row_middle(X[i], Y[i], C, R, diagonal=middle == "diagonal").to(X)
        assert torch.linalg.matrix_norm(found.product()[i] - C @ D @ R).item() <= 1e-6


@pytest.mark.parametrize("how", CHOICES)
@pytest.mark.parametrize("middle", [None, *MIDDLES])
def test_scale_zero_and_empty(how: str, middle: str | None, seed: int, device: str) -> None:
    X, Y = factors(6, 14, 5, seed=seed, device=device)
    run = {"how": how, "middle": middle}
    found = column_row(X, Y, 4, generator=generator_of(seed, device), **run)
    scaled = column_row(X * 2.0**300, Y * 2.0**-200, 4, generator=generator_of(seed, device), **run)
    assert torch.equal(scaled.indices, found.indices)
    if middle is None:
        assert torch.equal(scaled.left, found.left * 2.0**300)
    assert (column_row(X * 0, Y, 4, **run).product() == 0).all()
    assert column_row(X[:0], Y, 4, **run).product().shape == (0, 5)
    assert column_row(X.expand(0, 6, 14), Y.expand(0, 14, 5), 4, **run).product().shape == (0, 6, 5)
    X.requires_grad_()
    column_row(X, Y, 2, **run).product().sum().backward()
    assert X.grad is not None
    assert torch.isfinite(X.grad).all()


X, Y = torch.ones(3, 4), torch.ones(4, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: column_row(X, Y, 0), r"^k: "),
        (lambda: column_row(X, Y, 5), r"^k: is 5, and X has 4 columns"),
        (lambda: column_row(X, Y, 2, "smallest"), r"^how: 'smallest' is not one of largest, sampled"),
        (lambda: column_row(X, Y, 2, middle="none"), r"^middle: 'none' is not one of None, diagonal, full"),
        (lambda: column_row(X, Y.mT, 2), r"^Y: has shape \(2, 4\), and X \(3, 4\)"),
        (lambda: column_row(X, Y[0], 2), r"^Y: must have shape"),
        (lambda: column_row(X.int(), Y, 2), r"^X: must have a floating dtype"),
        (lambda: column_row(X, Y * math.nan, 2), r"^Y: holds NaN"),
    ],
)
def test_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()

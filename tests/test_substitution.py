"""Triangular inverses and solves are as accurate as substitution, entry by entry, or they are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from polydesign.model import DivergenceError, InputError
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime import lower_solve, ops, triangular_inverse
from polydesign.runtime.structured import triangular

pytestmark = pytest.mark.numerics

DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def keys(n: int, d: int, correlation: float, seed: int) -> Tensor:
    """Rows of length 1 whose mean inner product is this."""
    rows = normal(n, d, seed=seed)
    rows = rows / rows.norm(dim=-1, keepdim=True)
    common = torch.nn.functional.one_hot(torch.tensor(0), d).double()
    rows = (1 - correlation) ** 0.5 * rows + correlation**0.5 * common
    return rows / rows.norm(dim=-1, keepdim=True)


def gram(k: Tensor) -> Tensor:
    return k @ k.mT


def kahan(n: int) -> Tensor:
    sine, cosine = 0.9, 0.19**0.5
    rows = torch.eye(n, dtype=torch.float64) - cosine * torch.ones(n, n, dtype=torch.float64).tril(-1)
    return rows * sine ** torch.arange(n, dtype=torch.float64)


def graded(n: int, seed: int) -> Tensor:
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    return torch.logspace(-3, 3, n, dtype=torch.float64)[order]


def nilpotent(n: int, seed: int) -> Tensor:
    return torch.eye(n, dtype=torch.float64) + normal(n, n, seed=seed).tril(-1) / 3


MATRICES: dict[str, Callable[[int, int], Tensor]] = {
    "ones": lambda n, seed: torch.eye(n) + torch.ones(n, n).tril(-1),
    "signs": lambda n, seed: torch.eye(n) + normal(n, n, seed=seed).sign().tril(-1),
    "minus a quarter": lambda n, seed: torch.eye(n) - torch.ones(n, n).tril(-1) / 4,
    "twos": lambda n, seed: torch.eye(n) + 2 * torch.ones(n, n).tril(-1),
    "normal": lambda n, seed: normal(n, n, seed=seed).tril(),
    "Kahan's": lambda n, seed: kahan(n),
    "correlated keys": lambda n, seed: torch.eye(n) + gram(keys(n, 16, 0.5, seed)).tril(-1),
    "the same keys": lambda n, seed: torch.eye(n) + torch.ones(n, n).tril(-1) * 0.9,
    "graded rows": lambda n, seed: graded(n, seed)[:, None] * nilpotent(n, seed),
    "graded columns": lambda n, seed: nilpotent(n, seed) * graded(n, seed),
}


def neumann(T: Tensor) -> Tensor:
    """(I − N)(I + N²)(I + N⁴)…Λ⁻¹."""
    diagonal, eye = T.diagonal(dim1=-2, dim2=-1), torch.eye(T.shape[-1], dtype=T.dtype)
    power = T.tril(-1) / diagonal[..., None]
    product, reached = eye - power, 2
    while reached < T.shape[-1]:
        power = power @ power
        product, reached = product + product @ power, 2 * reached
    return product / diagonal[..., None, :]


def roundings(T: Tensor, X: Tensor, right: Tensor, u: float) -> float:
    """The largest entry of |TX − right| over u·(|T||X| + |right|), all in float64."""
    T, X, right = (M.cpu().double() for M in (T, X, right))
    off, sizes = (T @ X - right).abs(), T.abs() @ X.abs() + right.abs()
    return (off / (u * sizes).clamp(min=1e-300)).nan_to_num(nan=torch.inf).max().item()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, 9, 64, 65])
@pytest.mark.parametrize("name", MATRICES)
def test_inverses_leave_what_substitution_leaves(
    name: str, n: int, dtype: torch.dtype, seed: int, device: str
) -> None:
    T = MATRICES[name](n, seed).tril().to(dtype)
    T = T * (T.diagonal() != 0) + torch.diag((T.diagonal() == 0).to(dtype))  # a rounded diagonal
    with torch.no_grad():
        X = triangular_inverse(T.to(device), check=False)
    if not torch.isfinite(X).all():  # the inverse itself is beyond float16
        assert torch.linalg.inv(T.double()).abs().max() > torch.finfo(dtype).max
        with pytest.raises(DivergenceError, match=r"^the result does not fit in float16"):
            triangular_inverse(T.to(device))
        return
    assert torch.equal(triangular_inverse(T.to(device)), X)
    name_of = str(dtype).removeprefix("torch.")
    # Substitution and Higham's (8.8): (n + 1)·u at most, and of a half the rounding of the result.
    narrow = UNIT_ROUNDOFF[name_of] if dtype.itemsize < 4 else 0.0
    u = min(UNIT_ROUNDOFF[name_of], UNIT_ROUNDOFF["float32"])
    lost = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps if narrow else 0.0  # subnormals
    off = roundings(T, X, torch.eye(n), 1.0)
    least = (lost * T.double().abs().sum(dim=-1).max() / T.double().diagonal().abs().min()).item()
    assert off <= narrow + 4 * (n + 2) * u + least


def test_powers_of_n_do_not(seed: int) -> None:
    """The control: where they cancel."""
    u = UNIT_ROUNDOFF["float32"]
    for name in ("ones", "the same keys", "correlated keys"):
        T = MATRICES[name](64, seed).tril().float()
        assert roundings(T, triangular_inverse(T), torch.eye(64), u) <= 4
        assert not roundings(T, neumann(T), torch.eye(64), u) <= 1e4


@pytest.mark.parametrize("name", ["signs", "normal"])
def test_joined_blocks_are_refined(name: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without it a block leaves more, where the condition number is large."""

    def plain(T: Tensor, X: Tensor) -> Tensor:
        side = X.shape[-1]
        A, B = X[..., 0::2, :, :], X[..., 1::2, :, :]
        D = -(B @ (triangular._blocks(T, side, below=1) @ A))
        return torch.cat([torch.cat([A, 0 * A], dim=-1), torch.cat([D, B], dim=-1)], dim=-2)

    u, eye = UNIT_ROUNDOFF["float32"], torch.eye(64)
    made = [MATRICES[name](64, seed + k).tril().float() for k in range(5)]
    refined = max(roundings(T, triangular_inverse(T), eye, u) for T in made)
    monkeypatch.setattr(triangular, "_joined", plain)
    assert max(roundings(T, triangular_inverse(T, check=False), eye, u) for T in made) > 2 * refined


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("chunk", [7, 64, 200])
def test_solves_leave_what_substitution_leaves(
    correlation: float, dtype: torch.dtype, chunk: int, seed: int, device: str
) -> None:
    n = 130
    k = keys(n, 16, correlation, seed).to(dtype)
    diagonal = torch.ones(n, dtype=dtype)
    V = normal(n, 5, seed=seed + 1).to(dtype)
    found = lower_solve(*(M.to(device) for M in (diagonal, k, k, V)), chunk=chunk)
    T = torch.diag(diagonal).double() + (k.double() @ k.double().mT).tril(-1)
    exact = torch.linalg.solve_triangular(T, V.double(), upper=False)
    u = UNIT_ROUNDOFF[str(dtype).removeprefix("torch.")]
    inner = min(u, UNIT_ROUNDOFF["float32"])
    # Q, K and the sums of the state: n + d + 4 terms of |Λ||x| + |Q||Kᵀ||x| + |V|, carried on by |T⁻¹|.
    sizes = torch.diag(diagonal.double().abs()) + (k.double().abs() @ k.double().abs().mT).tril(-1)
    terms = sizes @ exact.abs() + V.double().abs()
    carried = torch.linalg.inv(T).abs() @ terms
    allowed = u * exact.abs() + 2 * (n + 20) * inner * carried + torch.finfo(dtype).smallest_normal
    assert ((found.cpu().double() - exact).abs() <= allowed).all()


def test_equal_keys_and_plain_numbers() -> None:
    k, V = torch.ones(64, 16) / 4, torch.arange(64 * 3.0).reshape(64, 3)
    found = lower_solve(torch.ones(64), k, k, V)
    assert torch.equal(found, torch.cat([V[:1], V[1:] - V[:-1]]))  # of ones on and below the diagonal
    T = torch.eye(64) + torch.ones(64, 64).tril(-1)
    assert torch.equal(triangular_inverse(T), torch.eye(64) - torch.diag(torch.ones(63), -1))


# what is looked at


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30])
def test_what_is_above_the_diagonal_is_not_looked_at(bad: float, seed: int) -> None:
    T = nilpotent(20, seed).float()
    assert torch.equal(triangular_inverse(T + torch.full((20, 20), bad).triu(1)), triangular_inverse(T))
    given = (T + torch.full((20, 20), bad).triu(1)).requires_grad_()
    (gradient,) = torch.autograd.grad(triangular_inverse(given).sum(), given)
    assert torch.isfinite(gradient).all()
    assert not gradient.triu(1).any()
    with pytest.raises(InputError, match=r"^T: holds NaN or infinity"):
        triangular_inverse(T + torch.full((20, 20), torch.inf).tril(-15))


def test_cures_name_what_there_is_and_cure(seed: int) -> None:
    T = nilpotent(20, seed).float()
    T[3, 1] = torch.nan
    with pytest.raises(InputError, match=r"look for what made it; check=False runs without this check$"):
        triangular_inverse(T)
    assert not torch.isfinite(triangular_inverse(T, check=False)).all()
    k = torch.ones(4, 2)
    for number, name in enumerate(("diagonal", "Q", "K", "V")):
        given = [torch.ones(4), k.clone(), k.clone(), k.clone()]
        given[number][0] = torch.inf
        with pytest.raises(InputError, match=rf"^{name}: .*check=False runs"):
            lower_solve(*given)
        assert lower_solve(*given, check=False).shape == (4, 2)


def test_results_beyond_the_dtype_are_raised_with_a_cure() -> None:
    small = torch.stack([torch.eye(3), torch.eye(3) * 1e-6]).half()
    with pytest.raises(
        DivergenceError, match=r"^matrix \[1\]: .* fit in float16: write T.to\(torch.float32\)"
    ):
        triangular_inverse(small)
    assert torch.isfinite(triangular_inverse(small.to(torch.float32))).all()
    assert torch.isinf(triangular_inverse(small, check=False)).any()
    grows = torch.eye(70) - 4 * torch.ones(70, 70).tril(-1)  # entries to 5⁶⁹
    for dtype in (torch.bfloat16, torch.float32):
        with pytest.raises(DivergenceError, match=r"write T.to\(torch.float64\)"):
            triangular_inverse(grows.to(dtype))
    assert torch.isfinite(triangular_inverse(grows.to(torch.float64))).all()
    k = torch.ones(70, 1)
    with pytest.raises(DivergenceError, match=r"float32: write diagonal.to\(torch.float64\)"):
        lower_solve(torch.ones(70), -4 * k, k, k)
    assert torch.isfinite(lower_solve(torch.ones(70).to(torch.float64), -4 * k, k, k)).all()
    with pytest.raises(DivergenceError, match="float64: scale the rows of T"):
        triangular_inverse(torch.eye(2, dtype=torch.float64) * 1e-310)


def test_products_of_another_precision_are_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where float32 products run in bfloat16: the residual tells, with the matrix that is worst off."""

    def rounded(a: Tensor, b: Tensor) -> Tensor:
        return (a.bfloat16() @ b.bfloat16()).to(a.dtype)

    def rounded_sum(c: Tensor, a: Tensor, b: Tensor, *, alpha: float, beta: float) -> Tensor:
        return beta * c + alpha * rounded(a, b)

    T = torch.stack([torch.eye(30), nilpotent(30, seed).float()])
    k = keys(30, 8, 0.5, seed).float()
    monkeypatch.setattr(ops, "mm", rounded)
    monkeypatch.setattr(ops, "mm_add", rounded_sum)
    with pytest.raises(DivergenceError, match=r"^matrix \[1\]: of TX .* roundings of float32 are left"):
        triangular_inverse(T)
    with pytest.raises(DivergenceError, match=r"write diagonal\.to"):
        lower_solve(torch.ones(30), k, k, k)
    assert torch.isfinite(triangular_inverse(T, check=False)).all()


def test_transforms(seed: int) -> None:
    T = torch.stack([nilpotent(20, seed + k) for k in range(3)])
    alone = torch.stack([triangular_inverse(M) for M in T])
    torch.testing.assert_close(triangular_inverse(T), alone, rtol=0, atol=1e-13)
    mapped = torch.func.vmap(lambda M: triangular_inverse(M, check=False))(T)
    torch.testing.assert_close(mapped, alone, rtol=0, atol=1e-13)
    V = normal(3, 20, 4, seed=seed)
    solved = lower_solve(T[..., 0] * 0 + 1, V, V, V, chunk=6)
    ones = torch.ones(20, dtype=torch.float64)
    mapped = torch.func.vmap(lambda M: lower_solve(ones, M, M, M, chunk=6, check=False))(V)
    torch.testing.assert_close(mapped, solved, rtol=1e-10, atol=1e-10 * solved.abs().max().item())
    whole = torch.compile(lambda M: triangular_inverse(M, check=False), backend="eager", fullgraph=True)
    torch.testing.assert_close(whole(T), alone, rtol=0, atol=1e-13)
    torch._dynamo.reset()


@pytest.mark.parametrize("shape", [(0, 5, 5), (2, 0, 20, 20), (0, 0)])
def test_nothing_gives_nothing(shape: tuple[int, ...]) -> None:
    assert triangular_inverse(torch.ones(shape)).shape == shape
    V = torch.ones(*shape[:-1], 3)
    assert lower_solve(torch.ones(shape[:-1]), V, V, V).shape == V.shape
    assert lower_solve(torch.ones(4), torch.ones(4, 0), torch.ones(4, 0), torch.ones(4, 2)).sum() == 8


def test_a_zero_on_the_diagonal_is_said_where(seed: int) -> None:
    T = torch.stack([nilpotent(5, seed), nilpotent(5, seed)])
    T[1, 3, 3] = 0.0
    with pytest.raises(InputError, match=r"^T: holds a zero on the diagonal of T, at \[1, 3\]"):
        triangular_inverse(T)
    assert torch.isfinite(triangular_inverse(T[:1])).all()

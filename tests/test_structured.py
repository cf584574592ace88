"""Triangular inverses by products, against substitution in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from polydesign.model import InputError
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime import lower_solve, ops, triangular_inverse
from polydesign.runtime.structured.triangular import SHORT

pytestmark = pytest.mark.numerics

SIDES = [1, 2, 3, 8, 9, 64, 100]
DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]


def triangle(*shape: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Λ from 1 to 2 and Q, K (..., n, d) with |rows| such that ‖L‖ is near 1; and T, in float64."""
    *batch, n, d = shape
    generator = torch.Generator().manual_seed(seed)
    Q, K = (torch.randn(*batch, n, d, generator=generator, dtype=torch.float64) for _ in "QK")
    Q, K = Q / (n * d) ** 0.25, K / (n * d) ** 0.25
    diagonal = 1 + torch.rand(*batch, n, generator=generator, dtype=torch.float64)
    return diagonal, Q, K, torch.diag_embed(diagonal) + (Q @ K.mT).tril(-1)


def norm(M: Tensor) -> float:
    return torch.linalg.matrix_norm(M).max().item()


def magnified(T: Tensor) -> float:
    """‖(I − |N|)⁻¹ Λ⁻¹‖: what the product is when nothing cancels, so a bound of all of its terms."""
    diagonal = T.diagonal(dim1=-2, dim2=-1)
    eye = torch.eye(T.shape[-1], dtype=T.dtype)
    N = (T.tril(-1) / diagonal[..., None]).abs()
    return norm(torch.linalg.inv(eye - N) / diagonal[..., None, :])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIDES)
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_inverse(dtype: torch.dtype, n: int, batch: tuple[int, ...], seed: int, device: str) -> None:
    _, _, _, T = triangle(*batch, n, 4, seed=seed)
    given = (T + torch.ones_like(T).triu(1)).to(device, dtype)
    before = given.clone()
    found = triangular_inverse(given)
    assert torch.equal(given, before)
    assert found.dtype == dtype
    stored = given.cpu().double().tril()
    eye = torch.eye(n, dtype=torch.float64).expand(T.shape)
    exact = torch.linalg.solve_triangular(stored, eye, upper=False)
    # Products of n terms in float32 or better, for each of the factors, and the result rounded once.
    u = UNIT_ROUNDOFF[str(dtype).removeprefix("torch.")]
    sums = 2 * (math.log2(n) + 1) * n * min(u, UNIT_ROUNDOFF["float32"])
    bound = u * norm(exact) + sums * magnified(stored)
    assert norm(found.cpu().double() - exact) <= bound
    if n > 2:  # the control: one factor less
        N = stored.tril(-1) / stored.diagonal(dim1=-2, dim2=-1)[..., None]
        short = (eye - N) / stored.diagonal(dim1=-2, dim2=-1)[..., None, :]
        assert norm(short - exact) > bound or dtype in (torch.bfloat16, torch.float16)


def test_products_run_are_products_said(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    for product in ("mm", "mm_add"):
        backend = getattr(ops, product)

        def counted(*operands: Tensor, _backend: Callable[..., Tensor] = backend, **factors: float) -> Tensor:
            ran.append("product")
            return _backend(*operands, **factors)

        monkeypatch.setattr(ops, product, counted)
    for n in SIDES[1:]:
        ran.clear()
        triangular_inverse(triangle(n, 4, seed=seed)[3], check=False)
        doublings = max(math.ceil(math.log2(n / SHORT)), 0)
        assert len(ran) == math.ceil(n / 2**doublings) - 1 + 4 * doublings


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 4), (64, 4), (200, 16), (2, 3, 50, 3)])
@pytest.mark.parametrize("chunk", [1, 16, 64, 500])
def test_solve(dtype: torch.dtype, shape: tuple[int, ...], chunk: int, seed: int, device: str) -> None:
    *batch, n, _ = shape
    diagonal, Q, K = (M.to(device, dtype) for M in triangle(*shape, seed=seed)[:3])
    V = torch.randn(*batch, n, 5, generator=torch.Generator().manual_seed(seed + 1)).to(device, dtype)
    found = lower_solve(diagonal, Q, K, V, chunk=chunk)
    assert found.dtype == dtype
    assert found.shape == V.shape
    T = torch.diag_embed(diagonal).double() + (Q.double() @ K.double().mT).tril(-1)
    T = T.cpu()
    wide = V.cpu().double()
    exact = torch.linalg.solve_triangular(T, wide, upper=False)
    # As for the inverse, with the sums over d and n on the way.
    u = UNIT_ROUNDOFF[str(dtype).removeprefix("torch.")]
    sums = 4 * (math.log2(n) + 1) * n * min(u, UNIT_ROUNDOFF["float32"])
    bound = u * norm(exact) + sums * magnified(T) ** 2 * norm(wide)
    assert norm(found.cpu().double() - exact) <= bound
    if n > 1 and dtype == torch.float64:  # the control: another diagonal
        wrong = lower_solve(diagonal * 1.001, Q, K, V, chunk=chunk)
        assert norm(wrong.cpu().double() - exact) > bound


def test_solve_costs_what_is_said_and_linear_in_n(seed: int) -> None:
    d, e, c = 16, 8, 64
    counts = []
    for n in (1024, 2048, 8192):
        diagonal, Q, K = (M.float() for M in triangle(64, d, seed=seed)[:3])
        repeats = n // 64
        V = torch.ones(n, e)
        with FlopCounterMode(display=False) as counter:
            many = diagonal.repeat(repeats), Q.repeat(repeats, 1), K.repeat(repeats, 1)
            lower_solve(*many, V, chunk=c, check=False)
        counts.append(counter.get_total_flops() / 2 / n)
    inverses = sum(range(8)) + 2 * (8**2 + 16**2 + 32**2)  # a row; blocks of 8, 16 and 32 are joined
    assert counts[0] == counts[1] == counts[2] == c * d + 3 * c * e + 2 * d * e + inverses
    assert inverses <= 2 / 3 * c**2


def test_empty_and_gradients(seed: int, device: str) -> None:
    assert triangular_inverse(torch.ones(0, 0, device=device)).shape == (0, 0)
    diagonal, Q, K, T = triangle(20, 3, seed=seed)
    assert lower_solve(diagonal[:0], Q[:0], K[:0], Q[:0]).shape == (0, 3)
    leaves = [M.clone().requires_grad_() for M in (diagonal, Q, K, Q)]
    assert torch.autograd.gradcheck(lambda a, q, k, v: lower_solve(a, q, k, v, chunk=8), leaves)
    assert torch.autograd.gradcheck(triangular_inverse, [T[:6, :6].clone().requires_grad_()])


Q, D = torch.ones(4, 2), torch.ones(4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: triangular_inverse(torch.ones(3, 4)), r"^T: must be square"),
        (lambda: triangular_inverse(torch.zeros(3, 3)), r"^T: holds a zero on the diagonal"),
        (lambda: lower_solve(D * 0, Q, Q, Q), r"^diagonal: holds a zero"),
        (lambda: lower_solve(D[:3], Q, Q, Q), r"^diagonal: must be a tensor of shape \(4,\)"),
        (lambda: lower_solve(D, Q, Q[:3], Q), r"^K: has shape \(3, 2\), and Q \(4, 2\)"),
        (lambda: lower_solve(D, Q, Q, Q[:3]), r"^V: has shape"),
        (lambda: lower_solve(D, Q, Q * math.nan, Q), r"^K: holds NaN"),
        (lambda: lower_solve(D, Q, Q, Q, chunk=0), r"^chunk: "),
    ],
)
def test_refused(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("dtype", DTYPES[:2])
def test_half_precision_is_rounded_once(dtype: torch.dtype, seed: int, device: str) -> None:
    """Every entry, the small ones off the diagonal too: the products run in float32."""
    diagonal, Q, K, T = (M.to(device, dtype) for M in triangle(64, 4, seed=seed))
    u, eye = UNIT_ROUNDOFF[str(dtype).removeprefix("torch.")], torch.eye(64, dtype=dtype, device=device)
    wide = [M.cpu().double() for M in (diagonal, Q, K, T)]
    solved = torch.diag_embed(wide[0]) + (wide[1] @ wide[2].mT).tril(-1)
    N = T.tril(-1) / T.diagonal()[:, None]
    power, product = N, eye - N
    for _ in range(5):
        power = power @ power
        product = product + product @ power
    narrow = product / T.diagonal()
    found = {"inverse": triangular_inverse(T), "solve": lower_solve(diagonal, Q, K, eye), "narrow": narrow}
    seen = {}
    for name, X in found.items():
        stored = solved if name == "solve" else wide[3].tril()
        exact = torch.linalg.inv(stored)
        lengths = stored.diagonal()
        entries = torch.linalg.inv(torch.eye(64) - (stored.tril(-1) / lengths[:, None]).abs()) / lengths
        sums = 14 * 64 * UNIT_ROUNDOFF["float32"] * entries  # as above, entry by entry
        allowed = u * exact.abs() + sums + (2.0**-25 if dtype == torch.float16 else 0)  # its least spacing
        seen[name] = ((X.cpu().double() - exact).abs() / allowed).tril().max().item()
    assert max(seen["inverse"], seen["solve"]) <= 1
    assert seen["narrow"] > 1  # negative control

"""mcsgn: M (M²)^(−1/2) by products alone, against eigendecompositions in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tables import prototype, published
from torch import Tensor

from polydesign.model import DivergenceError, InputError, Plan
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.program.cost import matmuls
from polydesign.runtime import Run, mcsgn, mcsgn_with_info, msign, ops
from polydesign.runtime.execute import matrix_sign

pytestmark = pytest.mark.numerics

QUINTICS = prototype("quintics_18")
ROUNDING = 1e-10
"""In float64: 2⁻⁵³ times the slope of the map at 0 (some 10³), products of length 12, conditions up to 10."""
# name: products that it takes, none of which serves the iteration
PRODUCTS = {"frobenius": 0, "schatten4": 1, "schatten8": 2, "power": 1, "none": 0}
VALUES = torch.tensor([1, -0.9, 0.5, -0.3, 0.2, 0.1, -0.1, -0.05, 0.04, 0.03], dtype=torch.float64)


def random(*shape: int, seed: int, device: str = "cpu") -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(device)


def norm2(X: Tensor) -> Tensor:
    return torch.linalg.matrix_norm(X.double(), ord=2)


def real(*batch: int, seed: int, skew: float = 0.0, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """M of known real spectrum and spectral norm below 1, and its sign; skew 0 gives symmetric matrices."""
    n = len(VALUES)
    Q = torch.linalg.qr(random(*batch, n, n, seed=seed)).Q
    S = Q @ (torch.eye(n) + skew * random(*batch, n, n, seed=seed + 1).triu(1) / n**0.5)
    inverse = torch.linalg.inv(S)
    M = (S @ (VALUES[:, None] * inverse)) / 4
    return M.to(device), (S @ (VALUES.sign()[:, None] * inverse)).to(device)


@pytest.mark.parametrize("skew", [0.0, 0.5])
@pytest.mark.parametrize("name", PRODUCTS)
def test_eigenvalues_keep_the_promised_error(name: str, skew: float, seed: int, device: str) -> None:
    M, exact = real(3, seed=seed, skew=skew, device=device)
    before = M.clone()
    X, info = mcsgn_with_info(M, QUINTICS, Plan(normalization=name))
    assert torch.equal(X, mcsgn(M, QUINTICS, Plan(normalization=name)))
    assert torch.equal(M, before)
    # In the basis of M's eigenvectors the error is diagonal; its norm is at most their condition times E.
    condition = torch.linalg.cond(torch.linalg.eig(M).eigenvectors)
    assert (VALUES.abs().min() / 4 >= info.interval[:, 0].cpu()).all()
    assert (norm2(X - exact) <= condition * (QUINTICS.schedule.error + ROUNDING)).all()
    turned = mcsgn(M.mT, QUINTICS, Plan(normalization=name))
    assert (norm2(turned - exact.mT) <= condition**2 * (QUINTICS.schedule.error + ROUNDING)).all()
    if skew:  # singular vectors are not eigenvectors
        assert (norm2(msign(M, QUINTICS) - exact) > 10 * condition * QUINTICS.schedule.error).all()
    identity = torch.eye(len(VALUES), dtype=M.dtype, device=device)
    torch.testing.assert_close(info.residual, torch.linalg.matrix_norm(X @ X - identity) / len(VALUES) ** 0.5)
    assert isinstance(info, Run)
    assert not info.transposed


def test_every_eigenvalue_is_mapped_by_the_schedule(seed: int) -> None:
    M, _ = real(seed=seed)
    values, V = torch.linalg.eigh(M)
    expected = V @ (torch.as_tensor(QUINTICS.schedule(values.numpy()))[:, None] * V.mT)
    found = matrix_sign(M, QUINTICS.schedule)
    assert norm2(found - expected) <= ROUNDING
    assert norm2(found - V @ (torch.as_tensor(np.sign(values.numpy()))[:, None] * V.mT)) > ROUNDING
    # For symmetric M it is the polar factor.
    assert norm2(mcsgn(M, QUINTICS) - msign(M, QUINTICS)) <= ROUNDING


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_run_are_products_counted(name: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def counting(product: str) -> None:
        backend = getattr(ops, product)

        def counted(*operands: Tensor, **factors: float) -> Tensor:
            ran.append(product)
            return backend(*operands, **factors)

        monkeypatch.setattr(ops, product, counted)

    M, _ = real(seed=seed, skew=0.5)
    for product in ("mm", "mm_add"):
        counting(product)
    _, info = mcsgn_with_info(M, QUINTICS, Plan(normalization=name))
    assert len(ran) == info.matmuls == matmuls(QUINTICS.schedule) + PRODUCTS[name]
    # X² is not symmetric: nothing of the iteration may be handed to a kernel that computes half of it.
    for product in ("sym_mm", "sym_mm_add"):
        counting(product)
    ran.clear()
    matrix_sign(M, QUINTICS.schedule)
    assert not [product for product in ran if product.startswith("sym")]


def test_complex_eigenvalues_show_in_the_residual() -> None:
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    with pytest.raises(DivergenceError, match=r"^M: X³ differs from the result X"):
        mcsgn(turn, QUINTICS)
    _, info = mcsgn_with_info(turn, QUINTICS, Plan(check=False))
    _, fine = mcsgn_with_info(torch.diag(torch.tensor([1.0, -0.5]).double()), QUINTICS)
    assert not info.residual < 1
    assert fine.residual < 3 * QUINTICS.schedule.error


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_symmetric_matrices_in_low_precision(dtype: str, seed: int) -> None:
    M, exact = real(8, seed=seed)
    X, info = mcsgn_with_info(M, plan=Plan(dtype=dtype))
    assert str(X.dtype) == f"torch.{dtype}"
    # A step rounds each of its terms, of size up to ten, and each of six steps adds its own.
    bound = QUINTICS.schedule.error + 60 * UNIT_ROUNDOFF[dtype]
    assert (norm2(X - exact) <= bound).all()
    assert (info.residual <= 2 * bound).all()
    if dtype == "bfloat16":  # what headroom is for: x = ±1 of rank one
        v = random(16, 48, 1, seed=seed).sign()
        outer = (v @ v.mT).to(torch.bfloat16) * 0.37
        assert (norm2(mcsgn(outer, QUINTICS)) < 1.05).all()
        bare = mcsgn(outer, published("polar_express_deg5"), Plan(check=False))
        assert not torch.isfinite(bare).all() or norm2(bare).max() > 1.5


@pytest.mark.parametrize("size", [1e-30, 1e-10, 1e30])
def test_scale_batch_and_zero(size: float, seed: int, device: str) -> None:
    M, exact = real(3, seed=seed, skew=0.2, device=device)
    M = M * size / 3.0 ** torch.arange(3, device=device)[:, None, None]
    M[1] = 0
    X, info = mcsgn_with_info(M, QUINTICS)
    assert torch.equal(X[1], torch.zeros_like(X[1]))
    assert info.norm[1] == 0
    for i in (0, 2):
        assert norm2(X[i] - exact[i]) <= 10 * QUINTICS.schedule.error
        assert norm2(X[i] - mcsgn(M[i], QUINTICS)) <= ROUNDING
    strided = torch.zeros(3, 20, 30, dtype=M.dtype, device=device)[:, ::2, ::3]
    strided.copy_(M)
    assert (norm2(mcsgn(strided, QUINTICS) - X) <= ROUNDING).all()
    assert torch.equal(mcsgn(4 * M, QUINTICS), X)
    assert not torch.equal(mcsgn(3 * M, QUINTICS), X)


def test_gradients_and_empty() -> None:
    M = torch.zeros(2, 3, 3, dtype=torch.float64)
    M[1] = torch.eye(3)
    M.requires_grad_()
    mcsgn(M, QUINTICS).sum().backward()
    assert M.grad is not None
    assert torch.isfinite(M.grad).all()
    for shape in ((0, 0), (2, 0, 0), (0, 3, 3)):
        X, info = mcsgn_with_info(torch.ones(shape), QUINTICS)
        assert X.shape == shape
        assert info.matmuls == 0
        assert info.residual.shape == info.norm.shape == shape[:-2]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (torch.ones(3, 4), r"^M: must be square, \(\.\.\., n, n\), not \(3, 4\)"),
        (torch.ones(3), r"^M: must have shape"),
        (torch.ones(3, 3, dtype=torch.int64), r"^M: must have a floating dtype, not int64: write M\.to\("),
        (torch.eye(3) * float("nan"), r"^M: holds NaN or infinity"),
        (np.eye(3), r"^M: must be a torch tensor, not ndarray"),
    ],
)
def test_refused_matrices(matrix: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        mcsgn(matrix, QUINTICS)  # pyright: ignore[reportArgumentType]

"""What stands in the blocks of a sign, beside float64 decompositions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import scipy.linalg
import torch
from tables import prototype
from torch import Tensor

from polydesign.model import InputError, Plan
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime import (
    geometric_factor,
    mcsgn,
    msign,
    principal_sqrt_and_inverse_sqrt,
    sector_table,
    sqrt_and_inverse_sqrt,
)
from polydesign.runtime.block_sign import BlockSign
from polydesign.runtime.identities import _not_principal

pytestmark = pytest.mark.numerics

QUINTICS = prototype("quintics_18")
EXACT = 1e-11
"""In float64, for the matrices below: conditions up to some 10³, squared eigenvector conditions up to 100."""


def random(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def off(X: Tensor, exact: Tensor) -> float:
    return (torch.linalg.matrix_norm(X - exact) / torch.linalg.matrix_norm(exact)).max().item()


def real(n: int, seed: int) -> Tensor:
    """Positive eigenvalues from 0.1 to 1, not symmetric."""
    S = torch.eye(n) + 0.5 * random(n, n, seed=seed) / n**0.5
    return S @ (torch.linspace(0.1, 1, n, dtype=torch.float64)[:, None] * torch.linalg.inv(S))


MATRICES: dict[str, Callable[[int], Tensor]] = {
    "real": lambda seed: real(8, seed),
    "large": lambda seed: 1e150 * real(5, seed),
    "small": lambda seed: 3e-150 * real(6, seed),
    "batch": lambda seed: torch.stack([real(6, seed), 2 * real(6, seed + 1)]),
    "complex": lambda seed: torch.matrix_exp(0.5 * random(8, 8, seed=seed)),
    "positive": lambda seed: (
        torch.linalg.qr(random(9, 4, seed=seed)).Q.mT
        @ torch.diag(torch.linspace(0.1, 1, 9, dtype=torch.float64))
        @ torch.linalg.qr(random(9, 4, seed=seed)).Q
    ),
    "135 degrees": lambda seed: torch.tensor([[-1.0, 1], [-1, -1]], dtype=torch.float64),
    "Jordan": lambda seed: (
        torch.eye(4, dtype=torch.float64) + torch.eye(4, dtype=torch.float64).roll(1, 1).triu(1)
    ),
}


@pytest.mark.parametrize("case", MATRICES)
def test_principal_roots(case: str, seed: int, device: str) -> None:
    A = MATRICES[case](seed)
    copy = A.clone()
    S, R = (X.cpu() for X in principal_sqrt_and_inverse_sqrt(A.to(device)))
    assert torch.equal(A, copy)
    size = A.abs().amax(dim=(-2, -1), keepdim=True)
    unit = S / size.sqrt()
    assert off(unit @ unit, A / size) <= EXACT
    assert off(S @ R, torch.eye(A.shape[-1]).double().expand(A.shape)) <= EXACT
    assert torch.linalg.eigvals(S).real.min() > 0
    if A.ndim == 2 and case not in ("large", "small"):
        assert (
            off(S, torch.as_tensor(scipy.linalg.sqrtm(A.numpy())).real) <= 1e-7 if case == "Jordan" else EXACT
        )
    unit[..., 0, 0] += 1e-8  # the negative control
    assert off(unit @ unit, A / size) > EXACT


def test_for_a_positive_matrix_it_is_the_coupled_result(seed: int) -> None:
    P = MATRICES["positive"](seed)
    for X, Y in zip(principal_sqrt_and_inverse_sqrt(P), sqrt_and_inverse_sqrt(P), strict=True):
        assert off(X, Y) <= 1e-6  # the default table of the roots is of float32


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_roots_in_low_precision(dtype: str, seed: int, device: str) -> None:
    A = real(8, seed).to(device)
    S, R = principal_sqrt_and_inverse_sqrt(A, plan=Plan(dtype=dtype))
    assert S.dtype == R.dtype == getattr(torch, dtype)
    # Twice what the table leaves and the steps round, in the basis of the block's eigenvectors, whose
    # condition is at most that of A's times the root of that of its eigenvalues, √10.
    condition = torch.linalg.cond(torch.linalg.eig(A.cpu()).eigenvectors).item() * 10**0.5
    table = 2e-3 if dtype != "float32" else 0
    bound = 2 * condition * (table + 60 * UNIT_ROUNDOFF[dtype])
    assert off(S.double() @ S.double(), A) <= bound
    assert off(S.double() @ R.double(), torch.eye(8, device=device).double()) <= bound


def test_the_geometric_factor(seed: int, device: str) -> None:
    A, B = real(7, seed), real(7, seed + 1) + torch.eye(7)
    values, V = torch.linalg.eig(B @ A)
    exact = (A @ (V @ torch.diag(values**-0.5) @ torch.linalg.inv(V)).real).to(device)
    A, B = A.to(device), B.to(device)
    X = geometric_factor(A, B)
    assert off(X, exact) <= EXACT
    # (AB)^(−1/2) A, the same by another product.
    assert off(principal_sqrt_and_inverse_sqrt(A @ B)[1] @ A, X) <= EXACT
    # B = A⁻¹ gives A, whatever their sizes; 1e9 is not a power of 4.
    assert off(1e-9 * geometric_factor(1e9 * A, torch.linalg.inv(A) * 1e-9), A) <= EXACT
    # B = Aᵀ gives the polar factor.
    assert off(geometric_factor(A, A.mT), msign(A)) <= EXACT
    # The geometric mean of P and Q is symmetric in them.
    P, Q = A @ A.mT + torch.eye(7, device=device), B.mT @ B
    assert off(geometric_factor(P, torch.linalg.inv(Q)), geometric_factor(Q, torch.linalg.inv(P))) <= EXACT
    assert off(geometric_factor(P, Q), geometric_factor(Q, P)) > 0.1  # the negative control


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (2, 5, 3)])
def test_msign_stands_in_a_block_sign(shape: tuple[int, ...], seed: int, device: str) -> None:
    """mcsgn [[0, M], [Mᵀ, 0]] = [[0, msign M], [(msign M)ᵀ, 0]], for the same table on the same spectrum."""
    M = random(*shape, seed=seed).to(device)
    m, n = shape[-2:]
    zero = [torch.zeros(*shape[:-2], k, k, dtype=M.dtype, device=device) for k in (m, n)]
    H = torch.cat([torch.cat([zero[0], M], dim=-1), torch.cat([M.mT, zero[1]], dim=-1)], dim=-2)
    # One normalization for both: the block's norm is √2 that of M.
    nu = torch.linalg.matrix_norm(M, keepdim=True)
    X = mcsgn(H / nu, QUINTICS, Plan(normalization="none"))
    assert off(X[..., :m, m:], msign(M / nu, QUINTICS, Plan(normalization="none"))) <= EXACT
    assert off(X[..., m:, :m], X[..., :m, m:].mT) <= EXACT
    assert not X[..., :m, :m].any()
    assert off(X[..., :m, m:], msign(M / 2 / nu, QUINTICS, Plan(normalization="none"))) > EXACT


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (torch.diag(torch.tensor([1.0, -1])), r"with sign\S+ ‖W² − I‖ is .*; with sector75\S+ ‖W² − I‖ is"),
        (torch.diag(torch.tensor([1.0, 0])), r"‖W² − I‖ is \S+ after 4 passes"),
    ],
)
def test_no_principal_root(matrix: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=r"^A: mcsgn of \[\[0, A\], \[B, 0\]\] does not apply: .*" + message):
        principal_sqrt_and_inverse_sqrt(matrix)


def test_another_root_is_seen() -> None:
    """−W squares to I too, and has the root −A^(1/2)."""
    A = torch.eye(2, dtype=torch.float64)
    W = torch.cat([torch.cat([0 * A, A], 1), torch.cat([A, 0 * A], 1)])
    assert not _not_principal(BlockSign(W, torch.zeros(()), torch.ones(()), QUINTICS, 0, 1), A)
    other = _not_principal(BlockSign(-W, torch.zeros(()), torch.ones(()), QUINTICS, 0, 1), A)
    assert other == "W² = I, but an eigenvalue of the root came out with the real part -1"


def test_inputs() -> None:
    with pytest.raises(InputError, match=r"^B: has shape \(2, 2\), and \(3, 3\) goes with A"):
        geometric_factor(torch.eye(3), torch.eye(2))
    with pytest.raises(InputError, match=r"^A: must be square"):
        principal_sqrt_and_inverse_sqrt(torch.ones(2, 3))
    with pytest.raises(InputError, match=r"^B: holds NaN or infinity"):
        geometric_factor(torch.eye(2), torch.eye(2) * float("nan"))
    for X in principal_sqrt_and_inverse_sqrt(torch.ones(2, 0, 0), plan=Plan(dtype="bf16")):
        assert X.shape == (2, 0, 0)
        assert X.dtype == torch.bfloat16
    A = real(4, 0)
    assert off(geometric_factor(A, A.mT, sector_table(0.0)), msign(A)) <= EXACT

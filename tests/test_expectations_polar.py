"""What scipy's tests expect of polar decompositions and of Procrustes rotations, of msign.

Source: scipy/scipy, scipy/linalg/tests/test_decomp_polar.py and test_procrustes.py, commit
527eb7fd7953a1de068f94bf8b322f249b9405ae (1.17.1): matrices and tolerances; assert_allclose's own is 1e-7
relatively, and xp_assert_close's 2**-26 in float64.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from expectations import EMPTY, expects, sign_table, tensor, unmet
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from torch import Tensor

from polydesign import InputError
from polydesign.runtime import msign

pytestmark = pytest.mark.numerics

SIDES = ("right", "left")
NO_COMPLETION = "the sign of a singular matrix is a partial isometry, and scipy completes it to an isometry"
POLAR = "scipy: polar"
PROCRUSTES = "scipy: orthogonal_procrustes"
CLOSE = 2.0**-26

# One of them has a singular value of 1.2 beside one of 10⁴.
VERIFIED: list[Any] = [
    [[1, 2], [3, 4]],
    [[1, 2, 3]],
    [[1], [2], [3]],
    [[1, 2, 3], [3, 4, 0]],
    [[1, 2], [3, 4], [5, 5]],
    [[1, 2], [3, 4 + 5j]],
    [[1, 2, 3j]],
    [[1], [2], [3j]],
    [[1, 2, 3 + 2j], [3, 4 - 1j, -4j]],
    [[1, 2], [3 - 2j, 4 + 0.5j], [5, 5]],
    [[10000, 10, 1], [-1, 2, 3j], [0, 1, 2]],
    np.empty((0, 0)),
    np.empty((0, 2)),
    np.empty((2, 0)),
]


def polar(M: Tensor, side: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """U = msign(M), and the Hermitian P = UᴴM with M = UP, or P = MUᴴ with M = PU."""
    U = msign(M, sign_table() if M.numel() else None)
    P = U.mH @ M if side == "right" else M @ U.mH
    return U.numpy(), ((P + P.mH) / 2).numpy()


@expects(POLAR)
@pytest.mark.parametrize(
    ("M", "side", "U", "P"),
    [
        unmet([[0]], "right", [[1]], [[0]], reason=NO_COMPLETION, name="zero right"),
        unmet([[0]], "left", [[1]], [[0]], reason=NO_COMPLETION, name="zero left"),
        ([[9]], "right", [[1]], [[9]]),
        ([[9]], "left", [[1]], [[9]]),
        (np.diag([2, 3]), "right", np.eye(2), np.diag([2, 3])),
        (np.diag([2, 3]), "left", np.eye(2), np.diag([2, 3])),
        ([[1, 2, 2]], "right", np.array([[1, 2, 2]]) / 3, np.outer([1, 2, 2], [1, 2, 2]) / 3),
    ],
)
def test_known(M: Any, side: str, U: Any, P: Any) -> None:
    found = polar(tensor(M), side)
    assert_allclose(found[0], U, atol=1e-15)
    assert_allclose(found[1], P, atol=1e-15)


@expects(POLAR)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("M", VERIFIED, ids=range(len(VERIFIED)))
def test_verified(M: Any, side: str) -> None:
    """Of U the Gram matrix of the shorter side; of P that it is Hermitian and not negative."""
    A = tensor(M)
    m, n = A.shape
    U, P = polar(A, side)
    assert (U.shape, P.shape) == ((m, n), (n, n) if side == "right" else (m, m))
    assert_allclose(U @ P if side == "right" else P @ U, A.numpy(), atol=2.0**-26)
    G = U.conj().T @ U if m >= n else U @ U.conj().T
    assert_allclose(G, np.eye(len(G)), atol=1e-15)
    assert_allclose(P.conj().T, P)
    assert not (np.linalg.eigvalsh(P) < -1e-14).any()


@expects(POLAR)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("shape", [(0, 0), (0, 2), (2, 0)])
@pytest.mark.parametrize("dtype", EMPTY)
def test_empty(dtype: torch.dtype, shape: tuple[int, int], side: str) -> None:
    m, n = shape
    U, P = polar(torch.empty(shape, dtype=dtype), side)
    assert (U.shape, P.shape) == (shape, (m, m) if side == "left" else (n, n))
    assert U.dtype == P.dtype == msign(torch.eye(5, dtype=dtype)).numpy().dtype
    assert (P == 0).all()


def rotation(A: NDArray[Any], B: NDArray[Any]) -> tuple[NDArray[Any], float]:
    """The unitary R with the least ‖AR − B‖_F, and ‖AᴴB‖_*."""
    M = tensor(A).mH @ tensor(B)
    R = msign(M, sign_table())
    return R.numpy(), (R.mH @ M).diagonal().sum().real.item()


def gaussians(seed: int, *shapes: tuple[int, int]) -> list[NDArray[Any]]:
    generator = np.random.RandomState(seed)
    return [generator.randn(*shape) for shape in shapes]


@expects(PROCRUSTES)
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("where", ["A", "B", "both"])
def test_not_finite(bad: float, where: str) -> None:
    A, B = gaussians(1234, (2, 3), (2, 3))
    for M, names in ((A, ("A", "both")), (B, ("B", "both"))):
        if where in names:
            M[1, 2] = bad
    with pytest.raises(InputError, match="NaN or infinity"):
        rotation(A, B)


@expects(PROCRUSTES)
@pytest.mark.parametrize(("pair", "first", "second"), list(product(range(3), repeat=3)))
def test_scale_invariance(pair: int, first: int, second: int) -> None:
    """With scales that are squares of normal numbers, drawn anew for each pair."""
    A, B, *_ = gaussians(pair, (4, 3), (4, 3))
    scales = np.square(np.random.RandomState(1234 + pair).randn(2, 3))
    R, _ = rotation(A, B)
    assert_allclose(rotation(A * scales[0, first], B * scales[1, second])[0], R, rtol=CLOSE)


@expects(PROCRUSTES)
@pytest.mark.parametrize(
    ("m", "n"), [(6, 4), (4, 4), unmet(4, 6, reason=f"AᵀB has rank 4 of 6: {NO_COMPLETION}")]
)
def test_rotation_is_found(m: int, n: int) -> None:
    """And one that is better than it where A is perturbed."""
    B, X, noise = gaussians(1234, (m, n), (n, n), (m, n))
    V = np.linalg.eigh(X.T + X)[1]
    A = B @ V.T
    R, _ = rotation(A, B)
    assert_allclose(np.linalg.inv(R), R.T, rtol=CLOSE)
    assert_allclose(A @ R, B, rtol=CLOSE)
    perturbed = A + 1e-2 * noise
    better, _ = rotation(perturbed, B)
    assert_allclose(np.linalg.inv(better), better.T, rtol=CLOSE)
    assert np.linalg.norm(perturbed @ better - B) < np.linalg.norm(perturbed @ R - B)


SQUARE = [[-3, 3], [-2, 3], [-2, 2], [-3, 2]]


@expects(PROCRUSTES)
@pytest.mark.parametrize(
    ("A", "B", "expected", "atol", "rtol"),
    [
        (SQUARE, [[3, 2], [1, 0], [3, -2], [5, 0]], [[3, 2], [1, 0], [3, -2], [5, 0]], 1e-8, CLOSE),
        (SQUARE, [[3, 40], [1, 0], [3, -40], [5, 0]], [[3, 21], [-18, 0], [3, -21], [24, 0]], 1e-8, CLOSE),
        (
            [[4, -2], [4, -4], [4, -6], [2, -6]],
            [[1, 3], [1, 2], [1, 1], [2, 1]],
            [[1, 3], [1, 2], [1, 1], [2, 1]],
            0,
            CLOSE,
        ),
    ],
    ids=["exact", "stretched", "reflected"],
)
def test_examples(A: Any, B: Any, expected: Any, atol: float, rtol: float) -> None:
    """Figures moved, scaled, turned and reflected onto others."""
    A, B = np.array(A, dtype=float), np.array(B, dtype=float)
    A0, mean = A - A.mean(0), B.mean(0)
    R, trace = rotation(A0, B - mean)
    found = trace / np.linalg.norm(A0) ** 2 * A0 @ R + mean
    assert_allclose(found, expected, atol=atol, rtol=rtol)


@expects(PROCRUSTES)
@pytest.mark.parametrize("shape", [(0, 0), unmet((0, 3), reason=NO_COMPLETION)])
def test_nothing_to_rotate(shape: tuple[int, int]) -> None:
    R, _ = rotation(np.empty(shape), np.empty(shape))
    assert_allclose(R, np.eye(shape[1]))


@expects(PROCRUSTES)
@pytest.mark.parametrize(
    ("m", "n"), [unmet(4, 5, reason=f"AᴴB has rank 4 of 5: {NO_COMPLETION}"), (5, 5), (5, 4)]
)
def test_unitary(m: int, n: int) -> None:
    generator = np.random.default_rng(589234981235)
    A = generator.random((m, n)) + 1j * generator.random((m, n))
    Q = np.linalg.qr(generator.random((n, n)) + 1j * generator.random((n, n)))[0]
    R, trace = rotation(A, A @ Q)
    assert_allclose(R @ R.conj().T, np.eye(n), atol=1e-14)
    assert_allclose(R, Q, rtol=CLOSE)
    nuclear = np.linalg.svd(A.conj().T @ A @ Q, compute_uv=False).sum()
    assert_allclose(trace, nuclear, rtol=CLOSE)

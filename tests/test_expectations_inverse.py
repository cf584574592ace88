"""What scipy's tests expect of inv, of the inverses.

Source: scipy/scipy, scipy/linalg/tests/test_basic.py, commit 527eb7fd7953a1de068f94bf8b322f249b9405ae (1.17.1):
matrices, random generators and tolerances; assert_allclose's own is 1e-7 relatively, and that of
assert_array_almost_equal 1.5e-6.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from expectations import EMPTY, expects, sign_table, tensor
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from polydesign import InputError
from polydesign.model import PromiseWarning
from polydesign.runtime import inverse, msign, triangular_inverse

pytestmark = pytest.mark.numerics

INV = "scipy: inv"
Array = NDArray[Any]


def inverse_of(M: Array, side: str = "right") -> Array:
    """Of a Hermitian positive matrix by `inverse`; of another H⁻¹Uᴴ from its polar factors UH.

    Either has κ·u of rounding in XA and AX. Elimination leaves less in one of the two, and so does a step of
    Newton's iteration: side says in which, XA is left.
    """
    A = tensor(M)
    if torch.equal(A, A.mH) and (torch.linalg.eigvalsh(A) > 0).all():
        return inverse(A).numpy()
    U = msign(A, sign_table())
    H = U.mH @ A
    X = inverse((H + H.mH) / 2) @ U.mH
    eye = torch.eye(A.shape[-1]).to(A)
    return (X + ((eye - X @ A) @ X if side == "left" else X @ (eye - A @ X))).numpy()


def dominant() -> Iterator[Array]:
    """Four real matrices of side 20 with large diagonals, and four complex ones."""
    for imaginary in (0, 2j):
        generator = np.random.default_rng(1234)
        for _ in range(4):
            M = generator.random((20, 20))
            M = M + imaginary * generator.random((20, 20)) if imaginary else M
            np.fill_diagonal(M, 20 * (0.1 + M.diagonal()))
            yield M


SUM = np.arange(9).reshape(3, 3) + np.arange(9).reshape(3, 3).T + np.eye(3)
TURNED = np.arange(9).reshape(3, 3) * (1 + 1j)
SYMMETRIC = [
    [182.56985285 - 64.28859483j, -177.24879835 + 11.0780499j],
    [-177.24879835 + 11.0780499j, 177.24879835 - 11.0780499j],
]
ONES, CORNER = np.ones((4, 4)), np.zeros((4, 4))
CORNER[0, -1] = 1
COUNTED = np.arange(25.0).reshape(5, 5)
RIGHT: list[tuple[Any, float]] = [
    ([[1, 2], [3, 4]], 1.5e-6),
    ([[1, 2, 3], [4, 5, 6], [7, 8, 10]], 1.5e-6),
    ([[1, 2], [3, 4j]], 1.5e-6),
    *((M, 1.5e-6) for M in dominant()),
    (np.arange(1.0, 7).reshape(3, 2, 1, 1), 0),
    (np.arange(12.0).reshape(1, 3, 2, 2), 2e-14),
    (np.arange(12.0).reshape(3, 1, 2, 2), 2e-14),
    (np.arange(24.0).reshape(2, 3, 2, 2)[:, ::-1], 5e-14),
    (np.arange(24.0).reshape(2, 3, 2, 2)[:, :, ::-1], 5e-14),
    (np.arange(48.0).reshape(2, 3, 2, 4)[..., ::2], 5e-14),
    (np.arange(48.0).reshape(2, 6, 2, 2)[:, ::2], 2e-13),
    (np.arange(4).reshape(2, 2).astype(np.float32), 100 * 2.0**-23),
]
"""With the tolerance of AX."""

LEFT: list[tuple[Any, float]] = [
    (np.arange(1, 10).reshape(3, 3) + np.eye(3), 1e-14),
    (SUM, 3e-15),
    (SUM * (1 + 1j), 3e-15),
    (TURNED + TURNED.conj().T + np.eye(3), 3e-15),
    (SYMMETRIC, 1e-14),
    (ONES + np.eye(4), 1e-14),
    (ONES - np.eye(4), 1e-14),
    (ONES - np.eye(4) + CORNER, 1e-14),
    ((ONES + np.eye(4)).astype(complex), 1e-14),
    (ONES + 1j * np.eye(4), 1e-14),
    ((ONES - np.eye(4)).astype(complex), 1e-14),
    ((ONES - np.eye(4) + CORNER).astype(complex), 1e-14),
    ([[2, 1 + 1j], [1 - 1j, 2]], 1e-14),
    ([[-1, 1 + 1j], [1 - 1j, -1]], 1e-14),
]
"""With the tolerance of XA."""

KNOWN: list[tuple[Any, float]] = [
    (np.eye(3), 1e-14),
    (np.diag([1.0, 2, 3]), 1e-14),
    (COUNTED + COUNTED.T + 21 * np.eye(5), 1e-15),
    (SUM, 1e-15),
    (TURNED + TURNED.T + np.eye(3), 1e-15),
    (TURNED + TURNED.conj().T + np.eye(3), 1e-15),
]
"""With the tolerance of X, beside that of assert_allclose."""


@expects(INV)
@pytest.mark.parametrize(
    ("M", "side", "atol"),
    [*((M, "right", atol) for M, atol in RIGHT), *((M, "left", atol) for M, atol in LEFT)],
    ids=range(len(RIGHT) + len(LEFT)),
)
def test_inverse(M: Any, side: str, atol: float) -> None:
    A = np.asarray(M)
    X = inverse_of(A, side)
    assert X.shape == A.shape
    eye = np.broadcast_to(np.eye(A.shape[-1]), A.shape)
    assert_allclose(A @ X if side == "right" else X @ A, eye, atol=atol)


@expects(INV)
@pytest.mark.parametrize(("M", "atol"), KNOWN, ids=range(len(KNOWN)))
def test_known_inverse(M: Array, atol: float) -> None:
    assert_allclose(inverse_of(M), np.linalg.inv(M), atol=atol)


@expects(INV)
@pytest.mark.parametrize("upper", [True, False])
def test_triangular(upper: bool) -> None:
    """Of ones, by triangular_inverse, which reads the lower triangle alone."""
    L = torch.ones((5, 5), dtype=torch.float64)
    X = triangular_inverse(L)
    A, X = (torch.triu(L), X.mT) if upper else (torch.tril(L), X)
    assert_allclose((X @ A).numpy(), np.eye(5), atol=1e-15)


@expects(INV)
@pytest.mark.parametrize("shape", [(0, 0), (3, 0, 2, 2), (3, 1, 0, 0)])
@pytest.mark.parametrize("dtype", EMPTY)
def test_empty(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    found = inverse(torch.empty(shape, dtype=dtype))
    assert (found.shape, found.dtype) == (shape, dtype)


@expects(INV)
@pytest.mark.parametrize(
    "M",
    [
        np.ones((2, 2)),
        np.ones((3, 2, 2)),
        np.stack([np.ones((2, 2)), np.diag([1.0, 2])]),
        np.diag([1, 1e-20]),
        np.stack([np.diag([1, 1e-20]), np.eye(2), np.diag([1, 1e-20])]),
        np.diag([1e30, 1]),
        np.diag([0.0, 1]),
    ],
    ids=["singular", "batch", "one of two", "ill conditioned", "two of three", "large", "zero"],
)
def test_singular_is_said(M: Array) -> None:
    """An error or a warning there; here a warning, which this suite makes an error."""
    with pytest.raises((PromiseWarning, InputError)):
        inverse(torch.as_tensor(M))

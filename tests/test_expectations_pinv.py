"""What scipy's tests expect of pinv and pinvh, of the pseudo-inverses.

Source: scipy/scipy, scipy/linalg/tests/test_basic.py, commit 527eb7fd7953a1de068f94bf8b322f249b9405ae (1.17.1):
matrices, random generators and tolerances; assert_allclose's own is 1e-7 relatively, and that of
assert_array_almost_equal 1.5e-6.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from expectations import EMPTY, expects, root_table, tensor, unmet
from numpy.testing import assert_allclose, assert_array_almost_equal
from numpy.typing import NDArray

from polydesign import InputError
from polydesign.runtime import inverse, pseudo_inverse

pytestmark = pytest.mark.numerics

PINV, PINVH = "scipy: pinv", "scipy: pinvh"
Array = NDArray[Any]

REAL = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 10]])
TILTED = REAL + 1j * np.array([[10, 8, 7], [6, 5, 4], [3, 2, 1]])
SINGULAR = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])
OF_SINGULAR = np.array([[-23, -6, 11], [-2, 0, 2], [19, 6, -7]]) / 36
SEVEN = np.arange(35.0).reshape(7, 5)
RELATIVE = 1e-4
"""θ over the norm; pseudo_inverse refuses what is far below. No matrix here has a σ between it and rounding."""


def pseudo(M: Array, threshold: float | None = None) -> Array:
    return pseudo_inverse(tensor(M), threshold, rtol=None if threshold else RELATIVE).numpy()


@expects(PINV)
@pytest.mark.parametrize("M", [REAL, TILTED], ids=["real", "complex"])
def test_pseudo_inverse_is_the_inverse(M: Array) -> None:
    assert_array_almost_equal(M @ pseudo(M), np.eye(3))


@expects(PINV)
@pytest.mark.parametrize(
    ("M", "expected"),
    [
        (SINGULAR, OF_SINGULAR),
        ([[1.0, 2, 3], [4, 5, 6]], np.array([[-17, 8], [-2, 2], [13, -4]]) / 18),
        ([[1.0, 2], [3, 4], [5, 6]], np.array([[-16, -4, 8], [13, 4, -5]]) / 12),
    ],
    ids=["singular", "columns", "rows"],
)
def test_pseudo_inverse(M: Any, expected: Array) -> None:
    assert_array_almost_equal(pseudo(np.asarray(M)), expected)


NOT_TO_ROUNDING = "pseudo_inverse rounds to u·‖M‖₂/θ of the norm, a hundred times what is asked here"


@expects(PINV)
@pytest.mark.parametrize(
    ("threshold", "changed", "own"),
    [
        unmet(
            0.1,
            {"desired": 5e-4, "atol": 5e-4},
            {"desired": 5e-14, "atol": 5e-14},
            reason=NOT_TO_ROUNDING,
            name="two values",
        ),
        pytest.param(5.8, *[{"desired": 4.233, "rtol": 0.01}] * 2, id="one value"),
    ],
)
def test_thresholds(threshold: float, changed: dict[str, Any], own: dict[str, Any]) -> None:
    """σ of SEVEN: 117, 4.23, rounding. ‖AXA − A‖ of it and of what differs in an entry."""
    X = pseudo(SEVEN, threshold)
    other = SEVEN.copy()
    other[0, 0] = 1e-3
    assert_allclose(np.linalg.norm(other @ X @ other - other), **changed)
    assert_allclose(np.linalg.norm(SEVEN @ X @ SEVEN - SEVEN), **own)


TOO_FINE = "a threshold of 1e-10 of the norm and less is refused: the sign of σ² − θ² is lost in rounding"


@expects(PINV)
@pytest.mark.parametrize(
    "scale", [unmet(scale, reason=TOO_FINE, raises=InputError) for scale in (1e-20, 1, 1e20)]
)
def test_small_values_are_kept(scale: float) -> None:
    M = np.diag([1, 1e-10]) * scale
    assert_allclose(pseudo_inverse(tensor(M), rtol=1e-11).numpy(), np.diag(1 / M.diagonal()))


@expects(PINV)
@pytest.mark.parametrize("dtype", EMPTY[1:])
def test_empty_pseudo_inverse(dtype: torch.dtype) -> None:
    found = pseudo_inverse(torch.empty((0, 0), dtype=dtype), rtol=RELATIVE)
    assert (found.shape, found.dtype) == ((0, 0), dtype)


@expects(PINVH)
@pytest.mark.parametrize("M", [REAL, TILTED], ids=["real", "complex"])
def test_inverse_of_gram_matrices(M: Array) -> None:
    G = M @ M.conj().T
    assert_array_almost_equal(G @ inverse(tensor((G + G.conj().T) / 2)).numpy(), np.eye(3))


@expects(PINVH)
@pytest.mark.parametrize("M", [SINGULAR])
def test_indefinite(M: Array) -> None:
    """Symmetric, singular, with one eigenvalue turned negative."""
    values, V = np.linalg.eigh(M @ M.T)
    values[-1] *= -1
    values[0] = 0
    A = (V * values) @ V.T
    assert_array_almost_equal(pseudo(A), np.linalg.pinv(A, rcond=1e-10))


@expects(PINVH)
@pytest.mark.parametrize("M", [[[1.0, -1, 0], [-1, 2, -1], [0, -1, 1]]])
def test_zero_eigenvalue(M: Any) -> None:
    A = np.array(M)
    X = inverse(tensor(A), rank_rtol=1e-8).numpy()
    assert_allclose(X @ A @ X, X, atol=1e-15)
    assert_allclose(A @ X @ A, A, atol=1e-15)


@expects(PINVH)
@pytest.mark.parametrize("kept", [5, 4])
def test_cut(kept: int) -> None:
    """Eigenvalues 4, 3, 2, 1, 0.99e-4, 0.99e-5 and six of 0.99e-6, cut below the fifth or above it."""
    Q = np.linalg.qr(np.random.default_rng(1234).random((12, 12)))[0]
    values = np.array([4, 3, 2, 1, 0.99e-4, 0.99e-5, *[0.99e-6] * 6])
    A, cleared = (Q.T * values) @ Q, (Q.T * np.where(values > 1e-5, values, 0)) @ Q
    X = inverse(tensor((A + A.T) / 2), rank_rtol=1e-5 if kept == 5 else 9e-5).numpy()
    off, own = np.linalg.norm(A @ X @ A - A), np.linalg.norm(cleared @ X @ cleared - cleared)
    assert_allclose(off, 1e-5 if kept == 5 else 1e-4, rtol=0.1)
    if kept == 5:
        assert_allclose(own, 1e-12, atol=1e-11)
    else:
        assert_allclose(own, 1e-4, rtol=0.1)


@expects(PINVH)
@pytest.mark.parametrize("scale", [1e-20, 1, 1e20])
def test_small_eigenvalues_are_kept(scale: float) -> None:
    M = np.diag([1, 1e-10]) * scale
    assert_allclose(inverse(tensor(M), root_table(1, lowest=1e-11)).numpy(), np.diag(1 / M.diagonal()))


@expects(PINVH)
@pytest.mark.parametrize("dtype", EMPTY[1:])
def test_empty_hermitian(dtype: torch.dtype) -> None:
    found = inverse(torch.empty((0, 0), dtype=dtype), rank_rtol=1e-8)
    assert (found.shape, found.dtype) == ((0, 0), dtype)

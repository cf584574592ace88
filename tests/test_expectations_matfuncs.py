"""What scipy's tests expect of signm, sqrtm and fractional_matrix_power, of mcsgn and the square roots.

Source: scipy/scipy, scipy/linalg/tests/test_matfuncs.py, commit 527eb7fd7953a1de068f94bf8b322f249b9405ae
(1.17.1): matrices, random generators and tolerances; assert_allclose's own is 1e-7 relatively, and that of
assert_array_almost_equal 1.5e-6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from expectations import EMPTY, expects, tensor, unmet
from numpy.testing import assert_allclose, assert_array_almost_equal
from numpy.typing import NDArray

from polydesign import InputError
from polydesign.model import DivergenceError
from polydesign.runtime import mcsgn, principal_sqrt_and_inverse_sqrt, root

pytestmark = pytest.mark.numerics

SERVED = 160
"""|arg| in degrees up to which an eigenvalue is served: twice the 80 of the widest sector_table."""

SIGNM, SQRTM, POWER = "scipy: signm", "scipy: sqrtm", "scipy: fractional_matrix_power, of 1/2 and 1/4"
SCALES = np.logspace(-4, 4, 9)
Array = NDArray[Any]


def square_root(M: Array) -> Array:
    """The principal one: of a Hermitian matrix by `root`, of others by the sign of a block."""
    A = tensor(M)
    hermitian = A.numel() and torch.equal(A, A.mH)
    return (root(A, 2) if hermitian else principal_sqrt_and_inverse_sqrt(A)[0]).numpy()


def case(M: Any, name: str) -> Any:
    """A matrix; not met where an eigenvalue lies at or near the negative real axis."""
    M = np.asarray(M)
    angle = np.degrees(np.abs(np.angle(np.linalg.eigvals(M)))).max()
    if angle <= SERVED:
        return pytest.param(M, id=name)
    reason = f"an eigenvalue {angle:.1f} degrees off the positive axis: {SERVED} are served, others refused"
    return unmet(M, reason=reason, raises=InputError, name=name)


def scaled(M: Array, name: str) -> list[Any]:
    return [case(M * scale, f"{name}-{len(M)}-{scale:.0e}") for scale in SCALES]


def real(generator: np.random.Generator, n: int) -> Array:
    return generator.standard_normal((n, n))


def complex_(generator: np.random.Generator, n: int) -> Array:
    return generator.standard_normal((n, n)) + 1j * generator.standard_normal((n, n))


def round_trips() -> list[Any]:
    """Of sqrtm: sides 1 to 5, and nine scales of each."""
    found: list[Any] = []
    draws: list[tuple[str, int, Callable[..., Array]]] = [
        ("real", 1738151906092735, real),
        ("complex", 1738151906092736, complex_),
    ]
    for name, seed, draw in draws:
        generator = np.random.default_rng(seed)
        for n in range(1, 6):
            found += scaled(draw(generator, n), name)
    return found


def powers() -> list[Any]:
    """Of fractional_matrix_power with 1/p: sides 1 to 4. The p of 1 and 3 are drawn and left out."""
    found: list[Any] = []
    draws: list[tuple[str, Callable[..., Array]]] = [("real", real), ("complex", complex_)]
    for name, draw in draws:
        generator = np.random.default_rng(1234)
        for p in range(1, 5):
            for n in range(1, 5):
                made = scaled(draw(generator, n), f"{name}-{p}")
                if p in (2, 4):
                    found += [pytest.param(p, *one.values, id=one.id, marks=one.marks) for one in made]
    return found


# Eigenvalues 3, −2, 0 and ±i: for the last three there is no sign, and scipy's is that of their rounding.
NILS = [
    [29.2, -24.2, 69.5, 49.8, 7],
    [-9.2, 5.2, -18, -16.8, -2],
    [-10, 6, -20, -18, -2],
    [-9.6, 9.6, -25.5, -15.4, -2],
    [9.8, -4.8, 18, 18.2, 2],
]
UNDEFINED = "eigenvalues 0 and ±i have no sign"


@expects(SIGNM)
@pytest.mark.parametrize(
    "M",
    [
        unmet(NILS, reason=UNDEFINED, raises=DivergenceError, name="nils"),
        pytest.param([[0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 1, 0]], id="defective1"),
        unmet(NILS, reason=UNDEFINED, raises=DivergenceError, name="defective2"),
        pytest.param(
            [
                [-2, 25, 0, 0, 0, 0, 0],
                [0, -3, 10, 3, 3, 3, 0],
                [0, 0, 2, 15, 3, 3, 0],
                [0, 0, 0, 0, 15, 3, 0],
                [0, 0, 0, 0, 3, 10, 0],
                [0, 0, 0, 0, 0, -2, 25],
                [0, 0, 0, 0, 0, 0, -3],
            ],
            id="defective3",
        ),
    ],
)
def test_signm(M: Any) -> None:
    """There that it runs; here X³ = X too, to rounding relative to ‖X‖³, and XM = MX."""
    A, X = tensor(M), mcsgn(tensor(M))
    size, u = torch.linalg.matrix_norm(X), torch.finfo(torch.float64).eps
    assert torch.linalg.matrix_norm(X @ X @ X - X) <= 100 * u * size**3
    assert torch.linalg.matrix_norm(X @ A - A @ X) <= 100 * u * size**2 * torch.linalg.matrix_norm(A)


@pytest.mark.parametrize("degrees", [165, 175, 180])
def test_a_refusal_names_a_function_that_computes_it(degrees: float) -> None:
    M = np.array([[1.0, 2.0], [0, np.exp(1j * np.radians(degrees))]])
    with pytest.raises(InputError, match=r"take scipy\.linalg\.sqrtm\(A\)"):
        square_root(M)
    S = np.asarray(scipy.linalg.sqrtm(M))
    assert_allclose(S @ S, M, atol=1e-14)


@pytest.mark.few(30)
@expects(SQRTM)
@pytest.mark.parametrize("M", round_trips())
def test_square_root(M: Array) -> None:
    S = square_root(M)
    assert_allclose(S @ S, M)


POSITIVE = [[[1, 0], [0, 1]], [[1, 0], [1, 1]], [[2, 1], [1, 1]], [[2, 3], [1, 2]], [[1, 1], [1, 1]]]
MIXED = [[[1, 0], [0, -1]], [[0, 1], [1, 0]], [[0, 1, 0], [0, 0, -1], [1, 0, 0]]]


@expects(SQRTM)
@pytest.mark.parametrize(
    "M",
    [
        case(np.array(M, dtype=dtype) * sign, f"{name}-{index}-{dtype.__name__}")
        for name, matrices, dtype, sign in [
            ("positive", POSITIVE, float, 1),
            ("positive", POSITIVE, complex, 1),
            ("negative", POSITIVE, float, -1),
            ("mixed", MIXED, float, 1),
            ("mixed", MIXED, complex, 1),
        ]
        for index, M in enumerate(matrices)
    ],
)
def test_types(M: Array) -> None:
    """The root is real where the matrix is, and both are complex elsewhere. And S² = M."""
    S = square_root(M)
    assert np.iscomplexobj(S) == np.iscomplexobj(M)
    assert_array_almost_equal(S @ S, M)


TRIANGULAR = [[0.32346, 3e4, 3e4, 3e4], [0, 0.30089, 3e4, 3e4], [0, 0, 0.3221, 3e4], [0, 0, 0, 0.30744]]


@expects(SQRTM)
@pytest.mark.parametrize(
    ("M", "dtype", "tolerance"),
    [
        ([[1, 0, 0, 1], [0, 2**-5, 0, 0], [0, 0, 2**-5, 0], [0, 0, 0, 1]], float, {"atol": 1.5e-6}),
        (TRIANGULAR, float, {"rtol": 1e-5}),
        ([[1, 0, 0], [0, 1, -1j], [0, 1j, 2]], complex, {"atol": 1e-14}),
        ([[1, 0, 0], [0, 1, -1j], [0, 1j, 2]], np.complex64, {"atol": 1e-6}),
        (np.full((19, 19), 0.94) + 0.06 * np.eye(19), float, {}),
    ],
    ids=["bad", "al-mohy higham", "hermitian", "hermitian in complex64", "nearly constant"],
)
def test_square_root_of_special_matrices(M: Any, dtype: Any, tolerance: dict[str, Any]) -> None:
    A = np.asarray(M).astype(dtype)
    S = square_root(A)
    assert np.isrealobj(S) == np.isrealobj(A)
    assert_allclose(S @ S, A, **tolerance)


@expects(SQRTM)
@pytest.mark.parametrize(
    ("M", "expected"),
    [
        ([[2j, 4], [0, -2j]], [[1 + 1j, 2], [0, 1 - 1j]]),
        (np.diag([1, 0, 0, 1]) + np.diag([1], 3) + np.diag([1], -3), None),
        (np.diag([2.0, 1, 0]), np.diag([2**0.5, 1, 0])),
        (np.zeros((2, 2)), np.zeros((2, 2))),
    ],
    ids=["imaginary", "null space of three", "null space of one", "zero"],
)
def test_known_square_root(M: Any, expected: Any) -> None:
    """Where nothing is written M/√2: M is twice a projector."""
    wanted = np.asarray(M) * 0.5**0.5 if expected is None else expected
    assert_allclose(square_root(np.asarray(M)), wanted, atol=1e-14)


@expects(SQRTM)
@pytest.mark.parametrize("dtype", EMPTY)
def test_empty(dtype: torch.dtype) -> None:
    found = root(torch.empty((0, 0), dtype=dtype), 2)
    assert (found.shape, found.dtype) == ((0, 0), dtype)


@expects(SQRTM)
@pytest.mark.parametrize("shape", [(4, 0, 5, 5)])
def test_empty_batch(shape: tuple[int, ...]) -> None:
    assert square_root(np.empty(shape)).shape == shape


@pytest.mark.few(40)
@expects(POWER)
@pytest.mark.parametrize(("p", "M"), powers())
def test_power(p: int, M: Array) -> None:
    S = square_root(M) if p == 2 else square_root(square_root(M))
    assert_allclose(np.linalg.matrix_power(S, p), M)

"""Test matrices with a structure: that they have it, at every shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from polydesign.runtime import hippo_legs, hippo_legt, lower_solve, monarch_dense, monarch_project
from polydesign.verification.spectra import sample, sample_positive
from polydesign.verification.sweep import measure

pytestmark = pytest.mark.numerics

SHAPES = [(12, 20), (20, 12), (15, 15)]
U64 = 2.0**-52


@pytest.mark.parametrize("shape", SHAPES)
def test_hippo_and_toeplitz_begin_the_square_matrix(shape: tuple[int, int], seed: int) -> None:
    m, n = shape
    for name, whole in (("hippo:legs", hippo_legs(max(shape))[0]), ("hippo:legt", hippo_legt(max(shape))[0])):
        assert torch.equal(sample(name, shape, seed=seed).matrix[0], whole[:m, :n])
    found = sample("toeplitz:0.7", shape, seed=seed).matrix[0].numpy()
    np.testing.assert_allclose(
        found, 0.7 ** np.abs(np.subtract.outer(np.arange(m), np.arange(n))), rtol=1e-14
    )


def test_the_norm_of_hippo_grows_with_the_square_of_the_order() -> None:
    for name in ("hippo:legs", "hippo:legt"):
        for n in (32, 128):
            assert sample(name, (n, n)).sigma.max() / n**2 == pytest.approx(2 / np.pi, abs=1 / n**2)


def test_toeplitz_is_symmetric_positive_itself() -> None:
    """Its eigenvalues are (1 − r²)/(1 − 2r·cos θ + r²) at n angles between 0 and π."""
    P = sample_positive("toeplitz:0.9", (24, 30))
    plain = sample("toeplitz:0.9", (24, 24)).matrix
    assert P.matrix.shape == (1, 24, 24)
    assert (P.matrix - plain).abs().max() <= 24 * 19 * U64
    assert 1 / 19 < P.sigma.min() < 1.1 / 19
    assert 0.5 * 19 < P.sigma.max() < 19
    other = sample_positive("hippo:legs", (24, 30))  # the control: not itself, but of its singular values
    assert (other.matrix - hippo_legs(24)[0]).abs().max() > 1
    torch.testing.assert_close(other.sigma, sample("hippo:legs", (24, 30)).sigma)


@pytest.mark.parametrize("shape", [*SHAPES, (7, 9), (13, 4), (1, 5)])
def test_monarch_is_one_of_full_rank(shape: tuple[int, int], seed: int) -> None:
    known = sample("monarch", shape, seed=seed)
    M = known.matrix[0]
    assert known.sigma.shape[-1] == min(shape)
    if 7 not in shape and 13 not in shape:  # their blocks would leave a null space
        again = monarch_dense(*monarch_project(M))
        assert torch.linalg.matrix_norm(again - M) <= 1e-13 * torch.linalg.matrix_norm(M)
    if min(shape) >= 12:  # the control
        gaussian = sample("gaussian", shape, seed=seed).matrix[0]
        near = monarch_dense(*monarch_project(gaussian))
        assert torch.linalg.matrix_norm(near - gaussian) > 0.1 * torch.linalg.matrix_norm(gaussian)


@pytest.mark.parametrize("width", [None, 3])
def test_triangular_is_what_lower_solve_takes(width: int | None, seed: int) -> None:
    name = "triangular" if width is None else f"triangular:{width}"
    n, d = 40, width or 16
    M = sample(name, (n, n), seed=seed).matrix[0]
    assert not M.triu(1).any()
    assert (M.diagonal() == 1).all()
    assert (M.tril(-1).abs() < 1).all()
    corner = M[n // 2 :, : n // 2]
    assert torch.linalg.matrix_rank(corner) == min(d, n // 2)
    U, sigma, Vt = torch.linalg.svd(corner)
    # The lower half of the rows against the upper half of the columns is Q Kᵀ: solve with it alone.
    Q = torch.cat([torch.zeros(n // 2, n // 2, dtype=torch.float64), U * sigma])
    K = torch.cat([Vt.mT, torch.zeros(n // 2, n // 2, dtype=torch.float64)])
    V = torch.ones(n, 2, dtype=torch.float64)
    T = torch.eye(n, dtype=torch.float64)
    T[n // 2 :, : n // 2] = corner
    found = lower_solve(torch.ones(n, dtype=torch.float64), Q, K, V)
    torch.testing.assert_close(found, torch.linalg.solve_triangular(T, V, upper=False), rtol=0, atol=1e-12)
    assert sample(name, (30, n), seed=seed).matrix.shape == (1, 30, n)


@pytest.mark.parametrize("spectrum", ["hippo:legs", "hippo:legt", "monarch", "triangular", "toeplitz:0.9"])
def test_inverses_hold_on_them(spectrum: str, seed: int) -> None:
    import polydesign

    table = polydesign.load("inverse-d3x7-l1e-4-fp32")
    found = measure(table, shape=(24, 30), dtype="float64", spectrum=spectrum, seed=seed)
    assert found.holds
    assert found.count > 0

"""HiPPO's matrices against what their coefficients mean, and the bilinear step against elimination."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import cont2discrete
from torch import Tensor

import polydesign
from polydesign.model import DivergenceError, InputError, Plan
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime import bilinear, hippo_legs, hippo_legt, inverse_root_with_info, msign_with_info, ops
from polydesign.runtime.rescaling import symmetric_part
from polydesign.runtime.root_evidence import RESIDUAL_ROUNDINGS
from polydesign.runtime.structured.state_space import MOST_LEFT
from polydesign.verification.metrics import bilinear_by_solve

pytestmark = pytest.mark.numerics

U64 = UNIT_ROUNDOFF["float64"]
DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]


def coefficients(power: int, n: int) -> np.ndarray:
    """Of x^power on [0, 1] in the polynomials √(2n + 1)·P_n(2x − 1), by quadrature that is exact for them."""
    nodes, weights = np.polynomial.legendre.leggauss(n + power)
    values = np.polynomial.legendre.legvander(nodes, n - 1) * np.sqrt(2 * np.arange(n) + 1)
    return (weights / 2 * ((nodes + 1) / 2) ** power) @ values


@pytest.mark.parametrize("power", [0, 1, 3, 9])
def test_legs_keeps_the_coefficients_of_the_past(power: int) -> None:
    """f = x^k on [0, t] has the coefficients tᵏc, and t·(tᵏc)′ = k·tᵏc has to be tᵏ(Ac + B)."""
    n = 6
    A, B = (M.numpy() for M in hippo_legs(n))
    c = coefficients(power, n)
    slack = 100 * n**2 * U64
    assert np.abs(A @ c + B[:, 0] - power * c).max() <= slack
    assert np.abs(-A @ c + B[:, 0] - power * c).max() > slack  # the control: the other sign


@pytest.mark.parametrize("power", [0, 1, 3, 5])
def test_legt_keeps_those_of_the_last_window(power: int) -> None:
    """c′ is what the coefficients of f′ are, of x^k on [0, 1] for k below n, and of no other."""
    n = 6
    A, B = (M.numpy() for M in hippo_legt(n))

    def off(power: int) -> float:
        moved = power * coefficients(power - 1, n) if power else np.zeros(n)
        return float(np.abs(A @ coefficients(power, n) + B[:, 0] - moved).max())

    assert off(power) <= 100 * n**2 * U64
    assert off(n) > 1e-3  # the control: a polynomial that the window cannot hold


def test_they_are_dissipative() -> None:
    for make, rest in ((hippo_legs, 1.0), (hippo_legt, 0.0)):
        A, B = make(9)
        turned = B * (-1.0) ** torch.arange(9)[:, None]
        expected = -B @ B.mT - (rest * torch.eye(9) if rest else turned @ turned.mT)
        torch.testing.assert_close(A + A.mT, expected, rtol=4 * U64, atol=0)
        assert (torch.linalg.svdvals(torch.eye(9) - 3 * A) >= 1).all()
    assert not hippo_legs(5)[0].triu(1).any()
    assert hippo_legs(1)[0].item() == hippo_legt(1)[0].item() == -1


def dense(*shape: int, seed: int) -> tuple[Tensor, Tensor]:
    """A with eigenvalues in the left half plane, not symmetric, and B with two columns."""
    generator = torch.Generator().manual_seed(seed)
    *batch, n = shape
    M, N = torch.randn(2, *batch, n, n, generator=generator, dtype=torch.float64)
    A = M - M.mT - N @ N.mT / n
    return A, torch.randn(*batch, n, 2, generator=generator, dtype=torch.float64)


CASES: dict[str, Callable[[int], tuple[Tensor, Tensor, float]]] = {
    "legt": lambda _: (*hippo_legt(12), 0.1),
    "legs": lambda _: (*hippo_legs(12), 0.1),
    "legs, long": lambda _: (*hippo_legs(200), 0.01),
    "dense": lambda seed: (*dense(9, seed=seed), 0.3),
    "batch": lambda seed: (*dense(2, 3, 7, seed=seed), 0.1),
    "one": lambda seed: (*dense(1, seed=seed), 1.0),
    "a small step": lambda seed: (*dense(5, seed=seed), 1e-3),
}


@pytest.mark.parametrize("refine", [0, 1, 3])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_bilinear(case: str, dtype: torch.dtype, refine: int, seed: int, device: str) -> None:
    A, B, step = CASES[case](seed)
    A, B = (M.to(device, dtype) for M in (A, B))
    before = A.clone(), B.clone()
    found = bilinear(A, B, step, refine=refine)
    assert torch.equal(A, before[0])
    assert torch.equal(B, before[1])
    name = str(dtype).removeprefix("torch.")
    T = torch.eye(A.shape[-1], dtype=torch.float64) - step / 2 * A.cpu().double()
    kappa = torch.linalg.cond(T).max().item()
    # The inverse's residual, carried into the least singular direction; refined to the rounding of float64.
    first = min(RESIDUAL_ROUNDINGS[name] * UNIT_ROUNDOFF[name] * kappa, MOST_LEFT)
    bound = first ** (refine + 1) + 8 * A.shape[-1] * U64 * kappa + UNIT_ROUNDOFF[name]
    for got, exact in zip(found, bilinear_by_solve(A, B, step), strict=True):
        assert got.dtype == dtype
        assert got.shape == exact.shape
        off = torch.linalg.matrix_norm(got.cpu().double() - exact) / torch.linalg.matrix_norm(exact)
        assert off.max() <= bound
    if bound < 1e-3:  # the control: another step
        wrong = bilinear(A, B, step * (1 + 4 * bound), refine=refine)[1].cpu().double()
        exact = bilinear_by_solve(A, B, step * (1 + 16 * bound))[1]
        assert torch.linalg.matrix_norm(wrong - exact).max() > bound * torch.linalg.matrix_norm(exact).max()


def test_refinement_brings_a_low_precision_to_float64(seed: int, device: str) -> None:
    """Each multiplies the error by ‖I − YT‖_F, which the check keeps below MOST_LEFT."""
    A, B = (M.to(device) for M in dense(10, seed=seed))
    exact = bilinear_by_solve(A, B, 0.2)[0]
    errors = []
    for refine in range(0, 60, 6):
        found, _ = bilinear(A, B, 0.2, plan=Plan(dtype="bfloat16"), refine=refine)
        assert found.dtype == torch.float64
        errors.append(
            (torch.linalg.matrix_norm(found.cpu() - exact) / torch.linalg.matrix_norm(exact)).item()
        )
    assert errors[0] > 1e-4
    assert errors[-1] <= 8 * 10 * U64 * torch.linalg.cond(torch.eye(10) - 0.1 * A.cpu()).item()
    for before, after in pairwise(errors):
        assert after <= before * MOST_LEFT**6 + 1e-13


def test_scipy_has_the_same_rule(seed: int) -> None:
    A, B = dense(8, seed=seed)
    system = A.numpy(), B.numpy(), np.eye(8), np.zeros((8, 2))
    discrete: Any = cont2discrete  # whose type takes ten seconds to infer
    theirs = discrete(system, 0.2, method="bilinear")
    for ours, other in zip(bilinear(A, B, 0.2), theirs, strict=False):
        np.testing.assert_allclose(ours.numpy(), other, rtol=0, atol=1e-13)


def test_products_run_are_products_said(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    A, B = dense(6, seed=seed)
    T = torch.eye(6, dtype=torch.float64) - 0.1 * A
    U, first = msign_with_info(T)
    _, second = inverse_root_with_info(symmetric_part(U.mT @ T), 1)
    ran: list[str] = []
    for product in ("mm", "mm_add"):
        backend = getattr(ops, product)

        def counted(*operands: Tensor, _backend: Callable[..., Tensor] = backend, **factors: float) -> Tensor:
            ran.append("product")
            return _backend(*operands, **factors)

        monkeypatch.setattr(ops, product, counted)
    for check, more in ((True, 3), (False, 2)):
        for refine in (0, 2):
            ran.clear()
            bilinear(A, B, 0.2, plan=Plan(check=check), refine=refine)
            assert len(ran) == first.matmuls + second.matmuls + more + 1 + 2 * refine


def test_tables_that_are_given_run(seed: int) -> None:
    A, B = dense(6, seed=seed)
    exact = bilinear_by_solve(A, B, 0.2)[0]
    sign = polydesign.load("sign-d5x5-l1e-3-bf16")
    inverse = polydesign.design(root=1, degree=2, steps=4, lower=0.2, dtype="float64")
    rough, _ = bilinear(A, B, 0.2, sign, inverse_table=inverse, refine=0)
    fine, _ = bilinear(A, B, 0.2, sign, inverse_table=inverse, refine=40)
    other, _ = bilinear(A, B, 0.2, refine=0)
    assert not torch.equal(rough, other)
    assert (fine - exact).norm() < 1e-13 < (rough - exact).norm()


def test_gradients(seed: int) -> None:
    A, B = dense(4, seed=seed)
    for given in (A, A.tril()):  # of a triangular A too, above the diagonal
        leaves = [given.clone().requires_grad_(), B.clone().requires_grad_()]
        assert torch.autograd.gradcheck(lambda a, b: bilinear(a, b, 0.3, refine=0), leaves)


def test_empty_and_unchecked(device: str) -> None:
    first, second = bilinear(torch.ones(0, 0, device=device), torch.ones(0, 2, device=device), 1.0)
    assert (first.shape, second.shape) == ((0, 0), (0, 2))
    A, B = (M.to(device) for M in hippo_legs(8))  # in full, for nothing is looked at
    found, _ = bilinear(A, B, 0.1, plan=Plan(check=False))
    torch.testing.assert_close(found, bilinear(A, B, 0.1)[0], rtol=0, atol=1e-13)


def test_a_result_that_does_not_fit_is_raised_with_a_cure() -> None:
    A, B = torch.zeros(4, 4).half(), torch.full((4, 1), 6e4).half()
    with pytest.raises(DivergenceError, match=r"fit in float16: write A\.to\(torch\.float64\)$"):
        bilinear(A, B, 10.0)
    found = bilinear(A.to(torch.float64), B, 10.0)
    assert all(torch.isfinite(M).all() for M in found)


A4, B4 = torch.ones(4, 4), torch.ones(4, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hippo_legs(0), r"^n: must be a whole number of at least 1"),
        (lambda: hippo_legt(0), r"^n: must be"),
        (lambda: bilinear(A4[:3], B4, 0.1), r"^A: must be square"),
        (lambda: bilinear(A4, B4[:3], 0.1), r"^B: has shape \(3, 1\), and A \(4, 4\)"),
        (lambda: bilinear(A4 * math.nan, B4, 0.1), r"^A: holds NaN"),
        (lambda: bilinear(A4, B4 * math.inf, 0.1), r"^B: holds NaN or inf"),
        (lambda: bilinear(A4, B4, 0.0), r"^step: must be positive, and is 0"),
        (lambda: bilinear(A4, B4, math.nan), r"^step: "),
        (lambda: bilinear(A4, B4, 0.1, refine=-1), r"^refine: "),
        (lambda: bilinear(A4, B4, 0.5), r"^step: leaves ‖I − YT‖_F = .*take a smaller step"),  # T is singular
        (lambda: bilinear(torch.eye(4), B4, 2.0), r"^step: makes I − Δ/2·A singular"),
        (lambda: bilinear(A4, B4, 0.1, plan=Plan(normalization="aol")), r"^normalization: aol rescales"),
        (lambda: bilinear(A4, B4, 0.1, polydesign.load("root4-d9x4-l0.1-fp32")), r"^table: .*root 4"),
    ],
)
def test_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()

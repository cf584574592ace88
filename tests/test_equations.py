"""Sylvester, Lyapunov and Riccati through the sign, beside scipy.linalg."""

from __future__ import annotations

from collections.abc import Callable

import carex
import numpy as np
import pytest
import scipy.linalg
import torch
from tables import prototype
from torch import Tensor

from polydesign.model import InputError, Plan
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.program.cost import matmuls
from polydesign.runtime import (
    EquationInfo,
    lyapunov,
    lyapunov_with_info,
    ops,
    riccati,
    riccati_with_info,
    sector_table,
    sylvester,
    sylvester_with_info,
)
from polydesign.runtime.block_sign import BlockSign
from polydesign.runtime.solvers import _unstable

pytestmark = pytest.mark.numerics

QUINTICS = prototype("quintics_18")
ASKED = 1e-10
"""Relative residual in float64 that the equations have to reach where scipy does."""
SECTOR = sector_table(75.0).name
WIDEST = sector_table(80.0).name
REAL = "sign-d5x8-l1e-3-fp64"

Equation = tuple[Tensor, Tensor, Tensor]


def random(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def real(n: int, seed: int, lower: float = 0.1, skew: float = 0.5) -> Tensor:
    """Eigenvalues log-spaced from lower to 1, eigenvectors at an angle."""
    Q = torch.linalg.qr(random(n, n, seed=seed)).Q
    S = Q @ (torch.eye(n) + skew * random(n, n, seed=seed + 1).triu(1) / n**0.5)
    values = torch.logspace(np.log10(lower), 0, n, dtype=torch.float64)
    return S @ (values[:, None] * torch.linalg.inv(S))


def turned(n: int, seed: int, degrees: float) -> Tensor:
    """Eigenvalues r e^(±iθ), r from 0.1 to 1, of an orthogonally turned block diagonal matrix; n even."""
    Q = torch.linalg.qr(random(n, n, seed=seed)).Q
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    blocks = [r * torch.tensor([[c, -s], [s, c]]) for r in torch.logspace(-1, 0, n // 2, dtype=torch.float64)]
    return Q @ torch.block_diag(*blocks) @ Q.mT


def triangular(n: int, seed: int) -> Tensor:
    """Equal eigenvalues 1 and one long Jordan chain, nearly: far from diagonalizable."""
    return torch.eye(n, dtype=torch.float64) + 0.3 * random(n, n, seed=seed).triu(1)


def laplacian(n: int) -> Tensor:
    return (2 * torch.eye(n) - torch.eye(n).roll(1, 0).tril() - torch.eye(n).roll(1, 1).triu()).double()


CASES: dict[str, tuple[Callable[[int], Equation], str]] = {
    "real": (lambda s: (real(12, s), real(7, s + 3), random(12, 7, seed=s + 6)), REAL),
    "wide": (lambda s: (real(3, s), real(20, s + 3), random(3, 20, seed=s + 6)), REAL),
    "one": (lambda s: (torch.ones(1, 1).double(), real(5, s), random(1, 5, seed=s)), REAL),
    "left": (lambda s: (-real(6, s), -real(9, s + 3), random(6, 9, seed=s + 6)), REAL),
    "ill": (lambda s: (real(12, s, 1e-6), real(12, s + 3, 1e-6), random(12, 12, seed=s)), REAL),
    "skew": (lambda s: (real(12, s, 1e-3, 2), real(8, s + 3, 1e-3, 2), random(12, 8, seed=s)), REAL),
    "laplacian": (lambda s: (laplacian(30), laplacian(20), random(30, 20, seed=s)), REAL),
    "triangular": (lambda s: (triangular(10, s), triangular(8, s + 3), random(10, 8, seed=s)), ""),
    "45 degrees": (lambda s: (turned(8, s, 45), real(7, s + 3), random(8, 7, seed=s)), SECTOR),
    "75 degrees": (lambda s: (turned(8, s, 75), turned(6, s + 3, 70), random(8, 6, seed=s)), SECTOR),
    "80 degrees": (lambda s: (turned(8, s, 80), turned(6, s + 3, 79), random(8, 6, seed=s)), WIDEST),
    "one side small": (lambda s: (real(9, s), 1e-5 * real(6, s), random(9, 6, seed=s)), REAL),
    "huge right side": (lambda s: (real(5, s), real(5, s + 3), 1e200 * random(5, 5, seed=s)), REAL),
}
# Sylvester equations of scipy/linalg/tests/test_solvers.py (scipy 1.17) that are real and not empty.
SCIPY_SYLVESTER = {
    "3": ([[1, 2], [0, 4]], [[5, 6], [0, 8]], [[9, 10], [11, 12]]),
    "4": (
        [[1.0, 0, 0, 0], [0, 1, 2, 0], [0, 0, 3, -4], [0, 0, 2, 5]],
        [[2.0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, -1], [0, 0, 1, 1]],
        [[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
    ),
}


def left(A: Tensor, B: Tensor, C: Tensor, X: Tensor) -> float:
    """‖AX + XB − C‖_F/‖C‖_F, the largest of the batch: a smaller divisor than that of the info."""
    size = C.abs().amax(dim=(-2, -1), keepdim=True)
    C, X = C / size, X / size
    return (torch.linalg.matrix_norm(A @ X + X @ B - C) / torch.linalg.matrix_norm(C)).max().item()


def to(equation: Equation, kind: str | torch.dtype) -> Equation:
    """On a device, or in a dtype."""
    A, B, C = equation
    return A.to(kind), B.to(kind), C.to(kind)


def by_scipy(A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    return torch.as_tensor(scipy.linalg.solve_sylvester(A.numpy(), B.numpy(), C.numpy()))


@pytest.mark.parametrize("case", CASES)
def test_sylvester_beside_scipy(case: str, seed: int, device: str) -> None:
    make, table = CASES[case]
    A, B, C = make(seed)
    copies = [M.clone() for M in (A, B, C)]
    given = to((A, B, C), device)
    X, info = sylvester_with_info(*given, refine=1)
    assert torch.equal(X, sylvester(*given, refine=1))
    assert all(torch.equal(M.cpu(), copy) for M, copy in zip(given, copies, strict=True))
    X = X.cpu()
    assert X.dtype == torch.float64
    assert X.shape == C.shape
    assert left(A, B, C, by_scipy(A, B, C)) <= ASKED
    assert left(A, B, C, X) <= ASKED
    assert info.table.startswith(table)
    assert info.residual.item() <= info.residuals[0].item() + ASKED / 100
    assert isinstance(info, EquationInfo)
    # The negative control: one entry off in the eighth digit.
    X[0, 0] += 1e-8 * X.abs().max()
    assert left(A, B, C, X) > ASKED


@pytest.mark.parametrize("case", SCIPY_SYLVESTER)
def test_scipys_own_cases(case: str) -> None:
    A, B, C = (torch.tensor(M, dtype=torch.float64) for M in SCIPY_SYLVESTER[case])
    assert left(A, B, C, sylvester(A, B, C)) <= 1e-14
    # scipy's Lyapunov case of https://github.com/scipy/scipy/issues/4176: A is stable, at 45 degrees.
    A = torch.tensor([[0, 1], [-0.5, -1]], dtype=torch.float64)
    Q = torch.tensor([[0.0, 0], [0, 9]], dtype=torch.float64)
    X = lyapunov(A, Q)
    assert left(A, A.mT, Q, X) <= 1e-14
    np.testing.assert_allclose(X, scipy.linalg.solve_continuous_lyapunov(A, Q), atol=1e-13)


def test_lyapunov_is_sylvester_with_the_transpose(seed: int) -> None:
    A, M = -real(8, seed), random(8, 8, seed=seed)
    X, info = lyapunov_with_info(A, M @ M.mT, refine=1)
    assert left(A, A.mT, M @ M.mT, X) <= ASKED
    assert torch.linalg.matrix_norm(X - X.mT) <= 1e-13 * torch.linalg.matrix_norm(X)
    assert torch.equal(X, sylvester(A, A.mT, M @ M.mT, refine=1))
    assert torch.linalg.eigvalsh(X).max() < 0  # −X is the Gramian of the stable A
    assert info.passes == 1


def test_a_shift_reaches_spectra_that_the_imaginary_axis_does_not_part(seed: int) -> None:
    A, B, C = real(6, seed) - 0.5 * torch.eye(6), real(5, seed + 1) + torch.eye(5), random(6, 5, seed=seed)
    with pytest.raises(InputError, match=r"of 6 eigenvalues of A and 5 of 5 of B came out in the right half"):
        sylvester(A, B, C)
    X = sylvester(A + torch.eye(6), B - torch.eye(5), C)
    assert left(A, B, C, X) <= ASKED


# Kitagawa, 1977, and the first Lyapunov case, both of scipy's tests: half planes mixed.
KITAGAWA = [[3, 9, 5, 1, 4], [1, 2, 3, 8, 4], [4, 6, 6, 6, 3], [1, 5, 2, 0, 7], [5, 3, 3, 1, 5]]
REFUSED = {
    "imaginary": ([[0.0, 1], [-1, 0]], r"‖W² − I‖ is \S+ after \d passes, and \S+ is explained"),
    "88 degrees": (turned(4, 0, 88).tolist(), r"sector75\S+ ‖W² − I‖ is \S+ after \d passes"),
    "zero": ([[0.0, 0], [0, 1]], r"‖W² − I‖ is 0\.71 after 4 passes, and 0\.25 is explained"),
    "1977": (KITAGAWA, r"4 of 5 eigenvalues of A and 4 of 5 of B came out in the right half plane"),
    "2 x 2": ([[1, 2], [3, 4]], r"1 of 2 eigenvalues of A and 1 of 2 of B came out in the right half plane"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_spectra_that_no_sign_serves_are_refused_with_numbers(case: str) -> None:
    rows, message = REFUSED[case]
    A = torch.tensor(rows, dtype=torch.float64)
    with pytest.raises(
        InputError,
        match=r"^A: mcsgn of \[\[A, −C\], \[0, −B\]\] does not apply: with sign-d5x8-l1e-3-fp64 .*" + message,
    ):
        lyapunov(A, torch.eye(len(A)).double())
    # Judged by nobody, it gives something.
    assert lyapunov(A, torch.eye(len(A)).double(), plan=Plan(check=False)).shape == A.shape


def test_a_table_of_ones_own_runs_alone_and_counts(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    A, B, C = CASES["real"][0](seed)
    ran: list[str] = []
    for product in ("mm", "mm_add"):
        backend = getattr(ops, product)

        def counted(
            *operands: Tensor, name: str = product, run: Callable[..., Tensor] = backend, **factors: float
        ) -> Tensor:
            ran.append(name)
            return run(*operands, **factors)

        monkeypatch.setattr(ops, product, counted)
    X, info = sylvester_with_info(A, B, C, QUINTICS, refine=1)
    assert info.table == QUINTICS.name
    assert len(ran) == info.matmuls == 2 * matmuls(QUINTICS.schedule)
    # Each solve is off by the table's error, in the basis of the eigenvectors, whose conditions are below 10.
    error = 100 * QUINTICS.schedule.error
    assert info.residuals[0] <= error
    assert info.residual <= error**2
    assert info.residuals[0] > ASKED  # the negative control
    with pytest.raises(InputError, match=r"with quintics_18 ‖W² − I‖"):
        sylvester(turned(4, seed, 45), turned(4, seed, 45), random(4, 4, seed=seed), QUINTICS)
    with pytest.raises(InputError, match=r"^plan\.matmuls: chooses a table where none is given"):
        sylvester(A, B, C, QUINTICS, Plan(matmuls=20))
    X, info = sylvester_with_info(A, B, C, plan=Plan(matmuls=20), refine=1)
    assert info.table == "sign-m20-l1e-3-fp64"
    assert left(A, B, C, X) <= ASKED


def test_passes_reach_below_the_table(seed: int) -> None:
    A, B, C = CASES["ill"][0](seed)
    _, info = sylvester_with_info(A, B, C)
    assert info.passes == 2
    assert info.matmuls == 2 * 24
    assert left(A, B, C, sylvester(A, B, C, plan=Plan(check=False))) > 0.1  # one pass is not enough


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_refinement_in_the_higher_precision(dtype: str, seed: int, device: str) -> None:
    A, B, C = to(CASES["real"][0](seed), device)
    X, info = sylvester_with_info(A, B, C, plan=Plan(dtype=dtype), refine=9)
    assert X.dtype == torch.float64
    assert info.dtype == dtype
    assert len(info.residuals) == 10
    assert left(A, B, C, X) <= 1e-9
    # The first solve is of the low precision, and no better.
    assert info.residuals[0] > UNIT_ROUNDOFF[dtype] / 100
    narrow = to((A, B, C), getattr(torch, dtype))
    Y = sylvester(*narrow, refine=5).cpu()
    assert Y.dtype == getattr(torch, dtype)
    exact = by_scipy(*to(to(narrow, "cpu"), torch.float64))
    # What is left is the rounding of the result to its dtype, and less than that of the solve.
    bound = 2 * UNIT_ROUNDOFF[dtype] * torch.linalg.matrix_norm(exact)
    assert torch.linalg.matrix_norm(Y - exact) <= bound
    if dtype != "float32":  # the negative control, where the rounding of one solve shows
        assert torch.linalg.matrix_norm(sylvester(*narrow).cpu() - exact) > bound


def test_batches_and_strides(seed: int, device: str) -> None:
    A = torch.stack([real(6, seed), real(6, seed + 1), -real(6, seed + 2)]).to(device)
    B = torch.stack([real(4, seed + 3), 1e-3 * real(4, seed + 4), -real(4, seed + 5)]).to(device)
    C = torch.zeros(3, 12, 8, dtype=torch.float64, device=device)[:, ::2, ::2]
    C.copy_(random(3, 6, 4, seed=seed))
    C[0] = 0
    X, info = sylvester_with_info(A, B, C, refine=1)
    assert info.residual.shape == info.sign_residual.shape == (3,)
    assert not X[0].any()
    assert left(A[1:], B[1:], C[1:], X[1:]) <= ASKED
    for i in range(3):
        torch.testing.assert_close(X[i], sylvester(A[i], B[i], C[i], refine=1), rtol=1e-9, atol=1e-12)
    for shapes in (((0, 0), (3, 3), (0, 3)), ((2, 3, 3), (2, 0, 0), (2, 3, 0)), ((0, 2, 2),) * 3):
        A, B, C = (torch.zeros(shape, device=device) for shape in shapes)
        X, info = sylvester_with_info(A, B, C)
        assert X.shape == shapes[2]
        assert info.matmuls == 0


def hamiltonian(number: int) -> tuple[Tensor, Tensor, Tensor]:
    """A, G, Q of a CAREX equation."""
    equation = carex.WRITTEN.get(number) or carex.in_file(number)
    if equation is None:
        pytest.skip("this scipy comes without its tests")
    A, B, Q, R = equation
    G = B @ np.linalg.solve(R, B.T)
    return torch.tensor(A), torch.tensor((G + G.T) / 2), torch.tensor((Q + Q.T) / 2)


def quadratic(A: Tensor, G: Tensor, Q: Tensor, X: Tensor) -> float:
    """‖AᵀX + XA − XGX + Q‖_F over the sum of the norms of its terms."""
    terms = (A.mT @ X, X @ A, -(X @ G @ X), Q)
    size = sum(torch.linalg.matrix_norm(term).item() for term in terms)
    return torch.linalg.matrix_norm(torch.stack(terms).sum(0)).item() / size


@pytest.mark.parametrize("number", [1, 2, 3, 5, 6, 7, 8, 9, 10, 12, 13, 15, 16, 18, 19])
def test_riccati_beside_scipy(number: int, device: str) -> None:
    A, G, Q = hamiltonian(number)
    _, B, _, R = carex.WRITTEN.get(number) or carex.in_file(number) or pytest.skip("no data")
    exact = torch.as_tensor(scipy.linalg.solve_continuous_are(A.numpy(), B, Q.numpy(), R))
    X, info = riccati_with_info(A.to(device), G.to(device), Q.to(device), refine=2)
    X = X.cpu()
    if quadratic(A, G, Q, exact) > ASKED:
        assert number in (7, 12, 18)
    assert quadratic(A, G, Q, X) <= ASKED
    assert torch.equal(X, X.mT)
    assert torch.linalg.eigvals(A - G @ X).real.max() < 0
    assert info.table == (SECTOR if number in (3, 6, 9, 15, 19) else REAL)
    X[0, 0] += 1e-6 * X.abs().max()
    assert quadratic(A, G, Q, X) > ASKED


@pytest.mark.parametrize("number", [11, 14, 17])
def test_riccati_refuses_what_products_cannot_reach(number: int) -> None:
    """Eigenvalues ±i in 11, 1e-6 beside the axis in 14, 86 degrees off the real one in 17."""
    A, G, Q = hamiltonian(number)
    with pytest.raises(
        InputError, match=r"mcsgn of the Hamiltonian does not apply: .* sector75\S+ ‖W² − I‖ is"
    ):
        riccati(A, G, Q)


def test_riccati_in_low_precision_batches_and_extremes(seed: int, device: str) -> None:
    M = random(2, 6, 6, seed=seed).to(device)
    A, P = -(M @ M.mT + torch.eye(6).to(device)), M.mT @ M
    for dtype, refine in (("bfloat16", 6), ("float32", 2)):
        X, info = riccati_with_info(A, P, P, plan=Plan(dtype=dtype), refine=refine)
        assert X.dtype == torch.float64
        assert (info.residual <= ASKED).all()
        assert (info.residuals[0] > info.residual).all()
    exact = riccati(A, P, P, refine=2)
    # G → P/c, Q → c·P is the same equation for X/c.
    scaled = riccati(A, P * 1e-60, P * 1e60, refine=2)
    torch.testing.assert_close(scaled * 1e-60, exact, rtol=1e-12, atol=0)
    # Without G it is a Lyapunov equation, without Q and with a stable A zero solves it.
    torch.testing.assert_close(
        riccati(A, 0 * P, P, refine=1), lyapunov(A.mT, -P, refine=1), rtol=1e-12, atol=0
    )
    assert riccati(A, P, 0 * P).abs().max() <= 1e-15


def test_the_wrong_half_is_seen(seed: int) -> None:
    """−W squares to I too, and gives the X that makes A − GX antistable."""
    A, G, Q = hamiltonian(2)
    H = torch.cat([torch.cat([A, -G], 1), torch.cat([-Q, -A.mT], 1)])
    W = torch.as_tensor(scipy.linalg.signm(H.numpy()))
    sign = BlockSign(W, torch.zeros(()), torch.ones(()), QUINTICS, 0, 1)
    assert not _unstable(sign, A, G)
    turned_ = BlockSign(-W, torch.zeros(()), torch.ones(()), QUINTICS, 0, 1)
    assert "an eigenvalue of A − GX came out with the real part" in _unstable(turned_, A, G)


EYE = torch.eye(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sylvester(torch.ones(3, 4), EYE, EYE), r"^A: must be square"),
        (lambda: sylvester(EYE, EYE.int(), EYE), r"^B: must have a floating dtype"),
        (
            lambda: sylvester(EYE, EYE, torch.ones(3, 4)),
            r"^C: has shape \(3, 4\), and \(3, 3\) goes with A and B",
        ),
        (lambda: sylvester(EYE, EYE[None], EYE), r"^B: has the batch \(1,\), and A \(\)"),
        (lambda: sylvester(EYE, EYE, EYE * float("inf")), r"^C: holds NaN or infinity"),
        (lambda: sylvester(EYE, EYE, EYE, refine=-1), r"^refine: must be a whole number of at least 0"),
        (lambda: lyapunov(EYE, torch.ones(2, 2)), r"^Q: has shape \(2, 2\), and \(3, 3\) goes with A"),
        (lambda: riccati(EYE, torch.ones(3, 3).triu(), EYE), r"^G: is not symmetric"),
        (lambda: riccati(EYE, EYE, EYE[None]), r"^Q: has shape \(1, 3, 3\)"),
        (lambda: riccati(EYE, EYE, EYE, plan=Plan(form="gram")), r"^plan\.form: gram is of msign"),
    ],
)
def test_refused_inputs(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()

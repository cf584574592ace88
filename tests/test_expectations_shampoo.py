"""What the tests of Meta's distributed_shampoo expect of inverse roots and orthogonalization, of ours.

Source: facebookresearch/optimizers, distributed_shampoo/preconditioner/tests/matrix_functions_test.py, commit
f60660661194de26d3ee78bae6d15820ff8e583d: matrices and tolerances. As there, matrices and results are in float32;
between them ours runs in float64. Where a case there has an iteration of its own, it has a table here.
"""

from __future__ import annotations

from itertools import product

import pytest
import torch
from expectations import expects, root_table, sign_table
from torch import Tensor

from polydesign import InputError
from polydesign.model import Plan, PromiseWarning, Table
from polydesign.runtime import inverse_root, msign

pytestmark = pytest.mark.numerics

WIDE = Plan(dtype="float64", out_dtype="float32")
INNER = {"newton": 1, **{f"order {order}": order - 1 for order in range(2, 7)}}
"""Iteration -> the degree in λ of a step of ours: Newton's is 1, and one of order k has k − 1."""

PAIRS = [(a, b) for a, b in product((0.001, 0.01, 0.1, 1.0, 10.0, 100.0), repeat=2) if 2 * b <= a]
SPECIAL = [
    *(("eigen", root, n, None) for root in (1, 2, 4, 8) for n in (10, 100)),
    *(("eigen", root, n, pair) for root in (1, 2, 4, 8) for n in (10, 100) for pair in PAIRS),
    *(("newton", root, n, None) for root in (2, 4, 8) for n in (10, 100)),
    *(("newton", root, n, pair) for root in (2, 4, 8) for n in (10, 100) for pair in PAIRS),
]
"""(iteration, root, side, diagonal and its neighbour of a tridiagonal matrix or None for I)."""

DIAGONAL = ([[1, 0], [0, 4]], [[1, 0], [0, 0.5]])
# The inverse square root in integers; the condition number is 683,500.
FULL = ([[1195, -944, -224], [-944, 746, 177], [-224, 177, 42]], [[1, 1, 1], [1, 2, -3], [1, -3, 18]])
WAYS = ["eigen", "eigen late", "eigen pseudo", "eigen elsewhere", *INNER]

MATRIX_FUNCTIONS = "distributed_shampoo: inverse roots, orthogonalization"
BESIDE = "distributed_shampoo: null spaces, damping, refusals"


def tridiagonal(n: int, diagonal: float, beside: float, first: float, last: float) -> Tensor:
    """With `first` and `last` added at the ends of the diagonal."""
    neighbours = torch.full((n - 1,), beside)
    A = torch.full((n,), diagonal).diag() + neighbours.diag(1) + neighbours.diag(-1)
    A[0, 0] += first
    A[-1, -1] += last
    return A


def off(X: Tensor, A: Tensor, root: int) -> float:
    """Largest entry of X^(−r) − A, over ‖A‖_∞ where that is above 1; of a batch the worst."""
    entry = (torch.linalg.matrix_power(X, -root) - A).abs().amax((-2, -1))
    return (entry / torch.linalg.matrix_norm(A, ord=torch.inf).clamp(min=1)).max().item()


def tables(root: int, iteration: str) -> list[Table | None]:
    """The package's own, and one that is designed down to λ = 1e-8."""
    return [None, root_table(root, INNER.get(iteration, 4))]


@pytest.mark.few(48)
@expects(MATRIX_FUNCTIONS)
@pytest.mark.parametrize(("iteration", "root", "n", "pair"), SPECIAL)
def test_inverse_root_to_its_power(
    iteration: str, root: int, n: int, pair: tuple[float, float] | None
) -> None:
    if pair is None:
        A, tolerance = torch.eye(n)[None], 1e-6
    else:
        a, b = pair
        A, tolerance = torch.stack([tridiagonal(n, a, b, b, b), tridiagonal(n, a, b, -b, 0.0)]), 1e-4
    for table in tables(root, iteration):
        assert off(inverse_root(A, root, table=table, plan=WIDE), A, root) <= tolerance


@pytest.mark.parametrize("root", [1, 2, 4, 8])
def test_a_root_that_is_off_by_a_thousandth_is_seen(root: int) -> None:
    A = torch.stack([torch.eye(10), tridiagonal(10, 10.0, 1.0, 1.0, 1.0)])
    X = inverse_root(A, root, plan=WIDE) * (1 + 1e-3)
    assert min(off(X[:1], A[:1], root), off(X[1:], A[1:], root)) > 1e-4


@pytest.mark.few(12)
@expects(MATRIX_FUNCTIONS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize(("A", "expected"), [DIAGONAL, FULL], ids=["diagonal", "full"])
def test_inverse_root(A: list[list[float]], expected: list[list[float]], power: int, way: str) -> None:
    """The pseudo-inverse cuts below n·ε of float32 there, which this matrix is above."""
    P, wanted = torch.tensor(A, dtype=torch.float32), torch.tensor(expected, dtype=torch.float32)
    cut = len(P) * torch.finfo(torch.float32).eps if way == "eigen pseudo" else None
    for table in tables(2 // power, way):
        found = inverse_root(P, 2 // power, table=table, plan=WIDE, rank_rtol=cut)
        torch.testing.assert_close(found, torch.linalg.matrix_power(wanted, power), atol=0.05, rtol=1e-2)


@pytest.mark.parametrize("power", [1, 2])
def test_float32_is_not_silent_where_it_does_not_meet_them(power: int) -> None:
    """Its tables serve 1e-4 of the norm, and the smallest eigenvalue of the full matrix is 1.5e-6 of it."""
    P, wanted = (torch.tensor(M, dtype=torch.float32) for M in FULL)
    with pytest.warns(PromiseWarning):
        found = inverse_root(P, 2 // power)
    wanted = torch.linalg.matrix_power(wanted, power)
    assert ((found - wanted).abs() > 0.05 + 1e-2 * wanted.abs()).any()


@expects(MATRIX_FUNCTIONS)
@pytest.mark.parametrize("nuclear", [True, False])
@pytest.mark.parametrize("dims", [1, 4])
def test_orthogonalization_by_svd(dims: int, nuclear: bool) -> None:
    """Times the nuclear norm, which is tr(UᵀA), and the product of the sides."""
    A = torch.tensor(DIAGONAL[0], dtype=torch.float32)
    for table in (None, sign_table()):
        U = msign(A, table, WIDE)
        found = U * (torch.trace(U.mT @ A) if nuclear else 1) * dims
        torch.testing.assert_close(found, torch.eye(2) * (5 if nuclear else 1) * dims)


@expects(MATRIX_FUNCTIONS)
@pytest.mark.parametrize("scale", [1, 1 / 4])
def test_orthogonalization_by_newton_schulz(scale: float) -> None:
    """Five quintics in bfloat16."""
    A = torch.tensor(DIAGONAL[0], dtype=torch.float32)
    found = msign(A, plan=Plan(dtype="bfloat16", matmuls=15, out_dtype="float32")) * scale
    torch.testing.assert_close(found, torch.eye(2) * scale, atol=0.3, rtol=1e-6)


@expects(MATRIX_FUNCTIONS)
@pytest.mark.parametrize("shape", [(3, 2), (2, 3)])
@pytest.mark.parametrize("plan", [WIDE, Plan(dtype="bfloat16", matmuls=15)], ids=["svd", "newton-schulz"])
def test_orthogonalization_of_other_shapes(plan: Plan, shape: tuple[int, int], seed: int) -> None:
    """The shape there; here its singular values too, those of a matrix that is well conditioned."""
    A = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    found = msign(A + 3 * torch.eye(*shape), plan=plan)
    assert found.shape == shape
    assert (torch.linalg.svdvals(found.float()) - 1).abs().max() <= 0.3


@expects(BESIDE)
@pytest.mark.parametrize("cut", [None, 1e-6])
def test_null_space(cut: float | None) -> None:
    """None is n·ε of float32 there; to assert_close's own tolerance."""
    P = torch.diag(torch.tensor([1.0, 4.0, 0.0]))
    found = inverse_root(P, 2, plan=WIDE, rank_rtol=cut or 3 * torch.finfo(torch.float32).eps)
    torch.testing.assert_close(found, torch.diag(torch.tensor([1.0, 0.5, 0.0])))


@expects(BESIDE)
@pytest.mark.parametrize("before", [True, False])
def test_damping(before: bool) -> None:
    """λ = 0.1 becomes 1 and 3.1 becomes 4, by 0.9 on P or in the operator, whose eps is relative to ‖P‖_F."""
    P = torch.diag(torch.tensor([0.1, 3.1]))
    eps = (0.9 / torch.linalg.matrix_norm(P)).item()
    found = (
        inverse_root(P + 0.9 * torch.eye(2), 2, plan=WIDE)
        if before
        else inverse_root(P, 2, plan=WIDE, eps=eps)
    )
    torch.testing.assert_close(found, torch.diag(torch.tensor([1.0, 0.5])))


@expects(BESIDE)
@pytest.mark.parametrize(
    ("P", "root", "field"),
    [
        (torch.zeros(2, 3), 2, "P"),
        (torch.diag(torch.tensor([1.0, torch.inf])), 2, "P"),
        (torch.diag(torch.tensor([-1.0, 2.0])), -1, "root"),
    ],
    ids=["not square", "infinite", "negative root"],
)
def test_refusals(P: Tensor, root: int, field: str) -> None:
    with pytest.raises(InputError) as refused:
        inverse_root(P, root)
    assert refused.value.field == field

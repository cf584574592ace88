"""What a refused block sign proposes is done here, and works; nothing is proposed that was just tried."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import carex
import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

import polydesign
from polydesign.model import DivergenceError, InputError, Plan
from polydesign.runtime import (
    PrincipalSqrtAndInverseSqrt,
    geometric_factor,
    lyapunov,
    mcsgn,
    mcsgn_with_info,
    principal_sqrt_and_inverse_sqrt,
    riccati,
    sector_table,
    sylvester,
    sylvester_with_info,
)

pytestmark = pytest.mark.numerics


def turned(*degrees: float) -> Tensor:
    """Rotations by these angles, along the diagonal."""
    blocks = [
        torch.tensor([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]], dtype=torch.float64)
        for a in map(math.radians, degrees)
    ]
    return torch.block_diag(*blocks)


def mixed(*eigenvalues: float, seed: int) -> Tensor:
    """Not symmetric, with these eigenvalues."""
    n = len(eigenvalues)
    M = torch.randn((n, n), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    V = torch.eye(n, dtype=torch.float64) + M / (3 * torch.linalg.matrix_norm(M, 2))
    return V @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ torch.linalg.inv(V)


def refusal_of(call: Callable[[], object]) -> InputError:
    with pytest.raises(InputError, match="does not apply") as refused:
        call()
    return refused.value


def advised(call: Callable[[], object]) -> str:
    """What follows on the residuals."""
    return re.split(r"(?<!\d)\. ", refusal_of(call).problem, maxsplit=1)[1]


def code_of(advice: str, names: dict[str, Any]) -> Any:
    """The last expression of the advice, evaluated."""
    (code,) = re.findall(r"(?:take|write) ((?:scipy\.linalg\.)?\w+\(.*?\))(?:, (?:which|where).*)?$", advice)
    return eval(code, {"scipy": scipy, "torch": torch, "sylvester": sylvester, **names})


def arrays(**named: Tensor) -> dict[str, Any]:
    return {name: M.numpy() for name, M in named.items()}


def left(A: Any, B: Any, C: Any, X: Any) -> float:
    A, B, C, X = map(np.asarray, (A, B, C, X))
    terms = C, A @ X, X @ B
    return float(np.linalg.norm(C - A @ X - X @ B) / sum(map(np.linalg.norm, terms)))


# roots


@pytest.mark.parametrize("degrees", [(165,), (175, 20), (10, 170)])
def test_roots_of_rotations_beyond_the_tables(degrees: tuple[float, ...]) -> None:
    A = turned(*degrees)
    said = advised(lambda: principal_sqrt_and_inverse_sqrt(A))
    assert "sector_table" not in said
    found = re.findall(r"([\d.]+) degrees off the real axis, and tables serve up to 80", said)
    assert float(found[0]) == pytest.approx(max(degrees) / 2, rel=1e-3)
    S = code_of(said, arrays(A=A))
    assert np.linalg.norm(S @ S - A.numpy()) <= 1e-13
    assert np.linalg.eigvals(S).real.min() > 0
    B = turned(*(2.0 for _ in degrees))
    said = advised(lambda: geometric_factor(A, B))
    (cure,) = re.findall(r"take A times (scipy.*)$", said)
    F = A.numpy() @ eval(cure, {"scipy": scipy, **arrays(A=A, B=B)})
    assert np.linalg.norm(F @ B.numpy() @ F - A.numpy()) <= 1e-12  # of F = A(BA)^(-1/2)


def test_roots_of_rotations_within_them() -> None:
    """The control: nothing is refused that the tables reach."""
    for degrees in (90, 140, 155, 159):
        S, R = principal_sqrt_and_inverse_sqrt(turned(degrees))
        assert (S @ S - turned(degrees)).norm() <= 1e-12
        assert (S @ R - torch.eye(2)).norm() <= 1e-12


def test_a_negative_eigenvalue_has_no_principal_root(seed: int) -> None:
    A = mixed(1, 2, -1, seed=seed)
    said = advised(lambda: principal_sqrt_and_inverse_sqrt(A))
    assert said.startswith("A has an eigenvalue on the negative real axis, to rounding")
    assert "--lower" not in said
    S = code_of(said, arrays(A=A))
    assert np.linalg.norm(S @ S - A.numpy()) <= 1e-12
    assert np.iscomplexobj(S)
    B = mixed(1, 1, 1, seed=seed)
    said = advised(lambda: geometric_factor(A, B))
    assert said.startswith("BA has an eigenvalue on the negative")
    S = code_of(said, arrays(A=A, B=B))
    assert np.linalg.norm(S @ S - (B @ A).numpy()) <= 1e-12


def test_the_matrix_of_a_batch_is_named_and_left_out(seed: int) -> None:
    batch = torch.stack(
        [mixed(1, 2, 3, seed=seed), torch.diag(torch.tensor([1.0, 2, 0])), mixed(1, 1, 2, seed=seed)]
    )
    refused = refusal_of(lambda: principal_sqrt_and_inverse_sqrt(batch))
    assert refused.field == "A[1]"
    assert "An eigenvalue of A is 0, to rounding" in refused.problem
    S, _ = principal_sqrt_and_inverse_sqrt(batch[[0, 2]])
    assert (S @ S - batch[[0, 2]]).norm() <= 1e-11
    batch[1] = mixed(2, 2, -3, seed=seed)
    assert refusal_of(lambda: principal_sqrt_and_inverse_sqrt(batch)).field == "A[1]"


# equations


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((1, 2, -1), (3, 4, 5)),
        ((-1, -2, 1), (-3, -4, -5)),
        ((0.5, 3), (-0.2, 0.1)),
        ((-2, 0.3), (-1, -0.5)),
        ((1, 0), (1, 2)),
    ],
)
def test_a_shift_is_proposed_where_one_helps(a: tuple[float, ...], b: tuple[float, ...], seed: int) -> None:
    A, B = mixed(*a, seed=seed), mixed(*b, seed=seed + 1)
    C = torch.ones(len(a), len(b), dtype=torch.float64)
    said = advised(lambda: sylvester(A, B, C))
    assert "which is the same equation" in said
    X = code_of(said, {"A": A, "B": B, "C": C})
    assert left(A, B, C, X) <= 1e-10


def test_where_no_shift_helps(seed: int) -> None:
    A, B, C = mixed(1, -1, seed=seed), mixed(2, -2, seed=seed + 1), torch.ones(2, 2, dtype=torch.float64)
    said = advised(lambda: sylvester(A, B, C))
    assert "on one side of the imaginary axis" in said
    assert left(A, B, C, code_of(said, arrays(A=A, B=B, C=C))) <= 1e-12
    A = mixed(1, -3, 0.5, seed=seed)
    Q = torch.eye(3, dtype=torch.float64)
    said = advised(lambda: lyapunov(A, Q))
    X = code_of(said, arrays(A=A, Q=Q))
    assert left(A, A.mT, Q, X) <= 1e-12


@pytest.mark.parametrize("degrees", [84, 89])
def test_equations_beyond_the_tables(degrees: float) -> None:
    A, B, C = turned(degrees), turned(degrees - 1), torch.ones(2, 2, dtype=torch.float64)
    said = advised(lambda: sylvester(A, B, C))
    assert f"{degrees} degrees off the real axis, and tables serve up to 80" in said
    assert left(A, B, C, code_of(said, arrays(A=A, B=B, C=C))) <= 1e-12


def test_a_common_eigenvalue_has_no_cure(seed: int) -> None:
    A, B = mixed(1, 2, -1, seed=seed), mixed(1, 4, 5, seed=seed + 1)
    said = advised(lambda: sylvester(A, B, torch.ones(3, 3, dtype=torch.float64)))
    assert said == "A and −B have the eigenvalue -1 in common, to rounding, and no X, or many, solve it"
    eye = torch.eye(3, dtype=torch.float64)
    assert torch.linalg.svdvals(torch.kron(eye, A) + torch.kron(B.mT.contiguous(), eye)).min() <= 1e-13
    said = advised(lambda: lyapunov(turned(90), torch.eye(2).double()))
    assert "have the eigenvalue 1i in common" in said or "have the eigenvalue -1i in common" in said


def test_a_given_table_is_left_out_and_a_wish_too() -> None:
    A, B, C = turned(45), turned(60), torch.ones(2, 2, dtype=torch.float64)
    real = polydesign.load("sign-d5x8-l1e-3-fp64")
    said = advised(lambda: sylvester(A, B, C, real))
    assert "leave table out, and others of up to 80 degrees are tried" in said
    for wish, plan in (("matmuls", Plan(matmuls=24)), ("error", Plan(error=0.1))):
        assert f"leave plan.{wish} out" in advised(lambda plan=plan: sylvester(A, B, C, plan=plan))
    assert left(A, B, C, sylvester(A, B, C)) <= 1e-12
    steep = turned(79)
    said = advised(lambda: sylvester(steep, steep, C, sector_table(30)))
    assert "leave table out" in said
    assert left(steep, steep, C, sylvester(steep, steep, C)) <= 1e-11


def far_from_normal(size: float) -> Tensor:
    upper = torch.randn((12, 12), generator=torch.Generator().manual_seed(0), dtype=torch.float64).triu(1)
    return torch.eye(12, dtype=torch.float64) + size * upper


def test_what_was_tried_is_not_proposed() -> None:
    """Blocks so far from normal that rounding loses their eigenvalues."""
    C = torch.ones(12, 12, dtype=torch.float64)
    A = far_from_normal(1e8)
    said = advised(lambda: sylvester(A, A, C))
    assert "sector_table" not in said
    assert "leave" not in said
    assert np.isfinite(code_of(said, arrays(A=A, B=A, C=C))).all()
    # Which of these a table loses depends on how sums are ordered; what is not refused is right.
    refused = 0
    for size in np.geomspace(3e5, 4e7, 12):
        A = far_from_normal(float(size))
        for table in (sector_table(80), None):
            try:
                X = sylvester(A, A, C, table)
            except InputError as problem:
                assert (table is not None) == ("leave table out" in str(problem))  # noqa: PT017
                refused += table is not None
            else:
                assert left(A, A, C, X) <= 1e-6
    assert refused
    A = far_from_normal(1e4)
    said = advised(lambda: sylvester(A, A, C, plan=Plan(dtype="float32")))
    (cure,) = re.findall(r"write plan=(Plan\(.*?\)), or take", said)
    assert left(A, A, C, sylvester(A, A, C, plan=eval(cure, {"Plan": Plan}))) <= 1e-6


def test_refinement_and_precision_are_proposed_where_they_help(seed: int) -> None:
    A, B, C = mixed(1, 2, 1e-3, seed=seed), mixed(1, 3, 1e-3, seed=seed + 1), torch.ones(3, 3).double()
    for dtype in ("bfloat16", "float32"):
        _, run = sylvester_with_info(A, B, C, plan=Plan(dtype=dtype))
        assert [one.endswith("raise refine, or take a higher precision") for one in run.warnings] == [True]
        _, refined = sylvester_with_info(A, B, C, plan=Plan(dtype=dtype), refine=4)
        assert not refined.warnings
        assert run.residual.max() > 10 * refined.residual.max()
    _, run = sylvester_with_info(A, B, C)
    assert [one.endswith("from normal: raise refine") for one in run.warnings] == [True]
    assert run.residual.max() <= 1e-11
    assert not sylvester_with_info(A, B, C, refine=4)[1].warnings
    A, B = mixed(1, 2, 1e-6, seed=0), mixed(1, 3, 1e-6, seed=1)
    problem = advised(lambda: sylvester(A, B, C, plan=Plan(dtype="bfloat16")))
    assert "which bfloat16 does not tell from 0" in problem
    (cure,) = re.findall(r"write plan=(Plan\(.*?\)), or take", problem)
    assert left(A, B, C, sylvester(A, B, C, plan=eval(cure, {"Plan": Plan}))) <= 1e-6


# Riccati


def test_riccati_equations_beyond_the_tables() -> None:
    """CAREX 17: 86 degrees off the real axis."""
    equation = carex.WRITTEN.get(17) or carex.in_file(17)
    if equation is None:
        pytest.skip("this scipy comes without its tests")
    A, B, Q, R = equation
    G = B @ np.linalg.solve(R, B.T)
    given = torch.tensor(A), torch.tensor((G + G.T) / 2), torch.tensor((Q + Q.T) / 2)
    said = advised(lambda: riccati(given[0], given[1], given[2]))
    assert "degrees off the real axis" in said
    X = code_of(said, {"A": A, "B": B, "Q": Q, "R": R})
    left_over = A.T @ X + X @ A - X @ G @ X + Q
    assert np.linalg.norm(left_over) <= 1e-6 * np.linalg.norm(X @ G @ X)


def test_a_hamiltonian_with_imaginary_eigenvalues() -> None:
    zero, eye = torch.zeros(2, 2).double(), torch.eye(2).double()
    said = advised(lambda: riccati(zero, eye, -eye))
    assert said.startswith("Its eigenvalue ")
    assert "no X makes A − GX stable" in said
    with pytest.raises(np.linalg.LinAlgError):
        scipy.linalg.solve_continuous_are(zero.numpy(), eye.numpy(), -eye.numpy(), eye.numpy())


def test_runs_say_it_too() -> None:
    said = advised(lambda: PrincipalSqrtAndInverseSqrt().run(turned(165)))
    assert "take scipy.linalg.sqrtm(A)" in said


# the sign itself


@pytest.mark.parametrize("degrees", [1, 3, 9, 44, 60, 74, 76, 79.5])
def test_signs_of_complex_eigenvalues_are_told_their_table(degrees: float) -> None:
    M = torch.block_diag(turned(degrees), -turned(degrees / 3), torch.eye(1).double())
    with pytest.raises(DivergenceError) as refused:
        mcsgn(M)
    (cure,) = re.findall(r"write table=(sector_table\(\d+\));", str(refused.value))
    X = mcsgn(M, eval(cure, {"sector_table": sector_table}))
    assert (X @ X - torch.eye(5)).norm() <= 1e-12
    assert (X - torch.diag(torch.tensor([1.0, 1, -1, -1, 1]))).norm() <= 1e-12


def test_signs_beyond_the_tables_are_not_told_to_take_one() -> None:
    M = turned(85)
    for table in (None, sector_table(80), sector_table(30)):
        with pytest.raises(DivergenceError, match="85 degrees off the real axis") as refused:
            mcsgn(M, table)
        assert "sector_table" not in str(refused.value)
        (cure,) = re.findall(r"take (scipy.*?);", str(refused.value))
        assert np.linalg.norm(eval(cure, {"scipy": scipy, "M": M.numpy()}) - np.eye(2)) <= 1e-12


def test_signs_far_from_normal() -> None:
    M, single = far_from_normal(100).float(), Plan(dtype="float32")
    with pytest.raises(DivergenceError, match=r"far from normal: write table=sector_table\(80\), or take"):
        mcsgn(M)
    assert (mcsgn(M, sector_table(80)) - torch.eye(12)).norm() <= 1e-5
    with pytest.raises(DivergenceError, match=r"far from normal: take scipy\.linalg\.signm") as refused:
        mcsgn(far_from_normal(1e3), sector_table(80), single)
    assert "sector_table" not in str(refused.value)


def test_a_sign_that_is_a_little_off_is_told_the_table() -> None:
    M = turned(0.3)
    (warning,) = mcsgn_with_info(M)[1].warnings
    assert "some eigenvalues of M may have begun" in warning
    (cure,) = re.findall(r"write table=(sector_table\(80\))", warning)
    assert not mcsgn_with_info(M, eval(cure, {"sector_table": sector_table}))[1].warnings

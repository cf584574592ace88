"""Complex matrices, against the same in complex128: what the operators run, and what refusals say instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from polydesign.model import DivergenceError, InputError, Plan
from polydesign.runtime import (
    bilinear,
    column_row,
    inverse,
    inverse_root,
    lower_solve,
    matmul_inverse_root,
    monarch_apply,
    monarch_dense,
    monarch_project,
    msign_differentiable,
    root,
    sqrt_and_inverse_sqrt,
    triangular_inverse,
    two_sided_inverse_root,
)

pytestmark = pytest.mark.numerics

WIDE = torch.complex128


def random(*shape: int, seed: int, dtype: torch.dtype = WIDE) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# what is refused


def told(call: Callable[..., Any], *data: Any) -> str:
    """What to write, of a refusal that does not speak of a matrix of twice the sides."""
    with pytest.raises(InputError, match="must be real here, not complex128") as refusal:
        call(*data)
    assert "same singular values" not in refusal.value.problem
    return refusal.value.problem.partition(": write ")[2]


def near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


def test_triangular_ones_are_solved_by_what_is_written_instead(seed: int) -> None:
    n, names = 12, {"torch": torch}
    T = random(n, n, seed=seed) + 4 * torch.eye(n)
    found = eval(told(triangular_inverse, T), names | {"T": T})
    near(found @ T.tril(), torch.eye(n, dtype=WIDE))
    diagonal, Q, K, V = T.diagonal(), T[:, :3], T[:, 3:6], T[:, 6:]
    write = told(lower_solve, diagonal, Q, K, V).partition(", with all four")[0]
    found = eval(write, names | {"diagonal": diagonal, "Q": Q, "K": K, "V": V})
    rest = torch.stack([V[i] - sum((Q[i] @ K[j]) * found[j] for j in range(i)) for i in range(n)])
    near(found * diagonal[:, None], rest)
    real = [M.real for M in (diagonal, Q, K, V)]
    for place in range(4):  # one complex argument of four says the same
        mixed = [M.to(WIDE) if k == place else M for k, M in enumerate(real)]
        assert told(lower_solve, *mixed).startswith(write)


@pytest.mark.parametrize("how", ["largest", "sampled"])
def test_columns_and_rows_are_chosen_by_what_is_written_instead(how: str, seed: int) -> None:
    m, p, n = 6, 15, 5
    X, Y = random(m, p, seed=seed), random(p, n, seed=seed + 1)
    choice, _, product = told(column_row, X, Y, p, how).partition(" for X and Y")
    choice, product = choice.removeprefix("found = "), product.partition("XY is near ")[2]
    lengths = X.norm(dim=0) * Y.norm(dim=1)
    for k in (4, p):
        names: dict[str, Any] = {"torch": torch, "column_row": column_row, "X": X, "Y": Y, "k": k, "how": how}
        torch.manual_seed(seed)
        names["found"] = eval(choice, names)
        indices = names["found"].indices
        weights = torch.ones(k, dtype=torch.float64)
        if how == "sampled":
            weights = lengths.sum() / (k * lengths[indices])
        else:
            assert set(indices.tolist()) == set(lengths.topk(k).indices.tolist())
        near(eval(product, names), (X[:, indices] * weights) @ Y[indices])


def test_monarch_matrices_are_applied_by_what_is_written_instead(seed: int) -> None:
    j, h, k, i = 3, 2, 4, 5
    L, R, X = random(j, h, k, seed=seed), random(k, j, i, seed=seed + 1), random(k * i, 3, seed=seed + 2)
    M = torch.zeros(h, j, k, i, dtype=WIDE)
    for a in range(j):
        for b in range(k):
            M[:, a, b] = torch.outer(L[a, :, b], R[b, a])
    M = M.reshape(h * j, k * i)
    for call in (monarch_dense, lambda L, R: monarch_apply(L, R, X)):
        near(eval(told(call, L, R).partition(" for L and R")[0], {"torch": torch, "L": L, "R": R}), M)
    names = {"torch": torch, "monarch_apply": monarch_apply, "L": L.real, "R": R.real, "X": X}
    dense = monarch_dense(L.real, R.real)
    near(eval(told(monarch_apply, L.real, R.real, X), names), dense.to(WIDE) @ X)
    first, _, second = told(monarch_project, M).partition(", the nearest")[0].partition(" and ")
    names = {"monarch_project": monarch_project, "M": M}
    for write, part in ((first, M.real), (second, M.imag)):
        for found, expected in zip(eval(write, names), monarch_project(part.clone()), strict=True):
            assert torch.equal(found, expected)


def test_steps_of_complex_systems_are_those_of_the_real_one(seed: int) -> None:
    n, step = 5, 0.1
    A, B = random(n, n, seed=seed), random(n, 2, seed=seed + 1, dtype=torch.float64)
    with pytest.raises(InputError, match="must be real here") as refusal:
        bilinear(A, B, step)
    write = refusal.value.problem.partition("twice their sides, ")[2].partition(" for Z")[0]
    real = [eval(write, {"torch": torch, "Z": M.to(WIDE)}) for M in (A, B)]
    T = torch.eye(n) - step / 2 * A
    expected = torch.linalg.solve(T, torch.eye(n) + step / 2 * A), torch.linalg.solve(T, step * B.to(WIDE))
    for found, exact in zip(bilinear(real[0], real[1], step, refine=2), expected, strict=True):
        m, p = exact.shape
        near(torch.complex(found[:m, :p], found[m:, :p]), exact)


# damping


DIVISORS: dict[str, Callable[[Tensor], Tensor]] = {
    "frobenius": lambda a: a.square().sum(-1).sqrt(),
    "schatten4": lambda a: (a**4).sum(-1) ** 0.25,
    "schatten8": lambda a: (a**8).sum(-1) ** 0.125,
    "power": lambda a: torch.minimum(1.1 * a.amax(-1), (a**4).sum(-1) ** 0.25),
    "none": lambda a: torch.ones_like(a[..., 0]),
}
"""What the normalizations are defined as, of the eigenvalues (..., n)."""

SPECTRA = torch.tensor([[1.0] + [0.6] * 6 + [0.001], [0.3] + [0.01] * 6 + [0.001], [1.0, 0.5] + [0.05] * 6])
"""Largest values of which `power` finds by its estimate, by (Σλ⁴)^(1/4), and, of a complex matrix alone, by that."""

POWERS: dict[str, tuple[Callable[..., Any], tuple[float, ...]]] = {
    "inverse": (lambda P, **how: inverse(P, **how), (-1.0,)),
    "inverse_root": (lambda P, **how: inverse_root(P, 4, **how), (-0.25,)),
    "root": (lambda P, **how: root(P, 2, **how), (0.5,)),
    "both": (lambda P, **how: sqrt_and_inverse_sqrt(P, **how), (0.5, -0.5)),
    "matmul": (lambda P, **how: matmul_inverse_root(torch.eye(8).expand(P.shape), P, 2, **how), (-0.5,)),
    "two sides": (
        lambda P, **how: two_sided_inverse_root(P, torch.eye(8).expand(P.shape), P, 4, **how),
        (-0.5,),
    ),
}


def hermitian(seed: int) -> tuple[Tensor, Tensor]:
    """Matrices of these spectra, and their eigenvectors."""
    Q = torch.linalg.qr(random(len(SPECTRA), 8, 8, seed=seed))[0]
    return (Q * SPECTRA[:, None].double()) @ Q.mH, Q


@pytest.mark.parametrize("normalization", DIVISORS)
def test_eps_is_relative_to_the_norm_of_the_complex_matrix(normalization: str, seed: int) -> None:
    """The tables err by less than a tenth of a percent here, and an eighth root of two is nine percent of eps."""
    (P, Q), values = hermitian(seed), SPECTRA.double()
    plan = Plan(normalization=normalization)  # pyright: ignore[reportArgumentType]
    for eps in (0.1, torch.tensor([0.1, 0.02, 0.3])):
        damping = torch.as_tensor(eps).double() * DIVISORS[normalization](values)
        for name, (call, powers) in POWERS.items():
            found = call(P.to(torch.complex64), plan=plan, eps=eps)
            for one, power in zip(found if isinstance(found, tuple) else (found,), powers, strict=True):
                expected = (Q * ((values + damping[:, None]) ** power)[:, None]) @ Q.mH
                off = torch.linalg.matrix_norm(one - expected) / torch.linalg.matrix_norm(expected)
                assert off.max() < 3e-3, (name, power, eps)


def test_eps_of_a_real_matrix_beside_a_complex_one(seed: int) -> None:
    """It stands for itself in the matrix of twice its sides."""
    P, G = torch.diag_embed(SPECTRA), random(len(SPECTRA), 3, 8, seed=seed, dtype=torch.complex64)
    size = torch.linalg.matrix_norm(P.double(), keepdim=True)[..., 0]
    expected = G / (SPECTRA + 0.1 * size)[:, None]
    torch.testing.assert_close(
        matmul_inverse_root(G, P, 1, eps=0.1), expected.to(G.dtype), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("shape", [(4, 6), (6, 4)])
def test_eps_of_the_differentiable_sign(shape: tuple[int, int], seed: int) -> None:
    """Against W (WᴴW + ε²I)^(−1/2) and its derivative, by eigenvalues, in complex128."""
    M, D = random(*shape, seed=seed), random(*shape, seed=seed + 1)

    def exact(M: Tensor) -> Tensor:
        wide = M if shape[0] <= shape[1] else M.mH
        values, vectors = torch.linalg.eigh(wide @ wide.mH)
        values = values + 0.3**2 * values.sum()
        found = (vectors * values.rsqrt()) @ vectors.mH @ wide
        return found if shape[0] <= shape[1] else found.mH

    results = []
    for function in (lambda M: msign_differentiable(M, eps=0.3), exact):
        leaf = M.clone().requires_grad_()
        found = function(leaf)
        (found * D.conj()).real.sum().backward()
        assert leaf.grad is not None
        results.append((found.detach(), leaf.grad))
    for found, expected in zip(*results, strict=True):
        assert torch.linalg.matrix_norm(found - expected) < 1e-3 * torch.linalg.matrix_norm(expected)


def test_eps_that_is_proposed_is_enough(seed: int) -> None:
    Q = torch.linalg.qr(random(8, 8, seed=seed))[0]
    values = torch.tensor([1.0] * 7 + [-0.2], dtype=torch.float64)
    P = (Q * values) @ Q.mH
    with pytest.raises((InputError, DivergenceError), match="eps=") as problem:
        inverse_root(P, 2)
    (eps,) = map(float, re.findall(r"eps=([0-9.e-]*[0-9])", str(problem.value)))
    damped = values + eps * values.norm()
    expected = (Q * damped.rsqrt()) @ Q.mH
    found = inverse_root(P, 2, eps=eps)
    assert torch.linalg.matrix_norm(found - expected) < 1e-2 * torch.linalg.matrix_norm(expected)

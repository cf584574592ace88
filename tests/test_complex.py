"""Complex matrices, against the same in complex128: what the operators run, and what refusals say instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from polydesign.model import InputError
from polydesign.runtime import (
    bilinear,
    column_row,
    lower_solve,
    monarch_apply,
    monarch_dense,
    monarch_project,
    triangular_inverse,
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

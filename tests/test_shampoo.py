"""The recipe of docs/training.md, beside roots by decompositions in float64, and what the page says that fails."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from pages import ROOT, blocks
from torch import Tensor

from polydesign import InputError, Plan, PromiseWarning
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime import InverseRoot

pytestmark = pytest.mark.numerics


def recipe() -> Any:
    """The class as the page has it."""
    (block,) = (text for _, text in blocks(ROOT / "docs" / "training.md") if "class Shampoo" in text)
    names: dict[str, Any] = {"torch": torch}
    exec(block.partition("\ndef left_over")[0], names)
    return names["Shampoo"]


def exact_root(P: Tensor, eps: float) -> Tensor:
    """(P + eps·‖P‖_F·I)^(-1/4) in float64."""
    P = P.double()
    values, Q = torch.linalg.eigh(P + eps * torch.linalg.matrix_norm(P) * torch.eye(len(P), dtype=P.dtype))
    return (Q * values**-0.25) @ Q.T


def gradients(kind: str, seed: int, steps: int) -> list[Tensor]:
    """Of a least squares problem, of rank 1, and of sides that differ much."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    if kind == "rank 1":
        return [draw(12, 1) @ draw(1, 7) for _ in range(steps)]
    if kind == "thin":
        return [draw(40, 3) for _ in range(steps)]
    A, B, X = draw(30, 12), draw(30, 7), draw(12, 7)
    return [A.T @ (A @ (X * 0.9**k) - B) / 30 for k in range(steps)]


@pytest.mark.parametrize("kind", ["least squares", "rank 1", "thin"])
@pytest.mark.parametrize("refresh", [1, 3])
def test_steps_are_those_of_exact_roots(kind: str, refresh: int, seed: int) -> None:
    """Within the table's error and what rounding P of condition 1/eps takes, of each root."""
    eps, lr, beta = 1e-4, 0.5, 0.9
    found = gradients(kind, seed, 4)
    p = torch.nn.Parameter(torch.zeros(found[0].shape))
    optimizer = recipe()([p], lr=lr, beta=beta, eps=eps, refresh=refresh)
    L, R = (torch.zeros(n, n) for n in p.shape)
    left = right = torch.zeros(0)
    for step, G in enumerate(found):
        L, R = beta * L + (1 - beta) * G @ G.T, beta * R + (1 - beta) * G.T @ G
        if step % refresh == 0:
            left, right = exact_root(L, eps), exact_root(R, eps)
        before, p.grad = p.detach().clone(), G.clone()
        optimizer.step()
        moved, goal = (before - p.detach()).double(), lr * left @ G.double() @ right
        size = lr * torch.linalg.matrix_norm(left, 2) * G.double().norm() * torch.linalg.matrix_norm(right, 2)
        assert (moved - goal).norm() <= 2 * (1e-4 + UNIT_ROUNDOFF["float32"] / eps) * size
        assert goal.norm() > 0.007 * size  # the control: a step of nothing is five times as far
    assert optimizer.state[p]["step"] == 4


def test_layers_without_a_gradient_stay(seed: int) -> None:
    p = torch.nn.Parameter(torch.ones(3, 2))
    p.grad = torch.zeros(3, 2)
    optimizer = recipe()([p])
    optimizer.step()
    assert torch.equal(p, torch.ones(3, 2))


def test_what_the_page_says_that_fails(seed: int) -> None:
    x = torch.randn((2, 8, 3), generator=torch.Generator().manual_seed(seed))
    P = x @ x.mT
    zero, broken = P.clone(), P.clone()
    zero[1], broken[1, 2, 2] = 0.0, torch.nan
    with pytest.raises(InputError, match=r"zero matrix.*P\[1\]"):
        InverseRoot(4, eps=1e-4)(zero)
    with pytest.raises(InputError, match=r"^P\[1\].*NaN"):
        InverseRoot(4, eps=1e-4)(broken)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises((PromiseWarning, InputError)):
            InverseRoot(4, plan=Plan("float32", check="warn"))(P)
        assert InverseRoot(4, eps=1e-4, plan=Plan("float32", check="warn"))(P).isfinite().all()
        assert torch.linalg.matrix_rank(InverseRoot(4, rank_rtol=1e-3)(P), rtol=1e-3).tolist() == [3, 3]

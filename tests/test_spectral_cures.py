"""What refusals of functions with a threshold propose is done here, and works."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import polydesign
from polydesign.model import InputError, Plan
from polydesign.runtime import spectral_relu, spectral_step, spectral_truncate

pytestmark = pytest.mark.numerics


def known(smallest: float, clear_of: float, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """M, U, σ, V with σ from 1 down, none within a tenth of a threshold."""
    generator = torch.Generator().manual_seed(seed)
    sigma = torch.logspace(0, float(torch.tensor(smallest).log10()), 24, dtype=torch.float64)
    sigma = sigma[(sigma / clear_of - 1).abs() > 0.1]
    U, V = (
        torch.linalg.qr(torch.randn((n, len(sigma)), generator=generator, dtype=torch.float64)).Q
        for n in (40, 30)
    )
    return U @ torch.diag(sigma) @ V.mT, U, sigma, V


def said(call: Callable[[], object], field: str = "threshold") -> str:
    with pytest.raises(InputError) as refused:
        call()
    assert refused.value.field == field
    return refused.value.problem


def arguments(problem: str) -> dict[str, Any]:
    """The keyword arguments that a cure spells out."""
    (cure,) = re.findall(r"(?:write|give) ((?:formula|plan|table)=.*?)(?:, or write .*)?$", problem)
    return eval(f"dict({cure})", {"Plan": Plan, "polydesign": polydesign})


STEPS: dict[str, tuple[Callable[..., Tensor], Callable[[Tensor, float], Tensor]]] = {
    "step": (spectral_step, lambda sigma, threshold: (sigma > threshold).double()),
    "truncate": (spectral_truncate, lambda sigma, threshold: torch.where(sigma > threshold, sigma, 0.0)),
}


@pytest.mark.few(5)
@pytest.mark.parametrize(
    ("dtype", "threshold"),
    [("bf16", 1e-4), ("fp16", 7e-5), ("fp32", 3e-5), ("fp64", 1e-5), ("bf16", 6e-6)],
)
@pytest.mark.parametrize("name", STEPS)
def test_thresholds_below_the_clip_tables(name: str, dtype: str, threshold: float, seed: int) -> None:
    run, exact = STEPS[name]
    M, U, sigma, V = known(threshold / 10, threshold, seed)
    problem = said(lambda: run(M, threshold, plan=Plan(dtype=dtype)))
    found = run(M, threshold, **arguments(problem))
    right = U @ torch.diag(exact(sigma, threshold)) @ V.mT
    assert torch.linalg.matrix_norm(found.double() - right, 2) <= 2e-3 * max(1.0, right.norm().item() / 5)


def test_no_table_is_proposed_where_none_can_be_made(seed: int) -> None:
    M, *_ = known(1e-8, 1e-7, seed)
    problem = said(lambda: spectral_step(M, 1e-7))
    assert problem.endswith("take torch.linalg.svd")
    with pytest.raises(InputError, match="lower"):  # the control
        polydesign.design(degree=9, error=1e-6, lower=1e-15, dtype="float64")


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("dtype", "allowed"), [("fp32", 1e-6), ("fp64", 1e-6), ("fp16", 1e-3), ("bf16", 8e-3)]
)
def test_relu_names_its_own_argument_and_a_table_that_serves(dtype: str, allowed: float, seed: int) -> None:
    threshold = 4e-5
    M, U, sigma, V = known(threshold / 10, threshold, seed)
    problem = said(lambda: spectral_relu(M, threshold, plan=Plan(dtype=dtype)))
    found = spectral_relu(M, threshold, plan=Plan(dtype=dtype), **arguments(problem))
    right = U @ torch.diag((sigma - threshold).clamp(min=0)) @ V.mT
    assert torch.linalg.matrix_norm(found.double() - right, 2) <= allowed + 0.2 * threshold
    assert "Plan(dtype='float32')" not in problem  # whose tables do not go down so far
    high = said(lambda: spectral_relu(M, 1e-3, polydesign.load("clip-d9x3-l0.1-bf16")))
    assert "take a table with a smaller lower end, or no table" in high
    assert torch.isfinite(spectral_relu(M, 1e-3)).all()


def test_relu_in_float32_is_proposed_where_its_tables_reach(seed: int) -> None:
    M, U, sigma, V = known(1e-5, 1.5e-4, seed)
    problem = said(lambda: spectral_relu(M, 1.5e-4, plan=Plan(dtype="bf16")))
    (cure,) = re.findall(r", or write (Plan\(.*?\))$", problem)
    found = spectral_relu(M, 1.5e-4, plan=eval(cure, {"Plan": Plan}))
    right = U @ torch.diag((sigma - 1.5e-4).clamp(min=0)) @ V.mT
    assert torch.linalg.matrix_norm(found.double() - right, 2) <= 1e-4

"""What is timed: matrices, contestants, and how wrong a result is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from references import published
from tables import prototype

from polydesign.program.cost import matmuls
from polydesign.runtime import inverse_root_with_info
from polydesign.verification.bench import matrices, worst_deviation
from polydesign.verification.contestants import OPERATORS, contestants, table_for
from polydesign.verification.spectra import from_matrix

QUINTICS = prototype("quintics_18")
EVERYONE = [(operator, name) for operator, entry in OPERATORS.items() for name in entry.contestants]


def test_matrices() -> None:
    M = matrices("msign", (6, 10), 3, dtype="float32", seed=5)
    assert M.shape == (3, 6, 10)
    assert torch.equal(M[1], matrices("msign", (6, 10), 1, dtype="float32", seed=6))
    assert not torch.equal(M[0], M[1])
    P = matrices("inverse", (8, 8), 2, dtype="bfloat16", seed=0)
    assert torch.equal(P, P.mT)
    assert torch.linalg.eigvalsh(P.double()).min() > 0


@pytest.mark.parametrize(("operator", "name"), EVERYONE)
@pytest.mark.parametrize("batch", [1, 2])
def test_a_contestant_keeps_shape_and_input(operator: str, name: str, batch: int, device: str) -> None:
    table = table_for(operator, None, dtype="bfloat16")
    shape = (9, 6) if operator == "msign" else (6, 6)
    M = matrices(operator, shape, batch, dtype="bfloat16", seed=1).to(device)
    before = M.clone()
    result = contestants(operator)[name](M, table)
    assert result.shape == M.shape
    assert result.dtype == M.dtype
    assert torch.equal(M, before)


@pytest.mark.parametrize("steps", [2, 6, 10])
def test_the_listing_is_the_paper_s(steps: int) -> None:
    """On a diagonal matrix it is a map of numbers; 1.01 is folded into all rows but the last, and the norm."""
    repeated = tuple(QUINTICS.schedule.steps[-1] for _ in range(steps))
    table = replace(QUINTICS, schedule=replace(QUINTICS.schedule, steps=repeated))
    sigma = torch.tensor([1.0, 0.3, 0.04], dtype=torch.float64)
    result = contestants("msign")["polar-express"](torch.diag(sigma), table)

    def mapped(fold: float) -> np.ndarray:
        rows = [tuple(map(float, row)) for row in published("polar_express_deg5")["coefficients"]]
        rows = [(a / fold, b / fold**3, c / fold**5) for a, b, c in rows[:-1]] + rows[-1:]
        x = sigma.numpy() / (np.linalg.norm(sigma.numpy()) * 1.01 + 1e-7)
        for a, b, c in (rows + rows[-1:] * steps)[:steps]:
            x = a * x + b * x**3 + c * x**5
        return x

    # Slopes of the first rows multiply to less than 1e4 here, and a step rounds by a few 1e-15.
    assert np.abs(result.diagonal().numpy() - mapped(1.01)).max() < 1e-10
    assert np.abs(result.diagonal().numpy() - mapped(1.0)).max() > 1e-5 or steps == 10


@pytest.mark.parametrize(
    ("operator", "root"), [("inverse_root", 4), ("inverse_root", 2), ("root", 2), ("inverse", 1)]
)
def test_the_error_of_a_root_is_relative(operator: str, root: int) -> None:
    table = table_for(operator, None, dtype="float32", root=root)
    P = matrices(operator, (12, 12), 1, dtype="float64", seed=3)
    known = from_matrix(P, "P")
    eigenvalues, Q = torch.linalg.eigh(P)
    exponent = OPERATORS[operator].exponent
    assert exponent is not None
    power = eigenvalues ** exponent(root)
    exact = (Q * power) @ Q.mT

    def worst(X: torch.Tensor) -> float:
        return worst_deviation(X, operator, table, known) or 0.0

    rounding = 12 * float(eigenvalues[-1] / eigenvalues[0]) * 2.0**-50
    assert worst(exact) < rounding
    assert worst(1.01 * exact) == pytest.approx(0.01, abs=rounding)
    # The eigenvalue that the smallest of P became, alone: as bad as any other.
    for index in (0, -1):
        changed = power.clone()
        changed[index] *= 1.01
        assert worst((Q * changed) @ Q.mT) == pytest.approx(0.01, abs=rounding)
    assert worst(-exact) == pytest.approx(2, abs=rounding)


def test_products_are_those_that_run() -> None:
    P = matrices("inverse_root", (6, 6), 1, dtype="float32", seed=0)
    for root in (1, 2, 4):
        table = table_for("inverse_root", None, dtype="float32", root=root)
        _, info = inverse_root_with_info(P, root, table=table)
        assert OPERATORS["inverse_root"].products(table.schedule) == info.matmuls
    assert OPERATORS["msign"].products(QUINTICS.schedule) == matmuls(QUINTICS.schedule) == 18

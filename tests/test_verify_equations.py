"""The Lyapunov equation in verify: what a table does to X, judged against its promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import polydesign
from polydesign.model import InputError
from polydesign.runtime import lyapunov
from polydesign.verify import equations
from polydesign.verify.metrics import lyapunov_by_eigenvectors
from polydesign.verify.sweep import measure

TABLES = {
    "bfloat16": "sign-d5x6-l0.01-bf16",
    "float16": "sign-d5x6-l1e-3-fp16",
    "float32": "sign-d5x7-l1e-3-fp32",
    "float64": "sign-d5x8-l1e-3-fp64",
}


@pytest.mark.parametrize("spectrum", ["gaussian", "logspace:1e-2", "levels"])
@pytest.mark.parametrize("dtype", TABLES)
def test_tables_hold_and_a_wrong_result_does_not(
    dtype: str, spectrum: str, seed: int, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = polydesign.load(TABLES[dtype])

    def measured():
        return measure(
            table,
            shape=(32, 32),
            dtype=dtype,
            spectrum=spectrum,
            seed=seed,
            device=device,
            operator="lyapunov",
        )

    found = measured()
    assert found.holds
    assert found.worst is not None
    assert found.count > 0
    assert found.operator == "lyapunov"
    assert found.input_share is None or found.input_share <= found.allowed

    def off(*arguments: object, **keywords: object) -> Tensor:
        X = lyapunov(*arguments, **keywords)  # pyright: ignore[reportArgumentType]
        return X + 2 * found.allowed * torch.eye(X.shape[-1], dtype=X.dtype, device=X.device)

    monkeypatch.setattr(equations, "lyapunov", off)
    assert not measured().holds


def test_the_map_is_the_schedule(seed: int) -> None:
    """Also below the interval, and step by step: X has f(λ/ν) in P's eigenvectors."""
    table = polydesign.load("sign-d5x6-l1e-3-bf16")
    found = measure(
        table,
        shape=(24, 24),
        dtype="float64",
        spectrum="logspace:1e-5",
        seed=seed,
        operator="lyapunov",
        steps=True,
    )
    assert found.map is not None
    np.testing.assert_allclose(np.array(found.map.measured, float), found.map.predicted, rtol=1e-8)
    assert found.below_count > 0
    for after in found.after_steps:
        assert after.measured is not None
        # On the interval they are samples of the image.
        assert (
            after.predicted[0] - 1e-9 <= after.measured[0] <= after.measured[1] <= after.predicted[1] + 1e-9
        )
    assert len(found.after_steps) == 6


def test_the_reference_solves_the_equation(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    M, C = torch.randn(2, 3, 7, 7, generator=generator, dtype=torch.float64)
    P = M @ M.mT + torch.eye(7)
    X = lyapunov_by_eigenvectors(P, C)
    assert X is not None
    assert torch.linalg.matrix_norm(P @ X + X @ P - C).max() <= 1e-12
    torch.testing.assert_close(lyapunov(P, C, refine=1), X, rtol=1e-10, atol=1e-12)
    assert lyapunov_by_eigenvectors(P - 1e3 * torch.eye(7), C) is None


def test_refused() -> None:
    table = polydesign.load("inverse-m11-l1e-4-fp32")
    with pytest.raises(InputError, match=r"^operator: lyapunov does not go with a table of root 1"):
        measure(table, shape=(8, 8), dtype="float32", operator="lyapunov")
    bare = replace(polydesign.load("sign-d5x8-l1e-3-fp64"), normalization="aol")
    with pytest.raises(InputError, match="aol"):
        measure(bare, shape=(8, 8), dtype="float64", operator="lyapunov")

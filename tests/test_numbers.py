"""Numbers of NumPy and fractions are numbers: what they give is what Python's own of the same value gives."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

import polydesign
from polydesign.model import InputError, Plan, check_integer, check_number
from polydesign.optim import Muon
from polydesign.runtime import (
    bilinear,
    column_row,
    inverse_root,
    lower_solve,
    monarch_project,
    msign_differentiable,
    soft_clip,
    spectral_clip,
)

pytestmark = pytest.mark.numerics

S = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
P = S @ S.mT + torch.eye(8)
ROWS = [(3.4445, -4.775, 2.0315)] * 5


def _moved(F: Any, N: Any) -> Any:
    p = torch.nn.Parameter(S.clone())
    p.grad = S.clone()
    step = Muon([p], lr=F(0.125), momentum=F(0.5), weight_decay=F(0.125), ns_steps=N(5), split=(N(2), N(6)))
    step.step()
    (group,) = step.state_dict()["param_groups"]
    assert {type(group[name]) for name in ("lr", "momentum", "weight_decay", "eps")} == {float}
    assert type(group["ns_steps"]) is int
    return p.detach()


CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "clip": lambda F, N: spectral_clip(S, low=F(-1), high=F(3)),
    "soft_clip": lambda F, N: soft_clip(S, F(2)),
    "root": lambda F, N: inverse_root(P, N(4), N(1), eps=F(0.125), rank_rtol=F(0.125)),
    "differentiable": lambda F, N: msign_differentiable(S, eps=F(0.125)),
    "column_row": lambda F, N: column_row(S, S, N(3)).product(),
    "monarch": lambda F, N: monarch_project(P, (N(2), N(2)))[0],
    "solve": lambda F, N: lower_solve(torch.ones(8), S, S, S, chunk=N(3)),
    "bilinear": lambda F, N: bilinear(P, P, F(0.125), refine=N(2))[0],
    "matmuls": lambda F, N: repr(Plan("bf16", matmuls=N(15), float32_side=N(3), every=N(1))),
    "error": lambda F, N: repr(Plan(error=F(0.125), blockwise=(N(2), N(3)))),
    "restarts": lambda F, N: repr(Plan(form="gram", restarts=(N(2),))),
    "fold": lambda F, N: polydesign.fold("jordan_5", F(1.0625)).schedule.rows,
    "rows": lambda F, N: polydesign.from_rows(ROWS, lower=F(0.0625)).schedule.interval,
    "muon": _moved,
}


@pytest.mark.parametrize("name", CALLS)
def test_numbers_of_numpy_are_numbers(name: str) -> None:
    """Each of these values is one of float32 too."""
    found, expected = CALLS[name](np.float32, np.int64), CALLS[name](float, int)
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected)
        assert found.dtype == expected.dtype
    else:
        assert repr(found) == repr(expected)


def test_what_is_kept_is_of_python() -> None:
    for given, kept in (
        (np.float32(0.5), 0.5),
        (np.int16(3), 3),
        (Fraction(1, 2), 0.5),
        (np.float64(2), 2.0),
    ):
        found = check_number("x", given)
        assert type(found) is type(kept)
        assert found == kept
    assert type(check_integer("x", np.uint8(7), 1)) is int
    for value in (True, np.bool_(True), np.float32("nan"), np.float32("inf"), Fraction(10**400), "1", 1j):
        with pytest.raises(InputError, match="must be a finite number"):
            check_number("x", value)
    for value in (True, np.bool_(True), np.float32(3), np.int64(0), 3.0):
        with pytest.raises(InputError, match="must be a whole number of at least 1"):
            check_integer("x", value, 1)

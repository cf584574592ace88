"""Mistakes that were put into the code on purpose, and that no other test noticed: each has one here.

What only looks like a small constant decides whether a bound holds, or whether something is refused.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import polydesign
from polydesign.model import InputError
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.gram import choose_restarts, limit, shift, simulate
from polydesign.rounding.perturbed import RandomRounding, perturbed_sign
from polydesign.runtime import inverse_root, sqrt_and_inverse_sqrt
from polydesign.runtime.checks import check_symmetric
from polydesign.runtime.normalize import NORMALIZATIONS
from polydesign.runtime.root_evidence import of_inverse, of_root
from polydesign.runtime.surroundings import _complex, embedded, seen
from polydesign.verification import sweep
from polydesign.verification.cases import Case
from polydesign.verification.expected import DRAWS, MARGIN, cases, distance
from polydesign.verification.sweep import measure

pytestmark = pytest.mark.numerics


def norm2(X: Tensor) -> Tensor:
    return torch.linalg.matrix_norm(X.double(), ord=2)


# Normalizations


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["schatten4", "schatten8", "aol"])
def test_a_norm_is_a_bound_where_all_entries_round_down(name: str, dtype: torch.dtype) -> None:
    """(1 + u) makes up for what Y and A lose together, (1 − u)(1 − u/2): at most u/2 is left. Without it
    equal entries of some shapes lose more."""
    u = UNIT_ROUNDOFF[str(dtype).removeprefix("torch.")]
    losses = []
    for m in (1, 2, 3, 5, 7, 12, 24, 48):
        for n in (m, m + 1, 2 * m, 64):
            M = torch.ones(m, n, dtype=torch.float64)
            found = NORMALIZATIONS[name](M, dtype)
            losses.append((1 - found.norm() / norm2(M)).item() / u)
            assert losses[-1] <= 0.5 + (m + n) * 2.0**-24 / u
    # The control, without (1 + u); in bfloat16 few shapes have roundings that agree so well.
    assert dtype is torch.bfloat16 or max(losses) + 1 > 0.5 + 112 * 2.0**-24 / u


@pytest.mark.parametrize("rows", [2, 5, 16])
def test_aol_is_a_bound_where_gram_entries_underflow(rows: int) -> None:
    """Rows so small that each entry of A is 1.49 times the smallest float16, and is rounded down to it."""
    tiny = torch.finfo(torch.float16).smallest_normal * torch.finfo(torch.float16).eps
    M = torch.zeros(rows + 1, rows + 2, dtype=torch.float64)
    M[0, 0] = 1.0
    M[1:, 1:] = (1.49 * tiny / (rows + 1)) ** 0.5 / 2.0**7
    found = NORMALIZATIONS["aol"](M, torch.float16)
    assert norm2(found.matrix) <= 1 + 4 * UNIT_ROUNDOFF["float16"]
    assert norm2(found.matrix[1:]) > 0.9  # the small rows are what the bound is about


# Restarts of the gram form


def test_restarts_look_at_values_below_the_interval() -> None:
    """Six quintics for [0.5, 1] without restarts hold there, and what began below is thrown far above 1."""
    schedule = polydesign.design(degree=5, steps=6, lower=0.5).schedule
    assert simulate(schedule, (), shift("bfloat16")).error > 1 > limit(schedule, "bfloat16")
    chosen = choose_restarts(schedule, "bfloat16")
    assert chosen
    assert simulate(schedule, chosen, shift("bfloat16")).error <= limit(schedule, "bfloat16")
    on_it = 0.5 + 0.5 * np.linspace(0, 1, 1000)  # the control: on the interval nothing is seen without any
    q, r = np.ones_like(on_it), on_it**2 - shift("bfloat16")
    for step in schedule.steps:
        z = np.polynomial.polynomial.polyval(r, step.coefficients)
        q, r = q * z, r * z * z
    assert np.max(np.abs(on_it * q - 1)) < limit(schedule, "bfloat16")


# What rounding is allowed


def test_a_kit_allows_roundings_that_agree() -> None:
    """They go further than independent ones, and a code whose roundings agree is right all the same."""
    table = polydesign.load("sign-d5x5-l1e-3-bf16")
    case = next(case for case in cases(table) if case.name == "tall")
    given, norm = case.input.T, float(np.linalg.norm(case.input))
    worst = {}
    for agreeing in (False, True):
        generator = np.random.default_rng(1)
        draws = [RandomRounding("float32", generator, coherent=agreeing) for _ in range(DRAWS)]
        runs = [perturbed_sign(given, norm, table.schedule, draw).T for draw in draws]
        worst[agreeing] = max(distance(found, case.expected) for found in runs)
    allowed = case.tolerance["float32"]
    assert allowed is not None
    assert worst[True] > MARGIN * worst[False]  # the control: independent ones alone would not excuse it
    assert worst[True] <= allowed


def test_what_the_metrics_round_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """n·2⁻⁵² beside promise and rounding: values found from a result in float64 are no better than that."""
    judged = sweep._judged

    def unexplained(setting: Any, case: Case, *which: Tensor) -> Any:
        return judged(setting, replace(case, explained=lambda _: 0.0), *which)

    monkeypatch.setattr(sweep, "_judged", unexplained)
    table = polydesign.load("sign-d5x6-l1e-3-bf16")
    for shape in ((24, 40), (96, 32)):
        found = measure(table, shape=shape, dtype="float64", spectrum="gaussian")
        assert found.allowed == found.promised + max(shape) * 2.0**-52 > found.promised


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("n", [2, 9])
def test_what_is_called_symmetric(dtype: torch.dtype, n: int) -> None:
    """8·u + n·v of the largest entry: half of it passes, twice is refused."""
    u = UNIT_ROUNDOFF[str(dtype).removeprefix("torch.")]
    allowed = 8 * u + n * min(u, 2.0**-24)
    P = torch.eye(n, dtype=torch.float64)
    P[0, 1] = 0.5 * allowed
    check_symmetric("P", P.to(dtype))
    P[0, 1] = 2 * allowed
    with pytest.raises(InputError, match="is not symmetric"):
        check_symmetric("P", P.to(dtype))


# What a file says of its error


@pytest.mark.parametrize("factor", [1 - 1e-4, 1 - 1e-9, 1 + 1e-9, 1 + 1e-4])
def test_a_bracket_beside_the_error_is_refused(factor: float) -> None:
    table = polydesign.load("sign-d5x5-l1e-3-bf16")
    assert table.certificate is not None
    body = polydesign.table.to_json(table)
    moved = repr(float(table.certificate.error[0]) * factor)
    body["certificate"]["error"] = [moved, moved]
    with pytest.raises(InputError, match=r"^\$\.certificate\.error: "):
        polydesign.table.from_json(body)
    assert replace(table) == polydesign.table.from_json(polydesign.table.to_json(table))


# What is told of a result


def _spd(eigenvalues: list[float], seed: int = 0) -> tuple[Tensor, Tensor]:
    """P in float64, and its eigenvectors."""
    generator = torch.Generator().manual_seed(seed)
    n = len(eigenvalues)
    Q = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64)).Q
    return Q @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ Q.mT, Q


def test_an_inverse_root_of_twice_its_size_is_refuted() -> None:
    """Its residual is 2² − 1. An eigenvalue that began below the interval, and is half as large as it should
    be, leaves less than 1."""
    P, Q = _spd([1.0, 0.5, 0.25, 0.1, 0.04])
    G = Q @ torch.diag(torch.tensor([1.0, 2.0, 4.0, 10.0, 25.0], dtype=torch.float64).sqrt()) @ Q.mT
    half = G - 2.5 * Q[:, 4:] @ Q[:, 4:].mT
    told = [of_inverse(P, [X], torch.float64, (1, 2), 0.01) for X in (G, 2 * G, half)]
    assert [bool(one.refuted()) for one in told] == [False, True, False]
    assert [bool(one.beyond()) for one in told] == [False, True, True]


@pytest.mark.parametrize("lower", [1e-3, 0.1])
def test_a_root_in_half_precision_has_no_excuse_by_its_condition(lower: float) -> None:
    """It is computed again in float32 where it is off by more than its own rounding."""
    P, Q = _spd([1.0, 0.5, 0.25, 0.1, 0.04])
    root = Q @ torch.diag(torch.tensor([1.0, 0.5, 0.25, 0.1, 0.04], dtype=torch.float64).sqrt()) @ Q.mT
    for factor, off in ((1.0, False), (1.05, True)):
        told = of_root(P, factor * root, torch.float16, 2, lower, 0.001)
        assert bool(told.beyond()) is off
    wide = of_root(P, 1.02 * root, torch.float32, 2, 1e-6, 0.001)
    assert not wide.beyond()  # the control: there the condition is one


@pytest.mark.parametrize("rank_rtol", [1e-5, 1e-3, 1e-2])
def test_eigenvalues_near_the_threshold_of_a_null_space_are_told_apart(rank_rtol: float) -> None:
    """Those a seventh away from it, where a tenth is promised."""
    near = [0.86 * rank_rtol, 1.14 * rank_rtol]
    P, Q = _spd([1.0, 0.9, 0.5, *near] + [0.3] * 27)
    found = Q.mT @ inverse_root(P, 2, rank_rtol=rank_rtol) @ Q
    assert abs(found[3, 3]) < 1e-3 * near[1] ** -0.5
    assert found[4, 4] == pytest.approx(near[1] ** -0.5, rel=1e-3)


def test_a_result_that_nobody_uses_has_the_gradient_zero(seed: int) -> None:
    """Of two results of a compiled operator."""
    P = _spd([1.0, 0.8, 0.6, 0.5], seed)[0]
    W = torch.randn(4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    def loss(X: Tensor) -> Tensor:
        return (sqrt_and_inverse_sqrt((X + X.mT) / 2)[0] * W).sum()

    gradients = []
    for function in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        X = P.clone().requires_grad_()
        function(X).backward()
        assert X.grad is not None
        gradients.append(X.grad)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 3), (4, 4), (1, 5)])
def test_the_complex_matrix_is_the_nearest_one(shape: tuple[int, int], seed: int) -> None:
    """What is left of a real matrix of twice the sides is orthogonal to all embedded ones."""
    m, n = shape
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(2 * m, 2 * n, generator=generator, dtype=torch.float64)
    left = X - embedded(_complex(X, torch.complex128))
    W = torch.randn(m, n, generator=generator, dtype=torch.complex128)
    assert abs((left * embedded(W)).sum()) < 1e-12 * m * n
    assert left.norm() > 0.1


class _OnTheGpu(Tensor):
    """A matrix that says it is on a GPU."""

    is_cuda = True  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]


@pytest.mark.parametrize("captured", [True, False])
def test_data_are_not_looked_at_while_a_graph_is_captured(
    captured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: captured)
    assert seen(torch.eye(2).as_subclass(_OnTheGpu)) is not captured
    assert seen(torch.eye(2))

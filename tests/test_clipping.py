"""Clipping and other functions of singular values, against decompositions in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

import polydesign
from polydesign.approximation.sampling import clip_error, stated_clip_error
from polydesign.model import DTYPES, InputError, Plan, Problem, Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.reporting import origin
from polydesign.runtime import (
    inverse_root,
    mcsgn,
    msign,
    ops,
    spectral_clip,
    spectral_clip_with_info,
    spectral_polynomial,
    spectral_relu,
    spectral_step,
)
from polydesign.runtime.clipping import FORMULAS
from polydesign.runtime.defaults import clip_table, clip_tables
from polydesign.search.clip import Clipping
from polydesign.verification.metrics import clipped, spectral
from polydesign.verification.sweep import measure

pytestmark = pytest.mark.numerics

PUBLISHED = ("nested", "unnested", "cancelling", "block")
SHAPES = [(12, 20), (20, 12), (14, 14), (2, 3, 9, 13)]
GAP = 0.2
"""No singular value of a test matrix is nearer than this, relatively, to a threshold or to zero."""


@cache
def sharp() -> Table:
    """A sign table for arguments down to 1e-4 of the norm, with an error at which float64 rounds."""
    return polydesign.design(degree=5, steps=11, lower=1e-4, dtype="float64")


def known(*shape: int, seed: int, device: str = "cpu", largest: float = 10.0) -> tuple[Tensor, Tensor]:
    """M with singular values from 0.2 to `largest`, none near 0.5 or 1; and these."""
    *batch, m, n = shape
    k = min(m, n)
    below, middle = torch.linspace(0.2, 0.4, k // 3), torch.linspace(0.6, 0.8, k // 3)
    sigma = torch.cat([below, middle, torch.linspace(1.25, largest, k - 2 * (k // 3))]).double()
    generator = torch.Generator().manual_seed(seed)
    U, V = (
        torch.linalg.qr(torch.randn((*batch, side, k), generator=generator, dtype=torch.float64)).Q
        for side in (m, n)
    )
    return ((U * sigma) @ V.mT).to(device), sigma


def off(X: Tensor, exact: Tensor) -> float:
    return torch.linalg.matrix_norm(X.to("cpu", torch.float64) - exact, ord=2).max().item()


INTERVALS = [(-1.0, 1.0), (0.0, 1.0), (0.5, 1.0), (-7.0, 0.5)]


@pytest.mark.parametrize("formula", PUBLISHED)
@pytest.mark.parametrize(("low", "high"), INTERVALS)
@pytest.mark.parametrize("shape", SHAPES)
def test_published_formulas_clip(
    formula: str, low: float, high: float, shape: tuple[int, ...], seed: int, device: str
) -> None:
    M, _ = known(*shape, seed=seed, device=device)
    before = M.clone()
    X = spectral_clip(M, low, high, table=sharp(), formula=formula)
    exact = spectral(M, lambda sigma: clipped(sigma, low, high))
    # Signs are off by E of the table and some rounding; three terms, each of at most 10 + 1 times a sign.
    bound = 3 * 11 * (sharp().schedule.error + 200 * sum(shape[-2:]) * UNIT_ROUNDOFF["float64"])
    assert off(X, exact) <= bound < 1e-7
    assert torch.equal(M, before)
    assert X.shape == M.shape
    assert X.is_contiguous()
    assert off(X, spectral(M, lambda sigma: clipped(sigma, low, high * (1 + 1e-6)))) > bound  # the control


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
@pytest.mark.parametrize("high", [1.0, 0.5, 0.02])
@pytest.mark.parametrize("shape", SHAPES)
def test_composed_clips_within_its_tables_error(
    dtype: str, high: float, shape: tuple[int, ...], seed: int, device: str
) -> None:
    M, sigma = known(*shape, seed=seed, device=device)
    X, info = spectral_clip_with_info(M, high=high, plan=Plan(dtype=dtype, float32_side=0))
    assert str(X.dtype) == f"torch.{dtype}" == f"torch.{info.dtype}"
    table = polydesign.load(str(info.table))
    exact = spectral(M, lambda values: clipped(values, 0.0, high))
    # The map is off by clip_error·β; rounding M moves singular values by u·‖M‖_F at most (of 10 values up
    # to 10), and each of at most six steps rounds what is then at most β, with terms up to ten times that.
    rounding = UNIT_ROUNDOFF[dtype] * (torch.linalg.vector_norm(sigma).item() + 60 * high)
    assert off(X, exact) <= 1.01 * high * stated_clip_error(table.schedule) + rounding
    assert X.shape == M.shape
    # The control: the table of another threshold.
    wrong = spectral(M, lambda values: clipped(values, 0.0, 0.8 * high))
    assert off(X, wrong) > 0.1 * high


def test_composed_between_two_thresholds(seed: int, device: str) -> None:
    M, _ = known(20, 12, seed=seed, device=device)
    X = spectral_clip(M, 0.5, 1.0)
    exact = spectral(M, lambda sigma: clipped(sigma, 0.5, 1.0))
    # Two clips and a sign with its own error below 1e-3: the tables in use are off by at most 0.0121.
    assert off(X, exact) <= 0.0121 * (1 + 0.5) + 1e-3
    assert off(X, spectral(M, lambda sigma: clipped(sigma, 0.0, 1.0))) > 0.1


def test_composed_does_not_lose_what_the_others_do(seed: int) -> None:
    """Singular values up to 1000: what an error of E in a sign costs where it is multiplied."""
    M, _ = known(64, 48, seed=seed, largest=1000.0)
    exact = spectral(M, lambda sigma: clipped(sigma, 0.0, 1.0))
    plan = Plan(dtype="float32")
    composed, nested = (off(spectral_clip(M, formula=f, plan=plan), exact) for f in ("composed", "nested"))
    # The table in use is off by 0.0162; 24 products of it beside 44.
    assert composed < 0.02 < 0.05 < nested


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("low", [-1.0, 0.5])
@pytest.mark.parametrize("normalization", [None, "schatten4", "schatten8"])
def test_products_run_are_products_counted(
    formula: str, low: float, normalization: str | None, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def counting(product: str) -> None:
        backend = getattr(ops, product)

        def counted(*operands: Tensor, **factors: float) -> Tensor:
            ran.append(product)
            return backend(*operands, **factors)

        monkeypatch.setattr(ops, product, counted)

    for product in ("mm", "mm_add"):  # the symmetric ones call these
        counting(product)
    M, _ = known(10, 14, seed=seed)
    plan = Plan(normalization=normalization)
    X, info = spectral_clip_with_info(M, low, 1.0, plan=plan, formula=formula)
    assert len(ran) == info.matmuls
    assert torch.equal(X, spectral_clip(M, low, 1.0, plan=plan, formula=formula))
    assert info.formula == formula
    _, info = spectral_clip_with_info(M[:0], low, 1.0, plan=plan, formula=formula)
    assert info.matmuls == 0


def test_costs_that_the_docstring_states(seed: int) -> None:
    M, _ = known(10, 14, seed=seed)
    sign, n = polydesign.load("sign-d5x8-l1e-3-fp64"), 24
    costs = {
        (formula, low): spectral_clip_with_info(M, low, 1.0, table=sign, formula=formula)[1].matmuls
        for formula in PUBLISHED
        for low in (-1.0, 0.5)
    }
    assert costs == {
        ("nested", -1.0): 2 * n + 2,
        ("nested", 0.5): 3 * n + 3,
        ("unnested", -1.0): 2 * n + 2,
        ("unnested", 0.5): 3 * n + 3,
        ("cancelling", -1.0): 3 * n + 3,
        ("cancelling", 0.5): 3 * n + 3,
        ("block", -1.0): n + 1,
        ("block", 0.5): 3 * n + 2,
    }
    unchecked, clip, n = Plan(check=False), polydesign.load("clip-d17x4-l1e-3-fp32"), 20
    assert spectral_clip_with_info(M, table=clip, plan=unchecked)[1].matmuls == n
    assert spectral_clip_with_info(0.01 * M, table=clip)[1].matmuls == n + 2


def test_a_table_for_something_else_is_refused_by_name() -> None:
    """Each would run, and give something else without a word."""
    M = torch.eye(3)
    clip, sign, root = map(
        polydesign.load, ("clip-d17x4-l1e-3-fp32", "sign-d5x7-l1e-3-fp32", "sign-m14-l0.01-fp32-coupled")
    )
    assert (clip.purpose, sign.purpose, root.purpose) == ("clip", "sign", "root")
    for run, table in (
        (lambda: msign(M, clip), clip),
        (lambda: msign(M, root), root),
        (lambda: mcsgn(M, clip), clip),
        (lambda: spectral_clip(M, table=sign), sign),
        (lambda: spectral_clip(M, table=clip, formula="nested"), clip),
        (lambda: spectral_step(M, 1.0, table=clip), clip),
        (lambda: inverse_root(M, 2, table=clip), clip),
    ):
        with pytest.raises(InputError, match=rf"^table: {table.name} is made for .* needs one for"):
            run()
    # The controls: what is made for signs serves P^(-1/2), and a table says itself what it is for.
    inverse_root(M, 2, table=sign)
    msign(M, replace(root, purpose="sign", form=""))


@pytest.mark.parametrize("formula", ["nested", "unnested", "composed"])
@pytest.mark.parametrize("shape", SHAPES)
def test_step(formula: str, shape: tuple[int, ...], seed: int, device: str) -> None:
    M, _ = known(*shape, seed=seed, device=device)
    X = spectral_step(M, 1.0, table=sharp(), formula=formula)
    exact = spectral(M, lambda sigma: (sigma > 1).double())
    assert off(X, exact) <= 1e-7
    assert off(X, spectral(M, lambda sigma: (sigma > 0.5).double())) > 0.9


def test_step_far_above_the_threshold(seed: int) -> None:
    """Clipped first, values are resolved relative to the threshold and not to the norm."""
    M, _ = known(48, 64, seed=seed, largest=1000.0)
    exact = spectral(M, lambda sigma: (sigma > 1).double())
    plan = Plan(dtype="float32")
    assert off(spectral_step(M, 1.0, plan=plan), exact) < 0.01
    assert off(spectral_step(M, 1.0, plan=plan, formula="nested"), exact) > 0.1


def tiny(seed: int) -> Tensor:
    """Singular values from 10 down to 1e-7, the lower half below what a sign table resolves."""
    generator = torch.Generator().manual_seed(seed)
    U, V = (
        torch.linalg.qr(torch.randn((side, 16), generator=generator, dtype=torch.float64)).Q
        for side in (40, 16)
    )
    return (U * torch.logspace(1, -7, 16, dtype=torch.float64)) @ V.mT


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("formula", ["composed", "unnested"])
def test_step_of_small_singular_values(dtype: str, formula: str, seed: int, device: str) -> None:
    """No sign of a small value is asked for: it ends at 0, and not half-way to −1 as in the nested formula."""
    M, plan = tiny(seed), Plan(dtype=dtype)
    exact = spectral(M, lambda sigma: (sigma > 1).double())
    # E < 1e-9 of the default tables; seven signs' steps and a clip's round at sizes up to 1.
    assert off(spectral_step(M.to(device), 1.0, plan=plan, formula=formula), exact) <= (
        1e-9 + 200 * UNIT_ROUNDOFF[dtype]
    )
    assert off(spectral_step(M.to(device), 1.0, plan=plan, formula="nested"), exact) > 0.3  # the control


@pytest.mark.parametrize("relative", [-0.004, 0.004])
@pytest.mark.parametrize("high", [1.0, 0.02])
def test_threshold_is_where_it_is_said(relative: float, high: float, seed: int) -> None:
    """The clip table's error of 1 % does not move the threshold: its curve at the threshold is known."""
    generator = torch.Generator().manual_seed(seed)
    U, V = (torch.linalg.qr(torch.randn(9, 6, generator=generator, dtype=torch.float64)).Q for _ in "UV")
    sigma = torch.tensor([10.0, 5.0, high * (1 + relative), high / 2, 0.0, 0.0], dtype=torch.float64)
    X = spectral_step((U * sigma) @ V.mT, high)
    # E is below 1e-16, and what rounds is at most ‖M‖/θ = 500 times u.
    assert off(X, (U * (sigma > high)) @ V.mT) <= 1e-10
    assert off(X, (U * (sigma > high * (1 + 2 * relative))) @ V.mT) > 0.9  # the control: moved by 0.8 %


def test_curves_of_the_clip_tables_rise_to_the_lower_end() -> None:
    """So the step has one threshold, and what is above l stays above the curve at half of it."""
    for name in {one.name for dtype in DTYPES for one in clip_tables(dtype)}:
        schedule = polydesign.load(name).schedule
        lower = schedule.interval[0]
        curve = schedule(np.linspace(0, lower, 20_001))
        assert (np.diff(curve) > 0).all()
        assert 0.45 < schedule(lower / 2) < 0.55
        assert schedule(np.geomspace(lower, 1, 20_001)).min() > 0.97
    sign = polydesign.load("sign-d5x7-l1e-3-fp32").schedule  # the control: no line, and nothing to clip
    assert sign(0.5 * sign.interval[0]) > 0.6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_relu(dtype: str, seed: int, device: str) -> None:
    M, _ = known(12, 20, seed=seed, device=device)
    exact = spectral(M, lambda sigma: (sigma - 0.5).clamp(min=0))
    X, sharper = (
        spectral_relu(M, 0.5, table=table, plan=Plan(dtype=dtype), formula=formula)
        for table, formula in ((None, "composed"), (sharp(), "cancelling"))
    )
    assert off(X, exact) <= 0.5 * 0.0121 + 40 * UNIT_ROUNDOFF[dtype]
    if dtype == "float64":
        assert off(sharper, exact) < 1e-7
    assert off(X, M.cpu()) > 0.4


POLYNOMIALS: list[list[float]] = [
    [0.0, 1.0],
    [2.0],
    [0.0],
    [0.0, 0.5, 0.0, -0.25, 0.0, 0.125],
    [1.0, 0.0, -0.5, 0.0, 0.25],
    [0.3, -1.0, 0.5, 0.25, -0.125, 0.0625, 0.03],
]


@pytest.mark.parametrize("c", POLYNOMIALS, ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_polynomial(c: list[float], shape: tuple[int, ...], seed: int, device: str) -> None:
    M, _ = known(*shape, seed=seed, device=device, largest=2.0)

    def p(sigma: Tensor) -> Tensor:
        return torch.as_tensor(np.polynomial.polynomial.polyval(sigma.numpy(), c))

    # |p| <= 20 on [0, 2]; even terms are off by the table's error times that.
    X = spectral_polynomial(M, c, table=sharp())
    assert off(X, spectral(M, p)) <= 20 * (sharp().schedule.error + 1e-12)
    assert off(X, spectral(M, lambda sigma: p(sigma) + 1e-6)) > 20 * (sharp().schedule.error + 1e-12)


def test_polynomial_and_sign_share_nothing_with_the_input(seed: int) -> None:
    M, _ = known(5, 7, seed=seed)
    for X in (spectral_polynomial(M, [0.0, 1.0]), spectral_clip(M, formula="nested"), spectral_relu(M, 1.0)):
        assert X.untyped_storage().data_ptr() != M.untyped_storage().data_ptr()
    assert torch.equal(spectral_polynomial(M, [1.0]), msign(M))


def test_scale_zero_and_empty(device: str) -> None:
    M, _ = known(2, 6, 8, seed=1, device=device)
    M[1] = 0
    for formula in FORMULAS:
        X = spectral_clip(M, formula=formula)
        assert torch.isfinite(X).all()
        assert X[1].abs().max() == 0
        for shape in ((0, 4), (4, 0), (0, 3, 4)):
            assert spectral_clip(torch.ones(shape, device=device), formula=formula).shape == shape
    for exponent in (-90, 90):  # the same bits, whatever the scale
        scaled = spectral_clip(M * 2.0**exponent, high=2.0**exponent)
        assert torch.equal(scaled, spectral_clip(M, high=1.0) * 2.0**exponent)


def test_input_may_be_narrow_and_layout_does_not_matter(seed: int) -> None:
    M, _ = known(12, 20, seed=seed)
    low = spectral_clip(M.to(torch.bfloat16))
    assert low.dtype == torch.bfloat16
    X = spectral_clip(M)
    assert off(spectral_clip(M.mT), X.mT) < 1e-10
    batch = spectral_clip(torch.stack([M, M / 3]))
    assert off(batch[0], X) < 0.02  # a batch has one table, that of its largest norm


def test_gradients_pass(seed: int) -> None:
    M, _ = known(5, 7, seed=seed)
    M.requires_grad_()
    spectral_clip(M).sum().backward()
    assert M.grad is not None
    assert torch.isfinite(M.grad).all()


# the search


@pytest.mark.few(1)
@pytest.mark.parametrize(("degrees", "lower"), [((17, 17), 0.1), ((9, 9, 9), 0.1), ((5, 5, 17), 0.05)])
def test_a_clip_schedule_is_a_line_below_and_constant_above(degrees: tuple[int, ...], lower: float) -> None:
    schedule = Clipping(1.002, 0.05).search(Problem(2, degrees, lower))
    rows = [step.coefficients for step in schedule.steps]
    x = np.linspace(0, 1, 50_001)
    error = clip_error(rows, lower)
    assert np.abs(schedule(x) - np.minimum(x / lower, 1)).max() <= error * 1.001
    assert error < 0.08
    assert schedule.error <= error * 1.001
    # The control: a sign schedule of these degrees bends below its lower end.
    sign = polydesign.design(degree=degrees, lower=lower, headroom=1, certify=False).schedule
    assert clip_error([step.coefficients for step in sign.steps], lower) > 1.5 * error
    # Nothing above a threshold falls below the floor or below its own size, and nothing passes 1.
    y, c = np.linspace(lower, 1, 5001), lower
    for step in schedule.steps[:-1]:
        after = step(np.linspace(c, 1, 5001))
        assert (after >= np.minimum(np.linspace(c, 1, 5001), 0.05) - 1e-6).all()
        assert after.max() <= 1 + 1e-6
        c = step(c)
    assert y[0] == lower


def test_what_ships_says_what_it_does() -> None:
    assert [len(clip_tables(dtype)) for dtype in DTYPES] == [4, 4, 5, 5]
    for dtype in DTYPES:
        for one in clip_tables(dtype):
            table = polydesign.load(one.name)
            lower = table.schedule.interval[0]
            rows = [step.coefficients for step in table.schedule.steps]
            assert clip_error(rows, lower) == pytest.approx(
                table.provenance.parameters["clip_error"], rel=0.01
            )
            assert clip_table(dtype, lower, Plan()) == table
            assert table.certificate is not None
            assert table.certificate.kind == "proved"


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"root": 4, "degree": 5, "steps": 2}, r"^root: clip schedules have root 2"),
        ({"degree": 5, "steps": 1}, r"^steps: a clip schedule has at least two"),
        ({"degree": 3, "steps": 2, "lower": 1e-4}, r"^steps: these degrees do not reach"),
        (
            {"degree": 5, "steps": 2, "round": "bf16"},
            r"^round: is a setting of method equioscillation or adam, and not of clip",
        ),
        ({"degree": 5, "steps": 2, "headroom": 9.0}, r"^headroom: must lie from 1"),
        ({"degree": 5, "steps": 2, "image_floor": 1.0}, r"^image_floor: must lie in"),
        ({"degree": 5, "steps": 2, "foo": 3}, r"^foo: is not a setting of method clip$"),
        ({"degree": 5, "steps": 2, "head_room": 1.01}, r"^head_room: .* did you mean headroom\?$"),
        ({"degree": 5, "steps": 2, "purpose": "sign"}, r"^purpose: is clip for method clip"),
    ],
)
def test_refused_searches(keywords: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        polydesign.design(method="clip", **keywords)


def test_a_safety_of_one_s_own_is_in_the_name_and_the_precision_where_it_was_given() -> None:
    asked = {"method": "clip", "degree": 5, "steps": 2, "lower": 0.5, "headroom": 1.01, "certify": False}
    found = [polydesign.design(**asked, dtype=dtype) for dtype in (None, "bf16", "fp32")]
    assert [table.dtype for table in found] == [None, "bfloat16", "float32"]
    assert [table.name for table in found] == [
        f"clip-d5x2-l0.5-h1.01-f0{end}" for end in ("", "-bf16", "-fp32")
    ]
    command, _ = origin.command(found[1])
    assert "--headroom 1.01 --image-floor 0.0 --dtype bfloat16" in command


# verify


@pytest.mark.parametrize(("dtype", "name"), [(dtype, clip_tables(dtype)[2].name) for dtype in DTYPES])
@pytest.mark.parametrize("spectrum", ["gaussian", "logspace:1e-4", "harmonic", "rank1", "rank2", "zero"])
def test_verify_holds(dtype: str, name: str, spectrum: str, seed: int, device: str) -> None:
    table = polydesign.load(name)
    settings = {"shape": (48, 80), "dtype": dtype, "spectrum": spectrum, "seed": seed, "device": device}
    found = measure(table, operator="spectral_clip", **settings)
    assert found.holds, found
    assert found.orthogonality is found.polar_distance is None
    if dtype == "float64" and spectrum == "logspace:1e-4":
        assert found.map is not None
        assert found.below_worst is not None
        # Relative to σ: a line that is off by clip_error·β is off by more where σ is small.
        gap = np.abs(np.array(found.map.measured, dtype=float) - np.array(found.map.predicted)).max()
        assert gap < 1e-9
        assert measure(replace(table, purpose="sign"), operator="msign", **settings).map != found.map


def test_verify_refuses_what_bounds_nothing() -> None:
    table = polydesign.load("clip-d17x2-l0.1-fp32")
    with pytest.raises(InputError, match=r"^normalization: aol"):
        measure(table, operator="spectral_clip", shape=(8, 8), plan=Plan(normalization="aol"))


# refusals

M = torch.diag(torch.tensor([3.0, 1.0, 0.5]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spectral_clip(M, formula="best"), r"^formula: 'best' is not one of composed, nested"),
        (lambda: spectral_clip(M, high=-1.0), r"^high: must be positive, and is -1"),
        (lambda: spectral_clip(M, 2.0, 1.0), r"^low: must lie below high = 1"),
        (lambda: spectral_clip(M, high=math.inf), r"^high: "),
        (
            lambda: spectral_clip(M, high=1e-6),
            r"^high: is 3.*package's tables in float32 go down to 0.0001: give table=poly",
        ),
        (lambda: spectral_clip(M * math.nan), r"^M: holds NaN"),
        (lambda: spectral_clip(M[0]), r"^M: must have shape"),
        (lambda: spectral_clip(M, plan=Plan(normalization="aol")), r"^normalization: aol rescales"),
        (lambda: spectral_clip(M, plan=Plan(normalization="none")), r"^plan.normalization: none says"),
        (lambda: spectral_clip(M, plan=Plan(matmuls=8)), r"^plan.matmuls: is 8, and clip-d17x2-l0.1-fp32"),
        (lambda: spectral_clip(M, plan=Plan(error=1e-5)), r"^plan.error: is 1e-05"),
        (
            lambda: spectral_clip(M, high=0.1, table=polydesign.load("clip-d17x2-l0.1-fp32")),
            r"^high: is 0.1, and the largest singular value may be 3.* serves up to 10 times",
        ),
        (
            lambda: spectral_clip(M, table=polydesign.load("root4-d9x4-l0.1-fp32")),
            r"^table: root4-d9x4-l0.1-fp32 has root 4, and spectral_clip needs",
        ),
        (lambda: spectral_step(M, 0.0), r"^threshold: must be positive"),
        (lambda: spectral_step(M, 1.0, formula="block"), r"^formula: 'block' is not one of"),
        (lambda: spectral_step(M, 1e-5), r"^threshold: is 1e-05, and twice that is below 0.0001.*unnested"),
        (lambda: spectral_relu(M, -1.0), r"^threshold: must be positive"),
        (lambda: spectral_polynomial(M, []), r"^c: is empty"),
        (lambda: spectral_polynomial(M, [0.0, math.nan]), r"^c\[1\]: "),
    ],
)
def test_refused(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()

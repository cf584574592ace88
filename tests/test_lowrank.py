"""Truncation, pseudo-inverse, projectors and rank by a threshold, against decompositions in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from references import truncated
from torch import Tensor

import polydesign
from polydesign.model import InputError, Plan
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.running import allowance
from polydesign.runtime import (
    effective_rank,
    ops,
    pseudo_inverse,
    pseudo_inverse_with_info,
    range_projector,
    spectral_truncate,
    spectral_truncate_with_info,
)
from polydesign.runtime.defaults import SIGN
from polydesign.runtime.lowrank import PseudoInverse, Truncate
from polydesign.verification import lowrank as verified
from polydesign.verification.metrics import spectral
from polydesign.verification.sweep import measure

pytestmark = pytest.mark.numerics

SHAPES = [(12, 20), (20, 12), (14, 14), (2, 3, 9, 13)]
DTYPES = ["bfloat16", "float16", "float32", "float64"]


def known(*shape: int, sigma: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """M, U and V with these singular values."""
    *batch, m, n = shape
    generator = torch.Generator().manual_seed(seed)
    U, V = (
        torch.linalg.qr(torch.randn((*batch, side, len(sigma)), generator=generator, dtype=torch.float64)).Q
        for side in (m, n)
    )
    return (U * sigma) @ V.mT, U, V


def spectrum(k: int) -> Tensor:
    """Four values from 4 to 1.5; the others from 0.5 down to 1e-7, and a zero."""
    below = torch.logspace(math.log10(0.5), -7, k - 5, dtype=torch.float64)
    return torch.cat([torch.tensor([4.0, 3.0, 2.0, 1.5]).double(), below, torch.zeros(1).double()])


def off(X: Tensor, exact: Tensor) -> float:
    return torch.linalg.matrix_norm(X.to("cpu", torch.float64) - exact, ord=2).max().item()


def sign_error(dtype: str) -> float:
    """E of the table that runs."""
    return polydesign.load(SIGN[dtype]).schedule.error


def allowed(dtype: str, k: int) -> float:
    """How far P of `spectrum` may be from its exact value, θ = 1.

    The sign's: E/2, and half of what rounding does to it, y no nearer to 0 than (1 − 0.25)/ν², where
    ν <= k^(1/8)·4. Before it, singular vectors turn (Davis and Kahan) by what rounds M over the distance of
    1.5 and 0.5, u·‖M‖_F, and by what six clip steps round, u·√k each, over that of the results, 0.5.
    """
    schedule, u = polydesign.load(SIGN[dtype]).schedule, UNIT_ROUNDOFF[dtype]
    rounding = allowance(schedule, dtype, (k, k), smallest=0.75 / (16 * k**0.25), norm=k**0.5)
    turned = u * torch.linalg.vector_norm(spectrum(k)).item() + 6 * u * k**0.5 / 0.5
    return sign_error(dtype) / 2 + rounding / 2 + turned


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("formula", Truncate.formulas)
@pytest.mark.parametrize("shape", SHAPES)
def test_truncation_is_eckart_youngs(
    dtype: str, formula: str, shape: tuple[int, ...], seed: int, device: str
) -> None:
    sigma = spectrum(min(shape[-2:]))
    M, _, _ = known(*shape, sigma=sigma, seed=seed)
    given = M.to(device)
    plan = Plan(dtype=dtype, float32_side=0)
    X, info = spectral_truncate_with_info(given, 1.0, plan=plan, formula=formula)
    assert torch.equal(X, spectral_truncate(given, 1.0, plan=plan, formula=formula))
    assert torch.equal(given.cpu(), M)
    assert X.shape == M.shape
    assert X.is_contiguous()
    assert str(X.dtype) == f"torch.{dtype}" == f"torch.{info.dtype}"
    exact = spectral(M, lambda values: truncated(values, 1.0))
    # M times P, and the result rounded.
    bound = 4 * (allowed(dtype, len(sigma)) + UNIT_ROUNDOFF[dtype] * len(sigma) ** 0.5)
    assert off(X, exact) <= bound
    assert off(X, spectral(M, lambda values: truncated(values, 1.75))) > bound  # the control: one value less
    assert info.rank.shape == shape[:-2]
    assert info.gap[0] < 1 < info.gap[1]
    if formula == "composed":
        assert info.gap[1] - info.gap[0] < 0.006


@pytest.mark.parametrize("formula", Truncate.formulas)
def test_truncation_of_what_is_far_above_is_relative_to_it(formula: str, seed: int) -> None:
    """Singular values up to 1000·θ; composed resolves the one just above, unnested does not."""
    sigma = torch.tensor([1000.0, 30.0, 1.3, 0.7, 0.01, 0.0]).double()
    M, _, _ = known(20, 16, sigma=sigma, seed=seed)
    X, info = spectral_truncate_with_info(M, 1.0, plan=Plan(dtype="float32"), formula=formula)
    exact = spectral(M, lambda values: truncated(values, 1.0))
    resolved = off(X, exact) <= 1000 * allowed("float32", 16)
    assert resolved == (formula == "composed") == (info.gap[1] < 1.3)


@pytest.mark.parametrize("formula", Truncate.formulas)
@pytest.mark.parametrize("largest", [1.5, 10.0])
def test_inside_the_gap(formula: str, largest: float, seed: int, device: str) -> None:
    """As the docstrings say: a fraction of σ, rising with σ, no vector turned, and at the ends it is over."""
    E = sign_error("float64")
    fractions, inverses = [], []
    _, info = spectral_truncate_with_info(torch.diag(torch.tensor([largest, 0.5])).double(), 1.0)
    gap = spectral_truncate_with_info(torch.diag(torch.tensor([largest, 0.5])).double(), 1.0, formula=formula)
    low, high = gap[1].gap
    assert (info.gap == gap[1].gap) == (formula == "composed")
    for position in torch.linspace(-0.5, 1.5, 21).tolist():
        value = low + position * (high - low)
        sigma = torch.tensor([largest, value, 0.5], dtype=torch.float64)
        M, U, V = known(9, 7, sigma=sigma, seed=seed)
        run = {"plan": Plan(dtype="float64"), "formula": formula}
        X = spectral_truncate(M.to(device), 1.0, **run).cpu()
        fractions.append((U[:, 1] @ X @ V[:, 1]).item() / value)
        kept = torch.tensor([largest, value * fractions[-1], 0.0], dtype=torch.float64).double()
        assert off(X, (U * kept) @ V.mT) <= 1e-9  # nothing off the diagonal, where l is 1e-3
        assert effective_rank(M.to(device), 1.0, **run).item() == pytest.approx(1 + fractions[-1], abs=1e-9)
        inverted = pseudo_inverse(M.to(device), 1.0, **run).cpu()
        inverses.append((V[:, 1] @ inverted @ U[:, 1]).item())
    # ν of unnested changes with σ in the fourth digit at most, so the ends may move by as much.
    assert all(b >= a - 1e-9 for a, b in pairwise(fractions))
    assert all(-E / 2 - 1e-9 <= p <= 1 + E / 2 + 1e-9 for p in fractions)
    assert all(-E - 1e-9 <= value <= 1 / low for value in inverses)
    assert max(abs(p) for p in fractions[:5]) <= 1e-6
    assert max(abs(p - 1) for p in fractions[-5:]) <= 1e-6
    assert 0.02 < fractions[10] < 0.98  # the control: inside it is neither


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("formula", Truncate.formulas)
@pytest.mark.parametrize("shape", SHAPES)
def test_pseudo_inverse(dtype: str, formula: str, shape: tuple[int, ...], seed: int, device: str) -> None:
    M, _, _ = known(*shape, sigma=spectrum(min(shape[-2:])), seed=seed)
    given = M.to(device)
    plan = Plan(dtype=dtype, float32_side=0)
    X, info = pseudo_inverse_with_info(given, 1.0, plan=plan, formula=formula)
    assert torch.equal(given.cpu(), M)
    assert X.shape == M.mT.shape
    assert X.is_contiguous()
    exact = torch.linalg.pinv(spectral(M, lambda values: truncated(values, 1.0)), rtol=0.05)
    # Relatively to its norm of 1: what P is off by, and what rounding K, of norm 4, does in the inverse.
    k = min(shape[-2:])
    bound = 2 * allowed(dtype, k) + 4 * 4 * math.sqrt(k) * UNIT_ROUNDOFF[dtype]
    assert off(X, exact) <= bound
    assert (
        off(X, torch.linalg.pinv(spectral(M, lambda values: truncated(values, 0.1)))) > bound
    )  # the control
    assert info.inverse is not None
    assert info.inverse.warnings == ()


def test_pseudo_inverse_is_penroses(seed: int) -> None:
    """Where nothing is below the threshold but a null space."""
    M, _, _ = known(20, 14, sigma=torch.linspace(1, 30, 9).double(), seed=seed)
    X = pseudo_inverse(M, 0.5)
    for found, exact in ((M @ X @ M, M), (X @ M @ X, X), ((M @ X).mT, M @ X), ((X @ M).mT, X @ M)):
        # ‖M‖²·‖X‖ times u, and as many again for each of a hundred products.
        assert off(found, exact) <= 900 * 100 * UNIT_ROUNDOFF["float64"]
    wrong = 1.001 * X
    assert off(M @ wrong @ M, M) > 0.01


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("shape", SHAPES)
def test_range_projector(dtype: str, side: str, shape: tuple[int, ...], seed: int, device: str) -> None:
    sigma = spectrum(min(shape[-2:]))
    M, U, V = known(*shape, sigma=sigma, seed=seed)
    P = range_projector(M.to(device), 1.0, side=side, plan=Plan(dtype=dtype, float32_side=0))
    basis = (U if side == "left" else V)[..., sigma > 1]
    # f²p² of up to four factors, each within `allowed` or 2·allowed, and the sums.
    bound = 4 * allowed(dtype, len(sigma))
    assert off(P, basis @ basis.mT) <= bound < 1
    assert P.shape[-1] == P.shape[-2] == shape[-2 if side == "left" else -1]
    wrong = (U if side == "left" else V)[..., sigma > 1.75]
    assert off(P, wrong @ wrong.mT) > bound  # the control


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("formula", Truncate.formulas)
@pytest.mark.parametrize("shape", SHAPES)
def test_effective_rank(dtype: str, formula: str, shape: tuple[int, ...], seed: int, device: str) -> None:
    sigma = spectrum(min(shape[-2:]))
    M, _, _ = known(*shape, sigma=sigma, seed=seed)
    found = effective_rank(M.to(device), 1.0, plan=Plan(dtype=dtype, float32_side=0), formula=formula)
    assert found.shape == shape[:-2]
    assert found.element_size() >= 4
    # Each value of P is off by `allowed` at most.
    bound = len(sigma) * allowed(dtype, len(sigma))
    assert (found - 4).abs().max().item() <= min(bound, 0.5)
    assert (effective_rank(M.to(device), 1.75) - 4).abs().min().item() > 0.5  # the control


def test_gradients_pass_and_the_rank_is_flat_outside_the_gap(seed: int) -> None:
    for value, flat in ((1.3, True), (1.0, False)):
        M, _, _ = known(5, 7, sigma=torch.tensor([3.0, value, 0.5]).double(), seed=seed)
        M.requires_grad_()
        effective_rank(M, 1.0).sum().backward()
        assert M.grad is not None
        assert (M.grad.abs().max().item() < 1e-6) == flat
    spectral_truncate(M, 1.0).sum().backward()
    assert torch.isfinite(M.grad).all()


@pytest.mark.parametrize("formula", Truncate.formulas)
@pytest.mark.parametrize("shape", [(10, 14), (14, 10), (9, 9)])
@pytest.mark.parametrize("normalization", [None, "schatten4"])
def test_products_run_are_products_counted(
    formula: str,
    shape: tuple[int, int],
    normalization: str | None,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
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
    M, _, _ = known(*shape, sigma=spectrum(9), seed=seed)
    settings = {"plan": Plan(normalization=normalization), "formula": formula}

    def took(call: Callable[[], object]) -> int:
        ran.clear()
        call()
        return len(ran)

    _, truncation = spectral_truncate_with_info(M, 1.0, **settings)
    assert took(lambda: spectral_truncate(M, 1.0, **settings)) == truncation.matmuls
    _, inverse = pseudo_inverse_with_info(M, 1.0, **settings)
    assert took(lambda: pseudo_inverse(M, 1.0, **settings)) == inverse.matmuls
    # What the docstrings add to P: 24 products of the sign table in use, and of the inverse what it says.
    P, sign = truncation.matmuls - 1, 24
    assert inverse.inverse is not None
    assert inverse.matmuls == P + sign + 3 + inverse.inverse.matmuls
    assert took(lambda: effective_rank(M, 1.0, **settings)) == P
    short, long = ("left", "right") if shape[0] <= shape[1] else ("right", "left")
    assert took(lambda: range_projector(M, 1.0, side=short, **settings)) == P
    # Of a square M both sides are short.
    extra = 0 if shape[0] == shape[1] else sign + 2
    assert took(lambda: range_projector(M, 1.0, side=long, **settings)) == P + extra


@pytest.mark.parametrize("formula", Truncate.formulas)
def test_scale_zero_and_empty(formula: str, device: str) -> None:
    M = torch.zeros(2, 6, 8, device=device)
    M[0, :2, :2] = torch.diag(torch.tensor([3.0, 2.0]))
    for call in (spectral_truncate, pseudo_inverse, range_projector, effective_rank):
        X = call(M, 1.0, formula=formula)
        assert torch.isfinite(X).all()
        assert X[1].abs().max() <= 1e-4
        assert X[0].abs().max() > 0.3
        assert call(torch.zeros_like(M), 1.0, formula=formula).abs().max() <= 1e-4
    for shape in ((0, 4), (4, 0), (0, 3, 4)):
        empty = torch.ones(shape, device=device)
        X, info = spectral_truncate_with_info(empty, 1.0, formula=formula)
        assert X.shape == shape
        assert info.matmuls == 0
        assert pseudo_inverse_with_info(empty, 1.0, formula=formula)[1].matmuls == 0
        assert pseudo_inverse(empty, 1.0, formula=formula).shape == empty.mT.shape
        assert effective_rank(empty, 1.0, formula=formula).shape == shape[:-2]
        assert (range_projector(empty, 1.0, formula=formula) == 0).all()
    for exponent in (-60, 60):  # the same bits, whatever the scale
        scale = 2.0**exponent
        for call, power in ((spectral_truncate, 1), (pseudo_inverse, -1), (range_projector, 0)):
            scaled = call(M * scale, scale, formula=formula)
            assert torch.equal(scaled, call(M, 1.0, formula=formula) * scale**power)


def test_input_may_be_narrow_and_layout_does_not_matter(seed: int) -> None:
    M, _, _ = known(12, 20, sigma=spectrum(9), seed=seed)
    assert spectral_truncate(M.to(torch.bfloat16), 1.0).dtype == torch.bfloat16
    for call in (spectral_truncate, pseudo_inverse):
        assert off(call(M.mT, 1.0), call(M, 1.0).mT) < 1e-10
        assert off(call(torch.stack([M, M]), 1.0)[0], call(M, 1.0)) < 1e-10


# verify


@pytest.mark.few(24)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(48, 80), (80, 48), (40, 40)])
@pytest.mark.parametrize(
    "spectrum_of", ["gaussian", "logspace:1e-4", "harmonic", "rank1", "rank2", "flat", "zero"]
)
def test_verify_holds(
    dtype: str,
    shape: tuple[int, int],
    spectrum_of: str,
    seed: int,
    device: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = polydesign.load(SIGN[dtype])
    settings = {"shape": shape, "dtype": dtype, "spectrum": spectrum_of, "seed": seed, "device": device}
    found = measure(table, operator="range_projector", **settings)
    assert found.holds, found
    assert found.map is not None
    if dtype == "float64":
        # What is judged and what is below l: as f says, in the basis with the null space.
        gap = torch.tensor(found.map.measured) - torch.tensor(found.map.predicted)
        assert gap.abs().max().item() < 1e-9
    # The control: a projector that is off by 0.15.
    monkeypatch.setattr(
        verified,
        "range_projector",
        lambda *given, **how: range_projector(*given, **how).double().cpu() + 0.15 * eye(shape),
    )
    assert not measure(table, operator="range_projector", **settings).holds


def eye(shape: tuple[int, int]) -> Tensor:
    return torch.eye(min(shape), dtype=torch.float64)


def test_verify_refuses_what_bounds_nothing() -> None:
    for name in ("aol", "none"):
        with pytest.raises(InputError, match=rf"^normalization: {name} bounds no norm"):
            measure(
                polydesign.load(SIGN["float32"]),
                operator="range_projector",
                shape=(8, 8),
                plan=Plan(normalization=name),
            )


# refusals

M = torch.diag(torch.tensor([3.0, 1.0, 0.5]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spectral_truncate(M, 0.0), r"^threshold: must be positive"),
        (lambda: pseudo_inverse(M, -1.0), r"^threshold: must be positive"),
        (lambda: effective_rank(M, math.nan), r"^threshold: "),
        (lambda: spectral_truncate(M, 1e-5), r"^threshold: is 1e-05.*write formula='unnested'"),
        (lambda: spectral_truncate(M, 1.0, formula="nested"), r"^formula: 'nested' is not one of composed"),
        (lambda: range_projector(M, 1.0, side="both"), r"^side: 'both' is not one of left, right"),
        (lambda: range_projector(M * math.nan, 1.0), r"^M: holds NaN"),
        (lambda: spectral_truncate(M[0], 1.0), r"^M: must have shape"),
        (
            lambda: pseudo_inverse(M, 2e-4, inverse_table=polydesign.load("inverse-m11-l1e-4-fp32")),
            r"^threshold: is 0.0002, and with this M the inverse's table serves 0.0003.* and more",
        ),
        (
            lambda: pseudo_inverse(M, 1.0, inverse_table=polydesign.load("sign-d5x7-l1e-3-fp32")),
            r"^table: sign-d5x7-l1e-3-fp32 has root 2",
        ),
        (
            lambda: spectral_truncate(M, 1.0, table=polydesign.load("root4-d9x4-l0.1-fp32")),
            r"^table: root4-d9x4-l0.1-fp32 has root 4, and spectral_truncate needs",
        ),
    ],
)
def test_refused(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


SIGMA = torch.tensor([1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005], dtype=torch.float64)


def cut_off(M: Tensor, threshold: float) -> Tensor:
    """The pseudo-inverse of what is above it, of the matrix as it is stored."""
    U, sigma, Vh = torch.linalg.svd(M.double(), full_matrices=False)
    inverse = torch.where(sigma > threshold, 1 / sigma, torch.zeros_like(sigma))
    return (Vh.mT * inverse[..., None, :]) @ U.mT


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("how", [{"threshold": 3e-3}, {"rtol": 3e-3}, {"threshold": 0.03}, {"rtol": 0.03}])
@pytest.mark.parametrize("shape", [(40, 30), (30, 40)])
def test_small_thresholds_in_every_precision(
    shape: tuple[int, int], how: dict[str, float], dtype: str, seed: int
) -> None:
    """In bfloat16 the inverse of a matrix of condition 1/θ was off by 1e17."""
    M = known(*shape, sigma=SIGMA, seed=seed)[0].to(getattr(torch, dtype))
    exact = cut_off(M, next(iter(how.values())))
    found = pseudo_inverse(M, how.get("threshold"), rtol=how.get("rtol"))
    assert found.dtype == M.dtype
    u = {"bfloat16": 2**-8, "float16": 2**-11}.get(dtype, UNIT_ROUNDOFF[dtype] * 2000)
    assert torch.linalg.matrix_norm(found.double() - exact) <= u * torch.linalg.matrix_norm(exact)
    run = PseudoInverse(how.get("threshold"), rtol=how.get("rtol")).run(M)
    assert torch.equal(run.result, found)
    assert (run.dtype, run.state) == (dtype, "float64" if dtype == "float64" else "float32")


def test_one_threshold_relative_to_each_matrix(seed: int) -> None:
    """Sizes from 1e-30 to 1e30 beside each other, and a zero matrix; a single threshold serves one of them."""
    M = known(24, 18, sigma=SIGMA, seed=seed)[0]
    sizes = torch.tensor([1e-30, 1e-3, 1.0, 1e3, 1e30, 0.0], dtype=torch.float64)[:, None, None]
    found = pseudo_inverse((sizes * M).float(), rtol=3e-3)
    for one, size in zip(found[:-1], sizes[:-1], strict=True):
        exact = cut_off((size * M).float(), 3e-3 * size.item())
        assert torch.linalg.matrix_norm(one.double() - exact) <= 1e-4 * torch.linalg.matrix_norm(exact)
    assert torch.equal(found[-1], torch.zeros_like(found[-1]))
    assert torch.equal(PseudoInverse(None, rtol=3e-3).run(M).result, pseudo_inverse(M, rtol=3e-3))
    for how, message in (
        ({}, "^threshold: is missing: give one, or rtol="),
        ({"threshold": 1.0, "rtol": 0.1}, "^rtol: and a threshold are both given"),
        ({"rtol": 0.0}, "^rtol: must lie between"),
        ({"rtol": 1.0}, "^rtol: must lie between"),
        ({"rtol": math.nan}, "^rtol: must be a finite"),
    ):
        with pytest.raises(InputError, match=message):
            pseudo_inverse(M, how.get("threshold"), rtol=how.get("rtol"))  # pyright: ignore


def test_the_inverse_table_that_is_proposed_serves(seed: int) -> None:
    """Against the pseudo-inverse of float64; the refusal names the argument that was given."""
    M = torch.randn(40, 60, generator=torch.Generator().manual_seed(seed))
    exact = torch.linalg.pinv(M.double())
    given: dict[str, dict[str, Any]] = {"rtol": {"rtol": 1e-4}, "threshold": {"threshold": 1e-4 * 14}}
    for name, how in given.items():
        with pytest.raises(InputError, match=rf"^{name}: is .* give inverse_table=") as refusal:
            pseudo_inverse(M, **how)
        write = refusal.value.problem.partition("inverse_table=")[2].partition(", or raise it")[0]
        found = pseudo_inverse(M, **how, inverse_table=eval(write, {"polydesign": polydesign}))
        assert torch.linalg.matrix_norm(found - exact) < 1e-3 * torch.linalg.matrix_norm(exact)

"""verify on roots and inverses: what is judged, what it costs to be wrong, and what rounding P explains."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from tables import with_coefficients

import polydesign
from polydesign.model import InputError, Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.running import MOST_EXPLAINED
from polydesign.verification import metrics, operators
from polydesign.verification.roots import amplification, lowest_eigenvalue
from polydesign.verification.samples import from_matrix, from_symmetric
from polydesign.verification.spectra import ALL_SPECTRA, DEFAULT_POSITIVE, names, sample_positive
from polydesign.verification.sweep import measure

pytestmark = pytest.mark.numerics

SHAPE = (24, 30)
U64 = 2.0**-52


@cache
def designed(r: int) -> Table:
    """Error of at most 1e-3 for eigenvalues down to 1e-3, with float32's headroom."""
    return polydesign.design(
        root=r, degree=1 + 2 * r, error=1e-3, lower=1e-3 ** (1 / r), dtype="float32", certify=False
    )


def perturbed(table: Table, factor: float) -> Table:
    """The table with its last step times a factor, and every claim unchanged."""
    *steps, last = table.schedule.steps
    wrong = with_coefficients(last, coefficients=tuple(c * factor for c in last.coefficients))
    return replace(table, schedule=replace(table.schedule, steps=(*steps, wrong)), certificate=None)


CASES = [
    ("inverse_root", 1, 1, 1),
    ("inverse", 1, 1, 1),
    ("inverse_root", 2, 1, 1),
    ("inverse_root", 4, 1, 1),
    ("inverse_root", 4, 3, 3),
    ("root", 2, 1, 1),
    ("root", 3, 1, 2),
    ("matmul_inverse_root", 2, 1, 1),
    ("matmul_inverse_root", 4, 2, 2),
]
"""Operator, root, power, exponent of f in the result."""


@pytest.mark.parametrize(("operator", "r", "power", "exponent"), CASES)
def test_the_promise_holds_and_a_perturbed_last_step_does_not(
    operator: str, r: int, power: int, exponent: int, seed: int, device: str
) -> None:
    table = designed(r)
    settings = {"shape": SHAPE, "operator": operator, "power": power, "seed": seed, "device": device}
    for dtype in ("float32", "float64"):
        for spectrum in DEFAULT_POSITIVE:
            found = measure(table, dtype=dtype, spectrum=spectrum, **settings)
            assert found.holds, found
            assert found.power == exponent
            assert found.promised == table.schedule.promise(exponent)
            assert (found.operator, found.form, found.normalization) == (operator, "coupled", "frobenius")
            assert found.shape[-2:] == (24, 24)
            assert found.orthogonality is found.polar_distance is None
            assert found.input_share is not None
            assert found.input_share <= found.allowed
            # Every value moves by the factor, past 1 + E from 1 − E by more than is allowed.
            factor = 1 + 2 * table.schedule.error + 2 * found.allowed
            wrong = measure(perturbed(table, factor), dtype=dtype, spectrum=spectrum, **settings)
            assert wrong.finite
            assert not wrong.holds


@pytest.mark.parametrize(("operator", "r", "power", "exponent"), CASES)
def test_the_map_is_the_prediction(
    operator: str, r: int, power: int, exponent: int, seed: int, device: str
) -> None:
    table = designed(r)
    found = measure(
        table, shape=SHAPE, dtype="float64", operator=operator, power=power, seed=seed, device=device
    )
    assert found.map is not None
    gap = np.abs(np.array(found.map.measured, dtype=float) - np.array(found.map.predicted)).max()
    inside = [f for x, f in zip(found.map.x, found.map.predicted, strict=True) if x >= 1e-3 ** (1 / r)]
    predicted = max(abs(f**exponent - 1) for f in inside)
    # What the model of rounding excuses beyond the promise is what the values may be off by.
    slack = found.allowed - found.promised
    assert slack < 1e-9
    assert gap <= slack
    assert found.worst == pytest.approx(predicted, abs=slack)
    other = measure(
        perturbed(table, 1.001), shape=SHAPE, dtype="float64", operator=operator, power=power, seed=seed
    )
    assert other.worst != pytest.approx(predicted, abs=slack)


def test_a_root_run_for_the_wrong_power_fails(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The inverse square root that passed for an inverse fourth root must not pass here."""
    settings = {"shape": SHAPE, "dtype": "float64", "seed": seed, "operator": "inverse_root"}
    assert measure(designed(4), **settings).holds
    true = polydesign.runtime.inverse_root  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setattr(
        "polydesign.verification.roots.inverse_root",
        lambda P, r, s, table, plan: true(P, r, s + 1, table, plan),
    )
    found = measure(designed(4), **settings)
    assert found.finite
    assert not found.holds


def test_values_below_the_interval_are_not_judged(seed: int, device: str) -> None:
    table = designed(4)
    found = measure(table, shape=SHAPE, dtype="float64", spectrum="logspace:1e-8", seed=seed, device=device)
    assert found.map is not None
    below = sum(x < table.schedule.interval[0] for x in found.map.x)
    assert found.below_count == below > 0
    assert found.count == 24 - below
    assert found.holds
    assert found.below_worst is not None
    assert found.below_worst > 0.5 > found.allowed
    high = polydesign.design(root=4, degree=9, steps=1, lower=0.999, dtype="float64")
    eye = from_matrix(torch.eye(9), "mine")
    with pytest.raises(InputError, match=r"^spectrum: mine: no singular value lies in"):
        measure(high, dtype="float64", matrix=eye)


def test_the_errors_against_the_exact_result(seed: int) -> None:
    table = designed(2)
    found = measure(table, shape=SHAPE, dtype="float64", operator="inverse_root", seed=seed)
    P = sample_positive("gaussian", SHAPE, seed=seed)
    exact = (P.V * P.sigma[:, None, :] ** -0.5) @ P.V.mT
    X = polydesign.runtime.inverse_root(P.matrix, 2, 1, table)  # pyright: ignore[reportAttributeAccessIssue]
    assert found.mean_error == pytest.approx((X - exact).abs().mean().item(), rel=1e-12)
    relative = torch.linalg.matrix_norm(X - exact) / torch.linalg.matrix_norm(exact)
    assert found.relative_error == pytest.approx(relative.item(), rel=1e-12)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_the_input_share_is_what_rounding_p_does_alone(dtype: str, seed: int) -> None:
    table = designed(2)
    found = measure(table, shape=SHAPE, dtype=dtype, operator="inverse_root", spectrum="harmonic", seed=seed)
    P = sample_positive("harmonic", SHAPE, seed=seed)
    norm = torch.linalg.matrix_norm(P.matrix)
    stored = (P.matrix / norm).to(getattr(torch, dtype)).double() * norm
    values, V = torch.linalg.eigh(stored)
    half = P.V * P.sigma[:, None, :] ** 0.25
    C = half.mT @ ((V * values[:, None, :] ** -0.5) @ V.mT) @ half
    worst = torch.linalg.eigvalsh(C).sub(1).abs().max().item()
    assert found.input_share == pytest.approx(worst, rel=1e-6)
    # To first order (s/r)·‖δ‖/λ_min with entries off by u/2 at most, relatively.
    u = UNIT_ROUNDOFF[dtype]
    assert 0.05 * u < worst < 0.5 * u * norm.item() / P.sigma.min().item()
    exact = measure(table, shape=SHAPE, dtype="float64", operator="inverse_root", spectrum="harmonic")
    assert exact.input_share is not None
    assert exact.input_share < 1e-3 * worst


def test_where_rounding_takes_the_sign_of_p_nothing_is_excused(seed: int) -> None:
    table = polydesign.load("inverse-d3x7-l1e-4-bf16")
    found = measure(table, shape=(64, 64), spectrum="logspace:1e-4", seed=seed)
    assert found.input_share is None
    assert not found.holds
    assert found.allowed <= found.promised + MOST_EXPLAINED + 64 * U64
    fine = measure(table, shape=(64, 64), spectrum="logspace:1e-4", dtype="float32", seed=seed)
    assert fine.holds
    assert fine.input_share is not None


def test_after_every_step_the_values_are_where_the_schedule_says(seed: int) -> None:
    table = designed(4)
    settings = {"shape": (20, 20), "dtype": "float64", "spectrum": "harmonic", "seed": seed}
    found = measure(table, steps=True, power=2, **settings)
    assert len(found.after_steps) == len(table.schedule.steps)
    slack = found.allowed - found.promised
    for step, after in zip(table.schedule.steps, found.after_steps, strict=True):
        assert after.predicted == step.image
        assert after.measured is not None
        low, high = after.measured
        assert step.image[0] - slack <= low <= high <= step.image[1] + slack
        assert after.worst == max(1 - low, high - 1)
    last = found.after_steps[-1]
    assert last.measured is not None
    assert found.worst == pytest.approx(max(abs(end**2 - 1) for end in last.measured), abs=slack)
    wrong = measure(perturbed(table, 1.01), steps=True, power=2, **settings)
    before, after = wrong.after_steps[-2:]
    assert before == found.after_steps[-2]
    assert after.measured is not None
    assert after.measured[1] > after.predicted[1] + 0.005
    assert measure(table, **settings).after_steps == ()


# spectra of P


@pytest.mark.parametrize("spectrum", names("all", (24, 30), "float32", positive=True, singular=True))
def test_positive_samples_are_their_decomposition(spectrum: str, seed: int) -> None:
    known = sample_positive(spectrum, (24, 30), seed=seed, singular=True)
    assert known.matrix.shape[-2:] == (24, 24)
    assert torch.equal(known.matrix, known.matrix.mT)
    assert torch.equal(known.U, known.V)
    product = (known.V * known.sigma[:, None, :]) @ known.V.mT
    scale = max(known.sigma.flatten().tolist(), default=0.0)
    torch.testing.assert_close(product, known.matrix, rtol=0, atol=24 * U64 * scale)
    assert (known.sigma > 0).all()


def test_swept_reaches_all_of_the_interval(seed: int) -> None:
    known = sample_positive("swept", (64, 64), seed=seed, lower=1e-4)
    relative = known.sigma / torch.linalg.matrix_norm(known.matrix)[:, None]
    assert relative.shape[1] == 64
    edges = np.geomspace(1e-4, 1, 17)
    counts, _ = np.histogram(relative.flatten().numpy(), edges * (1 - 1e-9))
    assert (counts > 0).all()
    full = sample_positive("gaussian", (64, 64), seed=seed)
    values = (full.sigma / torch.linalg.matrix_norm(full.matrix)).flatten().numpy()
    assert np.histogram(values, edges)[0][-1] == 0


def test_a_wishart_is_made_of_the_gaussian(seed: int) -> None:
    P = sample_positive("gaussian", (12, 20), seed=seed).matrix[0]
    x = torch.randn((12, 20), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    torch.testing.assert_close(P, x @ x.mT / torch.linalg.matrix_norm(x, 2), rtol=0, atol=1e-12)


def test_singular_spectra_are_for_roots_only(seed: int) -> None:
    for spectrum in ("rank1", "rank2", "rankk:3", "zero"):
        with pytest.raises(InputError, match=rf"^spectrum: {spectrum} has a null space.*swept"):
            measure(designed(4), shape=SHAPE, spectrum=spectrum)
        found = measure(
            designed(4), shape=SHAPE, dtype="float64", operator="root", spectrum=spectrum, seed=seed
        )
        assert found.holds, found
        if spectrum == "zero":
            assert (found.count, found.worst, found.allowed) == (0, 0.0, 0.0)


def test_what_all_and_the_defaults_stand_for() -> None:
    assert names("all", (16, 16), "bfloat16") == list(ALL_SPECTRA)
    assert names("all,gaussian", (16, 16), "bfloat16") == list(ALL_SPECTRA)
    assert "rank1" not in names("all", (16, 16), "float32", positive=True)
    assert "zero" in names("all", (16, 16), "float32", positive=True, singular=True)
    assert "tiny:1e-20" not in names("all", (16, 16), "float16", positive=True)
    assert names(None, (16, 16), "float32", positive=True) == list(DEFAULT_POSITIVE)
    assert names(None, (1, 16), "float32", positive=True) == ["gaussian", "logspace:1e-2", "harmonic"]
    assert "rankk:8" not in names("all", (7, 16), "float32")
    assert names("zero,rank1", (16, 16), "float32", positive=True) == ["zero", "rank1"]
    with pytest.raises(InputError, match=r"^spectrum: 'gausian' is not one of .*, all; did you mean"):
        names("gaussian,gausian", (4, 4), "float32")


def test_spectra_stop_where_rounding_takes_over() -> None:
    schedule = designed(4).schedule
    assert lowest_eigenvalue(schedule, "float64", 64, 1) == pytest.approx(1e-3)
    assert lowest_eigenvalue(schedule, "bfloat16", 64, 1) == pytest.approx(16 * 2**-8 / (4 * 8))
    assert lowest_eigenvalue(schedule, "bfloat16", 1, 30) == 0.1


def test_amplification_of_a_hand_made_step() -> None:
    schedule = polydesign.design(root=1, degree=2, steps=1, lower=0.5, dtype="float64").schedule
    x = torch.tensor([[0.5, 1.0]], dtype=torch.float64)
    both = torch.ones_like(x, dtype=torch.bool)
    (c0, c1) = schedule.steps[0].coefficients
    W = np.array([c0 + c1 / 2, c0 + c1])

    def ratio(a: np.ndarray) -> float:
        return float(np.linalg.norm(a) / 2**0.5 / a.min())

    expected = ratio(np.array([0.5, 1.0])) + ratio(W)
    assert amplification(schedule, x, both, 1, torch.ones_like(x)) == pytest.approx(expected, rel=1e-14)
    more = amplification(schedule, x, both, 2, torch.ones_like(x))
    assert more == pytest.approx(ratio(np.array([0.5, 1.0])) + 2 * ratio(W**2), rel=1e-14)


# a user's P, and refusals


def test_a_given_p(seed: int) -> None:
    P = sample_positive("harmonic", (20, 20), seed=seed).matrix[0]
    found = measure(designed(4), dtype="float64", matrix=from_matrix(P, "mine"))
    assert (found.spectrum, found.seed, found.count) == ("mine", None, 20)
    assert found.holds
    same = from_symmetric(from_matrix(P, "mine"))
    assert torch.equal(same.U, same.V)
    for bad, message in (
        (P[:10], r"^mine: must be square"),
        (P.triu(), r"^mine: is not symmetric"),
        (-P, r"^mine: is not positive"),
    ):
        with pytest.raises(InputError, match=message):
            measure(designed(4), dtype="float64", matrix=from_matrix(bad, "mine"))


@pytest.mark.parametrize(
    ("r", "keywords", "message"),
    [
        (4, {"operator": "msign"}, r"^operator: msign does not go with a table of root 4: choose one of inv"),
        (4, {"operator": "inverse"}, r"^operator: inverse does not go with a table of root 4"),
        (1, {"operator": "root"}, r"^operator: root does not go with a table of root 1"),
        (
            4,
            {"operator": "rot"},
            r"^operator: 'rot' is not one of msign, mcsgn, spectral_clip, soft_clip, range_projector, inverse_root, root",
        ),
        (
            4,
            {"operator": "root", "power": 2},
            r"^power: root has none: leave it out, or choose inverse_root or",
        ),
        (2, {"power": 2}, r"^power: msign has none"),
        (4, {"power": 0}, r"^power: must be a whole number of at least 1"),
        (
            4,
            {"dtype": "float16", "spectrum": "tiny:1e-30"},
            r"^spectrum: tiny:1e-30: the exact result reaches .* float16 cannot",
        ),
    ],
)
def test_refusals(r: int, keywords: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure(designed(r), shape=(6, 8), **keywords)  # pyright: ignore[reportArgumentType]


def test_the_operator_follows_the_root() -> None:
    chosen = [operators.choose(designed(r), None, 1)[0] for r in (1, 2, 3, 4)]
    assert chosen == ["inverse", "msign", "inverse_root", "inverse_root"]


def test_relative_errors_by_hand() -> None:
    exact = torch.eye(2, dtype=torch.float64)[None]
    X = exact + torch.tensor([[[0.0, 0.5], [0.0, 0.0]]], dtype=torch.float64)
    assert metrics.mean_error(X, exact) == 0.125
    assert metrics.relative_error(X, exact) == pytest.approx(0.5 / 2**0.5)
    assert metrics.relative_error(X, 0 * exact) is None

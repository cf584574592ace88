"""U Σᵖ Vᵀ and the soft clip, beside a decomposition in float64 and beside mpmath's."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import mpmath
import pytest
import torch
from torch import Tensor

import polydesign
from polydesign.model import DivergenceError, InputError, Plan, PromiseWarning
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.program.cost import count_powered
from polydesign.runtime import SoftClip, SpectralPower, msign, powers, soft_clip, spectral_power
from polydesign.search.powers import ERROR, LOWER, power_table
from polydesign.verification.metrics import softly_clipped, spectral
from polydesign.verification.sweep import measure

pytestmark = pytest.mark.numerics

POWERS = [0.125, 0.75, Fraction(1, 3), 0.0, -0.5]


def known(*shape: int, seed: int = 0, lowest: float = 0.1) -> Tensor:
    """M with singular values from 1 down to the lowest, in float64."""
    *batch, m, n = shape
    k = min(m, n)
    generator = torch.Generator().manual_seed(seed)
    U, V = (
        torch.linalg.qr(torch.randn((*batch, side, k), generator=generator, dtype=torch.float64)).Q
        for side in (m, n)
    )
    return (U * torch.logspace(0, torch.log10(torch.tensor(lowest)).item(), k, dtype=torch.float64)) @ V.mT


def off(X: Tensor, M: Tensor, p: Any) -> float:
    """The largest relative error of a singular value, M of full rank."""
    U, sigma, Vt = torch.linalg.svd(M.double(), full_matrices=False)
    C = U.mT @ X.double() @ Vt.mT * sigma[..., None, :] ** -float(p)
    return (torch.linalg.svdvals(C) - 1).abs().max().item()


def allowed(one: SpectralPower, dtype: str) -> float:
    schedule = one.resolved(dtype).table.schedule
    return schedule.promise(one.power) + powers.rounding_of(schedule, one.power, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", POWERS)
@pytest.mark.parametrize("shape", [(12, 20), (20, 12), (2, 3, 9, 9)])
@pytest.mark.few(4)
def test_powers_are_those_of_the_decomposition(shape: tuple[int, ...], p: Any, dtype: str) -> None:
    M = known(*shape, lowest=2e-3).to(getattr(torch, dtype))
    one = SpectralPower(p)
    run = one.run(M)
    assert run.result.shape == M.shape
    assert run.result.dtype == M.dtype
    assert off(run.result, M, p) <= allowed(one, dtype)
    assert run.warnings == ()
    assert (run.residual <= run.promised + allowed(one, dtype)).all()
    assert torch.equal(run.result, spectral_power(M, p))
    # Another power is another matrix: the control.
    assert off(run.result, M, float(p) + 0.05) > 0.2


def test_they_are_those_of_mpmath() -> None:
    M = known(4, 6, lowest=0.05)
    with mpmath.workdps(40):
        A = mpmath.matrix(M.tolist())
        gram = A * A.T
        values, vectors = mpmath.eigsy(gram)
        # (M Mᵀ)^(−7/16) M
        power = vectors * mpmath.diag([value ** (mpmath.mpf(-7) / 16) for value in values]) * vectors.T
        exact = torch.tensor((power * A).apply(float).tolist(), dtype=torch.float64)
    X = spectral_power(M, 1 / 8)
    assert (X - exact).abs().max().item() <= allowed(SpectralPower(1 / 8), "float64")


@pytest.mark.parametrize("p", [0.125, -0.5])
def test_a_null_space_stays_one_and_zero_is_zero(p: float) -> None:
    generator = torch.Generator().manual_seed(2)
    M = torch.randn(40, 3, generator=generator) @ torch.randn(3, 60, generator=generator)
    X = spectral_power(M, p).double()
    U, sigma, Vt = (
        part[..., :3] if i < 2 else part[:3] for i, part in enumerate(torch.linalg.svd(M.double()))
    )
    one = SpectralPower(p)
    C = U.mT @ X @ Vt.mT / sigma**p
    assert (C - torch.eye(3)).abs().max() <= allowed(one, "float32")
    least = LOWER["float32"]
    # What rounding leaves there is u of X, grown by all W.
    rest = torch.linalg.svdvals(X)[3:].max() / X.norm()
    assert rest <= powers.ROUNDINGS["float32"] * UNIT_ROUNDOFF["float32"] / least ** (1 - p)
    assert torch.equal(spectral_power(torch.zeros(5, 4), p), torch.zeros(5, 4))
    assert spectral_power(torch.zeros(0, 4), p).shape == (0, 4)


def structured() -> list[Tensor]:
    """Matrices of few different entries, whose roundings agree."""
    a = torch.eye(48) * 0.3 + 1
    blocks = torch.kron(torch.ones(8, 8), torch.tensor([[1.0, 2.0], [0.5, -1.0]]))
    return [torch.ones(24, 40), a, a.repeat(1, 2), blocks, torch.eye(16) * 3]


@pytest.mark.parametrize("p", [0.125, 0.75, -0.5])
def test_structured_matrices(p: float) -> None:
    for M in structured():
        X, one = spectral_power(M, p), SpectralPower(p)
        U, sigma, Vt = torch.linalg.svd(M.double(), full_matrices=False)
        keep = sigma > 1e-2 * sigma.max()
        C = (U.mT @ X.double() @ Vt.mT)[keep][:, keep] / sigma[keep] ** p
        assert (torch.linalg.svdvals(C) - 1).abs().max() <= allowed(one, "float32")
        clipped = soft_clip(M, 0.7, plan=Plan(dtype="bf16"))
        exact = spectral(M, lambda sigma: softly_clipped(sigma, 0.7))
        assert torch.linalg.matrix_norm(clipped.double() - exact, ord=2) <= 0.25 * 0.7


def test_scale_batch_transpose_and_layout() -> None:
    M = known(3, 10, 14).float()
    X = spectral_power(M, 0.5)
    scaled = spectral_power(M * 2.0**40, 0.5)
    assert torch.equal(scaled, X * 2.0**20)
    torch.testing.assert_close(spectral_power(M[1], 0.5), X[1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(spectral_power(M.mT, 0.5).mT, X, rtol=1e-5, atol=1e-6)
    assert X.is_contiguous()


def test_complex_matrices() -> None:
    generator = torch.Generator().manual_seed(1)
    M = torch.randn(6, 9, dtype=torch.complex128, generator=generator)
    U, sigma, Vh = torch.linalg.svd(M, full_matrices=False)
    for X, values in (
        (spectral_power(M, 0.125), sigma**0.125),
        (soft_clip(M, 2.0), softly_clipped(sigma, 2.0)),
    ):
        assert (X - (U * values) @ Vh).abs().max() <= 1e-7


def test_half_precision_is_iterated_in_float32() -> None:
    M = known(20, 30).bfloat16()
    run = SpectralPower(0.125).run(M)
    assert (run.state, run.result.dtype) == ("float32", torch.bfloat16)
    assert torch.equal(run.result, spectral_power(M.float(), 0.125).bfloat16())
    wide = SpectralPower(0.125, plan=Plan(dtype="bf16", out_dtype="float32"))(M)
    assert torch.equal(wide, spectral_power(M.float(), 0.125))


@pytest.mark.parametrize(
    "function",
    [lambda M: spectral_power(M, 0.5), lambda M: soft_clip(M, 2.0), lambda M: spectral_power(M, -0.5)],
)
def test_gradients(function: Any) -> None:
    """Of the iteration; the maps differ from the exact ones by less than a difference shows."""
    M, D = known(4, 6, lowest=0.3).requires_grad_(), known(4, 6, seed=1)
    slope = torch.autograd.grad((function(M) * D).sum(), M)[0]
    step, E = 1e-5, known(4, 6, seed=2)
    with torch.no_grad():
        difference = ((function(M + step * E) - function(M - step * E)) * D).sum() / (2 * step)
    assert abs((slope * E).sum() - difference) <= 1e-6 * slope.norm() * E.norm()


def test_vmap_runs_it() -> None:
    M = known(2, 8, 12).float()
    plain = SpectralPower(0.5, plan=Plan(check=False))
    torch.testing.assert_close(torch.func.vmap(plain)(M), plain(M), rtol=1e-6, atol=1e-6)


def test_products_and_tables() -> None:
    for root, power in ((16, 7), (4, 1), (6, 2), (30, 14)):
        for dtype in ("float32", "float64"):
            table = power_table(root, power, dtype)
            assert table.schedule.promise(power) <= ERROR[dtype]
            table.schedule.check_chain()
    table = power_table(4, 1)
    assert float(polydesign.certify(table).error[1]) <= table.schedule.error * (1 + 1e-9)
    assert count_powered(power_table(16, 7).schedule, 7).total == 31
    M = known(10, 16).float()
    assert SpectralPower(1 / 8).run(M).matmuls == 31
    frobenius = SpectralPower(1 / 8, plan=Plan(normalization="frobenius")).run(M)
    assert frobenius.matmuls == 31
    assert off(frobenius.result, M, 1 / 8) <= 2 * ERROR["float32"]


REFUSED = [
    ({"p": 0.3}, "p: must be 1 - 2·s/r with whole s and r <= 16, and is 0.3: the nearest is p=0.285714, 2/7"),
    ({"p": 1.0}, "p: must lie between -1 and 1, and is 1.0: M itself is that"),
    ({"p": -1.0}, "p: must lie between -1 and 1, and is -1.0: write pseudo_inverse"),
    ({"plan": Plan(matmuls=20)}, "plan.matmuls: is of the package's tables"),
    ({"plan": Plan(dither=True)}, "plan.dither: "),
]


@pytest.mark.parametrize(("wrong", "message"), REFUSED)
def test_refusals(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match="^" + re.escape(message)):
        SpectralPower(**({"p": 0.5} | wrong))  # pyright: ignore[reportArgumentType]


def test_the_nearest_power_that_is_named_runs() -> None:
    for p in (0.99, -0.99, 0.3, 0.41, -0.2345):
        with pytest.raises(InputError) as refused:
            SpectralPower(p)
        named = re.search(r"p=(\S+),", str(refused.value))
        assert named is not None
        SpectralPower(float(named[1]))


def test_bad_data_is_refused_and_what_cannot_be_right_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    M = known(8, 12).float()
    bad = M.clone()
    bad[0, 0] = torch.nan
    for function in (lambda X: spectral_power(X, 0.5), lambda X: soft_clip(X)):
        with pytest.raises(InputError, match=r"^M: holds NaN or infinity"):
            function(bad)
    run, factors = powers.execute.powered, [1.2, 1e-3]

    def wrong(*arguments: Any, **named: Any) -> Any:
        found = run(*arguments, **named)
        return found._replace(G=found.G * factors[0])

    monkeypatch.setattr(powers.execute, "powered", wrong)
    for error in (PromiseWarning, DivergenceError):
        with pytest.raises(error, match="residual"):
            spectral_power(M, 0.5)
        factors.pop(0)


# the soft clip


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("high", [0.02, 0.3, 10.0])
def test_soft_clips_are_those_of_the_decomposition(high: float, dtype: str) -> None:
    for shape in ((40, 64), (64, 40), (2, 36, 36)):
        M = known(*shape, lowest=1e-3).to(getattr(torch, dtype))
        run = SoftClip(high).run(M)
        exact = spectral(M.double(), lambda sigma: softly_clipped(sigma, high))
        table = polydesign.load(run.table or SoftClip(high, plan=Plan(dtype=dtype)).resolved(dtype).sign.name)
        # The error of msign, and 0.05 or less of rounding in half precision (docs/running.md: 0.25 is the most).
        rounding = 0.05 if run.result.dtype.itemsize == 2 else 2e3 * UNIT_ROUNDOFF[dtype]
        off = torch.linalg.matrix_norm(run.result.double() - exact, ord=2).max().item()
        assert off <= high * (table.schedule.error + rounding)
        assert run.result.shape == M.shape
        assert torch.equal(run.result, soft_clip(M, high))


def test_where_the_threshold_is_too_small_a_call_warns_and_its_cure_works() -> None:
    M = known(40, 64).float()
    with pytest.warns(PromiseWarning, match=r"^high: is 0.0003, and sign-") as said:
        soft_clip(M, 3e-4)
    written = re.search(r"write plan=(Plan\(.*\)), table=(polydesign\.design\(.*\))$", str(said[0].message))
    assert written is not None
    plan, table = (eval(part, {"Plan": Plan, "polydesign": polydesign}) for part in written.groups())
    X = soft_clip(M, 3e-4, table, plan)
    exact = spectral(M.double(), lambda sigma: softly_clipped(sigma, 3e-4))
    assert torch.linalg.matrix_norm(X.double() - exact, ord=2) <= 0.02 * 3e-4


def test_where_rounding_moves_as_much_as_the_threshold_a_call_warns() -> None:
    M = known(40, 64).float()
    for dtype, high in (("bf16", 5e-3), ("fp16", 5e-4)):
        with pytest.warns(
            PromiseWarning, match=r"^high: is .*rounding M to .* write Plan\(dtype=\"float32\"\)"
        ):
            soft_clip(M, high, plan=Plan(dtype=dtype, check="warn"))
    soft_clip(M, 0.1, plan=Plan(dtype="bf16"))  # the control


def test_a_null_space_is_no_trouble_to_the_soft_clip() -> None:
    assert torch.equal(soft_clip(torch.zeros(6, 4)), torch.zeros(6, 4))
    assert soft_clip(torch.zeros(0, 4)).shape == (0, 4)
    M = known(20, 3) @ known(3, 30, seed=1)
    exact = spectral(M, lambda sigma: softly_clipped(sigma, 0.1))
    assert torch.linalg.matrix_norm(soft_clip(M, 0.1) - exact, ord=2) <= 1e-9
    # Near the identity below, near msign above.
    assert (soft_clip(M, 1e3) - M).norm() <= 1e-6 * M.norm()


@pytest.mark.parametrize(
    ("table", "operator", "power"),
    [
        ("root4-d33-17-33-l0.1-fp32", "spectral_power", 1),
        ("sign-d17x3-l0.01-fp32-coupled", "spectral_power", 1),
        ("sign-d5x7-l1e-3-fp32", "soft_clip", 1),
        ("sign-d5x6-l1e-3-bf16", "soft_clip", 1),
    ],
)
@pytest.mark.parametrize("spectrum", ["gaussian", "rank1", "harmonic", "zero"])
@pytest.mark.few(6)
def test_verify_measures_them(table: str, operator: str, power: int, spectrum: str) -> None:
    known = polydesign.load(table)
    settings: dict[str, Any] = {"operator": operator, "power": power, "spectrum": spectrum, "shape": (24, 40)}
    found = measure(known, dtype=known.dtype or "float32", **settings)
    assert found.holds, found
    assert found.finite


def test_verify_sees_a_wrong_power(monkeypatch: pytest.MonkeyPatch) -> None:
    from polydesign.verification import powers as cases

    monkeypatch.setattr(cases, "spectral_power", lambda M, p, *how: spectral_power(M, p + 0.25, None, how[1]))
    table = polydesign.load("root4-d33-17-33-l0.1-fp32")
    assert not measure(table, dtype="float32", operator="spectral_power", shape=(24, 40)).holds
    with pytest.raises(InputError, match=r"^power: is 4 and the root 4"):
        measure(table, dtype="float32", operator="spectral_power", power=4, shape=(24, 40))


def test_the_power_zero_is_msign() -> None:
    M = known(12, 20)
    assert (spectral_power(M, 0) - msign(M)).abs().max() <= 1e-4

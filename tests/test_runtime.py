"""Matrices: normalization, the pure core, msign, against naive references written here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import prototype, published, table_of, with_coefficients
from torch import Tensor

from polydesign.model import DivergenceError, InputError, Plan, Schedule, Step, Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.program.cost import matmuls
from polydesign.runtime import Run, base, defaults, msign, msign_with_info, ops
from polydesign.runtime.execute import direct
from polydesign.runtime.normalize import frobenius, times_power_of_two
from polydesign.verification.spectra import sample

pytestmark = pytest.mark.numerics

DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
QUINTICS = prototype("quintics_18")


def random(*shape: int, seed: int, dtype: torch.dtype = torch.float64, device: str = "cpu") -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(device, dtype)


def naive(X: Tensor, schedule: Schedule) -> Tensor:
    """Powers of A one after the other, coefficients from the schedule, in float64."""
    for step in schedule.steps:
        A = X @ X.mT
        Q = torch.zeros_like(A)
        for j, c in enumerate(step.coefficients):
            Q = Q + c * torch.linalg.matrix_power(A, j)
        X = Q @ X
    return X


def rounding_bound(schedule: Schedule, sides: int, u: float) -> float:
    """First-order bound of |X computed − X| in the spectral norm, for singular values in [0, 1].

    A step errs by sides·u times the sum of its terms' sizes; what follows multiplies that by the largest
    slope of the rest of the map (divided differences of an odd function do not exceed it).
    """
    x = np.linspace(0, 1, 20001)
    sizes, slopes = [x], []
    for step in schedule.steps:
        powers = [x ** (2 * j) for j in range(len(step.coefficients))]
        sizes.append(sum(abs(c) * y for c, y in zip(step.coefficients, powers, strict=True)) * x)
        slopes.append(
            sum((1 + 2 * j) * c * y for j, (c, y) in enumerate(zip(step.coefficients, powers, strict=True)))
        )
        x = step(x)
    total, rest = 0.0, np.ones_like(x)
    for size, slope in zip(reversed(sizes), [*reversed(slopes), rest], strict=True):
        total += float(np.max(np.abs(rest)) * np.max(size))
        rest = rest * slope
    return sides * u * total


def spectral(X: Tensor) -> float:
    return torch.linalg.matrix_norm(X.double(), ord=2).max().item()


# normalization


@pytest.mark.parametrize("dtype", DTYPES)
@given(exponent=st.integers(-900, 900), case=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_scaling_by_a_power_of_two_changes_no_bit(dtype: torch.dtype, exponent: int, case: int) -> None:
    # Entries between 1/4 and 1, so that none leaves the normal range of its dtype.
    limit = {torch.float16: 12, torch.float64: 900}.get(dtype, 120)
    k = torch.tensor(max(-limit, min(limit, exponent)))
    R = random(2, 5, 7, seed=case)
    M = (R.sign() * R.abs().clamp(0.25, 0.999)).to(dtype)
    scaled = times_power_of_two(M.double(), k).to(dtype)
    for side in (0, 5):
        plan = Plan(float32_side=side)
        assert torch.equal(msign(M, QUINTICS, plan), msign(scaled, QUINTICS, plan))


def test_scaling_by_three_does_change_bits() -> None:
    M = random(5, 7, seed=0, dtype=torch.bfloat16)
    assert not torch.equal(frobenius(M, M.dtype).matrix, frobenius(3 * M, M.dtype).matrix)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        (torch.bfloat16, 1e-30),
        (torch.bfloat16, 1e30),
        (torch.bfloat16, 3e38),
        (torch.float16, 1e-7),
        (torch.float16, 6e4),
        (torch.float32, 1e-30),
        (torch.float32, 1e30),
        (torch.float32, 1e-44),
        (torch.float64, 1e-300),
        (torch.float64, 1e300),
        (torch.float64, 5e-324),
    ],
)
def test_any_norm_is_divided_out(dtype: torch.dtype, size: float, device: str) -> None:
    M = torch.full((6, 9), size, dtype=torch.float64).to(device, dtype)
    normalized = frobenius(M, torch.float32)
    # sqrt, sum and quotient of 54 equal squares: each entry of X is 1/√54 to a few roundings.
    expected = torch.full((6, 9), 54**-0.5, device=device)
    torch.testing.assert_close(normalized.matrix, expected, rtol=60 * 2.0**-24, atol=0)
    torch.testing.assert_close(
        normalized.norm().item(), M.double()[0, 0].item() * 54**0.5, rtol=60 * 2.0**-24, atol=5e-324
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_gives_zero_beside_what_is_not(dtype: torch.dtype, seed: int, device: str) -> None:
    M = random(3, 8, 8, seed=seed, dtype=dtype, device=device)
    M[1] = 0
    X, info = msign_with_info(M, QUINTICS, Plan(float32_side=0))
    assert torch.equal(X[1], torch.zeros_like(X[1]))
    assert torch.isfinite(X).all()
    assert info.norm[1] == 0
    assert (info.norm[[0, 2]] > 0).all()


def test_powers_of_two_are_exact() -> None:
    for dtype, low, high in ((torch.float32, -149, 127), (torch.float64, -1074, 1023)):
        k = torch.arange(low, high + 1)
        found = times_power_of_two(torch.ones(len(k), dtype=dtype), k)
        assert found.tolist() == [2.0**e for e in k.tolist()]


# the pure core


@pytest.mark.parametrize("inner", range(1, 9))
def test_every_inner_degree_is_the_polynomial(inner: int, seed: int) -> None:
    rng = np.random.default_rng(seed + inner)
    row = tuple(rng.uniform(-1, 1, inner + 1).tolist())
    schedule = table_of([row], lower=0.1).schedule if min_positive(row) else one_step(row)
    X = frobenius(random(2, 12, 20, seed=seed), torch.float64).matrix
    bound = 4 * rounding_bound(schedule, 32, UNIT_ROUNDOFF["float64"])  # naive reference errs as well
    assert spectral(direct(X, schedule) - naive(X, schedule)) <= bound
    worse = with_coefficients(schedule.steps[0], coefficients=(*row[:-1], row[-1] + 1e-6))
    visible = spectral(direct(X[:, :1], [worse]) - naive(X[:, :1], schedule))
    assert inner > 4 or visible > bound  # the top term of a high degree is small on a normalized matrix


def min_positive(row: tuple[float, ...]) -> bool:
    x = np.geomspace(0.1, 1, 1000)
    return bool(np.min(sum(c * x ** (2 * j) for j, c in enumerate(row))) > 0)


def one_step(row: tuple[float, ...]) -> Schedule:
    step = Step(1 + 2 * (len(row) - 1), row, (0.1, 1.0), (-9.0, 9.0), 10.0)
    return Schedule(2, (0.1, 1.0), (step,))


@pytest.mark.parametrize("inner", range(1, 9))
def test_products_run_are_products_counted(inner: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def product(a: Tensor, b: Tensor) -> Tensor:
        ran.append("product")
        return a @ b

    def product_add(c: Tensor, a: Tensor, b: Tensor, *, alpha: float, beta: float) -> Tensor:
        ran.append("product_add")
        return beta * c + alpha * (a @ b)

    for name, backend in (
        ("mm", product),
        ("sym_mm", product),
        ("mm_add", product_add),
        ("sym_mm_add", product_add),
    ):
        monkeypatch.setattr(ops, name, backend)
    row = (1.0,) + (0.1,) * inner
    schedule = Schedule(2, (0.1, 1.0), one_step(row).steps * 3)
    table = Table("t", schedule, QUINTICS.provenance)
    _, info = msign_with_info(random(4, 6, seed=0), table)
    assert len(ran) == matmuls(schedule) == info.matmuls
    assert ran[-1] == "product_add"  # the constant is added to X there


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scaled_addition(dtype: torch.dtype, seed: int, device: str) -> None:
    c, a, b = (random(2, 3, 5, 5, seed=seed + k, dtype=dtype, device=device) for k in range(3))
    found = ops.mm_add(c, a, b, alpha=-2.5, beta=1.5)
    tolerance = 8 * 5 * torch.finfo(dtype).eps * 10
    torch.testing.assert_close(found, 1.5 * c - 2.5 * (a @ b), rtol=tolerance, atol=tolerance)
    assert torch.equal(ops.mm_add(c[0, 0], a[0, 0], b[0, 0], alpha=0.0, beta=1.0), c[0, 0])


def test_half_precision_sums_are_rounded_once(seed: int, device: str) -> None:
    for dtype, name in ((torch.bfloat16, "bfloat16"), (torch.float16, "float16")):
        c, a = (random(2, 64, 64, seed=seed + k, dtype=dtype, device=device) for k in range(2))
        exact = 1.5 * c.double() - 2.5 * (a.double() @ a.double().mT)
        found = ops.mm_add(c, a, a.mT, alpha=-2.5, beta=1.5).double()
        twice = (1.5 * c - 2.5 * (a @ a.mT)).double()  # three roundings
        u = UNIT_ROUNDOFF[name]
        slack = 64 * 2.0**-24 * (2.5 * (a.double().abs() @ a.double().abs().mT) + 1.5 * c.double().abs())
        assert ((found - exact).abs() <= u * exact.abs() + slack).all()
        assert not ((twice - exact).abs() <= u * exact.abs() + slack).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_coefficients_are_not_rounded_to_the_state(dtype: torch.dtype, device: str) -> None:
    M = torch.full((3, 3), 256.0, dtype=dtype, device=device)
    expected = torch.full((3, 3), 0.256, dtype=torch.float64, device=device).to(dtype)
    # 256.256 is no half-precision number; the float32 it is formed in is good to 2⁻¹⁶.
    torch.testing.assert_close(ops.weighted_sum([(M, -1.0), (M, 1.001)]), expected, rtol=1e-3, atol=0)
    if dtype == torch.bfloat16:
        assert torch.add(-M, M, alpha=1.001).abs().max() == 0  # what this is for
    large = ops.weighted_sum([(0 * M, 1.0), (M / 2**18, 1e5)])  # 1e5 is no float16 number
    torch.testing.assert_close(large.double(), torch.full_like(large, 97.65625).double(), rtol=2**-7, atol=0)


# msign


def test_msign_is_the_naive_iteration(seed: int, device: str) -> None:
    M = random(24, 40, seed=seed, device=device)
    X, info = msign_with_info(M, QUINTICS)
    reference = naive(M / torch.linalg.matrix_norm(M), QUINTICS.schedule)
    bound = 4 * rounding_bound(QUINTICS.schedule, 64, UNIT_ROUNDOFF["float64"])
    assert spectral(X - reference) <= bound
    first = QUINTICS.schedule.steps[0]
    wrong = with_coefficients(first, coefficients=(first.coefficients[0] + 1e-6, *first.coefficients[1:]))
    schedule = replace(QUINTICS.schedule, steps=(wrong, *QUINTICS.schedule.steps[1:]))
    assert spectral(X - naive(M / torch.linalg.matrix_norm(M), schedule)) > bound
    gram = X @ X.mT - torch.eye(24, dtype=X.dtype, device=device)
    assert isinstance(info, Run)
    assert info.dtype == "float64"
    torch.testing.assert_close(info.norm, torch.linalg.matrix_norm(M))
    torch.testing.assert_close(info.residual, torch.linalg.matrix_norm(gram) / 24**0.5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(12, 20), (20, 12), (16, 16), (1, 9), (9, 1), (2, 3, 8, 5)])
def test_shape_dtype_and_memory(dtype: torch.dtype, shape: tuple[int, ...], seed: int, device: str) -> None:
    M = random(*shape, seed=seed, dtype=dtype, device=device)
    before = M.clone()
    X, info = msign_with_info(M, QUINTICS)
    assert torch.equal(M, before)
    assert X.shape == M.shape
    assert X.dtype == dtype
    assert X.is_contiguous()
    assert X.untyped_storage().data_ptr() != M.untyped_storage().data_ptr()
    assert info.transposed == (shape[-2] > shape[-1])
    assert info.norm.shape == info.residual.shape == shape[:-2]
    assert torch.equal(X, msign(M, QUINTICS))
    X.zero_()
    assert torch.equal(M, before)


def test_a_normalized_input_is_not_changed_either(seed: int, device: str) -> None:
    M = random(6, 6, seed=seed, device=device)
    M /= torch.linalg.matrix_norm(M)
    before = M.clone()
    msign(M, QUINTICS)
    assert torch.equal(M, before)


@pytest.mark.parametrize("plan", ["bf16", "float16", torch.float32, torch.float64])
def test_result_has_the_dtype_of_the_state(plan: object, seed: int) -> None:
    X, info = msign_with_info(random(6, 8, seed=seed, dtype=torch.float32), QUINTICS, Plan(dtype=plan))
    assert X.dtype == getattr(torch, info.dtype)
    assert Plan(dtype=plan).dtype == info.dtype


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_narrow_state_never_meets_the_unnormalized_values(size: float, seed: int) -> None:
    M = random(16, 24, seed=seed) * size
    for dtype in ("float16", "bfloat16"):
        _, info = msign_with_info(M, QUINTICS, Plan(dtype=dtype, float32_side=0))
        torch.testing.assert_close(info.norm, torch.linalg.matrix_norm(M))
        assert info.residual < 0.05


def test_layout_does_not_matter(seed: int, device: str) -> None:
    M = random(2, 18, 30, seed=seed, device=device)
    expected = msign(M, QUINTICS)
    bound = 4 * rounding_bound(QUINTICS.schedule, 48, UNIT_ROUNDOFF["float64"])
    strided = torch.zeros(2, 36, 90, dtype=M.dtype, device=device)[:, ::2, ::3]
    strided.copy_(M)
    expanded = M[:1].expand(3, 18, 30)
    assert spectral(msign(M.mT, QUINTICS) - expected.mT) <= bound
    assert spectral(msign(M.mT.contiguous().mT, QUINTICS) - expected) <= bound
    assert spectral(msign(strided, QUINTICS) - expected) <= bound
    assert spectral(msign(expanded, QUINTICS) - expected[:1]) <= bound


def test_batch_equals_loop(seed: int, device: str) -> None:
    M = random(2, 3, 14, 10, seed=seed, device=device) * 10.0 ** torch.arange(-1, 2).to(device)[:, None, None]
    batch = msign(M, QUINTICS)
    bound = 4 * rounding_bound(QUINTICS.schedule, 24, UNIT_ROUNDOFF["float64"])
    for i in range(2):
        for j in range(3):
            assert spectral(batch[i, j] - msign(M[i, j], QUINTICS)) <= bound
    assert spectral(batch[0, 0] - msign(M[1, 2], QUINTICS)) > bound


def test_headroom_saves_rank_one_inputs_in_bfloat16(seed: int) -> None:
    # Sixteen, because whether x = 1 is rounded up is chance.
    M = (random(16, 64, 1, seed=seed) @ random(16, 1, 96, seed=seed + 1)).to(torch.bfloat16)
    assert spectral(msign(M, QUINTICS)) < 1.05
    bare = published("polar_express_deg5")  # the same kind of table without headroom
    X = msign(M, bare, Plan(check=False))
    assert not torch.isfinite(X).all() or spectral(X) > 1.5
    with pytest.raises(DivergenceError, match=r"^M\[\d+\]: a singular value of the result is at least"):
        msign(M, bare)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", DTYPES)
def test_not_finite(bad: float, dtype: torch.dtype, seed: int, device: str) -> None:
    M = random(2, 5, 6, seed=seed, dtype=dtype, device=device)
    M[1, 2, 3] = bad
    with pytest.raises(InputError, match=r"^M\[1\]: holds NaN or infinity.*check=False"):
        msign(M, QUINTICS)
    for side in (0, 5):
        X = msign(M, QUINTICS, Plan(check=False, float32_side=side))
        assert X[1].isnan().any()
        assert torch.isfinite(X[0]).all()


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (torch.ones(3, 3, dtype=torch.int64), r"^M: must have a floating dtype, not int64: write M\.to\("),
        (torch.ones(3, 3, dtype=torch.bool), r"^M: must have a floating dtype, not bool"),
        (torch.ones(3), r"^M: must have shape \(\.\.\., m, n\), not \(3,\)"),
        (torch.tensor(1.0), r"^M: must have shape"),
        (np.ones((3, 3)), r"^M: must be a torch tensor, not ndarray"),
        (
            torch.ones(3, 3, dtype=torch.float8_e4m3fn),
            r"^M: has dtype float8_e4m3fn, in which nothing is computed",
        ),
    ],
)
def test_refused_matrices(matrix: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        msign(matrix, QUINTICS)  # pyright: ignore[reportArgumentType]


def test_refused_tables() -> None:
    step = Step(5, (1.25, -0.25), (0.1, 1.0), (0.1, 1.0), 0.9)
    fourth = Table("inverse", Schedule(4, (0.1, 1.0), (step,)), QUINTICS.provenance)
    with pytest.raises(InputError, match=r"^table: inverse has root 4, and msign needs a table of root 2"):
        msign(torch.ones(2, 2), fourth)
    with pytest.raises(InputError, match=r"^quintics: is neither a file nor a table of the catalogue"):
        msign(torch.ones(2, 2), "quintics")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"^table: must be a Table, not Plan: write plan=Plan"):
        msign(torch.ones(2, 2), Plan(dtype="bf16"))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 3, 4), (2, 0, 4), (0, 0)])
def test_empty(shape: tuple[int, ...], device: str) -> None:
    X, info = msign_with_info(torch.ones(shape, device=device), QUINTICS, Plan(dtype="float64"))
    assert X.shape == shape
    assert X.dtype == torch.float64
    assert info.matmuls == 0
    assert info.norm.shape == info.residual.shape == shape[:-2]


def test_default_table_follows_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load(name: str) -> Table:
        asked.append(name)
        return QUINTICS

    monkeypatch.setattr(defaults, "load", load)
    defaults.loaded.cache_clear()
    base._made.cache_clear()
    M = torch.eye(3)
    msign(M)
    msign(M)  # read once
    msign(M, plan=Plan(dtype="bf16"))
    defaults.loaded.cache_clear()
    base._made.cache_clear()
    assert asked == [defaults.SIGN["float32"], defaults.SIGN["bfloat16"]]


def test_the_core_never_looks_at_data() -> None:
    # Fake tensors have none: any branch on values raises.
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        X = torch.empty(2, 6, 9, dtype=torch.bfloat16)
        assert direct(frobenius(X, X.dtype).matrix, QUINTICS.schedule).shape == (2, 6, 9)


def test_autocast_does_not_change_the_precision() -> None:
    M = random(8, 12, seed=3, dtype=torch.float32)
    expected = msign(M, QUINTICS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = msign(M, QUINTICS)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_gradients_are_finite_at_a_zero_matrix() -> None:
    M = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    msign(M, QUINTICS).sum().backward()
    assert M.grad is not None
    assert torch.isfinite(M.grad).all()


def test_float8_input_is_run_in_the_plans_precision() -> None:
    M = random(6, 9, seed=4, dtype=torch.float32).to(torch.float8_e4m3fn)
    found = msign(M, QUINTICS, Plan(dtype="bf16"))
    assert torch.equal(found, msign(M.float(), QUINTICS, Plan(dtype="bf16")))


# warnings


def test_warns_where_singular_values_began_below_the_interval(seed: int, device: str) -> None:
    inside = sample("logspace:1e-2", (64, 96), seed=seed).matrix[0].to(device)
    below = sample("logspace:1e-5", (64, 96), seed=seed).matrix[0].to(device)
    for dtype in ("bfloat16", "float16", "float32", "float64"):
        assert msign_with_info(inside, plan=Plan(dtype=dtype))[1].warnings == ()
        (said,) = msign_with_info(torch.stack([inside, below]), plan=Plan(dtype=dtype))[1].warnings
        assert "in 1 of 2 matrices" in said
        lowest = 1e-3 * torch.linalg.matrix_norm(below).item()
        assert f"may have begun below {lowest:.3g}, where nothing is promised" in said
    assert msign_with_info(below, plan=Plan(check=False))[1].warnings == ()
    assert msign_with_info(torch.zeros(3, 4, device=device))[1].warnings == ()
    _, info = msign_with_info(torch.full((3, 4), torch.nan, device=device), plan=Plan(check=False))
    assert info.warnings == ()


def test_the_residual_is_wide_under_autocast(seed: int, device: str) -> None:
    M = sample("logspace:1e-2", (64, 96), seed=seed).matrix[0].float().to(device)
    _, plain = msign_with_info(M)
    with torch.autocast(torch.device(device).type, dtype=torch.bfloat16):
        _, under = msign_with_info(M)
    assert under.residual == plain.residual
    assert under.warnings == ()


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 8])
def test_a_padded_row_runs(n: int, seed: int, device: str) -> None:
    """A cubic written with leading zeros is that cubic."""
    M = sample("gaussian", (12, 20), seed=seed).matrix[0].to(device)
    padded, plain = (table_of([(1.5, -0.5, *[0.0] * zeros)] * 3) for zeros in (n - 1, 0))
    torch.testing.assert_close(msign(M, padded), msign(M, plain), rtol=1e-13, atol=1e-13)

"""Normalizations: their formulas, their bounds on hard spectra, and the traps that eps and sums set.

One row of `ROWS` a normalization; the tests run over all of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import prototype, published
from torch import Tensor

import polydesign
from polydesign.model import InputError, Plan, Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.program.cost import matmuls
from polydesign.runtime import inverse_root, inverse_root_with_info, mcsgn, msign, msign_with_info, normalize
from polydesign.runtime import ops as products_of
from polydesign.runtime.normalize import NORMALIZATIONS, times_power_of_two
from polydesign.table import from_json, to_json
from polydesign.verification.spectra import DEFAULT_SPECTRA
from polydesign.verification.sweep import measure

OTHER_NORM = "ignore:plan.normalization:polydesign.model.SafetyWarning"  # test_safety.py has it
pytestmark = [pytest.mark.numerics, pytest.mark.filterwarnings(OTHER_NORM)]

DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
QUINTICS = prototype("quintics_18")
U64 = 2.0**-53


def schatten(p: int) -> Callable[[Tensor], Tensor]:
    return lambda M: torch.linalg.svdvals(M).pow(p).sum(-1) ** (1 / p)


def rows(M: Tensor) -> Tensor:
    return (M @ M.mT).abs().sum(-1).amax(-1).sqrt()


# name: (ν in float64 or None, products, products in all beyond those of the iteration)
ROWS: dict[str, tuple[Callable[[Tensor], Tensor] | None, int, int]] = {
    "frobenius": (schatten(2), 0, 0),
    "schatten4": (schatten(4), 1, 0),
    "schatten8": (schatten(8), 2, 1),
    "power": (None, 1, 0),
    "aol": (rows, 1, 0),
    "none": (lambda M: torch.ones_like(M[..., 0, 0]), 0, 0),
}
BOUNDS = [name for name in ROWS if name != "none"]


def random(*shape: int, seed: int, dtype: torch.dtype = torch.float64, device: str = "cpu") -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(device, dtype)


def norm2(X: Tensor) -> Tensor:
    return torch.linalg.matrix_norm(X.double(), ord=2)


def hard(m: int, n: int, seed: int, device: str = "cpu") -> Tensor:
    """A batch of spectral norm 1: flat, clustered and gapped at the top, rank 1, rank 2, spread, equal rows."""
    one, many = torch.ones(1), torch.ones(m - 1)
    spectra = [torch.ones(m), torch.linspace(1, 0.95, m), torch.linspace(1, 0, m)]
    spectra += [torch.cat([one, (1 - gap) * many]) for gap in (0.01, 0.05, 0.1, 0.2)]
    spectra += [torch.cat([one, 0 * many]), torch.cat([one, 0.99 * one, 0 * many[1:]])]
    U = torch.linalg.qr(random(m, m, seed=seed)).Q
    V = torch.linalg.qr(random(n, m, seed=seed + 1)).Q
    dense = [(U * sigma.double()) @ V.mT for sigma in spectra]
    diagonal = [torch.eye(m, n).double() * sigma.double()[:, None] for sigma in spectra]
    return torch.stack([*dense, *diagonal, torch.full((m, n), (m * n) ** -0.5).double()]).to(device)


def test_the_names_are_the_same_everywhere() -> None:
    schema = json.loads(files("polydesign").joinpath("schema/schedule-v2.schema.json").read_text("utf-8"))
    listed = schema["properties"]["normalization"]["enum"]
    assert listed == list(polydesign.model.NORMALIZATIONS) == list(NORMALIZATIONS) == list(ROWS)


# formulas and bounds


@pytest.mark.parametrize("name", ROWS)
def test_norm_and_matrix_are_the_formula(name: str, seed: int, device: str) -> None:
    M = 3 * random(3, 12, 20, seed=seed, device=device) / 3 ** torch.arange(3, device=device)[:, None, None]
    found = NORMALIZATIONS[name](M, torch.float64)
    formula, products, _ = ROWS[name]
    tolerance = 32 * 20 * U64  # sums of 12·20 squares and of products of length 20, and a few roots
    if formula is not None:
        torch.testing.assert_close(found.norm(), formula(M), rtol=tolerance, atol=0)
        for other, (wrong, *_) in ROWS.items():
            assert other == name or wrong is None or (found.norm() / wrong(M) - 1).abs().min() > 1e-3
    divisor = found.norm()[:, None, None]
    if name == "aol":
        divisor = (M @ M.mT).abs().sum(-1, keepdim=True).sqrt()
    torch.testing.assert_close(found.matrix, M / divisor, rtol=tolerance, atol=0)
    assert found.products == products
    assert (found.gram is None) == (products == 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BOUNDS)
def test_nothing_comes_out_above_one(name: str, dtype: torch.dtype, seed: int, device: str) -> None:
    M = hard(48, 64, seed, device)
    found = NORMALIZATIONS[name](M, dtype)
    X = found.matrix.double()
    u = UNIT_ROUNDOFF[str(dtype).removeprefix("torch.")]
    # Entries are rounded once in X, twice on the way into A: by u·‖X‖_F at most each, u·‖A‖_F <= u·‖X‖_F.
    size = torch.linalg.matrix_norm(X)
    accumulated = 48 * 64 * min(u, 2.0**-24)  # sums of squares
    assert (norm2(X) <= 1 + 4 * u * size + accumulated).all()
    assert (norm2(X)[-1] - 1).abs() <= 4 * u + accumulated  # equal entries: every bound is attained
    assert (
        found.norm() <= (1 + 4 * u + accumulated) * torch.linalg.matrix_norm(M) * (7 if name == "aol" else 1)
    ).all()
    assert (norm2(M / found.norm()[:, None, None]) <= 1 + 4 * u * size + accumulated).all()


@pytest.mark.parametrize("m", [8, 96])
def test_the_power_margin_is_needed_and_suffices(m: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    M = torch.cat([hard(m, m, seed), hard(m, m, seed + 10)])
    before = torch.get_rng_state()
    found = NORMALIZATIONS["power"](M, torch.float64).norm()
    assert torch.equal(found, NORMALIZATIONS["power"](M, torch.float64).norm())
    assert torch.equal(torch.get_rng_state(), before)
    assert (found >= 1 - 1e-12).all()
    assert (found <= schatten(4)(M) * (1 + 1e-12)).all()
    assert (found <= 1.1 * (1 + 1e-12)).all()  # the estimate itself is never above
    monkeypatch.setattr(normalize, "POWER_MARGIN", 1.0)
    assert NORMALIZATIONS["power"](M, torch.float64).norm().min() < (1 - 1e-3 if m > 8 else 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in ROWS if ROWS[name][1]])
def test_the_gram_matrix_belongs_to_the_matrix(name: str, dtype: torch.dtype, seed: int) -> None:
    M = torch.cat([hard(24, 32, seed), random(2, 24, 32, seed=seed)])
    found = NORMALIZATIONS[name](M, dtype)
    X = found.matrix.double()
    assert found.gram is not None
    assert found.gram.dtype == dtype
    u = UNIT_ROUNDOFF[str(dtype).removeprefix("torch.")]
    # X and Y are rounded apart, by u relatively each, and each stands twice in A; A is rounded twice.
    bound = 6 * u * (X.abs() @ X.mT.abs()) + 64 * min(u, 2.0**-24) + 32 * torch.finfo(dtype).smallest_normal
    assert ((found.gram.double() - X @ X.mT).abs() <= bound).all()
    assert not ((1.1 * found.gram.double() - X @ X.mT).abs() <= bound).all()


# every scale


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("dtype", DTYPES)
@given(exponent=st.integers(-900, 900), case=st.integers(0, 3))
@settings(max_examples=10, deadline=None)
def test_scaling_by_a_power_of_two_changes_no_bit(
    dtype: torch.dtype, name: str, exponent: int, case: int
) -> None:
    limit = {torch.float16: 12, torch.float64: 900}.get(dtype, 120)
    k = torch.tensor(max(-limit, min(limit, exponent)))
    R = random(2, 5, 7, seed=case)
    M = (R.sign() * R.abs().clamp(0.25, 0.999)).to(dtype)
    scaled = times_power_of_two(M.double(), k).to(dtype)
    plan = Plan(normalization=name, float32_side=0)
    assert torch.equal(msign(M, QUINTICS, plan), msign(scaled, QUINTICS, plan))


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        (torch.bfloat16, 1e-30),
        (torch.bfloat16, 3e38),
        (torch.float16, 1e-7),
        (torch.float16, 6e4),
        (torch.float32, 1e-44),
        (torch.float32, 1e-10),
        (torch.float32, 1e30),
        (torch.float64, 5e-324),
        (torch.float64, 1e300),
    ],
)
def test_any_norm_is_divided_out(name: str, dtype: torch.dtype, size: float, device: str) -> None:
    M = torch.full((6, 9), size, dtype=torch.float64).to(device, dtype)
    for state, u in ((torch.float32, 2.0**-24), (torch.float16, 2.0**-11)):
        found = NORMALIZATIONS[name](M, state)
        # Rank one with equal entries: every bound is the Frobenius norm.
        expected = torch.full((6, 9), 54**-0.5, device=device, dtype=state)
        torch.testing.assert_close(found.matrix, expected, rtol=60 * 2.0**-24 + 4 * u, atol=0)
        torch.testing.assert_close(
            found.norm().item(),
            M.double()[0, 0].item() * 54**0.5,
            rtol=60 * 2.0**-24 + 4 * u,
            atol=5e-324,
        )


@pytest.mark.parametrize("size", [1e-30, 1e-10, 1e30])
@pytest.mark.parametrize("name", BOUNDS)
def test_a_small_or_large_norm_gives_the_same_answer(name: str, size: float, seed: int) -> None:
    M = random(16, 24, seed=seed)
    for dtype in ("float16", "bfloat16", "float32"):
        plan = Plan(dtype=dtype, normalization=name, float32_side=0)
        X, info = msign_with_info(size * M, QUINTICS, plan)
        u = UNIT_ROUNDOFF[dtype]
        # The scaled entries are rounded to float64 apart, so that X may round the other way.
        torch.testing.assert_close(
            X.double(),
            msign(M, QUINTICS, plan).double(),
            rtol=0,
            atol=16 * u,
        )
        assert info.residual < 0.05
    tiny = 1e-12 * M / torch.linalg.matrix_norm(M)
    with_eps = tiny / (torch.linalg.matrix_norm(tiny) + 1e-7)  # what others do
    assert norm2(msign(with_eps, QUINTICS, Plan(normalization="none"))) < 0.99


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ROWS)
def test_zero_gives_zero_beside_what_is_not(name: str, dtype: torch.dtype, seed: int, device: str) -> None:
    M = random(4, 8, 8, seed=seed, dtype=dtype, device=device) / 16
    M[1] = 0
    M[2, 3] = 0
    M[2, :, 5] = 0
    X, info = msign_with_info(M, QUINTICS, Plan(normalization=name, float32_side=0))
    assert torch.equal(X[1], torch.zeros_like(X[1]))
    assert torch.equal(X[2, 3], torch.zeros_like(X[2, 3]))
    assert torch.isfinite(X).all()
    assert info.norm[1] == (name == "none")
    assert (info.norm[[0, 2, 3]] > 0).all()


@pytest.mark.parametrize("name", ROWS)
def test_gradients_are_finite(name: str, seed: int) -> None:
    M = torch.cat([torch.zeros(1, 3, 4), random(1, 3, 4, seed=seed).float() / 8]).double()
    M[1, 0] = 0
    M.requires_grad_()
    msign(M, QUINTICS, Plan(normalization=name)).sum().backward()
    assert M.grad is not None
    assert torch.isfinite(M.grad).all()
    assert M.grad[1].abs().max() > 0


# batches, layouts, memory


@pytest.mark.parametrize("name", ROWS)
def test_batches_layouts_and_inputs(name: str, seed: int, device: str) -> None:
    plan = Plan(normalization=name)
    M = random(2, 3, 14, 18, seed=seed, device=device) / 16
    if name != "none":
        M = M * 10.0 ** torch.arange(-1, 2, device=device)[:, None, None]
    before = M.clone()
    batch = msign(M, QUINTICS, plan)
    bound = 1e-9  # roundings of 2⁻⁵³, times the slope of the map at 0, some 10³, times sides and steps
    for i in range(2):
        for j in range(3):
            assert norm2(batch[i, j] - msign(M[i, j], QUINTICS, plan)) <= bound
    assert norm2(batch[0, 0] - msign(M[1, 2], QUINTICS, plan)) > bound
    strided = torch.zeros(2, 3, 28, 54, dtype=M.dtype, device=device)[..., ::2, ::3]
    strided.copy_(M)
    assert (norm2(msign(M.mT, QUINTICS, plan) - batch.mT) <= bound).all()
    assert (norm2(msign(M.mT.contiguous().mT, QUINTICS, plan) - batch) <= bound).all()
    assert (norm2(msign(strided, QUINTICS, plan) - batch) <= bound).all()
    batch.zero_()
    assert torch.equal(M, before)


@pytest.mark.parametrize("name", BOUNDS)
def test_headroom_saves_rank_one_inputs_in_bfloat16(name: str, seed: int) -> None:
    # Sixteen, because whether x = 1 is rounded up is chance.
    M = (random(16, 64, 1, seed=seed) @ random(16, 1, 96, seed=seed + 1)).to(torch.bfloat16)
    plan = Plan(normalization=name)
    assert (norm2(msign(M, QUINTICS, plan)) < 1.05).all()
    # The same kind of table without headroom; other bounds are raised by u, which is headroom enough here.
    X = msign(M, published("polar_express_deg5"), Plan(check=False))
    assert not torch.isfinite(X).all() or norm2(X).max() > 1.5


@pytest.mark.parametrize("name", ROWS)
def test_not_finite_stays_in_its_matrix(name: str, seed: int) -> None:
    M = random(2, 5, 6, seed=seed) / 8
    M[1, 2, 3] = float("inf")
    with pytest.raises(InputError, match=r"^M\[1\]: holds NaN or infinity"):
        msign(M, QUINTICS, Plan(normalization=name))
    X = msign(M, QUINTICS, Plan(check=False, normalization=name))
    assert X[1].isnan().any()
    assert torch.isfinite(X[0]).all()


@pytest.mark.parametrize("name", ROWS)
def test_empty_and_core_without_data(name: str) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    for shape in ((0, 3), (3, 0), (2, 0, 4), (0, 3, 4)):
        X, info = msign_with_info(torch.ones(shape), QUINTICS, Plan(normalization=name))
        assert X.shape == shape
        assert info.matmuls == 0
        assert info.interval.shape == (*shape[:-2], 2)
    with FakeTensorMode():
        found = NORMALIZATIONS[name](torch.empty(2, 6, 9, dtype=torch.bfloat16), torch.bfloat16)
        assert found.matrix.shape == (2, 6, 9)


# what the operators make of them


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    counted: list[str] = []

    def counting(name: str) -> None:
        backend = getattr(products_of, name)

        def product(*operands: Tensor, **factors: float) -> Tensor:
            counted.append(name)
            return backend(*operands, **factors)

        monkeypatch.setattr(products_of, name, product)

    # The innermost two: sym_mm and sym_mm_add call them.
    counting("mm")
    counting("mm_add")
    return counted


@pytest.mark.parametrize("name", ROWS)
def test_products_run_are_products_counted(name: str, ran: list[str], seed: int) -> None:
    _, products, beyond = ROWS[name]
    _, info = msign_with_info(random(4, 6, seed=seed) / 8, QUINTICS, Plan(normalization=name))
    assert len(ran) == info.matmuls == matmuls(QUINTICS.schedule) + beyond
    ran.clear()
    if name != "aol":
        P = torch.diag(torch.linspace(0.1, 1, 6).double())
        _, root = inverse_root_with_info(P, 2, 1, QUINTICS, Plan(normalization=name))
        coupled = matmuls(QUINTICS.schedule, form="coupled", from_identity=True)
        assert len(ran) == root.matmuls == coupled + products


@pytest.mark.parametrize("name", ROWS)
def test_info_says_for_which_singular_values(name: str, seed: int) -> None:
    M = random(20, 30, seed=seed) / 12
    X, info = msign_with_info(M, QUINTICS, Plan(normalization=name))
    low, high = info.interval.tolist()
    assert (low, high) == pytest.approx(
        [end * info.norm.item() for end in QUINTICS.schedule.interval], rel=1e-15
    )
    assert norm2(M) <= high * (1 + 1e-12)
    inside = int((torch.linalg.svdvals(M) >= low).sum())
    off = (torch.linalg.svdvals(X) - 1).abs().sort().values
    assert inside >= 1
    assert (off[:inside] <= QUINTICS.schedule.error + 1e-9).all()


def test_a_tighter_bound_promises_more(seed: int) -> None:
    M = random(64, 96, seed=seed)
    lows = [
        msign_with_info(M, QUINTICS, Plan(normalization=name))[1].interval[0].item()
        for name in ("power", "schatten8", "schatten4", "frobenius")
    ]
    assert lows == sorted(lows)
    assert lows[-1] > 3 * lows[0]


@pytest.mark.parametrize("tall", [False, True])
def test_aol_changes_the_answer(tall: bool, seed: int) -> None:
    M = random(10, 14, seed=seed) * torch.linspace(1, 3, 10)[:, None]
    rescaled = M / (M @ M.mT).abs().sum(-1, keepdim=True).sqrt()
    found = msign(M.mT if tall else M, QUINTICS, Plan(normalization="aol"))
    found = found.mT if tall else found
    U, _, Vt = torch.linalg.svd(rescaled, full_matrices=False)
    allowed = QUINTICS.schedule.error + 1e-9
    assert norm2(found - U @ Vt) <= allowed
    U, _, Vt = torch.linalg.svd(M, full_matrices=False)
    assert norm2(found - U @ Vt) > 10 * allowed


def test_none_takes_the_callers_word_unless_it_is_plainly_wrong(seed: int) -> None:
    plan = Plan(normalization="none")
    M = random(8, 12, seed=seed)
    M = M / norm2(M)
    U, _, Vt = torch.linalg.svd(M, full_matrices=False)
    assert norm2(msign(M, QUINTICS, plan) - U @ Vt) <= QUINTICS.schedule.error + 1e-9
    ones = torch.ones(1, 12).double() / 12**0.5
    for dtype in DTYPES:
        assert torch.isfinite(msign(ones.to(dtype), QUINTICS, plan)).all()
    with pytest.raises(InputError, match=r"^M: has a row or column of length .*Plan\(normalization="):
        msign(1.1 * ones, QUINTICS, plan)
    with pytest.raises(InputError, match=r"^P: has a row or column"):
        inverse_root(2 * torch.eye(3), 2, 1, QUINTICS, plan)
    assert torch.isfinite(msign(1.001 * ones, QUINTICS, Plan(normalization="none", check=False))).all()


@pytest.mark.parametrize("name", ROWS)
def test_roots_of_symmetric_positive_matrices(name: str, seed: int) -> None:
    V = torch.linalg.qr(random(2, 12, 12, seed=seed)).Q
    values = torch.logspace(0, -1, 12).double()
    P = V @ (values[:, None] * V.mT)
    P = (P + P.mT) / 2
    plan = Plan(normalization=name)
    if name == "aol":
        with pytest.raises(InputError, match=r"^normalization: aol rescales each row .*inverse_root of that"):
            inverse_root(P, 2, 1, QUINTICS, plan)
        return
    exact = V @ (values[:, None] ** -0.5 * V.mT)
    scale = 1.0 if name == "none" else 1e-12
    found, info = inverse_root_with_info(scale * P, 2, 1, QUINTICS, plan)
    assert (
        norm2(found * scale**0.5 @ torch.linalg.inv(exact) - torch.eye(12)) <= QUINTICS.schedule.error + 1e-9
    ).all()
    low, high = (end**2 for end in QUINTICS.schedule.interval)
    torch.testing.assert_close(info.interval, info.norm[:, None] * torch.tensor([low, high]).double())
    assert (info.norm >= scale * (1 - 1e-12)).all()
    with pytest.raises(InputError, match=r"^P: holds a zero matrix"):
        inverse_root(0 * P, 2, 1, QUINTICS, plan)


def test_the_plan_overrides_the_table_and_refuses_what_is_unknown() -> None:
    M = random(6, 9, seed=1)
    table = Table("t", QUINTICS.schedule, QUINTICS.provenance, "schatten8")
    assert torch.equal(msign(M, table), msign(M, QUINTICS, Plan(normalization="schatten8")))
    assert torch.equal(msign(M, table, Plan(normalization="frobenius")), msign(M, QUINTICS))
    assert not torch.equal(msign(M, table), msign(M, QUINTICS))
    with pytest.raises(InputError, match=r"^normalization: 'spectral' is not one of frobenius, schatten4"):
        Plan(normalization="spectral")
    with pytest.raises(InputError, match=r"^normalization: aol rescales each row .*mcsgn of that"):
        mcsgn(torch.eye(3), QUINTICS, Plan(normalization="aol"))


@pytest.mark.parametrize("name", ROWS)
def test_design_writes_it_into_the_table(name: str) -> None:
    table = polydesign.design(degree=5, steps=2, normalization=name)
    assert table.normalization == name
    assert table.name == "sign-d5x2-l1e-3-bf16" + ("" if name == "frobenius" else f"-{name}")
    assert from_json(to_json(table)) == table
    # Headroom is tried on matrices that are divided as the table divides; without it nothing is.
    exact = polydesign.design(degree=5, steps=2, headroom=1)
    of_it = polydesign.design(degree=5, steps=2, headroom=1, normalization=name)
    assert of_it.schedule == exact.schedule


def test_design_refuses() -> None:
    with pytest.raises(InputError, match=r"^normalization: 'l2' is not one of"):
        polydesign.design(degree=5, steps=2, normalization="l2")
    with pytest.raises(InputError, match=r"^normalization: aol rescales .* for root 4"):
        polydesign.design(root=4, degree=5, steps=2, normalization="aol")


@pytest.mark.few(4)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("name", ROWS)
def test_tables_keep_their_promise_under_every_normalization(name: str, dtype: str) -> None:
    table = polydesign.design(degree=5, steps=6, dtype=dtype, normalization=name)
    for spectrum in DEFAULT_SPECTRA:
        found = measure(table, shape=(48, 80), dtype=dtype, spectrum=spectrum)
        assert found.holds, f"{spectrum}: {found.worst} > {found.allowed}"

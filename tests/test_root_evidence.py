"""That roots and inverses notice what they got wrong, and that what they propose helps."""

from __future__ import annotations

import math
import re
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import polydesign
from polydesign.model import DivergenceError, InputError, Plan, PromiseWarning
from polydesign.runtime import (
    InverseRoot,
    Root,
    inverse,
    inverse_root,
    matmul_inverse_root,
    root,
    sqrt_and_inverse_sqrt,
    two_sided_inverse_root,
)
from polydesign.runtime.defaults import DEFAULT_TABLES
from polydesign.runtime.root_evidence import promise

pytestmark = pytest.mark.numerics

DTYPES = ["bfloat16", "float16", "float32", "float64"]
HALF = ("bfloat16", "float16")


def spd(n: int, condition: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    V = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64)).Q
    P = V @ torch.diag(torch.logspace(0, -math.log10(condition), n, dtype=torch.float64)) @ V.mT
    return (P + P.mT) / 2


def of_rank(n: int, rank: int, dtype: str, seed: int = 0) -> Tensor:
    """Rounded to the dtype, whose rounding the null space is then made of."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, rank, generator=generator, dtype=torch.float64)
    return (x @ x.mT).to(getattr(torch, dtype))


def power_of(P: Tensor, exponent: float, rtol: float = 0.0) -> Tensor:
    """With eigenvalues up to rtol·λ₁ left out."""
    values, V = torch.linalg.eigh(P.double())
    kept = values > rtol * values[..., -1:]
    powers = torch.where(kept, values.clamp(min=1e-300) ** exponent, torch.zeros_like(values))
    return V @ (powers[..., None] * V.mT)


def off(found: Tensor, exact: Tensor) -> float:
    return (torch.linalg.matrix_norm(found.double() - exact) / torch.linalg.matrix_norm(exact)).max().item()


INDEFINITE = torch.tensor([[1.0, 2.0], [2.0, 1.0]], dtype=torch.float64)
OPERATORS: dict[str, Any] = {
    "inverse_root": lambda P, **how: inverse_root(P, 4, **how),
    "power": lambda P, **how: inverse_root(P, 2, 5, **how),
    "inverse": lambda P, **how: inverse(P, **how),
    "matmul_inverse_root": lambda P, **how: matmul_inverse_root(torch.ones_like(P)[..., :1, :], P, 4, **how),
    "two_sided": lambda P, **how: two_sided_inverse_root(P, torch.ones_like(P), P, 4, **how),
    "root": lambda P, **how: root(P, 3, **how),
    "sqrt_and_inverse_sqrt": lambda P, **how: sqrt_and_inverse_sqrt(P, **how),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPERATORS)
def test_what_is_not_positive_is_named(name: str, dtype: str) -> None:
    """By an entry of its diagonal, or by what came of it; alone, and in a batch by its index."""
    call = OPERATORS[name]
    on_diagonal = torch.tensor([[-1.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    for P, said in (
        (on_diagonal, "on its diagonal"),
        (INDEFINITE, "is not positive"),
        (-spd(2, 3), "on its"),
    ):
        with pytest.raises(InputError, match=rf"^P: .*{said}"):
            call(P.to(getattr(torch, dtype)))
        batch = torch.stack([torch.eye(2, dtype=torch.float64)] * 6).reshape(2, 3, 2, 2)
        batch[1, 2] = P
        with pytest.raises(InputError, match=r"P\[1, 2\]"):
            call(batch.to(getattr(torch, dtype)))
    with pytest.raises(InputError, match="is not positive") as refusal:
        call(INDEFINITE.to(getattr(torch, dtype)))
    eps = float(re.findall(r"eps=([\d.e-]+)", str(refusal.value))[0])
    call(INDEFINITE.to(getattr(torch, dtype)), eps=eps)  # warnings are errors


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in OPERATORS if name != "root"])
def test_a_singular_matrix_is_told_with_cures_that_cure(name: str, dtype: str) -> None:
    call, P = OPERATORS[name], of_rank(24, 5, dtype)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call(P)
        except DivergenceError as problem:
            said = str(problem)
        else:
            (one, *_) = caught
            assert issubclass(one.category, PromiseWarning)
            said = str(one.message)
    eps = float(re.findall(r"eps=([\d.e-]+)", said)[0])
    call(P, eps=eps)
    if name == "sqrt_and_inverse_sqrt":
        assert off(root(P, 2), power_of(P, 0.5, 0.05)) < (0.01 if dtype in HALF else 1e-6)
    else:
        assert "rank_rtol=" in said
    if name != "sqrt_and_inverse_sqrt":
        rank_rtol = float(re.findall(r"rank_rtol=([\d.e-]+)", said)[0])
        call(P, rank_rtol=rank_rtol)


@pytest.mark.few(6)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("r", [2, 3, 4, 8])
def test_a_singular_matrix_has_a_root(r: int, dtype: str) -> None:
    """Of what is above the rounding of P; in a half precision computed in float32, and rounded once."""
    P = of_rank(64, 8, dtype)
    found = Root(r).run(P)
    assert off(root(P, r), power_of(P, 1 / r, 0.02)) <= {"bfloat16": 0.01, "float16": 0.002}.get(dtype, 1e-5)
    assert found.warnings == ()
    assert found.result.dtype == P.dtype
    assert found.dtype == dtype
    zero = torch.zeros(3, 3, dtype=P.dtype)
    assert torch.equal(root(zero, r), zero)
    batch = torch.stack([P, torch.zeros_like(P), torch.eye(64, dtype=P.dtype)])
    assert torch.equal(root(batch, r)[1], batch[1])
    assert off(root(batch, r)[0], power_of(P, 1 / r, 0.02)) <= 0.01


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("r", "s"), [(1, 1), (2, 1), (3, 2), (4, 1), (4, 6), (8, 1)])
def test_rank_rtol_is_the_pseudo_inverses_power(r: int, s: int, dtype: str) -> None:
    """For each matrix of a batch by its own size; zero on the null space, and for a zero matrix."""
    sizes = torch.tensor([1e-3, 1.0, 30.0], dtype=torch.float64)[:, None, None]
    P = (of_rank(40, 6, "float64") * sizes).to(getattr(torch, dtype))
    P = torch.cat([P, torch.zeros_like(P[:1])])
    exact = power_of(P[:3], -s / r, 0.02)
    plan = Plan(dtype=dtype)
    found = inverse_root(P / P[1].max(), r, s, plan=plan, rank_rtol=0.02) if s > r else None
    if found is None:
        found = inverse_root(P, r, s, plan=plan, rank_rtol=0.02)
    else:
        exact = exact * P[1].max().double() ** (s / r)
    u = torch.finfo(getattr(torch, dtype)).eps
    if torch.isfinite(exact.to(P.dtype)).all():
        assert off(found[:3], exact) <= 100 * s * u
    assert torch.equal(found[3], torch.zeros_like(found[3]))
    V = torch.linalg.eigh(P[1].double()).eigenvectors
    null = V[:, :-6]
    assert torch.linalg.matrix_norm(found[1].double() @ null) <= 50 * s * u * torch.linalg.matrix_norm(
        found[1].double()
    )


@pytest.mark.parametrize("rank_rtol", [1e-6, 1e-3, 0.1])
def test_rank_rtol_cuts_where_it_says(rank_rtol: float) -> None:
    """Eigenvalues 20 % away from the threshold, on both sides."""
    V = torch.linalg.qr(
        torch.randn(30, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ).Q
    values = torch.ones(30, dtype=torch.float64)
    values[10:20], values[20:] = 1.2 * rank_rtol, 0.8 * rank_rtol
    P = V @ torch.diag(values) @ V.mT
    P = (P + P.mT) / 2
    table = polydesign.design(root=2, degree=17, steps=5, lower=1e-4, dtype="float64", purpose="root")
    found = inverse_root(P, 2, 1, table, rank_rtol=rank_rtol)
    exact = V[:, :20] @ torch.diag(values[:20] ** -0.5) @ V[:, :20].mT
    assert off(found, exact) < 1e-6
    for wrong in (0.0, -1e-3, 1.0, float("nan"), "1"):
        with pytest.raises(InputError, match=r"^rank_rtol: must"):
            inverse_root(P, 2, rank_rtol=wrong)  # pyright: ignore[reportArgumentType]


def test_one_eps_for_each_matrix() -> None:
    P = torch.stack([spd(6, 10, seed) for seed in range(6)]).reshape(2, 3, 6, 6)
    eps = torch.tensor([[0.0, 1e-3, 0.1], [1.0, 2.0, 1e-6]])
    found = inverse_root(P, 4, eps=eps)
    for i in range(2):
        for j in range(3):
            alone = inverse_root(P[i, j], 4, eps=eps[i, j].item())
            torch.testing.assert_close(found[i, j], alone, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(inverse_root(P[i, j], 4, eps=eps[i, j]), alone, rtol=1e-12, atol=1e-12)
    run = InverseRoot(4, eps=eps).run(P)
    norms = torch.linalg.matrix_norm(P) * (1 + eps.double())
    low = polydesign.load(DEFAULT_TABLES[4, "float64"]).schedule.interval[0] ** 4
    torch.testing.assert_close(run.interval[..., 0], low * norms, rtol=1e-6, atol=0)
    with pytest.raises(InputError, match=r"^eps: has shape \(3,\), and the batch \(2, 3\)"):
        inverse_root(P, 4, eps=torch.ones(3))
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"^eps: holds NaN or infinity: look for what made it$"):
            inverse_root(torch.eye(3), 4, eps=torch.tensor(wrong))
    with pytest.raises(InputError, match=r"^eps: holds a number that is negative"):
        inverse_root(P, 4, eps=-eps)
    with pytest.raises(InputError, match=r"^eps: must have a floating dtype"):
        inverse_root(P, 4, eps=torch.ones(2, 3, dtype=torch.int64))


def test_whole_numbers_of_numpy() -> None:
    P = spd(5, 10)
    assert torch.equal(inverse_root(P, np.int64(4), np.int32(1)), inverse_root(P, 4))  # pyright: ignore
    assert torch.equal(root(P, np.int64(2)), root(P, 2))  # pyright: ignore[reportArgumentType]
    for wrong in (2.0, np.float64(2), True, np.bool_(True)):
        with pytest.raises(InputError, match=r"^root: must be a whole number"):
            inverse_root(P, wrong)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("error", [5.55e-17, 1e-30, 5e-324, 1e-9, 0.1, 2.0])
@pytest.mark.parametrize("r", [1, 2, 8])
def test_promised_is_rounded_up(error: float, r: int) -> None:
    found = promise(error, r)
    assert Fraction(found) >= (1 + Fraction(error)) ** r - 1 > 0
    assert Fraction(math.nextafter(found, 0)) < (1 + Fraction(error)) ** r - 1
    assert all(InverseRoot(k).run(spd(4, 2)).promised > 0 for k in (1, 2, 4))


def test_a_call_looks_at_the_data_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    for name in ("item", "tolist", "__bool__", "__float__", "__int__", "nonzero"):
        original = getattr(Tensor, name)

        def seen(self: Tensor, *rest: Any, _original: Any = original, _name: str = name) -> Any:
            looked.append(_name)
            return _original(self, *rest)

        monkeypatch.setattr(Tensor, name, seen)
    P, G = spd(12, 10).float(), torch.ones(3, 12)
    for call in (
        lambda: inverse_root(P, 4),
        lambda: inverse_root(P, 4, 7),
        lambda: root(P, 3),
        lambda: matmul_inverse_root(G, P, 2),
        lambda: sqrt_and_inverse_sqrt(P),
        lambda: two_sided_inverse_root(P, torch.ones(12, 12), P, 4),
    ):
        looked.clear()
        call()
        assert looked == ["item"]
    looked.clear()
    inverse_root(P, 4, plan=Plan(check=False))
    assert looked == []


@pytest.mark.parametrize(("degree", "steps"), [(3, 6), (9, 4)])
def test_a_table_that_blows_up_is_noticed(degree: int, steps: int) -> None:
    """One without a floor, in bfloat16, on a spectrum that it promises for: computed again in float32."""
    bare = polydesign.design(root=1, degree=degree, steps=steps, lower=1e-4, headroom=1.0001)
    P = spd(40, 100).float()
    exact = power_of(P, -1)
    assert not off(inverse(P, bare, Plan("bfloat16", check=False)), exact) < 1e3
    assert off(inverse(P, bare, Plan("bfloat16")), exact) < 0.02
    assert InverseRoot(1, 1, bare, Plan("bfloat16")).run(P).state == "float32"


def test_a_sign_table_that_rounds_too_much_for_roots_is_told() -> None:
    """The field's case: inside its interval, and 1.5e-3 off; what is proposed is 100 times closer."""
    P = spd(32, 1e4).float()
    table = polydesign.design(root=2, degree=5, steps=12, lower=1e-4, dtype="float32")
    with pytest.warns(PromiseWarning, match=r"is made for signs.*give table=") as said:
        bad = off(inverse_root(P, 2, 1, table), power_of(P, -0.5))
    (text,) = re.findall(r"table=(polydesign\.design\(.*?\))", str(said[0].message))
    cure = eval(text, {"polydesign": polydesign})
    assert off(inverse_root(P, 2, 1, cure), power_of(P, -0.5)) < bad / 50


@pytest.mark.few(4)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("r", [1, 2, 3, 4, 6, 8])
def test_nothing_is_said_of_what_is_right(r: int, dtype: str) -> None:
    """Neither in a call nor in a run, on every kind of spectrum inside the interval; 1×1 and empty too."""
    conditions = (1.0, 1.5, 10, 30) if dtype in HALF else (1.0, 1.5, 10, 100, 1e3)
    lowest = polydesign.load(DEFAULT_TABLES[r, dtype]).schedule.interval[0] ** r
    for n in (1, 2, 5, 24, 80):
        for condition in conditions:
            P = spd(n, condition, seed=n)
            values = torch.linalg.eigvalsh(P)
            if values[0] < 1.1 * lowest * torch.linalg.matrix_norm(P):
                continue
            P = P.to(getattr(torch, dtype))
            inverse_root(P, r)
            inverse_root(P, r, r + 1)
            matmul_inverse_root(torch.ones_like(P), P, r)
            if r > 1:
                root(P, r)
    for shape in ((0, 0), (0, 3, 3), (2, 0, 0)):
        empty = torch.ones(shape, dtype=getattr(torch, dtype))
        assert inverse_root(empty, r, 3, rank_rtol=0.1).shape == shape


@pytest.mark.parametrize("normalization", ["frobenius", "schatten4", "schatten8", "power", "none"])
def test_under_every_normalization(normalization: str) -> None:
    plan, P = Plan(normalization=normalization), spd(20, 30)
    assert off(inverse_root(P, 4, 5, plan=plan), power_of(P, -1.25)) < 1e-12
    assert off(root(P, 4, plan=plan), power_of(P, 0.25)) < 1e-12
    exact = power_of(P, -0.5, 0.18)  # between 0.167 and 0.2
    assert off(inverse_root(P, 2, plan=plan, rank_rtol=0.18), exact) < 1e-10
    with pytest.raises(InputError, match=r"is not positive|on its diagonal"):
        inverse_root(INDEFINITE / 4, 4, plan=plan)


def test_vmap_is_told_what_to_write() -> None:
    P = torch.stack([spd(5, 10, seed) for seed in range(3)])
    with pytest.raises(InputError, match=r"^plan.check: .*vmap: write Plan\(check=False\)"):
        torch.func.vmap(lambda P: inverse_root(P, 4))(P)
    found = torch.func.vmap(lambda P: inverse_root(P, 4, plan=Plan(check=False)))(P)
    torch.testing.assert_close(found, inverse_root(P, 4), rtol=1e-12, atol=1e-12)
    grad = torch.func.grad(lambda P: inverse_root(P, 4).sum())(P[0])
    assert torch.isfinite(grad).all()


def test_gradients_go_through_a_judged_call(seed: int) -> None:
    P = spd(6, 5, seed).requires_grad_()
    inverse_root(P, 2, 3, eps=1e-3).sum().backward()
    assert P.grad is not None
    assert torch.isfinite(P.grad).all()


def spectrum(least: float, n: int, dtype: torch.dtype, seed: int) -> torch.Tensor:
    """Positive but for one eigenvalue."""
    values = torch.linspace(0.1, 1, n, dtype=torch.float64)
    values[0] = least
    V = torch.linalg.qr(
        torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    ).Q
    return ((V * values) @ V.mT).to(dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("n", [8, 64])
def test_a_negative_eigenvalue_is_no_null_space(n: int, dtype: torch.dtype, seed: int) -> None:
    """What is cut off is small, or P is refused by what was found."""
    least = {torch.bfloat16: -0.1, torch.float32: -1e-5, torch.float64: -1e-8}[dtype]
    P = spectrum(least, n, dtype, seed)
    for r in (2, 8):
        with pytest.raises(InputError, match=r"^P: is not positive: "):
            root(P, r)
    with pytest.raises(InputError, match=r"^P: .*not positive"):
        inverse_root(spectrum(-1.0, n, dtype, seed), 4, rank_rtol=1e-3)
    null = spectrum(0.0, n, dtype, seed)
    assert root(null, 2).isfinite().all()
    assert inverse_root(null, 4, rank_rtol=0.03).isfinite().all()


def test_a_power_above_the_root_is_judged_as_that_power(seed: int) -> None:
    """The error of a power is so many times as large: bfloat16 at condition 1000."""
    values = torch.logspace(-3, 0, 64, dtype=torch.float64)
    V = torch.linalg.qr(
        torch.randn(64, 64, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    ).Q
    P = ((V * values) @ V.mT).bfloat16()
    once, power = (InverseRoot(2, s, plan=Plan(check=False)).run(P) for s in (1, 9))
    assert power.residual.item() == pytest.approx(4.5 * once.residual.item(), rel=1e-6)
    with pytest.warns(PromiseWarning, match="the residual is"):
        inverse_root(P, 2, 9)

"""What the tables that roots and inverses run by default are good for, against eigendecompositions in float64."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

import polydesign
from polydesign.model import Plan, Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.program.cost import matmuls
from polydesign.runtime import inverse_root, root
from polydesign.runtime.defaults import DEFAULT_TABLES, loaded
from polydesign.runtime.execute import coupled
from polydesign.table.catalogue import entries

pytestmark = pytest.mark.numerics

KEYS = sorted(DEFAULT_TABLES)
NAMES = [f"{r}-{dtype}" for r, dtype in KEYS]


@cache
def spectra(n: int, condition: float) -> Tensor:
    """(6, n): log-spaced, halves at both ends, all but one at the top, all but one at the bottom, random."""
    low = 1 / condition
    two = torch.ones(n, dtype=torch.float64)
    two[n // 2 :] = low
    top, bottom = torch.ones(n, dtype=torch.float64), torch.full((n,), low, dtype=torch.float64)
    top[-1], bottom[0] = low, 1.0
    generator = torch.Generator().manual_seed(n)
    random = low ** torch.rand(2, n, generator=generator, dtype=torch.float64)
    random[:, 0], random[:, -1] = 1.0, low
    log = torch.logspace(0, torch.log10(torch.tensor(low)).item(), n, dtype=torch.float64)
    return torch.cat([torch.stack([log, two, top, bottom]), random])


@cache
def matrices(n: int, condition: float) -> tuple[Tensor, Tensor, Tensor]:
    """P (6, n, n) with known eigenvalues, and both."""
    values = spectra(n, condition)
    generator = torch.Generator().manual_seed(n + 1)
    V = torch.linalg.qr(torch.randn(len(values), n, n, generator=generator, dtype=torch.float64)).Q
    P = V @ (values[..., None] * V.mT)
    return (P + P.mT) / 2, values, V


def off(found: Tensor, n: int, condition: float, power: float) -> Tensor:
    """‖found − P^power‖_F/‖P^power‖_F of each."""
    _, values, V = matrices(n, condition)
    exact = V @ (values[..., None] ** power * V.mT)
    return torch.linalg.matrix_norm(found.double() - exact) / torch.linalg.matrix_norm(exact)


def worst(table: Table, dtype: str, condition: float, n: int = 24) -> float:
    """Of P^(−1/r) by this table, whatever comes out."""
    P = matrices(n, condition)[0]
    found = inverse_root(P, table.schedule.root, 1, table, Plan(dtype=dtype, check=False))
    return off(found, n, condition, -1 / table.schedule.root).nan_to_num(nan=torch.inf).max().item()


@pytest.mark.parametrize(("r", "dtype"), KEYS, ids=NAMES)
def test_defaults_are_made_for_what_they_run_in(r: int, dtype: str) -> None:
    table = loaded(DEFAULT_TABLES[r, dtype])
    assert (table.schedule.root, table.dtype, table.form) == (r, dtype, "coupled")
    assert table.purpose == ("inverse" if r == 1 else "root")
    lowest = table.schedule.interval[0] ** r
    assert lowest <= (1e-6 if dtype == "float64" else 1e-4) * (1 + 1e-12)
    assert table.schedule.error <= {"float64": 1e-15, "float32": 1e-9}.get(dtype, 2 * UNIT_ROUNDOFF[dtype])
    assert all(one.image[0] > 0 for one in table.schedule.steps)


@pytest.mark.few(12)
@pytest.mark.parametrize(("r", "dtype"), KEYS, ids=NAMES)
def test_defaults_lose_what_rounding_p_explains_and_no_more(r: int, dtype: str) -> None:
    """u/√n of λ_max is what rounding P moves an eigenvalue by, at random: u·κ/r/√n of the least, and u·√T or
    so of all. Ten times that is allowed, and as much for sums that are no finer than what is stored."""
    table = loaded(DEFAULT_TABLES[r, dtype])
    u = UNIT_ROUNDOFF[dtype] * {"float32": 2, "float64": 3}.get(dtype, 1)
    for condition in {"bfloat16": (1.5, 10, 100), "float16": (1.5, 10, 100), "float32": (1.5, 100, 1e3)}.get(
        dtype, (1.5, 100, 1e4)
    ):
        for n in (6, 24, 100):
            allowed = 10 * u * (2 + condition / r / n**0.5)
            assert worst(table, dtype, condition, n) <= allowed, (condition, n)


@pytest.mark.parametrize("r", [1, 2, 3, 4, 8])
def test_half_precision_at_condition_100(r: int) -> None:
    """What a table without a floor for λ = xʳ loses there."""
    limits = {"bfloat16": {1: 0.15, 2: 0.06, 3: 0.04, 4: 0.03, 8: 0.02}, "float16": {1: 0.02}}
    for dtype, most in limits.items():
        assert worst(loaded(DEFAULT_TABLES[r, dtype]), dtype, 100) <= most.get(r, 0.01)
    bare = polydesign.design(root=r, degree=1 + 2 * r, steps=6, lower=1e-4 ** (1 / r), headroom=1.01)
    floored = polydesign.design(
        root=r,
        degree=1 + 2 * r,
        steps=6,
        lower=1e-4 ** (1 / r),
        dtype="bfloat16",
        purpose="root" if r > 1 else None,
    )
    assert worst(floored, "bfloat16", 100) <= limits["bfloat16"][r] * 1.2
    assert worst(bare, "bfloat16", 10) > 1.5 * worst(floored, "bfloat16", 10)


@pytest.mark.few(3)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("r", [1, 2, 3, 4, 5, 8])
def test_the_searchs_own_safety_is_enough(r: int, dtype: str) -> None:
    """Down to λ = 1e-8 in float32 and float64, where rounding alone decides, in any number of steps."""
    lowest, condition = {"float64": (1e-8, 1e4), "float32": (1e-8, 1e4)}.get(dtype, (1e-4, 30))
    purpose = "root" if r > 1 else None
    lower, u = lowest ** (1 / r), UNIT_ROUNDOFF[dtype]
    for inner, steps in ((1, 16), (2, 9), (4, 6)):
        table = polydesign.design(
            root=r, degree=1 + inner * r, steps=steps, lower=lower, dtype=dtype, purpose=purpose
        )
        safe = table.provenance.parameters["image_floor"] ** r
        assert safe == pytest.approx(0.1, rel=0.05)
        allowed = table.schedule.error + 10 * u * (2 + condition / r / 24**0.5)
        assert worst(table, dtype, condition) <= allowed, (inner, steps)


def test_small_lower_ends_in_float32() -> None:
    """The field's cases: what had no floor was not finite, or off by 5e-4."""
    for r, degree, steps, lower in ((2, 5, 12, 1e-4), (4, 9, 7, 0.0178)):
        safe = polydesign.design(
            root=r, degree=degree, steps=steps, lower=lower, dtype="float32", purpose="root"
        )
        bare = polydesign.design(root=r, degree=degree, steps=steps, lower=lower, headroom=1.0001)
        assert worst(safe, "float32", 1e4, 32) < 3e-4
        assert worst(bare, "float32", 1e4, 32) > 3 * worst(safe, "float32", 1e4, 32)


@pytest.mark.few(12)
@pytest.mark.parametrize(("r", "dtype"), KEYS, ids=NAMES)
def test_no_default_is_dominated(r: int, dtype: str) -> None:
    """No table of the package for this root and precision has at most as many products and errs less.

    Less is by more than the 1.5 that rounding decides between one set of matrices and the next; by the worst
    in conditions that all of them serve.
    """
    default = loaded(DEFAULT_TABLES[r, dtype])
    conditions = (1.5, 10, 30) if dtype in ("bfloat16", "float16") else (1.5, 10, 100, 1e3)

    def judged(table: Table) -> list[float]:
        return [max(worst(table, dtype, c, n) for n in (8, 24)) for c in conditions]

    products, own = matmuls(default.schedule, form="coupled"), judged(default)
    rivals = [
        polydesign.load(one.path)
        for one in entries()
        if one.root == r and one.dtype == dtype and one.name != default.name and not one.published
        if one.purpose in (default.purpose, "sign" if r == 2 else default.purpose)
    ]
    for rival in rivals:
        if rival.schedule.interval[0] ** r > 1.001e-4 or rival.purpose == "clip":
            continue
        if matmuls(rival.schedule, form="coupled") <= products:
            theirs = judged(rival)
            assert any(mine < 1.5 * other for mine, other in zip(own, theirs, strict=True)), rival.name
            assert max(own) < 1.5 * max(theirs), rival.name


def test_what_was_the_default_is_dominated() -> None:
    """Negative control: a table that another one beats at no more products is seen."""
    few, many = polydesign.load("root4-m17-l0.1-fp32"), polydesign.load("root4-d9x4-l0.1-fp32")
    assert matmuls(few.schedule, form="coupled") <= matmuls(many.schedule, form="coupled")
    assert all(worst(few, "float32", c) < worst(many, "float32", c) / 1.5 for c in (1.5, 10, 100, 1e3))


@pytest.mark.parametrize("r", [1, 2, 3, 4, 6, 8])
def test_float64_tables_reach_float64(r: int) -> None:
    """The matrix of the field: ten on the diagonal, one beside it."""
    P = 10 * torch.eye(100, dtype=torch.float64)
    P += torch.diag(torch.ones(99, dtype=torch.float64), 1) + torch.diag(
        torch.ones(99, dtype=torch.float64), -1
    )
    values, V = torch.linalg.eigh(P)
    exact = V @ torch.diag(values ** (-1 / r)) @ V.mT
    for dtype, most in (("float64", 1e-14), ("float32", 1e-6)):
        found = inverse_root(P.to(getattr(torch, dtype)), r)
        assert torch.linalg.matrix_norm(found.double() - exact) <= most * torch.linalg.matrix_norm(exact)
    if r > 1:
        back = torch.linalg.matrix_power(root(P, r), r)
        assert torch.linalg.matrix_norm(back - P) <= 1e-13 * torch.linalg.matrix_norm(P)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
@pytest.mark.parametrize(("r", "s"), [(1, 2), (1, 3), (1, 4), (2, 3), (2, 5), (3, 4), (3, 5), (4, 5), (4, 7)])
def test_powers_above_the_root(r: int, s: int, dtype: str) -> None:
    """s times what P^(−1/r) is off by, in matrices of few and of many rows, and times a G."""
    u = UNIT_ROUNDOFF[dtype]
    conditions = {"float32": (2, 100, 1e3), "float64": (2, 100, 1e4)}.get(dtype, (2, 10))
    for condition in conditions:
        for n in (3, 24):
            P = matrices(n, condition)[0].to(getattr(torch, dtype))
            found = inverse_root(P, r, s)
            # P itself is rounded to a half precision here, twice.
            allowed = 10 * s * u * (3 + 3 * condition / r / n**0.5)
            assert off(found, n, condition, -s / r).max() <= allowed, (condition, n)
            G = torch.ones(len(P), 2, n, dtype=P.dtype)
            exact = G.double() @ matrices_power(n, condition, -s / r)
            Y = polydesign.runtime.matmul_inverse_root(G, P, r, s)
            gap = torch.linalg.matrix_norm(Y.double() - exact) / torch.linalg.matrix_norm(exact)
            assert gap.max() <= 10 * allowed
    # What ran before, W to the power s in every step, loses all of it.
    table, P = loaded(DEFAULT_TABLES[r, "float32"]), matrices(3, 2.0)[0].float()
    if r == 1 and s == 3:
        X = P / torch.linalg.matrix_norm(P, keepdim=True)
        bad = coupled(X, None, polydesign.load("inverse-m17-l1e-4-fp32").schedule, power=s).G
        good = inverse_root(X, r, s, table)
        assert (bad - good).abs().max() > 100 * u * good.abs().max() or dtype != "float32"


def matrices_power(n: int, condition: float, power: float) -> Tensor:
    _, values, V = matrices(n, condition)
    return V @ (values[..., None] ** power * V.mT)

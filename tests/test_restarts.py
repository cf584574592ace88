"""The gram form: its map, its products, and the restarts that keep it in bounds."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations

import pytest
import torch
from references import published
from tables import table_of, with_coefficients

import polydesign
from polydesign.model import HALF, InputError, Plan
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.program.cost import Products, count, matmuls
from polydesign.rounding.gram import (
    MET,
    MOST_EXHAUSTIVE,
    choose_restarts,
    every,
    limit,
    shift,
    simulate,
)
from polydesign.rounding.trial import AGREEING, random_trial
from polydesign.runtime import inverse_root, msign, msign_with_info, ops, root
from polydesign.runtime.execute import direct, gram
from polydesign.verification.metrics import deviation
from polydesign.verification.spectra import sample

pytestmark = pytest.mark.numerics

EVALUATED = {
    "cubics": {"degree": 3},
    "quintics": {"degree": 5},
    "chebyshev": {"degree": [9, 5, 17, 13], "lower": 0.05, "dtype": "float64"},
    "monomial": {"degree": 9, "dtype": "float64", "evaluation": "monomial"},
}
QUINTICS = {steps: polydesign.load(f"sign-d5x{steps}-l1e-3-bf16") for steps in (5, 6)}


@cache
def evaluated(name):
    return polydesign.design(steps=4, **EVALUATED[name])


def sets(steps):
    """All sets of restarts."""
    return [one for number in range(steps) for one in combinations(range(1, steps), number)]


def normalized(*shape, seed, device="cpu"):
    X = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (X / torch.linalg.matrix_norm(X)[..., None, None]).to(device)


# the map


@pytest.mark.parametrize("name", EVALUATED)
@pytest.mark.parametrize("restarts", sets(4))
def test_gram_is_direct(name, restarts, seed, device):
    schedule = evaluated(name).schedule
    X = normalized(2, 6, 10, seed=seed, device=device)
    before = X.clone()
    found, expected = gram(X, schedule, restarts), direct(X, schedule)
    # A (re)start's R errs by sides·u, as a shift of all x² does, which the simulation carries to the end; at
    # l it weighs 1/l² times what the same error weighs at 1. Every one of ten roundings a step may do it.
    sides, u = 10, UNIT_ROUNDOFF["float64"]
    tolerance = 10 * len(schedule.steps) * simulate(schedule, restarts, sides * u).error + 1e-12
    assert torch.linalg.matrix_norm(found - expected, ord=2).max() <= tolerance
    assert torch.equal(X, before)
    last = schedule.steps[-1]
    wrong = with_coefficients(last, coefficients=(*last.coefficients[:-1], 1.001 * last.coefficients[-1]))
    other = gram(X, (*schedule.steps[:-1], wrong), restarts)
    assert torch.linalg.matrix_norm(other - expected, ord=2).max() > tolerance


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_restarts_everywhere_are_the_direct_form_bit_for_bit(dtype, seed, device):
    X = normalized(3, 6, 10, seed=seed, device=device).to(dtype)
    schedule = QUINTICS[6].schedule
    assert torch.equal(gram(X, schedule, every(schedule)), direct(X, schedule))
    assert not torch.equal(gram(X, schedule, (1, 2, 3, 5)), direct(X, schedule))


def test_batches_zeros_rank_one_and_transposes(seed, device):
    plan = Plan(form="gram", restarts=(2,))
    M = torch.randn((2, 2, 6, 9), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    M[0, 1] = 0
    M[1, 0] = M[1, 0, :, :1] @ M[1, 0, :1]
    M = M.to(device)
    table = QUINTICS[6]
    X, info = msign_with_info(M, table, plan)
    assert (info.form, info.restarts, info.transposed) == ("gram", (2,), False)
    assert torch.equal(X[0, 1], torch.zeros_like(X[0, 1]))
    # f is 1 ± error on the range of each; the cluster's rounding is far below that in float64.
    for i, j, rank in ((0, 0, 6), (1, 0, 1), (1, 1, 6)):
        sigma = torch.linalg.svdvals(X[i, j])
        assert (sigma[:rank] - 1).abs().max() <= 1.01 * table.schedule.error
        assert sigma[rank:].sum() < 1e-9
        torch.testing.assert_close(X[i, j], msign(M[i, j], table, plan), rtol=0, atol=1e-9)
    turned, info = msign_with_info(M.mT, table, plan)
    assert info.transposed
    torch.testing.assert_close(turned.mT, X, rtol=0, atol=1e-9)
    for shape in ((0, 3), (3, 0), (2, 0, 4)):
        empty, info = msign_with_info(torch.ones(shape, device=device), table, plan)
        assert empty.shape == shape
        assert (info.matmuls, info.form, info.restarts) == (0, "gram", (2,))


# products


@pytest.mark.parametrize("name", EVALUATED)
@pytest.mark.parametrize("restarts", sets(4))
def test_products_run_are_products_counted(name, restarts, monkeypatch):
    """Small and large ones apart, by the shape of what runs."""
    schedule, shapes = evaluated(name).schedule, []
    for product in ("mm", "mm_add"):  # what sym_mm and sym_mm_add end in
        real = getattr(ops, product)
        monkeypatch.setattr(
            ops,
            product,
            lambda *a, real=real, **k: (shapes.append((a[-2].shape, a[-1].shape)), real(*a, **k))[1],
        )
    gram(normalized(3, 7, seed=0), schedule, restarts)
    wide = sum(left != right or left[-2] != left[-1] for left, right in shapes)
    counted = count(schedule, form="gram", restarts=restarts)
    assert (wide, len(shapes) - wide) == (counted.gram + counted.wide, counted.symmetric)
    assert len(shapes) == matmuls(schedule, form="gram", restarts=restarts)
    _, info = msign_with_info(normalized(3, 7, seed=0), evaluated(name), Plan(form="gram", restarts=restarts))
    assert info.matmuls == matmuls(schedule, form="gram", restarts=restarts)


@pytest.mark.parametrize(
    ("restarts", "kinds"), [((), (1, 1, 17)), ((2,), (2, 2, 14)), ((1, 2, 3, 4), (5, 5, 5))]
)
def test_counts_of_the_source(restarts, kinds):
    """Five quintics: (4T + 3a − 3)n³ with symmetric products, none restarted; +3mn² − 3n³ a restart."""
    schedule = QUINTICS[5].schedule
    assert count(schedule, form="gram", restarts=restarts) == Products(*kinds)
    assert count(schedule) == Products(5, 5, 5)
    assert matmuls(schedule) == 15


# the simulation


@pytest.mark.parametrize(
    ("name", "factor", "conditions"),
    [
        ("polar_express_gram_ns_1.05", 1, (2.7e12, 456, 84.6, 1.1e5, 2.2e6)),
        ("polar_express_deg5", 1.02, (9.6e13, 577, 110, 2.6e6, 2.9e7)),
        ("polar_express_deg5", 1.01, (3.4e14, 631, 2058, 7.6e6, 7.5e7)),
        ("youjiacheng_5", 1, (2.1e8, 401, 53.2, 171, 2437)),
        ("jordan_5", 1, (3.8e6, 667, 74.1, 62.5, 455)),
    ],
)
def test_conditions_of_the_source(name, factor, conditions):
    """Gram Newton-Schulz, stability metric, δ = 4e-4: no restart, and one before step 1, 2, 3, 4."""
    rows = [
        tuple(c / factor ** (2 * j + 1) for j, c in enumerate(row)) for row in published(name)["coefficients"]
    ]
    schedule = table_of(rows[:5]).schedule
    for restarts, condition in zip([(), (1,), (2,), (3,), (4,)], conditions, strict=True):
        found = simulate(schedule, restarts, 4e-4, relative=False).condition
        # 2.1e8 has two digits.
        assert found == pytest.approx(condition, rel=0.025)
    assert simulate(schedule, (), 0.0).condition < 1e-2 * conditions[0]


def test_without_a_spurious_eigenvalue_there_is_no_error():
    schedule = QUINTICS[6].schedule
    for restarts in sets(6):
        clean = simulate(schedule, restarts, 0.0)
        # float64 beside a map whose terms are of order ten, to the sixth step
        assert clean.error < 1e-10
        assert clean.lowest >= 0
    assert simulate(schedule, (), shift("bfloat16")).error > 1e10


@pytest.mark.parametrize(
    ("table", "dtype", "restarts"),
    [
        (QUINTICS[5], "bfloat16", (1, 2, 3)),
        (QUINTICS[6], "bfloat16", (1, 2, 3, 4)),
        (polydesign.load("sign-d5x6-l1e-3-fp16"), "float16", (1, 2, 4)),
        (QUINTICS[5], "float64", ()),
    ],
)
def test_fewest_restarts_within_the_limit(table, dtype, restarts):
    schedule = table.schedule
    assert choose_restarts(schedule, dtype) == restarts
    most, delta = limit(schedule, dtype), shift(dtype)
    chosen = simulate(schedule, restarts, delta).error
    assert chosen <= most
    fewer = len(restarts), chosen
    for other in sets(len(schedule.steps)):
        error = simulate(schedule, other, delta).error
        if (len(other), error) < fewer and error <= most:
            # In half precision what the simulation allows may still blow up matrices of few numbers.
            how = {"restarts": other, "seed": 2, "enough": 1}
            trials = (random_trial(schedule, dtype, family, MET, **how) for family in AGREEING)
            assert dtype in HALF
            assert any(one.blown for one in trials)


def test_many_steps_are_searched_greedily():
    schedule = polydesign.design(degree=3, steps=MOST_EXHAUSTIVE + 2).schedule
    restarts = choose_restarts(schedule, "bfloat16")
    assert 0 < len(restarts) < len(schedule.steps) - 1
    assert simulate(schedule, restarts, shift("bf16")).error <= limit(schedule, "bf16")


def worst(table, known, plan) -> float:
    X, info = msign_with_info(known.matrix, table, replace(plan, check=False))
    inside = known.sigma / info.norm[:, None] >= 1e-3 * (1 - 1e-12)
    if not torch.isfinite(X).all():
        return float("inf")
    return deviation(X.double(), known.U, known.V, inside).worst or 0.0


@pytest.mark.parametrize("steps", QUINTICS)
@pytest.mark.parametrize("spectrum", ["logspace:1e-3", "rank2"])
def test_chosen_restarts_hold_and_none_blows_up(steps, spectrum):
    table = QUINTICS[steps]
    known = sample(spectrum, (64, 256))
    chosen = Plan(dtype="bf16", form="gram")
    _, info = msign_with_info(known.matrix, table, chosen)
    assert (info.form, info.restarts) == ("gram", choose_restarts(table.schedule, "bfloat16"))
    direct_form = worst(table, known, Plan(dtype="bf16"))
    # What the limit lets the gram form add.
    added = max(table.schedule.error / 4, 8 * UNIT_ROUNDOFF["bfloat16"])
    assert worst(table, known, chosen) <= direct_form + added
    assert worst(table, known, replace(chosen, restarts=())) > 10 * table.schedule.error


def test_restarts_before_every_step_are_named_direct():
    table = polydesign.design(degree=9, steps=4, headroom=1.015, image_floor=(0.12, 0.12, 0.12, 0))
    M = normalized(8, 32, seed=1)
    X, info = msign_with_info(M, table, Plan(dtype="bf16", form="gram", float32_side=0))
    assert (info.form, info.restarts, info.matmuls) == ("direct", (), 16)
    assert torch.equal(X, msign(M, table, Plan(dtype="bf16", float32_side=0)))
    _, info = msign_with_info(M, table, Plan(dtype="bf16", form="gram", restarts=(1, 2, 3)))
    assert (info.form, info.restarts) == ("gram", (1, 2, 3))  # asked for
    _, info = msign_with_info(M, table, Plan(dtype="fp32", form="gram"))
    assert info.form == "gram"


# refusals


def test_refuses_what_no_restart_saves():
    bare = polydesign.load("sign-d5x8-l1e-3-fp64")
    with pytest.raises(
        InputError, match=r"^form: gram loses .* in bf16 even with a restart.*wider precision"
    ):
        msign(torch.eye(3), bare, Plan(dtype="bf16", form="gram", check="input"))
    msign(torch.eye(3), bare, Plan(dtype="fp64", form="gram"))
    with pytest.raises(InputError, match=r"^form: gram is of root 2, and the schedule has root 4"):
        choose_restarts(polydesign.load("root4-d9x4-l0.1-fp32").schedule, "float32")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"form": "coupled"}, "^form: 'coupled' is not one of direct, gram"),
        ({"restarts": (1,)}, '^restarts: are of the gram form, and form is direct: write form="gram"'),
        ({"form": "gram", "restarts": 2}, r"^restarts: must be a tuple such as \(2,\), not 2"),
        ({"form": "gram", "restarts": (0,)}, r"^restarts\[0\]: must be a whole number of at least 1"),
        ({"form": "gram", "restarts": (2, 2)}, r"^restarts: must increase, and are \[2, 2\]"),
    ],
)
def test_refused_plans(keywords, message):
    with pytest.raises(InputError, match=message):
        Plan(**keywords)


def test_refuses_restarts_beyond_the_steps():
    plan = Plan(form="gram", restarts=(2, 5))
    msign(torch.eye(2), QUINTICS[6], plan)
    with pytest.raises(
        InputError, match=r"^plan.restarts\[1\]: is 5, and the table has 5 steps: write at most 4"
    ):
        msign(torch.eye(2), QUINTICS[5], plan)


def test_roots_have_no_gram_form():
    P = torch.eye(3)
    for operator in (inverse_root, root):
        with pytest.raises(InputError, match=r"^plan.form: gram is of msign, and (inverse_)?root is coupled"):
            operator(P, 2, plan=Plan(form="gram"))

"""Long steps: what their programs compute, how they are found, and what is proved of them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

import polydesign
from polydesign.approximation.certificate import certify, optimum
from polydesign.approximation.enclosure import exactly, step_image
from polydesign.approximation.high_degree import levelled
from polydesign.approximation.sampling import check_claims
from polydesign.approximation.scalar import image
from polydesign.model import ClaimError, InputError, Plan, Problem, Provenance, Table, evaluate
from polydesign.program.basis import expanded
from polydesign.program.cost import UNIT, cost, power_products
from polydesign.program.programs import build, factored
from polydesign.rounding.direct import noise
from polydesign.rounding.gram import choose_restarts
from polydesign.runtime import msign
from polydesign.search import candidates, long_schedules
from polydesign.search.candidates import Candidate
from polydesign.search.long_schedules import LongSteps, considered, is_long, propose_long, sequence, steady
from polydesign.search.long_steps import PRODUCTS, Effort, long_step, pool, values
from polydesign.search.rounding_aware import Proposal, Terms
from polydesign.search.spending import best
from polydesign.table import dumps, loads
from polydesign.verification.sweep import measure

pytestmark = pytest.mark.numerics

QUICK = Effort(starts=1, polished=1, hops=0, rounds=10)
MADE = LongSteps((16, 2), (1.00001, 1.00001), QUICK)
SCHEDULE = MADE.search(Problem(2, (3,), 0.05))


def constants(k, seed=0):
    return np.random.default_rng(seed).normal(size=k * k + 1)


@pytest.mark.parametrize("k", [3, *PRODUCTS])
def test_a_program_of_k_products_has_inner_degree_2_to_the_k(k):
    p = list(map(float, constants(k)))
    code = factored((2.0, *p))
    assert (code.products, code.degree, len(code.constants)) == (k, 2**k, k * k + 2)
    exact = expanded(code)
    assert len(exact) == 2**k + 1
    a = Fraction(3, 7)
    assert evaluate(exact, 1, a) / a == factored(list(map(Fraction, (2.0, *p))))(a)
    if k == 3:  # the one that has a way from coefficients to constants
        assert code == build("chebyshev", 8, (2.0, *p))


@pytest.mark.parametrize("k", PRODUCTS)
def test_derivatives_are_those_of_the_program_and_k_squared_are_independent(k):
    p, b = constants(k), np.cos(np.linspace(0, math.pi, 4 * 2**k))
    q, slopes = values(p, b)
    y = (b + 1) / 2
    scale = np.abs(slopes).max(axis=0)
    assert np.abs(q - factored((2.0, *p))(y)).max() <= 1e-12 * np.abs(q).max()
    for j in range(len(p)):
        moved = p.astype(complex)
        moved[j] += 1e-30j  # exact to rounding: the step is far below it
        assert np.abs(factored((2.0, *moved))(y).imag / 1e-30 - slopes[:, j]).max() <= 1e-11 * scale[j]
    sizes = np.linalg.svd(slopes / scale, compute_uv=False)
    assert sizes[-1] < 1e-12 * sizes[0] < sizes[-2]


@pytest.mark.parametrize("root", [2, 4])
def test_a_search_comes_near_the_best_polynomial_and_never_below_it(root):
    lower = 0.3
    found = pool(root, 4, lower, Effort(starts=2, polished=1, hops=1, rounds=20))
    bound = math.exp(levelled(root, 16, lower).log_error)
    usual = math.exp(levelled(root, 8, lower).log_error)
    error, p = found[0]
    x = np.linspace(lower, 1, 20_001)
    largest = np.abs(1 - x * factored((2.0, *p))(x**root)).max()
    assert bound <= error <= largest * (1 + 1e-12)
    assert largest < usual
    assert largest <= 1.1 * error  # between the points that the search looks at
    # A start that nothing has improved is no step at all.
    start = np.abs(1 - x * factored((2.0, *constants(4)))(x**root)).max()
    assert start > usual


def test_the_same_seed_finds_the_same_step_and_another_seed_another():
    once, again = (pool(2, 4, 0.3, QUICK)[0] for _ in range(2))
    assert once[0] == again[0]
    assert (once[1] == again[1]).all()
    assert (pool(2, 4, 0.3, replace(QUICK, seed=1))[0][1] != once[1]).any()


def test_of_steps_that_are_as_good_the_one_that_rounds_least_is_taken(monkeypatch):
    loud, quiet = constants(4, 1) * 100, constants(4, 1)
    for errors, taken in (((0.1, 0.101), quiet), ((0.1, 0.2), loud), ((0.9, 0.91), loud)):
        monkeypatch.setattr(
            "polydesign.search.long_steps.pool", lambda *_, e=errors: [(e[0], loud), (e[1], quiet)]
        )
        long_step.cache_clear()
        assert long_step(2, 4, 0.3, QUICK).constants == tuple(taken)
    monkeypatch.setattr("polydesign.search.long_steps.pool", lambda *_: [(math.inf, loud)])
    long_step.cache_clear()
    with pytest.raises(ArithmeticError, match="no long step"):
        long_step(2, 4, 0.3, QUICK)
    long_step.cache_clear()


def test_a_long_step_is_what_its_program_says():
    """In float64 its coefficients are another polynomial's."""
    for step in (polydesign.load("sign-m16-l1e-3-fp32").schedule.steps[0], SCHEDULE.steps[0]):
        exact = expanded(step.program)
        x = [Fraction(k, 64) for k in range(1, 65)]
        wanted = [float(evaluate(exact, 2, one)) for one in x]
        found = step(np.array(x, dtype=float))
        assert np.abs(found - wanted).max() < 1e-9
        assert step.long
    step = polydesign.load("sign-m16-l1e-3-fp32").schedule.steps[0]
    assert np.abs(evaluate(step.coefficients, 2, np.array(x, dtype=float)) - wanted).max() > 1
    assert not polydesign.load("sign-m12-l1e-3-bf16").schedule.steps[0].long


def test_what_is_stated_is_proved_and_what_is_changed_is_refused():
    certificate = certify(SCHEDULE)
    low, high = map(Fraction, certificate.error)
    assert low <= Fraction(SCHEDULE.error) * (1 + Fraction(1, 2**50))
    assert high - low <= high / 10**15
    worst = max(abs(1 - SCHEDULE(Fraction(k, 800))) for k in range(40, 801))
    assert worst <= high
    assert float(worst) > 0.9 * float(high)
    least = optimum(SCHEDULE)[0]
    assert 0 < least < low
    assert certificate.optimum is not None
    assert Fraction(certificate.optimum[1]) == high
    check_claims(SCHEDULE)
    step = SCHEDULE.steps[0]
    moved = replace(
        SCHEDULE, steps=(replace(step, image=(0.99 * step.image[0], step.image[1])), SCHEDULE.steps[1])
    )
    with pytest.raises(ClaimError, match="image"):
        check_claims(moved)


def test_the_lower_end_of_the_optimum_is_that_of_the_exchange():
    """With degrees that both can do the bound from a reference in float64 is the tighter one, all but so."""
    from polydesign.approximation.certificate import _optimum_from_below

    usual = polydesign.load("sign-m15-l1e-3-fp16").schedule
    below, above = optimum(usual)
    found = _optimum_from_below(usual)
    assert found <= above
    assert float(found) == pytest.approx(float(below), rel=1e-6)


def test_a_step_covers_what_it_receives_with_its_headroom():
    step = SCHEDULE.steps[0]
    assert step.evaluation == long_schedules.NAME
    assert step.domain == (0.05, pytest.approx(1.00001))
    low, high = image(expanded(step.program), 2, (0.05, 1.0))
    assert float(low + high) == pytest.approx(2, abs=1e-12)  # centred
    assert step.image == (float(low), float(high))
    at_the_top = abs(1 - step(1.00001))
    assert at_the_top <= step.half_width * (1 + 1e-6)
    assert abs(1 - step(1.05)) > step.half_width


def test_the_noise_of_a_long_step_meets_its_extremes():
    step = SCHEDULE.steps[0]
    found = noise(step.program, step.coefficients, 2, 1.0)
    top = float(step_image(expanded(step.program), 2, exactly(0.0, 1.0), 256).outer[1])
    assert found.value.max() == pytest.approx(top, rel=1e-3)
    assert found.value.max() <= top * (1 + 1e-12)


def test_sequences_keep_to_the_products_and_have_a_long_step():
    for most in (10, 12, 14, 15, 16):
        found = sequence(Terms(2, 1e-3, 1.0, "float32"), most)
        assert any(map(is_long, found))
        steps = [n.bit_length() - 1 if is_long(n) else {1: 0, 2: 1, 4: 2, 8: 3}[n] for n in found]
        assert sum(k + 2 for k in steps) <= most
    assert found == (64, 64)
    assert sequence(Terms(2, 1e-3, 1.0, "float32"), 5) == ()
    assert sequence(Terms(2, 0.9, 1.0, "float32"), 12) == ()  # usual steps end sooner


def test_sequences_of_the_coupled_form_keep_to_its_products():
    """P W^r and the power of W cost what usual steps take for it, which long steps take less often."""
    for root, lower in ((1, 1e-4), (2, 0.01), (4, 0.1)):
        terms = Terms(root, lower, 1.0, "float32", form="coupled")
        for most in (12, 13, 16):
            found = sequence(terms, most)
            assert any(map(is_long, found))
            steps = [n.bit_length() - 1 if is_long(n) else {1: 0, 2: 1, 4: 2, 8: 3}[n] for n in found]
            beside = power_products(1, root) + 1
            assert sum(k + 1 + beside for k in steps) - beside <= most
    assert sequence(Terms(4, 0.1, 1.0, "float32", form="coupled"), 13) == (8, 32)


def test_long_steps_are_for_float32_and_float64_where_nothing_is_prescribed():
    plain = Terms(2, 1e-3, 1.0, "float32")
    assert considered(plain)
    assert considered(replace(plain, dtype="float64"))
    others = {"dtype": "bfloat16", "form": "gram", "inner_degrees": (2,), "evaluations": ("chebyshev",)}
    for name, value in others.items():
        assert not considered(replace(plain, **{name: value})), name
    assert considered(Terms(4, 0.1, 1.0, "float32", form="coupled"))
    assert not considered(Terms(4, 0.1, 1.0, "float16", form="coupled"))


def test_what_is_proposed_is_made_again_by_its_strategy():
    one = propose_long(Terms(2, 0.05, 1.0, "float32"), 9)
    assert one is not None
    assert one.schedule == one.strategy.search(Problem(2, (3,), 0.05))
    assert one.cost == sum(step.program.products + 2 for step in one.schedule.steps) <= 9
    assert one.expected >= one.schedule.error
    assert all(room > 1 for room in one.strategy.headroom)
    assert propose_long(Terms(2, 0.9, 1.0, "float32"), 9) is None


def test_roots_have_long_steps_too(monkeypatch):
    """Proposals for a root, of two numbers of products, run and come to what is proved of them."""
    monkeypatch.setattr(long_schedules, "EFFORT", QUICK)
    terms = Terms(4, 0.3, 1.0, "float32", form="coupled")
    found = candidates._long(terms, 10)
    assert len({one.proposal.strategy for one in found}) == len(found) == 2
    for one in found:
        proposal = one.proposal
        assert proposal.schedule == proposal.strategy.search(Problem(4, (5,), 0.3))
        assert any(step.long for step in proposal.schedule.steps)
        assert one.cost == cost(proposal.schedule, UNIT, form="coupled") <= 10
        assert all(room > 1 for room in proposal.strategy.headroom)
        table = Table(
            "x", proposal.schedule, Provenance("0", "x", {}), purpose="root", dtype="float32", form="coupled"
        )
        run = measure(table, dtype="float64", spectrum="swept", shape=(12, 12), operator="inverse_root")
        assert run.worst is not None
        assert run.worst <= proposal.schedule.error * (1 + 1e-6)
        assert certify(proposal.schedule)


def test_the_gram_form_begins_again_after_a_long_step():
    """Otherwise vectors of small values turn; the last digits of blocks of equal entries show it."""
    table = polydesign.load("sign-m12-l1e-3-fp32")
    assert choose_restarts(table.schedule, "float32") == (1,)
    random = np.random.default_rng(1)
    worst = {(): 0.0, (1,): 0.0}
    for _ in range(80):
        block = random.normal(size=[random.integers(2, 6)] * 2)
        M = torch.tensor(np.kron(block, np.ones(random.integers(1, 33, 2))), dtype=torch.float32)
        U, s, V = torch.linalg.svd(M.double(), full_matrices=False)
        kept = s >= 1e-3 * torch.linalg.matrix_norm(M.double())
        for restarts in worst:
            plan = Plan(dtype="float32", form="gram", restarts=restarts, check=False)
            off = U[:, kept].T @ msign(M, table, plan=plan).double() @ V[kept].T - torch.eye(int(kept.sum()))
            worst[restarts] = max(worst[restarts], float(torch.linalg.matrix_norm(off, 2)))
    assert worst[1,] <= 1.02 * table.schedule.error
    assert worst[()] > 1.5 * table.schedule.error


class _Ranked:
    complete = True

    def __init__(self, index, worst):
        self.index, self.worst = index, worst


def test_a_long_schedule_that_rounding_decides_is_not_taken(monkeypatch):
    """The next one is, although it errs more."""
    usual = polydesign.load("sign-d5x7-l1e-3-fp32").schedule
    listed = [
        Candidate(Proposal(one, None, 9.0, 1.0, one.error, one.error), "direct", None, 9.0)
        for one in (SCHEDULE, usual)
    ]
    monkeypatch.setattr("polydesign.search.spending.for_matmuls", lambda *_, **__: listed)
    terms = [Terms(2, 0.05, 1.0, "float32")]
    for factor, taken in ((1.19, SCHEDULE), (1.21, usual)):
        ranked = [_Ranked(0, factor * SCHEDULE.error), _Ranked(1, 2 * SCHEDULE.error)]
        found, _, _ = best(terms, "float32", 9, None, lambda *_, r=ranked: r)
        assert found.proposal.schedule == taken
    assert steady(usual, 1.0, "direct")
    assert steady(SCHEDULE, 1.0, "coupled")


def test_a_file_of_long_steps_is_read_and_one_that_was_edited_refused():
    table = polydesign.load("sign-m15-l1e-3-fp32")
    text = dumps(table)
    assert loads(text) == table
    body = json.loads(text)
    weights = body["steps"][0]["program"]["lines"][-1]["left"]
    weights[0][1] *= 1 + 1e-12
    with pytest.raises(InputError, match=r"steps\[0\]"):
        loads(json.dumps(body))


@pytest.mark.parametrize(
    ("name", "most"),
    [("sign-m14-l1e-3", 0.03), ("sign-m15-l1e-3", 0.0032), ("sign-m16-l1e-3", 0.0006)],
)
@pytest.mark.parametrize("dtype", ["fp32", "fp64"])
def test_shipped_tables_of_long_steps(name, dtype, most):
    table = polydesign.load(f"{name}-{dtype}")
    certificate = table.certificate
    assert certificate is not None
    assert certificate.kind == "proved"
    assert Fraction(certificate.error[1]) <= most
    assert any(step.long for step in table.schedule.steps)
    assert table.observed is not None
    assert table.observed <= 1.2 * table.schedule.error

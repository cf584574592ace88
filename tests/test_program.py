"""Programs for q: what they compute, and how many products they take."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import with_coefficients

import polydesign
from polydesign.model import InputError, Schedule, Step, evaluate
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.model.program import IDENTITY, monomial
from polydesign.program.basis import expanded, program_constants, program_for
from polydesign.program.cost import matmuls, power_products
from polydesign.program.programs import build, preferred, products
from polydesign.rounding.running import term_rounding
from polydesign.runtime import ops
from polydesign.runtime.execute import direct

pytestmark = pytest.mark.numerics

CHEBYSHEV = (1, 2, 3, 4, 5, 6, 8)
ORIGIN = (3, 4, 5, 6, 8)
BALANCED = (4, 8)
PRODUCTS = {
    "monomial": dict(enumerate([0, 1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5], start=1)),  # Paterson and Stockmeyer
    "chebyshev": dict(zip(CHEBYSHEV, [0, 1, 2, 2, 3, 3, 3], strict=True)),
    "origin": dict(zip(ORIGIN, [2, 2, 3, 3, 3], strict=True)),
    "balanced": dict(zip(BALANCED, [2, 3], strict=True)),
}
CASES = [(evaluation, n) for evaluation, products in PRODUCTS.items() for n in products]


def hand_made(evaluation, n, root=2):
    """A step with the Taylor coefficients of y^(−1/2) about 1/2, scaled down: nothing special."""
    row = [Fraction((-1) ** j * math.comb(2 * j, j), 3**j) for j in range(n + 1)]
    code = program_for(evaluation, row, 1)
    floats = tuple(map(float, expanded(code)))
    return Step(1 + n * root, floats, (0.1, 1.0), (0.1, 1.0), 0.9, evaluation, code)


@given(
    st.lists(st.integers(-9, 9).map(float), min_size=2, max_size=13), st.fractions(-2, 2, max_denominator=20)
)
def test_monomial_computes_q_and_keeps_its_constant_apart(coefficients, a):
    code = monomial(list(map(Fraction, coefficients)))
    assert code(a) == sum(Fraction(c) * a**j for j, c in enumerate(coefficients))
    assert code.constant == coefficients[0]


@pytest.mark.few(6)
@pytest.mark.parametrize(("evaluation", "n"), [case for case in CASES if case[0] != "monomial"])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_constants_define_q_but_for_their_own_rounding(evaluation, n, data):
    """Exactly: the constants are as rational as their floats, and the polynomial they define is near q."""
    number = st.integers(-999, 999).map(lambda k: k / 64)
    row = [data.draw(number) for _ in range(n)] + [data.draw(number.filter(bool))]
    upper = data.draw(st.integers(1, 80)) / 16
    numbers = program_constants(evaluation, row, upper)
    a = Fraction(data.draw(st.integers(0, 64)), 64) * Fraction(upper)
    value = build(evaluation, n, list(map(Fraction, numbers)))(a)
    found = expanded(build(evaluation, n, numbers))
    assert value == sum(c * a**j for j, c in enumerate(found))
    # Each constant is off by 2⁻⁵³ of itself: the derivative of q by it is what the others leave, found by
    # changing it by a relative 2⁻²⁰ exactly.
    exact = sum(Fraction(c) * a**j for j, c in enumerate(row))
    bound = Fraction(0)
    for index in range(len(numbers)):
        moved = list(map(Fraction, numbers))
        moved[index] *= 1 + Fraction(1, 2**20)
        bound += abs(build(evaluation, n, moved)(a) - value) * Fraction(2**20, 2**53)
    if evaluation == "chebyshev" and n < 8:
        # Some constants are differences of two Chebyshev coefficients, which are rounded first.
        t = np.polynomial.Polynomial(row).convert(domain=[0, upper], kind=np.polynomial.Chebyshev).coef
        bound += Fraction(float(np.sum(np.abs(np.array(t))))) / 2**52
    assert abs(value - exact) <= 2 * bound


@pytest.mark.parametrize("n", ORIGIN)
@pytest.mark.parametrize("evaluation", ["origin", "chebyshev"])
def test_origin_stores_no_multiple_of_the_identity(evaluation, n):
    """All its registers vanish at A = 0, so that the null space adds no rounding; those of chebyshev do not."""
    step = hand_made(evaluation, n)
    code = in_fractions(step)
    stored = any(r == IDENTITY for line in code.lines for terms in line_terms(line) for r, _ in terms)
    assert stored == (evaluation == "chebyshev")
    assert (code(Fraction(0)) == code.constant == expanded(step.program)[0]) == (evaluation == "origin")


def line_terms(line):
    return line.plus, line.left, line.right


def test_the_exact_polynomial_is_the_programs_and_not_its_rounded_twin():
    step = polydesign.design(degree=17, steps=1).schedule.steps[0]
    exact = expanded(step.program)
    assert tuple(map(float, exact)) == step.coefficients
    assert any(c != Fraction(twin) for c, twin in zip(exact, step.coefficients, strict=True))
    x = Fraction(3, 7)
    assert x * in_fractions(step)(x**2) == evaluate(exact, 2, x)


def in_fractions(step):
    return step.program.with_constants(list(map(Fraction, step.program.constants)))


@pytest.mark.parametrize(("evaluation", "n"), CASES)
def test_takes_so_many_products(evaluation, n):
    assert hand_made(evaluation, n).program.products == PRODUCTS[evaluation][n] == products(evaluation, n)


@pytest.mark.parametrize(("evaluation", "n"), CASES)
def test_runs_as_many_products_as_are_counted(evaluation, n, monkeypatch):
    """A counting backend against program/cost.py."""
    step = hand_made(evaluation, n)
    taken = []
    # sym_mm and sym_mm_add end in these two
    for name in ("mm", "mm_add"):
        real = getattr(ops, name)
        monkeypatch.setattr(ops, name, lambda *a, real=real, **k: (taken.append(1), real(*a, **k))[1])
    direct(torch.eye(3, 4, dtype=torch.float64), [step, step])
    assert len(taken) == matmuls(Schedule(2, (0.1, 1.0), (step, step))) == 2 * (PRODUCTS[evaluation][n] + 2)


@pytest.mark.parametrize(("evaluation", "n"), CASES)
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_runs_what_it_describes(evaluation, n, batch, seed, device):
    step = hand_made(evaluation, n)
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn((*batch, 5, 8), generator=generator, dtype=torch.float64)
    X = (X / torch.linalg.matrix_norm(X)[..., None, None]).to(device)
    U, sigma, Vt = torch.linalg.svd(X, full_matrices=False)
    expected = U @ torch.diag_embed(step(sigma)) @ Vt
    # Every register is rounded a few times, in sums of at most 8 products; term_rounding has the sizes.
    tolerance = 64 * term_rounding(step, "float64")
    before = X.clone()
    assert (direct(X, [step]) - expected).abs().max() <= tolerance
    assert torch.equal(X, before)
    other = with_coefficients(step, coefficients=(*step.coefficients[:-1], 0.9 * step.coefficients[-1]))
    assert (U @ torch.diag_embed(other(sigma)) @ Vt - expected).abs().max() > tolerance


@pytest.mark.parametrize(("exponent", "products"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (7, 4), (8, 3)])
def test_powers_by_squaring(exponent, products):
    assert power_products(exponent) == products


@pytest.mark.parametrize(
    ("keywords", "products"),
    [
        ({"degree": 5, "steps": 6}, 18),  # three a quintic
        ({"degree": 3, "steps": 4}, 8),
        ({"degree": [5, 9, 9, 9]}, 15),
        ({"degree": 17, "steps": 3, "dtype": "float32"}, 15),
        ({"degree": 17, "steps": 3, "evaluation": "monomial", "headroom": 1.05}, 18),
        ({"root": 4, "degree": 9, "steps": 4, "lower": 0.1}, 17),  # the r-th root article's count
        ({"root": 1, "degree": 3, "steps": 3, "lower": 0.1}, 8),
    ],
)
def test_counts_the_products_of_a_schedule(keywords, products):
    assert matmuls(polydesign.design(**keywords).schedule) == products


@pytest.mark.parametrize("n", [7, 9, 12])
def test_refuses_inner_degrees_without_a_program(n):
    with pytest.raises(InputError, match=f"degrees 1 to 6 and 8, and this step has {n}: take monomial"):
        program_constants("chebyshev", [1.0] * (n + 1), 1)
    assert preferred(n) == "monomial"
    with pytest.raises(InputError, match="evaluation"):
        polydesign.design(degree=1 + 2 * n, steps=1, evaluation="chebyshev")


def test_refuses_a_degree_eight_that_has_no_three_products():
    with pytest.raises(InputError, match="leading coefficient"):
        program_constants("chebyshev", [1.0] * 8 + [0.0], 1)


def test_the_free_constant_is_chosen_by_size():
    """T(T + αB) with a₁ = 0 leaves a₁ + b₁ to b₁; where the sum is negative, a₁ <= b₁ rules 0 out."""
    code = {"rho": 1, "alpha": -0.5, "a1": -1.0, "a2": 0.1, "b1": -0.25, "b2": 0.2, "c2": 1, "c1": 0, "c0": 0}
    numbers = [2.0, *code.values(), 0.0]
    found = program_constants("chebyshev", expanded(build("chebyshev", 8, numbers)), 1)
    a1, b1 = found[3], found[5]
    assert a1 < 0
    assert a1 + b1 == pytest.approx(-1.25, rel=1e-12)
    prototype = polydesign.design(degree=17, steps=1).schedule.steps[0]
    assert program_constants("chebyshev", prototype.coefficients, 1)[3] == 0


def test_term_rounding_tells_degree_nine_from_degree_five():
    """design.md, section 3: degree 9 in powers of A fails in bfloat16; quintics and Chebyshev do not."""
    nine, other = (
        polydesign.design(degree=9, steps=1, evaluation=evaluation).schedule.steps[0]
        for evaluation in ("monomial", "chebyshev")
    )
    five = polydesign.design(degree=5, steps=1).schedule.steps[0]
    rounding = {step: term_rounding(step, "bfloat16") for step in (nine, other, five)}
    assert rounding[nine] > 10 > 1 > rounding[other]
    assert rounding[five] < 0.3


@pytest.mark.parametrize(("evaluation", "n"), CASES)
def test_term_rounding_bounds_what_rounding_does(evaluation, n, seed):
    """Numbers in place of matrices, every register rounded to 24 bits, against float64."""
    step = hand_made(evaluation, n)
    x = np.random.default_rng(seed).uniform(0.1, 1, 400)

    class Rounded(float):
        def __add__(self, other):
            return Rounded(np.float32(float(self) + float(other)))

        def __mul__(self, other):
            return Rounded(np.float32(float(self) * float(other)))

        __radd__, __rmul__ = __add__, __mul__

    code = step.program
    found = [float(code(Rounded(np.float32(v * v)))) * v for v in x]
    worst = max(abs(np.array(found) - step(x)))
    # More roundings a register here than in a scaled addition: four, and the sum of five terms.
    assert worst <= 5 * term_rounding(step, "float32")
    assert worst > 1e-3 * term_rounding(step, "float32")
    assert term_rounding(step, "float32") == term_rounding(step, "bf16") * UNIT_ROUNDOFF["float32"] * 2**8

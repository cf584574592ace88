"""Programs for q: what they compute, and how many products they take."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import polydesign
from polydesign.evaluation.cost import matmuls, power_products
from polydesign.evaluation.program import monomial, program
from polydesign.evaluation.rounding import UNIT_ROUNDOFF, term_rounding
from polydesign.model import evaluate


def run(plan, a):
    """The program with exact numbers in place of matrices; returns Q(a) and the products taken."""
    registers = [a]

    def combined(terms):
        return sum((Fraction(weight) * registers[index] for index, weight in terms), Fraction(0))

    for left, right in plan.products:
        registers.append(combined(left) * combined(right))
    return combined(plan.result), len(plan.products)


@given(
    st.lists(st.integers(-9, 9).map(float), min_size=2, max_size=13), st.fractions(-2, 2, max_denominator=20)
)
def test_computes_q_without_its_constant(coefficients, a):
    value, _ = run(monomial(tuple(coefficients)), a)
    assert value + Fraction(coefficients[0]) == sum(Fraction(c) * a**j for j, c in enumerate(coefficients))
    assert monomial(tuple(coefficients)).constant == coefficients[0]


@pytest.mark.parametrize(("n", "products"), [*enumerate([0, 1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5], start=1)])
def test_takes_paterson_and_stockmeyers_products(n, products):
    assert len(monomial(tuple(float(j + 1) for j in range(n + 1))).products) == products


@pytest.mark.parametrize(("exponent", "products"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (7, 4), (8, 3)])
def test_powers_by_squaring(exponent, products):
    assert power_products(exponent) == products


@pytest.mark.parametrize(
    ("keywords", "products"),
    [
        ({"degree": 5, "steps": 6}, 18),  # three a quintic
        ({"degree": 3, "steps": 4}, 8),
        ({"degree": [5, 9, 9, 9]}, 15),
        ({"root": 4, "degree": 9, "steps": 4, "lower": 0.1}, 17),  # the r-th root article's count
        ({"root": 1, "degree": 3, "steps": 3, "lower": 0.1}, 8),
    ],
)
def test_counts_the_products_of_a_schedule(keywords, products):
    assert matmuls(polydesign.design(**keywords).schedule) == products


def test_a_step_computes_p():
    step = polydesign.design(degree=9, steps=1).schedule.steps[0]
    x = Fraction(3, 7)
    value, _ = run(program(step), x**2)
    assert x * (value + Fraction(step.coefficients[0])) == evaluate(
        [Fraction(c) for c in step.coefficients], 2, x
    )


def test_term_rounding_tells_degree_nine_from_degree_five():
    """design.md, section 3: degree 9 in powers of A fails in bfloat16, quintics do not."""
    nine = polydesign.design(degree=9, steps=1).schedule.steps[0]
    five = polydesign.design(degree=5, steps=1).schedule.steps[0]
    assert term_rounding(nine, "bfloat16") > 1 > 0.5 > term_rounding(five, "bfloat16")
    terms = sum(abs(c) * five.domain[1] ** (1 + 2 * j) for j, c in enumerate(five.coefficients))
    assert term_rounding(five, "float16") == pytest.approx(UNIT_ROUNDOFF["float16"] * terms, rel=1e-12)

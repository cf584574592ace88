"""The balanced evaluation: the same polynomial, and less rounding than the others."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import minimize

from polydesign.approximation.remez import best_approximation
from polydesign.model import InputError
from polydesign.program import balanced
from polydesign.program.basis import expanded, program_constants, program_for
from polydesign.program.programs import build
from polydesign.rounding.direct import stored, turning_points

pytestmark = pytest.mark.numerics

LOWER = (0.005, 0.02, 0.06, 0.15, 0.4)


def best(n, lower):
    return [float(c) for c in best_approximation(2, n, lower, 1.0).coefficients]


def rounding(code, row):
    """Written again: x·√Σ gain²·(null² + (size − null)²) at the turning points, without A; the largest."""
    worst = 0.0
    for x in turning_points(row, 2, 1.0):
        sizes, gains = stored(code, np.array([0.0, x * x]))
        terms = [g[1] ** 2 * (s[0] ** 2 + (s[1] - s[0]) ** 2) for s, g in zip(sizes, gains, strict=True)]
        worst = max(worst, x * sum(terms[1:]) ** 0.5)
    return worst


@pytest.mark.parametrize("n", [4, 8])
@pytest.mark.parametrize("lower", LOWER)
def test_rounds_less_than_the_other_programs_of_the_same_polynomial(n, lower):
    row = best(n, lower)
    of = {name: rounding(program_for(name, row, 1.0), row) for name in NAMES}
    assert of["balanced"] < 0.95 * min(of["chebyshev"], of["origin"])


NAMES = ("chebyshev", "origin", "balanced")


@pytest.mark.few(1)
@pytest.mark.parametrize("lower", LOWER)
def test_its_grid_is_fine_enough(lower):
    """A minimum over the free numbers themselves is at most a tenth less; a poor choice is not."""
    row = best(8, lower)
    found = rounding(program_for("balanced", row, 1.0), row)

    def of(free):
        return rounding(build("balanced", 8, balanced._octic(row, free[0], free[1], 2.0 ** free[2])), row)

    starts = [(0.8, 0.4, -7.0), (0.9, 0.2, -4.0), (0.95, 0.5, -2.0)]
    options = {"maxfev": 400}
    least = min(minimize(of, start, method="Nelder-Mead", options=options).fun for start in starts)
    assert least <= found * (1 + 1e-9)
    assert found < 1.1 * least
    assert of((1.05, 0.0, -10.0)) > 1.1 * least


@pytest.mark.parametrize("n", [4, 8])
@pytest.mark.parametrize("upper", [0.3, 1.0, 4.7])
def test_registers_are_of_order_one_whatever_the_domain(n, upper):
    """S, Y and the factors; the products that follow are as large as q is."""
    row = [c / upper**j for j, c in enumerate(best(n, 0.02))]
    code = program_for("balanced", row, upper)
    a = np.linspace(0, upper, 65)
    sizes, _ = stored(code, a)
    of_order_one = sizes[1:-1]
    assert np.max(abs(of_order_one)) < (4 if n == 8 else 25)
    assert code(a) == pytest.approx(np.polynomial.Polynomial(row)(a), rel=1e-9)


def test_the_program_is_exact_for_what_its_constants_say():
    row = best(8, 0.02)
    exact = expanded(program_for("balanced", row, 1.0))
    code = build("balanced", 8, list(map(Fraction, program_constants("balanced", row, 1.0))))
    a = Fraction(3, 7)
    assert code(a) == sum(c * a**j for j, c in enumerate(exact))
    assert [float(c) for c in exact] == pytest.approx(row, rel=1e-9)


def test_a_polynomial_without_its_highest_power_is_refused():
    with pytest.raises(InputError, match="leading coefficient"):
        program_constants("balanced", [1.0, 2.0, 3.0, 4.0, 0.0], 1.0)

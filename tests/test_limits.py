"""Limits of a budget: against the exchange in more digits, closed forms, linear algebra, and our schedules."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.polynomial import chebyshev
from pages import written
from references import oracle_cases

from polydesign import Equioscillation, Problem
from polydesign.approximation.high_degree import TOLERANCE, levelled
from polydesign.approximation.remez import best_approximation
from polydesign.model import InputError
from polydesign.program.cost import matmuls
from polydesign.search.limits import ASYMPTOTIC_TOLERANCE, MOST_REMEZ, asymptotic, limit

pytestmark = pytest.mark.numerics

UNIT = 2.0**-53


def allowed(root: int, inner_degree: int, ratio: float) -> float:
    """1e-12 of the reference, and the rounding of n + 2 logarithms, each of at most r |ln κ| + ln 4."""
    return 1e-12 + 2 * UNIT * (inner_degree + 2) * (root * abs(math.log(ratio)) + 2)


@pytest.mark.few(8)
@pytest.mark.parametrize("ratio", [1e-6, 1e-3, 0.1, 0.9, 1 - 1e-6])
@pytest.mark.parametrize("root", [1, 2, 3, 4, 8])
def test_agrees_with_the_exchange_in_powers(root: int, ratio: float) -> None:
    for n in (1, 2, 3, 5, 8, 12):
        found = levelled(root, n, ratio)
        exact = best_approximation(root, n, ratio, 1.0).error
        assert abs(math.exp(found.log_error) / exact - 1) < allowed(root, n, ratio)
        assert 0 <= found.log_largest - found.log_error <= TOLERANCE


def test_the_comparison_notices_another_degree_and_interval() -> None:
    """Negative control: inner degree 11 for 12, and l off by 1e-9 relative."""
    exact = best_approximation(2, 12, 0.1, 1.0).error
    for n, ratio in ((11, 0.1), (12, 0.1 * (1 + 1e-9))):
        assert abs(math.exp(levelled(2, n, ratio).log_error) / exact - 1) > allowed(2, 12, 0.1)


@pytest.mark.parametrize("case", oracle_cases(), ids=lambda case: f"r{case['root']}-l{case['lower']}")
def test_agrees_with_the_independent_solver(case) -> None:
    ratio = float(case["lower"]) / float(case["upper"])
    root, n = case["root"], case["q_degrees"][0]
    error = math.exp(levelled(root, n, ratio).log_error)
    assert abs(error / float(case["steps"][0]["error"]) - 1) < allowed(root, n, ratio)


@pytest.mark.parametrize("n", [3, 100, 1000])
@pytest.mark.parametrize("ratio", [1e-3, 0.3])
def test_root_one_is_chebyshevs(n: int, ratio: float) -> None:
    """E = 1/cosh((n + 1) arcosh((1 + κ)/(1 − κ))), down to 1e-500; arcosh of that is 2 artanh √κ."""
    exponent = (n + 1) * 2 * math.atanh(math.sqrt(ratio))
    exact = -(exponent + math.log1p(math.exp(-2 * exponent)) - math.log(2))
    assert abs(levelled(1, n, ratio).log_error - exact) < allowed(1, n, ratio) + UNIT * exponent * n


@pytest.mark.parametrize(("n", "ratio"), [(64, 1e-3), (256, 1e-3), (512, 1e-3), (512, 1e-5), (32, 0.1)])
def test_linear_algebra_in_chebyshevs_basis_finds_the_same(n: int, ratio: float) -> None:
    """Σ t_j x T_j(z) ± E = 1 solved on the reference; then 1 − p on 16 points a gap.

    x T_j on κ <= x <= 1 has a condition number of about 1/κ, times n for the points; the solution loses
    so many units.
    """
    found = levelled(2, n, ratio)
    angles = np.array(found.angles)
    lost = 100 * n / ratio * UNIT

    def basis(theta):
        y = ratio**2 + (1 - ratio**2) * np.sin(theta / 2) ** 2
        return np.sqrt(y)[:, None] * chebyshev.chebvander(-np.cos(theta), n)

    signs = (-1.0) ** np.arange(n + 2)
    solved = np.linalg.solve(np.column_stack([basis(angles), signs]), np.ones(n + 2))
    error = math.exp(found.log_error)
    assert abs(solved[-1]) == pytest.approx(error, rel=lost / error)
    dense = np.interp(np.linspace(0, n + 1, 16 * (n + 1) + 1), np.arange(n + 2), angles)
    assert np.max(abs(1 - basis(dense) @ solved[:-1])) <= error * (1 + TOLERANCE) + lost
    # Negative control: a reference that is not the best one leaves a larger error between its points.
    angles[1:-1] += 0.1 * np.diff(angles)[:-1]
    solved = np.linalg.solve(np.column_stack([basis(angles), signs]), np.ones(n + 2))
    assert np.max(abs(1 - basis(dense) @ solved[:-1])) > error * (1 + 1e-3) + lost


def test_degrees_are_what_products_reach() -> None:
    """All addition chains of up to 5 steps: the largest odd number is 2^(m−1) + 1."""
    chains = {(1,)}
    for m in range(1, 6):
        chains = {
            tuple(sorted({*chain, a + b}))
            for chain in chains
            for a in chain
            for b in chain
            if a + b not in chain
        }
        odd = max(degree for chain in chains for degree in chain if degree % 2)
        if m > 1:
            assert odd == limit(m, 0.1).degree


def test_falls_with_products_and_with_the_interval() -> None:
    found = [limit(m, 1e-3) for m in (*range(2, 15), 20, 22, 30)]
    assert [f.kind for f in found] == ["remez"] * 11 + ["asymptotic"] * 5
    errors = [f.error for f in found]
    assert all(after < before for before, after in itertools.pairwise(errors[:-1]))
    assert errors[-1] == errors[-2] == 0.0  # 1e-913 and less
    assert limit(8, 1e-2).error < limit(8, 1e-3).error
    assert limit(8, 1e-3, 0.5).error == pytest.approx(limit(8, 2e-3).error, rel=1e-11)


def test_no_schedule_does_better() -> None:
    """Of degree 3 or 5 the one-step schedule is the limit itself."""
    for degrees in ((3,), (5,), (5, 5), (9, 9), (3, 17, 17), (17, 17, 17)):
        evaluation = tuple("monomial" if d < 7 else "chebyshev" for d in degrees)
        schedule = Equioscillation(evaluation=evaluation).search(Problem(2, degrees, 1e-3))
        least = limit(matmuls(schedule), 1e-3)
        assert schedule.error >= least.error * (1 - 1e-9)
        assert (schedule.error < least.error * (1 + 1e-9)) == (degrees in ((3,), (5,)))


@pytest.mark.parametrize("known", [16, 64])
@pytest.mark.parametrize("ratio", [1e-5, 1e-3, 0.01, 0.1, 0.5, 0.99])
def test_the_asymptotic_agrees_with_the_exchange(ratio: float, known: int) -> None:
    """Its relative error falls as 1/k', at 0.45 or less: so ASYMPTOTIC_TOLERANCE at k' = 1,024."""
    exact = levelled(2, 512, ratio).log_error
    assert abs(math.expm1(asymptotic(512, ratio, known) - exact)) < 0.45 / known
    assert 0.45 / MOST_REMEZ < ASYMPTOTIC_TOLERANCE
    # Negative control: another index, k + 1 for k.
    wrong = asymptotic(513, ratio, known) - exact
    assert abs(math.expm1(wrong)) > 0.45 / known or 2 * math.atanh(ratio) < 0.9 / known


@pytest.mark.wide
def test_asymptotic_and_exchange_meet() -> None:
    """The first asymptotic limit against the exchange at the same inner degree, 2,048."""
    exact = math.exp(levelled(2, 2048, 0.005).log_error)
    found = limit(13, 0.005)
    assert found.kind == "asymptotic"
    assert found.error == pytest.approx(exact, rel=ASYMPTOTIC_TOLERANCE)
    # Negative control: the leading term alone is off by 0.2/(k a).
    assert math.exp(asymptotic(2048, 0.005, known=8)) != pytest.approx(exact, rel=ASYMPTOTIC_TOLERANCE)


def test_other_roots() -> None:
    """Coupled form: G·q(P) with one product has q of degree 1, and with four of degree 8."""
    assert limit(1, 0.2, root=4).degree == 5
    assert limit(4, 0.2, root=4).error == pytest.approx(best_approximation(4, 8, 0.2, 1.0).error, rel=1e-11)


@pytest.mark.alike
def test_the_pages_quote_the_limits() -> None:
    """And the errors of the schedules beside them, each the best approximation on the image before."""
    table = written().split("## How far from what is possible")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line[:3] > "| 0"
    ]
    rows = [row for row in rows if row[0].isdigit()]
    assert len(rows) == 9
    for products, degrees, error, degree, least, kind in rows:
        ratio, value = 1e-3, 1.0
        for d in map(int, degrees.split(", ")):
            value = math.exp(levelled(2, (d - 1) // 2, ratio).log_error)
            ratio = (1 - value) / (1 + value)
        found = limit(int(products), 1e-3)
        assert (f"{value:.3g}", f"{found.degree:,}", f"{found.error:.3g}", found.kind) == (
            error,
            degree,
            least,
            kind,
        )


@pytest.mark.parametrize(
    ("arguments", "root", "field"),
    [
        ((1, 0.1), 2, "products"),
        ((0, 0.1), 3, "products"),
        ((65, 0.1), 2, "products"),
        ((12, 0.1), 3, "products"),
        ((2.0, 0.1), 2, "products"),
        ((5, 0.0), 2, "lower"),
        ((5, 1.0), 2, "lower"),
        ((5, math.nan), 2, "lower"),
        ((5, 0.1, math.inf), 2, "upper"),
        ((5, 0.1), 0, "root"),
    ],
)
def test_refuses_bad_arguments_by_name(arguments, root, field) -> None:
    with pytest.raises(InputError) as refused:
        limit(*arguments, root=root)
    assert refused.value.field == field

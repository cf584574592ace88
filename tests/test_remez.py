"""Best approximation: against an independent solver, Sollya, closed forms, and its own second arithmetic."""

from __future__ import annotations

import math
import re
import shutil
import subprocess

import mpmath
import pytest
from examples import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from references import oracle_cases

from polydesign.approximation.exchange import solve
from polydesign.approximation.remez import ConvergenceError, best_approximation, solved
from polydesign.approximation.scalar import arithmetic, image
from polydesign.model import InputError, evaluate

CASES = oracle_cases()
NAMES = [f"r{case['root']}-{case['q_degrees']}-l{case['lower']}" for case in CASES]


def _ends(index, digits):
    case = CASES[index]
    if digits is None or index == 0:  # the reference's first case starts from the float64 nearest 1e-3
        return float(case["lower"]), float(case["upper"])
    context = arithmetic(60)
    return context.mpf(case["lower"]), context.mpf(case["upper"])


@pytest.mark.parametrize(("digits", "tolerance"), [(None, 1e-12), (40, 1e-20)])
@pytest.mark.parametrize("index", range(len(CASES)), ids=NAMES)
def test_agrees_with_the_independent_solver(index, digits, tolerance):
    case = CASES[index]
    context = arithmetic(60)
    interval = _ends(index, digits)
    for n, step in zip(case["q_degrees"], case["steps"], strict=True):
        found = best_approximation(case["root"], n, *interval, digits=digits)
        error = context.convert(found.error)
        assert abs(error / context.mpf(step["error"]) - 1) < tolerance
        for mine, reference in zip(found.coefficients, step["coefficients"], strict=True):
            assert abs(context.convert(mine) / context.mpf(reference) - 1) < max(tolerance, 1e-12)
        interval = (1 - error, 1 + error)  # E carried apart: 1 ± E in 60 digits


def test_the_comparison_notices_a_change_of_the_interval():
    """Negative control of the oracle test: l wrong by 1e-11 relative is seen."""
    found = best_approximation(2, 4, 0.1 * (1 + 1e-11), 1.0)
    assert abs(found.error / float(CASES[4]["steps"][0]["error"]) - 1) > 1e-12


intervals = st.one_of(
    st.floats(-8, -1e-3).map(lambda exponent: 10.0**exponent),
    st.floats(-12, -0.01).map(lambda exponent: 1 - 10.0**exponent),
)


@settings(max_examples=examples(20, wide=60), deadline=None, derandomize=True)
@given(root=st.integers(1, 8), n=st.integers(1, 12), kappa=intervals, upper=st.sampled_from([1.0, 0.37, 2.5]))
@example(root=2, n=2, kappa=1 - 1e-5, upper=1.0)  # where published code switches, for its system's condition
@example(root=8, n=12, kappa=1e-8, upper=1.0)
@example(root=2, n=12, kappa=1 - 1e-8, upper=1.0)
def test_equioscillates_and_both_arithmetics_agree(root, n, kappa, upper):
    """The error alternates n + 2 times at one level (checked here with 400 digits), in both arithmetics."""
    found = best_approximation(root, n, kappa * upper, upper)
    precise = best_approximation(root, n, kappa * upper, upper, digits=30)
    assert len(precise.reference) == n + 2
    context = arithmetic(400)
    points = [context.convert(x) for x in precise.reference]
    coefficients = [context.convert(c) for c in precise.coefficients]
    levels = [(-1) ** i * (1 - evaluate(coefficients, root, x)) for i, x in enumerate(points)]
    error = context.convert(precise.error)
    assert all(abs(level / error - 1) < 1e-25 for level in levels)
    if found.limit:
        assert context.convert(found.error) >= error * (1 - context.mpf(10) ** -12)  # it is a bound
    else:
        assert abs(context.convert(found.error) / error - 1) < 1e-12
        for mine, reference in zip(found.coefficients, precise.coefficients, strict=True):
            assert abs(mine / float(reference) - 1) < 1e-12


@settings(max_examples=25, deadline=None, derandomize=True)
@given(root=st.integers(1, 6), n=st.integers(1, 5), kappa=st.floats(1e-4, 0.95))
def test_no_other_step_does_better(root, n, kappa):
    """Optimality, numerically: moving any coefficient by a part in 10⁴ enlarges the error."""
    found = best_approximation(root, n, kappa, 1.0, digits=30)
    context = arithmetic(60)
    least = max(abs(1 - end) for end in image(found.coefficients, root, (kappa, 1.0)))
    assert abs(least / context.convert(found.error) - 1) < 1e-20
    for j, c in enumerate(found.coefficients):
        for sign in (-1, 1):
            moved = list(found.coefficients)
            moved[j] = c * (1 + sign * 1e-4)
            assert max(abs(1 - end) for end in image(moved, root, (kappa, 1.0))) > least


@pytest.mark.parametrize("root", [1, 2, 3, 4, 8])
def test_the_closed_form_of_one_term_is_what_the_exchange_finds(root):
    """n = 1, r = 2: Polar Express, section 3: p(x) = β(3αx − (αx)³)/2 with α² = 3/(1 + l + l²)."""
    found = best_approximation(root, 1, 0.2, 1.0, digits=30)
    assert found.rounds == 0
    if root == 2:
        alpha = mpmath.sqrt(3 / (1 + 0.2 + 0.2**2))
        beta = 4 / (2 + 0.2 * 1.2 * alpha**3)
        assert abs(float(found.error) - float(beta - 1)) < 1e-14
        assert abs(float(found.coefficients[0]) - float(1.5 * alpha * beta)) < 1e-13


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_the_closed_form_of_root_one_is_chebyshevs(n):
    """r = 1: E = 1/T_(n+1)((u + l)/(u − l)) (Achieser, section on best approximation of 1/(x − a))."""
    found = best_approximation(1, n, 0.3, 1.7)
    expected = 1 / math.cosh((n + 1) * math.acosh((1.7 + 0.3) / (1.7 - 0.3)))
    assert abs(found.error / expected - 1) < 1e-12


def test_digits_tell_when_float64_was_not_enough():
    wide, narrow = best_approximation(2, 2, 0.01, 1.0), best_approximation(2, 2, 0.999, 1.001)
    assert wide.digits == 16
    assert not wide.limit
    assert narrow.digits > 16
    assert not narrow.limit
    assert isinstance(narrow.error, float)


def test_limit_step_is_the_pade_step_and_says_so():
    found = best_approximation(2, 2, 1 - 1e-10, 1 + 1e-10)
    assert found.limit
    assert found.coefficients == (1.875, -1.25, 0.375)
    assert found.reference == ()
    true_error = 10 / 4 * 1e-30  # |binom(−1/2, 3)| δ³ with δ = 2e-10: the leading term
    assert 0.9 * true_error < found.error < 1.1 * true_error
    assert best_approximation(3, 2, 1.0, 1.0).coefficients == (14 / 9, -7 / 9, 2 / 9)


@pytest.mark.parametrize(("root", "n"), [(2, 1), (2, 2), (3, 2), (1, 3), (5, 4)])
def test_limit_steps_bound_holds_and_is_tight(root, n):
    """Before rounding its coefficients, the limit step errs by no more than it says, and by nearly that."""
    context = arithmetic(500)
    half = context.mpf(10) ** -12
    found = best_approximation(root, n, 1 - half, 1 + half, digits=20)
    assert found.limit
    exact = best_approximation(root, n, context.mpf(1), context.mpf(1), digits=400).coefficients
    middle = (((1 - half) ** root + (1 + half) ** root) / 2) ** (context.mpf(1) / root)
    scaled = [context.convert(c) / middle ** (1 + j * root) for j, c in enumerate(exact)]
    worst = max(abs(1 - evaluate(scaled, root, x)) for x in (1 - half, 1 + half))
    bound = context.convert(found.error)
    assert worst <= bound
    assert bound <= worst * (1 + context.mpf(10) ** -9)


def test_limit_step_is_scaled():
    found = best_approximation(2, 2, 2.0, 2.0)
    assert found.coefficients == (1.875 / 2, -1.25 / 8, 0.375 / 32)


@pytest.mark.parametrize("kappa", [1 - 1e-3, 1 - 1e-6, 1 - 3e-9])
def test_the_solution_tends_to_the_limit_as_delta_squared(kappa):
    found = best_approximation(2, 2, kappa, 2 - kappa, digits=30)
    delta = 2 * (1 - kappa)
    assert abs(float(found.coefficients[0]) - 1.875) < 10 * delta**2 + 1e-15


def test_half_width_below_float64_is_not_lost():
    """The step after an image of half width 1e-10, r = 2, n = 2: E = (5/2)·E³/… to first order, not noise."""
    context = arithmetic(80)
    half = context.mpf(10) ** -10
    found = best_approximation(2, 2, 1 - half, 1 + half, digits=20)
    delta = 2 * half
    expected = context.mpf(5) / 16 * delta**3 / 4  # |binom(−1/2, 3)| δ³ 2^(1 − 3)
    assert abs(context.convert(found.error) / expected - 1) < 1e-8
    lost = best_approximation(2, 2, float(1 - half), float(1 + half), digits=20)
    assert abs(float(lost.error) / float(expected) - 1) > 1e-8  # what rounding the ends would have cost


def test_raises_with_the_numbers_where_it_cannot_equioscillate():
    with pytest.raises(ConvergenceError, match=r"root 2, inner degree 8.*deviates.*ask for more digits"):
        solve(mpmath.fp, 2, 8, 1e-3, [], 1e-15)  # float64 cannot: coefficients of 10⁶


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((0, 2, 0.1, 1.0), "root"),
        ((2, 0, 0.1, 1.0), "inner_degree"),
        ((2, 13, 0.1, 1.0), "inner_degree"),
        ((2, 2, 0.0, 1.0), "lower"),
        ((2, 2, 2.0, 1.0), "lower"),
        ((2, 2, math.nan, 1.0), "lower"),
        ((2, 2, 0.1, math.inf), "upper"),
        ((2, 2, "0.1", 1.0), "lower"),
        ((2.0, 2, 0.1, 1.0), "root"),
    ],
)
def test_refuses_bad_arguments_by_name(arguments, field):
    with pytest.raises(InputError) as refused:
        best_approximation(*arguments)
    assert refused.value.field == field


def test_leaves_mpmaths_precision_alone():
    before = mpmath.mp.dps
    solved.cache_clear()
    best_approximation(2, 8, 1e-3, 1.0)
    assert mpmath.mp.dps == before


@pytest.mark.skipif(shutil.which("sollya") is None, reason="Sollya is not installed (apt-get install sollya)")
@pytest.mark.parametrize(
    ("root", "n", "lower", "upper"),
    [(2, 2, "1/8", "1"), (2, 8, "1/4", "1"), (3, 3, "1/16", "1"), (4, 2, "1/2", "3/2")],
)
def test_agrees_with_sollyas_remez(root, n, lower, upper):
    """Sollya's remez(1, [|x, x^(1+r), …|], [l, u]) and its certified supnorm's enclosure of the error."""
    monomials = ", ".join(f"x^{1 + j * root}" for j in range(n + 1))
    script = (
        f"prec = 200; display = decimal; p = remez(1, [|{monomials}|], [{lower}; {upper}], 1, 1e-18); "
        f"print(dirtyinfnorm(p - 1, [{lower}; {upper}])); quit;"
    )
    out = subprocess.run(
        ["sollya"], input=script, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    theirs = float(re.findall(r"[0-9.]+(?:e-?\d+)?", out.strip().splitlines()[-1])[0])
    a, b = (arithmetic(40).mpf(int(s.split("/")[0])) / int((s + "/1").split("/")[1]) for s in (lower, upper))
    mine = float(best_approximation(root, n, a, b, digits=20).error)
    assert abs(mine / theirs - 1) < 1e-13

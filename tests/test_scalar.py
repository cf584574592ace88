"""Images of intervals under a step, against dense sampling and exact rationals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polydesign.approximation.scalar import (
    arithmetic,
    derivative,
    half_width,
    image,
    relative_half_width,
)
from polydesign.model import Problem, evaluate, horner
from polydesign.search.minimax import Equioscillation

coefficient = st.floats(-30, 30, allow_nan=False)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    coefficients=st.lists(coefficient, min_size=2, max_size=9),
    root=st.integers(1, 5),
    low=st.floats(1e-6, 1.0),
    ratio=st.floats(1.0001, 1e4),
)
def test_image_contains_samples_and_is_attained(coefficients, root, low, ratio):
    """Every exact value on the interval lies inside, and the grid comes as near as its spacing allows."""
    high = min(low * ratio, 2.0)
    bottom, top = (float(end) for end in image(coefficients, root, (low, high)))
    x = np.concatenate([np.linspace(low, high, 2001), np.geomspace(low, high, 2001)])
    values = evaluate(coefficients, root, x)
    terms = sum(abs(c) * high ** (1 + j * root) for j, c in enumerate(coefficients)) + 1e-300
    rounding = 1e-14 * terms
    assert bottom - rounding <= values.min()
    assert values.max() <= top + rounding
    # A grid of equal steps h misses a maximum by at most h²/8·max|p″|, bounded here term by term.
    bend = sum(
        abs(c) * (1 + j * root) * (j * root) * high ** (j * root - 1) for j, c in enumerate(coefficients) if j
    )
    missed = ((high - low) / 2000) ** 2 / 8 * bend + rounding
    assert values.min() - bottom <= missed
    assert top - values.max() <= missed


def test_image_needs_the_critical_points():
    """Negative control: the ends alone miss the peak of 8.47x − 25.1x³ + 18.6x⁵ on [0.001, 1]."""
    step = (8.470328803848068, -25.108074706661864, 18.629275599118007)
    _, top = image(step, 2, (1e-3, 1.0))
    assert max(evaluate(step, 2, x) for x in (1e-3, 1.0)) < 0.02 + 1.99
    assert abs(float(top) - 1.9915296963042084) < 1e-14


def test_image_of_a_narrow_interval_keeps_its_digits():
    """The limit step on 1 ± 1e-40: p − 1 = −(5/2)t³ + …, seen as such."""
    context = arithmetic(400)
    t = context.mpf(10) ** -40
    mapped = image((1.875, -1.25, 0.375), 2, (1 - t, 1 + t))
    assert abs(half_width(mapped) / (context.mpf(5) / 2 * t**3) - 1) < 1e-30


def test_image_is_exact_at_a_double_critical_point():
    """The limit step has p′ = p″ = 0 at 1: monotone through it, so the ends decide."""
    bottom, top = image((1.875, -1.25, 0.375), 2, (0.5, 1.5))
    exact = [evaluate((1.875, -1.25, 0.375), 2, Fraction(x)) for x in (0.5, 1.5)]
    assert (float(bottom), float(top)) == (float(exact[0]), float(exact[1]))


def test_image_of_a_point_is_a_point():
    bottom, top = image((1.5, -0.5), 2, (1.0, 1.0))
    assert bottom == top == 1


@given(st.integers(1, 6), st.lists(st.integers(-9, 9), min_size=2, max_size=6))
@settings(derandomize=True, deadline=None)
def test_derivative_is_the_derivative(root, coefficients):
    """Exact in rationals: (p(x + h) − p(x − h))/(2h) − p′(x) is O(h²), with the constant bounded."""
    x, h = Fraction(2, 3), Fraction(1, 10**9)
    exact = horner(derivative(coefficients, root), x**root)
    difference = (evaluate(coefficients, root, x + h) - evaluate(coefficients, root, x - h)) / (2 * h)
    assert abs(difference - exact) < Fraction(1, 10**10)


def test_derivative_control():
    assert horner(derivative((1, 1), 2), Fraction(1, 2) ** 2) != evaluate((1, 1), 2, Fraction(1, 2))


@pytest.mark.parametrize("root", [1, 2, 5])
def test_relative_half_width(root):
    delta = relative_half_width(root, (0.5, 2.0))
    assert float(delta) == pytest.approx((2.0**root - 0.5**root) / (2.0**root + 0.5**root), rel=1e-15)


@pytest.mark.parametrize(
    ("root", "degree", "lower", "upper", "headroom"),
    [(1, 11, 0.97, 1.03, 1.1), (4, 29, 0.98, 1.02, 1.0), (2, 17, 0.9, 1.1, 1.0)],
)
def test_image_of_a_step_of_high_degree_on_a_narrow_interval(root, degree, lower, upper, headroom):
    """Critical points must come from the exact coefficients: p′ rounded to float64 moves them (then E was
    understated by 2 %). Against exact values on a grid, which a half width below 1e-12 needs."""
    schedule = Equioscillation(headroom=headroom).search(Problem(root, (degree,), lower, upper))
    step = schedule.steps[0]
    context = arithmetic(60)
    low, high = context.mpf(lower), context.mpf(upper)
    points = [low + (high - low) * k / 4000 for k in range(4001)]
    seen = max(abs(step(x) - 1) for x in points)
    assert float(seen) <= step.half_width * (1 + 1e-15)
    assert float(seen) >= step.half_width * (1 - 1e-3)


_FIELD = (1.511434972929596, -0.9965417578889015, -2.6571616650869205, 3.4874393258300227)
_FIELD = (*_FIELD, -2.1088207573045823, 0.30558861212779956)

WIDE = [
    (_FIELD, 3, (-0.88, 7564.6)),  # the least value is at a critical point, 1e-59 of the largest
    ((1.5, -0.5), 2, (-1e100, 1e100)),
    ((1.5, -0.5), 2, (1e-300, 1e100)),
    ((-1.5, 3.0, -0.25), 1, (-1e90, 1e-90)),
    ((1e-200, -1e200, 1e-200), 3, (-1e30, 1e70)),
    ((2.0, -1e-30, 1e-90), 4, (-1e9, 1e30)),
    ((1.0, -3.0, 0.5), 5, (-2.0, 2.0)),  # an odd root: the interval of x^r has no middle but 0
    ((1.0, -3.0, 0.5), 1, (-1e-200, 1e-200)),
    ((0.5, 2.0), 3, (0.0, 0.0)),
]


@pytest.mark.parametrize(("coefficients", "root", "interval"), WIDE)
def test_image_of_a_very_wide_interval(coefficients, root, interval):
    """Against the values at all real critical points, found as roots of p′ with a thousand digits."""
    context = arithmetic(1000)
    slope = [(1 + j * root) * context.mpf(c) for j, c in enumerate(coefficients)]  # in powers of x^r
    low, high = map(context.mpf, interval)
    scale = (abs(slope[0]) / abs(slope[-1])) ** (context.mpf(1) / (len(slope) - 1))  # of the roots, about
    scaled = [c * scale**k / slope[0] for k, c in enumerate(slope)]
    found = context.polyroots(scaled[::-1], maxsteps=2000, extraprec=9000)
    powers = [context.re(z) * scale for z in found if abs(context.im(z)) < abs(z) * context.mpf(10) ** -200]
    sizes = [abs(one) ** (context.mpf(1) / root) for one in powers]
    if root % 2:
        real = [size if one > 0 else -size for one, size in zip(powers, sizes, strict=True)]
    else:
        real = [sign * size for one, size in zip(powers, sizes, strict=True) if one > 0 for sign in (1, -1)]
    points = [low, high, *(x for x in real if low <= x <= high)]
    values = [evaluate([context.mpf(c) for c in coefficients], root, x) for x in points]
    for mine, exact in zip(image(coefficients, root, interval), (min(values), max(values)), strict=True):
        assert abs(context.convert(mine) - exact) <= abs(exact) * context.mpf(10) ** -25


def test_the_ends_alone_would_not_do_on_a_wide_interval():
    """Negative control, of the first of them."""
    coefficients, root, interval = WIDE[0]
    assert float(image(coefficients, root, interval)[0]) == pytest.approx(-78.01572255247898, rel=1e-15)
    assert min(evaluate(coefficients, root, x) for x in interval) > -0.98


def test_image_of_intervals_that_are_not_positive():
    """What a published step leaves may have lost its sign; odd and even roots mirror differently."""
    for root in (1, 2, 3):
        bottom, top = image((1.0, -2.0, 0.5), root, (-1.5, 0.75))
        x = np.linspace(-1.5, 0.75, 200001)
        values = evaluate((1.0, -2.0, 0.5), root, x)
        assert float(bottom) == pytest.approx(values.min(), abs=1e-8)
        assert float(top) == pytest.approx(values.max(), abs=1e-8)

"""Rigorous images: contained, tight, and against exact rationals and Sollya."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from fractions import Fraction

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from polydesign.approximation.enclosure import Enclosure, exactly, levelled_error, step_image
from polydesign.approximation.remez import best_approximation
from polydesign.model import evaluate

LIMIT = tuple(map(Fraction, (1.875, -1.25, 0.375)))

rational = st.fractions(-40, 40, max_denominator=10**6)


@settings(max_examples=examples(50, wide=150), deadline=None, derandomize=True)
@given(
    coefficients=st.lists(rational, min_size=2, max_size=13),
    root=st.integers(1, 8),
    ends=st.tuples(st.fractions(-2, 2, max_denominator=1000), st.fractions(-2, 2, max_denominator=1000)),
    shares=st.lists(st.fractions(0, 1, max_denominator=10**9), min_size=20, max_size=20),
)
def test_contains_every_exact_value(coefficients, root, ends, shares):
    """p at random rational points of the interval, in exact arithmetic (20 an example)."""
    low, high = sorted(ends)
    row = tuple(coefficients)
    found = step_image(row, root, exactly(low, high), 128)
    for share in (*shares, Fraction(0), Fraction(1)):
        x = low + share * (high - low)
        assert found.outer[0] <= evaluate(row, root, x) <= found.outer[1]
    if found.inner is not None:
        assert found.outer[0] <= found.inner[0] <= found.inner[1] <= found.outer[1]


def test_the_containment_test_would_notice():
    """Negative control: an image of half the interval does not contain the values of the whole."""
    half = step_image(LIMIT, 2, exactly(Fraction(1, 2), Fraction(1)), 128)
    assert not half.outer[0] <= evaluate(LIMIT, 2, Fraction(1, 4)) <= half.outer[1]


@settings(max_examples=examples(30, wide=60), deadline=None, derandomize=True)
@given(
    coefficients=st.lists(rational, min_size=2, max_size=9),
    root=st.integers(1, 5),
    low=st.fractions(Fraction(1, 10**6), 1, max_denominator=10**6),
    width=st.fractions(Fraction(1, 10**12), 2, max_denominator=10**12),
)
def test_inner_values_are_attained(coefficients, root, low, width):
    """Inner and outer meet as bits grow: the image is neither too wide nor too narrow."""
    row = tuple(coefficients)
    found = step_image(row, root, exactly(low, low + width), 400)
    if any(row):
        scale = sum(abs(c) for c in row) * 4 ** (1 + len(row) * root)
        assert found.inner is not None or found.outer[1] - found.outer[0] < scale / 2**300
    if found.inner is not None:
        gap = max(found.inner[0] - found.outer[0], found.outer[1] - found.inner[1])
        assert gap <= sum(abs(c) for c in row) * 4 ** (1 + len(row) * root) / Fraction(2**150)


@pytest.mark.parametrize("width", [Fraction(1), Fraction(1, 10**6), Fraction(1, 10**12), Fraction(1, 10**40)])
def test_double_critical_point_of_the_limit_step(width):
    """p′ = (15/8)(1 − x²)²: a double root at 1, through which p rises; the ends decide."""
    low, high = 1 - width / 2, 1 + width / 2
    found = step_image(LIMIT, 2, exactly(low, high), 1000)
    for side, x in ((0, low), (1, high)):
        exact = evaluate(LIMIT, 2, x)
        assert abs(found.outer[side] - exact) < Fraction(1, 2**900)


def test_clustered_critical_points_outside_and_inside():
    """p′ = (y − a)(y − a − 1e-9): both roots inside, none inside, and one at the end."""
    a, gap = Fraction(1, 2), Fraction(1, 10**9)
    slope = (a * (a + gap), -(2 * a + gap), Fraction(1))  # of y, root 1: p′ = Σ (1 + j) c_j y^j
    row = tuple(c / (1 + j) for j, c in enumerate(slope))
    for low, high in (
        (Fraction(0), Fraction(1)),
        (Fraction(3, 5), Fraction(1)),
        (a, Fraction(1)),
        (Fraction(1, 10), a),
    ):
        found = step_image(row, 1, exactly(low, high), 200)
        inside = [x for x in (low, high, a, a + gap) if low <= x <= high]
        values = [evaluate(row, 1, x) for x in inside]
        assert found.outer[0] <= min(values)
        assert max(values) <= found.outer[1]
        assert min(values) - found.outer[0] < Fraction(1, 2**150)
        assert found.outer[1] - max(values) < Fraction(1, 2**150)


def test_constant_sign_and_constant_step():
    assert step_image((Fraction(2), Fraction(0)), 2, exactly(1, 2), 64).outer == (2, 4)
    assert step_image((Fraction(0), Fraction(0)), 2, exactly(1, 2), 64).outer == (0, 0)


def test_half_width_of_an_unknown_interior():
    found = Enclosure((Fraction(1, 2), Fraction(3, 2)), None)
    assert found.half_width == (0, Fraction(1, 2))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(root=st.integers(1, 6), n=st.integers(1, 6), kappa=st.floats(1e-4, 0.99))
def test_levelled_error_is_below_every_error(root, n, kappa):
    """De la Vallée-Poussin at any points: at the reference it meets E, elsewhere it stays below."""
    found = best_approximation(root, n, kappa, 1.0, digits=30)
    error = Fraction(str(found.error))
    low = Fraction(kappa)
    equal = [low + (1 - low) * Fraction(k, n + 1) for k in range(n + 2)]
    assert levelled_error(equal, root, 300) <= error * (1 + Fraction(1, 10**25))
    reference = [Fraction(float(x)) for x in found.reference]
    reference[0], reference[-1] = low, Fraction(1)
    level = levelled_error(reference, root, 300)
    assert level <= error * (1 + Fraction(1, 10**25))
    assert level >= error * (1 - Fraction(1, 10**9))


def test_levelled_error_needs_increasing_points():
    with pytest.raises(ValueError, match="increasing"):
        levelled_error([Fraction(1), Fraction(1), Fraction(2)], 2, 64)


@pytest.mark.skipif(shutil.which("sollya") is None, reason="Sollya is not installed (apt-get install sollya)")
@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("rows", [
    ((8.470328803848068, -25.10807470666187, 18.62927559911801), (4.182834183293942, -3.108701109889241, 0.580606681350049)),
    ((1.5, -0.5), (1.5, -0.5)),
])  # fmt: skip
def test_agrees_with_sollyas_certified_supnorm(rows, steps):
    """supnorm(f, 1, [1/8; 1]) encloses max |f − 1| rigorously: for one step, and for the composition of two."""
    image = exactly(Fraction(1, 8), 1)
    text = "x"
    for row in rows[:steps]:
        exact = tuple(map(Fraction, row))
        image = step_image(exact, 2, image, 200)
        terms = [f"({c.numerator}/{c.denominator})*({text})^{1 + 2 * j}" for j, c in enumerate(exact)]
        text = " + ".join(terms)
    low, high = image.half_width
    script = (
        "prec = 300!; display = decimal!; roundingwarnings = off!; "
        f"print(supnorm(expand({text}), 1, [1/8; 1], absolute, 1b-80)); quit;"
    )
    out = subprocess.run(
        ["sollya"], input=script, capture_output=True, text=True, check=True, timeout=120
    ).stdout
    numbers = re.findall(r"[0-9]+\.[0-9]+(?:e-?\d+)?", out.strip().splitlines()[-1])
    theirs = [Fraction(x) for x in numbers]
    # Both enclose the same number, so they overlap, and Sollya's is 2^-80 wide relative to it.
    assert low <= theirs[1]
    assert theirs[0] <= high
    assert theirs[1] - theirs[0] < Fraction(1, 10**20)


@pytest.mark.parametrize("multiplicity", [1, 2, 3, 4, 5])
def test_a_multiple_critical_point_inside(multiplicity):
    """p′ = (1 − y)ᵐ: p rises to 1 and, for an odd m, falls again. Of m = 3 it is Padé's step of degree 7."""
    slope = [Fraction(math.comb(multiplicity, j) * (-1) ** j) for j in range(multiplicity + 1)]
    row = [c / (1 + 2 * j) for j, c in enumerate(slope)]
    row = tuple(c / sum(row) for c in row)
    assert multiplicity != 3 or row == tuple(Fraction(c, 16) for c in (35, -35, 21, -5))
    ends = Fraction(1, 2), Fraction(6, 5)
    found = step_image(row, 2, exactly(*ends), 200)
    values = [evaluate(row, 2, x) for x in (*ends, Fraction(1))]
    assert found.outer[0] <= min(values)
    assert max(values) <= found.outer[1]
    assert found.outer[1] - max(values) < Fraction(1, 2**150)
    assert (max(values) == 1) == (multiplicity % 2 == 1)

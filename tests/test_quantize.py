"""Rounded coefficients: the grids, what the search over neighbours gains, and what stays as it was asked."""

from __future__ import annotations

import doctest
import shutil
import subprocess
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from references import published

import polydesign
from polydesign import InputError
from polydesign.approximation.remez import best_approximation
from polydesign.approximation.scalar import half_width, image, schedule_from
from polydesign.model import Problem, evaluate
from polydesign.search import grids, minimax, neighbours, quantize
from polydesign.search.grids import grid
from polydesign.search.minimax import Equioscillation
from polydesign.search.quantize import on_grid

pytestmark = pytest.mark.numerics

GRIDS = ["1/1024", "decimals:4", "bf16", "fp16", "fp32"]

CASES = [  # root, degrees, lower, strategy
    (2, (5,) * 5, 1e-3, {}),
    (2, (5,) * 6, 1e-3, {"headroom": 1.01, "image_floor": 0.1, "floor_free_tail": 2}),
    (2, (3,) * 7, 1e-3, {"headroom": 1.01, "cushion": 0.02}),
    (2, (9,) * 4, 1e-3, {"evaluation": "chebyshev", "headroom": 1.005}),
    (2, (3, 7, 13), 1e-2, {"evaluation": "chebyshev"}),
    (1, (3,) * 4, 0.1, {}),
    (4, (9,) * 3, 0.1, {"headroom": 1.01}),
]


def rounded_to_nearest(schedule, where):
    rows = [[where.nearest(c) for c in step.coefficients] for step in schedule.steps]
    return schedule_from(schedule.root, rows, schedule.interval).error


# Every case on two grids, and every grid with two cases or more.
PAIRS = [(*case, GRIDS[(i + k) % len(GRIDS)]) for i, case in enumerate(CASES) for k in (0, 2)]


@pytest.mark.few(3)
@pytest.mark.parametrize(("root", "degrees", "lower", "keywords", "word"), PAIRS)
def test_what_runs_lies_on_the_grid_and_serves_what_arrives(root, degrees, lower, keywords, word):
    where = grid(word)
    strategy = Equioscillation(round=word, **keywords)
    schedule = strategy.search(Problem(root, degrees, lower))
    schedule.check_chain()
    received = schedule.interval
    for step in schedule.steps:
        assert all(where.nearest(c) == c for c in step.program.constants)
        assert step.domain == pytest.approx(
            (received[0], received[1] * keywords.get("headroom", 1)), rel=1e-14
        )
        low, high = image(step.coefficients, root, received)
        # float64 coefficients of a program differ from the exact ones by roundings of their terms.
        terms = sum(abs(c) * received[1] ** (1 + j * root) for j, c in enumerate(step.coefficients))
        assert abs(float(low) - step.image[0]) <= 2**-50 * terms
        assert abs(float(high) - step.image[1]) <= 2**-50 * terms
        assert 0 < step.image[0] <= step.image[1] < 2
        received = step.image


def test_the_unrounded_one_is_not_on_the_grid():
    """Negative control: the check above sees coefficients that were not rounded."""
    step = Equioscillation().search(Problem(2, (5,), 1e-3)).steps[0]
    assert not any(grid("1/1024").nearest(c) == c for c in step.coefficients)


def test_four_decimals_cost_cans_what_the_literature_says_and_us_a_hundredth_of_it():
    """0.11345 becomes 0.11984 by rounding the optimum (CANS's own table); 0.1135 with redesign."""
    optimum = Equioscillation().search(Problem(2, (5,) * 5, 1e-3))
    assert optimum.error == pytest.approx(0.11345, abs=5e-6)
    table = schedule_from(2, published("cans_quintic_5")["coefficients"], (1e-3, 1.0))
    plain = rounded_to_nearest(optimum, grid("decimals:4"))
    assert table.error == pytest.approx(0.11984, abs=5e-6)
    assert plain == pytest.approx(table.error, rel=1e-12)
    ours = Equioscillation(round="decimals:4").search(Problem(2, (5,) * 5, 1e-3))
    assert optimum.error < ours.error
    assert ours.error - optimum.error < 0.01 * (table.error - optimum.error)


def test_the_lattice_beats_rounding_to_nearest_step_by_step(monkeypatch):
    """Even where each later step is designed for what the rounded ones leave."""
    problem = Problem(2, (9,) * 4, 1e-3)
    close = quantize._close
    found = Equioscillation(round="1/1024").search(problem).error
    minimax.design_step.cache_clear()
    monkeypatch.setattr(quantize, "_close", lambda *arguments: close(*arguments)[:1])
    nearest = Equioscillation(round="1/1024").search(problem).error
    minimax.design_step.cache_clear()  # what was found without the lattice is not for other tests
    optimum = Equioscillation().search(problem).error
    assert optimum < found < 1.05 * optimum
    assert nearest > 2 * optimum


@pytest.mark.parametrize("word", ["1/64", "1/1024", "bf16"])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("interval", [(1e-3, 1.0), (0.2, 1.8), (0.9, 1.1)])
def test_no_neighbour_within_two_units_is_better(interval, last, word):
    """All 5³ of them, by the same measure on 2001 points.

    They are compared as the image of the interval, which a point between two of the 2001 exceeds by no more
    than (h²/8)·max|p″|, relative to the image's lower end.
    """
    where = grid(word)
    coefficients = best_approximation(2, 2, *interval).coefficients
    found = on_grid(where, 2, "monomial", [coefficients], interval, interval[0], last=last)
    x = np.linspace(interval[0], interval[1], 2001)

    def score(row):
        p = evaluate(row, 2, x)
        return -np.max(abs(p - 1)) if last else np.min(p) / np.max(p)

    spacings = [float(where.spacing(c)) for c in coefficients]
    best = -np.inf
    for units in product(range(-2, 3), repeat=3):
        row = [where.nearest(c) + k * s for c, k, s in zip(coefficients, units, spacings, strict=True)]
        p = evaluate(row, 2, x)
        if np.min(p) > 0 and np.max(p) < 2 and row == [where.nearest(c) for c in row]:
            best = max(best, score(row))
    curvature = np.max(abs(6 * found[1] * x + 20 * found[2] * x**3))
    lowest = np.min(evaluate(found, 2, x))
    slack = (x[1] - x[0]) ** 2 / 8 * curvature * (1 if last else 1 / lowest * abs(score(found)))
    assert score(found) >= best - 2 * slack
    plain = tuple(map(where.nearest, coefficients))
    assert score(found) >= score(plain) - 2 * slack


def test_the_limit_step_is_kept_where_the_grid_has_it():
    schedule = Equioscillation(round="bf16").search(Problem(2, (5,) * 7, 0.1))
    assert schedule.steps[-1].coefficients == (1.875, -1.25, 0.375)
    assert schedule.error < 1e-30


def test_constants_do_not_wander_off_together_on_a_narrow_interval():
    """Rounding in the runtime is in proportion to the terms: they may grow by a fifth, and no more."""
    problem = Problem(2, (9,) * 2, 0.3)
    for evaluation in ("monomial", "chebyshev"):
        schedule = Equioscillation(round="1/1024", evaluation=evaluation).search(problem)
        optimum = Equioscillation(evaluation=evaluation).search(problem)
        for step, best in zip(schedule.steps, optimum.steps, strict=True):
            assert sum(map(abs, step.program.constants)) < 1.5 * sum(map(abs, best.program.constants))


def test_published_multiples_of_1_1024_are_recognised():
    """kexue.fm 10922: su_adam_6_* are on the grid 1/1024, and Polar Express's rows are not."""
    where = grid("1/1024")

    def on_it(name):
        return all(where.nearest(c) == c for row in published(name)["coefficients"] for c in row)

    assert on_it("su_adam_6_k50")
    assert on_it("su_adam_6_k200")
    assert not on_it("polar_express_deg5")


@pytest.mark.parametrize("word", ["fp16", "fp32"])
def test_float_formats_are_numpys(word):
    kind = {"fp16": np.float16, "fp32": np.float32}[word]
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal(2000) * 2.0 ** rng.integers(-30, 15, 2000)
    where = grid(word)
    for x in [*numbers, 0.0, 1.0, 2.0**-24, 3 * 2.0**-25, 2048.5, 2049.5]:
        assert where.nearest(float(x)) == float(kind(x))
        assert where.nearest(float(kind(x))) == float(kind(x))


def test_bf16_and_decimals():
    torch = pytest.importorskip("torch")
    numbers = torch.randn(500, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 30
    bf16, decimals = grid("bf16"), grid("decimals:4")
    for x, expected in zip(numbers.tolist(), numbers.bfloat16().double().tolist(), strict=True):
        assert bf16.nearest(x) == expected
        assert decimals.nearest(x) == float(f"{x:.4f}")
        assert abs(Fraction(decimals.nearest(x)) - Fraction(x)) <= Fraction(1, 20000) + Fraction(2) ** -48


def test_rounded_tables_are_certified_and_say_their_price():
    table = polydesign.design(degree=5, steps=6, round="1/1024")
    assert table.name == "sign-d5x6-l1e-3-bf16-r1_1024"
    assert table.certificate is not None
    assert table.certificate.kind == "proved"
    low, high = map(float, table.certificate.error)
    assert low <= table.schedule.error <= high * (1 + 1e-15)
    assert table.provenance.parameters["round"] == "1/1024"
    unrounded = polydesign.design(degree=5, steps=6)
    assert table.provenance.parameters["unrounded_error"] == unrounded.schedule.error
    assert unrounded.schedule.error < table.schedule.error < 1.2 * unrounded.schedule.error
    assert "round" not in unrounded.provenance.parameters
    assert polydesign.design(degree=5, steps=2, round="bfloat16").name.endswith("-rbf16")
    assert polydesign.design(degree=5, steps=2, round="decimals:3").name.endswith("-rdecimals3")


def rounded_error(root, degree, lower, upper, word):
    return Equioscillation(round=word).search(Problem(root, (degree,), lower, upper)).error


LADDERS = [  # root, highest degree, interval, grid
    (2, 15, 0.9, 1.1, "bf16"),
    (2, 17, 0.5, 1.5, "fp32"),
    (2, 13, 0.1, 1.0, "fp16"),
    (1, 7, 0.8, 1.2, "fp16"),
    (1, 7, 0.3, 1.7, "1/64"),
    (4, 21, 0.9, 1.1, "bf16"),
    (4, 17, 0.6, 1.2, "decimals:2"),
]


@pytest.mark.few(4)
@pytest.mark.parametrize(("root", "highest", "lower", "upper", "word"), LADDERS)
def test_no_degree_is_worse_than_a_lower_one(root, highest, lower, upper, word):
    degrees = range(1 + root, highest + 1, root)
    errors = [rounded_error(root, degree, lower, upper, word) for degree in degrees]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.5 * errors[0]


@pytest.mark.parametrize("word", ["bf16", "decimals:2"])
def test_rounded_to_nearest_higher_degrees_are_worse(word):
    """Negative control of the test above."""
    errors = []
    for degree in range(3, 22, 2):
        optimum = Equioscillation().search(Problem(2, (degree,), 0.9, 1.1))
        errors.append(rounded_to_nearest(optimum, grid(word)))
    assert errors[-1] > 10 * min(errors)


# Sollya 8.0, fpminimax(1, [|1, 1 + r, …|], [|8…|] or [|11…|] or [|24…|], [l; u], floating, absolute), and the
# error of its coefficients by exact images, rounded up.
FPMINIMAX = [  # root, degree, interval, grid, error
    (2, 13, 0.9, 1.1, "bf16", 2.194e-6),
    (2, 13, 0.9, 1.1, "fp16", 3.795e-7),
    (2, 13, 0.99, 1.01, "fp32", 2.494e-14),
    (1, 5, 0.8, 1.2, "fp16", 5.294e-5),
    (1, 7, 0.8, 1.2, "bf16", 1.2801e-5),
    (4, 25, 0.9, 1.1, "bf16", 1.1254e-4),
    (2, 9, 0.5, 1.5, "bf16", 0.0228),
]


@pytest.mark.parametrize(("root", "degree", "lower", "upper", "word", "theirs"), FPMINIMAX)
def test_as_good_as_fpminimax(root, degree, lower, upper, word, theirs):
    assert rounded_error(root, degree, lower, upper, word) <= theirs


@pytest.mark.skipif(shutil.which("sollya") is None, reason="sollya is not installed")
@pytest.mark.parametrize(("root", "degree", "lower", "upper", "word", "theirs"), FPMINIMAX)
def test_what_fpminimax_finds(root, degree, lower, upper, word, theirs):
    powers = ",".join(map(str, range(1, degree + 1, root)))
    bits = {"bf16": 8, "fp16": 11, "fp32": 24}[word]
    formats = ",".join([str(bits)] * ((degree - 1) // root + 1))
    code = (
        "prec = 400!; display = dyadic!;\n"
        f"p = fpminimax(1, [|{powers}|], [|{formats}|], [{lower}; {upper}], floating, absolute);\n"
        f"for i in [|{powers}|] do print(mantissa(coeff(p, i)), exponent(coeff(p, i)));\nquit;\n"
    )
    made = subprocess.run(["sollya"], input=code, capture_output=True, text=True, timeout=60, check=True)
    pairs = [line.split() for line in made.stdout.splitlines() if line[:1] in "-0123456789"]
    row = [float(int(mantissa) * Fraction(2) ** int(exponent)) for mantissa, exponent in pairs]
    assert all(grid(word).nearest(c) == c for c in row)
    error = schedule_from(root, [row], (lower, upper)).error
    assert error == pytest.approx(theirs, rel=0.01)


def test_other_exponents_than_those_of_the_unrounded_one_are_tried(monkeypatch):
    found = rounded_error(4, 17, 0.9, 1.1, "bf16")
    minimax.design_step.cache_clear()
    monkeypatch.setattr(neighbours, "_LATTICES", 1)
    assert rounded_error(4, 17, 0.9, 1.1, "bf16") > 1.2 * found
    minimax.design_step.cache_clear()  # what was found with one lattice is not for other tests


def test_every_digit_of_a_value_counts():
    """What is left of terms of 10² that cancel to 10⁻¹⁹: float64 would see none of it."""
    error = rounded_error(2, 19, 0.99, 1.01, "fp32")
    optimum = Equioscillation().search(Problem(2, (19,), 0.99, 1.01))
    assert error < 2e-19
    assert optimum.error > 1e-16  # in float64 coefficients, each rounded to nearest


def test_an_error_is_reached_with_rounding():
    schedule = polydesign.design(degree=5, error=2e-3, round="bf16").schedule
    assert schedule.error <= 2e-3
    shorter = polydesign.design(degree=5, steps=len(schedule.steps) - 1, round="bf16").schedule
    assert shorter.error > 2e-3


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"round": "1/0"}, r"round: '1/0' is not 1/N \(1/1024\), decimals:K"),
        ({"round": "1/-4"}, "round: '1/-4' is not"),
        ({"round": "decimals"}, "round: 'decimals' is not"),
        ({"round": "decimals:13"}, "K up to 12"),
        ({"round": "fp64"}, "round: 'fp64' is not"),
        ({"round": ""}, "round: '' is not"),
        ({"round": "bf16", "degree": 25}, "bf16 is too coarse for degree 25: take a finer one, or a lower"),
        ({"round": "1/1024", "degree": 17}, "write evaluation monomial, or take a degree of at most 13"),
        ({"round": "fp16", "degree": 17, "evaluation": "monomial"}, "above the largest number of fp16"),
        ({"round": "1/1000000000000", "degree": 25}, "round: 1/1000000000000 is finer than float64 at"),
    ],
)
def test_refuses_by_name(keywords, message):
    with pytest.raises(InputError, match=message):
        polydesign.design(**{"degree": 5, "steps": 3, "headroom": 1} | keywords)


def test_docstring_examples():
    failed, tried = doctest.testmod(grids)
    assert tried > 0
    assert failed == 0


def test_the_last_step_counts_what_arrives_below_its_interval():
    """With a cushion the last step is designed from 0.6 on, and values arrive from 0.5."""
    wanted = [list(map(float, best_approximation(2, 2, 0.6, 1.0).coefficients))]
    errors = []
    for lowest in (0.5, 0.6):
        found = on_grid(grid("1/16"), 2, "monomial", wanted, (0.6, 1.0), lowest, last=True)
        errors.append(float(half_width(image(found, 2, (0.5, 1.0)))))
    assert errors[0] < 0.7 * errors[1]  # 0.031 and 0.066

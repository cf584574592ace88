"""Certificates: what they enclose, and that every false statement is caught."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from references import oracle_cases
from tables import with_coefficients

import polydesign
from polydesign.approximation.certificate import (
    BELOW_FLOAT64,
    _taylor_bound,
    certify,
    check_bounds,
    check_certificate,
    check_images,
    enclose,
    optimum,
    ratio_to_optimum,
    with_proved_optimum,
)
from polydesign.approximation.edge import edge, safe_up_to
from polydesign.approximation.enclosure import _critical_points
from polydesign.approximation.remez import best_approximation, solved
from polydesign.approximation.scalar import derivative, schedule_from
from polydesign.designer.design import published_table
from polydesign.model import ClaimError, InputError, Problem, Schedule, Step, horner
from polydesign.search.minimax import Equioscillation
from polydesign.table.published import names, published

QUINTICS = polydesign.load("sign-d5x6-l1e-3-bf16")


def bracket(pair):
    return tuple(map(Fraction, pair))


def test_the_six_quintics():
    certificate = certify(QUINTICS.schedule)
    assert certificate == certify(QUINTICS.schedule)  # deterministic
    low, high = bracket(certificate.error)
    assert low <= high <= low * (1 + Fraction(1, 10**18))
    assert float(high) == QUINTICS.schedule.error
    assert ratio_to_optimum(certificate)[1] == pytest.approx(5.588461834, rel=1e-9)


@pytest.mark.parametrize("case", oracle_cases(), ids=lambda case: str(case["q_degrees"]))
def test_the_optimum_is_the_independent_solvers(case):
    """The reference states 25 digits; its first case starts from the float64 nearest to 1e-3, like ours."""
    interval = float(case["lower"]), float(case["upper"])
    schedule = Equioscillation().search(Problem(case["root"], tuple(case["degrees"]), *interval))
    low, high = optimum(schedule)
    exact = Fraction(case["steps"][-1]["error"])
    assert low <= high <= low * (1 + Fraction(1, 10**18))
    if case is oracle_cases()[0] or case["lower"] in ("0.5", "1e-3"):
        tolerance = Fraction(1, 10**13)  # the reference's decimal l is not our float64 l
    else:
        tolerance = Fraction(1, 10**12)
    assert abs(low / exact - 1) < tolerance
    assert bracket(certify(schedule).error)[1] >= low


def allowance(schedule):
    """First order: rounding the coefficients, carried by the slopes at the ends (scripts/stress_certificates)."""
    carried, received = 0.0, schedule.interval
    for step in schedule.steps:
        slope = derivative(step.coefficients, step.root)
        steepest = max(abs(horner(slope, end**step.root)) for end in received)
        terms = sum(abs(c) * received[1] ** (1 + j * step.root) for j, c in enumerate(step.coefficients))
        carried = steepest * carried + 2.0**-53 * terms
        received = step.image
    return carried


@settings(max_examples=examples(15, wide=40), deadline=None, derandomize=True)
@given(
    root=st.integers(1, 8),
    inner=st.lists(st.integers(1, 8), min_size=1, max_size=6),
    lower=st.floats(1e-6, 0.9),
)
def test_random_problems(root, inner, lower):
    """Not below 2,000 samples, not above the optimum by more than rounding explains."""
    schedule = Equioscillation().search(Problem(root, tuple(1 + n * root for n in inner), lower))
    certificate = certify(schedule)
    high = float(bracket(certificate.error)[1])
    assert certificate.optimum is not None
    best = float(bracket(certificate.optimum)[0])
    assert best <= high <= best + 1.01 * allowance(schedule)
    if high > 1e-9:
        x = np.geomspace(lower, 1.0, 2000)
        noise = 4 * allowance(schedule) * max(schedule.degrees)  # the same roundings, in every operation
        assert np.max(np.abs(schedule(x) - 1)) <= high + noise


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.fractions(0, 1, max_denominator=10**12), min_size=10, max_size=10))
def test_exact_values_of_the_composition_lie_within_the_error(shares):
    low, high = map(Fraction, QUINTICS.schedule.interval)
    rows = [tuple(map(Fraction, step.coefficients)) for step in QUINTICS.schedule.steps[:3]]
    error = enclose(QUINTICS.schedule)[2].half_width[1]
    for share in shares:
        x = low * (high / low) ** 0 + share * (high - low)
        for row in rows:
            y = x * x
            x = x * (row[0] + y * (row[1] + y * row[2]))
        assert abs(x - 1) <= error


def test_small_errors_are_those_of_the_rounded_coefficients():
    """A step designed for 6e-25 whose coefficients, rounded to float64, give some 1e-17."""
    first = 1e-8
    (step,) = Equioscillation().search(Problem(2, (5,), 1 - first, 1 + first)).steps
    schedule = Schedule(2, (1 - first, 1 + first), (step,))
    low, high = bracket(certify(schedule).error)
    assert 1e-19 < float(low) <= float(high) < 1e-15
    assert float(high) == step.half_width
    assert float(optimum(schedule)[1]) < 1e-24


@pytest.mark.parametrize("root", [1, 2, 4])
@pytest.mark.parametrize("inner", [1, 2, 5])
@pytest.mark.parametrize("delta", [Fraction(1, 100), Fraction(1, 10**6)])
def test_the_taylor_bound_is_one_and_a_close_one(root, inner, delta):
    """Against Taylor's step of y^(−1/r) about 1 itself, whose error at the lower end is known exactly."""
    low, high = Fraction(1) - delta, Fraction(1) + delta
    binomials = [Fraction(1)]
    for j in range(inner + 1):
        binomials.append(binomials[-1] * Fraction(1 + j * root, root * (j + 1)))
    bottom, top = low**root, high**root
    middle, relative = (bottom + top) / 2, (top - bottom) / (top + bottom)
    rest = binomials[inner + 1] * relative ** (inner + 1)  # the first term that Taylor's step leaves out
    bound = _taylor_bound(root, inner, (low, high))
    assert middle > 1 - delta
    assert rest * (1 - relative) <= bound <= rest * (1 + 8 * (inner + 2) * relative)


def test_errors_far_below_float64():
    schedule = Equioscillation().search(Problem(2, (5,) * 9, 1e-3))
    certificate = certify(schedule)
    assert float(bracket(certificate.error)[0]) == pytest.approx(5.3938911110726e-83, rel=1e-9)
    low, high = bracket(certificate.optimum)
    assert low <= high <= low * (1 + Fraction(1, 10**18))
    twenty = certify(Equioscillation().search(Problem(2, (9,) * 20, 1e-3)))
    assert bracket(twenty.error)[1] < Fraction(1, 10**330)
    assert ratio_to_optimum(twenty)[1] == math.inf


# What must be caught.


def nudged(schedule, index, j, units):
    step = schedule.steps[index]
    c = list(step.coefficients)
    c[j] += units * math.ulp(c[j])
    steps = list(schedule.steps)
    steps[index] = with_coefficients(step, coefficients=tuple(c))
    return replace(schedule, steps=tuple(steps))


@pytest.mark.parametrize(
    ("index", "j", "units"),
    [(5, 0, 1), (5, 1, -1), (5, 2, 1)]
    + [(i, j, 2**s) for i in range(6) for j, s in ((0, 9), (1, 12), (2, 12))],
)
def test_a_changed_coefficient(index, j, units):
    """One unit in the last place of the last step; a few more where the later steps forget less than that.

    (In a file the digest catches every unit of every coefficient: tests/test_table.py.)
    """
    certificate = certify(QUINTICS.schedule)
    changed = nudged(QUINTICS.schedule, index, j, units)
    with pytest.raises(ClaimError, match=r"steps\[\d\]\.|certificate\."):
        check_certificate(changed, certificate)


def test_the_certificate_alone_sees_one_unit():
    changed = nudged(QUINTICS.schedule, 5, 0, 1)
    assert bracket(certify(changed).error)[0] != bracket(certify(QUINTICS.schedule).error)[0]


def test_an_interval_widened_by_a_millionth():
    wider = replace(QUINTICS.schedule, interval=(1e-3 * (1 - 1e-6), 1.0))
    with pytest.raises(ClaimError, match=r"steps\[0\]\.image\[0\]"):
        check_images(wider)


def test_a_swapped_step():
    steps = list(QUINTICS.schedule.steps)
    steps[1], steps[2] = steps[2], steps[1]
    with pytest.raises(ClaimError, match=r"steps\[1\]"):
        check_images(replace(QUINTICS.schedule, steps=tuple(steps)))


@pytest.mark.parametrize("name", ["error", "optimum"])
@pytest.mark.parametrize(("side", "factor"), [(1, 1 - Fraction(1, 10**12)), (0, 1 + Fraction(1, 10**12))])
def test_a_stored_bound_moved_inward(name, side, factor):
    certificate = certify(QUINTICS.schedule)
    end = bracket(getattr(certificate, name))[side] * factor
    other = end * factor  # further in the same direction, so that it stays a bracket
    decimals = sorted(Decimal(x.numerator) / Decimal(x.denominator) for x in (end, other))
    false = replace(certificate, **{name: tuple(map(str, decimals))})
    with pytest.raises(ClaimError, match=f"certificate.{name}: "):
        check_certificate(QUINTICS.schedule, false)


@pytest.mark.parametrize("name", ["safe_edge", "basin_edge"])
@pytest.mark.parametrize("move", ["0.00000001", "-0.00000001"])
def test_a_moved_edge(name, move):
    certificate = certify(QUINTICS.schedule)
    moved = tuple(str(float(Fraction(end) + Fraction(move))) for end in getattr(certificate, name))
    with pytest.raises(ClaimError, match=f"certificate.{name}: "):
        check_certificate(QUINTICS.schedule, replace(certificate, **{name: moved}))
    with pytest.raises(ClaimError, match=f"certificate.{name}: "):
        check_certificate(QUINTICS.schedule, replace(certificate, **{name: None}))


def test_true_statements_pass():
    certificate = certify(QUINTICS.schedule)
    assert check_certificate(QUINTICS.schedule, certificate) == certificate
    check_bounds(QUINTICS.schedule, certificate)
    assert with_proved_optimum(QUINTICS.schedule, certificate) == certificate


@pytest.mark.parametrize("name", ["error", "safe_edge", "basin_edge"])
@pytest.mark.parametrize("factor", [1 - Fraction(1, 10**8), 1 + Fraction(1, 10**8), Fraction(3, 2)])
def test_reading_sees_a_moved_claim(name, factor):
    """Also one that samples do not see: the error is at no sample, and the edges are beyond all of them."""
    certificate = certify(QUINTICS.schedule)
    moved = [factor * end for end in bracket(getattr(certificate, name))]
    decimals = tuple(str(Decimal(x.numerator) / Decimal(x.denominator)) for x in moved)
    with pytest.raises(ClaimError, match=f"certificate.{name}: "):
        check_bounds(QUINTICS.schedule, replace(certificate, **{name: decimals}))
    if name != "error":
        with pytest.raises(ClaimError, match=f"certificate.{name}: "):
            check_bounds(QUINTICS.schedule, replace(certificate, **{name: None}))


def test_an_edge_that_is_stated_and_not_there():
    schedule = schedule_from(2, [(4.0, -1.0)], (0.5, 1.0))  # p(1) = 3
    certificate = certify(schedule)
    check_bounds(schedule, certificate)
    for name in ("safe_edge", "basin_edge"):
        with pytest.raises(ClaimError, match=f"certificate.{name}: "):
            check_bounds(schedule, replace(certificate, **{name: ("1", "1.1")}))


@pytest.mark.parametrize("factor", [Fraction(1, 2), 1 - Fraction(1, 10**8), 1 + Fraction(1, 10**8)])
def test_an_optimum_that_is_shown_is_proved(factor):
    certificate = certify(QUINTICS.schedule)
    assert certificate.optimum is not None
    moved = [factor * end for end in bracket(certificate.optimum)]
    decimals = tuple(str(Decimal(x.numerator) / Decimal(x.denominator)) for x in moved)
    with pytest.raises(ClaimError, match=r"certificate\.optimum: "):
        with_proved_optimum(QUINTICS.schedule, replace(certificate, optimum=decimals))
    wide = replace(certificate, optimum=("0", certificate.error[0]))  # true, and says little
    assert with_proved_optimum(QUINTICS.schedule, wide) == certificate


def test_a_proof_that_needs_very_many_digits_is_no_proof_of_a_file(monkeypatch):
    monkeypatch.setattr("polydesign.approximation.certificate.READING_BITS", 64)
    with pytest.raises(ClaimError, match=r"certificate\.error: is not decided"):
        check_bounds(QUINTICS.schedule, certify(QUINTICS.schedule))


def test_the_safe_edge_belongs_to_the_stated_error():
    """A looser error has another edge: the old one is then false, and its own is true."""
    schedule = schedule_from(2, [(1.5, -0.5)] * 5, (0.1, 1.0))
    certificate = certify(schedule)
    looser = replace(certificate, error=("0", "0.9"))
    with pytest.raises(ClaimError, match=r"certificate\.safe_edge"):
        check_certificate(schedule, looser)
    own = edge(schedule, Fraction(9, 10))
    assert own is not None
    stated = tuple(f"{Decimal(x.numerator) / Decimal(x.denominator):.15f}" for x in own)
    assert check_certificate(schedule, replace(looser, safe_edge=stated)) == certificate


def test_a_certificate_of_other_coefficients():
    certificate = certify(QUINTICS.schedule)
    with pytest.raises(ClaimError, match=r"certificate\.digest"):
        check_certificate(QUINTICS.schedule, replace(certificate, digest="sha256:" + "0" * 64))


def test_a_published_domain_is_what_the_step_receives():
    table = published_table("jordan_5")
    steps = list(table.schedule.steps)
    steps[2] = replace(steps[2], domain=(-1e9, 1e9))
    changed = replace(table.schedule, steps=tuple(steps))
    check_images(changed)
    with pytest.raises(ClaimError, match=r"steps\[2\]\.domain\[0\]"):
        check_images(changed, published=True)


@pytest.mark.parametrize("n", [1, 4, 6, 12])
@pytest.mark.parametrize("lower", [0.9999999999999999, 1 - 1e-12, 1 - 1e-6, 0.99])
def test_narrow_intervals(n, lower):
    """The first interval alone asks for hundreds of digits; the optimum stays tight and below the error."""
    certificate = certify(Equioscillation().search(Problem(2, (1 + 2 * n,), lower)))
    low, high = bracket(certificate.optimum)
    assert high <= bracket(certificate.error)[1]
    assert high <= BELOW_FLOAT64 or 0 < low <= high <= low * (1 + Fraction(1, 10**18))


@pytest.mark.parametrize(
    ("root", "rows", "interval"),
    [
        (2, [(1e-7, 0.0)], (0.5, 1.0)),
        (2, [(1.5, -0.5)], (1e-320, 1.0)),
        (8, [(1.5, -0.5)], (1e-300, 1.0)),
        (2, [(1.5, -0.5)], (1.0, 1.0)),
    ],
)
def test_what_the_solver_cannot_do_leaves_the_error_proved(root, rows, interval):
    schedule = schedule_from(root, rows, interval)
    certificate = certify(schedule)
    assert check_certificate(schedule, certificate) == certificate
    assert float(certificate.error[1]) == pytest.approx(schedule.error, rel=1e-12)


@pytest.mark.parametrize(("root", "n"), [(5, 4), (6, 6), (3, 8)])
def test_an_optimum_far_below_float64(root, n):
    """Its steps would need thousands of digits: Taylor's step bounds it, in rational arithmetic."""
    schedule = Equioscillation().search(Problem(root, (1 + n * root,) * 5, 0.8))
    low, high = optimum(schedule)
    assert low == 0
    assert 0 < high < BELOW_FLOAT64


def test_a_safe_edge_is_never_beyond_its_basin():
    schedule = schedule_from(2, [(1.5, -0.5)] * 40, (1e-3, 1.0))
    certificate = certify(schedule)
    assert certificate.safe_edge is not None
    assert float(certificate.safe_edge[1]) <= float((certificate.basin_edge or ("", "nan"))[1])
    assert check_certificate(schedule, certificate) == certificate


def test_the_optimum_is_proved_whatever_the_solver_says(monkeypatch):
    """A solver that is wrong makes the bracket wide, not false."""
    truth = optimum(QUINTICS.schedule)

    def wrong(root, n, lower, upper, **keywords):
        found = best_approximation(root, n, lower, upper, **keywords)
        first, *inner, last = found.reference
        moved = [x * (1 + 1e-3 * (-1) ** k) for k, x in enumerate(inner)]
        scaled = tuple(c * (1 + 1e-3 * j) for j, c in enumerate(found.coefficients))
        return replace(found, reference=(first, *moved, last), coefficients=scaled)

    monkeypatch.setattr("polydesign.approximation.certificate.best_approximation", wrong)
    low, high = optimum(QUINTICS.schedule)
    assert low < truth[0] * (1 - Fraction(1, 10**9))
    assert high > truth[1] * (1 + Fraction(1, 10**9))


def test_threads_get_the_same_certificates():
    schedules = [Equioscillation().search(Problem(2, (5,) * k, 1e-3)) for k in (3, 6, 9)] * 3
    expected = [certify(schedule) for schedule in schedules]
    _critical_points.cache_clear()
    solved.cache_clear()
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(certify, schedules)) == expected


# Edges.


def test_safe_edge_is_where_the_map_leaves():
    certificate = certify(QUINTICS.schedule)
    low, high = map(float, certificate.safe_edge or ())

    def worst(x):
        inside = []
        for step in QUINTICS.schedule.steps:
            x = step(x)
            inside.append(0 < x < 2)
        return abs(x - 1), all(inside)

    x = np.linspace(1.0, low, 20001)
    assert np.max(np.abs(QUINTICS.schedule(x) - 1)) <= QUINTICS.schedule.error * (1 + 1e-9)
    error, inside = worst(high * (1 + 1e-9))
    assert error > QUINTICS.schedule.error or not inside
    assert 1.0120 < low < high < 1.0121  # headroom 1.0117, and the little that the first step has beyond it


def test_without_headroom_there_is_no_room():
    certificate = certify(polydesign.design(degree=5, steps=6, headroom=1).schedule)
    assert float((certificate.safe_edge or ("nan",))[0]) == 1.0
    assert float((certificate.safe_edge or ("", "nan"))[1]) < 1 + 1e-8


@pytest.mark.parametrize(
    ("row", "near"), [((3.0, -1.0), (3.0, -1.0 - 2.0**-20)), ((-1.0, 1.0), (-1.0, 1.0 + 2.0**-20))]
)
def test_the_ends_of_the_basin_are_not_in_it(row, near):
    """p(1) is 2, or 0, exactly: the basin is open."""
    schedule = schedule_from(2, [row], (0.5, 1.0))
    assert schedule.steps[0](1.0) in (0.0, 2.0)
    assert safe_up_to(schedule, Fraction(1), None) is False
    assert edge(schedule, None) is None
    assert safe_up_to(schedule_from(2, [near], (0.5, 1.0)), Fraction(1), None) is True


def test_edges_are_none_where_u_is_outside_already():
    schedule = schedule_from(2, [(4.0, -1.0)], (0.5, 1.0))  # p(1) = 3
    certificate = certify(schedule)
    assert certificate.safe_edge is None
    assert certificate.basin_edge is None
    assert check_certificate(schedule, certificate) == certificate


def test_ratio_needs_a_proof():
    sampled = polydesign.design(degree=5, steps=2, certify=False).certificate
    assert sampled is not None
    with pytest.raises(InputError, match=r"certificate\.optimum: is not there"):
        ratio_to_optimum(sampled)


# The literature.


@pytest.mark.few(20)
@pytest.mark.parametrize("name", names())
def test_every_published_schedule_is_certified(name):
    table = published_table(name)
    certificate = table.certificate
    assert certificate is not None
    assert certificate.kind == "proved"
    low, high = bracket(certificate.error)
    assert low <= high
    assert bracket(certificate.optimum)[0] <= high
    assert table.provenance.source == published(name).source
    interval = published(name).interval
    assert table.schedule.interval == (interval or (1e-3, 1.0))
    assert table.provenance.parameters["interval"].startswith("named" if interval else "not named")
    check_images(table.schedule)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("polar_express_deg5_folded_1.01", None),
        ("jordan_5", 0.5294560487844602),
        ("youjiacheng_6", 0.13369619114708986),
        ("polar_express_nanochat", 0.14112735647331132),
        ("polar_express_gram_ns_1.05", 0.27099691055571096),
        ("cans_quintic_5", 0.11983551388009017),
        ("su_root_r4", 0.0010161837752198366),
    ],
)
def test_proved_errors_are_those_measured_elsewhere(name, error):
    certificate = published_table(name).certificate
    assert certificate is not None
    if error is None:
        assert float(certificate.error[1]) < 1e-14
    else:
        assert float(certificate.error[1]) == pytest.approx(error, rel=1e-9)  # theirs is from a grid


def test_the_misprint_is_proved_to_be_useless():
    certificate = published_table("polar_express_gram_ns_blog_table_MISPRINT").certificate
    assert certificate is not None
    assert float(certificate.error[0]) > 1e99
    assert certificate.basin_edge is None


def test_published_names_have_did_you_mean():
    with pytest.raises(InputError, match="did you mean jordan_5"):
        published("jordan5")


def test_a_published_step_must_be_a_step():
    with pytest.raises(InputError):
        Step(degree=5, coefficients=(1.0,), domain=(0.1, 1.0), image=(0.1, 1.0), half_width=0.9)


def test_coefficients_that_are_not_the_programs_get_no_proof():
    """A schedule made in Python: what it shows, and what runs, must be one polynomial."""
    schedule = polydesign.design(degree=(5, 9), lower=0.1).schedule
    first, second = schedule.steps
    other = replace(second, coefficients=(*second.coefficients[:-1], second.coefficients[-1] * 1.01))
    certify(schedule)
    with pytest.raises(ClaimError, match=r"steps\[1\]\.coefficients"):
        certify(replace(schedule, steps=(first, other)))

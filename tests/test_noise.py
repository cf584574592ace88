"""The rounding model: its sizes and derivatives are those of the programs that run, and what it predicts is
ordered as precisions, sizes and headrooms are. How near it comes to matrices is figures/rounding_model.json."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from tables import prototype

import polydesign
from polydesign.approximation.remez import best_approximation
from polydesign.model import EVALUATIONS, InputError, Schedule, Step
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.model.program import IDENTITY, Combination, Program
from polydesign.program.basis import program_for
from polydesign.program.programs import build, check_evaluation
from polydesign.rounding.direct import Noise, follow, noise, predict, remaining_error, roundoff, stored
from polydesign.rounding.perturbed import RandomRounding, perturbed_sign
from polydesign.rounding.running import running_error
from polydesign.runtime import ops
from polydesign.runtime.execute import direct

pytestmark = pytest.mark.numerics

LOWER = 0.05


def programs() -> list[tuple[str, int]]:
    found = []
    for evaluation in EVALUATIONS:
        for n in (1, 2, 3, 4, 5, 6, 8):
            try:
                check_evaluation(evaluation, n)
            except InputError:
                continue
            found.append((evaluation, n))
    return found


@cache
def made(evaluation: str, n: int) -> tuple[Program, tuple[float, ...]]:
    """The program of the best step on [LOWER, 1], and its coefficients."""
    row = tuple(map(float, best_approximation(2, n, LOWER, 1.0).coefficients))
    return program_for(evaluation, row, Fraction(1)), row


def run(
    code: Program, a: Fraction, at: int = -1, by: Fraction = Fraction(0)
) -> tuple[Fraction, list[Fraction]]:
    """Q of a number in rationals, with everything that is rounded, in order; `at` of them is off by `by`."""
    kept: list[Fraction] = []

    def keep(value: Fraction) -> Fraction:
        kept.append(value + by * (len(kept) == at))
        return kept[-1]

    def total(terms: Combination, rounded: bool) -> Fraction:
        value = sum((Fraction(w) * (1 if r == IDENTITY else values[r]) for r, w in terms), Fraction(0))
        return keep(value) if rounded else value

    values = [Fraction(1), keep(a)]
    for line in code.lines:
        added = sum(r != IDENTITY for r, _ in line.plus) > 1
        value = total(line.plus, bool(line.left) and added)
        if line.left:
            left = total(line.left, len(line.left) > 1)
            value += Fraction(line.weight) * left * total(line.right, len(line.right) > 1)
        values.append(keep(value))
    index, weight = code.result
    return Fraction(weight) * values[index], kept


@pytest.mark.parametrize(("evaluation", "n"), programs())
def test_sizes_and_gains_are_those_of_the_program(evaluation: str, n: int) -> None:
    """Against central differences in rationals, whose error is h² times a third derivative: nothing."""
    code, _ = made(evaluation, n)
    points = [Fraction(k, 8) for k in range(9)]
    sizes, gains = stored(code, np.array(points, dtype=float))
    h = Fraction(1, 10**20)
    for j, a in enumerate(points):
        q, kept = run(code, a)
        assert len(kept) == len(sizes) == len(gains)
        # float64: every sum has fewer than 100 roundings of terms that are at most this large.
        most = max(1.0, *(abs(float(v)) for v in kept)) * max(1.0, *abs(gains[:, j]))
        assert sizes[:, j] == pytest.approx(list(map(float, kept)), abs=100 * 2.0**-53 * most)
        for k in range(len(kept)):
            slope = (run(code, a, k, h)[0] - run(code, a, k, -h)[0]) / (2 * h)
            assert gains[k, j] == pytest.approx(float(slope), abs=100 * 2.0**-53 * most), (k, a)
        assert float(q) + code.constant == pytest.approx(code(float(a)), abs=100 * 2.0**-53 * most)


def test_a_wrong_gain_is_seen() -> None:
    """Negative control: the gains of one program are not those of another with one constant changed."""
    code, row = made("monomial", 4)
    y = np.linspace(0, 1, 5)
    other = build("monomial", 4, (*row[:4], row[4] * 1.001))
    assert np.max(abs(stored(code, y)[1] - stored(other, y)[1])) > 1e-6 * np.max(abs(stored(code, y)[1]))


@pytest.mark.parametrize(("evaluation", "n"), programs())
def test_what_is_stored_is_what_the_core_rounds(
    evaluation: str, n: int, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    """As many as operations with a result of their own, but for the last, which gives X."""
    code, _ = made(evaluation, n)
    calls: list[str] = []

    def counted(real: Any) -> Any:
        def call(*given: Any, **more: Any) -> Any:
            calls.append(real.__name__)
            return real(*given, **more)

        return call

    for name in ("mm", "mm_add", "weighted_sum"):
        monkeypatch.setattr(ops, name, counted(getattr(ops, name)))
    direct(torch.eye(2, dtype=torch.float64, device=device), [code])
    assert len(stored(code, np.ones(1))[0]) == len(calls) - 1


def of(evaluation: str, n: int, mass: float | None = None) -> Noise:
    code, row = made(evaluation, n)
    return noise(code, row, 2, 1.0, mass=mass)


@pytest.mark.parametrize(("evaluation", "n"), [p for p in programs() if p[1] >= 3])
def test_where_there_is_no_mass_what_starts_at_zero_rounds_nothing(evaluation: str, n: int) -> None:
    """Registers that are zero at A = 0 have entries as small as the state's; a stored −I has not."""
    most = [float(np.max(of(evaluation, n, mass).random)) for mass in (1e-2, 1e-8, 1e-14)]
    if evaluation in ("chebyshev", "balanced"):
        assert most[2] > 0.1 * most[0]  # the negative control: its rounding stays
    else:
        # √mass/x of a register's rise of order x² at most: √mass times a factor of the constants alone.
        assert most[0] > most[1] > most[2]
        assert most[2] == pytest.approx(1e-3 * most[1], rel=1e-2)
    assert of(evaluation, n, 1e-2).coherent == pytest.approx(of(evaluation, n, 1e-14).coherent)
    assert of(evaluation, n).random[0] == 0  # x times an error of Q


def test_fewer_rows_round_more() -> None:
    few, many = (of("origin", 8, 1 / rows).random for rows in (16, 1024))
    assert (few >= many).all()
    assert np.max(few) > 2 * np.max(many)
    first, later = (predict(ROOMY, "bfloat16", rows=rows).steps[0] for rows in (16, 1024))
    assert first.turn > 2 * later.turn
    assert first.left[0] < later.left[0] < later.left[1] <= first.left[1]


BARE = polydesign.load("sign-d5x6-l1e-3").schedule
ROOMY = polydesign.load("sign-d5x6-l1e-3-bf16").schedule


def test_no_headroom_is_unsafe_where_rounding_is_coarse() -> None:
    """Six quintics on exactly their images: in bfloat16 values leave them for good, in float32 they come back."""
    coarse, fine, finest = (predict(BARE, dtype) for dtype in ("bfloat16", "float32", "float64"))
    assert coarse.error == math.inf
    reached = coarse.steps[-1].left
    assert not 0 < reached[0] <= reached[1] < 4
    assert BARE.error < fine.error < 4
    assert finest.error == pytest.approx(BARE.error, rel=1e-6)
    assert len(fine.steps) == 6
    assert [step.received for step in fine.steps[1:]] == [step.left for step in fine.steps[:-1]]
    # The negative control: a schedule with room, in the same precision.
    assert predict(ROOMY, "bfloat16").error < 0.5


@pytest.mark.parametrize("name", ["sign-d5x6-l1e-3-bf16", "sign-d9x4-l1e-3-h1.015-f0.12x3-0"])
def test_coarser_precisions_and_more_caution_expect_more(name: str) -> None:
    schedule = polydesign.load(name).schedule
    by_precision = [predict(schedule, dtype).error for dtype in sorted(UNIT_ROUNDOFF, key=roundoff)]
    assert by_precision == sorted(by_precision)
    assert len(set(by_precision)) == 4
    assert by_precision[0] == pytest.approx(schedule.error, rel=1e-9)
    by_caution = [predict(schedule, "bfloat16", caution=part).error for part in (0.0, 0.1, 0.2, 0.3)]
    assert by_caution == sorted(by_caution)
    assert len(set(by_caution)) == 4


def test_only_what_is_bounded_knows_the_mass() -> None:
    first = {name: predict(ROOMY, "bfloat16", normalization=name).steps[0] for name in
             ("frobenius", "aol", "power", "schatten4")}  # fmt: skip
    assert first["frobenius"] == first["aol"]
    assert first["power"] == first["schatten4"]
    assert first["power"].turn > first["frobenius"].turn


def test_one_step_moves_by_the_larger_of_both_and_by_its_own_rounding() -> None:
    x = np.array([0.0, 0.5, 1.0])
    found = Noise(x, x.copy(), np.array([0.0, 1.0, 8.0]), np.array([0.0, 4.0, 2.0]), 0.0)
    after = follow(found, 0.25, 1.0, (0.25, 1.0), 2.0**-8)
    # At 0.25 the coherent part is 2 by interpolation, at 0.5 it is 4, at 1 the random one is 8.
    assert after.left == (min(0.25 - 2.25 / 256, 0.5 - 4.5 / 256), 1 + 9 / 256)
    assert after.shift == 9 / 256
    half = follow(found, 0.25, 1.0, (0.25, 1.0), 2.0**-8, 0.5)
    assert half.left == (min(0.25 - 1.25 / 256, 0.5 - 2.5 / 256), 1 + 5 / 256)  # all of the state's own
    assert half.turn == after.turn / 2


def test_turned_vectors_cost_their_cosine() -> None:
    assert remaining_error((0.9, 1.05), 0.0) == pytest.approx(0.1)
    assert remaining_error((0.9, 1.05), 0.2) == pytest.approx(1 - 0.9 * 0.9)
    assert remaining_error((0.9, 1.2), 0.2) == pytest.approx(0.2)
    assert remaining_error((0.9, 1.05), 3.0) == 1.0


def test_large_terms_are_refused() -> None:
    """Terms of 10³ in powers of A: unsafe in float16, where the same steps in Chebyshev polynomials are not."""
    powers, chebyshev = (prototype("9x4_16_fp16", how).schedule for how in ("monomial", "chebyshev"))
    # Half of the noise: it was made by hand, and one in 200,000 blocks of equal entries is lost.
    assert predict(powers, "float16", caution=0.5).error == math.inf
    assert predict(chebyshev, "float16", caution=0.5).error < 2 * chebyshev.error
    for same in (powers, chebyshev):
        assert predict(same, "float32").error < 1.05 * same.error


@pytest.mark.parametrize(("evaluation", "n"), programs())
def test_running_error_is_that_of_every_rounding(evaluation: str, n: int) -> None:
    """Written again, line by line: registers and sums that are factors are rounded, each by its size."""
    code, _ = made(evaluation, n)
    x = np.linspace(0, 1, 257)
    values, errors = [np.ones_like(x), x**2], [0 * x, x**2]

    def total(terms: Combination) -> tuple[Any, Any]:
        value = sum((w * values[r] for r, w in terms), 0 * x)
        return value, sum((abs(w) * errors[r] for r, w in terms if r != IDENTITY), 0 * x)

    for line in code.lines:
        value, error = total(line.plus)
        if line.left:
            (a, of_a), (b, of_b) = total(line.left), total(line.right)
            of_a, of_b = of_a + abs(a) * (len(line.left) > 1), of_b + abs(b) * (len(line.right) > 1)
            value, error = (
                value + line.weight * a * b,
                error + abs(line.weight) * (abs(a) * of_b + of_a * abs(b)),
            )
        values.append(value)
        errors.append(error + abs(value))
    register, weight = code.result
    expected = np.max(
        x * abs(weight) * errors[register] + abs(x * (weight * values[register] + code.constant))
    )
    assert running_error(code, 2, 1.0) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("evaluation", "n"), programs())
def test_a_perturbed_run_rounds_what_is_stored(evaluation: str, n: int) -> None:
    """Every register and every sum that is a factor once, beside the input, A and the result."""
    code, row = made(evaluation, n)
    step = Step(1 + 2 * n, row, (LOWER, 1.0), (0.1, 1.9), 0.9, evaluation, code)
    count = 0

    class Counting(RandomRounding):
        def stored(self, value: np.ndarray) -> np.ndarray:
            nonlocal count
            count += 1
            return value

    rounding = Counting("bfloat16", np.random.default_rng(0), coherent=False)
    perturbed_sign(np.eye(3), 2.0, Schedule(2, (LOWER, 1.0), (step,)), rounding)
    factors = [side for line in code.lines for side in (line.left, line.right)]
    assert count == 2 + 1 + len(code.lines) + sum(len(side) > 1 for side in factors) + 1

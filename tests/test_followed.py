"""Matrices of few numbers without a matrix: the same bits as the executor and as loops that people write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import tables
import torch

import polydesign
from polydesign.model import HALF, LOOPS, InputError, Plan, Schedule
from polydesign.rounding.algebras import Members, all_equal, circulant, dyadic, equal_columns, kronecker
from polydesign.rounding.enumerated import every_number
from polydesign.rounding.families import FAMILIES
from polydesign.rounding.followed import follow, rounded
from polydesign.rounding.trial import BLOWN, LOST, VISIBLE, drawn, outcome, random_trial
from polydesign.runtime import msign
from polydesign.verification.reference import FixedSums

pytestmark = pytest.mark.numerics

LOWER = 1e-3
TIGHT: dict[str, Any] = {"degree": 5, "headroom": 1.01, "image_floor": 0.1, "floor_free_tail": 2}
"""The published habit, which structured matrices break."""


def rest(m: int) -> np.ndarray:
    """The classes of aI + bJ."""
    return 1 - np.eye(m, dtype=int)


def shifts(n: int) -> np.ndarray:
    i = np.arange(n)
    return (i[None] - i[:, None]) % n


def bits(n: int) -> np.ndarray:
    i = np.arange(n)
    return i[None] ^ i[:, None]


def both(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    width = right.max() + 1
    return np.kron(left * width, np.ones_like(right)) + np.kron(np.ones_like(left), right)


Build = Callable[[Sequence[np.ndarray]], np.ndarray]
"""The matrix with these entries."""


def dense(classes: np.ndarray, repeats: int) -> Build:
    """Of the one member that there is."""
    return lambda entries: np.repeat(np.array([float(e[0]) for e in entries])[classes], repeats, axis=1)


def cases(rng: np.random.Generator) -> Iterator[tuple[Members, Build]]:
    """One member each."""

    def values(count: int) -> list[np.ndarray]:
        found = rng.uniform(-1, 1, count)
        return [np.array([v]) for v in found / np.linalg.norm(found) / 3]

    for m, k in ((2, 1), (3, 2), (7, 1), (12, 5)):
        one = all_equal(np.array([m])).members(values(2), np.array([k]))
        yield one, dense(rest(m), k)
    for n in (3, 4, 6):
        entries = rng.uniform(-1, 1, n) / n
        algebra = circulant(n)
        waves = [
            np.array([sum(w * e for w, e in zip(row, entries, strict=True))]) for row in algebra.characters
        ]
        one = algebra.members(waves, 2)
        yield one, dense(shifts(n), 2)
    one = dyadic(4).members(values(4), 3)
    yield one, dense(bits(4), 3)
    one = kronecker(all_equal(np.array([3])), all_equal(np.array([4]))).members(values(4))
    yield one, dense(both(rest(3), rest(4)), 1)
    one = kronecker(circulant(3), dyadic(2)).members([np.full(1, 0.2)] * 6)
    yield one, dense(both(shifts(3), bits(2)), 1)
    p, q = (np.array([x]) for x in rng.uniform(0.1, 0.5, 2))
    one = equal_columns(p, q)
    yield one, lambda e: np.array([[e[0][0], e[1][0]], [e[0][0], -e[1][0]]])


def test_values_are_singular_values(seed: int) -> None:
    for one, build in cases(np.random.default_rng(seed)):
        X = build(one.entries)
        sizes = {round(abs(complex(v[0])), 9) for v in one.values}
        found = {round(s, 9) for s in np.linalg.svd(X, compute_uv=False)}
        assert found <= sizes  # to nine digits, of exact arithmetic in float64
        assert all(
            np.allclose(a, b, atol=1e-14)
            for a, b in zip(one.transformed(one.entries), one.values, strict=True)
        )


SCHEDULES = {
    "quintics": polydesign.design(**TIGHT, steps=5).schedule,
    "nine": tables.prototype("9x4_16_bf16", "chebyshev").schedule,
    "origin": polydesign.design(degree=9, steps=4, headroom=1.05, evaluation="origin").schedule,
    "seventeen": tables.prototype("17x3_15_bf16", "chebyshev").schedule,
}


@pytest.mark.few(12)
@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("restarts", [None, (1,), (2,), ()])
def test_the_bits_are_those_of_the_executor(dtype: str, name: str, restarts: Any, seed: int) -> None:
    """Where sums are exact (verification/reference.py). Members of few rows: float64 sums them exactly."""
    schedule = SCHEDULES[name]
    form: dict[str, Any] = {} if restarts is None else {"form": "gram", "restarts": restarts}
    plan = Plan(dtype, normalization="none", check=False, float32_side=0, **form)
    table = tables.table_of([(1.0, 0.0)])
    table = type(table)("t", schedule, table.provenance)
    for one, build in cases(np.random.default_rng(seed)):
        found = build(follow(schedule, one, dtype, restarts=restarts)[-1])
        with FixedSums(dtype):
            expected = msign(torch.tensor(build(one.entries)), table, plan).double().numpy()
        # A matrix that blows up ends as it may: inf − inf comes sooner or later.
        assert not np.isfinite(expected).all() or np.allclose(found, expected, rtol=1e-12, atol=0)


def loop(X: torch.Tensor, rows: list[tuple[float, ...]], kind: str) -> torch.Tensor:
    """Quintics as people write them."""
    for a, b, c in rows:
        A = X @ X.mT
        if kind == "separate":
            B = b * A + (c * A) @ A
            X = a * X + B @ X
        else:
            B = (b * A.double() + c * (A @ A).double()).float().to(X.dtype)
            X = (a * X.double() + (B @ X).double()).float().to(X.dtype)
    return X


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("kind", ["compiled", "separate"])
def test_other_loops_have_the_bits_of_a_loop(dtype: str, kind: str, seed: int) -> None:
    schedule = SCHEDULES["quintics"]
    rows = [step.coefficients for step in schedule.steps]
    for one, build in cases(np.random.default_rng(seed)):
        found = build(follow(schedule, one, dtype, loop=kind)[-1])
        X = build(one.entries)
        with FixedSums(dtype):
            expected = loop(torch.tensor(X).float().to(getattr(torch, dtype)), rows, kind).double().numpy()
        assert np.array_equal(found, expected)


def test_rounding_is_that_of_torch() -> None:
    """All numbers of 16 bits, those halfway between two, and their neighbours in float32."""
    for dtype in HALF:
        every = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(getattr(torch, dtype)).double()
        known = np.unique(every[every.isfinite()].numpy())
        halves = (known[1:] + known[:-1]) / 2
        narrow = halves.astype(np.float32)
        x = np.concatenate([known, halves, np.nextafter(narrow, np.inf), np.nextafter(narrow, -np.inf)])
        x = np.concatenate([x.astype(float), [np.inf, -np.inf, np.nan]])
        with np.errstate(over="ignore"):
            found = rounded(x, dtype)
        expected = torch.tensor(x).float().to(getattr(torch, dtype)).double().numpy()
        assert np.array_equal(found, expected, equal_nan=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_members_are_what_their_family_says(family: str) -> None:
    """Of Frobenius norm 1 at most, the same for the same seed, and many of them reach it."""
    (members,) = drawn(family, 2000, LOWER, seed=3)
    (again,) = drawn(family, 2000, LOWER, seed=3)
    (other,) = drawn(family, 2000, LOWER, seed=4)
    assert np.array_equal(members.entries[0], again.entries[0])
    assert not np.array_equal(members.entries[0], other.entries[0])
    sizes = np.abs(np.array(members.values))
    assert sizes.max() <= 1 + 1e-12
    assert np.mean(sizes.max(axis=0) > 0.3) > 0.3
    for found, exact in zip(members.transformed(members.entries), members.values, strict=True):
        assert np.allclose(found, exact, atol=1e-13)


def test_the_published_habit_blows_up_and_a_settled_schedule_does_not() -> None:
    """The same members: 1.01 is too little, what the search gives is not, in any loop."""
    tight, settled = SCHEDULES["quintics"], polydesign.design(degree=5, steps=5).schedule
    for name in ("diagonal-and-rest", "two-rows"):
        for kind in LOOPS:
            count = 400_000 if kind == "fused" else 50_000
            found = random_trial(settled, "bfloat16", name, count, loop=kind, seed=11)
            assert (found.blown, found.tried) == (0, count)
            assert found.lost == 0 or kind != "fused"
    fused = random_trial(tight, "bfloat16", "diagonal-and-rest", 400_000, seed=11)
    separate = random_trial(tight, "bfloat16", "two-rows", 50_000, loop="separate", seed=11)
    assert fused.blown > 10
    assert fused.worst is None or fused.worst > 5
    assert separate.blown > 100


def test_a_trial_stops_where_it_has_enough() -> None:
    found = random_trial(SCHEDULES["seventeen"], "bfloat16", "diagonal-and-rest", 400_000, seed=1, enough=1)
    assert found.tried < 400_000
    assert max(found.blown, found.lost) >= 1


def test_what_counts_is_on_the_range_and_visible() -> None:
    """A value that rounding the input may take is nobody's loss; one that is thrown out counts in any case."""
    schedule = SCHEDULES["quintics"]
    small = 0.9 * VISIBLE * 2.0**-8
    one = all_equal(np.array([2])).members((np.array([1.0]), np.array([small])))
    gone = [np.array([0.5]), np.array([0.5])]  # J alone
    assert outcome(schedule, one, "bfloat16", gone).error[0] == 0
    assert outcome(schedule, one, "float16", gone).error[0] == 1
    out = [np.array([BLOWN]), np.array([-BLOWN])]
    assert outcome(schedule, one, "bfloat16", out).size[0] == 2 * BLOWN
    assert schedule.error + LOST < 1 < BLOWN


@pytest.mark.parametrize("dtype", HALF)
def test_diagonal_matrices_are_safe_for_every_number_there_is(dtype: str) -> None:
    """One entry at a time is one number: 1,277 and 10,216 of them in [1e-3, 1]. In fused and other loops."""
    members = every_number(dtype, LOWER)
    assert len(members.values[0]) == {"bfloat16": 1277, "float16": 10216}[dtype]
    assert set(rounded(members.values[0], dtype)) == set(members.values[0])
    for schedule in (polydesign.design(degree=5, steps=5).schedule, SCHEDULES["nine"]):
        for kind in LOOPS:
            end = outcome(schedule, members, dtype, follow(schedule, members, dtype, loop=kind)[-1])
            assert end.size.max() <= BLOWN
            assert end.error.max() <= schedule.error + LOST


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_not_followed_is_refused(dtype: str) -> None:
    schedule: Schedule = SCHEDULES["quintics"]
    with pytest.raises(InputError, match=r"dtype: .* is not followed here"):
        follow(schedule, every_number("bfloat16", LOWER), dtype)

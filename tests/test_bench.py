"""Timing in turn, on fake contestants with a fake clock; the contestants themselves on small matrices."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

import numpy as np
import pytest
import torch
from references import published
from tables import prototype

from polydesign.evaluation.cost import matmuls
from polydesign.model import InputError, Table
from polydesign.runtime import inverse_root_with_info
from polydesign.verify import timing
from polydesign.verify.bench import (
    Timing,
    bench,
    json_lines,
    matrices,
    timing_from_json,
    worst_deviation,
)
from polydesign.verify.contestants import OPERATORS, OURS, contestants, table_for
from polydesign.verify.spectra import from_matrix

QUINTICS = prototype("quintics_18")
EVERYONE = [(operator, name) for operator, entry in OPERATORS.items() for name in entry.contestants]


class Clock:
    """Stands still but for what fake calls spend."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def timer(self, call: Callable[[], object]) -> float:
        start = self.now
        call()
        return self.now - start

    def call(self, name: str, *seconds: float, fails_at: int | None = None) -> Callable[..., Any]:
        """Spends the given seconds call after call, the last for good; raises at that call, from 0."""
        left: Iterator[float] = chain(seconds, repeat(seconds[-1]))
        count = iter(range(10**6))

        def run(*inputs: Any) -> Any:
            self.calls.append(name)
            self.now += next(left)
            if next(count) == fails_at:
                raise RuntimeError(f"{name} broke\nand said more")
            return inputs[0] if inputs else name

        return run


def timed(clock: Clock, calls: dict[str, Any], **options: Any) -> dict[str, timing.Run]:
    defaults = {"rounds": 5, "budget": 1e6, "seed": 0}
    return timing.interleaved(calls, timer=clock.timer, **{**defaults, **options})


def rounds_of(clock: Clock, names: str, warm_ups: int = 2) -> list[str]:
    """The order within each round, all taking part in all."""
    size, ran = len(names), "".join(clock.calls[warm_ups * len(names) :])
    return [ran[k : k + size] for k in range(0, len(ran), size)]


def order(seed: int) -> list[str]:
    clock = Clock()
    timed(clock, {name: clock.call(name, 1) for name in "abcd"}, rounds=8, seed=seed)
    return rounds_of(clock, "abcd")


def test_every_round_has_all_in_a_new_order_that_the_seed_fixes() -> None:
    found = order(0)
    assert len(found) == 8
    assert all(sorted(one) == list("abcd") for one in found)
    assert order(0) == found
    assert order(1) != found
    assert len(set(found)) > 1  # the negative control: one fixed order would pass the rest


def test_the_slow_run_in_fewer_rounds_and_never_without_the_fast() -> None:
    clock = Clock()
    calls = {
        "fast": clock.call("fast", 0.5),
        "slow": clock.call("slow", 3),
        "slower": clock.call("slower", 20),
    }
    found = timed(clock, calls, rounds=15, budget=10)
    assert {name: len(run.seconds) for name, run in found.items()} == {"fast": 15, "slow": 3, "slower": 1}
    assert set(found["slower"].seconds) < set(found["slow"].seconds) < set(found["fast"].seconds)
    # One that takes all its budget at the first call is not warmed up again.
    assert [clock.calls.count(name) for name in calls] == [17, 5, 2]


def test_a_slow_first_call_does_not_count() -> None:
    clock = Clock()
    found = timed(clock, {"a": clock.call("a", 9, 1)}, rounds=5, budget=10)
    assert list(found["a"].seconds.values()) == [1] * 5


def test_what_raises_is_left_out_from_there_on() -> None:
    clock = Clock()
    calls = {
        "good": clock.call("good", 1),
        "never": clock.call("never", 1, fails_at=0),
        "later": clock.call("later", 1, fails_at=4),
    }
    found = timed(clock, calls)
    assert [len(found[name].seconds) for name in calls] == [5, 0, 2]
    assert [found[name].problem for name in calls] == [
        None,
        "RuntimeError: never broke",
        "RuntimeError: later broke",
    ]
    assert (clock.calls.count("never"), clock.calls.count("later")) == (1, 5)
    assert found["good"].result == "good"


def test_an_interrupt_is_no_problem_of_a_contestant() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        timed(Clock(), {"a": interrupted})


def test_cuda_events_give_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The events of an idle device around the call; torch gives milliseconds."""
    seen: list[str] = []

    class Event:
        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            seen.append("record")

        def elapsed_time(self, end: Event) -> float:
            assert isinstance(end, Event)
            return 2500.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: seen.append("synchronize"))
    assert timing.cuda_seconds(lambda: seen.append("call")) == 2.5
    assert seen == ["synchronize", "record", "call", "record", "synchronize"]


# bench


def with_fakes(monkeypatch: pytest.MonkeyPatch, **fakes: Callable[..., Any]) -> None:
    entry = OPERATORS["msign"]._replace(contestants={OURS: fakes.pop("ours"), **fakes})
    monkeypatch.setitem(OPERATORS, "msign", entry)


def small(operator: str = "msign", table: Table | None = None, **options: Any) -> list[Timing]:
    shape = (12, 20) if operator == "msign" else (12, 12)
    return bench(operator, table, **{"shape": shape, "rounds": 3, "device": "cpu", **options})


def test_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    with_fakes(monkeypatch, ours=clock.call("ours", 1, 1, 1, 10, 4), other=clock.call("other", 1, 1, 8, 8, 2))
    ours, other = small(timer=clock.timer)
    assert (ours.median, ours.ratio, ours.round_ratio, ours.rounds) == (4, 1, 1, 3)
    # Medians 8 and 4; in the rounds 8/1, 8/10, 2/4.
    assert (other.median, other.ratio, other.round_ratio) == (8, 2, 0.8)
    assert (other.lower_quartile, other.upper_quartile) == (5, 8)


@pytest.mark.parametrize("broken", ["ours", "other"])
def test_a_contestant_that_raises_is_reported(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    clock = Clock()
    fakes = {name: clock.call(name, 1, fails_at=0 if name == broken else None) for name in ("ours", "other")}
    with_fakes(monkeypatch, **fakes)
    ours, other = small(timer=clock.timer)
    lost, kept = (ours, other) if broken == "ours" else (other, ours)
    assert (lost.problem, lost.median, lost.rounds) == (f"RuntimeError: {broken} broke", None, 0)
    assert (lost.finite, lost.worst, lost.ratio) == (None, None, None)
    assert (kept.problem, kept.median) == (None, 1)
    assert kept.ratio == (None if broken == "ours" else 1)


def test_torch_without_the_function_of_muon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("torch.optim._muon._zeropower_via_newtonschulz")
    ours, muon = small(beside=["muon"])
    assert ours.problem is None
    assert muon.problem is not None
    assert "this version of torch" in muon.problem


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_all_contestants_run(operator: str, dtype: str, device: str) -> None:
    progress = []
    found = small(operator, dtype=dtype, device=device, progress=lambda *done: progress.append(done))
    assert [t.name for t in found] == list(OPERATORS[operator].contestants)
    assert progress == [(1, 3), (2, 3), (3, 3)]
    for t in found:
        assert t.problem is None
        assert (t.finite, t.rounds) == (True, 3)
        numbers = (t.median, t.lower_quartile, t.upper_quartile, t.ratio, t.round_ratio, t.worst)
        assert np.isfinite(np.array(numbers, dtype=float)).all()
        assert t.about
        assert timing_from_json(json.loads(json_lines([t]))) == t
    assert "date" in json.loads(json_lines(found[:1]))
    assert "date" not in found[0].as_json()


def test_a_wrong_answer_shows() -> None:
    """A quintic that does not converge, and a decomposition that does."""
    found = {t.name: t for t in small(dtype="float32", beside=["svd", "muon"])}
    worst = {name: t.worst or 0.0 for name, t in found.items()}
    assert worst["svd"] < 20 * 12 * 2.0**-24  # a backward stable method: a modest multiple of n·u
    assert worst["muon"] > 0.05


def test_a_result_that_is_not_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    with_fakes(monkeypatch, ours=clock.call("ours", 1), nan=lambda M, table: M * torch.nan)
    _, nan = small(timer=clock.timer)
    assert (nan.finite, nan.worst, nan.problem) == (False, None, None)


def test_large_matrices_get_no_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polydesign.verify.bench.MOST_REFERENCE_WORK", 12 * 12 * 20 - 1)
    assert all((t.finite, t.worst) == (True, None) for t in small())
    monkeypatch.setattr("polydesign.verify.bench.MOST_REFERENCE_WORK", 12 * 12 * 20)
    assert all(t.worst is not None for t in small())


@pytest.mark.parametrize(
    ("operator", "options", "field", "words"),
    [
        ("sign", {}, "operator", "'sign' is not one of msign, inverse_root, root, inverse"),
        ("msign", {"beside": ["eigh"]}, "beside", "take from unchecked, svd, muon, polar-express"),
        ("msign", {"root": 4}, "root", "msign has root 2"),
        ("root", {"root": 1}, "root", "take 2 or more"),
        ("inverse_root", {"root": 3}, "root", "no table of root 3"),
        ("inverse_root", {"table": QUINTICS, "root": 4}, "table", "quintics_18 has root 2"),
        ("inverse", {"table": QUINTICS}, "table", "quintics_18 has root 2"),
        ("inverse", {"shape": (3, 4)}, "shape", "takes square matrices: write 3x3"),
        ("msign", {"shape": (0, 4)}, "shape", "at least 1"),
        ("msign", {"shape": (2**14, 2**14), "batch": 2}, "shape", "take less"),
        ("msign", {"batch": 0}, "batch", "at least 1"),
        ("msign", {"rounds": 0}, "rounds", "at least 1"),
        ("msign", {"seconds": 0.0}, "seconds", "greater than 0"),
        ("msign", {"dtype": "int8"}, "dtype", "int8 is not one of"),
        ("msign", {"device": "gpu"}, "device", "not a torch device"),
    ],
)
def test_refusals(operator: str, options: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        small(operator, **options)
    assert refused.value.field == field
    assert words in refused.value.problem


# the contestants


def test_matrices() -> None:
    M = matrices("msign", (6, 10), 3, dtype="float32", seed=5)
    assert M.shape == (3, 6, 10)
    assert torch.equal(M[1], matrices("msign", (6, 10), 1, dtype="float32", seed=6))
    assert not torch.equal(M[0], M[1])
    P = matrices("inverse", (8, 8), 2, dtype="bfloat16", seed=0)
    assert torch.equal(P, P.mT)
    assert torch.linalg.eigvalsh(P.double()).min() > 0


@pytest.mark.parametrize(("operator", "name"), EVERYONE)
@pytest.mark.parametrize("batch", [1, 2])
def test_a_contestant_keeps_shape_and_input(operator: str, name: str, batch: int, device: str) -> None:
    table = table_for(operator, None, dtype="bfloat16")
    shape = (9, 6) if operator == "msign" else (6, 6)
    M = matrices(operator, shape, batch, dtype="bfloat16", seed=1).to(device)
    before = M.clone()
    result = contestants(operator)[name](M, table)
    assert result.shape == M.shape
    assert result.dtype == M.dtype
    assert torch.equal(M, before)


@pytest.mark.parametrize("steps", [2, 6, 10])
def test_the_listing_is_the_paper_s(steps: int) -> None:
    """On a diagonal matrix it is a map of numbers; 1.01 is folded into all rows but the last, and the norm."""
    repeated = tuple(QUINTICS.schedule.steps[-1] for _ in range(steps))
    table = replace(QUINTICS, schedule=replace(QUINTICS.schedule, steps=repeated))
    sigma = torch.tensor([1.0, 0.3, 0.04], dtype=torch.float64)
    result = contestants("msign")["polar-express"](torch.diag(sigma), table)

    def mapped(fold: float) -> np.ndarray:
        rows = [tuple(map(float, row)) for row in published("polar_express_deg5")["coefficients"]]
        rows = [(a / fold, b / fold**3, c / fold**5) for a, b, c in rows[:-1]] + rows[-1:]
        x = sigma.numpy() / (np.linalg.norm(sigma.numpy()) * 1.01 + 1e-7)
        for a, b, c in (rows + rows[-1:] * steps)[:steps]:
            x = a * x + b * x**3 + c * x**5
        return x

    # Slopes of the first rows multiply to less than 1e4 here, and a step rounds by a few 1e-15.
    assert np.abs(result.diagonal().numpy() - mapped(1.01)).max() < 1e-10
    assert np.abs(result.diagonal().numpy() - mapped(1.0)).max() > 1e-5 or steps == 10


@pytest.mark.parametrize(
    ("operator", "root"), [("inverse_root", 4), ("inverse_root", 2), ("root", 2), ("inverse", 1)]
)
def test_the_error_of_a_root_is_relative(operator: str, root: int) -> None:
    table = table_for(operator, None, dtype="float32", root=root)
    P = matrices(operator, (12, 12), 1, dtype="float64", seed=3)
    known = from_matrix(P, "P")
    eigenvalues, Q = torch.linalg.eigh(P)
    exponent = OPERATORS[operator].exponent
    assert exponent is not None
    power = eigenvalues ** exponent(root)
    exact = (Q * power) @ Q.mT

    def worst(X: torch.Tensor) -> float:
        return worst_deviation(X, operator, table, known) or 0.0

    rounding = 12 * float(eigenvalues[-1] / eigenvalues[0]) * 2.0**-50
    assert worst(exact) < rounding
    assert worst(1.01 * exact) == pytest.approx(0.01, abs=rounding)
    # The eigenvalue that the smallest of P became, alone: as bad as any other.
    for index in (0, -1):
        changed = power.clone()
        changed[index] *= 1.01
        assert worst((Q * changed) @ Q.mT) == pytest.approx(0.01, abs=rounding)
    assert worst(-exact) == pytest.approx(2, abs=rounding)


def test_products_are_those_that_run() -> None:
    P = matrices("inverse_root", (6, 6), 1, dtype="float32", seed=0)
    for root in (1, 2, 4):
        table = table_for("inverse_root", None, dtype="float32", root=root)
        _, info = inverse_root_with_info(P, root, table=table)
        assert OPERATORS["inverse_root"].products(table.schedule) == info.matmuls
    assert OPERATORS["msign"].products(QUINTICS.schedule) == matmuls(QUINTICS.schedule) == 18

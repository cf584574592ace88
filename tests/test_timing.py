"""Calls timed in turn: fake ones, with a fake clock."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from clock import Clock

from polydesign.verification import timing


def timed(clock: Clock, calls: dict[str, Any], **options: Any) -> dict[str, timing.TimedRun]:
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

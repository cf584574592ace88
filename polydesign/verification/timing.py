"""Calls timed in turn: in every round each of them once, in a new order.

A machine that changes its speed then changes all of them alike, and ratios survive it.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from polydesign.model import InputError, check_integer, check_number

Timer = Callable[[Callable[[], object]], float]
"""Seconds that one call takes."""


@dataclass(frozen=True, slots=True)
class TimedRun:
    """What became of one call: seconds by round, what it returned first, and what it raised."""

    seconds: dict[int, float]
    result: Any
    problem: str | None


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    *,
    timer: Timer,
    rounds: int,
    budget: float,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, TimedRun]:
    """Each call warmed up, then timed in at most `rounds` rounds whose order is shuffled from `seed`.

    budget: seconds a call may take in all its rounds; where that is less than it needs, it runs in fewer
    rounds, but in one, and in none that a faster call is not in. A call that raises is left out from there
    on. progress: called with (rounds done, rounds) after each.
    """
    results: dict[str, object] = {}
    problems: dict[str, str] = {}
    allowed: dict[str, int] = {}
    for name, call in calls.items():
        try:
            results[name], taken = _warmed_up(call, timer, budget)
        except Exception as problem:
            problems[name] = _described(problem)
        else:
            allowed[name] = rounds if taken * rounds <= budget else max(1, int(budget / taken))
    generator = random.Random(seed)
    turns = generator.sample(range(rounds), rounds)
    seconds: dict[str, dict[int, float]] = {name: {} for name in calls}
    for index, turn in enumerate(turns):
        order = [name for name in allowed if turn < allowed[name] and name not in problems]
        generator.shuffle(order)
        for name in order:
            try:
                seconds[name][index] = timer(calls[name])
            except Exception as problem:
                problems[name] = _described(problem)
        progress(index + 1, rounds)
    return {name: TimedRun(seconds[name], results.get(name), problems.get(name)) for name in calls}


def check_effort(rounds: int, seconds: float, seed: int) -> None:
    """Raises InputError for what no timing can be asked for."""
    rounds = check_integer("rounds", rounds, 1)
    seed = check_integer("seed", seed, 0)
    seconds = check_number("seconds", seconds)
    if seconds <= 0:
        raise InputError("seconds", f"must be greater than 0, not {seconds!r}")


def timed_on(
    place: torch.device,
    calls: Mapping[str, Callable[[], object]],
    *,
    timer: Timer | None,
    seconds: float,
    **how: Any,
) -> dict[str, TimedRun]:
    """`interleaved` on a device, by its own clock where none is given; seconds: divided among the calls."""
    on_device = torch.cuda.device(place) if place.type == "cuda" else contextlib.nullcontext()
    with on_device, torch.no_grad():
        return interleaved(calls, timer=timer or TIMERS[place.type], budget=seconds / len(calls), **how)


def _warmed_up(call: Callable[[], object], timer: Timer, budget: float) -> tuple[object, float]:
    """What the call returns, and its seconds.

    The first call fills caches and says little of the next; it counts where it alone takes all there is.
    """
    kept: list[object] = []
    taken = timer(lambda: kept.append(call()))
    return kept[0], taken if taken > budget else timer(call)


def _described(problem: Exception) -> str:
    lines = str(problem).strip().splitlines()
    return f"{type(problem).__name__}: {lines[0][:200]}" if lines else type(problem).__name__


def cpu_seconds(call: Callable[[], object]) -> float:
    """By the wall clock."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def cuda_seconds(call: Callable[[], object]) -> float:
    """Between two events on the current stream of the current device, which is idle before."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    call()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000


TIMERS: dict[str, Timer] = {"cpu": cpu_seconds, "cuda": cuda_seconds}
"""Kind of device -> its clock."""

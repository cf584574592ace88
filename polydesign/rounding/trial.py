"""What becomes of matrices whose roundings agree: how many a schedule blows up or loses, and the worst."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from polydesign.model import Schedule, Trial, digest
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.algebras import Members
from polydesign.rounding.families import FAMILIES
from polydesign.rounding.followed import follow

BLOWN = 1.5
"""A result above it was thrown out; what is on the range ends below 1 + E, and where that is near it, above
1 + E + LOST."""

LOST = 0.25
"""Beyond the promised error: more than any rounding excuses (rounding/running.MOST_EXPLAINED)."""

AGREEING = ("diagonal-and-rest", "blocks", "two-rows", "products")
"""Families that break most schedules that any breaks: what a search follows."""

CHUNK = 1 << 15
"""Members that are followed at a time: their registers fit a cache."""

VISIBLE = 1.25
"""Times u: the least value that counts. Rounding X moves a value by u·‖X‖_F at most, and what is smaller may
be gone before the first step, whatever the schedule."""


class Outcome(NamedTuple):
    """Of each member, shape (count,).

    error: the largest distance of a value from its sign or phase, of values on the range that rounding the
    input leaves: direction and size at once. size: the largest value.
    """

    error: np.ndarray
    size: np.ndarray


def judged(members: Members, dtype: str, lower: float) -> list[np.ndarray]:
    """Which members' values count, shape (count,) each: on the range, and above what rounding X may take."""
    least = max(lower, VISIBLE * UNIT_ROUNDOFF[dtype])
    return [np.abs(v) >= least for v in members.values]


def outcome(schedule: Schedule, members: Members, dtype: str, entries: Sequence[np.ndarray]) -> Outcome:
    """What the entries of X after the last step say of the members."""
    error = np.zeros(len(members.values[0]))
    size = np.zeros_like(error)
    counts = judged(members, dtype, schedule.interval[0])
    with np.errstate(over="ignore", invalid="ignore"):
        for found, exact, counted in zip(members.transformed(entries), members.values, counts, strict=True):
            unit = exact / np.maximum(np.abs(exact), np.finfo(float).tiny)
            off = np.nan_to_num(np.abs(found - unit), nan=np.inf)
            error = np.where(counted, np.maximum(error, off), error)
            size = np.maximum(size, np.nan_to_num(np.abs(found), nan=np.inf))
    return Outcome(error, size)


class Count(NamedTuple):
    """How many of some members are blown up and lost, and the largest error of all."""

    blown: int
    lost: int
    worst: float


def counted(
    schedule: Schedule,
    members: Members,
    dtype: str,
    loop: str = "fused",
    restarts: Sequence[int] | None = None,
) -> Count:
    """What becomes of the members in a loop, or in the gram form with these restarts."""
    end = outcome(
        schedule, members, dtype, follow(schedule, members, dtype, loop=loop, restarts=restarts)[-1]
    )
    blown = int(np.sum(end.size > max(BLOWN, 1 + schedule.error + LOST)))
    return Count(blown, int(np.sum(end.error > schedule.error + LOST)), float(end.error.max()))


def random_trial(
    schedule: Schedule,
    dtype: str,
    family: str,
    count: int,
    *,
    loop: str = "fused",
    restarts: Sequence[int] | None = None,
    seed: int = 0,
    enough: int | None = None,
    purpose: str = "sign",
) -> Trial:
    """`count` random members of a family; where `enough` are blown up or lost, they are the last."""
    tried = blown = lost = 0
    worst = 0.0
    for members in drawn(family, count, schedule.interval[0], seed):
        found = counted(schedule, members, dtype, loop, restarts)
        tried += len(members.entries[0])
        blown, lost, worst = blown + found.blown, lost + found.lost, max(worst, found.worst)
        if enough is not None and max(blown, lost) >= enough:
            break
    largest = worst if np.isfinite(worst) else None
    return Trial(digest(schedule, purpose), family, loop, dtype, tried, blown, lost, largest, seed)


def drawn(family: str, count: int, lower: float, seed: int) -> Iterator[Members]:
    """Random members, CHUNK by CHUNK; every chunk has random numbers of its own."""
    for index, start in enumerate(range(0, count, CHUNK)):
        rng = np.random.default_rng([seed, list(FAMILIES).index(family), index])
        yield FAMILIES[family](rng, min(CHUNK, count - start), lower)

"""What becomes of matrices whose roundings agree: how many a schedule blows up or loses, and the worst."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from polydesign.model import Schedule, Trial, digest
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.algebras import Members
from polydesign.rounding.families import FAMILIES, families
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


def reached(
    schedule: Schedule, members: Members, dtype: str, loop: str = "fused"
) -> tuple[Outcome, np.ndarray]:
    """What they became, and how near the schedule was to blowing them up, shape (count,): the largest value
    after a step relative to the end of the next one's domain, and after the last to what was blown up."""
    _, *ends = follow(schedule, members, dtype, loop=loop)
    tops = [*(step.domain[1] for step in schedule.steps[1:]), most(schedule)]
    with np.errstate(over="ignore", invalid="ignore"):
        sizes = [
            np.max(np.abs(members.transformed(X)), axis=0) / top for X, top in zip(ends, tops, strict=True)
        ]
    return outcome(schedule, members, dtype, ends[-1]), np.max(sizes, axis=0)


@dataclass(slots=True)
class Tally:
    """Counts of a Trial, which outcomes are added to; worst may be infinite.

    room: Of BLOWN, the part above which a member counts as blown up, where the error does not allow more.
    """

    tried: int = 0
    blown: int = 0
    lost: int = 0
    worst: float = 0.0
    room: float = 1.0

    def add(self, schedule: Schedule, end: Outcome) -> None:
        self.tried += len(end.error)
        self.blown += int(np.sum(end.size > most(schedule, self.room)))
        self.lost += int(np.sum(end.error > schedule.error + LOST))
        self.worst = max(self.worst, float(end.error.max()))

    def trial(self, digest: str, family: str, loop: str, dtype: str, seed: int = 0) -> Trial:
        worst = self.worst if np.isfinite(self.worst) else None
        return Trial(digest, family, loop, dtype, self.tried, self.blown, self.lost, worst, seed)


def most(schedule: Schedule, room: float = 1.0) -> float:
    """What is larger was blown up; room: as of Tally."""
    return max(room * BLOWN, 1 + schedule.error + LOST)


def trial(
    schedule: Schedule,
    dtype: str,
    family: str,
    of: Iterable[Members],
    *,
    loop: str = "fused",
    restarts: Sequence[int] | None = None,
    seed: int = 0,
    enough: int | None = None,
    purpose: str = "sign",
) -> Trial:
    """These members; where `enough` are blown up or lost, no more are followed."""
    tally = Tally()
    for members in of:
        ends = follow(schedule, members, dtype, loop=loop, restarts=restarts)
        tally.add(schedule, outcome(schedule, members, dtype, ends[-1]))
        if enough is not None and max(tally.blown, tally.lost) >= enough:
            break
    return tally.trial(digest(schedule, purpose), family, loop, dtype, seed)


def random_trial(
    schedule: Schedule,
    dtype: str,
    family: str,
    count: int,
    *,
    seed: int = 0,
    normalization: str = "frobenius",
    **how: Any,
) -> Trial:
    """`count` random members of a family, divided by this norm. how: as of `trial`."""
    members = drawn(family, count, schedule.interval[0], seed, normalization)
    return trial(schedule, dtype, family, members, seed=seed, **how)


def drawn(
    family: str, count: int, lower: float, seed: int, normalization: str = "frobenius"
) -> Iterator[Members]:
    """Random members, CHUNK by CHUNK; every chunk has random numbers of its own."""
    of = families(normalization)[family]
    for index, start in enumerate(range(0, count, CHUNK)):
        rng = np.random.default_rng([seed, list(FAMILIES).index(family), index])
        yield of(rng, min(CHUNK, count - start), lower)

"""Coefficients on a grid at the end of a gradient search: step by step, the later ones making up for it.

A step is put on the grid and stays; the steps after it move again, on what it leaves, before the next is put
there. Where to look comes from a linear model: the change of f by a step's coefficients, less what the later
steps can undo of it, makes a lattice (neighbours.near). What is taken is decided by the objective itself. At
the end one or two coefficients at a time move by a unit, as long as that makes the objective less.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Any

import numpy as np

from polydesign.approximation.remez import best_approximation
from polydesign.model import InputError, Problem, Schedule, evaluate
from polydesign.search import pace
from polydesign.search.composition import Composition
from polydesign.search.descent import Descent, Watch
from polydesign.search.finish import guarded, polished, valid
from polydesign.search.grids import Grid
from polydesign.search.lattice import sum_of, to_whole
from polydesign.search.neighbours import Distance, Judgement, near
from polydesign.search.objectives import Looks
from polydesign.search.polish import MOST_ROUNDS, compose
from polydesign.search.starts import Rows

TRIED = 20
"""Points of the grid, beside rounding to nearest, for which the later steps move again."""

LOOKED_AT = 200
"""Points of the grid whose objective is computed for a step that no other follows."""

ITERATIONS = 500
"""Of Adam on the later steps, at the last rate, for objectives that have no polish."""

ROUNDS, FINISHED = 5, 3
"""Of the polish for every point, and for how many of the best it is then brought to its end."""

NEAR = 0.1
"""Of 1: there later steps are best taken as the limit step."""

SWEEPS = 20
"""Over all moves of one or two coefficients, at the end."""


def ranked(
    candidates: Sequence[Rows], descent: Descent, problem: Problem
) -> Iterator[tuple[float, Schedule]]:
    """Objectives and schedules of those that can run, the least first."""
    for value, rows in sorted((descent.value_of(rows), rows) for rows in candidates):
        schedule = valid(rows, problem) if math.isfinite(value) else None
        if schedule is not None:
            yield value, schedule


def rows_of(schedule: Schedule) -> Rows:
    return tuple(step.coefficients for step in schedule.steps)


@dataclass
class GridRounding:
    """From rows to rows on a grid. descent: judges by the objective, and by what it guards.

    deadline: of time.monotonic(); after it, or after an interruption, or where stopped says so from the
    beginning, no step moves again, and what is left to do takes a second or two. stopped: done, timeout or
    interrupted. polish: whether polish.py may be used.
    """

    where: Grid
    problem: Problem
    looks: Looks
    descent: Descent
    polish: bool
    stopped: str
    deadline: float
    watch: Watch | None

    def __post_init__(self) -> None:
        self.x = np.unique(np.concatenate([x for _, _, x in self.looks]))
        self.guard = guarded(self.looks, self.problem)

    def rounded(self, rows: Rows) -> Schedule:
        """The schedule on the grid, near the rows where the objective wants it; never worse than rounding
        every coefficient to nearest. An interruption while steps or coefficients move ends that; at any
        other time it gets out, and a GridRounding with stopped = interrupted does what is left in haste.

        Raises InputError where nothing on the grid can run.
        """
        found = self._rounded(rows)
        if found is None and self.guard is not None:
            # What the objective looks at was served, and what is guarded was lost: both count now.
            self.x = np.unique(np.concatenate([self.x, self.guard]))
            found = self._rounded(rows)
        if found is None:
            word, degree = self.where.word, max(self.problem.degrees)
            raise InputError("round", f"{word} is too coarse for degree {degree} here: take a finer one")
        schedule = valid(self._settled(found), self.problem)
        assert schedule is not None
        return schedule

    def _rounded(self, rows: Rows) -> Rows | None:
        plain = tuple(tuple(map(self.where.nearest, row)) for row in rows)
        current: Rows | None = rows
        shared = self.descent.space.shared
        others = [plain]
        for t in range(1 if shared else len(rows)):
            if not shared:
                others += [found for found in [self._best(self._ended_by_limits(current, t))] if found]
            last = shared or t + 1 == len(rows)
            near_rows = self._near_rows(current, t, LOOKED_AT if last else TRIED)
            candidates = [
                (row,) * len(rows) if shared else (*current[:t], row, *current[t + 1 :]) for row in near_rows
            ]
            current = self._best(candidates if last else self._moved(candidates, t + 1))
            if current is None:
                break
        return self._best(others if current is None else [current, *others])

    def _best(self, candidates: Sequence[Rows]) -> Rows | None:
        value, schedule = next(ranked(candidates, self.descent, self.problem), (math.inf, None))
        if schedule is None:
            return None
        if self.watch is not None:
            self.watch(self.descent.done, value, float(self.descent.least.min()))
        return rows_of(schedule)

    def _in_time(self) -> bool:
        if self.stopped == "done" and time.monotonic() > self.deadline:
            self.stopped = "timeout"
        return self.stopped == "done"

    def _moved(self, candidates: list[Rows], frozen: int) -> list[Rows]:
        """The candidates, and what becomes of them when the steps from `frozen` on move."""
        if not self._in_time():
            return candidates
        if not self.polish or len(self.looks) > 1:
            return candidates + self._by_adam(candidates, frozen)
        found = list(candidates)
        try:
            for rounds, number in ((ROUNDS, len(found)), (MOST_ROUNDS, FINISHED)):
                for one in sorted(found, key=self.descent.value_of)[:number]:
                    if not self._in_time():
                        return found
                    better = polished(self.looks, self.problem, one, False, frozen=frozen, most_rounds=rounds)
                    found += [better] if better is not None else []
        except pace.TimeIsUpError:
            self.stopped = "timeout"
        except KeyboardInterrupt:
            self.stopped = "interrupted"
        return found

    def _by_adam(self, candidates: list[Rows], frozen: int) -> list[Rows]:
        config, space = self.descent.config, self.descent.space
        iterations = min(ITERATIONS, config.iterations)
        config = replace(config, begin=0, iterations=iterations, drop_after=0)
        space = Composition(
            self.problem.root, self.problem.degrees, False, "coefficients", space.device, frozen=frozen
        )
        limit = float(self.descent.limit.max())
        tail = Descent(config, space, self.looks, candidates, self.guard, limit)
        left = self.deadline - time.monotonic()
        self.stopped = tail.go(left if math.isfinite(left) else None, None)
        return space.rows(tail.best)

    def _near_rows(self, rows: Rows, t: int, most: int) -> list[tuple[float, ...]]:
        """Coefficients of step t on the grid, rounded to nearest first, then those that move f least."""
        arrays = [np.array(row) for row in rows]
        blocks = np.split(
            compose(arrays, self.problem.root, self.x)[1], np.cumsum(list(map(len, rows)))[:-1], axis=1
        )
        shape = blocks[t]
        if self.descent.space.shared:
            shape = np.sum(blocks, axis=0)
        elif t + 1 < len(rows):
            undone = np.linalg.qr(np.hstack(blocks[t + 1 :])).Q
            shape = shape - undone @ (undone.T @ shape)
        return self._near(rows[t], self._terms(rows, t), shape, most)

    def _near(self, row: Sequence[float], terms: np.ndarray, shape: np.ndarray, most: int) -> Any:
        moved = [list(map(to_whole, column)) for column in np.linalg.qr(shape).R.T.tolist()]
        wanted = sum_of(row, moved)
        sizes = np.max(np.abs(terms), axis=0)
        judgement = Judgement(moved, wanted, lambda left: -np.linalg.norm(left, axis=1), sizes)
        return near(self.where, row, [Distance(moved, wanted)], judgement, most)

    def _terms(self, rows: Rows, t: int) -> np.ndarray:
        """x^(1 + jr) of what step t receives, a column each."""
        root, x = self.problem.root, self.x
        for row in rows[:t]:
            x = evaluate(row, root, x)
        return np.power.outer(x, 1 + root * np.arange(len(rows[t])))

    def _ended_by_limits(self, rows: Rows, t: int) -> list[Rows]:
        """Where step t ends near 1: on the grid as if it were the last, the limit step about 1 after it.

        That step is on many grids, and the one about 1.001, which a free step becomes, is on none.
        """
        terms = self._terms(rows, t)
        if not 0 < t + 1 < len(rows) or np.max(abs(terms @ np.array(rows[t]) - 1)) > NEAR:
            return []
        limits = [best_approximation(self.problem.root, len(row) - 1, 1.0, 1.0) for row in rows[t + 1 :]]
        tail = [tuple(map(self.where.nearest, found.coefficients)) for found in limits]
        wanted = np.linalg.lstsq(terms, np.ones(len(terms)))[0].tolist()
        return [
            (*rows[:t], row, *tail)
            for target in (rows[t], wanted)
            for row in self._near(target, terms, terms, LOOKED_AT)
        ]

    def _settled(self, rows: Rows) -> Rows:
        """Rows from which no move of one or two coefficients by a unit makes the objective less."""
        shared = self.descent.space.shared
        least = self.descent.value_of(rows)
        places = [(t, j) for t in range(1 if shared else len(rows)) for j in range(len(rows[t]))]
        single = [((place, sign),) for place in places for sign in (1, -1)]
        double = [
            tuple(zip(pair, signs, strict=True))
            for pair in combinations(places, 2)
            for signs in product((1, -1), repeat=2)
        ]
        try:
            for _ in range(SWEEPS):
                before = least
                for moves in (*single, *double):
                    if not self._in_time():
                        return rows
                    other = self._stepped(rows, moves)
                    value = self.descent.value_of(other)
                    if value < least and valid(other, self.problem) is not None:
                        rows, least = other, value
                if least == before:
                    break
        except KeyboardInterrupt:
            self.stopped = "interrupted"
        return rows

    def _stepped(self, rows: Rows, moves: Sequence[tuple[tuple[int, int], int]]) -> Rows:
        """The rows with some coefficients moved by a unit of the grid, up or down."""
        changed = [list(row) for row in rows]
        for (t, j), sign in moves:
            c = changed[t][j]
            changed[t][j] = self.where.nearest(c + sign * float(self.where.spacing(c)))
        if self.descent.space.shared:
            changed = [changed[0]] * len(rows)
        return tuple(map(tuple, changed))

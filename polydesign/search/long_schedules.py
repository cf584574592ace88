"""Schedules with long steps for so many products: which sequences to try, and each of them made.

A sequence is judged beforehand by what the best polynomials of about its inner degrees would reach
(long_steps.close_to): finding one long step takes seconds, and there are hundreds of sequences. Every step
serves what the one before leaves, widened by the model of rounding (rounding/direct.py), as in
rounding_aware.py; without cushions: in float32 and float64 no trough is so deep that rounding reaches it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from polydesign.approximation.exchange import ConvergenceError
from polydesign.approximation.high_degree import levelled
from polydesign.approximation.scalar import exactly, half_width, image, received_step
from polydesign.model import EVALUATIONS, HALF, Problem, Schedule, Step
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.program.basis import expanded
from polydesign.program.cost import UNIT, cost, step_products
from polydesign.program.programs import INNER_DEGREES, factored, preferred, products
from polydesign.rounding import coupled as coupled_noise
from polydesign.rounding.direct import ROOM, follow, noise, predict, roundoff, start
from polydesign.search.budget import Path, additive, front, next_error, start_error
from polydesign.search.long_steps import PRODUCTS, Effort, close_to, long_step
from polydesign.search.minimax import design_step
from polydesign.search.rounding_aware import Proposal, Terms, rounded_headroom
from polydesign.search.standard import rounded_down

EFFORT = Effort()

NAME = "factored"
"""Of the evaluation, in files."""

STEADY = 1.2
"""Times the proved error: what a schedule with long steps may err by, measured or expected. Beyond it
rounding decides, and a steadier schedule of usual steps is as good."""

_STORED = 0.125  # times u: an error below that is not improved upon
_WIDE = 0.01  # errors that a long step is for: what is narrower, usual steps end
_FITTED = 1e-11  # the least error of a long step: its fit is one of float64


@dataclass(frozen=True, slots=True)
class LongSteps:
    """Steps of these inner degrees, 16, 32 and 64 among them: what makes a schedule again.

    Args:
        inner_degrees: One a step.
        headroom: μ >= 1, one a step.
        effort: Of the search for each long step.
    """

    inner_degrees: tuple[int, ...]
    headroom: tuple[float, ...]
    effort: Effort = EFFORT

    def search(self, problem: Problem) -> Schedule:
        """On the problem's interval; its degrees do not count. Raises ConvergenceError."""
        received = exactly(problem.lower), exactly(problem.upper)
        steps: list[Step] = []
        for n, headroom in zip(self.inner_degrees, self.headroom, strict=True):
            step, received = _step(problem.root, n, received, headroom, self.effort)
            steps.append(step)
        return Schedule(problem.root, (problem.lower, problem.upper), tuple(steps))


def is_long(inner_degree: int) -> bool:
    return inner_degree in [2**k for k in PRODUCTS]


def sequence(terms: Terms, most: float) -> tuple[int, ...]:
    """Inner degrees of steps that take `most` products at most: those from which most is expected, as a
    shortest path (budget.front); () where none of them is long."""
    inner = {n: products(preferred(n), n) for n in terms.inner_degrees} | {2**k: k for k in PRODUCTS}
    how: Any = {"form": terms.form, "root": terms.root}
    price = {n: terms.prices.of(step_products(count, **how)) for n, count in inner.items()}
    _, begin = additive(terms.prices, **how)
    goal = _STORED * UNIT_ROUNDOFF[terms.dtype]

    def moves(path: Path) -> Iterator[tuple[float, float, float, int]]:
        if path.state <= goal:
            return
        for n, count in inner.items():
            if path.cost + price[n] <= most and not (is_long(n) and path.state < _WIDE):
                reached = max(goal, _expected(terms.root, n, count, path.state))
                yield price[n], reached, reached, n

    error = float(start_error(terms.lower, terms.upper))
    best = front(Path(begin, error, error), moves, most)[-1].choices
    return best if any(map(is_long, best)) else ()


def _expected(root: int, n: int, count: int, error: float) -> float:
    """Of a step of inner degree n in `count` products on [1 − error, 1 + error]."""
    if error < _WIDE:  # float64 cannot tell such ends apart
        return float(next_error(root, n, error))
    ratio = (1 - error) / (1 + error)
    close = close_to(count, ratio) if is_long(n) else n
    found = math.exp(levelled(root, close, ratio).log_error)
    return max(found, _FITTED) if is_long(n) else found


def considered(terms: Terms) -> bool:
    """Whether long steps are among what may be proposed: in the direct and the coupled form, counted product
    by product, in float32 and float64; not where degrees or evaluations are prescribed.

    In half precision the first step alone rounds by more than the last is to leave.
    """
    everything = (terms.inner_degrees, terms.evaluations) == (INNER_DEGREES, EVALUATIONS)
    plain = terms.form in ("direct", "coupled") and terms.prices == UNIT
    return everything and plain and terms.dtype not in HALF


def steady(schedule: Schedule, error: float, form: str) -> bool:
    """Whether a schedule with long steps errs in its precision by what is proved of it, and little more. In
    the coupled form rounding P weighs on small eigenvalues whatever the steps, and nothing is asked."""
    usual = form == "coupled" or not any(step.long for step in schedule.steps)
    return usual or error <= STEADY * schedule.error


def propose_long(terms: Terms, most: float) -> Proposal | None:
    """The schedule with long steps for so many products, with headroom by the model.

    None where none is long, where rounding would lose values, or where no start leads to a step.
    """
    inner_degrees = sequence(terms, most)
    try:
        headroom = _headroom(terms, inner_degrees)
    except ConvergenceError:
        return None
    if not headroom:
        return None
    strategy = LongSteps(inner_degrees, headroom, EFFORT)
    schedule = strategy.search(Problem(terms.root, (1 + terms.root,), terms.lower, terms.upper))
    model = coupled_noise.predict if terms.coupled else predict
    expected = model(schedule, terms.dtype, rows=terms.rows, normalization=terms.normalization).error
    price = cost(schedule, terms.prices, form=terms.form)
    return Proposal(schedule, strategy, price, 1.0, expected, expected)


def _headroom(terms: Terms, inner_degrees: tuple[int, ...]) -> tuple[float, ...]:
    """What the model says that each step receives, over what it would receive without rounding; () where
    rounding may lose values."""
    u = roundoff(terms.dtype)
    (low, high), _ = start((terms.lower, terms.upper), terms.dtype, terms.rows)
    judged = coupled_noise.judged_from(low, terms.root, terms.dtype, terms.rows) if terms.coupled else low
    received = exactly(terms.lower), exactly(terms.upper)
    found = []
    for n in inner_degrees:
        found.append(rounded_headroom((1 + ROOM * u) * high / float(received[1])))
        step, received = _step(terms.root, n, received, found[-1], EFFORT)
        mass = None if len(found) > 1 else terms.mass
        own = noise(step.program, step.coefficients, terms.root, step.domain[1], mass=mass)
        if terms.coupled:
            at = float(step(low)), float(step(judged)), float(step(high))
            after, judged = coupled_noise.follow(own, terms.root, (low, judged, high), at, u, mass=mass)
        else:
            after = follow(own, low, high, (float(step(low)), float(step(high))), u)
        low, high = after.left
        if low <= 0:
            return ()
    return tuple(found)


def _step(
    root: int, n: int, received: tuple[Any, Any], headroom: float, effort: Effort
) -> tuple[Step, tuple[Any, Any]]:
    """One step for what it receives, and the exact image of that."""
    if not is_long(n):
        return design_step(root, n, received, headroom, 0.0, preferred(n))
    low, high = received
    top, k = high * exactly(headroom), n.bit_length() - 1
    found = long_step(root, k, rounded_down(float(low / top)), effort)
    scale = float(2 / top**root)

    def made(share: Any) -> Any:
        """The program for [.., top], its linear constants times the share."""
        rho, *numbers = found.constants
        bent = len(numbers) - k - 1
        linear = [float(exactly(c) * share / top) for c in (rho, *numbers[bent:])]
        return factored((scale, linear[0], *numbers[:bent], *linear[1:]))

    smallest, largest = image(expanded(made(1)), root, received)
    step, mapped = received_step(root, made(2 / (smallest + largest)), NAME, received)
    return (
        Step(
            degree=step.degree,
            coefficients=step.coefficients,
            domain=(float(low), float(top)),
            image=step.image,
            half_width=float(half_width(mapped)),
            evaluation=NAME,
            program=step.program,
        ),
        mapped,
    )

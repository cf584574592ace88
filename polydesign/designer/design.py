"""From keywords to a certified Table: the command line and Python callers share this."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from inspect import signature
from typing import Any

from polydesign import __version__
from polydesign.approximation.certificate import certify as prove
from polydesign.approximation.sampling import sampled_certificate
from polydesign.approximation.scalar import schedule_from, schedule_of
from polydesign.designer import remembered
from polydesign.designer.methods import method_of, strategy_of, within
from polydesign.designer.strategy import Found, Task, given
from polydesign.model import InputError, Provenance, Schedule, Table, check_number
from polydesign.search.pace import TimeIsUpError, nobody, paced
from polydesign.table import digest
from polydesign.table.published import DEFAULT_INTERVAL, published

WORTH_KEEPING = 1.0
"""Seconds of a search from which on its table is kept for the next time."""


def design(
    *,
    root: int = 2,
    degree: int | Sequence[int] | None = None,
    steps: int | None = None,
    error: float | None = None,
    band: float | None = None,
    lower: float | str = 1e-3,
    upper: float = 1.0,
    dtype: Any = None,
    normalization: str = "frobenius",
    purpose: str | None = None,
    name: str | None = None,
    certify: bool = True,
    method: str | None = None,
    timeout: float | None = None,
    watch: Callable[..., None] | None = None,
    doing: Callable[[str], None] | None = None,
    cut_short: Callable[[str], None] | None = None,
    known: Callable[[str], None] | None = None,
    recalled: Callable[[str], None] | None = None,
    fresh: bool = False,
    **settings: Any,
) -> Table:
    """The best schedule of steps of these degrees on [lower, upper], as a Table with a certificate.

    Args:
        root: r >= 1.
        degree: 1 + n·r, one for all steps (then `steps` or `error` is needed) or one a step, 5 where nothing
            is said. For a budget, those that it may use.
        steps: How many steps of one degree.
        error: Reach this with the fewest steps; of a budget, at the least cost.
        band: End within so much of 1, from the smallest l that so many products or steps can: the same as
            this error with lower="min".
        lower: l of the interval, or "min", with error and steps or matmuls: the smallest lower end from which
            they reach it.
        upper: u of the interval.
        dtype: The precision it will run in, bfloat16 where nothing is said; it sets the safety where none is
            given. The table keeps it where it was given, or where the safety is that precision's.
        normalization: What the runtime divides its input by (model.NORMALIZATIONS); the schedule does not
            depend on it, but for a budget's.
        purpose: root where a schedule of root 2 is for P^(-1/2); else what root and method say
            (model.PURPOSES).
        name: Of the table; made from the keywords where nothing is said.
        certify: Prove the error (a few hundredths of a second), or else only sample it.
        method: A name of methods.METHODS: equioscillation is best for the worst case, budget finds the
            degrees too, adam searches by gradients for another objective, clip makes schedules for
            runtime.spectral_clip. Left out, matmuls=N means budget, and anything else equioscillation.
        timeout: Seconds, after which the best so far is taken, as after Ctrl-C. Its provenance says what is
            unfinished, and so does its name.
        watch, doing, cut_short, known, recalled: Callables for long searches: see strategy.Task.
        fresh: Search again, though this search's table comes with the package or is kept in the user's cache
            folder, where a search of more than a second leaves it (remembered.py).
        settings: The fields of the strategy: minimax.Minimax, budget.Budget, gradient.Gradient,
            clip.ClipSearch.
            None is what is left out.

    Returns:
        The table; `polydesign.save` writes it.

    Raises:
        InputError: Something does not fit, or nothing was found before the timeout; it names the keyword.
        KeyboardInterrupt: Of Ctrl-C before anything was found.

    >>> table = design(degree=5, steps=6, lower=1e-3, headroom=1, cushion=0)
    >>> f"{table.schedule.error:.9g}"
    '0.000916472189'
    """
    if not isinstance(certify, bool):
        raise InputError("certify", f"must be True or False, not {certify!r}")
    if timeout is not None:
        timeout = check_number("timeout", timeout)
        if not timeout > 0:
            raise InputError("timeout", f"must be positive, and is {timeout!r}")
    named, method = name, method_of(method, settings)
    if band is not None:
        error, lower = within(band, method, degree, steps, error, lower, settings)
    told = (watch or nobody, doing or nobody, cut_short or nobody, known or nobody, recalled or nobody)
    task = Task(method, root, degree, steps, error, lower, upper, dtype, normalization, purpose, *told, fresh)
    strategy = strategy_of(method, settings, signature(design).parameters)
    if purpose is not None and purpose not in strategy.serves:
        served = " or ".join(strategy.serves)
        raise InputError("purpose", f"is {served} for method {method}, not {purpose!r}: leave it out")
    kept = remembered.recall(strategy, task) if certify and not fresh else None
    if kept is not None:
        task.recalled(str(kept[1]))
        return replace(kept[0], name=name or kept[0].name)
    before = strategy.known(task)
    if before is not None:
        task.known(before)
    start = time.monotonic()
    with paced(timeout, task.doing) as pace:
        try:
            found = strategy.search(task)
        except InputError as problem:
            if band is None or problem.field not in ("error", "lower"):
                raise
            raise InputError("band", problem.problem) from problem
        except TimeIsUpError as problem:
            words = f" ({pace.doing})" if pace.doing else ""
            raise InputError(
                "timeout",
                f"{timeout:g} s were over before anything was found{words}: give more, or leave it out",
            ) from problem
    _check_answer(task, found if isinstance(found, Schedule) else found.schedule)
    if isinstance(found, Schedule):
        stated: Any = strategy
        found = Found(found, given(asdict(stated)), dtype=task.dtype)
    name = name or strategy.name(found, task)
    if pace.why and "stopped" not in found.parameters:
        missing = {"stopped": pace.why, "unfinished": "not all was tried"} | found.parameters
        found, name = replace(found, parameters=missing), named or f"{name}-unfinished"
        task.cut_short(pace.why)
    how: dict[str, Any] = {"normalization": normalization, "purpose": purpose, "certify": certify}
    table = finished(found, method=method, name=name, **how)
    if certify and not found.warned and not pace.why and time.monotonic() - start > WORTH_KEEPING:
        remembered.keep(strategy, task, replace(table, name=strategy.name(found, task)))
    return table


def _check_answer(task: Task, schedule: Schedule) -> None:
    """Refuse a schedule that is not what was asked for, from a strategy that does not look at all of it."""
    asked = {task.degree} if isinstance(task.degree, int) else set(task.degree or schedule.degrees)
    if schedule.root != task.root:
        raise InputError(
            "root", f"is {task.root}, and method {task.method} made a schedule of {schedule.root}"
        )
    if not set(schedule.degrees) <= asked:
        made = ", ".join(map(str, sorted(set(schedule.degrees))))
        raise InputError(
            "degree", f"{task.degree} is not what method {task.method} makes: steps of degree {made}"
        )


def finished(
    found: Found,
    *,
    method: str,
    name: str,
    normalization: str = "frobenius",
    purpose: str | None = None,
    certify: bool = True,
    source: str | None = None,
) -> Table:
    """The table of what was found: every table that is designed is made here.

    Args:
        method: The strategy of its provenance.
        purpose: Where the search does not know of another.
        certify: Prove the error, or else only sample it.
        source: Where a schedule of the literature is from.

    Raises InputError where its purpose or form does not fit.
    """
    schedule = found.schedule
    return Table(
        name=name,
        schedule=schedule,
        provenance=Provenance(__version__, method, found.parameters, found.seed, source),
        normalization=normalization,
        certificate=prove(schedule) if certify else sampled_certificate(schedule, digest(schedule)),
        purpose=found.purpose or purpose or "",
        dtype=found.dtype,
        form=found.form,
        observed=found.observed,
    )


def published_table(name: str) -> Table:
    """A schedule of the literature as a Table with a proved certificate.

    Where the source names no interval, it is looked at on DEFAULT_INTERVAL, and provenance.parameters says
    so. Raises InputError for an unknown name, ArithmeticError where nothing can be proved.
    """
    entry = published(name)
    interval = entry.interval or DEFAULT_INTERVAL
    programs = entry.programs()
    if programs is None:
        schedule = schedule_from(entry.root, entry.steps_run(), interval)
    else:
        schedule = schedule_of(entry.root, programs, interval, entry.scheme or "")
    parameters = {
        "interval": "named by the source" if entry.interval else "not named by the source",
        "rows": len(entry.rows),
    }
    stated = ("folded", "recommended_factor", "cushion", "tail", "misprint")
    parameters |= {name: getattr(entry, name) for name in stated}
    found = Found(schedule, parameters, purpose=entry.purpose)
    return finished(found, method="published", name=name, source=entry.source)

"""How long a search may take, what it is doing, and what becomes of it when its time is over.

What takes long are loops far below the call that knows the limit, behind caches whose keys are the problem.
So the limit is one of the context, and no argument of every function in between. Loops call `check`, which
raises once the time is over or Ctrl-C was pressed, and again whenever it is called after that; a function
that has something to show for it by then calls them inside `best_so_far`, and returns that.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

now = time.monotonic
"""Seconds of a clock that only goes forward."""


def nobody(*_: object) -> None:
    """Told of something, and does nothing."""


class TimeIsUpError(Exception):
    """A search has had its time."""


@dataclass(slots=True)
class Pace:
    """Of one search.

    deadline: in seconds of `now`. tell: called with what is being done, in words. doing: that. why:
    "timeout" or "interrupted" once it is over.
    """

    deadline: float = math.inf
    tell: Callable[[str], None] = nobody
    doing: str = ""
    why: str = ""


_PACE: ContextVar[Pace | None] = ContextVar("pace", default=None)


@contextmanager
def paced(timeout: float | None, tell: Callable[[str], None]) -> Iterator[Pace]:
    """What is searched inside has so many seconds, None for as many as it needs."""
    pace = Pace(math.inf if timeout is None else now() + timeout, tell)
    token = _PACE.set(pace)
    try:
        yield pace
    finally:
        _PACE.reset(token)


def check() -> None:
    """Raise TimeIsUpError where the time is over, and KeyboardInterrupt after one."""
    pace = _PACE.get()
    if pace is None:
        return
    if not pace.why and now() > pace.deadline:
        pace.why = "timeout"
    if pace.why == "interrupted":
        raise KeyboardInterrupt
    if pace.why:
        raise TimeIsUpError


def doing(words: str) -> None:
    """Say what is being done, and check."""
    pace = _PACE.get()
    if pace is not None:
        pace.doing = words
        pace.tell(words)
    check()


def over() -> str:
    """ "timeout" or "interrupted" where the search was cut short, or else ""."""
    pace = _PACE.get()
    return "" if pace is None else pace.why


def seconds_left() -> float | None:
    """None for as many as it needs."""
    pace = _PACE.get()
    return None if pace is None or math.isinf(pace.deadline) else max(0.0, pace.deadline - now())


class best_so_far:  # noqa: N801  in a with statement it is a verb; type checkers read __exit__'s bool
    """What is done inside ends where it is when the time is over, and what it has kept counts; `over` says
    so afterwards. Outside of a paced search an interrupt gets out."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        pace = _PACE.get()
        if kind is None or pace is None or not issubclass(kind, (TimeIsUpError, KeyboardInterrupt)):
            return False
        pace.why = pace.why or "interrupted"  # check has said that it is a timeout, where it is one
        return True


@contextmanager
def unhurried() -> Iterator[None]:
    """For the second that it takes to end well: nothing inside is cut short, but by another Ctrl-C."""
    token = _PACE.set(None)
    try:
        yield
    finally:
        _PACE.reset(token)

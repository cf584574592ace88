"""Work in processes: with a time limit, dropped when it is stale, and no more than its share for a session.

A session is one open page. What it asks for is of a kind (a preview, a search, a run), and of one kind only
the latest counts: a newer request drops one that waits, and ends the process of one that runs. A process
that is ended, or that dies, is replaced by the next request.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

from polydesign.explorer.work import MODULE, serve
from polydesign.model import InputError

_START = 120.0
"""Seconds that a process may take to start, which is not the time of what it is asked for."""

_PATIENCE = 0.3
"""Seconds that stale work may go on: what is short ends by itself, and its process keeps its caches."""

_GLANCE = 0.02
"""Seconds between two looks at whether running work is stale."""


class StaleError(Exception):
    """A newer request of the same kind has come, or the work was cancelled."""


class LimitError(InputError):
    """Work took longer than it may, or found no free process."""


class BrokenError(RuntimeError):
    """Work ended without an answer: the process died, or the code failed."""


class _Worker:
    """A process that does one piece of work after another."""

    def __init__(self, context: Any) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs,), daemon=True)
        self.process.start()
        self.ready = False
        theirs.close()

    def end(self) -> None:
        self.process.kill()
        self.process.join(5)
        self.pipe.close()


class Pool:
    """So many processes, of which a session has some at most.

    Args:
        workers: Processes, started when they are needed.
        each: How many of them a session may have at a time.
        limit: Seconds that work may take, waiting for a process included, but not for one to start.
        ends_stale: Whether running work is ended when it is stale; short work is better let finish, since a
            new process has nothing in its caches.
        preload: Modules from which processes are forked.
    """

    def __init__(
        self, workers: int, each: int, limit: float, *, ends_stale: bool = True, preload: tuple[str, ...] = ()
    ) -> None:
        self.workers, self.each, self.limit, self.ends_stale = workers, each, limit, ends_stale
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload([MODULE, *preload])
        self._changed = threading.Condition()
        self._free: list[_Worker] = []
        self._busy: dict[_Worker, str] = {}
        self._latest: dict[tuple[str, str], int] = {}
        self._tickets = itertools.count(1)
        self._closed = False

    def run(
        self,
        session: str,
        kind: str,
        task: str,
        *args: Any,
        settle: float = 0.0,
        limit: float | None = None,
        watch: Callable[[Any], None] | None = None,
    ) -> Any:
        """What the task returns.

        settle: seconds in which a newer request of the kind may come, before anything begins. watch: called
        with what the task tells of its progress.

        Raises StaleError, LimitError, BrokenError, and the InputError that the task raises.
        """
        key, limit = (session, kind), limit or self.limit
        deadline = time.monotonic() + limit
        with self._changed:
            ticket = self._latest[key] = next(self._tickets)
            self._changed.notify_all()
        try:
            worker = self._taken(key, ticket, time.monotonic() + settle, deadline)
            done = False
            try:
                worker.pipe.send((task, args))
                result = self._answer(worker, key, ticket, deadline, limit, watch)
                done, stale = True, self.ends_stale and self._stale(key, ticket)
            except InputError as problem:
                done = not isinstance(problem, LimitError)
                if self.ends_stale and self._stale(key, ticket):
                    raise StaleError from problem
                raise
            except (EOFError, OSError) as problem:
                raise BrokenError("the process ended before it had an answer") from problem
            finally:
                self._give_back(worker, done)
        finally:
            with self._changed:
                if self._latest.get(key) == ticket:
                    del self._latest[key]
        if stale:
            raise StaleError
        if result[0] == "failed":
            raise BrokenError(result[1])
        return result[1]

    def cancel(self, session: str, kind: str) -> None:
        """Drop what the session has of this kind."""
        with self._changed:
            if (session, kind) in self._latest:
                self._latest[session, kind] = next(self._tickets)
                self._changed.notify_all()

    def close(self) -> None:
        """End all processes; nothing can be run any more."""
        with self._changed:
            self._closed = True
            ended, self._free = self._free, []
            self._latest = dict.fromkeys(self._latest, 0)
            self._changed.notify_all()
        for worker in ended:
            worker.end()

    def _stale(self, key: tuple[str, str], ticket: int) -> bool:
        return self._closed or self._latest.get(key) != ticket

    def _taken(self, key: tuple[str, str], ticket: int, start: float, deadline: float) -> _Worker:
        """A free process, once the request has settled and one may be had."""
        with self._changed:
            while True:
                if self._stale(key, ticket):
                    raise StaleError
                now = time.monotonic()
                held = Counter(self._busy.values())[key[0]]
                room = self._free or len(self._busy) < self.workers
                if now >= start and room and held < self.each:
                    break
                if now >= deadline:
                    raise LimitError("time", "all processes were busy for too long: try again")
                self._changed.wait((start if now < start else deadline) - now)
            worker = self._free.pop() if self._free else None
            while worker is not None and not worker.process.is_alive():
                worker = self._free.pop() if self._free else None
            worker = worker or _Worker(self._context)
            self._busy[worker] = key[0]
        return worker

    def _answer(
        self,
        worker: _Worker,
        key: tuple[str, str],
        ticket: int,
        deadline: float,
        limit: float,
        watch: Callable[[Any], None] | None,
    ) -> tuple[str, Any]:
        deadline, patience = deadline if worker.ready else time.monotonic() + _START, 0.0
        while True:
            if worker.pipe.poll(_GLANCE):
                kind, *rest = worker.pipe.recv()
                if kind == "ready":
                    worker.ready, deadline = True, time.monotonic() + limit
                    continue
                if kind == "told":
                    if watch is not None:
                        watch(rest[0])
                    continue
                if kind == "refused":
                    raise InputError(*rest)
                return kind, rest[0]
            if self.ends_stale and self._stale(key, ticket):
                patience = patience or time.monotonic() + _PATIENCE
                if time.monotonic() > patience:
                    raise StaleError
            if time.monotonic() > deadline:
                raise LimitError("time", f"was over before there was a result ({limit:g} s): ask for less")

    def _give_back(self, worker: _Worker, done: bool) -> None:
        kept = done and not self._closed and worker.process.is_alive()
        if not kept:
            worker.end()
        with self._changed:
            del self._busy[worker]
            if kept:
                self._free.append(worker)
            self._changed.notify_all()

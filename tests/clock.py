"""A clock for tests of timing: it stands still but for what fake calls spend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any


class Clock:
    """now: seconds; calls: names in the order in which they were called."""

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

"""Processes that tests run ranks in: four, forked once from one that has torch loaded, with a time limit."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

LIMIT = 300.0
"""Seconds that a call may take: a machine may be busy, and a hang must end."""


def _serve(pipe: Connection, rank: int) -> None:
    import torch

    torch.set_num_threads(1)
    while True:
        found = pipe.recv()
        if found is None:
            return
        try:
            pipe.send((True, _on_rank(rank, *found)))
        except BaseException:
            pipe.send((False, traceback.format_exc()))


def _on_rank(rank: int, world: int, store: str, function: Callable[..., Any], arguments: Any) -> Any:
    import torch.distributed as dist

    where = dist.FileStore(store, world)  # pyright: ignore[reportPrivateImportUsage]
    dist.init_process_group(
        "gloo", store=where, rank=rank, world_size=world, timeout=timedelta(seconds=LIMIT / 2)
    )
    try:
        return function(rank, *arguments)
    finally:
        dist.destroy_process_group()


class Ranks:
    """So many processes, which have imported the modules `preload`; `run` gives a function to the first `world` of them, as the ranks of one group."""

    def __init__(self, count: int, preload: Sequence[str]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([*preload, "scipy.optimize"])
        # The process that is forked looks for modules where this one does only if it is told so.
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
        self.folder, self.calls = tempfile.TemporaryDirectory(), 0
        self.pipes, self.processes = [], []
        for rank in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, rank), daemon=True)
            process.start()
            theirs.close()
            self.pipes.append(ours)
            self.processes.append(process)
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before

    def run(self, world: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What function(rank, *arguments) returned on each rank; what one raised is raised here."""
        self.calls += 1
        store = str(Path(self.folder.name, str(self.calls)))
        for pipe in self.pipes[:world]:
            pipe.send((world, store, function, arguments))
        results, problems = [], []
        for rank, pipe in enumerate(self.pipes[:world]):
            if not pipe.poll(LIMIT):
                self.close()
                raise TimeoutError(f"rank {rank} has not answered for {LIMIT} s: it hangs")
            fine, found = pipe.recv()
            (results if fine else problems).append(found)
        assert not problems, "\n".join(problems)
        return results

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.join()
        self.folder.cleanup()

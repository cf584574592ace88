"""A hunt for matrices that a table blows up or loses: random ones first, and then what is close to the worst.

Families whose roundings agree are followed in every kind of loop, and small dense matrices are run in torch,
in turn. Every round has random numbers of its own, so that a hunt goes on where it was stopped and gives what
it would have given without a stop.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polydesign.identification.tables import table_of
from polydesign.model import HALF, LOOPS, InputError, Plan, Table, Trial, check_number, dtype_name, quoted
from polydesign.rounding.families import FAMILIES, Parameters
from polydesign.rounding.neighbours import Kept
from polydesign.rounding.trial import CHUNK, Tally, most
from polydesign.runtime import msign
from polydesign.table.given import Source
from polydesign.text.files import write_atomically
from polydesign.verification.climbing import INFINITE, Case, Found, badness
from polydesign.verification.dense import Dense
from polydesign.verification.sought import Followed

SCANNED = 1_000_000
"""Random members of each family and loop that come first; of dense matrices, as many batches."""

FRESH = 4
"""After that, one of so many rounds is of random members again."""

SAVED_EVERY = 60.0
"""Seconds."""


@dataclass(slots=True)
class Hunt:
    """What a hunt has found so far.

    Attributes:
        table: That is tried.
        dtype: bfloat16 or float16.
        seed: Of its random numbers.
        scan: Random members of each family and loop that come first.
        found: By family and loop.
        rounds: How many there were.
        spent: Seconds.
    """

    table: Table
    dtype: str
    seed: int
    scan: int
    found: list[Found]
    rounds: int = 0
    spent: float = 0.0

    def round(self) -> None:
        """One family in one loop."""
        turn, index = divmod(self.rounds, len(self.found))
        rng = np.random.default_rng([self.seed, self.rounds])
        if turn * CHUNK < self.scan or turn % FRESH == 0:
            self.found[index].fresh(rng, self.table)
        else:
            self.found[index].climb(rng, self.table)
        self.rounds += 1

    def trials(self) -> tuple[Trial, ...]:
        """What the table's file says of it, a Trial a family and loop."""
        return tuple(
            f.tally.trial(self.table.digest, f"hunt: {f.source.name}", f.source.loop, self.dtype, self.seed)
            for f in self.found
            if f.tally.tried
        )

    def cases(self) -> list[Case]:
        """The worst of each family and loop."""
        return [one.worst(self.table) for one in self.found if one.kept]

    def worst(self) -> list[Case]:
        """The worst of each loop that has a case."""
        limit = most(self.table.schedule)
        of_loop = ([case for case in self.cases() if case.loop == loop] for loop in LOOPS)
        return [max(some, key=lambda case: badness(case.error, case.size, limit)) for some in of_loop if some]

    def blown(self, loops: Sequence[str] = LOOPS) -> int:
        """How many were, in these loops."""
        return sum(one.tally.blown for one in self.found if one.source.loop in loops)

    def call(self, matrix: np.ndarray, **plan: Any) -> float:
        """The largest singular value that msign gives. plan: what differs from a plain call."""
        X = msign(torch.from_numpy(matrix), self.table, Plan(self.dtype, check=False, **plan)).double()
        return torch.linalg.svdvals(X)[0].item() if X.isfinite().all() else math.inf


def hunt(
    table: Source,
    seconds: float,
    *,
    dtype: Any = None,
    seed: int = 0,
    state: str | PathLike[str] | None = None,
    scan: int = SCANNED,
    rounds: int | None = None,
    enough: int | None = None,
    progress: Callable[..., object] | None = None,
) -> Hunt:
    """Look for matrices that a table of signs blows up or loses in half precision.

    Ctrl-C ends it with what is there.

    Args:
        table: A Table, its name in the catalogue, the path of its file, rows, or a source file with a list.
        seconds: How long to look, in this call.
        dtype: bfloat16 or float16; None for the precision the table was designed for, or bfloat16.
        seed: Of the random numbers.
        state: A JSON file: a hunt that is there goes on, and what was found is kept in it.
        scan: How many random members of each family and loop come first.
        rounds: At most so many in this call, of some 10,000 members each.
        enough: Stop where so many members were blown up.
        progress: Called with the seconds that went by, those that there are, and a text.

    Returns:
        What was tried, and the worst cases.

    Raises:
        InputError: The table is none of signs, the precision no half, or the state of another hunt.
    """
    found = table_of(table)
    precision = dtype_name(dtype or found.dtype or "bfloat16")
    seconds = check_number("seconds", seconds)
    if found.schedule.root != 2 or found.purpose != "sign":
        raise InputError(
            "table",
            f"{found.name} is of purpose {found.purpose}, and only signs are hunted: take one of those",
        )
    if precision not in HALF:
        raise InputError("dtype", f"{precision} is not hunted in: take one of {', '.join(HALF)}")
    file = None if state is None else Path(state)
    one = _new(found, precision, seed, scan)
    if file is not None and file.exists():
        _resume(one, file)
    began, saved, before, last = time.monotonic(), time.monotonic(), one.spent, one.rounds + (rounds or 0)
    try:
        while (now := time.monotonic()) - began < seconds and (rounds is None or one.rounds < last):
            if enough is not None and one.blown() >= enough:
                break
            one.round()
            one.spent = before + time.monotonic() - began
            if file is not None and now - saved > SAVED_EVERY:
                saved = now
                write_atomically(file, _to_json(one))
            if progress is not None:
                progress(now - began, seconds, f"{one.blown()} blown up")
    except KeyboardInterrupt:
        pass
    if file is not None:
        write_atomically(file, _to_json(one))
    return one


def _new(table: Table, dtype: str, seed: int, scan: int) -> Hunt:
    followed = [Followed(table, dtype, family, loop) for family in FAMILIES for loop in LOOPS]
    dense = [Dense(table, dtype, fixed) for fixed in (False, True)]
    return Hunt(table, dtype, seed, scan, [Found(source) for source in (*followed, *dense)])


def _to_json(one: Hunt) -> str:
    body: dict[str, Any] = {"table": one.table.name, "digest": one.table.digest}
    body |= {name: getattr(one, name) for name in ("dtype", "seed", "scan", "rounds", "spent")}
    body["found"] = [
        {"family": f.source.name, "loop": f.source.loop}
        | asdict(f.tally)
        | {"worst": min(f.tally.worst, INFINITE)}
        | {"kept": {name: [*(x.tolist() for x in k.members), k.rank.tolist()] for name, k in f.kept.items()}}
        for f in one.found
    ]
    return json.dumps(body, allow_nan=False) + "\n"


def _resume(one: Hunt, file: Path) -> None:
    """What the file holds, put into a new hunt."""
    try:
        body = json.loads(file.read_text("utf-8"))
        own = {"digest": one.table.digest, "dtype": one.dtype, "seed": one.seed, "scan": one.scan}
        for name, value in own.items():
            if body[name] != value:
                raise InputError(
                    "state", f"{file} is a hunt with {name} {body[name]}, not {value}: take another file"
                )
        one.rounds, one.spent = body["rounds"], body["spent"]
        for found, entry in zip(one.found, body["found"], strict=True):
            worst = np.inf if entry["worst"] >= INFINITE else entry["worst"]
            found.tally = Tally(entry["tried"], entry["blown"], entry["lost"], worst)
            for name, (sizes, numbers, norm, rank) in entry["kept"].items():
                shaped = [np.array(x, float).reshape(-1, len(norm)) for x in (sizes, numbers)]
                members = Parameters(shaped[0], shaped[1], np.array(norm))
                found.kept[name] = Kept(members, np.array(rank))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
        if isinstance(problem, InputError):
            raise
        raise InputError("state", f"{file} holds no hunt ({quoted(problem)}): take another file") from problem

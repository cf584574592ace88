"""Clip schedules as designer/design.py asks for them where the method is clip."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from polydesign.approximation.sampling import stated_clip_error
from polydesign.designer.finishing import Found
from polydesign.designer.naming import runs, short
from polydesign.model import DTYPES, InputError, Problem
from polydesign.search.clip import Clipping

STRATEGY = "clip"

SAFETY = {
    "bfloat16": Clipping(headroom=1.02, image_floor=0.12),
    "float16": Clipping(headroom=1.01, image_floor=0.05),
    "float32": Clipping(headroom=1.002),
    "float64": Clipping(headroom=1.0001),
}
"""What a precision gets where nothing is given, from experiment (degree 9 in bfloat16, 17 elsewhere): without
a floor, values of rank-2 matrices were lost in both half precisions, and degree 17 lost some in bfloat16."""


def clipping(
    problem: Problem, dtype: str | None, given: dict[str, Any], evaluation: str | None, rounding: str | None
) -> Found:
    """The schedule for the problem. given: headroom, cushion and image_floor as the caller wrote them.

    dtype: None is bfloat16 where its safety is taken, and no precision beside a safety of one's own.

    Raises InputError for what clip schedules do not have.
    """
    for key, value in (*given.items(), ("evaluation", evaluation), ("round", rounding)):
        if value is not None and key not in ("headroom", "image_floor"):
            raise InputError(key, "is not for clip schedules: leave it out")
    chosen = {key: value for key, value in given.items() if value is not None}
    dtype = dtype if chosen else dtype or "bfloat16"
    strategy = Clipping(**chosen) if dtype is None or chosen else SAFETY[dtype]
    schedule = strategy.search(problem)
    parameters = asdict(strategy) | ({} if chosen else {"dtype": dtype})
    parameters["clip_error"] = stated_clip_error(schedule)
    safety = [f"h{short(strategy.headroom)}-f{short(strategy.image_floor)}"] if chosen else []
    parts = [f"clip-d{runs(schedule.degrees)}-l{short(problem.lower)}", *safety]
    name = "-".join([*parts, *([DTYPES[dtype]] if dtype else [])])
    return Found(schedule, STRATEGY, parameters, name, purpose="clip", dtype=dtype)

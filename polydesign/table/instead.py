"""Which table to take in place of one that blows up in a half precision."""

from __future__ import annotations

from polydesign.model import DTYPES, Schedule
from polydesign.program.cost import matmuls
from polydesign.table.catalogue import entries


def plain_instead(schedule: Schedule, dtype: str) -> str:
    """What to take, in words: the plain table of the package with the least error and no more products.

    Args:
        schedule: Of the sign. A schedule of quintics is replaced by quintics, which every codebase takes.
        dtype: bfloat16 or float16.

    Returns:
        "take NAME, which is plain", or where to look.
    """
    quintics = max(schedule.degrees) <= 5
    fitting = [
        one
        for one in entries()
        if (one.purpose, one.dtype, one.standing()) == ("sign", dtype, "plain")
        and one.matmuls <= matmuls(schedule)
        and one.interval[0] <= schedule.interval[0]
        and (one.rows or not quintics)
    ]
    if not fitting:
        return f"polydesign list --own --dtype {DTYPES[dtype]} shows which are plain"
    return f"take {min(fitting, key=lambda one: one.error).name}, which is plain"

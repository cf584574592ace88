"""Write polydesign/earlier.json: tables of earlier versions that blow up matrices whose roundings agree.

python scripts/earlier_tables.py FOLDER    a folder of tables as an earlier version shipped them

Every table for the sign that was made for a half precision is tried on a million members of
diagonal-and-rest, in fused and in separate loops. Where a table blows up none in either, the trials of its
own file count, of the family of which it blew up most. Where it blew up none there too, it is left out, and
so is a second table of the same schedule. What the file holds already stays.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from polydesign import load
from polydesign.model import Table, Trial, half_of
from polydesign.rounding.trial import random_trial
from polydesign.text.files import write_atomically

FAMILY, COUNT, SEED = "diagonal-and-rest", 1_000_000, 0
FILE = Path(__file__).resolve().parent.parent / "polydesign" / "earlier.json"


def listed(table: Table, dtype: str) -> dict[str, Any] | None:
    """The entry of a table; None where nothing blows up."""
    trials = [
        random_trial(table.schedule, dtype, FAMILY, COUNT, loop=loop, seed=SEED, purpose=table.purpose)
        for loop in ("fused", "separate")
    ]
    if not any(one.blown for one in trials):
        trials = recorded(table, dtype)
    if not any(one.blown for one in trials):
        return None
    names = ("family", "loop", "tried", "blown", "lost", "worst", "seed")
    return {
        "name": table.name,
        "dtype": dtype,
        "digest": table.digest,
        "rows": [[float(f"{c:.12g}") for c in row] for row in table.as_tuples()],
        "tried": [{name: getattr(one, name) for name in names} for one in trials],
    }


def recorded(table: Table, dtype: str) -> list[Trial]:
    """The trials of its file in fused and in separate loops, of the family of which it blew up most."""
    known = [one for one in table.tried if one.dtype == dtype and one.loop in ("fused", "separate")]
    worst = max(known, key=lambda one: one.blown, default=None)
    found = {one.loop: one for one in known if worst is not None and one.family == worst.family}
    return [found[loop] for loop in ("fused", "separate") if loop in found]


def main(folder: str) -> None:
    """Try the tables of the folder and write the file."""
    found: dict[str, dict[str, Any]] = {one["digest"]: one for one in json.loads(FILE.read_text("utf-8"))}
    for path in sorted(Path(folder).glob("*.json")):
        table = load(path)
        dtype = table.dtype and half_of(table.purpose, table.dtype)
        entry = listed(table, dtype) if dtype and table.digest not in found else None
        if entry is not None:
            found[table.digest] = entry
    lines = ",\n".join(f" {json.dumps(entry)}" for entry in found.values())
    write_atomically(FILE, f"[\n{lines}\n]\n")
    print(f"{len(found)} tables in {FILE.name}")


if __name__ == "__main__":
    main(*sys.argv[1:])

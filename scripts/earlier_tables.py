"""Write polydesign/earlier.json: tables of earlier versions that blow up matrices whose roundings agree.

python scripts/earlier_tables.py FOLDER    a folder of tables as an earlier version shipped them

Every table for the sign that was made for a half precision is tried on a million members of
diagonal-and-rest, in fused and in separate loops. A table that blows up none in either is left out, and so is
a second table of the same schedule.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from polydesign import load
from polydesign.model import Table, half_of
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
        return None
    names = ("family", "loop", "tried", "blown", "lost", "worst", "seed")
    return {
        "name": table.name,
        "dtype": dtype,
        "digest": table.digest,
        "rows": [[float(f"{c:.12g}") for c in row] for row in table.as_tuples()],
        "tried": [{name: getattr(one, name) for name in names} for one in trials],
    }


def main(folder: str) -> None:
    """Try the tables of the folder and write the file."""
    found: dict[str, dict[str, Any]] = {}
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

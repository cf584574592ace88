"""What polydesign verify --hunt does and prints: a row a family and loop, and the worst case of each loop."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from polydesign.cli.grids import grid, show
from polydesign.cli.progress import progress
from polydesign.model import InputError, Table
from polydesign.text.files import write_atomically

if TYPE_CHECKING:
    from polydesign.verification.climbing import Case
    from polydesign.verification.hunting import Hunt

COLUMNS = 100


def hunted(
    table: Table, seconds: float, *, dtype: str | None, seed: int, state: str | None, quiet: bool
) -> Hunt:
    """Hunt, print what was found, and write the worst matrices beside the state, or where it is called."""
    from polydesign.verification.hunting import hunt

    with progress(quiet=quiet, text="hunting") as advance:
        found = hunt(table, seconds, dtype=dtype, seed=seed, state=state, progress=advance)
    folder = Path(state).parent if state else Path()
    lines = [line for case in found.worst() for line in _case(found, case, folder)]
    if not quiet:
        click.echo(f"{table.name} in {found.dtype}: hunted for {found.spent:.0f} s with seed {seed}")
        show(_rows(found), COLUMNS)
        for line in (*lines, _verdict(found)):
            click.echo(line)
    return found


def refuse_others(**given: Any) -> None:
    """Options that a hunt does not have."""
    for name, value in given.items():
        if value:
            raise InputError(name.replace("_", "-"), "does not go with --hunt: leave one of them out")


def _rows(found: Hunt) -> Any:
    rows = grid("family", "loop", "tried", "blown up", "lost", "worst", left=("family", "loop"))
    for one in found.found:
        tally = one.tally
        worst = f"{tally.worst:.4g}" if np.isfinite(tally.worst) else "not finite"
        counts = map(str, (tally.tried, tally.blown, tally.lost))
        rows.add_row(one.source.name, one.source.loop, *counts, worst if tally.tried else "-")
    return rows


def _case(found: Hunt, case: Case, folder: Path) -> list[str]:
    """In words, and what a plain call makes of it; its file is written."""
    text = [
        f"worst in {case.loop} loops: {case.family}, {case.words}",
        f"  ends {case.error:.4g} from its signs, the largest value is {case.size:.4g}",
    ]
    if case.matrix is None:
        return [*text, "  too large for a file"]
    file = folder / f"{found.table.name}-{found.dtype}-{case.loop}.npy"
    buffer = io.BytesIO()
    np.save(buffer, case.matrix)
    write_atomically(file, buffer.getvalue())
    plain, half = (found.call(case.matrix, **plan) for plan in ({}, {"float32_side": 0}))
    call = f"  largest singular value of msign here {plain:.4g}, and with float32_side=0 {half:.4g}"
    return [*text, call, f"  wrote {file}, for verify --matrix"]


def _verdict(found: Hunt) -> str:
    if not found.blown():
        return "Nothing was blown up."
    fused = found.blown(("fused",))
    if not fused:
        return f"Blown up in loops that are not fused: {found.blown()}; in fused ones none."
    return f"FAILED: {fused} were blown up in fused loops, and {found.blown() - fused} in others."

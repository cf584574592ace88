"""What compare and report share: tables by name, the literature's too, and their errors measured now."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polydesign.model import Plan, Table

if TYPE_CHECKING:
    from polydesign.reporting.comparison import Seen


def table_of(source: str) -> Table:
    """The table in a file, of the catalogue, or of a published schedule that is none of it: the misprint.

    Raises InputError where there is none, with the names that come close.
    """
    from polydesign.table.catalogue import catalogue, load
    from polydesign.table.published import names

    if Path(source).is_file() or source in catalogue() or source not in names():
        return load(source)
    from polydesign.designer.design import published_table

    return published_table(source)


def progress(total: int, *, quiet: bool) -> AbstractContextManager[Any]:
    """A bar on standard error, where that is a terminal, as (advance with a text)."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import Progress

    @contextmanager
    def bar() -> Any:
        hidden = quiet or not sys.stderr.isatty()
        with Progress(console=Console(stderr=True), transient=True, disable=hidden) as shown:
            task = shown.add_task("measuring", total=total)
            yield lambda text: shown.update(task, description=text, advance=1)

    return bar()


def worst_errors(
    tables: Sequence[Table],
    lower: float,
    shape: tuple[int, int],
    device: str,
    seed: int,
    *,
    quiet: bool = False,
) -> dict[str, tuple[Seen, ...]]:
    """The worst error of each table in each precision, on the same matrices and from the same lower end.

    The matrices are those that `verify` takes by default, made for [lower·u, u], and every value that begins
    there is judged, whatever interval the table is for. Raises InputError for a bad device or shape, and
    where a matrix has no value there.
    """
    from polydesign.reporting.comparison import Seen
    from polydesign.reporting.tables import SHOWN

    found: dict[str, tuple[Seen, ...]] = {}
    with progress(len(tables) * len(SHOWN), quiet=quiet) as advance:
        for table in tables:
            seen = []
            for dtype in SHOWN:
                worst = _worst(table, lower, dtype, shape, device, seed)
                finite = None if None in worst else max(w for w in worst if w is not None)
                seen.append(Seen(dtype, finite, "fresh", lower, len(worst)))
                advance(f"{table.name}, {dtype}")
            found[table.name] = tuple(seen)
    return found


def _worst(
    table: Table, lower: float, dtype: str, shape: tuple[int, int], device: str, seed: int
) -> list[float | None]:
    from polydesign.verification.cases import Setting
    from polydesign.verification.operators import choose
    from polydesign.verification.roots import lowest_eigenvalue
    from polydesign.verification.spectra import names, sample, sample_positive
    from polydesign.verification.sweep import resolve_device, run, worst_error

    high = table.schedule.interval[1]
    schedule = replace(table.schedule, interval=(lower * high, high))
    # Its steps were made for another interval; as a source's they need not chain.
    provenance = replace(table.provenance, source=table.provenance.source or "compared")
    wider = replace(table, schedule=schedule, provenance=provenance, certificate=None, measured=())
    _, operator = choose(table, None, 1)
    listed = names(None, shape, dtype, positive=operator.positive, singular=operator.singular)
    place = resolve_device(device)
    worst: list[float | None] = []
    for name in listed:
        if operator.positive:
            least = lowest_eigenvalue(schedule, dtype, min(shape), 1)
            known = sample_positive(name, shape, seed=seed, lower=least, singular=operator.singular)
        else:
            known = sample(name, shape, seed=seed, lower=lower)
        setting = Setting(known, wider, Plan(dtype=dtype), 1, place, seed)
        worst.append(worst_error(run(setting, operator), schedule))
    return worst

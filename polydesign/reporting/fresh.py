"""What compare and report share: tables by name, the literature's too, and their errors measured now."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polydesign.designer.design import published_table
from polydesign.identification import tables as given_tables
from polydesign.model import InputError, InputWarning, Measurement, Plan, Table, check_several
from polydesign.reporting.comparison import Seen
from polydesign.reporting.tables import SHOWN
from polydesign.table.catalogue import catalogue
from polydesign.table.given import Source
from polydesign.table.published import names as published_names
from polydesign.verification.verify import Progress, verify


def table_of(source: Source) -> Table:
    """The table that is meant, or of a published schedule that is none of the catalogue: the misprint.

    Raises InputError where there is none, with the names that come close.
    """
    known = source in published_names() and source not in catalogue() if isinstance(source, str) else False
    return (
        published_table(str(source))
        if known and not Path(str(source)).is_file()
        else given_tables.table_of(source)
    )


def check_tables(tables: Any) -> list[Source]:
    """The tables of a list of them; one alone is a list of one."""
    return check_several("tables", tables, (Table, str, os.PathLike))


@dataclass(frozen=True, slots=True)
class Matrices:
    """On which tables are measured now: their shape, the device, and the seed that they are drawn with."""

    shape: tuple[int, int] = (256, 512)
    device: str = "auto"
    seed: int = 0


def worst_errors(
    tables: Sequence[Table], lower: float, on: Matrices, progress: Progress | None = None
) -> dict[str, tuple[Seen, ...]]:
    """The worst error of each table in each precision, on the same matrices and from the same lower end.

    The matrices are those that `verify` takes by default, made for [lower·u, u], and every value that begins
    there is judged, whatever interval the table is for. Raises InputError for a bad device or shape, and
    where a matrix has no value there.
    """
    found: dict[str, tuple[Seen, ...]] = {}
    total = len(tables) * len(SHOWN)
    for table in tables:
        seen = []
        for dtype in SHOWN:
            if progress is not None:
                progress(len(found) * len(SHOWN) + len(seen), total, f"{table.name}, {dtype}")
            worst = _worst(table, lower, dtype, on)
            finite = None if None in worst else max(w for w in worst if w is not None)
            seen.append(Seen(dtype, finite, "fresh", lower, len(worst)))
        found[table.name] = tuple(seen)
    return found


def _worst(table: Table, lower: float, dtype: str, on: Matrices) -> list[float | None]:
    from polydesign.verification.cases import Setting
    from polydesign.verification.operators import choose
    from polydesign.verification.roots import lowest_eigenvalue
    from polydesign.verification.spectra import names, sample, sample_positive
    from polydesign.verification.sweep import resolve_device, run, worst_error

    high = table.schedule.interval[1]
    schedule = replace(table.schedule, interval=(lower * high, high))
    # Its steps were made for another interval; as a source's they need not chain.
    provenance = replace(table.provenance, source=table.provenance.source or "compared")
    alone = replace(table, certificate=None, measured=(), tried=(), members=())
    wider = replace(alone, schedule=schedule, provenance=provenance)
    _, operator = choose(table, None, 1)
    listed = names(None, on.shape, dtype, positive=operator.positive, singular=operator.singular)
    place = resolve_device(on.device)
    worst: list[float | None] = []
    for name in listed:
        if operator.positive:
            least = lowest_eigenvalue(schedule, dtype, min(on.shape), 1)
            known = sample_positive(name, on.shape, seed=on.seed, lower=least, singular=operator.singular)
        else:
            known = sample(name, on.shape, seed=on.seed, lower=lower)
        setting = Setting(known, wider, Plan(dtype=dtype), 1, place, on.seed)
        worst.append(worst_error(run(setting, operator), schedule))
    return worst


def measurements(
    tables: Sequence[Table], on: Matrices, progress: Progress | None = None
) -> list[Measurement]:
    """Every table in every precision on the matrices that verify takes by default, step by step.

    A matrix that a table cannot be measured on is left out, with an InputWarning.
    """
    from polydesign.verification.operators import choose
    from polydesign.verification.spectra import names

    runs: list[tuple[Table, str, str]] = []
    for table in tables:
        _, how = choose(table, None, 1)
        kind: dict[str, Any] = {"positive": how.positive, "singular": how.singular}
        runs += [(table, dtype, one) for dtype in SHOWN for one in names(None, on.shape, dtype, **kind)]
    found = []
    settings: dict[str, Any] = {"shape": on.shape, "device": on.device, "seed": on.seed, "steps": True}
    for done, (table, dtype, spectrum) in enumerate(runs):
        if progress is not None:
            progress(done, len(runs), f"{table.name}, {dtype}, {spectrum}")
        try:
            found += verify(table, dtype=dtype, spectra=spectrum, **settings)
        except InputError as problem:
            what = f"{table.name} is not measured on {spectrum}: {problem.problem}"
            warnings.warn(what, InputWarning, stacklevel=2)
    return found

"""Try the tables of signs of coeffs/ on matrices whose roundings agree, and store what became of them.

Tables made for a half precision are tried in it, published ones in both: random members of every family, all
members where a family is finite, in the three kinds of loops, the worst of some in torch, and on request a
hunt. A result is written into the table's file as soon as it is there, and what a file holds of these
coefficients is not tried again: the script can be stopped and called again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from joblib import Parallel, delayed

import polydesign
from polydesign.model import HALF, LOOPS, InputError, Table, Trial
from polydesign.rounding.enumerated import ENUMERATED, counted
from polydesign.rounding.families import FAMILIES
from polydesign.rounding.trial import random_trial, trial
from polydesign.table import save
from polydesign.table.measurements import with_tried
from polydesign.verification.confirming import CONFIRMED, IN_TORCH, confirmed
from polydesign.verification.hunting import SCANNED, hunt

FOLDER = Path(__file__).resolve().parent.parent / "coeffs"
TWO_NUMBERS = ("diagonal-and-rest", "blocks", "two-rows")
"""Families that are fast enough for COUNT members in fused loops."""

OF_ONE_VALUE = ("all numbers", "all blocks")
"""Enumerations that are the same for every norm; the others have Frobenius norm 1."""

HUNTED = "hunt"


@dataclass(frozen=True)
class Task:
    """One family in one loop; family HUNTED is all of them, for `count` seconds.

    member: Which of the file's tables, 0 for the one that holds the others.
    """

    path: Path
    dtype: str
    family: str
    loop: str
    count: float
    seed: int = 0
    enough: int | None = None
    state: Path | None = None
    scan: int = SCANNED
    member: int = 0

    def done(self, table: Table) -> bool:
        """Whether the file has it, of these coefficients."""
        return any(
            (one.dtype, one.seed) == (self.dtype, self.seed)
            and (
                one.family.startswith(HUNTED)
                if self.family == HUNTED
                else (one.family, one.loop) == (self.family, self.loop)
                and (one.tried >= self.count or 0 < (self.enough or 0) <= max(one.blown, one.lost))
            )
            for one in table.tried
        )

    def run(self) -> tuple[Task, tuple[Trial, ...], float]:
        """And how many seconds it took."""
        began, table = time.monotonic(), _tables(polydesign.load(self.path))[self.member]
        schedule = table.schedule
        how: dict[str, Any] = {"loop": self.loop, "enough": self.enough, "purpose": table.purpose}
        if self.family == HUNTED:
            kept: dict[str, Any] = {"state": self.state, "scan": self.scan}
            found = hunt(table, self.count, dtype=self.dtype, seed=self.seed, **kept).trials()
        elif self.family.endswith(IN_TORCH):
            family = self.family.removesuffix(IN_TORCH)
            found = (confirmed(table, self.dtype, family, int(self.count), seed=self.seed),)
        elif self.family in ENUMERATED:
            members = ENUMERATED[self.family](self.dtype, schedule.interval[0])
            found = (trial(schedule, self.dtype, self.family, members, **how),)
        else:
            count = int(self.count)
            how |= {"seed": self.seed, "normalization": table.normalization}
            found = (random_trial(schedule, self.dtype, self.family, count, **how),)
        return self, found, time.monotonic() - began


def _tables(table: Table) -> tuple[Table, ...]:
    """It, and the members that it holds."""
    return (replace(table, members=()), *table.members)


def tables(names: tuple[str, ...], *, proving: bool = True) -> Iterator[tuple[Path, Table, tuple[str, ...]]]:
    """With the precisions that each is tried in; proving: as polydesign.load, for who shows them alone."""
    known = {path.stem: path for path in sorted(FOLDER.rglob("*.json"))}
    for name in names or known:
        if name not in known:
            raise click.BadParameter(f"{name} is not in {FOLDER}", param_hint="NAME")
        table = polydesign.load(known[name], proving=proving)
        dtypes = HALF if table.provenance.source is not None else (table.dtype or "",)
        if table.purpose == "sign" and set(dtypes) <= set(HALF):
            yield known[name], table, tuple(dtypes)


def tasks_of(
    path: Path, table: Table, dtype: str, *, count: float, others: float, enumerate_: bool, **how: Any
) -> Iterator[Task]:
    """Fused loops first."""
    for loop in LOOPS:
        for family in FAMILIES:
            many = loop == "fused" and family in TWO_NUMBERS
            yield Task(path, dtype, family, loop, count if many else others, **how)
        for name in ENUMERATED if enumerate_ else ():
            if table.normalization != "frobenius" and name not in OF_ONE_VALUE:
                continue
            number = counted(name, dtype, table.schedule.interval[0])
            yield Task(path, dtype, name, loop, number, enough=how["enough"])


@click.command(help=__doc__)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--count", type=float, default=1e8, show_default=True, help="Of two numbers, in fused loops.")
@click.option("--others", type=float, default=1e7, show_default=True, help="Of all others.")
@click.option("--enumerate/--no-enumerate", "enumerate_", default=True, help="All members where finite.")
@click.option("--confirm", type=int, default=10_000, show_default=True, help="Of the worst, run in torch.")
@click.option("--hunt", "seconds", type=float, default=0.0, help="Seconds of hunting a table and precision.")
@click.option("--scan", type=int, default=SCANNED, show_default=True, help="Random members that come first.")
@click.option("--states", type=click.Path(path_type=Path), help="Folder where hunts are kept, and go on.")
@click.option("--seed", type=int, default=17, show_default=True, help="Searches take 0 to 2.")
@click.option("--enough", type=int, help="Stop a family where so many are blown up or lost.")
@click.option("--jobs", type=int, default=1, show_default=True, help="Processes.")
def main(
    names: tuple[str, ...],
    count: float,
    others: float,
    enumerate_: bool,
    confirm: int,
    seconds: float,
    scan: int,
    states: Path | None,
    seed: int,
    enough: int | None,
    jobs: int,
) -> None:
    todo: list[Task] = []
    for path, table, dtypes in tables(names):
        for dtype in dtypes:
            how = {"count": count, "others": others, "enumerate_": enumerate_, "seed": seed, "enough": enough}
            every = list(tasks_of(path, table, dtype, **how))
            families = CONFIRMED if confirm else ()
            every += [Task(path, dtype, family + IN_TORCH, "fused", confirm, seed) for family in families]
            for member, one in enumerate(_tables(table)):
                of_it = every
                if seconds > 0:
                    state = states / f"{one.name}-{dtype}.json" if states else None
                    hunting = Task(path, dtype, HUNTED, "fused", seconds, seed, state=state, scan=scan)
                    of_it = [*every, hunting]
                todo += [replace(task, member=member) for task in of_it if not task.done(one)]
    click.echo(f"{len(todo)} to try", err=True)
    run: Any = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)  # pyright: ignore
    results = run(delayed(Task.run)(task) for task in todo)
    for task, found, took in results:
        stored = _stored(task.path, found, task.member)
        for one in found:
            worst = "not finite" if one.worst is None else f"{one.worst:.4g}"
            click.echo(
                f"{task.path.stem}{f'[{task.member}]' if task.member else ''} {one.dtype} {one.family}, "
                f"{one.loop}: {one.tried} tried, "
                f"{one.blown} blown up, {one.lost} lost, worst {worst} ({took:.0f} s){stored}"
            )


def _stored(path: Path, found: tuple[Trial, ...], member: int = 0) -> str:
    """Nothing, or why they were not put into the file: it may have been built again meanwhile."""
    try:
        table = polydesign.load(path)
        of = _tables(table)[member]
        if any(one.digest != of.digest for one in found):
            return ": the file has other coefficients now, and was left"
        if member:
            members = list(table.members)
            members[member - 1] = with_tried(of, found)
            table = replace(table, members=tuple(members))
        else:
            table = with_tried(table, found)
        save(table, path, force=True)
    except (InputError, OSError) as problem:
        return f": not stored, {problem}"
    return ""


if __name__ == "__main__":
    main()

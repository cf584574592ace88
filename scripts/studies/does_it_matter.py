"""Whether a smaller error of orthogonality trains better: small models, seven maps, new seeds.

A GPT on bytes of Python's own library, and a convolutional net on images that are made here, are trained by
polydesign.optim.Muon with seven maps of the singular values: the literature's (Jordan's five quintics, Polar
Express as nanochat has it, cubic5), ours for an error of 0.3 at 10 and at 13 products, ours with the least
error at 18 products, and the exact U V^T. All run in float32, so that rounding is no part of it. For each map
the learning rate is chosen on seed 0, on a grid of factors of two: from its middle towards less loss, until
both neighbours of the best have run. Then five new seeds run at it, the same ones for every map: one seed,
one initialization and one order of the data.

What counts was fixed before anything ran:
- the outcome of a run is its validation loss after the last step, on data that no run trains on;
- a map differs from the exact one where the 95 % interval of the mean of the five paired differences, widened
  for six comparisons (Bonferroni, Student's t), leaves out 0;
- `detectable` is the smallest difference that these runs would show in four of five such studies: where a map
  does not differ, differences up to that are not ruled out;
- a learning rate at an end of the grid is said to be so, and then nothing is concluded for that map.

The size was set by the time that a step takes beside other work, and the middle of the grid by three rates of
Jordan's map on a seed that is in no comparison: the GPT has 2 layers of width 64 and trains 150 steps of 16
windows of 64 bytes, the net has 16, 32 and 32 channels and trains 150 steps of 32 images. A third task, added
after these two had run, is the GPT again, of twice the width and with twice the steps; for it twenty steps of
three maps were timed beforehand, at one rate.

Every run is written to the file as soon as it ends, and is not run again: stop it and start it again at will.
Writes figures/does_it_matter.json, and prints tables of what is there. --quick is a size for trying the
script, --large one for a GPU. --again, with -o figures/does_it_matter_again.json, takes ten other seeds: it
was added after Jordan's map had differed in the third task, to see whether that stays.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import click
import torch
from small_models import TASKS, Size
from small_results import CHOOSING, asked_rates, chosen_rate, key_of, markdown, size_of, summary
from small_runs import MAPS, table_of, trained

from polydesign.model import Table
from polydesign.program.cost import matmuls_of
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine
from polydesign.verification.sweep import device_name, resolve_device

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "does_it_matter.json"

Work = tuple[str, str, float, int]
"""Task, map, rate and seed of a run."""

RATES = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
SIZES = {
    "quick": Size(1, 32, 16, 4, 6, 8, 16, (0.01, 0.02, 0.04), (1, 2), 4, 2),
    "cpu": Size(2, 64, 64, 16, 150, 16, 32, RATES),
    "again": Size(2, 64, 64, 16, 150, 16, 32, RATES, seeds=tuple(range(6, 16))),
    "large": Size(8, 512, 512, 64, 4000, 128, 512, RATES, held_out=128),
}


def planned(body: dict[str, Any], task: str, size: Size, maps: list[str]) -> Iterator[tuple[str, float, int]]:
    """What is known to be needed: rates of all maps first, so that what is cut short is cut evenly."""
    for name in maps:
        yield from ((name, rate, CHOOSING) for rate in asked_rates(body, task, size, name))
    for seed in size.seeds:
        for name in maps:
            best = chosen_rate(body, task, size, name)
            if best is not None:
                yield name, best, seed


def begun(output: Path, size: Size) -> dict[str, Any]:
    """What the file has, if it is of this size."""
    if not output.exists():
        return {"size": asdict(size), "products": {}, "rows": {}, "data": {}, "runs": {}}
    body = json.loads(output.read_text("utf-8"))
    if size_of(body) != size:
        raise click.UsageError(f"{output} is of another size: write to another file with -o")
    return body


def stored(body: dict[str, Any]) -> str:
    """As JSON, a line a run, with what the runs show."""
    size = size_of(body)
    rest = {key: value for key, value in body.items() if key not in ("summary", "runs")}
    rest["summary"] = {task: summary(body, task, size) for task in body["data"]}
    runs = ",\n".join(f"  {json.dumps(key)}: {json.dumps(run)}" for key, run in sorted(body["runs"].items()))
    head = json.dumps(rest, indent=1).removesuffix("\n}")
    return f'{head},\n "runs": {{\n{runs}\n }}\n}}\n'


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="The smallest size: to try the script.")
@click.option("--large", is_flag=True, help="A size for a GPU.")
@click.option("--again", is_flag=True, help="Ten other seeds: to see whether a difference stays.")
@click.option("--task", "tasks", type=click.Choice(list(TASKS)), multiple=True, help="[default: all]")
@click.option("--map", "maps", type=click.Choice(list(MAPS)), multiple=True, help="[default: all]")
@click.option("--hours", default=6.0, show_default=True, help="No run is begun after that.")
@click.option("--threads", default=1, show_default=True, help="Of each process.")
@click.option("--processes", default=2, show_default=True, help="Runs at a time; 1: none but this process.")
@click.option("--device", default="cpu", show_default=True, help="auto, cpu or cuda.")
@click.option("--show", is_flag=True, help="Run nothing: print the tables of what is there.")
@click.option("-o", "--output", type=Path, default=OUTPUT, help="[default: figures/does_it_matter.json]")
def main(
    quick: bool,
    large: bool,
    again: bool,
    tasks: tuple[str, ...],
    maps: tuple[str, ...],
    hours: float,
    threads: int,
    processes: int,
    device: str,
    show: bool,
    output: Path,
) -> None:
    size = SIZES["quick" if quick else "large" if large else "again" if again else "cpu"]
    body, end = begun(output, size), time.monotonic() + 3600 * hours
    if show:
        click.echo(markdown(body))
        return
    place = resolve_device(device)
    found = {name: table_of(MAPS[name]) for name in maps or MAPS}
    for name, table in found.items():
        body["products"][name] = None if table is None else matmuls_of(table)
        if table is not None:
            body["rows"][name] = {
                "digest": table.digest,
                "interval": table.schedule.interval,
                "error": table.schedule.error,
            }
    body |= {
        "machine": machine(),
        "torch": torch.__version__,
        "device": device_name(place),
        "threads": threads,
        "processes": processes,
    }
    for task in tasks or TASKS:
        data = data_of(task, size)
        known = body["data"].setdefault(task, {"about": data.about, "sha256": data.digest})
        if known["sha256"] != data.digest:
            raise click.UsageError(
                f"{output} was begun with other data ({task}): write to another file with -o"
            )

    def next_of(under_way: set[Work]) -> Work | None:
        for task in tasks or TASKS:
            for name, rate, seed in planned(body, task, size, list(found)):
                work = (task, name, rate, seed)
                if work not in under_way and key_of(*work) not in body["runs"]:
                    return work
        return None

    with executor(processes) as pool:
        under_way: dict[Future[dict[str, Any]], Work] = {}
        while True:
            while len(under_way) < processes and time.monotonic() < end:
                work = next_of(set(under_way.values()))
                if work is None:
                    break
                task, name, rate, seed = work
                asked = (size, task, name, found[name], rate, seed, device, threads)
                under_way[pool.submit(run_of, *asked)] = work
            if not under_way:
                break
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                key = key_of(*under_way.pop(future))
                body["runs"][key] = future.result()
                write_atomically(output, stored(body))
                click.echo(f"{key}: {body['runs'][key]['loss']}", err=True)
    if next_of(set()) is not None:
        click.echo(f"stopped after {hours:g} hours; start it again to go on", err=True)
    click.echo(markdown(body))


class Here(Executor):
    """Runs in this process, when asked."""

    def submit(self, fn: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*arguments, **named))
        return future


def executor(processes: int) -> Executor:
    if processes == 1:
        return Here()
    return ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))


@lru_cache
def data_of(task: str, size: Size) -> Any:
    return TASKS[task](size)


def run_of(
    size: Size, task: str, name: str, table: Table | None, rate: float, seed: int, device: str, threads: int
) -> dict[str, Any]:
    torch.set_num_threads(threads)
    return trained(data_of(task, size), name, table, rate, seed, resolve_device(device))


if __name__ == "__main__":
    main()

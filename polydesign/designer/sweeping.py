"""Many problems at once: a grid of design's keywords, solved in parallel, one table a problem.

What is finished is in the folder at any moment, and what is there already is not solved again: a sweep that
was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import tempfile
import threading
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from polydesign.designer.design import design
from polydesign.model import InputError, Table, check_choice, check_integer, located, shortened
from polydesign.program.cost import matmuls_of
from polydesign.table import save
from polydesign.table.catalogue import load
from polydesign.text.files import write_atomically
from polydesign.text.incoming import check_values, parse, read_text

SUMMARY = "sweep.jsonl"
BACKENDS = ("loky", "dask")
"""loky: processes on this machine. dask: a cluster, by dask.distributed."""

MOST_PROBLEMS = 100_000
"""In a grid."""

_ONE = threading.Lock()
"""A Dask worker may run several threads, and mpmath's contexts are shared by all of a process."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a problem: the file of its table in the folder with its error, or why there is none."""

    problem: dict[str, Any]
    table: str | None = None
    error: float | None = None
    matmuls: int | None = None
    failure: str | None = None


def read_problems(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The problems of a .toml or .json file that holds a grid; see `grid`. Raises InputError naming it."""
    path = Path(path)
    readers: dict[str, Callable[[str], Any]] = {".toml": tomllib.loads, ".json": parse}
    if path.suffix not in readers:
        raise InputError(str(path), "is neither .toml nor .json")
    if not path.is_file():
        raise InputError(str(path), "there is no such file")
    text = read_text(path, path.suffix[1:].upper())
    with located(f"{path}: "):
        try:
            body = readers[path.suffix](text)
        except InputError:
            raise
        except (ValueError, RecursionError) as problem:
            reason = shortened(str(problem), 200)
            raise InputError("$", f"is not {path.suffix[1:].upper()}: {reason}") from problem
        check_values(body, "$")
        return grid(body)


def grid(body: Any) -> list[dict[str, Any]]:
    """Every combination of the listed values: {"degree": [5, 9], "steps": 4} is two problems.

    A list means its entries, one after the other; a list inside it is one value, as [[5, 9, 9]] is one
    degree a step. The entries of "grid", objects like this one, are grids of their own, to which the other
    keys belong where they do not say otherwise. Raises InputError naming the key.
    """
    if not isinstance(body, Mapping):
        raise InputError("$", "must be an object whose keys are design's keywords")
    shared = {key: value for key, value in body.items() if key != "grid"}
    parts = body.get("grid", [{}])
    if not isinstance(parts, list) or not all(isinstance(part, Mapping) for part in parts):
        raise InputError("grid", "must be a list of objects, in TOML [[grid]]")
    problems: dict[str, dict[str, Any]] = {}
    for part in parts:
        axes = {k: v if isinstance(v, list) else [v] for k, v in (shared | dict(part)).items()}
        for key, values in axes.items():
            if not values:
                raise InputError(key, "is an empty list, and there is nothing to design")
        count = math.prod(map(len, axes.values()))
        if len(problems) + count > MOST_PROBLEMS:
            raise InputError("grid", f"has {len(problems) + count:,} problems; {MOST_PROBLEMS:,} are solved")
        found = (dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values()))
        for problem in found:
            if problem:
                problems.setdefault(_key(problem), problem)
    if not problems:
        raise InputError("$", "holds no problem: write for example degree = [5, 9]")
    return list(problems.values())


def sweep(
    problems: Iterable[Mapping[str, Any]],
    folder: str | os.PathLike[str],
    *,
    jobs: int | None = None,
    backend: str = "loky",
    address: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Outcome]:
    """Design a table for each problem (keywords of `design`), into folder/NAME.json; outcomes in order.

    jobs: processes, None for one a core. backend: one of BACKENDS; dask takes the cluster at `address`
    (tcp://host:8786), whose machines have this package, or starts one here where that is None. progress:
    called with (solved or found, all). A process that searches budgets holds up to 2 GB of test matrices.

    folder/sweep.jsonl has one line a problem and is written anew, atomically, after each, with what another
    sweep has put there since. A problem that it names with a table that is there is kept; one that failed is
    tried again, and so is that of a last line that was cut off. A failure is an outcome and
    stops nothing else. Where two problems give different tables of one name, the later to end is
    NAME-<eight digits of its problem's sha256>.

    Raises InputError for bad settings, and where dask.distributed is not installed; OSError where the folder
    cannot be written into, before anything is solved.
    """
    check_choice("backend", backend, BACKENDS)
    if jobs is not None:
        jobs = check_integer("jobs", jobs, 1)
    if address is not None and backend != "dask":
        raise InputError("address", 'is that of a Dask cluster: write backend="dask"')
    place = Path(folder)
    asked = {_key(problem): dict(problem) for problem in problems}
    known = _read_summary(place)
    kept = {key: known[key] for key in asked if key in known and _is_there(place, known[key])}
    waiting = [key for key in asked if key not in kept]
    if waiting:
        _check_writable(place)  # before hours are spent
    progress(len(kept), len(asked))
    if waiting:
        with _solved([asked[key] for key in waiting], jobs, backend, address) as results:
            for index, found in results:
                key = waiting[index]
                kept[key] = _stored(place, key, found)
                _write_summary(place, kept, asked)
                progress(len(kept), len(asked))
    return [kept[key] for key in asked]


def _solve(index: int, problem: Mapping[str, Any]) -> tuple[int, Table | str]:
    """The table, or what was wrong: an exception would stop the others, and not every one can be pickled."""
    try:
        with _ONE:
            return index, design(**problem, cut_short=_stopped)
    except InputError as found:
        return index, str(found)
    except Exception as found:
        return index, f"{type(found).__name__}: {found}"


def _stopped(why: str) -> None:
    """A search that gives its best so far when it is interrupted must not keep the interruption to itself."""
    if why == "interrupted":
        raise KeyboardInterrupt


@contextmanager
def _solved(
    problems: Sequence[Mapping[str, Any]], jobs: int | None, backend: str, address: str | None
) -> Iterator[Iterator[tuple[int, Table | str]]]:
    """Results as they come."""
    from joblib import Parallel, cpu_count, delayed, parallel_config  # a tenth of a second

    processes = min(jobs or cpu_count(), len(problems))
    tasks = [delayed(_solve)(index, problem) for index, problem in enumerate(problems)]
    with _cluster(processes, address) if backend == "dask" else parallel_config("loky", n_jobs=processes):
        yield Parallel(return_as="generator_unordered", batch_size=1)(tasks)  # pyright: ignore


@contextmanager
def _cluster(processes: int, address: str | None) -> Iterator[None]:
    """joblib's tasks go to the cluster at this address, or to one of so many processes here."""
    try:
        client_of: Any = import_module("distributed").Client
    except ImportError as problem:
        raise InputError(
            "backend", "dask needs dask.distributed: pip install polydesign[cluster]"
        ) from problem
    from joblib import parallel_config

    local = {"n_workers": processes, "threads_per_worker": 1, "dashboard_address": None}
    try:
        client = client_of(address, timeout=10) if address else client_of(**local)
    except (OSError, ValueError) as problem:
        raise InputError("address", f"no Dask scheduler answers at {address}: {problem}") from problem
    with client, parallel_config("dask"):
        yield


def _key(problem: Mapping[str, Any]) -> str:
    return json.dumps(dict(problem), sort_keys=True, default=str)


def _stored(folder: Path, key: str, found: Table | str) -> Outcome:
    plain = json.loads(key)
    if isinstance(found, str):
        return Outcome(plain, failure=found)
    try:
        save(found, folder / f"{found.name}.json")
    except InputError:
        name = f"{found.name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
        found = replace(found, name=name)
        save(found, folder / f"{found.name}.json", force=True)
    return Outcome(plain, f"{found.name}.json", found.schedule.error, matmuls_of(found))


def _is_there(folder: Path, outcome: Outcome) -> bool:
    if outcome.table is None:
        return False
    try:
        return load(folder / outcome.table).schedule.error == outcome.error
    except InputError:
        return False


def _read_summary(folder: Path) -> dict[str, Outcome]:
    """What is known; a last line that was cut off, by a disk that was full or in copying, is left out."""
    path = folder / SUMMARY
    if not path.is_file():
        return {}
    content = path.read_bytes()
    whole, _, last = content.rpartition(b"\n")
    try:
        found = [_outcome(line) for line in whole.splitlines()]
    except (TypeError, ValueError) as problem:
        raise InputError(
            str(path), "was not written by a sweep: remove it, or take another folder"
        ) from problem
    try:
        found += [_outcome(last)] if last else []
    except (TypeError, ValueError) as problem:
        start = min(len(last), len(_START))
        if last[:start] != _START[:start]:
            raise InputError(
                str(path), "was not written by a sweep: remove it, or take another folder"
            ) from problem
    return {_key(outcome.problem): outcome for outcome in found}


_START = b'{"problem": {'
"""With this a line of the summary begins."""


def _outcome(line: bytes) -> Outcome:
    """An outcome from its line. Raises TypeError or ValueError for what is none."""
    found = Outcome(**json.loads(line.decode()))
    for value, kind in (
        (found.problem, dict),
        (found.table, str | None),
        (found.error, int | float | None),
        (found.matmuls, int | None),
        (found.failure, str | None),
    ):
        if not isinstance(value, kind):
            raise TypeError(value)
    return found


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as problem:
        raise OSError(problem.errno, f"cannot be written into ({problem.strerror})", str(folder)) from problem


def _write_summary(folder: Path, kept: Mapping[str, Outcome], asked: Iterable[str]) -> None:
    """Ours in the order in which they were asked for, then what else is there."""
    ours = {key: kept[key] for key in asked if key in kept}
    outcomes = ours | {key: outcome for key, outcome in _read_summary(folder).items() if key not in ours}
    lines = (json.dumps(asdict(outcome), ensure_ascii=False) + "\n" for outcome in outcomes.values())
    write_atomically(folder / SUMMARY, "".join(lines))

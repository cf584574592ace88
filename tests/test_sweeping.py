"""Sweeps: what a grid means, what is kept, what a failure and an interruption leave, and a Dask cluster."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pages import written

import polydesign
from polydesign.cli import main
from polydesign.designer import sweeping
from polydesign.designer.sweeping import SUMMARY, Outcome, grid, read_problems, sweep
from polydesign.model import InputError, Table

ROOT = Path(__file__).parent.parent
SMALL: dict[str, Any] = {"degree": [3, 5], "steps": [2, 3], "dtype": "float32"}


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# The grid


def test_a_grid_is_every_combination() -> None:
    assert grid(SMALL) == [
        {"degree": degree, "steps": steps, "dtype": "float32"} for degree in (3, 5) for steps in (2, 3)
    ]
    assert grid({"degree": [[5, 9, 9], [9, 9]]}) == [{"degree": [5, 9, 9]}, {"degree": [9, 9]}]
    parts = {"steps": 3, "grid": [{"degree": [3, 5]}, {"degree": 5, "steps": [3, 4]}]}
    assert grid(parts) == [
        {"steps": 3, "degree": 3},
        {"steps": 3, "degree": 5},  # named by both, and there once
        {"steps": 4, "degree": 5},
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([1], r"\$: must be an object"),
        ({}, r"\$: holds no problem"),
        ({"degree": []}, "degree: is an empty list"),
        ({"grid": []}, r"\$: holds no problem"),
        ({"grid": {"degree": 5}}, r"grid: must be a list of objects, in TOML \[\[grid\]\]"),
    ],
)
def test_what_is_no_grid(body: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        grid(body)


def test_toml_and_json_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(SMALL))
    (tmp_path / "a.toml").write_text('degree = [3, 5]\nsteps = [2, 3]\ndtype = "float32"\n')
    assert read_problems(tmp_path / "a.toml") == read_problems(tmp_path / "a.json") == grid(SMALL)
    (tmp_path / "marked.toml").write_text(
        '\ufeffdegree = [3, 5]\nsteps = [2, 3]\ndtype = "float32"\n', "utf-8"
    )
    assert read_problems(tmp_path / "marked.toml") == grid(SMALL)
    (tmp_path / "b.toml").write_text("degree = [3,\n")
    (tmp_path / "latin.toml").write_bytes(b"degree = 3  # caf\xe9\n")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    for name, message in (
        ("b.toml", "is not TOML"),
        ("latin.toml", "is not TOML"),
        ("deep.json", "is not JSON"),
        ("c.toml", "no such file"),
        ("c.yaml", "neither .toml nor"),
    ):
        with pytest.raises(InputError, match=message):
            read_problems(tmp_path / name)


def test_the_pages_grid() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", written(), flags=re.DOTALL)
    problems = grid(tomllib.loads(block))
    assert len(problems) == 2 * 2 * 2 * 2
    assert {"dtype": "float16", "lower": 0.01, "degree": 9, "steps": 4} in problems


# What is written


def test_tables_are_those_of_design(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    outcomes = sweep(grid(SMALL), tmp_path, jobs=1, progress=lambda *pair: seen.append(pair))
    assert seen == [(done, 4) for done in range(5)]
    for problem, outcome in zip(grid(SMALL), outcomes, strict=True):
        alone = polydesign.design(**problem)
        assert outcome.table == f"{alone.name}.json"
        assert polydesign.load(tmp_path / f"{alone.name}.json") == alone
        assert outcome == Outcome(problem, outcome.table, alone.schedule.error, outcome.matmuls)
    lines = [json.loads(line) for line in (tmp_path / "sweep.jsonl").read_text().splitlines()]
    assert [Outcome(**line) for line in lines] == outcomes
    assert len(list(tmp_path.iterdir())) == 5


def test_processes_give_the_same_bytes(tmp_path: Path) -> None:
    sweep(grid(SMALL), tmp_path / "one", jobs=1)
    sweep(grid(SMALL), tmp_path / "two", jobs=2)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_what_is_there_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problems = grid(SMALL)
    sweep(problems[:2], tmp_path, jobs=1)
    solved, design = [], sweeping.design

    def counting(cut_short: Callable[[str], None], **problem: Any) -> Any:
        solved.append(problem)
        return design(**problem, cut_short=cut_short)

    monkeypatch.setattr(sweeping, "design", counting)
    first = sweep(problems, tmp_path, jobs=1)
    assert solved == problems[2:]
    assert sweep(problems, tmp_path, jobs=1) == first
    assert solved == problems[2:]
    # What is gone, or is another table, is made again; what was swept before stays in the summary.
    (tmp_path / str(first[0].table)).unlink()
    (tmp_path / str(first[1].table)).write_text("{}")
    assert sweep(problems[:1], tmp_path, jobs=1) == first[:1]
    assert solved == [*problems[2:], problems[0]]
    assert len((tmp_path / "sweep.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize("cut", [1, 5, 20, 100, 120, "in a letter"])
def test_a_cut_summary_goes_on(tmp_path: Path, cut: int | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, or a copy, has cut the last line: it is computed again, and the others are kept."""
    problems = [
        {"degree": 5, "steps": steps, "dtype": "float32", "name": f"ä-{steps}"} for steps in (2, 3, 4)
    ]
    expected = sweep(problems, tmp_path, jobs=1)
    summary = tmp_path / SUMMARY
    whole = summary.read_bytes()
    at = whole.rindex("ä".encode()) + 1 if cut == "in a letter" else len(whole) - int(cut)
    summary.write_bytes(whole[:at])
    made, real = [], sweeping.design

    def counted(**keywords: Any) -> Table:
        made.append(keywords["steps"])
        return real(**keywords)

    monkeypatch.setattr(sweeping, "design", counted)
    # In this process, so that what is made is counted.
    monkeypatch.setattr(sweeping, "_solved", _here)
    assert sweep(problems, tmp_path, jobs=1) == expected
    assert made == ([] if cut == 1 else [4])
    assert summary.read_bytes() == (whole[:-1] if cut == 1 else whole)


@contextmanager
def _here(problems: Any, *_: Any) -> Iterator[Any]:
    yield (sweeping._solve(index, problem) for index, problem in enumerate(problems))


@pytest.mark.parametrize(
    "content",
    [
        b"mine",
        b"mine\n",
        b'{"problem": 3}\n',
        b'{"a": 1}',
        b'{"problem": {}, "table": 3}\n',
        b"\xff\xfe",
        b"\0",
    ],
)
def test_a_summary_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SUMMARY).write_bytes(content)
    with pytest.raises(InputError, match="was not written by a sweep"):
        sweep([{"degree": 5, "steps": 2}], tmp_path, jobs=1)
    assert (tmp_path / SUMMARY).read_bytes() == content


def test_a_cut_line_that_is_not_the_last_is_refused(tmp_path: Path) -> None:
    (tmp_path / SUMMARY).write_text('{"problem": {"deg\n{"problem": {}, "table": null}\n')
    with pytest.raises(InputError, match="was not written by a sweep"):
        sweep([{"degree": 5, "steps": 2}], tmp_path, jobs=1)


def test_a_grid_without_end_is_refused_at_once() -> None:
    values = list(range(1, 1000))
    with pytest.raises(InputError, match=r"^grid: has [0-9,]{20,} problems"):
        grid(
            {"degree": values, "steps": values, "root": values, "lower": values, "upper": values, "x": values}
        )


def test_a_table_of_another_problem_is_not_kept(tmp_path: Path) -> None:
    """Valid, of the right name and in its place, but not what was made."""
    (first,) = sweep([{"degree": 3, "steps": 2}], tmp_path, jobs=1)
    other = replace(
        polydesign.design(degree=3, steps=2, lower=0.1), name=str(first.table).removesuffix(".json")
    )
    polydesign.save(other, tmp_path / str(first.table), force=True)
    (again,) = sweep([{"degree": 3, "steps": 2}], tmp_path, jobs=1)
    assert polydesign.load(tmp_path / str(again.table)).schedule.error == again.error == first.error
    assert polydesign.load(tmp_path / str(first.table)) == other  # whoever put it there wants it


def test_two_sweeps_of_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the other one finishes while this one solves stays in the summary."""
    one, two = {"degree": 3, "steps": 2}, {"degree": 3, "steps": 3}
    sweep([two], tmp_path / "aside", jobs=1)
    design, folder = sweeping.design, tmp_path / "tables"

    def meanwhile(**problem: Any) -> Any:
        for path in (tmp_path / "aside").iterdir():
            path.rename(folder / path.name)
        return design(**problem)

    monkeypatch.setattr(sweeping, "design", meanwhile)
    sweep([one], folder, jobs=1)
    monkeypatch.setattr(sweeping, "design", None)  # nothing is left to solve
    assert [outcome.failure for outcome in sweep([one, two], folder, jobs=1)] == [None, None]


def test_a_folder_that_takes_nothing_is_seen_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "design", None)
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match="cannot be written into"):
            sweep([{"degree": 3}], place, jobs=1)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_failure_stops_nothing(tmp_path: Path) -> None:
    outcomes = sweep(grid({"degree": [4, 3], "steps": 2, "lower": [0.1, "low"]}), tmp_path, jobs=1)
    assert [outcome.table is None for outcome in outcomes] == [True, True, False, True]
    assert "degree: a step of root 2 has degree 1 + n·2" in str(outcomes[0].failure)
    assert "lower: must be a number" in str(outcomes[3].failure)
    (again,) = sweep([{"degree": 3, "steps": 2, "lower": 0.1, "steps_": 1}], tmp_path, jobs=1)
    assert "steps_: is not a setting of method equioscillation; did you mean steps?" in str(again.failure)


def test_a_crash_is_a_failure_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**problem: Any) -> Any:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(sweeping, "design", broken)
    (outcome,) = sweep([{"degree": 3}], tmp_path, jobs=1)
    assert outcome.failure == "ZeroDivisionError: division by zero"


def test_two_tables_of_one_name(tmp_path: Path) -> None:
    problems = [{"degree": 3, "steps": 2, "name": "mine", "lower": lower} for lower in (0.1, 0.2)]
    outcomes = sweep(problems, tmp_path, jobs=1)
    assert outcomes[0].table == "mine.json"
    assert str(outcomes[1].table).startswith("mine-")
    errors = [polydesign.load(tmp_path / str(outcome.table)).schedule.error for outcome in outcomes]
    assert errors == [outcome.error for outcome in outcomes]
    assert errors[0] != errors[1]
    assert sweep(problems, tmp_path, jobs=1) == outcomes


def test_an_interrupted_search_is_no_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gradient search gives the best so far when it is interrupted, in a sweep of one process too."""
    table = polydesign.design(degree=3, steps=2)

    def stopping(cut_short: Callable[[str], None], why: str) -> Table:
        cut_short(why)
        return table

    monkeypatch.setattr(sweeping, "design", stopping)
    with pytest.raises(KeyboardInterrupt):
        sweep([{"why": "interrupted"}], tmp_path, jobs=1)
    assert list(tmp_path.iterdir()) == []
    # The control: a search whose time was over is an outcome.
    (outcome,) = sweep([{"why": "timeout"}], tmp_path, jobs=1)
    assert outcome.table == f"{table.name}.json"


@pytest.mark.parametrize(("jobs", "processes"), [(1, 1), (3, 3), (9, 4), (None, min(os.cpu_count() or 1, 4))])
def test_as_many_processes_as_jobs(
    jobs: int | None, processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no more than problems."""
    asked = []

    def started(backend: str, n_jobs: int) -> nullcontext:
        asked.append((backend, n_jobs))
        return nullcontext()

    monkeypatch.setattr("joblib.parallel_config", started)
    monkeypatch.setattr("joblib.cpu_count", os.cpu_count)
    sweep([{"degree": 4, "steps": steps} for steps in range(2, 6)], tmp_path, jobs=jobs)
    assert asked == [("loky", processes)]


def test_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'spark' is not one of loky, dask"):
        sweep([{"degree": 3}], tmp_path, backend="spark")
    with pytest.raises(InputError, match="jobs: must be a whole number of at least 1"):
        sweep([{"degree": 3}], tmp_path, jobs=0)
    with pytest.raises(InputError, match='write backend="dask"'):
        sweep([{"degree": 3}], tmp_path, address="tcp://here:1")
    (tmp_path / "sweep.jsonl").write_text("mine\n")
    with pytest.raises(InputError, match=r"sweep\.jsonl: was not written by a sweep"):
        sweep([{"degree": 3}], tmp_path)


# The command


def test_the_command(tmp_path: Path) -> None:
    problems = tmp_path / "problems.toml"
    problems.write_text("degree = [3, 5]\nsteps = 2\n")
    arguments = ["sweep", str(problems), "-o", str(tmp_path / "tables"), "--jobs", "1"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "sign-d3x2-l1e-3-bf16.json  products   4  error 0.9" in result.stdout
    assert f"2 of 2 problems have a table in {tmp_path / 'tables'}" in result.stdout
    lines = CliRunner().invoke(main, [*arguments, "--json"]).stdout.splitlines()
    assert [json.loads(line)["problem"]["degree"] for line in lines] == [3, 5]
    problems.write_text("degree = [4, 5]\nsteps = 2\n")
    failed = CliRunner().invoke(main, arguments)
    assert failed.exit_code == 1
    assert failed.stderr.startswith('FAILED: {"degree": 4, "steps": 2}: degree: ')


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C reaches a whole process group on POSIX")
def test_ctrl_c_keeps_what_is_finished(tmp_path: Path) -> None:
    """Two quick problems and two that would take an hour, interrupted in them as a terminal does."""
    problems, folder = tmp_path / "problems.json", tmp_path / "tables"
    slow = {"method": "adam", "iterations": 10**8, "objective": ["topk:50", "topk:60"], "steps": 3}
    # In half precision another process would try as many matrices as outside of the tests.
    quick = {"degree": [3, 5], "steps": 2, "dtype": "float32"}
    problems.write_text(json.dumps({"grid": [quick, slow]}))
    command = "from polydesign.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "sweep", problems, "-o", folder, "--jobs", "2"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    summary = folder / "sweep.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if summary.exists() and summary.read_text().count("\n") == 2:
            break
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "nothing was left half written" in err
    kept = [Outcome(**json.loads(line)) for line in summary.read_text().splitlines()]
    assert [outcome.problem["degree"] for outcome in kept] == [3, 5]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["sweep.jsonl", *(str(outcome.table) for outcome in kept)]
    )
    for outcome in kept:
        assert polydesign.load(folder / str(outcome.table)).schedule.error == outcome.error


# A cluster

HAS_DASK = importlib.util.find_spec("distributed") is not None


@pytest.fixture
def address() -> Iterator[str]:
    """A scheduler with one worker of two threads, on this machine."""
    from distributed import LocalCluster  # pyright: ignore[reportMissingImports]

    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


@pytest.mark.skipif(not HAS_DASK, reason="dask.distributed is missing: pip install -e '.[cluster]'")
def test_a_dask_cluster_gives_the_same_bytes(tmp_path: Path, address: str) -> None:
    sweep(grid(SMALL), tmp_path / "here", jobs=1)
    sweep(grid(SMALL), tmp_path / "there", backend="dask", address=address)
    assert files(tmp_path / "here") == files(tmp_path / "there")
    (failed,) = sweep([{"degree": 4, "steps": 2}], tmp_path / "there", backend="dask", address=address)
    assert "degree: a step of root 2" in str(failed.failure)


@pytest.mark.skipif(not HAS_DASK, reason="dask.distributed is missing: pip install -e '.[cluster]'")
def test_dask_starts_a_cluster_of_its_own(tmp_path: Path) -> None:
    outcomes = sweep(grid(SMALL), tmp_path, backend="dask", jobs=2)
    assert all(outcome.failure is None for outcome in outcomes)


@pytest.mark.skipif(not HAS_DASK, reason="dask.distributed is missing: pip install -e '.[cluster]'")
def test_no_scheduler_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        sweep([{"degree": 3, "steps": 2}], tmp_path, backend="dask", address="tcp://127.0.0.1:9")


@pytest.mark.skipif(HAS_DASK, reason="dask.distributed is here")
def test_without_dask_the_extra_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pip install polydesign\[cluster\]"):
        sweep([{"degree": 3, "steps": 2}], tmp_path, backend="dask")


def test_a_misspelt_key_is_named_with_what_it_may_be() -> None:
    with pytest.raises(InputError, match=r"dtpe: .* did you mean dtype"):
        polydesign.design(degree=5, steps=3, dtpe="bfloat16")
    with pytest.raises(InputError) as refusal:
        polydesign.design(degree=5, steps=3, rate=0.1)
    assert "did you mean" not in refusal.value.problem

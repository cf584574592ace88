"""The scripts that measure operators, on tiny matrices: what they write can be read and holds."""

from __future__ import annotations

import importlib.util
import io
import itertools
import json
import runpy
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from pages import written
from references import timing_from_json

import polydesign
from polydesign.model import Plan
from polydesign.rounding import direct as noise
from polydesign.rounding.direct import predict
from polydesign.runtime import compiled, execute
from polydesign.runtime.defaults import SIGN as DEFAULT_TABLES
from polydesign.search.grids import grid
from polydesign.verification.spectra import DEFAULT_SPECTRA

ROOT = Path(__file__).parent.parent


def script_path(name: str) -> Path:
    """Of a script, by its name, whatever folder it is in."""
    return next((ROOT / "scripts").rglob(name))


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """As from a shell, but in this process: another one would load torch again, for two seconds."""
    out, err, code, threads = io.StringIO(), io.StringIO(), None, torch.get_num_threads()
    words = [str(script_path(script)), *map(str, arguments)]
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", words)
        # One thread: matrices this small gain nothing from more, and lose much where the cores are busy.
        torch.set_num_threads(1)
        try:
            runpy.run_path(words[0], run_name="__main__")
        except SystemExit as end:
            code = end.code
        finally:
            torch.set_num_threads(threads)
    return subprocess.CompletedProcess(words, int(code or 0), out.getvalue(), err.getvalue())


def loaded(script: str) -> Any:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location(script, script_path(f"{script}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[script] = module  # where a dataclass looks for its module
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore:.*_prims_common.check:FutureWarning")  # torch's own, of itself
def test_gpu_check_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without inductor's code generator, which test_compiled.py runs in both precisions."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **options: real(f, backend="aot_eager", **options))
    torch._dynamo.reset()
    compiled._compiled.cache_clear()
    target = tmp_path / "check.jsonl"
    result = run("gpu_check.py", "--device", "cpu", "--small", "-o", target)
    assert result.returncode == 0, result.stdout + result.stderr
    machine, *lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert machine["kind"] == "machine"
    assert {"device", "torch", "date", "polydesign"} <= machine.keys()
    verified = [line for line in lines if line["kind"] == "verify"]
    assert {(line["dtype"], line["spectrum"]) for line in verified} >= {
        (dtype, spectrum) for dtype in DEFAULT_TABLES for spectrum in DEFAULT_SPECTRA
    }
    assert {line["form"] for line in verified} == {"direct", "gram"}
    traced = [line for line in lines if line["kind"] == "compile"]
    assert [line["graphs"] for line in traced] == ([1, 1] if shutil.which("g++") else [])
    assert all(line["holds"] for line in verified)
    roots = [line for line in lines if line["kind"] == "root"]
    assert {(line["root"], line["dtype"]) for line in roots} == {
        (root, dtype) for root in (1, 2, 4) for dtype in ("float32", "bfloat16")
    }
    # On the CPU both columns are the same run; an error of 1 would be an eigenvalue lost.
    assert all(line["worst"] == line["worst_on_cpu"] < 1 for line in roots)
    timings = [timing_from_json(line) for line in lines if line["kind"] == "bench"]
    assert len(lines) == len(verified) + len(traced) + len(roots) + len(timings)
    assert {t.setting.batch for t in timings} == {1, 2}
    assert all(t.problem is None and t.median is not None and t.median > 0 for t in timings)


def test_gpu_check_says_what_it_skips(tmp_path: Path) -> None:
    target = tmp_path / "check.jsonl"
    result = run("gpu_check.py", "--device", "cpu", "--small", "--seconds", "0", "-o", target)
    assert result.returncode == 0, result.stdout + result.stderr
    _, *lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert lines
    assert {line["kind"] for line in lines} == {"skipped"}
    assert "SKIPPED: 0 s were left" in result.stdout


def test_gpu_check_counts_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece that raises and a promise that does not hold; the piece after them still runs."""
    script = loaded("gpu_check")

    def broken() -> list[Any]:
        raise RuntimeError("out of memory")

    verified = {"kind": "verify", "worst": 0.2, "promised": 0.1}
    work = [
        ("root 4 float32", broken),
        ("verify a", lambda: [{**verified, "holds": False}]),
        ("verify b", lambda: [{**verified, "holds": True}]),
    ]
    monkeypatch.setattr(script, "pieces", lambda *_: work)
    result = CliRunner().invoke(script.main, ["--device", "cpu", "-o", str(tmp_path / "check.jsonl")])
    assert result.exit_code == 1
    assert "root 4 float32: FAILED: RuntimeError: out of memory" in result.stdout
    assert "3 lines" in result.stdout
    assert "2 wrong, 0 pieces skipped" in result.stdout


def test_gpu_check_without_a_gpu_says_so(tmp_path: Path) -> None:
    result = run("gpu_check.py", "--device", "gpu", "-o", tmp_path / "x")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: --device: 'gpu' is not a torch device")
    assert not (tmp_path / "x").exists()


@pytest.mark.wide
def test_adam_targets(tmp_path: Path) -> None:
    target = tmp_path / "targets.json"
    result = run("adam_targets.py", "--small", "-o", target)
    assert result.returncode == 0, result.stdout + result.stderr
    body = json.loads(target.read_text())
    assert {"machine", "torch", "threads", *loaded("adam_targets").PARTS} == body.keys()
    low, _ = body["sup"]["optimum"]
    assert all(error is None or error >= low for pair in body["sup"]["adam_and_polished"] for error in pair)
    for entry in (*body["minimax"], *body["article"]):
        assert entry["polished"] <= entry["start_value"]
    assert all(entry["value"] <= entry["nearest"] for entry in body["rounded"]["grids"])
    # numpy alone finds what the search says of its own result.
    assert all(abs(e["by_numpy"] - e["polished"]) < 1e-9 for e in body["minimax"])
    assert all(abs(e["by_numpy"] - e["value"]) < 1e-9 for e in body["rounded"]["grids"])


def test_adam_targets_renews_a_part_and_keeps_the_others(tmp_path: Path) -> None:
    script = loaded("adam_targets")
    target = tmp_path / "targets.json"
    kept = {"machine": {"date": "before"}, "sup": "kept", "time": "renewed below"}
    target.write_text(json.dumps(kept))
    result = run("adam_targets.py", "--small", "--part", "time", "-o", target)
    assert result.returncode == 0, result.stdout + result.stderr
    body = json.loads(target.read_text())
    assert body | {"time": kept["time"]} == kept | {"renewed": body["renewed"]}
    assert [entry["restarts"] for entry in body["time"]] == [1, 32]
    assert body["renewed"]["time"].keys() == {"machine", "torch", "threads"}
    assert CliRunner().invoke(script.main, ["--part", "bend"]).exit_code == 2


def test_the_pages_quote_the_rounded_searches() -> None:
    """Of the file; and its coefficients, on their grids, give the values beside them by numpy alone."""
    script = loaded("adam_targets")
    body = json.loads(script.OUTPUT.read_text())
    part = body["rounded"]
    pages = written()
    assert script.markdown(part) in pages
    about = body.get("renewed", {}).get("rounded", body)
    assert f"{about['torch']}; {about['machine']['date']}; `scripts/studies/adam_targets.py`" in pages
    assert [entry["grid"] for entry in part["grids"]] == list(script.GRIDS)
    for entry in part["grids"]:
        where = grid(entry["grid"])
        ours, unrounded = entry["coefficients"], entry["unrounded_coefficients"]
        plain = [list(map(where.nearest, row)) for row in unrounded]
        assert [list(map(where.nearest, row)) for row in ours] == ours
        assert plain != unrounded
        # Sums in another order, and a composition of six steps with slopes of 8 or less where |f − 1| is large.
        for rows, name in ((ours, "value"), (unrounded, "unrounded")):
            assert script.mean_of_worst(rows, 50) == pytest.approx(entry[name], abs=1e-12)
        assert script.mean_of_worst(plain, 50) == pytest.approx(entry["nearest"], rel=1e-9)
        assert entry["unrounded"] < entry["value"] < entry["nearest"]
        assert (script.valid(plain, script.Problem(2, (5,) * 6, 1e-3)) is None) == entry[
            "nearest_loses_values"
        ]


def test_bench_operators(tmp_path: Path) -> None:
    target = tmp_path / "bench.json"
    result = run("bench_operators.py", "--small", "--rounds", "2", "-o", target)
    assert result.returncode == 0, result.stdout + result.stderr
    body = json.loads(target.read_text())
    assert {"machine", "torch", "threads", "load_before", "rounds", "timings"} == body.keys()
    timings = [timing_from_json(entry) for entry in body["timings"]]
    assert {t.setting.operator for t in timings} == {"msign", "inverse_root"}
    assert all(t.problem is None for t in timings)
    assert result.stdout.count("\n| ") == 5  # rows of the table


def test_the_pages_quote_the_bench() -> None:
    script = loaded("bench_operators")
    body = json.loads(script.OUTPUT.read_text())
    timings = [timing_from_json(entry) for entry in body["timings"]]
    runs = [list(run) for _, run in itertools.groupby(timings, key=lambda t: t.setting)]
    pages = written()
    assert script.markdown(runs) in pages
    assert f"{body['torch']}; {body['machine']['date']}; `scripts/benchmarks/bench_operators.py`" in pages


@pytest.mark.wide
def test_reachable(tmp_path: Path) -> None:
    """What is written of a program is what the program in the file does, and no limit is beaten."""
    target = tmp_path / "reachable.json"
    result = run("reachable.py", "--small", "-o", target)
    assert result.returncode == 0, result.stdout + result.stderr
    body = json.loads(target.read_text())
    assert {"machine", "effort", "shape", "steps", "schedules"} == body.keys()
    script = loaded("reachable")
    for entry in body["steps"]:
        found, limit = entry["four_products"], entry["best_of_inner_degree"]["16"]
        x = np.geomspace(entry["lower"], 1, 5001)
        code = script.four_products(found["constants"])
        assert code.products == 4
        # The search looks at 12 points a gap: between them a cosine grows by 1 − cos(π/24) at most.
        sampled = np.max(abs(1 - x * code(x**2)))
        assert limit < found["error"] < entry["degree_17"]["error"]
        assert limit < sampled < found["error"] * 1.01
        worse = [*found["constants"][:-1], found["constants"][-1] * 1.1]
        assert np.max(abs(1 - x * script.four_products(worse)(x**2))) > found["error"] * 1.01
    assert {entry["products"] for entry in body["schedules"]} == {16}


def test_the_pages_quote_the_reachable_steps() -> None:
    """Of the table; and the constants in the file give the errors beside them."""
    script = loaded("reachable")
    body = json.loads(script.OUTPUT.read_text())
    pages = written()
    for entry in body["steps"]:
        old, new, pair = entry["degree_17"], entry["four_products"], entry["composition_of_six_products"]
        best = ", ".join(f"{error:.3g}" for error in entry["best_of_inner_degree"].values())
        degrees = ", ".join(map(str, pair["degrees"]))
        assert (
            f"| {entry['lower']} | {old['error']:.3g}, {old['running_error']:.0f} | {pair['error']:.3g} ({degrees}) "
            f"| {new['error']:.3g}, {new['running_error']:.0f} | {best} |"
        ) in pages
        x = script.points(entry["lower"])
        assert np.max(abs(script.deviations(new["constants"], x))) == pytest.approx(new["error"], rel=1e-6)
        assert script.rounding(new["constants"]) == pytest.approx(new["running_error"], rel=1e-6)


@pytest.mark.wide
def test_calibrate_rounding(tmp_path: Path) -> None:
    """A few runs: what is predicted is what the model says, and the figure is there."""
    target = tmp_path / "rounding.json"
    result = run("calibrate_rounding.py", "--small", "-o", target)
    assert result.returncode == 0, result.stdout + result.stderr
    body = json.loads(target.read_text())
    assert {"machine", "torch", "constants", "steps", "blocks", "runs"} == body.keys()
    assert {one["evaluation"] for one in body["blocks"]} == {"chebyshev", "origin", "balanced"}
    assert target.with_suffix(".png").stat().st_size > 10_000
    assert {one["dtype"] for one in body["runs"]} == {"bfloat16", "float16", "float32"}
    shipped = [one for one in body["runs"] if one["schedule"].startswith("sign-")]
    assert shipped
    for one in shipped:
        schedule = polydesign.load(one["schedule"]).schedule
        expected = predict(schedule, one["dtype"], rows=min(one["shape"])).error
        assert (one["predicted"] or np.inf) == expected


def test_the_pages_quote_the_rounding_model() -> None:
    """Its tables and names; with the constants that the model has today."""
    script = loaded("calibrate_rounding")
    body = json.loads(script.OUTPUT.read_text())
    pages = written()
    assert script.markdown(body) in pages
    pairs = {(one["schedule"], one["dtype"]) for one in body["runs"]}
    assert f"{len(body['runs'])} runs of {len(pairs)} pairs of schedule and precision" in pages
    assert (
        f"torch {body['torch']}; {body['machine']['date']}; `scripts/studies/calibrate_rounding.py`" in pages
    )
    assert "figures/rounding_model.png" in pages
    assert len(body["runs"]) >= 200
    assert body["constants"] == {name: getattr(noise, name) for name in script.CONSTANTS}


@pytest.mark.wide
def test_budget_targets(tmp_path: Path) -> None:
    """Parts that are not run again are kept, and the figure is written beside them."""
    target = tmp_path / "targets.json"
    target.write_text('{"wide": {"rows": []}}')
    result = run("budget_targets.py", "--small", "--part", "exact", "--part", "figure", "-o", target)
    assert result.returncode == 0, result.stdout + result.stderr
    body = json.loads(target.read_text())
    assert body.keys() == {"wide", "exact", "figure"}
    assert {"machine", "torch", "rows"} == body["exact"].keys()
    assert all(row["met"] is (float(row["proved"]) <= row["target"]) for row in body["exact"]["rows"])
    assert all(row["met"] for row in body["exact"]["rows"])
    for products, error in body["figure"]["rows"]["front"]:
        bounds = [bound for m, bound in body["figure"]["rows"]["limit"] if m == products]
        assert all(bound <= error for bound in bounds)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".png", ".svg"}


@pytest.mark.wide
def test_fronts_of_roots(tmp_path: Path) -> None:
    """What was measured for roots is drawn, and the table has every row but those of exact arithmetic."""
    body = json.loads((ROOT / "figures" / "budget_targets.json").read_text())
    rows = body["roots"]["rows"]
    (tmp_path / "targets.json").write_text(json.dumps({"roots": body["roots"]}))
    result = run("root_fronts.py", tmp_path / "targets.json")
    assert result.returncode == 0, result.stdout + result.stderr
    assert {path.name for path in tmp_path.iterdir()} >= {"root_fronts.png", "root_fronts.svg"}
    lines = loaded("root_fronts").markdown(rows).splitlines()[2:]
    assert len(lines) == sum(row["kind"] != "exact" for row in rows)
    # In float32 fewer products than the article's reach less than its error.
    for root in (4, 2):
        mine = [row for row in rows if (row["root"], row["dtype"]) == (root, "float32")]
        (theirs,) = (row for row in mine if row["kind"] == "published")
        assert any(
            row["mean_absolute_error"] < theirs["mean_absolute_error"]
            for row in mine
            if row["kind"] == "searched" and row["products"] < theirs["products"]
        )


def test_the_pages_quote_the_budget_targets() -> None:
    script = loaded("budget_targets")
    body = json.loads(script.OUTPUT.read_text())
    pages = written()
    assert all(table in pages for table in script.markdown(body))
    for row in body["exact"]["rows"]:
        assert f"{row['products']} products {row['exact_error']:.4g}" in pages
    # The control: another figure is not quoted.
    body["exact"]["rows"][0]["exact_error"] *= 1.01
    assert f"products {body['exact']['rows'][0]['exact_error']:.4g}" not in pages


def test_the_pages_quote_half_precision() -> None:
    result = CliRunner().invoke(loaded("half_precision_figure").main, ["--check"])
    assert result.exit_code == 0, result.output


def test_the_best_of_half_precision() -> None:
    """The least error of so many products, what is not finite last; hollow is what is not plain."""
    script = loaded("half_precision_figure")
    row = {"name": "a", "dtype": "bfloat16", "products": 15, "worst": 0.15, "standing": "plain"}
    rows = [row, row | {"name": "b", "worst": 0.125, "standing": "fused"}, row | {"name": "c", "worst": None}]
    rows.append(row | {"name": "d", "products": 12, "worst": None})
    assert [one["name"] for one in script.best_of(rows, "bfloat16").values()] == ["d", "a"]
    assert script.best_of(rows, "bfloat16", plain=False)[15]["name"] == "b"
    assert script.best_of(rows, "float16") == {}
    assert [script.cell(one) for one in (*rows[:3], None)] == ["**0.15**", "0.125", "**not finite**", "–"]
    body = {"published": rows, "before": [], "ours": [row], "limit": [[12, 0.06], [15, 1e-8]]}
    assert "| 15 | 0.125 | – | **0.15** | – | – | – | 1e-8 |" in script.markdown(body)
    assert "| bf16 | 15 | `b` 0.125 | `a` **0.15** | `a` **0.15** |" in script.named(body)


def test_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one spectrum and small matrices; an earlier table is known by its coefficients."""
    script = loaded("half_precision")
    monkeypatch.setattr(script, "SPECTRA", ("rank2",))
    monkeypatch.setattr(script, "SHAPE", (8, 16))
    published = {table.name: (table, dtype, standing) for table, dtype, standing in script.published_tables()}
    jordan = script.measured(*published["jordan_5"])
    assert jordan["products"] == 15
    assert jordan["exact"] == pytest.approx(0.5294560487844602)
    assert 0.4 < jordan["worst"] < 0.55
    table = polydesign.load("sign-m15-l1e-3-fp16")
    ((_, dtype, standing),) = script.own([table, polydesign.load("sign-d5x6-l1e-3")])
    assert (dtype, standing) == ("float16", table.standing())
    ((_, _, standing),) = script.own([table], frozenset([table.digest]))
    assert standing == "unsafe"


def test_the_page_quotes_what_rounding_the_input_fills() -> None:
    """And the folded step is the same map, of a matrix that was not divided."""
    script = loaded("input_rounding")
    for row in json.loads(script.OUTPUT.read_text())["rows"]:
        assert f"| {row['way']} | {row['leak']:.2g} | {row['distance']:.2g} |" in written()
    schedule = polydesign.load("sign-d5x5-l1e-3-bf16").schedule
    x = np.linspace(0.01, 1, 50)
    np.testing.assert_allclose(script.with_norm(schedule, 1.7)(1.7 * x), schedule(x), rtol=1e-12)
    M = script.matrix(3)
    assert int((torch.linalg.svdvals(M.double()) > 1e-9).sum()) == 8
    leak, distance = script.figures(M, torch.linalg.svd(M.double(), full_matrices=False).U @ M.double())
    assert leak < 1e-9 < distance


@pytest.mark.wide
def test_clipping(tmp_path: Path) -> None:
    """A tiny matrix: what is written can be read, and every formula and precision is there."""
    target = tmp_path / "clipping.json"
    result = run("clipping.py", "--small", "-o", target)
    assert result.returncode == 0, result.stdout + result.stderr
    body = json.loads(target.read_text())
    assert body.keys() == {"machine", "torch", "shape", "large", "floors", "best", "runs"}
    published = [row for row in body["runs"] if row["kind"] == "published"]
    assert [row["formula"] for row in published] == ["nested", "unnested", "cancelling", "block"]
    assert [row["matmuls"] for row in published] == [26, 26, 39, 13]
    assert body["floors"].keys() == body["best"].keys() == {"bfloat16", "float16", "float32"}
    assert all(row["matmuls"] <= 36 for row in body["best"].values())


def test_clipping_at_full_size_is_what_was_aimed_at() -> None:
    """The published figures reproduced, and half of the best of them reached in float32."""
    body = json.loads((ROOT / "figures" / "clipping.json").read_text())
    published = [row for row in body["runs"] if row["kind"] == "published"]
    for row in published:
        norm, error = row["reported"]
        assert row["spectral_norm"] == pytest.approx(norm, rel=0.05)
        assert row["sigma_error"] == pytest.approx(error, rel=0.05)
    assert body["best"]["float32"]["sigma_error"] < min(row["reported"][1] for row in published) / 2
    (default,) = [row for row in body["runs"] if (row["kind"], row["dtype"]) == ("default", "float32")]
    assert default["sigma_error"] < 0.16
    assert default["matmuls"] <= 36


def test_equations(tmp_path: Path) -> None:
    """Small ones: every part is there, and what cannot be solved is named."""
    target = tmp_path / "equations.json"
    result = run("solve_equations.py", "--small", "-o", target)
    assert result.returncode == 0, result.stdout + result.stderr
    body = json.loads(target.read_text())
    assert all(row["ours"] < 1e-10 for row in body["sylvester"])
    assert [row["number"] for row in body["riccati"] if "refused" in row] == [11]
    for row in body["precision"]:
        assert row["4"] < row["1"] < row["0"]
    assert "Refused: 11," in result.stdout


def test_the_figure_of_the_signs(tmp_path: Path) -> None:
    target = tmp_path / "signs.png"
    result = run("matrix_sign.py", "--small", "-o", target)
    assert result.returncode == 0, result.stdout + result.stderr
    assert target.read_bytes().startswith(b"\x89PNG")


def memory_by_derivative(body: dict[str, Any]) -> None:
    """4 and 40 steps take the same within 5 % by the equation; by autograd, the control, they do not."""
    assert body.keys() == {"machine", "torch", "device", "dtype", "steps", "rows"}
    assert body["steps"] == [4, 40]
    assert {row["derivative"] for row in body["rows"]} == {"equation", "autograd"}
    for row in body["rows"]:
        for few, many in (row["saved"], row["peak"]):
            assert (many <= 1.05 * few) is (row["derivative"] == "equation")
        if row["derivative"] == "equation":
            assert row["saved"][0] == 4 * np.prod(row["shape"])  # the input in float32, and nothing else


def test_derivative_memory(tmp_path: Path) -> None:
    target = tmp_path / "memory.json"
    result = run("derivative_memory.py", "--small", "-o", target)
    assert result.returncode == 0, result.stdout + result.stderr
    body = json.loads(target.read_text())
    memory_by_derivative(body)
    assert {tuple(row["shape"]) for row in body["rows"]} == {(16, 16), (16, 48)}


def test_derivative_memory_at_full_size() -> None:
    script = loaded("derivative_memory")
    body = json.loads(script.OUTPUT.read_text())
    memory_by_derivative(body)
    assert len(script.markdown(body).splitlines()) == 2 + len(body["rows"])


def test_the_cost_of_triangular_solves(tmp_path: Path) -> None:
    target = tmp_path / "cost.json"
    result = run("triangular_cost.py", "--small", "-o", target)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = json.loads(target.read_text())["rows"]
    assert [row["n"] for row in rows] == [64, 128]
    assert all(row["difference"] < 1e-5 for row in rows)


def test_tables_are_measured_as_what_they_are_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The polar factor by msign, inverse roots from the identity, also those of root 2; three precisions each."""
    script = loaded("measure_coeffs")
    expected = {
        "jordan_5": "msign",
        "su_root_r2": "inverse_root",
        "su_root_r1": "inverse",
        "sign-d5x7-l0.01-fp32": "inverse_root",
        "sign-d5x8-l1e-3-fp64": "msign",
        "clip-d9x3-l0.1-bf16": "spectral_clip",
    }
    for name in expected:
        table = replace(polydesign.load(name), measured=(), tried=())
        polydesign.save(table, tmp_path / f"{name}.json")
    monkeypatch.setattr(script, "FOLDER", tmp_path)
    result = CliRunner().invoke(script.main, ["--shape", "16", "32"])
    assert result.exit_code == 0, result.output
    found = {name: polydesign.load(tmp_path / f"{name}.json").measured for name in expected}
    operators = {name: {m.operator for m in measured} for name, measured in found.items()}
    assert operators == {name: {operator} for name, operator in expected.items()}
    halves = {"bfloat16", "float16", "float32"}
    assert {m.dtype for m in found["jordan_5"]} == halves
    assert {m.dtype for m in found["sign-d5x8-l1e-3-fp64"]} == halves | {"float64"}
    assert {m.dtype for m in found["clip-d9x3-l0.1-bf16"]} == {"bfloat16"}
    assert "jordan_5: bfloat16 0." in result.output


def test_the_bilinear_step(tmp_path: Path) -> None:
    """Of what is in docs/: the polar factors are never worse than the normal equations where κ counts."""
    target = tmp_path / "steps.json"
    result = run("bilinear_step.py", "--small", "-o", target)
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(json.loads(target.read_text())["rows"]) == 12
    for row in json.loads(loaded("bilinear_step").OUTPUT.read_text())["rows"]:
        if row["condition"] > 10:
            assert row["normal"] is None or row["normal"] > 10 * row["polar"]
        errors = [error for error in row["errors"] if error is not None]
        assert errors == sorted(errors, reverse=True)


def test_the_cost_of_a_float32_state(tmp_path: Path) -> None:
    target = tmp_path / "small.json"
    result = run("small_state.py", "--small", "--rounds", "2", "-o", target)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = json.loads(target.read_text())["rows"]
    assert [row["side"] for row in rows] == [8] * 8 + [16] * 8
    assert all(row["ms"]["half"] > 0 < row["ratio"] for row in rows)


def test_the_default_side_is_the_measured_one() -> None:
    """And the limit is where the ratios stop to be about 1: at a larger side some ratio is above that."""
    script = loaded("small_state")
    body = json.loads(script.OUTPUT.read_text())
    assert body["limit"] == script.limit(body["rows"]) == Plan().float32_side
    inside = [row["ratio"] for row in body["rows"] if row["side"] <= body["limit"]]
    beyond = [row["ratio"] for row in body["rows"] if row["side"] > body["limit"]]
    assert max(inside) <= script.MOST < max(beyond)


@pytest.mark.wide
def test_what_rounding_does_to_spectral_powers(tmp_path: Path) -> None:
    target = tmp_path / "spectral_powers.json"
    result = run("spectral_powers.py", "--small", "-o", target)
    assert result.returncode == 0, result.stdout + result.stderr
    script = loaded("spectral_powers")
    for path in (target, script.OUTPUT):
        body = json.loads(path.read_text())
        for row in body["powers"]:
            assert max(row["units"], row["residual_units"]) <= script.ROUNDINGS[row["dtype"]]
        assert all(row["error"] <= 0.25 for row in body["clips"])


@pytest.mark.wide
def test_what_split_steps_do(tmp_path: Path) -> None:
    target = tmp_path / "split_roots.json"
    result = run("split_roots.py", "--small", "-o", target)
    assert result.returncode == 0, result.stdout + result.stderr
    script = loaded("split_roots")
    for path, tried in ((target, 70), (script.OUTPUT, 260)):
        body = json.loads(path.read_text())
        assert all(row["tried"] == tried for row in body["rows"] if row["way"] in script.WAYS)
        assert all(row["lost"] == 0 for row in body["rows"] if row["way"] in ("split", "hunted"))


@pytest.mark.wide
def test_what_dither_does(tmp_path: Path) -> None:
    target = tmp_path / "dither.json"
    result = run("dither.py", "--small", "-o", target)
    assert result.returncode == 0, result.stdout + result.stderr
    script = loaded("dither")
    for path, count in ((target, 50), (script.OUTPUT, 10_000)):
        body = json.loads(path.read_text())
        assert body["of_each_kind"] == count
        assert [(one["dtype"], one["headroom"]) for one in body["tables"]] == script.TABLES
        for one in body["tables"]:
            assert len(one["structured"]) == len(script.PLANS) * len(script.KINDS)
            assert all(row["above"] <= row["away"] <= count for row in one["structured"])
            # Below 32 rows there is nothing left to lose, and pairs have two.
            assert all(
                row["away"] == 0
                for row in one["structured"]
                if row["kind"] == "pairs" and row["plan"] in ("float32_side", "both")
            )
    # What it gives up, in the file: the direction's error is larger, without exception.
    for one in body["tables"]:
        without, with_it = one["random"]
        assert 1.2 * without["direction"] < with_it["direction"] < 1.6 * without["direction"]


def test_what_a_call_costs(tmp_path: Path) -> None:
    target = tmp_path / "cost.json"
    result = run("guard_cost.py", "--small", "--rounds", "2", "-o", target)
    assert result.returncode == 0, result.stdout + result.stderr
    script = loaded("guard_cost")
    rows = json.loads(target.read_text())["rows"]
    assert [row["dtype"] for row in rows] == ["bfloat16", "float32"]
    assert all(row["loop_ms"] > 0 < min(row["checked"], row["unchecked"]) for row in rows)
    page = (ROOT / "docs" / "running.md").read_text("utf-8")
    assert script.markdown(json.loads(script.OUTPUT.read_text())) in page


def test_silent_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None among some calls, and all those that are made wrong on purpose."""
    target = tmp_path / "faults.json"
    assert run("silent_faults.py", "--calls", "60", "--output", target).returncode == 0
    counts = json.loads(target.read_text())["counts"]
    assert sum(sum(of.values()) for of in counts.values()) == 60
    body = json.loads(loaded("silent_faults").OUTPUT.read_text())
    assert (body["calls"], body["silent"]) == (20_000, 0)
    # Half of what comes out, in the iteration itself, where no norm is too large.
    direct = execute.direct
    monkeypatch.setattr(execute, "direct", lambda X, *how: direct(X, *how) / 2)
    result = run("silent_faults.py", "--calls", "60", "--output", target)
    assert result.returncode == 1
    assert "SILENT" in result.stdout


def test_counted_costs_of_sharded_matrices() -> None:
    """What runs sends what the model says, and the page says both."""
    result = run("sharded_costs.py")
    assert result.returncode == 0, result.stderr
    rows = [line.split()[-5:] for line in result.stdout.splitlines()[1:]]
    assert len(rows) == 2 * 2 * 3
    for layout, sent, model, *counts in rows:
        assert (sent, counts[0]) == (model, counts[1])
        assert f"{sent}, {counts[0]}" in written(), layout


def test_the_layout_that_takes_least_by_the_model() -> None:
    script = loaded("sharded_scaling")
    body = json.loads(script.OUTPUT.read_text("utf-8"))
    assert script.markdown(body) in written()
    # The rows of the file are what comes out again.
    assumed = {name: value for name, value in body["assumed"].items() if name != "memory"}
    operator = script.Sign(body["table"], Plan("bf16", check=False))
    for row in body["rows"][5::101]:
        machines = script.Machines(network=row["network"], **assumed)
        again = script.step(operator, row["model"], row["ranks"], machines, single=row["single"])
        assert again == {layout: row[layout] for layout in script.LAYOUTS}
    # Weights that are published, without embeddings: 774 M, 70.6 B, 671 B.
    embeddings = {
        "GPT-2 large": (50257 + 1024) * 1280,
        "Llama 3 70B": 2 * 128256 * 8192,
        "DeepSeek-V3": 2 * 129280 * 7168,
    }
    for name, published in (("GPT-2 large", 774e6), ("Llama 3 70B", 70.6e9), ("DeepSeek-V3", 671e9)):
        assert script.weights(name) + embeddings[name] == pytest.approx(published, rel=1e-3)
    # In one node the network is nothing; of an all-to-all 56 of 63 parts leave a node of 64 ranks.
    machines = script.Machines(flops=1.0, link=7.0, network=8.0, node=8, latency=0.0)
    for exchanged, ranks, seconds in ((0, 8, 10.0), (70, 8, 10.0), (0, 64, 10.0), (63, 64, 57.0)):
        cost = script.cost.Cost(0.0, 70.0, 3)
        assert machines.seconds(cost, exchanged, ranks) == pytest.approx(seconds)

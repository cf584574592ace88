"""The scripts of docs/training.md at tiny sizes: the study goes on where it stopped, and its rules decide."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pages import written
from scipy import stats
from test_scripts import loaded, run

pytestmark = pytest.mark.numerics

QUICK = ("--quick", "--task", "images", "--map", "exact", "--map", "jordan_5", "--processes", 1)


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """With no time left nothing runs; later all does, once, and the table is of what is there."""
    target = tmp_path / "study.json"
    stopped = run("does_it_matter.py", *QUICK, "--hours", -1, "-o", target)
    assert stopped.returncode == 0, stopped.stderr
    assert "start it again to go on" in stopped.stderr
    assert not target.exists()
    first = run("does_it_matter.py", *QUICK, "-o", target)
    assert first.returncode == 0, first.stderr
    body = json.loads(target.read_text())
    assert len(body["runs"]) == 2 * (3 + 2)  # maps; rates, and new seeds
    assert all(0 < one["loss"] < 5 for one in body["runs"].values())
    # One seed is one model and one order of the data, so losses of two maps lie closer than those of two seeds.
    assert [look["step"] for look in next(iter(body["runs"].values()))["momentum"]] == [3, 6]
    assert {"rho", "below_1e-3", "quantiles"} <= next(iter(body["runs"].values()))["momentum"][0].keys()
    assert len(body["data"]["images"]["sha256"]) == 64
    again = run("does_it_matter.py", *QUICK, "-o", target)
    assert again.stderr == ""  # a line a run
    assert json.loads(target.read_text())["runs"] == body["runs"]
    assert again.stdout == first.stdout
    assert "| jordan_5 | 15 |" in again.stdout
    other = run("does_it_matter.py", "--task", "images", "-o", target)
    assert other.returncode != 0
    assert "is of another size" in other.stderr


def test_the_exact_map_is_exact() -> None:
    script = loaded("small_runs")
    generator = torch.Generator().manual_seed(0)
    M = torch.randn((6, 9), generator=generator)
    M[5] = M[4]  # of rank 5
    params = [torch.nn.Parameter(torch.zeros(6, 9))]
    optimizer = script.optimizer_of("exact", None, params, 1.0)
    optimizer.param_groups[0]["momentum"] = 0.0
    params[0].grad = M
    optimizer.step()
    sigma = torch.linalg.svdvals(params[0].detach().double())
    assert (sigma[:5] - 1).abs().max() < 1e-6
    assert sigma[5] < 1e-6


LOSSES = {
    "exact": (1.0, 1.1, 1.2, 1.3, 1.4),
    "jordan_5": (1.01, 1.12, 1.21, 1.32, 1.41),
    "cubic5": (1.05, 1.0, 1.3, 1.2, 1.45),
}


def body_of(script: Any, *, best: float = 0.02) -> dict[str, Any]:
    """Runs whose losses are those of LOSSES, at the rate `best`."""
    runs = {}
    for name, losses in LOSSES.items():
        for rate in script.RATES:
            runs[script.key_of("text", name, rate, 0)] = {"loss": 1.0 if rate == best else 2.0}
        for seed, loss in enumerate(losses, 1):
            runs[script.key_of("text", name, best, seed)] = {"loss": loss, "advice": None}
    return {
        "size": {},
        "products": {"jordan_5": 15},
        "data": {"text": {"about": "made up", "sha256": "0"}},
        "runs": runs,
    }


def test_differences_are_judged_in_pairs() -> None:
    """jordan_5 is above the exact map on every seed; cubic5 is not, though its mean is as far away."""
    script = loaded("does_it_matter")
    rows = {row["map"]: row for row in script.summary(body_of(script), "text", script.SIZES["cpu"])}
    assert (rows["jordan_5"]["differs"], rows["cubic5"]["differs"]) == (True, False)
    assert "loss" not in rows["polar_express_nanochat"]
    for name in ("jordan_5", "cubic5"):
        test = stats.ttest_rel(LOSSES[name], LOSSES["exact"])
        low, high = test.confidence_interval(1 - 0.05 / 6)  # pyright: ignore
        assert rows[name]["of_difference"] == pytest.approx((low, high))
        assert rows[name]["differs"] == (test.pvalue < 0.05 / 6)  # pyright: ignore
        # What such a study would show four times of five.
        error = (high - low) / 2 / stats.t.ppf(1 - 0.025 / 6, 4)
        power = 1 - stats.nct.cdf(stats.t.ppf(1 - 0.025 / 6, 4), 4, rows[name]["detectable"] / error)
        assert power == pytest.approx(0.8, abs=1e-6)


def test_a_rate_at_an_end_of_the_grid_is_said() -> None:
    script = loaded("does_it_matter")
    body = body_of(script, best=script.RATES[-1])
    body["size"] = script.asdict(script.SIZES["cpu"])
    text = script.markdown(body)
    assert "0.16 (an end)" in text
    assert "rate at an end" in text
    assert "differs" not in text
    body = body_of(script) | {"size": script.asdict(script.SIZES["cpu"])}
    assert "| differs |" in script.markdown(body)


def test_seeds_alone_seldom_differ_and_what_is_detectable_is_detected() -> None:
    """Studies that are drawn: with no difference at most one in twenty shows any; with one map away by what
    five seeds are said to detect, four in five do."""
    script, trials = loaded("does_it_matter"), 400
    rng = np.random.default_rng(0)
    names = list(script.MAPS)
    away = loaded("small_results").detectable(5**-0.5, 1 - 0.05 / 6, 4)
    false = true = 0
    for _ in range(trials):
        body = body_of(script)
        losses = rng.normal(size=(len(names), 5)) / 2**0.5 + 3 * rng.normal(size=5)  # of differences: 1
        losses[0] += away
        for name, row in zip(names, losses, strict=True):
            for rate in script.RATES:
                body["runs"][script.key_of("text", name, rate, 0)] = {"loss": 1.0 if rate == 0.02 else 2.0}
            for seed, loss in enumerate(row, 1):
                body["runs"][script.key_of("text", name, 0.02, seed)] = {"loss": float(loss)}
        first, *others, _ = script.summary(body, "text", script.SIZES["cpu"])
        true += first["differs"]
        false += any(row["differs"] for row in others)
    # Bonferroni: at most 5/6 of 5 %, less as the six share the exact map. Four standard errors each.
    assert 0 < false / trials < 0.05 * 5 / 6 + 4 * (0.0417 * 0.9583 / trials) ** 0.5
    assert abs(true / trials - 0.8) < 4 * (0.8 * 0.2 / trials) ** 0.5


def test_rates_are_climbed_from_the_middle() -> None:
    """The best of a curve with one valley is found with both its neighbours, and no other rate is asked for."""
    script, results = loaded("does_it_matter"), loaded("small_results")
    size, body = script.SIZES["cpu"], {"runs": {}}
    while True:
        asked = results.asked_rates(body, "text", size, "cubic5")
        new = [rate for rate in asked if rate not in results.losses_of(body, "text", size, "cubic5")]
        if not new:
            break
        assert results.chosen_rate(body, "text", size, "cubic5") is None
        for rate in new:  # the valley is at 0.005
            loss = None if rate > 0.03 else abs(math.log2(rate / 0.005))
            body["runs"][script.key_of("text", "cubic5", rate, 0)] = {"loss": loss}
    assert results.chosen_rate(body, "text", size, "cubic5") == 0.005
    assert len(body["runs"]) == 5  # of seven


def test_what_is_stored_is_what_the_runs_show() -> None:
    """Of the study on the page; and advise: its exact figures are NumPy's, and what a table serves is served."""
    script = loaded("does_it_matter")
    body = json.loads(script.OUTPUT.read_text())
    size = script.SIZES["cpu"]
    assert script.size_of(body) == size
    for task, rows in body["summary"].items():
        for stored, row in zip(rows, script.summary(body, task, size), strict=True):
            for key in ("map", "products", "rate", "runs", "at_the_end", "differs"):
                assert stored.get(key) == row.get(key)
            for key in ("loss", "interval", "difference", "of_difference", "detectable"):
                assert stored.get(key) == (pytest.approx(row[key]) if key in row else None)
    served = [one for found in body["runs"].values() for one in found["advice"]["serves"]]
    assert len(served) == 3 * len(body["runs"]) > 0
    assert all(one["worst"] <= one["error"] for one in served)
    for found in body["runs"].values():
        exact = found["advice"]["exact"]
        assert max(exact["rho"], exact["high"]) < 1e-12
        assert exact["low"] < 1e-3  # rounding, over a least σ that may itself be as small as 1e-12
        assert exact["below_1e-3"] == exact["below_1e-4"] == 0
    # A broken run has nothing that advise reads, and no loss; none of these broke.
    assert all(found["loss"] is not None for found in body["runs"].values())


def test_the_page_quotes_the_other_seeds() -> None:
    """Ten that are in no other comparison, above the exact map on each."""
    script = loaded("does_it_matter")
    body = json.loads((script.OUTPUT.parent / "does_it_matter_again.json").read_text())
    size = script.SIZES["again"]
    assert script.size_of(body) == size
    assert not set(size.seeds) & {0, *script.SIZES["cpu"].seeds}
    rows = {row["map"]: row for row in script.summary(body, "wider text", size)}
    row, exact = rows["jordan_5"], rows["exact"]
    low, high = row["of_difference"]
    assert f"{row['difference']:+.4f} ({low:+.4f} to {high:+.4f}) | {row['detectable']:.4f} |" in written()
    assert f"| exact | {exact['rate']:g} | {exact['loss']:.4f} (" in written()
    runs = [[body["runs"][script.key_of("wider text", name, 0.02, seed)]["loss"] for seed in size.seeds]
            for name in ("jordan_5", "exact")]  # fmt: skip
    assert all(a > b for a, b in zip(*runs, strict=True))
    assert stats.ttest_rel(*runs).pvalue == pytest.approx(1e-4, rel=0.5)  # pyright: ignore


def test_the_benchmark_of_a_step(tmp_path: Path) -> None:
    target = tmp_path / "steps.json"
    found = run("muon_step.py", "--small", "--rounds", 1, "-o", target)
    assert found.returncode == 0, found.stderr
    body = json.loads(target.read_text())
    (row,) = body["rows"]
    assert (row["width"], row["layers"], body["threads"]) == (40, 1, 1)
    assert all(row[name] > 0 for name in ("torch_ms", "rows", "default", "unchecked"))
    assert found.stdout.strip() == loaded("muon_step").markdown(body)

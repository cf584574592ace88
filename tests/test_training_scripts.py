"""The scripts of docs/training.md at tiny sizes: the study goes on where it stopped, and its rules decide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats
from test_scripts import loaded, run

pytestmark = pytest.mark.numerics

QUICK = ("--quick", "--task", "images", "--map", "exact", "--map", "jordan_5", "--threads", 1)


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
    script = loaded("does_it_matter")
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
            runs[script.key_of("text", name, best, seed)] = {"loss": loss}
    return {"size": {}, "products": {"jordan_5": 15}, "data": {"text": {"about": "made up"}}, "runs": runs}


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
        # What such a study would show four times of five: by the noncentral t, the power there is 0.8 or so.
        error = (high - low) / 2 / stats.t.ppf(1 - 0.025 / 6, 4)
        power = 1 - stats.nct.cdf(stats.t.ppf(1 - 0.025 / 6, 4), 4, rows[name]["detectable"] / error)
        assert 0.7 < power < 0.95


def test_a_rate_at_an_end_of_the_grid_is_said() -> None:
    script = loaded("does_it_matter")
    body = body_of(script, best=0.08)
    body["size"] = script.asdict(script.SIZES["cpu"])
    text = script.markdown(body)
    assert "0.08 (an end)" in text
    assert "rate at an end" in text
    assert "differs" not in text
    body = body_of(script) | {"size": script.asdict(script.SIZES["cpu"])}
    assert "| differs |" in script.markdown(body)


def test_the_benchmark_of_a_step(tmp_path: Path) -> None:
    target = tmp_path / "steps.json"
    found = run("muon_step.py", "--small", "--rounds", 1, "-o", target)
    assert found.returncode == 0, found.stderr
    body = json.loads(target.read_text())
    (row,) = body["rows"]
    assert (row["width"], row["layers"], body["threads"]) == (40, 1, 1)
    assert all(row[name] > 0 for name in ("torch_ms", "rows", "default", "unchecked"))
    assert found.stdout.strip() == loaded("muon_step").markdown(body)

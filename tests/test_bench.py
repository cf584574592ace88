"""The bench: ratios on fake contestants with a fake clock, and all real ones on small matrices."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from clock import Clock
from references import timing_from_json
from tables import prototype

from polydesign.model import InputError, Table
from polydesign.table.catalogue import load
from polydesign.verification.bench import Timing, bench, json_lines
from polydesign.verification.contestants import OPERATORS, OURS

QUINTICS = prototype("quintics_18")


def with_fakes(monkeypatch: pytest.MonkeyPatch, **fakes: Callable[..., Any]) -> None:
    entry = OPERATORS["msign"]._replace(contestants={OURS: fakes.pop("ours"), **fakes})
    monkeypatch.setitem(OPERATORS, "msign", entry)


def small(operator: str = "msign", table: Table | None = None, **options: Any) -> list[Timing]:
    shape = (12, 20) if operator == "msign" else (12, 12)
    return bench(operator, table, **{"shape": shape, "rounds": 3, "device": "cpu", **options})


def test_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    with_fakes(monkeypatch, ours=clock.call("ours", 1, 1, 1, 10, 4), other=clock.call("other", 1, 1, 8, 8, 2))
    ours, other = small(timer=clock.timer)
    assert (ours.median, ours.ratio, ours.round_ratio, ours.rounds) == (4, 1, 1, 3)
    # Medians 8 and 4; in the rounds 8/1, 8/10, 2/4.
    assert (other.median, other.ratio, other.round_ratio) == (8, 2, 0.8)
    assert (other.lower_quartile, other.upper_quartile) == (5, 8)


@pytest.mark.parametrize("broken", ["ours", "other"])
def test_a_contestant_that_raises_is_reported(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    clock = Clock()
    fakes = {name: clock.call(name, 1, fails_at=0 if name == broken else None) for name in ("ours", "other")}
    with_fakes(monkeypatch, **fakes)
    ours, other = small(timer=clock.timer)
    lost, kept = (ours, other) if broken == "ours" else (other, ours)
    assert (lost.problem, lost.median, lost.rounds) == (f"RuntimeError: {broken} broke", None, 0)
    assert (lost.finite, lost.worst, lost.ratio) == (None, None, None)
    assert (kept.problem, kept.median) == (None, 1)
    assert kept.ratio == (None if broken == "ours" else 1)


def test_torch_without_the_function_of_muon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("torch.optim._muon._zeropower_via_newtonschulz")
    ours, muon = small(beside=["muon"])
    assert ours.problem is None
    assert muon.problem is not None
    assert "this version of torch" in muon.problem


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_all_contestants_run(operator: str, dtype: str, device: str) -> None:
    progress = []
    found = small(operator, dtype=dtype, device=device, progress=lambda *done: progress.append(done))
    assert [t.name for t in found] == list(OPERATORS[operator].contestants)
    assert progress == [(1, 3), (2, 3), (3, 3)]
    for t in found:
        assert t.problem is None
        assert (t.finite, t.rounds) == (True, 3)
        numbers = (t.median, t.lower_quartile, t.upper_quartile, t.ratio, t.round_ratio, t.worst)
        assert np.isfinite(np.array(numbers, dtype=float)).all()
        assert t.about
        assert timing_from_json(json.loads(json_lines([t]))) == t
    assert "date" in json.loads(json_lines(found[:1]))
    assert "date" not in found[0].as_json()


def test_a_wrong_answer_shows() -> None:
    """A quintic that does not converge, and a decomposition that does."""
    found = {t.name: t for t in small(dtype="float32", beside=["svd", "muon"])}
    worst = {name: t.worst or 0.0 for name, t in found.items()}
    assert worst["svd"] < 20 * 12 * 2.0**-24  # a backward stable method: a modest multiple of n·u
    assert worst["muon"] > 0.05


def test_a_result_that_is_not_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    with_fakes(monkeypatch, ours=clock.call("ours", 1), nan=lambda M, table: M * torch.nan)
    _, nan = small(timer=clock.timer)
    assert (nan.finite, nan.worst, nan.problem) == (False, None, None)


def test_large_matrices_get_no_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polydesign.verification.bench.MOST_REFERENCE_WORK", 12 * 12 * 20 - 1)
    assert all((t.finite, t.worst) == (True, None) for t in small())
    monkeypatch.setattr("polydesign.verification.bench.MOST_REFERENCE_WORK", 12 * 12 * 20)
    assert all(t.worst is not None for t in small())


def test_promises_what_the_operator_does() -> None:
    """P^(1/r) = P P^(−(r−1)/r): the error of f comes in to the power r − 1."""
    table = load("root4-d9x4-l0.1-fp32")
    promised = {op: small(op, table)[0].setting.promised for op in ("root", "inverse_root")}
    error = table.schedule.error
    assert promised["inverse_root"] == pytest.approx(error, rel=1e-12)
    assert promised["root"] == pytest.approx(3 * error, rel=2 * error)


@pytest.mark.parametrize(
    ("operator", "options", "field", "words"),
    [
        ("sign", {}, "operator", "'sign' is not one of msign, inverse_root, root, inverse"),
        ("msign", {"beside": ["eigh"]}, "beside", "take from unchecked, gram, svd, muon, polar-express"),
        ("msign", {"root": 4}, "root", "msign has root 2"),
        ("root", {"root": 1}, "root", "take 2 or more"),
        ("inverse_root", {"root": 5}, "root", "no table of root 5"),
        ("inverse_root", {"table": QUINTICS, "root": 4}, "table", "quintics_18 has root 2"),
        ("inverse", {"table": QUINTICS}, "table", "quintics_18 has root 2"),
        ("msign", {"table": replace(QUINTICS, normalization="aol")}, "table", "quintics_18 divides by aol"),
        ("inverse", {"shape": (3, 4)}, "shape", "takes square matrices: write 3x3"),
        ("msign", {"shape": (0, 4)}, "shape", "at least 1"),
        ("msign", {"shape": (2**14, 2**14), "batch": 2}, "shape", "take less"),
        ("msign", {"batch": 0}, "batch", "at least 1"),
        ("msign", {"rounds": 0}, "rounds", "at least 1"),
        ("msign", {"seconds": 0.0}, "seconds", "greater than 0"),
        ("msign", {"dtype": "int8"}, "dtype", "int8 is not one of"),
        ("msign", {"device": "gpu"}, "device", "not a torch device"),
    ],
)
def test_refusals(operator: str, options: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        small(operator, **options)
    assert refused.value.field == field
    assert words in refused.value.problem

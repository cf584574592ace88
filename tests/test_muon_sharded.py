"""Muon with DTensors: the same steps as without, whatever the placement."""

from __future__ import annotations

import muon_cases as cases
import pytest
import torch.distributed as dist
from ranks import Ranks

if not dist.is_available():
    pytest.skip("torch has no distributed", allow_module_level=True)

pytestmark = pytest.mark.numerics


def test_training_does_not_depend_on_how_it_is_sharded(ranks: Ranks) -> None:
    """FSDP2 beside plain data parallelism; the control is each shard by itself, which trains otherwise."""
    (plain, sharded, each), other = ranks.run(2, cases.training, 2)
    assert other[0] == plain
    assert plain[-1] < plain[0]
    for losses in sharded:
        assert losses == pytest.approx(plain, rel=1e-9)
    assert each[0] == pytest.approx(plain[0], rel=1e-9)  # before the first step
    assert abs(each[-1] - plain[-1]) > 1e-3 * plain[-1]


def test_every_kind_of_parameter_in_every_place(ranks: Ranks) -> None:
    ranks.run(4, cases.every_place)


def test_interleaved_rows_are_refused_with_a_cure(ranks: Ranks) -> None:
    for said in ranks.run(4, cases.tensor_parallel):
        assert said.startswith("w: has the placements ")
        assert "shard_placement_fn=lambda p: Shard(1) if p.ndim > 1 else None" in said


def test_what_is_said_and_counted(ranks: Ranks) -> None:
    first, second = ranks.run(2, cases.wholes)
    assert first == second
    for layout in ("gram", "owner", "gather"):
        assert first[f"eps {layout}"] == pytest.approx(first["eps"], rel=1e-9)
    assert 0 < first["eps"] < 0.1  # and without eps √5, of five rows
    assert first["calls"] == {"all_to_all": 2}
    assert first["partial"] < 1e-12
    rows = [(3, 9), (3, 9), (2, 9), (2, 9)]
    names = ["layer[0][0:3]", "layer[1][0:3]", "layer[0][3:5]", "layer[1][3:5]"]
    assert first["log"] == list(zip(names, rows, strict=True))
    assert max(first["residuals"]) < 1e-9
    tables = {first[f"adaptive {layout}"] for layout in ("whole", "owner", "gather", None)}
    assert len(tables) == 1
    assert tables.pop().endswith("-adaptive")
    assert first["gram"].startswith("plan.layout: is gram, which chooses no table by the matrix")
    assert first["nan"].startswith("gradient of second: holds NaN")
    assert first["blockwise"].startswith("plan.blockwise: makes each shard of w a matrix")
    assert first["partial parameter"].startswith(
        "w: is P(sum) on mesh dimension 0: its shards are terms of a sum"
    )


def test_a_compiled_step_leaves_dtensors_out_of_its_graph(ranks: Ranks) -> None:
    assert ranks.run(1, cases.compiled) == [True]

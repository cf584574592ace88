"""Sharded matrices give what the whole ones give, whatever the placement, and all ranks refuse alike."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sharded_cases as cases
import torch
import torch.distributed as dist
from ranks import Ranks
from torch._subclasses import FakeTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard
from torch.distributed.tensor.debug import CommDebugMode
from torch.distributed.tensor.placement_types import _StridedShard
from torch.testing._internal.distributed.fake_pg import FakeStore

from polydesign.model import InputError, Plan
from polydesign.optim import Muon
from polydesign.runtime import (
    InverseRoot,
    Machine,
    Sign,
    explain,
    mcsgn,
    msign,
    msign_differentiable,
    sign_many,
    spectral_clip,
)
from polydesign.runtime.sharded import many
from polydesign.runtime.sharded.meter import Meter
from polydesign.verification import conformance, expected

if not dist.is_available():
    pytest.skip("torch has no distributed", allow_module_level=True)


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of some cases and one precision: tolerances of the others take as long each, and nobody asks for them."""
    folder = tmp_path_factory.mktemp("kit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expected, "DTYPES", {"float32": "fp32"})
        chosen = {name: expected.SIGN_CASES[name] for name in ("square", "wide", "tall")}
        patch.setattr(expected, "SIGN_CASES", chosen)
        conformance.conformance(cases.TABLE, folder)
    return str(folder)


@pytest.mark.parametrize("world", [2, 4])
def test_every_placement_gives_what_the_whole_matrix_gives(world: int, ranks: Ranks) -> None:
    ranks.run(world, cases.on_one_mesh, world)


def test_meshes_of_two_dimensions(ranks: Ranks) -> None:
    ranks.run(4, cases.on_two_dimensions)


def test_all_ranks_refuse_alike(ranks: Ranks) -> None:
    """What is wrong on one rank; and none of them hangs."""
    first, *others = ranks.run(3, cases.refusals, 3)
    assert all(said == first for said in others)
    for name, text in first.items():
        kind = name.split()[0]
        if kind in ("nan", "experts"):
            assert re.match("InputError: M.*holds NaN or infinity", text), name
        elif kind == "list":
            assert re.match(r"InputError: M\[.*holds NaN or infinity", text), text
        elif kind == "negative":
            assert text.startswith("InputError: P: ")
        elif kind == "blown":
            assert text.startswith("DivergenceError: M: a singular value of the result is at least"), text
        else:
            assert text.startswith("InputError: M: has a row or column of length")


def test_a_shard_by_itself_is_another_map(ranks: Ranks) -> None:
    assert min(ranks.run(2, cases.blockwise)) > 0.1


def test_blocks_of_rows_are_matrices_of_their_own_where_sizes_say_so(ranks: Ranks) -> None:
    ranks.run(4, cases.by_sizes, 4)


def test_blocks_of_rows_of_plain_tensors(pretended: Any, seed: int) -> None:
    sizes: Any = [9, 4, 2]
    plan = Plan("fp64", blockwise=sizes)
    M = cases.random(2, 15, 8, dtype=torch.float64, seed=seed)
    parts = M.split((9, 4, 2), dim=-2)
    found = msign(M, plan=plan)
    whole = replace(plan, blockwise=False)
    assert torch.equal(found, torch.cat([msign(part, plan=whole) for part in parts], dim=-2))
    assert cases.distance(found, msign(M, plan=whole)) > 0.1  # another map
    compiled = torch.compile(lambda x: msign(x, plan=plan), backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(M), found)
    W = M.clone().requires_grad_()
    msign(W, plan=plan).sum().backward()
    expected = []
    for part in parts:
        one = part.clone().requires_grad_()
        msign(one, plan=whole).sum().backward()
        expected.append(one.grad)
    torch.testing.assert_close(W.grad, torch.cat(expected, dim=-2), rtol=0, atol=1e-9)
    D = _shard(pretended, (15, 8), 0, torch.float32)
    for words, call in {
        r"^plan\.blockwise: \(9, 4\) sum to 13, and M .* has 15 rows": lambda: msign(
            M, plan=Plan(blockwise=(9, 4))
        ),
        r"^plan\.blockwise: has sizes, and a Run": lambda: Sign(plan=plan).run(M),
        r"^plan\.blockwise: has sizes, which are of msign": lambda: InverseRoot(2, plan=plan),
        r"^plan\.blockwise: has sizes, and cuts no DTensor": lambda: Sign(plan=plan)(D.requires_grad_()),
        r"^plan\.blockwise: has sizes: write split=\(9, 4, 2\)": lambda: Muon(
            [torch.nn.Parameter(M)], plan=plan
        ),
        r"^blockwise\[1\]: ": lambda: Plan(blockwise=(3, 0)),
        r"^blockwise: must be True, False, or sizes": lambda: Plan(blockwise=()),
    }.items():
        with pytest.raises(InputError, match=words):
            call()
    for refusing in (mcsgn, spectral_clip, msign_differentiable):
        with pytest.raises(InputError, match=r"^plan\.blockwise: has sizes"):
            refusing(torch.eye(4), plan=Plan(blockwise=(2, 2)))


@pytest.mark.parametrize("side", [-2, -1])
def test_the_kit_names_what_is_wrong_with_shards(side: int, kit: str, ranks: Ranks) -> None:
    for right, each, own in ranks.run(2, cases.conformance_of_shards, kit, side):
        assert right == (True, ())
        word = {-2: "rows", -1: "columns"}[side]
        assert each == (
            False,
            (f"each shard is run by itself, as if it were a matrix: the {word} are split over 2 ranks",),
        )
        assert not own[0]
        assert own[1][0].startswith("each shard is divided by its own norm, and not by that of the matrix")


def test_lists(ranks: Ranks) -> None:
    ranks.run(3, cases.lists, 3)
    ranks.run(4, cases.lists_in_two_dimensions)


def test_a_rank_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of what starts the ranks."""
    monkeypatch.setattr("ranks.LIMIT", 0.5)
    found = Ranks(1, preload=["sharded_cases", "muon_cases"])
    with pytest.raises(TimeoutError, match="rank 0"):
        found.run(1, _sleep)


def _sleep(rank: int) -> None:
    time.sleep(30)


# what it costs


@pytest.fixture
def pretended() -> Iterator[Any]:
    """A mesh of four ranks of which one is there: what is counted needs no other."""
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=4)
    yield init_device_mesh("cpu", (4,))
    dist.destroy_process_group()


def _shard(mesh: Any, shape: tuple[int, ...], dim: int, dtype: torch.dtype) -> Any:
    local = list(shape)
    local[dim] = -(-local[dim] // mesh.size())
    X = torch.zeros(local, dtype=dtype)
    stride = torch.empty(shape, device="meta").stride()
    return DTensor.from_local(X, mesh, [Shard(dim)], run_check=False, shape=torch.Size(shape), stride=stride)


SCHEDULES = {
    "three of degree 17": "sign-d17x3-l1e-3-h1.005-f0.1x2-0",
    "five quintics": "sign-d5x5-l1e-3-bf16",
}


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("normalization", "layout"),
    # Where whole matrices run, what normalizes them sends nothing.
    [
        ("frobenius", "gram"),
        ("schatten8", "gram"),
        ("none", "gram"),
        ("frobenius", "owner"),
        ("none", "gather"),
    ],
)
@pytest.mark.filterwarnings("ignore:plan.normalization:polydesign.model.SafetyWarning")
def test_the_model_counts_what_runs(
    check: bool, normalization: str, layout: str, pretended: Any, seed: int
) -> None:
    """Collectives and bytes of rank 0, which has the largest shard."""
    plan = Plan("bf16", layout=layout, normalization=normalization, check=check)
    operators = [(Sign(plan=plan), torch.float32), (Sign(plan=replace(plan, form="gram")), torch.float64)]
    shapes = [((34, 50), 0), ((3, 10, 9), 2), ((34, 50), 1), ((5, 9, 9), 1)]
    for (operator, dtype), some in zip(operators, (shapes[:2], shapes[2:]), strict=True):
        for shape, dim in some:
            D = _shard(pretended, shape, dim, dtype)
            expected = explain(operator, D).costs[layout]
            with CommDebugMode() as counted, Meter() as meter:
                operator(D)
            assert meter.collectives == counted.get_total_counts() == expected.collectives
            assert meter.sent == pytest.approx(expected.sent)


def test_large_matrices_without_data(pretended: Any) -> None:
    """1024 × 4096 and 4096 × 16384 on four ranks: gather sends less than gram."""
    sent: dict[tuple[str, int, str], float] = {}
    with FakeTensorMode():
        for (name, table), m, layout in itertools.product(
            SCHEDULES.items(), (1024, 4096), ("gram", "gather")
        ):
            operator = Sign(table, Plan("bf16", layout=layout, check=False))
            D = _shard(pretended, (m, 4 * m), 1, torch.bfloat16)
            expected = explain(operator, D).costs[layout]
            with Meter() as meter:
                found = operator(D)
            assert found.shape == (m, 4 * m)
            assert (meter.sent, meter.collectives) == (expected.sent, expected.collectives)
            sent[name, m, layout] = meter.sent
    assert sent["three of degree 17", 1024, "gather"] == 3 * 1024 * 1024 * 2
    assert sent["three of degree 17", 1024, "gram"] == 3 * 1.5 * 4 * (1024 * 1025 // 2) + 12


def test_lists_are_cut_where_whole_matrices_would_take_much_memory(
    pretended: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of five at once, where every rank has them whole; experts of which a rank has a part count less."""
    for count, entries in ((3, 2 * 8 * 12), (2, 3 * 8 * 12), (1, 1 << 27)):
        monkeypatch.setattr(many, "LARGEST_BATCH", entries)
        matrices = [_shard(pretended, (8, 12), 0, torch.float32) for _ in range(5)]
        with Meter() as meter:
            sign_many(matrices, plan=Plan(layout="gather", check=False))
        assert meter.calls == {"all_gather": count}
    monkeypatch.setattr(many, "LARGEST_BATCH", 2 * 8 * 12)
    experts = [_shard(pretended, (4, 8, 12), 0, torch.float32) for _ in range(4)]
    with Meter() as meter:
        sign_many(iter(experts))
    assert meter.calls == {"all_reduce": 2}  # a word about each of two batches


def test_the_choice_follows_from_the_machine(pretended: Any) -> None:
    D = _shard(pretended, (8, 32, 128), 2, torch.bfloat16)
    operator = Sign(plan=Plan("bf16"))
    found = explain(operator, D, Machine(flops=1e30, bandwidth=1e30, latency=1.0))
    assert found.layout == min(found.costs, key=lambda name: found.costs[name].collectives)
    found = explain(operator, D, Machine(flops=1e30, bandwidth=1.0, latency=1e-30))
    assert found.layout == min(found.costs, key=lambda name: found.costs[name].sent)
    found = explain(operator, D, Machine(flops=1.0, bandwidth=1e30, latency=1e-30))
    assert found.layout == min(found.costs, key=lambda name: found.costs[name].flops)
    text = str(found)
    for name, cost in found.costs.items():
        assert f"{cost.collectives}" in next(line for line in text.splitlines() if line.startswith(name))
    # By name, whatever it costs; and what a call runs is what is said.
    for layout in found.costs:
        named = Sign(plan=Plan("bf16", layout=layout))
        assert explain(named, D).layout == layout
        with Meter() as meter:
            named(D)
        assert meter.sent == pytest.approx(found.costs[layout].sent)
    with pytest.raises(InputError, match=r"plan\.layout: is gram, .*: write owner or gather"):
        explain(InverseRoot(4, plan=Plan(layout="gram")), _shard(pretended, (8, 8), 0, torch.float32))


# what is refused


def test_placements_that_are_refused(pretended: Any) -> None:
    X = torch.ones(4, 4)
    D: Any = DTensor.from_local(X, pretended, [Partial()], run_check=False)
    cure = r"write M\.redistribute\(placements=\[Replicate\(\)\]\)"
    for call in (msign, lambda D: spectral_clip(D, 0.0, 0.5)):
        with pytest.raises(InputError, match=f"^M: is .*terms of a sum.*{cure}"):
            call(D)
    with pytest.raises(InputError, match=r"^P: is .*terms of a sum"):
        InverseRoot(2)(D)
    msign(D.redistribute(placements=[Replicate()]))
    spec = DTensor.from_local(X, pretended, [Shard(0)], run_check=False)._spec
    spec = replace(spec, placements=(_StridedShard(0, split_factor=2),))
    strided = DTensor(X, spec, requires_grad=False)
    with pytest.raises(InputError, match=r"^M: is StridedShard on mesh dimension 0: .*interleaved"):
        msign(strided)
    uneven = DTensor.from_local(
        torch.ones(3, 4), pretended, [Shard(0)], run_check=False, shape=torch.Size((9, 4)), stride=(4, 1)
    )
    msign(uneven, plan=Plan(check=False, layout="gather"))
    wrong = DTensor.from_local(
        torch.ones(4, 4), pretended, [Shard(0)], run_check=False, shape=torch.Size((9, 4)), stride=(4, 1)
    )
    with pytest.raises(InputError, match=r"^M: has a shard of shape \(4, 4\) .* say \(3, 4\)"):
        msign(wrong)
    flat = DTensor.from_local(torch.ones(4), pretended, [Shard(0)], run_check=False)
    with pytest.raises(InputError, match=r"^M: must have shape .*full_tensor\(\)"):
        msign(flat)
    with pytest.raises(InputError, match=r"^D: must be a DTensor"):
        explain(Sign(), X)
    for plan, problem in (
        (Plan("bf16", dither=True), "does not dither"),
        (Plan(compile=True), "compiled"),
        (Plan("fp16", error=0.05, normalization="adaptive"), "chooses no table by the matrix"),
    ):
        D = _shard(pretended, (40, 40), 0, torch.float32)
        assert problem in explain(Sign(plan=plan), D).reason
        with pytest.raises(InputError, match=rf"plan\.layout: is gram, .*{problem}: write owner or gather"):
            explain(Sign(plan=replace(plan, layout="gram")), D)
    with pytest.raises(InputError, match="layout: is of whole matrices"):
        Plan(layout="gram", blockwise=True)
    with pytest.raises(InputError, match="layout"):
        Plan(layout="row")

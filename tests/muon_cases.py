"""What test_muon_sharded.py runs on each rank. Imported once, by what the ranks are forked from."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

from polydesign.model import InputError, Plan
from polydesign.optim import Muon, Reading
from polydesign.runtime import Sign
from polydesign.runtime.sharded.meter import Meter

LAYOUTS = ("gram", "owner", "gather", None)
STEPS = 4
EXACT: dict[str, Any] = {"dtype": "float64", "matmuls": 15}
PLACES = [Replicate(), Shard(0), Shard(1)]

Sign(plan=Plan(**EXACT))  # the table is read once for all ranks


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def whole(x: Any) -> Tensor:
    return x.full_tensor() if isinstance(x, DTensor) else x


class Net(torch.nn.Module):
    """With fused matrices of unequal sizes, a convolution, experts, and rows that two ranks cannot halve."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 5, (2, 2), bias=False)
        self.fused = torch.nn.Linear(20, 6 + 4 + 3, bias=False)
        self.experts = torch.nn.Parameter(torch.empty(3, 6, 7))
        self.last = torch.nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.fused(torch.tanh(self.conv(x)).flatten(1)).split((6, 4, 3), dim=-1)
        hidden = torch.tanh(q + torch.cat([k, k[:, :2]], dim=-1) + v.repeat(1, 2))
        mixed = torch.stack([hidden @ one for one in self.experts.unbind()]).mean(dim=0)
        return self.last(torch.tanh(mixed))


def net() -> Net:
    model = Net().double()
    for seed, p in enumerate(model.parameters()):
        p.data = 0.5 * numbers(*p.shape, seed=seed)
    return model


def optimizer_of(model: Net, plan: Plan, **options: Any) -> Muon:
    groups = [
        {"params": [model.fused.weight], "split": (6, 4, 3)},
        {"params": [model.conv.weight, model.experts, model.last.weight]},
    ]
    if plan.blockwise:
        groups[0].pop("split")
    return Muon(groups, lr=0.05, momentum=0.9, plan=plan, **options)


def trained(rank: int, world: int, mesh: Any, plan: Plan, *, sharded: bool) -> tuple[list[float], Muon]:
    """The losses of some steps, each rank having its part of the data."""
    model = net()
    if sharded:
        fully_shard(model, mesh=mesh)
    optimizer = optimizer_of(model, plan)
    data, target = numbers(8, 1, 3, 3, seed=20), numbers(8, 3, seed=21)
    mine = slice(rank * 8 // world, (rank + 1) * 8 // world)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = (model(data[mine]) - target[mine]).square().mean()
        loss.backward()
        if not sharded:
            for p in model.parameters():
                assert p.grad is not None
                dist.all_reduce(p.grad)
                p.grad.div_(world)
        optimizer.step()
        total = loss.detach().clone()
        dist.all_reduce(total)
        losses.append(total.item() / world)
    return losses, optimizer


def momenta(optimizer: Muon) -> list[Tensor]:
    return [whole(state["momentum_buffer"]) for state in optimizer.state.values()]


def training(rank: int, world: int) -> tuple[list[float], list[list[float]], list[float]]:
    """Losses with plain data parallelism, with FSDP2 in every layout, and with each shard by itself."""
    mesh = init_device_mesh("cpu", (world,))
    plain, single = trained(rank, world, mesh, Plan(**EXACT), sharded=False)
    found = []
    for layout in LAYOUTS:
        losses, optimizer = trained(rank, world, mesh, Plan(**EXACT, layout=layout), sharded=True)
        found.append(losses)
        for one, other in zip(momenta(single), momenta(optimizer), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-9)
    each, _ = trained(rank, world, mesh, Plan(**EXACT, blockwise=True), sharded=True)
    states(mesh, single)
    return plain, found, each


def states(mesh: Any, single: Muon) -> None:
    """A state that was saved without shards goes on with them, and the other way about."""
    models = [net(), net()]
    fully_shard(models[1], mesh=mesh)
    plain, sharded = (optimizer_of(model, Plan(**EXACT)) for model in models)
    sharded.load_state_dict(single.state_dict())
    for p, state in sharded.state.items():
        assert isinstance(state["momentum_buffer"], DTensor)
        assert state["momentum_buffer"].placements == p.placements  # pyright: ignore
    plain.load_state_dict(sharded.state_dict())
    theirs = torch.optim.Muon([models[0].fused.weight])  # pyright: ignore[reportPrivateImportUsage]
    for optimizer in (plain, sharded):
        for one, other in zip(momenta(single), momenta(optimizer), strict=True):
            assert torch.equal(one, other)
    theirs.load_state_dict({**plain.state_dict(), "param_groups": theirs.state_dict()["param_groups"],
                            "state": {0: plain.state_dict()["state"][0]}})  # fmt: skip


# placements


def step_of(shape: tuple[int, ...], place: Callable[[Tensor], Any], **options: Any) -> Tensor:
    """What two steps make of a parameter, whole."""
    p = torch.nn.Parameter(place(numbers(*shape)))
    optimizer = Muon([p], lr=0.1, **options)
    for seed in (1, 2):
        p.grad = place(numbers(*shape, seed=seed))
        optimizer.step()
    return whole(p.detach())


KINDS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((9, 7), {}),
    ((3, 5), {}),  # the last rank of four has nothing
    ((11, 6), {"split": (5, 4, 2)}),
    ((6, 11), {"split": (5, 6), "split_dim": 1}),
    ((3, 8, 5), {"split": (5, 3)}),
    ((5, 3, 2, 2), {}),
    ((6, 3, 2), {"matrices": "flatten"}),
    ((7, 3, 2), {"matrices": "flatten", "split": (4, 3)}),
]


def every_place(rank: int) -> None:
    """Every kind of parameter on meshes of one and two dimensions, as without a mesh."""
    plan = Plan(**EXACT)
    meshes = [init_device_mesh("cpu", (4,)), init_device_mesh("cpu", (2, 2))]
    placings = [(meshes[0], (place,)) for place in PLACES]
    placings += [(meshes[1], (first, second)) for first, second in itertools.product(PLACES, PLACES[1:])]
    for number, (shape, options) in enumerate(KINDS):
        alone = step_of(shape, lambda x: x, plan=plan, **options)
        # Not each with each: every kind meets both meshes, and every placement some kinds.
        for mesh, places in placings[number % 3 :: 3]:
            found = step_of(
                shape,
                lambda x, mesh=mesh, places=places: distribute_tensor(x, mesh, places, src_data_rank=None),
                plan=plan, **options,
            )  # fmt: skip
            torch.testing.assert_close(found, alone, rtol=0, atol=1e-10, msg=f"{shape} {options} {places}")


def tensor_parallel(rank: int) -> str:
    """Rows that two mesh dimensions split are refused, and what the refusal says to write is as without."""
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
    said = "nothing"
    found = []
    columns: Any = lambda p: Shard(1) if p.ndim > 1 else None  # noqa: E731
    for place in (None, columns, "whole"):
        model: Any = torch.nn.Sequential(torch.nn.Linear(6, 8)).double()
        weight, bias = numbers(8, 6), numbers(8, seed=1)
        model[0].load_state_dict({"weight": weight, "bias": bias})
        if place != "whole":
            parallelize_module(model, mesh["tp"], {"0": ColwiseParallel(output_layouts=Replicate())})
            fully_shard(model, mesh=mesh["dp"], shard_placement_fn=place)
        p = model[0].weight
        try:
            optimizer = Muon([("w", p)], plan=Plan(**EXACT))
        except InputError as problem:
            said = str(problem)
            continue
        model(numbers(3, 6, seed=2)).square().sum().backward()
        optimizer.step()
        found.append(whole(p.detach()))
    torch.testing.assert_close(*found, rtol=0, atol=1e-10)
    return said


def wholes(rank: int) -> dict[str, Any]:
    """What is said and counted on two ranks."""
    mesh = init_device_mesh("cpu", (2,))
    said: dict[str, Any] = {}

    def spread(x: Tensor, place: Any) -> Any:
        return distribute_tensor(x, mesh, [place], src_data_rank=None)

    def parameter(*shape: int, place: Any = PLACES[1], seed: int = 0) -> Any:
        p = torch.nn.Parameter(spread(numbers(*shape, seed=seed), place))
        p.grad = spread(numbers(*shape, seed=seed + 1), place)
        return p

    # eps: what is all but zero is moved less, in every layout.
    for layout in (*LAYOUTS[:3], ""):
        p = parameter(5, 8)
        p = p if layout else torch.nn.Parameter(whole(p.detach()))
        p.grad = p.grad if layout else numbers(5, 8, seed=1)
        before = whole(p.detach().clone())
        assert p.grad is not None
        p.grad = 1e-9 * p.grad / whole(p.grad).norm()
        plan = Plan(**EXACT, layout=layout or None)
        Muon([p], lr=1.0, weight_decay=0, momentum=0, eps=1e-3, plan=plan).step()
        said[f"eps {layout}".strip()] = (whole(p.detach()) - before).norm().item()
    # One call for matrices of one shape, also beside plain ones; terms of a sum are summed.
    params = [parameter(6, 4, seed=k) for k in range(3)]
    params.append(torch.nn.Parameter(numbers(6, 4)))
    params[3].grad = numbers(6, 4, seed=9)
    with Meter() as meter:
        Muon(params, plan=Plan(**EXACT, layout="owner", check=False)).step()
    said["calls"] = dict(meter.calls)
    p, q = parameter(6, 4), parameter(6, 4)
    p.grad = DTensor.from_local(p.grad.full_tensor() / 2, mesh, [Partial()], run_check=False)
    for one in (p, q):
        Muon([one], plan=Plan(**EXACT)).step()
    said["partial"] = (whole(p.detach()) - whole(q.detach())).abs().max().item()
    # The log, on every rank.
    readings: list[Reading] = []
    p = parameter(2, 5, 9, place=Shard(1))
    before = whole(p.detach().clone())
    Muon([("layer", p)], lr=1.0, weight_decay=0, split=(3, 2), plan=Plan(**EXACT), log=readings.append).step()
    moved = before - whole(p.detach())
    scaled = [part / max(1, part.shape[0] / part.shape[1]) ** 0.5 for part in (*moved[:, :3], *moved[:, 3:])]
    said["log"] = [(one.name, one.shape) for one in readings]
    said["residuals"] = [
        abs(one.residual - ((X @ X.mT - torch.eye(len(X))).norm() / len(X) ** 0.5).item())
        for one, X in zip(readings, scaled, strict=True)
    ]
    # An adaptive plan, where whole matrices run.
    sharp: dict[str, Any] = {"dtype": "float16", "error": 0.05, "normalization": "adaptive", "every": 2}
    M = torch.linalg.qr(numbers(48, 36)).Q.mT
    found = []
    for layout in ("whole", "owner", "gather", None):
        p = torch.nn.Parameter(numbers(36, 48) if layout == "whole" else spread(numbers(36, 48), Shard(0)))
        readings.clear()
        optimizer = Muon(
            [p],
            plan=Plan(**sharp, layout=None if layout == "whole" else layout),
            log=readings.append,
            log_every=2,
        )
        for _ in range(2):
            p.grad = M if layout == "whole" else spread(M, Shard(0))
            optimizer.step()
        found.append(whole(p.detach()))
        said[f"adaptive {layout}"] = readings[0].table
    assert all(torch.equal(one, found[0]) for one in found)
    # What is wrong on one rank alone.
    p, q = parameter(4, 6), parameter(4, 6)
    if rank:
        q.grad.to_local()[0, 0] = torch.nan
    kept = p.to_local().clone()
    optimizer = Muon([("first", p), ("second", q)])
    for name, action in {
        "nan": optimizer.step,
        "gram": lambda: Muon([("w", parameter(36, 48))], plan=Plan(**sharp, layout="gram")),
        "blockwise": lambda: Muon([("w", p)], split=(2, 2), plan=Plan(**EXACT, blockwise=True)),
        "partial parameter": lambda: Muon(
            [("w", torch.nn.Parameter(DTensor.from_local(torch.ones(4, 4), mesh, [Partial()])))]
        ),
    }.items():
        try:
            action()
        except InputError as problem:
            said[name] = str(problem)
    assert torch.equal(kept, p.to_local())
    assert not optimizer.state
    return said


def compiled(rank: int) -> bool:
    """DTensors run outside the graph, and give the same bits."""
    mesh = init_device_mesh("cpu", (1,))
    found = []
    for compiling in (False, True):
        p = torch.nn.Parameter(distribute_tensor(numbers(5, 8), mesh, [Shard(0)]))
        p.grad = distribute_tensor(numbers(5, 8, seed=1), mesh, [Shard(0)])
        optimizer = Muon([p], plan=Plan(**EXACT))
        step = torch.compile(optimizer.step, backend="aot_eager") if compiling else optimizer.step
        step()
        found.append(whole(p.detach()))
    return torch.equal(*found)

"""What the layouts of sharded matrices cost by the model of polydesign/runtime/sharded/cost.py.

    python scripts/studies/sharded_costs.py                      # shapes of three models, 8 to 1024 ranks
    python scripts/studies/sharded_costs.py --counted            # 4 ranks: bytes that run, beside the model's

Nothing is timed: of --counted a group of ranks is pretended of which one is there, and tensors have no data.
The rest is the model alone. It knows one kind of link: a group inside a node has the bandwidth of --link, one
of more ranks than --node that of --network. Nothing overlaps. Matrices of one shape run as one batch, each
split by rows over all ranks, but for experts, of which each rank has some whole ones.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import click
import torch
import torch.distributed as dist
from torch._subclasses import FakeTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard

from polydesign.runtime import Machine, Plan, Sign, explain
from polydesign.runtime.sharded import cost, layouts
from polydesign.runtime.sharded.meter import Meter
from polydesign.runtime.sharded.placed import place

TABLES = {"3 x degree 17": "sign-d17x3-l1e-3-h1.005-f0.1x2-0", "5 quintics": "sign-d5x5-l1e-3-bf16"}

MODELS = {
    "GPT-2 large": [(36, 1280, 1280), (36, 3840, 1280), (36, 5120, 1280), (36, 1280, 5120)],
    "70B dense": [(160, 8192, 8192), (160, 1024, 8192), (160, 28672, 8192), (80, 8192, 28672)],
    "MoE, 256 experts": [(512, 2048, 7168), (256, 7168, 2048)],
}
"""Shapes of weights: how many, rows, columns. GPT-2 large: 36 layers of width 1280. 70B dense: 80 layers of
width 8192, a feed-forward width of 28672 and 8 heads of keys and values. MoE: one layer of 256 experts of
width 7168 and 2048. Round architectures, as they are published."""


@dataclass(frozen=True)
class Pretended:
    """A mesh of one dimension, as much of it as the model asks for."""

    ranks: int
    ndim: int = 1
    device_type: str = "cuda"

    def size(self, dim: int = 0) -> int:
        return self.ranks

    def get_coordinate(self) -> list[int]:
        return [0]


def costs(shape: tuple[int, ...], ranks: int, dim: int, table: str) -> dict[str, cost.Cost]:
    """Of msign in bfloat16 without checks, of a batch that is split along a dimension."""
    operator = Sign(table, Plan("bf16", check=False))
    mesh: Any = Pretended(ranks)
    where = place(mesh, [Shard(dim)], shape)
    work, turn, _ = layouts.work_of(
        operator, operator.resolved("bfloat16"), where, torch.empty(0, 0, dtype=torch.bfloat16)
    )
    return cost.costs(where, work, turn=turn)


def counted(ranks: int) -> list[str]:
    """Bytes and collectives that run on rank 0, beside those of the model."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=ranks)
    mesh = init_device_mesh("cpu", (ranks,))
    lines = [
        f"{'table':14} {'shape':>12} {'layout':>7} {'MB sent':>9} {'model':>9} {'collectives':>12} model"
    ]
    for (name, table), (m, n) in itertools.product(TABLES.items(), ((1024, 4096), (4096, 16384))):
        for layout in ("gram", "owner", "gather"):
            operator = Sign(table, Plan("bf16", layout=layout, check=False))
            with FakeTensorMode():
                local = torch.empty(m, -(-n // ranks), dtype=torch.bfloat16)
                D = DTensor.from_local(
                    local, mesh, [Shard(1)], run_check=False, shape=torch.Size((m, n)), stride=(n, 1)
                )
                with Meter() as meter:
                    operator(D)
                model = explain(operator, D).costs[layout]
            lines.append(
                f"{name:14} {f'{m} x {n}':>12} {layout:>7} {meter.sent / 1e6:9.2f} {model.sent / 1e6:9.2f} "
                f"{meter.collectives:12d} {model.collectives:6d}"
            )
    dist.destroy_process_group()
    return lines


LAYOUTS = ("gram", "owner", "gather")


def simulated(flops: float, link: float, network: float, node: int, latency: float) -> list[str]:
    """For each model and number of ranks the time of each layout, and which is least.

    At once: all matrices of a shape as one batch. One by one: each when its gradient is there.
    """
    lines = [f"{'model':18} {'':10} {'ranks':>5} {'gram':>9} {'owner':>9} {'gather':>9}  milliseconds, least"]
    for (name, shapes), single in itertools.product(MODELS.items(), (False, True)):
        for ranks in (8, 16, 32, 64, 128, 256, 512, 1024):
            machine = Machine(flops, link if ranks <= node else network, latency)
            total = dict.fromkeys(LAYOUTS, 0.0)
            for count, *sides in shapes:
                batch, times = (1, count) if single else (count, 1)
                found = costs((batch, *sides), ranks, 1, TABLES["5 quintics"])
                for layout in total:
                    total[layout] += times * machine.seconds(found[layout])
            best = min(total, key=lambda layout: total[layout])
            row = " ".join(f"{1e3 * total[layout]:9.4g}" for layout in total)
            lines.append(f"{name:18} {'one by one' if single else 'at once':10} {ranks:5d} {row}  {best}")
            if name.startswith("MoE") and not single and ranks <= min(shape[0] for shape in shapes):
                local = (costs(shape, ranks, 0, TABLES["5 quintics"])["local"] for shape in shapes)
                lines.append(f"{'  split by experts':35} {1e3 * sum(map(machine.seconds, local)):9.4g}")
    return lines


@click.command()
@click.option("--counted", "count", is_flag=True, help="Count what runs, on 4 ranks.")
@click.option("--flops", default=4e14, help="Operations a second of a rank.")
@click.option("--link", default=4e11, help="Bytes a second of a rank inside a node.")
@click.option("--network", default=5e10, help="Bytes a second of a rank between nodes.")
@click.option("--node", default=8, help="Ranks of a node.")
@click.option("--latency", default=2e-5, help="Seconds of a collective beside its bytes.")
def main(count: bool, flops: float, link: float, network: float, node: int, latency: float) -> None:
    """Print what layouts cost."""
    lines = counted(4) if count else simulated(flops, link, network, node, latency)
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()

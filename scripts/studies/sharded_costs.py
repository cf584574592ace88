"""What the layouts of sharded matrices send, counted where it is sent, beside what the model says.

Nothing is timed: a group of ranks is pretended of which one is there, and tensors have no data. What the
model makes of more ranks and of a model's shapes is in sharded_scaling.py.
"""

from __future__ import annotations

import itertools

import click
import torch
import torch.distributed as dist
from torch._subclasses import FakeTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard

from polydesign.runtime import Plan, Sign, explain
from polydesign.runtime.sharded.meter import Meter

TABLES = {"3 x degree 17": "sign-d17x3-l1e-3-h1.005-f0.1x2-0", "5 quintics": "sign-d5x5-l1e-3-bf16"}


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


@click.command(help=__doc__)
@click.option("--ranks", default=4, help="Of the group.")
def main(ranks: int) -> None:
    click.echo("\n".join(counted(ranks)))


if __name__ == "__main__":
    main()
